//! One connection: its requests, and what becomes of it.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::IpAddr,
    pin::pin,
    sync::{Arc, mpsc::Sender},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{Response, Version, request::Parts};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioTimer;
use tokio::{sync::watch, task::JoinSet};

use super::{
    fallback::{Act, Fallback},
    handoff::{First, Handoff, serve, whole},
    hooks::{Hooks, NoAnswer},
    intake::Intake,
    listener::Connection,
    mount::{Mount, Rule, Serves},
    place::{Origin, Place},
    proxied,
    publish::PublishEndpoint,
    report::report,
    shape,
};
use crate::{
    app::App,
    engine::{Engine, Framing, ServerStreams, tune},
    error::Error,
    stream::{Access, Asked, Reply, Request, Screened, Seldom, StreamRequest, admit, open, screen},
};

/// The connections of a server.
pub(super) struct Connections {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    app: Arc<App>,
    mounts: Vec<Mount>,
    endpoint: Option<PublishEndpoint>,
    fallback: Option<Fallback>,
    intake: Intake,
    server_streams: Arc<ServerStreams>,
    http: http1::Builder,
    authorizing: Hooks,
    crowd_log: Seldom,
    proxied_log: Seldom,
    /// Closed when the last request is answered, and the last hook has ended.
    _finish: Sender<()>,
}

