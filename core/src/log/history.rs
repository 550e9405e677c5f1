//! Which channel holds the oldest event, so that age and total size can be bounded over all channels.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Arc, Weak},
};

use super::channel::{Channel, State};
use crate::sync::{Mutex, lock};

/// A heap of channels by their oldest event.
///
/// Entries are lower bounds: a ring that has moved on since is put back where it belongs when it comes up. So an
/// append only touches the heap when its channel was empty.
#[derive(Default)]
pub(super) struct History {
    heap: Mutex<BinaryHeap<Reverse<Entry>>>,
}

struct Entry {
    oldest_seq: u64,
    channel: Weak<Channel>,
}

impl History {
    /// Adds a channel whose ring has just become non-empty.
    pub(super) fn add(&self, oldest_seq: u64, channel: &Arc<Channel>) {
        lock(&self.heap).push(Reverse(Entry { oldest_seq, channel: Arc::downgrade(channel) }));
    }

    /// Goes through the rings from the oldest event on, and lets `evict` take events off the front of each. It
    /// ends when `evict` leaves an event where it is.
    pub(super) fn evict(&self, mut evict: impl FnMut(&mut State)) {
        let mut heap = lock(&self.heap);
        while let Some(Reverse(entry)) = heap.pop() {
            let Some(channel) = entry.channel.upgrade() else { continue };
            let mut state = channel.lock();
            let Some(oldest_seq) = state.ring.front().map(|slot| slot.seq) else {
                state.indexed = false;
                continue;
            };
            if oldest_seq == entry.oldest_seq {
                evict(&mut state);
            }
            match state.ring.front().map(|slot| slot.seq) {
                None => state.indexed = false,
                Some(seq) => {
                    heap.push(Reverse(Entry { oldest_seq: seq, ..entry }));
                    if seq == oldest_seq && oldest_seq == entry.oldest_seq {
                        return;
                    }
                }
            }
        }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.oldest_seq == other.oldest_seq
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.oldest_seq.cmp(&other.oldest_seq)
    }
}
