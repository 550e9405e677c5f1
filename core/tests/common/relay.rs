//! A proxy that does to requests what networks and servers do: loses, delays, refuses and records them.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{PATIENCE, until};

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Act {
    /// It goes on to where it should.
    Pass,
    /// It goes on to there.
    To(SocketAddr),
    /// It goes on after a while.
    Delay(Duration),
    /// It goes on, and its answer comes after a while.
    Late(Duration),
    /// It is answered so, and goes nowhere.
    Answer(u16),
    /// It is answered with a stream that a proxy is to hold.
    Hold,
    /// The connection is closed without an answer.
    Cut,
    /// It is never answered.
    Stall,
}

/// Listens on a port of its own.
#[derive(Debug)]
pub struct Relay {
    pub address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Decides what becomes of a request.
type Decide = dyn FnMut(&Seen) -> Act + Send;

struct Shared {
    upstream: Option<SocketAddr>,
    /// Answers that are late, counted when they have come from upstream.
    answered: AtomicUsize,
    tls: Option<Arc<ServerConfig>>,
    act: Mutex<Box<Decide>>,
    seen: Mutex<Vec<Seen>>,
    stopped: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

impl Relay {
    /// A server that answers every request with 200, as a publish endpoint does.
    pub fn accepting() -> Self {
        Self::start(None, None, |_| Act::Answer(200))
    }

    /// The same over TLS.
    pub fn accepting_tls(config: ServerConfig) -> Self {
        Self::start(None, Some(config.into()), |_| Act::Answer(200))
    }

    /// A proxy in front of `upstream`.
    pub fn to(upstream: SocketAddr) -> Self {
        Self::start(Some(upstream), None, |_| Act::Pass)
    }

    fn start(
        upstream: Option<SocketAddr>,
        tls: Option<Arc<ServerConfig>>,
        act: impl FnMut(&Seen) -> Act + Send + 'static,
    ) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (act, seen, stopped) = (Mutex::new(Box::new(act) as _), Mutex::default(), AtomicBool::new(false));
        let answered = AtomicUsize::new(0);
        let shared = Arc::new(Shared { upstream, answered, tls, act, seen, stopped });
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || {
                for connection in listener.incoming().map_while(Result::ok) {
                    if shared.stopped.load(Ordering::SeqCst) {
                        return;
                    }
                    let shared = shared.clone();
                    std::thread::spawn(move || shared.accept(connection));
                }
            }
        });
        Self { address, scheme, shared, thread: Some(thread) }
    }

    /// Decides anew what becomes of requests from now on.
    pub fn act(&self, act: impl FnMut(&Seen) -> Act + Send + 'static) {
        *self.shared.act.lock().unwrap() = Box::new(act);
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until so many requests have come.
    pub fn until_seen(&self, count: usize) {
        until(&format!("{count} requests"), || self.shared.seen.lock().unwrap().len() >= count);
    }

    /// How many answers were [`Act::Late`] so far: each is written, and on its way.
    pub fn late_answers(&self) -> usize {
        self.shared.answered.load(Ordering::SeqCst)
    }

    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address)); // wakes it
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn accept(&self, client: TcpStream) {
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        match &self.tls {
            None => self.serve(client),
            Some(config) => {
                self.serve(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), client));
            }
        }
    }

    fn serve(&self, mut client: impl Wire) {
        let Some((raw, seen)) = read_request(&mut client) else { return };
        self.seen.lock().unwrap().push(seen.clone());
        let act = (self.act.lock().unwrap())(&seen);
        match act {
            Act::Answer(200) => answer(&mut client, 200, "", "Published\n"),
            Act::Answer(status) => answer(&mut client, status, "", "No\n"),
            Act::Hold => {
                let held = "Content-Type: text/event-stream\r\nGrip-Hold: stream\r\nGrip-Channel: ready\r\n";
                answer(&mut client, 200, held, ":ready\n\n");
            }
            Act::Cut => {}
            Act::Stall => {
                let _ = client.read(&mut [0]); // until the client has had enough
            }
            Act::Delay(time) => {
                std::thread::sleep(time);
                self.pass(&raw, &mut client, self.upstream, Duration::ZERO);
            }
            Act::Late(time) => self.pass(&raw, &mut client, self.upstream, time),
            Act::To(upstream) => self.pass(&raw, &mut client, Some(upstream), Duration::ZERO),
            Act::Pass => self.pass(&raw, &mut client, self.upstream, Duration::ZERO),
        }
    }

    /// Passes a request on, and its answer when it is whole and `late` is over.
    fn pass(&self, request: &[u8], client: &mut impl Wire, upstream: Option<SocketAddr>, late: Duration) {
        let Some(Ok(mut upstream)) = upstream.map(TcpStream::connect) else { return };
        if upstream.write_all(request).is_err() {
            return;
        }
        if late.is_zero() {
            let _ = std::io::copy(&mut upstream, client);
        } else {
            let mut answer = Vec::new();
            let _ = upstream.read_to_end(&mut answer);
            self.answered.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(late);
            let _ = client.write_all(&answer);
        }
        client.finish();
    }
}

/// What a request comes through.
trait Wire: Read + Write {
    /// Tells the client that this was all.
    fn finish(&mut self);
}

impl Wire for TcpStream {
    fn finish(&mut self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Wire for StreamOwned<ServerConnection, TcpStream> {
    fn finish(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
        self.sock.finish();
    }
}

fn answer(client: &mut impl Wire, status: u16, header: &str, body: &str) {
    let head =
        format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{header}Content-Length: {}\r\n\r\n", body.len());
    let _ = client.write_all((head + body).as_bytes());
    client.finish();
}

/// A request as it goes on, which is for this connection only, and as people read it.
fn read_request(client: &mut impl Wire) -> Option<(Vec<u8>, Seen)> {
    let mut bytes = Vec::new();
    let mut more = |bytes: &mut Vec<u8>| {
        let mut buffer = [0; 16_384];
        let count = client.read(&mut buffer).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        Some(())
    };
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        more(&mut bytes)?;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let first = lines.next()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse().unwrap());
    while bytes.len() < end + 4 + length {
        more(&mut bytes)?;
    }
    let body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
    let mut raw = format!("{first}\r\nConnection: close\r\n").into_bytes();
    for (name, value) in headers.iter().filter(|(name, _)| name != "connection") {
        raw.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    raw.extend_from_slice(b"\r\n");
    raw.extend_from_slice(&bytes[end + 4..]);
    Some((raw, Seen { method, target, headers, body }))
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| &**value)
    }
}
