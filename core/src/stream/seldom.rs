//! Log lines whose number others decide.

use std::sync::atomic::{AtomicU64, Ordering};

/// Lets one of many through in a minute, so that nobody can fill the log.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    /// When the next one may pass, by the clock of the events.
    next_ms: AtomicU64,
    held_back: AtomicU64,
}

impl Seldom {
    /// For how many it stands if this one passes, itself included; `None` if it does not.
    pub(crate) fn pass(&self, now_ms: u64) -> Option<u64> {
        let next_ms = self.next_ms.load(Ordering::Relaxed);
        let passes = now_ms >= next_ms
            && self
                .next_ms
                .compare_exchange(next_ms, now_ms + EVERY_MS, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if !passes {
            self.held_back.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.held_back.swap(0, Ordering::Relaxed) + 1)
    }
}

const EVERY_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stands_for_those_before_it() {
        let seldom = Seldom::default();
        assert_eq!(seldom.pass(0), Some(1));
        assert_eq!([1, 2, 59_999].map(|now_ms| seldom.pass(now_ms)), [None; 3]);
        assert_eq!(seldom.pass(60_000), Some(4));
        assert_eq!(seldom.pass(200_000), Some(1));
    }
}
