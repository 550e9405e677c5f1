//! Any body of a publish request: what is read from it can be written and read again.

#![no_main]

use evstream::grip::{Batch, parse_publish};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(published) = parse_publish(body) else { return };
    let mut batch = Batch::new();
    for item in &published.items {
        let Ok(json) = item.to_json() else { return };
        if !batch.push(&json) {
            return;
        }
    }
    let written = parse_publish(&batch.into_body()).expect("what we write can be read");
    assert_eq!(written.items, published.items);
});
