//! A request, as a framework has received it.

use std::{net::IpAddr, sync::Mutex};

use evstream::{ErrorKind, grip::LinkKey};
use pyo3::{
    prelude::*,
    types::{PyBytes, PySequence},
};

use crate::{
    failure::{Failure, Result, lock},
    reply::Reply,
};

/// A request for a stream.
#[pyclass(frozen, module = "evstream._native")]
#[derive(Debug)]
pub(crate) struct Request {
    #[pyo3(get)]
    method: String,
    #[pyo3(get)]
    path: String,
    #[pyo3(get)]
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    peer: Option<IpAddr>,
}

/// What is known of a request before the application is asked.
#[derive(IntoPyObject)]
pub(crate) enum Screened {
    Reply(Reply),
    Ask(Asked),
}

/// A request that the application is to decide on, once.
#[pyclass(frozen, module = "evstream._native")]
#[derive(Debug)]
pub(crate) struct Asked(Mutex<Option<evstream::Asked>>);

/// Whether a path is that of a link that a GRIP proxy follows to repair a stream.
#[pyfunction]
pub(crate) fn is_link(path: &str) -> bool {
    LinkKey::is_link(path)
}

#[pymethods]
impl Request {
    /// `path` and `query` as they came; headers as pairs of bytes; `peer` is the client's address where it is known.
    #[new]
    #[pyo3(signature = (method, path, query, headers, peer=None))]
    fn new(
        method: String,
        path: String,
        query: String,
        headers: &Bound<'_, PyAny>,
        peer: Option<&str>,
    ) -> PyResult<Self> {
        let headers = headers
            .try_iter()?
            .map(|pair| {
                let pair = pair?;
                let pair = pair.cast::<PySequence>()?;
                let (name, value) = (pair.get_item(0)?, pair.get_item(1)?);
                let name = String::from_utf8_lossy(name.cast::<PyBytes>()?.as_bytes()).into_owned();
                Ok((name, value.cast::<PyBytes>()?.as_bytes().to_vec()))
            })
            .collect::<PyResult<_>>()?;
        Ok(Self { method, path, query, headers, peer: peer.and_then(|peer| peer.parse().ok()) })
    }

    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> Vec<(&str, Bound<'py, PyBytes>)> {
        self.headers.iter().map(|(name, value)| (&**name, PyBytes::new(py, value))).collect()
    }

    #[getter]
    fn peer(&self) -> Option<String> {
        self.peer.map(|peer| peer.to_string())
    }
}

#[pymethods]
impl Asked {
    /// The channels that the client names.
    #[getter]
    fn channels(&self) -> Vec<String> {
        lock(&self.0).as_ref().map_or_else(Vec::new, |asked| asked.channels().to_vec())
    }

    /// The client's address, as trusted proxies say.
    #[getter]
    fn client(&self) -> Option<String> {
        Some(lock(&self.0).as_ref()?.peer()?.to_string())
    }
}

impl Asked {
    pub(crate) fn new(asked: evstream::Asked) -> Self {
        Self(Mutex::new(Some(asked)))
    }

    pub(crate) fn take(&self) -> Result<evstream::Asked> {
        let decided = || Failure::new(ErrorKind::InvalidArgument, "the request was decided on already");
        lock(&self.0).take().ok_or_else(decided)
    }
}

impl Request {
    pub(crate) fn from_core(request: &evstream::Request<'_>) -> Self {
        Self {
            method: request.method.to_owned(),
            path: request.path.to_owned(),
            query: request.query.to_owned(),
            headers: request.headers.iter().map(|&(name, value)| (name.to_owned(), value.to_vec())).collect(),
            peer: request.peer,
        }
    }

    /// Shows it to the core.
    pub(crate) fn with<T>(&self, use_it: impl FnOnce(&evstream::Request<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        use_it(&evstream::Request {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
            peer: self.peer,
        })
    }
}
