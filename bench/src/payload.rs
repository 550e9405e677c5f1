//! What a published event carries, so that a client can tell order, loss and age without parsing SSE: the stamp
//! `seq=<10 digits> ns=<19 digits>`, then padding. It stays readable inside quotes, JSON or any other wrapping.

use std::{io::Write, sync::LazyLock};

use memchr::memmem::Finder;
use nix::time::{ClockId, clock_gettime};

/// The smallest data that can hold a stamp.
pub(crate) const STAMP_BYTES: usize = 4 + SEQ_DIGITS + 4 + NS_DIGITS;

/// The place of an event in its channel, from 0, and when it was published (`CLOCK_MONOTONIC`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stamp {
    pub(crate) seq: u64,
    pub(crate) sent_ns: u64,
}

/// Writes data of `bytes` bytes (at least a stamp) into `out`.
pub(crate) fn write_data(out: &mut String, stamp: Stamp, bytes: usize) {
    let mut data = std::mem::take(out).into_bytes();
    data.clear();
    write!(data, "seq={:0SEQ_DIGITS$} ns={:0NS_DIGITS$}", stamp.seq, stamp.sent_ns)
        .expect("a Vec takes any write");
    if data.len() < bytes {
        data.push(b' ');
        data.resize(bytes, b'x');
    }
    *out = String::from_utf8(data).expect("stamps are ASCII");
}

/// Calls `found` for each whole stamp and returns where the rest starts that may be the beginning of another.
pub(crate) fn scan<E>(bytes: &[u8], mut found: impl FnMut(Stamp) -> Result<(), E>) -> Result<usize, E> {
    static MARKER_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARKER));
    let finder = &*MARKER_FINDER;
    let mut at = 0;
    while let Some(offset) = finder.find(&bytes[at..]) {
        let start = at + offset;
        let Some(text) = bytes.get(start..start + STAMP_BYTES) else { return Ok(start) };
        found(Stamp {
            seq: number(&text[4..4 + SEQ_DIGITS]),
            sent_ns: number(&text[STAMP_BYTES - NS_DIGITS..]),
        })?;
        at = start + STAMP_BYTES;
    }
    Ok(at.max(bytes.len().saturating_sub(MARKER.len() - 1)))
}

/// `CLOCK_MONOTONIC` in nanoseconds: one clock for all processes of a machine, and any language can read it.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has a monotonic clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

const MARKER: &[u8] = b"seq=";
const SEQ_DIGITS: usize = 10;
const NS_DIGITS: usize = 19;

fn number(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |value: u64, digit| value.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0'))))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn stamps(bytes: &[u8]) -> (Vec<u64>, usize) {
        let mut found = Vec::new();
        let Ok(rest) = scan(bytes, |stamp| {
            found.push(stamp.seq);
            Ok::<(), Infallible>(())
        });
        (found, rest)
    }

    #[test]
    fn what_is_written_is_found() {
        let mut data = String::new();
        let stamp = Stamp { seq: 4_000_000_000, sent_ns: 1_234_567_890_123_456_789 };
        for bytes in [0, STAMP_BYTES, STAMP_BYTES + 1, 100] {
            write_data(&mut data, stamp, bytes);
            assert_eq!(data.len(), bytes.max(STAMP_BYTES));
            let mut found = Vec::new();
            let Ok(_) = scan(format!("data: {{\"text\":\"{data}\"}}\n\n").as_bytes(), |stamp| {
                found.push(stamp);
                Ok::<(), Infallible>(())
            });
            assert_eq!(found, [stamp]);
        }
    }

    #[test]
    fn a_stamp_cut_anywhere_is_found_once_the_rest_is_carried_over() {
        let mut data = String::new();
        let mut bytes = Vec::new();
        for seq in 0..3 {
            write_data(&mut data, Stamp { seq, sent_ns: 5 }, 60);
            bytes.extend_from_slice(format!("data: {data}\n\n").as_bytes());
        }
        for cut in 0..bytes.len() {
            let (mut all, rest) = stamps(&bytes[..cut]);
            assert!(cut - rest < STAMP_BYTES);
            all.extend(stamps(&bytes[rest..]).0);
            assert_eq!(all, [0, 1, 2], "cut at {cut}");
        }
    }
}
