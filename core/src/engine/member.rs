//! One stream on a socket: what it still owes the client, and when it must be looked at again.

use std::io;

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
    /// The socket takes no more for now; the poller will tell when it does.
    full: bool,
    leaving: Option<Box<Leaving>>,
    last_write_ms: u64,
    /// Since when the socket has taken nothing, while it is full.
    stalled_ms: Option<u64>,
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

/// How it is to end: at the deadline, or before when the events up to `until` and its last words are out.
struct Leaving {
    until: u64,
    deadline_ms: u64,
    /// Taken when it is owed.
    farewell: Option<Box<[u8]>>,
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

impl Fate {
    /// What becomes of a member whose connection has broken.
    fn of(error: &io::Error) -> Self {
        // The system waits for acknowledgements as long as we wait for room.
        Self::End(match error.kind() {
            io::ErrorKind::TimedOut => CloseReason::WriteTimeout,
            _ => CloseReason::Client,
        })
    }
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
            full: false,
            leaving: None,
            last_write_ms: now_ms,
            stalled_ms: None,
            expires_ms,
            received: 0,
        }
    }

    /// Whether events could be written to it at this moment, and it is at `cursor` or after it.
    pub(super) fn is_ready(&self, cursor: u64) -> bool {
        !self.full && self.leaving.is_none() && self.owed.is_none() && self.stream.cursor() >= cursor
    }

    /// Whether the poller is to tell when the socket has room.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// The socket has room again.
    pub(super) fn now_writable(&mut self) {
        self.full = false;
    }

    /// The socket has something to read: bytes that nobody asked for, or its end.
    pub(super) fn readable(&mut self) -> Fate {
        match self.socket.drain(MAX_RECEIVED_BYTES - self.received) {
            Ok(Peer::Open(bytes)) if self.received + bytes <= MAX_RECEIVED_BYTES => {
                self.received += bytes;
                Fate::Stay
            }
            Ok(_) => Fate::End(CloseReason::Client),
            Err(error) => Fate::of(&error),
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
        let written = match self.socket.send(bytes) {
            Ok(written) => written,
            Err(error) => return Fate::of(&error),
        };
        let all = self.wrote(written, wanted, now_ms);
        let counters = &self.stream.hub().counters;
        if all {
            counters.count_delivered(batch.items.len() - first, written);
            self.stream.set_cursor(upto);
            return Fate::Stay;
        }
        // The socket is full. What is begun will be finished; the rest stays in the log.
        let Progress { whole, into_next } = batch.progress(self.framing, first, written);
        let begun = whole + usize::from(into_next > 0);
        counters.count_delivered(begun - first, written);
        if into_next > 0 {
            let frame = batch.items[whole].frame.clone();
            self.owed = Some(Owed { bytes: OwedBytes::Frame(frame), sent: into_next });
        }
        if begun > first {
            self.stream.set_cursor(batch.items[begun - 1].seq);
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
                Read::Events if batch.items.is_empty() && !self.is_leaving() => return Fate::Stay,
                Read::Events if batch.items.is_empty() => {}
                Read::Events => {
                    let upto = self.stream.cursor();
                    self.stream.set_cursor(batch.items[0].seq - 1);
                    if let Fate::End(reason) = self.deliver(batch, upto, now_ms) {
                        return Fate::End(reason);
                    }
                }
                Read::Notice(frame) => self.owed = Some(Owed { bytes: OwedBytes::Frame(frame), sent: 0 }),
                Read::End(frame) => self.leave(&frame, CloseReason::Slow, 0, now_ms + FAREWELL_MS),
            }
        }
        Fate::Again
    }

    /// Has it say `goodbye`, after what it owes and the events up to `until`, and end when that is out or the
    /// deadline has come. Of two calls the earlier place and time hold.
    pub(super) fn leave(&mut self, goodbye: &Frame, reason: CloseReason, until: u64, deadline_ms: u64) {
        if let Some(leaving) = &mut self.leaving {
            leaving.until = until.min(leaving.until);
            leaving.deadline_ms = deadline_ms.min(leaving.deadline_ms);
            return;
        }
        self.stream.set_close_reason(reason);
        let farewell = Some([self.framing.bytes(goodbye), self.framing.terminator()].concat().into());
        self.leaving = Some(Box::new(Leaving { until, deadline_ms, farewell }));
    }

    /// What its deadlines ask for at `now_ms`.
    pub(super) fn on_time(&mut self, batch: &mut Batch, now_ms: u64) -> Fate {
        if self.leaving.as_ref().is_some_and(|leaving| leaving.deadline_ms <= now_ms) {
            self.guest.iter().for_each(Guest::note_cut);
            return Fate::End(CloseReason::Shutdown);
        }
        if self.full && self.write_deadline_ms() <= now_ms {
            // The poller tells of room only when there is much of it, so ask the socket itself.
            self.now_writable();
            let fate = self.pump(batch, now_ms);
            let stalled = self.full && self.write_deadline_ms() <= now_ms;
            return if fate == Fate::Stay && stalled { Fate::End(CloseReason::WriteTimeout) } else { fate };
        }
        if self.is_leaving() {
            return Fate::Stay;
        }
        if self.expires_ms <= now_ms {
            let goodbye = self.stream.hub().goodbye();
            self.leave(&goodbye, CloseReason::MaxAge, 0, now_ms + FAREWELL_MS);
            return self.pump(batch, now_ms);
        }
        if !self.full && self.keep_alive_ms() <= now_ms {
            // Reading first makes sure that the position a keep-alive carries is one the client has reached.
            let fate = self.pump(batch, now_ms);
            if fate != Fate::Stay || self.full || self.is_leaving() || self.keep_alive_ms() > now_ms {
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
        let end_ms = self.leaving.as_ref().map_or(self.expires_ms, |leaving| leaving.deadline_ms);
        Timers::round_up(if self.full {
            self.write_deadline_ms().min(end_ms)
        } else if self.is_leaving() {
            end_ms
        } else {
            self.keep_alive_ms().min(end_ms)
        })
    }

    /// Writes what it owes; true when nothing is left and the socket may take more.
    fn pay(&mut self, now_ms: u64) -> Result<bool, Fate> {
        loop {
            if self.full {
                return Ok(false);
            }
            let Some(owed) = &mut self.owed else {
                let cursor = self.stream.cursor();
                let Some(leaving) = self.leaving.as_mut().filter(|leaving| leaving.until <= cursor) else {
                    return Ok(true);
                };
                // The reason to end was set when it began to leave.
                let bytes = leaving.farewell.take().ok_or(Fate::End(CloseReason::Dropped))?;
                self.owed = Some(Owed { bytes: OwedBytes::Own(bytes), sent: 0 });
                continue;
            };
            let bytes = match &owed.bytes {
                OwedBytes::Frame(frame) => &self.framing.bytes(frame)[owed.sent..],
                OwedBytes::Own(bytes) => &bytes[owed.sent..],
            };
            let wanted = bytes.len();
            let written = self.socket.send(bytes).map_err(|error| Fate::of(&error))?;
            owed.sent += written;
            self.stream.hub().counters.count_delivered(0, written);
            if self.wrote(written, wanted, now_ms) {
                self.owed = None;
            }
        }
    }

    /// Notes what a write has come to; true when the socket took all of it.
    fn wrote(&mut self, written: usize, wanted: usize, now_ms: u64) -> bool {
        if written > 0 {
            self.last_write_ms = now_ms;
            self.stalled_ms = None;
        }
        if written == wanted {
            return true;
        }
        self.stalled_ms.get_or_insert(now_ms);
        self.full = true;
        false
    }

    fn keep_alive_ms(&self) -> u64 {
        match self.stream.hub().config().keep_alive_ms {
            0 => u64::MAX,
            after_ms => self.last_write_ms + after_ms,
        }
    }

    fn write_deadline_ms(&self) -> u64 {
        let timeout_ms = self.stream.hub().config().write_timeout_ms;
        self.stalled_ms.map_or(u64::MAX, |stalled_ms| stalled_ms + timeout_ms)
    }

    /// Whether its reason to end is already set.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
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
