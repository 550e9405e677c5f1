//! How a shard tells the driver of a pulled stream, or an in-process subscriber, that there is something to read.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::{
    inbox::{Command, Inbox},
    timers::NEVER,
};
use crate::fork::Process;

/// A flag that is raised by a shard and awaited by one reader, which may block, poll or be called back.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<State>,
    raised: Condvar,
    /// When to raise it without an event, by the engine's clock.
    due_ms: AtomicU64,
    /// How soon to look again after that, if the reader has set no other time by then.
    every_ms: u64,
    /// When to raise it in any case.
    expires_ms: u64,
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
        Self::timed(0, NEVER, NEVER)
    }

    /// A signal that is also raised `every_ms` from now, which [`set_due_ms`](Self::set_due_ms) moves on, and at
    /// `expires_ms`.
    pub(crate) fn timed(now_ms: u64, every_ms: u64, expires_ms: u64) -> Arc<Self> {
        let signal = Self { every_ms, expires_ms, ..Self::default() };
        signal.set_due_ms(now_ms.saturating_add(every_ms));
        Arc::new(signal)
    }

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

    /// Sets when it is to be raised without an event, which must not be earlier than it was.
    pub(crate) fn set_due_ms(&self, due_ms: u64) {
        self.due_ms.store(due_ms.min(self.expires_ms), Ordering::Relaxed);
    }

    pub(super) fn due_ms(&self) -> u64 {
        self.due_ms.load(Ordering::Relaxed)
    }

    /// Raises it if it is due; says when to look again.
    pub(super) fn on_time(&self, now_ms: u64) -> u64 {
        let due_ms = self.due_ms();
        if due_ms > now_ms {
            return due_ms;
        }
        self.raise();
        let again_ms = now_ms.saturating_add(self.every_ms);
        if self.expires_ms > now_ms { again_ms.min(self.expires_ms) } else { again_ms }
    }

    pub(super) fn raise(&self) {
        self.notify(|state| state.raised = true);
    }

    fn close(&self) {
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
        // A waker is others' code, and this thread serves other streams too.
        if let Some(waker) = waker
            && catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err()
        {
            tracing::error!("a waker has panicked");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A shard's end of a [`Signal`]. However the shard lets go of it, the reader learns that nothing more will come.
pub(super) struct Raiser(Arc<Signal>);

impl Raiser {
    pub(super) fn new(signal: &Arc<Signal>) -> Self {
        Self(signal.clone())
    }

    pub(super) fn is_of(&self, signal: &Arc<Signal>) -> bool {
        Arc::ptr_eq(&self.0, signal)
    }
}

impl std::ops::Deref for Raiser {
    type Target = Signal;

    fn deref(&self) -> &Signal {
        &self.0
    }
}

impl Drop for Raiser {
    fn drop(&mut self) {
        self.0.close();
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
