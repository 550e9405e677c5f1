//! A thread with a poller: it owns the sockets given to it and does all that is done to them.

use std::{
    io,
    os::fd::AsRawFd,
    sync::{Arc, Mutex, PoisonError},
    thread::{Builder, JoinHandle},
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use slab::Slab;

use super::{
    Origin,
    batch::Batch,
    feed::{Feeds, Harvest},
    inbox::{Command, INBOX, Inbox, Mail, inbox},
    member::{Fate, Member},
    signal::Signal,
    socket::block_sigpipe,
    timers::Timers,
};
use crate::{
    clock::Clock,
    error::Result,
    log::Channel,
    stream::{CloseReason, Hub},
};

/// The way to a shard from other threads.
pub(super) struct ShardHandle {
    inbox: Arc<Inbox>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shard {
    hub: Arc<Hub>,
    clock: Clock,
    inbox: Arc<Inbox>,
    poll: Poll,
    seats: Slab<Seat>,
    feeds: Feeds,
    timers: Timers,
    batch: Batch,
    /// Members with more to write that have had their turn.
    unfinished: Vec<usize>,
    load: Load,
    /// When the thread must end, once it was told to.
    stop_ms: Option<u64>,
}

/// What a feed's member is. Sockets are held by value: a pointer would cost each event a cache miss.
enum Seat {
    Socket(Member),
    /// Someone in this process who reads for themselves when told to.
    Signal {
        signal: Arc<Signal>,
        feed: usize,
        place: usize,
        timer_ms: u64,
    },
}

impl ShardHandle {
    pub(super) fn start(index: usize, hub: &Arc<Hub>, clock: Clock) -> Result<Self> {
        let poll = Poll::new()?;
        let inbox = inbox(&poll)?;
        let mut shard = Shard {
            hub: hub.clone(),
            clock,
            inbox: inbox.clone(),
            poll,
            seats: Slab::new(),
            feeds: Feeds::new(inbox.clone()),
            timers: Timers::default(),
            batch: Batch::default(),
            unfinished: Vec::new(),
            load: Load::default(),
            stop_ms: None,
        };
        let thread = Builder::new().name(format!("evstream-{index}")).spawn(move || {
            block_sigpipe();
            shard.run();
        })?;
        Ok(Self { inbox, thread: Mutex::new(Some(thread)) })
    }

    pub(super) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    pub(super) fn post(&self, command: Command) -> bool {
        self.inbox.post(command)
    }

    /// Waits until the thread has ended.
    pub(super) fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a shard has panicked; its streams were closed");
        }
    }
}

impl Shard {
    fn run(&mut self) {
        let mut events = Events::with_capacity(1_024);
        let mut mail = Mail::default();
        while !self.is_over() {
            if let Err(error) = self.sleep(&mut events) {
                tracing::error!(%error, "a shard cannot poll; its streams are closed");
                break;
            }
            let now_ms = self.clock.now_ms();
            self.load.count_round(now_ms);
            for event in &events {
                self.on_socket(event, now_ms);
            }
            self.inbox.collect(&mut mail);
            for command in mail.commands.drain(..) {
                self.on_command(command, now_ms);
            }
            self.load.count_woken(mail.woken.len());
            for token in mail.woken.drain(..) {
                self.feeds.wake(token);
            }
            for key in std::mem::take(&mut self.unfinished) {
                self.visit(key, now_ms, Member::pump);
            }
            self.read_feeds(now_ms);
            while let Some((due_ms, token)) = self.timers.pop(now_ms) {
                self.on_time(token, due_ms, now_ms);
            }
            self.hub.log().sweep_if_due(now_ms);
        }
    }

