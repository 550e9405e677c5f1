//! Streams in a server of your own

use std::{
    ffi::{CString, c_int},
    fmt::Write,
    mem::MaybeUninit,
};

use bytes::Bytes;
use evstream::{Events, Framing, Pull, Reply, Stream};
use http::StatusCode;

use crate::{
    access::evs_access,
    call::{call, free, give, needed, place},
    cast,
    error::{Failure, Result, evs_error},
    hub::evs_hub,
    request::evs_request,
    status::evs_status,
    text::{evs_bytes, evs_str},
    told::Told,
};

/// What to answer a request with: a status, headers, and a body, which goes on for as long as there is a stream.
/// Freeing it ends the stream if it was not adopted.
pub struct evs_reply {
    pub(crate) events: Events,
    status: u16,
    headers: Vec<(CString, CString)>,
    pub(crate) body: Vec<u8>,
    /// The body was sent, or given out to be sent.
    pub(crate) body_is_out: bool,
    pub(crate) rest: Rest,
    /// What was given out last, and must live until the next call.
    pub(crate) chunk: Option<Bytes>,
    head: String,
    pub(crate) told: Told,
}

/// What follows the first bytes.
pub(crate) enum Rest {
    None,
    Stream(Stream),
    Pull(Pull),
}

/// How the end of a response's body is marked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum evs_framing {
    /// With "Transfer-Encoding: chunked", which needs HTTP/1.1.
    Chunked = 1,
    /// By closing the connection, as in HTTP/1.0.
    Close = 2,
}

/// Answers a request. One that is refused gets a reply too, which tells the client why; so does one that comes when
/// the hub is closed, and then the client comes back later.
///
/// @param hub      The hub.
/// @param request  The request.
/// @param access   Who the client is and what it may read; never NULL. One may serve many requests: where everybody may
///                 read everything, make one with evs_access_allow and keep it.
/// @param reply    Where to store the reply; free with evs_reply_free.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_open(
    hub: Option<&evs_hub>,
    request: Option<&evs_request<'_>>,
    access: Option<&evs_access>,
    reply: Option<&mut MaybeUninit<*mut evs_reply>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(reply, "reply")?;
        let hub = needed(hub, "hub")?;
        let access = needed(access, "access")?.access();
        let reply = needed(request, "request")?.open(hub, access);
        give(place, evs_reply::new(hub, reply));
        Ok(evs_status::Ok)
    })
}

/// Answers a request for which the application need not be asked: a preflight, a malformed one, or what a GRIP proxy
/// asks for on behalf of a stream it holds. Of others it makes known what they ask for: evs_request_channels.
///
/// evs_hub_open does this too, if it was not done. Call it first when the decision depends on the channels, is costly,
/// or must not be made for a proxy's request, which carries no cookies.
///
/// @param hub      The hub.
/// @param request  The request.
/// @param reply    Where to store the reply, to be freed with evs_reply_free, or NULL if the application is to decide.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: one at a time for this request.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_screen(
    hub: Option<&evs_hub>,
    request: Option<&mut evs_request<'_>>,
    reply: Option<&mut MaybeUninit<*mut evs_reply>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(reply, "reply")?;
        let hub = needed(hub, "hub")?;
        if let Some(reply) = needed(request, "request")?.screen(hub) {
            give(place, evs_reply::new(hub, reply));
        }
        Ok(evs_status::Ok)
    })
}

/// @return Its HTTP status, such as 200; 0 if reply is NULL.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_status(reply: Option<&evs_reply>) -> u32 {
    reply.map_or(0, |reply| reply.status.into())
}

/// @return How many headers it has; 0 if reply is NULL.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_header_count(reply: Option<&evs_reply>) -> usize {
    reply.map_or(0, |reply| reply.headers.len())
}

/// Gives a header by its place. None of them is about framing, which is yours to choose.
///
/// @param reply  The reply.
/// @param index  Its place, from 0 on. Send them in this order.
/// @param name   NULL, or where to store its name, ended by NUL, which lives as long as the reply. Empty if there is
///               none.
/// @param value  NULL, or where to store its value, ended by NUL, which lives as long as the reply. Empty if there is
///               none.
///
/// @return true if there is one; false also if reply is NULL.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_header_at(
    reply: Option<&evs_reply>,
    index: usize,
    name: Option<&mut MaybeUninit<evs_str>>,
    value: Option<&mut MaybeUninit<evs_str>>,
) -> bool {
    let header = reply.and_then(|reply| reply.headers.get(index));
    if let Some(name) = name {
        name.write(header.map_or(c"", |(name, _)| name).into());
    }
    if let Some(value) = value {
        value.write(header.map_or(c"", |(_, value)| value).into());
    }
    header.is_some()
}

/// Tells a body that goes on from one that is complete.
///
/// @return true if more follows the first bytes of the body, and was not adopted or read to its end.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_has_stream(reply: Option<&evs_reply>) -> bool {
    reply.is_some_and(|reply| !matches!(reply.rest, Rest::None))
}

/// Gives the first bytes of the body, for servers that send them with the head. Then call evs_reply_skip_body:
/// evs_reply_next and evs_reply_adopt_fd would send them again.
///
/// @return The bytes, which live as long as the reply; all of the body if it has no stream.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_body(reply: Option<&evs_reply>) -> evs_bytes {
    reply.map_or(&[][..], |reply| &reply.body).into()
}

