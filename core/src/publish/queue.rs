//! Events on their way to one proxy, in the order of publishing.

use std::{
    collections::{BTreeSet, VecDeque},
    future::Future,
    pin::pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, Weak},
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::{ProxyFigures, ticket::Ticket};
use crate::{
    error::{Error, ErrorKind, Result},
    grip::{Batch, Item, Place, Prefix, Unplaced},
    stream::{Hub, PublishFailure},
    sync::{lock, unpoison},
    wire::Position,
};

/// A bounded queue with one reader.
#[derive(Debug)]
pub(super) struct Queue {
    proxy: String,
    capacity: usize,
    /// Where the proxy is told that it has missed something; `None` where it cannot be repaired.
    hints: Option<Prefix>,
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
    /// The place of the first of them.
    taken_from: Option<Position>,
    /// Channels on which the proxy has missed an event, and was not told yet.
    missed: BTreeSet<Arc<str>>,
    /// The first place of which that is true, until the proxy was told of all.
    missed_from: Option<Position>,
    /// Whether the proxy is to be told at once, and not only before the next event.
    hint_now: bool,
    failed: u64,
    /// When the proxy could not be reached first and last, if it could not the last time.
    failing: Option<(Instant, Instant)>,
    /// How many had failed when closing began.
    failed_before: Option<u64>,
    closed: bool,
}

/// An event on its way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) load: Result<Load>,
    pub(super) channel: Arc<str>,
    pub(super) position: Position,
    /// The place of the event before it on its channel, where items name it.
    pub(super) previous: Option<Position>,
    /// Whether a proxy is to hand it on whatever it has seen before.
    pub(super) no_seq: bool,
    pub(super) deadline: Instant,
    pub(super) ticket: Arc<Ticket>,
    pub(super) index: usize,
}

/// What is on its way.
#[derive(Clone, Debug)]
pub(super) enum Load {
    Event(Arc<Unplaced>),
    /// Items that have no place on their channels, and end streams. All or none of them are sent.
    End(Arc<[Vec<u8>]>),
}

/// Events that the reader has taken out of the queue.
#[derive(Debug)]
pub(super) struct Taken {
    queue: Arc<Queue>,
    events: Vec<Pending>,
}

/// Settles the ticket however the event is dropped.
impl Drop for Pending {
    fn drop(&mut self) {
        self.ticket.settle(self.index, Err(Error::new(ErrorKind::Closed, ABANDONED)));
    }
}

impl Queue {
    pub(super) fn new(proxy: String, capacity: usize, hints: Option<Prefix>, hub: &Arc<Hub>) -> Self {
        let (state, changed, drained) = (Mutex::default(), Notify::new(), Condvar::new());
        Self { proxy, capacity, hints, hub: Arc::downgrade(hub), state, changed, drained }
    }

    pub(super) fn proxy(&self) -> &str {
        &self.proxy
    }

