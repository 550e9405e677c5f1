//! The log: channels by name, the global sequence, and the bounds on what is kept.

use std::sync::{Arc, OnceLock, atomic::AtomicUsize as Figure};

use super::{
    channel::{CHANNEL_BYTES, Channel, Kept, Slot, State, Watch},
    channels::{Channels, MAPS},
    following::Following,
    history::History,
    sweep::Sweep,
};
use crate::{
    config::Config,
    fork::Process,
    sync::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    wire::{Epoch, Event, Frame, Position},
};

/// All channels of one application.
pub struct Log {
    epoch: AtomicU32,
    pub(super) limits: Limits,
    /// Sequence number of the newest event. It grows under the lock of the channel that gets the event.
    head: AtomicU64,
    /// The head from which the events of this epoch go on.
    base: AtomicU64,
    /// When it began here.
    rebased_ms: AtomicU64,
    bytes: AtomicUsize,
    /// Events in all rings. A figure that nothing is decided by, which the model checker need not look at.
    events: Figure,
    pub(super) channels: Channels,
    pub(super) history: History,
    pub(super) sweep: Sweep,
    sweeper: OnceLock<Arc<dyn Watch>>,
    pub(super) following: Option<Following>,
    process: Process,
}

/// What the log keeps. See the settings of the same names.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Events per channel.
    pub history_events: usize,
    /// Age of an event.
    pub history_age_ms: u64,
    /// Bytes over all channels.
    pub history_bytes: usize,
    /// Events per channel that has readers, if that is more than `history_events`.
    pub backlog_events: usize,
    /// How long a channel is not used before it is forgotten.
    pub forget_after_ms: u64,
}

/// What [`Log::publish`] did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Appended {
    /// The place of the event.
    pub position: Position,
    /// The place of the event before it on the same channel; what the channel started from when there was none.
    pub previous: Position,
    /// Whether `previous` is not the place of an event: none is known before this one, or some are missing.
    pub first: bool,
    /// Readers the channel had.
    pub subscribers: usize,
}

/// Figures of a [`Log`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct LogStats {
    /// Channels in memory.
    pub channels: usize,
    /// Events published.
    pub published: u64,
    /// Bytes that the rings hold.
    pub history_bytes: usize,
    /// Events that the rings hold.
    pub history_events: usize,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self {
            history_events: config.history_events as usize,
            history_age_ms: config.history_age_ms,
            history_bytes: config.history_bytes as usize,
            backlog_events: config.backlog_events as usize,
            // A proxy uses the channels of a stream that it holds each time it follows the link.
            forget_after_ms: FORGET_AFTER_MS.max(2 * config.grip_link_timeout_ms),
        }
    }
}

impl Log {
    /// An empty log.
    pub fn new(epoch: Epoch, limits: Limits) -> Self {
        Self {
            epoch: AtomicU32::new(epoch.0),
            limits,
            head: AtomicU64::new(0),
            base: AtomicU64::new(0),
            rebased_ms: AtomicU64::new(0),
            bytes: AtomicUsize::new(0),
            events: <_>::default(),
            channels: Channels::new(limits.history_bytes / IDLE_SHARE / CHANNEL_BYTES),
            history: History::default(),
            sweep: Sweep::new(limits.forget_after_ms),
            sweeper: OnceLock::new(),
            following: None,
            process: Process::current(),
        }
    }

    /// A log that is to follow another: it knows nothing before its thread has [caught up](Self::end_check) once.
    pub(crate) fn following(limits: Limits) -> Self {
        Self { following: Some(Following::default()), ..Self::new(NO_EPOCH, limits) }
    }

