//! A path with streams, and who may have them.

use std::{fmt, sync::Arc};

use crate::{
    error::{Error, ErrorKind, Result},
    grip::LinkKey,
    stream::{Access, Jwt, PublicChannels, StreamRequest, Tickets},
};

/// A path under which a [`Server`](super::Server) answers with streams, or with what there is to know of them.
///
/// ```
/// use evstream::{Access, Mount, PublicChannels};
/// # fn main() -> evstream::Result<()> {
/// let any = Mount::new("/events/"); // also those that other mounts guard
/// let public = Mount::new("/public/").public(PublicChannels::new(["clock", "news-*"])?);
/// let fixed = Mount::new("/clock").channels(["clock"]);
/// let guarded = Mount::new("/private").authorize(|request| match request.header("x-user") {
///     Some(user) => Access::channels([format!("user-{user}")]).user(user),
///     None => Access::forbid("please log in"),
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "it does nothing before a server has it"]
pub struct Mount {
    path: String,
    serves: Serves,
    access: Rule,
}

/// What there is at a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Serves {
    Streams,
    Metrics,
    Health,
}

#[derive(Clone)]
pub(super) enum Rule {
    Fixed(Access),
    Public(PublicChannels),
    Ask(Arc<Authorize>),
    Jwt(Arc<Jwt>),
    Tickets(Tickets),
}

pub(super) type Authorize = dyn Fn(&StreamRequest<'_>) -> Access + Send + Sync;

impl Mount {
    /// Streams at `path`, of the channels that clients name with `?channel=`. A `/` at its end may be left out by
    /// clients.
    ///
    /// Without any of the methods below clients choose from all channels, also from those that other mounts guard: a server that
    /// has both warns.
    pub fn new(path: impl Into<String>) -> Self {
        Self::of(path, Serves::Streams)
    }

    /// [Metrics](crate::Events::metrics) at `path`: `OpenMetrics` where the client prefers it, or else Prometheus' older format.
    ///
    /// Without [`authorize`](Self::authorize) the server can only be bound to a loopback address or a Unix socket. An `authorize`
    /// that forbids has the client answered with 403; the channels it names do not matter.
    ///
    /// ```
    /// use evstream::{Access, Mount};
    /// let metrics = Mount::metrics("/metrics").authorize(|request| match request.header("authorization") {
    ///     Some("Bearer secret") => Access::allow(),
    ///     _ => Access::forbid("wrong token"),
    /// });
    /// ```
    pub fn metrics(path: impl Into<String>) -> Self {
        Self::of(path, Serves::Metrics)
    }

    /// [Health](crate::Events::health) at `path`, as JSON: 200 when it is ready, or else 503. With `?live` it is 200 as long as the
    /// process is worth keeping, which is what restarts it where an orchestrator asks.
    ///
    /// Who may ask is told as for [`metrics`](Self::metrics).
    pub fn health(path: impl Into<String>) -> Self {
        Self::of(path, Serves::Health)
    }

    fn of(path: impl Into<String>, serves: Serves) -> Self {
        Self { path: path.into(), serves, access: Rule::Fixed(Access::allow()) }
    }

    /// Always these channels, whatever clients ask for.
    pub fn channels(mut self, channels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.access = Rule::Fixed(Access::channels(channels));
        self
    }

    /// Those of these channels that clients name.
    pub fn public(mut self, channels: PublicChannels) -> Self {
        self.access = Rule::Public(channels);
        self
    }

    /// Asks `authorize` at each request. It may block: it runs on one of `hook_threads` threads. If it panics, the
    /// client is asked to come back later, as with [`Access::fail`].
    pub fn authorize(
        mut self,
        authorize: impl Fn(&StreamRequest<'_>) -> Access + Send + Sync + 'static,
    ) -> Self {
        self.access = Rule::Ask(Arc::new(authorize));
        self
    }

    /// Lets clients read what their tokens grant, without asking the application.
    pub fn jwt(mut self, jwt: Jwt) -> Self {
        self.access = Rule::Jwt(Arc::new(jwt));
        self
    }

    /// Lets clients read what their [tickets](crate::Events::ticket) grant, without asking the application.
    pub fn tickets(mut self, tickets: Tickets) -> Self {
        self.access = Rule::Tickets(tickets);
        self
    }

    pub(super) fn rule(&self) -> &Rule {
        &self.access
    }

    pub(super) fn serves(&self) -> Serves {
        self.serves
    }

    /// Whether anybody who reaches the server is told of the insides of the application.
    pub(super) fn is_unguarded(&self) -> bool {
        self.serves != Serves::Streams && matches!(self.access, Rule::Fixed(_))
    }

    /// Whether clients may read any channel there.
    pub(super) fn allows_any(&self) -> bool {
        self.serves == Serves::Streams
            && matches!(&self.access, Rule::Fixed(access) if access.channels.is_none())
    }

    /// Whether it has channels that others are perhaps not to read.
    pub(super) fn has_own(&self) -> bool {
        self.serves == Serves::Streams && !self.allows_any() && !matches!(self.access, Rule::Public(_))
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        // A proxy's links are one segment below the path.
        let path = if LinkKey::is_link(path) {
            path.rsplit_once('/').map_or(path, |(mount, _)| mount)
        } else {
            path
        };
        path.trim_end_matches('/') == self.path.trim_end_matches('/')
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.serves != Serves::Streams
            && matches!(&self.access, Rule::Fixed(access) if access.channels.is_some())
        {
            let text = format!("there are no streams at {:?}, so it has no channels", self.path);
            return Err(Error::new(ErrorKind::InvalidConfig, text));
        }
        // Whoever may read some channel would be let in.
        if self.serves != Serves::Streams
            && matches!(self.access, Rule::Jwt(_) | Rule::Tickets(_) | Rule::Public(_))
        {
            let text = format!(
                "tokens, tickets and public channels are for streams, and there are none at {:?}: use authorize",
                self.path
            );
            return Err(Error::new(ErrorKind::InvalidConfig, text));
        }
        if self.path.starts_with('/') && !self.path.contains(['?', '#']) {
            return Ok(());
        }
        let text = format!("a mount's path starts with '/' and has no '?' or '#', unlike {:?}", self.path);
        Err(Error::new(ErrorKind::InvalidConfig, text))
    }

    /// The tokens that it goes by.
    pub(super) fn decides_by(&self) -> Option<&Jwt> {
        match &self.access {
            Rule::Jwt(jwt) => Some(jwt),
            _ => None,
        }
    }
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Mount");
        debug.field("path", &self.path).field("serves", &self.serves);
        match &self.access {
            Rule::Fixed(access) => debug.field("access", access).finish(),
            Rule::Public(channels) => debug.field("public", channels).finish(),
            Rule::Ask(_) => debug.finish_non_exhaustive(),
            Rule::Jwt(jwt) => debug.field("jwt", jwt).finish(),
            Rule::Tickets(tickets) => debug.field("tickets", tickets).finish(),
        }
    }
}
