//! Counters of streams, and their snapshot.

use std::sync::atomic::{AtomicU64, Ordering};

use super::notice::ResetReason;
use crate::log::LogStats;

/// Why a stream ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client closed the connection, or it broke.
    Client,
    /// The client's socket took no byte for `write_timeout_ms`.
    WriteTimeout,
    /// The stream fell behind and the policy is `close`.
    Slow,
    /// The stream reached `max_age_ms`.
    MaxAge,
    /// The `Events` or its server was closed.
    Shutdown,
    /// The application let go of the stream.
    Dropped,
}

impl CloseReason {
    /// Every reason, in the order of [`Stats::closed`].
    pub const ALL: [Self; 6] =
        [Self::Client, Self::WriteTimeout, Self::Slow, Self::MaxAge, Self::Shutdown, Self::Dropped];

    /// A stable word for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::WriteTimeout => "write-timeout",
            Self::Slow => "slow",
            Self::MaxAge => "max-age",
            Self::Shutdown => "shutdown",
            Self::Dropped => "dropped",
        }
    }
}

/// Figures of an [`Events`](crate::Events) at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Streams open now.
    pub open: u64,
    /// Streams opened so far.
    pub opened: u64,
    /// Streams closed so far, by reason.
    pub closed: Vec<(CloseReason, u64)>,
    /// Events handed to streams so far, each counted once per stream.
    pub deliveries: u64,
    /// Bytes handed to streams so far, framing included.
    pub bytes: u64,
    /// `stream-reset` events so far, by reason.
    pub resets: Vec<(ResetReason, u64)>,
    /// Requests refused because of `max_streams` or `max_streams_per_address`.
    pub refused: u64,
    /// Streams handed over to a GRIP proxy so far.
    pub held: u64,
    /// Answers to proxies that asked for what they may have missed.
    pub repairs: u64,
    /// Requests refused because of their `Grip-Sig` or link.
    pub grip_refused: u64,
    /// Events that a GRIP proxy did not get.
    pub publish_failures: u64,
    /// Channels in memory, events published, bytes of history.
    pub log: LogStats,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) opened: AtomicU64,
    pub(crate) deliveries: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) refused: AtomicU64,
    held: AtomicU64,
    repairs: AtomicU64,
    grip_refused: AtomicU64,
    publish_failures: AtomicU64,
    pub(crate) goodbyes: AtomicU64,
    closed: [AtomicU64; CloseReason::ALL.len()],
    resets: [AtomicU64; ResetReason::ALL.len()],
}

impl Counters {
    pub(crate) fn count_close(&self, reason: CloseReason) {
        self.closed[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_reset(&self, reason: ResetReason) {
        self.resets[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_delivered(&self, events: usize, bytes: usize) {
        self.deliveries.fetch_add(events as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    #[cfg(feature = "runtime")]
    pub(crate) fn count_publish_failure(&self) {
        self.publish_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_hold(&self) {
        self.held.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_repair(&self) {
        self.repairs.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_grip_refusal(&self) {
        self.grip_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, open: u64, log: LogStats) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            open,
            opened: get(&self.opened),
            closed: CloseReason::ALL.into_iter().zip(self.closed.iter().map(get)).collect(),
            deliveries: get(&self.deliveries),
            bytes: get(&self.bytes),
            resets: ResetReason::ALL.into_iter().zip(self.resets.iter().map(get)).collect(),
            refused: get(&self.refused),
            held: get(&self.held),
            repairs: get(&self.repairs),
            grip_refused: get(&self.grip_refused),
            publish_failures: get(&self.publish_failures),
            log,
        }
    }
}
