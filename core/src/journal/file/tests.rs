//! One process: places, what is kept, repeats, and what others may do to the file meanwhile.

use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use proptest::{collection::vec, prelude::*};

use super::{header::HEADER_BYTES, record::tests::whats, writer::Unsure, *};
use crate::{
    journal::{Entry, Record, What},
    sys,
    wire::{Epoch, Event, Position},
};

mod damage;

const NOW: Duration = Duration::ZERO;
const PATIENCE: Duration = Duration::from_secs(10);
const DATA_BYTES: u64 = 65_536;

/// A folder that is gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("evstream-file-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join("events")
    }

    /// As another process has it.
    fn journal(&self) -> File {
        let config = Config::new().journal_bytes(DATA_BYTES);
        File::new(self.path().to_str().unwrap(), &config).unwrap()
    }

    fn writer(&self) -> FileWriter {
        FileWriter::new(self.journal().0)
    }

    fn reader(&self) -> FileReader {
        FileReader::new(self.journal().0)
    }

    fn open(&self) -> fs::File {
        fs::File::options().read(true).write(true).open(self.path()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn event(data: impl Into<String>) -> What {
    What::Event { channel: "a".into(), event: Event::text(data.into()) }
}

fn records(numbers: impl IntoIterator<Item = u64>) -> Vec<Record> {
    numbers.into_iter().map(|number| Record { number, what: event(number.to_string()) }).collect()
}

fn append(writer: &mut dyn Writer, numbers: impl IntoIterator<Item = u64>) -> Vec<Position> {
    writer.append(&records(numbers), PATIENCE).unwrap()
}

fn seqs(positions: &[Position]) -> Vec<u64> {
    positions.iter().map(|position| position.seq).collect()
}

/// All there is by now.
fn read(reader: &mut dyn Reader) -> Vec<Entry> {
    let mut entries = Vec::new();
    while reader.read(&mut entries, NOW).unwrap().is_none() {}
    entries
}

/// The epoch and floor of the last `Begin`, and the places with their data behind it.
fn begun(entries: &[Entry]) -> (Epoch, u64, Vec<(u64, String)>) {
    let begin = entries.iter().rposition(|entry| matches!(entry, Entry::Begin { .. })).unwrap();
    let entries = &entries[begin..];
    let [Entry::Begin { epoch, floor }, rest @ ..] = entries else { panic!("{entries:?}") };
    (*epoch, *floor, placed(rest))
}

fn placed(entries: &[Entry]) -> Vec<(u64, String)> {
    let data = entries.iter().map(|entry| match entry {
        Entry::Placed { seq, what: What::Event { event, .. }, .. } => (*seq, event.data.to_string()),
        other => panic!("{other:?}"),
    });
    data.collect()
}

fn pairs(pairs: &[(u64, u64)]) -> Vec<(u64, String)> {
    pairs.iter().map(|(seq, number)| (*seq, number.to_string())).collect()
}

#[test]
fn places_go_on_from_two_and_every_reader_sees_the_same() {
    let folder = Folder::new();
    let (mut a, mut b) = (folder.writer(), folder.writer());
    let mut early = folder.reader();
    let (epoch, floor, none) = begun(&read(&mut early));
    assert_eq!((floor, none.len()), (1, 0));
    assert_eq!(seqs(&append(&mut a, 1..=2)), [2, 3]);
    assert_eq!(append(&mut b, [1]), [Position { epoch, seq: 4 }]);
    assert_eq!(seqs(&append(&mut a, [3])), [5]);
    let expected = pairs(&[(2, 1), (3, 2), (4, 1), (5, 3)]);
    assert_eq!(placed(&read(&mut early)), expected);
    assert_eq!(begun(&read(&mut folder.reader())), (epoch, 1, expected));
    assert_eq!(early.read(&mut Vec::new(), NOW).unwrap(), Some(5));
    assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o660);
}

#[test]
fn a_reader_is_woken() {
    let folder = Folder::new();
    let mut reader = folder.reader();
    read(&mut reader);
    let waiting = std::thread::spawn(move || {
        let mut entries = Vec::new();
        reader.read(&mut entries, PATIENCE).unwrap();
        entries.len()
    });
    append(&mut folder.writer(), [1]);
    assert_eq!(waiting.join().unwrap(), 1);
}

#[test]
fn what_was_committed_by_an_append_that_failed_is_not_appended_again() {
    let folder = Folder::new();
    let (mut writer, mut other) = (folder.writer(), folder.writer());
    let epoch = append(&mut writer, [1])[0].epoch.0;
    let at = writer_end(&folder);
    append(&mut writer, 2..=4);
    append(&mut other, 2..=4);
    writer.unsure = Some(Unsure { epoch, at, number: 5 });
    assert_eq!(seqs(&append(&mut writer, [3])), [4]);
    assert_eq!(seqs(&append(&mut writer, 4..=6)), [5, 9, 10]);
    assert!(writer.unsure.is_none());
    let expected = [(2, 1), (3, 2), (4, 3), (5, 4), (6, 2), (7, 3), (8, 4), (9, 5), (10, 6)];
    assert_eq!(begun(&read(&mut folder.reader())).2, pairs(&expected));
}

#[test]
fn what_nobody_knows_any_more_is_refused_and_what_comes_after_is_not() {
    let folder = Folder::new();
    let mut writer = folder.writer();
    let epoch = append(&mut writer, [1])[0].epoch.0;
    writer.unsure = Some(Unsure { epoch, at: writer_end(&folder), number: 2 });
    append(&mut folder.writer(), 1..=2_000);
    let error = writer.append(&records([2, 3]), PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::JournalRejected);
    assert_eq!(seqs(&append(&mut writer, [3])), [2_003]);
    assert_eq!(seqs(&append(&mut writer, [4])), [2_004]);
}

/// The end of what is committed.
fn writer_end(folder: &Folder) -> u64 {
    let mut ring = ring::Ring::open(&folder.journal().0, Instant::now() + PATIENCE).unwrap();
    let ring::Found::State(state) = ring.find().unwrap() else { panic!() };
    state.end
}

#[test]
fn a_reader_that_is_overtaken_is_told_and_goes_on() {
    let folder = Folder::new();
    let (mut writer, mut reader) = (folder.writer(), folder.reader());
    let (epoch, ..) = begun(&read(&mut reader));
    append(&mut writer, 1..=3);
    assert_eq!(placed(&read(&mut reader)).len(), 3);
    for number in 4..=3_000 {
        append(&mut writer, [number]);
    }
    let (again, floor, rest) = begun(&read(&mut reader));
    assert_eq!(again, epoch);
    assert!(floor > 4);
    assert_eq!(rest.first().unwrap().0, floor + 1);
    assert_eq!(rest.last().unwrap(), &(3_001, "3000".to_owned()));
    let kept: usize = rest.len() * 70;
    assert!(kept > DATA_BYTES as usize / 2, "{} are kept", rest.len());
}

#[test]
fn what_is_overwritten_while_it_is_read_is_never_handed_out_nor_taken_for_damage() {
    let folder = Folder::new();
    let mut reader = folder.reader();
    let (epoch, ..) = begun(&read(&mut reader));
    let deadline = Instant::now() + PATIENCE * 3;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = folder.writer();
            for batch in 0..4_000 {
                append(&mut writer, batch * 20 + 1..=batch * 20 + 20);
            }
        });
        let mut overtaken = 0;
        let mut last = 1;
        while last < 80_001 {
            assert!(Instant::now() < deadline, "it does not get on");
            let mut entries = Vec::new();
            reader.read(&mut entries, NOW).unwrap();
            for entry in entries {
                match entry {
                    Entry::Begin { epoch: again, floor } => {
                        assert_eq!(again, epoch, "an overtaken reader took it for damage");
                        assert!(floor > last);
                        last = floor;
                        overtaken += 1;
                    }
                    Entry::Placed { seq, what, .. } => {
                        assert_eq!((seq, what), (last + 1, event(last.to_string())));
                        last = seq;
                    }
                }
            }
        }
        println!("overtaken {overtaken} times");
    });
}

