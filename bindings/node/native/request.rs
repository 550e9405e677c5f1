//! What a mounted endpoint was asked, and what it answers, as JavaScript has them.

use evstream::{Access, Reply, Request, grip::LinkKey};
use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use crate::stream::NativeStream;

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
#[napi(object)]
pub struct NativeAccess {
    /// Absent means those that the client names.
    pub channels: Option<Vec<String>>,
    pub user: Option<String>,
    /// No stream, and why.
    pub forbidden: Option<String>,
    /// No stream, because the application is wrong, and how.
    pub failed: Option<String>,
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

/// Whether a path, which may have a query, looks like one that a GRIP proxy asks for what it has missed.
#[napi(catch_unwind)]
pub fn is_link(target: String) -> bool {
    LinkKey::is_link(split(&target).0)
}

impl NativeRequest {
    /// Shows it as the core's request.
    pub(crate) fn with<T>(&self, use_it: impl FnOnce(&Request<'_>) -> T) -> T {
        let bytes: Vec<Vec<u8>> = self.headers.iter().skip(1).step_by(2).map(|value| latin1(value)).collect();
        let names = self.headers.iter().step_by(2).map(String::as_str);
        let headers: Vec<(&str, &[u8])> = names.zip(bytes.iter().map(Vec::as_slice)).collect();
        let (path, query) = split(&self.target);
        let peer = self.address.as_deref().and_then(|address| address.parse().ok());
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

impl NativeAccess {
    pub(crate) fn into_access(self) -> Access {
        if let Some(text) = self.forbidden {
            return Access::forbid(text);
        }
        if let Some(text) = self.failed {
            return Access::fail(text);
        }
        let access = self.channels.map_or_else(Access::allow, Access::channels);
        match self.user {
            Some(user) => access.user(user),
            None => access,
        }
    }
}

impl NativeReply {
    pub(crate) fn new(reply: Reply, stream: impl FnOnce(evstream::Stream) -> NativeStream) -> Self {
        let headers = reply.headers.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        Self { status: reply.status, headers, body: reply.body.into(), stream: reply.stream.map(stream) }
    }
}

fn split(target: &str) -> (&str, &str) {
    target.split_once('?').unwrap_or((target, ""))
}

/// The bytes that Node has read as characters. What is no byte cannot have come from Node's parser.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}
