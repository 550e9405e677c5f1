//! How a shard tells the driver of a pulled stream, or an in-process subscriber, that there is something to read.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::inbox::{Command, Inbox};
use crate::fork::Process;

/// A flag that is raised by a shard and awaited by one reader, which may block, poll or be called back.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<State>,
    raised: Condvar,
    /// When to raise it without an event, by the engine's clock; `u64::MAX` is never.
    due_ms: AtomicU64,
    /// How soon to look again after that, if the reader has set no other time by then.
    every_ms: u64,
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
    /// A signal that is raised by events only.
    pub(crate) fn new() -> Arc<Self> {
        Self::with_due_ms(u64::MAX, u64::MAX)
    }

    /// A signal that is also raised at `due_ms`, which [`set_due_ms`](Self::set_due_ms) moves on.
    pub(crate) fn with_due_ms(due_ms: u64, every_ms: u64) -> Arc<Self> {
        Arc::new(Self { due_ms: AtomicU64::new(due_ms), every_ms, ..Self::default() })
    }

    /// Lowers the flag. The reader looks at the log after this, so that what comes meanwhile raises it again.
    pub(crate) fn lower(&self) {
        self.lock().raised = false;
    }

    /// Whether the shard has ended: nothing will be raised any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits until it is raised or closed; false when the deadline came first.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.lock();
        loop {
            if state.raised || state.closed {
                return true;
            }
            state = match deadline {
                None => self.raised.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left == Duration::ZERO {
                        return false;
                    }
                    self.raised.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
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

    /// Sets when it is to be raised without an event.
    pub(crate) fn set_due_ms(&self, due_ms: u64) {
        self.due_ms.store(due_ms, Ordering::Relaxed);
    }

    pub(super) fn due_ms(&self) -> u64 {
        self.due_ms.load(Ordering::Relaxed)
    }

    pub(super) fn every_ms(&self) -> u64 {
        self.every_ms
    }

    pub(super) fn raise(&self) {
        self.notify(|state| state.raised = true);
    }

    pub(super) fn close(&self) {
        self.notify(|state| state.closed = true);
    }

    pub(super) fn set_key(&self, key: usize) {
        self.key.store(key, Ordering::Relaxed);
    }

    pub(super) fn key(&self) -> usize {
        self.key.load(Ordering::Relaxed)
    }

    fn notify(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let waker = state.waker.take();
        drop(state);
        self.raised.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A registration of a [`Signal`] with a shard, ended by dropping it.
#[derive(Debug)]
pub(crate) struct Watching {
    inbox: Arc<Inbox>,
    signal: Arc<Signal>,
    process: Process,
}

impl Watching {
    pub(super) fn new(inbox: Arc<Inbox>, signal: Arc<Signal>) -> Self {
        Self { inbox, signal, process: Process::current() }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if self.process.is_current() {
            self.inbox.post(Command::Unwatch { signal: self.signal.clone() });
        }
    }
}

impl std::fmt::Debug for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signal").finish_non_exhaustive()
    }
}
