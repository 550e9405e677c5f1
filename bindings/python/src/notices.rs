//! What streams and proxies did, on its way to an application's functions.
//!
//! Our threads leave it in a queue and never enter the interpreter; the Python thread that passes log records on takes
//! it. When it cannot keep up, what comes further is counted instead of kept.

use std::{collections::VecDeque, sync::Mutex};

use evstream::{CloseReason, Observer, PublishFailure, Stream};
use pyo3::{prelude::*, types::PyTuple};

use crate::{
    failure::{exception, lock},
    logging,
};

/// What was observed and not yet taken.
#[derive(Debug, Default)]
pub(crate) struct Notices(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Notice>,
    lost: u64,
}

#[derive(Debug)]
enum Notice {
    Opened(Client),
    Closed(Client, CloseReason),
    PublishFailed(Box<PublishFailure>),
}

#[derive(Debug)]
struct Client {
    id: String,
    channels: Vec<String>,
    user: Option<String>,
    address: Option<String>,
}

/// Tells the queue.
pub(crate) struct Teller(pub(crate) std::sync::Arc<Notices>);

impl Notices {
    /// Takes all: each as its kind and what there is to know of it, and how many were lost.
    pub(crate) fn take<'py>(&self, py: Python<'py>) -> PyResult<(Vec<Bound<'py, PyTuple>>, u64)> {
        let (waiting, lost) = {
            let mut state = lock(&self.0);
            (std::mem::take(&mut state.waiting), std::mem::take(&mut state.lost))
        };
        let shown = waiting.into_iter().map(|notice| show(py, notice)).collect::<PyResult<_>>()?;
        Ok((shown, lost))
    }

    fn tell(&self, notice: Notice) {
        let mut state = lock(&self.0);
        let first = state.waiting.is_empty() && state.lost == 0;
        if state.waiting.len() < MAX_WAITING {
            state.waiting.push_back(notice);
        } else {
            state.lost += 1;
        }
        drop(state);
        if first {
            logging::wake();
        }
    }
}

impl Observer for Teller {
    fn stream_opened(&self, stream: &Stream) {
        self.0.tell(Notice::Opened(Client::of(stream)));
    }

    fn publish_failed(&self, failure: &PublishFailure) {
        self.0.tell(Notice::PublishFailed(Box::new(failure.clone())));
    }

    fn stream_closed(&self, stream: &Stream, reason: CloseReason) {
        self.0.tell(Notice::Closed(Client::of(stream), reason));
    }
}

impl Client {
    fn of(stream: &Stream) -> Self {
        Self {
            id: stream.id(),
            channels: stream.channels().map(str::to_owned).collect(),
            user: stream.user().map(str::to_owned),
            address: stream.peer().map(|peer| peer.to_string()),
        }
    }
}

fn show(py: Python<'_>, notice: Notice) -> PyResult<Bound<'_, PyTuple>> {
    match notice {
        Notice::Opened(client) => {
            ("open", client.id, client.channels, client.user, client.address, None::<&str>).into_pyobject(py)
        }
        Notice::Closed(client, reason) => {
            ("close", client.id, client.channels, client.user, client.address, Some(reason.name()))
                .into_pyobject(py)
        }
        Notice::PublishFailed(failure) => {
            let error = exception(py, &failure.error)?;
            let (channel, position) =
                (failure.channel, failure.position.map(|position| position.to_string()));
            ("publish_error", failure.proxy, channel, position, error).into_pyobject(py)
        }
    }
}

const MAX_WAITING: usize = 16_384;
