//! Who runs code of the application at this moment, so that closing neither forgets a callback nor waits for itself.

use std::{
    cell::RefCell,
    sync::{Arc, Condvar, Mutex},
};

use crate::sync::unpoison;

/// The callbacks of an application's events that are running, on whatever thread.
#[derive(Debug, Default)]
pub(crate) struct Callbacks {
    running: Mutex<usize>,
    none: Condvar,
}

thread_local! {
    /// Whose callbacks this thread is in, or serves until it ends.
    static INSIDE: RefCell<Vec<Arc<Callbacks>>> = const { RefCell::new(Vec::new()) };
}

impl Callbacks {
    /// Runs a callback.
    pub(crate) fn run<T>(self: &Arc<Self>, callback: impl FnOnce() -> T) -> T {
        let _running = Running::new(self);
        callback()
    }

    /// Says that whatever this thread runs from now on is called by us: it is a thread of ours.
    pub(crate) fn own_thread(self: &Arc<Self>) {
        let _ = INSIDE.try_with(|inside| inside.borrow_mut().push(self.clone()));
    }

    /// Whether the caller is inside of a callback, and would wait for itself.
    pub(crate) fn are_inside(&self) -> bool {
        let is_this = |other: &Arc<Self>| std::ptr::eq(&raw const **other, self);
        INSIDE.try_with(|inside| inside.borrow().iter().any(is_this)).unwrap_or(false)
    }

    pub(crate) fn are_running(&self) -> bool {
        *unpoison(self.running.lock()) > 0
    }

    /// Waits until none is running, however long that takes.
    pub(crate) fn wait_for_none(&self) {
        let running = unpoison(self.running.lock());
        drop(self.none.wait_while(running, |running| *running > 0));
    }

    fn count(&self, change: impl FnOnce(&mut usize)) {
        let mut running = unpoison(self.running.lock());
        change(&mut running);
        if *running == 0 {
            self.none.notify_all();
        }
    }
}

/// A callback that is running, until this is dropped.
struct Running<'a>(&'a Arc<Callbacks>);

impl<'a> Running<'a> {
    fn new(callbacks: &'a Arc<Callbacks>) -> Self {
        callbacks.count(|running| *running += 1);
        callbacks.own_thread();
        Self(callbacks)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = INSIDE.try_with(|inside| inside.borrow_mut().pop());
        self.0.count(|running| *running -= 1);
    }
}
