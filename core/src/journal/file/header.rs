//! The first page of the file: what it is, and how far the journal has come.
//!
//! The state is kept twice, written in turns, and each copy has a checksum: what a writer that was killed has half
//! written is not valid, and the other copy still is. So one write is the commit, and readers need no lock.

use crate::wire::Epoch;

/// Bytes before the ring.
pub(super) const HEADER_BYTES: u64 = 4096;
/// What is read of them.
pub(super) const USED_BYTES: usize = BELL_AT + 4 + STATE_BYTES;
/// Where the word is that tells sleeping readers of a commit. It lies between the two states, so that either is written
/// together with it.
pub(super) const BELL_AT: usize = FIXED_BYTES + STATE_BYTES;
pub(super) const FIXED_BYTES: usize = 32;
pub(super) const FORMAT: u32 = 1;

const STATE_BYTES: usize = 80;
const MAGIC: &[u8; 8] = b"evstream";
/// More would not fit the text form of a position.
pub(super) const MAX_SEQ: u64 = (1 << 48) - 1;
/// Never reached by counting, but a file may say anything.
pub(super) const MAX_GENERATION: u64 = u64::MAX / 2;

/// What the first bytes of a file tell of it.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Fixed {
    /// Nothing has been written yet, or it was lost with the power.
    Blank,
    /// Not a journal.
    Foreign,
    /// A journal of another version of this library.
    Format(u32),
    /// A journal with a ring of so many bytes; of an unknown number, when the file is damaged.
    Ours(Option<u64>),
}

/// How far the journal has come. Offsets grow for as long as the epoch lasts: their remainder is the place in the ring.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct State {
    /// Counts what has been written to the header.
    pub(super) generation: u64,
    pub(super) epoch: u32,
    /// The start of the system in which the epoch began: what was not yet on the disk when the next began is lost.
    pub(super) boot: [u8; 16],
    /// Where the next record begins.
    pub(super) end: u64,
    /// The place of the last record.
    pub(super) seq: u64,
    /// Where the oldest record begins that is kept.
    pub(super) oldest_at: u64,
    /// The place of that record.
    pub(super) oldest_seq: u64,
    /// When the last place was given.
    pub(super) at_unix_ms: u64,
}

impl Fixed {
    pub(super) fn write(data_bytes: u64) -> [u8; FIXED_BYTES] {
        let mut bytes = [0; FIXED_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..20].copy_from_slice(&data_bytes.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads what there is of the first page.
    pub(super) fn read(page: &[u8]) -> Self {
        if page.iter().all(|byte| *byte == 0) {
            return Self::Blank;
        }
        let Some(bytes) = page.get(..FIXED_BYTES).filter(|bytes| bytes.starts_with(MAGIC)) else {
            return Self::Foreign;
        };
        let format = u32::from_le_bytes(part(bytes, 8));
        if format != FORMAT {
            return Self::Format(format);
        }
        let data_bytes = u64::from_le_bytes(part(bytes, 12));
        let sound = u32::from_le_bytes(part(bytes, 28)) == crc32fast::hash(&bytes[..28]);
        Self::Ours(Some(data_bytes).filter(|_| sound))
    }
}

impl State {
    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.epoch)
    }

    /// The word that sleeping readers wait to change.
    pub(super) fn bell(&self) -> u32 {
        self.generation as u32
    }

