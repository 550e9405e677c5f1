//! Counters of streams, and their snapshot.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

#[cfg(feature = "runtime")]
use super::histogram::Tally;
use super::{
    admission::Full,
    histogram::{AGE_MS, DELIVERY_MS, Histogram},
    notice::ResetReason,
};
use crate::{log::LogStats, sync::unpoison};

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
    /// The right to read has come to its end, as [`Access::expires_at`](crate::Access::expires_at) has said.
    Expired,
    /// The application is to decide anew.
    Reauthorize,
    /// Another stream of the same user has taken its place.
    Replaced,
    /// The application has [disconnected](crate::Events::disconnect) it.
    Disconnected,
}

impl CloseReason {
    /// Every reason, in the order of [`Stats::closed`].
    pub const ALL: [Self; 10] = [
        Self::Client,
        Self::WriteTimeout,
        Self::Slow,
        Self::MaxAge,
        Self::Shutdown,
        Self::Dropped,
        Self::Expired,
        Self::Reauthorize,
        Self::Replaced,
        Self::Disconnected,
    ];

    /// A stable word for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::WriteTimeout => "write-timeout",
            Self::Slow => "slow",
            Self::MaxAge => "max-age",
            Self::Shutdown => "shutdown",
            Self::Dropped => "dropped",
            Self::Expired => "expired",
            Self::Reauthorize => "reauthorize",
            Self::Replaced => "replaced",
            Self::Disconnected => "disconnected",
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
    /// Requests refused because of `max_streams`, `max_streams_per_address` or `max_streams_per_user`.
    pub refused: u64,
    /// Connections of the library's servers that have no stream now: their requests are read or answered.
    pub connections: u64,
    /// Connections closed unread because of `max_connections`, `max_connections_per_address` or `proxy_protocol`.
    pub connections_refused: u64,
    /// Streams handed over to a GRIP proxy so far.
    pub held: u64,
    /// Answers to proxies that asked for what they may have missed.
    pub repairs: u64,
    /// Requests refused because of their `Grip-Sig` or link.
    pub grip_refused: u64,
    /// Requests refused because of their tokens ([`Jwt`](crate::Jwt)).
    pub tokens_refused: u64,
    /// Times that keys of tokens could not be fetched ([`Jwt::keys_at`](crate::Jwt::keys_at)).
    pub key_failures: u64,
    /// Events that a GRIP proxy did not get.
    pub publish_failures: u64,
    /// Events published so far.
    pub published: u64,
    /// Channels in memory now.
    pub channels: u64,
    /// Bytes of history in memory now.
    pub history_bytes: u64,
    /// Figures of the journal, where there is one.
    pub journal: Option<JournalStats>,
}

/// Figures of a journal, as this process sees it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct JournalStats {
    /// Whether it can be reached, as far as is known.
    pub connected: bool,
    /// Milliseconds that the last event took from its place in the journal to here.
    pub lag_ms: u64,
    /// Times that the journal was followed from another beginning: 1 after the start.
    pub epochs: u64,
    /// Events of this process that wait to be appended.
    pub waiting: u64,
    /// Events of this process that were not appended.
    pub failed: u64,
}

/// Figures for metrics, beside [`Stats`].
#[cfg(feature = "runtime")]
#[derive(Clone, Debug)]
pub(crate) struct Details {
    /// [`Stats::refused`], by what was full.
    pub(crate) refused: [(Full, u64); Full::ALL.len()],
    /// Streams whose sockets take nothing now.
    pub(crate) full: u64,
    /// From the publishing of the oldest event of a batch to the batch's being written.
    pub(crate) delivery: Tally,
    /// Ages of streams that were closed.
    pub(crate) ages: Tally,
}

#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) opened: AtomicU64,
    refused: [AtomicU64; Full::ALL.len()],
    ages: Histogram,
    connections_refused: AtomicU64,
    held: AtomicU64,
    repairs: AtomicU64,
    grip_refused: AtomicU64,
    tokens_refused: AtomicU64,
    key_failures: AtomicU64,
    publish_failures: AtomicU64,
    pub(crate) close_notices: AtomicU64,
    closed: [AtomicU64; CloseReason::ALL.len()],
    resets: [AtomicU64; ResetReason::ALL.len()],
    /// What whoever has no counters of its own hands to streams.
    pub(crate) delivered: Delivered,
    /// What the shards do.
    by_shard: Mutex<Vec<Arc<Delivered>>>,
}

/// What was handed to streams. A shard has its own, on cache lines of their own: it counts every write, and would wait for
/// the other shards' counting.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Delivered {
    events: AtomicU64,
    bytes: AtomicU64,
    full: AtomicU64,
    delays: Histogram,
}

