//! What ending streams gives back.

use std::{
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use evstream::ErrorKind;
use pyo3::prelude::*;

use crate::{
    failure::{Result, lock},
    waiting::wait,
    wakeups::Waiter,
};

/// Streams that were ended: those of this process at once, others by the journal.
#[pyclass(frozen, module = "evstream")]
pub(crate) struct Ended {
    inner: evstream::Ended,
    told: Mutex<Option<Told>>,
}

type Told = Pin<Box<dyn Future<Output = evstream::Result<()>> + Send>>;

impl Ended {
    pub(crate) fn new(inner: evstream::Ended) -> Self {
        Self { inner, told: Mutex::default() }
    }
}

#[pymethods]
impl Ended {
    /// Whether only streams of this process have ended, for want of a journal.
    #[getter]
    fn local_only(&self) -> bool {
        self.inner.is_local_only()
    }

    /// Waits until the journal has it, and so the other processes will do it; at once without a journal. Raises `JournalError`, or
    /// `DeadlineError` when `timeout` seconds were not enough.
    #[pyo3(signature = (timeout=10.0))]
    fn wait(&self, py: Python<'_>, timeout: f64) -> Result<()> {
        let deadline = Instant::now().checked_add(Duration::try_from_secs_f64(timeout).unwrap_or_default());
        loop {
            let left = deadline.map_or(SLICE, |deadline| deadline.saturating_duration_since(Instant::now()));
            // In slices, so that Ctrl-C comes through.
            match wait(py, || self.inner.wait(left.min(SLICE))) {
                Err(error) if error.kind() == ErrorKind::Timeout && left >= SLICE => py.check_signals()?,
                told => return Ok(told?),
            }
        }
    }

    /// As `wait`, for an event loop: whether it is over, and what it gives.
    fn poll(&self, waiter: &Waiter) -> Result<(bool, Option<()>)> {
        let mut told = lock(&self.told);
        let future = told.get_or_insert_with(|| {
            let ended = self.inner.clone();
            Box::pin(async move { ended.told().await })
        });
        match future.as_mut().poll(&mut Context::from_waker(waiter.waker())) {
            Poll::Pending => Ok((false, None)),
            Poll::Ready(result) => {
                *told = None;
                result?;
                Ok((true, None))
            }
        }
    }

    fn __repr__(&self) -> String {
        format!("Ended(local_only={})", if self.local_only() { "True" } else { "False" })
    }
}

const SLICE: Duration = Duration::from_millis(200);
