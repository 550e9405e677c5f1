//! What publishing gives back.

use std::{
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use evstream::ProxyResult;
use pyo3::prelude::*;

use crate::{
    failure::{Result, exception, lock},
    waiting::wait,
    wakeups::Waiter,
};

/// Where an event went.
#[pyclass(frozen, module = "evstream")]
pub(crate) struct Receipt {
    inner: evstream::Receipt,
    delivered: Mutex<Option<Delivered>>,
}

/// A proxy's URI, and what went wrong.
type Shown = Vec<(String, Option<PyErr>)>;

type Delivered = Pin<Box<dyn Future<Output = evstream::Result<Vec<ProxyResult>>> + Send>>;

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl Receipt {
    pub(crate) fn new(inner: evstream::Receipt) -> Self {
        Self { inner, delivered: Mutex::default() }
    }
}

#[pymethods]
impl Receipt {
    /// The place of the event, which clients see as its `id`; `None` with a journal that does not have the event yet.
    #[getter]
    fn position(&self) -> Option<String> {
        self.inner.position().map(|position| position.to_string())
    }

    /// Streams and subscriptions of this process that will get it. Streams of other processes are not counted, and
    /// get it only through a journal or a GRIP proxy.
    #[getter]
    fn streams(&self) -> usize {
        self.inner.streams
    }

    /// Whether only streams of this process get it, for want of a journal or a GRIP proxy.
    #[getter]
    fn local_only(&self) -> bool {
        self.inner.is_local_only()
    }

    /// Waits until every GRIP proxy has taken the event or failed, and says which: pairs of a proxy's URI and `None`
    /// or an exception. Empty when none is configured. With a journal it waits until that has the event, and raises
    /// `JournalError` when it does not get it. Raises `DeadlineError` when `timeout` seconds were not enough;
    /// the event is delivered also when nobody waits.
    #[pyo3(signature = (timeout=10.0))]
    fn wait(&self, py: Python<'_>, timeout: f64) -> Result<Shown> {
        let deadline = Instant::now().checked_add(Duration::try_from_secs_f64(timeout).unwrap_or_default());
        loop {
            let left = deadline.map_or(SLICE, |deadline| deadline.saturating_duration_since(Instant::now()));
            // In slices, so that Ctrl-C comes through.
            match wait(py, || self.inner.wait(left.min(SLICE))) {
                Ok(results) => return Ok(show(py, results)?),
                Err(error) if left < SLICE => return Err(error.into()),
                Err(_) => py.check_signals()?,
            }
        }
    }

    /// As `wait`, for an event loop: whether there is an answer, and the answer.
    fn poll(&self, py: Python<'_>, waiter: &Waiter) -> Result<(bool, Shown)> {
        let results = {
            let mut delivered = lock(&self.delivered);
            let future = delivered.get_or_insert_with(|| {
                let receipt = self.inner.clone();
                Box::pin(async move { receipt.delivered().await })
            });
            match future.as_mut().poll(&mut Context::from_waker(waiter.waker())) {
                Poll::Pending => return Ok((false, Vec::new())),
                Poll::Ready(results) => {
                    *delivered = None;
                    results
                }
            }
        };
        Ok((true, show(py, results?)?))
    }

    fn __repr__(&self) -> String {
        let local_only = if self.local_only() { "True" } else { "False" };
        let position = self.position().map_or_else(|| "None".to_owned(), |position| format!("'{position}'"));
        let streams = self.inner.streams;
        format!("Receipt(position={position}, streams={streams}, local_only={local_only})")
    }
}

fn show(py: Python<'_>, results: Vec<ProxyResult>) -> PyResult<Shown> {
    results
        .into_iter()
        .map(|result| match result.result {
            Ok(()) => Ok((result.proxy, None)),
            Err(error) => Ok((result.proxy, Some(exception(py, &error)?))),
        })
        .collect()
}

const SLICE: Duration = Duration::from_millis(200);
