//! Spreading in time what many clients would otherwise do at once: load their data anew, or come back.

use super::hub::Hub;

/// What it takes to know when a stream is told. It asks for no more than its number, so that a shard, which does not read the
/// stream, comes to the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn(u64);

impl Turn {
    /// The turn of the stream with that number.
    pub(crate) fn of(number: u64) -> Self {
        Self(number)
    }

    /// Until when nothing is told to the stream, whose cursor this is: a random part of `retry_ms` after the journal was found
    /// to be another. `None` when the cursor is a place of this one.
    pub(crate) fn due_ms(self, hub: &Hub, cursor: u64) -> Option<u64> {
        let log = hub.log();
        log.is_before_epoch(cursor).then(|| {
            let turn = self.0 ^ u64::from(log.epoch().0).rotate_left(32);
            log.rebased_ms() + spread(turn, hub.config().retry_ms)
        })
    }
}

/// A time up to `by_ms` for each turn, by multiples of the golden ratio: each falls into the widest gap that those before it
/// have left.
pub(super) fn spread(turn: u64, by_ms: u64) -> u64 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    ((u128::from(turn.wrapping_mul(GOLDEN)) * u128::from(by_ms + 1)) >> 64) as u64
}
