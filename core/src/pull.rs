//! A stream whose bytes the caller takes and sends: for any server that only offers "give me bytes".

use std::{
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    engine::{Signal, Watching},
    error::{Error, ErrorKind, Result},
    events::Events,
    log::Item,
    stream::{CloseReason, Read, Stream},
};

/// A stream to take bytes from, without transfer framing. Dropping it closes the stream.
///
/// Nothing is queued for it: what is not taken stays in the log, and a reader that falls too far behind gets a
/// `stream-reset` like any other.
#[derive(Debug)]
pub struct Pull {
    events: Events,
    stream: Option<Stream>,
    signal: std::sync::Arc<Signal>,
    _watching: Watching,
    items: Vec<Item>,
    last_ms: u64,
    expires_ms: u64,
}

impl Pull {
    pub(crate) fn new(events: &Events, stream: Stream) -> Result<Self> {
        let config = events.hub().config();
        let now_ms = events.now_ms();
        let expires_ms = match config.max_age_ms {
            0 => u64::MAX,
            age_ms => now_ms + age_ms + fastrand::u64(0..=age_ms / 10),
        };
        let every_ms = if config.keep_alive_ms == 0 { u64::MAX } else { config.keep_alive_ms };
        let signal = Signal::with_due_ms(now_ms.saturating_add(every_ms).min(expires_ms), every_ms);
        let watching = events.engine()?.watch(stream.subscription().channels(), &signal)?;
        Ok(Self {
            events: events.clone(),
            stream: Some(stream),
            signal,
            _watching: watching,
            items: Vec::new(),
            last_ms: now_ms,
            expires_ms,
        })
    }

    /// The next bytes, waiting for them at most `timeout`; `None` when the stream has ended.
    ///
    /// Fails with `timeout`; then simply call it again.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Bytes>> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if let Poll::Ready(chunk) = self.take() {
                return Ok(chunk);
            }
            if !self.signal.wait(deadline) {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    "the stream had nothing to send in the time given",
                ));
            }
        }
    }

    /// The next bytes when there are any; `None` when the stream has ended. Wakes the task when it is worth a new try.
    pub fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Poll::Ready(chunk) = self.take() {
                return Poll::Ready(chunk);
            }
            if self.signal.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// The next bytes; `None` when the stream has ended. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Ends the stream because the server is about to stop, and gives the last words to send: they ask the client to
    /// come back later. `None` when it has ended before.
    pub fn finish(&mut self) -> Option<Bytes> {
        let stream = self.stream.take()?;
        let goodbye = stream.hub().goodbye(fastrand::u64(..));
        stream.close(CloseReason::Shutdown);
        self.events.hub().counters.count_delivered(0, goodbye.sse().len());
        Some(Bytes::copy_from_slice(goodbye.sse()))
    }

    /// Ends the stream for a reason that the figures tell; plain dropping counts as `dropped`.
    pub fn close(mut self, reason: CloseReason) {
        if let Some(stream) = self.stream.take() {
            stream.close(reason);
        }
    }

    /// What can be had at this moment.
    fn take(&mut self) -> Poll<Option<Bytes>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        // Lowered before we look: what comes after raises it again.
        self.signal.lower();
        self.items.clear();
        let now_ms = self.events.now_ms();
        let frame = match stream.read(CHUNK_BYTES, &mut self.items) {
            Read::Events if !self.items.is_empty() => {
                let frames: Vec<&[u8]> = self.items.iter().map(|item| item.frame.sse()).collect();
                return self.give(frames.concat().into(), frames.len(), now_ms);
            }
            Read::Notice(frame) => frame,
            Read::End(frame) => return self.end(frame.sse(), CloseReason::Slow, now_ms),
            Read::Events => {
                let hub = stream.hub();
                let idle_ms = now_ms - self.last_ms;
                if self.signal.is_closed() {
                    let goodbye = hub.goodbye(fastrand::u64(..));
                    return self.end(goodbye.sse(), CloseReason::Shutdown, now_ms);
                } else if self.expires_ms <= now_ms {
                    let goodbye = hub.goodbye(fastrand::u64(..));
                    return self.end(goodbye.sse(), CloseReason::MaxAge, now_ms);
                } else if hub.config().keep_alive_ms > 0 && idle_ms >= hub.config().keep_alive_ms {
                    hub.keep_alive(stream.cursor())
                } else {
                    return Poll::Pending;
                }
            }
        };
        self.give(Bytes::copy_from_slice(frame.sse()), 0, now_ms)
    }

    fn give(&mut self, chunk: Bytes, events: usize, now_ms: u64) -> Poll<Option<Bytes>> {
        self.last_ms = now_ms;
        let hub = self.events.hub();
        hub.counters.count_delivered(events, chunk.len());
        if hub.config().keep_alive_ms > 0 {
            self.signal.set_due_ms((now_ms + hub.config().keep_alive_ms).min(self.expires_ms));
        }
        Poll::Ready(Some(chunk))
    }

    fn end(&mut self, last_words: &[u8], reason: CloseReason, now_ms: u64) -> Poll<Option<Bytes>> {
        if let Some(stream) = self.stream.take() {
            stream.close(reason);
        }
        self.give(Bytes::copy_from_slice(last_words), 0, now_ms)
    }
}

/// Enough that a piece is worth its way through a framework.
const CHUNK_BYTES: usize = 64 * 1_024;
