//! Other people's servers: their programs, and the directory they live in.

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{Read, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Started programs in a directory of their own. Dropping it ends them and removes it.
#[derive(Debug)]
pub(super) struct Programs {
    directory: PathBuf,
    running: Vec<(String, Child)>,
}

impl Programs {
    /// An empty directory with a short path, since those of Unix sockets may have 107 bytes.
    pub(super) fn new() -> Result<Self> {
        let directory = env::temp_dir().join(format!("evb-{}", std::process::id()));
        fs::create_dir(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(Self { directory, running: Vec::new() })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.directory.join(name), text).with_context(|| format!("cannot write {name}"))
    }

    /// Starts a program; what it says goes to a log that is shown when it ends too early.
    pub(super) fn start(&mut self, program: &str, arguments: &[String]) -> Result<()> {
        let log = fs::File::create(self.log_path(program)).context("cannot make a log")?;
        let child = Command::new(program)
            .args(arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot make a log")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {program}; `make bench-peers` installs it"))?;
        self.running.push((program.to_owned(), child));
        Ok(())
    }

    /// Waits until `is_ready`, or says what the programs have said instead.
    pub(super) fn until(&mut self, mut is_ready: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while !is_ready() {
            let ended = self.running.iter_mut().find_map(|(program, child)| {
                child.try_wait().ok().flatten().map(|status| format!("{program} has ended: {status}"))
            });
            if let Some(ended) = ended {
                bail!("{ended}{}", self.logs());
            }
            if Instant::now() > deadline {
                bail!("no answer within {START_TIMEOUT:?}{}", self.logs());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn logs(&self) -> String {
        let mut text = String::new();
        for (program, _) in &self.running {
            let log = fs::read_to_string(self.log_path(program)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let _ = write!(text, "\n--- {program}\n{}", lines[lines.len().saturating_sub(10)..].join("\n"));
        }
        text
    }

    fn log_path(&self, program: &str) -> PathBuf {
        self.directory.join(format!("{program}.log"))
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        for (_, child) in &self.running {
            let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
        }
        let deadline = Instant::now() + END_TIMEOUT;
        for (_, child) in &mut self.running {
            while matches!(child.try_wait(), Ok(None)) {
                if Instant::now() > deadline {
                    let _ = child.kill();
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

const START_TIMEOUT: Duration = Duration::from_secs(15);
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// Ports that nobody listens on, below those that the system gives to connections.
pub(super) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let first = std::process::id() as u16;
    let candidates = (0..22_000_u16).map(|n| 10_000 + first.wrapping_mul(31).wrapping_add(n) % 22_000);
    let free: Vec<u16> =
        candidates.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).take(N).collect();
    free.try_into().ok().context("there is no free port")
}

/// What comes first in answer to a `GET`, within a second; empty when nothing does.
pub(super) fn first_bytes(address: SocketAddr, target: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(socket, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut bytes = [0; 4096];
        let read = socket.read(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes[..read]).into_owned())
    };
    ask().unwrap_or_default()
}
