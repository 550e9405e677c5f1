//! How a shard tells the driver of a pulled stream, or an in-process subscriber, that there is something to read.

use std::{
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use crate::sync::{AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, lock, unpoison, wake};

/// A flag that is raised by a shard and awaited by one reader, which may block, poll or be called back.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<State>,
    raised: Condvar,
    /// The shard's key for it.
    key: AtomicUsize,
}

#[derive(Default)]
struct State {
    raised: bool,
    closed: bool,
    waker: Option<Waker>,
}

impl Signal {
    /// Lowers the flag, and says whether this was its last: the shard will not raise it any more.
    ///
    /// The reader looks at the log after this, so what comes meanwhile raises it again, and what came before it was
    /// closed is seen.
    pub(crate) fn lower(&self) -> bool {
        let mut state = self.lock();
        state.raised = false;
        state.closed
    }

    /// Waits until it is raised or closed; false when the deadline came first.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.lock();
        loop {
            if state.raised || state.closed {
                return true;
            }
            state = match deadline {
                None => unpoison(self.raised.wait(state)),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left == Duration::ZERO {
                        return false;
                    }
                    unpoison(self.raised.wait_timeout(state, left)).0
                }
            };
        }
    }

    /// Ready when it is raised or closed; else wakes the task when it is.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.raised || state.closed {
            return Poll::Ready(());
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    pub(crate) fn raise(&self) {
        self.notify(|state| state.raised = true);
    }

    /// Says that the shard will not raise it any more.
    pub(crate) fn close(&self) {
        self.notify(|state| state.closed = true);
    }

    pub(crate) fn set_key(&self, key: usize) {
        self.key.store(key, Ordering::Relaxed);
    }

    pub(crate) fn key(&self) -> usize {
        self.key.load(Ordering::Relaxed)
    }

    fn notify(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let waker = state.waker.take();
        drop(state);
        self.raised.notify_all();
        if let Some(waker) = waker {
            wake(waker);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl std::fmt::Debug for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signal").finish_non_exhaustive()
    }
}
