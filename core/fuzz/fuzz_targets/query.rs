//! Any query string: what is read from it can be written and read again.

#![no_main]

use evstream::__internal::Query;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|query: &str| {
    let parsed = Query::parse(query);
    let channels = parsed.channels.iter().map(|channel| ["channel=", &encode(channel)].concat());
    let position = parsed.last_event_id.iter().map(|id| ["last-event-id=", &encode(id)].concat());
    let written = channels.chain(position).collect::<Vec<_>>().join("&");
    assert_eq!(Query::parse(&written), Query { problem: None, ..parsed });
});

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
