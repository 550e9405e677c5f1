//! Exactly once and in order, or told: whatever publishers, readers and connections do.
//!
//! Each run is drawn from a seed, which is printed when it fails. `EVSTREAM_SEED=n` runs that one alone,
//! `EVSTREAM_MODEL_SECONDS=n` goes on for longer.
#![cfg(feature = "runtime")]

mod common;

use std::{
    collections::HashSet,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::{Conn, Over, PATIENCE, Unframe, noise, serve};
use evstream::{
    __internal::{Decoded, Decoder},
    Access, Config, Event, Events, Framing, Position, Pull, Request, Server, SlowClient,
};
use fastrand::Rng;
use socket2::Socket;

#[test]
fn every_client_gets_everything_once_or_is_told() {
    if let Ok(seed) = std::env::var("EVSTREAM_SEED") {
        return run(seed.parse().expect("EVSTREAM_SEED is a number"));
    }
    let seconds = std::env::var("EVSTREAM_MODEL_SECONDS").map_or(8, |text| text.parse().unwrap());
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut told = Told::default();
    let mut seeds = 0;
    while Instant::now() < deadline || seeds < 3 {
        let seed = fastrand::u64(..);
        told += run_with(seed);
        seeds += 1;
    }
    println!("{seeds} seeds: {told:?}");
}

fn run(seed: u64) {
    println!("{:?}", run_with(seed));
}

/// What the clients of a run were told, to see that it was not all easy.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    connections: u64,
    events: u64,
    keep_alives: u64,
    resets: u64,
}

/// Something a client has seen.
#[derive(Debug)]
enum Seen {
    Open(Option<u64>),
    Event(u64, String),
    /// Its position has moved on without an event.
    KeepAlive(u64),
    Reset(u64, Vec<String>),
}

/// An event as it was published.
#[derive(Clone, Debug)]
struct Published {
    seq: u64,
    channel: usize,
    text: String,
}

/// What publishers and clients of a run share.
struct World {
    events: Events,
    server: Arc<Server>,
    channels: Vec<String>,
    published: Mutex<Vec<Published>>,
    /// Sequence number of the last event on each channel that is waited for, once it is known.
    ends: Vec<AtomicU64>,
}

/// Prints the seed of a run that fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the run that failed can be repeated with EVSTREAM_SEED={}", self.0);
        }
    }
}

