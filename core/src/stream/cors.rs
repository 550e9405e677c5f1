//! Cross-origin reading, by the Fetch standard.

use super::{reply::Reply, request::Request};
use crate::config::Config;

/// The methods of an endpoint, for `Allow` and for preflight.
pub(super) const METHODS: &str = "GET, HEAD, OPTIONS";

/// Adds the headers that let a page of the request's origin read the reply, if the origin is allowed.
pub(super) fn allow_origin(reply: Reply, request: &Request<'_>, config: &Config) -> Reply {
    if config.cors_origins.is_empty() {
        return reply;
    }
    let any = config.cors_origins.iter().any(|origin| origin == "*");
    if any && !config.cors_credentials {
        return reply.header("Access-Control-Allow-Origin", "*");
    }
    let reply = reply.header("Vary", "Origin");
    match request.header("origin") {
        Some(origin) if (any && is_plain(origin)) || config.cors_origins.iter().any(|o| o == origin) => {
            let reply = reply.header("Access-Control-Allow-Origin", origin);
            if config.cors_credentials {
                reply.header("Access-Control-Allow-Credentials", "true")
            } else {
                reply
            }
        }
        _ => reply,
    }
}

/// Whether a text of the client's may stand in a header of ours, whatever server has read it.
fn is_plain(origin: &str) -> bool {
    origin.bytes().all(|b| b.is_ascii_graphic())
}

/// The answer to `OPTIONS`, which is also how a browser asks before a cross-origin request.
pub(super) fn preflight(request: &Request<'_>, config: &Config) -> Reply {
    let reply = allow_origin(Reply::empty(204).header("Allow", METHODS), request, config);
    let allowed = reply.headers.iter().any(|(name, _)| *name == "Access-Control-Allow-Origin");
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
