//! One stream on a socket: what it still owes the client, and when it must be looked at again.

use super::{
    Guest,
    batch::{Batch, Progress},
    socket::{Peer, Socket},
    timers::Timers,
};
use crate::{
    stream::{CloseReason, Read, Stream},
    wire::Frame,
};

/// How the head of the response said that the body is delimited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Framing {
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Until the connection closes, as with HTTP/1.0.
    Close,
}

/// A stream whose socket a shard owns.
pub(super) struct Member {
    pub(super) stream: Stream,
    pub(super) socket: Socket,
    pub(super) framing: Framing,
    pub(super) guest: Option<Guest>,
    /// The feed it belongs to, and its place among the feed's members.
    pub(super) feed: usize,
    pub(super) place: usize,
    /// The time of its one valid entry among the timers.
    pub(super) timer_ms: u64,
    /// What must go out before anything else.
    owed: Option<Owed>,
    /// What goes out after that, as the last.
    farewell: Option<Box<[u8]>>,
    state: State,
    last_write_ms: u64,
    expires_ms: u64,
    received: usize,
}

/// Bytes that were begun.
struct Owed {
    bytes: OwedBytes,
    sent: usize,
}

enum OwedBytes {
    Frame(Frame),
    Own(Box<[u8]>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// The socket takes bytes, as far as we know.
    Writable,
    /// The socket is full; the poller will tell when it is not.
    Full,
    /// The last words are on their way; when they are out, or at the deadline, it ends.
    Leaving { full: bool, deadline_ms: u64 },
}

/// Whether a member stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(super) enum Fate {
    Stay,
    /// There is more to write, but it is others' turn.
    Again,
    End(CloseReason),
}

impl Framing {
    pub(super) fn bytes(self, frame: &Frame) -> &[u8] {
        match self {
            Self::Chunked => frame.chunked(),
            Self::Close => frame.sse(),
        }
    }

    /// What ends the body.
    const fn terminator(self) -> &'static [u8] {
        match self {
            Self::Chunked => b"0\r\n\r\n",
            Self::Close => b"",
        }
    }
}

impl Member {
    pub(super) fn new(
        stream: Stream,
        socket: Socket,
        framing: Framing,
        first: Vec<u8>,
        guest: Option<Guest>,
        now_ms: u64,
    ) -> Self {
        let max_age_ms = stream.hub().config().max_age_ms;
        let expires_ms = match max_age_ms {
            0 => u64::MAX,
            age_ms => now_ms + age_ms + fastrand::u64(0..=age_ms / 10),
        };
        let owed = (!first.is_empty()).then(|| Owed { bytes: OwedBytes::Own(first.into()), sent: 0 });
        Self {
            stream,
            socket,
            framing,
            guest,
            feed: 0,
            place: 0,
            timer_ms: u64::MAX,
            owed,
            farewell: None,
            state: State::Writable,
            last_write_ms: now_ms,
            expires_ms,
            received: 0,
        }
    }

    /// Whether it could take events at this moment, and is at `cursor` or after it.
    pub(super) fn is_ready(&self, cursor: u64) -> bool {
        self.state == State::Writable && self.stream.cursor() >= cursor
    }

    /// Whether the poller is to tell when the socket has room.
    pub(super) fn is_full(&self) -> bool {
        matches!(self.state, State::Full | State::Leaving { full: true, .. })
    }

    /// The socket has room again.
    pub(super) fn now_writable(&mut self) {
        match &mut self.state {
            State::Leaving { full, .. } => *full = false,
            state => *state = State::Writable,
        }
    }

    /// The socket has something to read: bytes that nobody asked for, or its end.
    pub(super) fn readable(&mut self) -> Fate {
        match self.socket.drain(MAX_RECEIVED_BYTES - self.received) {
            Peer::Open(bytes) if self.received + bytes <= MAX_RECEIVED_BYTES => {
                self.received += bytes;
                Fate::Stay
            }
            _ => Fate::End(CloseReason::Client),
        }
    }

    /// Gives it the events of `batch`, which its feed has read up to `upto`. It is ready.
    pub(super) fn deliver(&mut self, batch: &mut Batch, upto: u64, now_ms: u64) -> Fate {
        let first = batch.after(self.stream.cursor());
        if first == batch.items.len() {
            self.stream.set_cursor(upto.max(self.stream.cursor()));
            return Fate::Stay;
        }
        let bytes = batch.bytes(self.framing, first);
        let wanted = bytes.len();
        let Ok(written) = self.socket.send(bytes) else { return Fate::End(CloseReason::Client) };
        if written > 0 {
            self.last_write_ms = now_ms;
        }
        let counters = &self.stream.hub().counters;
        if written == wanted {
            counters.count_delivered(batch.items.len() - first, written);
            self.stream.set_cursor(upto);
            return Fate::Stay;
        }
        // The socket is full. What is begun will be finished; the rest stays in the log.
        let Progress { whole, into_next } = batch.progress(self.framing, first, written);
        counters.count_delivered(whole - first, written);
        self.state = State::Full;
        if into_next > 0 {
            let next = &batch.items[whole];
            self.owed = Some(Owed { bytes: OwedBytes::Frame(next.frame.clone()), sent: into_next });
            self.stream.set_cursor(next.seq);
        } else if whole > 0 {
            self.stream.set_cursor(batch.items[whole - 1].seq.max(self.stream.cursor()));
        }
        Fate::Stay
    }

