//! Milliseconds since an application's events came to be: the only clock the lower floors know.

use std::time::{Duration, Instant, SystemTime};

use crate::stream::Now;

/// A monotonic clock that starts at 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Now {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { ms: self.now_ms(), unix_s: since_1970.as_secs() }
    }

    pub(crate) fn now_ms(self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }
}

/// When `timeout` from now is over, however long it is.
pub(crate) fn deadline(timeout: Duration) -> Instant {
    Instant::now() + timeout.min(FOR_EVER)
}

/// A hundred years: more would not fit every system's clock.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);
