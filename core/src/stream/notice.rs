//! The events that evstream itself sends.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::hub::Hub;
use crate::wire::{Event, Frame, Position, encode_event, protocol};

/// Why a stream cannot go on, as `stream-error` says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Condition {
    /// The request cannot be understood.
    BadRequest,
    /// The application does not allow it.
    Forbidden,
    /// The application failed.
    InternalError,
}

/// Why a client's position cannot be connected to the stream, as `stream-reset` says it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ResetReason {
    /// Its events are no longer kept.
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
            Self::InternalError => "internal-error",
        }
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

/// `stream-error`, with the id that makes the next attempt fail for good.
pub(super) fn error(condition: Condition, text: &str, channels: &[impl AsRef<str>]) -> Vec<u8> {
    let channels: Vec<&str> = channels.iter().map(AsRef::as_ref).collect();
    let data = json!({ "channels": channels, "condition": condition.name(), "text": text }).to_string();
    encode_event(Some(protocol::ERROR_ID), &Event::text(data).name(protocol::STREAM_ERROR))
}

impl Hub {
    /// A `keep-alive` for streams that have read up to `seq`. It moves the client's position on, so that a client
    /// of a quiet channel does not come back with one that has long expired.
    pub fn keep_alive(&self, seq: u64) -> Frame {
        let id = self.log().position(seq).to_string();
        Frame::from_sse(&if self.config().keep_alive_comment {
            format!("id: {id}\n:\n\n").into_bytes()
        } else {
            encode_event(Some(&id), &Event::text("").name(protocol::KEEP_ALIVE))
        })
    }

    /// What a stream says last when the server closes it: when to come back, for each stream at another time.
    pub fn goodbye(&self) -> Frame {
        // Multiples of the golden ratio: each falls into the widest gap that those before it have left.
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let turn = self.counters.goodbyes.fetch_add(1, Ordering::Relaxed).wrapping_mul(GOLDEN);
        let retry_ms = self.config().retry_ms;
        let later_ms = (u128::from(turn) * u128::from(retry_ms + 1)) >> 64;
        Frame::from_sse(format!("retry: {}\n\n", retry_ms + later_ms as u64).as_bytes())
    }
}
