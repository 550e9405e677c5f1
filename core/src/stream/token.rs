//! Where a request has its token.

use super::{jwt::Denied, request::Request};
use crate::grip::Refusal;

/// The token of an `Authorization: Bearer`, or else of the cookie of that name. Other schemes are not ours to judge.
pub(super) fn token<'a>(request: &Request<'a>, cookie: &str) -> Result<&'a str, Denied> {
    let found = match one(values(request, "authorization"))?.map(bearer).transpose()?.flatten() {
        Some(token) => Some(token),
        None => one(cookies(request).filter(|(name, _)| *name == cookie.as_bytes()).map(|(_, value)| value))?,
    };
    let token = found.ok_or(Refusal::Missing)?;
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Refusal::Malformed.into());
    }
    Ok(std::str::from_utf8(token).map_err(|_| Refusal::Malformed)?)
}

/// The token, if it is that scheme.
fn bearer(value: &[u8]) -> Result<Option<&[u8]>, Denied> {
    let at = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(at);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Ok(None);
    }
    let token = rest.trim_ascii();
    if token.is_empty() { Err(Refusal::Malformed.into()) } else { Ok(Some(token)) }
}

fn cookies<'a>(request: &Request<'a>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    values(request, "cookie").flat_map(|line| line.split(|byte| *byte == b';')).map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        (pair[..at].trim_ascii(), pair.get(at + 1..).unwrap_or_default().trim_ascii())
    })
}

fn values<'a>(request: &Request<'a>, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    let lines = request.headers.iter().filter(move |(header, _)| header.eq_ignore_ascii_case(name));
    lines.map(|(_, value)| value.trim_ascii())
}

/// The only one. Of two somebody else may have set one, and another program may heed the other.
fn one<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<Option<&'a [u8]>, Denied> {
    let first = values.next();
    if values.next().is_some() {
        return Err(Denied::Claims("there are two of them".to_owned()));
    }
    Ok(first)
}

/// More than any server takes by default.
const MAX_TOKEN_BYTES: usize = 8_192;
