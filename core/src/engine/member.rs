//! One stream on a socket: what it still owes the client, and when it must be looked at again.

use std::io;

use super::{
    StreamGuard,
    batch::{BATCH_BYTES, Batch, Progress},
    framing::Framing,
    socket::{Peer, Socket},
    timers::NEVER,
};
use crate::{
    stream::{CloseReason, FullMark, LastWords, Read, Stream},
    wire::Frame,
};

/// A stream whose socket a shard owns.
pub(super) struct Member {
    pub(super) stream: Stream,
    pub(super) socket: Socket,
    pub(super) framing: Framing,
    pub(super) guard: Option<StreamGuard>,
    /// The feed it belongs to, and its place among the feed's members.
    pub(super) feed: usize,
    pub(super) place: usize,
    /// The time of its one valid entry among the timers.
    pub(super) timer_ms: u64,
    /// What must go out before anything else.
    unsent: Option<Unsent>,
    /// There while the socket takes no more for now; the poller will tell when it does.
    full: Option<FullMark>,
    closing: Option<Box<Closing>>,
    last_write_ms: u64,
    /// Since when the socket has taken nothing, while it is full.
    stalled_ms: Option<u64>,
    received: usize,
}

/// Bytes that were begun.
struct Unsent {
    bytes: UnsentBytes,
    sent: usize,
}

enum UnsentBytes {
    Frame(Frame),
    Own(Box<[u8]>),
}

/// How it is to end: at the deadline, or before when the events up to `until` and its last words are out.
struct Closing {
    until: u64,
    deadline_ms: u64,
    /// What for; taken when it is said.
    words: Option<LastWords>,
}

/// Whether a member stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(super) enum Outcome {
    Stay,
    /// There is more to write, but it yields to other streams.
    Again,
    End(CloseReason),
}

impl Outcome {
    /// What becomes of a member whose connection has broken.
    fn of(error: &io::Error) -> Self {
        // The system waits for acknowledgements as long as we wait for room.
        Self::End(match error.kind() {
            io::ErrorKind::TimedOut => CloseReason::WriteTimeout,
            _ => CloseReason::Client,
        })
    }
}

impl Member {
    pub(super) fn new(
        stream: Stream,
        socket: Socket,
        framing: Framing,
        first: Vec<u8>,
        guard: Option<StreamGuard>,
        now_ms: u64,
    ) -> Self {
        let unsent = (!first.is_empty()).then(|| Unsent { bytes: UnsentBytes::Own(first.into()), sent: 0 });
        Self {
            stream,
            socket,
            framing,
            guard,
            feed: 0,
            place: 0,
            timer_ms: u64::MAX,
            unsent,
            full: None,
            closing: None,
            last_write_ms: now_ms,
            stalled_ms: None,
            received: 0,
        }
    }

    /// Whether events could be written to it at this moment, and it is at `cursor` or after it.
    pub(super) fn is_ready(&self, cursor: u64) -> bool {
        self.full.is_none()
            && self.closing.is_none()
            && self.unsent.is_none()
            && self.stream.is_level()
            && self.stream.cursor() >= cursor
    }

    /// Whether the poller is to tell when the socket has room.
    pub(super) fn is_full(&self) -> bool {
        self.full.is_some()
    }

    /// The socket has room again.
    pub(super) fn now_writable(&mut self) {
        self.full = None;
    }

    /// The socket has something to read: bytes that nobody asked for, or its end.
    pub(super) fn readable(&mut self) -> Outcome {
        match self.socket.drain(MAX_RECEIVED_BYTES - self.received) {
            Ok(Peer::Open(bytes)) if self.received + bytes <= MAX_RECEIVED_BYTES => {
                self.received += bytes;
                Outcome::Stay
            }
            Ok(_) => Outcome::End(CloseReason::Client),
            Err(error) => Outcome::of(&error),
        }
    }

