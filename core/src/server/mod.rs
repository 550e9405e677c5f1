//! Floor 4: the core's own HTTP server, for applications that do not want to mount streams in theirs.
//!
//! hyper reads the requests. A stream's connection leaves hyper for the engine once its head is out; see [`handoff`].

mod attempts;
mod body;
mod connection;
mod fallback;
mod handoff;
mod hooks;
mod intake;
mod listener;
mod mount;
mod place;
mod proxied;
mod publish;
mod report;
mod shape;
mod watched;

use std::{
    fmt,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

pub use body::Body;
pub(crate) use body::respond;
pub use fallback::Answer;
pub use mount::Mount;

use self::{
    connection::Connections,
    fallback::Act,
    listener::{Listener, accept},
    publish::PublishEndpoint,
};
use crate::{
    app::{App, Listening},
    clock::deadline,
    engine::{ServerStreams, Which},
    error::{Error, ErrorKind, Result},
    fork::Own,
    grip::Auth,
    stream::Request,
    sync::lock,
};

/// Builds a [`Server`]: mounts first, then [`bind`](Self::bind).
///
/// ```
/// use evstream::{Config, Events, Mount};
/// let events = Events::new(Config::new())?;
/// let server = events.server().mount(Mount::new("/events/")).bind("127.0.0.1:0")?;
/// println!("curl -N 'http://{}/events/?channel=clock'", server.address());
/// # Ok::<(), evstream::Error>(())
/// ```
#[must_use = "it does nothing before `bind`"]
pub struct ServerBuilder {
    app: Arc<App>,
    mounts: Vec<Mount>,
    publish_auth: Option<Auth>,
    fallback: Option<Arc<Act>>,
}

/// A listening server. It goes on until it, or its [`Events`](crate::Events), is closed; dropping it closes it at once.
#[derive(Debug)]
pub struct Server {
    address: Address,
    app: Arc<App>,
    streams: Arc<ServerStreams>,
    stop: Own<tokio::sync::watch::Sender<bool>>,
    accepting: Own<tokio::task::AbortHandle>,
    done: Done,
}

/// Where a [`Server`] listens.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Address {
    /// An IPv4 or IPv6 address and port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl ServerBuilder {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self { app, mounts: Vec::new(), publish_auth: None, fallback: None }
    }

    /// Adds a path with streams. Requests for other paths are answered by the
    /// [`fallback`](Self::fallback), or with 404.
    pub fn mount(mut self, mount: Mount) -> Self {
        self.mounts.push(mount);
        self
    }

    /// Also takes events at `POST /publish/`, as GRIP proxies do, from publishers that are authorized as `auth` says.
    ///
    /// Channels are named there with the setting `grip_prefix` before them; the content of an item is a server-sent
    /// event, which gets an id of this process. Without authorization ([`Auth::none`]) the server can only be bound
    /// to a loopback address or a Unix socket.
    pub fn accept_publish(mut self, auth: Auth) -> Self {
        self.publish_auth = Some(auth);
        self
    }

    /// Answers requests for other paths than those of the mounts, so that an application without a web framework can
    /// serve its page and take what is posted.
    ///
    /// `act` is given the request and its body, which is bounded by the settings `max_body_bytes` and
    /// `body_timeout_ms`. It may block: it runs on one of `hook_threads` threads. If it panics, or its answer is not
    /// valid HTTP, the client is answered with 500.
    ///
    /// ```
    /// # use evstream::{Answer, Config, Events, Mount};
    /// # let events = Events::new(Config::new())?;
    /// let server = events.server().mount(Mount::new("/events/")).fallback(|request, _body| match request.path {
    ///     "/" => Answer::new(200, "text/html", "<script>new EventSource('/events/?channel=clock')</script>"),
    ///     _ => Answer::new(404, "text/plain", "there is nothing here"),
    /// });
    /// # Ok::<(), evstream::Error>(())
    /// ```
    pub fn fallback(mut self, act: impl Fn(&Request<'_>, &[u8]) -> Answer + Send + Sync + 'static) -> Self {
        self.fallback = Some(Arc::new(act));
        self
    }

    /// Listens on `host:port`, where port 0 takes a free one, or on `unix:PATH`.
    ///
    /// Fails with `invalid-config` when a mount's path is not a path, or anybody could publish or read metrics or health, `invalid-argument` when the address is none,
    /// `io` when it cannot be bound, and `closed`.
    pub fn bind(self, address: &str) -> Result<Arc<Server>> {
        for mount in &self.mounts {
            mount.check()?;
        }
        if let (Some(any), Some(own)) = (
            self.mounts.iter().find(|mount| mount.allows_any()),
            self.mounts.iter().find(|mount| mount.has_own()),
        ) {
            tracing::warn!(
                any = any.path(),
                own = own.path(),
                "a mount without channels lets clients read any that they name, also those that another has for itself; say which are public"
            );
        }
        let hub = self.app.hub();
        if hub.config().proxy_protocol {
            let why = if hub.config().trusted_proxies.is_empty() {
                Some("none is named")
            } else {
                let is_unix = address.starts_with(UNIX_PREFIX) && !hub.proxies.trusts(None);
                is_unix.then_some("those by a Unix socket, 'unix', are none")
            };
            if let Some(why) = why {
                let text = format!("proxy_protocol is for connections of trusted_proxies, of which {why}");
                return Err(Error::new(ErrorKind::InvalidConfig, text));
            }
        }
        let endpoint = self
            .publish_auth
            .map(|auth| PublishEndpoint::new(auth, &self.app.hub().config().grip_prefix))
            .transpose()?;
        self.app.engine()?;
        self.mounts.iter().filter_map(Mount::decides_by).for_each(|jwt| self.app.fetch_keys(jwt));
        let runtime = self.app.runtime().handle()?;
        let _context = runtime.enter();
        let (listener, address) = Listener::bind(address)?;
        if endpoint.as_ref().is_some_and(PublishEndpoint::is_open) && !address.is_local() {
            let text = format!("publishing at {address} needs authorization: it is not a loopback address");
            return Err(Error::new(ErrorKind::InvalidConfig, text));
        }
        if let Some(mount) = self.mounts.iter().find(|mount| mount.is_unguarded() && !address.is_local()) {
            let path = mount.path();
            let text =
                format!("{path} at {address} needs an authorize function: it is not a loopback address");
            return Err(Error::new(ErrorKind::InvalidConfig, text));
        }
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let (finish, done) = std::sync::mpsc::channel();
        let server_streams = Arc::new(ServerStreams::default());
        let connections =
            Connections::new(&self.app, self.mounts, endpoint, self.fallback, server_streams.clone(), finish);
        let accepting = runtime.spawn(accept(listener, connections, stopped));
        let accepting = Own::new(accepting.abort_handle());
        tracing::info!(%address, "listening");
        let done = Done(std::sync::Mutex::new(done));
        let stop = Own::new(stop);
        let server =
            Arc::new(Server { address, app: self.app, streams: server_streams, stop, accepting, done });
        server.app.add_listening(Arc::downgrade(&server) as Weak<dyn Listening>)?;
        Ok(server)
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("mounts", &self.mounts).finish_non_exhaustive()
    }
}

