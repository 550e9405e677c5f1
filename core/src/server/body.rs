//! Streams as the body of an `http` response: for hyper, axum, tonic and whatever else speaks `http_body`.

use std::{
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Response, request::Parts};
use http_body::Frame;

use super::connection::with_request;
use crate::{
    error::Result,
    events::Events,
    pull::Pull,
    stream::{Access, Reply, Request},
};

/// A response's body: first bytes, and perhaps a stream after them.
#[derive(Debug)]
pub struct Body {
    first: Option<Bytes>,
    rest: Option<Pull>,
}

impl Events {
    /// Answers an `http` request, for mounting streams in a Rust web framework.
    ///
    /// `access` says who may have which channels. `peer` is the client's address, where the framework knows it. Fails
    /// with `closed` or `io`.
    ///
    /// ```
    /// # use evstream::{Access, Config, Events};
    /// # fn handler(events: Events, request: http::Request<()>) -> evstream::Result<http::Response<evstream::Body>> {
    /// let (parts, _) = request.into_parts();
    /// events.respond(&parts, None, |_| Access::channels(["clock"]))
    /// # }
    /// ```
    pub fn respond(
        &self,
        parts: &Parts,
        peer: Option<IpAddr>,
        access: impl FnOnce(&Request<'_>) -> Access,
    ) -> Result<Response<Body>> {
        let Reply { status, headers, body, stream } =
            with_request(parts, peer, |request| match self.screen(request) {
                Some(reply) => reply,
                None => self.open(request, access(request)),
            });
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        let first = Some(Bytes::from(body)).filter(|body| !body.is_empty());
        let rest = stream.map(|stream| self.pull(stream)).transpose()?;
        response.body(Body { first, rest }).map_err(|error| {
            crate::Error::new(crate::ErrorKind::Internal, "the reply cannot be sent").with_source(error)
        })
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
