//! Keys in PEM form (RFC 7468).

use ::base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{DecodingKey, EncodingKey};
use ring::{
    hmac,
    rsa::{KeyPair as RsaKeyPair, PublicKeyComponents},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use simple_asn1::ASN1Block;

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

pub(super) fn rejected_rsa(reason: ring::error::KeyRejected) -> Error {
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
    // What nests deeply would exhaust the stack of the parser.
    if !is_shallow(&der) {
        return Err(damaged());
    }
    let pem = format!("{BEGIN} {label}{DASHES}\n{}\n{END} {label}{DASHES}\n", STANDARD.encode(der));
    let pem = pem.as_bytes();
    let material = if label == "PUBLIC KEY" {
        if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            Material::ec_public(key.try_get_as_bytes().map_err(|_| damaged())?)
        } else if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            rsa_public_der(key.try_get_as_bytes().map_err(|_| damaged())?)
        } else {
            Err(DecodingKey::from_ed_pem(pem).map_or_else(|_| damaged(), |_| unknown()))
        }
    } else if let Ok(key) = EncodingKey::from_ec_pem(pem) {
        ec_private(key.as_bytes())
    } else if let Ok(key) = EncodingKey::from_rsa_pem(pem) {
        let pair = RsaKeyPair::from_der(key.as_bytes()).map_err(rejected_rsa)?;
        Ok(Material::RsaPrivate { pair, seed: seed(key.as_bytes()) })
    } else {
        Err(EncodingKey::from_ed_pem(pem).map_or_else(|_| damaged(), |_| unknown()))
    };
    material.map(Key::new)
}

fn ec_private(pkcs8: &[u8]) -> Result<Material> {
    let random = ring::rand::SystemRandom::new();
    match EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random) {
        Ok(pair) => Ok(Material::EcPrivate { pair, seed: seed(pkcs8) }),
        Err(reason) if reason.to_string() == "WrongAlgorithm" => Err(unknown()),
        Err(_) => Err(damaged()),
    }
}

/// `RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }` (RFC 8017)
fn rsa_public_der(der: &[u8]) -> Result<Material> {
    let blocks = simple_asn1::from_der(der).map_err(|_| damaged())?;
    let [ASN1Block::Sequence(_, numbers)] = &*blocks else { return Err(damaged()) };
    let [ASN1Block::Integer(_, n), ASN1Block::Integer(_, e)] = &**numbers else { return Err(damaged()) };
    Ok(Material::RsaPublic(rsa_public(&n.to_bytes_be().1, &e.to_bytes_be().1)?))
}

/// Whether DER elements fill `der`, none of them deeper than in a key.
fn is_shallow(der: &[u8]) -> bool {
    let (mut at, mut ends) = (0, vec![der.len()]);
    while at < der.len() {
        ends.retain(|end| *end > at);
        let (tag, len, body) = match der[at..] {
            [tag, len @ ..=0x7f, ..] => (tag, usize::from(len), at + 2),
            [tag, 0x81, len, ..] => (tag, usize::from(len), at + 3),
            [tag, 0x82, high, low, ..] => (tag, usize::from(u16::from_be_bytes([high, low])), at + 4),
            _ => return false, // cut off, or longer than any key we take
        };
        let (end, is_constructed, is_long_tag) = (body + len, tag & 0x20 != 0, tag & 0x1f == 0x1f);
        if ends.last().is_none_or(|outer| end > *outer) || is_long_tag || ends.len() > MAX_DEPTH {
            return false;
        }
        if is_constructed && len > 0 {
            ends.push(end);
        }
        at = if is_constructed { body } else { end };
    }
    true
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

/// Elements inside each other: a key has three or four.
const MAX_DEPTH: usize = 8;

#[cfg(test)]
mod tests {
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
