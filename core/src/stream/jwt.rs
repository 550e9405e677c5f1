//! Who may read what, as a signed token says: no code of the application decides.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::{
    access::{Access, YEAR_5000_S},
    grants::granted,
    hub::Hub,
    keyset::{KeySet, Unverified},
    own::check_own,
    request::{Now, Request},
    token::token,
};
use crate::{
    error::{Error, ErrorKind, Result},
    grip::{Key, LEEWAY_S, Refusal, claims},
};

/// JSON Web Tokens (RFC 7519) that are accepted, and from where. Cheap to clone.
///
/// A client sends its token as `Authorization: Bearer`, or in a cookie, `__Secure-evstream`; never in the query, which ends up
/// in logs. The key alone decides on the algorithm. Of its claims
///
/// - `exp` is required: then the stream ends, and the client is to come back with another token;
/// - `nbf` is respected, with 5 s for clocks that differ;
/// - `iss` must be the [issuer](Self::issuer), if there is one;
/// - `aud` must name an [audience](Self::audience), if there is one, and must be absent if there is none;
/// - `sub` is the user, as [`Access::user`] names one;
/// - `evstream` has the channels: `{"channels": ["room-1"]}`. So has `authorization_details` as Mercure 1.0 has it, where topics
///   match exactly.
///
/// The client reads those that it names, each of which the token must have; or all of them, where it names none.
///
/// ```
/// use evstream::{Jwt, Mount, grip::Key};
/// # let public_key = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
/// let jwt = Jwt::new(Key::parse(public_key)?)?.issuer("https://login.example.com").audience("https://example.com/live/");
/// let mount = Mount::new("/live/").jwt(jwt);
/// # Ok::<(), evstream::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a mount is to have it"]
pub struct Jwt {
    keys: Vec<Key>,
    set: Option<Arc<KeySet>>,
    issuer: Option<String>,
    audiences: Vec<String>,
    cookie: String,
}

impl Jwt {
    /// Tokens that are signed with this key: a shared secret (HS256), an EC P-256 key (ES256) or an RSA key (RS256).
    ///
    /// Fails with `invalid-config` when it is a secret that can be guessed: whoever has a token can try.
    pub fn new(key: Key) -> Result<Self> {
        Self::without_keys().key(key)
    }

    /// Tokens that are signed with a key of the set (RFC 7517) at this address, as issuers have one: EC P-256 (ES256) and RSA
    /// keys (RS256), 100 at most in 64 KiB; a token that names its key, `kid`, is verified with that.
    ///
    /// It is fetched in the background: at once, every ten minutes, or as the `max-age` of its `Cache-Control` says between a minute
    /// and an hour, and when a token names a key that it lacks, once a minute at most. What was fetched last holds while the address
    /// does not answer, which is logged, and counted in [`Stats::key_failures`](crate::Stats::key_failures). Before the first answer
    /// nothing is granted: clients are told to come back.
    ///
    /// Fails with `invalid-config` unless the address begins with `https://`, or is a loopback address.
    ///
    /// ```
    /// use evstream::{Jwt, Mount};
    /// let jwt = Jwt::keys_at("https://login.example.com/.well-known/jwks.json")?.issuer("https://login.example.com");
    /// let mount = Mount::new("/live/").jwt(jwt);
    /// # Ok::<(), evstream::Error>(())
    /// ```
    pub fn keys_at(url: &str) -> Result<Self> {
        Self::without_keys().and_keys_at(url)
    }

    fn without_keys() -> Self {
        let (keys, audiences, cookie) = (Vec::new(), Vec::new(), COOKIE.to_owned());
        Self { keys, set: None, issuer: None, audiences, cookie }
    }

    fn and_keys_at(self, url: &str) -> Result<Self> {
        if self.set.is_some() {
            return invalid("tokens are verified with keys of one address at most".to_owned());
        }
        Ok(Self { set: Some(KeySet::at(url)?), ..self })
    }