fn run_with(seed: u64) -> Told {
    let _seed = Seed(seed);
    let mut random = Rng::with_seed(seed);
    let (events, server) = serve(draw_config(&mut random));
    let channels: Vec<String> = (0..random.usize(1..6)).map(|i| format!("c{i}")).collect();
    let ends = channels.iter().map(|_| AtomicU64::new(u64::MAX)).collect();
    let world = World { events, server, channels, published: Mutex::default(), ends };
    let (publishers, clients) = (random.usize(1..4), random.usize(2..8));
    let mut told = Told::default();
    let logs: Vec<(Vec<usize>, Vec<Seen>)> = thread::scope(|scope| {
        let publishing: Vec<_> = (0..publishers)
            .map(|_| random.fork())
            .map(|random| scope.spawn(|| publish(&world, random)))
            .collect();
        let reading: Vec<_> = (0..clients)
            .map(|_| random.fork())
            .map(|random| scope.spawn(|| Reader::new(&world, random).read()))
            .collect();
        for publisher in publishing {
            publisher.join().unwrap();
        }
        for (index, end) in world.ends.iter().enumerate() {
            end.store(publish_one(&world, index, "the end".to_owned()), Ordering::SeqCst);
        }
        // Whoever has read that before it was known to be the end, and waits for more, looks again.
        for index in 0..world.channels.len() {
            publish_one(&world, index, "after the end".to_owned());
        }
        reading.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    let mut published = world.published.into_inner().unwrap();
    published.sort_unstable_by_key(|event| event.seq);
    for (channels, seen) in logs {
        let end = channels.iter().map(|&channel| world.ends[channel].load(Ordering::SeqCst)).max().unwrap();
        told += check(&world.channels, &channels, &seen, &published, end);
    }
    world.events.close(PATIENCE).unwrap();
    assert_eq!(world.events.stats().open, 0);
    told
}

/// Everything is small, so that rings overflow and positions expire.
fn draw_config(random: &mut Rng) -> Config {
    let mut config = Config::new()
        .shards(random.u64(1..3))
        .history_events([0, random.u64(1..20), 100_000][random.usize(0..3)])
        .backlog_events([random.u64(1..20), random.u64(20..500), 100_000][random.usize(0..3)])
        .keep_alive_ms([0, random.u64(5..50)][random.usize(0..2)])
        .keep_alive_comment(random.bool())
        .max_age_ms([0, 0, random.u64(50..300)][random.usize(0..3)]);
    if random.u8(0..4) == 0 {
        config = config.slow_client(SlowClient::Close);
    }
    if random.u8(0..4) == 0 {
        config = config.history_bytes(random.u64(20_000..200_000));
    }
    config
}

fn publish(world: &World, mut random: Rng) {
    let longest = [50, 500, 5_000][random.usize(0..3)];
    for number in 0..random.usize(20..400) {
        let channel = random.usize(0..world.channels.len());
        let text = format!(
            "{} {number} {}",
            world.channels[channel],
            noise(random.usize(0..longest), random.u64(..))
        );
        publish_one(world, channel, text);
        match random.u8(0..160) {
            // Long enough for keep-alives.
            0 => thread::sleep(Duration::from_millis(random.u64(0..150))),
            1..4 => thread::sleep(Duration::from_millis(random.u64(0..5))),
            4..40 => thread::yield_now(),
            _ => {}
        }
    }
}

fn publish_one(world: &World, channel: usize, text: String) -> u64 {
    let receipt = world.events.publish(&world.channels[channel], Event::text(&*text)).unwrap();
    let seq = receipt.position().unwrap().seq;
    world.published.lock().unwrap().push(Published { seq, channel, text });
    seq
}

/// One client: it connects in some way, reads for a while at some speed, is cut off anywhere, and comes back.
struct Reader<'a> {
    world: &'a World,
    random: Rng,
    channels: Vec<usize>,
    last_id: String,
    seen: Vec<Seen>,
    /// How much it reads of a connection before it cuts it.
    patience_bytes: usize,
}

/// Where a connection's bytes come from.
enum Source {
    Socket(Conn, Unframe),
    Pull(Vec<u8>, Option<Pull>),
}

impl<'a> Reader<'a> {
    fn new(world: &'a World, mut random: Rng) -> Self {
        let count = random.usize(1..=world.channels.len());
        let channels = random.choose_multiple(0..world.channels.len(), count);
        Self { world, random, channels, last_id: String::new(), seen: Vec::new(), patience_bytes: 0 }
    }

    fn read(mut self) -> (Vec<usize>, Vec<Seen>) {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_level() {
            assert!(Instant::now() < deadline, "the end was not reached from {:?}", self.last_id);
            // Whoever comes back may name the channels in another order.
            self.random.shuffle(&mut self.channels);
            let source = self.connect();
            self.follow(source);
            if self.random.bool() {
                thread::sleep(Duration::from_millis(self.random.u64(0..10)));
            }
        }
        (self.channels, self.seen)
    }

    /// Whether all that is waited for is behind it.
    fn is_level(&self) -> bool {
        let at = self.last_id.parse::<Position>().map_or(0, |position| position.seq);
        self.channels.iter().all(|&channel| self.world.ends[channel].load(Ordering::SeqCst) <= at)
    }

    fn connect(&mut self) -> Source {
        self.patience_bytes =
            if self.random.u8(0..4) == 0 { usize::MAX } else { self.random.usize(0..60_000) };
        let names: Vec<&str> = self.channels.iter().map(|&index| &*self.world.channels[index]).collect();
        let target = format!("/events/?channel={}", names.join("&channel="));
        let kind = self.random.u8(0..5);
        if kind < 2 {
            let mut conn = if kind == 0 {
                Conn::open(&self.world.server)
            } else {
                Conn::with_small_buffer(&self.world.server)
            };
            let version = if self.random.bool() { "1.1" } else { "1.0" };
            let last_id = &self.last_id;
            conn.send(format!("GET {target} HTTP/{version}\r\nHost: x\r\nLast-Event-ID: {last_id}\r\n\r\n"));
            if kind == 1 {
                // TCP waits for its timers with each kilobyte, so more would take minutes.
                self.patience_bytes = self.random.usize(0..8_000);
            }
            let Ok(head) = conn.try_head() else { panic!("a request is answered") };
            assert_eq!(head.status, 200);
            return Source::Socket(
                conn,
                if version == "1.1" { Unframe::chunked() } else { Unframe::UntilClose },
            );
        }
        let headers = [("Last-Event-ID", self.last_id.as_bytes())];
        let (_, query) = target.split_once('?').unwrap();
        let request = Request { method: "GET", path: "/", query, headers: &headers, peer: None };
        let reply = self.world.events.open_request(&request, Access::allow());
        let stream = reply.stream.unwrap();
        if kind == 2 {
            return Source::Pull(reply.body, Some(self.world.events.pull(stream).unwrap()));
        }
        let (ours, theirs) = UnixStream::pair().unwrap();
        let ours = Socket::from(OwnedFd::from(ours));
        ours.set_send_buffer_size(self.random.usize(1..20_000)).unwrap();
        let (framing, body) = if kind == 3 {
            (Framing::Close, Unframe::UntilClose)
        } else {
            (Framing::Chunked, Unframe::chunked())
        };
        let first = match framing {
            Framing::Close => reply.body,
            _ => [format!("{:x}\r\n", reply.body.len()).as_bytes(), &reply.body, b"\r\n"].concat(),
        };
        self.world.events.adopt(stream, ours.into(), framing, first).unwrap();
        Source::Socket(Conn::new(theirs), body)
    }

    /// Reads until the connection ends, from either side.
    fn follow(&mut self, mut source: Source) {
        let mut decoder = Decoder::new();
        let mut left = self.patience_bytes;
        let most = [7, 300, 4_000, 60_000][self.random.usize(0..4)];
        let is_slow = self.random.u8(0..3) == 0;
        while left > 0 && !self.is_level() {
            let bytes = self.random.usize(1..=most).min(left);
            let Some(piece) = source.take(bytes) else { break };
            left -= bytes;
            for event in decoder.feed(&piece) {
                self.note(event);
            }
            // As browsers do, the position stands until another takes its place.
            if !decoder.last_event_id().is_empty() && decoder.last_event_id() != self.last_id {
                decoder.last_event_id().clone_into(&mut self.last_id);
                self.note_position();
            }
            let is_over = self.world.ends[0].load(Ordering::Relaxed) < u64::MAX;
            if is_slow && !is_over && self.random.u8(0..10) == 0 {
                thread::sleep(Duration::from_millis(self.random.u64(0..10)));
            }
        }
    }

    fn note(&mut self, event: Decoded) {
        let at = (!event.id.is_empty()).then(|| event.id.parse::<Position>().unwrap().seq);
        self.seen.push(match event.name.as_deref() {
            None => Seen::Event(at.unwrap(), event.data),
            Some("stream-open") => Seen::Open(at),
            Some("keep-alive" | "stream-close") => Seen::KeepAlive(at.unwrap()),
            Some("stream-reset") => Seen::Reset(at.unwrap(), channels_of(&event.data)),
            Some(other) => panic!("{other} is no event of this test"),
        });
    }

    /// The position has moved, which only a comment with an id does without an event that is noted.
    fn note_position(&mut self) {
        let seq = self.last_id.parse::<Position>().unwrap().seq;
        let noted = match self.seen.last() {
            Some(Seen::Open(Some(at)) | Seen::Event(at, _) | Seen::KeepAlive(at) | Seen::Reset(at, _)) => *at,
            _ => 0,
        };
        if noted != seq {
            self.seen.push(Seen::KeepAlive(seq));
        }
    }
}

impl Source {
    /// Some more of the stream's text, of about `bytes` bytes on the wire.
    fn take(&mut self, bytes: usize) -> Option<Vec<u8>> {
        match self {
            Self::Socket(conn, body) => {
                if body.is_over() {
                    return None;
                }
                // What came with the head is still to be used.
                if conn.received.is_empty() {
                    match conn.fill_at_most(bytes) {
                        Ok(_) => {}
                        Err(Over::Cut) if matches!(body, Unframe::UntilClose) => return None,
                        Err(over) => panic!("the stream is {over:?} in the middle"),
                    }
                }
                Some(body.take(&mut conn.received))
            }
            Self::Pull(text, pull) => {
                if text.is_empty() {
                    let chunk = pull.as_mut()?.next_timeout(PATIENCE).unwrap()?;
                    text.extend(chunk);
                }
                Some(text.drain(..bytes.min(text.len())).collect())
            }
        }
    }
}

/// The names in a reset's data.
fn channels_of(data: &str) -> Vec<String> {
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    data["channels"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Compares what a client has seen over all its connections with what was published, up to `end` at least.
fn check(names: &[String], channels: &[usize], seen: &[Seen], published: &[Published], end: u64) -> Told {
    let mine: Vec<&Published> = published.iter().filter(|event| channels.contains(&event.channel)).collect();
    let after = |seq: u64| mine.partition_point(|event| event.seq <= seq);
    let mut told = Told::default();
    let mut at = None;
    let mut next = 0;
    for (index, item) in seen.iter().enumerate() {
        let context = || format!("item {index} of {}, at {at:?}, channels {channels:?}", seen.len());
        match item {
            Seen::Open(Some(seq)) => {
                told.connections += 1;
                assert_eq!(*seq, at.unwrap_or(*seq), "it goes on from where it was: {}", context());
                if at.is_none() {
                    next = after(*seq);
                }
                at = Some(*seq);
            }
            Seen::Open(None) => {
                told.connections += 1;
                assert!(at.is_some(), "only one who comes back can be told of a gap: {}", context());
            }
            Seen::Event(seq, text) => {
                told.events += 1;
                let expected = mine.get(next).unwrap_or_else(|| panic!("nothing was left: {}", context()));
                assert_eq!((*seq, text), (expected.seq, &expected.text), "{}", context());
                next += 1;
                at = Some(*seq);
            }
            Seen::KeepAlive(seq) => {
                told.keep_alives += 1;
                assert!(at.is_some_and(|at| at <= *seq), "it moves on to {seq}: {}", context());
                assert_eq!(after(*seq), next, "nothing is passed over: {}", context());
                at = Some(*seq);
            }
            Seen::Reset(seq, lost) => {
                told.resets += 1;
                assert!(at.is_some_and(|at| at <= *seq), "it moves on to {seq}: {}", context());
                let goes_on = after(*seq);
                let missed: HashSet<&String> =
                    mine[next..goes_on].iter().map(|event| &names[event.channel]).collect();
                assert!(
                    missed.iter().all(|name| lost.contains(name)),
                    "{missed:?} were missed, but {lost:?} were named: {}",
                    context()
                );
                next = goes_on;
                at = Some(*seq);
            }
        }
    }
    assert!(next >= after(end), "all was seen: at {at:?}, channels {channels:?}");
    told
}

impl std::ops::AddAssign for Told {
    fn add_assign(&mut self, other: Self) {
        self.connections += other.connections;
        self.events += other.events;
        self.keep_alives += other.keep_alives;
        self.resets += other.resets;
    }
}
