//! Streams as the body of an `http` response: for hyper, axum, tonic and whatever else speaks `http_body`.

use std::{
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Response, request::Parts};
use http_body::Frame;

use super::connection::with_request;
use crate::{
    app::App,
    error::{Error, ErrorKind, Result},
    pull::Pull,
    stream::{Access, CloseReason, Reply, Request, Screened, StreamRequest, open, screen},
};

/// A response's body: first bytes, and perhaps a stream after them.
///
/// A server asks a body for more only when it can send more. When the client takes nothing for `write_timeout_ms` the
/// stream ends all the same, as a [`Pull`] does, and frees its place; the connection is the server's. hyper and axum keep
/// it for as long as the client does, unless the system gives it up: have it do so with [`Events::tune`](crate::Events::tune), and put a
/// deadline on a graceful shutdown.
#[derive(Debug)]
pub struct Body {
    first: Option<Bytes>,
    rest: Option<Pull>,
}

/// See [`Events::respond`](crate::Events::respond).
pub(crate) fn respond(
    app: &Arc<App>,
    parts: &Parts,
    peer: Option<IpAddr>,
    access: impl FnOnce(&StreamRequest<'_>) -> Access,
) -> Result<Response<Body>> {
    app.on_open();
    let Reply { status, headers, body, stream } =
        with_request(parts, peer, |request| match screen(app.hub(), request, app.now()) {
            Screened::Reply(reply) => reply,
            Screened::Ask(asked) => {
                let shown = Request { peer: asked.peer(), ..*request };
                let access = access(&StreamRequest::new(&shown, &asked));
                open(app.hub(), asked, access, app.now())
            }
        });
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    let first = Some(Bytes::from(body)).filter(|body| !body.is_empty());
    let rest = stream.map(|stream| Pull::new(app, stream)).transpose()?;
    response
        .body(Body { first, rest })
        .map_err(|error| Error::new(ErrorKind::Internal, "the reply cannot be sent").with_source(error))
}

impl Body {
    /// Waits until the stream has ended, as [`Pull::closed`] does, for a server that can cut the connection then; `None`
    /// when there is no stream.
    pub fn closed(&self) -> Option<impl Future<Output = CloseReason> + Send + Sync + use<>> {
        self.rest.as_ref().map(Pull::closed)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        match &mut self.rest {
            None => Poll::Ready(None),
            Some(pull) => pull.poll_next(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_none()
    }
}