impl Connections {
    pub(super) fn new(
        app: &Arc<App>,
        mounts: Vec<Mount>,
        endpoint: Option<PublishEndpoint>,
        fallback: Option<Arc<Act>>,
        server_streams: Arc<ServerStreams>,
        finish: Sender<()>,
    ) -> Self {
        let (config, runtime) = (app.hub().config(), app.runtime());
        let authorizing = Hooks::new(&runtime.authorize_places, config, &finish);
        let fallback = fallback
            .map(|act| Fallback::new(act, Hooks::new(&runtime.fallback_places, config, &finish), config));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(config.header_timeout_ms))
            .max_buf_size(config.max_header_bytes as usize);
        let intake = Intake::new(config);
        let shared = Shared {
            app: app.clone(),
            mounts,
            endpoint,
            fallback,
            intake,
            server_streams,
            http,
            authorizing,
            crowd_log: Seldom::default(),
            proxied_log: Seldom::default(),
            _finish: finish,
        };
        Self { shared: Arc::new(shared), tasks: JoinSet::new() }
    }

    /// Serves a connection on a task of its own, or closes it where there are too many.
    pub(super) fn serve<C: Connection>(
        &mut self,
        connection: C,
        peer: Option<IpAddr>,
        stopped: &watch::Receiver<bool>,
    ) {
        // Those that have ended meanwhile are let go of here, where it costs no wake-up.
        while self.tasks.try_join_next().is_some() {}
        match Place::take(self.shared.app.hub(), peer) {
            Some(place) => {
                self.tasks.spawn(run(self.shared.clone(), connection, place, stopped.clone()));
            }
            None => self.shared.warn_of_crowd(),
        }
    }

    /// Waits until the last request is answered.
    pub(super) async fn finish(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn run<C: Connection>(
    shared: Arc<Shared>,
    connection: C,
    place: Place,
    stopped: watch::Receiver<bool>,
) {
    let config = shared.app.hub().config();
    if let Err(error) = tune(&connection, config) {
        tracing::debug!(%error, "a connection was gone before it was served");
        return;
    }
    let Some((connection, place)) = shared.proxied(connection, place, stopped.clone()).await else { return };
    let origin = place.origin();
    let handoff = Handoff::default();
    let service = service_fn(|request: hyper::Request<Incoming>| {
        handoff.note_request();
        let (parts, body) = request.into_parts();
        let answer = shared.answer(parts, body, origin, &handoff);
        Box::pin(async { Ok::<_, Infallible>(answer.await) })
    });
    let timeout = Duration::from_millis(config.write_timeout_ms);
    let Some((connection, stream, framing)) =
        serve(connection, &handoff, service, &shared.http, timeout, stopped).await
    else {
        return;
    };
    // Not `App::engine`: what was answered before the events were closed ends as all streams then do.
    let engine = shared.app.started_engine();
    let guard = Some(shared.server_streams.enter());
    let adopted = connection.into_fd().map_err(Error::from);
    let adopt =
        |socket| Engine::adopt(engine, stream, socket, framing, Vec::new(), guard).map_err(Error::from);
    if let Err(error) = adopted.and_then(adopt) {
        tracing::debug!(%error, "a stream could not be handed to the engine");
    }
}

impl Shared {
    /// Puts the client in the place of the proxy that has made the connection for it, where such are expected; `None` when it
    /// is to be closed.
    async fn proxied<C: Connection>(
        &self,
        mut connection: C,
        place: Place,
        mut stopped: watch::Receiver<bool>,
    ) -> Option<(C, Place)> {
        let hub = self.app.hub();
        if !hub.config().proxy_protocol {
            return Some((connection, place));
        }
        let within = Duration::from_millis(hub.config().header_timeout_ms);
        let Origin { address, is_for_others } = place.origin();
        let read = {
            let mut read = pin!(async {
                if is_for_others {
                    return proxied::client(&mut connection, within).await;
                }
                Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is not of one of trusted_proxies"))
            });
            let mut stop = pin!(stopped.wait_for(|stop| *stop));
            poll_fn(|context| match read.as_mut().poll(context) {
                Poll::Ready(read) => Poll::Ready(Some(read)),
                Poll::Pending => stop.as_mut().poll(context).map(|_| None),
            })
            .await
        };
        match read? {
            Ok(Some(client)) => {
                drop(place);
                let place = Place::take(hub, Some(client));
                if place.is_none() {
                    self.warn_of_crowd();
                }
                Some((connection, place?))
            }
            Ok(None) => Some((connection, place.of_nobody_named())),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => None,
            Err(error) => {
                hub.counters.count_refused_connection();
                if let Some(connections) = self.proxied_log.pass(self.app.now_ms()) {
                    let peer = address.map_or_else(|| "unix".to_owned(), |address| address.to_string());
                    tracing::warn!(connections, peer, %error, "connections are closed that begin without a header of the PROXY protocol");
                }
                None
            }
        }
    }

    /// Those that are closed get no answer: browsers ask again for a stream whose connection has failed, and never after a 503.
    fn warn_of_crowd(&self) {
        if let Some(connections) = self.crowd_log.pass(self.app.now_ms()) {
            tracing::warn!(
                connections,
                "closing connections unread: there are as many as max_connections or max_connections_per_address allows"
            );
        }
    }

    async fn answer(
        self: &Arc<Self>,
        mut parts: Parts,
        body: Incoming,
        origin: Origin,
        handoff: &Handoff,
    ) -> Response<First> {
        if let Some(refusal) = shape::refuse(&parts, self.app.hub().config()) {
            return reply(refusal);
        }
        let proxies = &self.app.hub().proxies;
        let mut peer = origin.address;
        if origin.is_for_others {
            peer = with_request(&parts, peer, |request| proxies.client(request));
        } else if proxies.trusts(peer) {
            // Written by a client. Taken off, for whoever looks at the request later trusts that address.
            parts.headers.remove(proxies.header());
        }
        if let Some(endpoint) = self.endpoint.as_ref().filter(|_| PublishEndpoint::matches(parts.uri.path()))
        {
            return reply(endpoint.answer(&self.app, &parts, body, peer, &self.intake).await);
        }
        let Some(mount) = self.mounts.iter().find(|mount| mount.matches(parts.uri.path())) else {
            return match self.fallback.clone() {
                Some(fallback) => fallback.answer(parts, body, peer, &self.intake).await,
                None => plain(404, "there is no stream here\n"),
            };
        };
        drop(body);
        if mount.serves() != Serves::Streams {
            return reply(self.report(mount, parts, peer).await);
        }
        let version = parts.version;
        let asked =
            match with_request(&parts, peer, |request| screen(self.app.hub(), request, self.app.now())) {
                Screened::Reply(reply) => return respond(reply, version, handoff),
                Screened::Ask(asked) => asked,
            };
        let reply = match mount.rule() {
            Rule::Fixed(access) => open(self.app.hub(), asked, access.clone(), self.app.now()),
            Rule::Public(public) => {
                let access = public.access(asked.channels());
                open(self.app.hub(), asked, access, self.app.now())
            }
            Rule::Jwt(jwt) => {
                let access =
                    with_request(&parts, peer, |request| self.app.decide(jwt, request, asked.channels()));
                open(self.app.hub(), asked, access, self.app.now())
            }
            Rule::Tickets(tickets) => {
                let (hub, now) = (self.app.hub(), self.app.now());
                let access =
                    with_request(&parts, peer, |request| admit(hub, tickets, request, asked.channels(), now));
                open(hub, asked, access, now)
            }
            Rule::Ask(authorize) => {
                let (authorize, shown) = (authorize.clone(), asked.clone());
                let decided = self.authorizing.call(move || {
                    with_request(&parts, peer, |request| authorize(&StreamRequest::new(request, &shown)))
                });
                // Not there, but here, where nothing is opened any more once the server has given up.
                let access = decided.await.unwrap_or_else(undecided);
                open(self.app.hub(), asked, access, self.app.now())
            }
        };
        respond(reply, version, handoff)
    }
}

impl Shared {
    /// Metrics or health.
    async fn report(&self, mount: &Mount, parts: Parts, peer: Option<IpAddr>) -> Reply {
        let parts = Arc::new(parts);
        let access = match mount.rule() {
            Rule::Fixed(access) => access.clone(),
            // Refused when the server was bound.
            Rule::Jwt(_) | Rule::Tickets(_) | Rule::Public(_) => Access::forbid("they are for channels"),
            Rule::Ask(authorize) => {
                let (authorize, parts) = (authorize.clone(), parts.clone());
                let ask = move || {
                    with_request(&parts, peer, |request| {
                        authorize(&StreamRequest::new(request, &Asked::for_no_stream(request)))
                    })
                };
                self.authorizing.call(ask).await.unwrap_or_else(undecided)
            }
        };
        with_request(&parts, peer, |request| report(&self.app, mount.serves(), request, &access))
    }
}

/// What a request gets on which the application has not decided.
fn undecided(why: NoAnswer) -> Access {
    match why {
        NoAnswer::Busy => Access::fail("the server is busy; try again later"),
        NoAnswer::Panicked => {
            tracing::error!("an authorize hook has panicked");
            Access::fail("the server could not say whether the stream is allowed")
        }
    }
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

/// A reply that may have a stream, which ends by closing the connection.
fn respond(mut answer: Reply, version: Version, handoff: &Handoff) -> Response<First> {
    let Some(stream) = answer.stream.take() else { return reply(answer) };
    let framing = if version == Version::HTTP_10 { Framing::Close } else { Framing::Chunked };
    let body = handoff.body(answer.body.into(), stream, framing);
    let response = head(answer.status, answer.headers).header(http::header::CONNECTION, "close");
    response.body(body).unwrap_or_else(|_| plain(500, "the reply cannot be sent\n"))
}

/// A reply that is whole.
pub(super) fn reply(reply: Reply) -> Response<First> {
    whole(head(reply.status, reply.headers), reply.body)
}

fn head(status: u16, headers: Vec<(&'static str, String)>) -> http::response::Builder {
    let response = Response::builder().status(status);
    headers.into_iter().fold(response, |response, (name, value)| response.header(name, value))
}

pub(super) fn plain(status: u16, text: impl Into<Bytes>) -> Response<First> {
    whole(Response::builder().status(status).header("Content-Type", "text/plain; charset=utf-8"), text)
}
