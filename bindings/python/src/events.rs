//! An application's events.

use std::{sync::Arc, time::Duration};

use evstream::{Event, OpenStream, Who};
use pyo3::{
    prelude::*,
    types::{PyDict, PyTuple},
};

use crate::{
    access::Access,
    channel::Channel,
    ended::Ended,
    failure::Result,
    jwt::Jwt,
    notices::{Notices, Teller},
    options,
    receipt::Receipt,
    reply::Reply,
    request::{Asked, Request, Screened},
    server::{self, Server},
    stats,
    subscription::Subscription,
    tickets::Tickets,
    waiting::wait,
};

/// An application's events, as the class `evstream.Events` needs them.
#[pyclass(frozen, module = "evstream._native")]
#[derive(Debug)]
pub(crate) struct Events {
    inner: evstream::Events,
    /// Publishing may have to start the publisher.
    grip: bool,
    /// By the setting or the environment.
    journal: bool,
    write_timeout_ms: u64,
    delivery_timeout_ms: u64,
    notices: Arc<Notices>,
}

#[pymethods]
impl Events {
    #[new]
    fn new(options: &Bound<'_, PyDict>) -> Result<Self> {
        let grip = options.get_item("grip")?.is_some_and(|grip| grip.is_truthy().unwrap_or(true));
        let inner = evstream::Events::new(options::config(options)?)?;
        let journal = inner.stats().journal.is_some();
        let deadline = if journal { "journal_deadline_ms" } else { "grip_deadline_ms" };
        Ok(Self {
            inner,
            grip,
            journal,
            write_timeout_ms: options::number(options, "write_timeout_ms")?,
            delivery_timeout_ms: options::number(options, deadline)?,
            notices: Arc::default(),
        })
    }

    /// Publishes an event. Never waits for a client or a proxy.
    #[pyo3(signature = (channel, data, event=None, retry_ms=None, comment=None))]
    fn publish(
        &self,
        py: Python<'_>,
        channel: &str,
        data: &str,
        event: Option<&str>,
        retry_ms: Option<u64>,
        comment: Option<&str>,
    ) -> Result<Receipt> {
        let message = message(data, event, retry_ms, comment);
        let receipt = if lets_go(self.grip, data) {
            wait(py, || self.inner.publish(channel, message))
        } else {
            self.inner.publish(channel, message)
        };
        Ok(Receipt::new(receipt?))
    }

    /// The name of the channel that streams of that user read.
    fn user_channel(&self, user: &str) -> Result<String> {
        Ok(self.inner.user_channel(user)?.name().to_owned())
    }

    /// The channel of that name, for publishing often.
    fn channel(&self, name: &str) -> Result<Channel> {
        Ok(Channel::new(self.inner.channel(name)?, self.grip))
    }

    /// The position of the newest event.
    fn position(&self) -> String {
        self.inner.position().to_string()
    }

    /// Begins to keep what streams and proxies do.
    fn observe(&self) -> Result<()> {
        Ok(self.inner.observe(Teller(self.notices.clone()))?)
    }

