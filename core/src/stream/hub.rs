//! What all streams of one application share.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{
    admission::Admission,
    client::Proxies,
    ended::Ended,
    grip::Grip,
    observer::Observer,
    seldom::Seldom,
    stats::{Counters, Stats},
    ticket::TicketKey,
};
use crate::{
    callbacks::Callbacks,
    config::Config,
    error::Result,
    log::{Limits, Log},
    threads::as_host,
    wire::{Epoch, Event},
};

/// The settings, the log and the counters that streams share.
pub struct Hub {
    config: Config,
    log: Arc<Log>,
    pub(crate) counters: Counters,
    pub(crate) admission: Admission,
    /// Connections of servers that carry no stream.
    pub(crate) connections: Admission,
    pub(crate) proxies: Proxies,
    pub(super) token_log: Seldom,
    pub(super) ticket_key: TicketKey,
    /// Tells the time to what is dropped, which nobody can tell it.
    time: OnceLock<Box<dyn Fn() -> u64 + Send + Sync>>,
    observer: OnceLock<Box<dyn Observer>>,
    pub(crate) callbacks: Arc<Callbacks>,
    pub(crate) ended: Ended,
    /// Names the streams of this process.
    name: u32,
    streams: AtomicU64,
    grip: Option<Grip>,
    closed: AtomicBool,
}

impl Hub {
    /// A hub with an empty log. Fails with `invalid-config` when a setting is out of range.
    pub fn new(config: Config, epoch: Epoch) -> Result<Arc<Self>> {
        config.check()?;
        let log = Log::new(epoch, Limits::from(&config));
        Self::with_log(config, log)
    }

    /// A hub whose log follows another. Fails as [`new`](Self::new) does.
    #[cfg(feature = "runtime")]
    pub(crate) fn following(config: Config) -> Result<Arc<Self>> {
        config.check()?;
        let log = Log::following(Limits::from(&config));
        Self::with_log(config, log)
    }

    fn with_log(config: Config, log: Log) -> Result<Arc<Self>> {
        let log = Arc::new(log);
        let grip = Grip::new(&config, log.is_following())?;
        let proxies = Proxies::new(&config);
        let ticket_key = TicketKey::new(&config)?;
        Ok(Arc::new(Self {
            config,
            log,
            counters: Counters::default(),
            admission: Admission::default(),
            connections: Admission::default(),
            proxies,
            token_log: Seldom::default(),
            ticket_key,
            time: OnceLock::new(),
            observer: OnceLock::new(),
            callbacks: Arc::default(),
            ended: Ended::default(),
            name: Epoch::random()?.0,
            streams: AtomicU64::new(0),
            grip,
            closed: AtomicBool::new(false),
        }))
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The log.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Refuses what cannot be published, with `invalid-event` or `too-large`.
    pub fn check_event(&self, event: &Event<'_>) -> Result<()> {
        event.check(self.config.max_event_bytes as usize)
    }

    pub(crate) fn grip(&self) -> Option<&Grip> {
        self.grip.as_ref()
    }

    /// Has `observer` told of streams from now on; false when there is one already.
    pub fn observe(&self, observer: Box<dyn Observer>) -> bool {
        self.observer.set(observer).is_ok()
    }

    pub(crate) fn tell(&self, tell: impl FnOnce(&dyn Observer)) {
        let Some(observer) = self.observer.get() else { return };
        self.callbacks.run(|| {
            if catch_unwind(AssertUnwindSafe(|| as_host(|| tell(&**observer)))).is_err() {
                tracing::error!("an observer has panicked");
            }
        });
    }

    /// What tells this process from others.
    pub(crate) fn name(&self) -> u32 {
        self.name
    }

    /// A number for another stream.
    pub(super) fn next_stream(&self) -> u64 {
        self.streams.fetch_add(1, Ordering::Relaxed)
    }

    /// The id of the stream with that number, which no stream of another process has.
    pub(super) fn stream_id(&self, number: u64) -> String {
        format!("{:08x}-{number:x}", self.name)
    }

    /// Has `time` tell the milliseconds of [`Now::ms`](super::Now::ms), by which ages of streams are counted.
    #[cfg(feature = "runtime")]
    pub(crate) fn set_time(&self, time: impl Fn() -> u64 + Send + Sync + 'static) {
        let _ = self.time.set(Box::new(time));
    }

    pub(super) fn now_ms(&self) -> Option<u64> {
        self.time.get().map(|time| time())
    }

    /// Opens no more streams: clients are asked to come back later.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Whether streams can be opened: it is not closed, nor in a forked child.
    pub(super) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::SeqCst) && self.log.process().is_current()
    }

    /// Figures at this moment.
    pub fn stats(&self) -> Stats {
        self.counters.snapshot(self.admission.open(), self.connections.open(), self.log.stats())
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("config", &self.config).field("log", &self.log).finish_non_exhaustive()
    }
}
