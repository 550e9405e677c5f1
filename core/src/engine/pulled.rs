//! A stream that its driver reads piece by piece, and the deadlines that a shard keeps for it, also when the driver asks
//! for nothing.
//!
//! How far a client is, only its driver knows, and it shows that by asking for more. So a driver that has something to
//! take, or to send, and does not ask has a client that takes nothing.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, TryLockError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use super::{member::CLOSE_NOTICE_MS, timers::NEVER};
use crate::{
    log::Item,
    stream::{CloseNotice, CloseReason, Ends, Hub, LastWords, OpenStream, Read, Stream, Turn, Who},
    sync::lock,
    wakeups::Signal,
    wire::Frame,
};

/// A pulled stream, which its driver and a shard share.
pub(crate) struct Pulled {
    signal: Signal,
    slot: Mutex<Slot>,
    /// Tells those who wait for the end.
    ended: Notify,
    write_timeout_ms: u64,
    keep_alive_ms: u64,
    ends: Ends,
    /// When there is no more patience with it.
    leave_by_ms: AtomicU64,
    /// What it is to say then.
    words: Mutex<Option<LastWords>>,
    keep_alive_due_ms: AtomicU64,
    hub: Arc<Hub>,
    turn: Turn,
    /// The stream's cursor, once it reads the log like others.
    cursor: AtomicU64,
    /// Since when the driver has had something to take or to send.
    unsent_since_ms: AtomicU64,
}

/// Emptied by whoever ends the stream.
struct Slot {
    stream: Option<Stream>,
    /// Why there is no stream any more.
    reason: CloseReason,
    /// For the driver, should it still ask.
    last_words: Option<Frame>,
}

/// What a driver gets.
pub(crate) enum Next {
    /// The events that were appended to the items.
    Events,
    /// An event of the library's own.
    Frame(Frame),
    /// Nothing at this moment.
    Nothing,
    /// Nothing more.
    End,
}

impl Pulled {
    pub(crate) fn new(stream: Stream, now_ms: u64) -> Arc<Self> {
        let config = stream.hub().config();
        let keep_alive_ms = if config.keep_alive_ms == 0 { NEVER } else { config.keep_alive_ms };
        Arc::new(Self {
            signal: Signal::default(),
            ended: Notify::new(),
            write_timeout_ms: config.write_timeout_ms,
            keep_alive_ms,
            ends: stream.ends(),
            hub: stream.hub().clone(),
            turn: stream.turn(),
            cursor: AtomicU64::new(NEVER),
            leave_by_ms: AtomicU64::new(NEVER),
            words: Mutex::default(),
            keep_alive_due_ms: AtomicU64::new(now_ms.saturating_add(keep_alive_ms)),
            // The first bytes.
            unsent_since_ms: AtomicU64::new(now_ms),
            slot: Mutex::new(Slot { stream: Some(stream), reason: CloseReason::Dropped, last_words: None }),
        })
    }

    pub(crate) fn signal(&self) -> &Signal {
        &self.signal
    }

    /// Reads on, about `max_bytes` at most.
    pub(crate) fn read(&self, max_bytes: usize, items: &mut Vec<Item>, now_ms: u64) -> Next {
        // Before we look: what comes after raises it again, and nothing comes after it was closed.
        let is_last = self.signal.lower();
        let mut slot = lock(&self.slot);
        let Some(stream) = &mut slot.stream else {
            return slot.last_words.take().map_or(Next::End, Next::Frame);
        };
        if is_last && self.closing_words().is_final() {
            return self.say(slot, self.closing_words());
        }
        let read = stream.read(max_bytes, items);
        self.cursor.store(if stream.is_level() { stream.cursor() } else { NEVER }, Ordering::Relaxed);
        let frame = match read {
            Read::Events if !items.is_empty() => {
                self.note_taken(now_ms);
                return Next::Events;
            }
            Read::Notice(frame) => frame,
            Read::End(words) => return self.say(slot, words),
            Read::Events if is_last => return self.say(slot, self.closing_words()),
            Read::Events if self.ends.at_ms <= now_ms => return self.say(slot, self.ends.why.into()),
            Read::Events if self.keep_alive_due_ms.load(Ordering::Relaxed) <= now_ms => stream.keep_alive(),
            Read::Events => {
                self.unsent_since_ms.store(NEVER, Ordering::Relaxed);
                return Next::Nothing;
            }
        };
        self.note_taken(now_ms);
        Next::Frame(frame)
    }

