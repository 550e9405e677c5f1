//! The streams and readers of a shard: how they come and go, and when each has to be looked at.

use std::{os::fd::AsRawFd, sync::Arc};

use mio::{Interest, Registry, Token, unix::SourceFd};
use slab::Slab;

use super::{
    ServerStreams, StreamGuard,
    feed::Feeds,
    inbox::Inbox,
    member::Member,
    timers::{NEVER, Timers},
    watching::{Reader, SignalRef},
};
use crate::{
    log::{Channel, Log},
    stream::{CloseReason, OpenStream, Who},
};

/// Everyone whom a shard serves. Each has a key, a place in a feed and at most one timer that counts.
pub(super) struct Entries {
    log: Arc<Log>,
    inbox: Arc<Inbox>,
    registry: Registry,
    all: Slab<Entry>,
    pub(super) feeds: Feeds,
    timers: Timers,
}

/// Someone whom a shard serves.
#[expect(clippy::large_enum_variant, reason = "a pointer would cost each event a cache miss")]
pub(super) enum Entry {
    Socket(Member),
    /// Someone in this process who reads for themselves when told to.
    Reader {
        signal_ref: SignalRef,
        feed: usize,
        place: usize,
        timer_ms: u64,
    },
}

/// Whose streams something is about.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    /// All clients'.
    All,
    /// Those that came through one server.
    Server(Arc<ServerStreams>),
    /// Those that the application means.
    Meant(Arc<Who>),
}

