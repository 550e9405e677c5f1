//! Streams in a server of your own
//!
//! Your server receives a request: make an evs_request of it, decide on access, and have evs_hub_open make the reply.
//! Send its status and headers in your own way, or as evs_reply_head writes them. Then there are two ways to send the
//! body:
//!
//!  - evs_reply_adopt_fd: evstream writes it to the socket, which costs you nothing more.
//!  - evs_reply_next, evs_reply_poll or a ready queue: you take it piece by piece and send it, which works with TLS,
//!    with HTTP/2 and in any server.

use std::{borrow::Cow, ffi::c_char, mem::MaybeUninit, net::IpAddr, sync::Arc};

use evstream::{Access, Asked, Reply, Request, Screened, StreamRequest};

use crate::{
    call::{self, call, give, needed, place, value},
    callback::Running,
    cast::{self, Lent},
    error::{Failure, Result, evs_error},
    hub::evs_hub,
    status::evs_status,
    text::{array, evs_bytes, evs_str},
};

/// A request that an HTTP server has received: yours, made with evs_request_new, or evstream's, shown to a callback.
pub struct evs_request<'a> {
    method: Cow<'a, str>,
    path: Cow<'a, str>,
    query: Cow<'a, str>,
    headers: Vec<(Cow<'a, str>, Cow<'a, [u8]>)>,
    peer: Option<IpAddr>,
    peer_text: String,
    body: &'a [u8],
    lent: bool,
    asked: Option<Screening>,
    /// The channels that it asks for, when that is known.
    channels: Vec<evs_str>,
    /// Whether that is known.
    is_screened: bool,
    is_held: bool,
}

/// What screening has found, and by which hub.
struct Screening {
    hub: Arc<Running>,
    asked: Asked,
}

/// Makes a request from what your HTTP server has received.
///
/// @param method   The method, such as "GET", copied.
/// @param target   The path, with "?" and the query if there is one, as they came: still percent-encoded. Copied.
/// @param request  Where to store it; free with evs_request_free.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_new(
    method: *const c_char,
    method_len: usize,
    target: *const c_char,
    target_len: usize,
    request: Option<&mut MaybeUninit<*mut evs_request<'static>>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(request, "request")?;
        let method = cast::text(method, method_len, "method")?;
        let target = cast::text(target, target_len, "target")?;
        let (path, query) = Request::split_target(target);
        give(
            place,
            evs_request {
                method: method.to_owned().into(),
                path: path.to_owned().into(),
                query: query.to_owned().into(),
                headers: Vec::new(),
                peer: None,
                peer_text: String::new(),
                body: &[],
                lent: false,
                asked: None,
                channels: Vec::new(),
                is_screened: false,
                is_held: false,
            },
        );
        Ok(evs_status::Ok)
    })
}

/// Adds a header. Add all that came, in their order, including those that came more than once.
///
/// @param request  The request.
/// @param name     Its name, in any case, copied.
/// @param value    Its value, copied: any bytes but CR, LF and NUL. It need not be UTF-8, but is then ignored where a
///                 text is expected.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: one at a time for this request.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_add_header(
    request: Option<&mut evs_request<'_>>,
    name: *const c_char,
    name_len: usize,
    value: *const c_char,
    value_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let name = cast::text(name, name_len, "name")?.to_owned();
        let value = cast::text_bytes(value, value_len, "value")?.to_owned();
        // Some are repeated in the reply, where they must not add to it.
        if name.bytes().chain(value.iter().copied()).any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(Failure::argument("a header must not hold CR, LF or NUL"));
        }
        let request = needed(request, "request")?;
        request.headers.push((name.into(), value.into()));
        request.forget_screening();
        Ok(evs_status::Ok)
    })
}

