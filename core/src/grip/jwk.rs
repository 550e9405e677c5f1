//! Keys in JSON Web Key form (RFC 7517, RFC 7518 section 6).

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, EllipticCurveKeyParameters, Jwk, KeyAlgorithm, RSAKeyParameters,
};
use ring::{
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeyPairComponents},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde::Deserialize;

use super::{
    base64,
    key::{Key, Material, invalid_key},
    pem::{rejected_rsa, rsa_public, seed},
};
use crate::error::{Error, Result};

/// Whether `text` is JSON that says it is a key.
pub(super) fn is_jwk(text: &str) -> bool {
    text.trim_start().starts_with('{')
        && serde_json::from_str(text).is_ok_and(|json: serde_json::Value| json.get("kty").is_some())
}

/// Reads a key of type `EC` with curve P-256, `RSA` or `oct`, public or private.
pub(super) fn parse(text: &str) -> Result<Key> {
    // A careless URL turns blanks into '+', which no member that we read can hold.
    let text = text.replace('+', " ");
    // The error of serde_json is not kept: it can quote the text.
    let jwk: Jwk = serde_json::from_str(&text).map_err(|_| not_a_jwk(&text))?;
    let private: Private = serde_json::from_str(&text).map_err(|_| not_a_jwk(&text))?;
    let (algorithm, key) = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(params) => (KeyAlgorithm::ES256, Key::new(private.ec(params)?)),
        AlgorithmParameters::RSA(params) => (KeyAlgorithm::RS256, Key::new(private.rsa(params)?)),
        AlgorithmParameters::OctetKey(params) => {
            (KeyAlgorithm::HS256, Key::from_secret(&bytes("k", Some(&params.value))?)?)
        }
        _ => return Err(not_a_jwk(&text)),
    };
    match jwk.common.key_algorithm {
        Some(alg) if alg != algorithm => Err(invalid_key(format!(
            "the JSON Web Key has an 'alg' that GRIP does not use; for this key it must be {algorithm} or absent"
        ))),
        _ => Ok(key),
    }
}

/// A key of a set, and its `kid`.
#[derive(Clone, Debug)]
pub(crate) struct NamedKey {
    pub(crate) name: Option<String>,
    pub(crate) key: Key,
}

/// Reads a set of public keys, of which those are left out that are for something else, or not of type `EC` with curve P-256
/// or `RSA`. Fails when none is left, or there are too many.
pub(crate) fn set(text: &[u8]) -> Result<Vec<NamedKey>> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Map<String, serde_json::Value>>,
    }
    let Set { keys } = serde_json::from_slice(text)
        .map_err(|_| invalid_key("the answer is not a set of JSON Web Keys, {\"keys\": [...]}"))?;
    if keys.len() > MAX_SET_KEYS {
        return Err(invalid_key(format!("the set has {} keys, and may have {MAX_SET_KEYS}", keys.len())));
    }
    let count = keys.len();
    let usable: Vec<NamedKey> = keys.into_iter().filter_map(public).collect();
    if usable.is_empty() {
        let text = "of the set's keys none is of type EC with 'crv' P-256, or RSA, and for signatures";
        return Err(invalid_key(format!("{text}; there are {count}")));
    }
    Ok(usable)
}

/// A key of a set, as far as it is public; a secret would be known to whoever can read the address.
fn public(mut members: serde_json::Map<String, serde_json::Value>) -> Option<NamedKey> {
    let text = |name| members.get(name).and_then(serde_json::Value::as_str);
    let is_for_signatures = members.get("use").is_none_or(|of| of == "sig");
    if !is_for_signatures || !matches!(text("kty"), Some("EC" | "RSA")) {
        return None;
    }
    let name = text("kid").map(str::to_owned);
    for private in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        members.remove(private);
    }
    let key = serde_json::to_string(&members).ok().and_then(|text| parse(&text).ok())?;
    Some(NamedKey { name, key })
}

/// The members of private keys, which `Jwk` leaves out. No `Debug`: they are secret.
#[derive(Deserialize)]
struct Private {
    d: Option<String>,
    p: Option<String>,
    q: Option<String>,
    dp: Option<String>,
    dq: Option<String>,
    qi: Option<String>,
}

impl Private {
    fn ec(&self, params: &EllipticCurveKeyParameters) -> Result<Material> {
        if params.curve != EllipticCurve::P256 {
            return Err(invalid_key("the JSON Web Key of type EC must have the curve ('crv') P-256"));
        }
        let [x, y] = [bytes("x", Some(&params.x))?, bytes("y", Some(&params.y))?];
        if x.len() != 32 || y.len() != 32 {
            return Err(invalid_key("the JSON Web Key must have 32 bytes in each of 'x' and 'y'"));
        }
        let point = [&[4], &*x, &*y].concat();
        if self.d.is_none() {
            return Material::ec_public(&point);
        }
        let d = bytes("d", self.d.as_deref())?;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &d,
            &point,
            &SystemRandom::new(),
        )
        .map_err(|reason| invalid_key(format!("the JSON Web Key is not a valid EC private key: {reason}")))?;
        Ok(Material::EcPrivate { pair, seed: seed(&d) })
    }

    fn rsa(&self, params: &RSAKeyParameters) -> Result<Material> {
        let public_key = rsa_public(&bytes("n", Some(&params.n))?, &bytes("e", Some(&params.e))?)?;
        if self.d.is_none() {
            return Ok(Material::RsaPublic(public_key));
        }
        let d = bytes("d", self.d.as_deref())?;
        let pair = RsaKeyPair::from_components(&KeyPairComponents {
            public_key,
            d: d.clone(),
            p: bytes("p", self.p.as_deref())?,
            q: bytes("q", self.q.as_deref())?,
            dP: bytes("dp", self.dp.as_deref())?,
            dQ: bytes("dq", self.dq.as_deref())?,
            qInv: bytes("qi", self.qi.as_deref())?,
        })
        .map_err(rejected_rsa)?;
        Ok(Material::RsaPrivate { pair, seed: seed(&d) })
    }
}

fn bytes(name: &str, member: Option<&str>) -> Result<Vec<u8>> {
    let member = member.ok_or_else(|| invalid_key(format!("the JSON Web Key lacks '{name}'")))?;
    base64::decode(member)
        .ok_or_else(|| invalid_key(format!("the JSON Web Key has no valid base64url in '{name}'")))
}

/// Issuers have a handful.
const MAX_SET_KEYS: usize = 100;

fn not_a_jwk(text: &str) -> Error {
    let json: Option<serde_json::Value> = serde_json::from_str(text).ok();
    invalid_key(match json {
        Some(json) if json.get("keys").is_some() => "the key is a set of JSON Web Keys; give one of them",
        Some(_) => {
            "the key begins with '{' but is not a JSON Web Key that GRIP uses: its 'kty' must be EC with 'crv' P-256, \
             'x' and 'y', RSA with 'n' and 'e', or oct with 'k', all of them texts"
        }
        None => "the key begins with '{' but is not JSON; write a secret that begins so as 'base64:...'",
    })
}
