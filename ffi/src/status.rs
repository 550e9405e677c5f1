//! Statuses and errors

use std::ffi::{CStr, c_char};

use evstream::ErrorKind;

/// How a call has ended. The numbers are stable.
///
/// Every status from 100 on is a failure, and comes with an error; only TIMEOUT of evs_reply_next and
/// evs_subscription_next does not. New ones may come with any version: treat one that you do not know as a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum evs_status {
    /// Success.
    Ok = 0,
    /// Not an error: the stream or subscription has ended, and nothing more will come.
    Ended = 1,
    /// Not an error: there is nothing yet; the callback or ready queue will tell when there is.
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
    /// the object is not in the state for.
    InvalidArgument = 104,
    /// The hub, server or subscription is closed.
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
    /// A bug in evstream that interrupted the call. The objects it was given can still be freed.
    Panic = 501,
    /// The library is not one that the program was compiled for.
    AbiMismatch = 600,
    /// The call would wait for something that cannot happen before the callback that makes it has returned.
    InCallback = 601,
}

/// Names a status.
///
/// @return Its stable name, such as "invalid-event"; "unknown" if there is no such status. It lives for ever.
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_status_name(status: u32) -> *const c_char {
    find(status).map_or(c"unknown", |(_, name)| name).as_ptr()
}

/// Tells failures that may pass from those that will not.
///
/// @return true if the same call may succeed later without a change by the caller.
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_status_is_retryable(status: u32) -> bool {
    ErrorKind::ALL.iter().any(|kind| *kind as u32 == status && kind.is_retryable())
}

/// Every status, with the name that it has in all languages.
const STATUSES: [(evs_status, &CStr); 22] = [
    (evs_status::Ok, c"ok"),
    (evs_status::Ended, c"ended"),
    (evs_status::Pending, c"pending"),
    (evs_status::InvalidConfig, c"invalid-config"),
    (evs_status::InvalidChannel, c"invalid-channel"),
    (evs_status::InvalidEvent, c"invalid-event"),
    (evs_status::TooLarge, c"too-large"),
    (evs_status::InvalidArgument, c"invalid-argument"),
    (evs_status::Closed, c"closed"),
    (evs_status::Timeout, c"timeout"),
    (evs_status::QueueFull, c"queue-full"),
    (evs_status::Forked, c"forked"),
    (evs_status::Io, c"io"),
    (evs_status::ProxyUnavailable, c"proxy-unavailable"),
    (evs_status::ProxyRejected, c"proxy-rejected"),
    (evs_status::Unauthorized, c"unauthorized"),
    (evs_status::JournalUnavailable, c"journal-unavailable"),
    (evs_status::JournalRejected, c"journal-rejected"),
    (evs_status::Internal, c"internal"),
    (evs_status::Panic, c"panic"),
    (evs_status::AbiMismatch, c"abi-mismatch"),
    (evs_status::InCallback, c"in-callback"),
];

fn find(number: u32) -> Option<(evs_status, &'static CStr)> {
    STATUSES.iter().copied().find(|(status, _)| *status as u32 == number)
}

impl From<ErrorKind> for evs_status {
    fn from(kind: ErrorKind) -> Self {
        // The numbers are the same; a kind that is missing above is found by the test below.
        find(kind as u32).map_or(Self::Internal, |(status, _)| status)
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
            assert_eq!(find(kind as u32).map(|(_, name)| name.to_str()), Some(Ok(kind.code())));
            assert_eq!(evs_status_is_retryable(status as u32), kind.is_retryable());
        }
        for own in [evs_status::Panic, evs_status::AbiMismatch] {
            assert!(ErrorKind::ALL.iter().all(|kind| *kind as u32 != own as u32), "{own:?} is taken");
        }
    }
}
