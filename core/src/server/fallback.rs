//! Requests that are for no mount: what an application without a web framework answers itself, such as its page.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, header, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::{
    connection::{plain, with_request},
    handoff::{First, whole},
};
use crate::{config::Config, stream::Request};

/// What a server's fallback answers: see [`ServerBuilder::fallback`](super::ServerBuilder::fallback).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
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
    max_body_bytes: usize,
    body_timeout: Duration,
}

pub(super) type Act = dyn Fn(&Request<'_>, &[u8]) -> Answer + Send + Sync;

impl Answer {
    /// An answer with a body of the media type `kind`.
    pub fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("Content-Type".to_owned(), kind.to_owned())], body: body.into() }
    }
}

impl Fallback {
    pub(super) fn new(act: Arc<Act>, config: &Config) -> Self {
        let max_body_bytes = config.max_body_bytes as usize;
        Self { act, max_body_bytes, body_timeout: Duration::from_millis(config.body_timeout_ms) }
    }

    /// Reads the request's body and asks the application, on a thread that may block.
    pub(super) async fn answer<B>(self, parts: Parts, body: B, peer: Option<IpAddr>) -> Response<First>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let body = match read_body(body, self.max_body_bytes, self.body_timeout).await {
            Ok(body) => body,
            Err((status, text)) => return plain(status, text + "\n"),
        };
        let act = self.act;
        let asked =
            tokio::task::spawn_blocking(move || with_request(&parts, peer, |request| act(request, &body)));
        match asked.await {
            Ok(answer) => respond(answer),
            Err(error) => {
                tracing::error!(%error, "the fallback has failed");
                plain(500, "the server has failed\n")
            }
        }
    }
}

/// The whole body of a request; the error is the status and text for one that is too large, too slow or broken.
pub(super) async fn read_body<B>(body: B, max_bytes: usize, timeout: Duration) -> Result<Bytes, (u16, String)>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || (413, format!("a request may have {max_bytes} bytes of body at most"));
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(too_large());
    }
    let reading = Limited::new(body, max_bytes).collect();
    match tokio::time::timeout(timeout, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err((400, "the request's body cannot be read".to_owned())),
        Err(_) => Err((408, "the request's body did not come in time".to_owned())),
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
