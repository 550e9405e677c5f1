//! What others, and a system that stops, may do to the file: it is told, and nothing else comes of it.

use super::*;

/// What readers and writers that were there before, and those that come later, must make of a file that `harm` was done to.
#[track_caller]
fn harmed(harm: impl Fn(&Folder)) {
    let folder = Folder::new();
    let (mut writer, mut reader, mut idle) = (folder.writer(), folder.reader(), folder.reader());
    append(&mut writer, 1..=200);
    let (epoch, _, events) = begun(&read(&mut reader));
    begun(&read(&mut idle));
    assert_eq!(events.last().unwrap().0, 201);
    harm(&folder);
    // The path is looked at from time to time.
    let mut entries = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while entries.is_empty() {
        assert!(Instant::now() < deadline, "nobody was told");
        idle.read(&mut entries, Duration::from_millis(50)).unwrap();
    }
    let (second, floor, _) = begun(&entries);
    assert_ne!(second, epoch);
    assert!(floor > 201, "{floor}");
    let position = append(&mut writer, [201])[0];
    assert!(position.seq > floor);
    let mut entries = Vec::new();
    while !matches!(entries.last(), Some(Entry::Placed { .. })) {
        assert!(Instant::now() < deadline, "it does not arrive");
        reader.read(&mut entries, Duration::from_millis(50)).unwrap();
    }
    let (third, floor, events) = begun(&entries);
    assert!(floor > 201);
    assert_eq!((third, events), (position.epoch, vec![(position.seq, "201".to_owned())]));
    begun(&read(&mut folder.reader()));
}

#[test]
fn a_file_cut_to_nothing() {
    harmed(|folder| folder.open().set_len(0).unwrap());
}

#[test]
fn a_file_cut_in_its_header() {
    harmed(|folder| folder.open().set_len(100).unwrap());
}

#[test]
fn a_file_cut_in_its_ring() {
    harmed(|folder| folder.open().set_len(HEADER_BYTES + 100).unwrap());
}

#[test]
fn a_header_of_noise() {
    harmed(|folder| folder.open().write_all_at(&[0xa5; 4096], 0).unwrap());
}

#[test]
fn a_file_of_zeros() {
    harmed(|folder| folder.open().write_all_at(&vec![0; 69_632], 0).unwrap());
}

#[test]
fn a_header_with_a_size_that_no_ring_has() {
    harmed(|folder| folder.open().write_all_at(&header::Fixed::write(u64::MAX / 2), 0).unwrap());
}

#[test]
fn states_of_noise() {
    harmed(|folder| folder.open().write_all_at(&[0xa5; 200], 32).unwrap());
}

#[test]
fn a_file_that_was_removed() {
    harmed(|folder| fs::remove_file(folder.path()).unwrap());
}

#[test]
fn a_file_that_was_replaced_by_another_journal() {
    harmed(|folder| {
        let other = Folder::new();
        append(&mut other.writer(), 1..=3);
        fs::rename(other.path(), folder.path()).unwrap();
    });
}

#[test]
fn an_older_copy_of_the_file() {
    let folder = Folder::new();
    let (mut writer, mut reader) = (folder.writer(), folder.reader());
    append(&mut writer, 1..=3);
    let (first, ..) = begun(&read(&mut reader));
    let copy = fs::read(folder.path()).unwrap();
    append(&mut writer, 4..=9);
    assert_eq!(placed(&read(&mut reader)).len(), 6);
    folder.open().write_all_at(&copy, 0).unwrap();
    let (epoch, floor, none) = begun(&read(&mut reader));
    assert_ne!(epoch, first);
    assert_eq!((floor, none.len()), (11, 0));
    assert_eq!(append(&mut writer, [10]), [Position { epoch, seq: 12 }]);
}

#[test]
fn an_older_copy_of_the_file_that_is_appended_to_before_it_is_read() {
    let folder = Folder::new();
    let mut writer = folder.writer();
    let first = append(&mut writer, 1..=3)[0].epoch;
    let copy = fs::read(folder.path()).unwrap();
    append(&mut writer, 4..=9);
    folder.open().write_all_at(&copy, 0).unwrap();
    let position = append(&mut writer, [10])[0];
    assert_ne!(position.epoch, first, "a place has two events");
    assert_eq!(position.seq, 12);
}

#[test]
fn an_epoch_goes_on_above_what_any_end_of_the_process_knows() {
    let folder = Folder::new();
    let journal = folder.journal();
    let (mut writer, mut reader) = (journal.writer(), journal.reader());
    append(&mut folder.writer(), 1..=9);
    read(&mut *reader);
    folder.open().set_len(0).unwrap();
    assert_eq!(seqs(&append(&mut *writer, [1])), [12]);
    let entries = read(&mut *reader);
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert_eq!(begun(&entries).1, 11);
}

