//! The `Authorization` of publish requests: made by a publisher, judged by what it publishes to.

use std::fmt;

use ::base64::{Engine, engine::general_purpose::STANDARD};
use ring::hmac;

use super::{
    base64,
    jwt::{self, Refusal},
    key::{Key, KeyKind, same_secret},
};
use crate::error::{Error, ErrorKind, Result};

/// How a publish request is authorized. Both sides are configured with the same value.
///
/// `Debug` shows no secrets.
#[derive(Clone)]
pub struct Auth(Kind);

/// The value of an `Authorization` header.
#[derive(Clone)]
pub struct Authorization {
    value: String,
    renew_at_s: Option<u64>,
}

#[derive(Clone)]
enum Kind {
    None,
    Basic { user: String, password: String },
    Bearer { token: String },
    Jwt { iss: String, key: Key },
}

impl Auth {
    /// No authorization: what Pushpin expects on its own host.
    pub fn none() -> Self {
        Self(Kind::None)
    }

    /// A user and a password. Fails with `invalid-config` when the user holds a colon.
    pub fn basic(user: &str, password: &str) -> Result<Self> {
        if user.contains(':') {
            return Err(Error::new(ErrorKind::InvalidConfig, "the user must not hold a colon"));
        }
        Ok(Self(Kind::Basic { user: user.to_owned(), password: password.to_owned() }))
    }

    /// A fixed token, such as an API key of Fastly. Blanks around it are not part of it.
    ///
    /// Fails with `invalid-config` when it is empty or cannot be sent in a header.
    pub fn bearer(token: &str) -> Result<Self> {
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let text = "the bearer token must be printable ASCII without blanks, and not empty";
            return Err(Error::new(ErrorKind::InvalidConfig, text));
        }
        Ok(Self(Kind::Bearer { token: token.to_owned() }))
    }

    /// A token signed with `key` that names `iss` and expires after an hour; it is renewed after half of that.
    ///
    /// With a public key, requests can be judged but not made.
    pub fn jwt(iss: &str, key: Key) -> Self {
        Self(Kind::Jwt { iss: iss.to_owned(), key })
    }

    /// Whether it is [`none`](Self::none).
    pub fn is_none(&self) -> bool {
        matches!(self.0, Kind::None)
    }

    /// What to send with a request; `None` for no header at all.
    ///
    /// Fails with `invalid-config` when the key is a public key, and with `internal` when the system gives no random
    /// numbers.
    pub fn header(&self, now_s: u64) -> Result<Option<Authorization>> {
        let (value, renew_at_s) = match &self.0 {
            Kind::None => return Ok(None),
            Kind::Basic { user, password } => {
                (format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))), None)
            }
            Kind::Bearer { token } => (format!("Bearer {token}"), None),
            Kind::Jwt { iss, key } => {
                let token = jwt::sign(key, iss, now_s.saturating_add(LIFETIME_S))?;
                (format!("Bearer {token}"), Some(now_s.saturating_add(LIFETIME_S / 2)))
            }
        };
        Ok(Some(Authorization { value, renew_at_s }))
    }

    /// Accepts the `Authorization` header of a request made with the same `Auth`; everything if it is `none`.
    ///
    /// Secrets are compared in constant time.
    pub fn check(&self, authorization: Option<&str>, now_s: u64) -> Result<(), Refusal> {
        if self.is_none() {
            return Ok(());
        }
        let header = authorization.map(str::trim).filter(|header| !header.is_empty());
        let (scheme, value) = header.ok_or(Refusal::Missing)?.split_once(' ').ok_or(Refusal::Malformed)?;
        let value = value.trim_start();
        let required = if matches!(self.0, Kind::Basic { .. }) { "basic" } else { "bearer" };
        if !scheme.eq_ignore_ascii_case(required) {
            return Err(Refusal::WrongAlgorithm);
        }
        match &self.0 {
            Kind::None => Ok(()),
            Kind::Basic { user, password } => {
                // pubcontrol on Python 3 sends `Basic b'...'`.
                let value = value.strip_prefix("b'").and_then(|v| v.strip_suffix('\'')).unwrap_or(value);
                let given = base64::decode(value).ok_or(Refusal::Malformed)?;
                same(&given, format!("{user}:{password}").as_bytes())
            }
            Kind::Bearer { token } => same(value.as_bytes(), token.as_bytes()),
            Kind::Jwt { iss, key } => jwt::verify(key, Some(iss), value, now_s),
        }
    }

    /// The value of a `WWW-Authenticate` header, for the answer to a request that is refused (RFC 9110 11.6.1).
    pub fn challenge(&self) -> &'static str {
        if matches!(self.0, Kind::Basic { .. }) {
            r#"Basic realm="publish", charset="UTF-8""#
        } else {
            "Bearer"
        }
    }

    /// The key that requests are signed with, if both sides share it.
    pub(super) fn shared_key(&self) -> Option<&Key> {
        match &self.0 {
            Kind::Jwt { key, .. } if key.kind() == KeyKind::Secret => Some(key),
            _ => None,
        }
    }

    /// A key for another purpose, the same for the same secret and `purpose`; `None` without a secret.
    pub(super) fn derive(&self, purpose: &str) -> Option<hmac::Key> {
        match &self.0 {
            Kind::None => None,
            Kind::Basic { password: secret, .. } | Kind::Bearer { token: secret } => {
                Key::from_secret(secret.as_bytes()).ok()?.derive(purpose)
            }
            Kind::Jwt { key, .. } => key.derive(purpose),
        }
    }
}

