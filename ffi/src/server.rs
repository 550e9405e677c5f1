//! A server of evstream's own

use std::{
    ffi::{CStr, CString, c_char, c_void},
    mem::MaybeUninit,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use evstream::{Address, Answer, Events, Mount, PublicChannels, Request, Server, StreamRequest, grip::Auth};

use crate::{
    access::evs_access,
    call::{call, free, give, needed, place, value},
    callback::{Manners, UserData, evs_free_fn, refuse_in_callback},
    cast,
    error::{Failure, Result, evs_error},
    hub::evs_hub,
    jwt::evs_jwt,
    request::evs_request,
    response::evs_response,
    status::evs_status,
    text::evs_str,
    tickets::evs_tickets,
};

/// An HTTP server of evstream's own. Make it, say what it serves, and let it listen.
pub struct evs_server {
    events: Events,
    setup: Mutex<Setup>,
    listening: OnceLock<Listening>,
}

/// What a server serves.
#[derive(Default)]
pub(crate) struct Setup {
    mounts: Vec<Mount>,
    fallback: Option<Arc<Fallback>>,
    pub(crate) publish_auth: Option<Auth>,
}

type Fallback = dyn Fn(&Request<'_>, &[u8]) -> Answer + Send + Sync;

struct Listening {
    server: Arc<Server>,
    address: CString,
}

/// Called at each request for a stream of a mount: who is the client, and what may it read?
///
/// It runs on a thread of its own and may block. Several may run at the same time.
///
/// @param user_data  As you gave it.
/// @param request    The request. It lives until the callback returns.
/// @param access     Where to decide, with evs_access_allow, evs_access_set_channels and the like. If you decide
///                   nothing, the client is refused. It lives until the callback returns.
pub type evs_authorize_fn =
    Option<extern "C" fn(user_data: *mut c_void, request: *const evs_request<'_>, access: *mut evs_access)>;

/// Called at each request that is for no mount.
///
/// It runs on a thread of its own and may block. Several may run at the same time.
///
/// @param user_data  As you gave it.
/// @param request    The request, with its body. It lives until the callback returns.
/// @param response   What to answer: a 404 without a body until you change it. It lives until the callback returns.
pub type evs_respond_fn = Option<
    extern "C" fn(user_data: *mut c_void, request: *const evs_request<'_>, response: *mut evs_response),
>;

/// Makes a server, which does not listen yet.
///
/// @param hub     The hub that it serves.
/// @param server  Where to store it; free with evs_server_free.
///
/// @return OK, INVALID_ARGUMENT, CLOSED, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_new(
    hub: Option<&evs_hub>,
    server: Option<&mut MaybeUninit<*mut evs_server>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(server, "server")?;
        let hub = needed(hub, "hub")?;
        hub.events.check_open()?;
        let events = hub.events.clone();
        give(place, evs_server { events, setup: Mutex::default(), listening: OnceLock::new() });
        Ok(evs_status::Ok)
    })
}

/// Serves streams at a path, of the channels that clients name: /events/?channel=a&channel=b.
///
/// That may be any, also those that other mounts guard: see evs_server_mount_public. A server that has both kinds warns.
///
/// @param server  The server, which does not listen yet.
/// @param path    The path, beginning with "/". Clients may leave out a "/" at its end. Whether it is valid is checked
///                when the server listens.
///
/// @return OK, INVALID_ARGUMENT, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_mount(
    server: Option<&evs_server>,
    path: *const c_char,
    path_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || mount(server, path, path_len, |mount| mount))
}

/// Serves metrics at a path, as evs_hub_metrics writes them: OpenMetrics where the client prefers it.
///
/// Without a callback the server can only listen on a loopback address or a Unix socket.
///
/// @param server          The server, which does not listen yet.
/// @param path            The path, as for evs_server_mount.
/// @param authorize       NULL, or what decides who may read them: the channels of the access do not matter.
/// @param user_data       What to call it with.
/// @param user_data_free  NULL, or what frees user_data.
///
/// @return OK, INVALID_ARGUMENT, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_mount_metrics(
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
        let path = cast::text(path, path_len, "path")?;
        add(server, guarded(Mount::metrics(path), authorize, user_data))
    })
}

/// Serves health at a path, as evs_hub_health writes it: with the status 200 when it is ready, or else 503; with "?live"
/// after the path, 200 as long as it is live.
///
/// Without a callback the server can only listen on a loopback address or a Unix socket.
///
/// @param server          The server, which does not listen yet.
/// @param path            The path, as for evs_server_mount.
/// @param authorize       NULL, or what decides who may read it: the channels of the access do not matter.
/// @param user_data       What to call it with.
/// @param user_data_free  NULL, or what frees user_data.
///
/// @return OK, INVALID_ARGUMENT, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_mount_health(
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
        let path = cast::text(path, path_len, "path")?;
        add(server, guarded(Mount::health(path), authorize, user_data))
    })
}

/// Serves streams at a path, always of these channels.
///
/// @param server    The server, which does not listen yet.
/// @param path      The path, as for evs_server_mount.
/// @param channels  The names of the channels, copied. What is wrong with one, beyond UTF-8, shows when a client
///                  comes.
///
/// @return OK, INVALID_CHANNEL, INVALID_ARGUMENT, FORKED.
/// @note Threads: any, also at the same time.
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

