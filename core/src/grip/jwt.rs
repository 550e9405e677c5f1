//! Signed tokens: JSON Web Tokens in compact form (RFC 7515, RFC 7519), as little of them as GRIP needs.
//!
//! jsonwebtoken reads and writes their parts. It signs and verifies only through a provider for the whole process, which
//! belongs to the application, so the signature itself is ring's. What is dangerous in JWT is taking orders from the
//! token; here the key alone decides the algorithm, and nothing else in the token's header is obeyed.

use std::fmt;

use ::base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Header, dangerous, decode_header,
    errors::{Error as JwtError, ErrorKind as JwtErrorKind},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::key::Key;
use crate::error::{Error, ErrorKind, Result};

/// How far the clocks of two hosts may differ before a token counts as expired or not yet valid, in seconds.
pub const LEEWAY_S: u64 = 5;

/// Why a signature was refused. In the order of the checks: the later, the nearer the token came to being accepted.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Refusal {
    /// There is none.
    Missing,
    /// It cannot be read as what it should be.
    Malformed,
    /// It is signed with another algorithm than the one of the configured key.
    WrongAlgorithm,
    /// It is not signed with the configured key.
    WrongKey,
    /// It does not say when it expires.
    NoExpiry,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It names another issuer than the one required, or none.
    WrongIssuer,
}

impl Refusal {
    /// Every reason, in their order; for counters.
    pub const ALL: &'static [Self] = &[
        Self::Missing,
        Self::Malformed,
        Self::WrongAlgorithm,
        Self::WrongKey,
        Self::NoExpiry,
        Self::Expired,
        Self::NotYetValid,
        Self::WrongIssuer,
    ];

    /// The stable name, such as `wrong-key`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::WrongAlgorithm => "wrong-algorithm",
            Self::WrongKey => "wrong-key",
            Self::NoExpiry => "no-expiry",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::WrongIssuer => "wrong-issuer",
        }
    }
}

/// The end of a sentence that says what is wrong with a signature.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is missing",
            Self::Malformed => "is malformed",
            Self::WrongAlgorithm => "is made with another algorithm than the configured key has",
            Self::WrongKey => "is not made with the configured key",
            Self::NoExpiry => "has no expiry time",
            Self::Expired => "has expired",
            Self::NotYetValid => "is not valid yet",
            Self::WrongIssuer => "names another issuer than the configured one",
        })
    }
}

/// An `unauthorized` error.
impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorKind::Unauthorized, format!("the signature {refusal}"))
    }
}

/// A token that says who `iss` is, until `expires_s`.
pub(super) fn sign(key: &Key, iss: &str, expires_s: u64) -> Result<String> {
    #[derive(Serialize)]
    struct Claims<'a> {
        exp: u64,
        iss: &'a str,
    }
    let unwritable = |e| Error::new(ErrorKind::Internal, "a token cannot be written").with_source(e);
    let header = serde_json::to_vec(&Header::new(key.jwt_algorithm())).map_err(unwritable)?;
    let claims = serde_json::to_vec(&Claims { exp: expires_s, iss }).map_err(unwritable)?;
    let mut token = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// Accepts a token that is signed with `key`, is in its time, and names `iss` if that is required.
///
/// `exp` is required, `nbf` is respected, both with [`LEEWAY_S`].
pub(super) fn verify(key: &Key, iss: Option<&str>, token: &str, now_s: u64) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    struct Claims {
        exp: Option<f64>,
        nbf: Option<f64>,
        iss: Option<String>,
    }
    let claims: Claims = claims(key, token)?;
    let now = now_s as f64;
    let leeway = LEEWAY_S as f64;
    if claims.exp.ok_or(Refusal::NoExpiry)? + leeway <= now {
        return Err(Refusal::Expired);
    }
    if claims.nbf.is_some_and(|nbf| nbf > now + leeway) {
        return Err(Refusal::NotYetValid);
    }
    if iss.is_some() && claims.iss.as_deref() != iss {
        return Err(Refusal::WrongIssuer);
    }
    Ok(())
}

/// What a token says that is signed with `key`, whenever that may be true and whoever says it.
pub(crate) fn claims<C: DeserializeOwned>(key: &Key, token: &str) -> Result<C, Refusal> {
    let header = decode_header(token).map_err(|error| refusal_of_header(&error))?;
    // Extensions that one must understand or refuse (RFC 7515 4.1.11).
    if header.crit.is_some() {
        return Err(Refusal::Malformed);
    }
    if header.alg != key.jwt_algorithm() {
        return Err(Refusal::WrongAlgorithm);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refusal::Malformed)?;
    if !key.verify(message.as_bytes(), &signature) {
        return Err(Refusal::WrongKey);
    }
    // Not as insecure as its name: the signature was verified.
    dangerous::insecure_decode_claims(token).map_err(|_| Refusal::Malformed)
}

