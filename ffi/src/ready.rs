//! Reading streams yourself
//!
//! evs_reply_next and evs_subscription_next can wait. An event loop must not: it is told when to read on, by a ready
//! queue or by a callback of evs_reply_poll and evs_subscription_poll.
//!
//! With a queue everything stays on the thread of the loop, and needs no lock. Watch evs_ready_queue_fd, attach each
//! reply with what stands for its connection, and read it with evs_reply_next until that returns PENDING. When the
//! descriptor is readable, pop, and read on what comes out.
//!
//! Back-pressure: read on only while your transport takes more. What you have not taken costs you nothing, because it
//! lies in the log, where all clients share it; what you have taken and cannot send piles up in your memory, for each
//! client. A client that lets its reply fall behind gets a stream-reset. One whose reply has something to read that
//! you do not take for write_timeout_ms is ended, so a connection that does not move needs no clock of yours.

use std::{
    collections::VecDeque,
    ffi::{c_int, c_void},
    io::{PipeReader, PipeWriter, Read, Write},
    mem::MaybeUninit,
    os::fd::AsRawFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    task::Wake,
};

use crate::{
    call::{call, free, give, place, value},
    cast::Opaque,
    error::evs_error,
    status::evs_status,
};

/// A queue of what is worth reading on, with a descriptor for an event loop to watch.
///
/// It keeps nothing alive that is attached to it, and is kept alive by nothing: what was freed never comes out of it,
/// and nothing comes out once the queue is freed.
pub struct evs_ready_queue {
    queue: Arc<Queue>,
    /// Holds one byte while something is ready.
    reader: PipeReader,
    /// Whose it is: what a child took out of the pipe would be missing in its parent, and a lock that another thread held
    /// when the process forked is never given back there.
    process: u32,
}

/// Called when it is worth polling again.
///
/// It runs on one of evstream's threads, which other streams need, must be short and must not block. Most do no more
/// than wake an event loop. It may still be running when the reply or subscription is freed, until user_data_free is
/// called.
///
/// @param user_data  As you gave it.
pub type evs_ready_fn = Option<extern "C" fn(user_data: *mut c_void)>;

/// Makes a ready queue, which takes two descriptors.
///
/// @param queue  Where to store it; free with evs_ready_queue_free.
///
/// @return OK, INVALID_ARGUMENT; IO when there are no descriptors.
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_ready_queue_new(
    queue: Option<&mut MaybeUninit<*mut evs_ready_queue>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(queue, "queue")?;
        let (reader, writer) = std::io::pipe().map_err(evstream::Error::from)?;
        let queue = Arc::new(Queue(Mutex::new(State { ready: VecDeque::new(), writer: Some(writer) })));
        give(place, evs_ready_queue { queue, reader, process: std::process::id() });
        Ok(evs_status::Ok)
    })
}

/// Gives the descriptor that is readable while evs_ready_queue_pop has something to give, and once more when all of
/// that was freed instead. Only watch it, with poll, epoll or your event loop: the queue reads and closes it.
///
/// @return The descriptor; -1 if queue is NULL.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_ready_queue_fd(queue: Option<&evs_ready_queue>) -> c_int {
    value(-1, || queue.map_or(-1, |given| given.reader.as_raw_fd()))
}

/// Takes out the next reply or subscription that is worth reading on. Once in a while there is nothing to read after
/// all.
///
/// @param queue      The queue.
/// @param user_data  NULL, or where to store the user_data that it was attached with; NULL is stored if there is none.
///
/// @return true if there is one.
/// @note Threads: any, also at the same time. Free what is attached on the thread that pops: another thread could free
///       it between this call and your use of user_data.
#[unsafe(no_mangle)]
pub extern "C" fn evs_ready_queue_pop(
    queue: Option<&evs_ready_queue>,
    user_data: Option<&mut MaybeUninit<*mut c_void>>,
) -> bool {
    let popped = value(None, || {
        let given = queue.filter(|given| given.is_ours())?;
        given.queue.pop(&given.reader)
    });
    if let Some(user_data) = user_data {
        user_data.write(popped.map_or(std::ptr::null_mut(), |data| data.0));
    }
    popped.is_some()
}

/// Frees it and closes its descriptor: have the event loop forget that first. What is still attached can be read on,
/// but nobody is told when.
///
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_ready_queue_free(queue: Option<Box<evs_ready_queue>>) {
    free(queue);
}

impl evs_ready_queue {
    /// A place in it for something that can be read.
    pub(crate) fn entry(&self, user_data: *mut c_void) -> Arc<Entry> {
        let (queue, state) = (self.queue.clone(), AtomicU8::new(IDLE));
        Arc::new(Entry { queue, user_data: Opaque(user_data), state })
    }

    fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }
}

impl Drop for evs_ready_queue {
    fn drop(&mut self) {
        if self.is_ours() {
            let State { ready, writer } =
                std::mem::replace(&mut *self.queue.lock(), State { ready: VecDeque::new(), writer: None });
            drop((ready, writer));
        }
    }
}

/// One reply or subscription among those of a queue.
pub(crate) struct Entry {
    queue: Arc<Queue>,
    user_data: Opaque,
    /// One of the three below.
    state: AtomicU8,
}

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
/// It was freed: whoever finds it in the queue drops it.
const GONE: u8 = 2;

impl Entry {
    /// It does not come out any more.
    pub(crate) fn forget(&self) {
        self.state.store(GONE, SeqCst);
    }
}

impl Wake for Entry {
    fn wake(self: Arc<Self>) {
        if self.state.compare_exchange(IDLE, QUEUED, SeqCst, SeqCst).is_ok() {
            let queue = self.queue.clone();
            queue.push(self);
        }
    }
}

struct Queue(Mutex<State>);

struct State {
    ready: VecDeque<Arc<Entry>>,
    /// `None` when the queue was freed.
    writer: Option<PipeWriter>,
}

impl Queue {
    fn push(&self, entry: Arc<Entry>) {
        let mut state = self.lock();
        let State { ready, writer: Some(writer) } = &mut *state else { return };
        if ready.is_empty()
            && let Err(error) = writer.write_all(&[0])
        {
            tracing::error!(%error, "cannot wake the reader of a ready queue");
        }
        ready.push_back(entry);
    }

    fn pop(&self, mut reader: &PipeReader) -> Option<Opaque> {
        loop {
            let mut state = self.lock();
            let entry = state.ready.pop_front()?;
            if state.ready.is_empty()
                && let Err(error) = reader.read_exact(&mut [0])
            {
                tracing::error!(%error, "cannot clear the descriptor of a ready queue");
            }
            drop(state);
            if entry.state.compare_exchange(QUEUED, IDLE, SeqCst, SeqCst).is_ok() {
                return Some(entry.user_data);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
