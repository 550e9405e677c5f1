//! Events on their way to one proxy, in the order of publishing.

use std::{
    collections::{BTreeSet, VecDeque},
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
    grip::{Batch, Item},
    stream::Hub,
    wire::Position,
};

/// A bounded queue with one reader.
#[derive(Debug)]
pub(super) struct Queue {
    proxy: String,
    capacity: usize,
    /// Whether the proxy can repair what it has missed.
    repairs: bool,
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
    /// Channels on which the proxy has missed an event, and was not told yet.
    missed: BTreeSet<Arc<str>>,
    failed: u64,
    closed: bool,
}

/// An event on its way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) json: Result<Arc<[u8]>>,
    pub(super) channel: Arc<str>,
    pub(super) position: Position,
    pub(super) deadline: Instant,
    pub(super) ticket: Arc<Ticket>,
    pub(super) index: usize,
}

/// Nobody waits in vain, however it went out of the world.
impl Drop for Pending {
    fn drop(&mut self) {
        self.ticket.settle(self.index, Err(Error::new(ErrorKind::Closed, ABANDONED)));
    }
}

impl Queue {
    pub(super) fn new(proxy: String, capacity: usize, repairs: bool, hub: &Arc<Hub>) -> Self {
        let (state, changed, drained) = (Mutex::default(), Notify::new(), Condvar::new());
        Self { proxy, capacity, repairs, hub: Arc::downgrade(hub), state, changed, drained }
    }

    pub(super) fn proxy(&self) -> &str {
        &self.proxy
    }

    /// Leaves an event; gives it back, to be settled, when that cannot be.
    pub(super) fn push(&self, pending: Pending) -> Result<(), (Pending, Error)> {
        let mut state = self.lock();
        let error = if let Err(error) = &pending.json {
            error.clone()
        } else if state.closed {
            Error::new(ErrorKind::Closed, "the events are closed")
        } else if state.waiting.len() + state.taken >= self.capacity {
            let text =
                format!("{} events wait for {} already (grip_queue_events)", self.capacity, self.proxy);
            Error::new(ErrorKind::QueueFull, text)
        } else {
            state.waiting.push_back(pending);
            drop(state);
            self.changed.notify_one();
            return Ok(());
        };
        self.miss(&mut state, &pending);
        Err((pending, error))
    }

    /// As many events as fit into one request, waiting for the first; `None` when the queue is closed and empty.
    pub(super) async fn take(&self) -> Option<Vec<Pending>> {
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
    pub(super) fn expire(&self, now: Instant, last_error: &Error) {
        let mut expired = Vec::new();
        let mut state = self.lock();
        while state.waiting.front().is_some_and(|pending| pending.deadline <= now) {
            expired.extend(state.waiting.pop_front());
        }
        for pending in &expired {
            self.miss(&mut state, pending);
        }
        drop(state);
        for pending in &expired {
            self.settle(pending, Err(too_late(last_error)));
        }
    }

    /// Says what became of events that were taken.
    pub(super) fn settle_taken(&self, taken: &[Pending], result: &Result<()>) {
        if result.is_err() {
            let mut state = self.lock();
            for pending in taken {
                self.miss(&mut state, pending);
            }
        }
        for pending in taken {
            self.settle(pending, result.clone());
        }
        let mut state = self.lock();
        state.taken -= taken.len();
        if state.taken == 0 && state.waiting.is_empty() {
            self.drained.notify_all();
        }
    }

    /// Takes channels on which the proxy has missed something, with a request that makes it ask for that; `None` when it
    /// has missed nothing. What is missed from now on needs another request, so they are taken before this one is sent.
    ///
    /// It must come before any other event, also of another channel: a client takes the id of the last event it got for
    /// its place on all of its channels, and would come back without what is missing before that.
    pub(super) fn take_hints(&self) -> Option<(Batch, Vec<Arc<str>>)> {
        let mut state = self.lock();
        let mut batch = Batch::new();
        let mut channels = Vec::new();
        while let Some(channel) = state.missed.first() {
            let fits = Item::hint(&**channel).to_json().is_ok_and(|json| batch.push(&json));
            if !fits {
                break;
            }
            channels.extend(state.missed.pop_first());
        }
        (!channels.is_empty()).then_some((batch, channels))
    }

    /// Gives back channels that the proxy could not be told of.
    pub(super) fn give_back_hints(&self, channels: Vec<Arc<str>>) {
        self.lock().missed.extend(channels);
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
            self.settle(pending, Err(Error::new(ErrorKind::Closed, ABANDONED)));
        }
        self.lock().failed - failed_before + under_way
    }

    /// Notes that the proxy will not get an event. Beyond so many channels it finds out by itself, only later.
    fn miss(&self, state: &mut State, pending: &Pending) {
        if self.repairs && state.missed.len() < self.capacity {
            state.missed.insert(pending.channel.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_batch(&mut self) -> Vec<Pending> {
        let mut batch = Batch::new();
        let mut taken = Vec::new();
        // An event alone always fits: it was refused at once if not.
        while taken.len() < MAX_BATCH_EVENTS
            && self.waiting.front().is_some_and(|pending| pending.add_to(&mut batch))
        {
            taken.extend(self.waiting.pop_front());
        }
        self.taken += taken.len();
        taken
    }
}

impl Pending {
    /// Adds it to a request; false if it does not fit.
    pub(super) fn add_to(&self, batch: &mut Batch) -> bool {
        self.json.as_ref().is_ok_and(|json| batch.push(json))
    }
}

/// The error of an event that was tried, or had to wait, until its deadline.
pub(super) fn too_late(last_error: &Error) -> Error {
    let text = format!("{last_error}; given up at the deadline (grip_deadline_ms)");
    Error::new(last_error.kind(), text).with_source(last_error.clone())
}

/// Enough to amortise a request; few enough that a proxy's queues are not flooded.
const MAX_BATCH_EVENTS: usize = 200;

const ABANDONED: &str = "the events were closed before it was delivered";