    /// Takes what streams and proxies did since the last call, and how much of it was lost.
    fn take_notices<'py>(&self, py: Python<'py>) -> PyResult<(Vec<Bound<'py, PyTuple>>, u64)> {
        self.notices.take(py)
    }

    /// Answers a request that needs no word from the application, or says what to decide on.
    fn screen(&self, request: &Request) -> Screened {
        match request.with(|request| self.inner.screen(request)) {
            evstream::Screened::Reply(reply) => Screened::Reply(Reply::new(&self.inner, reply)),
            evstream::Screened::Ask(asked) => Screened::Ask(Asked::new(asked)),
        }
    }

    /// Answers a request on which the application has decided.
    fn open(&self, asked: &Asked, access: &Access) -> Result<Reply> {
        Ok(Reply::new(&self.inner, self.inner.open(asked.take()?, access.0.clone())))
    }

    /// What the token of a request grants, in which the client names channels.
    fn jwt_access(&self, jwt: &Jwt, request: &Request, named: Vec<String>) -> Access {
        Access(request.with(|request| self.inner.jwt_access(&jwt.0, request, &named)))
    }

    /// A ticket for what `access` grants.
    fn ticket(&self, tickets: &Tickets, access: &Access) -> Result<String> {
        Ok(self.inner.ticket(&tickets.0, &access.0)?)
    }

    /// What the ticket of a request grants, in which the client names channels.
    fn ticket_access(&self, tickets: &Tickets, request: &Request, named: Vec<String>) -> Access {
        Access(request.with(|request| self.inner.ticket_access(&tickets.0, request, &named)))
    }

    /// Reads channels in this process, from now on.
    fn subscribe(&self, py: Python<'_>, channels: Vec<String>) -> Result<Subscription> {
        let subscription = wait(py, || self.inner.subscribe(channels.iter().map(String::as_str)))?;
        Ok(Subscription::new(subscription))
    }

    /// Listens with the core's own server.
    fn serve(
        &self,
        py: Python<'_>,
        address: &str,
        mounts: Vec<server::Mounted>,
        fallback: Option<Py<PyAny>>,
        publishers: Option<Vec<String>>,
        reports: server::Reports,
    ) -> Result<Server> {
        wait(py, || Server::bind(&self.inner, address, mounts, fallback, publishers, reports))
    }

    /// Has clients come back, and be decided on anew.
    fn reopen(
        &self,
        py: Python<'_>,
        user: Option<&str>,
        channel: Option<&str>,
        stream: Option<&str>,
        everyone: bool,
    ) -> Result<Ended> {
        let who = who(user, channel, stream, everyone);
        Ok(Ended::new(wait(py, || self.inner.reopen(who))?))
    }

    /// Ends streams whose clients are not to come back.
    fn disconnect(
        &self,
        py: Python<'_>,
        text: &str,
        user: Option<&str>,
        channel: Option<&str>,
        stream: Option<&str>,
        everyone: bool,
    ) -> Result<Ended> {
        let who = who(user, channel, stream, everyone);
        Ok(Ended::new(wait(py, || self.inner.disconnect(who, text))?))
    }

    /// The streams that are meant, each as the fields of `OpenStream`.
    fn streams(
        &self,
        py: Python<'_>,
        user: Option<&str>,
        channel: Option<&str>,
        stream: Option<&str>,
        everyone: bool,
    ) -> Result<Vec<Listed>> {
        let who = who(user, channel, stream, everyone);
        let streams = wait(py, || self.inner.streams(who))?;
        Ok(streams.into_iter().map(listed).collect())
    }

    /// The users who have streams of a channel open.
    fn users(&self, py: Python<'_>, channel: &str) -> Result<Vec<String>> {
        Ok(wait(py, || self.inner.users(channel))?)
    }

    /// Figures at this moment.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        stats::show(py, &self.inner.stats())
    }

    /// Metrics as text.
    fn metrics(&self, py: Python<'_>, openmetrics: bool) -> String {
        wait(py, || self.inner.metrics(openmetrics))
    }

    /// Whether it is ready, whether it is live, and what is wrong.
    fn health(&self, py: Python<'_>) -> (bool, bool, Vec<String>) {
        let health = wait(py, || self.inner.health());
        (health.ready, health.live, health.problems)
    }

    /// Whether a GRIP proxy is configured.
    #[getter]
    fn has_grip(&self) -> bool {
        self.grip
    }

    /// Whether there is a journal, by the setting or the environment.
    #[getter]
    fn has_journal(&self) -> bool {
        self.journal
    }

    /// Seconds for which it is tried to bring an event to the journal, or to GRIP proxies where there is none.
    #[getter]
    fn delivery_timeout(&self) -> f64 {
        Duration::from_millis(self.delivery_timeout_ms).as_secs_f64()
    }

    /// Seconds in which a client must take something of what there is for it.
    #[getter]
    fn write_timeout(&self) -> f64 {
        Duration::from_millis(self.write_timeout_ms).as_secs_f64()
    }

    /// Whether streams are open.
    #[getter]
    fn has_streams(&self) -> bool {
        self.inner.stats().open > 0
    }

    /// Ends all adopted streams within `timeout` seconds, and does not wait for it.
    fn end_streams(&self, py: Python<'_>, timeout: f64) {
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
        wait(py, || self.inner.end_streams(timeout));
    }

    /// Ends everything within `timeout` seconds; says whether all has ended, and how many events proxies did not get.
    fn close(&self, py: Python<'_>, timeout: f64) -> Result<(bool, u64)> {
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
        let closed = wait(py, || self.inner.close(timeout))?;
        Ok((closed.ended, closed.undelivered))
    }

    /// Never frees it, in a forked child: its threads are not there, and their locks may be held for ever.
    #[expect(clippy::mem_forget, reason = "leaking is the purpose")]
    fn leak(&self) {
        std::mem::forget(self.inner.clone());
    }
}

/// The fields of `OpenStream`, in their order.
type Listed = (String, Vec<String>, Option<String>, Option<String>, String, f64, u64);

fn listed(stream: OpenStream) -> Listed {
    let address = stream.address.map(|address| address.to_string());
    let age_s = stream.age_ms as f64 / 1_000.0;
    (stream.id, stream.channels, stream.user, address, stream.position.to_string(), age_s, stream.behind)
}

fn who(user: Option<&str>, channel: Option<&str>, stream: Option<&str>, everyone: bool) -> Who {
    let who = if everyone { Who::everyone() } else { Who::new() };
    let who = user.into_iter().fold(who, Who::user);
    let who = channel.into_iter().fold(who, Who::channel);
    stream.into_iter().fold(who, Who::stream)
}

pub(crate) fn message<'a>(
    data: &'a str,
    event: Option<&'a str>,
    retry_ms: Option<u64>,
    comment: Option<&'a str>,
) -> Event<'a> {
    let mut message = Event::text(data);
    if let Some(event) = event {
        message = message.name(event);
    }
    if let Some(retry_ms) = retry_ms {
        message = message.retry_ms(retry_ms);
    }
    if let Some(comment) = comment {
        message = message.comment(comment);
    }
    message
}

/// Whether publishing is worth letting go of the interpreter, which costs more than publishing a small event does.
pub(crate) fn lets_go(grip: bool, data: &str) -> bool {
    grip || data.len() > LARGE_BYTES
}

/// From here on, copying an event takes long enough to let other threads run meanwhile.
const LARGE_BYTES: usize = 16 * 1_024;
