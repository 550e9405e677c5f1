//! Keys that sign and verify: a shared secret (HS256), an EC P-256 key (ES256) or an RSA key (RS256).

use std::{fmt, sync::Arc};

use jsonwebtoken::Algorithm;
use ring::{
    agreement, hmac,
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED, EcdsaKeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
        UnparsedPublicKey,
    },
};

use super::{base64, jwk, pem};
use crate::error::{Error, ErrorKind, Result};

/// A key of a GRIP proxy. Cheap to clone.
///
/// It knows its one algorithm, and a token of any other is refused whatever its header says: with a public key taken
/// for a shared secret, anybody could sign. `Debug` shows the kind only, and no error text holds a part of a key.
///
/// ```
/// use evstream::grip::{Key, KeyKind};
/// assert_eq!(Key::parse("a shared secret, as text")?.kind(), KeyKind::Secret);
/// assert_eq!(Key::parse("base64:AAECAwQFBgcICQoLDA0ODw==")?.algorithm(), "HS256");
/// # Ok::<(), evstream::Error>(())
/// ```
#[derive(Clone)]
pub struct Key(Arc<Material>);

/// What sort of key a [`Key`] is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KeyKind {
    /// The private half of an EC P-256 key.
    EcPrivate,
    /// The public half of an EC P-256 key.
    EcPublic,
    /// The private half of an RSA key.
    RsaPrivate,
    /// The public half of an RSA key.
    RsaPublic,
    /// A secret that both sides share.
    Secret,
}

/// What a key is made of. The private kinds also keep a key for [`Key::derive`], as ring gives no bytes back.
pub(super) enum Material {
    EcPrivate { pair: EcdsaKeyPair, seed: hmac::Key },
    EcPublic(Vec<u8>),
    RsaPrivate { pair: RsaKeyPair, seed: hmac::Key },
    RsaPublic(PublicKeyComponents<Vec<u8>>),
    Secret { key: hmac::Key, weakness: Option<&'static str> },
}

impl Key {
    /// Reads a key in any of the forms in which GRIP settings give it.
    ///
    /// - PEM: `PUBLIC KEY`, `PRIVATE KEY` (PKCS#8) or `RSA PRIVATE KEY`, also with `\n` for line breaks;
    /// - a JSON Web Key (`{"kty":...}`) of type `EC` with curve `P-256`, `RSA` or `oct`;
    /// - `base64:` and then the base64 of one of these, or of the bytes of a secret;
    /// - any other text is a secret. Blanks around it are not part of it.
    ///
    /// RSA keys need 2048 to 8192 bits. Fails with `invalid-config`.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim_start();
        if let Some(encoded) = text.strip_prefix("base64:") {
            let bytes = base64::decode(encoded)
                .ok_or_else(|| invalid_key("the key is not valid base64 after 'base64:'"))?;
            return match std::str::from_utf8(&bytes) {
                Ok(text) if pem::is_pem(text) || jwk::is_jwk(text) => Self::parse_structured(text),
                _ => Self::from_secret(&bytes),
            };
        }
        let text = text.trim_end();
        // A damaged PEM or JSON text must not pass for a secret: it may be a public key, which everybody knows.
        if pem::is_pem(text) || text.starts_with('{') {
            return Self::parse_structured(text);
        }
        Self::from_secret(text.as_bytes())
    }

    /// A shared secret. Fails with `invalid-config` when it is empty.
    pub fn from_secret(secret: &[u8]) -> Result<Self> {
        if secret.is_empty() {
            return Err(invalid_key("the key is empty"));
        }
        let weakness = if secret == DEFAULT_SECRET {
            Some("it is 'changeme', the default of Pushpin, which everybody knows")
        } else if secret.len() < SHORT_SECRET_BYTES {
            Some("it is shorter than 16 bytes, so it can be guessed")
        } else {
            None
        };
        Ok(Self::new(Material::Secret { key: hmac::Key::new(hmac::HMAC_SHA256, secret), weakness }))
    }

    /// What sort of key it is.
    pub fn kind(&self) -> KeyKind {
        match *self.0 {
            Material::EcPrivate { .. } => KeyKind::EcPrivate,
            Material::EcPublic(_) => KeyKind::EcPublic,
            Material::RsaPrivate { .. } => KeyKind::RsaPrivate,
            Material::RsaPublic(_) => KeyKind::RsaPublic,
            Material::Secret { .. } => KeyKind::Secret,
        }
    }

