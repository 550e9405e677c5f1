//! A stream whose bytes the caller takes and sends: for any server that only offers "give me bytes".

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    app::App,
    engine::{Next, Pulled, Reader, Watching, replace_older},
    error::{Error, ErrorKind, Result},
    log::Item,
    stream::{CloseNotice, CloseReason, Stream},
    wire::Frame,
};

/// A stream to take bytes from, without transfer framing. Dropping it closes the stream.
///
/// Nothing is queued for it: what is not taken stays in the log, and a reader that falls too far behind gets a
/// `stream-reset` like any other. So take the next piece when the last is sent, not before.
///
/// Its deadlines hold whether it is asked or not. A caller that has something to take or to send and does not come back
/// for more within `write_timeout_ms` has a client that does not read: the stream is closed, and its place in
/// `max_streams` is free. A piece has 64 KiB at most, so that a client that is only slow is not taken for such a one.
/// The caller may still have the client's connection, and learns of it by [`closed`](Self::closed).
///
/// ```
/// use evstream::{CloseReason, Events, Stream};
/// # #[derive(Clone)]
/// # struct Connection;
/// # impl Connection {
/// #     async fn send(&self, _: &[u8]) {}
/// #     fn cut(&self) {}
/// # }
/// async fn drive(events: Events, stream: Stream, connection: Connection) -> evstream::Result<()> {
///     let mut pull = events.pull(stream)?;
///     let (closed, to_cut) = (pull.closed(), connection.clone());
///     tokio::spawn(async move {
///         if closed.await == CloseReason::WriteTimeout {
///             to_cut.cut();
///         }
///     });
///     while let Some(piece) = pull.next().await {
///         connection.send(&piece).await;
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[must_use = "dropping it closes the stream"]
pub struct Pull {
    app: Arc<App>,
    pulled: Arc<Pulled>,
    /// None when the events were closed before.
    _watching: Option<Watching>,
    items: Vec<Item>,
    /// What was read and not yet given.
    rest: Bytes,
}

impl Pull {
    pub(crate) fn new(app: &Arc<App>, mut stream: Stream) -> Result<Self> {
        let engine = app.engine();
        replace_older(engine.as_ref().ok().copied(), &mut stream);
        let channels = stream.subscription().channels().clone();
        let pulled = Pulled::new(stream, app.now_ms());
        let watching = match engine.and_then(|engine| engine.watch(&channels, Reader::Driver(pulled.clone())))
        {
            Ok(watching) => Some(watching),
            // It was opened before, so it ends as the others do.
            Err(error) if error.kind() == ErrorKind::Closed => {
                pulled.signal().close();
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Self { app: app.clone(), pulled, _watching: watching, items: Vec::new(), rest: Bytes::new() })
    }

    /// The next bytes, waiting for them at most `timeout`; `None` when the stream has ended.
    ///
    /// Fails with `timeout`, and then simply call it again, or with `forked`.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Bytes>> {
        self.app.check_process()?;
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if let Poll::Ready(piece) = self.take() {
                return Ok(piece);
            }
            if !self.pulled.signal().wait(deadline) {
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
            if let Poll::Ready(piece) = self.take() {
                return Poll::Ready(piece);
            }
            if self.pulled.signal().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// The next bytes; `None` when the stream has ended. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Waits until the stream has ended, also while a piece is being sent, and says why. It does not borrow the `Pull`.
    ///
    /// With [`CloseReason::WriteTimeout`] the client takes nothing, and its connection is best cut; for other reasons
    /// [`next`](Self::next) may still have last words for it. Pending for ever in a forked child.
    pub fn closed(&self) -> impl Future<Output = CloseReason> + Send + Sync + use<> {
        self.pulled.clone().ended()
    }

    /// Ends the stream for a reason that the figures tell; plain dropping counts as `dropped`.
    pub fn close(self, reason: CloseReason) {
        self.end(reason);
    }

    /// How long the caller may take nothing before its stream is closed: the setting `write_timeout_ms`.
    pub fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.app.hub().config().write_timeout_ms)
    }

    /// Ends the stream because the server it goes through ends, and gives back the last bytes to send, which ask the
    /// client to come back later; `None` when it had ended.
    pub fn finish(&mut self) -> Option<Bytes> {
        if self.app.is_forked() {
            return None;
        }
        let close_notice = self.pulled.finish(CloseNotice::Shutdown)?;
        // The client would take them for a part of the event that it has got in part.
        let last_words = [&*std::mem::take(&mut self.rest), close_notice.sse()].concat();
        self.app.hub().counters.delivered.count(0, last_words.len());
        Some(last_words.into())
    }