    /// Accepts tokens of another key too, such as the next one or the one before. There may be eight. Fails as
    /// [`new`](Self::new) does.
    pub fn key(mut self, key: Key) -> Result<Self> {
        if let Some(weakness) = key.weakness() {
            return invalid(format!("a key that tokens are verified with must not be weak; {weakness}"));
        }
        if self.keys.len() >= MAX_KEYS {
            return invalid(format!("tokens are verified with {MAX_KEYS} keys at most"));
        }
        self.keys.push(key);
        Ok(self)
    }

    /// Requires that the token's `iss` is this.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Requires that the token's `aud` is or holds this, or another that was given so.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// The cookie that has the token, where there is no `Authorization: Bearer`. Default: `__Secure-evstream`.
    ///
    /// Fails with `invalid-config` when its name does not begin with `__Secure-` or `__Host-`: other cookies can be set by
    /// whoever owns a neighbouring domain.
    pub fn cookie(mut self, name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let is_token = |rest: &str| {
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        if !["__Secure-", "__Host-"].iter().any(|prefix| name.strip_prefix(prefix).is_some_and(is_token)) {
            return invalid(format!(
                "the cookie of a token is '__Secure-' or '__Host-' and then letters, digits, '-', '_' and '.', not {name:?}"
            ));
        }
        self.cookie = name;
        Ok(self)
    }

    /// What the token of a request grants, in which the client names the channels `requested`.
    fn read(&self, hub: &Hub, request: &Request<'_>, now: Now) -> Result<Grant, Denied> {
        let token = token(request, &self.cookie)?;
        let claims = self.verified(token)?;
        let exp = claims.exp.ok_or(Refusal::NoExpiry)?;
        if exp >= YEAR_5000_S as f64 {
            return Err(Denied::Claims("exp is no time in seconds since 1970".to_owned()));
        }
        // Without leeway: nobody reads after it. A negative one is 0.
        let expires_at_s = exp as u64;
        if expires_at_s <= now.unix_s {
            return Err(Refusal::Expired.into());
        }
        if claims.nbf.is_some_and(|nbf| nbf > (now.unix_s + LEEWAY_S) as f64) {
            return Err(Refusal::NotYetValid.into());
        }
        if self.issuer.is_some() && claims.iss != self.issuer {
            return Err(Refusal::WrongIssuer.into());
        }
        let named = claims.aud.map_or_else(Vec::new, Audience::into_list);
        if named.is_empty() != self.audiences.is_empty()
            || !named.is_empty() && !named.iter().any(|one| self.audiences.contains(one))
        {
            return Err(Denied::WrongAudience);
        }
        check_own(hub.config(), claims.sub.as_deref())
            .map_err(|error| Denied::Claims(format!("of sub: {error}")))?;
        let channels = granted(claims.evstream.as_ref(), claims.authorization_details.as_ref())
            .map_err(Denied::Claims)?;
        if channels.is_empty() && !(hub.config().user_channel && claims.sub.is_some()) {
            return Err(Denied::Claims("it grants no channel".to_owned()));
        }
        Ok(Grant { channels, user: claims.sub, expires_at_s })
    }

    /// By the first key that has signed it. The reason is that of the key that came nearest.
    fn verified(&self, token: &str) -> Result<Claims, Denied> {
        let mut refusal = Refusal::Malformed;
        for key in &self.keys {
            match claims(key, token) {
                Ok(claims) => return Ok(claims),
                Err(other) => refusal = refusal.max(other),
            }
        }
        match self.set.as_ref().map(|set| set.claims(token)) {
            None => {}
            Some(Ok(claims)) => return Ok(claims),
            Some(Err(Unverified::Refused(other))) => refusal = refusal.max(other),
            Some(Err(Unverified::NoKeys)) => return Err(Denied::NoKeys),
        }
        Err(refusal.into())
    }

    /// The keys that are to be fetched.
    #[cfg(feature = "runtime")]
    pub(crate) fn key_set(&self) -> Option<&Arc<KeySet>> {
        self.set.as_ref()
    }
}

/// Adds a key to those of a [`Jwt`], if there is one: a text as [`Key::parse`] takes it, or the address of a set of keys.
pub fn add_key(jwt: Option<Jwt>, key: &str) -> Result<Jwt> {
    let jwt = jwt.unwrap_or_else(Jwt::without_keys);
    let is_address = ["https://", "http://"].iter().any(|scheme| {
        key.trim_start().get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    if is_address { jwt.and_keys_at(key) } else { jwt.key(Key::parse(key)?) }
}

/// Decides on a request by its token; says why it is refused, in the log and the figures, but not to the client.
pub(crate) fn decide(hub: &Hub, jwt: &Jwt, request: &Request<'_>, requested: &[String], now: Now) -> Access {
    let Grant { channels, user, expires_at_s } = match jwt.read(hub, request, now) {
        Ok(grant) => grant,
        Err(Denied::NoKeys) => {
            if let Some(requests) = hub.token_log.pass(now.ms) {
                tracing::warn!(
                    requests,
                    "the keys of tokens are not known yet, so clients are told to come back"
                );
            }
            return Access::fail("the keys that tokens are verified with are not known yet");
        }
        Err(denied) => {
            hub.counters.count_token_refusal();
            if let Some(requests) = hub.token_log.pass(now.ms) {
                tracing::warn!(requests, reason = denied.reason(), "requests were refused for their tokens");
            }
            return Access::unauthorized(denied.told(), denied.challenge());
        }
    };
    let access = match Access::of_token("token", channels, requested) {
        Ok(access) => access.expires_at(expires_at_s),
        Err(refusal) => return refusal,
    };
    match user {
        Some(user) => access.user(user),
        None => access,
    }
}

/// What a token grants.
struct Grant {
    channels: Vec<String>,
    user: Option<String>,
    expires_at_s: u64,
}

#[derive(Deserialize)]
struct Claims {
    exp: Option<f64>,
    nbf: Option<f64>,
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    evstream: Option<Value>,
    authorization_details: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Several(several) => several,
        }
    }
}

/// Why a token grants nothing.
pub(super) enum Denied {
    Token(Refusal),
    /// They are still being fetched.
    NoKeys,
    WrongAudience,
    Claims(String),
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self::Token(refusal)
    }
}

