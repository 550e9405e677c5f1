//! The one place that trusts a number to be a file descriptor.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes over a descriptor that the caller owns, and from now on no longer does.
#[expect(unsafe_code, reason = "Python has descriptors as numbers")]
pub(crate) fn take_fd(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: by contract the caller has made `fd` with `dup` for us and does not use it again; -1 is not one.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}
