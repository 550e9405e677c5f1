//! Reading: what lies after a cursor on a set of channels.

use std::sync::Arc;

use super::{channel::Channel, store::Log};
use crate::wire::Frame;

/// A reader's hold on a set of channels. While it lives, they keep a backlog for it and are not forgotten.
pub struct Subscription {
    log: Arc<Log>,
    channels: Arc<[Arc<Channel>]>,
}

/// An event that was read.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its sequence number.
    pub seq: u64,
    /// When it was published, by the clock of the log.
    pub at_ms: u64,
    /// Which channel of the subscription it is on.
    pub channel: usize,
    /// Its bytes.
    pub frame: Frame,
}

/// Events after the cursor are no longer held, so the reader has to go on from `head`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gap {
    /// The channels of the subscription whose events the reader misses by that, by index: those that have lost
    /// some, and those that still hold events between the cursor and `head`.
    pub channels: Vec<usize>,
    /// The newest event at the time.
    pub head: u64,
    /// Whether some of them were missing from the beginning: it is not the reader that was slow.
    pub is_lost: bool,
}

impl Subscription {
    /// Subscribes to the channels of these names, in that order, each once.
    pub fn new<'a>(log: &Arc<Log>, names: impl IntoIterator<Item = &'a str>, now_ms: u64) -> Self {
        let mut channels: Vec<Arc<Channel>> = Vec::new();
        for name in names {
            let channel = log.channel(name, now_ms);
            if !channels.iter().any(|other| Arc::ptr_eq(other, &channel)) {
                let mut state = channel.subscribe(now_ms);
                // However late the sweep is, nobody is handed what is too old.
                log.expire(&mut state, now_ms, &mut { usize::MAX });
                drop(state);
                channels.push(channel);
            }
        }
        Self { log: log.clone(), channels: channels.into() }
    }

    /// The channels, in the order of the names given.
    pub fn channels(&self) -> &Arc<[Arc<Channel>]> {
        &self.channels
    }

    /// The log that is read.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Uses another's list of the same channels in place of its own, so that many streams share one.
    pub(crate) fn share_channels(&mut self, channels: &Arc<[Arc<Channel>]>) {
        debug_assert_eq!(self.channels.len(), channels.len());
        self.channels = channels.clone();
    }

    /// Appends to `items` what lies after `cursor` in the order of publishing, and gives back the new cursor.
    ///
    /// Stops early after about `max_bytes`, but never before one event. On a gap `items` is left as it was.
    pub fn read(&self, cursor: u64, max_bytes: usize, items: &mut Vec<Item>) -> Result<u64, Gap> {
        read(&self.log, &self.channels, cursor, max_bytes, items)
    }

    /// Reads what lies after a cursor per channel, up to one place in the log, which is given back: the head, or the
    /// event after which it were more than about `max_bytes` over all channels.
    ///
    /// For a reader that got the channels one by one, as a proxy does. On a gap `items` is left as it was.
    pub fn read_each(&self, cursors: &[u64], max_bytes: usize, items: &mut Vec<Item>) -> Result<u64, Gap> {
        let start = items.len();
        let upto = read_from(&self.log, &self.channels, |index| cursors[index], max_bytes, items)?;
        let mut bytes = 0;
        let over = items[start..].iter().position(|item| {
            let is_over = bytes > max_bytes;
            bytes += item.frame.sse().len();
            is_over
        });
        if let Some(over) = over {
            items.truncate(start + over);
            return Ok(items[start + over - 1].seq);
        }
        Ok(upto)
    }

    /// For each channel, the place of its last event up to `upto`, for a proxy to come back with.
    pub fn last_each(&self, upto: u64) -> Vec<u64> {
        let last = |channel: &Arc<Channel>| {
            let mut state = channel.lock();
            state.quoted = true;
            state.last_upto(upto)
        };
        self.channels.iter().map(last).collect()
    }

    /// The place to read from for a reader that has come at `since_ms`, when nothing was known of the log yet: before the
    /// events of that moment and after.
    pub fn since(&self, since_ms: u64) -> u64 {
        let before = |channel: &Arc<Channel>| {
            let state = channel.lock();
            let first = state.ring.partition_point(|slot| slot.at_ms + CLOCKS_DIFFER_MS < since_ms);
            if first == 0 { state.evicted } else { state.ring[first - 1].seq }
        };
        self.channels.iter().map(before).max().unwrap_or(0)
    }

    /// How many events after `cursor` are kept.
    pub(crate) fn count_after(&self, cursor: u64) -> u64 {
        let after = |channel: &Arc<Channel>| {
            let state = channel.lock();
            (state.ring.len() - state.after(cursor)) as u64
        };
        self.channels.iter().map(after).sum()
    }

    /// What keeps a reader from going on from `cursor`, if anything does.
    pub fn gap(&self, cursor: u64) -> Option<Gap> {
        let lost = self.channels.iter().any(|channel| channel.lock().evicted > cursor);
        lost.then(|| Gap::new(&self.log, &self.channels, |_| cursor))
    }
}

