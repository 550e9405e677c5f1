//! Milliseconds since a day before an application's events came to be: the only clock the lower floors know.

use std::time::{Duration, Instant, SystemTime};

use crate::stream::Now;

/// A monotonic clock. It starts at a day, the greatest age of history, for events may be older than the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Now {
        Now { ms: self.now_ms(), unix_s: unix_ms() / 1_000 }
    }

    pub(crate) fn now_ms(self) -> u64 {
        self.0.elapsed().as_millis() as u64 + DAY_MS
    }

    /// This clock's time of a moment that is told in milliseconds since 1970.
    pub(crate) fn at_ms(self, at_unix_ms: u64) -> u64 {
        (self.now_ms() + at_unix_ms).saturating_sub(unix_ms())
    }
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// When `timeout` from now is over, however long it is.
pub(crate) fn deadline(timeout: Duration) -> Instant {
    Instant::now() + timeout.min(FOR_EVER)
}

const DAY_MS: u64 = 86_400_000;

/// A hundred years: more would not fit every system's clock.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);