#[test]
fn a_batch_that_is_larger_than_the_ring_is_appended_in_parts() {
    let folder = Folder::new();
    let positions = append(&mut folder.writer(), 1..=5_000);
    assert_eq!(seqs(&positions), (2..=5_001).collect::<Vec<_>>());
    assert_eq!(begun(&read(&mut folder.reader())).2.last().unwrap(), &(5_001, "5000".to_owned()));
}

#[test]
fn what_does_not_fit_is_refused_and_a_marker_becomes_one_of_all_channels() {
    let folder = Folder::new();
    let mut writer = folder.writer();
    let large = Record { number: 2, what: event("x".repeat(DATA_BYTES as usize / 2)) };
    let mut batch = records([1]);
    batch.push(large);
    let error = writer.append(&batch, PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::JournalRejected);
    assert!(error.to_string().contains("journal_bytes"), "{error}");
    let channels = (0..10_000).map(|i| format!("channel {i}").into()).collect();
    let lost = Record { number: 3, what: What::Lost { channels } };
    assert_eq!(seqs(&writer.append(&[lost], PATIENCE).unwrap()), [2]);
    let entries = read(&mut folder.reader());
    let [_, Entry::Placed { seq: 2, what, .. }] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!(*what, What::Lost { channels: Vec::new() });
}

#[test]
fn a_lock_that_is_held_is_not_waited_for_without_end() {
    let folder = Folder::new();
    let mut writer = folder.writer();
    append(&mut writer, [1]);
    let holder = folder.open();
    assert!(sys::try_lock(&holder).unwrap());
    let error = writer.append(&records([2]), Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::JournalUnavailable);
    assert!(error.to_string().contains("lock"), "{error}");
    drop(holder);
    assert_eq!(seqs(&append(&mut writer, [2])), [3]);
}