impl Authorization {
    /// The value of the header. It is a secret: mark it as sensitive and keep it out of logs.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// When to make a new one, in seconds since 1970; `None` if it never expires.
    pub fn renew_at_s(&self) -> Option<u64> {
        self.renew_at_s
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::None => f.write_str("None"),
            Kind::Basic { .. } => f.write_str("Basic(..)"),
            Kind::Bearer { .. } => f.write_str("Bearer(..)"),
            Kind::Jwt { iss, key } => f.debug_struct("Jwt").field("iss", iss).field("key", key).finish(),
        }
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization").field("renew_at_s", &self.renew_at_s).finish_non_exhaustive()
    }
}

/// Renewed at half of this: a proxy whose clock is half an hour off still accepts it.
const LIFETIME_S: u64 = 3600;

fn same(given: &[u8], expected: &[u8]) -> Result<(), Refusal> {
    if same_secret(given, expected) { Ok(()) } else { Err(Refusal::WrongKey) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    fn jwt(secret: &str) -> Auth {
        Auth::jwt("me", Key::parse(secret).unwrap())
    }

    fn all() -> Vec<Auth> {
        vec![Auth::basic("usér", "p:w").unwrap(), Auth::bearer("token").unwrap(), jwt("secret")]
    }

    #[test]
    fn each_accepts_its_own_header_and_no_other() {
        for (i, auth) in all().iter().enumerate() {
            for (j, other) in all().iter().enumerate() {
                let header = other.header(NOW_S).unwrap().unwrap();
                assert_eq!(auth.check(Some(header.value()), NOW_S).is_ok(), i == j, "{auth:?} and {other:?}");
            }
            assert_eq!(auth.check(None, NOW_S), Err(Refusal::Missing));
            assert_eq!(auth.check(Some(" "), NOW_S), Err(Refusal::Missing));
            assert_eq!(auth.check(Some("Bearer"), NOW_S), Err(Refusal::Malformed));
        }
        assert!(Auth::none().header(NOW_S).unwrap().is_none());
        assert_eq!(Auth::none().check(None, NOW_S), Ok(()));
    }

    #[test]
    fn header_values() {
        let value = |auth: Auth| auth.header(NOW_S).unwrap().unwrap().value().to_owned();
        assert_eq!(value(Auth::basic("user", "pass:ü").unwrap()), "Basic dXNlcjpwYXNzOsO8");
        assert_eq!(value(Auth::bearer("abc\n").unwrap()), "Bearer abc");
        assert!(value(jwt("secret")).starts_with("Bearer eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9."));
    }

    #[test]
    fn spellings_of_other_publishers() {
        let basic = Auth::basic("user", "pass").unwrap();
        for header in ["Basic dXNlcjpwYXNz", "basic  dXNlcjpwYXNz ", "Basic b'dXNlcjpwYXNz'"] {
            assert_eq!(basic.check(Some(header), NOW_S), Ok(()), "{header}");
        }
        assert_eq!(basic.check(Some("Basic dXNlcjpwYXNzIQ=="), NOW_S), Err(Refusal::WrongKey));
        assert_eq!(basic.check(Some("Basic *"), NOW_S), Err(Refusal::Malformed));
    }

    #[test]
    fn a_signed_header_is_renewed_in_time() {
        let header = jwt("secret").header(NOW_S).unwrap().unwrap();
        let renew_at_s = header.renew_at_s().unwrap();
        assert!(jwt("secret").check(Some(header.value()), renew_at_s + 1700).is_ok());
        assert_eq!(jwt("secret").check(Some(header.value()), NOW_S + 3605), Err(Refusal::Expired));
        assert_eq!(jwt("other").check(Some(header.value()), NOW_S), Err(Refusal::WrongKey));
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        for token in ["", " ", "a b", "a\r\nb", "é"] {
            assert_eq!(Auth::bearer(token).unwrap_err().kind(), ErrorKind::InvalidConfig, "{token:?}");
        }
        assert!(Auth::basic("a:b", "c").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(header in "(Basic |Bearer |bearer b')?\\PC{0,40}") {
            for auth in all() {
                let _ = auth.check(Some(&header), NOW_S);
            }
        }
    }
}