    /// Gives it the events of `batch`, which its feed has read up to `upto`. It is ready.
    pub(super) fn deliver(&mut self, batch: &mut Batch, upto: u64, now_ms: u64) -> Outcome {
        let first = batch.after(self.stream.cursor());
        if first == batch.items.len() {
            self.stream.set_cursor(upto.max(self.stream.cursor()));
            return Outcome::Stay;
        }
        let bytes = batch.bytes(self.framing, first);
        let wanted = bytes.len();
        let written = match self.socket.send(bytes) {
            Ok(written) => written,
            Err(error) => return Outcome::of(&error),
        };
        let all = self.wrote(batch, written, wanted, now_ms);
        if all {
            batch.delivered.count(batch.items.len() - first, written);
            self.stream.set_cursor(upto);
            return Outcome::Stay;
        }
        // The socket is full. What is begun will be finished; the rest stays in the log.
        let Progress { whole, into_next } = batch.progress(self.framing, first, written);
        let begun = whole + usize::from(into_next > 0);
        batch.delivered.count(begun - first, written);
        if into_next > 0 {
            let frame = batch.items[whole].frame.clone();
            self.unsent = Some(Unsent { bytes: UnsentBytes::Frame(frame), sent: into_next });
        }
        if begun > first {
            self.stream.set_cursor(batch.items[begun - 1].seq);
        }
        Outcome::Stay
    }

    /// Writes what it owes and then what the log has for it, until it is level, its socket is full, or others wait.
    pub(super) fn pump(&mut self, batch: &mut Batch, now_ms: u64) -> Outcome {
        for _ in 0..MAX_ROUNDS {
            match self.flush(batch, now_ms) {
                Ok(true) => {}
                Ok(false) => return Outcome::Stay,
                Err(outcome) => return outcome,
            }
            batch.clear();
            match self.stream.read(BATCH_BYTES, &mut batch.items) {
                Read::Events if batch.items.is_empty() && !self.is_closing() => return Outcome::Stay,
                Read::Events if batch.items.is_empty() => {}
                Read::Events => {
                    let upto = self.stream.cursor();
                    self.stream.set_cursor(batch.items[0].seq - 1);
                    if let Outcome::End(reason) = self.deliver(batch, upto, now_ms) {
                        return Outcome::End(reason);
                    }
                }
                Read::Notice(frame) => {
                    self.unsent = Some(Unsent { bytes: UnsentBytes::Frame(frame), sent: 0 });
                }
                Read::End(close_notice) => self.close(close_notice, 0, now_ms + CLOSE_NOTICE_MS),
            }
        }
        Outcome::Again
    }

    /// Has it send a close notice, after what it owes and the events up to `until`, and end when that is out or the
    /// deadline has come. Of two calls the earlier place and time hold.
    pub(super) fn close(&mut self, words: impl Into<LastWords>, until: u64, deadline_ms: u64) {
        let words = words.into();
        if let Some(closing) = &mut self.closing {
            // What forbids outweighs what lets come back.
            if words.is_final() && closing.words.is_some() {
                self.stream.set_close_reason(words.close_reason());
                closing.words = Some(words);
            }
            closing.until = until.min(closing.until);
            closing.deadline_ms = deadline_ms.min(closing.deadline_ms);
            return;
        }
        self.stream.set_close_reason(words.close_reason());
        self.closing = Some(Box::new(Closing { until, deadline_ms, words: Some(words) }));
    }

