//! SSE text back to events (WHATWG HTML 9.2.6). Used by in-process subscribers, and by the tests.

/// An event as a client sees it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Decoded {
    /// The type; absent means `message`.
    pub name: Option<String>,
    /// The data, with LF between its lines.
    pub data: String,
    /// The last id the client has seen, this event's included.
    pub id: String,
}

/// An incremental parser. Bytes may be cut anywhere, also inside a character.
#[derive(Debug, Default)]
pub struct Decoder {
    line: Vec<u8>,
    after_cr: bool,
    started: bool,
    name: String,
    data: String,
    /// The id of the event that is being read, which counts from its end on.
    next_id: String,
    id: String,
    retry_ms: Option<u64>,
}

impl Decoder {
    /// A parser at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// The events that `bytes` completes.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Decoded> {
        let mut events = Vec::new();
        for &byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\r' | b'\n' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
        }
        events
    }

    /// What a client sends as `Last-Event-ID` when it reconnects: the id of the last event that was read whole.
    pub fn last_event_id(&self) -> &str {
        &self.id
    }

    /// The last `retry` seen, in milliseconds.
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    fn end_line(&mut self) -> Option<Decoded> {
        let line = std::mem::take(&mut self.line);
        let mut line = &*String::from_utf8_lossy(&line);
        if !self.started {
            self.started = true;
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.next_id),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retry_ms = value.parse().ok().or(self.retry_ms);
            }
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Decoded> {
        let name = std::mem::take(&mut self.name);
        let mut data = std::mem::take(&mut self.data);
        self.id.clone_from(&self.next_id);
        data.pop()?;
        Some(Decoded { name: Some(name).filter(|name| !name.is_empty()), data, id: self.id.clone() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(text: &str) -> Vec<(Option<String>, String, String)> {
        Decoder::new().feed(text.as_bytes()).into_iter().map(|e| (e.name, e.data, e.id)).collect()
    }

    fn event(name: &str, data: &str, id: &str) -> (Option<String>, String, String) {
        (Some(name.to_owned()).filter(|name| !name.is_empty()), data.to_owned(), id.to_owned())
    }

    #[test]
    fn examples_of_the_standard() {
        assert_eq!(decode("data: YHOO\ndata: +2\ndata: 10\n\n"), [event("", "YHOO\n+2\n10", "")]);
        assert_eq!(
            decode(
                ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
            ),
            [event("", "first event", "1"), event("", "second event", ""), event("", " third event", "")]
        );
        assert_eq!(decode("data\n\ndata\ndata\n\ndata:"), [event("", "", ""), event("", "\n", "")]);
    }

    #[test]
    fn an_id_alone_moves_the_position_without_an_event() {
        let mut decoder = Decoder::new();
        assert_eq!(decoder.feed(b"id: 9\n\n"), []);
        assert_eq!(decoder.last_event_id(), "9");
    }

    #[test]
    fn an_event_that_was_cut_off_does_not_move_the_position() {
        let mut decoder = Decoder::new();
        decoder.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n");
        assert_eq!(decoder.last_event_id(), "1");
        decoder.feed(b"\n");
        assert_eq!(decoder.last_event_id(), "2");
    }

    #[test]
    fn a_byte_order_mark_is_skipped_once() {
        assert_eq!(decode("\u{feff}data: \u{feff}x\n\n"), [event("", "\u{feff}x", "")]);
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(text in "(data|id|event|retry|x)?(: ?)?[a-z\u{0}é]{0,3}(\r|\n|\r\n){0,2}((data: [a-c]|\n|\r){0,6})", cut: prop::sample::Index) {
            let bytes = text.as_bytes();
            let whole = Decoder::new().feed(bytes);
            let (a, b) = bytes.split_at(cut.index(bytes.len() + 1));
            let mut decoder = Decoder::new();
            let mut parts = decoder.feed(a);
            parts.extend(decoder.feed(b));
            prop_assert_eq!(whole, parts);
        }
    }
}