/// Counts a stream whose socket is full, as long as it lives.
#[cfg(feature = "runtime")]
#[derive(Debug)]
pub(crate) struct FullMark(Arc<Delivered>);

#[cfg(feature = "runtime")]
impl FullMark {
    pub(crate) fn new(delivered: &Arc<Delivered>) -> Self {
        delivered.full.fetch_add(1, Ordering::Relaxed);
        Self(delivered.clone())
    }
}

#[cfg(feature = "runtime")]
impl Drop for FullMark {
    fn drop(&mut self) {
        self.0.full.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Delivered {
    fn default() -> Self {
        let (events, bytes, full) = <_>::default();
        Self { events, bytes, full, delays: Histogram::new(&DELIVERY_MS) }
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            opened: <_>::default(),
            refused: <_>::default(),
            ages: Histogram::new(&AGE_MS),
            connections_refused: <_>::default(),
            held: <_>::default(),
            repairs: <_>::default(),
            grip_refused: <_>::default(),
            tokens_refused: <_>::default(),
            key_failures: <_>::default(),
            publish_failures: <_>::default(),
            close_notices: <_>::default(),
            closed: <_>::default(),
            resets: <_>::default(),
            delivered: <_>::default(),
            by_shard: <_>::default(),
        }
    }
}

impl Delivered {
    pub(crate) fn count(&self, events: usize, bytes: usize) {
        self.events.fetch_add(events as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts how long it took from the publishing of an event to its being handed over.
    #[cfg(feature = "runtime")]
    pub(crate) fn count_delay(&self, ms: u64) {
        self.delays.count(ms);
    }
}

impl Counters {
    /// Counts a stream that has ended, and its age where the time is known.
    pub(crate) fn count_close(&self, reason: CloseReason, age_ms: Option<u64>) {
        self.closed[reason as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(age_ms) = age_ms {
            self.ages.count(age_ms);
        }
    }

    pub(crate) fn count_refused(&self, full: Full) {
        self.refused[full as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_reset(&self, reason: ResetReason) {
        self.resets[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counters for one shard, which are a part of the figures from now on.
    #[cfg(feature = "runtime")]
    pub(crate) fn for_shard(&self) -> Arc<Delivered> {
        let delivered = Arc::new(Delivered::default());
        unpoison(self.by_shard.lock()).push(delivered.clone());
        delivered
    }

    #[cfg(feature = "runtime")]
    pub(crate) fn count_publish_failure(&self) {
        self.publish_failures.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(feature = "runtime")]
    pub(crate) fn count_refused_connection(&self) {
        self.connections_refused.fetch_add(1, Ordering::Relaxed);
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

    pub(crate) fn count_token_refusal(&self) {
        self.tokens_refused.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(feature = "runtime")]
    pub(crate) fn count_key_failure(&self) {
        self.key_failures.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(feature = "runtime")]
    pub(crate) fn details(&self) -> Details {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (mut full, mut delivery) = (get(&self.delivered.full), self.delivered.delays.tally());
        for shard in unpoison(self.by_shard.lock()).iter() {
            full += get(&shard.full);
            delivery += shard.delays.tally();
        }
        let refused = Full::ALL.map(|what| (what, get(&self.refused[what as usize])));
        Details { refused, full, delivery, ages: self.ages.tally() }
    }

    pub(crate) fn snapshot(&self, open: u64, connections: u64, log: LogStats) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let by_shard = unpoison(self.by_shard.lock());
        let sum = |of: fn(&Delivered) -> &AtomicU64| {
            by_shard.iter().map(|shard| get(of(shard))).sum::<u64>() + get(of(&self.delivered))
        };
        Stats {
            open,
            opened: get(&self.opened),
            closed: CloseReason::ALL.into_iter().zip(self.closed.iter().map(get)).collect(),
            deliveries: sum(|delivered| &delivered.events),
            bytes: sum(|delivered| &delivered.bytes),
            resets: ResetReason::ALL.into_iter().zip(self.resets.iter().map(get)).collect(),
            refused: self.refused.iter().map(get).sum(),
            connections,
            connections_refused: get(&self.connections_refused),
            held: get(&self.held),
            repairs: get(&self.repairs),
            grip_refused: get(&self.grip_refused),
            tokens_refused: get(&self.tokens_refused),
            key_failures: get(&self.key_failures),
            publish_failures: get(&self.publish_failures),
            published: log.published,
            channels: log.channels as u64,
            history_bytes: log.history_bytes as u64,
            journal: None,
        }
    }
}
