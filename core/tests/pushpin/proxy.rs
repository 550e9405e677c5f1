//! A Pushpin of the test's own: its four programs in one short directory, ended with the test.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::common::{Act, PATIENCE, Relay};

/// The `sig_key` of every Pushpin here, unless a test gives another.
pub const SIG_KEY: &str = "the-sig-key-of-these-tests";

#[derive(Debug)]
pub struct Pushpin {
    pub settings: Settings,
    /// Where clients connect.
    pub http: SocketAddr,
    /// Where publishers connect.
    pub control: SocketAddr,
    directory: PathBuf,
    programs: Vec<(&'static str, Child)>,
    /// What Pushpin asks to say that it is ready, so that the application under test is not asked.
    ready: Relay,
}

/// What differs between tests; the rest is that of a plain Pushpin.
#[derive(Clone, Debug)]
pub struct Settings {
    pub sig_key: &'static str,
    /// Added to the route, such as `,no_grip`.
    pub route_options: &'static str,
    /// How long an item waits for the one before it: the default of 5 s makes tests with gaps slow.
    pub message_wait_ms: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { sig_key: SIG_KEY, route_options: "", message_wait_ms: 500 }
    }
}

impl Pushpin {
    /// Chooses its ports, so that the application can be told of them before it starts.
    pub fn new(settings: Settings) -> Self {
        for program in ["condure", "zurl", "pushpin-proxy", "pushpin-handler", "setpriv"] {
            let found = std::env::var("PATH").unwrap_or_default().split(':').any(|directory| {
                let path = PathBuf::from(directory).join(program);
                path.exists()
            });
            assert!(found, "{program} is missing, which these tests need: run scripts/need pushpin");
        }
        // Paths of Unix sockets may have 107 bytes.
        let directory = PathBuf::from(format!("/tmp/pp-{}-{:x}", std::process::id(), fastrand::u32(..)));
        for part in ["r", "l"] {
            fs::create_dir_all(directory.join(part)).unwrap();
        }
        let ready = Relay::accepting();
        ready.act(|_| Act::Hold);
        Self { settings, http: free_port(), control: free_port(), directory, programs: Vec::new(), ready }
    }

    /// A `GRIP_URL` for it.
    pub fn grip_url(&self) -> String {
        format!("http://{}?verify-key={SIG_KEY}", self.control)
    }

    /// Starts it in front of `origin`, on the same ports every time, and waits until it answers.
    pub fn start(&mut self, origin: SocketAddr) {
        let mut last = String::new();
        for _ in 0..3 {
            self.spawn(origin);
            match self.until_ready() {
                Ok(()) => return,
                Err(reason) => last = reason,
            }
            self.stop();
        }
        panic!("Pushpin does not start: {last}");
    }

    /// Ends it as a process manager does.
    pub fn stop(&mut self) {
        self.end(Signal::SIGTERM);
    }

    /// Ends it as a crash does.
    pub fn crash(&mut self) {
        self.end(Signal::SIGKILL);
    }

