//! Telling a forked child from the process it comes from.
//!
//! Threads do not survive a fork, and a lock that one of them held stays locked for ever. So what belongs to the
//! parent is neither used nor dropped in the child: using it fails with `forked`, and dropping it leaks it.

use std::ops::{Deref, DerefMut};
#[cfg(feature = "runtime")]
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[cfg(feature = "runtime")]
use crate::{
    error::{Error, ErrorKind},
    sys,
};

/// The process that made something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Process(u64);

/// Something that is dropped by the process that made it, and by no child of it.
#[derive(Debug)]
pub(crate) struct Own<T> {
    value: Option<T>,
    process: Process,
}

/// What is said to whoever uses it in a child.
pub(crate) const FORKED: &str =
    "the events belong to the process that forked this one; make new ones after a fork";

/// Forks between this process and its first ancestor with evstream in it. A number in memory, because asking the
/// system who we are costs more than publishing an event does.
#[cfg(feature = "runtime")]
static FORKS: AtomicU64 = AtomicU64::new(0);

/// The error of whatever belongs to the parent of this process.
#[cfg(feature = "runtime")]
pub(crate) fn forked() -> Error {
    Error::new(ErrorKind::Forked, FORKED)
}

impl Process {
    /// This process.
    #[cfg(feature = "runtime")]
    pub(crate) fn current() -> Self {
        // No lock: a child that is forked off meanwhile would wait for it for ever. Counting a fork twice is as good.
        static HANDLED: AtomicBool = AtomicBool::new(false);
        if !HANDLED.load(Ordering::Acquire) {
            if !sys::on_fork(count_fork) {
                tracing::warn!("forks cannot be noticed: using evstream in a forked child may hang");
            }
            HANDLED.store(true, Ordering::Release);
        }
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Whether this is still the process that was asked, and not a child of it.
    #[cfg(feature = "runtime")]
    pub(crate) fn is_current(self) -> bool {
        self.0 == FORKS.load(Ordering::Relaxed)
    }

    /// Whether an ancestor of this process had evstream in it.
    pub(crate) fn is_forked(self) -> bool {
        self.0 > 0
    }

    /// Without the runtime there are no threads to lose.
    #[cfg(not(feature = "runtime"))]
    pub(crate) fn current() -> Self {
        Self(0)
    }

    #[cfg(not(feature = "runtime"))]
    pub(crate) fn is_current(self) -> bool {
        let Self(_) = self;
        true
    }
}

impl<T> Own<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Some(value), process: Process::current() }
    }

    pub(crate) fn process(&self) -> Process {
        self.process
    }
}

impl<T> Deref for Own<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("it is taken only when dropped")
    }
}

impl<T> DerefMut for Own<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("it is taken only when dropped")
    }
}

impl<T> Drop for Own<T> {
    #[expect(clippy::mem_forget, reason = "leaking is the purpose")]
    fn drop(&mut self) {
        if !self.process.is_current() {
            std::mem::forget(self.value.take());
        }
    }
}

#[cfg(feature = "runtime")]
extern "C" fn count_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    sys::close_unforked();
}
