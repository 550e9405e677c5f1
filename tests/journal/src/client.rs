//! A client that moves between servers, and keeps what it has seen.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use evstream::{
    __internal::{Decoded, Decoder},
    Position,
};
use fastrand::Rng;

use crate::{CHANNELS, body::Unframe, now_us};

/// Where a client may go.
pub type Addresses = Arc<Mutex<Vec<SocketAddr>>>;

/// A client on a thread of its own.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    channels: Vec<&'static str>,
    diary: Mutex<Diary>,
    stop: AtomicBool,
}

/// What a client has seen over all its connections.
#[derive(Clone, Debug, Default)]
pub struct Diary {
    /// The channels that it reads.
    pub channels: Vec<&'static str>,
    /// What came, and when.
    pub seen: Vec<(u64, Seen)>,
    /// How often it has been on a server.
    pub moves: usize,
}

/// Something that a client has seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Seen {
    /// `stream-open`, with a place unless it is told of a gap.
    Open(Option<Position>),
    /// An event of the application.
    Event(Position, String),
    /// A `keep-alive` or `stream-close`.
    At(Position),
    /// `stream-reset`, which names these channels.
    Reset(Position, Vec<String>),
}

impl Client {
    /// Starts one that moves about every 0.2 s.
    pub fn start(addresses: &Addresses, mut random: Rng) -> Self {
        let count = random.usize(1..=CHANNELS.len());
        let channels: Vec<&'static str> = random.choose_multiple(CHANNELS, count);
        let shared = Arc::new(Shared { channels, diary: Mutex::default(), stop: AtomicBool::new(false) });
        let thread = std::thread::spawn({
            let (shared, addresses) = (shared.clone(), addresses.clone());
            move || Roaming { shared, addresses, random, last_id: String::new() }.run()
        });
        Self { shared, thread }
    }

    /// Whether it has come to one of these places of its channels, or past it, as far as it knows.
    pub fn is_at(&self, ends: &[(String, Position)]) -> bool {
        let diary = self.shared.diary.lock().expect("no client panics");
        let at = diary.seen.iter().rev().find_map(|(_, seen)| match seen {
            Seen::Open(at) => *at,
            Seen::Event(at, _) | Seen::At(at) | Seen::Reset(at, _) => Some(*at),
        });
        let own = |(channel, _): &&(String, Position)| self.shared.channels.contains(&&**channel);
        at.is_some_and(|at| {
            ends.iter().filter(own).all(|(_, end)| end.epoch == at.epoch && end.seq <= at.seq)
        })
    }

    /// Whether it has had a stream.
    pub fn has_begun(&self) -> bool {
        !self.shared.diary.lock().expect("no client panics").seen.is_empty()
    }

    /// Whether it was told that it has missed something.
    pub fn was_reset(&self) -> bool {
        let diary = self.shared.diary.lock().expect("no client panics");
        diary.seen.iter().any(|(_, seen)| matches!(seen, Seen::Reset(..)))
    }

    /// Ends it; gives back what it has seen.
    pub fn finish(self) -> Diary {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no client panics");
        let diary = self.shared.diary.lock().expect("no client panics").clone();
        Diary { channels: self.shared.channels.clone(), ..diary }
    }
}

struct Roaming {
    shared: Arc<Shared>,
    addresses: Addresses,
    random: Rng,
    last_id: String,
}

impl Roaming {
    fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let address =
                self.random.choice(self.addresses.lock().expect("no client panics").iter().copied());
            // Some stay for long: who moves about gets elsewhere what a server has lost.
            let longest_ms = if self.random.u8(..4) == 0 { 3_000 } else { 400 };
            let until = Instant::now() + Duration::from_millis(self.random.u64(..longest_ms));
            if address.is_none_or(|address| self.visit(address, until).is_err()) {
                std::thread::sleep(Duration::from_millis(self.random.u64(5..50)));
            }
        }
    }

    /// Reads a stream until then, or its end; fails when the server is not there.
    fn visit(&mut self, address: SocketAddr, until: Instant) -> std::io::Result<()> {
        let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        let query = self.shared.channels.join("&channel=");
        let last_id = match &*self.last_id {
            "" => String::new(),
            id => format!("Last-Event-ID: {id}\r\n"),
        };
        let head = format!(
            "GET /events/?channel={query} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{last_id}\r\n"
        );
        socket.write_all(head.as_bytes())?;
        self.shared.diary.lock().expect("no client panics").moves += 1;
        let (mut received, mut body, mut decoder) = (Vec::new(), None, Decoder::new());
        while Instant::now() < until {
            socket.set_read_timeout(Some((until - Instant::now()).max(Duration::from_millis(1))))?;
            let mut piece = [0; 16 * 1_024];
            match socket.read(&mut piece) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => received.extend_from_slice(&piece[..bytes]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) => return Err(error),
            }
            if body.is_none()
                && let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n")
            {
                let head: Vec<u8> = received.drain(..end + 4).collect();
                let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
                assert!(
                    head.starts_with("http/1.1 200 "),
                    "no other answer lets an EventSource come back: {head}"
                );
                let is_chunked = head.contains("\r\ntransfer-encoding: chunked\r\n");
                body = Some(if is_chunked { Unframe::chunked() } else { Unframe::UntilClose });
            }
            if let Some(body) = &mut body {
                let events = decoder.feed(&body.take(&mut received));
                self.note(events);
                if !decoder.last_event_id().is_empty() {
                    decoder.last_event_id().clone_into(&mut self.last_id);
                }
            }
        }
        Ok(())
    }

    fn note(&self, events: Vec<Decoded>) {
        let at_us = now_us();
        let mut diary = self.shared.diary.lock().expect("no client panics");
        for event in events {
            let at: Option<Position> = event.id.parse().ok();
            let place = || at.unwrap_or_else(|| panic!("{event:?} has a place"));
            let seen = match event.name.as_deref() {
                None => Seen::Event(place(), event.data.clone()),
                Some("stream-open") => Seen::Open(at),
                Some("keep-alive") => Seen::At(place()),
                Some("stream-close") => match at {
                    Some(at) => Seen::At(at),
                    None => continue,
                },
                Some("stream-reset") => Seen::Reset(place(), channels_of(&event.data)),
                Some(_) => panic!("{event:?} is not of this test"),
            };
            diary.seen.push((at_us, seen));
        }
    }
}

/// The names in a reset's data.
fn channels_of(data: &str) -> Vec<String> {
    let data: serde_json::Value = serde_json::from_str(data).expect("a reset's data is JSON");
    let names = data["channels"].as_array().expect("it names channels").iter();
    names.map(|name| name.as_str().expect("names are texts").to_owned()).collect()
}
