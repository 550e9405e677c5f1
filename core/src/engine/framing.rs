//! How a stream's bytes are delimited in its response.

use crate::wire::Frame;

/// How the head of the response said that the body is delimited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Framing {
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Until the connection closes, as with HTTP/1.0.
    Close,
}

impl Framing {
    pub(super) fn bytes(self, frame: &Frame) -> &[u8] {
        match self {
            Self::Chunked => frame.chunked(),
            Self::Close => frame.sse(),
        }
    }

    /// What ends the body.
    pub(super) const fn terminator(self) -> &'static [u8] {
        match self {
            Self::Chunked => b"0\r\n\r\n",
            Self::Close => b"",
        }
    }
}
