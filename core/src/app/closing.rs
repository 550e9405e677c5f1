//! Closing: what ends in which order, and how those who wait for it are told.
//!
//! It runs on a thread of its own where there is one to be had, which waits for as long as it takes: a callback of the application that never returns
//! must not hold up whoever has asked for the end, and who asks again is to hear when it has come.

use std::{
    sync::{Arc, Condvar, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{App, Listening, Phase, State};
use crate::{
    clock::deadline,
    engine::Which,
    error::{Error, ErrorKind, Result},
    fork::Own,
    publish::{Appending, Publisher},
    sync::{lock, unpoison},
    threads::spawn,
};

/// What [`Events::close`](crate::Events::close) has to tell.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Closed {
    /// Whether everything has ended: every thread, and every callback of the application. If not, it goes on in the
    /// background, and closing again waits on.
    pub ended: bool,
    /// Events that the journal, or a GRIP proxy, did not get in the time given, counted once per proxy.
    pub undelivered: u64,
}

/// How far an application's events are from their end. Who closes them and who waits for that share it, apart from the
/// events: what they free is freed before the end is told.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) state: Mutex<State>,
    changed: Condvar,
    thread: Own<Mutex<Option<JoinHandle<()>>>>,
}

impl App {
    /// Ends everything by `timeout` from now, or waits for that when it has begun.
    pub(crate) fn close(self: &Arc<Self>, timeout: Duration) -> Result<Closed> {
        if self.is_forked() {
            return Ok(Closed { ended: true, undelivered: 0 });
        }
        self.refuse_in_callback()?;
        let until = deadline(timeout);
        // What is left of the time is for the threads to end.
        self.begin_closing(deadline(timeout.saturating_sub((timeout / 10).min(LAST_MOMENTS))));
        Ok(self.life.wait(until, || self.undelivered()))
    }

    /// [`close`](Self::close) on a thread that may block.
    pub(crate) async fn close_async(self: Arc<Self>, timeout: Duration) -> Result<Closed> {
        if !self.is_forked() {
            self.refuse_in_callback()?;
        }
        let (told, outcome) = tokio::sync::oneshot::channel();
        spawn("evstream-wait", move || {
            let closed = self.close(timeout);
            drop(self);
            // Nobody waits for it any more, if this fails.
            let _ = told.send(closed);
        })?;
        let lost =
            |_| Err(Error::new(ErrorKind::Internal, "the thread that has closed the events has panicked"));
        outcome.await.unwrap_or_else(lost)
    }

    /// Has what this process has appended to the journal forwarded to the proxies, also when it has only published: perhaps
    /// nobody else does.
    fn forward_rest(&self, deadline: Instant) {
        let own = self.appending.get().and_then(Appending::last);
        if let (Some(journal), Some(_)) = (&self.journal, own)
            && let Err(error) = self.forward(journal)
        {
            tracing::warn!(%error, "the journal is not forwarded to GRIP proxies");
        }
        if let Some(forwarding) = self.forwarding.get() {
            forwarding.close(deadline, own);
        }
    }

    /// What is not delivered, as far as is known now.
    fn undelivered(&self) -> u64 {
        let published = self.publisher.get().map_or(0, Publisher::undelivered);
        published + self.appending.get().map_or(0, Appending::undelivered)
    }

    fn refuse_in_callback(&self) -> Result<()> {
        if !self.hub.callbacks.are_inside() {
            return Ok(());
        }
        let text = "a callback cannot wait for the end of callbacks; let another thread close the events";
        Err(Error::new(ErrorKind::InCallback, text))
    }

    fn begin_closing(self: &Arc<Self>, deadline: Instant) {
        let mut state = lock(&self.life.state);
        if state.phase != Phase::Open {
            return;
        }
        if self.is_idle() {
            self.runtime.close();
            state.phase = Phase::Closed { undelivered: 0 };
            self.shut();
            return;
        }
        state.phase = Phase::Closing { deadline, undelivered: None };
        self.shut();
        let app = self.clone();
        let closing = spawn("evstream-close", move || {
            app.hub.callbacks.own_thread();
            let (life, ended) = (app.life.clone(), app.end(deadline));
            drop(app);
            life.finish(ended);
        });
        match closing {
            Ok(thread) => *lock(&self.life.thread) = Some(thread),
            Err(error) => {
                drop(state);
                tracing::warn!(%error, "no thread to close the events with, so a callback may hold up who closes them");
                self.life.finish(self.end(deadline));
            }
        }
    }

