//! What a caller leaves with us: functions to call, and the data they are called with.

use std::{cell::Cell, ffi::c_void};

use crate::{
    cast::Opaque,
    error::{Failure, Result},
    status::evs_status,
};

/// Frees what a caller has given as user_data. It is called exactly once, when no callback with that user_data is
/// running or will run any more: also when the function that was given it fails, and then before it returns.
///
/// It may run on a thread of evstream's, and must be short and must not block. It may free objects of evstream's.
pub type evs_free_fn = Option<extern "C" fn(user_data: *mut c_void)>;

/// The data of a callback, freed with this.
#[derive(Debug)]
pub(crate) struct UserData {
    data: Opaque,
    free: evs_free_fn,
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
        Self { data: Opaque(data), free }
    }

    /// Runs a callback with the data.
    pub(crate) fn call<T>(&self, manners: Manners, callback: impl FnOnce(*mut c_void) -> T) -> T {
        let _inside = Inside::enter(manners);
        callback(self.data.0)
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(free) = self.free {
            self.call(Manners::Short, |data| free(data));
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
