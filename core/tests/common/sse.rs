//! A second SSE parser, written from WHATWG HTML 9.2.6 and nothing else: for a whole text at once, and slow.
#![allow(unreachable_pub, reason = "it is part of several tests, and of a fuzz target")]

/// What a client has seen of a stream.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// Type, data and id of each event.
    pub events: Vec<(String, String, String)>,
    pub last_event_id: String,
    pub retry_ms: Option<u64>,
}

pub fn parse(stream: &[u8]) -> Seen {
    let text = String::from_utf8_lossy(stream);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<&str> = text.split('\n').collect();
    lines.pop(); // what comes after the last line end is no line

    let mut seen = Seen::default();
    let (mut name, mut data, mut id) = ("", String::new(), "");
    for line in lines {
        if line.is_empty() {
            id.clone_into(&mut seen.last_event_id);
            if let Some(data) = data.strip_suffix('\n') {
                let name = if name.is_empty() { "message" } else { name };
                seen.events.push((name.to_owned(), data.to_owned(), id.to_owned()));
            }
            (name, data) = ("", String::new());
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => name = value,
            "data" => data += &[value, "\n"].concat(),
            "id" if !value.contains('\0') => id = value,
            "retry" if !value.is_empty() && value.chars().all(|c| c.is_ascii_digit()) => {
                seen.retry_ms = value.parse().ok().or(seen.retry_ms);
            }
            _ => {}
        }
    }
    seen
}
