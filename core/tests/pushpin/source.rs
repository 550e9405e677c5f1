//! A client that reads a stream as a browser's `EventSource` does: it comes back with the last id when the stream ends.

use std::{
    fmt::Write as _,
    net::{SocketAddr, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use evstream::__internal::{Decoded, Decoder};
use socket2::Socket;

use crate::common::{Conn, Head, PATIENCE};

#[derive(Debug)]
pub struct Source {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub struct State {
    /// Everything that has come, over all connections.
    pub events: Vec<Decoded>,
    /// The heads of all responses.
    pub heads: Vec<Head>,
    /// The bodies of all responses, one after the other.
    pub text: Vec<u8>,
    /// Requests sent.
    pub requests: usize,
    pub last_id: String,
    /// Set when it was answered with a status after which a browser does not come back.
    pub refused: Option<u16>,
    stopped: bool,
    /// The connection, for ending it from outside.
    socket: Option<Socket>,
}

impl Source {
    /// Begins to read `target`; a stream that is there from the start, and comes back after any end.
    pub fn open(address: SocketAddr, target: &str) -> Self {
        Self::with_headers(address, target, &[])
    }

    pub fn with_headers(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Self {
        Self::resume(address, target, headers, "")
    }

    pub fn resume(address: SocketAddr, target: &str, headers: &[(&str, &str)], last_id: &str) -> Self {
        let state = State { last_id: last_id.to_owned(), ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (target, reader) = (target.to_owned(), shared.clone());
        let thread = std::thread::Builder::new()
            .stack_size(256 * 1_024)
            .spawn(move || reader.run(address, &target, &headers))
            .unwrap();
        Self { shared, thread: Some(thread) }
    }

    /// Waits until `condition` holds of what has come.
    pub fn until(&self, what: &str, mut condition: impl FnMut(&State) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state();
        while !condition(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "waited in vain for: {what}; {} requests, {} answers, refused {:?}, got {:?}, ending {:?}",
                state.requests,
                state.heads.len(),
                state.refused,
                state.events.iter().map(|event| (event.name.as_deref(), &*event.data)).collect::<Vec<_>>(),
                String::from_utf8_lossy(&state.text[state.text.len().saturating_sub(60)..]),
            );
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits for its first `stream-open`.
    pub fn opened(self) -> Self {
        self.until("stream-open", |state| state.count("stream-open") > 0);
        self
    }

    /// Waits until it has got as many of the application's events as there are `texts`: these, each once and in order.
    pub fn expect_texts<T: AsRef<str>>(&self, texts: &[T]) {
        let expected: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let what = format!("{} texts from {:?} to {:?}", expected.len(), expected.first(), expected.last());
        self.until(&what, |state| state.texts().len() >= expected.len());
        assert_eq!(self.state().texts(), expected);
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl State {
    /// The data of the application's events.
    pub fn texts(&self) -> Vec<&str> {
        let own = |name: &str| name.starts_with("stream-") || name == "keep-alive";
        let events = self.events.iter().filter(|event| !event.name.as_deref().is_some_and(own));
        events.map(|event| &*event.data).collect()
    }

    pub fn count(&self, name: &str) -> usize {
        self.events.iter().filter(|event| event.name.as_deref() == Some(name)).count()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        {
            let mut state = self.state();
            state.stopped = true;
            if let Some(socket) = state.socket.take() {
                let _ = socket.shutdown(std::net::Shutdown::Both);
            }
        }
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "a client has panicked");
        }
    }
}

impl Shared {
    fn run(&self, address: SocketAddr, target: &str, headers: &[(String, String)]) {
        while !self.is_stopped() {
            if let Ok(socket) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
                self.read_one(Conn::new(socket), target, headers);
            }
            if self.is_stopped() || self.lock().refused.is_some() {
                return;
            }
            // The pause of a browser, only shorter.
            std::thread::sleep(Duration::from_millis(fastrand::u64(20..100)));
        }
    }

    /// Reads one response to its end.
    fn read_one(&self, mut conn: Conn, target: &str, headers: &[(String, String)]) {
        let mut request =
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n");
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        let last_id = self.lock().last_id.clone();
        if !last_id.is_empty() {
            write!(request, "Last-Event-ID: {last_id}\r\n").unwrap();
        }
        {
            let mut state = self.lock();
            if state.stopped {
                return;
            }
            state.socket = conn.socket.try_clone().ok();
            state.requests += 1;
        }
        if std::io::Write::write_all(&mut &conn.socket, (request + "\r\n").as_bytes()).is_err() {
            return;
        }
        let Ok(head) = conn.try_head() else { return };
        let (status, mut body, mut decoder) = (head.status, head.framing(), Decoder::new());
        {
            let mut state = self.lock();
            state.heads.push(head);
            // A browser would give up on a 5xx too. Pages try again, and so do these.
            state.refused = (status != 200 && status < 500).then_some(status);
        }
        self.changed.notify_all();
        if status != 200 {
            return;
        }
        loop {
            let bytes = body.take(&mut conn.received);
            if !bytes.is_empty() {
                let mut state = self.lock();
                state.events.extend(decoder.feed(&bytes));
                state.text.extend(bytes);
                if !decoder.last_event_id().is_empty() {
                    decoder.last_event_id().clone_into(&mut state.last_id);
                }
                drop(state);
                self.changed.notify_all();
            }
            if body.is_over()
                || !matches!(conn.fill_before(BUFFER, Instant::now() + PATIENCE * 10), Some(Ok(_)))
            {
                return;
            }
        }
    }

    /// A test that fails may have failed with the lock held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.lock().stopped
    }
}

/// Small, for there are many.
const BUFFER: usize = 4 * 1_024;
