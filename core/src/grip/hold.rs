//! Hold instructions: response headers that make a proxy keep the connection.

use std::{borrow::Cow, fmt::Write as _};

use super::channel::percent_encode;
use crate::{
    error::{Error, ErrorKind, Result},
    wire::protocol::{
        GRIP_CHANNEL_HEADER, GRIP_HOLD_HEADER, GRIP_KEEP_ALIVE_HEADER, GRIP_LINK_HEADER,
        GRIP_SET_META_HEADER, MAX_HOLD_CHANNELS,
    },
};

/// An instruction to hold a response open as a stream, as a list of headers.
///
/// The response that carries it gives the first bytes of the stream and must end. It must not be compressed, nor be
/// the answer to a `HEAD` request. The answer to a next link replaces the whole instruction, so it repeats all of it.
///
/// ```
/// use evstream::grip::{Hold, Prefix};
/// let prefix = Prefix::new("events-")?;
/// let headers = Hold::new()
///     .channel(&prefix.encode("clock"), Some("5f3a9c01-00000000001f"))
///     .channel(&prefix.encode("notices"), None)
///     .keep_alive(":\n\n", 20)
///     .next("/events/next", 45)
///     .headers()?;
/// assert_eq!(headers[0], ("Grip-Hold", "stream".to_owned()));
/// # Ok::<(), evstream::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Hold<'a> {
    channels: Vec<Subscribed<'a>>,
    keep_alive: Option<(&'a str, u32)>,
    next: Option<(&'a str, u32)>,
    meta: Vec<(&'a str, &'a str)>,
}

#[derive(Clone, Copy, Debug)]
struct Subscribed<'a> {
    name: &'a str,
    prev_id: Option<&'a str>,
    filter: Option<&'a str>,
}

impl<'a> Hold<'a> {
    /// An instruction without channels yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Subscribes the response to a channel, by its name on the proxy: see [`Prefix::encode`](super::Prefix::encode).
    ///
    /// With `prev_id`, the id of the last item that the response has, the proxy notices gaps, and asks the next link
    /// for what is missing. Then every item on the channel must be published with `id` and `prev-id`; give a second
    /// channel without `prev_id` for what has none, hints among them: a proxy that is just asking the next link drops
    /// what does not follow, but keeps what needs not follow anything. At most 20 channels.
    pub fn channel(mut self, proxy_name: &'a str, prev_id: Option<&'a str>) -> Self {
        self.channels.push(Subscribed { name: proxy_name, prev_id, filter: None });
        self
    }

    /// Subscribes the response to a channel without `prev_id`, on which an item with
    /// [`require_sub`](super::Item::require_sub) goes only to those who are on the channel that it names, too.
    pub fn filtered(mut self, proxy_name: &'a str) -> Self {
        self.channels.push(Subscribed { name: proxy_name, prev_id: None, filter: Some(REQUIRE_SUB) });
        self
    }

    /// Makes the proxy send `data` when it has sent nothing for `timeout_s` seconds (1 or more).
    pub fn keep_alive(mut self, data: &'a str, timeout_s: u32) -> Self {
        self.keep_alive = Some((data, timeout_s));
        self
    }

    /// Where the proxy asks for what it missed: a path or URI, which it requests without cookies or any other header of
    /// the client, after every gap, and when nothing came for `timeout_s` seconds (1 or more).
    ///
    /// Proxies share one answer among all clients whose links have the same path, so nothing that belongs to one
    /// client may be in the query: see [`Link`](super::Link).
    pub fn next(mut self, uri: &'a str, timeout_s: u32) -> Self {
        self.next = Some((uri, timeout_s));
        self
    }

    /// Sets a value that filters of the proxy use, such as `user`.
    pub fn meta(mut self, name: &'a str, value: &'a str) -> Self {
        self.meta.push((name, value));
        self
    }

