//! Our encoder and decoder beside a second parser.

#[path = "common/sse.rs"]
mod sse;

use evstream::{
    __internal::{Decoder, encode_event},
    Event,
};
use proptest::prelude::*;

/// Pieces of which streams are made, well formed or not.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => proptest::sample::select(vec!["\n", "\r", "\r\n", "\n\n", ":", " ", "\0", "\u{feff}"]),
        6 => proptest::sample::select(vec!["data", "data: ", "id", "id: ", "event: ", "retry: ", "x: "]),
        4 => proptest::sample::select(vec!["a", "é", "7", "90", "99999999999999999999", "-1"]),
    ];
    let piece = prop_oneof![
        20 => piece.prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 1..4),
    ];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

fn decode(chunks: &[&[u8]]) -> sse::Seen {
    let mut decoder = Decoder::new();
    let events = chunks.iter().flat_map(|chunk| decoder.feed(chunk));
    let events =
        events.map(|event| (event.name.unwrap_or_else(|| "message".to_owned()), event.data, event.id));
    sse::Seen {
        events: events.collect(),
        last_event_id: decoder.last_event_id().to_owned(),
        retry_ms: decoder.retry_ms(),
    }
}

proptest! {
    #[test]
    fn both_parsers_see_the_same_whatever_comes(stream in stream(), cuts: [prop::sample::Index; 2]) {
        let mut cuts = cuts.map(|cut| cut.index(stream.len() + 1));
        cuts.sort_unstable();
        let chunks = [&stream[..cuts[0]], &stream[cuts[0]..cuts[1]], &stream[cuts[1]..]];
        prop_assert_eq!(decode(&chunks), sse::parse(&stream));
    }

    #[test]
    fn the_second_parser_gets_back_what_was_encoded(
        data in "[a-z :\r\n\u{0}\u{feff}é]{0,40}",
        name in proptest::option::of("[^\r\n\u{0}]{1,10}"),
        comment in proptest::option::of("[a-z:\r\n]{0,10}"),
        retry_ms: Option<u64>,
    ) {
        let mut event = Event::text(&*data);
        if let Some(name) = &name {
            event = event.name(&**name);
        }
        if let Some(comment) = &comment {
            event = event.comment(&**comment);
        }
        if let Some(retry_ms) = retry_ms {
            event = event.retry_ms(retry_ms);
        }
        let seen = sse::parse(&encode_event(Some("1"), &event));
        let data = data.replace("\r\n", "\n").replace('\r', "\n");
        let name = name.unwrap_or_else(|| "message".to_owned());
        let expected =
            sse::Seen { events: vec![(name, data, "1".to_owned())], last_event_id: "1".to_owned(), retry_ms };
        prop_assert_eq!(seen, expected);
    }
}
