//! Cross-origin reading, by the Fetch standard.

use super::{
    reply::{Headers, Reply},
    request::Request,
};
use crate::config::Config;

/// The methods of an endpoint, for `Allow` and for preflight.
pub(super) const METHODS: &str = "GET, HEAD, OPTIONS";

/// The headers that let a page of the request's origin read the reply, if the origin is allowed.
pub(super) fn headers(request: &Request<'_>, config: &Config) -> Headers {
    if config.cors_origins.is_empty() {
        return Vec::new();
    }
    let any = config.cors_origins.iter().any(|origin| origin == "*");
    if any && !config.cors_credentials {
        return vec![(ALLOW_ORIGIN, "*".to_owned())];
    }
    let mut headers = vec![("Vary", "Origin".to_owned())];
    if let Some(origin) = request.header("origin")
        && ((any && is_plain(origin)) || config.cors_origins.iter().any(|o| o == origin))
    {
        headers.push((ALLOW_ORIGIN, origin.to_owned()));
        if config.cors_credentials {
            headers.push(("Access-Control-Allow-Credentials", "true".to_owned()));
        }
    }
    headers
}

/// Whether a text of the client's may stand in a header of ours, whatever server has read it.
fn is_plain(origin: &str) -> bool {
    origin.bytes().all(|b| b.is_ascii_graphic())
}

/// The answer to `OPTIONS`, which is also how a browser asks before a cross-origin request.
pub(super) fn preflight(request: &Request<'_>, config: &Config) -> Reply {
    let mut reply = Reply::empty(204).header("Allow", METHODS);
    reply.headers.extend(headers(request, config));
    let allowed = reply.headers.iter().any(|(name, _)| *name == ALLOW_ORIGIN);
    if !allowed || request.header("access-control-request-method").is_none() {
        return reply;
    }
    let headers =
        ["Last-Event-ID", "Cache-Control"].into_iter().chain(config.cors_headers.iter().map(|h| &**h));
    reply
        .header("Access-Control-Allow-Methods", METHODS)
        .header("Access-Control-Allow-Headers", headers.collect::<Vec<_>>().join(", "))
        .header("Access-Control-Max-Age", "3600")
}

const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