    /// The headers; names and values are ASCII.
    ///
    /// Fails with `invalid-argument` when the proxy could not read them, or would silently do something else.
    pub fn headers(&self) -> Result<Vec<(&'static str, String)>> {
        let mut headers =
            vec![(GRIP_HOLD_HEADER, "stream".to_owned()), (GRIP_CHANNEL_HEADER, self.channel_value()?)];
        if let Some((data, timeout_s)) = self.keep_alive {
            let data = cstring(data);
            if data.is_empty() {
                return Err(invalid("the keep-alive data must not be empty"));
            }
            let timeout_s = at_least_a_second(timeout_s, "keep-alive")?;
            headers.push((GRIP_KEEP_ALIVE_HEADER, format!("{data}; format=cstring; timeout={timeout_s}")));
        }
        if let Some((uri, timeout_s)) = self.next {
            let timeout_s = at_least_a_second(timeout_s, "next link")?;
            headers.push((GRIP_LINK_HEADER, format!("<{}>; rel=next; timeout={timeout_s}", link_uri(uri))));
        }
        if !self.meta.is_empty() {
            headers.push((GRIP_SET_META_HEADER, self.meta_value()?));
        }
        Ok(headers)
    }

    fn channel_value(&self) -> Result<String> {
        if self.channels.is_empty() || self.channels.len() > MAX_HOLD_CHANNELS {
            let text = format!(
                "a hold may have 1 to {MAX_HOLD_CHANNELS} channels, this one has {}",
                self.channels.len()
            );
            return Err(invalid(text));
        }
        let mut value = String::new();
        for Subscribed { name, prev_id, filter } in &self.channels {
            if !is_bare(name) {
                return Err(invalid(format!("the name of a channel on the proxy {MUST_BE_BARE}")));
            }
            value.push_str(if value.is_empty() { "" } else { ", " });
            value.push_str(name);
            if let Some(prev_id) = prev_id {
                if !is_bare(prev_id) {
                    return Err(invalid(format!("the id of an item {MUST_BE_BARE}")));
                }
                value.push_str("; prev-id=");
                value.push_str(prev_id);
            }
            if let Some(filter) = filter {
                value.push_str("; filter=");
                value.push_str(filter);
            }
        }
        Ok(value)
    }

    fn meta_value(&self) -> Result<String> {
        let mut out = String::new();
        for (name, value) in &self.meta {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
                return Err(invalid(
                    "a meta name may hold letters, digits, '-', '_' and '.', and must not be empty",
                ));
            }
            if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
                return Err(invalid("a meta value must be printable ASCII"));
            }
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            let separator = if out.is_empty() { "" } else { ", " };
            write!(out, "{separator}{name}=\"{escaped}\"").expect("writing to a String does not fail");
        }
        Ok(out)
    }
}

/// The header of a page: a reply without a hold, after whose body the proxy asks `uri` at once for what comes next.
///
/// The proxy says nothing of what it has seen, so where to go on has to stand in the path: see [`Link`](super::Link).
pub fn next_page(uri: &str) -> (&'static str, String) {
    (GRIP_LINK_HEADER, format!("<{}>; rel=next", link_uri(uri)))
}

/// Whether a proxy reads `text` back as it is; it trims, and cuts at commas and semicolons.
pub(super) fn is_bare(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b",;\"\\=".contains(&byte))
}

/// A filter of proxies.
const REQUIRE_SUB: &str = "require-sub";

pub(super) const MUST_BE_BARE: &str =
    "must be printable ASCII without blanks and any of , ; = \" \\, and not empty; percent-encode it";

/// The text in the form `cstring` of a keep-alive. It knows few escapes, and ends at a bare semicolon.
fn cstring(data: &str) -> String {
    let mut out = String::with_capacity(data.len() + 8);
    let last = data.len().saturating_sub(1);
    for (i, byte) in data.bytes().enumerate() {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b' ' if i != 0 && i != last => out.push(' '), // at the ends blanks would be trimmed
            b';' | b' ' => write!(out, "\\x{byte:02x}").expect("writing to a String does not fail"),
            _ if byte.is_ascii_graphic() => out.push(char::from(byte)),
            _ => write!(out, "\\x{byte:02x}").expect("writing to a String does not fail"),
        }
    }
    out
}

