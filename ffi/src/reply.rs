//! Replies

use std::{
    ffi::{CString, c_int, c_void},
    fmt::Write,
    mem::MaybeUninit,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use bytes::Bytes;
use evstream::{Access, Events, Framing, Pull, Reply, Stream};
use http::StatusCode;

use crate::{
    access::evs_access,
    call::{call, free, give, needed, place},
    callback::{Manners, UserData, evs_free_fn, refuse_in_short_callback},
    cast,
    error::{Failure, Result, evs_error},
    events::evs_events,
    request::evs_request,
    status::evs_status,
    text::{evs_bytes, evs_str},
};

/// What to answer a request with: a status, headers, and a body, which goes on for as long as there is a stream.
///
/// Send the status and headers in your own way, and then the body in one of two ways: let evstream write it to the socket
/// (evs_reply_adopt_fd), which costs you nothing from then on, or take it piece by piece and send it yourself
/// (evs_reply_next, evs_reply_poll), which works with TLS, HTTP/2 and any server. Freeing the reply ends the stream if it
/// was not adopted.
pub struct evs_reply {
    events: Events,
    status: u16,
    headers: Vec<(CString, CString)>,
    body: Vec<u8>,
    /// The body was sent, or given out to be sent.
    body_is_out: bool,
    rest: Rest,
    /// What was given out last, and must live until the next call.
    chunk: Option<Bytes>,
    head: String,
    waiting: Option<Arc<Ready>>,
}

/// What follows the first bytes.
enum Rest {
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

/// Called when evs_reply_poll is worth calling again.
///
/// It runs on a thread of evstream's that other streams need, must be short and must not block. Most do no more than to
/// wake an event loop of theirs. It may still be running when the reply is freed, until user_data_free is called.
///
/// @param user_data  As it was given.
pub type evs_ready_fn = Option<extern "C" fn(user_data: *mut c_void)>;

/// Answers a request that an HTTP server of yours has received.
///
/// @param events   The events.
/// @param request  The request.
/// @param access   Who the client is and what it may read. NULL allows any channel that it names in the query.
/// @param reply    Where to put the reply. The caller owns it; free with evs_reply_free.
/// @param error    NULL, or where to put the error.
///
/// Status: OK, INVALID_ARGUMENT, CLOSED, FORKED. A request that is refused is OK too: the reply says so to the client.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_events_open(
    events: Option<&evs_events>,
    request: Option<&evs_request>,
    access: Option<&evs_access>,
    reply: Option<&mut MaybeUninit<*mut evs_reply>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(reply, "reply")?;
        let events = &needed(events, "events")?.events;
        events.check_open()?;
        let access = access.map_or_else(Access::allow, evs_access::access);
        let reply = needed(request, "request")?.show(|request| events.open(request, access));
        give(place, evs_reply::new(events, reply));
        Ok(evs_status::Ok)
    })
}

/// Answers a request that needs no word from the application: preflight, what is malformed, and what a GRIP proxy asks for
/// on behalf of a stream it holds.
///
/// evs_events_open does this too. Call it first when deciding on access is costly, or must not happen for a proxy's request,
/// which carries no cookies.
///
/// @param events   The events.
/// @param request  The request.
/// @param reply    Where to put the reply, or NULL if the application is to decide. The caller owns it; free with
///                 evs_reply_free.
/// @param error    NULL, or where to put the error.
///
/// Status: OK, INVALID_ARGUMENT, CLOSED, FORKED.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_events_screen(
    events: Option<&evs_events>,
    request: Option<&evs_request>,
    reply: Option<&mut MaybeUninit<*mut evs_reply>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(reply, "reply")?;
        let events = &needed(events, "events")?.events;
        events.check_open()?;
        if let Some(reply) = needed(request, "request")?.show(|request| events.screen(request)) {
            give(place, evs_reply::new(events, reply));
        }
        Ok(evs_status::Ok)
    })
}

/// Its HTTP status, such as 200; 0 if reply is NULL.
///
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_status(reply: Option<&evs_reply>) -> u32 {
    reply.map_or(0, |reply| reply.status.into())
}

/// How many headers it has; 0 if reply is NULL.
///
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_header_count(reply: Option<&evs_reply>) -> usize {
    reply.map_or(0, |reply| reply.headers.len())
}

