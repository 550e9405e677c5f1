//! Channels by name, and what is left of those that are forgotten.
//!
//! They are in many small maps, so that going through one, or making it larger, holds nobody up for long.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use hashbrown::{HashTable, hash_table::Entry};

use super::channel::{Channel, Idle};
use crate::sync::{AtomicU64, AtomicUsize, Ordering, RwLock, RwLockWriteGuard, unpoison};

/// All channels of a log.
pub(super) struct Channels {
    maps: Box<[RwLock<Map>]>,
    hasher: RandomState,
    len: AtomicUsize,
    /// Newest event that any forgotten channel has lost: where a channel made anew starts.
    floor: AtomicU64,
    /// How many idle channels a crowded map is left with.
    spare: usize,
}

struct Map {
    table: HashTable<Hashed>,
    /// At this size its idle channels are looked at before it gets another: twice what was left last time.
    crowded: usize,
}

/// A channel beside the hash of its name, so that a table that grows need not look at channels.
struct Hashed {
    hash: u64,
    channel: Arc<Channel>,
}

/// What [`Channels::get`] gives back.
pub(super) struct Got {
    pub(super) channel: Arc<Channel>,
    /// Whether it is the only channel, and new.
    pub(super) is_first: bool,
}

impl Channels {
    /// No channels. Where there are many, about `spare` idle ones are kept.
    pub(super) fn new(spare: usize) -> Self {
        let maps = (0..MAPS).map(|_| RwLock::new(Map { table: HashTable::new(), crowded: CROWDED }));
        Self {
            maps: maps.collect(),
            hasher: RandomState::new(),
            len: AtomicUsize::new(0),
            floor: AtomicU64::new(0),
            spare: spare / MAPS,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::SeqCst)
    }

    /// The channel of that name, made if it is new.
    pub(super) fn get(&self, name: &str, now_ms: u64) -> Got {
        let hash = self.hasher.hash_one(name);
        let lock = &self.maps[map_of(hash)];
        let found = read(lock, |table| table.find(hash, |hashed| hashed.is(hash, name)).map(Hashed::channel));
        match found {
            Some(channel) => Got { channel, is_first: false },
            None => self.make(name, hash, now_ms),
        }
    }

    /// Forgets the channels of one map that were idle for `after_ms`; how many it has looked at.
    pub(super) fn forget(&self, map: usize, now_ms: u64, after_ms: u64) -> usize {
        let mut map = write(&self.maps[map % MAPS]);
        let looked_at = map.table.len();
        let gone = self.take_out(&mut map, now_ms, |idle| now_ms.saturating_sub(idle.since_ms) >= after_ms);
        map.shrink();
        drop(map);
        self.count_gone(gone);
        looked_at
    }

    /// The channels of one map.
    pub(super) fn of_map(&self, map: usize) -> Vec<Arc<Channel>> {
        read(&self.maps[map % MAPS], |table| table.iter().map(Hashed::channel).collect())
    }

    /// Sees to it that a channel made anew has lost everything up to `floor`.
    pub(super) fn raise_floor(&self, floor: u64) {
        self.floor.fetch_max(floor, Ordering::SeqCst);
    }

    fn make(&self, name: &str, hash: u64, now_ms: u64) -> Got {
        let mut map = write(&self.maps[map_of(hash)]);
        // Clients may name channels at will, so these must not pile up until the next sweep.
        let gone = if map.table.len() >= map.crowded { self.thin(&mut map, now_ms) } else { Vec::new() };
        let got = match map.table.entry(hash, |hashed| hashed.is(hash, name), |hashed| hashed.hash) {
            Entry::Occupied(entry) => Got { channel: entry.get().channel(), is_first: false },
            Entry::Vacant(entry) => {
                // Read under the lock: this channel, if it was forgotten, has left its mark.
                let floor = self.floor.load(Ordering::SeqCst);
                let channel = Arc::new(Channel::new(name, floor, now_ms));
                entry.insert(Hashed { hash, channel: channel.clone() });
                Got { channel, is_first: self.len.fetch_add(1, Ordering::SeqCst) == 0 }
            }
        };
        drop(map);
        self.count_gone(gone);
        got
    }

    /// Makes room in a map: forgets the channels that nobody will miss, and of the other idle ones the oldest.
    fn thin(&self, map: &mut Map, now_ms: u64) -> Vec<Hashed> {
        let mut since_ms = Vec::new();
        let mut gone = self.take_out(map, now_ms, |idle| {
            if idle.is_missed {
                since_ms.push(idle.since_ms);
            }
            !idle.is_missed
        });
        if let Some(excess) = since_ms.len().checked_sub(self.spare + 1) {
            let (_, &mut newest_ms, _) = since_ms.select_nth_unstable(excess);
            gone.extend(self.take_out(map, now_ms, |idle| idle.since_ms <= newest_ms));
        }
        map.crowded = CROWDED.max(2 * map.table.len());
        map.shrink();
        gone
    }

    /// Takes the idle channels out that `forgets` chooses; the caller drops them when the map is not locked any more.
    ///
    /// What they have lost is remembered in one number, so a position from before is answered with a reset rather than
    /// with silence.
    fn take_out(&self, map: &mut Map, now_ms: u64, mut forgets: impl FnMut(Idle) -> bool) -> Vec<Hashed> {
        let forgets = |hashed: &mut Hashed| hashed.channel.idle(now_ms).is_some_and(&mut forgets);
        let gone: Vec<Hashed> = map.table.extract_if(forgets).collect();
        self.raise_floor(gone.iter().map(|hashed| hashed.channel.lock().evicted).max().unwrap_or(0));
        gone
    }

    fn count_gone(&self, gone: Vec<Hashed>) {
        self.len.fetch_sub(gone.len(), Ordering::SeqCst);
    }
}

impl Map {
    fn shrink(&mut self) {
        if self.table.capacity() > 4 * self.table.len() {
            self.table.shrink_to(2 * self.table.len(), |hashed| hashed.hash);
        }
    }
}

impl Hashed {
    fn is(&self, hash: u64, name: &str) -> bool {
        self.hash == hash && self.channel.name() == name
    }

    fn channel(&self) -> Arc<Channel> {
        self.channel.clone()
    }
}

/// With a million channels a map has four thousand, which are gone through in less than a millisecond.
pub(super) const MAPS: usize = if cfg!(evstream_loom) { 1 } else { 256 };

/// Fewer channels than this in a map are not worth going through before the next sweep.
const CROWDED: usize = 16_384 / MAPS;

/// By other bits of the hash than the tables use, which are the lowest and the highest.
fn map_of(hash: u64) -> usize {
    (hash >> 32) as usize % MAPS
}

fn read<T>(map: &RwLock<Map>, read: impl FnOnce(&HashTable<Hashed>) -> T) -> T {
    read(&unpoison(map.read()).table)
}

fn write(map: &RwLock<Map>) -> RwLockWriteGuard<'_, Map> {
    unpoison(map.write())
}
