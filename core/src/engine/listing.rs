//! Asking all shards at once which streams they have.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use super::{Engine, inbox::Command};
use crate::{
    error::{Error, ErrorKind, Result},
    stream::{OpenStream, Who},
};

impl Engine {
    /// The streams that are meant, from the oldest to the newest. Fails with `timeout` when a shard is held up for long,
    /// and with `invalid-argument` on a thread of a shard, which would wait for itself.
    pub(crate) fn streams(&self, who: &Arc<Who>) -> Result<Vec<OpenStream>> {
        if self.shards.iter().any(super::shard::ShardHandle::is_this_thread) {
            let text = "streams cannot be listed by an observer, which the others wait for";
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        let deadline = Instant::now() + PATIENCE;
        let (found, all) = mpsc::channel();
        for shard in &self.shards {
            shard.post(Command::List { who: who.clone(), found: found.clone() });
        }
        // What is left of it is with the shards; those that have ended have no streams.
        drop(found);
        let mut streams = Vec::new();
        loop {
            match all.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(of_shard) => streams.extend(of_shard),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let text = "an observer holds up the streams; it must not block";
                    return Err(Error::new(ErrorKind::Timeout, text));
                }
            }
        }
        streams.sort_by(|a: &OpenStream, b| b.age_ms.cmp(&a.age_ms).then_with(|| a.id.cmp(&b.id)));
        Ok(streams)
    }
}

/// A shard comes to its mail within milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
