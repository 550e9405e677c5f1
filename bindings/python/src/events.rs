//! An application's events.

use std::time::Duration;

use evstream::Event;
use pyo3::{prelude::*, types::PyDict};

use crate::{
    access::Access, failure::Result, options, receipt::Receipt, reply::Reply, request::Request,
    server::Server, stats, subscription::Subscription, waiting::wait,
};

/// An application's events, as the class `evstream.Events` needs them.
#[pyclass(frozen, module = "evstream._native")]
#[derive(Debug)]
pub(crate) struct Events {
    inner: evstream::Events,
    /// Publishing may have to start the publisher.
    grip: bool,
}

#[pymethods]
impl Events {
    #[new]
    fn new(options: &Bound<'_, PyDict>) -> Result<Self> {
        let grip = options.get_item("grip")?.is_some_and(|grip| grip.is_truthy().unwrap_or(true));
        Ok(Self { inner: evstream::Events::new(options::config(options)?)?, grip })
    }

    /// Publishes an event. Never waits for a client or a proxy.
    #[pyo3(signature = (channel, data, event=None, retry_ms=None, comment=None))]
    fn publish(
        &self,
        py: Python<'_>,
        channel: &str,
        data: &str,
        event: Option<&str>,
        retry_ms: Option<u64>,
        comment: Option<&str>,
    ) -> Result<Receipt> {
        let mut message = Event::text(data);
        if let Some(event) = event {
            message = message.name(event);
        }
        if let Some(retry_ms) = retry_ms {
            message = message.retry_ms(retry_ms);
        }
        if let Some(comment) = comment {
            message = message.comment(comment);
        }
        // Letting go of the interpreter costs more than publishing a small event does.
        let receipt = if self.grip || data.len() > LARGE_BYTES {
            wait(py, || self.inner.publish(channel, message))
        } else {
            self.inner.publish(channel, message)
        };
        Ok(Receipt::new(receipt?))
    }

    /// Answers a request that needs no word from the application.
    fn screen(&self, request: &Request) -> Option<Reply> {
        request.with(|request| self.inner.screen(request)).map(|reply| Reply::new(&self.inner, reply))
    }

    /// Answers a request.
    fn open(&self, request: &Request, access: &Access) -> Reply {
        let reply = request.with(|request| self.inner.open(request, access.0.clone()));
        Reply::new(&self.inner, reply)
    }

    /// Reads channels in this process, from now on.
    fn subscribe(&self, py: Python<'_>, channels: Vec<String>) -> Result<Subscription> {
        let subscription = wait(py, || self.inner.subscribe(channels.iter().map(String::as_str)))?;
        Ok(Subscription::new(subscription))
    }

    /// Listens with the core's own server.
    #[pyo3(signature = (address, path, channels=None, authorize=None))]
    fn serve(
        &self,
        py: Python<'_>,
        address: &str,
        path: &str,
        channels: Option<Vec<String>>,
        authorize: Option<Py<PyAny>>,
    ) -> Result<Server> {
        wait(py, || Server::bind(&self.inner, address, path, channels, authorize))
    }

    /// Figures at this moment.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        stats::show(py, &self.inner.stats())
    }

    /// Whether streams are open.
    #[getter]
    fn has_streams(&self) -> bool {
        self.inner.stats().open > 0
    }

    /// Ends all adopted streams within `timeout` seconds, and does not wait for it.
    fn end_streams(&self, py: Python<'_>, timeout: f64) {
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
        wait(py, || self.inner.end_streams(timeout));
    }

    /// Ends everything within `timeout` seconds; gives the number of events that proxies did not get.
    fn close(&self, py: Python<'_>, timeout: f64) -> u64 {
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
        wait(py, || self.inner.close(timeout)).undelivered
    }

    /// Never frees it, in a forked child: its threads are not there, and their locks may be held for ever.
    #[expect(clippy::mem_forget, reason = "leaking is the purpose")]
    fn leak(&self) {
        std::mem::forget(self.inner.clone());
    }
}

/// From here on, copying an event takes long enough to let other threads run meanwhile.
const LARGE_BYTES: usize = 16 * 1_024;
