//! What is told of a stream that is open.

use std::net::IpAddr;

use super::live::Stream;
use crate::wire::Position;

/// A stream that is open, as [`Events::streams`](crate::Events::streams) lists it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OpenStream {
    /// What [`Who::stream`](crate::Who::stream) calls it.
    pub id: String,
    /// The user whom the application named.
    pub user: Option<String>,
    /// The names of its channels.
    pub channels: Vec<String>,
    /// The client's address, where it is known.
    pub address: Option<IpAddr>,
    /// The place of the last event that it was given.
    pub position: Position,
    /// How long it has been open, in milliseconds.
    pub age_ms: u64,
    /// How many events of its channels it was not given yet, of those that are kept: above 0 for long, its client is too
    /// slow.
    pub behind: u64,
}

impl From<&Stream> for OpenStream {
    fn from(stream: &Stream) -> Self {
        Self {
            id: stream.id(),
            user: stream.user().map(str::to_owned),
            channels: stream.channels().map(str::to_owned).collect(),
            address: stream.peer(),
            position: stream.position(),
            age_ms: stream.age_ms().unwrap_or(0),
            behind: stream.behind(),
        }
    }
}
