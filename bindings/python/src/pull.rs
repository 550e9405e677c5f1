//! A stream whose bytes Python takes and sends.

use std::{
    sync::Mutex,
    task::{Context, Poll},
    time::Duration,
};

use evstream::{CloseReason, ErrorKind};
use pyo3::{prelude::*, types::PyBytes};

use crate::{
    failure::{Failure, Result, lock},
    waiting::wait,
    wakeups::Waiter,
};

/// A stream to take bytes from.
#[pyclass(frozen, module = "evstream._native")]
#[derive(Debug)]
pub(crate) struct Pull(Mutex<State>);

#[derive(Debug)]
enum State {
    Idle(evstream::Pull),
    Busy,
    Ended,
}

impl Pull {
    pub(crate) fn new(pull: evstream::Pull) -> Self {
        Self(Mutex::new(State::Idle(pull)))
    }

    /// Lets `read` have the stream. Nobody waits for a lock meanwhile, so that the interpreter may be let go of.
    fn with<T>(&self, read: impl FnOnce(&mut evstream::Pull) -> T) -> Result<Option<T>> {
        let mut state = lock(&self.0);
        let mut pull = match std::mem::replace(&mut *state, State::Busy) {
            State::Idle(pull) => pull,
            State::Busy => return Err(Failure::busy("stream")),
            State::Ended => {
                *state = State::Ended;
                return Ok(None);
            }
        };
        drop(state);
        let result = read(&mut pull);
        let mut state = lock(&self.0);
        if matches!(*state, State::Busy) {
            *state = State::Idle(pull);
        }
        Ok(Some(result))
    }
}

#[pymethods]
impl Pull {
    /// The next bytes; empty when there were none for `timeout` seconds, `None` when the stream has ended.
    fn next<'py>(&self, py: Python<'py>, timeout: f64) -> Result<Option<Bound<'py, PyBytes>>> {
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
        match wait(py, || self.with(|pull| pull.next_timeout(timeout)))? {
            Some(Ok(chunk)) => Ok(chunk.map(|chunk| PyBytes::new(py, &chunk))),
            Some(Err(error)) if error.kind() == ErrorKind::Timeout => Ok(Some(PyBytes::new(py, b""))),
            Some(Err(error)) => Err(error.into()),
            None => Ok(None),
        }
    }

    /// Whether there is an answer at this moment, and the next bytes, or `None` when the stream has ended. Without an
    /// answer the waiter is told when to ask again.
    fn poll<'py>(&self, py: Python<'py>, waiter: &Waiter) -> Result<(bool, Option<Bound<'py, PyBytes>>)> {
        let cx = Context::from_waker(waiter.waker());
        Ok(match self.with(|pull| pull.poll_next(&cx))? {
            Some(Poll::Ready(chunk)) => (true, chunk.map(|chunk| PyBytes::new(py, &chunk))),
            Some(Poll::Pending) => (false, None),
            None => (true, None),
        })
    }

    /// Ends the stream and gives the last words to send, which ask the client to come back later.
    fn finish<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyBytes>>> {
        let words = self.with(evstream::Pull::finish)?;
        Ok(words.flatten().map(|words| PyBytes::new(py, &words)))
    }

    /// Ends the stream. The reason is one that [`CloseReason`] has a word for.
    #[pyo3(signature = (reason="dropped"))]
    fn close(&self, reason: &str) -> Result<()> {
        let reason = CloseReason::ALL.into_iter().find(|known| known.name() == reason).ok_or_else(|| {
            Failure::new(
                ErrorKind::InvalidArgument,
                format!("there is no reason {reason:?} to close a stream"),
            )
        })?;
        let state = std::mem::replace(&mut *lock(&self.0), State::Ended);
        if let State::Idle(pull) = state {
            pull.close(reason);
        }
        Ok(())
    }
}
