//! Which signals the library's threads leave to the host. Alone in its process, because it looks at all its threads.
#![cfg(all(feature = "runtime", target_os = "linux"))]

mod common;

use std::{
    fs,
    sync::{Arc, Mutex},
};

use common::{Client, Conn, PATIENCE, publish, until};
use evstream::{Access, Config, Events, Mount, Observer, Stream};
use nix::sys::signal::Signal::{
    SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGPROF, SIGSEGV, SIGSTOP, SIGSYS, SIGTERM, SIGTRAP, SIGUSR2,
};
use nix::sys::signal::{SigSet, Signal};

/// Names of the library's threads, and the signals that each blocks.
fn threads() -> Vec<(String, u64)> {
    let threads = fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
        // A thread may end while we look.
        let status = fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        Some((field("Name:"), u64::from_str_radix(&field("SigBlk:"), 16).unwrap()))
    });
    threads.filter(|(name, _)| name.starts_with("evstream-")).collect()
}

/// What a callback has seen itself block.
type Seen = Arc<Mutex<Vec<(&'static str, SigSet)>>>;

fn note(seen: &Seen, what: &'static str) {
    seen.lock().unwrap().push((what, SigSet::thread_get_mask().unwrap()));
}

struct Told(Seen);

impl Observer for Told {
    fn stream_opened(&self, _: &Stream) {
        note(&self.0, "opened");
    }

    fn stream_closed(&self, _: &Stream, _: evstream::CloseReason) {
        note(&self.0, "closed");
    }
}

#[test]
fn signals_for_the_host_are_left_to_it_and_callbacks_are_its_own() {
    // What the host blocks before it makes the events, and nothing else.
    let mut hosts = SigSet::empty();
    hosts.add(SIGUSR2);
    hosts.thread_set_mask().unwrap();

    let events = Events::new(Config::new().shards(2).server_threads(2)).unwrap();
    let seen = Seen::default();
    events.observe(Told(seen.clone())).unwrap();
    let (authorize, fallback) = (seen.clone(), seen.clone());
    let server = events
        .server()
        .mount(Mount::new("/events/").authorize(move |_| {
            note(&authorize, "authorize");
            Access::allow()
        }))
        .fallback(move |_, _| {
            note(&fallback, "fallback");
            panic!("what it has changed is put back all the same")
        })
        .bind("127.0.0.1:0")
        .unwrap();
    let mut client = Client::open(&server, "/events/?channel=a");
    Conn::open(&server).request("GET", "/", &[]).head();
    publish(&events, "a", ["x"]);
    assert_eq!(client.data(), "x");
    drop(client);
    until("all callbacks have run", || seen.lock().unwrap().len() == 4);
    for (what, mask) in &*seen.lock().unwrap() {
        assert_eq!(*mask, hosts, "in {what}");
    }
    assert_eq!(SigSet::thread_get_mask().unwrap(), hosts, "the thread that starts others is as before");

    let blocks = |mask: u64, signal: Signal| mask & (1 << (signal as i32 - 1)) != 0;
    let left = [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGPROF, SIGSEGV, SIGSYS, SIGTRAP];
    // Shards, the sweeper, and those of the server, of which one has run each of the hooks.
    let is_idle = || threads().iter().all(|(_, mask)| blocks(*mask, SIGTERM));
    until("the hooks' threads are ours again", is_idle);
    let threads = threads();
    assert!(threads.len() >= 6, "{threads:?}");
    for (name, mask) in threads {
        for signal in Signal::iterator().filter(|signal| !matches!(signal, SIGKILL | SIGSTOP)) {
            assert_eq!(blocks(mask, signal), !left.contains(&signal), "{signal} in {name}");
        }
    }
    events.close(PATIENCE).unwrap();
}
