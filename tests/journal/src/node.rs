//! A process of a run, as its parent holds it.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use evstream::Position;
use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};

use crate::until;

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub struct Node {
    child: Child,
    stdin: Option<ChildStdin>,
    reader: Option<JoinHandle<()>>,
    heard: Arc<Mutex<Heard>>,
    is_stopped: bool,
    is_killed: bool,
}

/// What a process has printed.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    is_ready: bool,
    /// Where it serves streams.
    pub address: Option<SocketAddr>,
    /// What it has published, in its order.
    pub published: Vec<Published>,
    /// How many events it did not get rid of, once it has closed.
    pub undelivered: Option<u64>,
    /// Whether it was killed, so that what it had under way has no outcome.
    pub is_killed: bool,
}

/// An event that was published.
#[derive(Clone, Debug)]
pub struct Published {
    /// When `publish` was called.
    pub issued_us: u64,
    /// The channel, a space, and what no other event has.
    pub data: String,
    /// The place that the journal gave it, or an error's code.
    pub outcome: Option<Result<Position, String>>,
}

impl Published {
    /// The channel it is on.
    pub fn channel(&self) -> &str {
        self.data.split(' ').next().unwrap_or_default()
    }

    /// Whether it is the last of its channel by this publisher.
    pub fn is_end(&self) -> bool {
        self.data.ends_with(" end")
    }
}

impl Node {
    /// Starts a process and waits until it is ready.
    pub fn start(
        program: &str,
        name: &str,
        serves: bool,
        journal: &str,
        settings: &[String],
        env: &[(String, String)],
    ) -> Self {
        let mut child = Command::new(program)
            .args([name, if serves { "serve" } else { "publish" }])
            .args(settings)
            .env("EVSTREAM_JOURNAL", journal)
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the node can be started");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().expect("it is piped"));
        let heard = Arc::new(Mutex::new(Heard::default()));
        let reader = std::thread::spawn({
            let heard = heard.clone();
            move || {
                let mut lines = BufReader::new(stdout);
                let mut line = String::new();
                while lines.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                    // The last line of a process that was killed may be cut.
                    if line.ends_with('\n') {
                        heard.lock().expect("no reader panics").hear(line.trim_end());
                    }
                    line.clear();
                }
            }
        });
        let mut node =
            Self { child, stdin, reader: Some(reader), heard, is_stopped: false, is_killed: false };
        until("a node to be ready", || {
            let ended = node.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "the node has ended: {ended:?}");
            node.with(|heard| heard.is_ready)
        });
        node
    }

    /// Looks at what it has printed.
    pub fn with<T>(&self, look: impl FnOnce(&Heard) -> T) -> T {
        look(&self.heard.lock().expect("no reader panics"))
    }

    /// Publishes so many events a second from now on.
    pub fn rate(&mut self, events: u64) {
        self.tell(&format!("rate {events}"));
    }

    /// Publishes one event to each channel.
    pub fn end(&mut self) {
        self.tell("end");
    }

    /// Kills it as the system does that has no memory left.
    pub fn kill(&mut self) {
        self.is_killed = true;
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.join();
    }

    /// Has it stand still, as `docker pause` does, and waits until it does.
    pub fn stop(&mut self) {
        self.is_stopped = true;
        self.signal(Signal::SIGSTOP);
        waitid(Id::Pid(self.pid()), WaitPidFlag::WSTOPPED).expect("it is our child");
    }

    /// Has it go on.
    pub fn go_on(&mut self) {
        self.is_stopped = false;
        self.signal(Signal::SIGCONT);
    }

    /// Closes it well, and waits for that.
    pub fn close(&mut self) {
        if self.is_stopped {
            self.go_on();
        }
        drop(self.stdin.take());
        if self.reader.is_some() {
            until("a node to end", || self.child.try_wait().is_ok_and(|status| status.is_some()));
            self.join();
        }
    }

    fn tell(&mut self, command: &str) {
        if let Some(stdin) = &mut self.stdin {
            // Of one that was killed nothing is expected any more.
            let _ = writeln!(stdin, "{command}");
        }
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it is our child");
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    fn join(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("no reader panics");
        }
        self.heard.lock().expect("no reader panics").is_killed = self.is_killed;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.reader.is_some() {
            self.kill();
        }
    }
}

impl Heard {
    fn hear(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').expect("a line has a word and more");
        match word {
            "ready" => (self.is_ready, self.address) = (true, rest.parse().ok()),
            "closed" => self.undelivered = rest.parse().ok(),
            "publish" => {
                let (issued_us, data) = rest.split_once(' ').expect("a time and an event");
                let issued_us = issued_us.parse().expect("a time is a number");
                self.published.push(Published { issued_us, data: data.to_owned(), outcome: None });
            }
            "acked" | "failed" => {
                let (what, data) = rest.split_once(' ').expect("an outcome and an event");
                let outcome = match word {
                    "acked" => Ok(what.parse().expect("a position")),
                    _ => Err(what.to_owned()),
                };
                let published = self.published.iter_mut().rev().find(|published| published.data == data);
                let published = published.expect("what has an outcome was published");
                assert!(published.outcome.replace(outcome).is_none(), "{data} has two outcomes");
            }
            _ => panic!("{line:?} is no line of a node"),
        }
    }
}
