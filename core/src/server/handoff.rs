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
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1, service::HttpService};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
};

use super::{listener::Connection, watched::Watched};
use crate::{engine::Framing, stream::Stream, sync::lock};

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
        *lock(&self.0.stream) = Some((stream, framing));
        First { bytes: Some(first), handoff: Some(self.clone()) }
    }

    /// Notes that a request has come on the connection.
    pub(super) fn note_request(&self) {
        self.0.begun.store(true, Ordering::Relaxed);
    }

    /// Notes whether hyper's last write was refused.
    pub(super) fn note_blocked(&self, blocked: bool) {
        self.0.blocked.store(blocked, Ordering::Relaxed);
    }

    fn take(&self) -> Option<(Stream, Framing)> {
        lock(&self.0.stream).take()
    }

    /// Whether hyper has written all that comes before the stream. It asks for more of the body only when it has taken over
    /// what it was given, and what it could not write at once it keeps: with a write refused, bytes of the head may still
    /// be there, and ours would overtake them.
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

/// Serves the requests of a connection until it closes (`None`), or one is answered with a stream. A client that takes
/// no byte of an answer for `write_timeout` is given up.
pub(super) async fn serve<C, S>(
    connection: C,
    handoff: &Handoff,
    service: S,
    builder: &http1::Builder,
    write_timeout: Duration,
    mut stopped: watch::Receiver<bool>,
) -> Option<(C, Stream, Framing)>
where
    C: Connection,
    S: HttpService<Incoming, ResBody = First> + Unpin,
    S::Future: Unpin,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let io = Watched::new(connection, handoff.clone(), write_timeout);
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
            let connection = http.into_parts().io.into_inner();
            handoff.take().map(|(stream, framing)| (connection, stream, framing))
        }
        Some(result) => {
            if let Some((stream, _)) = handoff.take() {
                stream.close(crate::stream::CloseReason::Client);
            }
            let connection = http.into_parts().io.into_inner();
            let Err(error) = result else {
                if !stopping {
                    linger(connection, b"", stop).await;
                }
                return None;
            };
            tracing::debug!(%error, "a connection has failed");
            if is_timeout(&error) {
                // What the client has not taken would else stay in the system's memory for minutes more.
                let _ = SockRef::from(&connection).set_linger(Some(Duration::ZERO));
            } else if !stopping {
                let last_words = if error.is_parse_version_h2() { NOT_HTTP_2 } else { b"" };
                linger(connection, last_words, stop).await;
            }
            None
        }
    }
}

fn is_timeout(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// hyper says nothing to a client that begins to speak HTTP/2.
const NOT_HTTP_2: &[u8] = b"HTTP/1.1 505 HTTP Version Not Supported\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 67\r\nConnection: close\r\n\r\n\
    this server speaks HTTP/1.1; for HTTP/2 put a proxy in front of it\n";

/// Sends the last words, if any, and reads on for a moment after the last response. A connection that is closed with something unread is reset, and
/// then a client whose request was refused early may never see why.
async fn linger(mut connection: impl Connection, last_words: &[u8], stop: impl Future) {
    let mut stop = pin!(stop);
    let mut drained = pin!(async {
        let mut scratch = [0; 4_096];
        connection.write_all(last_words).await?;
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

/// A response that is complete.
pub(super) fn whole(response: http::response::Builder, body: impl Into<Bytes>) -> Response<First> {
    response.body(First::whole(body)).unwrap_or_else(|_| Response::new(First::whole("")))
}