/// Gives one of its headers. They say nothing of the framing, which is for you to choose.
///
/// @param reply  The reply.
/// @param index  Which, from 0 on, in the order to send them.
/// @param name   NULL, or where to put the name, ended by NUL, which lives as long as the reply. Empty if there is none.
/// @param value  NULL, or where to put the value, ended by NUL, which lives as long as the reply. Empty if there is none.
///
/// Gives back whether there is one, which is never so if reply is NULL.
/// Threads: any, also at the same time.
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

/// Whether the body goes on after its first bytes. If not, the first bytes are all of it.
///
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_has_stream(reply: Option<&evs_reply>) -> bool {
    reply.is_some_and(|reply| !matches!(reply.rest, Rest::None))
}

/// The first bytes of its body, which live as long as it. Send them at once, with the head.
///
/// evs_reply_next and evs_reply_adopt_fd begin with them, unless evs_reply_skip_body was called.
///
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_body(reply: Option<&evs_reply>) -> evs_bytes {
    reply.map_or(&[][..], |reply| &reply.body).into()
}

/// Says that you have sent the first bytes of the body yourself. NULL is allowed.
///
/// Threads: one at a time for this reply.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_skip_body(reply: Option<&mut evs_reply>) {
    if let Some(reply) = reply {
        reply.body_is_out = true;
    }
}

/// The status line and headers as HTTP/1.1 has them, with the framing and the empty line at the end: for servers that write
/// to a socket themselves.
///
/// @param reply    The reply.
/// @param framing  An evs_framing. A body without a stream gets a Content-Length in any case.
/// @param head     Where to put it. It lives as long as the reply, and until the next call of this function.
/// @param error    NULL, or where to put the error.
///
/// Status: OK, INVALID_ARGUMENT.
/// Threads: one at a time for this reply.
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

/// Lets evstream write the body to the client's socket from now on.
///
/// You have sent the head, with the framing it announces, and perhaps the first bytes of the body (evs_reply_skip_body), and
/// nothing of it waits in a buffer. The socket is plain TCP or Unix, without TLS. evstream works on a duplicate of the
/// descriptor, which it closes when the stream ends: close yours after this call, without writing to it or shutting it down.
/// The socket becomes non-blocking for both.
///
/// @param reply    The reply. What remains of it is its status and headers, and freeing it.
/// @param fd       The socket.
/// @param framing  An evs_framing: what the head has announced.
/// @param error    NULL, or where to put the error.
///
/// Status: OK; INVALID_ARGUMENT when there is no stream, or it is pulled already, or was given away; IO when the descriptor
/// cannot be used; CLOSED, FORKED. When this fails the reply is as it was, but that after IO its stream may be gone.
/// Threads: one at a time for this reply.
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
        reply.events.check_open()?;
        let socket = cast::duplicate(fd)?;
        let Rest::Stream(stream) = std::mem::replace(&mut reply.rest, Rest::None) else {
            return Err(Failure::new(evs_status::Internal, "the stream is gone"));
        };
        let first = reply.first_bytes(framing);
        reply.body_is_out = true;
        reply.events.adopt(stream, socket, framing, first)?;
        Ok(evs_status::Ok)
    })
}

/// Takes the next bytes of the body, without framing, and waits for them if need be. The first come at once.
///
/// @param reply       The reply.
/// @param timeout_ms  How long to wait, in milliseconds. 0 does not wait; EVS_FOREVER waits until the events are closed.
/// @param chunk       Where to put them. They live until the next call for this reply, and are never empty.
/// @param error       NULL, or where to put the error.
///
/// Status: OK; ENDED when the body is complete; TIMEOUT, after which to call it again; IN_CALLBACK when it would wait in a
/// callback that must be short; INVALID_ARGUMENT, IO, FORKED. CLOSED when the events were closed before the stream was read; when
/// they are closed later, a last chunk asks the client to come back, and then it is ENDED.
/// Threads: one at a time for this reply.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_next(
    reply: Option<&mut evs_reply>,
    timeout_ms: u64,
    chunk: Option<&mut MaybeUninit<evs_bytes>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let chunk = needed(chunk, "chunk")?;
        chunk.write((&[][..]).into());
        let reply = needed(reply, "reply")?;
        if timeout_ms > 0 {
            refuse_in_short_callback()?;
        }
        reply.stop_waiting();
        if let Some(first) = reply.first_time() {
            chunk.write(first);
            return Ok(evs_status::Ok);
        }
        let Some(pull) = reply.pull()? else { return Ok(evs_status::Ended) };
        let next = pull.next_timeout(Duration::from_millis(timeout_ms))?;
        Ok(reply.hand_out(next, chunk))
    })
}

