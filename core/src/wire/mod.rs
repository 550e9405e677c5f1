//! Floor 0: pure bytes. Events, their encoding, positions and query strings; no sockets, no clock, no threads.

mod content;
mod decode;
mod encode;
mod event;
mod forwarded;
mod frame;
mod position;
pub mod protocol;
mod query;

pub use content::read_events;
pub use decode::{Decoded, Decoder};
pub use encode::encode_event;
pub use event::{Event, check_channel};
pub(crate) use forwarded::{forwarded, forwarded_for};
pub use frame::Frame;
pub use position::{Epoch, NotAPosition, Position, Resume};
pub(crate) use query::keep_first;
pub(crate) use query::percent_decode_bytes;
pub use query::{Query, percent_decode};
