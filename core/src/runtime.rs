//! The threads that accept connections and talk to proxies: a tokio runtime of our own, started when first needed.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};

use tokio::{
    runtime::{Builder, Handle, Runtime as Tokio},
    sync::Semaphore,
};

use crate::{
    callbacks::Callbacks,
    clock::FOR_EVER,
    engine::default_threads,
    error::{Error, ErrorKind, Result},
    stream::Hub,
    sync::{lock, unpoison},
    threads::{HostSignals, STACK_BYTES, spawn, starting},
};

/// A tokio runtime that can be shut down from anywhere, also from another runtime's thread.
pub(crate) struct Runtime {
    threads: usize,
    hook_threads: usize,
    callbacks: Arc<Callbacks>,
    /// How many of the servers' functions of each kind may run.
    pub(crate) authorize_places: Arc<Semaphore>,
    pub(crate) fallback_places: Arc<Semaphore>,
    state: Mutex<State>,
}

enum State {
    Idle,
    Running(Tokio),
    Closed,
}

impl Runtime {
    /// A runtime that is not started.
    pub(crate) fn new(hub: &Hub) -> Self {
        let threads = match hub.config().server_threads as usize {
            0 => default_threads(),
            threads => threads,
        };
        let hook_threads = hub.config().hook_threads as usize;
        Self {
            threads,
            hook_threads,
            callbacks: hub.callbacks.clone(),
            authorize_places: Arc::new(Semaphore::new(hook_threads)),
            fallback_places: Arc::new(Semaphore::new(hook_threads)),
            state: Mutex::new(State::Idle),
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        matches!(*lock(&self.state), State::Idle)
    }

    /// A handle to the runtime, which is started now if it was not.
    pub(crate) fn handle(&self) -> Result<Handle> {
        let mut state = lock(&self.state);
        if matches!(*state, State::Idle) {
            *state = State::Running(self.start()?);
        }
        match &*state {
            State::Running(tokio) => Ok(tokio.handle().clone()),
            _ => Err(Error::new(ErrorKind::Closed, "the events are closed")),
        }
    }

    fn start(&self) -> Result<Tokio> {
        let callbacks = self.callbacks.clone();
        let start = |host: HostSignals| {
            Builder::new_multi_thread()
                .worker_threads(self.threads)
                .max_blocking_threads(2 * self.hook_threads + SPARE_THREADS)
                .thread_name("evstream-io")
                .thread_stack_size(STACK_BYTES)
                .on_thread_start(move || {
                    host.note();
                    callbacks.own_thread();
                })
                .enable_all()
                .build()
        };
        // Where the system gives no thread, tokio panics and leaks what it has made: it is asked before, and caught if
        // its answer was no longer true.
        let _ = spawn("evstream-io", || ())?.join();
        let started = catch_unwind(AssertUnwindSafe(|| starting(start)));
        Ok(started.map_err(|_| Error::new(ErrorKind::Io, "cannot spawn a thread"))??)
    }

    /// Stops it for good, and waits until its threads have ended, which hooks may hold up. Inside of another runtime,
    /// where tokio refuses to wait, it gives back false instead.
    pub(crate) fn close(&self) -> bool {
        let state = std::mem::replace(&mut *lock(&self.state), State::Closed);
        let State::Running(tokio) = state else { return true };
        if Handle::try_current().is_ok() {
            tokio.shutdown_background();
            return false;
        }
        tokio.shutdown_timeout(FOR_EVER);
        true
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let state = std::mem::replace(unpoison(self.state.get_mut()), State::Closed);
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

/// For what else may block, such as looking up the address of a GRIP proxy.
const SPARE_THREADS: usize = 16;
