//! One of the processes of a check: publishes numbered events, and serves streams.
//!
//! `evstream-journal-node NAME serve|publish [SETTING=VALUE]...`. On its input it takes `rate N` (events a second, to random
//! channels) and `end` (one event to each channel); when that ends it closes. It prints what [`evstream_journal_tests::node`] reads.

use std::{
    error::Error,
    io::{BufRead, Write, stdin, stdout},
    process::exit,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use evstream::{Address, Config, Event, Events, Mount, OptionValue};
use evstream_journal_tests::{CHANNELS, now_us};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(role)) = (arguments.next(), arguments.next()) else {
        return Err("usage: evstream-journal-node NAME serve|publish [SETTING=VALUE]...".into());
    };
    let mut config = Config::new();
    for setting in arguments {
        let (setting, value) = setting.split_once('=').ok_or("a setting is SETTING=VALUE")?;
        config.set(setting, OptionValue::Text(value.to_owned()))?;
    }
    let events = Events::new(config)?;
    let (lines, printed) = channel();
    let printing = thread::spawn(move || print(&printed));
    let server = match &*role {
        "serve" => Some(events.server().mount(Mount::new("/events/")).bind("127.0.0.1:0")?),
        _ => None,
    };
    match server.as_ref().map(|server| server.address()) {
        Some(Address::Tcp(address)) => lines.send(format!("ready {address}"))?,
        _ => lines.send("ready -".to_owned())?,
    }
    let (sent, commands) = channel();
    thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            let _ = sent.send(line);
        }
    });
    Publisher { name, events: events.clone(), number: 0, lines: lines.clone() }.obey(&commands);
    let closed = events.close(CLOSE_TIMEOUT)?;
    lines.send(format!("{LAST} {}", closed.undelivered))?;
    let _ = printing.join();
    Ok(())
}

struct Publisher {
    name: String,
    events: Events,
    number: u64,
    lines: Sender<String>,
}

impl Publisher {
    fn obey(mut self, commands: &Receiver<String>) {
        let mut rate = 0.0;
        let mut due = 0.0;
        let mut last = Instant::now();
        loop {
            let command = if rate > 0.0 {
                commands.recv_timeout(TICK)
            } else {
                commands.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match command.as_deref() {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Ok("end") => (0..CHANNELS.len()).for_each(|channel| self.publish(channel, true)),
                Ok(command) => {
                    let number = command.strip_prefix("rate ").and_then(|rate| rate.parse().ok());
                    rate = number.expect("a command is 'end' or 'rate N'");
                    (due, last) = (0.0, Instant::now());
                }
            }
            // After a stop no more than it would have had in a tenth of a second.
            due = (due + last.elapsed().as_secs_f64() * rate).min(rate / 10.0 + 1.0);
            last = Instant::now();
            while due >= 1.0 {
                due -= 1.0;
                self.publish(fastrand::usize(..CHANNELS.len()), false);
            }
        }
    }

    fn publish(&mut self, channel: usize, is_end: bool) {
        self.number += 1;
        let (number, channel) = (self.number, CHANNELS[channel]);
        let end = if is_end { " end" } else { "" };
        let data = format!("{channel} {}-{number}{end}", self.name);
        let _ = self.lines.send(format!("publish {} {data}", now_us()));
        let lines = self.lines.clone();
        match self.events.publish(channel, Event::text(&*data)) {
            Ok(receipt) => {
                let own = receipt.clone();
                receipt.on_delivered(move |result| {
                    let _ = match (result, own.position()) {
                        (Ok(_), Some(position)) => lines.send(format!("acked {position} {data}")),
                        (Ok(_), None) => lines.send(format!("failed no-position {data}")),
                        (Err(error), _) => lines.send(format!("failed {} {data}", error.code())),
                    };
                });
            }
            Err(error) => drop(lines.send(format!("failed {} {data}", error.code()))),
        }
    }
}

/// Prints lines, a burst at a time, up to the last; ends the process when nobody reads them any more.
fn print(lines: &Receiver<String>) {
    let mut out = stdout().lock();
    while let Ok(mut text) = lines.recv() {
        text.push('\n');
        for line in lines.try_iter().take(1_000) {
            text.push_str(&line);
            text.push('\n');
        }
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            exit(1);
        }
        if text.lines().any(|line| line.starts_with(LAST)) {
            return;
        }
    }
}

/// What the last line begins with.
const LAST: &str = "closed";

const TICK: Duration = Duration::from_millis(2);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(20);
