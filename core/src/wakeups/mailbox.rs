//! What other threads leave for one that sleeps when there is nothing.

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, lock};

/// What was left, and whether its reader sleeps, so that only then somebody pays for a wake-up.
#[derive(Default)]
pub(crate) struct Mailbox<M> {
    mail: Mutex<M>,
    asleep: AtomicBool,
}

impl<M> Mailbox<M> {
    /// To leave something, or to take it. Who has left something asks [`must_rouse`](Self::must_rouse) afterwards.
    pub(crate) fn lock(&self) -> MutexGuard<'_, M> {
        lock(&self.mail)
    }

    /// Whether the reader sleeps, and whoever asks is the one to wake it. Its lock must be free again.
    pub(crate) fn must_rouse(&self) -> bool {
        self.asleep.swap(false, Ordering::SeqCst)
    }

    /// Says that the reader is about to sleep; false when there is mail, and then it must not.
    pub(crate) fn fall_asleep(&self, is_empty: impl FnOnce(&M) -> bool) -> bool {
        // First, so that what comes after the look below wakes it. A swap costs what a store of this order does, and the
        // model checker knows that it comes after the swaps of writers that it overwrites.
        self.asleep.swap(true, Ordering::SeqCst);
        let empty = is_empty(&self.lock());
        if !empty {
            self.awake();
        }
        empty
    }

    /// Says that the reader is awake.
    pub(crate) fn awake(&self) {
        self.asleep.swap(false, Ordering::SeqCst);
    }
}
