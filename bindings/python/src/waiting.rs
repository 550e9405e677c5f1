//! Letting go of the interpreter while a call waits.
//!
//! A thread that comes back to an interpreter that is ending is killed inside our frames, which aborts the process. So
//! those that are away are counted, and the package waits for them before it lets the interpreter end.

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::{marker::Ungil, prelude::*};

static AWAY: AtomicUsize = AtomicUsize::new(0);

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
    py.detach(call)
}

/// Threads that are away from the interpreter.
#[pyfunction]
pub(crate) fn waiting() -> usize {
    AWAY.load(Ordering::SeqCst)
}