    /// Its epoch.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Sequence number of the newest event, 0 before the first.
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::SeqCst)
    }

    /// Whether a place is from before this epoch: readers that come from there have missed what nobody knows.
    pub(crate) fn is_before_epoch(&self, seq: u64) -> bool {
        seq < self.base.load(Ordering::Acquire)
    }

    /// The place before the first that is known of this epoch.
    pub(super) fn base(&self) -> u64 {
        self.base.load(Ordering::Acquire)
    }

    /// When this epoch began here.
    pub(crate) fn rebased_ms(&self) -> u64 {
        self.rebased_ms.load(Ordering::Acquire)
    }

    /// The process that made it; a forked child must leave its locks alone.
    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// The position with sequence number `seq` in this log. A place from before this epoch is one that nobody resumes from:
    /// another log may have it in this epoch, with other events.
    pub fn position(&self, seq: u64) -> Position {
        // Before the base, which is set first.
        let epoch = self.epoch();
        Position { epoch: if self.is_before_epoch(seq) { NO_EPOCH } else { epoch }, seq }
    }

    /// The channel of that name, made if it is new.
    pub fn channel(&self, name: &str, now_ms: u64) -> Arc<Channel> {
        let got = self.channels.get(name, now_ms);
        if got.is_first
            && let Some(sweeper) = self.sweeper.get()
        {
            sweeper.wake(0);
        }
        got.channel
    }

    /// Has `sweeper` woken when there is something to sweep after there was nothing; false when another is.
    pub(crate) fn set_sweeper(&self, sweeper: Arc<dyn Watch>) -> bool {
        self.sweeper.set(sweeper).is_ok()
    }

    /// Appends `event`, which the caller has checked, and wakes the channel's watchers. Never waits for readers.
    pub fn publish(&self, channel: &Arc<Channel>, event: &Event<'_>, now_ms: u64) -> Appended {
        self.append(channel, event, now_ms, || self.head.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// Appends an event as [`publish`](Self::publish) does, at a place that was given out elsewhere: for a log that
    /// follows another.
    ///
    /// `seq` must be greater than the head, and `at_ms` is when the event was published, by this log's clock. Only one
    /// thread may append, and nobody else publish.
    pub fn append_at(&self, seq: u64, channel: &Arc<Channel>, event: &Event<'_>, at_ms: u64) -> Appended {
        self.append(channel, event, at_ms, || {
            let head = self.head();
            debug_assert!(seq > head, "{seq} is not after {head}");
            self.count_followed();
            self.head.store(seq, Ordering::SeqCst);
            seq
        })
    }

    /// Begins another epoch, of which nothing up to `head` is known: forgets all events, and has every reader told of a
    /// gap. For the thread that calls [`append_at`](Self::append_at), when the log that it follows is another.
    ///
    /// Places go on from the one that is given back: `head`, or one that no reader has come to yet if that is greater.
    pub fn rebase(&self, epoch: Epoch, head: u64, now_ms: u64) -> u64 {
        let before = self.head();
        let head = head.max(before + 1);
        // The head last: whoever sees it and looks at a channel finds that what it seeks up to there is gone. And
        // watchers after the head, or they would find nothing new.
        self.rebased_ms.store(now_ms, Ordering::Release);
        self.base.store(head, Ordering::Release);
        // Before the channels: a reader who finds a gap there asks for its position.
        self.epoch.store(epoch.0, Ordering::Release);
        self.channels.raise_floor(head);
        for channel in self.all() {
            self.count_lost(channel.lock().restart(head));
        }
        self.head.store(head, Ordering::SeqCst);
        self.wake_all();
        head
    }

    /// Gives the place `seq` to the news that events of these channels are missing, or of any channel when none is named:
    /// readers who come from before it are told of a gap, after what is there up to then. For the thread that calls [`append_at`](Self::append_at).
    pub fn lose_at<Name: AsRef<str>>(&self, seq: u64, names: &[Name], now_ms: u64) {
        let channels: Vec<Arc<Channel>> = if names.is_empty() {
            self.channels.raise_floor(seq);
            self.all().collect()
        } else {
            names.iter().map(|name| self.channel(name.as_ref(), now_ms)).collect()
        };
        // As in `rebase`: the head last, and then who watches.
        for channel in &channels {
            self.count_lost(channel.lock().lose(seq));
        }
        self.head.store(seq, Ordering::SeqCst);
        channels.iter().for_each(wake);
    }

    /// Gives the place `seq` to something that no reader is told of. For the thread that calls
    /// [`append_at`](Self::append_at).
    pub(crate) fn pass(&self, seq: u64) {
        self.head.store(seq, Ordering::SeqCst);
    }

    /// The names of all channels in memory.
    pub(crate) fn names(&self) -> impl Iterator<Item = Box<str>> {
        self.all().map(|channel| channel.name().into())
    }

    /// Wakes whoever watches any channel.
    pub(super) fn wake_all(&self) {
        self.all().for_each(|channel| wake(&channel));
    }

    fn all(&self) -> impl Iterator<Item = Arc<Channel>> {
        (0..MAPS).flat_map(|map| self.channels.of_map(map))
    }

    fn append(
        &self,
        channel: &Arc<Channel>,
        event: &Event<'_>,
        at_ms: u64,
        place: impl FnOnce() -> u64,
    ) -> Appended {
        // Encoding happens before the lock; without history and readers, not at all.
        let wanted = self.limits.history_events > 0 || channel.subscribers() > 0;
        let frame = wanted.then(|| Frame::unplaced(event, self.epoch()));

        let mut state = channel.lock();
        let frame = frame.or_else(|| (state.subscribers > 0).then(|| Frame::unplaced(event, self.epoch())));
        let seq = place();
        let first = state.last == state.floor || state.last == state.lost;
        // What names a loss as the event before it is looked for, and found missing.
        let previous = std::mem::replace(&mut state.last, seq).max(state.lost);
        state.touched_ms = at_ms.max(state.touched_ms);
        let mut newly_indexed = false;
        if let Some(mut frame) = frame {
            frame.place(seq);
            self.count_kept(state.push(Slot { seq, at_ms, frame }));
            newly_indexed = !std::mem::replace(&mut state.indexed, true);
            self.trim(&mut state);
        } else {
            state.evicted = seq;
        }
        let oldest = state.ring.front().map(|slot| slot.seq);
        let watchers = state.watchers();
        let subscribers = state.subscribers as usize;
        drop(state);

        watchers.iter().flat_map(|watchers| watchers.iter()).for_each(|watcher| watcher.wake());
        if newly_indexed {
            self.history.add(oldest.unwrap_or(seq), channel);
        }
        if self.bytes.load(Ordering::Relaxed) > self.limits.history_bytes {
            self.evict_bytes();
        }
        Appended { position: self.position(seq), previous: self.position(previous), first, subscribers }
    }

    /// Figures at this moment.
    pub fn stats(&self) -> LogStats {
        LogStats {
            channels: self.channels.len(),
            // Places are also given to what is no event, but only by a log that is followed.
            published: self.followed().unwrap_or_else(|| self.head()),
            history_bytes: self.bytes.load(Ordering::Relaxed),
            history_events: self.events.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn channel_count(&self) -> usize {
        self.channels.len()
    }

    /// Brings a ring within what it may hold with the readers it has.
    pub(super) fn trim(&self, state: &mut State) {
        let Limits { history_events, backlog_events, .. } = self.limits;
        let keep = if state.subscribers > 0 { history_events.max(backlog_events) } else { history_events };
        while state.ring.len() > keep {
            self.count_lost(state.evict_front());
        }
    }

    /// Drops the events of a ring that are older than they may be, and takes one off `work` for each.
    pub(super) fn expire(&self, state: &mut State, now_ms: u64, work: &mut usize) {
        let too_old = |slot: &Slot| now_ms.saturating_sub(slot.at_ms) > self.limits.history_age_ms;
        while *work > 0 && state.ring.front().is_some_and(too_old) {
            self.count_lost(state.evict_front());
            *work -= 1;
        }
    }

    fn count_kept(&self, kept: Kept) {
        self.bytes.fetch_add(kept.bytes, Ordering::Relaxed);
        self.events.fetch_add(kept.events, Ordering::Relaxed);
    }

    fn count_lost(&self, lost: Kept) {
        self.bytes.fetch_sub(lost.bytes, Ordering::Relaxed);
        self.events.fetch_sub(lost.events, Ordering::Relaxed);
    }

    fn evict_bytes(&self) {
        self.history.evict(&mut { EVICTED_AT_ONCE }, |state, _| {
            // The newest event stays, or no reader would ever see one that is larger than the limit.
            let is_newest = state.ring.front().is_some_and(|slot| slot.seq == self.head());
            if self.bytes.load(Ordering::Relaxed) > self.limits.history_bytes && !is_newest {
                self.count_lost(state.evict_front());
            }
        });
    }

    /// Sequence numbers and size of what each channel holds, for tests to compare with.
    #[cfg(test)]
    pub(super) fn rings(&self) -> std::collections::HashMap<String, (Vec<u64>, usize)> {
        let ring = |channel: Arc<Channel>| {
            let state = channel.lock();
            (channel.name().to_owned(), (state.ring.iter().map(|slot| slot.seq).collect(), state.bytes()))
        };
        self.all().map(ring).collect()
    }
}

fn wake(channel: &Arc<Channel>) {
    let watchers = channel.lock().watchers();
    watchers.iter().flat_map(|watchers| watchers.iter()).for_each(|watcher| watcher.wake());
}

/// The epoch of a log that knows of none yet, which no other has but by chance.
const NO_EPOCH: Epoch = Epoch(0);

/// The part of `history_bytes` that idle channels may take as well, where there are many.
const IDLE_SHARE: usize = 8;

/// Rings that one event makes room in: more than it is large, unless it is far larger than others. The next event does
/// the rest.
const EVICTED_AT_ONCE: usize = 1_024;

/// Longer than keep-alives take to come, which move clients' positions on.
const FORGET_AFTER_MS: u64 = 180_000;

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("epoch", &self.epoch())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
