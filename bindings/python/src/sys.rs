//! What is not safe by itself: numbers that are trusted to be file descriptors, and a question to the interpreter.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use pyo3::{ffi, prelude::*};

/// Takes over a descriptor that the caller owns, and from now on no longer does.
#[expect(unsafe_code, reason = "Python has descriptors as numbers")]
pub(crate) fn take_fd(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: by contract the caller has made `fd` with `dup` for us and does not use it again; -1 is not one.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether this runs in the interpreter that the process began with. From 3.12 on `PyO3` refuses others.
#[expect(unsafe_code, reason = "PyO3 has no safe way to ask")]
pub(crate) fn is_main_interpreter(_: Python<'_>) -> bool {
    // SAFETY: the token proves that the thread is attached, and then there is a current interpreter.
    let current = unsafe { ffi::PyInterpreterState_Get() };
    // SAFETY: as above; an interpreter lives at least as long as a thread is attached to it.
    let id = unsafe { ffi::PyInterpreterState_GetID(current) };
    id == 0
}

/// Whether the other end of a connected socket has closed it, or its half of it.
#[pyfunction]
#[expect(unsafe_code, reason = "a descriptor that belongs to a server in Python")]
pub(crate) fn has_hung_up(fd: RawFd) -> bool {
    let mut byte = 0_u8;
    // SAFETY: the buffer has the length that is given; a number that is no descriptor is answered with an error.
    let read = unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT) };
    match read {
        0 => true,
        1.. => false,
        _ => std::io::Error::last_os_error().kind() != std::io::ErrorKind::WouldBlock,
    }
}
