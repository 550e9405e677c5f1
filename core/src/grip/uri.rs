//! The parts of a control URI, and the settings in the query of a `GRIP_URL`.

use std::borrow::Cow;

use crate::{
    error::{Error, ErrorKind, Result},
    wire::percent_decode,
};

/// A control URI in its parts. No `Debug`: the user part is a secret, and the query may hold one.
pub(super) struct Uri<'a> {
    /// Up to and including host and port, such as `http://localhost:5561`.
    pub(super) origin: String,
    /// User and password, percent-decoded.
    pub(super) user: Option<(Cow<'a, str>, Cow<'a, str>)>,
    /// Empty, or begins with a slash.
    pub(super) path: &'a str,
    /// Without its question mark.
    pub(super) query: &'a str,
}

impl<'a> Uri<'a> {
    /// Splits a URI and drops its fragment. No error text quotes the URI, as any part of it may be a secret.
    pub(super) fn parse(uri: &'a str) -> Result<Self> {
        let uri = uri.trim();
        let (scheme, rest) = uri.split_once("://").ok_or_else(no_scheme)?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return Err(no_scheme());
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(read_user(user)?), host),
            None => (None, authority),
        };
        check_host(host)?;
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid(
                "the path of the control URI holds blanks or characters beyond ASCII; percent-encode them",
            ));
        }
        Ok(Self { origin: format!("{scheme}://{}", host.to_ascii_lowercase()), user, path, query })
    }
}

/// The scheme, host and port of an address over HTTP, in small letters; `None` when it has a user or password too.
pub(crate) fn origin_of(uri: &str) -> Result<Option<String>> {
    let Uri { origin, user, .. } = Uri::parse(uri)?;
    Ok(user.is_none().then_some(origin))
}

/// The values that a `GRIP_URL` gives for `keys`, and the query that is left without them.
///
/// The first value that is not empty counts. A plus is a plus: people paste base64 without encoding it.
pub(super) fn take_settings<'a, const N: usize>(
    query: &'a str,
    keys: [&str; N],
) -> Result<([Option<Cow<'a, str>>; N], String)> {
    let mut values = [const { None }; N];
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name).unwrap_or(Cow::Borrowed(name));
        let Some(i) = keys.iter().position(|key| *key == name) else {
            rest.push(pair);
            continue;
        };
        if !value.is_empty() && values[i].is_none() {
            let value =
                decode(value).map_err(|reason| invalid(format!("'{name}' in the GRIP URL {reason}")))?;
            values[i] = Some(value);
        }
    }
    let rest = rest.join("&");
    if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid(
            "the query of the GRIP URL holds blanks or characters beyond ASCII; percent-encode them",
        ));
    }
    Ok((values, rest))
}

/// Percent-decodes, but leaves a plus alone.
pub(super) fn decode(text: &str) -> Result<Cow<'_, str>, &'static str> {
    if !text.contains('+') {
        return percent_decode(text);
    }
    percent_decode(&text.replace('+', "%2B")).map(|text| Cow::Owned(text.into_owned()))
}

fn read_user(user: &str) -> Result<(Cow<'_, str>, Cow<'_, str>)> {
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let decode = |text, name| {
        decode(text).map_err(|reason| invalid(format!("the {name} in the control URI {reason}")))
    };
    Ok((decode(user, "user")?, decode(password, "password")?))
}

/// A name or an address, and perhaps a port.
fn check_host(host: &str) -> Result<()> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or_else(|| invalid(BAD_HOST))?;
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(invalid(BAD_HOST));
            }
            (address, (!port.is_empty()).then_some(port))
        }
        None => match host.find(':') {
            Some(colon) => (&host[..colon], Some(&host[colon..])),
            None => (host, None),
        },
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    if name.is_empty() || !name.bytes().all(legal) {
        return Err(invalid(BAD_HOST));
    }
    let is_port = |port: &str| {
        let digits = port.strip_prefix(':').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).is_some_and(|port: u16| port > 0)
    };
    if !port.is_none_or(is_port) {
        return Err(invalid("the control URI has a port that is not a number from 1 to 65535"));
    }
    Ok(())
}

fn no_scheme() -> Error {
    invalid("the control URI must begin with http:// or https://, such as http://localhost:5561")
}

fn invalid(text: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidConfig, text)
}

const BAD_HOST: &str = "the control URI needs a host after '://': a name in ASCII, an IPv4 address, or an IPv6 address \
                        in brackets; a slash in a password must be written as %2F";
