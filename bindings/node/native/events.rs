//! An application's events.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use evstream::{Closed, Events, Receipt, Screened, Who};
use napi::bindgen_prelude::Function;
use napi_derive::napi;

use crate::{
    bridge::{Bridge, Fetched, OpenStreamInfo, Watcher, lock, open_stream},
    error::{Result, throw},
    log,
    request::{NativeAccess, NativeAsked, NativeReply, NativeRequest, NativeScreened, event},
    settings::{self, Given},
    stats::{NativeFamily, NativeHealth, NativeStats, family, stats},
    stream::{NativeStream, borrowed},
    subscription::NativeSubscription,
};

#[napi]
pub struct NativeEvents {
    pub(crate) events: Events,
    pub(crate) bridge: Arc<Bridge>,
    /// What closing has told those who wait for it, by their numbers.
    closed: Arc<Mutex<HashMap<u32, evstream::Result<Closed>>>>,
}

/// What publishing gives back.
#[napi(object, object_from_js = false)]
pub struct NativeReceipt {
    pub position: Option<String>,
    pub streams: f64,
    /// To wait with for the proxies or the journal, when there are any.
    pub ticket: Option<NativeTicket>,
}

/// What closing has to tell.
#[napi(object)]
pub struct NativeClosed {
    pub ended: bool,
    pub undelivered: f64,
}

/// Waits for the results of the proxies or the journal.
#[napi]
pub struct NativeTicket {
    receipt: Receipt,
    bridge: Arc<Bridge>,
}

/// Waits until the journal has it that streams are to end.
#[napi]
pub struct NativeEnded {
    ended: evstream::Ended,
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
        #[napi(ts_arg_type = "Array<boolean | number | string | string[]>")] values: Vec<Given>,
        callback: Function<'_, (), ()>,
        log_level: Option<String>,
    ) -> Result<Self> {
        let bridge = Bridge::new(callback)?;
        if let Some(level) = &log_level {
            log::subscribe(&bridge, level);
        }
        let events =
            Events::new(settings::config(names.into_iter().zip(values).collect())?).map_err(throw)?;
        events.observe(Watcher(Arc::downgrade(&bridge))).map_err(throw)?;
        Ok(Self { events, bridge, closed: Arc::default() })
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
        let event = event(&data, name.as_deref(), retry_ms, comment.as_deref());
        let receipt = self.events.publish(&channel, event).map_err(throw)?;
        Ok(NativeReceipt {
            position: shown(&receipt),
            streams: receipt.streams as f64,
            ticket: (!receipt.is_local_only()).then(|| NativeTicket { receipt, bridge: self.bridge.clone() }),
        })
    }

    /// The name of the channel that streams of that user read.
    #[napi(catch_unwind)]
    pub fn user_channel(&self, user: String) -> Result<String> {
        Ok(self.events.user_channel(&user).map_err(throw)?.name().to_owned())
    }

    /// The answer to a request that needs no word from the application, or what to decide on.
    #[napi(catch_unwind)]
    pub fn screen(&self, request: NativeRequest) -> NativeScreened {
        match request.with(|request| self.events.screen(request)) {
            Screened::Reply(reply) => NativeScreened { reply: Some(self.reply(reply)), asked: None },
            Screened::Ask(asked) => NativeScreened { reply: None, asked: Some(NativeAsked::new(asked)) },
        }
    }

    /// The answer to a request on which the application has decided.
    #[napi(catch_unwind)]
    pub fn open(&self, asked: &NativeAsked, access: NativeAccess) -> Result<NativeReply> {
        Ok(self.reply(self.events.open(asked.take()?, access.into_access())))
    }

    /// The answer to a request with an access that does not depend on it.
    #[napi(catch_unwind)]
    pub fn open_request(&self, request: NativeRequest, access: NativeAccess) -> NativeReply {
        let access = access.into_access();
        self.reply(request.with(|request| self.events.open_request(request, access)))
    }

    /// Has the system give up the client of the socket `fd` where it is gone, and tell of room early.
    #[napi(catch_unwind)]
    pub fn tune(&self, fd: i32) -> Result<()> {
        self.events.tune(borrowed(fd)?).map_err(throw)
    }

    /// Ends streams that have all of these, whose clients come back. Gives nothing when only this process has to know.
    #[napi(catch_unwind)]
    pub fn reopen(
        &self,
        user: Option<String>,
        channel: Option<String>,
        stream: Option<String>,
        everyone: bool,
    ) -> Result<Option<NativeEnded>> {
        self.ended(self.events.reopen(who(user, channel, stream, everyone)))
    }

    /// Ends streams that have all of these, whose clients do not come back. Gives nothing when only this process has to know.
    #[napi(catch_unwind)]
    pub fn disconnect(
        &self,
        text: String,
        user: Option<String>,
        channel: Option<String>,
        stream: Option<String>,
        everyone: bool,
    ) -> Result<Option<NativeEnded>> {
        self.ended(self.events.disconnect(who(user, channel, stream, everyone), &text))
    }

    /// The streams that have all of these.
    #[napi(catch_unwind)]
    pub fn list(
        &self,
        user: Option<String>,
        channel: Option<String>,
        stream: Option<String>,
        everyone: bool,
    ) -> Result<Vec<OpenStreamInfo>> {
        let streams = self.events.streams(who(user, channel, stream, everyone)).map_err(throw)?;
        Ok(streams.into_iter().map(open_stream).collect())
    }

    /// The users who have streams of a channel open.
    #[napi(catch_unwind)]
    pub fn users(&self, channel: String) -> Result<Vec<String>> {
        self.events.users(&channel).map_err(throw)
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

    /// The place of the newest event.
    #[napi(catch_unwind)]
    pub fn position(&self) -> String {
        self.events.position().to_string()
    }

    /// Metrics as text.
    #[napi(catch_unwind)]
    pub fn metrics(&self, openmetrics: bool) -> String {
        self.events.metrics(openmetrics)
    }

    /// The same for a registry of the host's.
    #[napi(catch_unwind)]
    pub fn families(&self) -> Vec<NativeFamily> {
        self.events.families().into_iter().map(family).collect()
    }

    #[napi(catch_unwind)]
    pub fn health(&self) -> NativeHealth {
        let health = self.events.health();
        NativeHealth { ready: health.ready, live: health.live, problems: health.problems }
    }

    #[napi(catch_unwind)]
    pub fn stats(&self) -> NativeStats {
        stats(&self.events.stats())
    }

    /// Ends everything within the time given, on a thread of its own; wakes `id` when done, for which `closed` tells then
    /// what there is to tell.
    #[napi(catch_unwind)]
    pub fn close(&self, timeout_ms: f64, id: u32) -> Result<()> {
        let (events, bridge, closed) = (self.events.clone(), self.bridge.clone(), self.closed.clone());
        let timeout = Duration::from_millis(timeout_ms as u64);
        let close = move || {
            let told = events.close(timeout);
            lock(&closed).insert(id, told);
            bridge.wake(id);
        };
        evstream::__internal::spawn("evstream-close", close).map(|_| ()).map_err(|error| throw(error.into()))
    }

    #[napi(catch_unwind)]
    pub fn closed(&self, id: u32) -> Result<Option<NativeClosed>> {
        let told = lock(&self.closed).remove(&id).transpose().map_err(throw)?;
        let native = |told: Closed| NativeClosed { ended: told.ended, undelivered: told.undelivered as f64 };
        Ok(told.map(native))
    }

    /// Calls JavaScript no more.
    #[napi(catch_unwind)]
    pub fn release(&self) {
        log::unsubscribe(&self.bridge);
        self.bridge.release();
    }

    fn ended(&self, ended: evstream::Result<evstream::Ended>) -> Result<Option<NativeEnded>> {
        let ended = ended.map_err(throw)?;
        Ok((!ended.is_local_only()).then(|| NativeEnded { ended, bridge: self.bridge.clone() }))
    }

    pub(crate) fn reply(&self, reply: evstream::Reply) -> NativeReply {
        NativeReply::new(reply, |stream| NativeStream::new(stream, &self.events, &self.bridge))
    }
}

