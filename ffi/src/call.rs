//! The frame of every exported function: what goes wrong inside becomes a status, also a panic.

use std::{
    any::Any,
    mem::MaybeUninit,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{
    error::{Failure, Result, evs_error},
    status::evs_status,
};

/// Runs a function's body and tells what came of it.
pub(crate) fn call(
    error: Option<&mut MaybeUninit<*mut evs_error>>,
    body: impl FnOnce() -> Result<evs_status>,
) -> evs_status {
    let (status, told) = match catch(with_fault(body)) {
        Ok(Ok(status)) => (status, std::ptr::null_mut()),
        Ok(Err(failure)) | Err(failure) if error.is_none() => (failure.status, std::ptr::null_mut()),
        Ok(Err(failure)) | Err(failure) => (failure.status, Box::into_raw(Box::new(evs_error::new(failure)))),
    };
    if let Some(error) = error {
        error.write(told);
    }
    status
}

/// Runs the body of a function that cannot fail; after a panic it gives back `otherwise`.
pub(crate) fn value<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch(with_fault(body)).unwrap_or(otherwise)
}

/// Runs the body of a function that gives nothing back.
pub(crate) fn quietly(body: impl FnOnce()) {
    let _ = catch(body);
}

/// Frees an object that was made by [`give`].
pub(crate) fn free<T>(object: Option<Box<T>>) {
    quietly(|| drop(object));
}

/// Gives an object to the caller.
pub(crate) fn give<T>(out: &mut MaybeUninit<*mut T>, object: T) {
    out.write(Box::into_raw(Box::new(object)));
}

/// The place for an object that a function makes, which is NULL until it is made.
pub(crate) fn place<'a, T>(
    out: Option<&'a mut MaybeUninit<*mut T>>,
    name: &str,
) -> Result<&'a mut MaybeUninit<*mut T>> {
    let out = needed(out, name)?;
    out.write(std::ptr::null_mut());
    Ok(out)
}

/// An argument that must not be NULL.
pub(crate) fn needed<T>(argument: Option<T>, name: &str) -> Result<T> {
    argument.ok_or_else(|| Failure::argument(format!("{name} must not be NULL")))
}

fn catch<T>(body: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|panic| {
        let text = format!("evstream has a bug: {}", panic_text(&*panic));
        // What a panic carries might panic when it is dropped.
        drop(catch_unwind(AssertUnwindSafe(|| drop(panic))));
        Failure::new(evs_status::Panic, text)
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "it did not say what"
    }
}

/// A body that panics when a test asks for it, which it can only in a debug build.
fn with_fault<T>(body: impl FnOnce() -> T) -> impl FnOnce() -> T {
    || {
        #[cfg(debug_assertions)]
        if FAULT.get() {
            // Without the panic hook, which would fill the output of the tests.
            std::panic::resume_unwind(Box::new("this is an injected fault"));
        }
        body()
    }
}

#[cfg(debug_assertions)]
thread_local! {
    static FAULT: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Has every call of this thread panic, or not any more. For tests: in no header, and in debug builds only.
#[cfg(debug_assertions)]
#[unsafe(no_mangle)]
pub extern "C" fn evs_test_panic(panics: bool) {
    FAULT.set(panics);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status() {
        let mut error = MaybeUninit::new(std::ptr::null_mut());
        assert_eq!(call(Some(&mut error), || panic!("oh {}", "no")), evs_status::Panic);
        // SAFETY: it was set from the start.
        let error = unsafe { error.assume_init() };
        assert!(!error.is_null());
        crate::error::evs_error_free(error);
        assert_eq!(call(None, || panic!("nobody asks")), evs_status::Panic);
        assert_eq!(value(7, || panic!("oh")), 7);
        assert_eq!(catch(|| panic!("static")).unwrap_err().message, "evstream has a bug: static");
    }
}
