//! What all streams of one application share.

use std::sync::Arc;

use super::{
    admission::Admission,
    stats::{Counters, Stats},
};
use crate::{
    config::Config,
    error::Result,
    log::{Limits, Log},
    wire::Epoch,
};

/// The settings, the log and the counters that streams share.
#[derive(Debug)]
pub struct Hub {
    config: Config,
    log: Arc<Log>,
    pub(crate) counters: Counters,
    pub(crate) admission: Admission,
}

impl Hub {
    /// A hub with an empty log. Fails with `invalid-config` when a setting is out of range.
    pub fn new(config: Config, epoch: Epoch) -> Result<Arc<Self>> {
        config.check()?;
        let log = Arc::new(Log::new(epoch, Limits::from(&config)));
        Ok(Arc::new(Self { config, log, counters: Counters::default(), admission: Admission::default() }))
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The log.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Figures at this moment.
    pub fn stats(&self) -> Stats {
        self.counters.snapshot(self.admission.open(), self.log.stats())
    }
}