fn refusal_of_header(error: &JwtError) -> Refusal {
    match error.kind() {
        // An algorithm that jsonwebtoken does not know, such as `none`.
        JwtErrorKind::Json(error) if error.to_string().starts_with("unknown variant") => {
            Refusal::WrongAlgorithm
        }
        _ => Refusal::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    fn key() -> Key {
        Key::parse("a secret of some length").unwrap()
    }

    /// Any header and claims, with a true HS256 signature.
    fn token(header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = key().sign(message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn check(header: &str, claims: &str, iss: Option<&str>) -> Result<(), Refusal> {
        verify(&key(), iss, &token(header, claims), NOW_S)
    }

    const HEADER: &str = r#"{"alg":"HS256"}"#;

    #[test]
    fn example_of_rfc_7515() {
        // Appendix A.1: HS256, expired in 2011.
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly\
                     9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let key = Key::parse(r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#).unwrap();
        assert_eq!(verify(&key, Some("joe"), token, 1_300_819_379), Ok(()));
        assert_eq!(verify(&key, Some("joe"), token, 1_300_819_384), Ok(()));
        assert_eq!(verify(&key, Some("joe"), token, 1_300_819_385), Err(Refusal::Expired));
        assert_eq!(verify(&key, Some("jo"), token, 1_300_819_379), Err(Refusal::WrongIssuer));
    }

    #[test]
    fn example_of_rfc_7515_with_es256() {
        // Appendix A.3.
        let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc1\
                     9yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        let key = Key::parse(
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
        )
        .unwrap();
        assert_eq!(verify(&key, Some("joe"), token, 1_300_819_379), Ok(()));
    }

    #[test]
    fn claims_are_judged_with_a_small_leeway() {
        let with = |claims: &str| check(HEADER, &claims.replace("NOW", &NOW_S.to_string()), Some("i"));
        assert_eq!(with(r#"{"iss":"i","exp":1e99}"#), Ok(()));
        assert_eq!(with(r#"{"iss":"i","exp":NOW}"#), Ok(()));
        assert_eq!(with(r#"{"iss":"i","exp":1799999995.5}"#), Ok(()));
        assert_eq!(with(r#"{"iss":"i","exp":1799999995}"#), Err(Refusal::Expired));
        assert_eq!(with(r#"{"iss":"i","exp":-1}"#), Err(Refusal::Expired));
        assert_eq!(with(r#"{"iss":"i","exp":NOW,"nbf":1800000005}"#), Ok(()));
        assert_eq!(with(r#"{"iss":"i","exp":NOW,"nbf":1800000006}"#), Err(Refusal::NotYetValid));
        assert_eq!(with(r#"{"iss":"i"}"#), Err(Refusal::NoExpiry));
        assert_eq!(with(r#"{"iss":"i","exp":null}"#), Err(Refusal::NoExpiry));
        assert_eq!(with(r#"{"exp":NOW}"#), Err(Refusal::WrongIssuer));
        for claims in [
            r#"{"iss":"i","exp":"NOW"}"#,
            r#"{"iss":["i"],"exp":NOW}"#,
            r#"{"iss":"i","exp":NOW,"exp":NOW}"#,
            "[]",
            "",
        ] {
            assert_eq!(with(claims), Err(Refusal::Malformed), "{claims}");
        }
    }

    #[test]
    fn the_token_does_not_choose_how_it_is_verified() {
        let claims = r#"{"exp":9999999999}"#;
        assert_eq!(check(HEADER, claims, None), Ok(()));
        for alg in ["none", "None", "HS512", "hs256", "RS256", "ES256", ""] {
            let header = format!(r#"{{"alg":"{alg}"}}"#);
            assert_eq!(check(&header, claims, None), Err(Refusal::WrongAlgorithm), "{alg}");
        }
        for header in
            [r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, r#"{"alg":"HS256","alg":"none"}"#, "{}"]
        {
            assert_eq!(check(header, claims, None), Err(Refusal::Malformed), "{header}");
        }
    }

    #[test]
    fn any_change_of_a_token_breaks_it() {
        let token = sign(&key(), "i", NOW_S + 60).unwrap();
        assert_eq!(verify(&key(), Some("i"), &token, NOW_S), Ok(()));
        for i in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[i] = if bytes[i] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verify(&key(), Some("i"), &changed, NOW_S).is_err(), "byte {i}");
        }
        let signature_only = token.rsplit_once('.').unwrap().0;
        for other in
            [signature_only, &format!("{signature_only}."), &format!("{token}="), &format!("{token}.")]
        {
            assert!(verify(&key(), Some("i"), other, NOW_S).is_err(), "{other}");
        }
        assert_eq!(
            verify(&Key::parse("another secret").unwrap(), None, &token, NOW_S),
            Err(Refusal::WrongKey)
        );
    }

    #[test]
    fn codes_are_unique_and_in_order() {
        for (i, a) in Refusal::ALL.iter().enumerate() {
            for b in &Refusal::ALL[i + 1..] {
                assert!(a < b && a.code() != b.code(), "{a:?} and {b:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(token in "[A-Za-z0-9._-]{0,80}|\\PC{0,20}", header in "\\PC{0,30}", claims in "\\PC{0,30}") {
            let _ = verify(&key(), None, &token, NOW_S);
            let _ = check(&header, &claims, None);
            let _ = check(HEADER, &claims, None);
        }

        #[test]
        fn round_trip(iss in "\\PC{0,20}", lifetime_s in 0u64..1 << 40) {
            let token = sign(&key(), &iss, NOW_S + lifetime_s).unwrap();
            prop_assert_eq!(verify(&key(), Some(&iss), &token, NOW_S), Ok(()));
        }
    }
}