impl Denied {
    /// For the log. It quotes no token, and of its claims only what is signed.
    fn reason(&self) -> String {
        match self {
            Self::Token(refusal) => refusal.code().to_owned(),
            Self::NoKeys => "no-keys".to_owned(),
            Self::WrongAudience => "wrong-audience".to_owned(),
            Self::Claims(why) => format!("bad-claims: {why}"),
        }
    }

    /// For the client, who is to get another token.
    fn told(&self) -> &'static str {
        match self {
            Self::Token(Refusal::Missing) => "a token is needed",
            Self::Token(Refusal::Expired) => "the token has expired",
            _ => "the token is not accepted",
        }
    }

    /// The value of a `WWW-Authenticate` (RFC 6750 3).
    fn challenge(&self) -> &'static str {
        match self {
            Self::Token(Refusal::Missing) => "Bearer",
            _ => r#"Bearer error="invalid_token""#,
        }
    }
}

/// As bindings have it: `keys` as [`add_key`] takes them, one at least.
pub fn jwt_of(
    keys: &[String],
    issuer: Option<String>,
    audiences: Vec<String>,
    cookie: Option<String>,
) -> Result<Jwt> {
    let jwt = keys.iter().try_fold(None, |jwt, key| add_key(jwt, key).map(Some))?;
    let Some(jwt) = jwt else {
        return invalid("tokens are verified with a key, and there is none".to_owned());
    };
    let jwt = Jwt { issuer, audiences, ..jwt };
    match cookie {
        Some(name) => jwt.cookie(name),
        None => Ok(jwt),
    }
}

