//! A thread with a poller: it owns the sockets given to it and does all that is done to them.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle, ThreadId},
    time::Duration,
};

use mio::{Events, Poll};

use super::{
    StreamGuard,
    adopt::end_at_once,
    batch::Batch,
    entries::{Entries, Entry, Which},
    feed::FeedRead,
    inbox::{Command, INBOX, Inbox, Mail, inbox},
    load::{Load, NAP_MS},
    member::{CLOSE_NOTICE_MS, Member, Outcome},
    watching::SignalRef,
};
use crate::{
    clock::Clock,
    error::Result,
    log::Channel,
    stream::{CloseNotice, Delivered, Hub, LastWords},
    sync::lock,
    threads::spawn,
};

/// The way to a shard from other threads.
pub(super) struct ShardHandle {
    inbox: Arc<Inbox>,
    thread: Mutex<Option<JoinHandle<()>>>,
    thread_id: ThreadId,
}

struct Shard {
    hub: Arc<Hub>,
    clock: Clock,
    inbox: Arc<Inbox>,
    poll: Poll,
    entries: Entries,
    batch: Batch,
    /// For those who are not where a feed's batch begins.
    own: Batch,
    /// What feeds with many members have yet to be given.
    deliveries: VecDeque<Delivery>,
    delivered: Arc<Delivered>,
    mail: Mail,
    /// Members with more to write that have had their turn.
    unfinished: Vec<usize>,
    load: Load,
    /// How many calls to end streams have come here.
    ended: u64,
    /// When the thread must end, once it was told to.
    stop_ms: Option<u64>,
}

/// A batch on its way to the members of a feed.
struct Delivery {
    feed: usize,
    feed_id: u64,
    /// Where in the log it begins and ends.
    from: u64,
    upto: u64,
    /// Whether a member has taken it, in whole or in part.
    was_taken: bool,
    batch: Batch,
    /// The members at the first so many places have not had their turn.
    left: usize,
}

impl ShardHandle {
    pub(super) fn start(index: usize, hub: &Arc<Hub>, clock: Clock) -> Result<Self> {
        let poll = Poll::new()?;
        let inbox = inbox(&poll)?;
        let delivered = hub.counters.for_shard();
        let entries = Entries::new(hub.log(), &inbox, poll.registry().try_clone()?);
        let mut shard = Shard {
            hub: hub.clone(),
            clock,
            inbox: inbox.clone(),
            poll,
            entries,
            batch: Batch::new(&delivered),
            own: Batch::new(&delivered),
            deliveries: VecDeque::new(),
            delivered,
            mail: Mail::default(),
            unfinished: Vec::new(),
            load: Load::default(),
            ended: 0,
            stop_ms: None,
        };
        let callbacks = hub.callbacks.clone();
        let thread = spawn(&format!("evstream-{index}"), move || {
            callbacks.own_thread();
            // A bug must not end all streaming for good: clients come back with their positions.
            while catch_unwind(AssertUnwindSafe(|| shard.run())).is_err() {
                tracing::error!("a shard has panicked; its streams are closed");
                while catch_unwind(AssertUnwindSafe(|| shard.let_go())).is_err() {}
            }
        })?;
        Ok(Self { inbox, thread_id: thread.thread().id(), thread: Mutex::new(Some(thread)) })
    }

    pub(super) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    pub(super) fn post(&self, command: Command) -> bool {
        self.inbox.post(command)
    }

    /// Whether this is called on its thread.
    pub(super) fn is_this_thread(&self) -> bool {
        self.thread_id == thread::current().id()
    }

    /// Whether the thread still runs; also while somebody waits for its end.
    pub(super) fn is_alive(&self) -> bool {
        match self.thread.try_lock() {
            Ok(thread) => thread.as_ref().is_some_and(|thread| !thread.is_finished()),
            Err(_) => true,
        }
    }

    /// Waits until the thread has ended.
    pub(super) fn join(&self) {
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a shard has ended with a panic");
        }
    }
}

