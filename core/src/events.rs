//! An application's events: the way in to everything else.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    clock::{Clock, deadline},
    config::Config,
    engine::{Engine, Framing},
    error::{Error, ErrorKind, Result},
    fork::Own,
    log,
    publish::{ProxyResult, Publisher, Ticket},
    pull::Pull,
    runtime::Runtime,
    server::{Server, ServerBuilder},
    stream::{Access, Hub, Now, Observer, Reply, Request, Stats, Stream, open, screen},
    subscribe::Subscription,
    wire::{Epoch, Event, Position, check_channel},
};

/// An application's events: its settings, channels, history and streams.
///
/// Cheap to clone and safe to use from any thread; make one per application. No thread is started before a stream is
/// opened, a server bound or a subscription made. When the last clone is dropped the streams end at once; call
/// [`close`](Self::close) to end them well.
///
/// ```
/// use evstream::{Config, Event, Events};
/// let events = Events::new(Config::new())?;
/// let receipt = events.publish("messages", Event::json("hi")?.name("message"))?;
/// assert_eq!(receipt.streams, 0);
/// # Ok::<(), evstream::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Events {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    hub: Arc<Hub>,
    clock: Clock,
    engine: Own<OnceLock<Engine>>,
    starting: Mutex<()>,
    runtime: Own<Runtime>,
    servers: Mutex<Vec<Weak<Server>>>,
    publisher: OnceLock<Publisher>,
    closed: AtomicBool,
}

/// A named sequence of events.
#[derive(Clone, Debug)]
pub struct Channel {
    events: Events,
    channel: Arc<log::Channel>,
}

/// What [`Events::publish`] gives back.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Receipt {
    /// The place of the event, which clients see as its `id`.
    pub position: Position,
    /// Streams and subscriptions of this process that will get it.
    pub streams: usize,
    ticket: Option<Arc<Ticket>>,
}

/// What [`Events::close`] has to tell.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Closed {
    /// Events that a GRIP proxy did not get in the time given, counted once per proxy.
    pub undelivered: u64,
}

