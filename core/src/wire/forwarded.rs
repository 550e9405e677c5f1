//! Whom proxies say that a request comes from: `Forwarded` (RFC 7239) and `X-Forwarded-For`.
//!
//! What is on the left a client may have written itself, also so as to spoil the rest. So both are read from the right, and
//! what cannot be read is somebody who is not known, and never left out.

use std::net::{IpAddr, Ipv6Addr};

/// Those that the lines of an `X-Forwarded-For` name, the nearest first; `None` where it is not known who.
pub(crate) fn forwarded_for<'a>(
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> impl Iterator<Item = Option<IpAddr>> {
    lines.rev().flat_map(|line| line.rsplit(|byte| *byte == b',')).map(|node| address(text(node)?))
}

/// Those that the lines of a `Forwarded` name, the nearest first; `None` where it is not known who.
pub(crate) fn forwarded<'a>(
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> impl Iterator<Item = Option<IpAddr>> {
    // A quote that does not end might hold what the nearest proxy says.
    lines.rev().flat_map(|line| elements(line).unwrap_or_else(|| vec![None]).into_iter().rev())
}

/// An address, which may have a port. `unknown` and names that hide it are none, nor is what cannot be read.
fn address(node: &str) -> Option<IpAddr> {
    if let Some(rest) = node.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        return (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
            .then(|| IpAddr::V6(address).to_canonical());
    }
    if let Ok(address) = node.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port) = node.split_once(':')?;
    let address = address.parse().ok()?;
    is_port(port).then_some(IpAddr::V4(address))
}

/// A number, or a name that hides it.
fn is_port(port: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit())
        || port.strip_prefix('_').is_some_and(is_name)
}

/// Whom each element of a line names, from left to right; `None` when the line cannot be taken apart.
fn elements(line: &[u8]) -> Option<Vec<Option<IpAddr>>> {
    split(line, b',')?.into_iter().map(|element| element.and_then(named)).map(Some).collect()
}

/// Whom an element names.
fn named(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    for pair in split(element, b';')? {
        let (name, value) = text(pair?)?.split_once('=')?;
        if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
    }
    let value = found?;
    match value.strip_prefix('"') {
        None => address(value),
        Some(quoted) => address(&unescaped(quoted.strip_suffix('"')?)),
    }
}

/// Splits at a separator outside of quotes; `None` when a quote does not end. A part that is empty is `None`, too.
fn split(line: &[u8], separator: u8) -> Option<Vec<Option<&[u8]>>> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let ends = |byte: &u8| {
        match *byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            byte => return byte == separator && !is_quoted,
        }
        false
    };
    let parts =
        line.split(ends).map(|part| Some(part.trim_ascii()).filter(|part| !part.is_empty())).collect();
    (!is_quoted).then_some(parts)
}

fn unescaped(quoted: &str) -> String {
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    text
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes.trim_ascii()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_of_nodes() {
        for (node, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:443", Some("192.0.2.1")),
            ("192.0.2.1:_hidden", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("[::ffff:192.0.2.1]:443", Some("192.0.2.1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("unknown", None),
            ("_hidden", None),
            ("unix:", None),
            ("", None),
            ("192.0.2.1:", None),
            ("192.0.2.1:443:1", None),
            ("192.0.2.1:123456", None),
            ("192.0.2", None),
            ("192.0.2.01", None),
            ("[192.0.2.1]", None),
            ("[::1", None),
            ("[::1]443", None),
            ("::1]", None),
            ("fe80::1%eth0", None),
            ("example.com", None),
            ("\"192.0.2.1\"", None),
        ] {
            assert_eq!(address(node), expected.map(|text| text.parse().unwrap()), "{node}");
        }
    }

    /// What is named, the nearest first, `-` where it is not known.
    fn shown(nodes: impl Iterator<Item = Option<IpAddr>>) -> String {
        let nodes = nodes.map(|node| node.map_or_else(|| "-".to_owned(), |address| address.to_string()));
        nodes.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn lines_of_x_forwarded_for() {
        let read = |lines: &[&'static str]| shown(forwarded_for(lines.iter().map(|line| line.as_bytes())));
        assert_eq!(read(&[]), "");
        assert_eq!(read(&["1.1.1.1, 2.2.2.2:80,[::3]:80"]), "::3 2.2.2.2 1.1.1.1");
        assert_eq!(read(&["1.1.1.1", "2.2.2.2, 3.3.3.3"]), "3.3.3.3 2.2.2.2 1.1.1.1");
        assert_eq!(read(&["1.1.1.1,,2.2.2.2,"]), "- 2.2.2.2 - 1.1.1.1");
        assert_eq!(shown(forwarded_for([&b"\xff, 1.1.1.1"[..]].into_iter())), "1.1.1.1 -");
    }

    #[test]
    fn lines_of_forwarded() {
        let read = |lines: &[&'static str]| shown(forwarded(lines.iter().map(|line| line.as_bytes())));
        assert_eq!(read(&["for=1.1.1.1;proto=https, For=\"[2001:db8::2]:80\""]), "2001:db8::2 1.1.1.1");
        assert_eq!(read(&["for=1.1.1.1", "by=_x ; for=2.2.2.2"]), "2.2.2.2 1.1.1.1");
        assert_eq!(read(&["for=\"1.1.1.1, for=9.9.9.9\""]), "-");
        assert_eq!(read(&["for=\"1.1.\\1.1\";by=\"a;b,c\\\"\""]), "1.1.1.1");
        assert_eq!(read(&["for=unknown, for=_hidden, proto=https, ,for=1.1.1.1;for=2.2.2.2"]), "- - - - -");
        assert_eq!(read(&["for=\"1.1.1.1", "for=2.2.2.2"]), "2.2.2.2 -");
        assert_eq!(read(&["for=1.1.1.1;", "for"]), "- -");
    }

    proptest! {
        /// A client writes what is on the left; the proxy writes the last element, on the same line or another.
        #[test]
        fn a_client_cannot_speak_for_the_proxy(left in "[ -~]{0,40}", own: [u8; 4], is_line: bool, is_quoted: bool) {
            let own = IpAddr::from(own);
            let element = if is_quoted { format!("for=\"{own}\";proto=https") } else { format!("for={own}") };
            for (written, is_forwarded) in [(element, true), (own.to_string(), false)] {
                let lines = if is_line { vec![left.clone(), written] } else { vec![format!("{left}, {written}")] };
                let lines = lines.iter().map(String::as_bytes);
                let nearest = if is_forwarded { forwarded(lines).next() } else { forwarded_for(lines).next() };
                // Not known, where the client has spoilt the line, and else what the proxy says.
                prop_assert!(nearest == Some(Some(own)) || is_forwarded && !is_line && nearest == Some(None));
            }
        }

        #[test]
        fn never_panics(line: Vec<u8>) {
            let _ = forwarded([&*line].into_iter()).count() + forwarded_for([&*line].into_iter()).count();
        }
    }
}
