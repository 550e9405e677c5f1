//! Streams of one shard that read the same channels.

use std::{collections::HashMap, sync::Arc};

use slab::Slab;

use super::{
    batch::{BATCH_BYTES, Batch},
    inbox::Inbox,
};
use crate::log::{Channel, Log, Watcher, read};

/// A set of channels, and the streams that read just these. What lies in the log is read once for all of them.
pub(super) struct Feed {
    channels: Arc<[Arc<Channel>]>,
    key: Box<[usize]>,
    /// Keys of its members in the shard.
    pub(super) members: Vec<usize>,
    /// Up to where its members were given events, but for those that are behind.
    cursor: u64,
    dirty: bool,
    /// Some of its members have yet to be given what was read last.
    underway: bool,
    /// Unlike its key, never that of another feed.
    id: u64,
}

/// The feeds of a shard, and the channels they watch.
pub(super) struct Feeds {
    inbox: Arc<Inbox>,
    all: Slab<Feed>,
    by_channels: HashMap<Box<[usize]>, usize>,
    watched: Slab<Watched>,
    by_channel: HashMap<usize, usize>,
    dirty: Vec<usize>,
    next_id: u64,
}

/// A channel that some feed reads.
struct Watched {
    channel: Arc<Channel>,
    watcher: Arc<Watcher>,
    feeds: Vec<usize>,
}

/// What a feed has read.
pub(super) enum FeedRead {
    /// The batch holds the events after `from` up to `upto`.
    Batch { from: u64, upto: u64 },
    /// The log has moved past the feed: each member must see for itself.
    Overtaken,
}

impl Feeds {
    pub(super) fn new(inbox: Arc<Inbox>) -> Self {
        Self {
            inbox,
            all: Slab::new(),
            by_channels: HashMap::new(),
            watched: Slab::new(),
            by_channel: HashMap::new(),
            dirty: Vec::new(),
            next_id: 0,
        }
    }

    /// Adds a member to the feed of its channels; gives back the feed, the member's place in it, and the feed's list
    /// of channels for the member to share.
    pub(super) fn join(
        &mut self,
        member: usize,
        channels: &Arc<[Arc<Channel>]>,
        log: &Log,
    ) -> (usize, usize, Arc<[Arc<Channel>]>) {
        // The order counts: members share the list, and refer to channels by their index in it.
        let key: Box<[usize]> = channels.iter().map(address).collect();
        let feed_key = match self.by_channels.get(&key) {
            Some(&feed) => feed,
            None => self.add(key, channels, log),
        };
        let feed = &mut self.all[feed_key];
        feed.members.push(member);
        (feed_key, feed.members.len() - 1, feed.channels.clone())
    }

    /// Takes a member out; gives back the member that has moved to its place, if one has.
    pub(super) fn leave(&mut self, feed_key: usize, place: usize) -> Option<usize> {
        let feed = &mut self.all[feed_key];
        // In constant time: whoever is last fills the gap, and has to be told its new place. A feed without members goes at
        // once, for it keeps its channels in memory and has publishers wake this shard.
        feed.members.swap_remove(place);
        if feed.members.is_empty() {
            self.remove(feed_key);
            return None;
        }
        feed.members.get(place).copied()
    }

    /// A channel has news: its feeds are to be read.
    pub(super) fn wake(&mut self, token: usize) {
        // The token may be that of a channel that is no longer watched, or of another by now: that costs a look.
        let Some(watched) = self.watched.get(token) else { return };
        watched.watcher.rearm();
        for &feed in &watched.feeds {
            if !std::mem::replace(&mut self.all[feed].dirty, true) {
                self.dirty.push(feed);
            }
        }
    }

    pub(super) fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Takes the list of feeds to be read. Each may be gone by the time it is its turn.
    pub(super) fn take_dirty(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.dirty)
    }

    /// Reads what is new on a feed into `batch`.
    pub(super) fn read(&mut self, feed_key: usize, log: &Log, batch: &mut Batch) -> Option<FeedRead> {
        let feed = self.all.get_mut(feed_key)?;
        if feed.underway && feed.dirty {
            // Those who wait for their turn would be behind what is read now, and each have to read for itself.
            self.dirty.push(feed_key);
            return None;
        }
        if !std::mem::replace(&mut feed.dirty, false) {
            return None;
        }
        batch.clear();
        let from = feed.cursor;
        if let Ok(upto) = read(log, &feed.channels, from, BATCH_BYTES, &mut batch.items) {
            feed.cursor = upto;
            // The head may have grown by other channels' events only, but looking again is cheap.
            if upto < log.head() && !batch.items.is_empty() {
                feed.dirty = true;
                self.dirty.push(feed_key);
            }
            Some(FeedRead::Batch { from, upto })
        } else {
            feed.cursor = log.head();
            Some(FeedRead::Overtaken)
        }
    }

    /// The id of a feed that is there.
    pub(super) fn id(&self, feed_key: usize) -> u64 {
        self.all[feed_key].id
    }

    /// The members of a feed; none when it is gone, also when another has its key.
    pub(super) fn members(&self, feed_key: usize, id: u64) -> &[usize] {
        self.all.get(feed_key).filter(|feed| feed.id == id).map_or(&[], |feed| &feed.members)
    }

    /// Says whether some members of a feed have yet to be given what was read last: it is not read meanwhile.
    pub(super) fn set_underway(&mut self, feed_key: usize, id: u64, underway: bool) {
        if let Some(feed) = self.all.get_mut(feed_key).filter(|feed| feed.id == id) {
            feed.underway = underway;
        }
    }

    fn add(&mut self, key: Box<[usize]>, channels: &Arc<[Arc<Channel>]>, log: &Log) -> usize {
        let feed_key = self.all.insert(Feed {
            channels: channels.clone(),
            key: key.clone(),
            members: Vec::new(),
            cursor: 0,
            dirty: false,
            underway: false,
            id: self.next_id,
        });
        self.next_id += 1;
        self.by_channels.insert(key, feed_key);
        for channel in channels.iter() {
            let token = *self.by_channel.entry(address(channel)).or_insert_with(|| {
                let entry = self.watched.vacant_entry();
                let token = entry.key();
                let watcher = channel.watch(self.inbox.clone(), token);
                entry.insert(Watched { channel: channel.clone(), watcher, feeds: Vec::new() });
                token
            });
            self.watched[token].feeds.push(feed_key);
        }
        // Only now: what comes after this head also wakes the shard.
        self.all[feed_key].cursor = log.head();
        feed_key
    }

    fn remove(&mut self, feed_key: usize) {
        // Its key may still be among the dirty ones, and its tokens among those that publishers wake: both are looked up
        // again, and find nothing, or a feed and a channel that are then looked at for nothing.
        let feed = self.all.remove(feed_key);
        self.by_channels.remove(&feed.key);
        for channel in feed.channels.iter() {
            let token = self.by_channel[&address(channel)];
            let watched = &mut self.watched[token];
            watched.feeds.retain(|&key| key != feed_key);
            if watched.feeds.is_empty() {
                let watched = self.watched.remove(token);
                watched.channel.unwatch(&watched.watcher);
                self.by_channel.remove(&address(channel));
            }
        }
    }
}

impl Drop for Feeds {
    fn drop(&mut self) {
        for (_, watched) in &self.watched {
            watched.channel.unwatch(&watched.watcher);
        }
    }
}

/// A channel's identity: it stays where it is as long as the feed refers to it.
fn address(channel: &Arc<Channel>) -> usize {
    Arc::as_ptr(channel) as usize
}
