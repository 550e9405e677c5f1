//! One channel: a bounded ring of frames, and who must be told when it grows.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    sync::{AtomicBool, AtomicU32, Mutex, MutexGuard, Ordering, lock},
    wire::Frame,
};

/// A named sequence of events.
pub struct Channel {
    name: Box<str>,
    state: Mutex<State>,
    /// Copy of `State::subscribers` that publishers look at before they encode.
    subscribers: AtomicU32,
}

/// Told that a channel has new events.
pub trait Watch: Send + Sync {
    /// Called by the publisher, outside of locks, with the token given when watching began.
    ///
    /// It is called once, and again only after the watcher has looked: a burst of events costs one call.
    fn wake(&self, token: usize);
}

/// A [`Watch`] on one channel.
pub(crate) struct Watcher {
    watch: Arc<dyn Watch>,
    token: usize,
    woken: AtomicBool,
}

/// What the lock of a channel guards.
pub(super) struct State {
    pub(super) ring: VecDeque<Slot>,
    /// Sequence number of the newest event that the ring no longer holds.
    pub(super) evicted: u64,
    /// What `evicted` was when the channel came to be.
    pub(super) floor: u64,
    /// Sequence number of the newest event.
    pub(super) last: u64,
    /// Sequence number of the newest notice that events of the channel are missing.
    pub(super) lost: u64,
    /// When the channel was last published to, subscribed to, or seen in use by a sweep.
    pub(super) touched_ms: u64,
    watchers: Option<Watchers>,
    pub(super) subscribers: u32,
    /// What the channel counts for in `history_bytes` while it has events.
    own_bytes: u16,
    /// Whether a proxy was told a place on this channel, and asks for what comes after it.
    pub(super) quoted: bool,
    /// Whether the history index has an entry for this channel.
    pub(super) indexed: bool,
}

/// Who is told of a channel's events. A list that is replaced as a whole, so that publishers need not hold the lock.
type Watchers = Arc<[Arc<Watcher>]>;

/// A channel without events, readers and handles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle {
    /// When it was last used.
    pub(super) since_ms: u64,
    /// Whether somebody may come back with a place on it: it had events, or a proxy was told of one.
    pub(super) is_missed: bool,
}

/// What rings hold, or how much more or less of it they have come to hold.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Kept {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

impl std::ops::AddAssign for Kept {
    fn add_assign(&mut self, more: Self) {
        self.events += more.events;
        self.bytes += more.bytes;
    }
}

/// An event in the ring.
pub(super) struct Slot {
    pub(super) seq: u64,
    pub(super) at_ms: u64,
    pub(super) frame: Frame,
}

impl Channel {
    /// A channel without events; `floor` is the newest sequence number it may have lost.
    pub(super) fn new(name: &str, floor: u64, now_ms: u64) -> Self {
        let state = State {
            ring: VecDeque::new(),
            evicted: floor,
            floor,
            last: floor,
            lost: 0,
            touched_ms: now_ms,
            watchers: None,
            subscribers: 0,
            own_bytes: (CHANNEL_BYTES + name.len()) as u16,
            quoted: false,
            indexed: false,
        };
        Self { name: name.into(), state: Mutex::new(state), subscribers: AtomicU32::new(0) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Streams and subscriptions that read it now.
    pub fn subscribers(&self) -> usize {
        self.subscribers.load(Ordering::Relaxed) as usize
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Counts one subscriber more; gives back the state.
    pub(super) fn subscribe(&self, now_ms: u64) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        state.subscribers += 1;
        state.touched_ms = now_ms;
        self.subscribers.store(state.subscribers, Ordering::Relaxed);
        state
    }

    /// Takes one subscriber off; gives back the state for trimming when it was the last.
    pub(super) fn unsubscribe(&self) -> Option<MutexGuard<'_, State>> {
        let mut state = self.lock();
        state.subscribers -= 1;
        self.subscribers.store(state.subscribers, Ordering::Relaxed);
        (state.subscribers == 0).then_some(state)
    }

    /// Whether it is idle. The caller keeps others from taking it out of the map, where one reference is.
    pub(super) fn idle(self: &Arc<Self>, now_ms: u64) -> Option<Idle> {
        let in_use = Arc::strong_count(self) > 1;
        let mut state = self.lock();
        if in_use {
            state.touched_ms = now_ms;
        }
        let is_idle = !in_use && state.subscribers == 0 && state.ring.is_empty();
        let is_missed = state.last.max(state.lost) > state.floor || state.quoted;
        is_idle.then_some(Idle { since_ms: state.touched_ms, is_missed })
    }

    /// Has `watch` told of every event from now on.
    pub(crate) fn watch(&self, watch: Arc<dyn Watch>, token: usize) -> Arc<Watcher> {
        let watcher = Arc::new(Watcher { watch, token, woken: AtomicBool::new(false) });
        let mut state = self.lock();
        let others = state.watchers.iter().flat_map(|watchers| watchers.iter());
        let all: Watchers = others.chain([&watcher]).cloned().collect();
        state.watchers = Some(all);
        watcher
    }

    /// Ends a [`watch`](Self::watch).
    pub(crate) fn unwatch(&self, watcher: &Arc<Watcher>) {
        let mut state = self.lock();
        let all = state.watchers.iter().flat_map(|watchers| watchers.iter());
        let rest: Watchers = all.filter(|other| !Arc::ptr_eq(other, watcher)).cloned().collect();
        state.watchers = Some(rest).filter(|rest| !rest.is_empty());
    }
}

impl State {
    pub(super) fn watchers(&self) -> Option<Watchers> {
        self.watchers.clone()
    }

