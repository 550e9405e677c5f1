//! The file of a journal where the system is against it: no room, limits, users, forks.
//!
//! Some of it happens in a process of its own, which is this program again, with `EVSTREAM_ROLE` and `EVSTREAM_PATH` in its
//! environment.
#![cfg(all(feature = "runtime", target_os = "linux"))]

mod common;

use std::{
    env, fs,
    io::Write,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use common::{hear_log, until};
use evstream::{
    __internal::{Entry, Journal, Reader, Record, What, Writer, open_journal},
    Config, ErrorKind, Event, Events, Message,
};
use nix::sys::resource::{Resource, setrlimit};

const PATIENCE: Duration = Duration::from_secs(30);
const BYTES: u64 = 4 << 20;
/// Too little for the journal, and enough.
const SMALL: &str = "1m";
const LARGE: &str = "16m";
const NOBODY: u32 = 65_534;
const SOMEBODY: u32 = 65_533;

/// What the processes do that the tests start. Without a role, nothing.
#[test]
fn role() {
    let (Ok(role), Ok(path)) = (env::var("EVSTREAM_ROLE"), env::var("EVSTREAM_PATH")) else { return };
    let path = Path::new(&path);
    match role.as_str() {
        "fill" => on_a_disk_that_is_full(path),
        "publish while full" => publish_on_a_disk_that_is_full(path),
        "limited" => {
            setrlimit(Resource::RLIMIT_FSIZE, 8_192, 8_192).unwrap();
            told(append(&mut *open(path).writer(), 1), "RLIMIT_FSIZE");
            let mut entries = Vec::new();
            open(path).reader().read(&mut entries, Duration::ZERO).unwrap();
            assert_eq!(entries.len(), 4, "who only reads needs no more: {entries:?}");
        }
        "write" => match append(&mut *open(path).writer(), 1) {
            Ok(seq) => println!("appended {seq}"),
            Err(error) => println!("{}: {error}", error.code()),
        },
        other => panic!("{other}"),
    }
    println!("{DONE}");
}

const DONE: &str = "all of it was so";

#[test]
fn a_full_disk() {
    let folder = Folder::new();
    on_its_own_disk("fill", &folder);
}

fn on_a_disk_that_is_full(path: &Path) {
    let journal = open(path);
    let (mut writer, mut reader) = (journal.writer(), journal.reader());
    // There is not enough for it from the start.
    told(append(&mut *writer, 1), "no room");
    let error = reader.read(&mut Vec::new(), Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::JournalUnavailable);
    assert_eq!(fs::metadata(path).unwrap().len(), 0, "what it has got is given back");

    resize(path, LARGE);
    let mut follower = Follower::new(reader);
    follower.read();
    let first = append(&mut *writer, 1).unwrap();

    // Others take the rest; what the journal has is its own.
    let filler = fill(path.with_extension("filler"));
    for number in 2..=20_000 {
        append(&mut *writer, number).unwrap();
    }
    let last = append(&mut *writer, 20_001).unwrap();
    assert_eq!(last, first + 20_000);
    follower.read();
    assert_eq!((follower.last, follower.begun), (last, 2), "it was overtaken, and goes on in the same epoch");

    // Somebody has cut it, and others have taken that, too.
    fs::File::options().write(true).open(path).unwrap().set_len(0).unwrap();
    let more = fill(path.with_extension("more"));
    let refused = append(&mut *writer, 20_002);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::JournalUnavailable);
    follower.refused();

    fs::remove_file(more).unwrap();
    fs::remove_file(filler).unwrap();
    let again = append(&mut *writer, 20_002).unwrap();
    assert!(again > last + 1, "places go on");
    follower.read();
    assert_eq!((follower.last, follower.begun), (again, 3), "and the loss is told");
    assert_eq!(Follower::new(open(path).reader()).read(), again);
}

#[test]
fn publishing_on_a_full_disk_is_refused_by_name_and_goes_on_when_there_is_room() {
    let folder = Folder::new();
    on_its_own_disk("publish while full", &folder);
}

fn publish_on_a_disk_that_is_full(path: &Path) {
    let config = || config(path).journal_deadline_ms(300);
    let events = Events::new(config()).unwrap();
    let mut inside = events.subscribe(["a"]).unwrap();
    let receipt = events.publish("a", Event::text("too early")).unwrap();
    let error = receipt.wait(PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::JournalUnavailable, "{error}");
    assert!(error.to_string().contains("no room"), "{error}");
    resize(path, LARGE);
    let deadline = Instant::now() + PATIENCE;
    let mut number = 0;
    loop {
        assert!(Instant::now() < deadline, "it does not go on");
        number += 1;
        let receipt = events.publish("a", Event::text(number.to_string())).unwrap();
        if receipt.wait(PATIENCE).is_ok() {
            break;
        }
    }
    loop {
        match inside.next_timeout(PATIENCE).unwrap().expect("it comes") {
            Message::Event(event) if event.data == number.to_string() => break,
            other => assert!(!matches!(other, Message::Event(_)), "that was refused: {other:?}"),
        }
    }
    assert!(events.close(PATIENCE).unwrap().ended);
}

/// A journal that is there, and a process that may not write files of that size: the system would end it with a signal.
#[test]
fn a_process_that_may_not_write_so_far_is_told_and_may_read() {
    let folder = Folder::new();
    let mut writer = open(&folder.path()).writer();
    for number in 1..=3 {
        append(&mut *writer, number).unwrap();
    }
    done(&command("limited", &folder.path()).output().unwrap());
    assert_eq!(append(&mut *writer, 4).unwrap(), 5);
}

