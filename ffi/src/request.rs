//! Requests

use std::{
    ffi::{c_char, c_void},
    mem::MaybeUninit,
    net::IpAddr,
};

use evstream::Request;

use crate::{
    call::{self, call, give, needed, place, value},
    cast::{self, Lent},
    error::{Failure, evs_error},
    status::evs_status,
    text::{evs_bytes, evs_str},
};

/// A request that an HTTP server has received: yours, to be answered by evs_events_open, or evstream's, shown to a
/// callback.
pub struct evs_request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    peer: Option<IpAddr>,
    peer_text: String,
    body: Vec<u8>,
    lent: bool,
}

/// Makes a request from what an HTTP server of yours has received.
///
/// @param method      The method, such as "GET", copied.
/// @param method_len  Its length in bytes.
/// @param target      The path, and the query after a "?" if there is one, as they came: still percent-encoded. Copied.
/// @param target_len  Its length in bytes.
/// @param request     Where to put it. The caller owns it; free with evs_request_free.
/// @param error       NULL, or where to put the error.
///
/// Status: OK, INVALID_ARGUMENT.
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_new(
    method: *const c_char,
    method_len: usize,
    target: *const c_char,
    target_len: usize,
    request: Option<&mut MaybeUninit<*mut evs_request>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(request, "request")?;
        let method = cast::text(method, method_len, "method")?;
        let target = cast::text(target, target_len, "target")?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        give(
            place,
            evs_request {
                method: method.to_owned(),
                path: path.to_owned(),
                query: query.to_owned(),
                headers: Vec::new(),
                peer: None,
                peer_text: String::new(),
                body: Vec::new(),
                lent: false,
            },
        );
        Ok(evs_status::Ok)
    })
}

/// Adds a header. Give all that came, in their order, also those that come more than once.
///
/// @param request    The request.
/// @param name       Its name, in any case, copied.
/// @param name_len   Length of the name in bytes.
/// @param value      Its value: bytes without CR, LF and NUL, copied. One that is not UTF-8 is ignored where a text is expected.
/// @param value_len  Length of the value in bytes.
/// @param error      NULL, or where to put the error.
///
/// Status: OK, INVALID_ARGUMENT.
/// Threads: one at a time for this request.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_add_header(
    request: Option<&mut evs_request>,
    name: *const c_char,
    name_len: usize,
    value: *const c_char,
    value_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let name = cast::text(name, name_len, "name")?.to_owned();
        let value = cast::bytes(value.cast::<c_void>(), value_len, "value")?.to_owned();
        // Some are repeated in the reply, where they must not add to it.
        if name.bytes().chain(value.iter().copied()).any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(Failure::argument("a header must not hold CR, LF or NUL"));
        }
        needed(request, "request")?.headers.push((name, value));
        Ok(evs_status::Ok)
    })
}

/// Says which address the request came from, which the setting max_streams_per_address counts by.
///
/// @param request      The request.
/// @param address      An IPv4 or IPv6 address without a port, such as "192.0.2.1" or "2001:db8::1".
/// @param address_len  Its length in bytes.
/// @param error        NULL, or where to put the error.
///
/// Status: OK, INVALID_ARGUMENT.
/// Threads: one at a time for this request.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_set_peer(
    request: Option<&mut evs_request>,
    address: *const c_char,
    address_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let text = cast::text(address, address_len, "address")?;
        let Ok(address) = text.parse::<IpAddr>() else {
            let text = format!("address takes an IPv4 or IPv6 address without a port, not {text:?}");
            return Err(Failure::argument(text));
        };
        needed(request, "request")?.set_peer(Some(address.to_canonical()));
        Ok(evs_status::Ok)
    })
}

/// Its method, which lives as long as it; empty if request is NULL.
///
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_method(request: Option<&evs_request>) -> evs_str {
    text(request, |request| &request.method)
}

/// Its path, still percent-encoded, which lives as long as it; empty if request is NULL.
///
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_path(request: Option<&evs_request>) -> evs_str {
    text(request, |request| &request.path)
}

