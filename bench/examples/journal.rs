//! How many events a second go through a journal, how long they take to another process, and what they cost.
//!
//! `cargo run --release -p evstream-bench --example journal -- [EVENTS] [FOLDER]`
//!
//! First the file, in FOLDER; then a Redis of its own, where `redis-server` is installed, beside its bare `PUBLISH`. Every process
//! appends its share of events of 200 bytes, and follows those of all. CPU time is user and system, of all processes, over the events.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use evstream::{
    __internal::{Entry, Journal, Record, What, open_journal},
    Config, Event, Result,
};
use nix::{
    sys::{
        resource::{UsageWho, getrusage},
        time::TimeValLike,
    },
    time::{ClockId, clock_gettime},
};

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(1);
const PACED_EVENTS: u64 = 3_000;
const UNTIL_THEY_FOLLOW: Duration = Duration::from_millis(300);
/// As Linux shows them on all its usual machines.
const US_PER_TICK: f64 = 10_000.0;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let texts: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse().expect("a number");
    match texts[..] {
        ["both", journal, share, batch, total] => both(journal, number(share), number(batch), number(total)),
        ["follow", journal] => follow_paced(journal),
        ["subscribe", port] => subscribe_paced(port.parse().expect("a port")),
        _ => {
            let events = texts.first().map_or(200_000, |text| number(text));
            let folder = texts.get(1).copied().unwrap_or("/dev/shm");
            measure_file(&format!("{folder}/evstream-bench-{}", std::process::id()), events)?;
            match Redis::start() {
                Ok(redis) => measure_redis(&redis, events),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    println!("there is no redis-server");
                    Ok(())
                }
                Err(error) => Err(error.into()),
            }
        }
    }
}

fn measure_file(path: &str, events: u64) -> Result<()> {
    println!("file");
    let journal = format!("file:{path}");
    for (processes, batch) in [(1, 1), (2, 1), (4, 1), (1, 16), (4, 16)] {
        throughput(&journal, events, processes, batch, None)?;
        std::fs::remove_file(path)?;
    }
    for readers in [1, 3] {
        latency(&journal, readers)?;
        std::fs::remove_file(path)?;
    }
    Ok(())
}

fn measure_redis(redis: &Redis, events: u64) -> Result<()> {
    println!("Redis");
    let mut namespaces = (0..).map(|number| redis.journal(number));
    let mut journal = || namespaces.next().expect("there is no last one");
    // Each batch waits for its answer: as many events as pile up meanwhile go together.
    for (processes, batch) in [(1, 1), (1, 64), (4, 64), (1, 512), (4, 512)] {
        let events = if batch == 1 { events / 10 } else { events };
        throughput(&journal(), events, processes, batch, Some(redis))?;
    }
    for readers in [1, 3] {
        latency(&journal(), readers)?;
    }
    plain_publish(redis)
}

fn throughput(journal: &str, events: u64, processes: u64, batch: u64, redis: Option<&Redis>) -> Result<()> {
    let share = events / processes / batch * batch;
    let total = share * processes;
    let redis_us = || redis.map_or(0.0, Redis::cpu_us);
    let (start, cpu, redis_cpu) = (Instant::now(), cpu_us(), redis_us());
    let children: Vec<_> = (0..processes)
        .map(|_| spawn(&["both", journal, &share.to_string(), &batch.to_string(), &total.to_string()]))
        .collect::<Result<_>>()?;
    end(children)?;
    let seconds = start.elapsed().as_secs_f64();
    print!(
        "{processes} processes, batches of {batch:>3}: {:>8.0} events/s, {:.2} us of CPU per event, {:.2} per delivery",
        total as f64 / seconds,
        (cpu_us() - cpu) / total as f64,
        (cpu_us() - cpu) / (total * processes) as f64
    );
    match redis {
        Some(_) => println!(", {:.2} of Redis per event", (redis_us() - redis_cpu) / total as f64),
        None => println!(),
    }
    Ok(())
}

fn latency(journal: &str, readers: usize) -> Result<()> {
    let mut writer = open(journal)?.writer();
    writer.append(&[record(1, 0)], PATIENCE)?; // the journal is there
    let children: Vec<_> = (0..readers).map(|_| spawn(&["follow", journal])).collect::<Result<_>>()?;
    thread::sleep(UNTIL_THEY_FOLLOW);
    let mut append_ns = Vec::new();
    for number in 2..2 + PACED_EVENTS {
        let start = now_ns();
        writer.append(&[record(number, start)], PATIENCE)?;
        append_ns.push(now_ns() - start);
        thread::sleep(PAUSE);
    }
    println!("{readers} followers, an event per ms: append {}", percentiles(append_ns));
    end(children)
}

