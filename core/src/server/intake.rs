//! Bodies of requests: how much of them is in memory at once, and how long a client may take to send one.

use std::{ops::Deref, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{config::Config, stream::Reply};

/// Reads the bodies of a server's requests.
#[derive(Clone)]
pub(super) struct Intake {
    timeout: Duration,
    total_bytes: usize,
    /// A permit a byte.
    room: Arc<Semaphore>,
    retry_s: u64,
}

/// A whole body, which takes up room until it is dropped.
pub(super) struct Taken {
    bytes: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
}

impl Intake {
    pub(super) fn new(config: &Config) -> Self {
        let total_bytes = usize::try_from(config.max_bodies_bytes).unwrap_or(usize::MAX);
        let total_bytes = total_bytes.min(Semaphore::MAX_PERMITS);
        Self {
            timeout: Duration::from_millis(config.body_timeout_ms),
            total_bytes,
            room: Arc::new(Semaphore::new(total_bytes)),
            retry_s: config.retry_after_s(),
        }
    }

    /// A request's body; the error is the reply to one that is too large, too slow, broken, or one too many.
    pub(super) async fn read<B>(&self, body: B, max_bytes: usize) -> Result<Taken, Reply>
    where
        B: Body<Data = Bytes>,
    {
        match tokio::time::timeout(self.timeout, self.collect(body, max_bytes.min(self.total_bytes))).await {
            Ok(read) => read,
            Err(_) => Err(Reply::text(408, "the request's body did not come in time")),
        }
    }

    /// Takes room for what has arrived only: what a client has announced costs nothing.
    async fn collect<B>(&self, body: B, max_bytes: usize) -> Result<Taken, Reply>
    where
        B: Body<Data = Bytes>,
    {
        let too_large = || Reply::text(413, &format!("a request may have {max_bytes} bytes of body at most"));
        if body.size_hint().lower() > max_bytes as u64 {
            return Err(too_large());
        }
        let mut taken = Taken { bytes: Vec::new(), room: None };
        let mut body = std::pin::pin!(body);
        while let Some(frame) = body.as_mut().frame().await {
            let frame = frame.map_err(|_| Reply::text(400, "the request's body cannot be read"))?;
            let Ok(data) = frame.into_data() else { continue };
            if taken.bytes.len() + data.len() > max_bytes {
                return Err(too_large());
            }
            // Refused rather than kept waiting: those that have room for a part of theirs only would wait for each
            // other.
            let room = self.room(data.len()).ok_or_else(|| self.refuse_for_now())?;
            match &mut taken.room {
                Some(held) => held.merge(room),
                none => *none = Some(room),
            }
            taken.bytes.extend_from_slice(&data);
        }
        Ok(taken)
    }

    fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.room.clone().try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }

    fn refuse_for_now(&self) -> Reply {
        let reply = Reply::text(503, "too many request bodies are in memory; try again later");
        reply.header("Retry-After", self.retry_s.to_string())
    }
}

impl Deref for Taken {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
