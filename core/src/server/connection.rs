//! One connection: its requests, and what becomes of it.

use std::{
    convert::Infallible,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Response, Version, request::Parts};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioTimer;
use tokio::{sync::watch, task::JoinSet};

use super::{
    fallback::Fallback,
    handoff::{First, Handoff, serve, whole},
    listener::Connection,
    mount::{Authorize, Mount, Rule},
    publish::Inlet,
};
use crate::{
    engine::{Framing, Origin},
    events::Events,
    stream::{Access, Reply, Request},
};

/// The connections of a server.
pub(super) struct Connections {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    events: Events,
    mounts: Vec<Mount>,
    inlet: Option<Inlet>,
    fallback: Option<Fallback>,
    origin: Arc<Origin>,
    http: http1::Builder,
    max_url_bytes: usize,
}

impl Connections {
    pub(super) fn new(
        events: &Events,
        mounts: Vec<Mount>,
        inlet: Option<Inlet>,
        fallback: Option<Fallback>,
        origin: Arc<Origin>,
    ) -> Self {
        let config = events.hub().config();
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(config.header_timeout_ms))
            .max_buf_size(config.max_header_bytes as usize);
        let max_url_bytes = config.max_url_bytes as usize;
        let shared = Shared { events: events.clone(), mounts, inlet, fallback, origin, http, max_url_bytes };
        Self { shared: Arc::new(shared), tasks: JoinSet::new() }
    }

    /// Serves a connection on a task of its own.
    pub(super) fn serve<C: Connection>(
        &mut self,
        connection: C,
        peer: Option<IpAddr>,
        stopped: &watch::Receiver<bool>,
    ) {
        // Those that have ended meanwhile are let go of here, where it costs no wake-up.
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(run(self.shared.clone(), connection, peer, stopped.clone()));
    }

    /// Waits until the last request is answered.
    pub(super) async fn finish(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn run<C: Connection>(
    shared: Arc<Shared>,
    connection: C,
    peer: Option<IpAddr>,
    stopped: watch::Receiver<bool>,
) {
    let handoff = Handoff::default();
    let service = service_fn(|request: hyper::Request<Incoming>| {
        handoff.note_request();
        let (parts, body) = request.into_parts();
        let answer = shared.answer(parts, body, peer, &handoff);
        Box::pin(async { Ok::<_, Infallible>(answer.await) })
    });
    let Some((connection, stream, framing)) =
        serve(connection, &handoff, service, &shared.http, stopped).await
    else {
        return;
    };
    // Not `Events::engine`: what was answered before the events were closed ends as all streams then do.
    let Some(engine) = shared.events.started_engine() else { return };
    let guest = Some(shared.origin.enter());
    let adopted = connection.into_fd().map_err(Into::into);
    let adopted = adopted.and_then(|socket| engine.adopt(stream, socket, framing, Vec::new(), guest));
    if let Err(error) = adopted {
        tracing::debug!(%error, "a stream could not be handed to the engine");
    }
}

impl Shared {
    async fn answer(
        self: &Arc<Self>,
        parts: Parts,
        body: Incoming,
        peer: Option<IpAddr>,
        handoff: &Handoff,
    ) -> Response<First> {
        let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
        if target > self.max_url_bytes {
            let text = format!("the URL has {target} bytes; at most {} are allowed\n", self.max_url_bytes);
            return plain(414, text);
        }
        if let Some(inlet) = self.inlet.as_ref().filter(|_| Inlet::matches(parts.uri.path())) {
            let reply = inlet.answer(&self.events, &parts, body, self.events.now()).await;
            return respond(reply, parts.version, handoff);
        }
        let Some(mount) = self.mounts.iter().find(|mount| mount.matches(parts.uri.path())) else {
            return match self.fallback.clone() {
                Some(fallback) => fallback.answer(parts, body, peer).await,
                None => plain(404, "there is no stream here\n"),
            };
        };
        drop(body);
        let version = parts.version;
        if let Some(reply) = with_request(&parts, peer, |request| self.events.screen(request)) {
            return respond(reply, version, handoff);
        }
        let reply = match mount.rule() {
            Rule::Fixed(access) => self.open(&parts, peer, |_| access.clone()),
            Rule::Ask(authorize) => {
                let (this, authorize) = (self.clone(), authorize.clone());
                let asked = tokio::task::spawn_blocking(move || {
                    this.open(&parts, peer, |request| ask(&*authorize, request))
                });
                match asked.await {
                    Ok(reply) => reply,
                    Err(error) => {
                        tracing::error!(%error, "a request was not answered");
                        return plain(500, "the request was not answered\n");
                    }
                }
            }
        };
        respond(reply, version, handoff)
    }

    fn open(
        &self,
        parts: &Parts,
        peer: Option<IpAddr>,
        access: impl FnOnce(&Request<'_>) -> Access,
    ) -> Reply {
        with_request(parts, peer, |request| self.events.open(request, access(request)))
    }
}

/// What the application's hook says, even if it panics.
fn ask(authorize: &Authorize, request: &Request<'_>) -> Access {
    catch_unwind(AssertUnwindSafe(|| authorize(request))).unwrap_or_else(|_| {
        tracing::error!(path = request.path, "an authorize hook has panicked");
        Access::fail("the server could not say whether the stream is allowed")
    })
}

/// Shows the parts of an `http` request as a [`Request`].
pub(super) fn with_request<T>(
    parts: &Parts,
    peer: Option<IpAddr>,
    use_it: impl FnOnce(&Request<'_>) -> T,
) -> T {
    let headers: Vec<(&str, &[u8])> =
        parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    use_it(&Request {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or(""),
        headers: &headers,
        peer,
    })
}

fn respond(reply: Reply, version: Version, handoff: &Handoff) -> Response<First> {
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    let Some(stream) = reply.stream else { return whole(response, reply.body) };
    let framing = if version == Version::HTTP_10 { Framing::Close } else { Framing::Chunked };
    let body = handoff.body(reply.body.into(), stream, framing);
    response.body(body).unwrap_or_else(|_| plain(500, "the reply cannot be sent\n"))
}

pub(super) fn plain(status: u16, text: impl Into<Bytes>) -> Response<First> {
    whole(Response::builder().status(status).header("Content-Type", "text/plain; charset=utf-8"), text)
}
