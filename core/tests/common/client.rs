//! An HTTP and SSE client that shows what was really sent.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::{Duration, Instant},
};

use evstream::{
    __internal::{Decoded, Decoder},
    Address, Server,
};
use socket2::Socket;

use super::{PATIENCE, body::Unframe};

/// A connection to a server.
#[derive(Debug)]
pub struct Conn {
    pub socket: Socket,
    /// What was received and not yet used.
    pub received: Vec<u8>,
}

/// The head of a response.
#[derive(Clone, Debug)]
pub struct Head {
    pub version: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
}

/// A stream that is read event by event.
#[derive(Debug)]
pub struct Client {
    pub conn: Conn,
    pub head: Head,
    body: Unframe,
    decoder: Decoder,
    events: VecDeque<Decoded>,
    close_notice: Option<String>,
    opened: bool,
    /// Bytes of the body so far, without framing.
    pub text: Vec<u8>,
}

/// How a stream has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Over {
    /// As its framing says: the last chunk, or a close where that is the end.
    Complete,
    /// The connection was closed in the middle.
    Cut,
    /// The connection was reset.
    Reset,
}

impl Conn {
    pub fn open(server: &Server) -> Self {
        match server.address() {
            Address::Tcp(address) => Self::tcp(*address),
            Address::Unix(path) => Self::new(UnixStream::connect(path).unwrap()),
            other => panic!("{other:?} is a new kind of address"),
        }
    }

    pub fn tcp(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
    }

    /// A connection whose client side buffers as little as the system allows.
    pub fn with_small_buffer(server: &Server) -> Self {
        let Address::Tcp(address) = server.address() else { panic!("TCP only") };
        let socket =
            Socket::new(socket2::Domain::for_address(*address), socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(1).unwrap();
        socket.connect(&(*address).into()).unwrap();
        Self::new(socket)
    }

    pub fn new(socket: impl Into<OwnedFd>) -> Self {
        let socket = Socket::from(socket.into());
        socket.set_nonblocking(false).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { socket, received: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.socket.write_all(bytes.as_ref()).expect("the server takes the request");
        self
    }

    /// Sends until the server takes no more, for what it may refuse before it has read all.
    pub fn send_what_is_taken(&mut self, bytes: impl AsRef<[u8]>) {
        if let Err(error) = self.socket.write_all(bytes.as_ref()) {
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
        }
    }

    /// Sends an HTTP/1.1 request.
    pub fn request(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> &mut Self {
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in headers {
            write!(text, "{name}: {value}\r\n").unwrap();
        }
        self.send(text + "\r\n")
    }

    /// Reads more; how the connection ended when it has.
    pub fn fill(&mut self) -> Result<usize, Over> {
        self.fill_at_most(64 * 1_024)
    }

    pub fn fill_at_most(&mut self, bytes: usize) -> Result<usize, Over> {
        let deadline = Instant::now() + PATIENCE;
        self.fill_before(bytes, deadline).expect("the server sends something in time")
    }

    /// `None` when nothing came before the deadline.
    pub fn fill_before(&mut self, bytes: usize, deadline: Instant) -> Option<Result<usize, Over>> {
        let start = self.received.len();
        self.received.resize(start + bytes, 0);
        let result = loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(left)).unwrap();
            match self.socket.read(&mut self.received[start..]) {
                Ok(0) => break Some(Err(Over::Cut)),
                Ok(n) => break Some(Ok(n)),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if deadline <= Instant::now() {
                        break None;
                    }
                }
                Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                    break Some(Err(Over::Reset));
                }
                Err(e) => panic!("cannot read: {e}"),
            }
        };
        let got = if let Some(Ok(n)) = result { n } else { 0 };
        self.received.truncate(start + got);
        result
    }

    /// Reads the head of the next response.
    pub fn head(&mut self) -> Head {
        self.try_head().expect("a response comes before the connection ends")
    }

    pub fn try_head(&mut self) -> Result<Head, Over> {
        loop {
            if let Some(end) = self.received.windows(4).position(|w| w == b"\r\n\r\n") {
                let text: Vec<u8> = self.received.drain(..end + 4).collect();
                return Ok(Head::parse(std::str::from_utf8(&text[..end]).unwrap()));
            }
            self.fill_at_most(4 * 1_024)?;
        }
    }

    /// Reads the next response whole.
    pub fn response(&mut self) -> (Head, String) {
        let head = self.head();
        let body = self.body(&head);
        (head, body)
    }

    pub fn body(&mut self, head: &Head) -> String {
        let mut framing = head.framing();
        let mut body = Vec::new();
        loop {
            body.extend(framing.take(&mut self.received));
            if framing.is_over() {
                break;
            }
            if let Err(over) = self.fill() {
                let whole = matches!(framing, Unframe::UntilClose) && over == Over::Cut;
                assert!(whole, "the body is {over:?} after {:?}", String::from_utf8_lossy(&body));
                break;
            }
        }
        String::from_utf8(body).unwrap()
    }

    /// Reads until the connection ends; says how, and what came until then.
    pub fn read_to_end(&mut self) -> (Over, Vec<u8>) {
        loop {
            if let Err(over) = self.fill() {
                return (over, std::mem::take(&mut self.received));
            }
        }
    }

    /// Ends the connection with a RST.
    pub fn reset(self) {
        self.socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// The response that comes now is a stream.
    pub fn into_stream(mut self) -> Client {
        let head = self.head();
        self.continue_stream(head)
    }

    /// The response whose head was read is a stream.
    pub fn continue_stream(self, head: Head) -> Client {
        assert_eq!(head.status, 200, "{head:?}");
        let body = head.framing();
        Client::new(self, head, body)
    }
}

