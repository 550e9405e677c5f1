//! The native half of the Node package: handles and plain objects over the core, and nothing else.
//!
//! Names, defaults, types and frameworks are the business of the TypeScript half. Every exported function is
//! `catch_unwind`: a panic becomes a JavaScript error, where it would otherwise end the process.

// The macros of napi write code that these lints are not meant for.
#![allow(
    missing_docs,
    unnameable_types,
    unreachable_pub,
    reason = "what is exported is declared to JavaScript in src/native.ts"
)]
#![cfg_attr(test, allow(dead_code, reason = "the macros export nothing in tests"))]
#![allow(missing_debug_implementations, reason = "handles are only ever seen from JavaScript")]
#![allow(clippy::used_underscore_binding, reason = "the macros use their own underscored names")]

mod bridge;
mod error;
mod events;
mod jwt;
mod log;
mod request;
mod server;
mod settings;
mod stats;
mod stream;
mod subscription;
mod tickets;