    /// Waits for sockets, mail or the next deadline.
    fn sleep(&mut self, events: &mut Events) -> io::Result<()> {
        let now_ms = self.clock.now_ms();
        let mut wait_ms = self.timers.next_ms().map(|due_ms| due_ms.saturating_sub(now_ms));
        if let Some(stop_ms) = self.stop_ms {
            wait_ms = Some(wait_ms.unwrap_or(u64::MAX).min(stop_ms.saturating_sub(now_ms)));
        }
        if let Some(sweep_ms) = self.hub.log().next_sweep_ms() {
            wait_ms = Some(wait_ms.unwrap_or(u64::MAX).min(sweep_ms.saturating_sub(now_ms)));
        }
        let busy = self.feeds.has_dirty() || !self.unfinished.is_empty();
        if busy {
            wait_ms = Some(0);
        } else if self.load.wants_nap() {
            wait_ms = Some(NAP_MS.min(wait_ms.unwrap_or(NAP_MS)));
        } else if !self.inbox.fall_asleep() {
            wait_ms = Some(0);
        }
        let polled = self.poll.poll(events, wait_ms.map(Duration::from_millis));
        self.inbox.awake();
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            polled => polled,
        }
    }

    fn on_socket(&mut self, event: &mio::event::Event, now_ms: u64) {
        let key = event.token();
        if key == INBOX {
            return;
        }
        let readable = event.is_readable() || event.is_read_closed() || event.is_error();
        let writable = event.is_writable();
        self.visit(key.0, now_ms, |member, batch, now_ms| {
            if readable {
                let fate = member.readable();
                if fate != Fate::Stay {
                    return fate;
                }
            }
            if writable && member.is_full() {
                member.now_writable();
                return member.pump(batch, now_ms);
            }
            Fate::Stay
        });
    }

    fn on_command(&mut self, command: Command, now_ms: u64) {
        match command {
            Command::Adopt { stream, socket, framing, first, guest } => {
                let member = Member::new(stream, socket, framing, first, guest, now_ms);
                self.adopt(member, now_ms);
            }
            Command::Watch { channels, signal } => self.watch(&channels, signal),
            Command::Unwatch { signal } => self.unwatch(&signal),
            Command::CloseStreams { origin, timeout_ms } => {
                self.close_streams(origin.as_ref(), now_ms + timeout_ms, now_ms);
            }
            Command::Stop { timeout_ms } => {
                self.stop_ms = Some(now_ms + timeout_ms);
                self.close_streams(None, now_ms + timeout_ms, now_ms);
            }
        }
    }

    fn adopt(&mut self, mut member: Member, now_ms: u64) {
        let entry = self.seats.vacant_entry();
        let key = entry.key();
        let fd = member.socket.as_raw_fd();
        let interests = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut SourceFd(&fd), Token(key), interests) {
            tracing::error!(%error, "cannot watch a socket; its stream is closed");
            return;
        }
        let log = self.hub.log();
        let (feed, place, shared) = self.feeds.join(key, member.stream.subscription().channels(), log);
        member.stream.subscription_mut().share_channels(&shared);
        (member.feed, member.place) = (feed, place);
        entry.insert(Seat::Socket(member));
        if self.stop_ms.is_some() {
            return self.end(key, CloseReason::Shutdown);
        }
        self.visit(key, now_ms, Member::pump);
    }

    fn watch(&mut self, channels: &Arc<[Arc<Channel>]>, signal: Arc<Signal>) {
        let entry = self.seats.vacant_entry();
        let key = entry.key();
        signal.set_key(key);
        let (feed, place, _) = self.feeds.join(key, channels, self.hub.log());
        // Events may have come before we watched.
        signal.raise();
        entry.insert(Seat::Signal { signal, feed, place, timer_ms: u64::MAX });
        self.set_timer(key);
    }

    fn unwatch(&mut self, signal: &Arc<Signal>) {
        let key = signal.key();
        if matches!(self.seats.get(key), Some(Seat::Signal { signal: seated, .. }) if Arc::ptr_eq(seated, signal))
        {
            self.remove(key);
        }
    }

    /// Gives what is new on the channels to their streams, one batch a feed.
    fn read_feeds(&mut self, now_ms: u64) {
        for feed in self.feeds.take_dirty() {
            let mut batch = std::mem::take(&mut self.batch);
            let harvest = self.feeds.read(feed, self.hub.log(), &mut batch);
            match harvest {
                Some(Harvest::Batch { from, upto }) => self.deliver(feed, from, upto, &mut batch, now_ms),
                Some(Harvest::Overtaken) => self.deliver(feed, u64::MAX, 0, &mut batch, now_ms),
                None => {}
            }
            self.batch = batch;
        }
    }

    /// Gives a batch to each stream of a feed; a stream that is not where the batch begins looks for itself.
    fn deliver(&mut self, feed: usize, from: u64, upto: u64, batch: &mut Batch, now_ms: u64) {
        // From the last to the first: a member that ends is replaced by one that had its turn.
        let mut own = Batch::default();
        for place in (0..self.feeds.members(feed).len()).rev() {
            let Some(&key) = self.feeds.members(feed).get(place) else { continue };
            let fate = match &mut self.seats[key] {
                Seat::Signal { signal, .. } => {
                    signal.raise();
                    continue;
                }
                Seat::Socket(member) if member.is_ready(from) => member.deliver(batch, upto, now_ms),
                Seat::Socket(member) => member.pump(&mut own, now_ms),
            };
            self.settle(key, fate);
        }
    }

    fn on_time(&mut self, key: usize, due_ms: u64, now_ms: u64) {
        match self.seats.get_mut(key) {
            Some(Seat::Socket(member)) if member.timer_ms == due_ms => {
                member.timer_ms = u64::MAX;
                self.visit(key, now_ms, Member::on_time);
            }
            Some(Seat::Signal { signal, timer_ms, .. }) if *timer_ms == due_ms => {
                *timer_ms = u64::MAX;
                let mut next_ms = signal.due_ms();
                if next_ms <= now_ms {
                    signal.raise();
                    next_ms = now_ms + signal.every_ms();
                }
                *timer_ms = Timers::round_up(next_ms);
                self.timers.add(*timer_ms, key);
            }
            _ => {}
        }
    }

    fn close_streams(&mut self, origin: Option<&Arc<Origin>>, deadline_ms: u64, now_ms: u64) {
        let keys: Vec<usize> = self.seats.iter().map(|(key, _)| key).collect();
        for key in keys {
            match &mut self.seats[key] {
                Seat::Socket(member)
                    if origin.is_none_or(|origin| {
                        member.guest.as_ref().is_some_and(|guest| guest.is_of(origin))
                    }) =>
                {
                    // What was published before still goes out first.
                    if member.pump(&mut self.batch, now_ms) == Fate::Stay {
                        let goodbye = self.hub.goodbye();
                        member.leave(&goodbye, CloseReason::Shutdown, deadline_ms);
                    }
                    self.visit(key, now_ms, Member::pump);
                }
                Seat::Signal { signal, .. } if origin.is_none() => {
                    signal.close();
                    self.remove(key);
                }
                _ => {}
            }
        }
    }

    /// Does something to a member and sees to what comes of it.
    fn visit(&mut self, key: usize, now_ms: u64, act: impl FnOnce(&mut Member, &mut Batch, u64) -> Fate) {
        let Some(Seat::Socket(member)) = self.seats.get_mut(key) else { return };
        let fate = act(member, &mut self.batch, now_ms);
        self.settle(key, fate);
    }

    fn settle(&mut self, key: usize, fate: Fate) {
        match fate {
            Fate::End(reason) => self.end(key, reason),
            Fate::Again => {
                self.unfinished.push(key);
                self.set_timer(key);
            }
            Fate::Stay => self.set_timer(key),
        }
    }

    /// Makes sure that a timer comes up when the member is due, and no later.
    fn set_timer(&mut self, key: usize) {
        let (due_ms, timer_ms) = match &mut self.seats[key] {
            Seat::Socket(member) => (member.due_ms(), &mut member.timer_ms),
            Seat::Signal { signal, timer_ms, .. } => (Timers::round_up(signal.due_ms()), timer_ms),
        };
        if due_ms < *timer_ms {
            *timer_ms = due_ms;
            self.timers.add(due_ms, key);
        }
    }

    fn end(&mut self, key: usize, reason: CloseReason) {
        let Some(Seat::Socket(mut member)) = self.remove(key) else { return };
        if !member.is_leaving() {
            member.stream.set_close_reason(reason);
        }
        let fd = member.socket.as_raw_fd();
        // Explicitly, because the descriptor may live on elsewhere and would be polled for ever.
        if let Err(error) = self.poll.registry().deregister(&mut SourceFd(&fd)) {
            tracing::debug!(%error, "a socket was not polled any more");
        }
        member.socket.shutdown();
    }

    fn remove(&mut self, key: usize) -> Option<Seat> {
        let seat = self.seats.try_remove(key)?;
        let (feed, place) = match &seat {
            Seat::Socket(member) => (member.feed, member.place),
            Seat::Signal { feed, place, .. } => (*feed, *place),
        };
        if let Some(moved) = self.feeds.leave(feed, place) {
            match &mut self.seats[moved] {
                Seat::Socket(member) => member.place = place,
                Seat::Signal { place: seat_place, .. } => *seat_place = place,
            }
        }
        Some(seat)
    }

    fn is_over(&self) -> bool {
        self.stop_ms.is_some_and(|stop_ms| self.seats.is_empty() || stop_ms <= self.clock.now_ms())
    }
}