/// Says that you have sent the first bytes of the body yourself. NULL is allowed.
///
/// @note Threads: one at a time for this reply.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_skip_body(reply: Option<&mut evs_reply>) {
    if let Some(reply) = reply {
        reply.body_is_out = true;
    }
}

/// Writes the head: the status line and headers of HTTP/1.1, with the framing and the empty line at the end. It is for
/// servers that write to a socket themselves.
///
/// @param reply    The reply.
/// @param framing  An evs_framing. A body without a stream gets a Content-Length in any case.
/// @param head     Where to store it. It lives as long as the reply, and until the next call of this function.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: one at a time for this reply.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_head(
    reply: Option<&mut evs_reply>,
    framing: u32,
    head: Option<&mut MaybeUninit<evs_str>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let (reply, head) = (needed(reply, "reply")?, needed(head, "head")?);
        reply.head = reply.write_head(framing_of(framing)?);
        head.write(reply.head.as_str().into());
        Ok(evs_status::Ok)
    })
}

/// Has evstream write the body to the client's socket from now on, which costs you nothing more.
///
/// Before it, send the head, with the framing that it announces, and leave nothing of it in a buffer. The first bytes
/// of the body are sent for you, unless you have called evs_reply_skip_body.
///
/// The socket is plain TCP or Unix, without TLS. evstream works on a duplicate of the descriptor, which it closes when
/// the stream ends, and makes the socket non-blocking. Close yours after this call; do not write to it, shut it down
/// or adopt it twice.
///
/// @param reply    The reply. Afterwards only its status and headers are left.
/// @param fd       The socket.
/// @param framing  An evs_framing: what the head has announced.
///
/// @return OK; INVALID_ARGUMENT when there is no stream, or it was read or adopted already, or when fd is not open or
///         not a connected stream socket; IO when the system refuses; FORKED. On failure the reply and the socket are as
///         they were, and the stream can still be adopted or read. A client that has left is no failure, nor is a hub
///         that was closed since: the stream ends, and in the latter case says when to come back.
/// @note Threads: one at a time for this reply.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_adopt_fd(
    reply: Option<&mut evs_reply>,
    fd: c_int,
    framing: u32,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let reply = needed(reply, "reply")?;
        let framing = framing_of(framing)?;
        if !matches!(reply.rest, Rest::Stream(_)) {
            let text = "the reply has no stream, or it was given away or is pulled already";
            return Err(Failure::argument(text));
        }
        reply.events.check_process()?;
        let socket = cast::duplicate(fd)?;
        let Rest::Stream(stream) = std::mem::replace(&mut reply.rest, Rest::None) else {
            return Err(Failure::new(evs_status::Internal, "the stream is gone"));
        };
        let first = reply.first_bytes(framing);
        if let Err(refused) = reply.events.adopt(stream, socket, framing, first) {
            reply.rest = Rest::Stream(refused.stream);
            let failure = Failure::from(refused.error);
            return Err(Failure { message: format!("fd {fd}: {}", failure.message), ..failure });
        }
        reply.body_is_out = true;
        Ok(evs_status::Ok)
    })
}

/// Frees it. A stream that was not adopted ends; an adopted one goes on.
///
/// @note Threads: any, also a callback.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_free(reply: Option<Box<evs_reply>>) {
    free(reply);
}

impl evs_reply {
    fn new(hub: &evs_hub, reply: Reply) -> Self {
        let Reply { status, headers, body, stream, .. } = reply;
        let text = |text: String| CString::new(text).unwrap_or_default();
        Self {
            events: hub.events.clone(),
            status,
            headers: headers.into_iter().map(|(name, value)| (text(name.into()), text(value))).collect(),
            body,
            body_is_out: false,
            rest: stream.map_or(Rest::None, Rest::Stream),
            chunk: None,
            head: String::new(),
            told: Told::default(),
        }
    }

    fn write_head(&self, framing: Framing) -> String {
        let reason = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason.unwrap_or(""));
        for (name, value) in &self.headers {
            let _ = write!(head, "{}: {}\r\n", name.to_string_lossy(), value.to_string_lossy());
        }
        let _ = match (&self.rest, framing) {
            (Rest::None, _) if self.status == 204 => Ok(()),
            (Rest::None, _) => write!(head, "Content-Length: {}\r\n", self.body.len()),
            (_, Framing::Close) => head.write_str("Connection: close\r\n"),
            _ => head.write_str("Transfer-Encoding: chunked\r\n"),
        };
        head + "\r\n"
    }

    /// The first bytes in their framing, if they are not out.
    fn first_bytes(&self, framing: Framing) -> Vec<u8> {
        if self.body_is_out || self.body.is_empty() {
            return Vec::new();
        }
        match framing {
            Framing::Chunked => {
                [format!("{:x}\r\n", self.body.len()).as_bytes(), &self.body, b"\r\n"].concat()
            }
            _ => self.body.clone(),
        }
    }
}

fn framing_of(framing: u32) -> Result<Framing> {
    const CHUNKED: u32 = evs_framing::Chunked as u32;
    const CLOSE: u32 = evs_framing::Close as u32;
    match framing {
        CHUNKED => Ok(Framing::Chunked),
        CLOSE => Ok(Framing::Close),
        _ => {
            let text = format!("framing takes EVS_FRAMING_CHUNKED or EVS_FRAMING_CLOSE, not {framing}");
            Err(Failure::argument(text))
        }
    }
}
