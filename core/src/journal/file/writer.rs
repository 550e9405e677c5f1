//! The end that appends.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    Shared,
    header::State,
    open,
    record::{self, Place, Raw},
    ring::{Locked, Ring},
};
use crate::{
    clock::deadline,
    error::{Error, ErrorKind, Result},
    journal::{Record, What, Writer},
    wire::{Epoch, Position},
};

pub(super) struct FileWriter {
    shared: Arc<Shared>,
    /// Tells the records of this end from others'; 0 before the first, so that it is drawn in the process that appends.
    id: u64,
    ring: Option<Ring>,
    pub(super) unsure: Option<Unsure>,
    /// Kept to be used again.
    bytes: Vec<u8>,
    page: Vec<u8>,
}

/// An append that failed, and may have been committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsure {
    pub(super) epoch: u32,
    /// Where its first record would be.
    pub(super) at: u64,
    /// The last record of it.
    pub(super) number: u64,
}

impl FileWriter {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, id: 0, ring: None, unsure: None, bytes: Vec::new(), page: Vec::new() }
    }
}

impl Writer for FileWriter {
    fn append(&mut self, records: &[Record], timeout: Duration) -> Result<Vec<Position>> {
        let deadline = deadline(timeout);
        if self.id == 0 {
            self.id = u64::from(Epoch::random()?.0) << 32 | u64::from(Epoch::random()?.0);
        }
        for _ in 0..TRIES {
            let mut ring = match self.ring.take() {
                Some(ring) => ring,
                None => Ring::open(&self.shared, deadline).and_then(Ring::within_limit)?,
            };
            let Some(locked) = ring.lock(deadline)? else { continue };
            let positions = self.append_locked(locked, records)?;
            self.ring = Some(ring);
            return Ok(positions);
        }
        let text = format!("the journal {} is replaced again and again", self.shared.path.display());
        Err(Error::new(ErrorKind::JournalUnavailable, text))
    }
}

impl FileWriter {
    fn append_locked(&mut self, mut locked: Locked<'_>, records: &[Record]) -> Result<Vec<Position>> {
        loop {
            let there = self.find_appended(&mut locked, records)?;
            let chunks = self.encode(&locked, records, &there)?;
            if let Some(last) = records.last() {
                let mark = Unsure { epoch: locked.state.epoch, at: locked.state.end, number: last.number };
                let unsure = self.unsure.get_or_insert(mark);
                unsure.number = unsure.number.max(last.number);
            }
            if !self.write(&mut locked, &chunks)? {
                locked.begin_anew("its oldest records are damaged")?;
                continue;
            }
            if self
                .unsure
                .is_some_and(|unsure| records.last().is_some_and(|last| last.number >= unsure.number))
            {
                self.unsure = None;
            }
            self.shared.learn(locked.state.seq);
            let epoch = locked.state.epoch();
            let mut next = locked.state.seq - (records.len() - there.len()) as u64;
            let positions = records.iter().map(|record| {
                let seq = there.get(&record.number).copied().unwrap_or_else(|| {
                    next += 1;
                    next
                });
                Position { epoch, seq }
            });
            return Ok(positions.collect());
        }
    }

    /// Which of `records` an append that failed has committed after all, and their places.
    fn find_appended(&mut self, locked: &mut Locked<'_>, records: &[Record]) -> Result<HashMap<u64, u64>> {
        let mut there = HashMap::new();
        let Some(unsure) = self.unsure.filter(|unsure| unsure.epoch == locked.state.epoch) else {
            self.unsure = None; // an epoch that has ended took its records along
            return Ok(there);
        };
        if unsure.at < locked.state.oldest_at {
            if records.iter().all(|record| record.number > unsure.number) {
                return Ok(there);
            }
            let text = "nobody knows whether the event was appended: so many others have been since that its place \
                        is not in the journal any more";
            return Err(Error::new(ErrorKind::JournalRejected, text));
        }
        let (mut at, end) = (unsure.at, locked.state.end);
        while at < end {
            let mut is_whole = locked.ring.read(at, end, &mut self.page)?;
            let mut rest = &self.page[..];
            while is_whole && let Some(raw) = Raw::next(&mut rest) {
                is_whole = raw.is_ok();
                let Ok(raw) = raw else { break };
                at += raw.bytes();
                if raw.writer == self.id && records.iter().any(|record| record.number == raw.number) {
                    there.insert(raw.number, raw.seq);
                }
            }
            if !is_whole {
                locked.begin_anew("its latest records are damaged")?;
                self.unsure = None;
                there.clear();
                break;
            }
        }
        Ok(there)
    }

    /// Writes the records that are not there yet into `bytes`. Gives back the parts that are committed together: the end of
    /// each in `bytes`, and its last place.
    fn encode(
        &mut self,
        locked: &Locked<'_>,
        records: &[Record],
        there: &HashMap<u64, u64>,
    ) -> Result<Vec<(usize, u64)>> {
        let max = locked.ring.max_bytes();
        let State { epoch, seq, .. } = locked.state;
        let mut place = Place { epoch, seq, at_unix_ms: locked.now(), writer: self.id };
        let mut parts = Vec::new();
        let mut part_start = 0;
        self.bytes.clear();
        for record in records.iter().filter(|record| !there.contains_key(&record.number)) {
            let start = self.bytes.len();
            place.seq += 1;
            write_record(record, place, max, &mut self.bytes)?;
            if self.bytes.len() - part_start > max {
                parts.push((start, place.seq - 1));
                part_start = start;
            }
        }
        open::check_places(&self.shared.path, place.seq)?;
        if self.bytes.len() > part_start {
            parts.push((self.bytes.len(), place.seq));
        }
        Ok(parts)
    }

    /// False when what is to be overwritten is damaged.
    fn write(&mut self, locked: &mut Locked<'_>, parts: &[(usize, u64)]) -> Result<bool> {
        let at_unix_ms = locked.now();
        let mut start = 0;
        for (end, seq) in parts {
            let bytes = &self.bytes[start..*end];
            if !locked.make_room(bytes.len(), &mut self.page)? {
                return Ok(false);
            }
            locked.append(bytes, *seq, at_unix_ms)?;
            start = *end;
        }
        self.bytes.shrink_to(KEPT_BYTES);
        Ok(true)
    }
}

fn write_record(record: &Record, place: Place, max: usize, out: &mut Vec<u8>) -> Result<()> {
    let Err(bytes) = record::write(record, place, max, out) else { return Ok(()) };
    if let What::Lost { .. } = record.what {
        // Of any channel, then.
        let record = Record { number: record.number, what: What::Lost { channels: Vec::new() } };
        record::write(&record, place, max, out).expect("a ring has room for it");
        return Ok(());
    }
    let text = format!(
        "the event takes {bytes} bytes, and half of the journal's ring is {max}; make a larger one (journal_bytes)"
    );
    Err(Error::new(ErrorKind::JournalRejected, text))
}

/// How often a file that is replaced meanwhile is opened again.
const TRIES: usize = 3;
/// Memory that is kept between batches.
const KEPT_BYTES: usize = 1024 * 1024;
