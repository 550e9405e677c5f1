//! Keys in PEM form (RFC 7468).

use ring::{
    error::KeyRejected,
    hmac,
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, PublicKeyComponents},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use spki::{
    ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{Decode, Reader, SliceReader, asn1::UintRef},
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
    let label = label.trim();
    check_label(label)?;

    let body = body.replace("\\n", "\n").replace("\\r", "");
    let without_blanks: String = body.split_whitespace().collect();
    // A blank is a lost line break or, in a careless URL, a lost plus. Only one of them gives a key.
    match read(label, &without_blanks) {
        Err(error) if body.trim().contains(' ') => read(label, body.trim()).map_err(|_| error),
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

pub(super) fn rejected_rsa(reason: KeyRejected) -> Error {
    invalid_key(format!("the RSA private key is not valid: {reason}"))
}

fn check_label(label: &str) -> Result<()> {
    Err(invalid_key(match label {
        "PUBLIC KEY" | "PRIVATE KEY" | "RSA PRIVATE KEY" => return Ok(()),
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

fn read(label: &str, body: &str) -> Result<Key> {
    let der = base64::decode(body).ok_or_else(|| invalid_key("the PEM key is not valid base64 inside"))?;
    let material = match label {
        "PUBLIC KEY" => public(&der),
        "PRIVATE KEY" => private(&der),
        _ => rsa_private(RsaKeyPair::from_der(&der), &der), // PKCS#1
    };
    material.map(Key::new)
}

/// A `SubjectPublicKeyInfo` (RFC 5280, RFC 5480).
fn public(der: &[u8]) -> Result<Material> {
    let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| damaged())?;
    let key = info.subject_public_key.as_bytes().ok_or_else(damaged)?;
    if info.algorithm.oid == RSA_ENCRYPTION {
        return rsa_public_der(key);
    }
    if info.algorithm.oid == EC_PUBLIC_KEY && info.algorithm.parameters_oid() == Ok(P_256) {
        return Material::ec_public(key);
    }
    Err(unknown())
}

/// A private key in PKCS#8 (RFC 5208).
fn private(der: &[u8]) -> Result<Material> {
    let is_other = |reason: &KeyRejected| reason.to_string() == "WrongAlgorithm";
    match EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new()) {
        Ok(pair) => return Ok(Material::EcPrivate { pair, seed: seed(der) }),
        Err(reason) if !is_other(&reason) => return Err(damaged()),
        Err(_) => {}
    }
    match RsaKeyPair::from_pkcs8(der) {
        Err(reason) if is_other(&reason) => Err(unknown()),
        pair => rsa_private(pair, der),
    }
}

fn rsa_private(pair: Result<RsaKeyPair, KeyRejected>, der: &[u8]) -> Result<Material> {
    match pair {
        Ok(pair) => Ok(Material::RsaPrivate { pair, seed: seed(der) }),
        Err(reason) if reason.to_string() == "InvalidEncoding" => Err(damaged()),
        Err(reason) => Err(rejected_rsa(reason)),
    }
}

/// `RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }` (RFC 8017)
fn rsa_public_der(der: &[u8]) -> Result<Material> {
    let numbers = |reader: &mut SliceReader<'_>| {
        let [n, e] =
            [UintRef::decode(reader)?, UintRef::decode(reader)?].map(|number| number.as_bytes().to_vec());
        Ok::<_, spki::der::Error>((n, e))
    };
    let mut reader = SliceReader::new(der).map_err(|_| damaged())?;
    let (n, e) = reader.sequence(numbers).map_err(|_| damaged())?;
    reader.finish().map_err(|_| damaged())?;
    Ok(Material::RsaPublic(rsa_public(&n, &e)?))
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]
}

fn unknown() -> Error {
    invalid_key("the PEM key is neither EC with curve P-256 nor RSA")
}

fn damaged() -> Error {
    invalid_key("the PEM key is damaged: its content is not the key that its BEGIN line says")
}

const BEGIN: &str = "-----BEGIN";
const END: &str = "-----END";
const DASHES: &str = "-----";

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

#[cfg(test)]
mod tests {
    use ::base64::{Engine, engine::general_purpose::STANDARD};
    use proptest::prelude::*;

    use super::*;

    const EC_PUBLIC: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTN\
                             G72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==";

    fn read_der(label: &str, der: &[u8]) -> Result<Key> {
        read(label, &STANDARD.encode(der))
    }

    #[test]
    fn every_cut_is_noticed() {
        let der = base64::decode(EC_PUBLIC).unwrap();
        assert!(read_der("PUBLIC KEY", &der).is_ok());
        for len in 0..der.len() {
            assert!(read_der("PUBLIC KEY", &der[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        let mut der = Vec::new();
        while der.len() < 60_000 {
            let len = (der.len() as u16).to_be_bytes();
            let head = match der.len() {
                0..=127 => vec![0x30, len[1]],
                128..=255 => vec![0x30, 0x81, len[1]],
                _ => vec![0x30, 0x82, len[0], len[1]],
            };
            der.splice(0..0, head);
        }
        for label in ["PUBLIC KEY", "PRIVATE KEY", "RSA PRIVATE KEY"] {
            assert!(read_der(label, &der).is_err());
            assert!(read_der(label, &[0x30; 10_000]).is_err());
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, at: prop::sample::Index, byte: u8) {
            let mut changed = base64::decode(EC_PUBLIC).unwrap();
            let at = at.index(changed.len());
            changed[at] = byte;
            for der in [bytes, changed] {
                for label in ["PUBLIC KEY", "PRIVATE KEY", "RSA PRIVATE KEY"] {
                    let _ = read_der(label, &der);
                }
            }
        }
    }
}
