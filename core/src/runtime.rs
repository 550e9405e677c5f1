//! The threads that accept connections and talk to proxies: a tokio runtime of our own, started when first needed.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::runtime::{Builder, Handle, Runtime as Tokio};

use crate::{
    engine::{block_sigpipe, default_threads},
    error::{Error, ErrorKind, Result},
};

/// A tokio runtime that can be shut down from anywhere, also from another runtime's thread.
pub(crate) struct Runtime {
    threads: usize,
    state: Mutex<State>,
}

enum State {
    Idle,
    Running(Tokio),
    Closed,
}

impl Runtime {
    /// A runtime that is not started. 0 threads means one for two processors.
    pub(crate) fn new(threads: usize) -> Self {
        let threads = if threads == 0 { default_threads() } else { threads };
        Self { threads, state: Mutex::new(State::Idle) }
    }

    /// A handle to the runtime, which is started now if it was not.
    pub(crate) fn handle(&self) -> Result<Handle> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Idle) {
            *state = State::Running(self.start()?);
        }
        match &*state {
            State::Running(tokio) => Ok(tokio.handle().clone()),
            _ => Err(Error::new(ErrorKind::Closed, "the events are closed")),
        }
    }

    fn start(&self) -> Result<Tokio> {
        let start = || {
            Builder::new_multi_thread()
                .worker_threads(self.threads)
                .thread_name("evstream-io")
                .on_thread_start(block_sigpipe)
                .enable_all()
                .build()
        };
        // It panics where the system gives no thread, which is no bug of anybody's.
        let started = catch_unwind(AssertUnwindSafe(start));
        Ok(started.map_err(|_| Error::new(ErrorKind::Io, "the system gives no threads"))??)
    }

    /// Stops it for good; waits at most `timeout` for its threads to end.
    pub(crate) fn close(&self, timeout: Duration) {
        let state =
            std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), State::Closed);
        let State::Running(tokio) = state else { return };
        // On a thread of its own: tokio refuses to wait on a thread that belongs to a runtime.
        let closing = std::thread::Builder::new().spawn(move || tokio.shutdown_timeout(timeout));
        if let Ok(closing) = closing {
            let _ = closing.join();
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let state =
            std::mem::replace(self.state.get_mut().unwrap_or_else(PoisonError::into_inner), State::Closed);
        if let State::Running(tokio) = state {
            tokio.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("threads", &self.threads).finish_non_exhaustive()
    }
}
