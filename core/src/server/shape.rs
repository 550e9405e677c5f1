//! Requests that hyper can read, but that are none for this server.

use http::{Method, Version, header::HOST, request::Parts, uri::Authority};

use crate::{config::Config, stream::Reply};

/// The reply to a request that is refused whatever its path, after which the connection is closed.
pub(super) fn refuse(parts: &Parts, config: &Config) -> Option<Reply> {
    let max_url_bytes = config.max_url_bytes as usize;
    let target_bytes = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let reply = if parts.method == Method::CONNECT {
        // Any 2xx would make a tunnel of the connection (RFC 9110 9.3.6), also one that a fallback gives.
        Reply::text(501, "this server is no proxy")
    } else if let Some(text) = host_problem(parts) {
        Reply::text(400, text)
    } else if target_bytes > max_url_bytes {
        Reply::text(414, &format!("the URL has {target_bytes} bytes; at most {max_url_bytes} are allowed"))
    } else {
        return None;
    };
    Some(reply.header("Connection", "close"))
}

/// RFC 9112 3.2: 400 for HTTP/1.1 without a `Host`, and for any request with several or an invalid one.
fn host_problem(parts: &Parts) -> Option<&'static str> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if parts.version >= Version::HTTP_11 => Some("the request has no Host"),
        (_, Some(_)) => Some("the request has several Host headers"),
        (Some(host), None) if !is_host(host.as_bytes()) => Some("the request's Host is not a host"),
        _ => None,
    }
}

/// `uri-host [ ":" port ]`, which may be empty (RFC 9110 7.2).
fn is_host(value: &[u8]) -> bool {
    value.is_empty() || (!value.contains(&b'@') && Authority::try_from(value).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for host in ["", "a", "example.com:80", "[::1]:8000", "127.0.0.1", "xn--bcher-kva.example", "a_b:"] {
            assert!(is_host(host.as_bytes()), "{host:?}");
        }
        for host in ["a b", "user@a", "a/b", "a:b:c", "http://a", "a,b?", "\u{fc}"] {
            assert!(!is_host(host.as_bytes()), "{host:?}");
        }
    }
}
