//! Functions of the application that a server calls: on threads that may block, and not on more than there are to be.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::{config::Config, threads::as_host};

/// Where the functions of one kind run. What waits, waits in turn.
#[derive(Clone)]
pub(super) struct Hooks {
    places: Arc<Semaphore>,
    wait: Duration,
    /// Held by each function that runs, so that a server which closes knows of it.
    running: Sender<()>,
}

/// Why a function has given nothing.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// It was not called: all places were taken for too long.
    Busy,
    Panicked,
}

impl Hooks {
    /// `places` are shared by all servers of an application.
    pub(super) fn new(places: &Arc<Semaphore>, config: &Config, running: &Sender<()>) -> Self {
        let wait = Duration::from_millis(config.hook_wait_ms);
        Self { places: places.clone(), wait, running: running.clone() }
    }

    /// Calls a function.
    pub(super) async fn call<T>(&self, hook: impl FnOnce() -> T + Send + 'static) -> Result<T, NoAnswer>
    where
        T: Send + 'static,
    {
        let Ok(Ok(place)) = tokio::time::timeout(self.wait, self.places.clone().acquire_owned()).await else {
            tracing::debug!("a request has waited in vain for a thread of the application's functions");
            return Err(NoAnswer::Busy);
        };
        let running = self.running.clone();
        let called = tokio::task::spawn_blocking(move || {
            let answer = catch_unwind(AssertUnwindSafe(|| as_host(hook)));
            drop((place, running));
            answer
        });
        called.await.ok().and_then(Result::ok).ok_or(NoAnswer::Panicked)
    }
}
