//! The C library `libevstream`: the core behind functions that C and every language that speaks C can call.
//!
//! The header `include/evstream.h` is made from this crate, so the comments of exported items are written for its
//! readers, and each module's first line is the title of a chapter there. The order of the modules is its order.
//!
//! Nothing is unsafe but [`cast`], which believes what the header demands of callers.
#![allow(non_camel_case_types, reason = "types have their names in C")]
#![allow(clippy::doc_markdown, reason = "backticks mean nothing in a C header")]
#![allow(unreachable_pub, reason = "what is exported to C is reached by the linker")]

mod call;
mod callback;
mod cast;

mod access;
mod channel;
mod config;
mod error;
mod event;
mod events;
mod log;
mod message;
mod observer;
mod receipt;
mod reply;
mod request;
mod response;
mod server;
mod stats;
mod status;
mod subscription;
mod text;
mod version;
