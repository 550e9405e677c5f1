//! Events of an application

use std::{
    ffi::{c_char, c_void},
    mem::MaybeUninit,
    time::{Duration, Instant},
};

use evstream::{Channel, Config, ErrorKind, Event, Events, Receipt};

use crate::{
    call::{call, free, give, needed, place},
    callback::{UserData, evs_free_fn, refuse_in_callback, refuse_in_short_callback},
    cast,
    config::evs_config,
    error::{Failure, Result, evs_error},
    event::{event, evs_event},
    receipt::{self, evs_published_fn, evs_receipt},
    status::evs_status,
    subscription::Deliveries,
};

/// An application's events: its settings, channels, history and streams. Make one per application.
///
/// No thread is started before a stream is opened, a server listens, a subscription is made or a GRIP proxy is published
/// to. What is made from it, such as a server or a channel, keeps it alive, so the order of freeing does not matter.
pub struct evs_events {
    pub(crate) events: Events,
    pub(crate) deliveries: Deliveries,
}

/// Waits for as long as it takes.
#[expect(dead_code, reason = "it is for C")]
pub const EVS_FOREVER: u64 = u64::MAX;

/// Makes an application's events.
///
/// @param config  The settings, copied. NULL stands for all defaults.
/// @param events  Where to put them. The caller owns them; free with evs_events_free.
/// @param error   NULL, or where to put the error.
///
/// Status: OK, INVALID_CONFIG, INVALID_ARGUMENT.
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_events_new(
    config: Option<&evs_config>,
    events: Option<&mut MaybeUninit<*mut evs_events>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(events, "events")?;
        let config = config.map_or_else(Config::new, |given| given.config.clone());
        give(place, evs_events { events: Events::new(config)?, deliveries: Deliveries::default() });
        Ok(evs_status::Ok)
    })
}

/// Publishes an event to a channel. Never waits for a client or a proxy: streams of this process have it queued when this
/// returns, and GRIP proxies are sent it in the background.
///
/// @param events       The events.
/// @param channel      The name of the channel: UTF-8, 1 to 256 bytes, no control characters.
/// @param channel_len  Its length in bytes.
/// @param event        The event.
/// @param receipt      NULL, or a structure for what is known of it now, started with EVS_RECEIPT_INIT.
/// @param error        NULL, or where to put the error.
///
/// Status: OK, INVALID_CHANNEL, INVALID_EVENT, TOO_LARGE, INVALID_ARGUMENT, CLOSED, FORKED; IO when the threads that publish
/// to proxies cannot be started.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_events_publish(
    events: Option<&evs_events>,
    channel: *const c_char,
    channel_len: usize,
    event: *const evs_event,
    receipt: *mut evs_receipt,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || publish(named(events, channel, channel_len)?, event, receipt))
}

/// Publishes an event to a channel, and waits until every GRIP proxy has taken it or failed. Without proxies it is
/// evs_events_publish.
///
/// @param events       The events.
/// @param channel      The name of the channel: UTF-8, 1 to 256 bytes, no control characters.
/// @param channel_len  Its length in bytes.
/// @param event        The event.
/// @param timeout_ms   How long to wait, in milliseconds, or EVS_FOREVER.
/// @param receipt      NULL, or a structure for what became of it, started with EVS_RECEIPT_INIT. It is filled in whenever
///                     the event was published, also if the status is that of a proxy or TIMEOUT.
/// @param error        NULL, or where to put the error, which tells of all proxies that failed.
///
/// Status: OK; PROXY_UNAVAILABLE, PROXY_REJECTED or QUEUE_FULL of the first proxy that failed; TIMEOUT, after which
/// delivery goes on all the same; IN_CALLBACK in a callback that must be short; and those of evs_events_publish.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_events_publish_wait(
    events: Option<&evs_events>,
    channel: *const c_char,
    channel_len: usize,
    event: *const evs_event,
    timeout_ms: u64,
    receipt: *mut evs_receipt,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || publish_wait(named(events, channel, channel_len)?, event, timeout_ms, receipt))
}

/// Publishes an event to a channel, and calls back when every GRIP proxy has taken it or failed.
///
/// @param events          The events.
/// @param channel         The name of the channel: UTF-8, 1 to 256 bytes, no control characters.
/// @param channel_len     Its length in bytes.
/// @param event           The event.
/// @param receipt         NULL, or a structure for what is known of it now, started with EVS_RECEIPT_INIT.
/// @param published       What to call. It is called once if this returns OK, and not at all if not.
/// @param user_data       What to call it with.
/// @param user_data_free  NULL, or what frees user_data.
/// @param error           NULL, or where to put the error.
///
/// Status: those of evs_events_publish.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_events_publish_async(
    events: Option<&evs_events>,
    channel: *const c_char,
    channel_len: usize,
    event: *const evs_event,
    receipt: *mut evs_receipt,
    published: evs_published_fn,
    user_data: *mut c_void,
    user_data_free: evs_free_fn,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    let user_data = UserData::new(user_data, user_data_free);
    call(error, || publish_async(named(events, channel, channel_len)?, event, receipt, published, user_data))
}

