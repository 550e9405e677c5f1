//! Server

use std::{
    ffi::{CStr, CString, c_char, c_void},
    mem::MaybeUninit,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use evstream::{
    Address, Answer, Events, Mount, Request, Server,
    grip::{Auth, Key},
};

use crate::{
    access::evs_access,
    call::{call, free, give, needed, place, value},
    callback::{Manners, UserData, evs_free_fn, refuse_in_callback},
    cast,
    error::{Failure, Result, evs_error},
    events::evs_events,
    request::evs_request,
    response::evs_response,
    status::evs_status,
    text::evs_str,
};

/// An HTTP server of evstream's own, for applications that do not mount streams in theirs: make it, say what it serves,
/// and let it listen.
pub struct evs_server {
    events: Events,
    setup: Mutex<Setup>,
    listening: OnceLock<Listening>,
}

/// What a server serves.
#[derive(Default)]
struct Setup {
    mounts: Vec<Mount>,
    fallback: Option<Arc<Fallback>>,
    publish_auth: Option<Auth>,
}

type Fallback = dyn Fn(&Request<'_>, &[u8]) -> Answer + Send + Sync;

struct Listening {
    server: Arc<Server>,
    address: CString,
}

/// Called at each request for a stream of a mount: who is the client, and what may it read?
///
/// It runs on a thread that is there for it, and may block. Several may run at the same time.
///
/// @param user_data  As it was given.
/// @param request    The request. It lives until the callback returns.
/// @param access     What to decide on: evs_access_allow, evs_access_set_channels and the others. Without a word from the
///                   callback the client is refused. It lives until the callback returns.
pub type evs_authorize_fn =
    Option<extern "C" fn(user_data: *mut c_void, request: *const evs_request, access: *mut evs_access)>;

/// Called at each request that is for no mount.
///
/// It runs on a thread that is there for it, and may block. Several may run at the same time.
///
/// @param user_data  As it was given.
/// @param request    The request, with its body. It lives until the callback returns.
/// @param response   What to answer; at first a 404 without a body. It lives until the callback returns.
pub type evs_respond_fn =
    Option<extern "C" fn(user_data: *mut c_void, request: *const evs_request, response: *mut evs_response)>;

/// Makes a server, which does not listen yet.
///
/// @param events  The events that it serves.
/// @param server  Where to put it. The caller owns it; free with evs_server_free.
/// @param error   NULL, or where to put the error.
///
/// Status: OK, INVALID_ARGUMENT, CLOSED, FORKED.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_new(
    events: Option<&evs_events>,
    server: Option<&mut MaybeUninit<*mut evs_server>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(server, "server")?;
        let events = needed(events, "events")?.events.clone();
        events.check_open()?;
        give(place, evs_server { events, setup: Mutex::default(), listening: OnceLock::new() });
        Ok(evs_status::Ok)
    })
}

/// Serves streams at a path, of the channels that clients name: /events/?channel=a&channel=b.
///
/// @param server    The server, which does not listen yet.
/// @param path      The path, beginning with "/". A "/" at its end may be left out by clients.
/// @param path_len  Its length in bytes.
/// @param error     NULL, or where to put the error.
///
/// Status: OK, INVALID_ARGUMENT. Whether the path is one is checked when it listens.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_mount(
    server: Option<&evs_server>,
    path: *const c_char,
    path_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || mount(server, path, path_len, |mount| mount))
}

/// Serves streams at a path, always of these channels.
///
/// @param server        The server, which does not listen yet.
/// @param path          The path, beginning with "/". A "/" at its end may be left out by clients.
/// @param path_len      Its length in bytes.
/// @param channels      The names of the channels, copied.
/// @param channels_len  How many they are.
/// @param error         NULL, or where to put the error.
///
/// Status: OK; INVALID_CHANNEL when a name is not UTF-8, the rest of it is checked when a client comes; INVALID_ARGUMENT.
/// Whether the path is one is checked when it listens.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_mount_channels(
    server: Option<&evs_server>,
    path: *const c_char,
    path_len: usize,
    channels: *const evs_str,
    channels_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let channels = cast::channels(channels, channels_len)?;
        mount(server, path, path_len, |mount| mount.channels(channels))
    })
}

