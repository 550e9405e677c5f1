//! A server of evstream's own

use std::{
    ffi::{c_char, c_void},
    mem::MaybeUninit,
};

use evstream::Answer;

use crate::{
    call::{call, needed},
    cast,
    error::{Failure, evs_error},
    status::evs_status,
};

/// What an evs_respond_fn answers. It starts as a 404 without a body, and belongs to evstream.
pub struct evs_response {
    answer: Answer,
}

/// Sets the HTTP status.
///
/// @param response  The response.
/// @param status    The status, 200 to 999.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: that of the callback.
#[unsafe(no_mangle)]
pub extern "C" fn evs_response_set_status(
    response: Option<&mut evs_response>,
    status: u32,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        if !(200..=999).contains(&status) {
            return Err(Failure::argument(format!("status takes 200 to 999, not {status}")));
        }
        needed(response, "response")?.answer.status = status as u16;
        Ok(evs_status::Ok)
    })
}

/// Adds a header. Content-Length and Transfer-Encoding follow from the body; yours are ignored.
///
/// @param response  The response.
/// @param name      Its name, copied.
/// @param value     Its value, copied. If name or value is not valid HTTP, the client gets a 500.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: that of the callback.
#[unsafe(no_mangle)]
pub extern "C" fn evs_response_add_header(
    response: Option<&mut evs_response>,
    name: *const c_char,
    name_len: usize,
    value: *const c_char,
    value_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let name = cast::text(name, name_len, "name")?.to_owned();
        let value = cast::text(value, value_len, "value")?.to_owned();
        needed(response, "response")?.answer.headers.push((name, value));
        Ok(evs_status::Ok)
    })
}

/// Sets the body.
///
/// @param response  The response.
/// @param body      The bytes, copied. NULL is allowed if body_len is 0.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: that of the callback.
#[unsafe(no_mangle)]
pub extern "C" fn evs_response_set_body(
    response: Option<&mut evs_response>,
    body: *const c_void,
    body_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let body = cast::bytes(body, body_len, "body")?.to_owned();
        needed(response, "response")?.answer.body = body;
        Ok(evs_status::Ok)
    })
}

impl evs_response {
    pub(crate) fn new() -> Self {
        let mut answer = Answer::default();
        answer.status = 404;
        Self { answer }
    }

    pub(crate) fn into_answer(self) -> Answer {
        self.answer
    }
}
