//! The core's own HTTP server.

use std::{sync::Arc, time::Duration};

use evstream::Mount;
use pyo3::prelude::*;

use crate::{access::ask, failure::Result, waiting::wait};

/// A listening server.
#[pyclass(frozen, module = "evstream._native")]
#[derive(Debug)]
pub(crate) struct Server(Arc<evstream::Server>);

impl Server {
    /// Listens on `address` with streams at `path`, of these channels, or as the function `authorize` says.
    pub(crate) fn bind(
        events: &evstream::Events,
        address: &str,
        path: &str,
        channels: Option<Vec<String>>,
        authorize: Option<Py<PyAny>>,
    ) -> Result<Self> {
        let mount = Mount::new(path);
        let mount = match (channels, authorize) {
            (Some(channels), _) => mount.channels(channels),
            (None, Some(function)) => mount.authorize(move |request| ask(&function, request)),
            (None, None) => mount,
        };
        Ok(Self(events.server().mount(mount).bind(address)?))
    }
}

#[pymethods]
impl Server {
    /// Where it listens: `host:port`, or `unix:PATH`.
    #[getter]
    fn address(&self) -> String {
        self.0.address().to_string()
    }

    /// Ends it within `timeout` seconds; false when the time was not enough.
    fn close(&self, py: Python<'_>, timeout: f64) -> bool {
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
        wait(py, || self.0.close(timeout))
    }
}