    /// What to write, and where, so that this state holds.
    pub(super) fn write(&self) -> ([u8; STATE_BYTES + 4], u64) {
        let mut bytes = [0; STATE_BYTES + 4];
        let is_second = self.generation % 2 == 1;
        let (state, bell, at) = if is_second {
            let (bell, state) = bytes.split_at_mut(4);
            (state, bell, BELL_AT)
        } else {
            let (state, bell) = bytes.split_at_mut(STATE_BYTES);
            (state, bell, FIXED_BYTES)
        };
        bell.copy_from_slice(&self.bell().to_ne_bytes()); // as the processor compares it
        state[..8].copy_from_slice(&self.generation.to_le_bytes());
        state[8..12].copy_from_slice(&self.epoch.to_le_bytes());
        state[12..28].copy_from_slice(&self.boot);
        let numbers = [self.end, self.seq, self.oldest_at, self.oldest_seq, self.at_unix_ms];
        for (field, number) in state[28..68].chunks_exact_mut(8).zip(numbers) {
            field.copy_from_slice(&number.to_le_bytes());
        }
        let crc = crc32fast::hash(&state[..STATE_BYTES - 4]);
        state[STATE_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        (bytes, at as u64)
    }

    /// The latest state in the first page of a file with so large a ring; `None` when neither is sound.
    pub(super) fn read(page: &[u8; USED_BYTES], data_bytes: u64) -> Option<Self> {
        let read = |at: usize| Self::read_one(&page[at..at + STATE_BYTES]);
        let states = [read(FIXED_BYTES), read(BELL_AT + 4)].into_iter().flatten();
        states.filter(|state| state.is_sound(data_bytes)).max_by_key(|state| state.generation)
    }

    fn read_one(bytes: &[u8]) -> Option<Self> {
        let crc = u32::from_le_bytes(part(bytes, STATE_BYTES - 4));
        let number = |at| u64::from_le_bytes(part(bytes, at));
        (crc == crc32fast::hash(&bytes[..STATE_BYTES - 4])).then(|| Self {
            generation: number(0),
            epoch: u32::from_le_bytes(part(bytes, 8)),
            boot: part(bytes, 12),
            end: number(28),
            seq: number(36),
            oldest_at: number(44),
            oldest_seq: number(52),
            at_unix_ms: number(60),
        })
    }

    /// A checksum can be right by chance, or by intent; nothing must overflow then.
    fn is_sound(&self, data_bytes: u64) -> bool {
        self.generation < MAX_GENERATION
            && self.end < u64::MAX / 2
            && self.seq < MAX_SEQ
            && self.at_unix_ms < u64::MAX / 2
            && (2..=self.seq + 1).contains(&self.oldest_seq)
            && self.end.checked_sub(self.oldest_at).is_some_and(|kept| kept <= data_bytes)
    }
}

/// `N` bytes of a longer part.
pub(super) fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("it is of that length")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DATA_BYTES: u64 = 65_536;

    fn state(generation: u64) -> State {
        let numbers = State { end: 500, seq: 9, oldest_at: 100, oldest_seq: 4, ..State::default() };
        State { generation, epoch: 7, boot: [5; 16], at_unix_ms: 1_000 + generation, ..numbers }
    }

    fn commit(page: &mut [u8; USED_BYTES], state: &State) {
        let (bytes, at) = state.write();
        page[at as usize..][..bytes.len()].copy_from_slice(&bytes);
    }

    #[test]
    fn the_later_state_holds_and_the_earlier_when_that_is_torn() {
        let mut page = [0; USED_BYTES];
        page[..FIXED_BYTES].copy_from_slice(&Fixed::write(DATA_BYTES));
        for generation in 1..10 {
            let before = State::read(&page, DATA_BYTES);
            let mut torn = page;
            commit(&mut torn, &state(generation));
            let (bytes, at) = state(generation).write();
            for cut in 0..bytes.len() {
                let mut torn = page;
                torn[at as usize..][..cut].copy_from_slice(&bytes[..cut]);
                let seen = State::read(&torn, DATA_BYTES);
                assert!(seen == before || seen == Some(state(generation)), "{seen:?}");
            }
            commit(&mut page, &state(generation));
            assert_eq!(State::read(&page, DATA_BYTES), Some(state(generation)));
            assert_eq!(u32::from_ne_bytes(part(&page, BELL_AT)), generation as u32);
            assert_eq!(Fixed::read(&page), Fixed::Ours(Some(DATA_BYTES)));
        }
    }

    #[test]
    fn what_a_file_is() {
        assert_eq!(Fixed::read(&[]), Fixed::Blank);
        assert_eq!(Fixed::read(&[0; 4096]), Fixed::Blank);
        assert_eq!(Fixed::read(b"#!/bin/sh"), Fixed::Foreign);
        let mut fixed = Fixed::write(DATA_BYTES);
        assert_eq!(Fixed::read(&fixed[..20]), Fixed::Foreign);
        fixed[12] ^= 1;
        assert_eq!(Fixed::read(&fixed), Fixed::Ours(None));
        fixed[8] = 2;
        assert_eq!(Fixed::read(&fixed), Fixed::Format(2));
    }

    proptest! {
        #[test]
        fn a_state_that_does_not_fit_the_ring_is_none(end: u64, seq: u64, oldest_at: u64, oldest_seq: u64) {
            let mut page = [0; USED_BYTES];
            commit(&mut page, &State { end, seq, oldest_at, oldest_seq, ..state(1) });
            if let Some(state) = State::read(&page, DATA_BYTES) {
                prop_assert!(state.end - state.oldest_at <= DATA_BYTES && state.oldest_seq - 1 <= state.seq);
            }
        }
    }
}