/// A URI that cannot end the header value it stands in. What is already percent-encoded stays.
pub(super) fn link_uri(uri: &str) -> Cow<'_, str> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+:@/?=%#[]".contains(&byte);
    if uri.bytes().all(legal) {
        return Cow::Borrowed(uri);
    }
    let mut out = String::with_capacity(uri.len() + 8);
    percent_encode(&mut out, uri, legal);
    Cow::Owned(out)
}

fn at_least_a_second(timeout_s: u32, what: &str) -> Result<u32> {
    if timeout_s > 0 && i32::try_from(timeout_s).is_ok() {
        return Ok(timeout_s);
    }
    Err(invalid(format!("the {what} timeout must be from 1 to {} seconds", i32::MAX)))
}

fn invalid(text: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidArgument, text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Pushpin does with the value: cut at the first semicolon, trim, undo the escapes it knows.
    fn read_cstring(value: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut bytes = value.split(';').next()?.trim().bytes();
        while let Some(byte) = bytes.next() {
            out.push(match byte {
                b'\\' => match bytes.next()? {
                    b'\\' => b'\\',
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b'x' => {
                        let digits = [bytes.next()?, bytes.next()?];
                        u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                    }
                    _ => return None,
                },
                byte => byte,
            });
        }
        Some(out)
    }

    fn header(hold: &Hold<'_>, name: &str) -> String {
        let headers = hold.headers().unwrap();
        headers.into_iter().find(|(header, _)| *header == name).unwrap().1
    }

    #[test]
    fn a_link_cannot_break_out_of_its_header() {
        let hold = Hold::new().channel("c", None).next("/a,b;c/>; rel=gone, </x y\"é", 30);
        assert_eq!(
            header(&hold, "Grip-Link"),
            "</a%2Cb%3Bc/%3E%3B%20rel=gone%2C%20%3C/x%20y%22%C3%A9>; rel=next; timeout=30"
        );
    }

    #[test]
    fn a_filter_stands_beside_its_channel() {
        let hold = Hold::new().channel("a", Some("1")).filtered("b").channel("c", None);
        assert_eq!(header(&hold, "Grip-Channel"), "a; prev-id=1, b; filter=require-sub, c");
    }

    #[test]
    fn what_a_proxy_would_misread_is_refused() {
        let hold = || Hold::new().channel("c", None);
        for bad in [
            Hold::new(),
            Hold::new().channel("", None),
            Hold::new().channel("a,b", None),
            Hold::new().channel("a b", None),
            Hold::new().channel("a", Some("")),
            Hold::new().channel("a", Some("1;2")),
            Hold::new().channel("a", Some("é")),
            (0..21).fold(Hold::new(), |hold, _| hold.channel("c", None)),
            hold().keep_alive("", 20),
            hold().keep_alive(":", 0),
            hold().next("/", 0),
            hold().next("/", u32::MAX),
            hold().meta("", "x"),
            hold().meta("a=b", "x"),
            hold().meta("user", "a\r\nb"),
            hold().meta("user", "é"),
        ] {
            assert_eq!(bad.headers().unwrap_err().kind(), ErrorKind::InvalidArgument, "{bad:?}");
        }
        assert!((0..20).fold(Hold::new(), |hold, _| hold.channel("c", None)).headers().is_ok());
    }

    proptest! {
        #[test]
        fn keep_alive_data_arrives_whole(data in "([ ;\\\\\t\r\n\u{0}é]|\\PC){1,20}") {
            let value = header(&Hold::new().channel("c", None).keep_alive(&data, 20), "Grip-Keep-Alive");
            prop_assert!(value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
            prop_assert!(value.ends_with("; format=cstring; timeout=20"));
            prop_assert_eq!(read_cstring(&value), Some(data.into_bytes()));
        }

        #[test]
        fn values_are_always_safe_in_a_header(
            name in "\\PC{0,6}", id in "\\PC{0,6}", uri: String, key in "\\PC{0,6}", value: String,
        ) {
            let hold = Hold::new().channel(&name, Some(&id)).next(&uri, 1).meta(&key, &value);
            if let Ok(headers) = hold.headers() {
                for (_, value) in headers {
                    prop_assert!(value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
                }
            }
        }
    }
}
