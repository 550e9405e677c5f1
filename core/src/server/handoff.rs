//! Taking a connection from hyper when the head and first bytes of a stream are out.
//!
//! The response's body gives its first bytes and is then pending. When hyper asks the body again, it has taken those
//! bytes; when moreover its last write was not refused, they are in the socket, and hyper has nothing left to do. So
//! that is the moment at which [`serve`] takes the connection apart.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, rt, server::conn::http1, service::HttpService};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
};

use super::listener::Connection;
use crate::{engine::Framing, stream::Stream};

/// What a connection's service leaves for the connection: the stream it has just answered with.
#[derive(Clone, Debug, Default)]
pub(super) struct Handoff(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// A request has come.
    begun: AtomicBool,
    stream: Mutex<Option<(Stream, Framing)>>,
    /// hyper has asked for what follows the first bytes.
    asked: AtomicBool,
    /// hyper's last write was refused.
    blocked: AtomicBool,
}

/// The body of a response: whole, or the first bytes of a stream.
#[derive(Debug)]
pub(super) struct First {
    bytes: Option<Bytes>,
    handoff: Option<Handoff>,
}

impl Handoff {
    /// A body of `first` bytes, after which the connection is to be handed over with `stream`.
    pub(super) fn body(&self, first: Bytes, stream: Stream, framing: Framing) -> First {
        *self.0.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some((stream, framing));
        First { bytes: Some(first), handoff: Some(self.clone()) }
    }

    /// Notes that a request has come on the connection.
    pub(super) fn note_request(&self) {
        self.0.begun.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> Option<(Stream, Framing)> {
        self.0.stream.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is_due(&self) -> bool {
        self.0.asked.load(Ordering::Relaxed) && !self.0.blocked.load(Ordering::Relaxed)
    }
}

impl First {
    /// A body that is complete.
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: Some(bytes.into()).filter(|bytes| !bytes.is_empty()), handoff: None }
    }
}

/// Serves the requests of a connection until it closes (`None`), or one is answered with a stream.
pub(super) async fn serve<C, S>(
    connection: C,
    handoff: &Handoff,
    service: S,
    builder: &http1::Builder,
    mut stopped: watch::Receiver<bool>,
) -> Option<(C, Stream, Framing)>
where
    C: Connection,
    S: HttpService<Incoming, ResBody = First> + Unpin,
    S::Future: Unpin,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let io = Watched { io: TokioIo::new(connection), handoff: handoff.clone() };
    let mut http = builder.serve_connection(io, service);
    let mut stop = Box::pin(stopped.wait_for(|stop| *stop));
    let mut stopping = false;
    let closed = poll_fn(|cx| {
        if !stopping && stop.as_mut().poll(cx).is_ready() {
            stopping = true;
            if !handoff.0.begun.load(Ordering::Relaxed) {
                // hyper would wait for the first request.
                return Poll::Ready(Some(Ok(())));
            }
            Pin::new(&mut http).graceful_shutdown();
        }
        match http.poll_without_shutdown(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if handoff.is_due() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    match closed {
        None => {
            let connection = http.into_parts().io.io.into_inner();
            handoff.take().map(|(stream, framing)| (connection, stream, framing))
        }
        Some(result) => {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection has failed");
            }
            if let Some((stream, _)) = handoff.take() {
                stream.close(crate::stream::CloseReason::Client);
            }
            if !stopping {
                linger(http.into_parts().io.io.into_inner(), stop).await;
            }
            None
        }
    }
}

/// Reads on for a moment after the last response. A connection that is closed with something unread is reset, and
/// then a client whose request was refused early may never see why.
async fn linger(mut connection: impl Connection, stop: impl Future) {
    let mut stop = pin!(stop);
    let mut drained = pin!(async {
        let mut scratch = [0; 4_096];
        connection.shutdown().await?;
        while connection.read(&mut scratch).await? > 0 {}
        io::Result::Ok(())
    });
    let either = poll_fn(|cx| {
        let is_over = stop.as_mut().poll(cx).is_ready() || drained.as_mut().poll(cx).is_ready();
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    });
    let _ = tokio::time::timeout(LINGER, either).await;
}

/// What is sent by then was on its way when the client was answered.
const LINGER: Duration = Duration::from_secs(2);

impl http_body::Body for First {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(bytes) = self.bytes.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match &self.handoff {
            None => Poll::Ready(None),
            Some(handoff) => {
                handoff.0.asked.store(true, Ordering::Relaxed);
                // No waker: the connection is about to be taken apart.
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && self.handoff.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.bytes, &self.handoff) {
            (_, Some(_)) => SizeHint::new(),
            (bytes, None) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}

/// Notes whether the last write was refused.
struct Watched<C> {
    io: TokioIo<C>,
    handoff: Handoff,
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
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.handoff.0.blocked.store(written.is_pending(), Ordering::Relaxed);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A response that is complete.
pub(super) fn whole(response: http::response::Builder, body: impl Into<Bytes>) -> Response<First> {
    response.body(First::whole(body)).unwrap_or_else(|_| Response::new(First::whole("")))
}
