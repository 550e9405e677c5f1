//! Callbacks

use std::{
    cell::Cell,
    ffi::c_void,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::{
    cast::Opaque,
    error::{Failure, Result},
    status::evs_status,
};

/// Frees what you have given as user_data.
///
/// It is called exactly once, when no callback with that user_data is running or will run any more. When the function
/// that was given it fails, that is before the function returns.
///
/// It may run on one of evstream's threads, must be short and must not block. It may free objects of evstream's.
pub type evs_free_fn = Option<extern "C" fn(user_data: *mut c_void)>;

/// The data of a callback, freed with this.
#[derive(Debug)]
pub(crate) struct UserData {
    data: Opaque,
    free: evs_free_fn,
    running: Option<Arc<Running>>,
}

/// How many callbacks of publishing are running. The core counts all others, but these may run on the thread that
/// publishes, where counting would cost every event.
///
/// Callbacks come and go without a lock: one that another thread holds when the process forks stays locked in the child,
/// which may free what it inherited.
#[derive(Debug, Default)]
pub(crate) struct Running {
    callbacks: AtomicUsize,
    waiting: Mutex<()>,
    changed: Condvar,
}

/// How a callback is to behave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manners {
    /// It runs on a thread that others need.
    Short,
    /// It runs on a thread that is there for it.
    MayBlock,
}

thread_local! {
    /// The callbacks that this thread is in: all, and the short ones.
    static DEPTH: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

impl UserData {
    pub(crate) fn new(data: *mut c_void, free: evs_free_fn) -> Self {
        Self { data: Opaque(data), free, running: None }
    }

    /// Counts the calls among those of a hub's publishing.
    pub(crate) fn counted(self, running: &Arc<Running>) -> Self {
        let mut counted = self;
        counted.running = Some(running.clone());
        counted
    }

    /// Runs a callback with the data, and with the signals of the caller's own threads.
    pub(crate) fn call<T>(&self, manners: Manners, callback: impl FnOnce(*mut c_void) -> T) -> T {
        let _running = self.running.as_deref().map(Run::start);
        let _inside = Inside::enter(manners);
        evstream::__internal::as_host(|| callback(self.data.0))
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(free) = self.free {
            self.call(Manners::Short, |data| free(data));
        }
    }
}

impl Running {
    /// Waits until no callback is running; false when the time was not enough.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while self.callbacks.load(SeqCst) > 0 {
            let left =
                deadline.map_or(LOOK_AGAIN, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(waiting, left.min(LOOK_AGAIN));
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// A callback that ends just when somebody begins to wait is not heard.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

struct Run<'a>(&'a Running);

impl<'a> Run<'a> {
    fn start(running: &'a Running) -> Self {
        running.callbacks.fetch_add(1, SeqCst);
        Self(running)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if self.0.callbacks.fetch_sub(1, SeqCst) == 1 {
            self.0.changed.notify_all();
        }
    }
}

/// Refuses what waits for callbacks to end, when it is called by one.
pub(crate) fn refuse_in_callback() -> Result<()> {
    refuse(DEPTH.get().0, "a callback cannot wait for callbacks to end; let another thread close")
}

/// Refuses to wait in a callback that others wait for.
pub(crate) fn refuse_in_short_callback() -> Result<()> {
    refuse(DEPTH.get().1, "this callback must not wait; let another thread do it")
}

fn refuse(depth: u32, text: &str) -> Result<()> {
    if depth == 0 { Ok(()) } else { Err(Failure::new(evs_status::InCallback, text)) }
}

struct Inside(Manners);

impl Inside {
    fn enter(manners: Manners) -> Self {
        let (all, short) = DEPTH.get();
        DEPTH.set((all + 1, short + u32::from(manners == Manners::Short)));
        Self(manners)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let (all, short) = DEPTH.get();
        DEPTH.set((all - 1, short - u32::from(self.0 == Manners::Short)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn count(data: *mut c_void) {
        let counter = data.cast::<Cell<u32>>();
        // SAFETY: it is the address of a counter that outlives the data.
        let counter = unsafe { &*counter };
        assert!(refuse_in_short_callback().is_err());
        counter.set(counter.get() + 1);
    }

    #[test]
    fn data_is_freed_once_and_callbacks_know_that_they_are() {
        let frees = Cell::new(0_u32);
        let data = UserData::new((&raw const frees).cast_mut().cast(), Some(count));
        data.call(Manners::MayBlock, |_| {
            assert!(refuse_in_callback().is_err() && refuse_in_short_callback().is_ok());
            data.call(Manners::Short, |_| assert!(refuse_in_short_callback().is_err()));
            assert!(refuse_in_short_callback().is_ok());
        });
        assert!(refuse_in_callback().is_ok());
        assert_eq!(frees.get(), 0);
        drop(data);
        assert_eq!(frees.get(), 1);
    }
}
