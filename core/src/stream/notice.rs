//! The events that evstream itself sends.

use std::sync::{Arc, atomic::Ordering};

use serde_json::json;

use super::{hub::Hub, spread::spread, stats::CloseReason};
use crate::wire::{Event, Frame, Position, encode_event, protocol};

/// Why a stream cannot go on, as `stream-error` says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Condition {
    /// The request cannot be understood.
    BadRequest,
    /// The application does not allow it.
    Forbidden,
}

/// Why the server ends a stream, or opens none, though the client is to come back, as `stream-close` says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CloseNotice {
    /// The stream reached `max_age_ms`.
    MaxAge,
    /// The `Events` or its server was closed.
    Shutdown,
    /// The stream fell behind and the policy is `close`.
    Slow,
    /// As many streams are open as `max_streams` and its like allow.
    Full,
    /// The right to read has come to its end.
    Expired,
    /// The application is to decide anew.
    Reauthorize,
    /// Another stream of the same user has taken its place.
    Replaced,
    /// Something is wrong that will pass: the application could not decide, or the server is not set up right.
    Failed,
}

/// What a stream says last.
#[derive(Clone, Debug)]
pub enum LastWords {
    /// The client is to come back.
    Close(CloseNotice),
    /// It is not, as the application says in these words.
    Forbidden(Arc<str>),
}

/// Why a client's position cannot be connected to the stream, as `stream-reset` says it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ResetReason {
    /// Its events are not, or no longer, kept.
    Expired,
    /// The stream was open but read too slowly.
    Overflow,
    /// It belongs to another lifetime of the log, to the future, or to something else altogether.
    Epoch,
}

impl Condition {
    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Forbidden => "forbidden",
        }
    }
}

impl CloseNotice {
    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MaxAge => CloseReason::MaxAge.name(),
            Self::Shutdown => CloseReason::Shutdown.name(),
            Self::Slow => CloseReason::Slow.name(),
            Self::Expired => CloseReason::Expired.name(),
            Self::Reauthorize => CloseReason::Reauthorize.name(),
            Self::Replaced => CloseReason::Replaced.name(),
            Self::Full => "full",
            Self::Failed => "failed",
        }
    }

    /// What the figures count a stream as that ends so.
    pub(crate) const fn close_reason(self) -> CloseReason {
        match self {
            Self::MaxAge => CloseReason::MaxAge,
            Self::Slow => CloseReason::Slow,
            Self::Expired => CloseReason::Expired,
            Self::Reauthorize => CloseReason::Reauthorize,
            Self::Replaced => CloseReason::Replaced,
            Self::Shutdown | Self::Full | Self::Failed => CloseReason::Shutdown,
        }
    }
}

impl LastWords {
    /// Whether the client is not to come back.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Forbidden(_))
    }

    /// What the figures count a stream as that ends so.
    pub fn close_reason(&self) -> CloseReason {
        match self {
            Self::Close(why) => why.close_reason(),
            Self::Forbidden(_) => CloseReason::Disconnected,
        }
    }
}

impl From<CloseNotice> for LastWords {
    fn from(why: CloseNotice) -> Self {
        Self::Close(why)
    }
}

impl ResetReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Expired, Self::Overflow, Self::Epoch];

    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Overflow => "overflow",
            Self::Epoch => "epoch",
        }
    }
}

/// `stream-open`, with the place from which the stream reads or, where a `stream-reset` follows, [`Lost::id`].
pub(super) fn open(id: &str, channels: &[&str]) -> Vec<u8> {
    let data = json!({ "channels": channels }).to_string();
    encode_event(Some(id), &Event::text(data).name(protocol::STREAM_OPEN))
}

/// `stream-reset`: the client goes on from `position`.
pub(super) fn reset(position: Position, channels: &[&str], reason: ResetReason) -> Vec<u8> {
    let data = json!({ "channels": channels, "reason": reason.name() }).to_string();
    encode_event(Some(&position.to_string()), &Event::text(data).name(protocol::STREAM_RESET))
}

/// `stream-error`, with the id that makes the next attempt fail for good, and a `retry` for those who go on even then.
pub(super) fn error(condition: Condition, text: &str, channels: &[impl AsRef<str>]) -> Vec<u8> {
    let channels: Vec<&str> = channels.iter().map(AsRef::as_ref).collect();
    let data = json!({ "channels": channels, "condition": condition.name(), "text": text }).to_string();
    let event = Event::text(data).name(protocol::STREAM_ERROR).retry_ms(protocol::ERROR_RETRY_MS);
    encode_event(Some(protocol::ERROR_ID), &event)
}

/// `stream-close`: the client comes back with `id` in `retry_ms`.
///
/// Without one it keeps the id of the event before on this connection. Where there was none it may forget even the id it
/// came with: WHATWG HTML 9.2.6 begins each connection with an empty one.
pub(super) fn close(why: CloseNotice, id: Option<&str>, retry_ms: u64) -> Vec<u8> {
    let data = json!({ "reason": why.name() }).to_string();
    encode_event(id, &Event::text(data).name(protocol::STREAM_CLOSE).retry_ms(retry_ms))
}

impl Hub {
    /// A `keep-alive` for streams that have read up to a position. It moves the client's position on, so that a client
    /// of a quiet channel does not come back with one that has long expired.
    pub fn keep_alive(&self, at: Position) -> Frame {
        let id = at.to_string();
        Frame::from_sse(&if self.config().keep_alive_comment {
            format!(":\nid: {id}\n\n").into_bytes()
        } else {
            encode_event(Some(&id), &Event::text("").name(protocol::KEEP_ALIVE))
        })
    }

    /// What streams that a proxy holds say last: the same for all of them, so without their positions, which clients keep.
    #[cfg(feature = "runtime")]
    pub(crate) fn last_words_held(&self, words: &LastWords, channel: Option<&str>) -> Vec<u8> {
        match words {
            LastWords::Close(why) => close(*why, None, self.retry_ms()),
            LastWords::Forbidden(text) => error(Condition::Forbidden, text, channel.as_slice()),
        }
    }

    /// In what time a client is asked to come back: each in another, from the setting to twice that.
    pub(super) fn retry_ms(&self) -> u64 {
        self.spread_ms(self.config().retry_ms, self.config().retry_ms)
    }

    /// The same for one that has got no stream, where nothing has changed yet: a second at least.
    pub(super) fn later_ms(&self) -> u64 {
        let least_ms = self.config().retry_ms.max(LEAST_LATER_MS);
        self.spread_ms(least_ms, least_ms)
    }

    /// A time between `least_ms` and `by_ms` more.
    pub(super) fn spread_ms(&self, least_ms: u64, by_ms: u64) -> u64 {
        let turn = self.counters.close_notices.fetch_add(1, Ordering::Relaxed);
        least_ms + spread(turn, by_ms)
    }
}

const LEAST_LATER_MS: u64 = 1_000;
