//! The one error type of the library, and the one table of codes that every language maps.

use std::{borrow::Cow, fmt, sync::Arc};

/// What went wrong, as a caller can act on it.
///
/// The numbers are stable: they are the status codes of the C library, and the names are the `code` of the
/// exceptions in Python and Node.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
#[repr(u32)]
pub enum ErrorKind {
    /// A setting has a value that is not allowed, or does not exist.
    InvalidConfig = 100,
    /// A channel name is empty, too long or holds a control character.
    InvalidChannel = 101,
    /// An event cannot be written as a server-sent event.
    InvalidEvent = 102,
    /// An event is larger than `max_event_bytes`.
    TooLarge = 103,
    /// An argument is not one of those allowed.
    InvalidArgument = 104,
    /// The `Events`, server or subscription is closed.
    Closed = 200,
    /// The time given was not enough.
    Timeout = 201,
    /// A bounded queue is full.
    QueueFull = 202,
    /// The object belongs to the process that forked this one.
    Forked = 203,
    /// The operating system refused.
    Io = 300,
    /// A GRIP proxy could not be reached, or failed; trying again may help.
    ProxyUnavailable = 400,
    /// A GRIP proxy refused what was sent; trying again will not help.
    ProxyRejected = 401,
    /// A signature is missing, invalid or expired.
    Unauthorized = 402,
    /// The journal could not be reached, or failed; trying again may help.
    JournalUnavailable = 403,
    /// The journal refused what was to be appended, or how it is set up; trying again will not help.
    JournalRejected = 404,
    /// A bug in evstream.
    Internal = 500,
    /// The call waits for callbacks to end, and a callback has made it.
    InCallback = 601,
}

impl ErrorKind {
    /// Every kind, in the order of its number.
    pub const ALL: &'static [Self] = &[
        Self::InvalidConfig,
        Self::InvalidChannel,
        Self::InvalidEvent,
        Self::TooLarge,
        Self::InvalidArgument,
        Self::Closed,
        Self::Timeout,
        Self::QueueFull,
        Self::Forked,
        Self::Io,
        Self::ProxyUnavailable,
        Self::ProxyRejected,
        Self::Unauthorized,
        Self::JournalUnavailable,
        Self::JournalRejected,
        Self::Internal,
        Self::InCallback,
    ];

    /// The stable name, such as `invalid-event`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidConfig => "invalid-config",
            Self::InvalidChannel => "invalid-channel",
            Self::InvalidEvent => "invalid-event",
            Self::TooLarge => "too-large",
            Self::InvalidArgument => "invalid-argument",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::QueueFull => "queue-full",
            Self::Forked => "forked",
            Self::Io => "io",
            Self::ProxyUnavailable => "proxy-unavailable",
            Self::ProxyRejected => "proxy-rejected",
            Self::Unauthorized => "unauthorized",
            Self::JournalUnavailable => "journal-unavailable",
            Self::JournalRejected => "journal-rejected",
            Self::Internal => "internal",
            Self::InCallback => "in-callback",
        }
    }

    /// Whether the same call may succeed later without a change by the caller.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Timeout | Self::QueueFull | Self::Io | Self::ProxyUnavailable | Self::JournalUnavailable
        )
    }
}

/// An error of evstream: a kind to act on, and a sentence that says what was wrong and what is allowed.
///
/// The text is for people and may change; match on [`kind`](Self::kind). It never holds a secret.
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    text: Cow<'static, str>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What most functions of evstream give back.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` with the sentence `text`.
    pub fn new(kind: ErrorKind, text: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, text: text.into(), source: None }
    }

    /// The same error with the error that caused it.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The stable name of the kind, such as `invalid-event`.
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("text", &self.text)
            .field("source", &self.source)
            .finish()
    }
}

/// Shows its own level only; walk [`source`](std::error::Error::source) for the cause.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, error.to_string()).with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_numbers_are_unique() {
        for (i, a) in ErrorKind::ALL.iter().enumerate() {
            for b in &ErrorKind::ALL[i + 1..] {
                assert_ne!(a.code(), b.code());
                assert!((*a as u32) < *b as u32, "{a:?} and {b:?} are out of order");
            }
        }
    }
}