    /// Writes what it owes and then what the log has for it, until it is level, its socket is full, or others wait.
    pub(super) fn pump(&mut self, batch: &mut Batch, now_ms: u64) -> Fate {
        for _ in 0..MAX_ROUNDS {
            match self.pay(now_ms) {
                Ok(true) => {}
                Ok(false) => return Fate::Stay,
                Err(fate) => return fate,
            }
            batch.clear();
            match self.stream.read(BATCH_BYTES, &mut batch.items) {
                Read::Events if batch.items.is_empty() => return Fate::Stay,
                Read::Events => {
                    let upto = self.stream.cursor();
                    self.stream.set_cursor(batch.items[0].seq - 1);
                    if let Fate::End(reason) = self.deliver(batch, upto, now_ms) {
                        return Fate::End(reason);
                    }
                }
                Read::Notice(frame) => self.owed = Some(Owed { bytes: OwedBytes::Frame(frame), sent: 0 }),
                Read::End(frame) => self.leave(&frame, CloseReason::Slow, now_ms + FAREWELL_MS),
            }
        }
        Fate::Again
    }

    /// Has it say `goodbye`, after what it owes, and end when that is out or the deadline has come.
    pub(super) fn leave(&mut self, goodbye: &Frame, reason: CloseReason, deadline_ms: u64) {
        if let State::Leaving { deadline_ms: earlier, .. } = &mut self.state {
            *earlier = deadline_ms.min(*earlier);
            return;
        }
        self.stream.set_close_reason(reason);
        self.farewell = Some([self.framing.bytes(goodbye), self.framing.terminator()].concat().into());
        self.state = State::Leaving { full: self.state == State::Full, deadline_ms };
    }

    /// What its deadlines ask for at `now_ms`.
    pub(super) fn on_time(&mut self, batch: &mut Batch, now_ms: u64) -> Fate {
        match self.state {
            State::Leaving { deadline_ms, .. } if deadline_ms <= now_ms => {
                return Fate::End(CloseReason::Shutdown);
            }
            State::Leaving { .. } => return Fate::Stay,
            State::Full if self.write_deadline_ms() <= now_ms => return Fate::End(CloseReason::WriteTimeout),
            _ => {}
        }
        if self.expires_ms <= now_ms {
            let goodbye = self.stream.hub().goodbye();
            self.leave(&goodbye, CloseReason::MaxAge, now_ms + FAREWELL_MS);
            return self.pump(batch, now_ms);
        }
        if self.state == State::Writable && self.keep_alive_ms() <= now_ms {
            // Reading first makes sure that the position a keep-alive carries is one the client has reached.
            let fate = self.pump(batch, now_ms);
            if fate != Fate::Stay || self.state != State::Writable || self.keep_alive_ms() > now_ms {
                return fate;
            }
            let frame = self.stream.hub().keep_alive(self.stream.cursor());
            self.owed = Some(Owed { bytes: OwedBytes::Frame(frame), sent: 0 });
            return self.pump(batch, now_ms);
        }
        Fate::Stay
    }

    /// When [`on_time`](Self::on_time) must be called next.
    pub(super) fn due_ms(&self) -> u64 {
        Timers::round_up(match self.state {
            State::Writable => self.keep_alive_ms().min(self.expires_ms),
            State::Full => self.write_deadline_ms().min(self.expires_ms),
            State::Leaving { deadline_ms, .. } => deadline_ms,
        })
    }

    /// Writes what it owes; true when nothing is left and the socket may take more.
    fn pay(&mut self, now_ms: u64) -> Result<bool, Fate> {
        loop {
            if self.is_full() {
                return Ok(false);
            }
            let Some(owed) = &mut self.owed else {
                if let Some(bytes) = self.farewell.take() {
                    self.owed = Some(Owed { bytes: OwedBytes::Own(bytes), sent: 0 });
                    continue;
                }
                return match self.state {
                    // The reason was set when it began to leave.
                    State::Leaving { .. } => Err(Fate::End(CloseReason::Dropped)),
                    _ => Ok(true),
                };
            };
            let bytes = match &owed.bytes {
                OwedBytes::Frame(frame) => &self.framing.bytes(frame)[owed.sent..],
                OwedBytes::Own(bytes) => &bytes[owed.sent..],
            };
            let wanted = bytes.len();
            let written = self.socket.send(bytes).map_err(|_| Fate::End(CloseReason::Client))?;
            if written > 0 {
                self.last_write_ms = now_ms;
                self.stream.hub().counters.count_delivered(0, written);
            }
            if written == wanted {
                self.owed = None;
                continue;
            }
            owed.sent += written;
            match &mut self.state {
                State::Leaving { full, .. } => *full = true,
                state => *state = State::Full,
            }
        }
    }

    fn keep_alive_ms(&self) -> u64 {
        match self.stream.hub().config().keep_alive_ms {
            0 => u64::MAX,
            after_ms => self.last_write_ms + after_ms,
        }
    }

    fn write_deadline_ms(&self) -> u64 {
        self.last_write_ms + self.stream.hub().config().write_timeout_ms
    }

    /// Whether its reason to end is already set.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving { .. })
    }
}

/// Bytes read from the log at a time: enough that a write is worth its system call, little enough that others wait
/// for microseconds only.
pub(super) const BATCH_BYTES: usize = 128 * 1_024;

/// Batches that one stream may take before it is others' turn.
const MAX_ROUNDS: usize = 4;

/// A client of a stream has nothing to say; one that goes on talking is not a client of ours.
const MAX_RECEIVED_BYTES: usize = 64 * 1_024;

/// How long the last words may take when no deadline was given.
const FAREWELL_MS: u64 = 1_000;
