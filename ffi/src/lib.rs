//! The C library `libevstream`: the core behind functions that C and every language that speaks C can call.
//!
//! The header `include/evstream.h` is made from this crate, so the comments of exported items are written for its
//! readers, and each module's first line is the title of a chapter there, whose order `header/generate.rs` has.
//!
//! Nothing is unsafe but [`cast`], which believes what the header demands of callers.
#![allow(non_camel_case_types, reason = "types have their names in C")]
#![allow(clippy::doc_markdown, reason = "backticks mean nothing in a C header")]
#![allow(unreachable_pub, reason = "what is exported to C is reached by the linker")]

mod call;
mod cast;
mod deliveries;
mod told;

mod access;
mod callback;
mod channel;
mod config;
mod error;
mod event;
mod hub;
mod inlet;
mod jwt;
mod log;
mod message;
mod metrics;
mod observer;
mod publish;
mod pull;
mod ready;
mod receipt;
mod reply;
mod request;
mod response;
mod server;
mod stats;
mod status;
mod subscription;
mod text;
mod tickets;
mod version;
mod who;
