//! Which server a stream came through, so that closing the server closes its streams and can wait for them.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::sync::{lock, unpoison};

/// Counts the streams that came through one server.
#[derive(Debug, Default)]
pub(crate) struct ServerStreams {
    open: Mutex<usize>,
    left: Condvar,
    ended: AtomicBool,
    cut: AtomicBool,
}

/// One stream's place in the count, given up by dropping it.
#[derive(Debug)]
pub(crate) struct StreamGuard(Arc<ServerStreams>);

impl ServerStreams {
    pub(crate) fn enter(self: &Arc<Self>) -> StreamGuard {
        *self.lock() += 1;
        StreamGuard(self.clone())
    }

    /// Says that there are to be no streams any more; those that are open must be closed after this.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Waits until every stream has ended; false when the deadline came first, for this wait or for a stream.
    pub(crate) fn wait_empty(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let waited = self.left.wait_timeout_while(self.lock(), left, |open| *open > 0);
        let is_empty = !unpoison(waited).1.timed_out();
        is_empty && !self.cut.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        lock(&self.open)
    }
}

impl StreamGuard {
    pub(crate) fn is_of(&self, server_streams: &Arc<ServerStreams>) -> bool {
        Arc::ptr_eq(&self.0, server_streams)
    }

    /// Notes that its stream ends before the client has got all.
    pub(super) fn note_cut(&self) {
        self.0.cut.store(true, Ordering::Release);
    }

    pub(super) fn is_late(&self) -> bool {
        self.0.ended.load(Ordering::Acquire)
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.left.notify_all();
    }
}
