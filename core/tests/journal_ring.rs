//! The file of a journal, used by several processes at once, which are killed, stopped and refused.
//!
//! Each process is this program again, with `EVSTREAM_ROLE` and `EVSTREAM_PATH` in its environment.
#![cfg(all(feature = "runtime", target_os = "linux"))]

use std::{
    collections::HashMap,
    env, fs,
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use evstream::{
    __internal::{Entry, Journal, Reader, Record, What, open_journal},
    Config, ErrorKind, Event,
};
use nix::{
    sys::{
        resource::{Resource, setrlimit},
        signal::{Signal, kill},
    },
    unistd::Pid,
};

const PATIENCE: Duration = Duration::from_secs(30);
const NOW: Duration = Duration::ZERO;
const ROUNDS: usize = 150;
const WRITERS: usize = 3;
const BYTES: u64 = 64 << 20;
const SMALL_BYTES: u64 = 65_536;
const NOBODY: u32 = 65_534;

/// What the processes do that the tests start. Without a role, nothing.
#[test]
fn role() {
    let (Ok(role), Ok(path)) = (env::var("EVSTREAM_ROLE"), env::var("EVSTREAM_PATH")) else { return };
    let journal = open(Path::new(&path));
    match role.as_str() {
        "append" => append_for_ever(&*journal),
        "append once" => append_once(&*journal),
        "append little" => {
            setrlimit(Resource::RLIMIT_FSIZE, 8_192, 8_192).unwrap();
            append_once(&*journal);
        }
        other => panic!("{other}"),
    }
}

/// Publishers are killed at any moment. What each of them has appended is seen once, whole and in order, and nothing of
/// what it was told is missing.
#[test]
fn killed_publishers_leave_nothing_half_done() {
    let folder = Folder::new();
    let path = folder.0.join("events");
    let mut reader = open(&path).reader();
    let mut entries = Vec::new();
    reader.read(&mut entries, NOW).unwrap();
    let [Entry::Begin { epoch, floor: 1 }] = entries[..] else { panic!("{entries:?}") };
    let mut seen = Seen::default();
    let mut writers: Vec<Publisher> = Vec::new();
    for round in 0..ROUNDS {
        while writers.len() < WRITERS {
            writers.push(Publisher::start(&path));
        }
        // Some are killed while they start.
        let pause = Instant::now() + Duration::from_micros(fastrand::u64(0..20_000));
        loop {
            let mut entries = Vec::new();
            reader.read(&mut entries, pause.saturating_duration_since(Instant::now())).unwrap();
            seen.take(entries);
            if Instant::now() >= pause {
                break;
            }
        }
        let mut publisher = writers.swap_remove(fastrand::usize(..writers.len()));
        publisher.kill();
        while round % 10 == 0 && writers.iter().any(|writer| !seen.publishers.contains_key(&writer.pid())) {
            let mut entries = Vec::new();
            reader.read(&mut entries, PATIENCE).unwrap();
            seen.take(entries);
        }
        let told = publisher.told();
        let mut entries = Vec::new();
        while reader.read(&mut entries, NOW).unwrap().is_none() {}
        seen.take(entries);
        let last = seen.publishers.get(&publisher.pid()).copied().unwrap_or_default();
        assert!(last >= told, "{told} were said to be appended, {last} were");
    }
    drop(writers);
    assert!(seen.publishers.len() > ROUNDS / 10, "{} publishers came to it", seen.publishers.len());
    let mut entries = Vec::new();
    let mut late = open(&path).reader();
    while late.read(&mut entries, NOW).unwrap().is_none() {}
    let Entry::Begin { epoch: last_epoch, .. } = entries[0] else { panic!() };
    assert_eq!(last_epoch, epoch, "nothing was damaged");
}

/// Reads, and says whether nothing is left. A busy machine may have it fail for want of time; then it is called again.
fn is_level(reader: &mut dyn Reader, entries: &mut Vec<Entry>, wait: Duration) -> bool {
    match reader.read(entries, wait) {
        Ok(head) => head.is_some(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::JournalUnavailable, "{error}");
            false
        }
    }
}

/// In a small ring each append overwrites what is older: none that was cut off may damage what is still kept.
#[test]
fn killed_publishers_damage_nothing_that_is_kept() {
    let folder = Folder::new();
    let path = folder.0.join("events");
    let mut reader = open_with(&path, SMALL_BYTES).reader();
    let mut entries = Vec::new();
    reader.read(&mut entries, NOW).unwrap();
    let mut writers: Vec<Publisher> = Vec::new();
    for _ in 0..ROUNDS {
        while writers.len() < WRITERS {
            writers.push(Publisher::start(&path));
        }
        is_level(&mut *reader, &mut entries, PATIENCE);
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..10_000)));
        writers.swap_remove(fastrand::usize(..writers.len())).kill();
        while !is_level(&mut *reader, &mut entries, NOW) {}
    }
    let mut epoch = None;
    let mut last = 0;
    for entry in entries {
        match entry {
            Entry::Begin { epoch: begun, floor } => {
                assert_eq!(*epoch.get_or_insert(begun), begun, "something was damaged");
                assert!(floor > last);
                last = floor;
            }
            Entry::Placed { seq, .. } => {
                assert_eq!(seq, last + 1);
                last = seq;
            }
        }
    }
    assert!(last > 2_000, "{last} were appended: the ring was not filled");
}

