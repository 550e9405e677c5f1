//! Many clients that are dead in some way, and as many that are well on the same channel. Alone in its process, because
//! it measures its memory.
#![cfg(all(feature = "runtime", target_os = "linux"))]

mod common;

use std::{
    fs,
    io::{ErrorKind, Read},
    os::fd::AsRawFd,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use common::{Conn, closed, noise, serve, until};
use evstream::{__internal::encode_event, CloseReason, Config, Event, Events};
use mio::{Interest, Poll, Token, unix::SourceFd};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{SockFilter, Socket};

/// Clients of each kind, if the system lets one process have so many.
const EACH: usize = 1_000;
const EVENT_BYTES: usize = 1_000;
const EVENTS: usize = 400;
/// How far the publisher may be ahead of the slowest that is well.
const AHEAD_BYTES: usize = 128 * 1_024;
/// What would be held for the dead if each had a queue is far more: 1,500 times 400 KB.
const BOUND_KB: u64 = 48 * 1_024;

/// Clients that are well: what each has received is compared with what was published.
struct Well {
    clients: Vec<(Socket, usize)>,
    poll: Poll,
}

/// What the publisher and the readers share.
#[derive(Default)]
struct Wire {
    /// The bytes every stream gets.
    expected: Mutex<Vec<u8>>,
    /// How many of them the slowest has.
    least: AtomicUsize,
    done: AtomicBool,
}

#[test]
fn the_dead_do_not_hurt_the_living() {
    let each = raise_limit().min(EACH);
    let config = Config::new()
        .write_timeout_ms(1_500)
        .keep_alive_ms(0)
        .history_events(0)
        .backlog_events(1_000)
        .history_bytes(4 * 1_024 * 1_024);
    let (events, server) = serve(config);
    let open = |mut conn: Conn| {
        conn.request("GET", "/events/?channel=a", &[]);
        let mut client = conn.into_stream();
        client.expect("stream-open");
        assert!(client.conn.received.is_empty(), "nothing was published yet");
        client.conn.received = Vec::new(); // not to count its memory
        client.conn
    };
    let silent: Vec<Conn> = (0..each).map(|_| open(Conn::with_small_buffer(&server))).collect();
    let vanishing: Vec<Conn> = (0..each).map(|_| open(Conn::open(&server))).collect();
    let well = Well::new((0..each).map(|_| open(Conn::open(&server))));
    until("all streams are open", || events.stats().open == 3 * each as u64);

    let before_kb = private_kb();
    let (mut leavers, mut mutes) = (Vec::new(), Vec::new());
    for (index, conn) in vanishing.into_iter().enumerate() {
        if index % 2 == 0 { mutes.push(conn) } else { leavers.push(conn) }
    }
    let wire = Wire::default();
    thread::scope(|scope| {
        let reading = scope.spawn(|| well.read(&wire));
        publish(&events, &wire, EVENTS / 4);
        for conn in &mutes {
            // From now on nothing that is sent to them arrives, and nothing says so.
            let drop_all = SockFilter::new(0x06, 0, 0, 0);
            conn.socket.attach_filter(&[drop_all]).unwrap();
        }
        for (index, conn) in leavers.into_iter().enumerate() {
            if index % 2 == 0 { conn.reset() } else { drop(conn) }
        }
        let most_kb = publish(&events, &wire, EVENTS / 4 * 3);
        assert!(most_kb < before_kb + BOUND_KB, "from {before_kb} KB it grew to {most_kb} KB");
        until("the dead are gone", || events.stats().open == each as u64);
        // Those who are left get what comes now, too.
        publish(&events, &wire, 10);
        wire.done.store(true, Ordering::SeqCst);
        let well = reading.join().unwrap();
        assert_eq!(events.stats().open as usize, well.clients.len());
        assert_eq!(closed(&events, CloseReason::WriteTimeout) as usize, silent.len() + mutes.len());
        assert_eq!(closed(&events, CloseReason::Client) as usize, each / 2);
    });
    let after_kb = private_kb();
    assert!(after_kb < before_kb + BOUND_KB, "from {before_kb} KB it grew to {after_kb} KB");
    println!("{each} of each kind; {before_kb} KB before, {after_kb} KB after");
}

/// Publishes, never far ahead of those who are well; gives back the most memory that was used.
fn publish(events: &Events, wire: &Wire, count: usize) -> u64 {
    let mut most_kb = 0;
    for number in 0..count {
        let text = noise(EVENT_BYTES, number as u64);
        let length = {
            // Held meanwhile, so that nobody receives what is not expected yet.
            let mut expected = wire.expected.lock().unwrap();
            let position = events.publish("a", Event::text(&*text)).unwrap().position().unwrap().to_string();
            let sse = encode_event(Some(&position), &Event::text(&*text));
            expected.extend(format!("{:x}\r\n", sse.len()).bytes().chain(sse).chain(*b"\r\n"));
            expected.len()
        };
        until("those who are well keep up", || {
            length.saturating_sub(wire.least.load(Ordering::SeqCst)) < AHEAD_BYTES
        });
        if number % 50 == 0 {
            most_kb = most_kb.max(private_kb());
        }
    }
    most_kb.max(private_kb())
}

impl Well {
    fn new(conns: impl Iterator<Item = Conn>) -> Self {
        let poll = Poll::new().unwrap();
        let clients: Vec<(Socket, usize)> = conns
            .map(|conn| {
                conn.socket.set_nonblocking(true).unwrap();
                (conn.socket, 0)
            })
            .collect();
        for (index, (socket, _)) in clients.iter().enumerate() {
            let fd = socket.as_raw_fd();
            poll.registry().register(&mut SourceFd(&fd), Token(index), Interest::READABLE).unwrap();
        }
        Self { clients, poll }
    }

    /// Reads until all that was published has come to each.
    fn read(mut self, wire: &Wire) -> Self {
        let mut events = mio::Events::with_capacity(1_024);
        let mut scratch = vec![0; 256 * 1_024];
        loop {
            self.poll.poll(&mut events, Some(Duration::from_millis(10))).unwrap();
            for event in &events {
                let (socket, offset) = &mut self.clients[event.token().0];
                loop {
                    match socket.read(&mut scratch) {
                        Ok(0) => panic!("a client that is well was closed"),
                        Ok(bytes) => {
                            let expected = wire.expected.lock().unwrap();
                            let got = &scratch[..bytes];
                            assert!(
                                expected.get(*offset..*offset + bytes) == Some(got),
                                "it got something else"
                            );
                            *offset += bytes;
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => panic!("a client that is well has failed: {error}"),
                    }
                }
            }
            let least = self.clients.iter().map(|(_, offset)| *offset).min().unwrap();
            wire.least.store(least, Ordering::SeqCst);
            if wire.done.load(Ordering::SeqCst) && least == wire.expected.lock().unwrap().len() {
                return self;
            }
        }
    }
}

/// Memory of this process that is its own, in kilobytes.
fn private_kb() -> u64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find(|line| line.starts_with("Private_Dirty:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Lets the process have as many descriptors as it may; how many clients of each kind that is enough for.
fn raise_limit() -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    (hard as usize).saturating_sub(200) / 6
}