impl Events {
    /// An application's events with these settings. Fails with `invalid-config` when one is out of range.
    pub fn new(config: Config) -> Result<Self> {
        let runtime = Own::new(Runtime::new(config.server_threads as usize));
        let inner = Inner {
            hub: Hub::new(config, random_epoch())?,
            clock: Clock::start(),
            engine: Own::new(OnceLock::new()),
            starting: Mutex::new(()),
            runtime,
            servers: Mutex::default(),
            publisher: OnceLock::new(),
            closed: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Publishes an event to a channel. Never waits for a client.
    ///
    /// Fails with `invalid-channel`, `invalid-event`, `too-large`, `closed` or `forked`.
    pub fn publish(&self, channel: &str, event: Event<'_>) -> Result<Receipt> {
        check_channel(channel)?;
        self.check_open()?;
        let now_ms = self.now_ms();
        self.publish_to(&self.hub().log().channel(channel, now_ms), &event, now_ms)
    }

    /// The channel of that name, for publishing often. Fails with `invalid-channel`, `closed` or `forked`.
    pub fn channel(&self, name: &str) -> Result<Channel> {
        check_channel(name)?;
        self.check_open()?;
        Ok(Channel { events: self.clone(), channel: self.hub().log().channel(name, self.now_ms()) })
    }

    /// Answers a request that needs no word from the application: preflight, what is malformed, and what a GRIP proxy
    /// asks for on behalf of a stream it holds.
    ///
    /// [`open`](Self::open) does this too. Call it yourself when deciding on access is costly, or must not happen for
    /// a proxy's request, which carries no cookies.
    pub fn screen(&self, request: &Request<'_>) -> Option<Reply> {
        if self.is_forked() {
            return Some(Reply::text(503, FORKED));
        }
        screen(self.hub(), request, self.now())
    }

    /// Answers a request that some HTTP server has received.
    ///
    /// Send the reply's status, headers and body. When it has a stream, keep the response open and give the stream to
    /// one driver: [`adopt`](Self::adopt) or [`pull`](Self::pull).
    pub fn open(&self, request: &Request<'_>, access: Access) -> Reply {
        if self.is_forked() {
            return Reply::text(503, FORKED);
        }
        open(self.hub(), request, access, self.now())
    }

    /// Hands the client's socket to the engine, which writes the stream to it from now on.
    ///
    /// The caller has sent the head, with the framing it announces, and the first bytes; `first` is for what it has
    /// not sent of them, and is written as it is. The socket is plain TCP or Unix, without TLS, and nobody else writes
    /// to it any more. It is closed when the stream ends, and on an error. Fails with `closed`, `io`, or
    /// `invalid-argument` when other events have opened the stream.
    pub fn adopt(&self, stream: Stream, socket: OwnedFd, framing: Framing, first: Vec<u8>) -> Result<()> {
        self.check_own(&stream)?;
        self.engine()?.adopt(stream, socket, framing, first, None)
    }

    /// Lets the caller take the stream's bytes piece by piece and send them in its own way.
    ///
    /// Fails with `closed`, `io`, or `invalid-argument` when other events have opened the stream.
    pub fn pull(&self, stream: Stream) -> Result<Pull> {
        self.check_own(&stream)?;
        Pull::new(self, stream)
    }

    /// Reads channels in this process, from now on. Fails with `invalid-channel`, `closed` or `io`.
    pub fn subscribe<'a>(&self, channels: impl IntoIterator<Item = &'a str>) -> Result<Subscription> {
        Subscription::new(self, channels)
    }

    /// An HTTP server of the library's own, for applications that do not want to mount streams in theirs.
    pub fn server(&self) -> ServerBuilder {
        ServerBuilder::new(self.clone())
    }

    /// Has `observer` told when streams open and close. Fails with `invalid-argument` when there is one already.
    pub fn observe(&self, observer: impl Observer) -> Result<()> {
        if self.hub().observe(Box::new(observer)) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidArgument, "the events have an observer already"))
    }

    /// Figures at this moment; all zero in a forked child, which has no streams.
    pub fn stats(&self) -> Stats {
        if self.is_forked() {
            return Stats::default();
        }
        self.hub().stats()
    }

    /// Asks the clients of all streams to come back later, and ends those that have not taken that in by `timeout` from
    /// now. Does not wait for it, and new streams can be opened meanwhile: for a host that is about to stop.
    pub fn end_streams(&self, timeout: Duration) {
        if let (Ok(()), Some(engine)) = (self.check_open(), self.inner.engine.get()) {
            engine.close_streams(None, timeout);
        }
    }

    /// Ends everything within `timeout`: refuses further publishing, asks each client to come back later, ends the
    /// streams and servers, delivers what waits for proxies, and joins the threads. Blocks until then. Calling it
    /// again, or in a forked child, does nothing.
    pub fn close(&self, timeout: Duration) -> Closed {
        if self.is_forked() || self.inner.closed.swap(true, Ordering::SeqCst) {
            return Closed::default();
        }
        let deadline = deadline(timeout);
        let left = || deadline.saturating_duration_since(Instant::now());
        // Side by side: neither a dead proxy nor a slow client takes the time of the other.
        let undelivered = std::thread::scope(|scope| {
            let publisher = self.inner.publisher.get();
            let flush = publisher.map(|publisher| {
                std::thread::Builder::new().spawn_scoped(scope, move || publisher.close(left()))
            });
            self.close_streams(deadline);
            match flush {
                None => 0,
                Some(Ok(flush)) => flush.join().unwrap_or(0),
                Some(Err(_)) => publisher.map_or(0, |publisher| publisher.close(left())), // no threads to be had
            }
        });
        if undelivered > 0 {
            tracing::warn!(undelivered, "events were not delivered to GRIP proxies before closing");
        }
        self.inner.runtime.close(left());
        Closed { undelivered }
    }

    fn close_streams(&self, deadline: Instant) {
        let left = || deadline.saturating_duration_since(Instant::now());
        let servers = std::mem::take(&mut *self.inner.servers.lock().unwrap_or_else(PoisonError::into_inner));
        for server in servers.iter().filter_map(Weak::upgrade) {
            server.stop_accepting();
        }
        // All streams end side by side, but the engine waits for those that servers are just opening.
        if let Some(engine) = self.started_engine() {
            engine.close_streams(None, left());
        }
        for server in servers.iter().filter_map(Weak::upgrade) {
            server.close(left());
        }
        if let Some(engine) = self.started_engine() {
            engine.close(left());
        }
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.inner.hub
    }

    pub(crate) fn now(&self) -> Now {
        self.inner.clock.now()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.inner.clock.now_ms()
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.inner.runtime
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.inner.closed.load(Ordering::SeqCst)
    }

    pub(crate) fn add_server(&self, server: &Arc<Server>) {
        let mut servers = self.inner.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain(|server| server.strong_count() > 0);
        servers.push(Arc::downgrade(server));
    }

    pub(crate) fn started_engine(&self) -> Option<&Engine> {
        self.inner.engine.get()
    }

    /// The engine, started now if it was not.
    pub(crate) fn engine(&self) -> Result<&Engine> {
        self.check_open()?;
        if let Some(engine) = self.started_engine() {
            return Ok(engine);
        }
        let _starting = self.inner.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.inner.engine.get().is_none() {
            let engine = Engine::start(self.hub(), self.inner.clock)?;
            let _ = self.inner.engine.set(engine);
        }
        self.inner.engine.get().ok_or_else(closed)
    }

    fn publish_to(&self, channel: &Arc<log::Channel>, event: &Event<'_>, now_ms: u64) -> Result<Receipt> {
        self.hub().check_event(event)?;
        self.check_open()?;
        let log = self.hub().log();
        let (appended, ticket) = match self.publisher()? {
            None => (log.publish(channel, event, now_ms), None),
            Some(publisher) => {
                let deadline = Instant::now() + Duration::from_millis(self.hub().config().grip_deadline_ms);
                let (appended, ticket) = publisher.publish(log, channel, event, now_ms, deadline);
                (appended, Some(ticket))
            }
        };
        if self.inner.engine.get().is_none() {
            // Without an engine no thread of ours keeps the history in bounds of age.
            log.sweep_if_due(now_ms);
        }
        Ok(Receipt { position: appended.position, streams: appended.subscribers, ticket })
    }

    /// The publisher, started now if it was not; `None` when no proxy is configured.
    fn publisher(&self) -> Result<Option<&Publisher>> {
        if self.hub().grip().is_none() || self.inner.publisher.get().is_some() {
            return Ok(self.inner.publisher.get());
        }
        let _starting = self.inner.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.inner.publisher.get().is_none()
            && let Some(publisher) = Publisher::start(self.hub(), &self.runtime().handle()?)?
        {
            let _ = self.inner.publisher.set(publisher);
        }
        Ok(self.inner.publisher.get())
    }

    fn check_own(&self, stream: &Stream) -> Result<()> {
        if Arc::ptr_eq(stream.hub(), self.hub()) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidArgument, "the stream was opened by other events than these"))
    }

    /// Fails with `closed`, or with `forked` in a child of the process that made the events: their threads are not
    /// there. Make new events in each child instead.
    pub fn check_open(&self) -> Result<()> {
        self.check_process()?;
        if self.is_closed() { Err(closed()) } else { Ok(()) }
    }

    /// Fails with `forked` in a child of the process that made the events.
    pub fn check_process(&self) -> Result<()> {
        if self.is_forked() { Err(Error::new(ErrorKind::Forked, FORKED)) } else { Ok(()) }
    }

    pub(crate) fn is_forked(&self) -> bool {
        !self.hub().log().process().is_current()
    }
}

