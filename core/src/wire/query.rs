//! What a query string asks for: channels and a position.

use std::{borrow::Cow, collections::HashSet};

use super::protocol::{CHANNEL_PARAMETER, LAST_EVENT_ID_PARAMETERS};

/// The parameters of a query string that matter to a stream.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Query {
    /// The values of `channel`, in the order given, each once.
    pub channels: Vec<String>,
    /// The last value that is not empty of the parameters that stand in for `Last-Event-ID`.
    pub last_event_id: Option<String>,
    /// What is wrong with it: the first of these parameters that is not percent-encoded UTF-8, or how many there are. The
    /// others are read nevertheless: a client that was told not to come back must be known also by a bad request.
    pub problem: Option<String>,
}

impl Query {
    /// Reads a query string without its `?`, as forms write it: `+` is a blank, `%` starts two hexadecimal digits.
    ///
    /// It ends at a `#`, as in any URL. Parameters that are not ours are ignored, whatever they hold. More than 1,000 are
    /// refused: frameworks read no more of them, so that an application would check other channels than are read.
    pub fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        let (query, _fragment) = query.split_once('#').unwrap_or((query, ""));
        if query.split('&').nth(MAX_PARAMETERS).is_some() {
            parsed.problem = Some(format!("the query has more than {MAX_PARAMETERS} parameters"));
        }
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Ok(name) = percent_decode(name) else { continue };
            let is_channel = name == CHANNEL_PARAMETER;
            if !is_channel && !LAST_EVENT_ID_PARAMETERS.contains(&&*name) {
                continue;
            }
            match percent_decode(value) {
                Ok(value) if is_channel => parsed.channels.push(value.into_owned()),
                Ok(value) if value.is_empty() => {}
                Ok(value) => parsed.last_event_id = Some(value.into_owned()),
                Err(reason) => {
                    parsed.problem.get_or_insert_with(|| format!("the query parameter '{name}' {reason}"));
                }
            }
        }
        keep_first(&mut parsed.channels);
        parsed
    }
}

/// As many as qs and Node's querystring read, and Django.
const MAX_PARAMETERS: usize = 1_000;

/// Leaves each name only where it comes first.
pub(crate) fn keep_first(names: &mut Vec<String>) {
    let mut seen = HashSet::new();
    let mut is_first = names.iter().map(|name| seen.insert(name)).collect::<Vec<_>>().into_iter();
    names.retain(|_| is_first.next() == Some(true));
}

/// Decodes `%XX` and `+`. The error is the end of a sentence that says what was wrong.
pub fn percent_decode(text: &str) -> Result<Cow<'_, str>, &'static str> {
    if !text.bytes().any(|b| matches!(b, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let (bytes, is_whole) = percent_decode_bytes(&text.replace('+', " "));
    if !is_whole {
        return Err("has a '%' that is not followed by two hexadecimal digits");
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| "is not UTF-8")
}

/// Undoes every `%XX`, and leaves a `%` alone that begins none; says whether there was no such.
pub(crate) fn percent_decode_bytes(text: &str) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(text.len());
    let mut is_whole = true;
    let mut rest = text.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    while let [byte, tail @ ..] = rest {
        let pair = match rest {
            [b'%', high, low, ..] => digit(*high).zip(digit(*low)),
            _ => None,
        };
        is_whole &= *byte != b'%' || pair.is_some();
        out.push(pair.map_or(*byte, |(high, low)| (high * 16 + low) as u8));
        rest = if pair.is_some() { &rest[3..] } else { tail };
    }
    (out, is_whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn channels(query: &str) -> Vec<String> {
        Query::parse(query).channels
    }

    #[test]
    fn channels_are_decoded_in_order_once() {
        assert_eq!(channels("channel=b&x=%ff&channel=a&channel=b"), ["b", "a"]);
        assert_eq!(
            channels("channel=a%20b&channel=c+d&channel=%C3%BC&channel=%26%3D"),
            ["a b", "c d", "ü", "&="]
        );
        assert_eq!(channels("ch%61nnel=a"), ["a"]);
        assert_eq!(channels("channel"), [""]);
        assert!(channels("").is_empty());
    }

    #[test]
    fn a_query_ends_where_the_fragment_begins() {
        assert_eq!(channels("channel=a#&channel=b"), ["a"]);
        assert_eq!(channels("channel=a#b"), ["a"]);
        assert_eq!(channels("channel=a%23b"), ["a#b"]);
    }

    #[test]
    fn a_query_with_more_parameters_than_frameworks_read_is_refused() {
        let query = |others| format!("channel=a{}&channel=b", "&x".repeat(others));
        assert_eq!(Query::parse(&query(998)).problem, None);
        let parsed = Query::parse(&query(999));
        assert_eq!(parsed.problem.as_deref(), Some("the query has more than 1000 parameters"));
        assert_eq!(
            Query::parse(&format!("{}&lastEventId=error", query(999))).last_event_id.as_deref(),
            Some("error")
        );
    }

    #[test]
    fn malformed_values_say_what_is_wrong() {
        for (query, text) in [
            ("channel=%ff", "the query parameter 'channel' is not UTF-8"),
            (
                "channel=%4",
                "the query parameter 'channel' has a '%' that is not followed by two hexadecimal digits",
            ),
            (
                "lastEventId=%zz",
                "the query parameter 'lastEventId' has a '%' that is not followed by two hexadecimal digits",
            ),
        ] {
            assert_eq!(Query::parse(query).problem.as_deref(), Some(text));
        }
    }

    #[test]
    fn last_non_empty_position_wins() {
        let last = |query| Query::parse(query).last_event_id;
        assert_eq!(last("lastEventId=1&last_event_id=2&last-event-id="), Some("2".into()));
        assert_eq!(last("lastEventId="), None);
        assert_eq!(last("lastEventId=error&channel=%ff"), Some("error".into()));
    }

    proptest! {
        #[test]
        fn any_name_survives_encoding(names in proptest::collection::vec("\\PC{1,12}", 1..4)) {
            let encoded: Vec<String> = names
                .iter()
                .map(|name| name.bytes().fold("channel=".to_owned(), |text, b| text + &format!("%{b:02X}")))
                .collect();
            let mut unique = names.clone();
            let mut seen = HashSet::new();
            unique.retain(|name| seen.insert(name.clone()));
            prop_assert_eq!(channels(&encoded.join("&")), unique);
        }

        #[test]
        fn never_panics(query: String) {
            let _ = Query::parse(&query);
        }
    }
}
