//! Floor 1: from a request to a reply, and what a held stream says next. No I/O and no clock.

mod accept;
mod access;
mod admission;
mod cors;
mod grip;
mod hub;
mod live;
mod notice;
mod observer;
mod open;
mod reply;
mod request;
mod stats;
#[cfg(all(test, not(evstream_loom)))]
mod tests;

pub use access::Access;
pub use hub::Hub;
pub use live::{Read, Stream};
pub use notice::{Condition, ResetReason};
pub use observer::Observer;
pub use open::{open, screen};
pub use reply::Reply;
pub use request::{Now, Request};
pub use stats::{CloseReason, Stats};
