//! The channels that the claims of a token grant.

use serde::Deserialize;
use serde_json::Value;

use crate::wire::keep_first;

/// The channels of both claims, each once. The error says what is wrong with one. Nothing is passed over that might be meant
/// to narrow a grant.
pub(super) fn granted(evstream: Option<&Value>, details: Option<&Value>) -> Result<Vec<String>, String> {
    let mut channels = match evstream {
        Some(claim) => own(claim)?,
        None => Vec::new(),
    };
    if let Some(claim) = details {
        channels.extend(mercure(claim)?);
    }
    keep_first(&mut channels);
    Ok(channels)
}

/// `{"channels": ["room-1"]}`.
fn own(claim: &Value) -> Result<Vec<String>, String> {
    let Value::Object(members) = claim else { return Err("evstream is no object".to_owned()) };
    if let Some(name) = members.keys().find(|name| *name != "channels") {
        return Err(format!("evstream has the member {name:?}, where there is only channels"));
    }
    let Some(Value::Array(names)) = members.get("channels") else {
        return Err("evstream.channels is no list".to_owned());
    };
    let texts = names.iter().enumerate().map(|(at, name)| {
        name.as_str().map(str::to_owned).ok_or_else(|| format!("evstream.channels[{at}] is no text"))
    });
    texts.collect()
}

/// What Mercure 1.0 has in the claim of RFC 9396, as far as topics match exactly. Entries of other types belong to others.
fn mercure(claim: &Value) -> Result<Vec<String>, String> {
    let Value::Array(entries) = claim else { return Err("authorization_details is no list".to_owned()) };
    let mut channels = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let Some(kind) = entry.get("type").and_then(Value::as_str) else {
            return Err(format!("authorization_details[{at}] has no type"));
        };
        if kind != MERCURE {
            continue;
        }
        let bad = |what: &str| format!("authorization_details[{at}] {what}");
        let Ok(actions) = Vec::<String>::deserialize(&entry["actions"]) else {
            return Err(bad("has no list of actions"));
        };
        // Whoever may publish, too, may do it by patterns.
        if !actions.iter().any(|action| action == "subscribe") {
            continue;
        }
        let Ok(topics) = Vec::<Topic>::deserialize(&entry["topics"]) else {
            return Err(bad("has no list of topics, each with a match and at most a match_type"));
        };
        for Topic { pattern, kind } in topics {
            if kind.is_some_and(|kind| kind != "exact") || pattern == "*" {
                return Err(bad(&format!(
                    "has the pattern {pattern:?}; only topics that match exactly are supported"
                )));
            }
            channels.push(pattern);
        }
    }
    Ok(channels)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Topic {
    #[serde(rename = "match")]
    pattern: String,
    #[serde(rename = "match_type")]
    kind: Option<String>,
}

const MERCURE: &str = "https://mercure.rocks/authorization-detail";