/// Notices a flood of events on many channels, each of which would wake the thread.
///
/// Waking costs more than an event does. In a flood the thread naps instead, and nobody wakes it: that delays events by
/// a millisecond and saves most of the wake-ups.
#[derive(Default)]
struct Load {
    ms: u64,
    rounds_in_ms: usize,
    woken: usize,
    napping: bool,
}

impl Load {
    fn count_round(&mut self, now_ms: u64) {
        if self.ms != now_ms {
            (self.ms, self.rounds_in_ms) = (now_ms, 0);
        }
        self.rounds_in_ms += 1;
    }

    fn count_woken(&mut self, woken: usize) {
        self.woken = woken;
    }

    fn wants_nap(&mut self) -> bool {
        let news = if self.napping { self.woken } else { self.rounds_in_ms };
        self.napping = self.woken > 0 && news >= FLOOD_PER_MS;
        self.napping
    }
}

/// As long as a poller can wait at the least.
const NAP_MS: u64 = 1;

/// Wake-ups in a millisecond from which on a nap saves more than it costs.
const FLOOD_PER_MS: usize = 4;

impl Drop for Shard {
    /// Also after a panic: whoever waits for this shard must not wait for ever.
    fn drop(&mut self) {
        let mail = self.inbox.close();
        for command in mail.commands {
            if let Command::Watch { signal, .. } = command {
                signal.close();
            }
        }
        let keys: Vec<usize> = self.seats.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Some(Seat::Signal { signal, .. }) = self.seats.get(key) {
                signal.close();
                self.remove(key);
            } else {
                self.end(key, CloseReason::Shutdown);
            }
        }
    }
}
