//! When memory that is free goes back to the system.

use std::time::Instant;

/// Watches how many channels there are, and has memory given back when most of many are gone.
///
/// Not before: as long as some are left on most pages there is nothing to give. And not all at the end, because others
/// wait for memory meanwhile, and what the host has free is gone through as well. The longer it has taken, the later it
/// is done again.
#[derive(Default)]
pub(super) struct Ebb {
    high: usize,
    now: usize,
    not_before_ms: u64,
}

impl Ebb {
    pub(super) fn watch(&mut self, channels: usize, now_ms: u64, give_back: impl FnOnce()) {
        self.now = channels;
        if !self.is_low() {
            self.high = self.high.max(channels);
        } else if now_ms >= self.not_before_ms {
            let start = Instant::now();
            give_back();
            self.not_before_ms = now_ms + (PAUSE * start.elapsed()).as_millis() as u64;
            // It is done again when half of those are gone that are left.
            self.high = if channels < MANY / LOW { 0 } else { channels / 2 * LOW };
        }
    }

    /// When to watch again, if there is something to give back.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.is_low().then_some(self.not_before_ms)
    }

    fn is_low(&self) -> bool {
        self.high >= MANY && self.now <= self.high / LOW
    }
}

/// Channels that take some ten megabytes with what they had in history. Fewer are not worth it.
const MANY: usize = 32_768;

/// With an eighth of the channels left, a quarter of the pages are free.
const LOW: usize = 8;

/// It takes a hundredth of the time at most.
const PAUSE: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    /// At how many channels memory is given back.
    fn given(ebb: &mut Ebb, channels: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut given = Vec::new();
        for channels in channels {
            ebb.watch(channels, u64::MAX / 2, || given.push(channels));
            ebb.not_before_ms = 0;
        }
        given
    }

    #[test]
    fn memory_is_given_back_when_most_channels_are_gone() {
        let mut ebb = Ebb::default();
        let falling = (0..=MANY).rev().step_by(16);
        assert_eq!(given(&mut ebb, falling.clone()), [MANY / 8]);
        assert_eq!(ebb.next_ms(), None);
        let falling = (0..=10 * MANY).rev().step_by(16);
        let tenfold = [8, 16, 32, 64].map(|part| 10 * MANY / part);
        assert_eq!(given(&mut ebb, falling), tenfold);
    }

    #[test]
    fn where_channels_come_and_go_it_is_not_done_all_the_time() {
        let mut ebb = Ebb::default();
        assert_eq!(given(&mut ebb, (0..100).map(|round| MANY + round % 2 * 6 * MANY)), [0; 0]);
        assert_eq!(given(&mut ebb, (0..100).map(|round| round % 2 * (MANY - 1))).len(), 1);
    }

    #[test]
    fn what_is_too_early_is_done_later() {
        let mut ebb = Ebb { not_before_ms: 500, ..Ebb::default() };
        ebb.watch(MANY, 0, || panic!("there are more"));
        ebb.watch(0, 0, || panic!("it is too early"));
        assert_eq!(ebb.next_ms(), Some(500));
        let mut given = false;
        ebb.watch(0, 500, || given = true);
        assert!(given);
        assert_eq!(ebb.next_ms(), None);
    }
}
