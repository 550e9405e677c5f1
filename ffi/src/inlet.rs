//! A server of evstream's own

use std::{ffi::c_char, mem::MaybeUninit};

use evstream::grip::{Auth, Key};

use crate::{
    call::call,
    cast,
    error::{Result, evs_error},
    server::{evs_server, setup},
    status::evs_status,
};

/// Also takes events at POST /publish/, as GRIP proxies do, from anybody who reaches the server, which can then only
/// listen on a loopback address or a Unix socket. Channels are named there with the setting grip_prefix before them.
///
/// @param server  The server, which does not listen yet.
///
/// @return OK, INVALID_ARGUMENT, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_accept_publish(
    server: Option<&evs_server>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || accept_publish(server, Auth::none()))
}

/// Also takes events at POST /publish/, from publishers with a user and a password.
///
/// @param server    The server, which does not listen yet.
/// @param user      The user, copied; without a colon.
/// @param password  The password, copied.
///
/// @return OK, INVALID_CONFIG, INVALID_ARGUMENT, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_accept_publish_basic(
    server: Option<&evs_server>,
    user: *const c_char,
    user_len: usize,
    password: *const c_char,
    password_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let user = cast::text(user, user_len, "user")?;
        let password = cast::text(password, password_len, "password")?;
        accept_publish(server, Auth::basic(user, password)?)
    })
}

/// Also takes events at POST /publish/, from publishers with a token.
///
/// @param server  The server, which does not listen yet.
/// @param token   The token, copied: printable ASCII without blanks.
///
/// @return OK, INVALID_CONFIG, INVALID_ARGUMENT, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_accept_publish_bearer(
    server: Option<&evs_server>,
    token: *const c_char,
    token_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || accept_publish(server, Auth::bearer(cast::text(token, token_len, "token")?)?))
}

/// Also takes events at POST /publish/, from publishers with a signed token (JWT).
///
/// @param server  The server, which does not listen yet.
/// @param iss     Who signs: the claim "iss" of the token. Copied.
/// @param key     The key, as in GRIP settings: a secret, "base64:" and a secret, PEM or JWK. Copied; no error shows
///                it.
///
/// @return OK, INVALID_CONFIG, INVALID_ARGUMENT, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_accept_publish_jwt(
    server: Option<&evs_server>,
    iss: *const c_char,
    iss_len: usize,
    key: *const c_char,
    key_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let iss = cast::text(iss, iss_len, "iss")?;
        let key = Key::parse(cast::text(key, key_len, "key")?)?;
        accept_publish(server, Auth::jwt(iss, key))
    })
}

fn accept_publish(server: Option<&evs_server>, auth: Auth) -> Result<evs_status> {
    setup(server)?.publish_auth = Some(auth);
    Ok(evs_status::Ok)
}
