//! Floor 1: from a request to a reply, and what a held stream says next. No I/O and no clock.

mod accept;
mod access;
mod admission;
mod asked;
mod begin;
mod client;
mod cors;
mod ended;
mod ends;
mod grants;
mod grip;
mod histogram;
mod hold;
mod hub;
mod jwt;
mod keyset;
mod later;
mod listed;
mod live;
mod notice;
mod observer;
mod open;
#[cfg(feature = "runtime")]
mod order;
mod own;
mod public;
mod reply;
mod request;
mod resume;
mod seldom;
mod spread;
mod stats;
#[cfg(all(test, not(evstream_loom)))]
mod tests;
mod ticket;
mod token;
mod who;

#[cfg(feature = "runtime")]
pub(crate) use accept::prefers;
pub use access::Access;
#[cfg(feature = "runtime")]
pub(crate) use access::Refusal;
#[cfg(feature = "runtime")]
pub(crate) use admission::client;
pub use asked::{Asked, Screened, StreamRequest};
#[cfg(feature = "runtime")]
pub(crate) use ends::{Ends, NEVER};
#[cfg(feature = "runtime")]
pub(crate) use histogram::Tally;
pub use hub::Hub;
#[cfg(feature = "runtime")]
pub(crate) use jwt::decide;
pub use jwt::{Jwt, add_key, jwt_of};
#[cfg(feature = "runtime")]
pub(crate) use keyset::KeySet;
pub use listed::OpenStream;
pub use live::{Read, Stream};
pub use notice::{CloseNotice, Condition, LastWords, ResetReason};
pub use observer::{Observer, PublishFailure};
pub use open::{open, open_request, screen};
#[cfg(feature = "runtime")]
pub(crate) use order::Order;
#[cfg(feature = "runtime")]
pub(crate) use own::user_channel;
pub use public::PublicChannels;
pub use reply::Reply;
pub use request::{Now, Request};
#[cfg(feature = "runtime")]
pub(crate) use seldom::Seldom;
#[cfg(feature = "runtime")]
pub(crate) use spread::Turn;
pub use stats::{CloseReason, JournalStats, Stats};
#[cfg(feature = "runtime")]
pub(crate) use stats::{Delivered, Details, FullMark};
pub use ticket::Tickets;
#[cfg(feature = "runtime")]
pub(crate) use ticket::{admit, issue};
pub use who::Who;
