//! A log that follows another: whether it has caught up once, and what of readers who are ahead of it.

use super::store::Log;
use crate::{
    sync::{AtomicBool, AtomicU64, Ordering},
    wire::Epoch,
    without::{Protection, without},
};

/// What a log knows of the one that it follows.
#[derive(Default)]
pub(super) struct Following {
    caught_up: AtomicBool,
    checks_begun: AtomicU64,
    checks_done: AtomicU64,
    /// Somebody waits for a check.
    awaited: AtomicBool,
    /// Events appended.
    events: AtomicU64,
}

/// A reader's place that this log has not come to: another process was there already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    epoch: Epoch,
    /// The first check that begins after the reader has come: if its place was not reached by then, there is none.
    check: u64,
}

impl Log {
    /// Whether it follows another.
    pub(crate) fn is_following(&self) -> bool {
        self.following.is_some()
    }

    /// Whether it follows another, but knows nothing of it yet.
    pub(crate) fn is_waiting(&self) -> bool {
        self.following.as_ref().is_some_and(|following| !following.caught_up.load(Ordering::Acquire))
    }

    /// How many events it has of the other; `None` when it follows none.
    pub(super) fn followed(&self) -> Option<u64> {
        self.following.as_ref().map(|following| following.events.load(Ordering::Relaxed))
    }

    pub(super) fn count_followed(&self) {
        if let Some(following) = &self.following {
            following.events.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What a reader is to keep that comes with a place of this epoch after the head; `None` when there is no such place.
    pub(crate) fn ahead(&self) -> Option<Ahead> {
        let following = self.following.as_ref().filter(|_| !without(Protection::Ahead))?;
        Some(Ahead { epoch: self.epoch(), check: following.checks_begun.load(Ordering::SeqCst) + 1 })
    }

    /// Whether the log has come to the place `seq` of a reader that was ahead of it; `false` when it never will. Until either
    /// is known, the reader's channels are woken when there is more to know.
    pub(crate) fn has_reached(&self, seq: u64, ahead: Ahead) -> Option<bool> {
        let following = self.following.as_ref()?;
        following.awaited.store(true, Ordering::SeqCst);
        // In the opposite order of what the follower does: a check that is done has brought the head up to its place, and a
        // head that is of another epoch was set after that epoch.
        let is_checked = following.checks_done.load(Ordering::SeqCst) >= ahead.check;
        let is_reached = self.head() >= seq;
        if self.epoch() != ahead.epoch {
            return Some(false);
        }
        (is_reached || is_checked).then_some(is_reached)
    }

    /// Begins to look where the other log is; for the thread that follows it.
    pub(crate) fn begin_check(&self) -> u64 {
        self.following
            .as_ref()
            .map_or(0, |following| following.checks_begun.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// Says that everything is in this log that was in the other at some moment since `check` began.
    pub(crate) fn end_check(&self, check: u64) {
        let Some(following) = &self.following else { return };
        following.checks_done.store(check, Ordering::SeqCst);
        let is_first = !following.caught_up.swap(true, Ordering::AcqRel);
        if following.awaited.swap(false, Ordering::SeqCst) || is_first {
            self.wake_all();
        }
    }
}