impl Server {
    /// Where it listens, with the port it was given.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Ends it within `timeout`: takes no more connections, finishes the requests it is answering, and ends its
    /// streams, whose clients are asked to come back later.
    ///
    /// Blocks until then; false when the time was not enough, and then the connections that are left have been cut. In a
    /// callback of these events, which it would wait for, it gives back false at once.
    ///
    /// ```
    /// use evstream::{Config, Events, Mount};
    /// use std::time::Duration;
    /// let events = Events::new(Config::new())?;
    /// let server = events.server().mount(Mount::new("/events/")).bind("127.0.0.1:0")?;
    /// assert!(server.close(Duration::from_secs(5)));
    /// events.publish("clock", evstream::Event::text("12:00"))?; // the events go on without it
    /// # Ok::<(), evstream::Error>(())
    /// ```
    pub fn close(&self, timeout: Duration) -> bool {
        if self.app.is_forked() {
            return false;
        }
        let inside = self.app.hub().callbacks.are_inside();
        self.finish(if inside { Duration::ZERO } else { timeout }) && !inside
    }

    fn stop_accepting(&self) {
        self.stop.send_replace(true);
    }

    fn close_streams(&self, deadline: Instant) {
        if let Some(engine) = self.app.started_engine() {
            let left = deadline.saturating_duration_since(Instant::now());
            engine.close_streams(&Which::Server(self.streams.clone()), left);
        }
    }
}

impl Listening for Server {
    fn stop(&self) {
        self.stop_accepting();
        self.streams.end();
    }

    fn finish(&self, timeout: Duration) -> bool {
        let deadline = deadline(timeout);
        self.stop_accepting();
        self.close_streams(deadline);
        let answered = self.done.wait(deadline);
        self.accepting.abort();
        // Again after the last request is answered, so that a stream opened meanwhile is ended too, and then for good.
        self.streams.end();
        self.close_streams(deadline);
        self.streams.wait_empty(deadline) && answered
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.app.is_forked() {
            return;
        }
        self.stop_accepting();
        self.streams.end();
        self.close_streams(Instant::now());
    }
}

impl Address {
    /// Whether only processes of this machine can reach it.
    fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX_PREFIX}{}", path.display()),
        }
    }
}

/// What marks an address as the path of a Unix socket.
const UNIX_PREFIX: &str = "unix:";

/// Closed by the last connection or hook.
struct Done(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);

impl Done {
    fn wait(&self, deadline: Instant) -> bool {
        let done = lock(&self.0);
        let left = deadline.saturating_duration_since(Instant::now());
        done.recv_timeout(left) == Err(std::sync::mpsc::RecvTimeoutError::Disconnected)
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Done")
    }
}
