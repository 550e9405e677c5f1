//! Events to SSE text (WHATWG HTML 9.2.5 and 9.2.6).

use std::{fmt::Display, io::Write};

use super::event::Event;

/// The SSE text of `event` with `id`: comment, `event`, `retry`, a `data` line per line, and `id` last.
///
/// Some clients take an id over at its line, before the event is whole. Cut off after it, they would never see the event.
///
/// The caller has checked the event; `id` must hold no CR, LF or NUL.
pub fn encode_event(id: Option<&str>, event: &Event<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(event.data.len() + 96);
    encode_with_id(&mut out, id.as_ref(), event);
    out
}

/// Appends to `out`, without an allocation for the id.
pub(super) fn encode_with_id(out: &mut Vec<u8>, id: Option<&impl Display>, event: &Event<'_>) {
    if let Some(comment) = &event.comment {
        push_lines(out, b": ", comment);
    }
    if let Some(name) = &event.name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    if let Some(retry_ms) = event.retry_ms {
        writeln!(out, "retry: {retry_ms}").expect("a Vec takes everything");
    }
    push_lines(out, b"data: ", &event.data);
    if let Some(id) = id {
        writeln!(out, "id: {id}").expect("a Vec takes everything");
    }
    out.push(b'\n');
}

/// A line per line of `text`; CR, LF and CRLF each end one. An empty text is one empty line.
fn push_lines(out: &mut Vec<u8>, field: &[u8], text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let end = rest.iter().position(|b| matches!(b, b'\r' | b'\n'));
        out.extend_from_slice(field);
        out.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
        out.push(b'\n');
        let Some(end) = end else { break };
        let ending = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end + ending..];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Decoder;

    fn text(id: Option<&str>, event: &Event<'_>) -> String {
        String::from_utf8(encode_event(id, event)).unwrap()
    }

    #[test]
    fn fields_in_order() {
        let event = Event::text("x").name("message").retry_ms(5).comment("hi\nthere");
        assert_eq!(text(Some("7"), &event), ": hi\n: there\nevent: message\nretry: 5\ndata: x\nid: 7\n\n");
    }

    #[test]
    fn every_line_ending_ends_one_line() {
        assert_eq!(text(None, &Event::text("a\nb\rc\r\nd")), "data: a\ndata: b\ndata: c\ndata: d\n\n");
        assert_eq!(text(None, &Event::text("a\n")), "data: a\ndata: \n\n");
        assert_eq!(text(None, &Event::text("a\n\rb")), "data: a\ndata: \ndata: b\n\n");
        assert_eq!(text(None, &Event::text("")), "data: \n\n");
    }

    proptest! {
        #[test]
        fn a_parser_gets_back_what_was_encoded(
            data in "[a-z :\r\n\u{0}\u{feff}é]{0,40}",
            name in proptest::option::of("[a-z: ]{1,10}"),
            comment in proptest::option::of("[a-z\r\n]{0,10}"),
        ) {
            let mut event = Event::text(data.as_str());
            event.name = name.as_deref().map(Into::into);
            event.comment = comment.as_deref().map(Into::into);
            let mut decoder = Decoder::new();
            let got = decoder.feed(&encode_event(Some("1"), &event));
            prop_assert_eq!(got.len(), 1);
            prop_assert_eq!(&got[0].data, &data.replace("\r\n", "\n").replace('\r', "\n"));
            prop_assert_eq!(got[0].name.as_deref(), name.as_deref());
            prop_assert_eq!(&got[0].id, "1");
        }
    }
}