    /// Ends everything. Until the figures are known it waits for no callback, and from then on for all; false when it
    /// could not wait.
    fn end(&self, deadline: Instant) -> bool {
        let left = || deadline.saturating_duration_since(Instant::now());
        let listening = std::mem::take(&mut lock(&self.life.state).listening);
        let listening: Vec<Arc<dyn Listening>> =
            listening.iter().filter_map(std::sync::Weak::upgrade).collect();
        // All at once: neither a dead proxy nor a slow client takes the time of the other.
        for listening in &listening {
            listening.stop();
        }
        if let Some(engine) = self.engine.get() {
            engine.close_streams(&Which::All, left());
        }
        match (self.publisher.get(), self.appending.get()) {
            (Some(publisher), _) => publisher.close(deadline, |undelivered| self.life.tell(undelivered)),
            (None, Some(appending)) => appending.close(deadline, |undelivered| self.life.tell(undelivered)),
            (None, None) => self.life.tell(0),
        }
        self.forward_rest(deadline);
        // The engine waits for those streams that servers are just opening.
        for listening in &listening {
            listening.finish(left());
        }
        if let Some(engine) = self.engine.get() {
            engine.stop(left());
        }
        if let Some(appending) = self.appending.get() {
            appending.join();
        }
        if let Some(follower) = self.follower.get() {
            follower.close();
        }
        let ended = self.runtime.close();
        if let Some(engine) = self.engine.get() {
            engine.join();
        }
        if let Some(sweeper) = self.sweeper.get() {
            sweeper.close();
        }
        self.hub.callbacks.wait_for_none();
        ended
    }
}

impl Life {
    pub(super) fn new() -> Self {
        let (state, thread) = (Mutex::default(), Own::new(Mutex::default()));
        Self { state, changed: Condvar::new(), thread }
    }

    /// Waits for the end; `undelivered_now` says what is not delivered when nobody knows the final figure yet.
    fn wait(&self, until: Instant, undelivered_now: impl FnOnce() -> u64) -> Closed {
        let wait_while = |state, until: Instant, condition: &dyn Fn(&State) -> bool| {
            let left = until.saturating_duration_since(Instant::now());
            let waited = self.changed.wait_timeout_while(state, left, |state| condition(state));
            unpoison(waited).0
        };
        let mut state = wait_while(lock(&self.state), until, &|state| !state.has_ended());
        if let Phase::Closing { deadline, undelivered: None } = state.phase
            && deadline <= until
        {
            // It was to be known by now, and no callback stands in the way of that.
            state = wait_while(state, Instant::now() + GRACE, &|state| state.undelivered().is_none());
        }
        let (ended, undelivered) = (state.has_ended(), state.undelivered());
        drop(state);
        if ended {
            self.join();
        }
        Closed { ended, undelivered: undelivered.unwrap_or_else(undelivered_now) }
    }

    fn tell(&self, count: u64) {
        if let Phase::Closing { undelivered, .. } = &mut lock(&self.state).phase {
            *undelivered = Some(count);
        }
        self.changed.notify_all();
        if count > 0 {
            tracing::warn!(
                undelivered = count,
                "events were not delivered to GRIP proxies or the journal before closing"
            );
        }
    }

    fn finish(&self, ended: bool) {
        if !ended {
            return;
        }
        let mut state = lock(&self.state);
        state.phase = Phase::Closed { undelivered: state.undelivered().unwrap_or(0) };
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for the thread's last instructions.
    fn join(&self) {
        // Under the lock, so that others wait too.
        let mut thread = lock(&self.thread);
        if thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("closing has ended with a panic");
        }
    }
}

impl State {
    fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Closed { .. })
    }

    fn undelivered(&self) -> Option<u64> {
        match self.phase {
            Phase::Open => None,
            Phase::Closing { undelivered, .. } => undelivered,
            Phase::Closed { undelivered } => Some(undelivered),
        }
    }
}

/// Enough for threads that have nothing more to do.
const LAST_MOMENTS: Duration = Duration::from_millis(250);

/// For a busy machine: as long as it takes a thread to get its turn.
const GRACE: Duration = Duration::from_secs(5);