/// Serves streams at a path, as a callback allows at each request.
///
/// @param server          The server, which does not listen yet.
/// @param path            The path, beginning with "/". A "/" at its end may be left out by clients.
/// @param path_len        Its length in bytes.
/// @param authorize       What decides.
/// @param user_data       What to call it with.
/// @param user_data_free  NULL, or what frees user_data.
/// @param error           NULL, or where to put the error.
///
/// Status: OK, INVALID_ARGUMENT. Whether the path is one is checked when it listens.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_mount_authorize(
    server: Option<&evs_server>,
    path: *const c_char,
    path_len: usize,
    authorize: evs_authorize_fn,
    user_data: *mut c_void,
    user_data_free: evs_free_fn,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    let user_data = UserData::new(user_data, user_data_free);
    call(error, || {
        let authorize = needed(authorize, "authorize")?;
        let decide = move |request: &Request<'_>| {
            let request = evs_request::lent(request, &[]);
            let mut access = evs_access::lent();
            user_data.call(Manners::MayBlock, |data| authorize(data, &raw const request, &raw mut access));
            access.access()
        };
        mount(server, path, path_len, |mount| mount.authorize(decide))
    })
}

/// Answers requests that are for no mount by a callback, so that an application without a web framework can serve its page
/// and take what is posted. Without it they are answered with 404.
///
/// Bodies are bounded by the settings max_body_bytes and body_timeout_ms.
///
/// @param server          The server, which does not listen yet.
/// @param respond         What answers, in place of what was set before.
/// @param user_data       What to call it with.
/// @param user_data_free  NULL, or what frees user_data.
/// @param error           NULL, or where to put the error.
///
/// Status: OK, INVALID_ARGUMENT.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_fallback(
    server: Option<&evs_server>,
    respond: evs_respond_fn,
    user_data: *mut c_void,
    user_data_free: evs_free_fn,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    let user_data = UserData::new(user_data, user_data_free);
    call(error, || {
        let respond = needed(respond, "respond")?;
        let answer = move |request: &Request<'_>, body: &[u8]| {
            let request = evs_request::lent(request, body);
            let mut response = evs_response::new();
            user_data.call(Manners::MayBlock, |data| respond(data, &raw const request, &raw mut response));
            response.into_answer()
        };
        let before = setup(server)?.fallback.replace(Arc::new(answer));
        drop(before); // what it frees may call us
        Ok(evs_status::Ok)
    })
}

/// Also takes events at POST /publish/, as GRIP proxies do, from anybody who reaches the server: it can then only listen on
/// a loopback address or a Unix socket. Channels are named there with the setting grip_prefix before them.
///
/// @param server  The server, which does not listen yet.
/// @param error   NULL, or where to put the error.
///
/// Status: OK, INVALID_ARGUMENT.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_accept_publish(
    server: Option<&evs_server>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || accept_publish(server, Auth::none()))
}

/// Also takes events at POST /publish/, from publishers with a user and a password.
///
/// @param server        The server, which does not listen yet.
/// @param user          The user, copied; without a colon.
/// @param user_len      Its length in bytes.
/// @param password      The password, copied.
/// @param password_len  Its length in bytes.
/// @param error         NULL, or where to put the error.
///
/// Status: OK, INVALID_CONFIG, INVALID_ARGUMENT.
/// Threads: any, also at the same time.
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
/// @param server     The server, which does not listen yet.
/// @param token      The token, copied: printable ASCII without blanks.
/// @param token_len  Its length in bytes.
/// @param error      NULL, or where to put the error.
///
/// Status: OK, INVALID_CONFIG, INVALID_ARGUMENT.
/// Threads: any, also at the same time.
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
/// @param server   The server, which does not listen yet.
/// @param iss      Who signs: the claim "iss" of the token. Copied.
/// @param iss_len  Its length in bytes.
/// @param key      The key, as GRIP settings have it: a secret, "base64:" and a secret, PEM or JWK. Copied.
/// @param key_len  Its length in bytes.
/// @param error    NULL, or where to put the error, which does not show the key.
///
/// Status: OK, INVALID_CONFIG, INVALID_ARGUMENT.
/// Threads: any, also at the same time.
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

