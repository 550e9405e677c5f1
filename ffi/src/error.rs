//! Statuses and errors

use std::{
    error::Error as _,
    ffi::{CString, c_char},
};

use crate::{
    call,
    cast::{self, Lent},
    status::evs_status,
};

/// What went wrong, in words for people.
pub struct evs_error {
    status: evs_status,
    message: CString,
    lent: bool,
}

/// Why a function fails.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: evs_status,
    pub(crate) message: String,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// @return The status that the failed function returned; INVALID_ARGUMENT if error is NULL.
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_error_status(error: Option<&evs_error>) -> evs_status {
    error.map_or(evs_status::InvalidArgument, |error| error.status)
}

/// Says what was wrong and what is allowed, in one or two sentences without secrets. The wording may change with any
/// version.
///
/// @return A text ended by NUL, never NULL; "" if error is NULL. It lives as long as the error.
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_error_message(error: Option<&evs_error>) -> *const c_char {
    error.map_or(c"", |error| &error.message).as_ptr()
}

/// Frees an error. One that a callback was given is left alone.
///
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_error_free(error: *mut evs_error) {
    call::quietly(|| cast::free_unless_lent(error));
}

impl evs_error {
    pub(crate) fn new(failure: Failure) -> Self {
        // A NUL would hide what follows it.
        let message = CString::new(failure.message.replace('\0', "\u{fffd}")).unwrap_or_default();
        Self { status: failure.status, message, lent: false }
    }

    /// An error that a callback is shown.
    pub(crate) fn lent(failure: Failure) -> Self {
        Self { lent: true, ..Self::new(failure) }
    }
}

impl Lent for evs_error {
    fn is_lent(&self) -> bool {
        self.lent
    }
}

impl Failure {
    pub(crate) fn new(status: evs_status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(evs_status::InvalidArgument, message)
    }
}

impl From<evstream::Error> for Failure {
    /// With the causes, which in C have no other way to be seen.
    fn from(error: evstream::Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors repeat their cause, as all of their text or at its end.
            let is_told = message == text || message.ends_with(&format!(": {text}"));
            if !is_told {
                message = format!("{message}: {text}");
            }
            cause = error.source();
        }
        Self { status: error.kind().into(), message }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use evstream::{Error, ErrorKind};

    use super::*;

    #[test]
    fn causes_are_told_once() {
        let cause = io::Error::other("no route");
        let error = Error::new(ErrorKind::Io, "cannot connect").with_source(cause);
        assert_eq!(Failure::from(error).message, "cannot connect: no route");
        let cause = io::Error::other("closed");
        let error = Error::new(ErrorKind::Io, "cannot write to a closed queue").with_source(cause);
        assert_eq!(Failure::from(error).message, "cannot write to a closed queue: closed");
        let error =
            Error::new(ErrorKind::Io, "cannot connect: no route").with_source(io::Error::other("no route"));
        assert_eq!(Failure::from(error).message, "cannot connect: no route");
        let failure = Failure::from(Error::from(io::Error::other("full")));
        assert_eq!((failure.status, &*failure.message), (evs_status::Io, "full"));
    }

    #[test]
    fn a_message_is_whole_in_c() {
        let error = evs_error::new(Failure::argument("a\0b"));
        assert_eq!(error.message.to_str(), Ok("a\u{fffd}b"));
    }
}
