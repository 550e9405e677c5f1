//! Floor 2: the socket engine. A few threads own plain sockets and write shared frames straight to them.
//!
//! Each [`shard`] has a poller, the sockets given to it, and a [`feed`] per set of channels that its streams read.
//! Publishers only mark a channel and wake the shard; they never touch a stream. A stream that cannot take more is
//! just a cursor that stays behind: it costs the frame it is in the middle of, and nothing else.

mod adopt;
mod batch;
mod ebb;
mod entries;
mod feed;
mod framing;
mod inbox;
mod listing;
mod load;
mod member;
mod pulled;
mod server_streams;
mod shard;
mod socket;
mod sweeper;
mod timers;
mod watching;

use std::{
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

pub use adopt::AdoptError;
pub(crate) use adopt::check_connected;
pub(crate) use entries::Which;
pub use framing::Framing;
pub(crate) use pulled::{Next, Pulled};
pub(crate) use server_streams::{ServerStreams, StreamGuard};
pub(crate) use socket::{send, tell_of_room_early, tune};
pub(crate) use sweeper::Sweeper;
pub(crate) use watching::{Reader, Watching};

use self::{
    adopt::end_at_once,
    inbox::{Command, Inbox},
    member::CLOSE_NOTICE_MS,
    shard::ShardHandle,
    watching::SignalRef,
};
use crate::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    log::Channel,
    stream::{CloseNotice, Hub, LastWords, Stream, Who},
};

/// The shards of one [`Events`](crate::Events).
pub(crate) struct Engine {
    shards: Vec<ShardHandle>,
    next: AtomicUsize,
}

impl Engine {
    /// Starts the threads.
    pub(crate) fn start(hub: &Arc<Hub>, clock: Clock) -> Result<Self> {
        let shards = match hub.config().shards as usize {
            0 => default_threads(),
            shards => shards,
        };
        // If one cannot be started, dropping the engine ends those that were.
        let mut engine = Self { shards: Vec::with_capacity(shards), next: AtomicUsize::new(0) };
        for index in 0..shards {
            engine.shards.push(ShardHandle::start(index, hub, clock)?);
        }
        Ok(engine)
    }

    /// Whether all of its threads still run.
    pub(crate) fn is_alive(&self) -> bool {
        self.shards.iter().all(ShardHandle::is_alive)
    }

    /// Gives a stream's socket to a shard, which writes `first` and then the events. The socket is one that was checked
    /// by [`check_connected`], or accepted. When no engine runs any more, the stream is [ended](end_at_once).
    pub(crate) fn adopt(
        engine: Option<&Self>,
        mut stream: Stream,
        socket: OwnedFd,
        framing: Framing,
        first: Vec<u8>,
        guard: Option<StreamGuard>,
    ) -> Result<(), AdoptError> {
        let socket = match socket::Socket::new(socket, stream.hub().config()) {
            Ok(socket) => socket,
            Err((error, socket)) => return Err(AdoptError::new(error, stream, socket)),
        };
        replace_older(engine, &mut stream);
        let command = Command::Adopt { stream, socket, framing, first, guard };
        let refused = match engine {
            Some(engine) => engine.send(command).err(),
            None => Some(command),
        };
        if let Some(Command::Adopt { stream, socket, framing, first, .. }) = refused {
            end_at_once(stream, &socket, framing, first);
        }
        Ok(())
    }

    /// Has `reader` told whenever one of the channels has new events, and keeps its deadlines.
    pub(crate) fn watch(&self, channels: &Arc<[Arc<Channel>]>, reader: Reader) -> Result<Watching> {
        let signal_ref = SignalRef::new(reader.clone());
        let inbox =
            self.send(Command::Watch { channels: channels.clone(), signal_ref }).map_err(|_| closed())?;
        Ok(Watching::new(inbox.clone(), reader))
    }

    /// Asks streams to end by `timeout` from now, for the server ends, and does not wait for it.
    pub(crate) fn close_streams(&self, who: &Which, timeout: Duration) {
        self.post_close(who, &CloseNotice::Shutdown.into(), millis(timeout));
    }

    /// Asks the streams that are meant to end with these words, and does not wait for it.
    fn end_streams(&self, who: &Arc<Who>, words: &LastWords) {
        self.post_close(&Which::Meant(who.clone()), words, CLOSE_NOTICE_MS);
    }

    fn post_close(&self, who: &Which, words: &LastWords, timeout_ms: u64) {
        for shard in &self.shards {
            shard.post(Command::CloseStreams { who: who.clone(), words: words.clone(), timeout_ms });
        }
    }

    /// Ends all streams by `timeout` from now, and then the threads.
    pub(crate) fn stop(&self, timeout: Duration) {
        for shard in &self.shards {
            shard.post(Command::Stop { timeout_ms: millis(timeout) });
        }
    }

    /// Waits until the threads are gone, which a callback may hold up.
    pub(crate) fn join(&self) {
        for shard in &self.shards {
            shard.join();
        }
    }

    /// Gives a command to the next shard in turn, or to another if that one has ended: a poller may fail.
    fn send(&self, mut command: Command) -> Result<&Arc<Inbox>, Command> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for turn in 0..self.shards.len() {
            let inbox = self.shards[first.wrapping_add(turn) % self.shards.len()].inbox();
            match inbox.send(command) {
                Ok(()) => return Ok(inbox),
                Err(refused) => command = refused,
            }
        }
        Err(command)
    }
}

/// One thread for two processors: the other half is the application's.
pub(crate) fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get() / 2).max(1)
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

/// Ends streams with these words, also those that are just being opened. Of an engine that was not started there are none
/// but these.
pub(crate) fn end_meant(hub: &Hub, engine: Option<&Engine>, who: Who, words: &LastWords) {
    // Before streams are looked for: those that are just being opened look here.
    hub.ended.note(who.clone(), words.clone());
    if let Some(engine) = engine {
        engine.end_streams(&Arc::new(who), words);
    }
    hub.ended.note_posted();
}

/// Ends the streams whose place this one takes, which is about to get a driver.
pub(crate) fn replace_older(engine: Option<&Engine>, stream: &mut Stream) {
    while let Some(older) = stream.take_replaced() {
        end_meant(stream.hub(), engine, older, &CloseNotice::Replaced.into());
    }
}

fn millis(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the events are closed")
}
