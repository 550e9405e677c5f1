//! One channel: a bounded ring of frames, and who must be told when it grows.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    sync::{AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, lock},
    wire::Frame,
};

/// A named sequence of events.
pub struct Channel {
    name: Box<str>,
    state: Mutex<State>,
    /// Copy of `State::subscribers` that publishers look at before they encode.
    subscribers: AtomicUsize,
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
    pub(super) subscribers: usize,
    /// Whether the history index has an entry for this channel.
    pub(super) indexed: bool,
    /// When the channel was last published to, subscribed to, or seen in use by a sweep.
    pub(super) touched_ms: u64,
    watchers: Arc<[Arc<Watcher>]>,
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
            subscribers: 0,
            indexed: false,
            touched_ms: now_ms,
            watchers: Arc::from(Vec::new()),
        };
        Self { name: name.into(), state: Mutex::new(state), subscribers: AtomicUsize::new(0) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Streams and subscriptions that read it now.
    pub fn subscribers(&self) -> usize {
        self.subscribers.load(Ordering::Relaxed)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(super) fn subscribe(&self, now_ms: u64) {
        let mut state = self.lock();
        state.subscribers += 1;
        state.touched_ms = now_ms;
        self.subscribers.store(state.subscribers, Ordering::Relaxed);
    }

    /// Takes one subscriber off; gives back the state for trimming when it was the last.
    pub(super) fn unsubscribe(&self) -> Option<MutexGuard<'_, State>> {
        let mut state = self.lock();
        state.subscribers -= 1;
        self.subscribers.store(state.subscribers, Ordering::Relaxed);
        (state.subscribers == 0).then_some(state)
    }

    /// Has `watch` told of every event from now on.
    pub(crate) fn watch(&self, watch: Arc<dyn Watch>, token: usize) -> Arc<Watcher> {
        let watcher = Arc::new(Watcher { watch, token, woken: AtomicBool::new(false) });
        let mut state = self.lock();
        state.watchers = state.watchers.iter().chain([&watcher]).cloned().collect::<Vec<_>>().into();
        watcher
    }

    /// Ends a [`watch`](Self::watch).
    pub(crate) fn unwatch(&self, watcher: &Arc<Watcher>) {
        let mut state = self.lock();
        let rest = state.watchers.iter().filter(|w| !Arc::ptr_eq(w, watcher)).cloned();
        state.watchers = rest.collect::<Vec<_>>().into();
    }
}

impl State {
    pub(super) fn watchers(&self) -> Arc<[Arc<Watcher>]> {
        self.watchers.clone()
    }

    /// Removes the oldest event; gives back the bytes it held.
    pub(super) fn evict_front(&mut self) -> usize {
        let Some(slot) = self.ring.pop_front() else { return 0 };
        self.evicted = slot.seq;
        // What a burst has needed is given back, for it is not counted in `history_bytes`.
        if self.ring.is_empty() || self.ring.capacity() > (4 * self.ring.len()).max(SPARE_SLOTS) {
            self.ring.shrink_to(2 * self.ring.len());
        }
        slot.bytes()
    }

    /// The place of the last event up to `upto`; of the newest that is gone, when that is all that is known.
    pub(super) fn last_upto(&self, upto: u64) -> u64 {
        match self.after(upto) {
            0 if self.ring.is_empty() => self.last.min(upto),
            0 => self.evicted.min(upto), // a later event may be gone already
            next => self.ring[next - 1].seq,
        }
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
