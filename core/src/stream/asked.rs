//! What a request for a stream has come to when the application is to decide on it.

use std::{net::IpAddr, ops::Deref};

use super::{
    reply::{Headers, Reply},
    request::Request,
};
use crate::wire::Resume;

/// What [`Events::screen`](crate::Events::screen) says of a request.
#[derive(Debug)]
#[must_use]
pub enum Screened {
    /// It needs no word from the application: send this.
    Reply(Reply),
    /// The application is to decide: give it to [`Events::open`](crate::Events::open), with what was decided.
    Ask(Asked),
}

/// A request for a stream that was read, verified and found well formed, but not decided on.
#[derive(Clone, Debug)]
#[must_use]
pub struct Asked {
    pub(super) channels: Vec<String>,
    pub(super) resume: Resume,
    pub(super) peer: Option<IpAddr>,
    /// The path of a stream that a proxy is to hold.
    pub(super) held: Option<Box<str>>,
    pub(super) is_head: bool,
    /// How much had been ended when it came.
    pub(super) ended_before: u64,
    /// It is a GET whose `Accept` names streams, and is told in-band what goes wrong.
    pub(super) names_stream: bool,
    /// For pages of other origins; every reply has them.
    pub(super) cors: Headers,
}

/// A request for a stream, as the application is asked about it.
#[derive(Clone, Copy, Debug)]
pub struct StreamRequest<'a> {
    request: &'a Request<'a>,
    asked: &'a Asked,
}

impl Asked {
    /// A request for something that is no stream.
    #[cfg(feature = "runtime")]
    pub(crate) fn for_no_stream(request: &Request<'_>) -> Self {
        Self {
            channels: Vec::new(),
            resume: Resume::Fresh,
            peer: request.peer,
            held: None,
            is_head: request.method == "HEAD",
            ended_before: 0,
            names_stream: false,
            cors: Headers::new(),
        }
    }

    /// The channels that the client names in the query, decoded, in its order and each once. Just these are read by a
    /// stream that [`Access::allow`](crate::Access::allow) opens.
    pub fn channels(&self) -> &[String] {
        &self.channels
    }

    /// The client's address, where it is known: as `trusted_proxies` say, or [`Request::peer`].
    pub fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// Whether a GRIP proxy asks, which is going to hold the stream.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }
}

impl<'a> StreamRequest<'a> {
    pub(crate) fn new(request: &'a Request<'a>, asked: &'a Asked) -> Self {
        Self { request, asked }
    }

    /// The channels that the client names: see [`Asked::channels`].
    pub fn channels(&self) -> &'a [String] {
        self.asked.channels()
    }

    /// Whether a GRIP proxy asks, which is going to hold the stream.
    pub fn is_held(&self) -> bool {
        self.asked.is_held()
    }
}

impl<'a> Deref for StreamRequest<'a> {
    type Target = Request<'a>;

    fn deref(&self) -> &Request<'a> {
        self.request
    }
}