#[napi]
impl NativeTicket {
    /// The results when none is missing; else nothing, and `id` is woken when it is worth asking again.
    #[napi(catch_unwind)]
    pub fn results(&self, id: u32) -> Result<Option<Vec<NativeResult>>> {
        let waker = self.bridge.waker(id);
        match pin!(self.receipt.delivered()).poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => Ok(None),
            Poll::Ready(results) => {
                let result = |result: evstream::ProxyResult| NativeResult {
                    proxy: result.proxy,
                    error: result.result.err().map(|error| throw(error).reason.clone()),
                };
                Ok(Some(results.map_err(throw)?.into_iter().map(result).collect()))
            }
        }
    }

    /// The place of the event, when it is known.
    #[napi(catch_unwind)]
    pub fn position(&self) -> Option<String> {
        shown(&self.receipt)
    }
}

#[napi]
impl NativeEnded {
    /// True when the journal has it; else nothing, and `id` is woken when it is worth asking again.
    #[napi(catch_unwind)]
    pub fn told(&self, id: u32) -> Result<Option<bool>> {
        let waker = self.bridge.waker(id);
        match pin!(self.ended.told()).poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => Ok(None),
            Poll::Ready(told) => told.map(|()| Some(true)).map_err(throw),
        }
    }
}

fn who(user: Option<String>, channel: Option<String>, stream: Option<String>, everyone: bool) -> Who {
    let mut who = if everyone { Who::everyone() } else { Who::new() };
    if let Some(user) = user {
        who = who.user(user);
    }
    if let Some(channel) = channel {
        who = who.channel(channel);
    }
    if let Some(stream) = stream {
        who = who.stream(stream);
    }
    who
}

fn shown(receipt: &Receipt) -> Option<String> {
    receipt.position().map(|position| position.to_string())
}
