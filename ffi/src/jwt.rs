//! Tokens and tickets that decide who may read what

use std::{ffi::c_char, mem::MaybeUninit};

use evstream::{__internal::add_key, Jwt};

use crate::{
    access::evs_access,
    call::{self, call, give, needed, place},
    cast,
    error::{Result, evs_error},
    hub::evs_hub,
    request::evs_request,
    status::evs_status,
};

/// Which JSON Web Tokens (RFC 7519) are accepted, and from where: from "Authorization: Bearer", or the cookie
/// "__Secure-evstream", never from the query. The key alone decides on the algorithm. "exp" is required and ends the
/// stream, "sub" is the user, and the list "channels" in the object "evstream" has the channels, of which the client
/// reads those that it names, or all.
pub struct evs_jwt {
    pub(crate) jwt: Jwt,
}

/// Accepts tokens of a key. evs_server_mount_jwt and evs_access_set_jwt have such tokens decide.
///
/// @param key  A shared secret of 16 bytes or more (HS256); or an EC P-256 (ES256) or RSA key (RS256) as PEM or JSON Web
///             Key. "base64:" may stand before the base64 of one. Or the address of a set of such keys, "https://...",
///             which is fetched in the background, every ten minutes, and when a token names a key that it lacks;
///             before the first answer clients are told to come back.
/// @param jwt  Where to store it; free with evs_jwt_free.
///
/// @return OK; INVALID_CONFIG when it is no key, or can be guessed; INVALID_ARGUMENT.
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_jwt_new(
    key: *const c_char,
    key_len: usize,
    jwt: Option<&mut MaybeUninit<*mut evs_jwt>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(jwt, "jwt")?;
        give(place, evs_jwt { jwt: add_key(None, cast::text(key, key_len, "key")?)? });
        Ok(evs_status::Ok)
    })
}

/// Accepts tokens of another key too, such as the next one. There may be eight, and one address.
///
/// @param jwt  The object.
/// @param key  The key, as for evs_jwt_new.
///
/// @return OK, INVALID_CONFIG, INVALID_ARGUMENT.
/// @note Threads: one at a time for this object.
#[unsafe(no_mangle)]
pub extern "C" fn evs_jwt_add_key(
    jwt: Option<&mut evs_jwt>,
    key: *const c_char,
    key_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    change(jwt, error, |jwt| Ok(add_key(Some(jwt), cast::text(key, key_len, "key")?)?))
}

/// Requires that a token's "iss" is this.
///
/// @param jwt     The object.
/// @param issuer  The issuer, copied.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: one at a time for this object.
#[unsafe(no_mangle)]
pub extern "C" fn evs_jwt_set_issuer(
    jwt: Option<&mut evs_jwt>,
    issuer: *const c_char,
    issuer_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    change(jwt, error, |jwt| Ok(jwt.issuer(cast::text(issuer, issuer_len, "issuer")?)))
}

/// Requires that a token's "aud" is or holds this, or another that was added so. Without any a token must not have
/// an audience.
///
/// @param jwt       The object.
/// @param audience  The audience, copied.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: one at a time for this object.
#[unsafe(no_mangle)]
pub extern "C" fn evs_jwt_add_audience(
    jwt: Option<&mut evs_jwt>,
    audience: *const c_char,
    audience_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    change(jwt, error, |jwt| Ok(jwt.audience(cast::text(audience, audience_len, "audience")?)))
}

/// Names the cookie that has the token, in place of "__Secure-evstream".
///
/// @param jwt   The object.
/// @param name  The name, copied, which begins with "__Secure-" or "__Host-".
///
/// @return OK, INVALID_CONFIG, INVALID_ARGUMENT.
/// @note Threads: one at a time for this object.
#[unsafe(no_mangle)]
pub extern "C" fn evs_jwt_set_cookie(
    jwt: Option<&mut evs_jwt>,
    name: *const c_char,
    name_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    change(jwt, error, |jwt| Ok(jwt.cookie(cast::text(name, name_len, "name")?)?))
}

/// Decides on an access as the token of a request grants it, in place of evs_access_allow and the like. Without a
/// token that is accepted it is a refusal: 401, or "forbidden" in the stream of a client that asks for one, counted in
/// evs_stats.tokens_refused and logged.
///
/// @param access   The access.
/// @param hub      The hub of which evs_hub_open is asked.
/// @param jwt      Which tokens are accepted.
/// @param request  A request that an evs_authorize_fn is shown, or that evs_hub_screen has left to the application.
///
/// @return OK, also when it is a refusal; INVALID_ARGUMENT, FORKED.
/// @note Threads: one at a time for this access.
#[unsafe(no_mangle)]
pub extern "C" fn evs_access_set_jwt(
    access: Option<&mut evs_access>,
    hub: Option<&evs_hub>,
    jwt: Option<&evs_jwt>,
    request: Option<&evs_request<'_>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let access = needed(access, "access")?;
        let events = &needed(hub, "hub")?.events;
        events.check_process()?;
        let (jwt, request) = (needed(jwt, "jwt")?, needed(request, "request")?);
        access.grant(request.access_by(|request, named| events.jwt_access(&jwt.jwt, request, named))?);
        Ok(evs_status::Ok)
    })
}

/// Frees it. Servers that have been given it keep theirs.
///
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_jwt_free(jwt: Option<Box<evs_jwt>>) {
    call::free(jwt);
}

fn change(
    jwt: Option<&mut evs_jwt>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
    change: impl FnOnce(Jwt) -> Result<Jwt>,
) -> evs_status {
    call(error, || {
        let jwt = needed(jwt, "jwt")?;
        jwt.jwt = change(jwt.jwt.clone())?;
        Ok(evs_status::Ok)
    })
}
