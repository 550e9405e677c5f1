//! The proxy's side of publishing: `POST /publish/`, so that any GRIP publisher reaches a process that serves directly.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::request::Parts;
use hyper::body::Incoming;

use super::fallback::read_body;
use crate::{
    error::{Error, ErrorKind, Result},
    events::Events,
    grip::{Action, Auth, Item, Prefix, parse_publish},
    stream::{Now, Reply},
    wire::{Decoded, Decoder, Event, check_channel, protocol},
};

/// Takes publish requests that are authorized.
#[derive(Debug)]
pub(super) struct Inlet {
    auth: Auth,
    prefix: Prefix,
    hasher: RandomState,
    recent: Mutex<Recent>,
}

impl Inlet {
    pub(super) fn new(auth: Auth, grip_prefix: &str) -> Result<Self> {
        Ok(Self {
            auth,
            prefix: Prefix::new(grip_prefix)?,
            hasher: RandomState::new(),
            recent: Mutex::default(),
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
    pub(super) async fn answer(&self, events: &Events, parts: &Parts, body: Incoming, now: Now) -> Reply {
        if parts.method != http::Method::POST {
            return Reply::text(405, "events are published with POST").header("Allow", "POST");
        }
        if self.is_open() && parts.headers.contains_key(http::header::ORIGIN) {
            // On a loopback address only, but a page in a browser on this machine reaches that too.
            return Reply::text(403, "a web page may not publish without authorization");
        }
        let authorization =
            parts.headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Err(refusal) = self.auth.check(authorization, now.unix_s) {
            return Reply::text(401, &format!("the Authorization {refusal}"))
                .header("WWW-Authenticate", self.auth.challenge());
        }
        let timeout = Duration::from_millis(events.hub().config().body_timeout_ms);
        let body = match read_body(body, protocol::MAX_PUBLISH_BYTES, timeout).await {
            Ok(body) => body,
            Err((status, text)) => return Reply::text(status, &text),
        };
        match self.publish(events, &body) {
            Ok(()) => Reply::text(200, "Published"),
            Err(error) => Reply::text(status_of(error.kind()), &error.to_string()),
        }
    }

    fn publish(&self, events: &Events, body: &[u8]) -> Result<()> {
        let published = parse_publish(body)?;
        let max_bytes = events.hub().config().max_event_bytes as usize;
        let mut ready = Vec::new();
        for (index, item) in published.items.iter().enumerate() {
            let read = self.read(item, max_bytes);
            ready.push((item, read.map_err(|e| Error::new(e.kind(), format!("items[{index}]: {e}")))?));
        }
        for (item, (channel, decoded)) in ready {
            if self.is_repeated(item) {
                continue;
            }
            for decoded in decoded {
                events.publish(&channel, to_event(&decoded))?;
            }
        }
        Ok(())
    }

    /// The channel of an item and the events in its content, which are ours to number.
    fn read(&self, item: &Item<'_>, max_bytes: usize) -> Result<(String, Vec<Decoded>)> {
        let Some(channel) = self.prefix.decode(&item.channel) else {
            let prefix = self.prefix.encode("");
            let text = format!("the channel does not begin with {prefix:?} (grip_prefix)");
            return Err(Error::new(ErrorKind::InvalidChannel, text));
        };
        check_channel(&channel)?;
        let content = match &item.action {
            Action::Send(content) => content,
            // There is no link to ask: everything is here already.
            Action::Hint => return Ok((channel, Vec::new())),
            Action::Close => {
                let text = "the action 'close' is for streams that a proxy holds";
                return Err(Error::new(ErrorKind::InvalidArgument, text));
            }
        };
        let decoded = Decoder::new().feed(content.as_bytes());
        if decoded.is_empty() {
            let text = "the content holds no server-sent event; it ends with an empty line";
            return Err(Error::new(ErrorKind::InvalidEvent, text));
        }
        for decoded in &decoded {
            to_event(decoded).check(max_bytes)?;
        }
        Ok((channel, decoded))
    }

    /// Whether an item with this id was published on its channel a moment ago: publishers repeat a request that they
    /// have no answer to.
    fn is_repeated(&self, item: &Item<'_>) -> bool {
        let Some(id) = &item.id else { return false };
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
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

fn to_event(decoded: &Decoded) -> Event<'_> {
    let event = Event::text(&*decoded.data);
    match &decoded.name {
        Some(name) => event.name(&**name),
        None => event,
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
