//! Floor 2: the socket engine. A few threads own plain sockets and write shared frames straight to them.
//!
//! Each [`shard`] has a poller, the sockets given to it, and a [`feed`] per set of channels that its streams read.
//! Publishers only mark a channel and wake the shard; they never touch a stream. A stream that cannot take more is
//! just a cursor that stays behind: it costs the frame it is in the middle of, and nothing else.

mod batch;
mod feed;
mod inbox;
mod load;
mod member;
mod origin;
mod shard;
mod signal;
mod socket;
mod timers;

use std::{
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

pub use member::Framing;
pub(crate) use origin::{Guest, Origin};
pub(crate) use signal::{Signal, Watching};
pub(crate) use socket::block_sigpipe;

use self::{inbox::Command, shard::ShardHandle, signal::Raiser};
use crate::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    log::Channel,
    stream::{Hub, Stream},
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

    /// Gives a stream's socket to a shard, which writes `first` and then the events.
    pub(crate) fn adopt(
        &self,
        stream: Stream,
        socket: OwnedFd,
        framing: Framing,
        first: Vec<u8>,
        guest: Option<Guest>,
    ) -> Result<()> {
        let timeout = Duration::from_millis(stream.hub().config().write_timeout_ms);
        let socket = socket::Socket::new(socket, timeout)?;
        let adopt = Command::Adopt { stream, socket, framing, first, guest };
        if self.pick().post(adopt) { Ok(()) } else { Err(closed()) }
    }

    /// Has `signal` raised whenever one of the channels has new events, and when its due time comes.
    pub(crate) fn watch(&self, channels: &Arc<[Arc<Channel>]>, signal: &Arc<Signal>) -> Result<Watching> {
        let inbox = self.pick().inbox();
        let watch = Command::Watch { channels: channels.clone(), signal: Raiser::new(signal) };
        if inbox.post(watch) { Ok(Watching::new(inbox.clone(), signal.clone())) } else { Err(closed()) }
    }

    /// Asks the streams of a server, or all, to end by `timeout` from now, and does not wait for it.
    pub(crate) fn close_streams(&self, origin: Option<&Arc<Origin>>, timeout: Duration) {
        for shard in &self.shards {
            shard.post(Command::CloseStreams { origin: origin.cloned(), timeout_ms: millis(timeout) });
        }
    }

    /// Ends all streams by `timeout` from now and waits until the threads are gone.
    pub(crate) fn close(&self, timeout: Duration) {
        for shard in &self.shards {
            shard.post(Command::Stop { timeout_ms: millis(timeout) });
        }
        for shard in &self.shards {
            shard.join();
        }
    }

    fn pick(&self) -> &ShardHandle {
        &self.shards[self.next.fetch_add(1, Ordering::Relaxed) % self.shards.len()]
    }
}

/// One thread for two processors: the other half is the application's.
pub(crate) fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get() / 2).max(1)
}

impl Drop for Engine {
    fn drop(&mut self) {
        for shard in &self.shards {
            shard.post(Command::Stop { timeout_ms: 0 });
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

fn millis(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the events are closed")
}
