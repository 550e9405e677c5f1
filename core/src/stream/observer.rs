//! How an application hears of its streams' coming and going.

use super::{live::Stream, stats::CloseReason};
use crate::{error::Error, wire::Position};

/// Told when streams open and close, whatever drives them, and of events that did not get through.
///
/// The calls come from evstream's own threads and hold up other streams while they last, so they must be short and
/// must not block. A panic in them is caught and logged.
pub trait Observer: Send + Sync + 'static {
    /// A client has opened a stream.
    fn stream_opened(&self, stream: &Stream) {
        let _ = stream;
    }

    /// A GRIP proxy, or the journal, did not get an event.
    fn publish_failed(&self, failure: &PublishFailure) {
        let _ = failure;
    }

    /// A stream has ended.
    fn stream_closed(&self, stream: &Stream, reason: CloseReason) {
        let _ = (stream, reason);
    }
}

/// An event that a proxy, or the journal, did not get.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PublishFailure {
    /// The proxy, by its control URI; `None` when it was the journal.
    pub proxy: Option<String>,
    /// The channel, by its name on the proxy or in the journal.
    pub channel: String,
    /// The place of the event, if it has one.
    pub position: Option<Position>,
    /// What was wrong.
    pub error: Error,
}
