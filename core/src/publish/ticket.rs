//! What became of an event at the proxies, or at the journal.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use crate::{
    error::{Error, ErrorKind, Result},
    fork::{Process, forked},
    sync::{lock, unpoison, wake},
    wire::Position,
};

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
    proxies: Arc<[String]>,
    process: Process,
    state: Mutex<State>,
    settled: Condvar,
}

#[derive(Debug)]
struct State {
    results: Vec<Option<Result<()>>>,
    /// The place that the journal is to give.
    journal: Appended,
    wakers: Vec<Waker>,
}

/// What the journal has to do with it.
#[derive(Debug)]
enum Appended {
    Never,
    Awaited,
    Done(Result<Position>),
}

impl Ticket {
    /// A ticket of these proxies, whose results are all to come.
    pub(super) fn new(proxies: &Arc<[String]>) -> Arc<Self> {
        Self::with(proxies.clone(), Appended::Never)
    }

    /// A ticket of the journal, whose place is to come.
    pub(super) fn of_journal() -> Arc<Self> {
        Self::with(Arc::new([]), Appended::Awaited)
    }

    fn with(proxies: Arc<[String]>, journal: Appended) -> Arc<Self> {
        let state = State { results: vec![None; proxies.len()], journal, wakers: Vec::new() };
        Arc::new(Self {
            proxies,
            process: Process::current(),
            state: Mutex::new(state),
            settled: Condvar::new(),
        })
    }

    /// Notes the result of a proxy; the first one stays.
    pub(super) fn settle(&self, index: usize, result: Result<()>) {
        self.change(|state| {
            state.results[index].get_or_insert(result);
        });
    }

    /// Notes what has become of the event at the journal; the first result stays.
    pub(super) fn settle_journal(&self, result: Result<Position>) {
        self.change(|state| {
            if matches!(state.journal, Appended::Awaited) {
                state.journal = Appended::Done(result);
            }
        });
    }

    /// The place that the journal has given.
    pub(super) fn position(&self) -> Option<Position> {
        if !self.process.is_current() {
            return None;
        }
        match &self.lock().journal {
            Appended::Done(Ok(position)) => Some(*position),
            _ => None,
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        if !self.process.is_current() {
            return;
        }
        let mut state = self.lock();
        change(&mut state);
        if state.is_settled() {
            let wakers = std::mem::take(&mut state.wakers);
            drop(state);
            self.settled.notify_all();
            wakers.into_iter().for_each(wake);
        }
    }

    /// How many proxies there are.
    pub(crate) fn proxies(&self) -> usize {
        self.proxies.len()
    }

    pub(crate) fn wait(&self, timeout: Duration) -> Result<Vec<ProxyResult>> {
        if !self.process.is_current() {
            return Err(forked());
        }
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        while !state.is_settled() {
            let left =
                deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Duration::ZERO {
                let text = "not all proxies, or not the journal, had answered in the time given";
                return Err(Error::new(ErrorKind::Timeout, text));
            }
            state = unpoison(self.settled.wait_timeout(state, left)).0;
        }
        self.results(&state)
    }

    /// Fails in a forked child: the tasks that would settle the ticket are not there.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Result<Vec<ProxyResult>>> {
        if !self.process.is_current() {
            return Poll::Ready(Err(forked()));
        }
        let mut state = self.lock();
        if state.is_settled() {
            return Poll::Ready(self.results(&state));
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn results(&self, state: &State) -> Result<Vec<ProxyResult>> {
        if let Appended::Done(Err(error)) = &state.journal {
            return Err(error.clone());
        }
        let results = self.proxies.iter().zip(&state.results);
        Ok(results
            .filter_map(|(proxy, result)| Some(ProxyResult { proxy: proxy.clone(), result: result.clone()? }))
            .collect())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn is_settled(&self) -> bool {
        self.results.iter().all(Option::is_some) && !matches!(self.journal, Appended::Awaited)
    }
}
