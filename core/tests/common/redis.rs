//! A real redis-server on a socket of its own.
#![allow(dead_code, unreachable_pub, reason = "each test takes what it needs")]

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{PATIENCE, until};

/// A server with its folder; both go with it.
pub struct Redis {
    folder: PathBuf,
    child: Option<Child>,
    more: Vec<String>,
    /// Where it listens besides, 0 for nowhere.
    port: u16,
}

impl Redis {
    /// Starts one with these settings.
    pub fn start(settings: &[&str]) -> Self {
        let mut redis = Self::new("", settings);
        redis.run();
        redis
    }

    /// The same on a port of its own besides, for what is addressed by one, with these lines as its configuration.
    pub fn listen(lines: &str, settings: &[&str]) -> Self {
        let mut redis = Self::new(lines, settings);
        for _ in 0..20 {
            // Below what the system hands out, and so is that of a cluster's bus, which is greater by 10,000.
            redis.port = fastrand::u16(10_000..22_000);
            if redis.try_run() {
                return redis;
            }
        }
        panic!("redis-server does not start: {}", redis.log());
    }

    fn new(lines: &str, settings: &[&str]) -> Self {
        let name = format!("evstream-redis-{}-{:x}", std::process::id(), fastrand::u64(..));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("redis.conf"), lines).unwrap();
        let more = settings.iter().map(|&setting| setting.to_owned()).collect();
        Self { folder, child: None, more, port: 0 }
    }

    /// Starts it again after a [`kill`](Self::kill), with what is in its folder.
    pub fn run(&mut self) {
        assert!(self.try_run(), "redis-server has ended: {}", self.log());
    }

    /// False when it has ended at once, as it does when another has the port.
    fn try_run(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.current_dir(&self.folder).arg("redis.conf");
        let has_tls = self.more.iter().any(|setting| setting == "--tls-cert-file");
        let port = if has_tls { "--tls-port" } else { "--port" };
        command.args(["--port", "0", port, &self.port.to_string(), "--bind", "127.0.0.1", "--unixsocket"]);
        command
            .arg(self.socket())
            .args(["--save", "", "--appendonly", "no", "--logfile", "log"])
            .args(&self.more);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        let mut child = child.expect("redis-server is there: scripts/need redis");
        let mut has_ended = false;
        until("redis-server answers", || {
            has_ended = child.try_wait().unwrap().is_some();
            has_ended || self.try_ask("PING").is_some_and(|answer| answer.starts_with('+'))
        });
        self.child = Some(child).filter(|_| !has_ended);
        !has_ended
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The address of a journal in it.
    pub fn journal(&self) -> String {
        format!("redis+unix://{}?namespace=test", self.socket().display())
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("redis.sock")
    }

    /// Where it listens, once [`listen`](Self::listen) has started it.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it answers to a line.
    pub fn ask(&self, line: &str) -> String {
        self.try_ask(line).unwrap_or_else(|| panic!("no answer to {line}"))
    }

    /// The same, or `None` when it ends the connection.
    pub fn try_ask(&self, line: &str) -> Option<String> {
        let mut socket = UnixStream::connect(self.socket()).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(format!("{line}\r\n").as_bytes()).ok()?;
        let mut answer = [0; 4_096];
        let read = socket.read(&mut answer).ok().filter(|read| *read > 0)?;
        Some(String::from_utf8_lossy(&answer[..read]).into_owned())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Masters of a cluster, each with as many slots as the others, from the first on.
pub struct Cluster {
    pub masters: Vec<Redis>,
}

impl Cluster {
    /// Starts three with these settings.
    pub fn start(settings: &[&str]) -> Self {
        let settings = [&["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"], settings].concat();
        let masters: Vec<Redis> = (0..3).map(|_| Redis::listen("", &settings)).collect();
        for (index, master) in masters.iter().enumerate() {
            let (from, to) = (index * SLOTS / 3, (index + 1) * SLOTS / 3 - 1);
            assert_eq!(master.ask(&format!("CLUSTER ADDSLOTSRANGE {from} {to}")), OK);
            assert_eq!(master.ask(&format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1)), OK);
            assert_eq!(masters[0].ask(&format!("CLUSTER MEET 127.0.0.1 {}", master.port())), OK);
        }
        let is_up = |master: &Redis| master.ask("CLUSTER INFO").contains("cluster_state:ok");
        until("the cluster to be whole", || masters.iter().all(is_up));
        Self { masters }
    }

    /// The address of a journal in it, which names the first master only.
    pub fn journal(&self) -> String {
        format!("redis+cluster://127.0.0.1:{}?namespace=test", self.masters[0].port())
    }

    /// The slot that the journal is in.
    pub fn slot(&self) -> usize {
        let slot = self.masters[0].ask("CLUSTER KEYSLOT {test}log");
        slot.trim_start_matches(':').trim_end().parse().unwrap()
    }

    /// Which of the masters had the slot in the beginning.
    pub fn owner(&self) -> usize {
        self.slot() * 3 / SLOTS
    }

    /// Takes the journal from one master to another, one key after the other, while others use it.
    pub fn migrate(&self, from: usize, to: usize) {
        let (slot, [from, to]) = (self.slot(), [from, to].map(|index| &self.masters[index]));
        let [from_id, to_id] = [from, to].map(|node| {
            let answer = node.ask("CLUSTER MYID");
            answer.lines().nth(1).unwrap().to_owned()
        });
        assert_eq!(to.ask(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}")), OK);
        assert_eq!(from.ask(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}")), OK);
        loop {
            let keys = from.ask(&format!("CLUSTER GETKEYSINSLOT {slot} 1"));
            let Some(key) = keys.lines().nth(2) else { break };
            let answer = from.ask(&format!("MIGRATE 127.0.0.1 {} {key} 0 5000", to.port()));
            assert!(answer.starts_with('+'), "{answer}");
        }
        for node in [to, from].into_iter().chain(&self.masters) {
            assert_eq!(node.ask(&format!("CLUSTER SETSLOT {slot} NODE {to_id}")), OK);
        }
    }
}

const SLOTS: usize = 16_384;
const OK: &str = "+OK\r\n";
