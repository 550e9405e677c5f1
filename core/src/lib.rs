//! Live event streams for the endpoints an application already has.
#![cfg_attr(not(feature = "runtime"), allow(dead_code, reason = "the upper floors use it"))]

#[cfg(feature = "runtime")]
mod clock;
pub mod config;
#[cfg(feature = "runtime")]
mod engine;
pub mod error;
#[cfg(feature = "runtime")]
mod events;
mod fork;
pub mod grip;
pub mod log;
#[cfg(feature = "runtime")]
mod publish;
#[cfg(feature = "runtime")]
mod pull;
#[cfg(feature = "runtime")]
mod runtime;
#[cfg(feature = "runtime")]
mod server;
pub mod stream;
#[cfg(feature = "runtime")]
mod subscribe;
mod sync;
pub mod wire;

pub use config::{Config, Secret, SlowClient};
pub use error::{Error, ErrorKind, Result};
pub use stream::{Access, CloseReason, Observer, Reply, Request, ResetReason, Stats, Stream};
pub use wire::{Event, Position};
#[cfg(feature = "runtime")]
pub use {
    engine::Framing,
    events::{Channel, Closed, Events, Receipt},
    publish::{ProxyResult, PublishFailure},
    pull::Pull,
    server::{Address, Answer, Body, Mount, Server, ServerBuilder},
    subscribe::{Message, Messages, Received, Subscription},
};

/// The README's examples are tests.
#[cfg(all(doctest, feature = "runtime"))]
#[doc = include_str!("../../README.md")]
struct Readme;
