//! A record of the ring as bytes: a head of fixed length with a checksum, then what it says.

use std::borrow::Cow;

use super::header::part;
use crate::{
    journal::{Record, What},
    wire::Event,
};

/// Bytes before what the record says: its length, a checksum of all that follows, and the fields of [`Raw`].
pub(super) const HEAD_BYTES: usize = 48;

/// A whole record, not yet taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw<'a> {
    pub(super) epoch: u32,
    pub(super) seq: u64,
    pub(super) at_unix_ms: u64,
    /// Which writer appended it, and as which of its records.
    pub(super) writer: u64,
    pub(super) number: u64,
    kind: u32,
    body: &'a [u8],
}

/// Where a record is put.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) epoch: u32,
    pub(super) seq: u64,
    pub(super) at_unix_ms: u64,
    pub(super) writer: u64,
}

/// The bytes are no record.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Damaged;

/// Appends a record to `out`. One that is longer than `max` bytes is left out, and its length given back as the error.
pub(super) fn write(record: &Record, place: Place, max: usize, out: &mut Vec<u8>) -> Result<(), usize> {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    let kind = match &record.what {
        What::Event { channel, event } => {
            write_text(channel, out);
            write_text(&event.data, out);
            for text in [&event.name, &event.comment] {
                out.push(u8::from(text.is_some()));
                write_text(text.as_deref().unwrap_or_default(), out);
            }
            out.push(u8::from(event.retry_ms.is_some()));
            out.extend_from_slice(&event.retry_ms.unwrap_or_default().to_le_bytes());
            EVENT
        }
        What::Lost { channels } => {
            for channel in channels {
                write_text(channel, out);
            }
            LOST
        }
    };
    let bytes = out.len() - start;
    if bytes > max {
        out.truncate(start);
        return Err(bytes);
    }
    let head = &mut out[start..];
    head[..4].copy_from_slice(&(bytes as u32).to_le_bytes());
    head[8..12].copy_from_slice(&place.epoch.to_le_bytes());
    head[12..16].copy_from_slice(&kind.to_le_bytes());
    let numbers = [place.seq, place.at_unix_ms, place.writer, record.number];
    for (field, number) in head[16..HEAD_BYTES].chunks_exact_mut(8).zip(numbers) {
        field.copy_from_slice(&number.to_le_bytes());
    }
    let crc = crc32fast::hash(&head[8..]);
    head[4..8].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// How long the record is that begins here; `None` when that is not here yet.
pub(super) fn length(bytes: &[u8]) -> Option<Result<usize, Damaged>> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    Some(if length < HEAD_BYTES { Err(Damaged) } else { Ok(length) })
}

impl<'a> Raw<'a> {
    /// Takes the next record off the front of `bytes`; `None` when it is not whole.
    pub(super) fn next(bytes: &mut &'a [u8]) -> Option<Result<Self, Damaged>> {
        let Ok(length) = length(bytes)? else { return Some(Err(Damaged)) };
        let (record, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        let number = |at| u64::from_le_bytes(part(record, at));
        if u32::from_le_bytes(part(record, 4)) != crc32fast::hash(&record[8..]) {
            return Some(Err(Damaged));
        }
        Some(Ok(Self {
            epoch: u32::from_le_bytes(part(record, 8)),
            kind: u32::from_le_bytes(part(record, 12)),
            seq: number(16),
            at_unix_ms: number(24),
            writer: number(32),
            number: number(40),
            body: &record[HEAD_BYTES..],
        }))
    }

    /// Bytes of the record.
    pub(super) fn bytes(&self) -> u64 {
        (HEAD_BYTES + self.body.len()) as u64
    }

    /// What it says.
    pub(super) fn what(&self) -> Result<What, Damaged> {
        let mut body = self.body;
        let what = match self.kind {
            EVENT => read_event(&mut body),
            LOST => read_channels(&mut body),
            _ => None,
        };
        what.filter(|_| body.is_empty()).ok_or(Damaged)
    }
}

const EVENT: u32 = 1;
const LOST: u32 = 2;

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn read_event(body: &mut &[u8]) -> Option<What> {
    let channel = read_text(body)?.into();
    let data = Cow::Owned(read_text(body)?.to_owned());
    let mut read_optional = || {
        let is_there = read_flag(body)?;
        let text = read_text(body)?;
        Some(is_there.then(|| Cow::Owned(text.to_owned())))
    };
    let (name, comment) = (read_optional()?, read_optional()?);
    let has_retry = read_flag(body)?;
    let (retry_ms, rest) = body.split_first_chunk()?;
    *body = rest;
    let retry_ms = has_retry.then(|| u64::from_le_bytes(*retry_ms));
    let event = Event { name, data, retry_ms, comment };
    // It is written to clients as it is: a line end in its name would be a field of its own.
    event.check(usize::MAX).ok()?;
    Some(What::Event { channel, event })
}

fn read_channels(body: &mut &[u8]) -> Option<What> {
    let mut channels = Vec::new();
    while !body.is_empty() {
        channels.push(read_text(body)?.into());
    }
    Some(What::Lost { channels })
}

fn read_text<'a>(body: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = body.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *body = rest;
    std::str::from_utf8(text).ok()
}