/// Says which address the request came from. The setting max_streams_per_address counts by it, unless it is that of
/// one of trusted_proxies, who says whose request it is.
///
/// @param request  The request.
/// @param address  An IPv4 or IPv6 address without a port, such as "192.0.2.1" or "2001:db8::1".
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: one at a time for this request.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_set_peer(
    request: Option<&mut evs_request<'_>>,
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
        let request = needed(request, "request")?;
        request.set_peer(Some(address.to_canonical()));
        request.forget_screening();
        Ok(evs_status::Ok)
    })
}

/// @return Its method, which lives as long as the request; empty if request is NULL.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_method(request: Option<&evs_request<'_>>) -> evs_str {
    text(request, |request| &request.method)
}

/// @return Its path, still percent-encoded, which lives as long as the request; empty if request is NULL.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_path(request: Option<&evs_request<'_>>) -> evs_str {
    text(request, |request| &request.path)
}

/// @return Its query without the "?", still percent-encoded, which lives as long as the request; empty if there is
///         none or request is NULL.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_query(request: Option<&evs_request<'_>>) -> evs_str {
    text(request, |request| &request.query)
}

/// @return The address it came from, which lives as long as the request, and until it is changed or screened again;
///         empty if that is not known or request is NULL. It is the client's, as trusted_proxies say, when an
///         evs_authorize_fn is shown the request, and when evs_hub_screen has left it to the application.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_peer(request: Option<&evs_request<'_>>) -> evs_str {
    text(request, |request| &request.peer_text)
}

/// Looks up a header by its name.
///
/// @param request  The request.
/// @param name     The name, in any case.
/// @param value    NULL, or where to store the value of the first one, which lives as long as the request. It may not
///                 be UTF-8. Empty if there is none.
///
/// @return true if there is one; false also if request is NULL.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_header(
    request: Option<&evs_request<'_>>,
    name: *const c_char,
    name_len: usize,
    value: Option<&mut MaybeUninit<evs_str>>,
) -> bool {
    let found = call::value(None, || {
        let name = cast::text(name, name_len, "name").ok()?;
        let headers = &request?.headers;
        headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    });
    if let Some(value) = value {
        value.write(found.unwrap_or(&[][..]).into());
    }
    found.is_some()
}

/// @return How many headers it has; 0 if request is NULL.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_header_count(request: Option<&evs_request<'_>>) -> usize {
    request.map_or(0, |request| request.headers.len())
}

/// Gives a header by its place.
///
/// @param request  The request.
/// @param index    Its place, from 0 on.
/// @param name     NULL, or where to store its name, which lives as long as the request. Empty if there is none.
/// @param value    NULL, or where to store its value, which lives as long as the request. It may not be UTF-8. Empty
///                 if there is none.
///
/// @return true if there is one; false also if request is NULL.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_header_at(
    request: Option<&evs_request<'_>>,
    index: usize,
    name: Option<&mut MaybeUninit<evs_str>>,
    value: Option<&mut MaybeUninit<evs_str>>,
) -> bool {
    let header = request.and_then(|request| request.headers.get(index));
    if let Some(name) = name {
        name.write(header.map_or("", |(name, _)| &**name).into());
    }
    if let Some(value) = value {
        value.write(header.map_or(&[][..], |(_, value)| &**value).into());
    }
    header.is_some()
}

/// @return The body, which lives as long as the request. Only requests that an evs_respond_fn is shown have one; it is
///         empty for others.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_body(request: Option<&evs_request<'_>>) -> evs_bytes {
    request.map_or(&[][..], |request| request.body).into()
}

/// The channels that the client names in its query, decoded, in its order and each once. They are known of a request
/// that an evs_authorize_fn is shown, or that evs_hub_screen has left to the application. Just these are what
/// evs_access_allow allows.
///
/// @param request       The request.
/// @param channels_len  NULL, or where to store how many they are.
///
/// @return The channels, which live as long as the request, and until it is changed or screened again; NULL if there
///         are none or they are not known.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_channels(
    request: Option<&evs_request<'_>>,
    channels_len: Option<&mut MaybeUninit<usize>>,
) -> *const evs_str {
    let channels = request.map_or(&[][..], |request| &request.channels);
    if let Some(len) = channels_len {
        len.write(channels.len());
    }
    array(channels)
}