impl Shard {
    fn run(&mut self) {
        let mut events = Events::with_capacity(1_024);
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
            self.on_mail(now_ms);
            let mut unfinished = std::mem::take(&mut self.unfinished);
            unfinished.sort_unstable();
            unfinished.dedup();
            for key in unfinished {
                self.visit(key, now_ms, Member::pump);
            }
            self.read_feeds(now_ms);
            while let Some(key) = self.entries.pop_due(now_ms) {
                self.on_time(key, now_ms);
            }
        }
    }

    /// Waits for sockets, mail or the next deadline.
    fn sleep(&mut self, events: &mut Events) -> io::Result<()> {
        let now_ms = self.clock.now_ms();
        let mut wait_ms = self.entries.next_timer_ms().map(|due_ms| due_ms.saturating_sub(now_ms));
        if let Some(stop_ms) = self.stop_ms {
            wait_ms = Some(wait_ms.unwrap_or(u64::MAX).min(stop_ms.saturating_sub(now_ms)));
        }
        let busy = self.entries.feeds.has_dirty()
            || !self.deliveries.is_empty()
            || !self.unfinished.is_empty()
            || !self.mail.commands.is_empty();
        if busy {
            wait_ms = Some(0);
        } else if self.load.wants_nap() {
            wait_ms = Some(NAP_MS.min(wait_ms.unwrap_or(NAP_MS)));
        } else if !self.inbox.fall_asleep() {
            wait_ms = Some(0);
        }
        let wait = wait_ms.map(|ms| Duration::from_millis(ms.min(LONGEST_WAIT_MS)));
        let polled = self.poll.poll(events, wait);
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
                let outcome = member.readable();
                if outcome != Outcome::Stay {
                    return outcome;
                }
            }
            if writable && member.is_full() {
                member.now_writable();
                return member.pump(batch, now_ms);
            }
            Outcome::Stay
        });
    }

    fn on_mail(&mut self, now_ms: u64) {
        // What is left after a panic comes first.
        if self.mail.commands.is_empty() {
            self.inbox.collect(&mut self.mail);
            self.mail.commands.reverse();
        }
        while let Some(command) = self.mail.commands.pop() {
            self.on_command(command, now_ms);
        }
        self.load.count_woken(self.mail.woken.len());
        for token in self.mail.woken.drain(..) {
            self.entries.feeds.wake(token);
        }
    }

    fn on_command(&mut self, command: Command, now_ms: u64) {
        match command {
            Command::Adopt { stream, socket, framing, first, guard } => {
                let member = Member::new(stream, socket, framing, first, guard, now_ms);
                self.adopt(member, now_ms);
            }
            Command::Watch { channels, signal_ref } => self.watch(&channels, signal_ref, now_ms),
            Command::Unwatch { reader } => self.entries.unwatch(&reader),
            Command::CloseStreams { who, words, timeout_ms } => {
                self.close_streams(&who, &words, now_ms.saturating_add(timeout_ms), now_ms);
            }
            // Whoever has asked may have gone.
            Command::List { who, found } => drop(found.send(self.entries.list(&who))),
            Command::Stop { timeout_ms } => {
                let stop_ms = now_ms.saturating_add(timeout_ms);
                self.stop_ms = Some(stop_ms);
                self.close_streams(&Which::All, &CloseNotice::Shutdown.into(), stop_ms, now_ms);
                self.entries.remove_readers();
            }
            #[cfg(test)]
            Command::Panic => panic!("a test asked for it"),
        }
    }

    fn adopt(&mut self, mut member: Member, now_ms: u64) {
        let is_late = member.guard.as_ref().is_some_and(StreamGuard::is_late);
        if let Some(end_ms) = self.stop_ms.or_else(|| is_late.then_some(now_ms)) {
            member.close(CloseNotice::Shutdown, self.hub.log().head(), end_ms);
        }
        if let Some(words) = member.stream.ended_meanwhile() {
            let until = if words.is_final() { 0 } else { self.hub.log().head() };
            member.close(words, until, now_ms + CLOSE_NOTICE_MS);
        }
        if let Some(key) = self.entries.adopt(member) {
            self.visit(key, now_ms, Member::pump);
        }
    }

    fn watch(&mut self, channels: &Arc<[Arc<Channel>]>, signal_ref: SignalRef, now_ms: u64) {
        if self.stop_ms.is_none()
            && let Some(due_ms) = signal_ref.on_time(now_ms)
        {
            if let Some(words) = signal_ref.ended_meanwhile() {
                signal_ref.close_by(&words, now_ms + CLOSE_NOTICE_MS);
            }
            self.entries.watch(channels, signal_ref, due_ms);
        }
    }

    /// Gives what is new on the channels to their streams, one batch a feed.
    fn read_feeds(&mut self, now_ms: u64) {
        for _ in 0..self.deliveries.len() {
            if let Some(delivery) = self.deliveries.pop_front() {
                self.deliver(delivery, now_ms);
            }
        }
        for feed in self.entries.feeds.take_dirty() {
            let feed_read = self.entries.feeds.read(feed, self.hub.log(), &mut self.batch);
            let (from, upto) = match feed_read {
                Some(FeedRead::Batch { from, upto }) => (from, upto),
                Some(FeedRead::Overtaken) => (u64::MAX, 0),
                None => continue,
            };
            // Before streams are ended: that may take the feed away, and reads into the batch of the shard.
            let feed_id = self.entries.feeds.id(feed);
            let batch = std::mem::replace(&mut self.batch, Batch::new(&self.delivered));
            // What was published after streams were ended is not for them.
            let ended = self.hub.ended.posted();
            if std::mem::replace(&mut self.ended, ended) != ended {
                self.on_mail(now_ms);
            }
            let left = self.entries.feeds.members(feed, feed_id).len();
            self.deliver(Delivery { feed, feed_id, from, upto, was_taken: false, batch, left }, now_ms);
        }
    }

    /// Gives a batch to the streams of a feed, as many as others can wait for; a stream that is not where the batch begins
    /// looks for itself.
    fn deliver(&mut self, mut delivery: Delivery, now_ms: u64) {
        let Delivery { feed, feed_id, from, upto, .. } = delivery;
        // From the last to the first: the place of a member that ends is taken by the last, which had its turn, and those
        // who join meanwhile are behind, and read for themselves.
        let stop = delivery.left.saturating_sub(MEMBERS_AT_ONCE);
        while delivery.left > stop {
            delivery.left -= 1;
            let Some(&key) = self.entries.feeds.members(feed, feed_id).get(delivery.left) else { continue };
            let outcome = match self.entries.get_mut(key) {
                Some(Entry::Socket(member)) if member.is_ready(from) => {
                    delivery.was_taken = true;
                    member.deliver(&mut delivery.batch, upto, now_ms)
                }
                Some(Entry::Socket(member)) => member.pump(&mut self.own, now_ms),
                Some(Entry::Reader { signal_ref, .. }) => {
                    signal_ref.raise(now_ms);
                    Outcome::Stay
                }
                None => continue,
            };
            self.settle(key, outcome);
        }
        self.entries.feeds.set_underway(feed, feed_id, delivery.left > 0);
        if delivery.left > 0 {
            self.deliveries.push_back(delivery);
        } else {
            // Once for all of them: how long the oldest event took to the last who could take it at once.
            if let Some(oldest) = delivery.batch.items.first().filter(|_| delivery.was_taken) {
                let delay_ms = self.clock.now_ms().saturating_sub(oldest.at_ms);
                self.delivered.count_delay(delay_ms);
            }
            self.batch = delivery.batch;
        }
    }

    fn on_time(&mut self, key: usize, now_ms: u64) {
        if let Some(Entry::Reader { signal_ref, .. }) = self.entries.get_mut(key) {
            match signal_ref.on_time(now_ms) {
                Some(next_ms) => self.entries.set_timer_at(key, next_ms),
                None => drop(self.entries.remove(key)),
            }
        } else {
            self.visit(key, now_ms, Member::on_time);
        }
    }

    fn close_streams(&mut self, who: &Which, words: &LastWords, deadline_ms: u64, now_ms: u64) {
        // What was published before still goes out first, but not to those who may not read any more; when there is no time at
        // all, what the socket takes now.
        let head = self.hub.log().head();
        let places = match () {
            () if words.is_final() => &[0][..],
            () if deadline_ms > now_ms => &[head],
            () => &[head, 0],
        };
        for key in self.entries.keys_of(who) {
            if let Some(Entry::Reader { signal_ref, .. }) = self.entries.get_mut(key) {
                signal_ref.close_by(words, deadline_ms);
                self.entries.set_timer(key);
                continue;
            }
            for &until in places {
                self.visit(key, now_ms, |member, batch, now_ms| {
                    member.close(words.clone(), until, deadline_ms);
                    member.pump(batch, now_ms)
                });
            }
        }
    }

    /// Does something to a member and sees to what comes of it.
    fn visit(&mut self, key: usize, now_ms: u64, act: impl FnOnce(&mut Member, &mut Batch, u64) -> Outcome) {
        let Some(member) = self.entries.member(key) else { return };
        let outcome = act(member, &mut self.batch, now_ms);
        self.settle(key, outcome);
    }

    fn settle(&mut self, key: usize, outcome: Outcome) {
        match outcome {
            Outcome::End(reason) => self.entries.end(key, reason),
            Outcome::Again => {
                self.unfinished.push(key);
                self.entries.set_timer(key);
            }
            Outcome::Stay => self.entries.set_timer(key),
        }
    }

    /// Ends all without a word, whatever state they are in.
    fn let_go(&mut self) {
        self.unfinished.clear();
        self.mail.woken.clear();
        self.deliveries.clear();
        (self.batch, self.own) = (Batch::new(&self.delivered), Batch::new(&self.delivered));
        self.entries.let_go();
    }

    fn is_over(&self) -> bool {
        self.stop_ms.is_some_and(|stop_ms| self.entries.is_empty() || stop_ms <= self.clock.now_ms())
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        for command in self.inbox.close().commands {
            if let Command::Adopt { stream, socket, framing, first, .. } = command {
                end_at_once(stream, &socket, framing, first);
            }
        }
        self.let_go();
    }
}

