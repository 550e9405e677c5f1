//! The limit: what the kernel charges for delivering. Accept, answer the head, then one `write(2)` of the finished chunk
//! for each event and client, and nothing else: no history, no back-pressure, no timers, no detection of the dead.

use std::{
    collections::HashMap,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use super::commands::{EVENT_NAME, Publish, Ready, obey};

/// Serves with sockets as the kernel makes them, or with `TCP_NODELAY`. Without it the kernel gathers the small writes
/// of a burst while an acknowledgement is out: far cheaper, and tens of milliseconds late. With it each event leaves at
/// once, as every real server has it.
pub(super) fn serve(nodelay: bool) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    let address = listener.local_addr()?;
    let streams = Streams::default();
    let opened = Arc::clone(&streams);
    thread::spawn(move || accept(&listener, nodelay, &opened));
    let limit = Limit { streams, chunk: Vec::new(), published: 0 };
    obey(limit, Ready::at(address, "/events/?channel={channel}"))
}

/// Open streams by channel.
type Streams = Arc<Mutex<HashMap<String, Vec<TcpStream>>>>;

struct Limit {
    streams: Streams,
    /// The event as one chunk, ready to be written.
    chunk: Vec<u8>,
    published: u64,
}

impl Publish for Limit {
    fn publish(&mut self, channel: &str, data: &str) -> Result<()> {
        self.published += 1;
        let event = format!("event: {EVENT_NAME}\ndata: {data}\nid: 00000001-{:012x}\n\n", self.published);
        self.chunk.clear();
        write!(self.chunk, "{:x}\r\n{event}\r\n", event.len())?;
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(streams) = streams.get_mut(channel) {
            streams.retain_mut(|stream| deliver(stream, &self.chunk).is_ok());
        }
        Ok(())
    }
}

/// Writes a chunk. A full socket is waited for, since the limit keeps nothing; on loopback that is rare.
fn deliver(stream: &mut TcpStream, chunk: &[u8]) -> std::io::Result<()> {
    let written = match stream.write(chunk) {
        Ok(written) if written == chunk.len() => return Ok(()),
        Ok(written) => written,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error),
    };
    stream.set_nonblocking(false)?;
    stream.write_all(&chunk[written..])?;
    stream.set_nonblocking(true)
}

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache, no-transform\r\n\
    X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n";
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

fn accept(listener: &TcpListener, nodelay: bool, streams: &Streams) {
    for stream in listener.incoming() {
        if let Err(error) = stream.and_then(|stream| open(stream, nodelay, streams)) {
            eprintln!("limit: cannot open a stream: {error}");
        }
    }
}

fn open(mut stream: TcpStream, nodelay: bool, streams: &Streams) -> std::io::Result<()> {
    stream.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    stream.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    stream.set_nodelay(nodelay)?;
    let mut request = [0; 1024];
    let mut length = 0;
    while !request[..length].ends_with(b"\r\n\r\n") {
        match stream.read(&mut request[length..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => length += read,
        }
    }
    let text = String::from_utf8_lossy(&request[..length]);
    let target = text.split(' ').nth(1).unwrap_or_default();
    let channel = target.rsplit_once("channel=").map_or("", |(_, channel)| channel).to_owned();
    // Under the lock: who has seen the head must get the next event, and no event may come before the head.
    let mut streams = streams.lock().unwrap_or_else(PoisonError::into_inner);
    stream.write_all(HEAD)?;
    stream.set_nonblocking(true)?;
    streams.entry(channel).or_default().push(stream);
    Ok(())
}
