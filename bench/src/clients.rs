//! Tens of thousands of plain HTTP/1.1 SSE clients on one thread. It polls without sleeping, so that the server does not
//! pay for waking it, and checks of each client that every event of its channel came once and in order.

use std::{
    cmp::Ordering,
    io::{ErrorKind, Read},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use socket2::{Domain, Socket, Type};

use crate::{
    body::Body,
    payload::{STAMP_BYTES, Stamp, now_ns, scan},
};

/// Open clients and what they received.
#[derive(Debug)]
pub(crate) struct Clients {
    poll: Poll,
    ready: Events,
    all: Vec<Client>,
    opened: usize,
    received: u64,
    latencies_us: Vec<u32>,
    /// One read; in front of it room for what the last read of a client left over.
    buffer: Box<[u8]>,
}

/// Which channels the clients read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Channels {
    /// All of them [`ONE_CHANNEL`].
    One,
    /// Each its own: `ch-0`, `ch-1` and so on.
    Own,
}

pub(crate) const ONE_CHANNEL: &str = "bench";

#[derive(Debug)]
struct Client {
    socket: TcpStream,
    body: Body,
    /// The sequence number of the event that must come next.
    next: u64,
    /// The end of the last read that may be the beginning of a stamp.
    rest: [u8; STAMP_BYTES],
    rest_bytes: u8,
}

impl Clients {
    /// Opens `count` streams at `server`, `opening` of them at a time, and returns when the head of each response is there.
    ///
    /// In `path` the text `{channel}` stands for the channel's name.
    pub(crate) fn open(
        server: SocketAddr,
        path: &str,
        channels: Channels,
        count: usize,
        opening: usize,
        timeout: Duration,
    ) -> Result<Self> {
        let mut clients = Self {
            poll: Poll::new().context("cannot make a poller")?,
            ready: Events::with_capacity(1024),
            all: Vec::with_capacity(count),
            opened: 0,
            received: 0,
            latencies_us: Vec::new(),
            buffer: vec![0; STAMP_BYTES + READ_BYTES].into_boxed_slice(),
        };
        let deadline = Instant::now() + timeout;
        while clients.opened < count {
            while clients.all.len() < count && clients.all.len() - clients.opened < opening {
                clients.connect(server, path, channels)?;
            }
            clients.receive()?;
            ensure!(
                Instant::now() < deadline,
                "only {} of {count} streams opened within {timeout:?}",
                clients.opened
            );
        }
        Ok(clients)
    }

    /// Reads what is there, without waiting.
    pub(crate) fn receive(&mut self) -> Result<()> {
        match self.poll.poll(&mut self.ready, Some(Duration::ZERO)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error).context("cannot poll"),
            _ => {}
        }
        for event in &self.ready {
            let client = &mut self.all[event.token().0];
            let was_open = client.body.is_open();
            let before = self.latencies_us.len();
            client
                .read(&mut self.buffer, event.is_read_closed(), &mut self.latencies_us)
                .with_context(|| format!("client {} after {} events", event.token().0, client.next))?;
            self.received += (self.latencies_us.len() - before) as u64;
            self.opened += usize::from(!was_open && client.body.is_open());
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Deliveries so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// The time from publish to receipt of each delivery since the last call.
    pub(crate) fn take_latencies_us(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.latencies_us)
    }

    /// Names a client that got the fewest events, for the message when deliveries are missing.
    pub(crate) fn shortest(&self) -> Option<(usize, u64)> {
        self.all.iter().map(|client| client.next).enumerate().min_by_key(|(_, next)| *next)
    }

    fn connect(&mut self, server: SocketAddr, path: &str, channels: Channels) -> Result<()> {
        let index = self.all.len();
        let channel = match channels {
            Channels::One => ONE_CHANNEL.to_owned(),
            Channels::Own => format!("ch-{index}"),
        };
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {server}\r\nAccept: text/event-stream\r\n\r\n",
            path.replace("{channel}", &channel)
        );
        let mut socket =
            connect(server, index).with_context(|| format!("cannot connect client {index} to {server}"))?;
        self.poll
            .registry()
            .register(&mut socket, Token(index), Interest::READABLE)
            .context("cannot poll a socket")?;
        let written =
            std::io::Write::write(&mut socket, request.as_bytes()).context("cannot send a request")?;
        ensure!(written == request.len(), "a request of {} bytes did not fit the socket", request.len());
        let (rest, rest_bytes) = ([0; STAMP_BYTES], 0);
        self.all.push(Client { socket, body: Body::new(), next: 0, rest, rest_bytes });
        Ok(())
    }
}