/// Lets the server listen, until it or its events are closed, or it is freed.
///
/// @param server       The server. If this fails, it can be tried again, also with another address.
/// @param address      "host:port", where port 0 takes a free one, such as "127.0.0.1:8000", "[::]:80" or "localhost:0"; or
///                     "unix:PATH".
/// @param address_len  Its length in bytes.
/// @param error        NULL, or where to put the error.
///
/// Status: OK; INVALID_CONFIG when the path of a mount is none; INVALID_ARGUMENT when the address is none or it listens
/// already; IO when the address cannot be had; CLOSED, FORKED.
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_listen(
    server: Option<&evs_server>,
    address: *const c_char,
    address_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let given = needed(server, "server")?;
        let address = cast::text(address, address_len, "address")?;
        let mut setup = setup(server)?;
        let mut builder = given.events.server();
        for mount in &setup.mounts {
            builder = builder.mount(mount.clone());
        }
        if let Some(answer) = setup.fallback.clone() {
            builder = builder.fallback(move |request, body| answer(request, body));
        }
        if let Some(auth) = setup.publish_auth.clone() {
            builder = builder.accept_publish(auth);
        }
        let server = builder.bind(address)?;
        let address = CString::new(server.address().to_string()).unwrap_or_default();
        // The setup is locked, so nobody else can have set it.
        let _ = given.listening.set(Listening { server, address });
        // It has its own, and frees what they call as soon as it is closed.
        *setup = Setup::default();
        Ok(evs_status::Ok)
    })
}

/// Where it listens, with the port it was given: "127.0.0.1:8000", "[::1]:8000" or "unix:PATH", ended by NUL. It lives as
/// long as the server; empty before it listens or if server is NULL.
///
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_address(server: Option<&evs_server>) -> evs_str {
    let none: &CStr = c"";
    let address = || server.and_then(|server| server.listening.get()).map(|listening| &*listening.address);
    value(none.into(), || address().unwrap_or(none).into())
}

/// The port it listens on; 0 before it listens, for a Unix socket, or if server is NULL.
///
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_port(server: Option<&evs_server>) -> u16 {
    let listening = server.and_then(|server| server.listening.get());
    value(0, || match listening.map(|listening| listening.server.address()) {
        Some(Address::Tcp(address)) => address.port(),
        _ => 0,
    })
}

/// Ends it: takes no more connections, finishes the requests it is answering, and ends its streams, whose clients are asked
/// to come back later. Closing again does nothing. evs_events_close does this too.
///
/// @param server      The server.
/// @param timeout_ms  How long it may take, in milliseconds, or EVS_FOREVER.
/// @param error       NULL, or where to put the error.
///
/// Status: OK; TIMEOUT when a request or stream did not end in that time; INVALID_ARGUMENT, FORKED; IN_CALLBACK when a
/// callback calls it.
/// Threads: any, also at the same time, but from no callback.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_close(
    server: Option<&evs_server>,
    timeout_ms: u64,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let server = needed(server, "server")?;
        refuse_in_callback()?;
        server.events.check_process()?;
        let closed = |listening: &Listening| listening.server.close(Duration::from_millis(timeout_ms));
        if server.listening.get().is_none_or(closed) {
            return Ok(evs_status::Ok);
        }
        Err(Failure::new(evs_status::Timeout, "not all requests and streams had ended in the time given"))
    })
}

/// Frees it. NULL is allowed. Never blocks: if it was not closed before, it ends at once.
///
/// Threads: any, also a callback, but for one object only once, and when no other function uses it.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_free(server: Option<Box<evs_server>>) {
    free(server);
}

/// What a server that does not listen yet is to serve.
fn setup(server: Option<&evs_server>) -> Result<MutexGuard<'_, Setup>> {
    let server = needed(server, "server")?;
    let setup = server.setup.lock().unwrap_or_else(PoisonError::into_inner);
    if server.listening.get().is_some() {
        return Err(Failure::argument("the server listens already"));
    }
    Ok(setup)
}

fn mount(
    server: Option<&evs_server>,
    path: *const c_char,
    path_len: usize,
    with_access: impl FnOnce(Mount) -> Mount,
) -> Result<evs_status> {
    let path = cast::text(path, path_len, "path")?;
    let mount = with_access(Mount::new(path));
    setup(server)?.mounts.push(mount);
    Ok(evs_status::Ok)
}

fn accept_publish(server: Option<&evs_server>, auth: Auth) -> Result<evs_status> {
    setup(server)?.publish_auth = Some(auth);
    Ok(evs_status::Ok)
}
