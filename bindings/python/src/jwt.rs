//! JSON Web Tokens that decide who may read what.

use std::sync::Arc;

use evstream::{__internal::jwt_of, ErrorKind};
use pyo3::prelude::*;

use crate::failure::{Failure, Result};

/// Tokens that are accepted, and from where: give it to a mount in place of channels.
#[pyclass(frozen, module = "evstream")]
#[derive(Debug)]
pub(crate) struct Jwt(pub(crate) Arc<evstream::Jwt>);

#[pymethods]
impl Jwt {
    /// `key` is a shared secret (HS256), or an EC P-256 (ES256) or RSA key (RS256) as PEM or JSON Web Key, of 16 bytes or more;
    /// or several, such as the next one too; or the address of a set of such keys, `https://...`, which is fetched in the
    /// background, every ten minutes, and when a token names a key that it lacks. A token comes as `Authorization: Bearer`, or in the `cookie`, whose name begins
    /// with `__Secure-` or `__Host-`; never in the query.
    ///
    /// Its `exp` is required and ends the stream, `iss` and `aud` must be those given here, `sub` is the user, and
    /// `{"evstream": {"channels": [...]}}` has the channels: the client reads those that it names, or all.
    #[new]
    #[pyo3(signature = (key, *, issuer=None, audience=None, cookie=None))]
    fn new(
        key: &Bound<'_, PyAny>,
        issuer: Option<String>,
        audience: Option<&Bound<'_, PyAny>>,
        cookie: Option<String>,
    ) -> Result<Self> {
        let audiences = audience.map_or_else(|| Ok(Vec::new()), |audience| texts(audience, "audience"))?;
        Ok(Self(Arc::new(jwt_of(&texts(key, "key")?, issuer, audiences, cookie)?)))
    }
}

/// A text, or several.
fn texts(given: &Bound<'_, PyAny>, name: &str) -> Result<Vec<String>> {
    if let Ok(text) = given.extract::<String>() {
        return Ok(vec![text]);
    }
    let texts = given
        .try_iter()
        .and_then(|items| items.map(|item| item?.extract::<String>()).collect::<PyResult<Vec<_>>>());
    texts
        .map_err(|_| Failure::new(ErrorKind::InvalidArgument, format!("{name} is a str, or several of them")))
}
