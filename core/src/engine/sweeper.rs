//! A thread that keeps a log within its bounds of age, so that nobody who publishes or reads has to.

use std::{
    sync::{Arc, Condvar, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use super::ebb::Ebb;
use crate::{
    clock::Clock,
    error::Result,
    log::{Log, Watch},
    sync::{lock, unpoison},
    sys::give_memory_back,
    threads::spawn,
};

/// A log's sweeper. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Sweeper {
    bell: Arc<Bell>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread sleeps by.
#[derive(Debug, Default)]
struct Bell {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// There is something to sweep after there was nothing.
    rung: bool,
    stop: bool,
}

impl Sweeper {
    /// Starts the thread.
    pub(crate) fn start(log: &Arc<Log>, clock: Clock) -> Result<Self> {
        let bell = Arc::new(Bell::default());
        log.set_sweeper(bell.clone());
        let (log, own_bell) = (log.clone(), bell.clone());
        let thread = spawn("evstream-sweep", move || own_bell.run(&log, clock))?;
        Ok(Self { bell, thread: Mutex::new(Some(thread)) })
    }

    /// Ends the thread and waits for that.
    pub(crate) fn close(&self) {
        self.bell.ring(|state| state.stop = true);
        if lock(&self.thread).take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the sweeper has ended with a panic");
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.bell.ring(|state| state.stop = true);
    }
}

impl Bell {
    fn run(&self, log: &Log, clock: Clock) {
        let mut ebb = Ebb::default();
        loop {
            log.sweep_if_due(clock.now_ms());
            ebb.watch(log.channel_count(), clock.now_ms(), give_memory_back);
            let due_ms = log.next_sweep_ms().into_iter().chain(ebb.next_ms()).min();
            let wait = due_ms.map(|due_ms| {
                // Between two steps others get the locks that they have waited for.
                Duration::from_millis(due_ms.saturating_sub(clock.now_ms())).max(PAUSE)
            });
            if self.sleep(wait) {
                return;
            }
        }
    }

    /// Sleeps for this time, or until the bell rings when there is none; true when it is time to stop.
    fn sleep(&self, wait: Option<Duration>) -> bool {
        let state = lock(&self.state);
        let mut state = if let Some(wait) = wait {
            let waited = self.changed.wait_timeout_while(state, wait, |state| !state.stop);
            unpoison(waited).0
        } else {
            let waited = self.changed.wait_while(state, |state| !state.stop && !state.rung);
            unpoison(waited)
        };
        state.rung = false;
        state.stop
    }

    fn ring(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }
}

impl Watch for Bell {
    fn wake(&self, _: usize) {
        self.ring(|state| state.rung = true);
    }
}

/// Long enough that a thread which waits for a lock gets it; short enough to sweep hundreds of thousands of channels a
/// second.
const PAUSE: Duration = Duration::from_micros(250);