    /// Leaves an event; gives it back, to be settled, when that cannot be.
    pub(super) fn push(&self, pending: Pending) -> Result<(), (Pending, Error)> {
        let mut state = self.lock();
        let error = if let Err(error) = &pending.load {
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

    /// Has the proxy told at once that it has missed something at `place`, on channels of these names there.
    pub(super) fn hint(&self, place: Position, channels: impl IntoIterator<Item = Arc<str>>) {
        if self.hints.is_none() {
            return;
        }
        let mut state = self.lock();
        for channel in channels {
            self.note_missed(&mut state, place, &channel);
        }
        state.hint_now = !state.missed.is_empty();
        drop(state);
        self.changed.notify_one();
    }

    /// As many events as fit into one request, waiting for the first; none when only [hints](Self::take_hints) are to be
    /// sent; `None` when the queue is closed and empty.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Taken> {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.lock();
                if !state.waiting.is_empty() || std::mem::take(&mut state.hint_now) {
                    return Some(Taken { queue: self.clone(), events: state.take_batch() });
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
        state.failed += expired.len() as u64;
        for pending in &expired {
            self.miss(&mut state, pending);
        }
        self.note_drained(&state);
        drop(state);
        for pending in &expired {
            self.tell(pending, Err(too_late(last_error)));
        }
    }

    /// Says what became of events that were taken.
    fn settle_taken(&self, taken: &[Pending], result: &Result<()>) {
        let mut state = self.lock();
        state.taken -= taken.len();
        if result.is_err() {
            state.failed += taken.len() as u64;
            for pending in taken {
                self.miss(&mut state, pending);
            }
        }
        self.note_drained(&state);
        drop(state);
        for pending in taken {
            self.tell(pending, result.clone());
        }
    }

    /// Takes channels on which the proxy has missed something, with a request that makes it ask for that; `None` when it
    /// has missed nothing. What is missed from now on needs another request, so they are taken before this one is sent.
    ///
    /// It must come before any other event, also of another channel: a client takes the id of the last event it got for
    /// its place on all of its channels, and would come back without what is missing before that.
    pub(super) fn take_hints(&self) -> Option<(Batch, Vec<Arc<str>>)> {
        let prefix = self.hints.as_ref()?;
        let mut state = self.lock();
        if state.missed.is_empty() {
            return None;
        }
        let mut batch = Batch::new();
        let mut push = |channel| Item::hint(channel).to_json().is_ok_and(|json| batch.push(&json));
        let mut channels = Vec::new();
        let mut fits = push(prefix.hint_for_all());
        while fits && let Some(channel) = state.missed.first() {
            fits = push(prefix.hint(channel));
            channels.extend(if fits { state.missed.pop_first() } else { None });
        }
        (!channels.is_empty()).then_some((batch, channels))
    }

    /// Gives back channels that the proxy could not be told of.
    pub(super) fn give_back_hints(&self, channels: Vec<Arc<str>>) {
        self.lock().missed.extend(channels);
    }

    /// Notes that the proxy was told of the channels that were taken.
    pub(super) fn note_hinted(&self) {
        let mut state = self.lock();
        if state.missed.is_empty() {
            state.missed_from = None;
        }
    }

    /// The first place that the proxy neither has, nor was told that it has missed; `None` when there is none.
    pub(super) fn first_owed(&self) -> Option<Position> {
        let state = self.lock();
        let waiting = state.waiting.front().map(|pending| pending.position);
        let taken = state.taken_from.filter(|_| state.taken > 0);
        [taken, waiting, state.missed_from].into_iter().flatten().min_by_key(|position| position.seq)
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        let state = self.lock();
        state.waiting.len() + state.taken < self.capacity
    }

    /// Lets go of everything that is not under way: another process brings it to the proxy.
    pub(super) fn forget(&self) {
        let mut state = self.lock();
        let waiting = std::mem::take(&mut state.waiting);
        (state.missed, state.missed_from, state.hint_now) = (BTreeSet::new(), None, false);
        self.note_drained(&state);
        drop((state, waiting));
    }

    /// Fails an event that was not taken.
    pub(super) fn refuse(&self, pending: &Pending, error: Error) {
        self.lock().failed += 1;
        self.tell(pending, Err(error));
    }

    /// Says what became of one event, also to the application's observer if it failed.
    fn tell(&self, pending: &Pending, result: Result<()>) {
        let hub = if result.is_err() { self.hub.upgrade() } else { None };
        let settle = |result| pending.ticket.settle(pending.index, result);
        let (Some(hub), Err(error)) = (hub, &result) else { return settle(result) };
        let failure = PublishFailure {
            proxy: Some(self.proxy.clone()),
            channel: pending.channel.to_string(),
            position: Some(pending.position),
            error: error.clone(),
        };
        hub.counters.count_publish_failure();
        hub.tell(|observer| observer.publish_failed(&failure));
        // Who waits for it may be called back, on a thread that is not ours.
        hub.callbacks.run(|| settle(result));
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits until `deadline` for all events to be delivered.
    pub(super) fn flush(&self, deadline: Instant) {
        let mut state = self.lock();
        state.failed_before = Some(state.failed);
        while state.taken > 0 || !state.waiting.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = unpoison(self.drained.wait_timeout(state, left)).0;
        }
    }

    /// Takes no more, and gives back what waits, to be [abandoned](Self::abandon).
    pub(super) fn close(&self) -> Vec<Pending> {
        let mut state = self.lock();
        state.closed = true;
        let abandoned: Vec<Pending> = state.waiting.drain(..).collect();
        state.failed += abandoned.len() as u64;
        drop(state);
        self.changed.notify_one();
        abandoned
    }

    /// Tells of what was not delivered before the end.
    pub(super) fn abandon(&self, abandoned: &[Pending]) {
        for pending in abandoned {
            self.tell(pending, Err(Error::new(ErrorKind::Closed, ABANDONED)));
        }
    }

    /// Events that have failed since closing began, or wait, or are under way: those may still arrive, but nobody will
    /// know.
    pub(super) fn undelivered(&self) -> u64 {
        let state = self.lock();
        let failed = state.failed - state.failed_before.unwrap_or(state.failed);
        failed + (state.waiting.len() + state.taken) as u64
    }

    /// Notes whether the proxy could be reached.
    pub(super) fn note_reached(&self, reached: bool) {
        let mut state = self.lock();
        if reached {
            state.failing = None;
        } else {
            let now = Instant::now();
            state.failing.get_or_insert((now, now)).1 = now;
        }
    }

    pub(super) fn figures(&self) -> ProxyFigures {
        let state = self.lock();
        ProxyFigures {
            proxy: self.proxy.clone(),
            waiting: (state.waiting.len() + state.taken) as u64,
            failed: state.failed,
            failing_for: state
                .failing
                .filter(|(_, last)| last.elapsed() < FAILS_FOR)
                .map(|(since, _)| since.elapsed()),
        }
    }

    /// Notes that the proxy will not get an event. Beyond so many channels it finds out by itself, only later.
    fn miss(&self, state: &mut State, pending: &Pending) {
        if self.hints.is_some() && !matches!(pending.load, Ok(Load::End(_))) {
            self.note_missed(state, pending.position, &pending.channel);
        }
    }

    fn note_missed(&self, state: &mut State, place: Position, channel: &Arc<str>) {
        if state.missed.len() < self.capacity && state.missed.insert(channel.clone()) {
            state.missed_from.get_or_insert(place);
        }
    }

    /// Tells who waits for it that nothing is on its way any more. For whoever has taken something out.
    fn note_drained(&self, state: &State) {
        if state.taken == 0 && state.waiting.is_empty() {
            self.drained.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
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
        self.taken_from = taken.first().map(|pending| pending.position);
        self.taken += taken.len();
        taken
    }
}

impl Taken {
    /// The request that carries them.
    pub(super) fn body(&self) -> Bytes {
        let mut batch = Batch::new();
        for pending in &self.events {
            let fits = pending.add_to(&mut batch);
            debug_assert!(fits, "what was taken together fits together");
        }
        batch.into_body().into()
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// When the last of them is given up; `None` when there is none left.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.events.iter().map(|pending| pending.deadline).max()
    }

    /// Says what became of all of them.
    pub(super) fn settle(mut self, result: &Result<()>) {
        self.settle_those(|_| true, result);
    }

    /// Fails those that cannot wait until `next`, all of them when the queue is closed; gives back how many those are.
    pub(super) fn expire(&mut self, next: Instant, last_error: &Error) -> usize {
        let closed = self.queue.is_closed();
        self.settle_those(|pending| closed || pending.deadline <= next, &Err(too_late(last_error)))
    }

    /// Each of them alone.
    pub(super) fn split(mut self) -> impl Iterator<Item = Self> {
        let queue = self.queue.clone();
        let events = std::mem::take(&mut self.events);
        // Made at once, so that those which are not come to are settled too.
        let singles: Vec<Self> =
            events.into_iter().map(|event| Self { queue: queue.clone(), events: vec![event] }).collect();
        singles.into_iter()
    }

    fn settle_those(&mut self, are_over: impl Fn(&Pending) -> bool, result: &Result<()>) -> usize {
        let over: Vec<Pending> = self.events.extract_if(.., |pending| are_over(pending)).collect();
        if !over.is_empty() {
            self.queue.settle_taken(&over, result);
        }
        over.len()
    }
}

/// Where the reader has panicked, its events have failed. Where it was only dropped, each says so itself.
impl Drop for Taken {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = Error::new(ErrorKind::Internal, "publishing to the proxy has panicked");
            self.settle_those(|_| true, &Err(error));
        }
    }
}

impl Pending {
    /// Adds it to a request; false if it does not fit.
    fn add_to(&self, batch: &mut Batch) -> bool {
        match &self.load {
            Ok(Load::Event(item)) => {
                let place = Place { id: self.position, previous: self.previous, no_seq: self.no_seq };
                batch.push_placed(item, &place)
            }
            Ok(Load::End(items)) => batch.push_all(items),
            Err(_) => false,
        }
    }
}

/// The error of an event that was tried, or had to wait, until its deadline.
fn too_late(last_error: &Error) -> Error {
    let text = format!("{last_error}; given up at the deadline (grip_deadline_ms)");
    Error::new(last_error.kind(), text).with_source(last_error.clone())
}

/// Enough to amortise a request; few enough that a proxy's queues are not flooded.
const MAX_BATCH_EVENTS: usize = 200;

/// How long it counts that a proxy could not be reached: nobody knows when there is nothing more to send it.
const FAILS_FOR: Duration = Duration::from_secs(30);

const ABANDONED: &str = "the events were closed before it was delivered";
