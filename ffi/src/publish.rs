//! Publishing

use std::{
    ffi::{c_char, c_void},
    mem::MaybeUninit,
    time::Duration,
};

use evstream::{Channel, Event, Events, Receipt};

use crate::{
    call::{call, needed},
    callback::{UserData, evs_free_fn, refuse_in_short_callback},
    cast,
    error::{Result, evs_error},
    event::{event, evs_event},
    hub::evs_hub,
    receipt::{self, EVS_POSITION_BYTES, evs_published_fn, evs_receipt},
    status::evs_status,
};

/// Publishes an event to a channel. It never waits for a client or a proxy: when it returns, the streams of this
/// process have the event queued, and GRIP proxies are sent it in the background.
///
/// @param hub      The hub.
/// @param channel  The name of the channel: 1 to 256 bytes without control characters.
/// @param event    The event, copied.
/// @param receipt  NULL, or a structure started with EVS_RECEIPT_INIT, for what is known now.
///
/// @return OK, INVALID_CHANNEL, INVALID_EVENT, TOO_LARGE, INVALID_ARGUMENT, CLOSED, FORKED; IO when the threads that
///         publish to proxies cannot be started.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_publish(
    hub: Option<&evs_hub>,
    channel: *const c_char,
    channel_len: usize,
    event: *const evs_event,
    receipt: *mut evs_receipt,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || publish(named(hub, channel, channel_len)?, event, receipt))
}

/// Publishes an event to a channel, and waits until every GRIP proxy has taken it or failed. Without proxies it does
/// the same as evs_hub_publish.
///
/// @param hub         The hub.
/// @param channel     The name of the channel.
/// @param event       The event, copied.
/// @param timeout_ms  How long to wait, in milliseconds, or EVS_FOREVER.
/// @param receipt     NULL, or a structure started with EVS_RECEIPT_INIT, for what became of the event. It is also
///                    filled in when the event was published but not taken by all proxies.
///
/// @return OK; PROXY_UNAVAILABLE, PROXY_REJECTED or QUEUE_FULL of the first proxy that failed, with an error that
///         tells of all; TIMEOUT, and delivery goes on all the same; IN_CALLBACK in a callback that must be short;
///         those of evs_hub_publish.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_publish_wait(
    hub: Option<&evs_hub>,
    channel: *const c_char,
    channel_len: usize,
    event: *const evs_event,
    timeout_ms: u64,
    receipt: *mut evs_receipt,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || publish_wait(named(hub, channel, channel_len)?, event, timeout_ms, receipt))
}

/// Publishes an event to a channel, and calls back when every GRIP proxy has taken it or failed.
///
/// @param hub             The hub.
/// @param channel         The name of the channel.
/// @param event           The event, copied.
/// @param receipt         NULL, or a structure started with EVS_RECEIPT_INIT, for what is known now.
/// @param published       What to call: once if this returns OK, else never.
/// @param user_data       What to call it with.
/// @param user_data_free  NULL, or what frees user_data.
///
/// @return Those of evs_hub_publish.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_publish_async(
    hub: Option<&evs_hub>,
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
    call(error, || {
        let target = named(hub, channel, channel_len)?;
        let user_data = user_data.counted(&needed(hub, "hub")?.published);
        publish_async(target, event, receipt, published, user_data)
    })
}

/// Gives the position of the newest event that was published, on any channel.
///
/// It is for a page that shows stored data and then follows its changes. Take the position before you read the data,
/// and have the page resume from it, as in /events/?channel=rows&last_event_id=POSITION: it gets every change that was
/// published after the data was read, and perhaps some that the data already shows. Store a change before you publish
/// it.
///
/// @param hub       The hub.
/// @param position  Where to store it: an array of your own, as &array. A text ended by NUL.
///
/// @return OK, INVALID_ARGUMENT, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_position(
    hub: Option<&evs_hub>,
    position: Option<&mut MaybeUninit<[c_char; EVS_POSITION_BYTES]>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = needed(position, "position")?;
        place.write([0; EVS_POSITION_BYTES]);
        let events = &needed(hub, "hub")?.events;
        events.check_process()?;
        place.write(receipt::position(events.position()));
        Ok(evs_status::Ok)
    })
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
    receipt::notify(&told, published, user_data);
    Ok(evs_status::Ok)
}

fn named(hub: Option<&evs_hub>, channel: *const c_char, channel_len: usize) -> Result<Target<'_>> {
    let channel = cast::channel(channel, channel_len)?;
    Ok(Target::Named(&needed(hub, "hub")?.events, channel))
}
