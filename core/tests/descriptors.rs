//! Running out of descriptors. Alone in its process, because all its threads run out of them.
#![cfg(all(feature = "runtime", target_os = "linux"))]

mod common;

use std::{
    fs::{self, DirEntry, File},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use common::{Client, Conn, PATIENCE, hear_log, publish, serve, until};
use evstream::{Address, Config, Events};
use nix::sys::{
    resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit},
    time::{TimeVal, TimeValLike},
};
use socket2::{Domain, Socket, Type};
use tracing::Level;

/// Messages of the library, by level.
static WARNINGS: AtomicUsize = AtomicUsize::new(0);
static NEWS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn the_server_waits_until_there_are_descriptors_again() {
    hear_log(|metadata| {
        let count = match *metadata.level() {
            _ if !metadata.target().starts_with("evstream::server") => return,
            Level::WARN | Level::ERROR => &WARNINGS,
            Level::INFO => &NEWS,
            _ => return,
        };
        count.fetch_add(1, Ordering::SeqCst);
    });
    let (events, server) = serve(Config::new().server_threads(1).shards(1));
    let mut stream = Client::open(&server, "/events/?channel=a");
    let Address::Tcp(address) = *server.address() else { panic!() };
    // Connecting one of these takes no descriptor of ours, but accepting it does.
    let waiting: Vec<Socket> =
        (0..10).map(|_| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap()).collect();
    let news = NEWS.load(Ordering::SeqCst);

    let taken = take_all();
    let clients: Vec<Conn> = waiting
        .into_iter()
        .map(|socket| {
            socket.connect(&address.into()).unwrap();
            let mut conn = Conn::new(socket);
            conn.request("GET", "/events/?channel=a", &[]);
            conn
        })
        .collect();
    until("the server has noticed", || WARNINGS.load(Ordering::SeqCst) > 0);
    let (before, cpu_before) = (Instant::now(), cpu_time());
    // The time is the point: what is spent in it.
    std::thread::sleep(Duration::from_millis(500));
    let spent = cpu_time().saturating_sub(cpu_before);
    assert!(spent < before.elapsed() / 4, "{spent:?} were spent on waiting");
    assert_eq!(WARNINGS.load(Ordering::SeqCst), 1, "it is said once");
    let health = events.health();
    assert!(!health.ready && health.live, "{health:?}");
    assert!(health.problems[0].starts_with("no file can be opened"), "{health:?}");
    // Streams that are open do not notice.
    publish(&events, "a", ["meanwhile"]);
    assert_eq!(stream.data(), "meanwhile");
    // Others who need descriptors are told so, and nothing stays behind.
    let others = Events::new(Config::new().shards(1)).unwrap();
    assert_eq!(others.subscribe(["a"]).unwrap_err().code(), "io");
    assert_eq!(events.server().bind("127.0.0.1:0").unwrap_err().code(), "io");

    drop(taken);
    assert!(events.health().ready);
    let mut clients: Vec<Client> = clients.into_iter().map(Conn::into_stream).collect();
    for client in &mut clients {
        client.expect("stream-open");
    }
    publish(&events, "a", ["again"]);
    for client in clients.iter_mut().chain([&mut stream]) {
        assert_eq!(client.data(), "again");
    }
    assert_eq!(NEWS.load(Ordering::SeqCst), news + 1, "the end of it is said, too");
    let mut subscription = others.subscribe(["a"]).unwrap();
    publish(&others, "a", ["x"]);
    assert!(subscription.next_timeout(PATIENCE).unwrap().is_some());
    others.close(PATIENCE).unwrap();
    events.close(PATIENCE).unwrap();
    an_engine_that_starts_in_part_is_ended();
}

/// Some shards start, one does not: those that did must not stay.
fn an_engine_that_starts_in_part_is_ended() {
    until("no thread is left of before", || threads() == 0);
    let taken = take_all();
    let (limit, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    for left in 1..9 {
        let events = Events::new(Config::new().shards(6)).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, limit + left, hard).unwrap();
        let result = events.subscribe(["a"]);
        // Looking takes some, too.
        setrlimit(Resource::RLIMIT_NOFILE, limit + 100, hard).unwrap();
        assert_eq!(result.unwrap_err().code(), "io", "with {left} descriptors");
        until("the threads have ended", || threads() == 0);
    }
    drop(taken);
}

/// Opens files until no more can be had.
fn take_all() -> Vec<File> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let open = fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    setrlimit(Resource::RLIMIT_NOFILE, open + 50, hard).unwrap();
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    files
}

/// What this process has used of processors; asking takes no descriptor.
fn cpu_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let micros = |time: TimeVal| time.num_microseconds().unsigned_abs();
    Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
}

/// How many threads of the library there are.
fn threads() -> usize {
    let is_ours = |task: &DirEntry| {
        // A thread may end while we look.
        fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.starts_with("evstream-"))
    };
    fs::read_dir("/proc/self/task").unwrap().filter(|task| task.as_ref().is_ok_and(is_ours)).count()
}
