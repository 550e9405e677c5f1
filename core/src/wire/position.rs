//! The place of an event in the log, and what a client's last position means to us.

use std::{fmt, str::FromStr};

use ring::rand::{SystemRandom, generate};

use super::protocol::ERROR_ID;
use crate::error::{Error, ErrorKind, Result};

/// A random number that names one lifetime of a log. Positions of another epoch cannot be resumed: whoever comes with
/// one is sent a `stream-reset`.
///
/// It is drawn from the system's randomness when the log is made, so the children of one parent process differ. Copies
/// of a *running* process share it: two virtual machines resumed from one snapshot number their events alike, and their
/// clients cannot tell the one's position from the other's. Make the [`Events`](crate::Events) after resuming.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Epoch(pub u32);

/// The place of an event in the log: `<epoch>-<seq>`, both in hexadecimal of fixed width.
///
/// It is the SSE `id` of the event. Clients should treat it as opaque, but may rely on this: within one epoch,
/// positions compare as strings in the order of publishing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Position {
    /// Which log lifetime.
    pub epoch: Epoch,
    /// Which event of it, counted from 1 over all channels; 0 is the place before the first event.
    pub seq: u64,
}

/// What the `Last-Event-ID` of a request asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resume {
    /// No position: the client is new.
    Fresh,
    /// A position of some log.
    From(Position),
    /// A text that is no position of ours.
    Unknown,
    /// The id of a `stream-error`: the client was told not to come back.
    Error,
}

impl Epoch {
    /// An epoch that no other log has, but by a chance of 1 in 2^32. Fails with `io` when the system gives no random
    /// numbers.
    pub fn random() -> Result<Self> {
        let bytes = generate(&SystemRandom::new()).map_err(|_| {
            Error::new(
                ErrorKind::Io,
                "the system gave no random numbers to tell this log's positions from others'",
            )
        })?;
        Ok(Self(u32::from_ne_bytes(bytes.expose())))
    }
}

impl Position {
    /// Length of a position as text: fixed, so that a frame can be laid out before its position is known.
    pub const TEXT_BYTES: usize = EPOCH_DIGITS + 1 + SEQ_DIGITS;

    /// Writes the sequence digits into the last bytes of `text`, whose epoch is already there.
    pub(crate) fn write_seq(seq: u64, text: &mut [u8]) {
        let mut rest = seq;
        for byte in text[EPOCH_DIGITS + 1..Self::TEXT_BYTES].iter_mut().rev() {
            *byte = DIGITS[(rest & 15) as usize];
            rest >>= 4;
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0epoch$x}-{:0seq$x}", self.epoch.0, self.seq, epoch = EPOCH_DIGITS, seq = SEQ_DIGITS)
    }
}

/// The text is not a position.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotAPosition;

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let bytes = text.as_bytes();
        if bytes.len() != Self::TEXT_BYTES || bytes[EPOCH_DIGITS] != b'-' {
            return Err(NotAPosition);
        }
        let epoch = parse_hex(&bytes[..EPOCH_DIGITS])? as u32;
        let seq = parse_hex(&bytes[EPOCH_DIGITS + 1..])?;
        Ok(Self { epoch: Epoch(epoch), seq })
    }
}

impl Resume {
    /// Reads a `Last-Event-ID`; an empty one is the same as none (WHATWG HTML 9.2.4).
    pub fn parse(last_event_id: &str) -> Self {
        match last_event_id {
            "" => Self::Fresh,
            ERROR_ID => Self::Error,
            text => text.parse().map_or(Self::Unknown, Self::From),
        }
    }
}

const EPOCH_DIGITS: usize = 8;
const SEQ_DIGITS: usize = 12; // 48 bits: a million events a second for nine years
const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn parse_hex(digits: &[u8]) -> Result<u64, NotAPosition> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = DIGITS.iter().position(|d| d == digit).ok_or(NotAPosition)?;
        Ok(value << 4 | digit as u64)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position(epoch: u32, seq: u64) -> Position {
        Position { epoch: Epoch(epoch), seq }
    }

    #[test]
    fn text_form() {
        let text = position(0x5f3a_9c01, 31).to_string();
        assert_eq!(text, "5f3a9c01-00000000001f");
        assert_eq!(text.len(), Position::TEXT_BYTES);
    }

    #[test]
    fn what_a_last_event_id_means() {
        assert_eq!(Resume::parse(""), Resume::Fresh);
        assert_eq!(Resume::parse("error"), Resume::Error);
        assert_eq!(Resume::parse("5f3a9c01-00000000001f"), Resume::From(position(0x5f3a_9c01, 31)));
        for text in ["1", "5f3a9c01-00000000001F", "5f3a9c01_00000000001f", "5f3a9c01-00000000001f ", "é"] {
            assert_eq!(Resume::parse(text), Resume::Unknown, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(epoch: u32, seq in 0..1u64 << 48) {
            let text = position(epoch, seq).to_string();
            prop_assert_eq!(text.parse(), Ok(position(epoch, seq)));
            let mut patched = position(epoch, 0).to_string().into_bytes();
            Position::write_seq(seq, &mut patched);
            prop_assert_eq!(patched, text.into_bytes());
        }

        #[test]
        fn text_order_is_log_order(epoch: u32, a in 0..1u64 << 48, b in 0..1u64 << 48) {
            prop_assert_eq!(position(epoch, a).to_string().cmp(&position(epoch, b).to_string()), a.cmp(&b));
        }

        #[test]
        fn never_panics(text: String) {
            let _ = Resume::parse(&text);
        }
    }
}
