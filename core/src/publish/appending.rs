//! Events on their way to the journal: a bounded queue, and the thread that appends what is in it.

use std::{
    collections::{BTreeSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, Weak},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{Receipt, exiting::wait_at_exit, recent::Recent, ticket::Ticket};
use crate::{
    error::{Error, ErrorKind, Result},
    journal::{Journal, ORDERS, Record, What, Writer},
    log::Channel,
    stream::{Hub, PublishFailure},
    sync::{lock, unpoison},
    threads::spawn,
    wire::{Epoch, Event, Position},
    without::{Protection, without},
};

/// Appends the events of this process to a journal. Dropping it leaves what waits to the thread, which then ends.
#[derive(Debug)]
pub(crate) struct Appending {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
pub(super) struct Queue {
    capacity: usize,
    hub: Weak<Hub>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Pending>,
    /// Events that the thread has taken and not settled.
    taken: usize,
    /// What readers are to be told that they have missed.
    lost: Lost,
    /// The number of the last record.
    number: u64,
    /// The place of the last event that was appended.
    last: Option<Position>,
    /// What was ordered of late.
    recent: Recent,
    failed: u64,
    /// How many had failed when closing began.
    failed_before: Option<u64>,
    closed: bool,
    /// Nobody can publish any more; what waits is still appended.
    abandoned: bool,
}

/// Channels on which events are missing.
#[derive(Debug, Default)]
struct Lost {
    channels: BTreeSet<Box<str>>,
    /// More than can be named.
    all: bool,
}

/// A record on its way.
#[derive(Debug)]
struct Pending {
    record: Record,
    deadline: Instant,
    /// `None` for news of losses, for which nobody waits.
    ticket: Option<Arc<Ticket>>,
}

impl Appending {
    /// Starts the thread.
    pub(crate) fn start(journal: &Arc<dyn Journal>, hub: &Arc<Hub>) -> Result<Self> {
        let queue = Arc::new(Queue {
            capacity: hub.config().journal_queue_events as usize,
            hub: Arc::downgrade(hub),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let (own, journal) = (queue.clone(), journal.clone());
        let thread = spawn("evstream-append", move || own.run(&*journal))?;
        wait_at_exit(&queue);
        Ok(Self { queue, thread: Mutex::new(Some(thread)) })
    }

    /// Leaves an event with the queue. Never waits for the journal.
    pub(crate) fn publish(&self, channel: &Channel, event: &Event<'_>, deadline: Instant) -> Receipt {
        let ticket = Ticket::of_journal();
        let what = What::Event { channel: channel.name().into(), event: event.to_static() };
        self.queue.push(what, deadline, &ticket);
        Receipt::journaled(channel.subscribers(), ticket)
    }

    /// Leaves an order for all processes with the queue; `again` is said should the journal be lost soon.
    pub(crate) fn order(&self, order: &Event<'_>, again: &Event<'_>, deadline: Instant) -> Receipt {
        let ticket = Ticket::of_journal();
        self.queue.lock().recent.keep(again.to_static(), Instant::now());
        let what = What::Event { channel: ORDERS.into(), event: order.to_static() };
        self.queue.push(what, deadline, &ticket);
        Receipt::journaled(0, ticket)
    }

    /// Notes which journal there is, by what was read of it.
    pub(crate) fn is_in(&self, epoch: Epoch) {
        self.queue.note_epoch(self.queue.lock(), epoch);
    }

    /// Waits until everything is appended; then, or at the deadline, ends the thread. `tell` is told how many events were
    /// not appended.
    pub(crate) fn close(&self, deadline: Instant, tell: impl FnOnce(u64)) {
        self.queue.begin_closing();
        self.queue.flush(deadline);
        let abandoned = self.queue.close();
        tell(self.undelivered());
        self.queue.tell(&abandoned, &closed());
    }

    /// Waits until the thread has ended, which may be waiting for the journal.
    pub(crate) fn join(&self) {
        if lock(&self.thread).take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("appending to the journal has ended with a panic");
        }
    }

    /// Events that are not appended yet, or will not be, since closing began.
    pub(crate) fn undelivered(&self) -> u64 {
        let state = self.queue.lock();
        state.failed - state.failed_before.unwrap_or(state.failed) + state.unsettled()
    }

    /// The place of the last event that was appended.
    pub(crate) fn last(&self) -> Option<Position> {
        self.queue.lock().last
    }

    /// Events that are not appended yet.
    pub(crate) fn waiting(&self) -> u64 {
        self.queue.lock().unsettled()
    }

    /// Events that were not appended so far.
    pub(crate) fn failed(&self) -> u64 {
        self.queue.lock().failed
    }
}

impl Drop for Appending {
    fn drop(&mut self) {
        self.queue.lock().abandoned = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn push(&self, what: What, deadline: Instant, ticket: &Arc<Ticket>) {
        let mut state = self.lock();
        let refused = if state.closed {
            Error::new(ErrorKind::Closed, "the events are closed")
        } else if state.waiting.len() + state.taken >= self.capacity {
            let text =
                format!("{} events wait for the journal already (journal_queue_events)", self.capacity);
            Error::new(ErrorKind::QueueFull, text)
        } else {
            state.waiting.push_back(Pending::new(what, deadline, ticket));
            let is_first = state.waiting.len() == 1;
            drop(state);
            if is_first {
                self.changed.notify_all();
            }
            return;
        };
        self.fail(state, &[Pending::new(what, deadline, ticket)], &refused);
    }

    /// Appends until the queue is closed. A panic costs no more than the events under way.
    fn run(&self, journal: &dyn Journal) {
        let append = || self.append_all(&mut *journal.writer());
        while catch_unwind(AssertUnwindSafe(append)).is_err() {
            tracing::error!("appending to the journal has panicked; it goes on");
            self.lock().taken = 0;
            self.pause(Instant::now() + FIRST_PAUSE);
        }
    }

    fn append_all(&self, writer: &mut dyn Writer) {
        let mut pause = FIRST_PAUSE;
        let mut batch = Vec::new();
        while self.take(&mut batch) {
            let timeout = batch_timeout(&batch);
            let records: Vec<Record> = batch.iter().map(|pending| pending.record.clone()).collect();
            match writer.append(&records, timeout) {
                Ok(positions) => {
                    debug_assert_eq!(positions.len(), batch.len());
                    self.settle(batch.drain(..).zip(positions));
                    pause = FIRST_PAUSE;
                }
                Err(error) if !error.kind().is_retryable() => {
                    // News of losses that is refused is news again, and would be for ever, and at once.
                    if self.append_singly(writer, &mut batch, &error) {
                        self.pause(Instant::now() + pause);
                        pause = (pause * 2).min(MAX_PAUSE);
                    }
                }
                Err(error) => {
                    let next = Instant::now() + pause + pause.mul_f64(fastrand::f64() / 2.0);
                    tracing::debug!(%error, "appending to the journal again");
                    self.expire(&mut batch, next, &error);
                    self.pause(next);
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
    }

    /// Finds out which records of a batch the journal refuses. Whether news of losses is among them.
    fn append_singly(&self, writer: &mut dyn Writer, batch: &mut Vec<Pending>, error: &Error) -> bool {
        let alone = batch.len() == 1;
        let mut is_news_refused = false;
        for pending in std::mem::take(batch) {
            let records = std::slice::from_ref(&pending.record);
            let result = if alone {
                Err(error.clone())
            } else {
                writer.append(records, batch_timeout(std::slice::from_ref(&pending)))
            };
            match result {
                Ok(positions) => self.settle([pending].into_iter().zip(positions)),
                // From here on again.
                Err(error) if error.kind().is_retryable() => batch.push(pending),
                Err(_) if !batch.is_empty() => batch.push(pending),
                Err(error) => {
                    tracing::warn!(%error, "the journal has refused an event");
                    is_news_refused |= pending.ticket.is_none();
                    let mut state = self.lock();
                    state.taken -= pending.events();
                    self.fail(state, &[pending], &error);
                }
            }
        }
        is_news_refused
    }

    /// Adds to `batch` what goes into it, waiting for the first; false when the queue is closed and empty.
    fn take(&self, batch: &mut Vec<Pending>) -> bool {
        let mut state = self.lock();
        while batch.is_empty() && state.waiting.is_empty() && state.lost.is_none() {
            if state.closed || state.abandoned {
                return false;
            }
            state = unpoison(self.changed.wait(state));
        }
        if state.closed {
            // What waited was given up, and what is under way has had its time.
            let batch = std::mem::take(batch);
            state.taken -= batch.iter().map(Pending::events).sum::<usize>();
            self.fail(state, &batch, &closed());
            return false;
        }
        if batch.len() < MAX_BATCH_EVENTS
            && let Some(what) = state.lost.take()
        {
            // Before what waits, which was published after it.
            state.number += 1;
            let record = Record { number: state.number, what };
            batch.push(Pending { record, deadline: Instant::now() + FOR_NEWS, ticket: None });
        }
        let mut bytes: usize = batch.iter().map(Pending::bytes).sum();
        while batch.len() < MAX_BATCH_EVENTS
            && let Some(pending) = state.waiting.front()
            && (batch.is_empty() || bytes + pending.bytes() <= MAX_BATCH_BYTES)
        {
            bytes += pending.bytes();
            state.number += 1;
            let number = state.number;
            if let Some(mut pending) = state.waiting.pop_front() {
                pending.record.number = number;
                batch.push(pending);
                state.taken += 1;
            }
        }
        true
    }

    fn settle(&self, appended: impl Iterator<Item = (Pending, Position)>) {
        let settled: Vec<(Pending, Position)> = appended.collect();
        let mut state = self.lock();
        state.taken -= settled.iter().map(|(pending, _)| pending.events()).sum::<usize>();
        state.last = settled.last().map(|(_, position)| *position).or(state.last);
        let is_drained = state.is_drained();
        match state.last {
            Some(last) => self.note_epoch(state, last.epoch),
            None => drop(state),
        }
        if is_drained {
            self.changed.notify_all();
        }
        for (pending, position) in settled {
            if let Some(ticket) = &pending.ticket {
                self.run_callbacks(|| ticket.settle_journal(Ok(position)));
            }
        }
    }

    /// Says again what was lost, when the journal is another than before.
    fn note_epoch(&self, mut state: MutexGuard<'_, State>, epoch: Epoch) {
        let now = Instant::now();
        let again = state.recent.is_in(epoch, now);
        if again.is_empty() || state.closed {
            return;
        }
        tracing::warn!(
            orders = again.len(),
            "the journal is another: streams that were ended are ended again"
        );
        for order in again {
            let what = What::Event { channel: ORDERS.into(), event: order };
            state.waiting.push_back(Pending::new(what, now + FOR_NEWS, &Ticket::of_journal()));
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Fails what cannot wait until `next`, in the batch and behind it.
    fn expire(&self, batch: &mut Vec<Pending>, next: Instant, last_error: &Error) {
        let mut state = self.lock();
        let mut late: Vec<Pending> = batch.extract_if(.., |pending| pending.deadline <= next).collect();
        state.taken -= late.iter().map(Pending::events).sum::<usize>();
        while state.waiting.front().is_some_and(|pending| pending.deadline <= next) {
            late.extend(state.waiting.pop_front());
        }
        if late.is_empty() {
            return;
        }
        tracing::warn!(events = late.len(), error = %last_error, "events could not be appended to the journal");
        let text = format!("the journal could not be reached in time (journal_deadline_ms): {last_error}");
        self.fail(
            state,
            &late,
            &Error::new(ErrorKind::JournalUnavailable, text).with_source(last_error.clone()),
        );
    }

    /// Notes that events will not be appended, and says so.
    fn fail(&self, mut state: MutexGuard<'_, State>, failed: &[Pending], error: &Error) {
        for pending in failed {
            state.lost.add(&pending.record.what);
            state.failed += pending.events() as u64;
        }
        drop(state);
        self.changed.notify_all();
        self.tell(failed, error);
    }

    /// Tells who waits, and the application's observer, of what has failed.
    fn tell(&self, failed: &[Pending], error: &Error) {
        for pending in failed {
            let (Some(ticket), What::Event { channel, .. }) = (&pending.ticket, &pending.record.what) else {
                continue;
            };
            if let Some(hub) = self.hub.upgrade() {
                let failure = PublishFailure {
                    proxy: None,
                    channel: channel.to_string(),
                    position: None,
                    error: error.clone(),
                };
                hub.counters.count_publish_failure();
                hub.tell(|observer| observer.publish_failed(&failure));
            }
            self.run_callbacks(|| ticket.settle_journal(Err(error.clone())));
        }
    }

    /// Who waits may be called back, on a thread that is not ours.
    fn run_callbacks(&self, settle: impl FnOnce()) {
        match self.hub.upgrade() {
            Some(hub) => hub.callbacks.run(settle),
            None => settle(),
        }
    }

    fn pause(&self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        drop(unpoison(self.changed.wait_timeout_while(self.lock(), left, |state| !state.closed)));
    }

    /// Waits until all is settled, and says how many events are not at the deadline.
    pub(super) fn flush(&self, deadline: Instant) -> u64 {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(self.lock(), left, |state| !state.is_drained());
        unpoison(waited).0.unsettled()
    }

    /// What fails from now on counts as undelivered.
    fn begin_closing(&self) {
        let mut state = self.lock();
        state.failed_before = Some(state.failed);
    }

    /// Takes no more, and gives back what waits.
    fn close(&self) -> Vec<Pending> {
        let mut state = self.lock();
        state.closed = true;
        let abandoned: Vec<Pending> = state.waiting.drain(..).collect();
        state.failed += abandoned.len() as u64;
        drop(state);
        self.changed.notify_all();
        abandoned
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Events that are not settled.
    fn unsettled(&self) -> u64 {
        (self.waiting.len() + self.taken) as u64
    }

    fn is_drained(&self) -> bool {
        self.waiting.is_empty() && self.taken == 0
    }
}

impl Pending {
    fn new(what: What, deadline: Instant, ticket: &Arc<Ticket>) -> Self {
        // It gets its number when its turn comes.
        Self { record: Record { number: 0, what }, deadline, ticket: Some(ticket.clone()) }
    }

    /// How many events of the application it is.
    fn events(&self) -> usize {
        usize::from(self.ticket.is_some())
    }

    fn bytes(&self) -> usize {
        match &self.record.what {
            What::Event { channel, event } => channel.len() + event.bytes(),
            What::Lost { channels } => channels.iter().map(|channel| channel.len()).sum(),
        }
    }
}

/// Settles the ticket however the event is dropped.
impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(ticket) = &self.ticket {
            ticket.settle_journal(Err(closed()));
        }
    }
}

impl Lost {
    fn add(&mut self, what: &What) {
        if without(Protection::Markers) {
            return;
        }
        match what {
            What::Event { channel, .. } => drop(self.channels.insert(channel.clone())),
            What::Lost { channels } if channels.is_empty() => self.all = true,
            What::Lost { channels } => self.channels.extend(channels.iter().cloned()),
        }
        self.all |= self.channels.len() > MAX_LOST;
        if self.all {
            self.channels.clear();
        }
    }

    fn is_none(&self) -> bool {
        !self.all && self.channels.is_empty()
    }

    fn take(&mut self) -> Option<What> {
        if self.is_none() {
            return None;
        }
        Some(What::Lost { channels: std::mem::take(self).channels.into_iter().collect() })
    }
}

/// How long appending a batch may take, by the time that is left for it.
fn batch_timeout(batch: &[Pending]) -> Duration {
    let latest = batch.iter().map(|pending| pending.deadline).max();
    let left = latest.map_or(Duration::ZERO, |latest| latest.saturating_duration_since(Instant::now()));
    left.clamp(MIN_TIMEOUT, MAX_TIMEOUT)
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the events were closed before the journal had taken the event")
}

const MAX_BATCH_EVENTS: usize = 1_000;
const MAX_BATCH_BYTES: usize = 1_048_576;

/// Channels that one record names.
const MAX_LOST: usize = 1_000;

/// How long telling of losses is tried; then it begins again.
const FOR_NEWS: Duration = Duration::from_secs(60);

const MIN_TIMEOUT: Duration = Duration::from_millis(50);
const MAX_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(1);
