//! Hubs

use std::{
    mem::MaybeUninit,
    sync::Arc,
    time::{Duration, Instant},
};

use evstream::{Config, Events};

use crate::{
    call::{call, free, give, needed, place},
    callback::{Running, refuse_in_callback},
    config::evs_config,
    deliveries::Deliveries,
    error::{Failure, evs_error},
    log,
    status::evs_status,
};

/// What an application publishes to and its clients read from: channels with their history, streams, settings. Make
/// one for each application.
///
/// Threads are started when they are first needed: by a stream, a server, a subscription, or an event for a GRIP
/// proxy or a journal. What is made from a hub, such as a server or a channel, keeps it alive.
///
/// What was published last gets into the journal also when the hub is freed or the program returns, which waits for two
/// seconds at most. evs_hub_close waits for longer, and says what was not delivered.
pub struct evs_hub {
    pub(crate) events: Events,
    pub(crate) deliveries: Deliveries,
    pub(crate) published: Arc<Running>,
}

/// As a timeout: wait for as long as it takes.
#[expect(dead_code, reason = "it is for C")]
pub const EVS_FOREVER: u64 = u64::MAX;

/// Makes a hub.
///
/// @param config  The settings, copied; NULL for all defaults.
/// @param hub     Where to store it; free with evs_hub_free.
///
/// @return OK, INVALID_CONFIG, INVALID_ARGUMENT; IO when the system gives no random numbers.
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_new(
    config: Option<&evs_config>,
    hub: Option<&mut MaybeUninit<*mut evs_hub>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(hub, "hub")?;
        log::install();
        let config = config.map_or_else(Config::new, |given| given.config.clone());
        give(
            place,
            evs_hub {
                events: Events::new(config)?,
                deliveries: Deliveries::default(),
                published: Arc::default(),
            },
        );
        Ok(evs_status::Ok)
    })
}

/// Ends everything: publishing is refused from now on, clients are asked to come back later, streams, servers
/// and subscriptions end, events that wait for the journal or GRIP proxies are delivered, and the threads end.
/// Blocking calls on what was made from the hub return.
///
/// @param hub          The hub.
/// @param timeout_ms   How long it may take, in milliseconds, or EVS_FOREVER.
/// @param undelivered  NULL, or where to store how many events the journal or a GRIP proxy did not get in that time,
///                     counted once for each proxy.
///
/// @return OK when all threads and callbacks of the hub have ended; TIMEOUT when one was still running, and then you
///         may call it again to wait on; IN_CALLBACK in a callback; INVALID_ARGUMENT, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_close(
    hub: Option<&evs_hub>,
    timeout_ms: u64,
    undelivered: Option<&mut MaybeUninit<u64>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let hub = needed(hub, "hub")?;
        refuse_in_callback()?;
        hub.events.check_process()?;
        let timeout = Duration::from_millis(timeout_ms);
        let started = Instant::now();
        let left = || timeout.saturating_sub(started.elapsed());
        let closed = hub.events.close(timeout)?;
        if let Some(undelivered) = undelivered {
            undelivered.write(closed.undelivered);
        }
        if closed.ended && hub.published.wait(left()) && hub.deliveries.join(left()) {
            return Ok(evs_status::Ok);
        }
        Err(Failure::new(
            evs_status::Timeout,
            "a thread or callback had not ended in the time given; close again to wait on",
        ))
    })
}

/// Frees a hub. If it was not closed before, its streams end at once, and its threads soon after.
///
/// What was made from it and is not freed yet keeps it alive and can still be used.
///
/// @note Threads: any, also a callback.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_free(hub: Option<Box<evs_hub>>) {
    free(hub);
}
