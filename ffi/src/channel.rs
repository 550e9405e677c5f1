//! Publishing

use std::{
    ffi::{c_char, c_void},
    mem::MaybeUninit,
    sync::Arc,
};

use evstream::Channel;

use crate::{
    call::{call, free, give, needed, place, value},
    callback::{Running, UserData, evs_free_fn},
    cast,
    error::{Result, evs_error},
    event::evs_event,
    hub::evs_hub,
    publish::{Target, publish, publish_async, publish_wait},
    receipt::{evs_published_fn, evs_receipt},
    status::evs_status,
    text::evs_str,
};

/// A channel, for publishing to it often: it saves looking up the name.
pub struct evs_channel {
    channel: Channel,
    published: Arc<Running>,
}

/// Gives the channel of a name, which is made if there is none.
///
/// @param hub      The hub.
/// @param name     The name: 1 to 256 bytes without control characters.
/// @param channel  Where to store it; free with evs_channel_free.
///
/// @return OK, INVALID_CHANNEL, INVALID_ARGUMENT, CLOSED, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_channel(
    hub: Option<&evs_hub>,
    name: *const c_char,
    name_len: usize,
    channel: Option<&mut MaybeUninit<*mut evs_channel>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(channel, "channel")?;
        let name = cast::channel(name, name_len)?;
        let hub = needed(hub, "hub")?;
        let channel = hub.events.channel(name)?;
        give(place, evs_channel { channel, published: hub.published.clone() });
        Ok(evs_status::Ok)
    })
}

/// Gives the channel that streams of a user read beside their others, with the setting user_channel. No client can ask
/// for it. It is for publishing to one user often, or for waiting; otherwise use evs_hub_publish_to_user.
///
/// @param hub      The hub.
/// @param user     The user, as evs_access_set_user has it.
/// @param channel  Where to store it; free with evs_channel_free.
///
/// @return OK; INVALID_CONFIG without the setting, for then nobody would read it; INVALID_ARGUMENT, CLOSED, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_user_channel(
    hub: Option<&evs_hub>,
    user: *const c_char,
    user_len: usize,
    channel: Option<&mut MaybeUninit<*mut evs_channel>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(channel, "channel")?;
        let user = cast::text(user, user_len, "user")?;
        let hub = needed(hub, "hub")?;
        let channel = hub.events.user_channel(user)?;
        give(place, evs_channel { channel, published: hub.published.clone() });
        Ok(evs_status::Ok)
    })
}

/// Publishes an event to all streams of a user, as evs_hub_publish does to a channel: with the setting user_channel
/// they read the user's own channel, which no client can ask for.
///
/// @param hub      The hub.
/// @param user     The user, as evs_access_set_user has it.
/// @param event    The event, copied.
/// @param receipt  NULL, or a structure started with EVS_RECEIPT_INIT, for what is known now.
///
/// @return Those of evs_hub_publish; INVALID_CONFIG without the setting, for then nobody would get it.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_publish_to_user(
    hub: Option<&evs_hub>,
    user: *const c_char,
    user_len: usize,
    event: *const evs_event,
    receipt: *mut evs_receipt,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let user = cast::text(user, user_len, "user")?;
        let channel = needed(hub, "hub")?.events.user_channel(user)?;
        publish(Target::Channel(&channel), event, receipt)
    })
}

/// @return Its name, which lives as long as the object; empty if channel is NULL.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_channel_name(channel: Option<&evs_channel>) -> evs_str {
    value(evs_str::from(""), || channel.map_or("", |given| given.channel.name()).into())
}

/// Counts who reads it.
///
/// @return Streams and subscriptions of this process that read the channel now; 0 if channel is NULL.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_channel_streams(channel: Option<&evs_channel>) -> u64 {
    value(0, || channel.map_or(0, |given| given.channel.streams() as u64))
}

/// Publishes an event to it, as evs_hub_publish does.
///
/// @param channel  The channel.
/// @param event    The event, copied.
/// @param receipt  NULL, or a structure started with EVS_RECEIPT_INIT, for what is known now.
///
/// @return OK, INVALID_EVENT, TOO_LARGE, INVALID_ARGUMENT, CLOSED, FORKED, IO.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_channel_publish(
    channel: Option<&evs_channel>,
    event: *const evs_event,
    receipt: *mut evs_receipt,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || publish(target(channel)?, event, receipt))
}

/// Publishes an event to it and waits for the GRIP proxies, as evs_hub_publish_wait does.
///
/// @param channel     The channel.
/// @param event       The event, copied.
/// @param timeout_ms  How long to wait, in milliseconds, or EVS_FOREVER.
/// @param receipt     NULL, or a structure started with EVS_RECEIPT_INIT, for what became of the event.
///
/// @return Those of evs_channel_publish; PROXY_UNAVAILABLE, PROXY_REJECTED, QUEUE_FULL, TIMEOUT, IN_CALLBACK.
/// @note Threads: any, also at the same time.
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

/// Publishes an event to it and calls back when the GRIP proxies have answered, as evs_hub_publish_async does.
///
/// @param channel         The channel.
/// @param event           The event, copied.
/// @param receipt         NULL, or a structure started with EVS_RECEIPT_INIT, for what is known now.
/// @param published       What to call: once if this returns OK, else never.
/// @param user_data       What to call it with.
/// @param user_data_free  NULL, or what frees user_data.
///
/// @return Those of evs_channel_publish.
/// @note Threads: any, also at the same time.
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
    call(error, || {
        let user_data = user_data.counted(&needed(channel, "channel")?.published);
        publish_async(target(channel)?, event, receipt, published, user_data)
    })
}

/// Frees the object. The channel itself and its history stay.
///
/// @note Threads: any, also a callback.
#[unsafe(no_mangle)]
pub extern "C" fn evs_channel_free(channel: Option<Box<evs_channel>>) {
    free(channel);
}

fn target(channel: Option<&evs_channel>) -> Result<Target<'_>> {
    Ok(Target::Channel(&needed(channel, "channel")?.channel))
}
