//! Floor 1: the log. Channels keep rings of encoded events; readers are cursors over sets of channels.
//!
//! There is no queue per reader. [`Log::publish`] appends a shared frame to its channel's ring, and a reader asks for
//! what lies after its cursor, so live delivery and replay are one thing. No I/O and no clock: `now_ms` is an argument.

mod channel;
mod channels;
mod following;
mod history;
#[cfg(all(test, evstream_loom))]
mod loom;
mod store;
mod subscription;
mod sweep;
#[cfg(all(test, not(evstream_loom)))]
mod tests;

#[cfg(feature = "runtime")]
pub(crate) use channel::Watcher;
pub use channel::{Channel, Watch};
pub(crate) use following::Ahead;
pub use store::{Appended, Limits, Log, LogStats};
#[cfg(feature = "runtime")]
pub(crate) use subscription::read;
pub use subscription::{Gap, Item, Subscription};
