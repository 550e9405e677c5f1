//! When each stream is told that the journal is another than before. All at once they would all load their data anew at once.

use fastrand::Rng;

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
            let seed = self.0 ^ u64::from(log.epoch().0).rotate_left(32);
            log.rebased_ms() + Rng::with_seed(seed).u64(..=hub.config().retry_ms)
        })
    }
}
