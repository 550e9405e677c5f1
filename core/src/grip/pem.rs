//! Keys in PEM form (RFC 7468), and the little DER inside that ring does not read itself.

use ring::{
    hmac,
    rsa::{KeyPair as RsaKeyPair, PublicKeyComponents},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};

use super::{
    base64,
    key::{Key, Material, invalid_key},
};
use crate::error::{Error, Result};

pub(super) fn is_pem(text: &str) -> bool {
    text.trim_start().starts_with(BEGIN)
}

/// Reads the first key of a PEM text.
///
/// Its line breaks may have been lost on the way through an environment variable or a URL.
pub(super) fn parse(text: &str) -> Result<Key> {
    let cut = || invalid_key("the PEM key is cut off: it needs a BEGIN and an END line");
    let (label, rest) =
        text.trim_start().strip_prefix(BEGIN).and_then(|rest| rest.split_once(DASHES)).ok_or_else(cut)?;
    let (body, _) = rest.split_once(END).ok_or_else(cut)?;
    let label = label.replace('+', " "); // a blank, after a careless URL
    let read = reader_of(label.trim())?;

    let body = body.replace("\\n", "\n").replace("\\r", "");
    let without_blanks: String = body.split_whitespace().collect();
    // A blank is a lost line break or, in a careless URL, a lost plus. Only one of them gives a key.
    match read_base64(&without_blanks, read) {
        Err(error) if body.trim().contains(' ') => read_base64(body.trim(), read).map_err(|_| error),
        result => result,
    }
}

/// An RSA public key, from its modulus and exponent as big-endian bytes.
pub(super) fn rsa_public(n: &[u8], e: &[u8]) -> Result<PublicKeyComponents<Vec<u8>>> {
    let [n, e] = [n, e].map(without_leading_zeros);
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err(invalid_key(format!("the RSA key has {bits} bits; 2048 to 8192 are allowed")));
    }
    if e.is_empty() {
        return Err(invalid_key("the RSA key has no public exponent"));
    }
    Ok(PublicKeyComponents { n: n.to_vec(), e: e.to_vec() })
}

pub(super) fn seed(private: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, private)
}

type Reader = fn(&[u8]) -> Result<Material>;

fn reader_of(label: &str) -> Result<Reader> {
    Err(invalid_key(match label {
        "PUBLIC KEY" => return Ok(public),
        "PRIVATE KEY" => return Ok(private_pkcs8),
        "RSA PRIVATE KEY" => return Ok(private_rsa),
        "EC PRIVATE KEY" | "EC PARAMETERS" => {
            "the PEM key is an 'EC PRIVATE KEY' (SEC1), which GRIP proxies cannot use either; \
             convert it with: openssl pkcs8 -topk8 -nocrypt -in key.pem"
        }
        "ENCRYPTED PRIVATE KEY" => "the PEM key is encrypted; decrypt it with: openssl pkcs8 -in key.pem",
        "RSA PUBLIC KEY" => {
            "the PEM key is an 'RSA PUBLIC KEY' (PKCS#1); \
             convert it with: openssl rsa -RSAPublicKey_in -in key.pem -pubout"
        }
        "CERTIFICATE" => {
            "the PEM text is a certificate; take the key out of it with: openssl x509 -in cert.pem -noout -pubkey"
        }
        _ => "the PEM text is none of 'PUBLIC KEY', 'PRIVATE KEY' (PKCS#8) and 'RSA PRIVATE KEY'",
    }))
}

fn read_base64(body: &str, read: Reader) -> Result<Key> {
    let der = base64::decode(body).ok_or_else(|| invalid_key("the PEM key is not valid base64 inside"))?;
    read(&der).map(Key::new)
}

