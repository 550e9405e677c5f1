//! Any file where the ring of a journal belongs, and a real one that harm was done to: those that follow it and append to
//! it do not panic and come to an end; they hand out no event that is not in the file with its checksum, and no place twice.

#![no_main]

use std::{
    collections::HashMap,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

use evstream::{
    __internal::{Entry, Epoch, Journal, Reader, Record, What, Writer, open_journal},
    Config, ErrorKind, Event, Position,
};
use libfuzzer_sys::fuzz_target;
use nix::sys::resource::{Resource, setrlimit};

const DATA_BYTES: usize = 65_536;
const HEADER_BYTES: usize = 4_096;
const FILE_BYTES: usize = HEADER_BYTES + DATA_BYTES;
/// Where the two states are in the header, each with a checksum at its end, and of what start of the system they are.
const STATES: [usize; 2] = [32, 116];
const STATE_BYTES: usize = 80;
const BOOT_AT: usize = 12;
const BOOT_BYTES: usize = 16;
const USED_BYTES: usize = STATES[1] + STATE_BYTES;
const HEAD_BYTES: usize = 48;

/// Readings of a file that nobody else changes, until all of it is read.
const READS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(30);
/// A ring of another size that the header names is made; it need not fill the disk.
const MAX_FILE_BYTES: u64 = 16 << 20;

// Bits of the first byte of the input. The lowest two choose what there is before the harm is done.
const FIX_FIXED: u8 = 4;
const FIX_STATES: u8 = 8;
const FIX_RECORDS: u8 = 16;
const IN_USE: u8 = 32;

static PATH: LazyLock<PathBuf> = LazyLock::new(|| {
    setrlimit(Resource::RLIMIT_FSIZE, MAX_FILE_BYTES, MAX_FILE_BYTES).expect("it is lower than before");
    std::env::temp_dir().join(format!("evstream-fuzz-{}", std::process::id()))
});

/// What the journals of this version write: a few records, and a ring that is full.
static REAL: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    [1..=9, 1..=3_000].map(|numbers| {
        let _ = fs::remove_file(&*PATH);
        let mut writer = journal().writer();
        let records: Vec<_> = numbers.map(|number| record(number, number as usize % 50)).collect();
        for batch in records.chunks(20) {
            writer.append(batch, PATIENCE).expect("the file is there");
        }
        let bytes = fs::read(&*PATH).expect("the file is there");
        assert_eq!(bytes.len(), FILE_BYTES);
        bytes
    })
});

fuzz_target!(|input: &[u8]| {
    let [flags, harm @ ..] = input else { return };
    let before = match flags % 4 {
        0 => Vec::new(),
        1 => vec![0; FILE_BYTES],
        kind => REAL[usize::from(kind - 2)].clone(),
    };
    let mut after = before.clone();
    do_harm(&mut after, harm);
    fix(&mut after, *flags);

    let is_in_use = flags & IN_USE != 0;
    write(if is_in_use { &before } else { &after });
    let process = journal();
    let mut reader = Follower::new(&*process);
    let mut writer = process.writer();
    if is_in_use {
        assert!(reader.read() && append(&mut *writer, 1, 10).is_some(), "nothing is wrong yet");
        assert!(reader.read());
        write(&after);
    }
    reader.read();
    for (number, bytes) in [(2, 5), (3, 20_000), (4, 20_000), (5, 30_000), (6, 0)] {
        let Some(position) = append(&mut *writer, number, bytes) else { continue };
        assert!(reader.read(), "what can be appended to can be read");
        reader.expect(position, &record(number, bytes).what);
    }
    Follower::new(&*journal()).read();
});

/// Changes a file as the input says: where, how far from there, how much, and what with.
fn do_harm(file: &mut Vec<u8>, mut harm: &[u8]) {
    while let [kind, high, low, bytes, rest @ ..] = harm {
        let by = usize::from(u16::from_be_bytes([*high, *low]));
        let (new, rest) = rest.split_at(rest.len().min(usize::from(*bytes)));
        harm = rest;
        let (at, is_flip) = match kind % 8 {
            0 => (by % USED_BYTES, false),
            1 => (HEADER_BYTES + by, false),
            2 => (by % USED_BYTES, true),
            3 => (HEADER_BYTES + by, true),
            4 => {
                file.truncate(by);
                continue;
            }
            5 => {
                file.truncate(HEADER_BYTES + by);
                continue;
            }
            6 => {
                file.resize(FILE_BYTES, 0);
                continue;
            }
            // The file of another process, or what an end of it has left.
            _ => {
                let other = &REAL[by % 2];
                let until = (usize::from(*bytes) * 300).min(file.len());
                file[..until].copy_from_slice(&other[..until]);
                continue;
            }
        };
        if file.len() < at + new.len() {
            file.resize(at + new.len(), 0);
        }
        for (byte, new) in file[at..].iter_mut().zip(new) {
            *byte = if is_flip { *byte ^ new } else { *new };
        }
    }
    file.truncate(FILE_BYTES);
}