/// Tells a GRIP proxy's request for a stream that it is going to hold. It is known where the channels are.
///
/// @return true if it is one.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_is_held(request: Option<&evs_request<'_>>) -> bool {
    request.is_some_and(|request| request.is_held)
}

/// Frees it. One that a callback was given is left alone.
///
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_request_free(request: *mut evs_request<'_>) {
    call::quietly(|| cast::free_unless_lent(request));
}

impl<'a> evs_request<'a> {
    /// A request that a callback is shown, without a copy of what it holds.
    pub(crate) fn lent(request: &Request<'a>, body: &'a [u8]) -> Self {
        let mut lent = Self {
            method: request.method.into(),
            path: request.path.into(),
            query: request.query.into(),
            headers: request.headers.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
            peer: None,
            peer_text: String::new(),
            body,
            lent: true,
            asked: None,
            channels: Vec::new(),
            is_screened: false,
            is_held: false,
        };
        lent.set_peer(request.peer);
        lent
    }

    /// A request for a stream that a callback is shown.
    pub(crate) fn lent_for_stream(request: &StreamRequest<'a>) -> Self {
        let (channels, is_held) = (cast::views(request.channels()), request.is_held());
        Self { channels, is_held, is_screened: true, ..Self::lent(request, &[]) }
    }

    /// Screens it, and remembers what is found for [`open`](Self::open).
    pub(crate) fn screen(&mut self, hub: &evs_hub) -> Option<Reply> {
        self.forget_screening();
        match self.show(|request| hub.events.screen(request)) {
            Screened::Reply(reply) => Some(reply),
            Screened::Ask(asked) => {
                (self.channels, self.is_held) = (cast::views(asked.channels()), asked.is_held());
                self.is_screened = true;
                self.peer_text = shown(asked.peer());
                self.asked = Some(Screening { hub: hub.published.clone(), asked });
                None
            }
        }
    }

    /// Opens it, without screening it again.
    pub(crate) fn open(&self, hub: &evs_hub, access: Access) -> Reply {
        match &self.asked {
            Some(screening) if Arc::ptr_eq(&screening.hub, &hub.published) => {
                hub.events.open(screening.asked.clone(), access)
            }
            _ => self.show(|request| hub.events.open_request(request, access)),
        }
    }

    /// What `decide` makes of it and of the channels that it names.
    pub(crate) fn access_by(&self, decide: impl FnOnce(&Request<'_>, &[String]) -> Access) -> Result<Access> {
        if !self.is_screened {
            return Err(Failure::argument(
                "it is not known which channels the request names: screen it with evs_hub_screen",
            ));
        }
        let named = cast::channels(array(&self.channels), self.channels.len())?;
        let named: Vec<String> = named.into_iter().map(str::to_owned).collect();
        Ok(self.show(|request| decide(request, &named)))
    }

    fn forget_screening(&mut self) {
        self.channels.clear(); // which are views of what is dropped now
        (self.is_screened, self.is_held) = (false, false);
        self.peer_text = shown(self.peer);
        self.asked = None;
    }

    /// Shows it to the core.
    fn show<T>(&self, to: impl FnOnce(&Request<'_>) -> T) -> T {
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
        self.peer_text = shown(peer);
    }
}

fn shown(peer: Option<IpAddr>) -> String {
    peer.map_or_else(String::new, |peer| peer.to_string())
}

impl Lent for evs_request<'_> {
    fn is_lent(&self) -> bool {
        self.lent
    }
}

fn text<'r>(
    request: Option<&'r evs_request<'_>>,
    get: impl FnOnce(&'r evs_request<'_>) -> &'r str,
) -> evs_str {
    value(evs_str::from(""), || request.map_or("", get).into())
}
