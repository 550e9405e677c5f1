//! How long a publish and its delivery take at worst while channels come and go by the million, and what stays in memory.
//!
//! `cargo run --release -p evstream-bench --example many_channels -- [CHANNELS] [SECONDS]`
//!
//! The channels are forgotten between 180 and 230 seconds after they were used: run it that long to see it.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use evstream::{Config, Event, Events, Message};

fn main() -> evstream::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let channels: u64 = arguments.next().unwrap_or(1_000_000);
    let seconds = arguments.next().unwrap_or(30);
    let events = Events::new(Config::new().history_age_ms(8_000))?;
    let mut hot = events.subscribe(["hot"])?.into_iter();
    let start = Instant::now();
    let report = |what: &str| {
        let stats = events.stats();
        println!(
            "{:6.1} s  {what:<20} {:>8} channels  {:>4} MB of history  {:>4} MB in memory",
            start.elapsed().as_secs_f64(),
            stats.channels,
            stats.history_bytes >> 20,
            resident_kb() >> 10
        );
    };
    report("start");
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..channels {
                events
                    .publish(&format!("user-{n}"), Event::text("an event of some size"))
                    .expect("it is open");
                if n % 64 == 0 {
                    thread::sleep(Duration::from_micros(100));
                }
            }
            report("all are made");
        });
        let (mut publish, mut delivery) = (Worst::default(), Worst::default());
        for second in 0..seconds {
            while start.elapsed() < Duration::from_secs(second + 1) {
                publish.time(|| events.publish("hot", Event::text("x")).expect("it is open"));
                delivery.time(|| while !matches!(hot.next(), Some(Message::Event(_))) {});
                thread::sleep(Duration::from_micros(100));
            }
            if (second + 1) % 10 == 0 {
                report("");
                println!("          at worst: publish {}, delivery {}", publish.take(), delivery.take());
            }
        }
    });
    Ok(())
}

/// The three longest times.
#[derive(Default)]
struct Worst(Vec<Duration>);

impl Worst {
    fn time<T>(&mut self, act: impl FnOnce() -> T) {
        let start = Instant::now();
        act();
        self.0.push(start.elapsed());
        self.0.sort_unstable_by(|a, b| b.cmp(a));
        self.0.truncate(3);
    }

    fn take(&mut self) -> String {
        let times = std::mem::take(&mut self.0);
        times.iter().map(|time| format!("{:.1} ms", time.as_secs_f64() * 1e3)).collect::<Vec<_>>().join(", ")
    }
}

fn resident_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
