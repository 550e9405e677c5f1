//! How a reader that sleeps learns of a commit.
//!
//! On Linux it sleeps on a word in the header, which each commit changes. Everywhere it looks by itself from time to time:
//! the writer may have been killed before it could wake anyone, and the file may have been replaced.

use std::{fs::File, thread, time::Duration};

#[cfg(any(target_os = "android", target_os = "linux"))]
use crate::sys::FutexWord;

#[cfg(any(target_os = "android", target_os = "linux"))]
#[derive(Debug)]
pub(super) struct Bell(Option<FutexWord>);

#[cfg(not(any(target_os = "android", target_os = "linux")))]
#[derive(Debug)]
pub(super) struct Bell;

/// The longest sleep.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The longest sleep where nobody wakes us. A look is one `read` of a page in memory.
const POLL_EVERY: Duration = Duration::from_millis(5);

#[cfg(any(target_os = "android", target_os = "linux"))]
impl Bell {
    pub(super) fn new(file: &File) -> Self {
        Self(FutexWord::map(file, super::header::BELL_AT).ok())
    }

    /// Sleeps for `timeout` at most while the word is `expected`; false when it was another already.
    pub(super) fn wait(&self, expected: u32, timeout: Duration) -> bool {
        let timeout = timeout.min(LOOK_EVERY);
        match self.0.as_ref().map(|word| word.wait(expected, timeout)) {
            Some(Ok(slept)) => slept,
            Some(Err(_)) | None => poll(timeout),
        }
    }

    pub(super) fn ring(&self) {
        if let Some(word) = &self.0 {
            word.wake();
        }
    }
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
impl Bell {
    pub(super) fn new(_file: &File) -> Self {
        Self
    }

    pub(super) fn wait(&self, _expected: u32, timeout: Duration) -> bool {
        poll(timeout)
    }

    pub(super) fn ring(&self) {
        let Self = self;
    }
}

/// Without a word to sleep on.
fn poll(timeout: Duration) -> bool {
    thread::sleep(timeout.min(POLL_EVERY));
    true
}
