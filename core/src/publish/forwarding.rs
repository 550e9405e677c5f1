//! Forwarding: of the processes that share a journal, one sends its events to the GRIP proxies, in their order.
//!
//! It holds a lease for that. When it ends, another takes it and goes on from where it was; what is sent twice by that a proxy
//! knows by its id.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, Weak},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{ProxyFigures, Publisher};
use crate::{
    clock::{Clock, unix_ms},
    error::{Error, Result},
    journal::{Entry, Journal, Lease, ORDERS, What},
    log::{Limits, Log},
    stream::{Hub, LastWords, Order, Who},
    sync::{lock, unpoison},
    threads::spawn,
    wire::Position,
};

/// Forwards events while this process has the lease. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Forwarding {
    publisher: Arc<Publisher>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: Mutex<Option<Stop>>,
    changed: Condvar,
}

/// How the thread is to end.
#[derive(Clone, Copy, Debug)]
struct Stop {
    deadline: Instant,
    /// Until when it is to wait for the lease, to forward what this process has published.
    patience: Instant,
    /// The last event that this process has published.
    own: Option<Position>,
}

impl Forwarding {
    /// Starts the thread, which waits for the lease.
    pub(crate) fn start(
        journal: &Arc<dyn Journal>,
        publisher: Publisher,
        hub: &Arc<Hub>,
        clock: Clock,
    ) -> Result<Self> {
        let (publisher, shared) = (Arc::new(publisher), Arc::new(Shared::default()));
        let forwarder = Forwarder {
            journal: journal.clone(),
            publisher: publisher.clone(),
            shared: shared.clone(),
            hub: Arc::downgrade(hub),
            // It keeps the places of events only.
            limits: Limits { history_events: 0, ..Limits::from(hub.config()) },
            clock,
            tried_for: Duration::from_millis(hub.config().grip_deadline_ms),
        };
        let thread = spawn("evstream-forward", move || forwarder.run())?;
        Ok(Self { publisher, shared, thread: Mutex::new(Some(thread)) })
    }

    pub(crate) fn figures(&self) -> Vec<ProxyFigures> {
        self.publisher.figures()
    }

    /// Has what is in the journal now forwarded, by this process or another, and gives up the lease, by the deadline. `own` is
    /// the last event that this process has published.
    pub(crate) fn close(&self, deadline: Instant, own: Option<Position>) {
        let patience = deadline.min(Instant::now() + FOR_LEASE);
        self.shared.stop(Stop { deadline, patience, own });
        if lock(&self.thread).take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("forwarding the journal has ended with a panic");
        }
        // Whoever has the lease next goes on with what is left.
        self.publisher.forget();
        self.publisher.close(Instant::now(), |_| ());
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        let now = Instant::now();
        self.shared.stop(Stop { deadline: now, patience: now, own: None });
    }
}

impl Shared {
    fn stop(&self, stop: Stop) {
        lock(&self.stop).get_or_insert(stop);
        self.changed.notify_all();
    }

    fn stopping(&self) -> Option<Stop> {
        *lock(&self.stop)
    }

    /// Sleeps for this time, or until it is to stop.
    fn pause(&self, time: Duration) {
        let waited = self.changed.wait_timeout_while(lock(&self.stop), time, |stop| stop.is_none());
        drop(unpoison(waited));
    }
}

/// What the thread works with.
struct Forwarder {
    journal: Arc<dyn Journal>,
    publisher: Arc<Publisher>,
    shared: Arc<Shared>,
    hub: Weak<Hub>,
    limits: Limits,
    clock: Clock,
    /// How long sending an event is tried.
    tried_for: Duration,
}

impl Forwarder {
    /// Forwards whenever it has the lease. A panic gives that up, and costs no more.
    fn run(self) {
        let (mut failing, mut pause) = (false, LOOK_AGAIN);
        let mut lease = self.journal.lease();
        loop {
            let forward = || self.forward_if_leased(&mut *lease);
            let outcome = catch_unwind(AssertUnwindSafe(forward)).unwrap_or_else(|_| {
                tracing::error!("forwarding the journal has panicked; it goes on");
                lease = self.journal.lease();
                Ok(false)
            });
            match &outcome {
                Err(error) if !failing => {
                    tracing::warn!(%error, "the journal cannot be asked who forwards it to GRIP proxies");
                }
                _ => {}
            }
            failing = outcome.is_err();
            pause = if failing { (pause * 2).min(MAX_PAUSE) } else { LOOK_AGAIN };
            match self.shared.stopping() {
                None => self.shared.pause(pause + pause.mul_f64(fastrand::f64() / 4.0)),
                Some(stop) if matches!(outcome, Ok(true)) || Instant::now() >= stop.patience => return,
                Some(_) => std::thread::sleep(CLOSING_WAIT),
            }
        }
    }

