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
    /// ends when `evict` leaves an event where it is, or `work` is used up: one for each ring, and what `evict` takes
    /// from it for each event.
    pub(super) fn evict(&self, work: &mut usize, mut evict: impl FnMut(&mut State, &mut usize)) {
        let mut heap = lock(&self.heap);
        while *work > 0 {
            let Some(Reverse(entry)) = heap.pop() else { break };
            *work -= 1;
            let Some(channel) = entry.channel.upgrade() else { continue };
            let mut state = channel.lock();
            let Some(oldest_seq) = state.ring.front().map(|slot| slot.seq) else {
                // Said under the channel's lock: whoever appends next sees it, and adds the channel again.
                state.indexed = false;
                continue;
            };
            // The entry may promise an older event than the ring still has: then another ring may have the oldest.
            let is_oldest = oldest_seq == entry.oldest_seq;
            if is_oldest {
                evict(&mut state, work);
            }
            match state.ring.front().map(|slot| slot.seq) {
                None => state.indexed = false,
                Some(seq) => {
                    heap.push(Reverse(Entry { oldest_seq: seq, ..entry }));
                    // An event that stays at the very front of all is the oldest there is.
                    if is_oldest && seq == oldest_seq {
                        break;
                    }
                }
            }
        }
        if heap.capacity() > 4 * heap.len() {
            let room = 2 * heap.len();
            heap.shrink_to(room);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.heap).is_empty()
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