#[test]
fn a_publisher_that_is_stopped_with_the_lock_costs_the_others_their_deadline_only() {
    let folder = Folder::new();
    let path = folder.0.join("events");
    let publisher = Publisher::start(&path);
    let mut reader = open(&path).reader();
    let mut writer = open(&path).writer();
    let deadline = Instant::now() + PATIENCE;
    let mut number = 0;
    let mut stuck = 0;
    let mut entries = Vec::new();
    while entries.len() < 2 {
        reader.read(&mut entries, PATIENCE).unwrap();
    }
    for _ in 0..200 {
        assert!(Instant::now() < deadline);
        kill(publisher.process(), Signal::SIGSTOP).unwrap();
        number += 1;
        let record = record(number);
        let result = writer.append(std::slice::from_ref(&record), Duration::from_millis(20));
        kill(publisher.process(), Signal::SIGCONT).unwrap();
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::JournalUnavailable);
            stuck += 1;
            writer.append(&[record], PATIENCE).unwrap();
        }
    }
    println!("{stuck} of 200 were stopped with the lock");
}

#[test]
fn another_user_is_told_what_helps_and_let_in_by_a_common_group() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let folder = Folder::new();
    let path = folder.0.join("events");
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
    open(&path).writer().append(&[record(1)], PATIENCE).unwrap();
    let output = command("append once", &path).uid(NOBODY).gid(NOBODY).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    for words in ["journal-unavailable", path.to_str().unwrap(), "user 0", "mode 660", "65534", "setgid"] {
        assert!(told.contains(words), "{words} is missing: {told}");
    }
    std::os::unix::fs::chown(&path, None, Some(NOBODY)).unwrap();
    let output = command("append once", &path).uid(NOBODY).gid(NOBODY).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("appended 3"), "{told}");
}

#[test]
fn a_file_that_may_not_be_so_large_is_told_at_the_start() {
    let folder = Folder::new();
    let path = folder.0.join("events");
    let output = command("append little", &path).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("journal-unavailable") && told.contains("no room"), "{told}");
    assert!(output.status.success(), "it was not killed by the signal for that");
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    append_once(&*open(&path));
    assert!(fs::metadata(&path).unwrap().len() > BYTES);
}

/// What a reader has seen of each publisher: the last number.
#[derive(Default)]
struct Seen {
    last: Option<u64>,
    publishers: HashMap<u32, u64>,
}

impl Seen {
    fn take(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let (seq, what) = match entry {
                Entry::Placed { seq, what, .. } => (seq, what),
                Entry::Begin { .. } => panic!("nothing was damaged, nor did the reader fall behind"),
            };
            assert_eq!(seq, self.last.map_or(2, |last| last + 1));
            self.last = Some(seq);
            let What::Event { channel, event } = what else { panic!() };
            let (pid, number) = channel.split_once('-').unwrap();
            let number: u64 = number.parse().unwrap();
            assert_eq!(event, Event::text(filling(number)));
            let last = self.publishers.entry(pid.parse().unwrap()).or_default();
            assert_eq!(number, *last + 1, "of {pid}");
            *last = number;
        }
    }
}

/// A process that appends without end, and prints what was said to be appended.
struct Publisher(Child);

impl Publisher {
    fn start(path: &Path) -> Self {
        Self(command("append", path).spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn process(&self) -> Pid {
        Pid::from_raw(self.pid().cast_signed())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// The last number that it has printed.
    fn told(&mut self) -> u64 {
        let lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let numbers = lines.filter_map(|line| line.unwrap().strip_prefix("appended ")?.parse().ok());
        numbers.last().unwrap_or_default()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = env::temp_dir().join(format!("evstream-journal-{:x}", fastrand::u64(..)));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn command(role: &str, path: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["role", "--exact", "--nocapture"]).env("EVSTREAM_ROLE", role).env("EVSTREAM_PATH", path);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn open(path: &Path) -> Arc<dyn Journal> {
    open_with(path, BYTES)
}

fn open_with(path: &Path, bytes: u64) -> Arc<dyn Journal> {
    let config = Config::new().journal(format!("file:{}", path.display()).into()).journal_bytes(bytes);
    open_journal(&config).unwrap().unwrap()
}

fn append_for_ever(journal: &dyn Journal) {
    let mut writer = journal.writer();
    let mut number = 0;
    loop {
        let batch: Vec<_> = (number + 1..=number + fastrand::u64(1..8)).map(record).collect();
        writer.append(&batch, PATIENCE).unwrap();
        number += batch.len() as u64;
        println!("appended {number}");
    }
}

fn append_once(journal: &dyn Journal) {
    match journal.writer().append(&[record(1)], PATIENCE) {
        Ok(positions) => println!("appended {}", positions[0].seq),
        Err(error) => println!("{}: {error}", error.code()),
    }
}

/// The record that this process appends as its `number`th.
fn record(number: u64) -> Record {
    let channel = format!("{}-{number}", std::process::id()).into();
    Record { number, what: What::Event { channel, event: Event::text(filling(number)) } }
}

fn filling(number: u64) -> String {
    number.to_string().repeat(number as usize % 60)
}