    /// The one JWT algorithm of the key: `HS256`, `ES256` or `RS256`.
    pub fn algorithm(&self) -> &'static str {
        match self.jwt_algorithm() {
            Algorithm::ES256 => "ES256",
            Algorithm::RS256 => "RS256",
            _ => "HS256",
        }
    }

    /// Whether the key can sign, which public keys cannot. Every key can verify.
    pub fn can_sign(&self) -> bool {
        !matches!(*self.0, Material::EcPublic(_) | Material::RsaPublic(_))
    }

    /// Why the key should not be used in production, as the end of a sentence; for the log.
    pub fn weakness(&self) -> Option<&'static str> {
        match *self.0 {
            Material::Secret { weakness, .. } => weakness,
            _ => None,
        }
    }

    pub(super) fn jwt_algorithm(&self) -> Algorithm {
        match *self.0 {
            Material::EcPrivate { .. } | Material::EcPublic(_) => Algorithm::ES256,
            Material::RsaPrivate { .. } | Material::RsaPublic(_) => Algorithm::RS256,
            Material::Secret { .. } => Algorithm::HS256,
        }
    }

    /// Reads a key that must be able to sign.
    pub(super) fn parse_signing(text: &str) -> Result<Self> {
        let key = Self::parse(text)?;
        if key.can_sign() { Ok(key) } else { Err(invalid_key(CANNOT_SIGN)) }
    }

    pub(super) fn new(material: Material) -> Self {
        Self(Arc::new(material))
    }

    /// Whether both are public keys, and the same one.
    pub(super) fn is_same_public(&self, other: &Self) -> bool {
        match (&*self.0, &*other.0) {
            (Material::EcPublic(a), Material::EcPublic(b)) => a == b,
            (Material::RsaPublic(a), Material::RsaPublic(b)) => (&a.n, &a.e) == (&b.n, &b.e),
            _ => false,
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::new(ErrorKind::Internal, "the system gave no random numbers to sign with");
        let random = SystemRandom::new();
        match &*self.0 {
            Material::EcPrivate { pair, .. } => {
                Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec())
            }
            Material::RsaPrivate { pair, .. } => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Material::Secret { key, .. } => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Material::EcPublic(_) | Material::RsaPublic(_) => Err(invalid_key(CANNOT_SIGN)),
        }
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let ec = |point| UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature);
        let verified = match &*self.0 {
            Material::EcPrivate { pair, .. } => ec(pair.public_key().as_ref()),
            Material::EcPublic(point) => ec(point),
            Material::RsaPrivate { pair, .. } => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public()).verify(message, signature)
            }
            Material::RsaPublic(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
            Material::Secret { key, .. } => hmac::verify(key, message, signature),
        };
        verified.is_ok()
    }

    /// A key for another purpose, the same for the same key and `purpose`; `None` for a public key.
    ///
    /// `purpose` must hold a blank: then it can never be the beginning of a token that is signed with the same secret.
    pub(super) fn derive(&self, purpose: &str) -> Option<hmac::Key> {
        let seed = match &*self.0 {
            Material::EcPrivate { seed, .. } | Material::RsaPrivate { seed, .. } => seed,
            Material::Secret { key, .. } => key,
            Material::EcPublic(_) | Material::RsaPublic(_) => return None,
        };
        let derived = hmac::sign(seed, purpose.as_bytes());
        Some(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    fn parse_structured(text: &str) -> Result<Self> {
        if pem::is_pem(text) { pem::parse(text) } else { jwk::parse(text) }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.kind())
    }
}

impl Material {
    /// An EC P-256 public key from its uncompressed point.
    pub(super) fn ec_public(point: &[u8]) -> Result<Self> {
        // A key agreement is the only thing in ring that says whether a point lies on the curve. Without the check a
        // damaged key would make every signature look wrong.
        let random = SystemRandom::new();
        let agreed =
            agreement::EphemeralPrivateKey::generate(&agreement::ECDH_P256, &random).and_then(|own| {
                let point = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, point);
                agreement::agree_ephemeral(own, &point, |_| ())
            });
        agreed.map_err(|_| {
            invalid_key(
                "the EC public key is damaged, or of another curve: it is not an uncompressed point of P-256",
            )
        })?;
        Ok(Self::EcPublic(point.to_vec()))
    }
}

/// An error about a key. `text` must never quote a part of one.
pub(super) fn invalid_key(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidConfig, text)
}

/// Compares in constant time: by tags of both, under a key of their own.
pub(super) fn same_secret(given: &[u8], expected: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, expected);
    hmac::verify(&key, given, hmac::sign(&key, expected).as_ref()).is_ok()
}

const CANNOT_SIGN: &str =
    "the key is a public key, which cannot sign; give the private key, or a shared secret";
const DEFAULT_SECRET: &[u8] = b"changeme";
const SHORT_SECRET_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_that_is_no_pem_or_json_is_a_secret() {
        let secret = |text: &str| {
            let key = Key::parse(text).unwrap();
            assert_eq!(key.kind(), KeyKind::Secret, "{text:?}");
            key.sign(b"m").unwrap()
        };
        assert_eq!(secret(" geheim\n"), secret("base64:Z2VoZWlt"));
        assert_eq!(secret("é"), secret("base64:w6k"));
        assert_eq!(secret("base64:ey"), secret("base64:ew=="), "bytes that begin like JSON but are none");
        assert_ne!(secret("base64"), secret("base64:AA"));
    }

    #[test]
    fn what_is_meant_as_a_public_key_never_becomes_a_secret() {
        for text in
            ["{\"kty\":\"EC\"", "{}", "{x", "-----BEGIN PUBLIC KEY-----", "-----BEGIN", "base64:e30x", ""]
        {
            match Key::parse(text) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{text:?}"),
                Ok(key) => assert_eq!((text, key.kind()), ("base64:e30x", KeyKind::Secret)),
            }
        }
    }

    #[test]
    fn weak_secrets_are_named() {
        assert!(Key::parse("changeme").unwrap().weakness().unwrap().contains("Pushpin"));
        assert!(Key::parse("short").unwrap().weakness().unwrap().contains("16 bytes"));
        assert_eq!(Key::parse("sixteen bytes ok").unwrap().weakness(), None);
    }

    #[test]
    fn derived_keys_differ_by_purpose_and_from_the_key() {
        let key = Key::parse("a secret of some length").unwrap();
        let tag = |purpose| hmac::sign(&key.derive(purpose).unwrap(), b"m").as_ref().to_vec();
        assert_eq!(tag("a b"), tag("a b"));
        assert_ne!(tag("a b"), tag("a c"));
        assert_ne!(tag("a b"), key.sign(b"m").unwrap());
    }

    proptest! {
        #[test]
        fn never_panics(text in "(base64:|-----BEGIN [A-Z ]{0,12}-----|\\{\"kty\":\"(EC|RSA|oct)\")?(\\PC|\n){0,60}") {
            let _ = Key::parse(&text);
        }
    }
}
