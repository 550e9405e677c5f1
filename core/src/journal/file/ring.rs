//! The open file: a header, and a ring of records that is read and written at offsets.
//!
//! Whatever changes it holds the lock. What is about to be overwritten is given up in the header first, so that a reader
//! which finds the header still covering what it has read knows that the bytes are whole.

use std::{
    fs, io,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    Shared,
    bell::Bell,
    header::{FIXED_BYTES, Fixed, HEADER_BYTES, State, USED_BYTES},
    open,
    record::{self, Raw},
};
use crate::{
    clock::unix_ms,
    error::{Error, ErrorKind, Result},
    sys::{self, Unforked},
};

/// A journal's file, open. It belongs to one end.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) shared: Arc<Shared>,
    file: Unforked,
    /// Device and number of the file, whatever its path leads to by now.
    id: (u64, u64),
    data_bytes: u64,
    pub(super) bell: Bell,
    /// The latest that was seen: a header that is behind it is of an older copy of the file.
    latest: (u32, u64),
}

/// What is found in the file.
pub(super) enum Found {
    State(State),
    /// What is there is no state, or an earlier one.
    Damaged,
    /// Someone else has begun a journal of another size or format here.
    Changed,
}

/// The file, locked, with a state that holds.
pub(super) struct Locked<'a> {
    pub(super) ring: &'a mut Ring,
    pub(super) state: State,
    committed: bool,
}

impl Ring {
    /// Opens the file, and makes it where there is none.
    pub(super) fn open(shared: &Arc<Shared>, deadline: Instant) -> Result<Self> {
        let (file, data_bytes) = open::open(shared, deadline)?;
        let metadata = file.file().metadata().map_err(|error| failed("read", &shared.path, error))?;
        Ok(Self {
            shared: shared.clone(),
            bell: Bell::new(file.file()),
            id: (metadata.dev(), metadata.ino()),
            file,
            data_bytes,
            latest: (0, 0),
        })
    }

    /// Reads the header. Without the lock a header that is just being written may seem damaged.
    pub(super) fn find(&mut self) -> Result<Found> {
        let mut page = [0; USED_BYTES];
        if !self.read_at(&mut page, 0)? {
            return Ok(Found::Damaged);
        }
        match Fixed::read(&page[..FIXED_BYTES]) {
            Fixed::Ours(Some(bytes)) if bytes == self.data_bytes => {}
            Fixed::Ours(Some(_)) | Fixed::Format(_) => return Ok(Found::Changed),
            Fixed::Ours(None) | Fixed::Blank | Fixed::Foreign => return Ok(Found::Damaged),
        }
        let Some(state) = State::read(&page, self.data_bytes) else { return Ok(Found::Damaged) };
        let (epoch, generation) = self.latest;
        if state.epoch == epoch && state.generation < generation {
            return Ok(Found::Damaged);
        }
        self.latest = (state.epoch, state.generation);
        Ok(Found::State(state))
    }

    /// Fails where this process may not write as far as the ring goes.
    pub(super) fn within_limit(self) -> Result<Self> {
        open::check_limit(&self.shared.path, self.data_bytes)?;
        Ok(self)
    }

    /// Whether the path still leads to this file, and the file is whole; `None` when it leads elsewhere.
    pub(super) fn is_whole(&self) -> Result<Option<bool>> {
        match fs::metadata(&self.shared.path) {
            Ok(metadata) if (metadata.dev(), metadata.ino()) == self.id => {
                Ok(Some(metadata.len() >= HEADER_BYTES + self.data_bytes))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("look at", &self.shared.path, error)),
        }
    }

    /// Locks the file. What is damaged is begun anew: then what readers know is another epoch. `None` when the file has to be
    /// opened again.
    pub(super) fn lock(&mut self, deadline: Instant) -> Result<Option<Locked<'_>>> {
        lock(self.file.file(), &self.shared.path, deadline)?;
        let mut locked = Locked { ring: self, state: State::default(), committed: false };
        let Some(is_whole) = locked.ring.is_whole()? else { return Ok(None) };
        match locked.ring.find()? {
            Found::State(state) => {
                locked.state = state;
                if !is_whole {
                    locked.begin_anew("it was cut short")?;
                }
            }
            Found::Damaged => locked.begin_anew("its header is damaged")?,
            Found::Changed => return Ok(None),
        }
        Ok(Some(locked))
    }

    /// Reads whole records from `at` on, one at least, and not much more than `PAGE_BYTES` unless that one is larger;
    /// false when there is none.
    pub(super) fn read(&self, at: u64, end: u64, page: &mut Vec<u8>) -> Result<bool> {
        let there = (end - at) as usize;
        let mut bytes = PAGE_BYTES.min(there);
        loop {
            page.resize(bytes, 0);
            if !self.read_data(page, at)? {
                return Ok(false);
            }
            match record::length(page) {
                Some(Ok(length)) if length <= bytes => return Ok(true),
                Some(Ok(length)) if length <= there => bytes = length,
                _ => return Ok(false),
            }
        }
    }

    /// The largest record that is taken. A batch of half the ring leaves readers the other half to catch up in.
    pub(super) fn max_bytes(&self) -> usize {
        (self.data_bytes / 2) as usize
    }

    fn read_data(&self, bytes: &mut [u8], at: u64) -> Result<bool> {
        let (offset, first) = self.split(at, bytes.len());
        let (first, rest) = bytes.split_at_mut(first);
        Ok(self.read_at(first, HEADER_BYTES + offset)? && self.read_at(rest, HEADER_BYTES)?)
    }

    fn write_data(&self, bytes: &[u8], at: u64) -> Result<()> {
        let (offset, first) = self.split(at, bytes.len());
        let (first, rest) = bytes.split_at(first);
        self.write_at(first, HEADER_BYTES + offset)?;
        self.write_at(rest, HEADER_BYTES)
    }

    /// Where in the ring an offset is, and how many bytes are before the ring's end.
    fn split(&self, at: u64, bytes: usize) -> (u64, usize) {
        let offset = at % self.data_bytes;
        (offset, bytes.min((self.data_bytes - offset) as usize))
    }

    /// False when the file ends before.
    fn read_at(&self, bytes: &mut [u8], at: u64) -> Result<bool> {
        match self.file.file().read_exact_at(bytes, at) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(failed("read", &self.shared.path, error)),
        }
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.file.file().write_all_at(bytes, at).map_err(|error| failed("write to", &self.shared.path, error))
    }
}