impl Entries {
    pub(super) fn new(log: &Arc<Log>, inbox: &Arc<Inbox>, registry: Registry) -> Self {
        Self {
            log: log.clone(),
            inbox: inbox.clone(),
            registry,
            all: Slab::new(),
            feeds: Feeds::new(inbox.clone()),
            timers: Timers::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut Entry> {
        self.all.get_mut(key)
    }

    pub(super) fn member(&mut self, key: usize) -> Option<&mut Member> {
        match self.all.get_mut(key) {
            Some(Entry::Socket(member)) => Some(member),
            _ => None,
        }
    }

    /// The keys of those who are meant. Each may be gone by the time it is its turn.
    pub(super) fn keys_of(&self, who: &Which) -> Vec<usize> {
        self.all.iter().filter(|(_, entry)| who.includes(entry)).map(|(key, _)| key).collect()
    }

    /// The streams that are meant.
    pub(super) fn list(&self, who: &Who) -> Vec<OpenStream> {
        let found = |(_, entry): (usize, &Entry)| match entry {
            Entry::Socket(member) => who.fits(&member.stream).then(|| (&member.stream).into()),
            Entry::Reader { signal_ref, .. } => signal_ref.listed(who),
        };
        self.all.iter().filter_map(found).collect()
    }

    /// Takes in a member, and polls its socket; `None` when that cannot be, and then its connection is closed.
    pub(super) fn adopt(&mut self, mut member: Member) -> Option<usize> {
        let entry = self.all.vacant_entry();
        let key = entry.key();
        let fd = member.socket.as_raw_fd();
        let interests = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.registry.register(&mut SourceFd(&fd), Token(key), interests) {
            tracing::error!(%error, "cannot watch a socket; its stream is closed");
            member.socket.shutdown();
            return None;
        }
        let (feed, place, shared) = self.feeds.join(key, member.stream.subscription().channels(), &self.log);
        member.stream.subscription_mut().share_channels(&shared);
        (member.feed, member.place) = (feed, place);
        entry.insert(Entry::Socket(member));
        Some(key)
    }

    /// Takes in a reader.
    pub(super) fn watch(&mut self, channels: &Arc<[Arc<Channel>]>, signal_ref: SignalRef, due_ms: u64) {
        let entry = self.all.vacant_entry();
        let key = entry.key();
        signal_ref.set_key(key);
        let (feed, place, _) = self.feeds.join(key, channels, &self.log);
        // Events may have come before we watched.
        signal_ref.look();
        entry.insert(Entry::Reader { signal_ref, feed, place, timer_ms: NEVER });
        self.set_timer_at(key, due_ms);
    }

    pub(super) fn unwatch(&mut self, reader: &Reader) {
        let key = reader.key();
        if matches!(self.all.get(key), Some(Entry::Reader { signal_ref, .. }) if signal_ref.is_of(reader)) {
            self.remove(key);
        }
    }

    /// Lets readers go, who then know that nothing more will come.
    pub(super) fn remove_readers(&mut self) {
        let is_reader = |(key, entry): (usize, &Entry)| matches!(entry, Entry::Reader { .. }).then_some(key);
        for key in self.all.iter().filter_map(is_reader).collect::<Vec<_>>() {
            self.remove(key);
        }
    }

    pub(super) fn next_timer_ms(&self) -> Option<u64> {
        self.timers.next_ms()
    }

    /// Someone whose timer has come up.
    pub(super) fn pop_due(&mut self, now_ms: u64) -> Option<usize> {
        while let Some((due_ms, key)) = self.timers.pop(now_ms) {
            // The entry may be an old one, of a timer that was moved or of someone who is gone.
            if let Some(entry) = self.all.get_mut(key)
                && *entry.timer_ms() == due_ms
            {
                *entry.timer_ms() = NEVER;
                return Some(key);
            }
        }
        None
    }

    /// Makes sure that a timer comes up when someone is due, and no later.
    pub(super) fn set_timer(&mut self, key: usize) {
        let due_ms = self.all[key].due_ms();
        self.set_timer_at(key, due_ms);
    }

    pub(super) fn set_timer_at(&mut self, key: usize, due_ms: u64) {
        let due_ms = Timers::round_up(due_ms);
        let timer_ms = self.all[key].timer_ms();
        if *timer_ms <= due_ms {
            return;
        }
        *timer_ms = due_ms;
        self.timers.add(due_ms, key);
        if self.timers.len() > 2 * self.all.len() + SPARE_TIMERS {
            let all = &mut self.all;
            self.timers.retain(|due_ms, key| all.get_mut(key).is_some_and(|s| *s.timer_ms() == due_ms));
        }
    }

    /// Takes someone out, and closes the socket of a member.
    pub(super) fn end(&mut self, key: usize, reason: CloseReason) {
        if let Some(entry) = self.remove(key) {
            self.close(entry, reason);
        }
    }

    pub(super) fn remove(&mut self, key: usize) -> Option<Entry> {
        let entry = self.all.try_remove(key)?;
        let (feed, place) = match &entry {
            Entry::Socket(member) => (member.feed, member.place),
            Entry::Reader { feed, place, .. } => (*feed, *place),
        };
        // The last of the feed has taken the place that is free now.
        if let Some(moved) = self.feeds.leave(feed, place) {
            match &mut self.all[moved] {
                Entry::Socket(member) => member.place = place,
                Entry::Reader { place: entry_place, .. } => *entry_place = place,
            }
        }
        Some(entry)
    }

    /// Ends all without a word, whatever state a panic has left them in.
    pub(super) fn let_go(&mut self) {
        self.timers = Timers::default();
        self.feeds = Feeds::new(self.inbox.clone());
        while let Some((key, _)) = self.all.iter().next() {
            let entry = self.all.remove(key);
            self.close(entry, CloseReason::Shutdown);
        }
    }

    fn close(&self, entry: Entry, reason: CloseReason) {
        let Entry::Socket(mut member) = entry else { return };
        if !member.is_closing() {
            member.stream.set_close_reason(reason);
        }
        let fd = member.socket.as_raw_fd();
        // Explicitly, because the descriptor may live on elsewhere and would be polled for ever.
        if let Err(error) = self.registry.deregister(&mut SourceFd(&fd)) {
            tracing::debug!(%error, "a socket was not polled any more");
        }
        member.socket.shutdown();
    }
}

impl Entry {
    fn due_ms(&self) -> u64 {
        match self {
            Self::Socket(member) => member.due_ms(),
            Self::Reader { signal_ref, .. } => signal_ref.due_ms(),
        }
    }

    /// The time of the one entry among the timers that counts.
    fn timer_ms(&mut self) -> &mut u64 {
        match self {
            Self::Socket(member) => &mut member.timer_ms,
            Self::Reader { timer_ms, .. } => timer_ms,
        }
    }
}

impl Which {
    fn includes(&self, entry: &Entry) -> bool {
        let (is_client, guard): (bool, Option<&StreamGuard>) = match entry {
            Entry::Socket(member) => (true, member.guard.as_ref()),
            Entry::Reader { signal_ref, .. } => (signal_ref.is_client(), None),
        };
        match self {
            Self::All => is_client,
            Self::Meant(who) => match entry {
                Entry::Socket(member) => who.fits(&member.stream),
                Entry::Reader { signal_ref, .. } => signal_ref.fits(who),
            },
            Self::Server(server_streams) => guard.is_some_and(|guard| guard.is_of(server_streams)),
        }
    }
}

/// Timers that may be out of date before they are gone through.
const SPARE_TIMERS: usize = 1_024;
