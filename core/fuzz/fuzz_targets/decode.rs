//! Any bytes as a stream, cut anywhere: our decoder sees what a second parser sees.

#![no_main]

#[path = "../../tests/common/sse.rs"]
mod sse;

use evstream::__internal::Decoder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, stream) = input;
    let (start, rest) = stream.split_at(usize::from(cut) % (stream.len() + 1));
    let mut decoder = Decoder::new();
    let mut events = decoder.feed(start);
    events.extend(decoder.feed(rest));
    let events = events.into_iter().map(|event| {
        let name = event.name.unwrap_or_else(|| "message".to_owned());
        (name, event.data, event.id)
    });
    let seen = sse::Seen {
        events: events.collect(),
        last_event_id: decoder.last_event_id().to_owned(),
        retry_ms: decoder.retry_ms(),
    };
    assert_eq!(seen, sse::parse(stream));
});
