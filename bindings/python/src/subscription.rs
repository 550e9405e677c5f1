//! Reading channels inside the process.

use std::{
    sync::Mutex,
    task::{Context, Poll},
    time::Duration,
};

use evstream::{ErrorKind, Message};
use pyo3::prelude::*;

use crate::{
    failure::{Failure, Result, lock},
    waiting::wait,
    wakeups::Waiter,
};

/// A reader of channels.
#[pyclass(frozen, module = "evstream._native")]
#[derive(Debug)]
pub(crate) struct Subscription(Mutex<State>);

#[derive(Debug)]
enum State {
    Idle(Box<evstream::Subscription>),
    Busy,
    Ended,
}

impl Subscription {
    pub(crate) fn new(subscription: evstream::Subscription) -> Self {
        Self(Mutex::new(State::Idle(Box::new(subscription))))
    }

    /// Lets `read` have the subscription. Nobody waits for a lock meanwhile, so that the interpreter may be let go of.
    fn with<T>(&self, read: impl FnOnce(&mut evstream::Subscription) -> T) -> Result<Option<T>> {
        let mut state = lock(&self.0);
        let mut subscription = match std::mem::replace(&mut *state, State::Busy) {
            State::Idle(subscription) => subscription,
            State::Busy => return Err(Failure::busy("subscription")),
            State::Ended => {
                *state = State::Ended;
                return Ok(None);
            }
        };
        drop(state);
        let result = read(&mut subscription);
        let mut state = lock(&self.0);
        if matches!(*state, State::Busy) {
            *state = State::Idle(subscription);
        }
        Ok(Some(result))
    }
}

#[pymethods]
impl Subscription {
    /// Whether there was a message within `timeout` seconds, and the message, or `None` when the events are closed.
    fn next(&self, py: Python<'_>, timeout: f64) -> Result<(bool, Option<Py<PyAny>>)> {
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
        match wait(py, || self.with(|subscription| subscription.next_timeout(timeout)))? {
            Some(Ok(message)) => Ok((true, message.map(|message| show(py, message)).transpose()?)),
            Some(Err(error)) if error.kind() == ErrorKind::Timeout => Ok((false, None)),
            Some(Err(error)) => Err(error.into()),
            None => Ok((true, None)),
        }
    }

    /// As `next`, for an event loop: without a message the waiter is told when to ask again.
    fn poll(&self, py: Python<'_>, waiter: &Waiter) -> Result<(bool, Option<Py<PyAny>>)> {
        let cx = Context::from_waker(waiter.waker());
        Ok(match self.with(|subscription| subscription.poll_message(&cx))? {
            Some(Poll::Ready(message)) => (true, message.map(|message| show(py, message)).transpose()?),
            Some(Poll::Pending) => (false, None),
            None => (true, None),
        })
    }

    /// Ends it. A thread that is reading it reads on until its time is over.
    fn close(&self) {
        let state = std::mem::replace(&mut *lock(&self.0), State::Ended);
        drop(state);
    }
}

/// A message as `evstream._messages` reads it: what an event has, or what a reset has. The classes are Python code, which
/// must not run here.
fn show(py: Python<'_>, message: Message) -> PyResult<Py<PyAny>> {
    let fields = match message {
        Message::Event(event) => {
            (event.channel, event.name, event.data, event.position.to_string()).into_pyobject(py)?
        }
        Message::Reset { channels, position } => (channels, position.to_string()).into_pyobject(py)?,
        other => return Err(Failure::new(ErrorKind::Internal, format!("no fields for {other:?}")).into()),
    };
    Ok(fields.into_any().unbind())
}
