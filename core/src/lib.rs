//! Live event streams for the endpoints an application already has.
//!
//! An application publishes events to named channels of its [`Events`]; clients read them as [server-sent events], which any
//! browser does with `EventSource`. Every event has a [`Position`], so that a client which comes back goes on where it was,
//! and is told when it has missed something. Behind a GRIP proxy, such as Pushpin or Fastly Fanout, the same code hands its
//! streams to the proxy and publishes through it: see [`grip`].
//!
//! ```
//! use evstream::{Access, Config, Event, Events, Mount};
//! use std::time::Duration;
//!
//! let events = Events::new(Config::new())?;
//! let server = events
//!     .server()
//!     .mount(Mount::new("/events/")) // clients choose: /events/?channel=clock
//!     .mount(Mount::new("/me/").authorize(|request| match request.header("x-user") {
//!         Some(user) => Access::channels([format!("user-{user}")]).user(user),
//!         None => Access::forbid("please log in"),
//!     }))
//!     .bind("127.0.0.1:0")?;
//! println!("curl -N 'http://{}/events/?channel=clock'", server.address());
//! events.publish("clock", Event::text("12:00").name("tick"))?;
//! events.close(Duration::from_secs(5))?;
//! # Ok::<(), evstream::Error>(())
//! ```
//!
//! To answer streams from a server that is there already:
//!
//! | the server | the call |
//! |---|---|
//! | hyper, axum and others with `http_body` | [`Events::respond`] |
//! | any other: the answer to a request | [`Events::screen`] and [`Events::open`], or [`Events::open_request`] |
//! | and then the stream, which the library writes to a plain socket | [`Events::adopt`] |
//! | or whose bytes you send | [`Events::pull`] |
//!
//! [`Events::subscribe`] reads channels in the process itself. Errors have a [kind](ErrorKind) to act on, and settings are
//! methods of [`Config`]. The crate is for Unix.
//!
//! [server-sent events]: https://html.spec.whatwg.org/multipage/server-sent-events.html
#![deny(unsafe_code)]
#![cfg_attr(not(feature = "runtime"), allow(dead_code, reason = "the upper floors use it"))]

#[cfg(feature = "runtime")]
mod app;
mod callbacks;
#[cfg(feature = "runtime")]
mod client;
#[cfg(feature = "runtime")]
mod clock;
mod config;
#[cfg(feature = "runtime")]
mod engine;
mod error;
#[cfg(feature = "runtime")]
mod events;
mod fork;
pub mod grip;
#[cfg(feature = "runtime")]
mod journal;
mod log;
#[cfg(feature = "runtime")]
mod publish;
#[cfg(feature = "runtime")]
mod pull;
#[cfg(feature = "runtime")]
mod runtime;
#[cfg(feature = "runtime")]
mod server;
mod stream;
#[cfg(feature = "runtime")]
mod subscribe;
mod sync;
#[cfg(feature = "runtime")]
mod sys;
mod threads;
mod wakeups;
mod wire;
mod without;

pub use config::{
    Config, ForwardedHeader, OptionKind, OptionSpec, OptionValue, OverUserLimit, Secret, SlowClient,
};
pub use error::{Error, ErrorKind, Result};
pub use log::LogStats;
pub use stream::{
    Access, Asked, CloseReason, JournalStats, Jwt, Observer, OpenStream, PublicChannels, PublishFailure,
    Reply, Request, ResetReason, Screened, Stats, Stream, StreamRequest, Tickets, Who,
};
pub use wire::{Event, NotAPosition, Position};
#[cfg(feature = "runtime")]
pub use {
    app::{Closed, Ended, Family, Health, MetricKind, Sample},
    engine::{AdoptError, Framing},
    events::{Channel, Events},
    publish::{ProxyResult, Receipt},
    pull::Pull,
    server::{Address, Answer, Body, Mount, Server, ServerBuilder},
    subscribe::{Message, Messages, Received, Subscription},
};

/// What the bindings, fuzzers and tests of this repository need besides. It changes with any version.
#[doc(hidden)]
pub mod __internal {
    #[cfg(feature = "runtime")]
    pub use crate::{
        journal::{Entry, Journal, Lease, Reader, Record, What, Writer, open as open_journal},
        threads::{as_host, spawn},
    };
    pub use crate::{
        log::{Appended, Channel, Gap, Item, Limits, Log, Subscription, Watch},
        stream::{
            CloseNotice, Condition, Hub, LastWords, Now, Read, add_key, jwt_of, open, open_request, screen,
        },
        wire::{
            Decoded, Decoder, Epoch, Frame, Query, Resume, check_channel, encode_event, percent_decode,
            protocol, read_events,
        },
    };
}

/// The examples of the documentation are tests.
#[cfg(all(doctest, feature = "runtime"))]
mod documentation {
    #[doc = include_str!("../../README.md")]
    mod readme {}
    #[doc = include_str!("../../docs/start/rust.md")]
    mod start {}
    #[doc = include_str!("../../docs/rights.md")]
    mod rights {}
    #[doc = include_str!("../../docs/scale.md")]
    mod scale {}
    #[doc = include_str!("../../docs/reference/metrics.md")]
    mod metrics {}
}
