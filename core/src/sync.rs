//! The locks and atomics of the log and of wake-ups, which the model checker replaces by its own (`--cfg evstream_loom`), and what is done
//! alike with locks and wakers everywhere.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{LockResult, PoisonError},
    task::Waker,
};

#[cfg(evstream_loom)]
pub(crate) use loom::sync::{
    Condvar, Mutex, MutexGuard, RwLock, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};
#[cfg(not(evstream_loom))]
pub(crate) use std::sync::{
    Condvar, Mutex, MutexGuard, RwLock, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

/// Locks, also after a panic elsewhere.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    unpoison(mutex.lock())
}

/// What a lock gives, also after a panic elsewhere: the invariants of what our locks guard hold wherever a panic can
/// start.
pub(crate) fn unpoison<T>(locked: LockResult<T>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}

/// Wakes a task. A waker is others' code, and what calls it serves other tasks too, so a panic ends here.
pub(crate) fn wake(waker: Waker) {
    if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
        tracing::error!("a waker has panicked");
    }
}

/// Goes through every order of a race with at most three switches away from a thread that could have gone on: more find no
/// more, and take hours.
#[cfg(all(test, evstream_loom))]
pub(crate) fn check_races(race: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(race);
}