#[test]
fn the_file_of_another_user() {
    if !is_root() {
        return;
    }
    let folder = Folder::new();
    // As /tmp is.
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o1777)).unwrap();
    let path = folder.path();
    let as_user = |user: u32| {
        let output = command("write", &path).uid(user).gid(user).output().unwrap();
        done(&output);
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(as_user(NOBODY).contains("appended 2"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let told = as_user(SOMEBODY);
    let owner = format!("user {NOBODY}");
    for words in ["journal-unavailable", path.to_str().unwrap(), &owner, "mode 600", "65533", "setgid"] {
        assert!(told.contains(words), "{words} is missing: {told}");
    }
    // Linux forbids even root to create what is there already in such a folder.
    assert_eq!(append(&mut *open(&path).writer(), 1).unwrap(), 3);
    assert!(as_user(NOBODY).contains("appended 4"), "and nothing has changed for its owner");

    // A file that another user has put there, for us to fail.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    chown(&path, Some(SOMEBODY), None).unwrap();
    assert!(as_user(NOBODY).contains("journal-unavailable"));
}

/// What the journal never takes is not tried again and again without a pause: the news that an event was lost is an event, too.
#[test]
fn a_file_of_something_else_keeps_nobody_busy() {
    const REFUSALS: usize = 5;
    let folder = Folder::new();
    fs::write(folder.path(), "{}").unwrap();
    let refusals = Arc::new(AtomicUsize::new(0));
    let counted = refusals.clone();
    hear_log(move |line| {
        if line.target() == "evstream::publish::appending" {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let events = Events::new(config(&folder.path())).unwrap();
    let start = Instant::now();
    let error = events.publish("a", Event::text("x")).unwrap().wait(PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::JournalRejected, "{error}");
    until("the news is refused again and again", || refusals.load(Ordering::Relaxed) >= REFUSALS);
    assert!(start.elapsed() > Duration::from_millis(300), "{:?}", start.elapsed());
    // It goes on when the file is put away.
    fs::remove_file(folder.path()).unwrap();
    events.publish("a", Event::text("y")).unwrap().wait(PATIENCE).unwrap();
    assert!(events.close(PATIENCE).unwrap().ended);
}

/// Runs a role in a process that sees another, small disk where the folder is. It is gone with the process.
fn on_its_own_disk(role: &str, folder: &Folder) {
    let mut command = command(role, &folder.path());
    let test = command.get_program().to_owned();
    let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let mut outer = Command::new("unshare");
    // Who is not root becomes it, where the system lets them.
    outer.args(if is_root() { &["--mount"][..] } else { &["--mount", "--map-root-user"][..] });
    outer.args([
        "--",
        "sh",
        "-c",
        r#"mount -t tmpfs -o "size=$1" evstream "$2" || exit 77; shift 2; exec "$@""#,
    ]);
    outer.args(["sh", SMALL]).arg(&folder.0).arg(test).args(args);
    outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command = outer;
    let output = command.output().expect("unshare is there");
    let text = String::from_utf8_lossy(&output.stdout);
    if !text.contains("running 1 test") && !is_root() {
        println!("skipped: this user may not mount a disk: {output:?}");
        return;
    }
    done(&output);
}

fn resize(path: &Path, size: &str) {
    let folder = path.parent().unwrap();
    let status = Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(folder).status();
    assert!(status.unwrap().success());
}

/// A file that takes all that is left.
fn fill(path: PathBuf) -> PathBuf {
    let mut file = fs::File::create(&path).unwrap();
    let block = [1; 4_096];
    while file.write(&block).is_ok_and(|bytes| bytes > 0) {}
    path
}

#[track_caller]
fn told(result: Result<u64, evstream::Error>, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::JournalUnavailable, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[track_caller]
fn done(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains(DONE), "{}: {text}{told}", output.status);
}

/// One that follows: the last place, and how often it was told of a beginning.
struct Follower {
    reader: Box<dyn Reader>,
    last: u64,
    begun: usize,
}

impl Follower {
    fn new(reader: Box<dyn Reader>) -> Self {
        Self { reader, last: 0, begun: 0 }
    }

    /// Reads all there is. Gives back the last place.
    fn read(&mut self) -> u64 {
        let deadline = Instant::now() + PATIENCE;
        let mut entries = Vec::new();
        while self.reader.read(&mut entries, Duration::ZERO).unwrap().is_none() {
            assert!(Instant::now() < deadline, "it does not get on");
        }
        for entry in entries {
            match entry {
                Entry::Begin { floor, .. } => {
                    assert!(floor > self.last);
                    self.last = floor;
                    self.begun += 1;
                }
                Entry::Placed { seq, .. } => {
                    assert_eq!(seq, self.last + 1);
                    self.last = seq;
                }
            }
        }
        self.last
    }

    fn refused(&mut self) {
        let error = self.reader.read(&mut Vec::new(), Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::JournalUnavailable, "{error}");
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = env::temp_dir().join(format!("evstream-hostile-{:x}", fastrand::u64(..)));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join("events")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn command(role: &str, path: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["role", "--exact", "--nocapture"]).env("EVSTREAM_ROLE", role).env("EVSTREAM_PATH", path);
    command
}

fn config(path: &Path) -> Config {
    Config::new().journal(format!("file:{}", path.display()).into()).journal_bytes(BYTES)
}

fn open(path: &Path) -> Arc<dyn Journal> {
    open_journal(&config(path)).unwrap().unwrap()
}

/// Appends the record of this number. Gives back its place.
fn append(writer: &mut dyn Writer, number: u64) -> Result<u64, evstream::Error> {
    let text = format!("{number} {}", "x".repeat(200));
    let what = What::Event { channel: "a".into(), event: Event::text(text) };
    Ok(writer.append(&[Record { number, what }], PATIENCE)?[0].seq)
}