    /// What its deadlines ask for at `now_ms`.
    pub(super) fn on_time(&mut self, batch: &mut Batch, now_ms: u64) -> Outcome {
        if self.closing.as_ref().is_some_and(|closing| closing.deadline_ms <= now_ms) {
            self.guard.iter().for_each(StreamGuard::note_cut);
            return Outcome::End(CloseReason::Shutdown);
        }
        if self.is_full() && self.write_deadline_ms() <= now_ms {
            // The poller tells of room only when there is much of it, so ask the socket itself.
            self.now_writable();
            let outcome = self.pump(batch, now_ms);
            let stalled = self.is_full() && self.write_deadline_ms() <= now_ms;
            return if outcome == Outcome::Stay && stalled {
                Outcome::End(CloseReason::WriteTimeout)
            } else {
                outcome
            };
        }
        if self.is_closing() {
            return Outcome::Stay;
        }
        if self.stream.ends().at_ms <= now_ms {
            self.close(self.stream.ends().why, 0, now_ms + CLOSE_NOTICE_MS);
            return self.pump(batch, now_ms);
        }
        if !self.is_full() && self.stream.reset_due_ms().is_some_and(|due_ms| due_ms <= now_ms) {
            return self.pump(batch, now_ms);
        }
        if !self.is_full() && self.keep_alive_ms() <= now_ms {
            // Reading first makes sure that the position a keep-alive carries is one the client has reached.
            let outcome = self.pump(batch, now_ms);
            if outcome != Outcome::Stay
                || self.is_full()
                || self.is_closing()
                || self.keep_alive_ms() > now_ms
            {
                return outcome;
            }
            let frame = self.stream.keep_alive();
            self.unsent = Some(Unsent { bytes: UnsentBytes::Frame(frame), sent: 0 });
            return self.pump(batch, now_ms);
        }
        Outcome::Stay
    }

    /// When [`on_time`](Self::on_time) must be called next.
    pub(super) fn due_ms(&self) -> u64 {
        let end_ms =
            self.closing.as_ref().map_or_else(|| self.stream.ends().at_ms, |closing| closing.deadline_ms);
        if self.is_full() {
            self.write_deadline_ms().min(end_ms)
        } else if self.is_closing() {
            end_ms
        } else {
            self.keep_alive_ms().min(end_ms).min(self.stream.reset_due_ms().unwrap_or(NEVER))
        }
    }

    /// Writes what it owes; true when nothing is left and the socket may take more.
    fn flush(&mut self, batch: &Batch, now_ms: u64) -> Result<bool, Outcome> {
        loop {
            if self.is_full() {
                return Ok(false);
            }
            let Some(unsent) = &mut self.unsent else {
                let stream = &self.stream;
                // Who has yet to be told of another epoch is told where the client comes back.
                let is_level = |until| until <= stream.cursor() || stream.reset_due_ms().is_some();
                let Some(closing) = self.closing.as_mut().filter(|closing| is_level(closing.until)) else {
                    return Ok(true);
                };
                // The reason to end was set when it began to leave.
                let words = closing.words.take().ok_or(Outcome::End(CloseReason::Dropped))?;
                // Only now: it tells the place up to which the client has everything.
                let frame = self.stream.last_words(&words);
                let bytes = [self.framing.bytes(&frame), self.framing.terminator()].concat();
                self.unsent = Some(Unsent { bytes: UnsentBytes::Own(bytes.into()), sent: 0 });
                continue;
            };
            let bytes = match &unsent.bytes {
                UnsentBytes::Frame(frame) => &self.framing.bytes(frame)[unsent.sent..],
                UnsentBytes::Own(bytes) => &bytes[unsent.sent..],
            };
            let wanted = bytes.len();
            let written = self.socket.send(bytes).map_err(|error| Outcome::of(&error))?;
            unsent.sent += written;
            batch.delivered.count(0, written);
            if self.wrote(batch, written, wanted, now_ms) {
                self.unsent = None;
            }
        }
    }

    /// Notes what a write has come to; true when the socket took all of it.
    fn wrote(&mut self, batch: &Batch, written: usize, wanted: usize, now_ms: u64) -> bool {
        if written > 0 {
            self.last_write_ms = now_ms;
            self.stalled_ms = None;
        }
        if written == wanted {
            return true;
        }
        self.stalled_ms.get_or_insert(now_ms);
        self.full = Some(FullMark::new(&batch.delivered));
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
    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }
}

/// Batches that one stream may take before it yields to other streams.
const MAX_ROUNDS: usize = 4;

/// A client of a stream has nothing to say; one that goes on talking is not a client of ours.
pub(super) const MAX_RECEIVED_BYTES: usize = 64 * 1_024;

/// How long the last words may take when no deadline was given.
pub(super) const CLOSE_NOTICE_MS: u64 = 1_000;