    /// Takes the lease if it can, and forwards until it loses it or is to stop. Gives back whether there is nothing left to
    /// do for one that is to stop.
    fn forward_if_leased(&self, lease: &mut dyn Lease) -> Result<bool> {
        if lease.take()? {
            tracing::debug!("this process forwards the journal to GRIP proxies");
            let outcome = self.forward(lease);
            self.publisher.forget();
            return outcome;
        }
        // Another does it; or was about to end, and has not.
        Ok(match self.shared.stopping().and_then(|stop| stop.own) {
            None => true,
            Some(own) => lease.forwarded()?.is_some_and(|at| at.epoch != own.epoch || at.seq >= own.seq),
        })
    }

    /// Gives back whether everything is forwarded, so that it may stop.
    fn forward(&self, lease: &mut dyn Lease) -> Result<bool> {
        let mut course = Course {
            forwarder: self,
            log: Log::following(self.limits),
            done: lease.forwarded()?,
            has_begun: false,
            is_live: false,
        };
        let mut reader = self.journal.reader();
        let (mut entries, mut failing, mut kept) = (Vec::new(), false, Instant::now());
        loop {
            let stop = self.shared.stopping();
            let wait = match self.publisher.first_owed() {
                _ if stop.is_some() => CLOSING_WAIT,
                Some(_) => KEEP_EVERY,
                None => WAIT,
            };
            let outcome = reader.read(&mut entries, wait);
            for entry in entries.drain(..) {
                while !self.publisher.has_room() {
                    if !keep(lease, course.forwarded()) {
                        return Ok(false);
                    }
                    if self.is_late() {
                        return Ok(true);
                    }
                    std::thread::sleep(CLOSING_WAIT);
                }
                course.apply(entry);
            }
            match &outcome {
                Ok(head) => course.is_live |= head.is_some(),
                Err(error) if !failing => {
                    tracing::warn!(%error, "the journal cannot be read; what is published waits for GRIP proxies");
                }
                Err(_) => {}
            }
            failing = outcome.is_err();
            course.log.sweep_if_due(self.clock.now_ms());
            if stop.is_some() || kept.elapsed() >= KEEP_EVERY {
                kept = Instant::now();
                if !keep(lease, course.forwarded()) {
                    tracing::info!("another process forwards the journal to GRIP proxies now");
                    return Ok(false);
                }
            }
            if stop.is_some() && matches!(outcome, Ok(Some(_))) && self.publisher.first_owed().is_none() {
                return Ok(true);
            }
            if self.is_late() {
                if let Some(owed) = self.publisher.first_owed() {
                    tracing::warn!(from = %owed, "events were not forwarded to GRIP proxies before closing");
                }
                return Ok(true);
            }
            if failing {
                self.shared.pause(LOOK_AGAIN);
            }
        }
    }

    fn is_late(&self) -> bool {
        self.shared.stopping().is_some_and(|stop| Instant::now() >= stop.deadline)
    }
}

/// Keeps a lease. One that cannot be renewed for the moment is held until it says that it is not.
fn keep(lease: &mut dyn Lease, forwarded: Option<Position>) -> bool {
    lease.keep(forwarded).unwrap_or_else(|error: Error| {
        tracing::debug!(%error, "the lease could not be renewed");
        true
    })
}

/// How far forwarding has come.
struct Course<'a> {
    forwarder: &'a Forwarder,
    /// The places of the journal, for each event has to name the one before it on its channel.
    log: Log,
    /// Up to where another process has forwarded.
    done: Option<Position>,
    has_begun: bool,
    /// Whether it has come to the end of the journal once.
    is_live: bool,
}

