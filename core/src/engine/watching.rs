//! Those in this process who read for themselves when a shard tells them to, and their place at it.

use std::sync::Arc;

use super::{
    inbox::{Command, Inbox},
    pulled::Pulled,
    timers::NEVER,
};
use crate::{
    fork::Process,
    stream::{LastWords, OpenStream, Who},
    wakeups::Signal,
};

/// Who is told that there is something to read.
#[derive(Clone, Debug)]
pub(crate) enum Reader {
    /// An in-process subscriber, who may take all the time of the world.
    Subscriber(Arc<Signal>),
    /// The driver of a client's stream, which has deadlines.
    Driver(Arc<Pulled>),
}

impl Reader {
    fn signal(&self) -> &Signal {
        match self {
            Self::Subscriber(signal) => signal,
            Self::Driver(pulled) => pulled.signal(),
        }
    }

    /// The shard's key for it.
    pub(super) fn key(&self) -> usize {
        self.signal().key()
    }
}

/// A shard's end of a [`Reader`]. However the shard lets go of it, the reader learns that nothing more will come.
pub(super) struct SignalRef(Reader);

impl SignalRef {
    pub(super) fn new(reader: Reader) -> Self {
        Self(reader)
    }

    pub(super) fn is_of(&self, reader: &Reader) -> bool {
        std::ptr::eq(self.0.signal(), reader.signal())
    }

    /// Whether it is a client's stream.
    pub(super) fn is_client(&self) -> bool {
        matches!(self.0, Reader::Driver(_))
    }

    /// Whether it is a client's stream that is meant.
    pub(super) fn fits(&self, who: &Who) -> bool {
        matches!(&self.0, Reader::Driver(pulled) if pulled.is_of(who))
    }

    /// A client's stream, when it is meant.
    pub(super) fn listed(&self, who: &Who) -> Option<OpenStream> {
        match &self.0 {
            Reader::Subscriber(_) => None,
            Reader::Driver(pulled) => pulled.listed(who),
        }
    }

    /// What a client's stream is to say that was ended before it had a shard.
    pub(super) fn ended_meanwhile(&self) -> Option<LastWords> {
        match &self.0 {
            Reader::Subscriber(_) => None,
            Reader::Driver(pulled) => pulled.ended_meanwhile(),
        }
    }

    pub(super) fn set_key(&self, key: usize) {
        self.0.signal().set_key(key);
    }

    /// Tells the reader to look, in case that there is something.
    pub(super) fn look(&self) {
        self.0.signal().raise();
    }

    /// Tells the reader that there is something.
    pub(super) fn raise(&self, now_ms: u64) {
        match &self.0 {
            Reader::Subscriber(signal) => signal.raise(),
            Reader::Driver(pulled) => pulled.raise(now_ms),
        }
    }

    /// When [`on_time`](Self::on_time) must be called next.
    pub(super) fn due_ms(&self) -> u64 {
        match &self.0 {
            Reader::Subscriber(_) => NEVER,
            Reader::Driver(pulled) => pulled.due_ms(),
        }
    }

    /// What the reader's deadlines ask for; when to call it again, or `None` when there is nobody to tell any more.
    pub(super) fn on_time(&self, now_ms: u64) -> Option<u64> {
        match &self.0 {
            Reader::Subscriber(_) => Some(NEVER),
            Reader::Driver(pulled) => pulled.on_time(now_ms),
        }
    }

    /// Has a client's stream end by the deadline. A subscriber is no client.
    pub(super) fn close_by(&self, words: &LastWords, deadline_ms: u64) {
        match &self.0 {
            Reader::Subscriber(_) => {}
            Reader::Driver(pulled) => pulled.close_by(words, deadline_ms),
        }
    }
}

impl Drop for SignalRef {
    fn drop(&mut self) {
        self.0.signal().close();
    }
}

/// A registration of a [`Reader`] with a shard, ended by dropping it.
#[derive(Debug)]
pub(crate) struct Watching {
    inbox: Arc<Inbox>,
    reader: Reader,
    process: Process,
}

impl Watching {
    pub(super) fn new(inbox: Arc<Inbox>, reader: Reader) -> Self {
        Self { inbox, reader, process: Process::current() }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if self.process.is_current() {
            self.inbox.post(Command::Unwatch { reader: self.reader.clone() });
        }
    }
}