/// Takes the next bytes of the body if there are any, and else calls back when there may be. This is for event loops.
///
/// @param reply           The reply.
/// @param chunk           Where to put the bytes. They live until the next call for this reply, and are never empty.
/// @param ready           What to call when it is worth calling this again. It is called at most once, and not any more after
///                        the next call for this reply, except that it may be running.
/// @param user_data       What to call it with.
/// @param user_data_free  NULL, or what frees user_data.
/// @param error           NULL, or where to put the error.
///
/// Status: OK and ENDED, and then ready is not called; PENDING, and then it is; INVALID_ARGUMENT, IO, CLOSED, FORKED.
/// Threads: one at a time for this reply.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_poll(
    reply: Option<&mut evs_reply>,
    chunk: Option<&mut MaybeUninit<evs_bytes>>,
    ready: evs_ready_fn,
    user_data: *mut c_void,
    user_data_free: evs_free_fn,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    let user_data = UserData::new(user_data, user_data_free);
    call(error, || {
        let chunk = needed(chunk, "chunk")?;
        chunk.write((&[][..]).into());
        let (reply, ready) = (needed(reply, "reply")?, needed(ready, "ready")?);
        reply.stop_waiting();
        if let Some(first) = reply.first_time() {
            chunk.write(first);
            return Ok(evs_status::Ok);
        }
        let Some(pull) = reply.pull()? else { return Ok(evs_status::Ended) };
        let waiting = Arc::new(Ready(Mutex::new(Some((ready, user_data)))));
        match pull.poll_next(&Context::from_waker(&Waker::from(waiting.clone()))) {
            Poll::Ready(next) => Ok(reply.hand_out(next, chunk)),
            Poll::Pending => {
                reply.waiting = Some(waiting);
                Ok(evs_status::Pending)
            }
        }
    })
}

/// Frees it. NULL is allowed. A stream that was not adopted ends; an adopted one goes on.
///
/// Threads: any, also a callback, but for one object only once, and when no other function uses it.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_free(reply: Option<Box<evs_reply>>) {
    free(reply);
}

impl evs_reply {
    fn new(events: &Events, reply: Reply) -> Self {
        let Reply { status, headers, body, stream } = reply;
        let text = |text: String| CString::new(text).unwrap_or_default();
        Self {
            events: events.clone(),
            status,
            headers: headers.into_iter().map(|(name, value)| (text(name.into()), text(value))).collect(),
            body,
            body_is_out: false,
            rest: stream.map_or(Rest::None, Rest::Stream),
            chunk: None,
            head: String::new(),
            waiting: None,
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

    /// The first bytes, once.
    fn first_time(&mut self) -> Option<evs_bytes> {
        let is_out = std::mem::replace(&mut self.body_is_out, true);
        (!is_out && !self.body.is_empty()).then(|| self.body.as_slice().into())
    }

    /// The stream to be pulled; `None` when there is none.
    fn pull(&mut self) -> Result<Option<&mut Pull>> {
        if let Rest::Stream(_) = self.rest {
            self.events.check_open()?;
            if let Rest::Stream(stream) = std::mem::replace(&mut self.rest, Rest::None) {
                self.rest = Rest::Pull(self.events.pull(stream)?);
            }
        }
        match &mut self.rest {
            Rest::Pull(pull) => Ok(Some(pull)),
            _ => Ok(None),
        }
    }

    fn hand_out(&mut self, next: Option<Bytes>, chunk: &mut MaybeUninit<evs_bytes>) -> evs_status {
        self.chunk = next;
        let Some(bytes) = &self.chunk else { return evs_status::Ended };
        chunk.write(bytes[..].into());
        evs_status::Ok
    }

    /// Makes sure that the callback of the last poll is not called any more.
    fn stop_waiting(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.take();
        }
    }
}

impl Drop for evs_reply {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}

/// A callback that is called at most once.
struct Ready(Mutex<Option<(extern "C" fn(*mut c_void), UserData)>>);

impl Ready {
    fn take(&self) -> Option<(extern "C" fn(*mut c_void), UserData)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        if let Some((ready, user_data)) = self.take() {
            user_data.call(Manners::Short, |data| ready(data));
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
