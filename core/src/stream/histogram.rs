//! Times counted by how long they were, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many took how long at most, and how long all of them together.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds_ms: &'static Bounds,
    /// By the least bound that is not below the time; the last is for what is above all of them.
    counts: [AtomicU64; BOUNDS + 1],
    sum_ms: AtomicU64,
}

/// What a [`Histogram`] holds at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) bounds_ms: &'static Bounds,
    pub(crate) counts: [u64; BOUNDS + 1],
    pub(crate) sum_ms: u64,
}

/// Ascending, in milliseconds.
pub(crate) type Bounds = [u64; BOUNDS];

const BOUNDS: usize = 14;

/// From the publishing of an event to its writing: one millisecond, which is what clocks tell apart here, to a minute.
pub(super) const DELIVERY_MS: Bounds =
    [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 60_000];

/// Ages of streams: from those that something cuts off at once to those of a week.
pub(super) const AGE_MS: Bounds = [
    1_000,
    5_000,
    15_000,
    30_000,
    60_000,
    120_000,
    300_000,
    900_000,
    1_800_000,
    3_600_000,
    14_400_000,
    43_200_000,
    86_400_000,
    604_800_000,
];

impl Histogram {
    pub(super) fn new(bounds_ms: &'static Bounds) -> Self {
        Self { bounds_ms, counts: <_>::default(), sum_ms: AtomicU64::new(0) }
    }

    pub(super) fn count(&self, ms: u64) {
        let place = self.bounds_ms.partition_point(|&bound_ms| bound_ms < ms);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.sum_ms.fetch_add(ms, Ordering::Relaxed);
    }

    pub(super) fn tally(&self) -> Tally {
        // The sum first: what comes meanwhile may be missing in it, but never in the counts alone.
        let sum_ms = self.sum_ms.load(Ordering::Relaxed);
        let counts = std::array::from_fn(|place| self.counts[place].load(Ordering::Relaxed));
        Tally { bounds_ms: self.bounds_ms, counts, sum_ms }
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        debug_assert_eq!(self.bounds_ms, other.bounds_ms);
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum_ms += other.sum_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_counts_below_the_next_bound() {
        let histogram = Histogram::new(&DELIVERY_MS);
        for ms in [0, 1, 2, 3, 60_000, 60_001] {
            histogram.count(ms);
        }
        let mut tally = histogram.tally();
        assert_eq!((tally.counts[..3].to_vec(), tally.counts[13], tally.counts[14]), (vec![2, 1, 1], 1, 1));
        assert_eq!(tally.sum_ms, 120_007);
        tally += histogram.tally();
        assert_eq!((tally.counts[0], tally.sum_ms), (4, 240_014));
    }

    #[test]
    fn bounds_ascend() {
        for bounds in [DELIVERY_MS, AGE_MS] {
            assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
        }
    }
}
