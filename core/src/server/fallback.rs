//! Requests that are for no mount: what an application without a web framework answers itself, such as its page.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{Response, header, request::Parts};
use http_body::Body;

use super::{
    connection::{plain, reply, with_request},
    handoff::{First, whole},
    hooks::{Hooks, NoAnswer},
    intake::Intake,
};
use crate::{
    config::Config,
    stream::{Reply, Request},
};

/// What a server's fallback answers: see [`ServerBuilder::fallback`](super::ServerBuilder::fallback).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status, 200 to 999.
    pub status: u16,
    /// Headers, in the order to send them. `Content-Length` and `Transfer-Encoding` follow from the body, and are
    /// ignored here.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// The application's function, and how much of a request it takes.
#[derive(Clone)]
pub(super) struct Fallback {
    act: Arc<Act>,
    hooks: Hooks,
    max_body_bytes: usize,
    retry_after_s: u64,
}

pub(super) type Act = dyn Fn(&Request<'_>, &[u8]) -> Answer + Send + Sync;

impl Answer {
    /// An answer with a body of the media type `kind`.
    pub fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("Content-Type".to_owned(), kind.to_owned())], body: body.into() }
    }
}

impl Fallback {
    pub(super) fn new(act: Arc<Act>, hooks: Hooks, config: &Config) -> Self {
        let max_body_bytes = config.max_body_bytes as usize;
        Self { act, hooks, max_body_bytes, retry_after_s: config.retry_after_s() }
    }

    /// Reads the request's body and asks the application, on a thread that may block.
    pub(super) async fn answer(
        self,
        parts: Parts,
        body: impl Body<Data = Bytes>,
        peer: Option<IpAddr>,
        intake: &Intake,
    ) -> Response<First> {
        let body = match intake.read(body, self.max_body_bytes).await {
            Ok(body) => body,
            Err(refusal) => return reply(refusal),
        };
        let act = self.act;
        match self.hooks.call(move || with_request(&parts, peer, |request| act(request, &body))).await {
            Ok(answer) => respond(answer),
            Err(NoAnswer::Busy) => reply(
                Reply::text(503, "the server is busy; try again later")
                    .header("Retry-After", self.retry_after_s.to_string()),
            ),
            Err(NoAnswer::Panicked) => {
                tracing::error!("the fallback has panicked");
                plain(500, "the server has failed\n")
            }
        }
    }
}

fn respond(answer: Answer) -> Response<First> {
    let Answer { status, headers, body } = answer;
    let mut response = Response::builder().status(status);
    for (name, value) in headers.iter().filter(|(name, _)| !is_framing(name)) {
        response = response.header(name, value);
    }
    if status >= 200 && response.headers_ref().is_some() {
        return whole(response, body);
    }
    tracing::error!(status, ?headers, "the fallback's answer is not valid HTTP");
    plain(500, "the server has failed\n")
}

/// How long an answer is follows from its body; a header that says otherwise would garble the connection.
fn is_framing(name: &str) -> bool {
    [header::CONTENT_LENGTH, header::TRANSFER_ENCODING].iter().any(|framing| *framing == *name)
}
