//! How an application hears of its streams' coming and going.

use super::{live::Stream, stats::CloseReason};

/// Told when streams open and close, whatever drives them, and of events that a proxy did not get.
///
/// The calls come from evstream's own threads and hold up other streams while they last, so they must be short and
/// must not block. A panic in them is caught and logged.
pub trait Observer: Send + Sync + 'static {
    /// A client has opened a stream.
    fn stream_opened(&self, stream: &Stream) {
        let _ = stream;
    }

    /// A GRIP proxy did not get an event.
    #[cfg(feature = "runtime")]
    fn publish_failed(&self, failure: &crate::PublishFailure) {
        let _ = failure;
    }

    /// A stream has ended.
    fn stream_closed(&self, stream: &Stream, reason: CloseReason) {
        let _ = (stream, reason);
    }
}