impl Receipt {
    /// GRIP proxies that are sent the event.
    pub fn proxies(&self) -> usize {
        self.ticket.as_ref().map_or(0, |ticket| ticket.proxies())
    }

    /// Waits until every GRIP proxy has taken the event or failed, and says which; empty when none is configured.
    ///
    /// Fails with `timeout` when the time was not enough. The events are delivered also when nobody waits.
    pub fn wait(&self, timeout: Duration) -> Result<Vec<ProxyResult>> {
        self.ticket.as_ref().map_or_else(|| Ok(Vec::new()), |ticket| ticket.wait(timeout))
    }

    /// What [`wait`](Self::wait) gives, for async code. Dropping the future changes nothing.
    pub async fn delivered(&self) -> Vec<ProxyResult> {
        match &self.ticket {
            None => Vec::new(),
            Some(ticket) => std::future::poll_fn(|cx| ticket.poll(cx)).await,
        }
    }
}

impl Channel {
    /// Its name.
    pub fn name(&self) -> &str {
        self.channel.name()
    }

    /// Streams and subscriptions of this process that read it now.
    pub fn streams(&self) -> usize {
        if self.events.is_forked() {
            return 0;
        }
        self.channel.subscribers()
    }

    /// Publishes an event to it, as [`Events::publish`] does.
    pub fn publish(&self, event: Event<'_>) -> Result<Receipt> {
        self.events.publish_to(&self.channel, &event, self.events.now_ms())
    }
}

const FORKED: &str = "the events belong to the process that forked this one; make new ones after a fork";

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the events are closed")
}

/// The standard library seeds its hashers from the system's randomness.
fn random_epoch() -> Epoch {
    Epoch(RandomState::new().build_hasher().finish() as u32)
}