/// Ends everything: refuses further publishing, asks each client to come back later, ends the streams, servers and
/// subscriptions, delivers what waits for GRIP proxies, and ends the threads. Closing again does nothing.
///
/// Every blocking call on what was made from these events returns. When it returns OK no thread of these events is left.
///
/// @param events       The events.
/// @param timeout_ms   How long it may take, in milliseconds, or EVS_FOREVER.
/// @param undelivered  NULL, or where to put how many events a GRIP proxy did not get in that time, counted once per proxy.
/// @param error        NULL, or where to put the error.
///
/// Status: OK; TIMEOUT when a callback was still running; INVALID_ARGUMENT, FORKED; IN_CALLBACK when a callback calls it.
/// Threads: any, also at the same time, but from no callback.
#[unsafe(no_mangle)]
pub extern "C" fn evs_events_close(
    events: Option<&evs_events>,
    timeout_ms: u64,
    undelivered: Option<&mut MaybeUninit<u64>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let events = needed(events, "events")?;
        refuse_in_callback()?;
        if let Err(error) = events.events.check_open()
            && error.kind() == ErrorKind::Forked
        {
            return Err(error.into());
        }
        let timeout = Duration::from_millis(timeout_ms);
        let started = Instant::now();
        let closed = events.events.close(timeout);
        if let Some(undelivered) = undelivered {
            undelivered.write(closed.undelivered);
        }
        if events.deliveries.join(timeout.saturating_sub(started.elapsed())) {
            return Ok(evs_status::Ok);
        }
        Err(Failure::new(evs_status::Timeout, "a callback of a subscription is still running"))
    })
}

/// Frees events. NULL is allowed. Never blocks: what was not closed before ends at once, its threads soon after.
///
/// What was made from the events and is not freed yet can still be used, and keeps them alive.
///
/// Threads: any, also a callback, but for one object only once, and when no other function uses it.
#[unsafe(no_mangle)]
pub extern "C" fn evs_events_free(events: Option<Box<evs_events>>) {
    free(events);
}

/// Where an event is published to.
pub(crate) enum Target<'a> {
    Named(&'a Events, &'a str),
    Channel(&'a Channel),
}

impl Target<'_> {
    fn publish(&self, event: Event<'_>) -> evstream::Result<Receipt> {
        match self {
            Self::Named(events, channel) => events.publish(channel, event),
            Self::Channel(channel) => channel.publish(event),
        }
    }
}

pub(crate) fn publish(
    target: Target<'_>,
    given: *const evs_event,
    receipt: *mut evs_receipt,
) -> Result<evs_status> {
    cast::check_sized(receipt)?;
    let told = target.publish(event(given)?)?;
    if !receipt.is_null() {
        cast::write_sized(receipt, &evs_receipt::new(&told))?;
    }
    Ok(evs_status::Ok)
}

pub(crate) fn publish_wait(
    target: Target<'_>,
    given: *const evs_event,
    timeout_ms: u64,
    receipt: *mut evs_receipt,
) -> Result<evs_status> {
    cast::check_sized(receipt)?;
    refuse_in_short_callback()?;
    let published = target.publish(event(given)?)?;
    let (told, result) = receipt::wait(&published, Duration::from_millis(timeout_ms));
    cast::write_sized(receipt, &told)?;
    result.map(|()| evs_status::Ok)
}

pub(crate) fn publish_async(
    target: Target<'_>,
    given: *const evs_event,
    receipt: *mut evs_receipt,
    published: evs_published_fn,
    user_data: UserData,
) -> Result<evs_status> {
    needed(published, "published")?;
    cast::check_sized(receipt)?;
    let told = target.publish(event(given)?)?;
    cast::write_sized(receipt, &evs_receipt::new(&told))?;
    receipt::notify(told, published, user_data);
    Ok(evs_status::Ok)
}

fn named(events: Option<&evs_events>, channel: *const c_char, channel_len: usize) -> Result<Target<'_>> {
    let channel = cast::channel(channel, channel_len)?;
    Ok(Target::Named(&needed(events, "events")?.events, channel))
}
