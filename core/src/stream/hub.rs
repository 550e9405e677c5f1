//! What all streams of one application share.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
};

use super::{
    admission::Admission,
    grip::Grip,
    observer::Observer,
    stats::{Counters, Stats},
};
use crate::{
    config::Config,
    error::Result,
    log::{Limits, Log},
    wire::{Epoch, Event},
};

/// The settings, the log and the counters that streams share.
pub struct Hub {
    config: Config,
    log: Arc<Log>,
    pub(crate) counters: Counters,
    pub(crate) admission: Admission,
    observer: OnceLock<Box<dyn Observer>>,
    grip: Option<Grip>,
}

impl Hub {
    /// A hub with an empty log. Fails with `invalid-config` when a setting is out of range.
    pub fn new(config: Config, epoch: Epoch) -> Result<Arc<Self>> {
        config.check()?;
        let log = Arc::new(Log::new(epoch, Limits::from(&config)));
        let (counters, admission) = (Counters::default(), Admission::default());
        let grip = Grip::new(&config)?;
        Ok(Arc::new(Self { config, log, counters, admission, observer: OnceLock::new(), grip }))
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
        if catch_unwind(AssertUnwindSafe(|| tell(&**observer))).is_err() {
            tracing::error!("an observer has panicked");
        }
    }

    /// Figures at this moment.
    pub fn stats(&self) -> Stats {
        self.counters.snapshot(self.admission.open(), self.log.stats())
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("config", &self.config).field("log", &self.log).finish_non_exhaustive()
    }
}