impl Client {
    /// Reads until the socket is drained, since readiness is told only once per arrival, or `closed` is confirmed.
    fn read(&mut self, buffer: &mut [u8], closed: bool, latencies_us: &mut Vec<u32>) -> Result<()> {
        loop {
            let room = &mut buffer[STAMP_BYTES..];
            let read = match self.socket.read(room) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("cannot read"),
            };
            let drained = read < room.len() && !closed;
            let content = self.body.strip(&mut room[..read])?;
            self.count(buffer, content, latencies_us)?;
            if drained {
                return Ok(());
            }
        }
    }

    /// Counts the events in the `content` bytes behind the room for the rest of the last read.
    fn count(&mut self, buffer: &mut [u8], content: usize, latencies_us: &mut Vec<u32>) -> Result<()> {
        let start = STAMP_BYTES - usize::from(self.rest_bytes);
        buffer[start..STAMP_BYTES].copy_from_slice(&self.rest[..usize::from(self.rest_bytes)]);
        let bytes = &buffer[start..STAMP_BYTES + content];
        let now_ns = now_ns();
        let rest = scan(bytes, |stamp| {
            self.next = check_order(self.next, stamp)?;
            latencies_us.push((now_ns.saturating_sub(stamp.sent_ns) / 1000).try_into().unwrap_or(u32::MAX));
            Ok::<(), anyhow::Error>(())
        })?;
        let rest = &bytes[rest..];
        self.rest[..rest.len()].copy_from_slice(rest);
        self.rest_bytes = rest.len() as u8;
        Ok(())
    }
}

const READ_BYTES: usize = 64 * 1024;
/// Streams that are being opened at a time: fewer than the shortest accept queue among the peers (100).
pub(crate) const MAX_OPENING: usize = 64;
/// Clients come from several addresses of the loopback network: one address has 28,000 ports, and those of the last
/// run stay taken for a minute.
const SOURCE_ADDRESSES: usize = 16;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

fn check_order(expected: u64, stamp: Stamp) -> Result<u64> {
    match stamp.seq.cmp(&expected) {
        Ordering::Equal => Ok(expected + 1),
        Ordering::Greater => {
            Err(anyhow!("lost {} events: expected {expected}, got {}", stamp.seq - expected, stamp.seq))
        }
        Ordering::Less => Err(anyhow!("event {} came twice or late: expected {expected}", stamp.seq)),
    }
}

fn connect(server: SocketAddr, index: usize) -> Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
    if server.is_ipv4() && server.ip().is_loopback() {
        let source = Ipv4Addr::new(127, 0, 0, 2 + (index % SOURCE_ADDRESSES) as u8);
        socket.bind(&SocketAddr::V4(SocketAddrV4::new(source, 0)).into())?;
    }
    socket.connect_timeout(&server.into(), CONNECT_TIMEOUT)?;
    socket.set_nonblocking(true)?;
    Ok(TcpStream::from_std(socket.into()))
}

#[cfg(test)]
mod tests {
    use std::{io::Write, net::TcpListener, thread};

    use super::*;
    use crate::payload::write_data;

    /// A server for one client that writes these pieces, each with its own `write`, then closes.
    fn serve(pieces: Vec<String>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.set_nodelay(true).unwrap();
            let mut request = [0; 1024];
            let read = socket.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"GET /e?c=bench HTTP/1.1\r\n"));
            for piece in pieces {
                socket.write_all(piece.as_bytes()).unwrap();
            }
        });
        address
    }

    /// How the only client of a server that writes these events ends.
    fn end_after(events: impl IntoIterator<Item = u64>) -> String {
        let mut pieces = vec!["HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n".to_owned()];
        let mut data = String::new();
        for seq in events {
            write_data(&mut data, Stamp { seq, sent_ns: now_ns() }, 100);
            let (a, b) = data.split_at(10);
            pieces.extend([format!("data: {a}"), format!("{b}\n\n")]);
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        let read_to_the_end = || -> Result<()> {
            let mut clients =
                Clients::open(serve(pieces), "/e?c={channel}", Channels::One, 1, 1, Duration::from_secs(10))?;
            while Instant::now() < deadline {
                clients.receive()?;
                assert_eq!(clients.shortest(), Some((0, clients.received())));
            }
            Ok(())
        };
        format!("{:#}", read_to_the_end().unwrap_err())
    }

    #[test]
    fn each_event_once_and_in_order_is_counted() {
        assert_eq!(end_after(0..50), "client 0 after 50 events: the server closed the connection");
    }

    #[test]
    fn a_lost_and_a_doubled_event_are_told() {
        assert_eq!(end_after([0, 1, 4]), "client 0 after 2 events: lost 2 events: expected 2, got 4");
        assert_eq!(end_after([0, 1, 1]), "client 0 after 2 events: event 1 came twice or late: expected 2");
    }

    #[test]
    fn a_server_that_does_not_answer_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = Clients::open(
            listener.local_addr().unwrap(),
            "/",
            Channels::Own,
            3,
            2,
            Duration::from_millis(50),
        );
        assert!(error.unwrap_err().to_string().contains("only 0 of 3 streams opened within 50ms"));
    }
}
