//! A client's stream, and its two drivers: the engine, or JavaScript that takes bytes.

use std::{
    os::fd::BorrowedFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use evstream::{CloseReason, Events, Framing, Pull, Stream};
use napi::bindgen_prelude::{Either3, Null, Undefined};
use napi_derive::napi;

use crate::{
    bridge::Bridge,
    error::{Result, closed, invalid_argument, throw},
};

/// A stream that has no driver yet.
#[napi]
pub struct NativeStream {
    stream: Option<Stream>,
    events: Events,
    bridge: Arc<Bridge>,
}

/// A stream to take bytes from.
#[napi]
pub struct NativePull {
    pull: Option<Pull>,
    waker: Waker,
    end: End,
}

/// Why the stream ends, also while JavaScript takes nothing.
enum End {
    Ahead(Pin<Box<dyn Future<Output = CloseReason> + Send + Sync>>),
    For(CloseReason),
}

impl NativeStream {
    pub(crate) fn new(stream: Stream, events: &Events, bridge: &Arc<Bridge>) -> Self {
        Self { stream: Some(stream), events: events.clone(), bridge: bridge.clone() }
    }
}

#[napi]
impl NativeStream {
    /// Hands the engine a duplicate of the socket `fd`, which has sent the head and all first bytes.
    ///
    /// On failure the stream and the socket are as they were.
    #[napi(catch_unwind)]
    pub fn adopt(&mut self, fd: i32, chunked: bool) -> Result<()> {
        let socket = borrowed(fd)?.try_clone_to_owned().map_err(|error| throw(error.into()))?;
        let stream = self.stream.take().ok_or_else(|| closed("stream"))?;
        let framing = if chunked { Framing::Chunked } else { Framing::Close };
        self.events.adopt(stream, socket, framing, Vec::new()).map_err(|refused| {
            self.stream = Some(refused.stream);
            throw(refused.error)
        })
    }

    /// Takes the stream's bytes instead; wakes `id` when there are any.
    #[napi(catch_unwind)]
    pub fn pull(&mut self, id: u32) -> Result<NativePull> {
        let stream = self.stream.take().ok_or_else(|| closed("stream"))?;
        let pull = self.events.pull(stream).map_err(throw)?;
        let end = End::Ahead(Box::pin(pull.closed()));
        let mut pull = NativePull { pull: Some(pull), waker: self.bridge.waker(id), end };
        pull.timed_out(); // has it woken at the end
        Ok(pull)
    }

    /// Ends it before it has a driver.
    #[napi(catch_unwind)]
    pub fn close(&mut self, #[napi(ts_arg_type = "CloseReason")] reason: String) {
        if let Some(stream) = self.stream.take() {
            stream.close(reason_of(&reason));
        }
    }
}

#[napi]
impl NativePull {
    /// All there is to send, up to a limit; undefined when there is nothing, null when the stream has ended. Its number is
    /// woken when it is worth asking again.
    ///
    /// As text, which JavaScript has and writes for much less than a buffer; and all at once, because each call costs.
    #[napi(catch_unwind, ts_return_type = "string | null | undefined")]
    pub fn take(&mut self) -> Either3<String, Null, Undefined> {
        let Some(pull) = &mut self.pull else { return Either3::B(Null) };
        let mut taken = Vec::new();
        while taken.len() < AT_ONCE_BYTES {
            match pull.poll_next(&Context::from_waker(&self.waker)) {
                Poll::Pending if taken.is_empty() => return Either3::C(()),
                Poll::Pending => return Either3::A(text(taken)),
                Poll::Ready(Some(chunk)) if taken.is_empty() => taken = chunk.into(),
                Poll::Ready(Some(chunk)) => taken.extend_from_slice(&chunk),
                Poll::Ready(None) => {
                    self.pull = None;
                    break;
                }
            }
        }
        if taken.is_empty() {
            return Either3::B(Null);
        }
        self.waker.wake_by_ref();
        Either3::A(text(taken))
    }

    /// Whether it was ended because JavaScript took nothing for longer than a client may.
    #[napi(catch_unwind)]
    pub fn timed_out(&mut self) -> bool {
        if let End::Ahead(end) = &mut self.end
            && let Poll::Ready(reason) = end.as_mut().poll(&mut Context::from_waker(&self.waker))
        {
            self.end = End::For(reason);
        }
        matches!(self.end, End::For(CloseReason::WriteTimeout))
    }

    /// How long the client may take nothing before `close('write-timeout')` is due.
    #[napi(catch_unwind)]
    pub fn write_timeout_ms(&self) -> f64 {
        self.pull.as_ref().map_or(0.0, |pull| pull.write_timeout().as_millis() as f64)
    }

    /// Ends it because the server does; gives back the last bytes to send, which ask the client to come back.
    #[napi(catch_unwind)]
    pub fn finish(&mut self) -> Option<String> {
        self.pull.take().and_then(|mut pull| pull.finish()).map(|words| text(words.into()))
    }

    #[napi(catch_unwind)]
    pub fn close(&mut self, #[napi(ts_arg_type = "CloseReason")] reason: String) {
        if let Some(pull) = self.pull.take() {
            pull.close(reason_of(&reason));
        }
    }
}

/// A socket of Node's, during one call.
pub(crate) fn borrowed<'a>(fd: i32) -> Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(invalid_argument("a socket's descriptor is not negative"));
    }
    // SAFETY: the caller reads `fd` from an open socket of Node's in the same turn of the event loop, and only the event
    // loop closes it, so it is open during the call.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

fn reason_of(name: &str) -> CloseReason {
    CloseReason::ALL.into_iter().find(|reason| reason.name() == name).unwrap_or(CloseReason::Dropped)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("streams are UTF-8")
}

/// As much is worth a call; more only waits in Node.
const AT_ONCE_BYTES: usize = 16 * 1024;