impl Course<'_> {
    fn apply(&mut self, entry: Entry) {
        let Forwarder { publisher, clock, .. } = self.forwarder;
        match entry {
            Entry::Begin { epoch, floor } => {
                let follows = self.done.is_some_and(|done| done.epoch == epoch && done.seq >= floor);
                let is_first = !std::mem::replace(&mut self.has_begun, true);
                if !is_first && self.log.epoch() == epoch {
                    self.log.lose_at(floor, &[] as &[&str], clock.now_ms());
                } else {
                    self.log.rebase(epoch, floor, clock.now_ms());
                }
                if !(is_first && follows) {
                    self.done = None;
                    publisher.hint(self.log.position(floor), &self.all_channels());
                }
            }
            Entry::Placed { seq, what: What::Lost { channels }, .. } => {
                self.log.lose_at(seq, &channels, clock.now_ms());
                if self.is_owed(seq) && channels.is_empty() {
                    publisher.hint(self.log.position(seq), &self.all_channels());
                } else if self.is_owed(seq) {
                    publisher.hint(self.log.position(seq), &channels);
                }
                // Anyone may have been meant.
                if self.is_owed(seq) && (channels.is_empty() || channels.iter().any(|name| **name == *ORDERS))
                {
                    self.end(seq, &Who::everyone(), &LastWords::asked_for(None));
                }
            }
            Entry::Placed { seq, at_unix_ms, what: What::Event { channel, event } }
                if *channel == *ORDERS =>
            {
                self.log.pass(seq);
                if let Some(order) = Order::parse(&event.data).filter(|_| self.is_owed(seq)) {
                    let (who, words) = order.into_parts();
                    // Who was meant so long ago may have come back since, and rightly: the application is asked.
                    let words = if self.is_old(at_unix_ms) { LastWords::asked_for(None) } else { words };
                    self.end(seq, &who, &words);
                }
            }
            Entry::Placed { seq, at_unix_ms, what: What::Event { channel, event } } => {
                let now_ms = clock.now_ms();
                let log_channel = self.log.channel(&channel, now_ms);
                let appended = self.log.append_at(seq, &log_channel, &event, now_ms);
                if self.is_owed(seq) && self.is_old(at_unix_ms) {
                    publisher.hint(appended.position, &[channel]);
                } else if self.is_owed(seq) {
                    let deadline = Instant::now() + self.forwarder.tried_for;
                    publisher.forward(&channel, &event, &appended, deadline);
                }
            }
        }
    }

    /// Has the proxies end streams that are meant by what stands at `seq`.
    fn end(&self, seq: u64, who: &Who, words: &LastWords) {
        let Forwarder { publisher, hub, tried_for, .. } = self.forwarder;
        if let Some(hub) = hub.upgrade() {
            publisher.forward_end(&hub, who, words, self.log.position(seq), Instant::now() + *tried_for);
        }
    }

    fn is_old(&self, at_unix_ms: u64) -> bool {
        !self.is_live && unix_ms().saturating_sub(at_unix_ms) > RESENT_FOR_MS
    }

    fn is_owed(&self, seq: u64) -> bool {
        self.done.is_none_or(|done| seq > done.seq)
    }

    /// Up to where everything is forwarded.
    fn forwarded(&self) -> Option<Position> {
        let head = self.log.head();
        if !self.has_begun || self.done.is_some_and(|done| head < done.seq) {
            return None;
        }
        let owed = self.forwarder.publisher.first_owed();
        Some(match owed {
            Some(owed) => Position { seq: owed.seq - 1, ..owed },
            None => self.log.position(head),
        })
    }

    /// Every channel that this process knows of.
    fn all_channels(&self) -> Vec<Box<str>> {
        let streams = self.forwarder.hub.upgrade();
        let streams = streams.iter().flat_map(|hub| hub.log().names());
        self.log.names().chain(streams).collect()
    }
}

/// How long one look at the journal takes at most.
const WAIT: Duration = Duration::from_millis(500);

/// The same for one that is about to stop.
const CLOSING_WAIT: Duration = Duration::from_millis(20);

/// How often the lease is renewed at most, and how far forwarding has come noted.
const KEEP_EVERY: Duration = Duration::from_millis(100);

/// How soon another notices that nobody has the lease.
const LOOK_AGAIN: Duration = Duration::from_millis(400);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// How long one that closes waits for another to let go of the lease.
const FOR_LEASE: Duration = Duration::from_secs(2);

/// Events that nobody has forwarded for so long are not sent: proxies know the ids of the last minute only, and are told to
/// ask for what they miss.
const RESENT_FOR_MS: u64 = 45_000;
