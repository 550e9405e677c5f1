//! Channels

use std::{
    ffi::{c_char, c_void},
    mem::MaybeUninit,
};

use evstream::Channel;

use crate::{
    call::{call, free, give, needed, place, value},
    callback::{UserData, evs_free_fn},
    cast,
    error::{Result, evs_error},
    event::evs_event,
    events::{Target, evs_events, publish, publish_async, publish_wait},
    receipt::{evs_published_fn, evs_receipt},
    status::evs_status,
    text::evs_str,
};

/// A named sequence of events, for publishing to it often: it saves looking the name up.
pub struct evs_channel {
    channel: Channel,
}

/// Gives the channel of a name, which comes to be by this.
///
/// @param events    The events.
/// @param name      The name: UTF-8, 1 to 256 bytes, no control characters.
/// @param name_len  Its length in bytes.
/// @param channel   Where to put it. The caller owns it; free with evs_channel_free.
/// @param error     NULL, or where to put the error.
///
/// Status: OK, INVALID_CHANNEL, INVALID_ARGUMENT, CLOSED, FORKED.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_events_channel(
    events: Option<&evs_events>,
    name: *const c_char,
    name_len: usize,
    channel: Option<&mut MaybeUninit<*mut evs_channel>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(channel, "channel")?;
        let name = cast::channel(name, name_len)?;
        let channel = needed(events, "events")?.events.channel(name)?;
        give(place, evs_channel { channel });
        Ok(evs_status::Ok)
    })
}

/// Its name, which lives as long as it; empty if channel is NULL.
///
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_channel_name(channel: Option<&evs_channel>) -> evs_str {
    value(evs_str::from(""), || channel.map_or("", |given| given.channel.name()).into())
}

/// Streams and subscriptions of this process that read it now; 0 if channel is NULL.
///
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_channel_streams(channel: Option<&evs_channel>) -> u64 {
    value(0, || channel.map_or(0, |given| given.channel.streams() as u64))
}

/// Publishes an event to it, as evs_events_publish does.
///
/// @param channel  The channel.
/// @param event    The event.
/// @param receipt  NULL, or a structure for what is known of it now, started with EVS_RECEIPT_INIT.
/// @param error    NULL, or where to put the error.
///
/// Status: OK, INVALID_EVENT, TOO_LARGE, INVALID_ARGUMENT, CLOSED, FORKED, IO.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_channel_publish(
    channel: Option<&evs_channel>,
    event: *const evs_event,
    receipt: *mut evs_receipt,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || publish(target(channel)?, event, receipt))
}

/// Publishes an event to it and waits for the GRIP proxies, as evs_events_publish_wait does.
///
/// @param channel     The channel.
/// @param event       The event.
/// @param timeout_ms  How long to wait, in milliseconds, or EVS_FOREVER.
/// @param receipt     NULL, or a structure for what became of it, started with EVS_RECEIPT_INIT.
/// @param error       NULL, or where to put the error.
///
/// Status: those of evs_channel_publish; PROXY_UNAVAILABLE, PROXY_REJECTED, QUEUE_FULL, TIMEOUT, IN_CALLBACK.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_channel_publish_wait(
    channel: Option<&evs_channel>,
    event: *const evs_event,
    timeout_ms: u64,
    receipt: *mut evs_receipt,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || publish_wait(target(channel)?, event, timeout_ms, receipt))
}

/// Publishes an event to it and calls back when the GRIP proxies have answered, as evs_events_publish_async does.
///
/// @param channel         The channel.
/// @param event           The event.
/// @param receipt         NULL, or a structure for what is known of it now, started with EVS_RECEIPT_INIT.
/// @param published       What to call. It is called once if this returns OK, and not at all if not.
/// @param user_data       What to call it with.
/// @param user_data_free  NULL, or what frees user_data.
/// @param error           NULL, or where to put the error.
///
/// Status: those of evs_channel_publish.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_channel_publish_async(
    channel: Option<&evs_channel>,
    event: *const evs_event,
    receipt: *mut evs_receipt,
    published: evs_published_fn,
    user_data: *mut c_void,
    user_data_free: evs_free_fn,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    let user_data = UserData::new(user_data, user_data_free);
    call(error, || publish_async(target(channel)?, event, receipt, published, user_data))
}

/// Frees it. NULL is allowed. The channel itself and its history stay.
///
/// Threads: any, also a callback, but for one object only once, and when no other function uses it.
#[unsafe(no_mangle)]
pub extern "C" fn evs_channel_free(channel: Option<Box<evs_channel>>) {
    free(channel);
}

fn target(channel: Option<&evs_channel>) -> Result<Target<'_>> {
    Ok(Target::Channel(&needed(channel, "channel")?.channel))
}