    /// What can be had at this moment.
    fn take(&mut self) -> Poll<Option<Bytes>> {
        if self.app.is_forked() {
            return Poll::Ready(None);
        }
        let now_ms = self.app.now_ms();
        let mut events = 0;
        if self.rest.is_empty() {
            self.rest = match self.pulled.read(PIECE_BYTES, &mut self.items, now_ms) {
                Next::Events => {
                    events = self.items.len();
                    join(self.items.drain(..).map(|item| item.frame))
                }
                Next::Frame(frame) => sse(frame),
                Next::Nothing => return Poll::Pending,
                Next::End => return Poll::Ready(None),
            };
        } else {
            self.pulled.note_taken(now_ms);
        }
        let piece = split_piece(&mut self.rest);
        self.app.hub().counters.delivered.count(events, piece.len());
        Poll::Ready(Some(piece))
    }

    fn end(&self, reason: CloseReason) {
        // In a forked child another thread of the parent may have held its lock.
        if !self.app.is_forked() {
            self.pulled.end(reason);
        }
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        self.end(CloseReason::Dropped);
    }
}

/// The text of one frame as it is, and of several in one piece of memory.
fn join(mut frames: impl ExactSizeIterator<Item = Frame>) -> Bytes {
    if frames.len() == 1
        && let Some(frame) = frames.next()
    {
        return sse(frame);
    }
    let mut all = Vec::new();
    frames.for_each(|frame| all.extend_from_slice(frame.sse()));
    all.into()
}

fn sse(frame: Frame) -> Bytes {
    struct Sse(Frame);
    impl AsRef<[u8]> for Sse {
        fn as_ref(&self) -> &[u8] {
            self.0.sse()
        }
    }
    Bytes::from_owner(Sse(frame))
}

/// Takes a piece off the front, which ends between two characters.
fn split_piece(bytes: &mut Bytes) -> Bytes {
    if bytes.len() <= PIECE_BYTES {
        return std::mem::take(bytes);
    }
    let is_continued = |at: usize| bytes[at] & 0b1100_0000 == 0b1000_0000;
    let end = (0..=PIECE_BYTES).rev().find(|&at| !is_continued(at)).unwrap_or(PIECE_BYTES);
    bytes.split_to(end)
}

/// Enough that a piece is worth its way through a framework, and little enough that a slow client takes one in time.
const PIECE_BYTES: usize = 64 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Events,
        config::Config,
        stream::{Access, Request},
        wire::{Decoder, Event},
    };

    fn pulled(events: &Events) -> Pull {
        let request = Request { method: "GET", path: "/", query: "channel=a", headers: &[], peer: None };
        events.pull(events.open_request(&request, Access::allow()).stream.unwrap()).unwrap()
    }

    #[test]
    fn finishing_asks_the_client_to_come_back() {
        let events = Events::new(Config::new().retry_ms(1_000).write_timeout_ms(5_000)).unwrap();
        let mut pull = pulled(&events);
        assert_eq!(pull.write_timeout(), Duration::from_secs(5));
        let position = events.publish("a", Event::text("not taken")).unwrap().position().unwrap();
        let mut decoder = Decoder::new();
        let [close] = &decoder.feed(&pull.finish().unwrap())[..] else { panic!("one event") };
        assert_eq!((close.name.as_deref(), &*close.data), (Some("stream-close"), r#"{"reason":"shutdown"}"#));
        assert!(*close.id < *position.to_string(), "it comes back for what it was not given");
        assert!((1_000..=2_000).contains(&decoder.retry_ms().unwrap()));
        let closed = events.stats().closed.into_iter().find(|(reason, _)| *reason == CloseReason::Shutdown);
        assert_eq!(closed, Some((CloseReason::Shutdown, 1)));
    }

    #[test]
    fn pieces_are_bounded_and_end_between_characters() {
        let text = format!("a{}", "\u{20ac}".repeat(50_000));
        let mut rest = Bytes::from(text.clone());
        let mut whole = String::new();
        while !rest.is_empty() {
            let piece = split_piece(&mut rest);
            assert!(!piece.is_empty() && piece.len() <= PIECE_BYTES);
            whole.push_str(std::str::from_utf8(&piece).unwrap());
        }
        assert_eq!(whole, text);
    }

    #[test]
    fn an_ended_stream_has_no_last_words() {
        let events = Events::new(Config::new()).unwrap();
        let mut pull = pulled(&events);
        events.close(Duration::from_secs(5)).unwrap();
        assert!(pull.next_timeout(Duration::from_secs(5)).unwrap().is_some());
        assert_eq!(pull.next_timeout(Duration::from_secs(5)).unwrap(), None);
        assert_eq!(pull.finish(), None);
    }
}
