//! An application's events.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use evstream::{Event, Events, Receipt};
use napi::bindgen_prelude::Function;
use napi_derive::napi;

use crate::{
    bridge::{Bridge, Fetched, Watcher},
    error::{Result, throw},
    log,
    request::{NativeAccess, NativeReply, NativeRequest},
    settings::{Given, read},
    stats::{NativeStats, stats},
    stream::NativeStream,
    subscription::NativeSubscription,
};

#[napi]
pub struct NativeEvents {
    pub(crate) events: Events,
    pub(crate) bridge: Arc<Bridge>,
    has_proxies: bool,
    closed: Arc<Mutex<Option<f64>>>,
}

/// What publishing gives back.
#[napi(object, object_from_js = false)]
pub struct NativeReceipt {
    pub position: String,
    pub streams: f64,
    /// To wait for the proxies with, when there are any.
    pub ticket: Option<NativeTicket>,
}

/// Waits for the proxies' results.
#[napi]
pub struct NativeTicket {
    receipt: Receipt,
    bridge: Arc<Bridge>,
}

/// What became of an event at a proxy.
#[napi(object)]
pub struct NativeResult {
    pub proxy: String,
    pub error: Option<String>,
}

#[napi]
impl NativeEvents {
    /// `callback` is called without arguments when there is something to `fetch`.
    #[napi(constructor, catch_unwind)]
    pub fn new(
        names: Vec<String>,
        values: Vec<Given>,
        callback: Function<'_, (), ()>,
        log_level: Option<String>,
    ) -> Result<Self> {
        let has_proxies = names.iter().any(|name| name == "grip");
        let bridge = Bridge::new(callback)?;
        if let Some(level) = &log_level {
            log::subscribe(&bridge, level);
        }
        let events = Events::new(read(names.into_iter().zip(values).collect())?).map_err(throw)?;
        events.observe(Watcher(Arc::downgrade(&bridge))).map_err(throw)?;
        Ok(Self { events, bridge, has_proxies, closed: Arc::default() })
    }

    /// What has happened since the last call.
    #[napi(catch_unwind)]
    pub fn fetch(&self) -> Fetched {
        self.bridge.fetch()
    }

    /// Whether news of streams and failures is wanted.
    #[napi(catch_unwind)]
    pub fn listen(&self, listening: bool) {
        self.bridge.listen(listening);
    }

    /// `data` is text, JSON where it was a value. One argument each, because reading an object costs more than publishing.
    #[napi(catch_unwind)]
    pub fn publish(
        &self,
        channel: String,
        data: String,
        name: Option<String>,
        retry_ms: Option<f64>,
        comment: Option<String>,
    ) -> Result<NativeReceipt> {
        let mut event = Event::text(data);
        if let Some(name) = name {
            event = event.name(name);
        }
        if let Some(retry_ms) = retry_ms {
            event = event.retry_ms(retry_ms as u64);
        }
        if let Some(comment) = comment {
            event = event.comment(comment);
        }
        let receipt = self.events.publish(&channel, event).map_err(throw)?;
        Ok(NativeReceipt {
            position: receipt.position.to_string(),
            streams: receipt.streams as f64,
            ticket: self.has_proxies.then(|| NativeTicket { receipt, bridge: self.bridge.clone() }),
        })
    }

    /// The answer to a request that needs no word from the application.
    #[napi(catch_unwind)]
    pub fn screen(&self, request: NativeRequest) -> Option<NativeReply> {
        request.with(|request| self.events.screen(request)).map(|reply| self.reply(reply))
    }

    #[napi(catch_unwind)]
    pub fn open(&self, request: NativeRequest, access: NativeAccess) -> NativeReply {
        let access = access.into_access();
        self.reply(request.with(|request| self.events.open(request, access)))
    }

    /// Wakes `id` whenever there may be something to take.
    #[napi(catch_unwind)]
    pub fn subscribe(&self, channels: Vec<String>, id: u32) -> Result<NativeSubscription> {
        let subscription = self.events.subscribe(channels.iter().map(String::as_str)).map_err(throw)?;
        Ok(NativeSubscription::new(subscription, self.bridge.waker(id)))
    }

    /// Streams and subscriptions of this process that read a channel now.
    #[napi(catch_unwind)]
    pub fn streams(&self, channel: String) -> Result<f64> {
        Ok(self.events.channel(&channel).map_err(throw)?.streams() as f64)
    }

    #[napi(catch_unwind)]
    pub fn stats(&self) -> NativeStats {
        stats(&self.events.stats())
    }

    /// Ends everything within the time given, on a thread of its own; wakes `id` when done.
    #[napi(catch_unwind)]
    pub fn close(&self, timeout_ms: f64, id: u32) -> Result<()> {
        let (events, bridge, closed) = (self.events.clone(), self.bridge.clone(), self.closed.clone());
        let timeout = Duration::from_millis(timeout_ms as u64);
        let close = move || {
            let undelivered = events.close(timeout).undelivered;
            *closed.lock().unwrap_or_else(PoisonError::into_inner) = Some(undelivered as f64);
            bridge.wake(id);
        };
        std::thread::Builder::new()
            .name("evstream-close".to_owned())
            .spawn(close)
            .map(|_| ())
            .map_err(|error| throw(error.into()))
    }

    /// Events that proxies did not get, once `close` is done.
    #[napi(catch_unwind)]
    pub fn closed(&self) -> Option<f64> {
        log::unsubscribe(&self.bridge);
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reply(&self, reply: evstream::Reply) -> NativeReply {
        NativeReply::new(reply, |stream| NativeStream::new(stream, &self.events, &self.bridge))
    }
}

#[napi]
impl NativeTicket {
    /// The results when none is missing; else nothing, and `id` is woken when it is worth asking again.
    #[napi(catch_unwind)]
    pub fn results(&self, id: u32) -> Option<Vec<NativeResult>> {
        let waker = self.bridge.waker(id);
        match pin!(self.receipt.delivered()).poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => None,
            Poll::Ready(results) => {
                let result = |result: evstream::ProxyResult| NativeResult {
                    proxy: result.proxy,
                    error: result.result.err().map(|error| throw(error).reason.clone()),
                };
                Some(results.into_iter().map(result).collect())
            }
        }
    }
}
