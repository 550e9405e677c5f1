//! The core's own HTTP server.

use std::{sync::Arc, time::Duration};

use evstream::{Answer, Mount, grip::Auth};
use pyo3::{prelude::*, types::PyBytes};

use crate::{access::ask, failure::Result, jwt::Jwt, request::Request, tickets::Tickets, waiting::wait};

/// A listening server.
#[pyclass(frozen, module = "evstream._native")]
#[derive(Debug)]
pub(crate) struct Server(Arc<evstream::Server>);

/// A path with streams: of these channels, or as a function, a token or a ticket decides, or of those that clients name.
pub(crate) type Mounted = (String, Option<Vec<String>>, Option<Py<PyAny>>, Option<Signed>);

/// What is signed, by which somebody else has decided.
#[derive(Debug, FromPyObject)]
pub(crate) enum Signed {
    Jwt(Py<Jwt>),
    Tickets(Py<Tickets>),
}

/// Paths of metrics and of health, and the functions that say who may read them.
pub(crate) type Reports = [Option<(String, Option<Py<PyAny>>)>; 2];

impl Server {
    /// Listens on `address`. `fallback` answers requests for other paths; `publishers` may publish: anybody, those with
    /// a token, or those with a user and a password.
    pub(crate) fn bind(
        events: &evstream::Events,
        address: &str,
        mounts: Vec<Mounted>,
        fallback: Option<Py<PyAny>>,
        publishers: Option<Vec<String>>,
        [metrics, health]: Reports,
    ) -> Result<Self> {
        let mut server = events.server();
        for (path, channels, authorize, signed) in mounts {
            let mount = Mount::new(path);
            server = server.mount(match (channels, authorize, signed) {
                (_, _, Some(Signed::Jwt(jwt))) => mount.jwt((*jwt.get().0).clone()),
                (_, _, Some(Signed::Tickets(tickets))) => mount.tickets(tickets.get().0.clone()),
                (Some(channels), _, _) => mount.channels(channels),
                (None, function, None) => guarded(mount, function),
            });
        }
        if let Some((path, function)) = metrics {
            server = server.mount(guarded(Mount::metrics(path), function));
        }
        if let Some((path, function)) = health {
            server = server.mount(guarded(Mount::health(path), function));
        }
        if let Some(function) = fallback {
            server = server.fallback(move |request, body| answer(&function, request, body));
        }
        server = match publishers.as_deref() {
            None => server,
            Some([user, password]) => server.accept_publish(Auth::basic(user, password)?),
            Some([token]) => server.accept_publish(Auth::bearer(token)?),
            Some(_) => server.accept_publish(Auth::none()),
        };
        Ok(Self(server.bind(address)?))
    }
}

/// Has a function of the application decide, if there is one.
fn guarded(mount: Mount, function: Option<Py<PyAny>>) -> Mount {
    match function {
        Some(function) => mount.authorize(move |request| ask(&function, request)),
        None => mount,
    }
}

/// Calls a function of the application that answers a request, from a thread of our own.
fn answer(function: &Py<PyAny>, request: &evstream::Request<'_>, body: &[u8]) -> Answer {
    let answered = Python::try_attach(|py| -> PyResult<(u16, String, Vec<u8>)> {
        let arguments = (Request::from_core(request), PyBytes::new(py, body));
        function.bind(py).call1(arguments)?.extract()
    });
    match answered {
        Some(Ok((status, kind, body))) => Answer::new(status, &kind, body),
        Some(Err(error)) => {
            tracing::error!(%error, "the fallback has failed");
            Answer::new(500, "text/plain", "the application failed")
        }
        None => Answer::new(503, "text/plain", "the application is ending"),
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