/// Its query without the "?", still percent-encoded, which lives as long as it; empty if there is none or request is NULL.
///
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_query(request: Option<&evs_request>) -> evs_str {
    text(request, |request| &request.query)
}

/// The address it came from, which lives as long as it; empty if that is not known or request is NULL.
///
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_peer(request: Option<&evs_request>) -> evs_str {
    text(request, |request| &request.peer_text)
}

/// Finds its first header of a name.
///
/// @param request   The request.
/// @param name      The name, in any case.
/// @param name_len  Its length in bytes.
/// @param value     NULL, or where to put the value, which lives as long as the request. Empty if there is none.
///
/// Gives back whether there is one, which is never so if request is NULL.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_header(
    request: Option<&evs_request>,
    name: *const c_char,
    name_len: usize,
    value: Option<&mut MaybeUninit<evs_bytes>>,
) -> bool {
    let found = call::value(None, || {
        let name = cast::text(name, name_len, "name").ok()?;
        let headers = &request?.headers;
        headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &value[..])
    });
    if let Some(value) = value {
        value.write(found.unwrap_or(&[]).into());
    }
    found.is_some()
}

/// How many headers it has; 0 if request is NULL.
///
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_header_count(request: Option<&evs_request>) -> usize {
    request.map_or(0, |request| request.headers.len())
}

/// Gives one of its headers.
///
/// @param request  The request.
/// @param index    Which, from 0 on.
/// @param name     NULL, or where to put the name, which lives as long as the request. Empty if there is none.
/// @param value    NULL, or where to put the value, which lives as long as the request. Empty if there is none.
///
/// Gives back whether there is one, which is never so if request is NULL.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_header_at(
    request: Option<&evs_request>,
    index: usize,
    name: Option<&mut MaybeUninit<evs_str>>,
    value: Option<&mut MaybeUninit<evs_bytes>>,
) -> bool {
    let header = request.and_then(|request| request.headers.get(index));
    if let Some(name) = name {
        name.write(header.map_or("", |(name, _)| name).into());
    }
    if let Some(value) = value {
        value.write(header.map_or(&[][..], |(_, value)| value).into());
    }
    header.is_some()
}

/// The body of a request that a server's fallback is shown, which lives as long as the request; empty for others.
///
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_body(request: Option<&evs_request>) -> evs_bytes {
    request.map_or(&[][..], |request| &request.body).into()
}

/// Frees it. NULL is allowed, and so is a request that a callback was given, which is then left alone.
///
/// Threads: any, but for one object only once, and when no other function uses it.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_free(request: *mut evs_request) {
    call::quietly(|| cast::free_unless_lent(request));
}

impl evs_request {
    /// A request that a callback is shown.
    pub(crate) fn lent(request: &Request<'_>, body: &[u8]) -> Self {
        let header = |&(name, value): &(&str, &[u8])| (name.to_owned(), value.to_owned());
        let mut lent = Self {
            method: request.method.to_owned(),
            path: request.path.to_owned(),
            query: request.query.to_owned(),
            headers: request.headers.iter().map(header).collect(),
            peer: None,
            peer_text: String::new(),
            body: body.to_owned(),
            lent: true,
        };
        lent.set_peer(request.peer);
        lent
    }

    /// Shows it to the core.
    pub(crate) fn show<T>(&self, to: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        to(&Request {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
            peer: self.peer,
        })
    }

    fn set_peer(&mut self, peer: Option<IpAddr>) {
        self.peer = peer;
        self.peer_text = peer.map_or_else(String::new, |peer| peer.to_string());
    }
}

impl Lent for evs_request {
    fn is_lent(&self) -> bool {
        self.lent
    }
}

fn text<'a>(request: Option<&'a evs_request>, get: impl FnOnce(&'a evs_request) -> &'a String) -> evs_str {
    value(evs_str::from(""), || request.map_or("", |request| get(request)).into())
}
