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
        let signal = Signal::timed(now_ms, every_ms, expires_ms);
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
    /// Fails with `timeout`, and then simply call it again, or with `forked`.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Bytes>> {
        self.events.check_process()?;
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

    /// Ends the stream for a reason that the figures tell; plain dropping counts as `dropped`.
    pub fn close(mut self, reason: CloseReason) {
        if let Some(stream) = self.stream.take() {
            stream.close(reason);
        }
    }

    /// How long a client may take no byte before the caller is to close its stream with
    /// [`CloseReason::WriteTimeout`]: the setting `write_timeout_ms`.
    pub fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.events.hub().config().write_timeout_ms)
    }

    /// Ends the stream because the server it goes through ends, and gives back the last bytes to send, which ask the
    /// client to come back later; `None` when it had ended.
    pub fn finish(&mut self) -> Option<Bytes> {
        let goodbye = self.stream.as_ref()?.hub().goodbye();
        match self.end(goodbye.sse(), CloseReason::Shutdown, self.events.now_ms()) {
            Poll::Ready(last_words) => last_words,
            Poll::Pending => None,
        }
    }

    /// What can be had at this moment.
    fn take(&mut self) -> Poll<Option<Bytes>> {
        let Some(stream) = self.stream.as_mut().filter(|_| !self.events.is_forked()) else {
            return Poll::Ready(None);
        };
        // Before we look: what comes after raises it again, and nothing comes after it was closed.
        let is_last = self.signal.lower();
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
                if is_last {
                    let goodbye = hub.goodbye();
                    return self.end(goodbye.sse(), CloseReason::Shutdown, now_ms);
                } else if self.expires_ms <= now_ms {
                    let goodbye = hub.goodbye();
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
            self.signal.set_due_ms(now_ms + hub.config().keep_alive_ms);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        stream::{Access, Request},
    };

    fn pulled(events: &Events) -> Pull {
        let request = Request { method: "GET", path: "/", query: "channel=a", headers: &[], peer: None };
        events.pull(events.open(&request, Access::allow()).stream.unwrap()).unwrap()
    }

    #[test]
    fn finishing_asks_the_client_to_come_back() {
        let events = Events::new(Config::new().retry_ms(1_000).write_timeout_ms(5_000)).unwrap();
        let mut pull = pulled(&events);
        assert_eq!(pull.write_timeout(), Duration::from_secs(5));
        let last_words = String::from_utf8(pull.finish().unwrap().to_vec()).unwrap();
        let wait_ms: u64 = last_words.strip_prefix("retry: ").unwrap().trim_end().parse().unwrap();
        assert!((1_000..=2_000).contains(&wait_ms), "{wait_ms}");
        let closed = events.stats().closed.into_iter().find(|(reason, _)| *reason == CloseReason::Shutdown);
        assert_eq!(closed, Some((CloseReason::Shutdown, 1)));
    }

    #[test]
    fn an_ended_stream_has_no_last_words() {
        let events = Events::new(Config::new()).unwrap();
        let mut pull = pulled(&events);
        events.close(Duration::from_secs(5));
        assert!(pull.next_timeout(Duration::from_secs(5)).unwrap().is_some());
        assert_eq!(pull.next_timeout(Duration::from_secs(5)).unwrap(), None);
        assert_eq!(pull.finish(), None);
    }
}
