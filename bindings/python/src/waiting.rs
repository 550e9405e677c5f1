//! Letting go of the interpreter while a call waits.
//!
//! A thread that comes back to an interpreter that is ending is killed inside our frames, which aborts the process. So
//! those that are away are counted; before the interpreter ends the package closes what they wait for, has no more of
//! them go, and waits until all are back. For the same reason nothing here runs Python code that it could do without.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pyo3::{marker::Ungil, prelude::*};

static AWAY: AtomicUsize = AtomicUsize::new(0);
static ENDING: AtomicBool = AtomicBool::new(false);

/// Runs `call`, which may wait, without the interpreter.
pub(crate) fn wait<T: Ungil>(py: Python<'_>, call: impl FnOnce() -> T + Ungil) -> T {
    struct Away;
    impl Drop for Away {
        fn drop(&mut self) {
            AWAY.fetch_sub(1, Ordering::SeqCst);
        }
    }
    AWAY.fetch_add(1, Ordering::SeqCst);
    // Dropped after the interpreter has been entered again.
    let _away = Away;
    // Counted first, so that who looks at the count after `end_waiting` sees all that may be away.
    if ENDING.load(Ordering::SeqCst) { call() } else { py.detach(call) }
}

/// From now on no call lets go of the interpreter, as there is nothing left to wait for; gives the number of threads that
/// are still away.
#[pyfunction]
pub(crate) fn end_waiting() -> usize {
    ENDING.store(true, Ordering::SeqCst);
    AWAY.load(Ordering::SeqCst)
}

/// Starts over, in a forked child: the threads that were away are not there.
pub(crate) fn reset() {
    AWAY.store(0, Ordering::SeqCst);
}
