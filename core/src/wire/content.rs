//! Server-sent text that somebody publishes, read so that nothing in it gets lost on the way (WHATWG HTML 9.2.6).

use super::event::Event;

/// The events in `text`. Their ids are left out, for events get others when they are published.
///
/// A client would pass over what is no field, has no data or is cut short; who publishes that has made a mistake. The
/// error is the end of a sentence that says which.
pub fn read_events(text: &str) -> Result<Vec<Event<'static>>, String> {
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut events = Vec::new();
    let mut block = Block::default();
    while let Some(line) = take_line(&mut rest) {
        if line.is_empty() {
            events.extend(std::mem::take(&mut block).finish()?);
        } else {
            block.add(line)?;
        }
    }
    if !rest.is_empty() || block.has_lines {
        return Err("is cut short: an event ends with an empty line".to_owned());
    }
    if events.is_empty() {
        return Err("holds no server-sent event".to_owned());
    }
    Ok(events)
}

/// The next line without its ending, which is CRLF, LF or CR.
fn take_line<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let end = rest.find(['\r', '\n'])?;
    let (line, tail) = rest.split_at(end);
    *rest = &tail[if tail.starts_with("\r\n") { 2 } else { 1 }..];
    Some(line)
}

/// The lines up to an empty one.
#[derive(Default)]
struct Block<'a> {
    has_lines: bool,
    name: &'a str,
    data: Option<String>,
    comment: Option<String>,
    retry_ms: Option<u64>,
}

impl<'a> Block<'a> {
    fn add(&mut self, line: &'a str) -> Result<(), String> {
        self.has_lines = true;
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => push_line(&mut self.comment, value),
            "data" => push_line(&mut self.data, value),
            "event" => self.name = value,
            "id" => {}
            "retry" => match value.parse() {
                Ok(retry_ms) if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                    self.retry_ms = Some(retry_ms);
                }
                _ => return Err("has a 'retry' that is not a number of milliseconds".to_owned()),
            },
            _ => return Err("has a line that is none of data, event, id, retry and a comment".to_owned()),
        }
        Ok(())
    }

    fn finish(self) -> Result<Option<Event<'static>>, String> {
        if !self.has_lines {
            return Ok(None);
        }
        let data = self.data.ok_or("has an event without 'data', which no client would see")?;
        Ok(Some(Event {
            name: (!self.name.is_empty()).then(|| self.name.to_owned().into()),
            data: data.into(),
            retry_ms: self.retry_ms,
            comment: self.comment.map(Into::into),
        }))
    }
}

fn push_line(text: &mut Option<String>, line: &str) {
    match text {
        None => *text = Some(line.to_owned()),
        Some(text) => {
            text.push('\n');
            text.push_str(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::encode_event;

    #[test]
    fn what_a_client_would_pass_over_is_refused() {
        for (text, reason) in [
            ("", "no server-sent event"),
            ("\n\r\n", "no server-sent event"),
            ("data: x", "cut short"),
            ("data: x\n", "cut short"),
            ("data: x\n\ndata: y\n", "cut short"),
            ("data: x\n\n:", "cut short"),
            (":\n\n", "without 'data'"),
            ("retry: 5\n\n", "without 'data'"),
            ("id: 5\n\n", "without 'data'"),
            ("event: x\n\n", "without 'data'"),
            ("data: x\nretry: soon\n\n", "'retry'"),
            ("data: x\nretry: +5\n\n", "'retry'"),
            ("data: x\ndat: y\n\n", "none of"),
            (" data: x\n\n", "none of"),
        ] {
            let error = read_events(text).unwrap_err();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }

    #[test]
    fn ids_and_marks_of_byte_order_are_nothing_to_publish() {
        let events = read_events("\u{feff}id: 1\ndata: x\r\rdata\r\n\r\nevent:\ndata:y\n\n").unwrap();
        assert_eq!(events, [Event::text("x"), Event::text(""), Event::text("y")]);
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back_whole(
            data in "[a-z: é\n]{0,20}",
            name in proptest::option::of("[a-z: ]{1,9}"),
            retry_ms in proptest::option::of(0u64..1 << 40),
            comment in proptest::option::of("[a-z :\n]{0,9}"),
        ) {
            let mut event = Event::text(data);
            event.name = name.map(Into::into);
            event.retry_ms = retry_ms;
            event.comment = comment.map(Into::into);
            let text = String::from_utf8(encode_event(Some("1"), &event)).unwrap();
            prop_assert_eq!(read_events(&text.repeat(2)).unwrap(), [event.clone(), event]);
        }

        #[test]
        fn never_panics(text in "(data|event|id|retry|:|x)?(: ?)?[a-z0-9\u{feff}é]{0,5}(\r|\n|\r\n){0,2}\\PC{0,5}\n{0,2}") {
            let _ = read_events(&text);
        }
    }
}
