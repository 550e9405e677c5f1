//! What an application's events are made of: all that the handles a user holds have in common.

mod closing;
mod ending;
mod exposition;
mod health;
mod keys;
mod metrics;

use std::{
    sync::{
        Arc, MutexGuard, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

pub use closing::Closed;
pub use ending::Ended;
pub use exposition::{Family, MetricKind, Sample};
pub use health::Health;

use self::closing::Life;
use crate::{
    clock::Clock,
    config::Config,
    engine::{Engine, Sweeper, Which},
    error::{Error, ErrorKind, Result},
    fork::{Own, forked},
    journal::{self, Follower, Heard, Journal},
    log::Channel,
    publish::{Appending, Forwarding, ProxyFigures, Publisher, Receipt},
    runtime::Runtime,
    stream::{Hub, JournalStats, Now, Stats, Stream},
    sync::lock,
    wire::{Epoch, Event, check_channel},
};

/// The hub with its clock, and the threads, which are started when they are first needed.
#[derive(Debug)]
pub(crate) struct App {
    /// In a child it may be half changed by a thread that is not there.
    hub: Own<Arc<Hub>>,
    clock: Clock,
    engine: Own<OnceLock<Engine>>,
    sweeper: Own<OnceLock<Sweeper>>,
    runtime: Own<Runtime>,
    publisher: OnceLock<Publisher>,
    journal: Option<Arc<dyn Journal>>,
    appending: Own<OnceLock<Appending>>,
    follower: Own<OnceLock<Follower>>,
    forwarding: Own<OnceLock<Forwarding>>,
    life: Arc<Life>,
    /// Whether the state is no longer open, for those who publish.
    closed: AtomicBool,
}

/// Nothing is started but under its lock, so that closing misses nothing.
#[derive(Debug, Default)]
struct State {
    phase: Phase,
    listening: Vec<Weak<dyn Listening>>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Phase {
    #[default]
    Open,
    Closing {
        /// When everything was to have ended.
        deadline: Instant,
        /// Known by then.
        undelivered: Option<u64>,
    },
    Closed {
        undelivered: u64,
    },
}

/// A server, as far as closing needs to know it.
pub(crate) trait Listening: std::fmt::Debug + Send + Sync {
    /// Takes no more connections and opens no more streams.
    fn stop(&self);

    /// Answers what was asked, ends its streams, and waits for that; false when the time was not enough.
    fn finish(&self, timeout: Duration) -> bool;
}

impl App {
    /// Fails with `invalid-config` when a setting is out of range.
    pub(crate) fn new(config: Config, epoch: Epoch) -> Result<Arc<Self>> {
        let journal = journal::open(&config)?;
        let hub = if journal.is_some() { Hub::following(config)? } else { Hub::new(config, epoch)? };
        let clock = Clock::start();
        hub.set_time(move || clock.now_ms());
        let runtime = Own::new(Runtime::new(&hub));
        Ok(Arc::new(Self {
            hub: Own::new(hub),
            clock,
            engine: Own::new(OnceLock::new()),
            sweeper: Own::new(OnceLock::new()),
            runtime,
            publisher: OnceLock::new(),
            journal,
            appending: Own::new(OnceLock::new()),
            follower: Own::new(OnceLock::new()),
            forwarding: Own::new(OnceLock::new()),
            life: Arc::new(Life::new()),
            closed: AtomicBool::new(false),
        }))
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(crate) fn is_forked(&self) -> bool {
        !self.hub.log().process().is_current()
    }

    /// Fails with `forked` in a child of the process that made the events.
    pub(crate) fn check_process(&self) -> Result<()> {
        if self.is_forked() { Err(forked()) } else { Ok(()) }
    }

    /// Fails with `closed` or `forked`.
    pub(crate) fn check_open(&self) -> Result<()> {
        self.check_process()?;
        if self.closed.load(Ordering::SeqCst) { Err(closed()) } else { Ok(()) }
    }

    pub(crate) fn check_own(&self, stream: &Stream) -> Result<()> {
        if Arc::ptr_eq(stream.hub(), &self.hub) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidArgument, "the stream was opened by other events than these"))
    }

    pub(crate) fn started_engine(&self) -> Option<&Engine> {
        self.engine.get()
    }

    /// The engine, started now if it was not.
    pub(crate) fn engine(self: &Arc<Self>) -> Result<&Engine> {
        self.check_open()?;
        if let Some(engine) = self.started_engine() {
            return Ok(engine);
        }
        self.follow()?;
        let open = self.lock_open()?;
        if self.engine.get().is_none() {
            // If the sweeper cannot be started, dropping the engine ends its threads.
            let engine = Engine::start(&self.hub, self.clock)?;
            self.start_sweeper(&open)?;
            let _ = self.engine.set(engine);
        }
        self.engine.get().ok_or_else(closed)
    }

    /// Has the log follow the journal from now on, if there is one, and forwards it when it is this process's turn. A process that
    /// only publishes does not.
    pub(crate) fn follow(self: &Arc<Self>) -> Result<()> {
        let Some(journal) = &self.journal else { return Ok(()) };
        if self.follower.get().is_none() {
            let _open = self.lock_open()?;
            if self.follower.get().is_none() {
                self.forward(journal)?;
                let app = Arc::downgrade(self);
                let obey = move |heard: Heard<'_>| {
                    if let Some(app) = app.upgrade() {
                        app.obey(heard);
                    }
                };
                let _ = self.follower.set(Follower::start(&**journal, self.hub.log(), self.clock, obey)?);
            }
        }
        Ok(())
    }

    /// Forwards the journal to the proxies, if there are any, from now on.
    fn forward(&self, journal: &Arc<dyn Journal>) -> Result<()> {
        if self.forwarding.get().is_none()
            && self.hub.grip().is_some()
            && let Some(publisher) = Publisher::start(&self.hub, &self.runtime.handle()?)?
        {
            let _ = self.forwarding.set(Forwarding::start(journal, publisher, &self.hub, self.clock)?);
        }
        Ok(())
    }

    /// What appends to the journal, started now if it was not.
    fn appending(&self, journal: &Arc<dyn Journal>) -> Result<&Appending> {
        if self.appending.get().is_none() {
            let _open = self.lock_open()?;
            if self.appending.get().is_none() {
                let _ = self.appending.set(Appending::start(journal, &self.hub)?);
            }
        }
        self.appending.get().ok_or_else(closed)
    }

    /// A stream is about to be opened, which a proxy may hold: then no engine is started for it.
    pub(crate) fn on_open(self: &Arc<Self>) {
        if let Err(error) = self.check_process().and_then(|()| self.follow()) {
            tracing::debug!(%error, "the journal is not followed");
        }
        if self.hub.grip().is_some()
            && let Err(error) = self.check_process().and_then(|()| self.keep_swept())
        {
            tracing::debug!(%error, "nobody but publishers keeps the history in its bounds of age");
        }
    }

    /// Has a thread keep the log within its bounds of age from now on. As long as there were no streams, those who
    /// publish do it.
    fn keep_swept(&self) -> Result<()> {
        if self.sweeper.get().is_some() {
            return Ok(());
        }
        self.start_sweeper(&self.lock_open()?)
    }

    fn start_sweeper(&self, _open: &MutexGuard<'_, State>) -> Result<()> {
        if self.sweeper.get().is_none() {
            let _ = self.sweeper.set(Sweeper::start(self.hub.log(), self.clock)?);
        }
        Ok(())
    }

    /// The publisher, started now if it was not; `None` when no proxy is configured.
    fn publisher(&self) -> Result<Option<&Publisher>> {
        if self.hub.grip().is_none() || self.publisher.get().is_some() {
            return Ok(self.publisher.get());
        }
        let _open = self.lock_open()?;
        if self.publisher.get().is_none()
            && let Some(publisher) = Publisher::start(&self.hub, &self.runtime.handle()?)?
        {
            let _ = self.publisher.set(publisher);
        }
        Ok(self.publisher.get())
    }

    /// Has closing end what listens, too. Fails with `closed`.
    pub(crate) fn add_listening(self: &Arc<Self>, listening: Weak<dyn Listening>) -> Result<()> {
        self.follow()?;
        self.keep_swept()?;
        let mut state = self.lock_open()?;
        state.listening.retain(|listening| listening.strong_count() > 0);
        state.listening.push(listening);
        Ok(())
    }

    /// The channel of that name. Fails with `invalid-channel`, `closed` or `forked`.
    pub(crate) fn channel(&self, name: &str) -> Result<Arc<Channel>> {
        check_channel(name)?;
        self.check_open()?;
        Ok(self.hub.log().channel(name, self.now_ms()))
    }

    /// Fails with `invalid-event`, `too-large`, `closed` or `forked`.
    pub(crate) fn publish(&self, channel: &Arc<Channel>, event: &Event<'_>) -> Result<Receipt> {
        self.hub.check_event(event)?;
        self.check_open()?;
        if let Some(journal) = &self.journal {
            let deadline = Instant::now() + Duration::from_millis(self.hub.config().journal_deadline_ms);
            return Ok(self.appending(journal)?.publish(channel, event, deadline));
        }
        let now_ms = self.now_ms();
        let log = self.hub.log();
        let receipt = match self.publisher()? {
            None => Receipt::local(log.publish(channel, event, now_ms)),
            Some(publisher) => {
                let deadline = Instant::now() + Duration::from_millis(self.hub.config().grip_deadline_ms);
                publisher.publish(log, channel, event, now_ms, deadline)
            }
        };
        if self.sweeper.get().is_none() {
            log.sweep_if_due(now_ms);
        }
        Ok(receipt)
    }

    /// Figures at this moment.
    pub(crate) fn stats(&self) -> Stats {
        let stats = self.hub.stats();
        if self.journal.is_none() {
            return stats;
        }
        let mut figures = JournalStats::default();
        if let Some(follower) = self.follower.get() {
            (figures.connected, figures.lag_ms) = (follower.is_connected(), follower.lag_ms());
            figures.epochs = follower.epochs();
        }
        if let Some(appending) = self.appending.get() {
            (figures.waiting, figures.failed) = (appending.waiting(), appending.failed());
        }
        Stats { journal: Some(figures), ..stats }
    }

    /// Figures of the way to each proxy, also when nothing was sent yet.
    fn proxy_figures(&self) -> Vec<ProxyFigures> {
        if let Some(publisher) = self.publisher.get() {
            return publisher.figures();
        }
        if let Some(forwarding) = self.forwarding.get() {
            return forwarding.figures();
        }
        let proxies = self.hub.grip().map_or(&[][..], |grip| &grip.proxies);
        proxies.iter().map(|proxy| ProxyFigures { proxy: proxy.to_string(), ..<_>::default() }).collect()
    }

    /// Asks all streams to end by `timeout` from now, and does not wait for it.
    pub(crate) fn end_streams(&self, timeout: Duration) {
        if let (Ok(()), Some(engine)) = (self.check_open(), self.started_engine()) {
            engine.close_streams(&Which::All, timeout);
        }
    }

    /// Takes nothing new. The state says that it closes.
    fn shut(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.hub.close();
    }

    /// Whether there is no thread to end and no callback to wait for.
    fn is_idle(&self) -> bool {
        self.engine.get().is_none()
            && self.sweeper.get().is_none()
            && self.publisher.get().is_none()
            && self.appending.get().is_none()
            && self.follower.get().is_none()
            && self.forwarding.get().is_none()
            && self.runtime.is_idle()
            && !self.hub.callbacks.are_running()
    }

    /// Locks the state, and fails with `closed` when it is not open.
    fn lock_open(&self) -> Result<MutexGuard<'_, State>> {
        let state = lock(&self.life.state);
        if state.phase == Phase::Open { Ok(state) } else { Err(closed()) }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the events are closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a thread meets that was about to start something when another began to close.
    #[test]
    fn nothing_is_started_beside_a_close() {
        let proxy = "http://127.0.0.1:9/".into();
        let app = App::new(Config::new().grip(vec![proxy]), Epoch(1)).unwrap();
        lock(&app.life.state).phase = Phase::Closed { undelivered: 0 };
        app.check_open().expect("it has looked before");
        let closed = ErrorKind::Closed;
        assert_eq!(app.engine().unwrap_err().kind(), closed);
        assert_eq!(app.publisher().unwrap_err().kind(), closed);
        assert_eq!(app.keep_swept().unwrap_err().kind(), closed);
        assert!(app.is_idle());
    }

    #[test]
    fn a_process_whose_streams_nobody_writes_is_not_worth_keeping() {
        let app = App::new(Config::new().shards(2), Epoch(1)).unwrap();
        let engine = app.engine().unwrap();
        let is_well = |health: Health| (health.ready, health.live, health.problems.is_empty());
        assert_eq!(is_well(app.health()), (true, true, true));
        // As when a shard cannot poll any more.
        engine.stop(Duration::ZERO);
        engine.join();
        assert_eq!(is_well(app.health()), (false, false, false));
    }
}
