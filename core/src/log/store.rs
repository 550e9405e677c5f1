//! The log: channels by name, the global sequence, and the bounds on what is kept.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
};

use super::{
    channel::{Channel, Slot, State},
    history::History,
};
use crate::{
    config::Config,
    fork::Process,
    sync::{AtomicU64, AtomicUsize, Ordering, RwLock, RwLockWriteGuard},
    wire::{Epoch, Event, Frame, Position},
};

/// All channels of one application.
pub struct Log {
    epoch: Epoch,
    limits: Limits,
    /// Sequence number of the newest event. It grows under the lock of the channel that gets the event.
    head: AtomicU64,
    bytes: AtomicUsize,
    /// Newest event that any forgotten channel has lost: where a channel made anew starts.
    floor: AtomicU64,
    channels: RwLock<Channels>,
    /// With so many channels the next new one has the others gone through: twice as many as were left last time.
    crowded: AtomicUsize,
    history: History,
    next_sweep_ms: AtomicU64,
    next_forget_ms: AtomicU64,
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
    /// Whether the channel has had no event before, as far as is known.
    pub first: bool,
    /// Readers the channel had.
    pub subscribers: usize,
}

/// Figures of a [`Log`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LogStats {
    /// Channels in memory.
    pub channels: usize,
    /// Events published.
    pub events: u64,
    /// Bytes that the rings hold.
    pub history_bytes: usize,
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
            epoch,
            limits,
            head: AtomicU64::new(0),
            bytes: AtomicUsize::new(0),
            floor: AtomicU64::new(0),
            channels: RwLock::new(HashMap::new()),
            crowded: AtomicUsize::new(CROWDED),
            history: History::default(),
            next_sweep_ms: AtomicU64::new(SWEEP_EVERY_MS),
            next_forget_ms: AtomicU64::new(limits.forget_after_ms),
            process: Process::current(),
        }
    }

    /// Its epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Sequence number of the newest event, 0 before the first.
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::SeqCst)
    }

    /// The process that made it; a forked child must leave its locks alone.
    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// The position with sequence number `seq` in this log.
    pub fn position(&self, seq: u64) -> Position {
        Position { epoch: self.epoch, seq }
    }

    /// The channel of that name, made if it is new.
    pub fn channel(&self, name: &str, now_ms: u64) -> Arc<Channel> {
        if let Some(channel) = self.read_channels(|channels| channels.get(name).cloned()) {
            return channel;
        }
        let mut channels = self.write_channels();
        // Clients may name channels at will, so these must not pile up until the next sweep.
        if channels.len() >= self.crowded.load(Ordering::Relaxed) {
            channels.retain(|_, channel| !self.forgets(channel, now_ms, true));
            self.crowded.store(CROWDED.max(2 * channels.len()), Ordering::Relaxed);
        }
        // Read under the lock: a channel forgotten just now has left its mark.
        let floor = self.floor.load(Ordering::SeqCst);
        let entry = channels.entry(name.into());
        entry.or_insert_with(|| Arc::new(Channel::new(name, floor, now_ms))).clone()
    }

    /// Appends `event`, which the caller has checked, and wakes the channel's watchers. Never waits for readers.
    pub fn publish(&self, channel: &Arc<Channel>, event: &Event<'_>, now_ms: u64) -> Appended {
        // Encoding happens before the lock; without history and readers, not at all.
        let wanted = self.limits.history_events > 0 || channel.subscribers() > 0;
        let frame = wanted.then(|| Frame::unplaced(event, self.epoch));

        let mut state = channel.lock();
        let frame = frame.or_else(|| (state.subscribers > 0).then(|| Frame::unplaced(event, self.epoch)));
        let seq = self.head.fetch_add(1, Ordering::SeqCst) + 1;
        let first = state.last == state.floor;
        let previous = std::mem::replace(&mut state.last, seq);
        state.touched_ms = now_ms;
        let mut newly_indexed = false;
        if let Some(mut frame) = frame {
            frame.place(seq);
            let slot = Slot { seq, at_ms: now_ms, frame };
            self.bytes.fetch_add(slot.bytes(), Ordering::Relaxed);
            state.ring.push_back(slot);
            newly_indexed = !std::mem::replace(&mut state.indexed, true);
            self.trim(&mut state);
        } else {
            state.evicted = seq;
        }
        let oldest = state.ring.front().map(|slot| slot.seq);
        let watchers = state.watchers();
        let subscribers = state.subscribers;
        drop(state);

        for watcher in watchers.iter() {
            watcher.wake();
        }
        if newly_indexed {
            self.history.add(oldest.unwrap_or(seq), channel);
        }
        if self.bytes.load(Ordering::Relaxed) > self.limits.history_bytes {
            self.evict_bytes();
        }
        Appended { position: self.position(seq), previous: self.position(previous), first, subscribers }
    }

    /// Does what [`sweep`](Self::sweep) does when it was not done for a while. Whoever has time may call it.
    pub fn sweep_if_due(&self, now_ms: u64) {
        let is_due = |next: &AtomicU64, every_ms| {
            let due_ms = next.load(Ordering::Relaxed);
            let next_ms = now_ms + every_ms;
            due_ms <= now_ms
                && next.compare_exchange(due_ms, next_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        if is_due(&self.next_sweep_ms, SWEEP_EVERY_MS) {
            self.expire(now_ms);
            if is_due(&self.next_forget_ms, self.limits.forget_after_ms / 4) {
                self.forget(now_ms);
            }
        }
    }

    /// When sweeping is due next; never while there is nothing to sweep.
    pub fn next_sweep_ms(&self) -> Option<u64> {
        let empty = self.read_channels(HashMap::is_empty);
        (!empty).then(|| self.next_sweep_ms.load(Ordering::Relaxed))
    }

    /// Drops events that are too old and forgets channels that nobody uses.
    pub fn sweep(&self, now_ms: u64) {
        self.expire(now_ms);
        self.forget(now_ms);
    }

    /// Figures at this moment.
    pub fn stats(&self) -> LogStats {
        LogStats {
            channels: self.read_channels(HashMap::len),
            events: self.head(),
            history_bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// Brings a ring within what it may hold with the readers it has.
    pub(super) fn trim(&self, state: &mut State) {
        let Limits { history_events, backlog_events, .. } = self.limits;
        let keep = if state.subscribers > 0 { history_events.max(backlog_events) } else { history_events };
        while state.ring.len() > keep {
            self.bytes.fetch_sub(state.evict_front(), Ordering::Relaxed);
        }
    }

    fn expire(&self, now_ms: u64) {
        let too_old = |at_ms: u64| now_ms.saturating_sub(at_ms) > self.limits.history_age_ms;
        self.history.evict(|state| {
            while state.ring.front().is_some_and(|slot| too_old(slot.at_ms)) {
                self.bytes.fetch_sub(state.evict_front(), Ordering::Relaxed);
            }
        });
    }

    fn evict_bytes(&self) {
        self.history.evict(|state| {
            // The newest event stays, or no reader would ever see one that is larger than the limit.
            let is_newest = state.ring.front().is_some_and(|slot| slot.seq == self.head());
            if self.bytes.load(Ordering::Relaxed) > self.limits.history_bytes && !is_newest {
                self.bytes.fetch_sub(state.evict_front(), Ordering::Relaxed);
            }
        });
    }

    /// Takes channels out that are not used any more. Those are looked for under the lock that publishers share, and
    /// taken out a few at a time, so that many channels hold nobody up for long.
    fn forget(&self, now_ms: u64) {
        let unused: Vec<Box<str>> = self.read_channels(|channels| {
            let unused = channels.iter().filter(|(_, channel)| self.is_unused(channel, now_ms, false));
            unused.map(|(name, _)| name.clone()).collect()
        });
        for names in unused.chunks(FORGOTTEN_AT_ONCE) {
            let mut channels = self.write_channels();
            for name in names {
                if channels.get(name).is_some_and(|channel| self.forgets(channel, now_ms, false)) {
                    channels.remove(name);
                }
            }
        }
    }

    /// Whether to take a channel out now; the map is locked for it.
    ///
    /// What it has lost is remembered in one number, so a position from before is answered with a reset rather than
    /// with silence.
    fn forgets(&self, channel: &Arc<Channel>, now_ms: u64, crowded: bool) -> bool {
        let is_unused = self.is_unused(channel, now_ms, crowded);
        if is_unused {
            self.floor.fetch_max(channel.lock().evicted, Ordering::SeqCst);
        }
        is_unused
    }

    /// Whether a channel is empty, has no reader and no handle, and was not used for a while, which keeps resets from
    /// clients that reconnect. Where it is crowded, channels that never had an event and whose places no proxy knows
    /// are not waited for.
    fn is_unused(&self, channel: &Arc<Channel>, now_ms: u64, crowded: bool) -> bool {
        // If the map's is the only reference, no other can be taken while the map is locked.
        let in_use = Arc::strong_count(channel) > 1;
        let mut state = channel.lock();
        if in_use {
            state.touched_ms = now_ms;
        }
        let idle_ms = now_ms.saturating_sub(state.touched_ms);
        let matters = state.last > state.floor || state.quoted || !crowded;
        let waits = matters && idle_ms < self.limits.forget_after_ms;
        !(in_use || state.subscribers > 0 || !state.ring.is_empty() || waits)
    }

    /// Sequence numbers and size of what each channel holds, for tests to compare with.
    #[cfg(test)]
    pub(super) fn rings(&self) -> HashMap<String, (Vec<u64>, usize)> {
        let ring = |channel: &Channel| {
            let ring = &channel.lock().ring;
            (ring.iter().map(|slot| slot.seq).collect(), ring.iter().map(Slot::bytes).sum())
        };
        self.read_channels(|channels| {
            channels.iter().map(|(name, channel)| (name.to_string(), ring(channel))).collect()
        })
    }

    fn read_channels<T>(&self, read: impl FnOnce(&Channels) -> T) -> T {
        read(&self.channels.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write_channels(&self) -> RwLockWriteGuard<'_, Channels> {
        self.channels.write().unwrap_or_else(PoisonError::into_inner)
    }
}

type Channels = HashMap<Box<str>, Arc<Channel>>;

/// Fewer channels than this are not worth going through before the next sweep.
const CROWDED: usize = 16_384;

/// How late an event may be dropped for its age.
const SWEEP_EVERY_MS: u64 = 1_000;

/// Few enough to take out while publishers wait.
const FORGOTTEN_AT_ONCE: usize = 64;

/// Longer than keep-alives take to come, which move clients' positions on.
const FORGET_AFTER_MS: u64 = 180_000;

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("epoch", &self.epoch)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
