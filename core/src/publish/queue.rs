//! Events on their way to one proxy, in the order of publishing.

use std::{
    collections::VecDeque,
    future::Future,
    pin::pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    task::Poll,
    time::Instant,
};

use tokio::sync::Notify;

use super::{PublishFailure, ticket::Ticket};
use crate::{
    error::{Error, ErrorKind, Result},
    grip::Batch,
    stream::Hub,
    wire::Position,
};

/// A bounded queue with one reader.
#[derive(Debug)]
pub(super) struct Queue {
    proxy: String,
    capacity: usize,
    hub: Weak<Hub>,
    state: Mutex<State>,
    changed: Notify,
    drained: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Pending>,
    /// Events that the reader has taken and not settled.
    taken: usize,
    failed: u64,
    closed: bool,
}

/// An event on its way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) json: Arc<[u8]>,
    pub(super) channel: Arc<str>,
    pub(super) position: Position,
    pub(super) deadline: Instant,
    pub(super) ticket: Arc<Ticket>,
    pub(super) index: usize,
}

impl Queue {
    pub(super) fn new(proxy: String, capacity: usize, hub: &Arc<Hub>) -> Self {
        let (state, changed, drained) = (Mutex::default(), Notify::new(), Condvar::new());
        Self { proxy, capacity, hub: Arc::downgrade(hub), state, changed, drained }
    }

    pub(super) fn proxy(&self) -> &str {
        &self.proxy
    }

    /// Leaves an event; settles it at once when there is no room.
    pub(super) fn push(&self, pending: Pending) {
        let mut state = self.lock();
        let error = if state.closed {
            Error::new(ErrorKind::Closed, "the events are closed")
        } else if state.waiting.len() + state.taken >= self.capacity {
            let text =
                format!("{} events wait for {} already (grip_queue_events)", self.capacity, self.proxy);
            Error::new(ErrorKind::QueueFull, text)
        } else {
            state.waiting.push_back(pending);
            drop(state);
            self.changed.notify_one();
            return;
        };
        drop(state);
        self.settle(&pending, Err(error));
    }

    /// As many events as fit into one request, waiting for the first; `None` when the queue is closed and empty.
    pub(super) async fn take(&self) -> Option<(Batch, Vec<Pending>)> {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.lock();
                if !state.waiting.is_empty() {
                    return Some(state.take_batch());
                }
                if state.closed {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Waits until `until`, or shorter when the queue is closed.
    pub(super) async fn pause(&self, until: Instant) {
        let mut sleep = pin!(tokio::time::sleep_until(until.into()));
        loop {
            if self.lock().closed {
                return;
            }
            let mut changed = pin!(self.changed.notified());
            let woken = std::future::poll_fn(|cx| match sleep.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(true),
                Poll::Pending => changed.as_mut().poll(cx).map(|()| false),
            });
            if woken.await {
                return;
            }
        }
    }

    /// Fails what has waited for too long behind others.
    pub(super) fn expire(&self, now: Instant) {
        let mut expired = Vec::new();
        let mut state = self.lock();
        while state.waiting.front().is_some_and(|pending| pending.deadline <= now) {
            expired.extend(state.waiting.pop_front());
        }
        drop(state);
        for pending in &expired {
            self.settle(pending, Err(too_late(&self.proxy)));
        }
    }

    /// Says what became of events that were taken.
    pub(super) fn settle_taken(&self, taken: &[Pending], result: &Result<()>) {
        for pending in taken {
            self.settle(pending, result.clone());
        }
        let mut state = self.lock();
        state.taken -= taken.len();
        if state.taken == 0 && state.waiting.is_empty() {
            self.drained.notify_all();
        }
    }

    /// Says what became of one event, also to the application's observer if it failed.
    pub(super) fn settle(&self, pending: &Pending, result: Result<()>) {
        if let Err(error) = &result {
            self.lock().failed += 1;
            if let Some(hub) = self.hub.upgrade() {
                let failure = PublishFailure {
                    proxy: self.proxy.clone(),
                    channel: pending.channel.to_string(),
                    position: pending.position,
                    error: error.clone(),
                };
                hub.counters.count_publish_failure();
                hub.tell(|observer| observer.publish_failed(&failure));
            }
        }
        pending.ticket.settle(pending.index, result);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Takes no more, waits until `deadline` for the rest to be delivered, and gives back how many were not.
    pub(super) fn close(&self, deadline: Instant) -> u64 {
        let mut state = self.lock();
        let failed_before = state.failed;
        while state.taken > 0 || !state.waiting.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.drained.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.closed = true;
        let abandoned: Vec<Pending> = state.waiting.drain(..).collect();
        // What is under way right now may still arrive, but nobody will know.
        let under_way = state.taken as u64;
        drop(state);
        self.changed.notify_one();
        for pending in &abandoned {
            self.settle(
                pending,
                Err(Error::new(ErrorKind::Closed, "the events were closed before it was delivered")),
            );
        }
        self.lock().failed - failed_before + under_way
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Also when the events are dropped without being closed: whoever waits for the answer must not wait for ever.
impl Drop for Pending {
    fn drop(&mut self) {
        self.ticket.abandon(self.index);
    }
}

impl State {
    fn take_batch(&mut self) -> (Batch, Vec<Pending>) {
        let mut batch = Batch::new();
        let mut taken = Vec::new();
        while let Some(pending) = self.waiting.front() {
            // An event alone always fits: it was refused at once if not.
            if taken.len() == MAX_BATCH_EVENTS || !batch.push(&pending.json) {
                break;
            }
            taken.extend(self.waiting.pop_front());
        }
        self.taken += taken.len();
        (batch, taken)
    }
}

/// The error of an event that was tried, or had to wait, until its deadline.
pub(super) fn too_late(proxy: &str) -> Error {
    Error::new(
        ErrorKind::ProxyUnavailable,
        format!("{proxy} could not be reached in time (grip_deadline_ms)"),
    )
}

/// Enough to amortise a request; few enough that a proxy's queues are not flooded.
const MAX_BATCH_EVENTS: usize = 200;