    fn end(&mut self, signal: Signal) {
        for (_, child) in &self.programs {
            let _ = kill(Pid::from_raw(child.id().cast_signed()), signal);
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        for (_, mut child) in self.programs.drain(..) {
            while matches!(child.try_wait(), Ok(None)) {
                if Instant::now() > deadline {
                    let _ = child.kill();
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    fn spawn(&mut self, origin: SocketAddr) {
        let directory = self.directory.display().to_string();
        let run = format!("{directory}/r");
        let write = |name: &str, text: String| fs::write(self.directory.join(name), text).unwrap();
        let Settings { sig_key, route_options, message_wait_ms } = self.settings;
        let (http, control, ready) = (self.http.port(), self.control.port(), self.ready.address);
        write("routes", format!("*,path_beg={READY} {ready}\n*,debug{route_options} {origin}\n"));
        let fill = |text: &str| {
            text.replace("{d}", &directory)
                .replace("{r}", &run)
                .replace("{http}", &http.to_string())
                .replace("{control}", &control.to_string())
                .replace("{sig_key}", sig_key)
                .replace("{message_wait}", &message_wait_ms.to_string())
        };
        write("pushpin.conf", fill(PUSHPIN_CONF));
        write("zurl.conf", fill(ZURL_CONF));
        let config = format!("--config={directory}/pushpin.conf");
        let programs: [(&str, Vec<String>); 4] = [
            (
                "condure",
                vec![
                    "--log-level=2".into(),
                    format!("--listen=127.0.0.1:{http},stream"),
                    format!("--zclient-stream=ipc://{run}/p-condure"),
                    "--buffer-size=8192".into(),
                    // With fewer it crashes when a message goes to many at once.
                    "--stream-maxconn=5000".into(),
                ],
            ),
            ("zurl", vec![format!("--config={directory}/zurl.conf"), "--loglevel=2".into()]),
            ("pushpin-proxy", vec![config.clone(), "--ipc-prefix=p-".into(), "--loglevel=2".into()]),
            ("pushpin-handler", vec![config, "--ipc-prefix=p-".into(), "--loglevel=2".into()]),
        ];
        self.programs = programs
            .into_iter()
            .map(|(program, arguments)| {
                let log = fs::File::create(self.log_path(program)).unwrap();
                // Ends with the thread that runs the test, whatever ends that.
                let child = Command::new("setpriv")
                    .args(["--pdeathsig", "KILL", program])
                    .args(arguments)
                    .current_dir(&self.directory)
                    .stdin(Stdio::null())
                    .stdout(log.try_clone().unwrap())
                    .stderr(log)
                    .spawn()
                    .unwrap();
                (program, child)
            })
            .collect();
    }

    fn until_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        // A stream that it holds is answered by its handler, which its proxy may find later than all else.
        for (address, target) in [(self.control, "/"), (self.http, READY)] {
            // A first request can be lost while the programs find each other.
            while !answers(address, target) {
                if let Some(reason) = self.reason_of_end() {
                    return Err(reason);
                }
                if Instant::now() > deadline {
                    return Err(format!("no answer from {target}: {}", self.logs()));
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }

    /// A program that has ended, which it does with status 0 when it does not like its settings.
    fn reason_of_end(&mut self) -> Option<String> {
        let ended = self.programs.iter_mut().find_map(|(program, child)| {
            child.try_wait().unwrap().map(|status| format!("{program} ended with {status}"))
        })?;
        Some(format!("{ended}: {}", self.logs()))
    }

    /// What its programs have said last.
    pub fn logs(&self) -> String {
        let mut out = String::new();
        for (program, _) in &self.programs {
            let log = fs::read_to_string(self.log_path(program)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(30)..].join("\n");
            write!(out, "\n--- {program}\n{last}\n").unwrap();
        }
        out
    }

    fn log_path(&self, program: &str) -> PathBuf {
        self.directory.join("l").join(format!("{program}.log"))
    }
}

impl Drop for Pushpin {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        self.stop();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Whether a request is answered without an error, within a second.
fn answers(address: SocketAddr, target: &str) -> bool {
    use std::io::{Read, Write};
    let ask = || -> std::io::Result<bool> {
        let mut socket = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket.write_all(
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes(),
        )?;
        let mut answer = [0; 12];
        socket.read_exact(&mut answer)?;
        Ok(answer.starts_with(b"HTTP/1.1 2"))
    };
    ask().unwrap_or(false)
}

/// A port that nobody listens on, and that the system gives to nobody: it has to stay free until Pushpin takes it, also
/// while Pushpin restarts.
fn free_port() -> SocketAddr {
    let candidates =
        std::iter::repeat_with(|| SocketAddr::from((Ipv4Addr::LOCALHOST, fastrand::u16(10_000..32_000))));
    candidates.take(1_000).find(|address| TcpListener::bind(address).is_ok()).expect("there are free ports")
}

/// Answered with a Grip header: only then has an answer gone through all of Pushpin.
const READY: &str = "/__ready";

const PUSHPIN_CONF: &str = include_str!("pushpin.conf");
const ZURL_CONF: &str = include_str!("zurl.conf");
