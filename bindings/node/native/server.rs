//! The core's own server, for applications that have none.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use evstream::{Access, Address, Mount, Server, StreamRequest};
use napi_derive::napi;

use crate::{
    bridge::{Ask, Bridge, News, lock},
    error::{Result, throw},
    events::NativeEvents,
    jwt::NativeJwtOptions,
    request::{NativeAccess, NativeRequest},
    tickets::NativeTickets,
};

#[napi]
pub struct NativeServer {
    server: Arc<Server>,
    bridge: Arc<Bridge>,
    asked: Arc<Asked>,
}

/// A path with streams, or with what there is to know of them.
#[napi(object)]
pub struct NativeMount {
    pub path: String,
    /// Streams where it is not said.
    #[napi(ts_type = "'metrics' | 'health'")]
    pub kind: Option<String>,
    /// The decision that is the same for every request, if there is one.
    pub access: Option<NativeAccess>,
    /// The tokens that decide, if they do.
    pub jwt: Option<NativeJwtOptions>,
    /// The tickets that decide, if they do.
    pub tickets: Option<NativeTickets>,
    /// By which number JavaScript is asked at each request, if it is.
    pub ask: Option<u32>,
}

/// Requests on which JavaScript has yet to decide.
#[derive(Default)]
struct Asked {
    next: AtomicU32,
    answers: Mutex<HashMap<u32, mpsc::Sender<Access>>>,
}

#[napi]
impl NativeEvents {
    #[napi(catch_unwind)]
    pub fn serve(&self, address: String, mounts: Vec<NativeMount>) -> Result<NativeServer> {
        let asked = Arc::new(Asked::default());
        let mut builder = self.events.server();
        for mount in mounts {
            let mut built = match mount.kind.as_deref() {
                Some("metrics") => Mount::metrics(mount.path),
                Some("health") => Mount::health(mount.path),
                _ => Mount::new(mount.path),
            };
            if let Some(NativeAccess::Granted { channels: Some(channels), .. }) = mount.access {
                built = built.channels(channels);
            }
            if let Some(jwt) = mount.jwt {
                built = built.jwt(jwt.read().map_err(throw)?);
            }
            if let Some(tickets) = mount.tickets {
                built = built.tickets(tickets.read().map_err(throw)?);
            }
            if let Some(number) = mount.ask {
                let (asked, bridge) = (asked.clone(), Arc::downgrade(&self.bridge));
                built = built.authorize(move |request| asked.ask(&bridge, number, request));
            }
            builder = builder.mount(built);
        }
        let server = builder.bind(&address).map_err(throw)?;
        Ok(NativeServer { server, bridge: self.bridge.clone(), asked })
    }
}

#[napi]
impl NativeServer {
    #[napi(catch_unwind)]
    pub fn host(&self) -> String {
        match self.server.address() {
            Address::Tcp(address) => address.ip().to_string(),
            address => address.to_string(),
        }
    }

    /// 0 for a Unix socket.
    #[napi(catch_unwind)]
    pub fn port(&self) -> u16 {
        match self.server.address() {
            Address::Tcp(address) => address.port(),
            _ => 0,
        }
    }

    /// JavaScript's decision on a request.
    #[napi(catch_unwind)]
    pub fn answer(&self, id: u32, access: NativeAccess) {
        let answer = lock(&self.asked.answers).remove(&id);
        if let Some(answer) = answer {
            // Nobody waits any more when it came too late.
            let _ = answer.send(access.into_access());
        }
    }

    /// Ends it within the time given, on a thread of its own; wakes `id` when done.
    #[napi(catch_unwind)]
    pub fn close(&self, timeout_ms: f64, id: u32) -> Result<()> {
        let (server, bridge) = (self.server.clone(), self.bridge.clone());
        let close = move || {
            server.close(Duration::from_millis(timeout_ms as u64));
            bridge.wake(id);
        };
        evstream::__internal::spawn("evstream-close", close).map(|_| ()).map_err(|error| throw(error.into()))
    }
}

impl Asked {
    /// Runs on a thread that is there for waiting.
    fn ask(&self, bridge: &Weak<Bridge>, mount: u32, request: &StreamRequest<'_>) -> Access {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (send, answer) = mpsc::channel();
        lock(&self.answers).insert(id, send);
        let ask =
            Ask { id, mount, request: NativeRequest::new(request), requested: request.channels().to_vec() };
        let told =
            bridge.upgrade().is_some_and(|bridge| bridge.tell(News { ask: Some(ask), ..News::new("ask") }));
        let access = told.then(|| answer.recv_timeout(ANSWER_TIMEOUT).ok()).flatten();
        access.unwrap_or_else(|| {
            lock(&self.answers).remove(&id);
            Access::fail("the application did not decide in time")
        })
    }
}

/// How long an application may think about a request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