/// `SubjectPublicKeyInfo ::= SEQUENCE { algorithm SEQUENCE, subjectPublicKey BIT STRING }` (RFC 5280)
fn public(der: &[u8]) -> Result<Material> {
    let parts = || {
        let (info, _) = element(SEQUENCE, der)?;
        let (algorithm, rest) = element(SEQUENCE, info)?;
        let (bits, _) = element(BIT_STRING, rest)?;
        Some((algorithm, bits.strip_prefix(&[0])?))
    };
    let (algorithm, key) = parts().ok_or_else(damaged)?;
    match Algorithm::of(algorithm)? {
        Algorithm::Ec => Material::ec_public(key),
        Algorithm::Rsa => {
            let parts = || {
                let (key, _) = element(SEQUENCE, key)?;
                let (n, rest) = element(INTEGER, key)?;
                Some((n, element(INTEGER, rest)?.0))
            };
            let (n, e) = parts().ok_or_else(damaged)?;
            Ok(Material::RsaPublic(rsa_public(n, e)?))
        }
    }
}

/// `PrivateKeyInfo ::= SEQUENCE { version INTEGER, algorithm SEQUENCE, privateKey OCTET STRING, ... }` (RFC 5208)
fn private_pkcs8(der: &[u8]) -> Result<Material> {
    let algorithm = || {
        let (info, _) = element(SEQUENCE, der)?;
        let (_version, rest) = element(INTEGER, info)?;
        Some(element(SEQUENCE, rest)?.0)
    };
    match Algorithm::of(algorithm().ok_or_else(damaged)?)? {
        Algorithm::Ec => {
            let random = ring::rand::SystemRandom::new();
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
                .map_err(|reason| invalid_key(format!("the EC private key is not valid: {reason}")))?;
            Ok(Material::EcPrivate { pair, seed: seed(der) })
        }
        Algorithm::Rsa => {
            let pair = RsaKeyPair::from_pkcs8(der).map_err(rejected_rsa)?;
            Ok(Material::RsaPrivate { pair, seed: seed(der) })
        }
    }
}

fn private_rsa(der: &[u8]) -> Result<Material> {
    let pair = RsaKeyPair::from_der(der).map_err(rejected_rsa)?;
    Ok(Material::RsaPrivate { pair, seed: seed(der) })
}

pub(super) fn rejected_rsa(reason: ring::error::KeyRejected) -> Error {
    invalid_key(format!("the RSA private key is not valid: {reason}"))
}

enum Algorithm {
    Ec,
    Rsa,
}

impl Algorithm {
    fn of(identifier: &[u8]) -> Result<Self> {
        if identifier == EC_P256 {
            Ok(Self::Ec)
        } else if identifier.starts_with(RSA_ENCRYPTION) {
            Ok(Self::Rsa)
        } else {
            Err(invalid_key("the PEM key is neither EC with curve P-256 nor RSA"))
        }
    }
}

/// The content of the DER element that `input` begins with, if it has that tag, and what follows it.
fn element(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = input.strip_prefix(&[tag])?.split_first()?;
    let (len, rest) = match (len, rest) {
        (0..=0x7f, _) => (usize::from(len), rest),
        (0x81, [len, rest @ ..]) => (usize::from(*len), rest),
        (0x82, [high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None, // longer than any key we take
    };
    rest.split_at_checked(len)
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]
}

fn damaged() -> Error {
    invalid_key("the PEM key is damaged: its content is not the key that its BEGIN line says")
}

const BEGIN: &str = "-----BEGIN";
const END: &str = "-----END";
const DASHES: &str = "-----";

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// OID ecPublicKey with the parameter OID prime256v1.
const EC_P256: &[u8] =
    &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// OID rsaEncryption.
const RSA_ENCRYPTION: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EC_PUBLIC: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTN\
                             G72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==";

    #[test]
    fn every_cut_is_noticed() {
        let der = base64::decode(EC_PUBLIC).unwrap();
        assert!(public(&der).is_ok());
        for len in 0..der.len() {
            assert!(public(&der[..len]).is_err(), "{len} bytes");
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, at: prop::sample::Index, byte: u8) {
            let mut changed = base64::decode(EC_PUBLIC).unwrap();
            let at = at.index(changed.len());
            changed[at] = byte;
            for der in [bytes, changed] {
                for read in [public, private_pkcs8, private_rsa] {
                    let _ = read(&der);
                }
            }
        }
    }
}
