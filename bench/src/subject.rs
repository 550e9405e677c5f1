//! A subject: a child process that serves streams and publishes when told to. The protocol is in `README.md`.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    num::NonZeroUsize,
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::processes::Processes;

/// How to start a subject.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Of others: that it fails is a finding, not a failure of the run.
    pub(crate) is_peer: bool,
    /// A program and its arguments.
    pub(crate) command: Vec<String>,
}

/// What a subject does, and so which cases it is measured in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// It serves streams.
    Server,
    /// It publishes to a proxy that holds none.
    Publisher,
}

/// A started subject. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// The path of a stream, with `{channel}` for the channel.
    pub(crate) path: String,
    pub(crate) processes: Processes,
    /// How many streams may be in the middle of being opened, when it cannot take as many as the others.
    pub(crate) opening: Option<usize>,
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

/// What a subject says when it has done what it was told.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Done {
    /// Events it published.
    pub(crate) events: u64,
    /// Whatever figures it adds.
    pub(crate) figures: BTreeMap<String, f64>,
}

impl Subject {
    /// Starts the process and waits until it says where it listens.
    pub(crate) fn start(&self) -> Result<Running> {
        let (program, arguments) = self.command.split_first().context("a subject needs a command")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {program:?}"))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("no pipes")
        };
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(std::io::Result::ok);
            lines.map(|line| sender.send(line)).take_while(Result::is_ok).for_each(drop);
        });
        let pid = child.id().cast_signed();
        let mut running = Running {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            path: String::new(),
            processes: Processes::new(vec![pid]),
            opening: None,
            child,
            stdin,
            lines,
        };
        let ready = running.wait_for("READY", START_TIMEOUT)?;
        running.listen_at(&ready).with_context(|| {
            format!("{ready:?} is not `host:port path-template [pids=N,...] [opening=N]`")
        })?;
        Ok(running)
    }
}

impl Running {
    /// Sends one command.
    pub(crate) fn tell(&mut self, command: &str) -> Result<()> {
        writeln!(self.stdin, "{command}")
            .with_context(|| format!("the subject is gone, it does not take {command:?}"))
    }

    /// The answer to the last command, when it has come.
    pub(crate) fn answer(&mut self) -> Result<Option<Done>> {
        loop {
            match self.lines.try_recv() {
                Ok(line) => match line.strip_prefix("DONE") {
                    Some(text) => {
                        return Done::parse(text)
                            .with_context(|| format!("{line:?} is not an answer"))
                            .map(Some);
                    }
                    None => eprintln!("{line}"), // something else the server prints
                },
                Err(TryRecvError::Empty) => return Ok(None),
                Err(TryRecvError::Disconnected) => return Err(self.ended()),
            }
        }
    }

    /// The answer to the last command, waited for without using the processor.
    pub(crate) fn wait_for_answer(&mut self, timeout: Duration) -> Result<Done> {
        let text = self.wait_for("DONE", timeout)?;
        Done::parse(&text).with_context(|| format!("{text:?} is not an answer"))
    }

    fn wait_for(&mut self, word: &str, timeout: Duration) -> Result<String> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match line.strip_prefix(word) {
                    Some(rest) => return Ok(rest.trim().to_owned()),
                    None => eprintln!("{line}"),
                },
                Err(RecvTimeoutError::Timeout) => bail!("the subject did not say {word} within {timeout:?}"),
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            }
        }
    }

    fn listen_at(&mut self, ready: &str) -> Result<()> {
        let mut words = ready.split_whitespace();
        self.address = words.next().context("no address")?.parse().context("the address")?;
        words.next().context("no path")?.clone_into(&mut self.path);
        for word in words {
            match word.split_once('=') {
                Some(("pids", pids)) => {
                    let pids = pids.split(',').map(str::parse).collect::<Result<_, _>>();
                    self.processes = Processes::new(pids.context("the process ids")?);
                }
                Some(("opening", number)) => {
                    let number: NonZeroUsize = number.parse().context("how many may be opening")?;
                    self.opening = Some(number.get());
                }
                _ => bail!("what is {word:?}?"),
            }
        }
        Ok(())
    }

    /// Why there are no more lines.
    fn ended(&mut self) -> anyhow::Error {
        match self.wait_for_end(Duration::from_secs(1)) {
            Some(status) => anyhow!("the subject ended by itself: {status}"),
            None => anyhow!("the subject closed its output"),
        }
    }

    fn wait_for_end(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
                _ => return None,
            }
        }
    }
}

impl Drop for Running {
    /// Asks it to quit, and kills it with its children if it takes too long.
    fn drop(&mut self) {
        let _ = self.tell("quit");
        let _ = self.wait_for_end(QUIT_TIMEOUT);
        // What it leaves behind in its process group ends too.
        let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Done {
    fn parse(text: &str) -> Result<Self> {
        let mut done = Self::default();
        for word in text.split_whitespace() {
            let (key, value) = word.split_once('=').with_context(|| format!("{word:?} is not key=value"))?;
            let value: f64 = value.parse().with_context(|| format!("{key} is not a number"))?;
            done.figures.insert(key.to_owned(), value);
        }
        done.events = done.figures.remove("events").context("no events=N")? as u64;
        Ok(done)
    }
}

const START_TIMEOUT: Duration = Duration::from_secs(30);
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Subject {
        Subject {
            name: "test".into(),
            kind: Kind::Server,
            is_peer: false,
            command: vec!["sh".into(), "-c".into(), script.into()],
        }
    }

    fn answer(running: &mut Running) -> Result<Done> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(done) = running.answer()? {
                return Ok(done);
            }
            assert!(Instant::now() < deadline);
        }
    }

    #[test]
    fn a_subject_is_started_told_and_ended() {
        let script = "echo loading; echo 'READY 127.0.0.1:7000 /e?c={channel} pids=1,2 opening=8'; read a b; echo \"DONE events=$b ms=0.5\"; read q";
        let mut running = shell(script).start().unwrap();
        assert_eq!((running.address.port(), running.path.as_str()), (7000, "/e?c={channel}"));
        assert_eq!(running.opening, Some(8));
        assert_eq!(running.answer().unwrap(), None);
        running.tell("publish 12").unwrap();
        let done = answer(&mut running).unwrap();
        assert_eq!(done, Done { events: 12, figures: BTreeMap::from([("ms".into(), 0.5)]) });
    }

    #[test]
    fn what_a_subject_leaves_behind_is_killed() {
        let running = shell("sleep 1000 & echo \"READY 127.0.0.1:1 / pids=$!\"; read quit").start().unwrap();
        let left_behind = running.processes.clone();
        assert!(left_behind.private_bytes().unwrap() > 0);
        drop(running);
        let deadline = Instant::now() + Duration::from_secs(10);
        while left_behind.private_bytes().is_ok_and(|bytes| bytes > 0) {
            assert!(Instant::now() < deadline, "the child of the subject lives on");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error =
            |script: &str| format!("{:#}", shell(script).start().map(|mut s| answer(&mut s)).unwrap_err());
        assert!(error("exit 3").contains("ended by itself: exit status: 3"));
        assert!(error("echo READY here /").contains("the address"));
        assert!(error("echo READY 127.0.0.1:1").contains("no path"));
        assert!(error("echo READY 127.0.0.1:1 / opening=0").contains("how many may be opening"));
        assert!(error("echo READY 127.0.0.1:1 / speed=9").contains("what is \"speed=9\""));
        let mut running = shell("echo READY 127.0.0.1:1 /; echo DONE events=x").start().unwrap();
        assert!(format!("{:#}", answer(&mut running).unwrap_err()).contains("events is not a number"));
    }
}