/// Writing to so many takes about two milliseconds.
const MEMBERS_AT_ONCE: usize = 512;

/// Longer waits than this would not fit the poller's timeout.
const LONGEST_WAIT_MS: u64 = 3_600_000;

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        os::{fd::OwnedFd, unix::net::UnixStream},
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context, Poll, Wake, Waker},
    };

    use super::*;
    use crate::{
        Access, Config, Request,
        engine::{Engine, Framing, Reader},
        log::Subscription,
        wakeups::Signal,
        wire::{Epoch, Event},
    };

    const PATIENCE: Duration = Duration::from_secs(60);

    fn stream(hub: &Arc<Hub>) -> crate::Stream {
        let request = Request { method: "GET", path: "/", query: "", headers: &[], peer: None };
        crate::stream::open_request(hub, &request, Access::channels(["a"]), crate::stream::Now::default())
            .stream
            .unwrap()
    }

    fn client(engine: &Engine, hub: &Arc<Hub>) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_read_timeout(Some(PATIENCE)).unwrap();
        Engine::adopt(Some(engine), stream(hub), OwnedFd::from(ours), Framing::Close, b"hi\n".to_vec(), None)
            .unwrap();
        theirs
    }

    #[test]
    fn a_panic_ends_the_streams_but_not_the_shard() {
        let hub = Hub::new(Config::new().shards(1), Epoch(1)).unwrap();
        let engine = Engine::start(&hub, Clock::start()).unwrap();
        let mut before = client(&engine, &hub);
        let subscription = stream(&hub);
        let signal = Arc::new(Signal::default());
        let reader = Reader::Subscriber(signal.clone());
        let watching = engine.watch(subscription.subscription().channels(), reader).unwrap();
        assert!(engine.shards[0].post(Command::Panic));
        assert!(engine.shards[0].post(Command::Panic));

        let mut text = String::new();
        before.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hi\n", "the connection was closed");
        while !signal.lower() {
            assert!(signal.wait(Some(std::time::Instant::now() + PATIENCE)), "a reader waits in vain");
        }
        drop(watching);

        let mut after = client(&engine, &hub);
        let channel = hub.log().channel("a", 0);
        hub.log().publish(&channel, &Event::text("still here"), 0);
        engine.stop(PATIENCE);
        engine.join();
        text.clear();
        after.read_to_string(&mut text).unwrap();
        assert!(text.contains("data: still here\n"), "{text}");
    }

    /// As if its poller had failed.
    #[test]
    fn a_shard_that_has_ended_is_given_nothing_more() {
        let hub = Hub::new(Config::new().shards(2), Epoch(1)).unwrap();
        let engine = Engine::start(&hub, Clock::start()).unwrap();
        engine.shards[0].post(Command::Stop { timeout_ms: 0 });
        engine.shards[0].join();
        for _ in 0..4 {
            let mut client = client(&engine, &hub);
            let mut greeting = [0; 3];
            client.read_exact(&mut greeting).unwrap();
            assert_eq!(&greeting, b"hi\n");
        }
    }

    #[test]
    fn a_waker_that_panics_harms_nobody_else() {
        struct Bad;
        impl Wake for Bad {
            fn wake(self: Arc<Self>) {
                panic!("a test asked for it");
            }
        }
        let hub = Hub::new(Config::new().shards(1), Epoch(1)).unwrap();
        let engine = Engine::start(&hub, Clock::start()).unwrap();
        let signal = Arc::new(Signal::default());
        let waker = Waker::from(Arc::new(Bad));
        assert_eq!(signal.poll(&Context::from_waker(&waker)), Poll::Pending);
        let mut other = client(&engine, &hub);
        let _watching =
            engine.watch(stream(&hub).subscription().channels(), Reader::Subscriber(signal.clone())).unwrap();
        assert!(signal.wait(Some(std::time::Instant::now() + PATIENCE)));
        engine.stop(PATIENCE);
        engine.join();
        let mut text = String::new();
        other.read_to_string(&mut text).unwrap();
        assert!(text.contains("retry: "), "{text}");
    }

    /// The first of many readers publishes to another channel: whoever reads that does not wait for all of them.
    #[test]
    fn a_channel_with_many_readers_does_not_hold_up_others() {
        const MANY: usize = 20 * MEMBERS_AT_ONCE;
        /// Counts, and publishes the first time.
        struct First {
            hub: Arc<Hub>,
            calls: AtomicUsize,
        }
        impl Wake for First {
            fn wake(self: Arc<Self>) {
                if self.calls.fetch_add(1, Ordering::SeqCst) == 0 {
                    let channel = self.hub.log().channel("other", 0);
                    self.hub.log().publish(&channel, &Event::text("x"), 0);
                }
            }
        }
        /// Notes how many had been called by then.
        struct Other {
            first: Arc<First>,
            calls_by_then: AtomicUsize,
        }
        impl Wake for Other {
            fn wake(self: Arc<Self>) {
                self.calls_by_then.store(self.first.calls.load(Ordering::SeqCst), Ordering::SeqCst);
            }
        }
        let hub = Hub::new(Config::new().shards(1), Epoch(1)).unwrap();
        let engine = Engine::start(&hub, Clock::start()).unwrap();
        let first = Arc::new(First { hub: hub.clone(), calls: AtomicUsize::new(0) });
        let other = Arc::new(Other { first: first.clone(), calls_by_then: AtomicUsize::new(0) });
        let reader = |channel: &str, waker: Waker| {
            let subscription = Subscription::new(hub.log(), [channel], 0);
            let signal = Arc::new(Signal::default());
            let watching = engine.watch(subscription.channels(), Reader::Subscriber(signal.clone())).unwrap();
            // The one look that joining asks for.
            assert!(signal.wait(Some(std::time::Instant::now() + PATIENCE)));
            signal.lower();
            assert_eq!(signal.poll(&Context::from_waker(&waker)), Poll::Pending);
            (subscription, signal, watching)
        };
        let mut readers = vec![reader("other", Waker::from(other.clone()))];
        let waker = Waker::from(first.clone());
        readers.extend((0..MANY).map(|_| reader("many", waker.clone())));

        hub.log().publish(&hub.log().channel("many", 0), &Event::text("x"), 0);
        for (_, signal, _) in &readers {
            assert!(signal.wait(Some(std::time::Instant::now() + PATIENCE)), "a reader waits in vain");
        }
        engine.stop(PATIENCE);
        engine.join();
        assert_eq!(first.calls.load(Ordering::SeqCst), MANY);
        let calls = other.calls_by_then.load(Ordering::SeqCst);
        assert!((1..=2 * MEMBERS_AT_ONCE).contains(&calls), "{calls} of {MANY} came first");
    }
}
