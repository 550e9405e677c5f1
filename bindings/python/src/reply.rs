//! What an endpoint answers.

use std::sync::Mutex;

use evstream::{Error, ErrorKind, Framing};
use pyo3::{prelude::*, types::PyBytes};

use crate::{
    failure::{Failure, Result, lock},
    pull::Pull,
    sys::take_fd,
    waiting::wait,
};

/// An answer: a status, headers, the first bytes of the body, and perhaps a stream that goes on after them.
#[pyclass(frozen, module = "evstream._native")]
#[derive(Debug)]
pub(crate) struct Reply {
    events: evstream::Events,
    #[pyo3(get)]
    status: u16,
    #[pyo3(get)]
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    #[pyo3(get)]
    is_stream: bool,
    stream: Mutex<Option<evstream::Stream>>,
}

impl Reply {
    pub(crate) fn new(events: &evstream::Events, reply: evstream::Reply) -> Self {
        Self {
            events: events.clone(),
            status: reply.status,
            headers: reply.headers,
            body: reply.body,
            is_stream: reply.stream.is_some(),
            stream: Mutex::new(reply.stream),
        }
    }

    fn take(&self) -> Result<evstream::Stream> {
        let taken =
            || Failure::new(ErrorKind::InvalidArgument, "the reply has no stream, or it is driven already");
        lock(&self.stream).take().ok_or_else(taken)
    }
}

#[pymethods]
impl Reply {
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.body)
    }

    /// Hands the client's socket to the engine, which writes `first` and then the stream to it. Takes over the
    /// descriptor `fd`, whatever happens.
    fn adopt(&self, py: Python<'_>, fd: i32, chunked: bool, first: Vec<u8>) -> Result<()> {
        let socket =
            take_fd(fd).ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "-1 is no descriptor"))?;
        let stream = self.take()?;
        let framing = if chunked { Framing::Chunked } else { Framing::Close };
        wait(py, || self.events.adopt(stream, socket, framing, first)).map_err(Error::from)?;
        Ok(())
    }

    /// Lets the caller take the stream's bytes piece by piece.
    fn pull(&self, py: Python<'_>) -> Result<Pull> {
        let stream = self.take()?;
        Ok(Pull::new(wait(py, || self.events.pull(stream))?))
    }

    /// Lets go of the stream, if nobody drives it yet.
    fn close(&self) {
        drop(lock(&self.stream).take());
    }
}
