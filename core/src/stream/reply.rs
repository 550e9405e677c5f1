//! What a mounted endpoint answers.

use super::live::Stream;

/// An answer: a status and headers, the first bytes of the body, and a stream when the body goes on.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Headers, in the order to send them.
    pub headers: Vec<(&'static str, String)>,
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
        Self { body: format!("{text}\n").into_bytes(), ..Self::empty(status) }
            .header("Content-Type", "text/plain; charset=utf-8")
            .header("Cache-Control", "no-store")
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