#[test]
fn records_of_noise_are_noticed_by_who_reads_them() {
    let folder = Folder::new();
    let (mut writer, mut reader) = (folder.writer(), folder.reader());
    append(&mut writer, 1..=3);
    let (first, ..) = begun(&read(&mut reader));
    folder.open().write_all_at(b"noise", HEADER_BYTES + 60).unwrap();
    let (epoch, floor, none) = begun(&read(&mut folder.reader()));
    assert_ne!(epoch, first);
    assert_eq!((floor, none.len()), (5, 0));
    assert_eq!(begun(&read(&mut reader)), (epoch, 5, Vec::new()));
    assert_eq!(append(&mut writer, [4]), [Position { epoch, seq: 6 }]);
}

#[test]
fn records_of_noise_are_noticed_by_who_overwrites_them() {
    let folder = Folder::new();
    let mut writer = folder.writer();
    let first = append(&mut writer, 1..=3)[0].epoch;
    folder.open().write_all_at(b"noise", HEADER_BYTES).unwrap();
    let positions = append(&mut writer, 4..=2_000);
    assert_ne!(positions[0].epoch, first);
    let (epoch, _, events) = begun(&read(&mut folder.reader()));
    assert_eq!(epoch, positions[0].epoch);
    assert_eq!(events.last().unwrap(), &(positions.last().unwrap().seq, "2000".to_owned()));
}

#[test]
fn a_half_written_record_is_overwritten() {
    let folder = Folder::new();
    let (mut writer, mut reader) = (folder.writer(), folder.reader());
    append(&mut writer, [1]);
    let (epoch, ..) = begun(&read(&mut reader));
    let at = writer_end(&folder);
    folder.open().write_all_at(&[0x7f; 300], HEADER_BYTES + at).unwrap();
    assert_eq!(read(&mut reader), []);
    assert_eq!(append(&mut folder.writer(), [1]), [Position { epoch, seq: 3 }]);
    assert_eq!(placed(&read(&mut reader)), pairs(&[(3, 1)]));
}

#[test]
fn the_system_was_started_anew() {
    let folder = Folder::new();
    let first = append(&mut folder.writer(), 1..=3)[0].epoch;
    forge(&folder, |state| header::State { boot: [1; 16], generation: state.generation + 1, ..state });
    let (epoch, floor, none) = begun(&read(&mut folder.reader()));
    assert_ne!(epoch, first);
    assert_eq!((floor, none.len()), (5, 0));
}

/// Changes what the header says, as whoever knows the checksum may.
fn forge(folder: &Folder, change: impl FnOnce(header::State) -> header::State) {
    let mut ring = ring::Ring::open(&folder.journal().0, Instant::now() + PATIENCE).unwrap();
    let ring::Found::State(state) = ring.find().unwrap() else { panic!() };
    let (bytes, at) = change(state).write();
    folder.open().write_all_at(&bytes, at).unwrap();
}

#[test]
fn a_header_that_has_been_written_as_often_as_can_be() {
    let folder = Folder::new();
    append(&mut folder.writer(), 1..=3);
    forge(&folder, |state| header::State { generation: header::MAX_GENERATION - 1, ..state });
    let (mut writer, mut reader) = (folder.writer(), folder.reader());
    let mut entries = read(&mut reader);
    for number in 4..=5 {
        append(&mut writer, [number]);
        entries.extend(read(&mut reader));
    }
    let (epoch, ..) = begun(&entries);
    for number in 6..=9 {
        let position = append(&mut writer, [number])[0];
        assert_eq!(position.epoch, epoch, "it is begun anew again and again");
        assert_eq!(placed(&read(&mut reader)), pairs(&[(position.seq, number)]));
    }
}

#[test]
fn a_header_that_leaves_no_places() {
    let folder = Folder::new();
    append(&mut folder.writer(), 1..=3);
    forge(&folder, |state| header::State {
        generation: state.generation + 1,
        seq: header::MAX_SEQ - 2,
        oldest_seq: header::MAX_SEQ - 1,
        oldest_at: state.end,
        ..state
    });
    let journal = folder.journal();
    let (mut writer, mut reader) = (journal.writer(), journal.reader());
    assert_eq!(seqs(&append(&mut *writer, [1])), [header::MAX_SEQ - 1]);
    let error = writer.append(&records([2]), PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::JournalRejected, "{error}");
    assert_eq!(begun(&read(&mut *reader)).2, pairs(&[(header::MAX_SEQ - 1, 1)]));
    folder.open().write_all_at(&[0xa5; 200], 32).unwrap();
    for _ in 0..3 {
        let error = reader.read(&mut Vec::new(), NOW).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::JournalRejected, "{error}");
    }
}
