//! Errors on their way to JavaScript, which reads the code from the front of the message.

use std::error::Error as _;

use evstream::ErrorKind;
use napi::Status;

use crate::settings;

pub(crate) type Result<T> = napi::Result<T>;

/// `code: sentence`, with settings under the names they have in JavaScript.
pub(crate) fn throw(error: evstream::Error) -> napi::Error {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    napi::Error::new(Status::GenericFailure, format!("{}: {}", error.code(), settings::in_camel_case(&text)))
}

pub(crate) fn invalid_argument(text: &str) -> napi::Error {
    throw(evstream::Error::new(ErrorKind::InvalidArgument, text.to_owned()))
}

pub(crate) fn closed(what: &str) -> napi::Error {
    throw(evstream::Error::new(ErrorKind::Closed, format!("the {what} is closed")))
}
