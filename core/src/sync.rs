//! The locks and atomics of the log, which the model checker replaces by its own (`--cfg evstream_loom`).

#[cfg(evstream_loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard, RwLock, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};
#[cfg(not(evstream_loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard, RwLock, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

/// Locks, also after a panic elsewhere: what these locks guard is whole between any two statements that can panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
