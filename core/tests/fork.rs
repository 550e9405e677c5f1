//! What a forked child may do with the events of its parent: learn that they are not its own, and let go of them.
#![cfg(feature = "runtime")]

use std::{
    collections::HashSet,
    io::{Read, Write},
    net::TcpListener,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use evstream::{Access, Config, ErrorKind, Event, Events, Jwt, Message, Mount, Request};

const REQUEST: Request<'static> =
    Request { method: "GET", path: "/events/", query: "channel=a", headers: &[], peer: None };

#[test]
fn a_child_is_told_and_never_hangs() {
    let events = Events::new(Config::new()).unwrap();
    let server = events.server().mount(Mount::new("/events/")).bind("127.0.0.1:0").unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stopper = Stopper(&stop);
        // Locks are taken all the time, so that some are held in the moment of a fork.
        for channel in ["a", "b"] {
            let (events, stop) = (events.clone(), &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    events.publish(channel, Event::text("x")).unwrap();
                    let stream = events.open_request(&REQUEST, Access::allow()).stream.unwrap();
                    drop(events.pull(stream).unwrap());
                }
            });
        }
        let channel = events.channel("a").unwrap();
        for _ in 0..20 {
            let reply = events.open_request(&REQUEST, Access::allow());
            let mut pull =
                events.pull(events.open_request(&REQUEST, Access::allow()).stream.unwrap()).unwrap();
            let mut subscription = events.subscribe(["a"]).unwrap();
            in_a_child(|| {
                let forked = ErrorKind::Forked;
                assert_eq!(events.publish("a", Event::text("x")).unwrap_err().kind(), forked);
                assert_eq!(channel.publish(Event::text("x")).unwrap_err().kind(), forked);
                assert_eq!(events.channel("new").unwrap_err().kind(), forked);
                assert_eq!(events.subscribe(["a"]).unwrap_err().kind(), forked);
                assert_eq!(pull.next_timeout(Duration::MAX).unwrap_err().kind(), forked);
                assert_eq!(subscription.next_timeout(Duration::MAX).unwrap_err().kind(), forked);
                assert_eq!(events.server().bind("127.0.0.1:0").unwrap_err().kind(), forked);
                assert_eq!(events.open_request(&REQUEST, Access::allow()).status, 503);
                let headers = [("Accept", &b"text/event-stream"[..])];
                let asked = Request { headers: &headers, ..REQUEST };
                let told = events.open_request(&asked, Access::allow()).body;
                assert!(String::from_utf8(told).unwrap().contains(r#"{"reason":"failed"}"#));
                assert_eq!((events.stats().open, channel.streams()), (0, 0));
                assert!(!server.close(Duration::MAX));
                events.close(Duration::MAX).unwrap();
                drop((reply, pull, subscription, server.clone(), channel.clone(), events.clone()));
                make_events_of_its_own();
            });
        }
    });
    assert!(server.close(Duration::from_secs(10)));
    events.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn a_child_is_told_by_the_receipts_of_its_parent() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap(); // takes connections, and never answers
    let url = format!("http://{}/", proxy.local_addr().unwrap());
    let config = Config::new().grip(vec![url.into()]).grip_deadline_ms(3_600_000);
    let events = Events::new(config).unwrap();
    let receipts: Vec<_> = (0..2).map(|_| events.publish("a", Event::text("x")).unwrap()).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stopper = Stopper(&stop);
        // Its lock is held in the moment of some forks.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = receipts[0].wait(Duration::ZERO);
            }
        });
        for _ in 0..20 {
            in_a_child(|| {
                for receipt in &receipts {
                    assert_eq!(receipt.proxies(), 1);
                    assert_eq!(receipt.wait(Duration::MAX).unwrap_err().kind(), ErrorKind::Forked);
                    let mut delivered = pin!(receipt.delivered());
                    let mut cx = Context::from_waker(Waker::noop());
                    let Poll::Ready(results) = delivered.as_mut().poll(&mut cx) else { panic!() };
                    assert_eq!(results.unwrap_err().kind(), ErrorKind::Forked);
                }
                drop(receipts.clone());
            });
        }
    });
}

