//! Metrics and health

use std::mem::MaybeUninit;

use crate::{
    call::{call, give, needed, place},
    error::evs_error,
    hub::evs_hub,
    status::evs_status,
    text::evs_text,
};

/// Writes the metrics of this moment for Prometheus and what reads its format.
///
/// Counters begin at 0 with the hub. No label has a value that a client can choose.
///
/// @param hub          The hub.
/// @param openmetrics  true for OpenMetrics 1.0, "application/openmetrics-text; version=1.0.0; charset=utf-8"; false for
///                     the older format, "text/plain; version=0.0.4; charset=utf-8".
/// @param text         Where to store it; free with evs_text_free.
///
/// @return OK, INVALID_ARGUMENT, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_metrics(
    hub: Option<&evs_hub>,
    openmetrics: bool,
    text: Option<&mut MaybeUninit<*mut evs_text>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(text, "text")?;
        let events = &needed(hub, "hub")?.events;
        events.check_process()?;
        give(place, evs_text { text: events.metrics(openmetrics) });
        Ok(evs_status::Ok)
    })
}

/// Says whether the process can serve, and what is wrong, as JSON: {"ready":true,"live":true,"problems":[]}.
///
/// ready: whether new clients should be sent here. live: whether the process can still recover by itself, or should be
/// started anew. problems: what is wrong, in words for people.
///
/// @param hub    The hub. In a forked child it is not ready.
/// @param ready  NULL, or where to store whether it is ready.
/// @param live   NULL, or where to store whether it is live.
/// @param text   NULL, or where to store the JSON; free with evs_text_free.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_health(
    hub: Option<&evs_hub>,
    ready: Option<&mut MaybeUninit<bool>>,
    live: Option<&mut MaybeUninit<bool>>,
    text: Option<&mut MaybeUninit<*mut evs_text>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = text.map(|text| place(Some(text), "text")).transpose()?;
        let health = needed(hub, "hub")?.events.health();
        if let Some(ready) = ready {
            ready.write(health.ready);
        }
        if let Some(live) = live {
            live.write(health.live);
        }
        if let Some(place) = place {
            give(place, evs_text { text: health.to_json() });
        }
        Ok(evs_status::Ok)
    })
}