/// Serves streams at a path, as a callback decides at each request.
///
/// @param server          The server, which does not listen yet.
/// @param path            The path, as for evs_server_mount.
/// @param authorize       What decides.
/// @param user_data       What to call it with.
/// @param user_data_free  NULL, or what frees user_data.
///
/// @return OK, INVALID_ARGUMENT, FORKED.
/// @note Threads: any, also at the same time.
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
        let authorize = Some(needed(authorize, "authorize")?);
        mount(server, path, path_len, |mount| guarded(mount, authorize, user_data))
    })
}

/// Serves streams at a path, of those of these channels that clients name in the query.
///
/// @param server    The server, which does not listen yet.
/// @param path      The path, as for evs_server_mount.
/// @param channels  Names, and beginnings of names such as "news-*", copied. "*" is every channel.
///
/// @return OK, INVALID_ARGUMENT, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_mount_public(
    server: Option<&evs_server>,
    path: *const c_char,
    path_len: usize,
    channels: *const evs_str,
    channels_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let channels = PublicChannels::new(cast::channels(channels, channels_len)?)?;
        mount(server, path, path_len, |mount| mount.public(channels))
    })
}

/// Serves streams at a path, as tokens grant them.
///
/// @param server  The server, which does not listen yet.
/// @param path    The path, as for evs_server_mount.
/// @param jwt     Which tokens are accepted, copied.
///
/// @return OK, INVALID_ARGUMENT, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_mount_jwt(
    server: Option<&evs_server>,
    path: *const c_char,
    path_len: usize,
    jwt: Option<&evs_jwt>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let jwt = needed(jwt, "jwt")?.jwt.clone();
        mount(server, path, path_len, |mount| mount.jwt(jwt))
    })
}

/// Serves streams at a path, as tickets grant them.
///
/// @param server   The server, which does not listen yet.
/// @param path     The path, as for evs_server_mount.
/// @param tickets  Which tickets are accepted, copied.
///
/// @return OK, INVALID_ARGUMENT, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_mount_tickets(
    server: Option<&evs_server>,
    path: *const c_char,
    path_len: usize,
    tickets: Option<&evs_tickets>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let tickets = needed(tickets, "tickets")?.tickets.clone();
        mount(server, path, path_len, |mount| mount.tickets(tickets))
    })
}

/// Answers requests that are for no mount by a callback, so that an application without a web framework can serve a
/// page and take what is posted. Without it they are answered with 404.
///
/// The settings max_body_bytes, max_bodies_bytes and body_timeout_ms bound the bodies.
///
/// @param server          The server, which does not listen yet.
/// @param respond         What answers, in place of the one before.
/// @param user_data       What to call it with.
/// @param user_data_free  NULL, or what frees user_data.
///
/// @return OK, INVALID_ARGUMENT, FORKED.
/// @note Threads: any, also at the same time.
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

/// Has the server listen, until it or its hub is closed, or it is freed.
///
/// @param server   The server. After a failure you may try again, also with another address.
/// @param address  "host:port", such as "127.0.0.1:8000", "[::]:80" or "localhost:0", where port 0 takes a free one;
///                 or "unix:PATH".
///
/// @return OK; INVALID_CONFIG when the path of a mount is not valid; INVALID_ARGUMENT when the address is not, or the
///         server listens already; IO when the address is taken or the like; CLOSED, FORKED.
/// @note Threads: any.
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

/// @return Where it listens, with the port that it was given, ended by NUL: "127.0.0.1:8000", "[::1]:8000" or
///         "unix:PATH". It lives as long as the server. Empty before it listens or if server is NULL.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_address(server: Option<&evs_server>) -> evs_str {
    let none: &CStr = c"";
    let address = || server.and_then(|server| server.listening.get()).map(|listening| &*listening.address);
    value(none.into(), || address().unwrap_or(none).into())
}

/// @return The port it listens on; 0 before it listens, for a Unix socket, or if server is NULL.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_port(server: Option<&evs_server>) -> u16 {
    let listening = server.and_then(|server| server.listening.get());
    value(0, || match listening.map(|listening| listening.server.address()) {
        Some(Address::Tcp(address)) => address.port(),
        _ => 0,
    })
}

/// Ends it: it takes no more connections, finishes the requests that it is answering, and asks the clients of its
/// streams to come back later. evs_hub_close does this too.
///
/// @param server      The server.
/// @param timeout_ms  How long it may take, in milliseconds, or EVS_FOREVER.
///
/// @return OK; TIMEOUT when a request or stream did not end in that time; IN_CALLBACK in a callback; INVALID_ARGUMENT,
///         FORKED.
/// @note Threads: any, also at the same time.
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

/// Frees it. If it was not closed before, it ends at once.
///
/// @note Threads: any, also a callback.
#[unsafe(no_mangle)]
pub extern "C" fn evs_server_free(server: Option<Box<evs_server>>) {
    free(server);
}

/// What a server that does not listen yet is to serve.
pub(crate) fn setup(server: Option<&evs_server>) -> Result<MutexGuard<'_, Setup>> {
    let server = needed(server, "server")?;
    server.events.check_process()?; // before the lock, which may be held for ever in a child
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
    add(server, with_access(Mount::new(path)))
}

fn add(server: Option<&evs_server>, mount: Mount) -> Result<evs_status> {
    setup(server)?.mounts.push(mount);
    Ok(evs_status::Ok)
}

/// Has the callback decide, if there is one.
fn guarded(mount: Mount, authorize: evs_authorize_fn, user_data: UserData) -> Mount {
    let Some(authorize) = authorize else { return mount };
    mount.authorize(move |request: &StreamRequest<'_>| {
        let request = evs_request::lent_for_stream(request);
        let mut access = evs_access::lent();
        user_data.call(Manners::MayBlock, |data| authorize(data, &raw const request, &raw mut access));
        access.access()
    })
}
