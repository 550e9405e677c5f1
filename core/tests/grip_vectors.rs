//! The GRIP vectors that every language runs.

use evstream::{
    ErrorKind,
    grip::{
        Action, Authorization, Batch, Content, Hold, Item, Key, KeyKind, Prefix, Proxy, ProxySettings,
        Verdict, parse_grip_last, parse_publish, verify_request,
    },
};
use serde_json::Value;

/// Stands in bad keys and URLs where a secret could stand, so no error may hold it.
const SECRET_MARK: &str = "geheim";

#[test]
fn keys() {
    for entry in all("keys") {
        let name = text(&entry, "name");
        let key = Key::parse(text(&entry, "text")).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (kind, algorithm, can_sign) = match text(&entry, "kind") {
            "secret" => (KeyKind::Secret, "HS256", true),
            "ec-public" => (KeyKind::EcPublic, "ES256", false),
            "ec-private" => (KeyKind::EcPrivate, "ES256", true),
            "rsa-public" => (KeyKind::RsaPublic, "RS256", false),
            "rsa-private" => (KeyKind::RsaPrivate, "RS256", true),
            other => panic!("unknown kind {other}"),
        };
        assert_eq!((key.kind(), key.algorithm(), key.can_sign()), (kind, algorithm, can_sign), "{name}");
        assert_eq!(format!("{key:?}"), format!("Key({kind:?})"), "{name}");
    }
}

#[test]
fn bad_keys_are_refused_with_a_reason_and_without_a_secret() {
    for entry in all("bad_keys") {
        let key = text(&entry, "text");
        let error = Key::parse(key).expect_err(text(&entry, "name"));
        check_error(&error, &entry);
        for line in key.lines().filter(|line| line.len() > 30 && !line.starts_with("-----")) {
            assert!(!shown(&error).contains(&line[..30]), "{} is shown", text(&entry, "name"));
        }
    }
}

#[test]
fn urls() {
    for entry in all("urls") {
        let url = text(&entry, "url");
        let proxy = Proxy::parse_with_verify_key(url, optional(&entry, "grip_verify_key"))
            .unwrap_or_else(|e| panic!("{url}: {e}"));
        assert_eq!(proxy.publish_url(), text(&entry, "publish_url"), "{url}");
        assert_eq!(proxy.verify_iss(), optional(&entry, "verify_iss"), "{url}");
        let kind = proxy.verify_key().map(|key| kind_name(key.kind()));
        assert_eq!(kind, optional(&entry, "verify_key"), "{url}");

        let authorization = proxy.authorization(1_800_000_000).unwrap();
        let value = authorization.as_ref().map(Authorization::value);
        match text(&entry, "auth") {
            "none" => assert_eq!(value, None, "{url}"),
            "jwt" => assert!(value.unwrap().starts_with("Bearer eyJ"), "{url}"),
            _ => assert_eq!(value, optional(&entry, "authorization"), "{url}"),
        }
        assert_eq!(proxy.auth().check(value, 1_800_000_000), Ok(()), "{url}");
    }
}

#[test]
fn bad_urls_are_refused_with_a_reason_and_without_a_secret() {
    for entry in all("bad_urls") {
        let error = Proxy::parse(text(&entry, "url")).expect_err(text(&entry, "url"));
        check_error(&error, &entry);
    }
}

#[test]
fn signatures() {
    for entry in all("signatures") {
        let name = format!("{} by {}", text(&entry, "name"), text(&entry, "by"));
        let proxy = Proxy::new(&ProxySettings {
            control_uri: "http://localhost:5561",
            verify_key: optional(&entry, "verify_key").map(key_text).as_deref(),
            verify_iss: optional(&entry, "verify_iss"),
            ..ProxySettings::default()
        })
        .unwrap();
        let verdict = verify_request(&[proxy], optional(&entry, "token"), entry["now_s"].as_u64().unwrap());
        let verdict = match verdict {
            Verdict::NotProxied => "not-proxied",
            Verdict::Proxied(i) => ["proxied"][i],
            Verdict::Unverifiable => "unverifiable",
            Verdict::Refused(refusal) => refusal.code(),
        };
        assert_eq!(verdict, text(&entry, "verdict"), "{name}");
    }
}

#[test]
fn authorizations_of_other_publishers() {
    for entry in all("authorizations") {
        let proxy = Proxy::parse(text(&entry, "url")).unwrap();
        let judged = proxy.auth().check(optional(&entry, "authorization"), entry["now_s"].as_u64().unwrap());
        assert_eq!(judged.is_ok(), entry["accepted"] == true, "{entry}: {judged:?}");
    }
}

#[test]
fn channels() {
    for entry in all("channels") {
        let prefix = Prefix::new(text(&entry, "prefix")).unwrap();
        assert_eq!(prefix.encode(text(&entry, "name")), text(&entry, "proxy_name"));
        assert_eq!(prefix.decode(text(&entry, "proxy_name")).as_deref(), optional(&entry, "name"));
    }
}

#[test]
fn holds() {
    for entry in all("holds") {
        let headers = hold(&entry).headers().unwrap_or_else(|e| panic!("{entry}: {e}"));
        let expected: Vec<(&str, &str)> = pairs(&entry["headers"]);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        assert_eq!(headers, expected);
    }
    for entry in all("bad_holds") {
        let error = hold(&entry).headers().expect_err(&entry.to_string());
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        check_error(&error, &entry);
    }
}

