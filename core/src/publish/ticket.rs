//! What became of an event at the proxies.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use crate::error::{Error, ErrorKind, Result};

/// What became of an event at one proxy.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProxyResult {
    /// The proxy, by its control URI.
    pub proxy: String,
    /// Whether it took the event.
    pub result: Result<()>,
}

/// Collects the results of all proxies.
#[derive(Debug)]
pub(crate) struct Ticket {
    state: Mutex<State>,
    settled: Condvar,
}

#[derive(Debug)]
struct State {
    results: Vec<(String, Option<Result<()>>)>,
    wakers: Vec<Waker>,
}

impl Ticket {
    pub(super) fn new(proxies: Vec<String>) -> Arc<Self> {
        let results = proxies.into_iter().map(|proxy| (proxy, None)).collect();
        Arc::new(Self { state: Mutex::new(State { results, wakers: Vec::new() }), settled: Condvar::new() })
    }

    /// Notes the result of a proxy; the first one stays.
    pub(super) fn settle(&self, index: usize, result: Result<()>) {
        let mut state = self.lock();
        if state.results[index].1.is_some() {
            return;
        }
        state.results[index].1 = Some(result);
        if state.all().is_some() {
            let wakers = std::mem::take(&mut state.wakers);
            drop(state);
            self.settled.notify_all();
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// How many proxies there are.
    pub(crate) fn proxies(&self) -> usize {
        self.lock().results.len()
    }

    pub(crate) fn wait(&self, timeout: Duration) -> Result<Vec<ProxyResult>> {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        loop {
            if let Some(results) = state.all() {
                return Ok(results);
            }
            let left =
                deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Duration::ZERO {
                let text = "not all proxies had answered in the time given";
                return Err(Error::new(ErrorKind::Timeout, text));
            }
            state = self.settled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Vec<ProxyResult>> {
        let mut state = self.lock();
        if let Some(results) = state.all() {
            return Poll::Ready(results);
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The results when none is missing.
    fn all(&self) -> Option<Vec<ProxyResult>> {
        let result = |(proxy, result): &(String, Option<Result<()>>)| {
            result.clone().map(|result| ProxyResult { proxy: proxy.clone(), result })
        };
        self.results.iter().map(result).collect()
    }
}