fn invalid<T>(text: String) -> Result<T> {
    Err(Error::new(ErrorKind::InvalidConfig, text))
}

const COOKIE: &str = "__Secure-evstream";
const MAX_KEYS: usize = 8;

#[cfg(all(test, not(evstream_loom)))]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use ring::hmac;

    use super::*;
    use crate::{config::Config, stream::access, wire::Epoch};

    const NOW: Now = Now { ms: 1, unix_s: 1_800_000_000 };
    const SECRET: &str = "a secret of some length";

    /// With a true signature.
    fn signed(claims: &str) -> String {
        let message =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode(claims));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    fn granted_by(authorization: &str) -> Access {
        let hub = Hub::new(Config::new(), Epoch(1)).unwrap();
        let headers: [(&str, &[u8]); 1] = [("authorization", authorization.as_bytes())];
        let request = Request { method: "GET", path: "/", query: "", headers: &headers, peer: None };
        let access = decide(&hub, &Jwt::new(Key::parse(SECRET).unwrap()).unwrap(), &request, &[], NOW);
        assert_eq!(hub.stats().tokens_refused, u64::from(access.refusal.is_some()));
        access
    }

    #[test]
    fn a_token_counts_up_to_its_end_and_hardly_before_its_beginning() {
        let with = |times: &str| {
            let claims = format!(r#"{{{times},"sub":"bob","evstream":{{"channels":["a"]}}}}"#);
            granted_by(&format!("Bearer {}", signed(&claims)))
        };
        let access = with(r#""exp":1800000001.9,"nbf":1800000005"#);
        assert_eq!(
            (access.refusal, access.expires_at_s, access.user.as_deref(), access.channels),
            (None, Some(1_800_000_001), Some("bob"), Some(vec!["a".to_owned()]))
        );
        for (times, text) in [
            (r#""exp":1800000000.9"#, "the token has expired"),
            (r#""exp":1800000100,"nbf":1800000006"#, "the token is not accepted"),
            (r#""nbf":1"#, "the token is not accepted"),
        ] {
            let Some(access::Refusal::Unauthorized(told, _)) = with(times).refusal else { panic!("{times}") };
            assert_eq!(told, text, "{times}");
        }
    }

    #[test]
    fn what_cannot_be_safe_is_no_way_to_accept_tokens() {
        let key = |text: &str| Key::parse(text).unwrap();
        for weak in ["changeme", "short"] {
            assert_eq!(Jwt::new(key(weak)).unwrap_err().kind(), ErrorKind::InvalidConfig, "{weak}");
            assert!(Jwt::new(key(SECRET)).unwrap().key(key(weak)).is_err(), "{weak}");
        }
        let eight =
            (1..MAX_KEYS).fold(Jwt::new(key(SECRET)).unwrap(), |jwt, _| jwt.key(key(SECRET)).unwrap());
        assert!(eight.key(key(SECRET)).is_err());
        for (name, is_good) in [
            ("__Secure-a.b_c-1", true),
            ("__Host-token", true),
            ("__Secure-", false),
            ("token", false),
            ("__secure-token", false),
            ("__Secure-a b", false),
            ("__Secure-a=b", false),
            ("", false),
        ] {
            assert_eq!(Jwt::new(key(SECRET)).unwrap().cookie(name).is_ok(), is_good, "{name:?}");
        }
    }

    proptest! {
        /// Whatever a client writes, and whatever an issuer signs: nothing is granted but what the claims say.
        #[test]
        fn never_panics_and_grants_nothing(
            header in "(bearer |BEARER  )?[ -~]{0,80}|\\PC{0,20}",
            claims in "\\{\"exp\":(1900000000|-1|1e300|\"x\"),\"(evstream|authorization_details|sub|aud)\":[\\[\\]{}\":a1,]{0,20}\\}",
        ) {
            prop_assert!(granted_by(&header).refusal.is_some());
            let access = granted_by(&format!("Bearer {}", signed(&claims)));
            prop_assert!(access.refusal.is_some());
        }
    }
}