#[test]
fn grip_last() {
    for entry in all("grip_last") {
        let values = entry["values"].as_array().unwrap().iter().map(|value| value.as_str().unwrap());
        let read = parse_grip_last(values).unwrap();
        let read: Vec<(&str, &str)> = read.iter().map(|last| (&*last.channel, &*last.last_id)).collect();
        assert_eq!(read, pairs(&entry["entries"]), "{entry}");
    }
    for entry in all("bad_grip_last") {
        let error = parse_grip_last([entry.as_str().unwrap()]).expect_err(&entry.to_string());
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
}

#[test]
fn publish_bodies_of_other_publishers() {
    for entry in all("publish") {
        let body = text(&entry, "body");
        let published = parse_publish(body.as_bytes()).unwrap_or_else(|e| panic!("{body}: {e}"));
        let expected: Vec<Item<'_>> = entry["items"].as_array().unwrap().iter().map(item).collect();
        assert_eq!(published.items, expected, "{body}");
        assert_eq!(published.ignored as u64, entry["ignored"].as_u64().unwrap(), "{body}");
    }
    for entry in all("bad_publish") {
        let body = text(&entry, "body");
        let error = parse_publish(body.as_bytes()).expect_err(body);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        check_error(&error, &entry);
    }
}

#[test]
fn written_items() {
    let mut batch = Batch::new();
    let mut expected = Vec::new();
    for entry in all("written_items") {
        let json = item(&entry["item"]).to_json().unwrap();
        assert_eq!(std::str::from_utf8(&json), Ok(text(&entry, "json")));
        assert!(batch.push(&json));
        expected.push(text(&entry, "json").to_owned());
    }
    let body = String::from_utf8(batch.into_body()).unwrap();
    assert_eq!(body, format!("{{\"items\":[{}]}}", expected.join(",")));
    assert_eq!(Batch::new().into_body(), b"{\"items\":[]}");
}

fn all(section: &str) -> Vec<Value> {
    let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/grip.json")).unwrap();
    let entries = vectors[section].as_array().unwrap_or_else(|| panic!("no section {section}")).clone();
    assert!(!entries.is_empty());
    entries
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry[name].as_str().unwrap_or_else(|| panic!("no {name} in {entry}"))
}

fn optional<'a>(entry: &'a Value, name: &str) -> Option<&'a str> {
    entry.get(name).and_then(Value::as_str)
}

fn pairs(list: &Value) -> Vec<(&str, &str)> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        .collect()
}

fn key_text(name: &str) -> String {
    let entry = all("keys").into_iter().find(|entry| text(entry, "name") == name);
    text(&entry.unwrap_or_else(|| panic!("no key {name}")), "text").to_owned()
}

fn kind_name(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::EcPrivate => "ec-private",
        KeyKind::EcPublic => "ec-public",
        KeyKind::RsaPrivate => "rsa-private",
        KeyKind::RsaPublic => "rsa-public",
        KeyKind::Secret => "secret",
        _ => "unknown",
    }
}

fn hold(entry: &Value) -> Hold<'_> {
    let mut hold = Hold::new();
    for channel in entry["channels"].as_array().unwrap() {
        hold = hold.channel(channel[0].as_str().unwrap(), channel[1].as_str());
    }
    let timeout_s = |value: &Value| u32::try_from(value["timeout_s"].as_u64().unwrap()).unwrap();
    if let Some(keep_alive) = entry.get("keep_alive") {
        hold = hold.keep_alive(text(keep_alive, "data"), timeout_s(keep_alive));
    }
    if let Some(next) = entry.get("next") {
        hold = hold.next(text(next, "uri"), timeout_s(next));
    }
    if let Some(meta) = entry.get("meta") {
        hold = pairs(meta).into_iter().fold(hold, |hold, (name, value)| hold.meta(name, value));
    }
    hold
}

fn item(entry: &Value) -> Item<'_> {
    let action = match (optional(entry, "action"), optional(entry, "content")) {
        (Some("close"), _) => Action::Close,
        (Some("hint"), _) => Action::Hint,
        (_, Some(content)) => Action::Send(content.into()),
        _ => match text(entry, "content_base64") {
            "/wA=" => Action::Send(Content::Binary(vec![0xff, 0].into())),
            "/wAB" => Action::Send(Content::Binary(vec![0xff, 0, 1].into())),
            other => panic!("unknown bytes {other}"),
        },
    };
    Item {
        channel: text(entry, "channel").into(),
        id: optional(entry, "id").map(Into::into),
        prev_id: optional(entry, "prev_id").map(Into::into),
        no_seq: entry["no_seq"] == true,
        require_sub: optional(entry, "require_sub").map(Into::into),
        action,
    }
}

fn check_error(error: &evstream::Error, entry: &Value) {
    let shown = shown(error);
    assert!(shown.contains(text(entry, "error")), "{entry}: {shown}");
    assert!(!shown.contains(SECRET_MARK), "a secret is shown: {shown}");
}

/// Everything that a log could show of an error.
fn shown(error: &evstream::Error) -> String {
    format!("{error} {error:?}")
}