#[test]
fn the_last_handles_dropped_in_a_child_leave_the_parent_alone() {
    let events = Events::new(Config::new()).unwrap();
    let server = events.server().mount(Mount::new("/events/")).bind("127.0.0.1:0").unwrap();
    let evstream::Address::Tcp(address) = *server.address() else { panic!() };
    let handles = (events, server);
    let mut handles = Some(handles);
    in_a_child(|| drop(handles.take()));
    let (events, _server) = handles.unwrap();
    std::net::TcpStream::connect(address).unwrap();
    events.close(Duration::from_secs(10)).unwrap();
    std::net::TcpStream::connect(address).unwrap_err();
}

#[test]
fn a_child_does_not_keep_the_port_open() {
    let events = Events::new(Config::new()).unwrap();
    let server = events.server().mount(Mount::new("/events/")).bind("127.0.0.1:0").unwrap();
    let evstream::Address::Tcp(address) = *server.address() else { panic!() };
    let (read, write) = std::io::pipe().unwrap();
    // SAFETY: the child only waits for the pipe, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(write);
        let _ = std::io::copy(&mut &read, &mut std::io::sink());
        exit(0);
    }
    events.close(Duration::from_secs(10)).unwrap();
    std::net::TcpStream::connect(address).unwrap_err();
    drop(write);
    assert_eq!(wait(child), 0);
}

/// Or a client that comes from one child to the next would miss events and not be told.
#[test]
fn no_child_numbers_its_events_like_another() {
    // Whatever is seeded once in the parent is the same in every child.
    let parent = Events::new(Config::new()).unwrap();
    let mut positions = vec![parent.publish("a", Event::text("x")).unwrap().position().unwrap().to_string()];
    for _ in 0..3 {
        let (mut read, mut write) = std::io::pipe().unwrap();
        in_a_child(|| {
            let events = Events::new(Config::new()).unwrap();
            write!(write, "{}", events.publish("a", Event::text("x")).unwrap().position().unwrap()).unwrap();
        });
        drop(write);
        let mut position = String::new();
        read.read_to_string(&mut position).unwrap();
        positions.push(position);
    }
    let epochs: HashSet<_> = positions.iter().map(|position| position.split_once('-').unwrap().0).collect();
    assert_eq!(epochs.len(), positions.len(), "{positions:?}");
}

/// A thread of the parent appends all the time, so that it has the lock of the file in the moment of some forks.
#[test]
fn children_of_a_process_that_publishes_to_a_file_neither_stall_it_nor_publish_for_it() {
    const CHILDREN: usize = 20;
    let name = format!("evstream-fork-{}-{:x}", std::process::id(), fastrand::u64(..));
    let path = std::env::temp_dir().join(name);
    let journal = || format!("file:{}", path.display()).into();
    // What is published meanwhile is read only afterwards.
    let config = || Config::new().journal(journal()).backlog_events(10_000_000).history_bytes(1 << 30);
    let new = || Events::new(config()).unwrap();
    let (events, reader) = (new(), new());
    let mut inside = reader.subscribe(["a"]).unwrap();
    let patience = Duration::from_secs(30);
    let mut own = events.subscribe(["a"]).unwrap();
    events.publish("a", Event::text("first")).unwrap().wait(patience).unwrap();
    // Both have opened the file for good then, and keep it from children.
    let Some(Message::Event(first)) = own.next_timeout(patience).unwrap() else { panic!() };
    let Some(Message::Event(same)) = inside.next_timeout(patience).unwrap() else { panic!() };
    assert_eq!((&*first.data, &*same.data), ("first", "first"));
    drop(own);
    let stop = AtomicBool::new(false);
    let published = std::thread::scope(|scope| {
        let stopper = Stopper(&stop);
        let publisher = scope.spawn(|| {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                for receipt in [(); 20].map(|()| {
                    number += 1;
                    events.publish("a", Event::text(format!("parent {number}"))).unwrap()
                }) {
                    receipt.wait(patience).unwrap();
                }
            }
            number
        });
        for child in 0..CHILDREN {
            in_a_child(|| {
                // Or the lock of a parent that is killed would be held for as long as its children live.
                #[cfg(target_os = "linux")]
                assert!(!holds(&path), "the child has the file of its parent");
                let error = events.publish("a", Event::text("x")).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Forked);
                let own = new();
                let receipt = own.publish("a", Event::text(format!("child {child}"))).unwrap();
                receipt.wait(patience).unwrap();
                assert_eq!(own.close(patience).unwrap().undelivered, 0);
            });
        }
        drop(stopper);
        publisher.join().unwrap()
    });
    events.publish("a", Event::text("last")).unwrap();
    let (mut of_parent, mut of_children) = (0, 0);
    loop {
        let Some(Message::Event(event)) = inside.next_timeout(patience).unwrap() else { panic!() };
        match event.data.split_once(' ') {
            Some(("parent", number)) => {
                of_parent += 1;
                assert_eq!(number, of_parent.to_string());
            }
            Some((_, number)) => {
                assert_eq!(number, of_children.to_string());
                of_children += 1;
            }
            None => {
                assert_eq!(event.data, "last");
                break;
            }
        }
    }
    assert_eq!((of_parent, of_children), (published, CHILDREN));
    assert!(events.close(patience).unwrap().ended && reader.close(patience).unwrap().ended);
    std::fs::remove_file(path).unwrap();
}

