//! Status codes

use std::ffi::{CStr, c_char};

use evstream::ErrorKind;

/// What a function says of its success. The numbers are stable.
///
/// Everything from 100 on is an error. New codes may come with any version: treat one you do not know as an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum evs_status {
    /// It was done.
    Ok = 0,
    /// Not an error: the stream or subscription has ended, and nothing more will come.
    Ended = 1,
    /// Not an error: there is nothing yet, and the callback will tell when there is.
    Pending = 2,
    /// A setting has a value that is not allowed, or does not exist.
    InvalidConfig = 100,
    /// A channel name is empty, too long or holds a control character.
    InvalidChannel = 101,
    /// An event cannot be written as a server-sent event.
    InvalidEvent = 102,
    /// An event is larger than the setting max_event_bytes.
    TooLarge = 103,
    /// An argument is not one of those allowed: NULL where something is needed, a text that is not UTF-8, a call that
    /// the object is not ready for.
    InvalidArgument = 104,
    /// The events, server or subscription is closed.
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
    /// A bug in evstream.
    Internal = 500,
    /// A bug in evstream that interrupted the call. The objects it was given can still be freed.
    Panic = 501,
    /// The library is not one that the program was compiled for.
    AbiMismatch = 600,
    /// The call waits for something that cannot happen before the callback that makes it has returned.
    InCallback = 601,
}

/// The stable name of a status, such as "invalid-event"; "unknown" if there is none. It lives for ever.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_status_name(status: u32) -> *const c_char {
    let own = [
        evs_status::Ok,
        evs_status::Ended,
        evs_status::Pending,
        evs_status::Panic,
        evs_status::AbiMismatch,
        evs_status::InCallback,
    ];
    let all = ErrorKind::ALL.iter().map(|&kind| evs_status::from(kind)).chain(own);
    all.into_iter().find(|&known| known as u32 == status).map_or(c"unknown", evs_status::name).as_ptr()
}

/// Whether the same call may succeed later without a change by the caller.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_status_is_retryable(status: u32) -> bool {
    ErrorKind::ALL.iter().any(|kind| *kind as u32 == status && kind.is_retryable())
}

impl evs_status {
    fn name(self) -> &'static CStr {
        match self {
            Self::Ok => c"ok",
            Self::Ended => c"ended",
            Self::Pending => c"pending",
            Self::InvalidConfig => c"invalid-config",
            Self::InvalidChannel => c"invalid-channel",
            Self::InvalidEvent => c"invalid-event",
            Self::TooLarge => c"too-large",
            Self::InvalidArgument => c"invalid-argument",
            Self::Closed => c"closed",
            Self::Timeout => c"timeout",
            Self::QueueFull => c"queue-full",
            Self::Forked => c"forked",
            Self::Io => c"io",
            Self::ProxyUnavailable => c"proxy-unavailable",
            Self::ProxyRejected => c"proxy-rejected",
            Self::Unauthorized => c"unauthorized",
            Self::Internal => c"internal",
            Self::Panic => c"panic",
            Self::AbiMismatch => c"abi-mismatch",
            Self::InCallback => c"in-callback",
        }
    }
}

impl From<ErrorKind> for evs_status {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidConfig => Self::InvalidConfig,
            ErrorKind::InvalidChannel => Self::InvalidChannel,
            ErrorKind::InvalidEvent => Self::InvalidEvent,
            ErrorKind::TooLarge => Self::TooLarge,
            ErrorKind::InvalidArgument => Self::InvalidArgument,
            ErrorKind::Closed => Self::Closed,
            ErrorKind::Timeout => Self::Timeout,
            ErrorKind::QueueFull => Self::QueueFull,
            ErrorKind::Forked => Self::Forked,
            ErrorKind::Io => Self::Io,
            ErrorKind::ProxyUnavailable => Self::ProxyUnavailable,
            ErrorKind::ProxyRejected => Self::ProxyRejected,
            ErrorKind::Unauthorized => Self::Unauthorized,
            // A kind that is missing here is found by the test below.
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_its_number_and_name() {
        for &kind in ErrorKind::ALL {
            let status = evs_status::from(kind);
            assert_eq!(status as u32, kind as u32, "{kind:?}");
            assert_eq!(status.name().to_str(), Ok(kind.code()));
            assert_eq!(evs_status_is_retryable(status as u32), kind.is_retryable());
        }
        for own in [evs_status::Panic, evs_status::AbiMismatch, evs_status::InCallback] {
            assert!(ErrorKind::ALL.iter().all(|kind| *kind as u32 != own as u32), "{own:?} is taken");
        }
    }
}
