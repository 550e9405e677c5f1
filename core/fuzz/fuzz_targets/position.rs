//! Any `Last-Event-ID`: what is a position is written as it was read.

#![no_main]

use evstream::{__internal::Resume, Position};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| match Resume::parse(text) {
    Resume::Fresh => assert_eq!(text, ""),
    Resume::From(position) => assert_eq!(position.to_string(), text),
    Resume::Error => assert_eq!(text, "error"),
    Resume::Unknown => assert!(text.parse::<Position>().is_err()),
});
