//! Floor 0: pure bytes. Events, their encoding, positions and query strings; no sockets, no clock, no threads.

mod decode;
mod encode;
mod event;
mod frame;
mod position;
pub mod protocol;
mod query;

pub use decode::{Decoded, Decoder};
pub use encode::encode_event;
pub use event::{Event, check_channel};
pub use frame::Frame;
pub use position::{Epoch, NotAPosition, Position, Resume};
pub(crate) use query::keep_first;
pub use query::{Query, percent_decode};
