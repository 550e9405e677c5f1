//! A path with streams, and who may have them.

use std::{fmt, sync::Arc};

use crate::{
    error::{Error, ErrorKind, Result},
    grip::LinkKey,
    stream::{Access, Request},
};

/// A path under which a [`Server`](super::Server) answers with streams.
///
/// ```
/// use evstream::{Access, Mount};
/// let open_to_all = Mount::new("/events/");
/// let fixed = Mount::new("/clock").channels(["clock"]);
/// let guarded = Mount::new("/private").authorize(|request| match request.header("x-user") {
///     Some(user) => Access::channels([format!("user-{user}")]).user(user),
///     None => Access::forbid("please log in"),
/// });
/// ```
#[derive(Clone)]
pub struct Mount {
    path: String,
    access: Rule,
}

#[derive(Clone)]
pub(super) enum Rule {
    Fixed(Access),
    Ask(Arc<Authorize>),
}

pub(super) type Authorize = dyn Fn(&Request<'_>) -> Access + Send + Sync;

impl Mount {
    /// Streams at `path`, of the channels that clients name with `?channel=`. A `/` at its end may be left out by
    /// clients.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), access: Rule::Fixed(Access::allow()) }
    }

    /// Always these channels, whatever clients ask for.
    pub fn channels(mut self, channels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.access = Rule::Fixed(Access::channels(channels));
        self
    }

    /// Asks `authorize` at each request. It may block: it runs on a thread that is there for this. If it panics, the
    /// client is told `internal-error`.
    pub fn authorize(mut self, authorize: impl Fn(&Request<'_>) -> Access + Send + Sync + 'static) -> Self {
        self.access = Rule::Ask(Arc::new(authorize));
        self
    }

    pub(super) fn rule(&self) -> &Rule {
        &self.access
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        // A proxy's links are one segment below the path.
        let path = if LinkKey::is_link(path) {
            path.rsplit_once('/').map_or(path, |(mount, _)| mount)
        } else {
            path
        };
        path.trim_end_matches('/') == self.path.trim_end_matches('/')
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.path.starts_with('/') && !self.path.contains(['?', '#']) {
            return Ok(());
        }
        let text = format!("a mount's path starts with '/' and has no '?' or '#', unlike {:?}", self.path);
        Err(Error::new(ErrorKind::InvalidConfig, text))
    }
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Mount");
        debug.field("path", &self.path);
        match &self.access {
            Rule::Fixed(access) => debug.field("access", access).finish(),
            Rule::Ask(_) => debug.finish_non_exhaustive(),
        }
    }
}
