//! The proxy's side of publishing: `POST /publish/`, so that any GRIP publisher reaches a process that serves directly.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::Mutex,
    time::{Duration, Instant},
};

use http::request::Parts;
use hyper::body::Incoming;

use super::{attempts::Attempts, intake::Intake};
use crate::{
    app::App,
    error::{Error, ErrorKind, Result},
    grip::{Action, Auth, Content, Item, Prefix, parse_publish},
    stream::Reply,
    sync::lock,
    wire::{Event, check_channel, protocol, read_events},
};

/// Takes publish requests that are authorized.
#[derive(Debug)]
pub(super) struct PublishEndpoint {
    auth: Auth,
    prefix: Prefix,
    hasher: RandomState,
    recent: Mutex<Recent>,
    attempts: Attempts,
}

impl PublishEndpoint {
    pub(super) fn new(auth: Auth, grip_prefix: &str) -> Result<Self> {
        Ok(Self {
            auth,
            prefix: Prefix::new(grip_prefix)?,
            hasher: RandomState::new(),
            recent: Mutex::default(),
            attempts: Attempts::default(),
        })
    }

    /// Whether anybody who reaches the server may publish.
    pub(super) fn is_open(&self) -> bool {
        self.auth.is_none()
    }

    pub(super) fn matches(path: &str) -> bool {
        path.trim_end_matches('/') == protocol::PUBLISH_PATH.trim_end_matches('/')
    }

    /// Publishes all items of a request, or none and says why.
    pub(super) async fn answer(
        &self,
        app: &App,
        parts: &Parts,
        body: Incoming,
        peer: Option<IpAddr>,
        intake: &Intake,
    ) -> Reply {
        if parts.method != http::Method::POST {
            return Reply::text(405, "events are published with POST").header("Allow", "POST");
        }
        if self.is_open() && parts.headers.contains_key(http::header::ORIGIN) {
            // On a loopback address only, but a page in a browser on this machine reaches that too.
            return Reply::text(403, "a web page may not publish without authorization");
        }
        if let Err(refusal) = self.check(app, parts, peer) {
            return refusal;
        }
        let body = match intake.read(body, protocol::MAX_PUBLISH_BYTES).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        match self.publish(app, &body) {
            Ok(()) => Reply::text(200, "Published"),
            Err(error) => Reply::text(status_of(error.kind()), &error.to_string()),
        }
    }

    /// Whether a request is authorized; the error is the reply to one that is not.
    fn check(&self, app: &App, parts: &Parts, peer: Option<IpAddr>) -> Result<(), Reply> {
        let now = app.now();
        if self.attempts.must_wait(peer, now.ms) {
            let text = "too many requests with a wrong Authorization have come from this address";
            return Err(Reply::text(429, text).header("Retry-After", "1"));
        }
        let authorization =
            parts.headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        self.auth.check(authorization, now.unix_s).map_err(|refusal| {
            self.attempts.refused(peer, now.ms);
            if let Some(requests) = self.attempts.log.pass(now.ms) {
                tracing::warn!(requests, reason = refusal.code(), ?peer, "requests to publish were refused");
            }
            Reply::text(401, &format!("the Authorization {refusal}"))
                .header("WWW-Authenticate", self.auth.challenge())
        })
    }

    fn publish(&self, app: &App, body: &[u8]) -> Result<()> {
        let published = parse_publish(body)?;
        let max_bytes = app.hub().config().max_event_bytes as usize;
        let mut ready = Vec::new();
        for (index, item) in published.items.iter().enumerate() {
            let read = self.read(item, max_bytes);
            ready.push((item, read.map_err(|e| Error::new(e.kind(), format!("items[{index}]: {e}")))?));
        }
        for (item, (channel, events)) in ready {
            if self.is_repeated(item) {
                continue;
            }
            for event in &events {
                app.publish(&app.channel(&channel)?, event)?;
            }
        }
        Ok(())
    }

    /// The channel of an item and the events in its content, which are ours to number.
    fn read(&self, item: &Item<'_>, max_bytes: usize) -> Result<(String, Vec<Event<'static>>)> {
        let Some(channel) = self.prefix.decode(&item.channel) else {
            let prefix = self.prefix.encode("");
            let text = format!("the channel does not begin with {prefix:?} (grip_prefix)");
            return Err(Error::new(ErrorKind::InvalidChannel, text));
        };
        check_channel(&channel)?;
        let invalid = |text| Err(Error::new(ErrorKind::InvalidEvent, text));
        let content = match &item.action {
            Action::Send(Content::Text(text)) => text,
            Action::Send(Content::Binary(_)) => return invalid("the content is not UTF-8".to_owned()),
            // There is no link to ask: everything is here already.
            Action::Hint => return Ok((channel, Vec::new())),
            Action::Close => {
                let text = "the action 'close' is for streams that a proxy holds";
                return Err(Error::new(ErrorKind::InvalidArgument, text));
            }
        };
        let events = match read_events(content) {
            Ok(events) => events,
            Err(reason) => return invalid(format!("the content {reason}")),
        };
        for event in &events {
            event.check(max_bytes)?;
        }
        Ok((channel, events))
    }

    /// Whether an item with this id was published on its channel a moment ago: publishers repeat a request that they
    /// have no answer to.
    fn is_repeated(&self, item: &Item<'_>) -> bool {
        let Some(id) = &item.id else { return false };
        let mut recent = lock(&self.recent);
        !recent.insert(self.hasher.hash_one((&item.channel, id)), Instant::now())
    }
}

fn status_of(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::TooLarge => 413,
        ErrorKind::InvalidArgument | ErrorKind::InvalidChannel | ErrorKind::InvalidEvent => 400,
        ErrorKind::Closed => 503,
        _ => 500,
    }
}

/// Ids seen in the last minute, as proxies remember them: hashes with a secret key, since ids may be long.
#[derive(Debug, Default)]
struct Recent {
    seen: HashSet<u64>,
    order: VecDeque<(Instant, u64)>,
}

impl Recent {
    /// Whether the id is new.
    fn insert(&mut self, id: u64, now: Instant) -> bool {
        while self.order.len() >= MAX_RECENT
            || self.order.front().is_some_and(|(at, _)| now.duration_since(*at) > REMEMBER)
        {
            let Some((_, old)) = self.order.pop_front() else { break };
            self.seen.remove(&old);
        }
        let is_new = self.seen.insert(id);
        if is_new {
            self.order.push_back((now, id));
        }
        is_new
    }
}

const REMEMBER: Duration = Duration::from_secs(60);
const MAX_RECENT: usize = 100_000;
