//! Bounds over time: what is too old goes, and channels that nobody uses are forgotten, a little at a time.

use super::{channels::MAPS, store::Log};
use crate::sync::{AtomicU64, AtomicUsize, Ordering};

/// How far sweeping has come.
pub(super) struct Sweep {
    next_ms: AtomicU64,
    next_map: AtomicUsize,
    /// Maps of channels to look at before the next pause.
    maps_left: AtomicUsize,
    maps_each_time: usize,
    forget_after_ms: u64,
}

/// What one step of sweeping has come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Step {
    /// Rings, events and channels that it looked at.
    pub(super) work: usize,
    /// Whether more is to be done at once.
    pub(super) more: bool,
}

impl Sweep {
    pub(super) fn new(forget_after_ms: u64) -> Self {
        // Every channel is looked at four times before it is forgotten.
        let sweeps = (forget_after_ms / 4 / SWEEP_EVERY_MS).max(1) as usize;
        let maps_each_time = MAPS.div_ceil(sweeps);
        Self {
            next_ms: AtomicU64::new(SWEEP_EVERY_MS),
            next_map: AtomicUsize::new(0),
            maps_left: AtomicUsize::new(maps_each_time),
            maps_each_time,
            forget_after_ms,
        }
    }
}

impl Log {
    /// Does a little of the sweeping that is due, if any is. Whoever has time may call it.
    pub fn sweep_if_due(&self, now_ms: u64) {
        let next_ms = &self.sweep.next_ms;
        let due_ms = next_ms.load(Ordering::Relaxed);
        let pause_ms = now_ms + SWEEP_EVERY_MS;
        // Whoever moves the time on does the step; others go on meanwhile.
        let is_ours = due_ms <= now_ms
            && next_ms.compare_exchange(due_ms, pause_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_ours && self.sweep_step(now_ms).more {
            next_ms.store(now_ms, Ordering::Relaxed);
        }
    }

    /// When sweeping is due next; never while there is nothing to sweep.
    pub fn next_sweep_ms(&self) -> Option<u64> {
        let is_empty = self.channels.len() == 0 && self.history.is_empty();
        (!is_empty).then(|| self.sweep.next_ms.load(Ordering::Relaxed))
    }

    /// Drops all events that are too old and forgets all channels that nobody uses, at once.
    pub fn sweep(&self, now_ms: u64) {
        self.expire_rings(now_ms, &mut { usize::MAX });
        for map in 0..MAPS {
            self.channels.forget(map, now_ms, self.sweep.forget_after_ms);
        }
    }

    /// Little enough that whoever needs a lock that is held for it waits for less than a millisecond.
    pub(super) fn sweep_step(&self, now_ms: u64) -> Step {
        let mut left = WORK_PER_STEP;
        let mut work = 0;
        while left > 0 && self.sweep.maps_left.load(Ordering::Relaxed) > 0 {
            self.sweep.maps_left.fetch_sub(1, Ordering::Relaxed);
            let map = self.sweep.next_map.fetch_add(1, Ordering::Relaxed);
            let channels = self.channels.forget(map, now_ms, self.sweep.forget_after_ms);
            left = left.saturating_sub(channels);
            work += channels;
        }
        // After the channels, so that nothing of those that are gone is left when there is nothing else to sweep.
        let before = left;
        self.expire_rings(now_ms, &mut left);
        let more = left == 0;
        if !more {
            self.sweep.maps_left.store(self.sweep.maps_each_time, Ordering::Relaxed);
        }
        Step { work: work + before - left, more }
    }

    fn expire_rings(&self, now_ms: u64, work: &mut usize) {
        self.history.evict(work, |state, work| self.expire(state, now_ms, work));
    }
}

/// How late an event may be dropped for its age.
const SWEEP_EVERY_MS: u64 = 1_000;

/// Rings and events that are looked at in one go.
const WORK_PER_STEP: usize = 256;
