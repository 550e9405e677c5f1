//! What a mounted endpoint answers.

use super::live::Stream;
use crate::wire::protocol::CONTENT_TYPE;

/// Names and values.
pub(super) type Headers = Vec<(&'static str, String)>;

/// An answer: a status and headers, the first bytes of the body, and a stream when the body goes on.
#[derive(Debug)]
#[must_use = "it is to be sent to the client"]
#[non_exhaustive]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Headers, in the order to send them.
    pub headers: Headers,
    /// The whole body, or its first bytes when there is a stream. Send these at once, with the head.
    pub body: Vec<u8>,
    /// What follows the first bytes. Hand it to exactly one driver; dropping it ends the stream.
    pub stream: Option<Stream>,
}

impl Reply {
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), stream: None }
    }

    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self::of(status, "text/plain; charset=utf-8", format!("{text}\n"))
    }

    /// A whole answer of the media type `kind`, which nobody is to keep.
    pub(crate) fn of(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::empty(status) }
            .header("Content-Type", kind)
            .header("Cache-Control", "no-store")
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// The head of every answer that is a stream, however short.
pub(super) fn event_stream() -> Reply {
    Reply::empty(200)
        .header("Content-Type", CONTENT_TYPE)
        .header("Cache-Control", "no-cache, no-transform")
        .header("X-Accel-Buffering", "no")
}
