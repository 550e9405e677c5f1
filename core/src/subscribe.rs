//! Reading channels inside the process.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crate::{
    app::App,
    engine::{Reader, Watching},
    error::{Error, ErrorKind, Result},
    log::{self, Item},
    wakeups::Signal,
    wire::{Decoder, Position, check_channel},
};

/// A reader of channels inside the process: an async stream, and by `into_iter` a blocking iterator.
///
/// Like a client's stream it is a cursor, so a reader that is too slow gets a [`Message::Reset`] and costs nothing.
/// It ends when the [`Events`](crate::Events) is closed.
///
/// ```
/// # use evstream::{Config, Event, Events, Message};
/// # let events = Events::new(Config::new())?;
/// let mut clock = events.subscribe(["clock"])?.into_iter();
/// events.publish("clock", Event::text("12:00"))?;
/// let Some(Message::Event(event)) = clock.next() else { panic!() };
/// assert_eq!((event.channel.as_str(), event.data.as_str()), ("clock", "12:00"));
/// # Ok::<(), evstream::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "only what is published while it lives is read"]
pub struct Subscription {
    app: Arc<App>,
    channels: log::Subscription,
    cursor: u64,
    /// When it was made, if the log has not begun.
    since_ms: Option<u64>,
    items: VecDeque<Item>,
    scratch: Vec<Item>,
    signal: Arc<Signal>,
    _watching: Watching,
}

/// What a [`Subscription`] gives.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// An event.
    Event(Received),
    /// Events of these channels were missed; reading goes on after this position.
    Reset {
        /// The channels that have lost events.
        channels: Vec<String>,
        /// Where reading goes on.
        position: Position,
    },
}

/// An event, as a subscriber sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Received {
    /// The channel it was published to.
    pub channel: String,
    /// Its type; absent means `message`.
    pub name: Option<String>,
    /// Its data, with LF between lines.
    pub data: String,
    /// Its place.
    pub position: Position,
}

impl Subscription {
    pub(crate) fn new<'a>(app: &Arc<App>, names: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut unique: Vec<&str> = Vec::new();
        for name in names {
            check_channel(name)?;
            if !unique.contains(&name) {
                unique.push(name);
            }
        }
        if unique.is_empty() {
            return Err(Error::new(ErrorKind::InvalidChannel, "a subscription needs at least one channel"));
        }
        app.check_open()?;
        let channels = log::Subscription::new(app.hub().log(), unique, app.now_ms());
        let log = app.hub().log();
        let (cursor, since_ms) = (log.head(), log.is_waiting().then(|| app.now_ms()));
        let signal = Arc::new(Signal::default());
        let watching = app.engine()?.watch(channels.channels(), Reader::Subscriber(signal.clone()))?;
        Ok(Self {
            app: app.clone(),
            channels,
            cursor,
            since_ms,
            items: VecDeque::new(),
            scratch: Vec::new(),
            signal,
            _watching: watching,
        })
    }

    /// The next message, waiting for it at most `timeout`; `None` when the events are closed. Fails with `timeout` or
    /// `forked`.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Message>> {
        self.app.check_process()?;
        match self.next_before(Instant::now().checked_add(timeout)) {
            Poll::Ready(message) => Ok(message),
            Poll::Pending => {
                Err(Error::new(ErrorKind::Timeout, "the channels had no event in the time given"))
            }
        }
    }

    /// The next message; `None` when the events are closed. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Message> {
        std::future::poll_fn(|cx| self.poll_message(cx)).await
    }

    /// The next message when there is one; `None` when the events are closed.
    pub fn poll_message(&mut self, cx: &Context<'_>) -> Poll<Option<Message>> {
        loop {
            if let Poll::Ready(message) = self.take() {
                return Poll::Ready(message);
            }
            if self.signal.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// The next message, or `None` when the events are closed; pending when the deadline came first.
    fn next_before(&mut self, deadline: Option<Instant>) -> Poll<Option<Message>> {
        loop {
            if let Poll::Ready(message) = self.take() {
                return Poll::Ready(message);
            }
            if !self.signal.wait(deadline) {
                return Poll::Pending;
            }
        }
    }

    fn take(&mut self) -> Poll<Option<Message>> {
        if self.app.is_forked() {
            return Poll::Ready(None);
        }
        let mut is_last = false;
        if self.items.is_empty() {
            is_last = self.signal.lower();
            if !self.has_begun() {
                return if is_last { Poll::Ready(None) } else { Poll::Pending };
            }
            match self.channels.read(self.cursor, READ_BYTES, &mut self.scratch) {
                Ok(cursor) => {
                    self.cursor = cursor;
                    self.items.extend(self.scratch.drain(..));
                }
                Err(gap) => {
                    self.cursor = gap.head;
                    let name = |&index: &usize| self.channels.channels()[index].name().to_owned();
                    let channels = gap.channels.iter().map(name).collect();
                    let position = self.app.hub().log().position(self.cursor);
                    return Poll::Ready(Some(Message::Reset { channels, position }));
                }
            }
        }
        match self.items.pop_front() {
            Some(item) => Poll::Ready(Some(Message::Event(self.received(&item)))),
            None if is_last => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// Whether it can read the log. One that was made before anything was known of the journal begins with what was published
    /// from that moment on.
    fn has_begun(&mut self) -> bool {
        if self.app.hub().log().is_waiting() {
            return false;
        }
        if let Some(since_ms) = self.since_ms.take() {
            self.cursor = self.channels.since(since_ms);
        }
        true
    }

    /// Reads the event back from the bytes that all readers share, so that it is what a client sees.
    fn received(&self, item: &Item) -> Received {
        let decoded = Decoder::new().feed(item.frame.sse()).pop().unwrap_or_default();
        Received {
            channel: self.channels.channels()[item.channel].name().to_owned(),
            name: decoded.name,
            data: decoded.data,
            position: self.app.hub().log().position(item.seq),
        }
    }
}

/// The blocking form of a [`Subscription`]: waits for each message, and ends when the events are closed.
#[derive(Debug)]
#[must_use = "iterators are lazy"]
pub struct Messages(Subscription);

impl Iterator for Messages {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        match self.0.next_before(None) {
            Poll::Ready(message) => message,
            Poll::Pending => None,
        }
    }
}

impl IntoIterator for Subscription {
    type Item = Message;
    type IntoIter = Messages;

    fn into_iter(self) -> Messages {
        Messages(self)
    }
}

impl futures_core::Stream for Subscription {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_message(cx)
    }
}

/// Read from the log at a time.
const READ_BYTES: usize = 64 * 1_024;
