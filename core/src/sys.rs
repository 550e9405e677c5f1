//! What only the C library can do. The only unsafe code of this crate is here, which the lint `unsafe_code` makes sure of.
#![expect(unsafe_code, reason = "the calls have no safe form elsewhere")]

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, RawFd},
    sync::atomic::{AtomicI32, Ordering},
};

#[cfg(any(target_os = "android", target_os = "linux"))]
use std::time::Duration;

#[cfg(any(target_os = "android", target_os = "linux"))]
use nix::sys::time::TimeSpec;

/// Has `handler` called in every child that is forked from now on; false when that cannot be had. It may do no more
/// than touch atomics and close descriptors, for the locks of the parent's threads are as the fork found them.
pub(crate) fn on_fork(handler: extern "C" fn()) -> bool {
    // SAFETY: a handler without arguments, which lives as long as the program does.
    unsafe { libc::pthread_atfork(None, None, Some(handler)) == 0 }
}

/// Has `handler` called when the process exits: at the end of `main` or by `exit`, not by `_exit` or a signal. False when that
/// cannot be had.
pub(crate) fn on_exit(handler: extern "C" fn()) -> bool {
    // SAFETY: as above.
    unsafe { libc::atexit(handler) == 0 }
}

/// Gives memory that is free to the system. glibc keeps it where something that lives lies behind it, for ever.
pub(crate) fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it may be called by any thread at any time, and only touches memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Takes the exclusive lock of an open file, which the kernel lets go of when its last holder dies; false when another
/// has it.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: the descriptor is open, and no memory is involved.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::WouldBlock { Ok(false) } else { Err(error) }
}

pub(crate) fn unlock(file: &File) {
    // SAFETY: as above. It cannot fail for a lock that is held.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) };
}

/// An open file that forked children do not keep. A lock of it would be theirs too, and outlive this process.
#[derive(Debug)]
pub(crate) struct Unforked {
    file: File,
    place: Option<&'static AtomicI32>,
}

/// The descriptors that a child is to close. No list that grows, because what it is locked with could be locked in the child.
static UNFORKED: [AtomicI32; 64] = [const { AtomicI32::new(NO_FILE) }; 64];
const NO_FILE: RawFd = -1;

impl Unforked {
    /// To be called before the file is locked. Beyond so many files at once, children keep them after all.
    pub(crate) fn new(file: File) -> Self {
        let fd = file.as_raw_fd();
        let is_free = |place: &&AtomicI32| {
            place.compare_exchange(NO_FILE, fd, Ordering::SeqCst, Ordering::Relaxed).is_ok()
        };
        Self { place: UNFORKED.iter().find(is_free), file }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

/// Before the file is closed, or a child would close whatever has its number next.
impl Drop for Unforked {
    fn drop(&mut self) {
        unlock(&self.file);
        if let Some(place) = self.place {
            place.store(NO_FILE, Ordering::SeqCst);
        }
    }
}

/// Closes what a child is not to keep; for the child.
pub(crate) fn close_unforked() {
    for place in &UNFORKED {
        let fd = place.swap(NO_FILE, Ordering::SeqCst);
        if fd != NO_FILE {
            // SAFETY: it was open when this process was forked, and whoever uses it is a thread that is not here.
            unsafe { libc::close(fd) };
        }
    }
}

/// A word of a file's first page, on which processes sleep until it is changed, by `write` as any byte of a file.
///
/// Only the kernel looks at the mapped page: were the file cut short, it would answer `EFAULT`, where a process that
/// touches the page is killed by SIGBUS.
#[cfg(any(target_os = "android", target_os = "linux"))]
#[derive(Debug)]
pub(crate) struct FutexWord {
    page: *mut libc::c_void,
    word: *mut u32,
}

// SAFETY: the pointers are addresses for the kernel; nothing is read or written through them.
#[cfg(any(target_os = "android", target_os = "linux"))]
unsafe impl Send for FutexWord {}

#[cfg(any(target_os = "android", target_os = "linux"))]
impl FutexWord {
    const PAGE_BYTES: usize = 4096;

    /// The word that is `at` bytes from the start of the file; a multiple of four, less than 4,096.
    pub(crate) fn map(file: &File, at: usize) -> io::Result<Self> {
        assert!(at.is_multiple_of(4) && at < Self::PAGE_BYTES);
        let (none, fd) = (std::ptr::null_mut(), file.as_raw_fd());
        // SAFETY: a new mapping, of which nobody has an address yet.
        let page = unsafe { libc::mmap(none, Self::PAGE_BYTES, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // A child would keep the open file by its mapping, and with that a lock which this process may have when it ends.
        // SAFETY: the page is ours, and no byte of it changes.
        unsafe { libc::madvise(page, Self::PAGE_BYTES, libc::MADV_DONTFORK) };
        Ok(Self { page, word: page.cast::<u32>().wrapping_add(at / 4) })
    }

    /// Sleeps while the word is `expected`, for `timeout` at most; false when it was another from the start.
    pub(crate) fn wait(&self, expected: u32, timeout: Duration) -> io::Result<bool> {
        let timeout = *TimeSpec::from_duration(timeout).as_ref();
        // SAFETY: the kernel checks the address, and reads `timeout`, which outlives the call.
        let result = unsafe {
            libc::syscall(libc::SYS_futex, self.word, libc::FUTEX_WAIT, expected, &raw const timeout)
        };
        if result == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN) => Ok(false),
            Some(libc::ETIMEDOUT | libc::EINTR) => Ok(true),
            _ => Err(error),
        }
    }

    /// Wakes all who sleep on the word, in any process.
    pub(crate) fn wake(&self) {
        // SAFETY: the kernel checks the address.
        unsafe { libc::syscall(libc::SYS_futex, self.word, libc::FUTEX_WAKE, i32::MAX) };
    }
}

#[cfg(any(target_os = "android", target_os = "linux"))]
impl Drop for FutexWord {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing refers to it.
        unsafe { libc::munmap(self.page, Self::PAGE_BYTES) };
    }
}
