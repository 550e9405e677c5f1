//! Errors of the core as exceptions of the package.

use std::{error::Error as _, sync::Mutex};

use evstream::{Error, ErrorKind};
use pyo3::{exceptions::PyRuntimeError, prelude::*, sync::PyOnceLock, types::PyDict};

/// The exceptions of the package.
struct Classes {
    by_code: Py<PyDict>,
    other: Py<PyAny>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

/// What a function of this module fails with.
#[derive(Debug)]
pub(crate) enum Failure {
    Core(Error),
    Python(PyErr),
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self::Core(Error::new(kind, text.into()))
    }

    /// Something is used by two threads at a time that can only be used by one.
    pub(crate) fn busy(what: &str) -> Self {
        Self::new(ErrorKind::InvalidArgument, format!("the {what} is being read by another thread"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Python(error) => error,
            Failure::Core(error) => Python::attach(|py| exception(py, &error).unwrap_or_else(|error| error)),
        }
    }
}

/// Takes the exceptions of the package at import: when the interpreter is ending nothing can be imported any more.
pub(crate) fn install(py: Python<'_>) -> PyResult<()> {
    let errors = py.import("evstream._errors")?;
    let classes = errors.getattr("CLASSES")?.cast_into::<PyDict>()?.unbind();
    let other = errors.getattr("EvstreamError")?.unbind();
    let _ = CLASSES.set(py, Classes { by_code: classes, other });
    Ok(())
}

/// The exception that `evstream._errors` has for an error.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let classes = CLASSES.get(py).ok_or_else(|| PyRuntimeError::new_err(error.to_string()))?;
    let class = classes.by_code.bind(py).get_item(error.code())?;
    let class = class.unwrap_or_else(|| classes.other.bind(py).clone());
    let exception = class.call1((error.to_string(),))?;
    exception.setattr("code", error.code())?;
    exception.setattr("retryable", error.is_retryable())?;
    let exception = PyErr::from_value(exception);
    if let Some(cause) = error.source() {
        exception.set_cause(py, Some(PyRuntimeError::new_err(cause.to_string())));
    }
    Ok(exception)
}

/// Takes what a mutex guards, also after a panic: nothing here is left half-done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
