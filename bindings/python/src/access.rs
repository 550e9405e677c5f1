//! What an application says of a request for a stream.

use evstream::{ErrorKind, StreamRequest};
use pyo3::{
    prelude::*,
    types::{PyBool, PyDict},
};

use crate::{
    events::message,
    failure::{Failure, Result},
};

/// Whether a client gets a stream, and of which channels.
#[pyclass(frozen, module = "evstream")]
#[derive(Debug)]
pub(crate) struct Access(pub(crate) evstream::Access);

#[pymethods]
impl Access {
    /// These channels, or with `True` those that the client names; `user` is the user behind the stream.
    ///
    /// `expires_at` ends the stream before that moment, in seconds since 1970: the client comes back, and is decided on anew.
    /// `greet` has the first events, for this client alone, as dictionaries of what `publish` takes: `data` (to be JSON) or `text`,
    /// `event`, `retry_ms`, `comment`. `since` begins with what was published after that position, wherever the client was: take it
    /// with `events.position()` before reading the data of `greet`.
    #[new]
    #[pyo3(signature = (channels, *, user=None, expires_at=None, since=None, greet=None))]
    fn new(
        channels: &Bound<'_, PyAny>,
        user: Option<String>,
        expires_at: Option<f64>,
        since: Option<&str>,
        greet: Option<Vec<Bound<'_, PyDict>>>,
    ) -> Result<Self> {
        let mut access = access_to(channels)?;
        if let Some(user) = user {
            access = access.user(user);
        }
        if let Some(at_s) = expires_at {
            if !at_s.is_finite() || at_s < 0.0 {
                let text = "expires_at is a time in seconds since 1970";
                return Err(Failure::new(ErrorKind::InvalidArgument, text));
            }
            access = access.expires_at(at_s as u64);
        }
        if let Some(since) = since {
            let position = since.parse().map_err(|_| {
                Failure::new(
                    ErrorKind::InvalidArgument,
                    format!("since is a position, as events.position() gives it, not {since:?}"),
                )
            })?;
            access = access.since(position);
        }
        for event in greet.into_iter().flatten() {
            access = greeted(access, &event)?;
        }
        access.check(usize::MAX)?;
        Ok(Self(access))
    }

    /// No stream: the client is told `forbidden` with this text, and does not come back.
    #[staticmethod]
    #[pyo3(signature = (text="you may not read these channels"))]
    fn forbid(text: &str) -> Self {
        Self(evstream::Access::forbid(text))
    }

    /// No stream now, because the application cannot decide: the client is told `stream-close` with the reason `failed`,
    /// and comes back later. One that does not ask for `text/event-stream` by name gets a 503 with this text.
    #[staticmethod]
    #[pyo3(signature = (text="the application failed"))]
    fn fail(text: &str) -> Self {
        Self(evstream::Access::fail(text))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

fn greeted(access: evstream::Access, given: &Bound<'_, PyDict>) -> Result<evstream::Access> {
    let get = |name: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
        Ok(given.get_item(name)?.filter(|item| !item.is_none()))
    };
    let known = ["data", "text", "event", "retry_ms", "comment"];
    if let Some(name) = given.keys().iter().map(|key| key.to_string()).find(|name| !known.contains(&&**name))
    {
        let text = format!("an event to greet with has {}, not {name:?}", known.join(", "));
        return Err(Failure::new(ErrorKind::InvalidArgument, text));
    }
    let text: String = if let Some(text) = get("text")? {
        text.extract()?
    } else {
        let json = given.py().import("json")?;
        json.call_method1("dumps", (given.get_item("data")?,))?.extract()?
    };
    let (event, comment): (Option<String>, Option<String>) = (
        get("event")?.map(|name| name.extract()).transpose()?,
        get("comment")?.map(|text| text.extract()).transpose()?,
    );
    let retry_ms = get("retry_ms")?.map(|retry_ms| retry_ms.extract()).transpose()?;
    Ok(access.greet(&message(&text, event.as_deref(), retry_ms, comment.as_deref())))
}

/// Only what is certainly meant to open a stream does.
fn access_to(channels: &Bound<'_, PyAny>) -> PyResult<evstream::Access> {
    if let Ok(flag) = channels.cast::<PyBool>()
        && flag.is_true()
    {
        return Ok(evstream::Access::allow());
    }
    if let Ok(name) = channels.extract::<String>() {
        return Ok(evstream::Access::channels([name]));
    }
    let names = channels
        .try_iter()
        .and_then(|items| items.map(|item| item?.extract::<String>()).collect::<PyResult<Vec<_>>>());
    let Ok(names) = names else {
        let text = "channels are a str, several of them, or True for those that the client names";
        return Err(Failure::new(ErrorKind::InvalidArgument, text).into());
    };
    Ok(evstream::Access::channels(names))
}

/// Calls a function of the application that gives an `Access`, from a thread of our own.
pub(crate) fn ask(function: &Py<PyAny>, request: &StreamRequest<'_>) -> evstream::Access {
    let asked = Python::try_attach(|py| -> Result<evstream::Access> {
        let access =
            function.bind(py).call1((crate::request::Request::from_core(request), request.channels()))?;
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
