//! What a mounted endpoint was asked.

use std::net::IpAddr;

/// A request, borrowed from whatever server received it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The path as it came, still percent-encoded.
    pub path: &'a str,
    /// The query string without its `?`; empty when there is none.
    pub query: &'a str,
    /// Names and values, in the order they came. Names may be in any case.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The address the request came from, where it is known: the client's, or that of one of `trusted_proxies`, who says whose
    /// request it is. Functions for access are shown the client's.
    pub peer: Option<IpAddr>,
}

/// The time, as the floors without a clock are told it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Milliseconds since the events came to be; never goes back.
    pub ms: u64,
    /// Seconds since 1970-01-01 UTC, which signatures and links are dated by.
    pub unix_s: u64,
}

impl<'a> Request<'a> {
    /// The path and the query of a request's target, for servers that do not take it apart. A query ends at a `#`.
    ///
    /// ```
    /// use evstream::Request;
    /// assert_eq!(Request::split_target("/events/?channel=a"), ("/events/", "channel=a"));
    /// ```
    pub fn split_target(target: &'a str) -> (&'a str, &'a str) {
        let (target, _fragment) = target.split_once('#').unwrap_or((target, ""));
        target.split_once('?').unwrap_or((target, ""))
    }

    /// The first header of that name whose value is UTF-8.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.header_values(name).next()
    }

    /// All headers of that name whose values are UTF-8.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(header, _)| header.eq_ignore_ascii_case(name))
            .filter_map(|(_, value)| std::str::from_utf8(value).ok())
            .map(str::trim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_path_nor_query_goes_on_after_a_fragment() {
        for (target, parts) in [
            ("/a?b=c", ("/a", "b=c")),
            ("/a?b?c#d?e", ("/a", "b?c")),
            ("/a#b?c", ("/a", "")),
            ("/a", ("/a", "")),
        ] {
            assert_eq!(Request::split_target(target), parts, "{target}");
        }
    }
}
