//! A channel that is published to often.

use pyo3::prelude::*;

use crate::{events, failure::Result, receipt::Receipt, waiting::wait};

/// A named sequence of events.
#[pyclass(frozen, module = "evstream._native")]
#[derive(Debug)]
pub(crate) struct Channel {
    inner: evstream::Channel,
    grip: bool,
}

impl Channel {
    pub(crate) fn new(inner: evstream::Channel, grip: bool) -> Self {
        Self { inner, grip }
    }
}

#[pymethods]
impl Channel {
    /// Streams and subscriptions of this process that read it now.
    #[getter]
    fn streams(&self) -> usize {
        self.inner.streams()
    }

    /// Publishes an event, as that of the events does.
    #[pyo3(signature = (data, event=None, retry_ms=None, comment=None))]
    fn publish(
        &self,
        py: Python<'_>,
        data: &str,
        event: Option<&str>,
        retry_ms: Option<u64>,
        comment: Option<&str>,
    ) -> Result<Receipt> {
        let message = events::message(data, event, retry_ms, comment);
        let receipt = if events::lets_go(self.grip, data) {
            wait(py, || self.inner.publish(message))
        } else {
            self.inner.publish(message)
        };
        Ok(Receipt::new(receipt?))
    }
}
