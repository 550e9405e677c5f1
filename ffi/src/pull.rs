//! Reading streams yourself

use std::{
    ffi::{c_int, c_void},
    mem::MaybeUninit,
};

use bytes::Bytes;
use evstream::Pull;

use crate::{
    call::{call, needed},
    callback::{UserData, evs_free_fn},
    cast,
    error::{Result, evs_error},
    hub::evs_hub,
    ready::{evs_ready_fn, evs_ready_queue},
    reply::{Rest, evs_reply},
    status::evs_status,
    text::evs_bytes,
    told::{Callback, Next, Told},
};

/// Takes the next bytes of the body, without framing, and waits for them if need be. The first come at once.
///
/// @param reply       The reply.
/// @param timeout_ms  How long to wait, in milliseconds. 0 does not wait; EVS_FOREVER waits until the hub is closed.
///                    When the reply is attached to a ready queue, 0 is all that is allowed.
/// @param chunk       Where to store them. They live until the next call for this reply, and are never empty.
///
/// @return OK; ENDED when the body is complete; TIMEOUT, without an error, when nothing came in time; PENDING in its
///         place when the reply is attached, and the queue tells when to call again; IN_CALLBACK when it would wait in
///         a callback that must be short; INVALID_ARGUMENT, IO,
///         FORKED. When the hub is closed, a last chunk asks the client to come back, and then it is ENDED.
/// @note Threads: one at a time for this reply.
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
        reply.told.begin(timeout_ms)?;
        if let Some(first) = reply.first_time() {
            chunk.write(first);
            return Ok(evs_status::Ok);
        }
        let next = match reply.pull()? {
            Some((pull, told)) => told.next(pull, timeout_ms)?,
            None => Next::Nothing(evs_status::Ended),
        };
        Ok(reply.hand_out(next, chunk))
    })
}

/// Takes the next bytes of the body if there are any, or else calls back when there may be.
///
/// @param reply           The reply, which is not attached to a ready queue.
/// @param chunk           Where to store the bytes. They live until the next call for this reply, and are never empty.
/// @param ready           What to call when it is worth calling this again: at most once, and, unless it is running
///                        already, not after the next call for this reply.
/// @param user_data       What to call it with.
/// @param user_data_free  NULL, or what frees user_data. When ready will not be called, it runs before this function
///                        returns, and so does that of an earlier poll: hold no lock that it takes.
///
/// @return OK, ENDED, and ready is not called; PENDING, and it is; INVALID_ARGUMENT, IO, FORKED.
/// @note Threads: one at a time for this reply.
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
        let reply = needed(reply, "reply")?;
        let callback = Callback::new(ready, user_data)?;
        reply.told.begin_poll()?;
        if let Some(first) = reply.first_time() {
            chunk.write(first);
            return Ok(evs_status::Ok);
        }
        let next = match reply.pull()? {
            Some((pull, told)) => told.poll(pull, callback),
            None => Next::Nothing(evs_status::Ended),
        };
        Ok(reply.hand_out(next, chunk))
    })
}

/// Attaches a reply to a ready queue, in place of the one before. From then on evs_reply_next does not wait: where it
/// would, it returns PENDING, and the queue gives user_data when it is worth calling it again.
///
/// @param reply      The reply, which is not adopted.
/// @param queue      The queue.
/// @param user_data  What evs_ready_queue_pop is to give, such as your connection. evstream does not look at it, and
///                   does not give it any more once the reply is freed.
///
/// @return OK, INVALID_ARGUMENT, FORKED.
/// @note Threads: one at a time for this reply.
#[unsafe(no_mangle)]
pub extern "C" fn evs_reply_attach(
    reply: Option<&mut evs_reply>,
    queue: Option<&evs_ready_queue>,
    user_data: *mut c_void,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let reply = needed(reply, "reply")?;
        reply.events.check_process()?;
        reply.told.attach(queue, user_data)?;
        Ok(evs_status::Ok)
    })
}

/// Has the system give up a client of yours that has vanished or takes nothing: within twice write_timeout_ms, and 10
/// s at least, on Linux. It is for the connections of a server that has no such deadline; sockets that are adopted
/// have it.
///
/// @param hub  The hub.
/// @param fd   The socket, which stays yours. Unix sockets are left as they are.
///
/// @return OK; INVALID_ARGUMENT, also when fd is not open; IO when the system refuses.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_tune_fd(
    hub: Option<&evs_hub>,
    fd: c_int,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        needed(hub, "hub")?.events.tune(cast::duplicate(fd)?)?;
        Ok(evs_status::Ok)
    })
}

impl evs_reply {
    /// The first bytes, once.
    fn first_time(&mut self) -> Option<evs_bytes> {
        let is_out = std::mem::replace(&mut self.body_is_out, true);
        (!is_out && !self.body.is_empty()).then(|| self.body.as_slice().into())
    }

    /// The stream to be pulled, and who is told of it; `None` when there is none.
    fn pull(&mut self) -> Result<Option<(&mut Pull, &mut Told)>> {
        self.events.check_process()?;
        self.rest = match std::mem::replace(&mut self.rest, Rest::None) {
            Rest::Stream(stream) => Rest::Pull(self.events.pull(stream)?),
            rest => rest,
        };
        match &mut self.rest {
            Rest::Pull(pull) => Ok(Some((pull, &mut self.told))),
            _ => Ok(None),
        }
    }

    fn hand_out(&mut self, next: Next<Bytes>, chunk: &mut MaybeUninit<evs_bytes>) -> evs_status {
        match next {
            Next::Item(bytes) => {
                chunk.write(self.chunk.insert(bytes)[..].into());
                evs_status::Ok
            }
            Next::Nothing(status) => {
                self.chunk = None;
                if status == evs_status::Ended {
                    self.rest = Rest::None;
                }
                status
            }
        }
    }
}
