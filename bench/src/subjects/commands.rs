//! The subject's side of the protocol, for subjects in Rust: obeys the lines on standard input.

use std::{
    collections::HashMap,
    fmt,
    io::{Write, stdin, stdout},
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::payload::{Stamp, now_ns, write_data};

/// The event name all subjects use, so that their bytes on the wire compare.
pub(super) const EVENT_NAME: &str = "message";

/// What a subject can do.
pub(super) trait Publish {
    fn publish(&mut self, channel: &str, data: &str) -> Result<()>;

    /// Waits until what was published is where it has to go, for subjects that are asked for nothing else.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What a subject says when its streams can be opened.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    pub(super) address: SocketAddr,
    /// `{channel}` in it stands for the channel.
    pub(super) path: &'a str,
    /// The process that counts, instead of the subject's whole tree.
    pub(super) pid: Option<u32>,
    /// How many streams may be in the middle of being opened.
    pub(super) opening: Option<usize>,
}

impl<'a> Ready<'a> {
    pub(super) fn at(address: SocketAddr, path: &'a str) -> Self {
        Self { address, path, pid: None, opening: None }
    }
}

impl fmt::Display for Ready<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "READY {} {}", self.address, self.path)?;
        self.pid.map_or(Ok(()), |pid| write!(f, " pids={pid}"))?;
        self.opening.map_or(Ok(()), |opening| write!(f, " opening={opening}"))
    }
}

/// Says that it is ready and obeys until `quit` or the end of input.
pub(super) fn obey(publisher: impl Publish, ready: Ready<'_>) -> Result<()> {
    let mut commands = Commands::new(publisher);
    say(&ready.to_string())?;
    for line in stdin().lines() {
        let line = line.context("cannot read commands")?;
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["quit"] {
            break;
        }
        let answer = commands.obey(&words).with_context(|| format!("cannot obey {line:?}"))?;
        say(&format!("DONE {answer}"))?;
    }
    Ok(())
}

struct Commands<P> {
    publisher: P,
    channels: Vec<Channel>,
    /// The place of each channel in `channels`.
    by_name: HashMap<String, usize>,
    data: String,
}

struct Channel {
    name: String,
    /// Events published so far.
    published: u64,
}

impl<P: Publish> Commands<P> {
    fn new(publisher: P) -> Self {
        Self { publisher, channels: Vec::new(), by_name: HashMap::new(), data: String::new() }
    }

    fn obey(&mut self, words: &[&str]) -> Result<String> {
        match *words {
            ["publish", channel, count, bytes] => {
                let (channel, count, bytes) = (self.channel(channel), count.parse()?, bytes.parse()?);
                for _ in 0..count {
                    self.publish(channel, bytes)?;
                }
                self.publisher.flush()?;
                Ok(format!("events={count}"))
            }
            ["publish-each", channel, count, bytes] => {
                let (channel, count, bytes) = (self.channel(channel), count.parse()?, bytes.parse()?);
                for _ in 0..count {
                    self.publish(channel, bytes)?;
                    self.publisher.flush()?;
                }
                Ok(format!("events={count}"))
            }
            ["pace", channel, rate, seconds, bytes] => {
                let (channel, bytes) = (self.channel(channel), bytes.parse()?);
                let events =
                    paced(rate.parse()?, seconds.parse()?, || self.publish(channel, bytes).map(drop))?;
                Ok(format!("events={events}"))
            }
            ["random", channels, rate, seconds, bytes] => {
                let bytes = bytes.parse()?;
                let channels: Vec<usize> =
                    (0..channels.parse()?).map(|index| self.channel(&format!("ch-{index}"))).collect();
                ensure!(!channels.is_empty(), "there must be a channel");
                let mut random = 0x9e37_79b9_7f4a_7c15_u64;
                let events = paced(rate.parse()?, seconds.parse()?, || {
                    random = next_random(random);
                    self.publish(channels[(random >> 32) as usize % channels.len()], bytes).map(drop)
                })?;
                Ok(format!("events={events}"))
            }
            ["time-publish", channel, count, bytes] => {
                let (channel, count, bytes) =
                    (self.channel(channel), count.parse::<usize>()?, bytes.parse()?);
                let mut times =
                    (0..count).map(|_| self.publish(channel, bytes)).collect::<Result<Vec<_>>>()?;
                times.sort_unstable();
                let median = times.get(times.len() / 2).map_or(0, Duration::as_nanos);
                Ok(format!("events={count} ns_per_call={median}"))
            }
            _ => bail!("there are: publish, publish-each, pace, random, time-publish, quit"),
        }
    }

