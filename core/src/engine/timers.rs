//! Deadlines of a shard's members: one entry each, looked at when it comes up.

use std::{cmp::Reverse, collections::BinaryHeap};

pub(super) use crate::stream::NEVER;

/// A heap of deadlines.
///
/// A deadline that moves further away, as a keep-alive's does with every event, is not touched: its old entry comes
/// up, and the member says what its deadline is by then.
#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Timers {
    /// The time to put a deadline at: entries that are close to each other share one wake-up of the thread.
    pub(super) fn round_up(due_ms: u64) -> u64 {
        due_ms.checked_next_multiple_of(GRAIN_MS).unwrap_or(NEVER)
    }

    pub(super) fn add(&mut self, due_ms: u64, token: usize) {
        self.heap.push(Reverse((due_ms, token)));
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Drops the entries that `keep` does not want.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(u64, usize) -> bool) {
        self.heap.retain(|Reverse((due_ms, token))| keep(*due_ms, *token));
    }

    pub(super) fn next_ms(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((due_ms, _))| *due_ms)
    }

    /// An entry that has come up: its time and token.
    pub(super) fn pop(&mut self, now_ms: u64) -> Option<(u64, usize)> {
        let Reverse(entry) = *self.heap.peek()?;
        (entry.0 <= now_ms).then(|| {
            self.heap.pop();
            entry
        })
    }
}

/// Small beside every deadline there is; large enough that 15,000 streams wake a thread 20 times a second at most.
const GRAIN_MS: u64 = 50;