impl Locked<'_> {
    /// Begins an epoch, in which places go on above all that this process knows.
    pub(super) fn begin_anew(&mut self, why: &str) -> Result<()> {
        let path = &self.ring.shared.path;
        tracing::warn!(path = %path.display(), "the journal is begun anew: {why}");
        let floor = self.state.seq.max(self.ring.shared.known()) + 1;
        open::write_new(self.ring.file.file(), path, self.ring.data_bytes)?;
        let generation = self.state.generation.max(self.ring.latest.1);
        let before = self.state.epoch;
        self.state = open::first_state(self.ring.file.file(), path, generation, floor)?;
        if self.state.epoch == before {
            self.state.epoch = before.wrapping_add(1);
        }
        self.commit()
    }

    /// Gives up the oldest records until `bytes` more fit, and more than that, so that it is not done each time; false when
    /// they are damaged.
    pub(super) fn make_room(&mut self, bytes: usize, page: &mut Vec<u8>) -> Result<bool> {
        let needed = (self.state.end + bytes as u64).saturating_sub(self.ring.data_bytes);
        if needed <= self.state.oldest_at {
            return Ok(true);
        }
        let (until, end) = ((needed + self.ring.data_bytes / 64).min(self.state.end), self.state.end);
        let (mut at, mut seq) = (self.state.oldest_at, self.state.oldest_seq);
        while at < until {
            if !self.ring.read(at, end, page)? {
                return Ok(false);
            }
            let mut rest = &page[..];
            while at < until
                && let Some(raw) = Raw::next(&mut rest)
            {
                match raw {
                    Ok(raw) if raw.seq == seq && raw.epoch == self.state.epoch => at += raw.bytes(),
                    _ => return Ok(false),
                }
                seq += 1;
            }
        }
        (self.state.oldest_at, self.state.oldest_seq) = (at, seq);
        self.commit()?;
        Ok(true)
    }

    /// Appends `records` as bytes, for which there is room. Their last place is `seq`.
    pub(super) fn append(&mut self, records: &[u8], seq: u64, at_unix_ms: u64) -> Result<()> {
        self.ring.write_data(records, self.state.end)?;
        self.state.end += records.len() as u64;
        self.state.seq = seq;
        self.state.at_unix_ms = at_unix_ms;
        self.commit()
    }

    /// The time, which does not go back within a journal.
    pub(super) fn now(&self) -> u64 {
        unix_ms().max(self.state.at_unix_ms)
    }

    fn commit(&mut self) -> Result<()> {
        self.state.generation += 1;
        let (bytes, at) = self.state.write();
        self.ring.write_at(&bytes, at)?;
        self.ring.latest = (self.state.epoch, self.state.generation);
        self.committed = true;
        Ok(())
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        sys::unlock(self.ring.file.file());
        if self.committed {
            self.ring.bell.ring();
        }
    }
}

/// Takes the lock. Its holder may have been stopped, so it is not waited for without end.
pub(super) fn lock(file: &fs::File, path: &Path, deadline: Instant) -> Result<()> {
    let mut tries = 0_u32;
    loop {
        match sys::try_lock(file) {
            Ok(true) => return Ok(()),
            Ok(false) if Instant::now() >= deadline => {
                let text = format!(
                    "another process has held the lock of the journal {} all the time; is it stopped?",
                    path.display()
                );
                return Err(Error::new(ErrorKind::JournalUnavailable, text));
            }
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed("lock", path, error)),
        }
        // It is held for some microseconds.
        match tries {
            0..20 => thread::yield_now(),
            20..100 => thread::sleep(Duration::from_micros(50)),
            _ => thread::sleep(Duration::from_millis(2)),
        }
        tries += 1;
    }
}

/// What a failed call says.
pub(super) fn failed(verb: &str, path: &Path, error: io::Error) -> Error {
    let text = format!("cannot {verb} the journal {}: {error}", path.display());
    Error::new(ErrorKind::JournalUnavailable, text).with_source(error)
}

/// What is read at once.
const PAGE_BYTES: usize = 256 * 1024;