    /// Names are looked up once for each command, so that the figures show only what the subject looks up itself.
    fn channel(&mut self, name: &str) -> usize {
        *self.by_name.entry(name.to_owned()).or_insert_with(|| {
            self.channels.push(Channel { name: name.to_owned(), published: 0 });
            self.channels.len() - 1
        })
    }

    /// Publishes the next event of the channel and returns how long the call took.
    fn publish(&mut self, channel: usize, bytes: usize) -> Result<Duration> {
        let channel = &mut self.channels[channel];
        write_data(&mut self.data, Stamp { seq: channel.published, sent_ns: now_ns() }, bytes);
        channel.published += 1;
        let start = Instant::now();
        self.publisher.publish(&channel.name, &self.data)?;
        Ok(start.elapsed())
    }
}

/// Events due within one tick are published together: waking for each would cost more than publishing it.
const TICK: Duration = Duration::from_millis(1);

/// Publishes on a fixed schedule; one that is late publishes at once. Returns the number of events.
fn paced(rate: f64, seconds: f64, mut publish: impl FnMut() -> Result<()>) -> Result<u64> {
    let events = (rate * seconds).round() as u64;
    let start = Instant::now();
    for event in 0..events {
        let due = start + Duration::from_secs_f64(event as f64 / rate);
        let early = due.saturating_duration_since(Instant::now());
        if early > Duration::ZERO {
            thread::sleep(early.max(TICK));
        }
        publish()?;
    }
    Ok(events)
}

/// One step of xorshift64.
fn next_random(mut x: u64) -> u64 {
    x ^= x << 13;
    x ^= x >> 7;
    x ^ (x << 17)
}

fn say(line: &str) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Recorder(Vec<(String, usize)>);

    impl Publish for &mut Recorder {
        fn publish(&mut self, channel: &str, data: &str) -> Result<()> {
            self.0.push((format!("{channel} {}", &data[..14]), data.len()));
            Ok(())
        }
    }

    #[test]
    fn each_channel_counts_for_itself() {
        let mut recorder = Recorder::default();
        let mut commands = Commands::new(&mut recorder);
        assert_eq!(commands.obey(&["publish", "a", "2", "100"]).unwrap(), "events=2");
        assert_eq!(commands.obey(&["pace", "b", "1000", "0.003", "50"]).unwrap(), "events=3");
        assert!(
            commands.obey(&["time-publish", "a", "1", "50"]).unwrap().starts_with("events=1 ns_per_call=")
        );
        assert_eq!(commands.obey(&["random", "1", "2000", "0.001", "60"]).unwrap(), "events=2");
        assert!(commands.obey(&["dance"]).is_err());
        let expected = [("a", 0, 100), ("a", 1, 100), ("b", 0, 50), ("b", 1, 50), ("b", 2, 50), ("a", 2, 50)]
            .into_iter()
            .chain([("ch-0", 0, 60), ("ch-0", 1, 60)]);
        let expected: Vec<_> =
            expected.map(|(c, seq, bytes)| (format!("{c} seq={seq:010}"), bytes)).collect();
        assert_eq!(recorder.0, expected);
    }

    #[test]
    fn a_schedule_is_kept() {
        let start = Instant::now();
        assert_eq!(paced(1000.0, 0.02, || Ok(())).unwrap(), 20);
        assert!(start.elapsed() >= Duration::from_millis(19));
    }
}