impl Head {
    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let mut first = lines.next().unwrap().splitn(3, ' ');
        let version = first.next().unwrap().to_owned();
        let status = first.next().unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Self { version, status, headers: lines.map(header).collect() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| &**value)
    }

    pub fn framing(&self) -> Unframe {
        match (self.header("transfer-encoding"), self.header("content-length")) {
            (Some("chunked"), None) => Unframe::chunked(),
            (None, Some(bytes)) => Unframe::Length(bytes.parse().unwrap()),
            (None, None) if self.status == 204 => Unframe::Length(0),
            (None, None) => Unframe::UntilClose,
            other => panic!("{other:?} is no framing"),
        }
    }
}

impl Client {
    /// A stream of the channels that `target` names, which must be granted; `stream-open` is still to be read.
    pub fn get(server: &Server, target: &str) -> Self {
        Self::resume(server, target, "")
    }

    /// The same, of a client that comes back.
    pub fn resume(server: &Server, target: &str, last_event_id: &str) -> Self {
        let mut conn = Conn::open(server);
        let headers = [("Last-Event-ID", last_event_id)];
        conn.request("GET", target, if last_event_id.is_empty() { &[] } else { &headers });
        conn.into_stream()
    }

    /// A stream whose `stream-open` was read.
    pub fn open(server: &Server, target: &str) -> Self {
        let mut client = Self::get(server, target);
        client.expect("stream-open");
        client
    }

    /// A stream that comes without a head, as those do that the engine adopts.
    pub fn headless(conn: Conn, body: Unframe) -> Self {
        Self::new(conn, Head { version: String::new(), status: 0, headers: Vec::new() }, body)
    }

    fn new(conn: Conn, head: Head, body: Unframe) -> Self {
        let (decoder, events) = (Decoder::new(), VecDeque::new());
        Self { conn, head, body, decoder, events, close_notice: None, opened: false, text: Vec::new() }
    }

    /// The next event.
    pub fn event(&mut self) -> Decoded {
        let next = self.next();
        next.unwrap_or_else(|over| {
            panic!("the stream is {over:?}; it ended {:?}", tail(&self.text));
        })
    }

    /// The next event, or how the stream has ended.
    pub fn next(&mut self) -> Result<Decoded, Over> {
        let deadline = Instant::now() + PATIENCE;
        self.next_before(deadline).unwrap_or_else(|| {
            panic!("no event came in time; the last words were {:?}", tail(&self.text));
        })
    }

    /// `None` when nothing came before the deadline.
    pub fn next_before(&mut self, deadline: Instant) -> Option<Result<Decoded, Over>> {
        loop {
            self.digest();
            if let Some(event) = self.events.pop_front() {
                return Some(Ok(event));
            }
            if self.body.is_over() {
                return Some(Err(Over::Complete));
            }
            match self.conn.fill_before(64 * 1_024, deadline)? {
                Ok(_) => {}
                Err(Over::Cut) if matches!(self.body, Unframe::UntilClose) => {
                    return Some(Err(Over::Complete));
                }
                Err(over) => return Some(Err(over)),
            }
        }
    }

    /// The events that have arrived, without waiting for more.
    pub fn arrived(&mut self) -> Vec<Decoded> {
        self.digest();
        self.events.drain(..).collect()
    }

    /// Reads until `condition` holds, which it must in time, whatever else keeps coming.
    pub fn read_until(&mut self, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        self.digest();
        while !condition(self) {
            match self.conn.fill_before(64 * 1_024, deadline) {
                Some(filled) => filled.unwrap_or_else(|over| panic!("the stream is {over:?}")),
                None => panic!("it did not come in time; the last words were {:?}", tail(&self.text)),
            };
            self.digest();
        }
    }

    /// The next event, which must be of this type.
    pub fn expect(&mut self, name: &str) -> Decoded {
        let event = self.event();
        assert_eq!(event.name.as_deref().unwrap_or("message"), name, "{event:?}");
        event
    }

    /// The data of the next event, which must be an application's.
    pub fn data(&mut self) -> String {
        self.expect("message").data
    }

    /// Reads to the end; gives back the data of the events until then, and how it ended.
    pub fn read_to_end(&mut self) -> (Vec<String>, Over) {
        let mut data = Vec::new();
        loop {
            match self.next() {
                Ok(event) => data.push(event.data),
                Err(over) => return (data, over),
            }
        }
    }

    /// The position to come back with.
    pub fn last_id(&self) -> &str {
        self.decoder.last_event_id()
    }

    pub fn retry_ms(&self) -> Option<u64> {
        self.decoder.retry_ms()
    }

    /// The reason of the `stream-close`, once it has come.
    pub fn close_notice(&self) -> Option<&str> {
        self.close_notice.as_deref()
    }

    fn digest(&mut self) {
        let bytes = self.body.take(&mut self.conn.received);
        for event in self.decoder.feed(&bytes) {
            assert_eq!(self.close_notice, None, "nothing follows a stream-close");
            if event.name.as_deref() == Some("stream-close") {
                // A stream that was never opened has no place, and a new client none of its own.
                assert!(!event.id.is_empty() || !self.opened, "it tells where the client is");
                let reason =
                    event.data.strip_prefix("{\"reason\":\"").and_then(|rest| rest.strip_suffix("\"}"));
                self.close_notice = Some(reason.expect("a reason").to_owned());
            } else {
                self.opened |= event.name.as_deref() == Some("stream-open");
                self.events.push_back(event);
            }
        }
        self.text.extend(bytes);
    }
}

fn tail(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[text.len().saturating_sub(300)..]).into_owned()
}
