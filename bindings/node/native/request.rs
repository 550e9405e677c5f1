//! What a mounted endpoint was asked, and what it answers, as JavaScript has them.

use std::sync::Mutex;

use evstream::{Access, Asked, Error, ErrorKind, Event, PublicChannels, Reply, Request, grip::LinkKey};
use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use crate::{
    bridge::lock,
    error::{Result, throw},
    stream::NativeStream,
};

/// A request, as Node has read it.
#[napi(object)]
pub struct NativeRequest {
    pub method: String,
    /// The path and the query.
    pub target: String,
    /// Names and values in turn, as in `rawHeaders`: each character is a byte.
    pub headers: Vec<String>,
    pub address: Option<String>,
}

/// What the application says of a request.
#[napi(discriminant = "type", discriminant_case = "lowercase")]
pub enum NativeAccess {
    /// A stream of these channels, or of those that the client names.
    Granted {
        channels: Option<Vec<String>>,
        user: Option<String>,
        expires_at_s: Option<f64>,
        since: Option<String>,
        greet: Option<Vec<NativeGreeting>>,
    },
    /// No stream, and why.
    Forbidden { text: String },
    /// No stream, because the application has failed, and how.
    Failed { text: String },
}

/// An event for one client: the text that `publish` takes, and the rest of it.
#[napi(object)]
pub struct NativeGreeting {
    pub text: String,
    pub name: Option<String>,
    pub retry_ms: Option<f64>,
    pub comment: Option<String>,
}

/// An answer.
#[napi(object, object_from_js = false)]
pub struct NativeReply {
    pub status: u16,
    /// Names and values in turn.
    pub headers: Vec<String>,
    pub body: Buffer,
    /// What goes on after the body.
    pub stream: Option<NativeStream>,
}

/// What is known of a request before the application is asked: one of the two is there.
#[napi(object, object_from_js = false)]
pub struct NativeScreened {
    pub reply: Option<NativeReply>,
    pub asked: Option<NativeAsked>,
}

/// A request that the application is to decide on, once.
#[napi]
pub struct NativeAsked(Mutex<Option<Asked>>);

/// What every link has in its path.
#[napi]
pub const LINK_MARKER: &str = evstream::grip::LINK_MARKER;

/// Whether a path, which may have a query, looks like one that a GRIP proxy asks for what it has missed.
#[napi(catch_unwind)]
pub fn is_link(target: String) -> bool {
    LinkKey::is_link(Request::split_target(&target).0)
}

impl NativeRequest {
    /// Shows it as the core's request.
    pub(crate) fn with<T>(&self, use_it: impl FnOnce(&Request<'_>) -> T) -> T {
        let bytes: Vec<Vec<u8>> = self.headers.iter().skip(1).step_by(2).map(|value| latin1(value)).collect();
        let names = self.headers.iter().step_by(2).map(String::as_str);
        let headers: Vec<(&str, &[u8])> = names.zip(bytes.iter().map(Vec::as_slice)).collect();
        let (path, query) = Request::split_target(&self.target);
        // An IPv6 address may have a zone, such as `fe80::1%eth0`.
        let address = self.address.as_deref().and_then(|address| address.split('%').next());
        let peer = address.and_then(|address| address.parse().ok());
        use_it(&Request { method: &self.method, path, query, headers: &headers, peer })
    }

    /// The other way round, for a request that the core has read.
    pub(crate) fn new(request: &Request<'_>) -> Self {
        let target = match request.query {
            "" => request.path.to_owned(),
            query => format!("{}?{query}", request.path),
        };
        let text = |bytes: &[u8]| bytes.iter().map(|&byte| char::from(byte)).collect();
        let headers =
            request.headers.iter().flat_map(|(name, value)| [(*name).to_owned(), text(value)]).collect();
        let address = request.peer.map(|peer| peer.to_string());
        Self { method: request.method.to_owned(), target, headers, address }
    }
}

/// Throws what is wrong with a decision, so that the application hears of it in its own terms.
#[napi(catch_unwind)]
pub fn check_access(access: NativeAccess) -> Result<()> {
    access.read().and_then(|access| access.check(usize::MAX)).map_err(throw)
}

/// Why a client that names these channels is refused where only some are public; throws what is wrong with how these are said.
#[napi(catch_unwind)]
pub fn public_refusal(channels: Vec<String>, requested: Vec<String>) -> Result<Option<String>> {
    Ok(PublicChannels::new(channels).map_err(throw)?.refusal(&requested))
}

#[napi]
impl NativeAsked {
    /// The channels that the client names.
    #[napi(catch_unwind)]
    pub fn channels(&self) -> Vec<String> {
        lock(&self.0).as_ref().map_or_else(Vec::new, |asked| asked.channels().to_vec())
    }

    /// The client's address, as trusted proxies say.
    #[napi(catch_unwind)]
    pub fn address(&self) -> Option<String> {
        Some(lock(&self.0).as_ref()?.peer()?.to_string())
    }
}

impl NativeAsked {
    pub(crate) fn new(asked: Asked) -> Self {
        Self(Mutex::new(Some(asked)))
    }

    pub(crate) fn take(&self) -> Result<Asked> {
        let decided = || throw(Error::new(ErrorKind::InvalidArgument, "the request was decided on already"));
        lock(&self.0).take().ok_or_else(decided)
    }
}

impl NativeAccess {
    pub(crate) fn into_access(self) -> Access {
        self.read().unwrap_or_else(|error| Access::fail(error.to_string()))
    }

    pub(crate) fn read(self) -> evstream::Result<Access> {
        let (channels, user, expires_at_s, since, greet) = match self {
            Self::Granted { channels, user, expires_at_s, since, greet } => {
                (channels, user, expires_at_s, since, greet)
            }
            Self::Forbidden { text } => return Ok(Access::forbid(text)),
            Self::Failed { text } => return Ok(Access::fail(text)),
        };
        let mut access = channels.map_or_else(Access::allow, Access::channels);
        if let Some(user) = user {
            access = access.user(user);
        }
        if let Some(at_s) = expires_at_s {
            access = access.expires_at(at_s as u64);
        }
        if let Some(since) = since {
            access = access.since(since.parse().map_err(|_| {
                let text = format!("since is a position, as events.position() gives it, not {since:?}");
                Error::new(ErrorKind::InvalidArgument, text)
            })?);
        }
        let greet = greet.unwrap_or_default();
        Ok(greet.into_iter().fold(access, |access, event| access.greet(&event.as_event())))
    }
}

impl NativeGreeting {
    fn as_event(&self) -> Event<'_> {
        event(&self.text, self.name.as_deref(), self.retry_ms, self.comment.as_deref())
    }
}

/// An event of its parts.
pub(crate) fn event<'a>(
    text: &'a str,
    name: Option<&'a str>,
    retry_ms: Option<f64>,
    comment: Option<&'a str>,
) -> Event<'a> {
    let mut event = Event::text(text);
    if let Some(name) = name {
        event = event.name(name);
    }
    if let Some(retry_ms) = retry_ms {
        event = event.retry_ms(retry_ms as u64);
    }
    if let Some(comment) = comment {
        event = event.comment(comment);
    }
    event
}

impl NativeReply {
    pub(crate) fn new(reply: Reply, stream: impl FnOnce(evstream::Stream) -> NativeStream) -> Self {
        let headers = reply.headers.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        Self { status: reply.status, headers, body: reply.body.into(), stream: reply.stream.map(stream) }
    }
}

/// The bytes that Node has read as characters. What is no byte cannot have come from Node's parser.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}