fn read_flag(body: &mut &[u8]) -> Option<bool> {
    let (flag, rest) = body.split_first()?;
    *body = rest;
    (*flag <= 1).then_some(*flag == 1)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    const PLACE: Place = Place { epoch: 7, seq: 2, at_unix_ms: 1_000, writer: 9 };

    /// Anything that may be appended.
    pub(in crate::journal) fn whats() -> impl Strategy<Value = What> {
        let event = (
            "[a-z]{1,20}",
            ".{0,200}",
            option::of("[a-z]{1,9}"),
            option::of(any::<u64>()),
            option::of(".{0,9}"),
        )
            .prop_map(|(channel, data, name, retry_ms, comment)| {
                let (name, comment) = (name.map(Cow::Owned), comment.map(Cow::Owned));
                let event = Event { name, data: Cow::Owned(data), retry_ms, comment };
                What::Event { channel: channel.into(), event }
            });
        let lost = vec("[a-z]{1,20}", 0..4).prop_map(|channels| What::Lost {
            channels: channels.into_iter().map(String::into_boxed_str).collect(),
        });
        prop_oneof![4 => event, 1 => lost]
    }

    proptest! {
        #[test]
        fn records_are_read_as_they_were_written(whats in vec(whats(), 0..10)) {
            let mut bytes = Vec::new();
            for (number, what) in (1..).zip(&whats) {
                write(&Record { number, what: what.clone() }, PLACE, usize::MAX, &mut bytes).unwrap();
            }
            let mut rest = &*bytes;
            for (number, what) in (1..).zip(&whats) {
                let raw = Raw::next(&mut rest).unwrap().unwrap();
                prop_assert_eq!((raw.epoch, raw.seq, raw.at_unix_ms, raw.writer, raw.number), (7, 2, 1_000, 9, number));
                prop_assert_eq!(&raw.what().unwrap(), what);
            }
            prop_assert!(Raw::next(&mut rest).is_none());
        }

        #[test]
        fn a_changed_bit_is_noticed(what in whats(), at: prop::sample::Index, bit in 0..8_u32) {
            let mut bytes = Vec::new();
            write(&Record { number: 1, what }, PLACE, usize::MAX, &mut bytes).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(!matches!(Raw::next(&mut &*bytes), Some(Ok(_))));
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in vec(any::<u8>(), 0..300), kind in 0..4_u32, fix: bool) {
            if fix && bytes.len() >= HEAD_BYTES {
                let length = bytes.len() as u32;
                bytes[..4].copy_from_slice(&length.to_le_bytes());
                bytes[12..16].copy_from_slice(&kind.to_le_bytes());
                let crc = crc32fast::hash(&bytes[8..]);
                bytes[4..8].copy_from_slice(&crc.to_le_bytes());
            }
            let mut rest = &*bytes;
            while let Some(Ok(raw)) = Raw::next(&mut rest) {
                let _ = raw.what();
            }
        }
    }

    #[test]
    fn a_name_cannot_bring_in_a_field() {
        let event = Event { name: Some("a\nid: 1".into()), ..Event::default() };
        let mut bytes = Vec::new();
        let what = What::Event { channel: "a".into(), event };
        write(&Record { number: 1, what }, PLACE, usize::MAX, &mut bytes).unwrap();
        assert_eq!(Raw::next(&mut &*bytes).unwrap().unwrap().what(), Err(Damaged));
    }
}
