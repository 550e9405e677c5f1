//! A connection as hyper writes to it: one whose client takes nothing is given up, as a stream's is.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::time::Sleep;

use super::{handoff::Handoff, listener::Connection};
use crate::engine::send;

/// Fails a write whose client takes no byte for the time given, and tells the [`Handoff`] whether the last was refused.
pub(super) struct Watched<C> {
    io: TokioIo<C>,
    handoff: Handoff,
    timeout: Duration,
    /// Runs while a write is refused.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<C: Connection> Watched<C> {
    pub(super) fn new(connection: C, handoff: Handoff, timeout: Duration) -> Self {
        Self { io: TokioIo::new(connection), handoff, timeout, deadline: None }
    }

    pub(super) fn into_inner(self) -> C {
        self.io.into_inner()
    }

    /// What to do about a write that was refused: nothing before the deadline, and then one more try, because the
    /// poller tells of room only when there is much of it.
    fn poll_late(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let timeout = self.timeout;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(match send(&SockRef::from(self.io.inner()), bytes) {
            Ok(0) => Err(io::ErrorKind::TimedOut.into()),
            sent => sent,
        })
    }
}

impl<C: Connection> rt::Read for Watched<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<C: Connection> rt::Write for Watched<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut written = Pin::new(&mut self.io).poll_write(cx, bytes);
        if written.is_pending() {
            written = self.poll_late(cx, bytes);
        }
        if written.is_ready() {
            self.deadline = None;
        }
        self.handoff.note_blocked(written.is_pending());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
