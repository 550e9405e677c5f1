//! The thread that follows a journal into the log of this process.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{Entry, Journal, ORDERS, Reader, What};
use crate::{
    clock::{Clock, unix_ms},
    error::{Error, ErrorKind, Result},
    log::Log,
    sync::{lock, unpoison},
    threads::spawn,
    wire::Epoch,
};

/// Follows a journal. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Follower {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What a follower has seen of its journal.
#[derive(Debug, Default)]
struct Shared {
    stop: Mutex<bool>,
    changed: Condvar,
    connected: AtomicBool,
    lag_ms: AtomicU64,
    epochs: AtomicU64,
}

impl Follower {
    /// Starts the thread, which calls `obey` with what is meant for the process itself. Nobody else may append to `log` from
    /// now on.
    pub(crate) fn start(
        journal: &dyn Journal,
        log: &Arc<Log>,
        clock: Clock,
        obey: impl FnMut(Heard<'_>) + Send + 'static,
    ) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let following = Following {
            log: log.clone(),
            clock,
            shared: shared.clone(),
            failing: false,
            since_unix_ms: unix_ms(),
            obey: Box::new(obey),
        };
        let reader = journal.reader();
        let thread = spawn("evstream-follow", move || following.run(reader))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Ends the thread and waits for that; it may be waiting for the journal.
    pub(crate) fn close(&self) {
        self.shared.stop();
        if lock(&self.thread).take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("following the journal has ended with a panic");
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.shared.connected.load(Ordering::Relaxed)
    }

    pub(crate) fn lag_ms(&self) -> u64 {
        self.shared.lag_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn epochs(&self) -> u64 {
        self.shared.epochs.load(Ordering::Relaxed)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Shared {
    fn stop(&self) {
        *lock(&self.stop) = true;
        self.changed.notify_all();
    }

    fn is_stopping(&self) -> bool {
        *lock(&self.stop)
    }

    /// Sleeps for this time, or until it is to stop.
    fn pause(&self, time: Duration) {
        let waited = self.changed.wait_timeout_while(lock(&self.stop), time, |stop| !*stop);
        drop(unpoison(waited));
    }
}

/// What a reader has; its panic is a fault that may pass, and what it has handed out counts.
fn read(reader: &mut dyn Reader, entries: &mut Vec<Entry>) -> Result<Option<u64>> {
    catch_unwind(AssertUnwindSafe(|| reader.read(entries, WAIT)))
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "reading the journal has panicked")))
}

/// What a process hears for itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Heard<'a> {
    /// What another process, or this one, wants done.
    Order(&'a str),
    /// Orders are missing.
    Missing,
    /// This is the journal from now on.
    Journal(Epoch),
}

type Obey = Box<dyn FnMut(Heard<'_>) + Send>;

struct Following {
    log: Arc<Log>,
    clock: Clock,
    shared: Arc<Shared>,
    /// Whether the last attempt has failed, which is logged once.
    failing: bool,
    /// When it was started, before which there were no streams.
    since_unix_ms: u64,
    obey: Obey,
}

impl Following {
    fn run(mut self, mut reader: Box<dyn Reader>) {
        let mut entries = Vec::new();
        let mut pause = FIRST_PAUSE;
        while !self.shared.is_stopping() {
            let check = self.log.begin_check();
            match read(&mut *reader, &mut entries) {
                Ok(head) => {
                    self.note(None);
                    pause = FIRST_PAUSE;
                    self.apply(entries.drain(..));
                    if head.is_some() {
                        self.log.end_check(check);
                    }
                }
                Err(error) => {
                    // What it has handed out before that counts.
                    self.apply(entries.drain(..));
                    self.note(Some(&error));
                    self.shared.pause(pause + pause.mul_f64(fastrand::f64()));
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
    }

    fn apply(&mut self, entries: impl Iterator<Item = Entry>) {
        for entry in entries {
            let (Entry::Begin { floor: seq, .. } | Entry::Placed { seq, .. }) = entry;
            if catch_unwind(AssertUnwindSafe(|| self.apply_one(entry))).is_err() {
                tracing::error!(
                    "following the journal has panicked: clients are told that they have missed events"
                );
                let lose = || self.log.lose_at::<&str>(seq, &[], self.clock.now_ms());
                let _ = catch_unwind(AssertUnwindSafe(lose));
            }
        }
    }

    fn apply_one(&mut self, entry: Entry) {
        match entry {
            Entry::Begin { epoch, floor } if self.is_known(epoch) => {
                tracing::warn!("this process was too slow for the journal, which has lost events of it");
                self.log.lose_at::<&str>(floor, &[], self.clock.now_ms());
                (self.obey)(Heard::Missing);
            }
            Entry::Begin { epoch, floor } => {
                if self.shared.epochs.fetch_add(1, Ordering::Relaxed) > 0 {
                    tracing::warn!(
                        "the journal is another than before: clients are told that they have missed events"
                    );
                }
                self.log.rebase(epoch, floor, self.clock.now_ms());
                (self.obey)(Heard::Journal(epoch));
            }
            Entry::Placed { seq, at_unix_ms, what: What::Lost { channels } } => {
                self.log.lose_at(seq, &channels, self.clock.now_ms());
                let has_orders = channels.is_empty() || channels.iter().any(|name| **name == *ORDERS);
                if has_orders && self.is_new(at_unix_ms) {
                    (self.obey)(Heard::Missing);
                }
            }
            Entry::Placed { seq, at_unix_ms, what: What::Event { channel, event } }
                if *channel == *ORDERS =>
            {
                // First, so that no reader is at its place when it panics and a loss is told there.
                if self.is_new(at_unix_ms) {
                    (self.obey)(Heard::Order(&event.data));
                }
                self.log.pass(seq);
            }
            Entry::Placed { seq, at_unix_ms, what: What::Event { channel, event } } => {
                let now_ms = self.clock.now_ms();
                self.shared.lag_ms.store(unix_ms().saturating_sub(at_unix_ms), Ordering::Relaxed);
                let channel = self.log.channel(&channel, now_ms);
                self.log.append_at(seq, &channel, &event, self.clock.at_ms(at_unix_ms).min(now_ms));
            }
        }
    }

    /// Whether streams of this process may be meant: who comes to an old journal had none then, but has some while it
    /// reads what is there.
    fn is_new(&self, at_unix_ms: u64) -> bool {
        !self.log.is_waiting() || at_unix_ms >= self.since_unix_ms
    }

    fn is_known(&self, epoch: Epoch) -> bool {
        self.shared.epochs.load(Ordering::Relaxed) > 0 && self.log.epoch() == epoch
    }

    /// Notes how the journal does; when that changes, it is logged.
    fn note(&mut self, error: Option<&Error>) {
        self.shared.connected.store(error.is_none(), Ordering::Relaxed);
        match (error, std::mem::replace(&mut self.failing, error.is_some())) {
            (Some(error), false) => {
                tracing::warn!(%error, "the journal cannot be followed; streams stay open");
            }
            (None, true) => tracing::info!("the journal is followed again"),
            _ => {}
        }
    }
}

/// How long one look at the journal takes at most, and so closing.
const WAIT: Duration = Duration::from_millis(500);

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;

#[cfg(test)]
mod panics;
