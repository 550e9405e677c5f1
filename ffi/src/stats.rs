//! Figures

use std::mem::MaybeUninit;

use evstream::{CloseReason, ResetReason, Stats};

use crate::{
    call::{call, needed},
    cast,
    error::evs_error,
    hub::evs_hub,
    status::evs_status,
};

/// Figures of a hub at one moment. Start with EVS_STATS_INIT. "So far" counts from evs_hub_new on.
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
    /// Streams ended so far because the hub or the server was closed.
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
    /// stream-reset events so far because a position was of another lifetime of the hub.
    pub resets_epoch: u64,
    /// Requests refused so far because of max_streams, max_streams_per_address or max_streams_per_user.
    pub refused: u64,
    /// Connections to servers of evstream that carry no stream: a request is being read or answered.
    pub connections: u64,
    /// Connections closed unread so far because of max_connections, max_connections_per_address or
    /// proxy_protocol.
    pub connections_refused: u64,
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
    pub published: u64,
    /// Bytes of history in memory now.
    pub history_bytes: u64,
    /// 1 when the journal can be reached, as far as is known; 0 also without one.
    pub journal_connected: u64,
    /// Milliseconds that the last event took from its place in the journal to here.
    pub journal_lag_ms: u64,
    /// Times that the journal was followed from another beginning: 1 after the start.
    pub journal_epochs: u64,
    /// Events of this process that wait to be appended to the journal.
    pub journal_waiting: u64,
    /// Events of this process so far that the journal did not get.
    pub journal_failed: u64,
    /// Requests refused so far because of their tokens.
    pub tokens_refused: u64,
    /// Times so far that keys of tokens could not be fetched.
    pub key_failures: u64,
}

/// Gives the figures of this moment.
///
/// @param hub    The hub.
/// @param stats  A structure started with EVS_STATS_INIT.
///
/// @return OK, INVALID_ARGUMENT, FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_stats(
    hub: Option<&evs_hub>,
    stats: *mut evs_stats,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        cast::check_sized(stats)?;
        needed(Some(stats).filter(|stats| !stats.is_null()), "stats")?;
        let events = &needed(hub, "hub")?.events;
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
        let journal = stats.journal.unwrap_or_default();
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
            connections: stats.connections,
            connections_refused: stats.connections_refused,
            held: stats.held,
            repairs: stats.repairs,
            grip_refused: stats.grip_refused,
            publish_failures: stats.publish_failures,
            channels: stats.channels,
            published: stats.published,
            history_bytes: stats.history_bytes,
            journal_connected: journal.connected.into(),
            journal_lag_ms: journal.lag_ms,
            journal_epochs: journal.epochs,
            journal_waiting: journal.waiting,
            journal_failed: journal.failed,
            tokens_refused: stats.tokens_refused,
            key_failures: stats.key_failures,
        }
    }
}