    /// Appends an event; gives back what it adds to the history.
    pub(super) fn push(&mut self, slot: Slot) -> Kept {
        let bytes = slot.bytes() + self.bytes_if_empty();
        if self.ring.capacity() == 0 {
            // Many channels have a single event at a time; the standard library would take room for four.
            self.ring.reserve_exact(1);
        }
        self.ring.push_back(slot);
        Kept { events: 1, bytes }
    }

    /// Removes the oldest event; gives back what the history loses.
    pub(super) fn evict_front(&mut self) -> Kept {
        let Some(slot) = self.ring.pop_front() else { return Kept::default() };
        self.evicted = slot.seq;
        // What a burst has needed is given back, for it is not counted in `history_bytes`.
        if self.ring.is_empty() || self.ring.capacity() > (4 * self.ring.len()).max(SPARE_SLOTS) {
            self.ring.shrink_to(2 * self.ring.len());
        }
        Kept { events: 1, bytes: slot.bytes() + self.bytes_if_empty() }
    }

    /// Forgets all events up to `head`, also those it never had; gives back what the history loses.
    pub(super) fn restart(&mut self, head: u64) -> Kept {
        let mut lost = Kept::default();
        while !self.ring.is_empty() {
            lost += self.evict_front();
        }
        (self.evicted, self.floor, self.last) = (head, head, head);
        lost
    }

    /// Notes that events before `seq` are missing; gives back what the history loses. One such place is kept: what was
    /// there before the last one is forgotten.
    pub(super) fn lose(&mut self, seq: u64) -> Kept {
        let before = std::mem::replace(&mut self.lost, seq);
        let mut lost = Kept::default();
        while self.ring.front().is_some_and(|slot| slot.seq < before) {
            lost += self.evict_front();
        }
        self.evicted = self.evicted.max(before);
        lost
    }

    /// What the ring counts for in `history_bytes`.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let own_bytes = if self.ring.is_empty() { 0 } else { usize::from(self.own_bytes) };
        self.ring.iter().map(Slot::bytes).sum::<usize>() + own_bytes
    }

    fn bytes_if_empty(&self) -> usize {
        if self.ring.is_empty() { usize::from(self.own_bytes) } else { 0 }
    }

    /// The place of the last event up to `upto`, or of the news of a loss after it; of the newest that is gone, when that is all that
    /// is known.
    pub(super) fn last_upto(&self, upto: u64) -> u64 {
        let last = match self.after(upto) {
            0 if self.ring.is_empty() => self.last,
            0 => self.evicted,
            next => self.ring[next - 1].seq,
        };
        let lost = if self.lost <= upto { self.lost } else { 0 };
        // An event may have come and gone meanwhile: nobody has seen it.
        last.min(upto).max(lost)
    }

    /// Where in the ring the first event after `cursor` is.
    pub(super) fn after(&self, cursor: u64) -> usize {
        match self.ring.back() {
            Some(newest) if newest.seq > cursor => self.ring.partition_point(|slot| slot.seq <= cursor),
            _ => self.ring.len(),
        }
    }
}

impl Slot {
    /// What the slot counts for in `history_bytes`: the frame, and the bookkeeping around it.
    pub(super) fn bytes(&self) -> usize {
        self.frame.chunked().len() + size_of::<Self>() + ARC_BYTES
    }
}

/// A ring this small is left as large as it is until it is empty.
const SPARE_SLOTS: usize = 64;

/// The reference counts beside a shared frame.
const ARC_BYTES: usize = 16;

/// What a channel takes besides its name and events: itself, its places in a map and in the history index, and what
/// the allocator adds.
pub(super) const CHANNEL_BYTES: usize = size_of::<Channel>() + ARC_BYTES + 64 + 32;

impl Watcher {
    /// Calls the watch, unless it was called and has not looked since.
    pub(super) fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.watch.wake(self.token);
        }
    }

    /// Asks to be woken again. Must come before the reader looks at the log, or it may miss an event.
    pub(crate) fn rearm(&self) {
        // A swap, for a publisher that found us woken has its event seen by the look at the log that follows.
        self.woken.swap(false, Ordering::AcqRel);
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("name", &self.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watcher").field("token", &self.token).finish_non_exhaustive()
    }
}