    /// Notes that the driver has something to send from now on.
    pub(crate) fn note_taken(&self, now_ms: u64) {
        self.unsent_since_ms.store(now_ms, Ordering::Relaxed);
        self.keep_alive_due_ms.store(now_ms.saturating_add(self.keep_alive_ms), Ordering::Relaxed);
    }

    /// Ends it, and gives back the last words that are still to be sent; `None` when it had ended.
    pub(crate) fn finish(&self, close_notice: CloseNotice) -> Option<Frame> {
        match self.say(lock(&self.slot), close_notice.into()) {
            Next::Frame(frame) => Some(frame),
            _ => None,
        }
    }

    /// Ends it without a word, if it has not ended.
    pub(crate) fn end(&self, reason: CloseReason) {
        self.end_slot(lock(&self.slot), reason);
    }

    /// Waits until it has ended, by whomever, and says why.
    pub(crate) async fn ended(self: Arc<Self>) -> CloseReason {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if let Some(reason) = self.reason() {
                return reason;
            }
            ended.await;
        }
    }

    fn reason(&self) -> Option<CloseReason> {
        let slot = lock(&self.slot);
        slot.stream.is_none().then_some(slot.reason)
    }

    /// Ends it with these words.
    fn say(&self, slot: MutexGuard<'_, Slot>, words: LastWords) -> Next {
        let Some(frame) = slot.stream.as_ref().map(|stream| stream.last_words(&words)) else {
            return Next::End;
        };
        self.end_slot(slot, words.close_reason());
        Next::Frame(frame)
    }

    fn end_slot(&self, mut slot: MutexGuard<'_, Slot>, reason: CloseReason) {
        let Some(stream) = slot.stream.take() else { return };
        slot.reason = reason;
        drop(slot);
        // Whoever observes streams is told here.
        stream.close(reason);
        // Wakers are others' code, and a shard serves other streams too.
        if catch_unwind(AssertUnwindSafe(|| self.ended.notify_waiters())).is_err() {
            tracing::error!("a waker has panicked");
        }
    }
}

/// For the shard.
impl Pulled {
    /// Tells the driver to look, unless it is to be told later of another epoch.
    pub(super) fn raise(&self, now_ms: u64) {
        if self.reset_due_ms().is_some_and(|due_ms| now_ms < due_ms) {
            return;
        }
        self.wake(now_ms);
    }

    fn wake(&self, now_ms: u64) {
        // One that is unsent something already stays unsent since then.
        let _ = self.unsent_since_ms.compare_exchange(NEVER, now_ms, Ordering::Relaxed, Ordering::Relaxed);
        self.signal.raise();
    }

    /// Has the driver end it by itself until `deadline_ms`, and be ended then.
    pub(super) fn close_by(&self, words: &LastWords, deadline_ms: u64) {
        let mut said = lock(&self.words);
        if said.is_none() || words.is_final() {
            *said = Some(words.clone());
        }
        drop(said);
        self.leave_by_ms.fetch_min(deadline_ms, Ordering::Relaxed);
        self.signal.close();
    }

    /// When [`on_time`](Self::on_time) must be called next, if that is before the time it has asked for itself.
    pub(super) fn due_ms(&self) -> u64 {
        let is_unsent = self.unsent_since_ms.load(Ordering::Relaxed) < NEVER;
        // One that was told to look is not told again.
        let news_due_ms = if is_unsent { NEVER } else { self.news_due_ms() };
        self.end_due_ms().0.min(news_due_ms).min(self.reset_due_ms().unwrap_or(NEVER))
    }