/// Has the other threads of a scope stop however its first one ends: a failure there is to be shown, not to hang.
struct Stopper<'a>(&'a AtomicBool);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether this process has the file open, or mapped.
#[cfg(target_os = "linux")]
fn holds(path: &std::path::Path) -> bool {
    let is_open = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .any(|entry| std::fs::read_link(entry.unwrap().path()).is_ok_and(|to| to == path));
    is_open || std::fs::read_to_string("/proc/self/maps").unwrap().contains(path.to_str().unwrap())
}

fn make_events_of_its_own() {
    let events = Events::new(Config::new()).unwrap();
    let mut messages = events.subscribe(["a"]).unwrap();
    events.publish("a", Event::text("mine")).unwrap();
    let Ok(Some(Message::Event(event))) = messages.next_timeout(Duration::from_secs(10)) else { panic!() };
    assert_eq!(event.data, "mine");
    events.close(Duration::from_secs(10)).unwrap();
}

/// A key of an issuer, and a token that it has signed, up to the year 2100.
const KEYS: &str = r#"{"keys":[{"kty":"EC","x":"WHdGaWLwHpWyM34QU21CQtTWC0IePOJKLOwwDWmAMdw","y":"XWORaTXjqtDecev7XkBAWBP2Vkbtb1Ahgn3cYN667ms","crv":"P-256","kid":"1","use":"sig","alg":"ES256"}]}"#;
const TOKEN: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ\
    .eyJzdWIiOiJib2IiLCJleHAiOjQxMDI0NDQ4MDAsImV2c3RyZWFtIjp7ImNoYW5uZWxzIjpbImEiXX19\
    .5HHTlP7TakWvuF3xC_Y_3cizOW7PFygpi_uIh03JtviYG9JyUuCeDtzEswX7KvuGABUQbKlwh8PKcXOCSu3-jQ";

#[test]
fn a_child_fetches_keys_of_its_own() {
    let issuer = TcpListener::bind("127.0.0.1:0").unwrap();
    let jwt = Jwt::keys_at(&format!("http://{}/", issuer.local_addr().unwrap())).unwrap();
    let authorization = format!("Bearer {TOKEN}");
    let headers = [("authorization", authorization.as_bytes())];
    let asked = Request { headers: &headers, ..REQUEST };
    let status = |events: &Events| {
        let access = events.jwt_access(&jwt, &asked, &["a".to_owned()]);
        events.open_request(&asked, access).status
    };
    let events = Events::new(Config::new()).unwrap();
    assert_eq!(status(&events), 503);
    let (_parent, _) = issuer.accept().unwrap(); // which is never answered
    std::thread::spawn(move || {
        for mut connection in issuer.incoming().map_while(Result::ok) {
            write!(connection, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{KEYS}", KEYS.len()).unwrap();
        }
    });
    in_a_child(|| {
        drop(events.clone());
        let own = Events::new(Config::new()).unwrap();
        while status(&own) != 200 {
            std::thread::sleep(Duration::from_millis(2));
        }
    });
}

/// Runs `act` in a forked child, and fails when it panics or does not end.
fn in_a_child(act: impl FnOnce()) {
    // SAFETY: of the child we want to know just that: what it can do although threads and locks are lost.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: it only sets a timer, which ends a child that hangs.
        unsafe { libc::alarm(30) };
        exit(i32::from(catch_unwind(AssertUnwindSafe(act)).is_err()));
    }
    assert_eq!(wait(child), 0, "the child has failed (1) or hung (14)");
}

fn exit(code: i32) -> ! {
    // SAFETY: it ends the child without running what belongs to the parent's end.
    unsafe { libc::_exit(code) }
}

fn wait(child: i32) -> i32 {
    let mut status = 0;
    // SAFETY: the child is ours and `status` is writable.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status
}