/// What Redis does without a journal: no place, no history, nothing for those who come later.
fn plain_publish(redis: &Redis) -> Result<()> {
    let children = vec![spawn(&["subscribe", &redis.port.to_string()])?];
    thread::sleep(UNTIL_THEY_FOLLOW);
    let mut connection = BufReader::new(redis.connect()?);
    let mut answer = String::new();
    let (mut publish_ns, text) = (Vec::new(), "x".repeat(200));
    for _ in 0..PACED_EVENTS {
        let start = now_ns();
        connection.get_mut().write_all(format!("PUBLISH c {start}:{text}\r\n").as_bytes())?;
        answer.clear();
        connection.read_line(&mut answer)?;
        publish_ns.push(now_ns() - start);
        thread::sleep(PAUSE);
    }
    println!("a bare PUBLISH per ms, one subscriber: the call {}", percentiles(publish_ns));
    end(children)
}

fn both(journal: &str, share: u64, batch: u64, total: u64) -> Result<()> {
    let journal = open(journal)?;
    let mut reader = journal.reader();
    let follower = thread::spawn(move || -> Result<()> {
        let (mut seen, mut entries) = (0, Vec::new());
        while seen < total {
            reader.read(&mut entries, PATIENCE)?;
            seen += entries.iter().filter(|entry| matches!(entry, Entry::Placed { .. })).count() as u64;
            entries.clear();
        }
        Ok(())
    });
    let mut writer = journal.writer();
    for first in (1..=share).step_by(batch as usize) {
        let records: Vec<_> = (first..first + batch).map(|number| record(number, 0)).collect();
        writer.append(&records, PATIENCE)?;
    }
    follower.join().expect("it does not panic")
}

fn follow_paced(journal: &str) -> Result<()> {
    let mut reader = open(journal)?.reader();
    let (mut latencies_ns, mut entries) = (Vec::new(), Vec::new());
    while latencies_ns.len() < PACED_EVENTS as usize {
        reader.read(&mut entries, PATIENCE)?;
        let now = now_ns();
        for entry in entries.drain(..) {
            let Entry::Placed { what: What::Event { channel, .. }, .. } = entry else { continue };
            match channel.parse().expect("it is what we wrote") {
                0 => {}
                sent => latencies_ns.push(now - sent),
            }
        }
    }
    println!("  to a follower {}", percentiles(latencies_ns));
    Ok(())
}

fn subscribe_paced(port: u16) -> Result<()> {
    let mut connection = BufReader::new(TcpStream::connect(("127.0.0.1", port))?);
    connection.get_mut().write_all(b"SUBSCRIBE c\r\n")?;
    let (mut latencies_ns, mut line) = (Vec::new(), String::new());
    while latencies_ns.len() < PACED_EVENTS as usize {
        line.clear();
        connection.read_line(&mut line)?;
        // Its answer to SUBSCRIBE has colons of its own.
        if let Some(Ok(sent)) = line.split_once(':').map(|(sent, _)| sent.parse::<u64>()) {
            latencies_ns.push(now_ns() - sent);
        }
    }
    println!("  to a subscriber {}", percentiles(latencies_ns));
    Ok(())
}

/// A Redis that keeps nothing on disk, as long as this lives.
struct Redis {
    server: Child,
    port: u16,
}

impl Redis {
    fn start() -> io::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let options = ["--save", "", "--port", &port.to_string(), "--bind", "127.0.0.1"];
        let server = Command::new("redis-server").args(options).stdout(Stdio::null()).spawn()?;
        let redis = Self { server, port };
        let deadline = Instant::now() + PATIENCE;
        while redis.connect().is_err() {
            if Instant::now() > deadline {
                return Err(io::Error::other("the Redis does not answer"));
            }
            thread::sleep(PAUSE);
        }
        Ok(redis)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect(("127.0.0.1", self.port))
    }

    fn journal(&self, number: u64) -> String {
        format!("redis://127.0.0.1:{}/0?namespace=bench-{number}", self.port)
    }

    fn cpu_us(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.server.id())).expect("it lives");
        let fields: Vec<&str> = stat.rsplit(") ").next().expect("a name").split(' ').collect();
        let ticks = |index: usize| fields[index].parse::<f64>().expect("a number");
        (ticks(11) + ticks(12)) * US_PER_TICK
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn open(journal: &str) -> Result<Arc<dyn Journal>> {
    let journal = open_journal(&Config::new().journal(journal.into()))?;
    Ok(journal.expect("an address was given"))
}

/// An event that tells when it was made.
fn record(number: u64, at_ns: u64) -> Record {
    let event = Event::text("x".repeat(200));
    Record { number, what: What::Event { channel: at_ns.to_string().into(), event } }
}

fn spawn(arguments: &[&str]) -> Result<Child> {
    Ok(Command::new(env::current_exe()?).args(arguments).spawn()?)
}

fn end(children: Vec<Child>) -> Result<()> {
    for mut child in children {
        assert!(child.wait()?.success(), "a process has failed");
    }
    Ok(())
}

fn cpu_us() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("it is always there");
    (usage.user_time() + usage.system_time()).num_microseconds() as f64
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("it is always there");
    now.num_nanoseconds() as u64
}

fn percentiles(mut ns: Vec<u64>) -> String {
    ns.sort_unstable();
    let at = |percent: usize| ns[ns.len() * percent / 100] as f64 / 1_000.0;
    format!("p50 {:.0} us, p99 {:.0} us", at(50), at(99))
}