/// [`Subscription::read`] for a reader that holds the channels otherwise.
pub(crate) fn read(
    log: &Log,
    channels: &[Arc<Channel>],
    cursor: u64,
    max_bytes: usize,
    items: &mut Vec<Item>,
) -> Result<u64, Gap> {
    if log.head() <= cursor {
        return Ok(cursor);
    }
    read_from(log, channels, |_| cursor, max_bytes, items)
}

fn read_from(
    log: &Log,
    channels: &[Arc<Channel>],
    cursor: impl Fn(usize) -> u64,
    max_bytes: usize,
    items: &mut Vec<Item>,
) -> Result<u64, Gap> {
    // The head first: an event up to it is in its ring by the time we hold the ring's lock, because sequence
    // numbers are given out under that lock. So nothing up to the head can be missed.
    let head = log.head();
    let mut upto = head;
    let start = items.len();
    let mut sources = 0;
    for (index, channel) in channels.iter().enumerate() {
        let state = channel.lock();
        let from = cursor(index);
        if state.evicted > from {
            drop(state);
            items.truncate(start);
            return Err(Gap::new(log, channels, cursor));
        }
        if state.lost > from {
            // What is there before comes first.
            upto = upto.min(state.lost - 1);
        }
        let before = items.len();
        let mut bytes = 0;
        for slot in state.ring.range(state.after(from)..) {
            if slot.seq > upto {
                break;
            }
            if bytes > max_bytes {
                // The rest of this channel comes later, and so must all that was published after it.
                upto = items[items.len() - 1].seq;
                break;
            }
            bytes += slot.frame.chunked().len();
            items.push(Item { seq: slot.seq, at_ms: slot.at_ms, channel: index, frame: slot.frame.clone() });
        }
        sources += usize::from(items.len() > before);
    }
    if sources > 1 {
        items[start..].sort_unstable_by_key(|item| item.seq);
    }
    let keep = items[start..].partition_point(|item| item.seq <= upto);
    items.truncate(start + keep);
    let is_lost = |(index, channel): (usize, &Arc<Channel>)| channel.lock().lost > cursor(index);
    if keep == 0 && upto < head && channels.iter().enumerate().any(is_lost) {
        return Err(Gap::lost(channels, cursor));
    }
    Ok(upto)
}

/// By how much the time of an event may be told too early: each clock that it went through has cut off a part.
const CLOCKS_DIFFER_MS: u64 = 5;

impl Gap {
    /// Everything up to now, for a reader whose place says nothing.
    pub(crate) fn of_all(subscription: &Subscription) -> Self {
        let channels = (0..subscription.channels.len()).collect();
        Self { channels, head: subscription.log.head(), is_lost: false }
    }

    fn new(log: &Log, channels: &[Arc<Channel>], cursor: impl Fn(usize) -> u64) -> Self {
        // After the loss was seen, so that it lies before the head; and before we ask what is missed, so that an
        // event that comes now is either after the head or counted.
        let (mut head, mut is_lost) = (log.head(), false);
        let mut missed = |&index: &usize| {
            let state = channels[index].lock();
            is_lost |= state.lost > cursor(index);
            // A gap is there before the head has come to it.
            head = head.max(state.evicted);
            state.last.max(state.lost) > cursor(index)
        };
        let channels = (0..channels.len()).filter(&mut missed).collect();
        Self { channels, head, is_lost }
    }

    /// Everything up to where the epoch begins.
    pub(crate) fn of_epoch(subscription: &Subscription) -> Self {
        let head = subscription.log.base();
        Self { head, ..Self::of_all(subscription) }
    }

    /// Up to the first place where events were missing from the beginning.
    fn lost(channels: &[Arc<Channel>], cursor: impl Fn(usize) -> u64) -> Self {
        let lost: Vec<u64> = channels.iter().map(|channel| channel.lock().lost).collect();
        let beyond = |&index: &usize| lost[index] > cursor(index);
        let head = (0..channels.len()).filter(beyond).map(|index| lost[index]).min().unwrap_or(0);
        let channels = (0..channels.len()).filter(beyond).filter(|&index| lost[index] == head).collect();
        Self { channels, head, is_lost: true }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if !self.log.process().is_current() {
            return;
        }
        for channel in self.channels.iter() {
            if let Some(mut state) = channel.unsubscribe() {
                self.log.trim(&mut state);
            }
        }
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("channels", &self.channels).finish_non_exhaustive()
    }
}