    /// What its deadlines ask for at `now_ms`; when to call it again, or `None` when it has ended.
    pub(super) fn on_time(&self, now_ms: u64) -> Option<u64> {
        if self.end_due_ms().0 <= now_ms {
            let slot = match self.slot.try_lock() {
                Ok(slot) => slot,
                Err(TryLockError::Poisoned(slot)) => slot.into_inner(),
                // The driver is just asking.
                Err(TryLockError::WouldBlock) => return Some(now_ms + 1),
            };
            let (due_ms, reason) = self.end_due_ms();
            if due_ms <= now_ms {
                self.lapse(slot, reason);
                return None;
            }
        }
        let mut next_ms = self.news_due_ms().min(self.reset_due_ms().unwrap_or(NEVER));
        if next_ms <= now_ms {
            self.wake(now_ms);
            next_ms = now_ms.saturating_add(self.keep_alive_ms);
            if self.ends.at_ms > now_ms {
                next_ms = next_ms.min(self.ends.at_ms);
            }
            if let Some(due_ms) = self.reset_due_ms().filter(|due_ms| *due_ms > now_ms) {
                next_ms = next_ms.min(due_ms);
            }
        }
        Some(next_ms.min(self.end_due_ms().0))
    }

    fn lapse(&self, mut slot: MutexGuard<'_, Slot>, reason: CloseReason) {
        let words = match reason {
            CloseReason::WriteTimeout => CloseNotice::Slow.into(),
            _ if reason == self.ends.why.close_reason() => self.ends.why.into(),
            _ => self.closing_words(),
        };
        slot.last_words = slot.stream.as_ref().map(|stream| stream.last_words(&words));
        self.end_slot(slot, reason);
        self.signal.close();
    }

    /// When it is to be ended whatever its driver does, and why.
    fn end_due_ms(&self) -> (u64, CloseReason) {
        let unsent_since_ms = self.unsent_since_ms.load(Ordering::Relaxed);
        let deadlines = [
            (unsent_since_ms.saturating_add(self.write_timeout_ms), CloseReason::WriteTimeout),
            (self.ends.at_ms.saturating_add(CLOSE_NOTICE_MS), self.ends.why.close_reason()),
            (self.leave_by_ms.load(Ordering::Relaxed), self.closing_words().close_reason()),
        ];
        deadlines.into_iter().min_by_key(|(due_ms, _)| *due_ms).unwrap_or((NEVER, CloseReason::Dropped))
    }

    /// What it is to say when it is asked to end.
    fn closing_words(&self) -> LastWords {
        lock(&self.words).clone().unwrap_or(LastWords::Close(CloseNotice::Shutdown))
    }

    /// Whether its stream is meant.
    pub(super) fn is_of(&self, who: &Who) -> bool {
        lock(&self.slot).stream.as_ref().is_some_and(|stream| who.fits(stream))
    }

    /// Its stream, when it is meant.
    pub(super) fn listed(&self, who: &Who) -> Option<OpenStream> {
        let slot = lock(&self.slot);
        slot.stream.as_ref().filter(|stream| who.fits(stream)).map(OpenStream::from)
    }

    /// What its stream is to say, if it was ended before it had a shard.
    pub(super) fn ended_meanwhile(&self) -> Option<LastWords> {
        lock(&self.slot).stream.as_mut()?.ended_meanwhile()
    }

    /// When its stream is to be told of another epoch.
    fn reset_due_ms(&self) -> Option<u64> {
        self.turn.due_ms(&self.hub, self.cursor.load(Ordering::Relaxed))
    }

    /// When the driver is to be told to look, although there is no event.
    fn news_due_ms(&self) -> u64 {
        self.keep_alive_due_ms.load(Ordering::Relaxed).min(self.ends.at_ms)
    }
}

impl std::fmt::Debug for Pulled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pulled").finish_non_exhaustive()
    }
}
