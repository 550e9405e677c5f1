//! Figures

use std::mem::MaybeUninit;

use evstream::{CloseReason, ResetReason, Stats};

use crate::{
    call::{call, needed},
    cast,
    error::evs_error,
    events::evs_events,
    status::evs_status,
};

/// Figures of an evs_events at one moment. Start with EVS_STATS_INIT. "So far" counts from evs_events_new on.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct evs_stats {
    /// sizeof(evs_stats).
    pub struct_size: usize,
    /// Streams open now.
    pub open: u64,
    /// Streams opened so far.
    pub opened: u64,
    /// Streams ended so far because the client closed the connection, or it broke.
    pub closed_client: u64,
    /// Streams ended so far because the client's socket took no byte for write_timeout_ms.
    pub closed_write_timeout: u64,
    /// Streams ended so far because they fell behind, and slow_client is "close".
    pub closed_slow: u64,
    /// Streams ended so far because they reached max_age_ms.
    pub closed_max_age: u64,
    /// Streams ended so far because the events or their server were closed.
    pub closed_shutdown: u64,
    /// Streams ended so far because the application let go of them.
    pub closed_dropped: u64,
    /// Events handed to streams so far, each counted once per stream.
    pub deliveries: u64,
    /// Bytes handed to streams so far, framing included.
    pub bytes: u64,
    /// stream-reset events so far because events were no longer kept.
    pub resets_expired: u64,
    /// stream-reset events so far because a stream was read too slowly.
    pub resets_overflow: u64,
    /// stream-reset events so far because a position was of another lifetime of the events.
    pub resets_epoch: u64,
    /// Requests refused so far because of max_streams or max_streams_per_address.
    pub refused: u64,
    /// Streams handed over to a GRIP proxy so far.
    pub held: u64,
    /// Answers so far to GRIP proxies that asked for what they may have missed.
    pub repairs: u64,
    /// Requests refused so far because of their Grip-Sig or link.
    pub grip_refused: u64,
    /// Events so far that a GRIP proxy did not get, counted once per proxy.
    pub publish_failures: u64,
    /// Channels in memory now.
    pub channels: u64,
    /// Events published so far.
    pub events: u64,
    /// Bytes of history in memory now.
    pub history_bytes: u64,
}

/// Gives the figures of this moment.
///
/// @param events  The events.
/// @param stats   A structure for the figures, started with EVS_STATS_INIT.
/// @param error   NULL, or where to put the error.
///
/// Status: OK, INVALID_ARGUMENT, FORKED.
/// Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_events_stats(
    events: Option<&evs_events>,
    stats: *mut evs_stats,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        cast::check_sized(stats)?;
        needed(Some(stats).filter(|stats| !stats.is_null()), "stats")?;
        let events = &needed(events, "events")?.events;
        events.check_process()?;
        cast::write_sized(stats, &events.stats().into())?;
        Ok(evs_status::Ok)
    })
}

impl From<Stats> for evs_stats {
    fn from(stats: Stats) -> Self {
        let closed =
            |reason| stats.closed.iter().find(|(of, _)| *of == reason).map_or(0, |(_, count)| *count);
        let resets =
            |reason| stats.resets.iter().find(|(of, _)| *of == reason).map_or(0, |(_, count)| *count);
        Self {
            struct_size: size_of::<Self>(),
            open: stats.open,
            opened: stats.opened,
            closed_client: closed(CloseReason::Client),
            closed_write_timeout: closed(CloseReason::WriteTimeout),
            closed_slow: closed(CloseReason::Slow),
            closed_max_age: closed(CloseReason::MaxAge),
            closed_shutdown: closed(CloseReason::Shutdown),
            closed_dropped: closed(CloseReason::Dropped),
            deliveries: stats.deliveries,
            bytes: stats.bytes,
            resets_expired: resets(ResetReason::Expired),
            resets_overflow: resets(ResetReason::Overflow),
            resets_epoch: resets(ResetReason::Epoch),
            refused: stats.refused,
            held: stats.held,
            repairs: stats.repairs,
            grip_refused: stats.grip_refused,
            publish_failures: stats.publish_failures,
            channels: stats.log.channels as u64,
            events: stats.log.events,
            history_bytes: stats.log.history_bytes as u64,
        }
    }
}
