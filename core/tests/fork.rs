//! What a forked child may do with the events of its parent: learn that they are not its own, and let go of them.
#![cfg(feature = "runtime")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use evstream::{Access, Config, ErrorKind, Event, Events, Message, Mount, Request};

const REQUEST: Request<'static> =
    Request { method: "GET", path: "/events/", query: "channel=a", headers: &[], peer: None };

#[test]
fn a_child_is_told_and_never_hangs() {
    let events = Events::new(Config::new()).unwrap();
    let server = events.server().mount(Mount::new("/events/")).bind("127.0.0.1:0").unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Locks are taken all the time, so that some are held in the moment of a fork.
        for channel in ["a", "b"] {
            let (events, stop) = (events.clone(), &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    events.publish(channel, Event::text("x")).unwrap();
                    let stream = events.open(&REQUEST, Access::allow()).stream.unwrap();
                    drop(events.pull(stream).unwrap());
                }
            });
        }
        let channel = events.channel("a").unwrap();
        for _ in 0..20 {
            let reply = events.open(&REQUEST, Access::allow());
            let mut pull = events.pull(events.open(&REQUEST, Access::allow()).stream.unwrap()).unwrap();
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
                assert_eq!(events.open(&REQUEST, Access::allow()).status, 503);
                assert_eq!((events.stats().open, channel.streams()), (0, 0));
                assert!(!server.close(Duration::MAX));
                events.close(Duration::MAX);
                drop((reply, pull, subscription, server.clone(), channel.clone(), events.clone()));
                make_events_of_its_own();
            });
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(server.close(Duration::from_secs(10)));
    events.close(Duration::from_secs(10));
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
    events.close(Duration::from_secs(10));
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
    events.close(Duration::from_secs(10));
    std::net::TcpStream::connect(address).unwrap_err();
    drop(write);
    assert_eq!(wait(child), 0);
}

fn make_events_of_its_own() {
    let events = Events::new(Config::new()).unwrap();
    let mut messages = events.subscribe(["a"]).unwrap();
    events.publish("a", Event::text("mine")).unwrap();
    let Ok(Some(Message::Event(event))) = messages.next_timeout(Duration::from_secs(10)) else { panic!() };
    assert_eq!(event.data, "mine");
    events.close(Duration::from_secs(10));
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
