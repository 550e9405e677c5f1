//! What an application says of a request for a stream.

use evstream::ErrorKind;
use pyo3::prelude::*;

use crate::failure::{Failure, Result};

/// Whether a client gets a stream, and of which channels.
#[pyclass(frozen, module = "evstream")]
#[derive(Debug)]
pub(crate) struct Access(pub(crate) evstream::Access);

#[pymethods]
impl Access {
    /// These channels, or without any those that the client names; `user` is the user behind the stream.
    #[new]
    #[pyo3(signature = (channels=None, *, user=None))]
    fn new(channels: Option<Vec<String>>, user: Option<String>) -> Self {
        let access = channels.map_or_else(evstream::Access::allow, evstream::Access::channels);
        Self(match user {
            Some(user) => access.user(user),
            None => access,
        })
    }

    /// No stream: the client is told `forbidden` with this text, and does not come back.
    #[staticmethod]
    #[pyo3(signature = (text="you may not read these channels"))]
    fn forbid(text: &str) -> Self {
        Self(evstream::Access::forbid(text))
    }

    /// No stream, because the application failed: the client is told `internal-error` with this text.
    #[staticmethod]
    #[pyo3(signature = (text="the application failed"))]
    fn fail(text: &str) -> Self {
        Self(evstream::Access::fail(text))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// Calls a function of the application that gives an `Access`, from a thread of our own.
pub(crate) fn ask(function: &Py<PyAny>, request: &evstream::Request<'_>) -> evstream::Access {
    let asked = Python::try_attach(|py| -> Result<evstream::Access> {
        let access = function.bind(py).call1((crate::request::Request::from_core(request),))?;
        let access = access.cast::<Access>().map_err(|_| {
            Failure::new(ErrorKind::Internal, "the function for channels gave something else than an Access")
        })?;
        Ok(access.get().0.clone())
    });
    match asked {
        Some(Ok(access)) => access,
        Some(Err(failure)) => {
            let error = PyErr::from(failure);
            tracing::error!(%error, "the function for channels has failed");
            evstream::Access::fail("the application failed")
        }
        None => evstream::Access::fail("the application is ending"),
    }
}