#[test]
fn a_second_process_uses_the_size_that_the_file_has() {
    let folder = Folder::new();
    append(&mut folder.writer(), [1]);
    let config = Config::new().journal_bytes(DATA_BYTES * 4);
    let larger = File::new(folder.path().to_str().unwrap(), &config).unwrap();
    assert_eq!(seqs(&append(&mut *larger.writer(), [1])), [3]);
    assert_eq!(fs::metadata(folder.path()).unwrap().len(), HEADER_BYTES + DATA_BYTES);
}

#[test]
fn what_cannot_be_a_journal_is_left_alone_and_told() {
    let told = |folder: &Folder, kind, words: &str| {
        let error = folder.writer().append(&records([1]), PATIENCE).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        let error = folder.reader().read(&mut Vec::new(), NOW).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    };
    let (rejected, unavailable) = (ErrorKind::JournalRejected, ErrorKind::JournalUnavailable);

    let folder = Folder::new();
    fs::write(folder.path(), "{\"my\": \"data\"}").unwrap();
    told(&folder, rejected, "something else");
    assert_eq!(fs::read_to_string(folder.path()).unwrap(), "{\"my\": \"data\"}");

    let folder = Folder::new();
    append(&mut folder.writer(), [1]);
    folder.open().write_all_at(&9_u32.to_le_bytes(), 8).unwrap();
    told(&folder, rejected, "format 9");

    let folder = Folder::new();
    fs::create_dir(folder.path()).unwrap();
    told(&folder, rejected, "folder");

    let folder = Folder::new();
    symlink("/dev/null", folder.path()).unwrap();
    told(&folder, rejected, "regular file");

    let folder = Folder::new();
    symlink("/nowhere/at/all", folder.path()).unwrap();
    told(&folder, unavailable, "cannot");

    let folder = Folder::new();
    fs::remove_dir_all(&folder.0).unwrap();
    told(&folder, unavailable, "does not exist");
}

#[test]
fn addresses() {
    for path in ["", "/run/a?namespace=b", "//host/path", "a\0b"] {
        let error = File::new(path, &Config::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{path:?}");
    }
    let here = std::env::current_dir().unwrap();
    assert_eq!(File::new("a/b%20c", &Config::new()).unwrap().0.path, here.join("a/b%20c"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_appended_is_followed(batches in vec(vec(whats(), 0..20), 1..20)) {
        let folder = Folder::new();
        let (mut writer, mut reader) = (folder.writer(), folder.reader());
        begun(&read(&mut reader));
        let mut number = 0;
        for batch in batches {
            let records: Vec<_> = batch.into_iter().map(|what| { number += 1; Record { number, what } }).collect();
            let positions = writer.append(&records, PATIENCE).unwrap();
            let entries = read(&mut reader);
            prop_assert_eq!(entries.len(), records.len());
            for ((entry, position), record) in entries.iter().zip(positions).zip(records) {
                let Entry::Placed { seq, what, .. } = entry else { panic!("{entry:?}") };
                prop_assert_eq!((*seq, what), (position.seq, &record.what));
            }
        }
    }

    #[test]
    fn noise_anywhere_neither_panics_nor_hangs(harms in vec((0..70_000_u64, vec(any::<u8>(), 0..300), any::<bool>()), 1..20)) {
        let folder = Folder::new();
        let (mut writer, mut reader) = (folder.writer(), folder.reader());
        append(&mut writer, 1..=600);
        let mut number = 600;
        let mut last = 0;
        for (at, noise, is_cut) in harms {
            let file = folder.open();
            if is_cut { file.set_len(at).unwrap() } else { file.write_all_at(&noise, at).unwrap() }
            let _ = folder.reader().read(&mut Vec::new(), NOW);
            let mut entries = Vec::new();
            let _ = reader.read(&mut entries, NOW);
            for entry in entries {
                let seq = match entry {
                    Entry::Begin { floor, .. } => floor,
                    Entry::Placed { seq, .. } => { prop_assert_eq!(seq, last + 1); seq }
                };
                prop_assert!(seq > last);
                last = seq;
            }
            number += 100;
            let _ = writer.append(&records(number - 99..=number), PATIENCE);
        }
    }
}

#[test]
fn one_has_the_lease_until_it_lets_go_and_the_next_goes_on_from_there() {
    let folder = Folder::new();
    let [mut first, mut second] = [(); 2].map(|()| folder.journal().lease());
    assert_eq!(first.forwarded().unwrap(), None);
    assert!(first.take().unwrap() && first.take().unwrap());
    assert!(!second.take().unwrap() && !second.keep(None).unwrap());
    for seq in [1_000, 7] {
        let place = Position { epoch: Epoch(5), seq };
        assert!(first.keep(Some(place)).unwrap());
        assert_eq!(second.forwarded().unwrap(), Some(place));
    }
    drop(first);
    assert!(second.take().unwrap() && second.keep(None).unwrap());
    // Who has removed the file would give it to another.
    fs::remove_file(folder.path().with_extension("forwarder")).unwrap();
    assert!(!second.keep(None).unwrap());
}