/// Makes checksums right, which no fuzzer would guess.
fn fix(file: &mut [u8], flags: u8) {
    if file.len() < USED_BYTES {
        return;
    }
    if flags & FIX_FIXED != 0 {
        file[..8].copy_from_slice(&REAL[0][..8]);
        file[8..12].copy_from_slice(&REAL[0][8..12]);
        seal(&mut file[..32], 28, 0..28);
    }
    if flags & FIX_STATES != 0 {
        for at in STATES {
            let boot = at + BOOT_AT..at + BOOT_AT + BOOT_BYTES;
            file[boot.clone()].copy_from_slice(&REAL[1][boot]);
            seal(&mut file[at..at + STATE_BYTES], STATE_BYTES - 4, 0..STATE_BYTES - 4);
        }
    }
    if flags & FIX_RECORDS != 0 {
        let mut rest = file.get_mut(HEADER_BYTES..).unwrap_or_default();
        while let Some(length) = rest.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize)
            && (HEAD_BYTES..=rest.len()).contains(&length)
        {
            let (record, others) = rest.split_at_mut(length);
            seal(record, 4, 8..length);
            rest = others;
        }
    }
}

fn seal(bytes: &mut [u8], at: usize, what: std::ops::Range<usize>) {
    let crc = crc32fast::hash(&bytes[what]);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

/// As someone does who knows nothing of the lock.
fn write(bytes: &[u8]) {
    let file =
        File::options().write(true).create(true).truncate(false).open(&*PATH).expect("it can be opened");
    file.set_len(bytes.len() as u64).expect("it can be cut");
    file.write_all_at(bytes, 0).expect("it can be written");
}

/// As another process has it.
fn journal() -> Arc<dyn Journal> {
    let config = Config::new().journal(format!("file:{}", PATH.display()).into());
    open_journal(&config.journal_bytes(DATA_BYTES as u64)).expect("the path is good").expect("there is one")
}

fn record(number: u64, bytes: usize) -> Record {
    let what = match number {
        6 => What::Lost { channels: vec!["a".into(), "b".into()] },
        _ => {
            What::Event { channel: "a".into(), event: Event::text(format!("{number}-{}", "x".repeat(bytes))) }
        }
    };
    Record { number, what }
}

/// Where it was put; `None` when it was refused.
fn append(writer: &mut dyn Writer, number: u64, bytes: usize) -> Option<Position> {
    match writer.append(&[record(number, bytes)], PATIENCE) {
        Ok(positions) => Some(positions[0]),
        Err(error) => {
            named(error.kind());
            None
        }
    }
}

fn named(kind: ErrorKind) {
    assert!(matches!(kind, ErrorKind::JournalUnavailable | ErrorKind::JournalRejected), "{kind:?}");
}

/// One that follows, and what it was handed out last.
struct Follower {
    reader: Box<dyn Reader>,
    epoch: Option<Epoch>,
    last: u64,
    what: Option<What>,
}

impl Follower {
    fn new(journal: &dyn Journal) -> Self {
        Self { reader: journal.reader(), epoch: None, last: 0, what: None }
    }

    /// Reads all there is; false when it is refused.
    fn read(&mut self) -> bool {
        for _ in 0..READS {
            let mut records = None;
            let mut entries = Vec::new();
            let head = self.reader.read(&mut entries, Duration::ZERO);
            if entries.iter().any(|entry| matches!(entry, Entry::Placed { .. })) {
                records = Some(Records::of(&fs::read(&*PATH).expect("it can be read")));
            }
            for entry in entries {
                self.take(entry, records.as_mut());
            }
            match head {
                Ok(Some(head)) => {
                    assert_eq!(head, self.last);
                    return true;
                }
                Ok(None) => {}
                Err(error) => {
                    named(error.kind());
                    return false;
                }
            }
        }
        panic!("it is read again and again");
    }

    fn take(&mut self, entry: Entry, records: Option<&mut Records>) {
        match entry {
            Entry::Begin { epoch, floor } => {
                assert!(floor > self.last || self.epoch.is_none(), "places go back");
                (self.epoch, self.last, self.what) = (Some(epoch), floor, None);
            }
            Entry::Placed { seq, what, .. } => {
                let epoch = self.epoch.expect("the first is where it begins");
                assert_eq!(seq, self.last + 1, "a place is left out, or comes again");
                assert!(
                    records.is_some_and(|records| records.have(epoch, seq, &what)),
                    "{epoch:?} {seq}: {what:?} is not in the file"
                );
                (self.last, self.what) = (seq, Some(what));
            }
        }
    }

    /// What was appended came last, unless something before it was damaged.
    fn expect(&self, position: Position, what: &What) {
        if self.epoch == Some(position.epoch) {
            assert_eq!((self.last, self.what.as_ref()), (position.seq, Some(what)));
        } else {
            assert!(self.last > position.seq, "it is neither handed out nor told to be lost");
        }
    }
}

/// The records that a file may have.
struct Records {
    /// Twice, so that none is cut at the end.
    ring: Vec<u8>,
    /// Where they may be in it, by their places; those of one epoch.
    found: HashMap<u64, Vec<usize>>,
    epoch: Option<Epoch>,
}

impl Records {
    fn of(file: &[u8]) -> Self {
        let data_bytes =
            file.get(12..20).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
        let end = HEADER_BYTES.saturating_add(data_bytes as usize);
        let ring = file.get(HEADER_BYTES..end).unwrap_or_default().repeat(2);
        Self { ring, found: HashMap::new(), epoch: None }
    }

    /// Whether there is one whose checksum is right and that says this.
    fn have(&mut self, epoch: Epoch, seq: u64, what: &What) -> bool {
        if self.epoch != Some(epoch) {
            self.find(epoch);
        }
        self.found.get(&seq).into_iter().flatten().any(|at| {
            let rest = &self.ring[*at..];
            let record = &rest[..length(rest)];
            record[4..8] == crc32fast::hash(&record[8..]).to_le_bytes()
                && says(&record[12..16], &record[HEAD_BYTES..]).is_some_and(|said| said == *what)
        })
    }

    fn find(&mut self, epoch: Epoch) {
        (self.epoch, self.found) = (Some(epoch), HashMap::new());
        for epoch_at in memchr::memmem::find_iter(&self.ring, &epoch.0.to_le_bytes()) {
            let Some(at) = epoch_at.checked_sub(8).filter(|at| *at < self.ring.len() / 2) else { continue };
            if (HEAD_BYTES..=self.ring.len() / 2).contains(&length(&self.ring[at..])) {
                let seq = self.ring[at + 16..at + 24].try_into().expect("they are eight");
                self.found.entry(u64::from_le_bytes(seq)).or_default().push(at);
            }
        }
    }
}

fn length(record: &[u8]) -> usize {
    record.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
}

/// What a record says, read once more.
fn says(kind: &[u8], mut body: &[u8]) -> Option<What> {
    fn text<'a>(body: &mut &'a [u8]) -> Option<&'a str> {
        let (length, rest) = body.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        *body = rest;
        std::str::from_utf8(text).ok()
    }
    fn flag(body: &mut &[u8]) -> Option<bool> {
        let (flag, rest) = body.split_first()?;
        *body = rest;
        Some(*flag == 1)
    }
    if kind == [2, 0, 0, 0] {
        let mut channels = Vec::new();
        while !body.is_empty() {
            channels.push(text(&mut body)?.into());
        }
        return Some(What::Lost { channels });
    }
    let channel = text(&mut body)?.into();
    let mut event = Event::text(text(&mut body)?.to_owned());
    if flag(&mut body)? {
        event = event.name(text(&mut body)?.to_owned());
    } else {
        text(&mut body)?;
    }
    if flag(&mut body)? {
        event = event.comment(text(&mut body)?.to_owned());
    } else {
        text(&mut body)?;
    }
    if flag(&mut body)? {
        event = event.retry_ms(u64::from_le_bytes(body.try_into().ok()?));
    }
    Some(What::Event { channel, event })
}
