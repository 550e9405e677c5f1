//! What the application says of a request for a stream.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use super::own::check_user;
use crate::{
    error::{Error, ErrorKind, Result},
    wire::{Event, Position, encode_event, protocol::MAX_CHANNEL_BYTES},
};

/// Whether a client gets a stream, and of which channels.
///
/// ```
/// use evstream::Access;
/// let own_choice = Access::allow(); // the channels the client names with `?channel=`
/// let fixed = Access::channels(["room-1"]).user("bob");
/// let none = Access::forbid("please log in");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Access {
    pub(crate) refusal: Option<Refusal>,
    pub(crate) channels: Option<Vec<String>>,
    pub(crate) user: Option<String>,
    pub(crate) expires_at_s: Option<u64>,
    pub(crate) since: Option<Position>,
    /// The first events, as bytes, and what is wrong with one of them.
    pub(crate) greeting: Vec<u8>,
    pub(crate) greeted: usize,
    pub(crate) problem: Option<Error>,
    /// The id of the ticket that grants it.
    pub(super) ticket: Option<String>,
}

/// No stream, and what the client is told of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    Forbidden(String),
    Failed(String),
    /// Without a token that is accepted; and the challenge for one.
    Unauthorized(&'static str, &'static str),
}

impl Access {
    /// The channels that the client names in the query.
    pub fn allow() -> Self {
        Self::default()
    }

    /// These channels, whatever the client asks for.
    pub fn channels(channels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { channels: Some(channels.into_iter().map(Into::into).collect()), ..Self::default() }
    }

    /// No stream: the client is told `forbidden` with this text, and does not come back.
    pub fn forbid(text: impl Into<String>) -> Self {
        Self { refusal: Some(Refusal::Forbidden(text.into())), ..Self::default() }
    }

    /// No stream now, because the application cannot decide: a database is down, or something took too long. The client
    /// is told `stream-close` with the reason `failed`, and comes back later.
    ///
    /// A client whose `Accept` does not name `text/event-stream` gets a 503 with this text.
    pub fn fail(text: impl Into<String>) -> Self {
        Self { refusal: Some(Refusal::Failed(text.into())), ..Self::default() }
    }

    /// No stream: a client of streams is told `forbidden` with this text, and does not come back; another gets a 401.
    pub(super) fn unauthorized(text: &'static str, challenge: &'static str) -> Self {
        Self { refusal: Some(Refusal::Unauthorized(text, challenge)), ..Self::default() }
    }

    /// What a token or ticket grants of its channels: those that the client names, or all. The error is the refusal of one
    /// that it does not have.
    pub(super) fn of_token(kind: &str, channels: Vec<String>, requested: &[String]) -> Result<Self, Self> {
        if requested.is_empty() {
            return Ok(Self::channels(channels));
        }
        let known: HashSet<&str> = channels.iter().map(String::as_str).collect();
        match requested.iter().find(|channel| !known.contains(channel.as_str())) {
            Some(other) => Err(Self::forbid(format!("the {kind} does not grant the channel {other:?}"))),
            None => Ok(Self::channels(requested)),
        }
    }

    /// With one stream at a time for the ticket of that id.
    pub(super) fn ticket(mut self, id: String) -> Self {
        self.ticket = Some(id);
        self
    }

    /// Names the user behind the stream. With the setting `user_channel` it reads the user's own channel too, and may have no
    /// others: see [`Events::publish_to_user`](crate::Events::publish_to_user).
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Ends the stream before that moment, in seconds since 1970-01-01 UTC: the client comes back, and the application
    /// decides anew. Up to a tenth of the time is taken off at random, and a minute at most, so that not all come at once.
    ///
    /// A moment in the past is a refusal: `forbidden`. A stream that a GRIP proxy holds ends when the proxy next asks for it, up to
    /// `grip_link_timeout_ms` later; where it never asks, without a journal or `grip_sole_publisher`, the client is not let in.
    ///
    /// ```
    /// use evstream::Access;
    /// let (user, expires_at_s) = ("bob", 4_102_444_800); // as a token says
    /// let access = Access::channels(["room-1"]).user(user).expires_at(expires_at_s);
    /// ```
    pub fn expires_at(mut self, unix_s: u64) -> Self {
        self.expires_at_s = Some(unix_s);
        self
    }

    /// [`expires_at`](Self::expires_at) that long from now.
    pub fn expires_in(self, time: Duration) -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.expires_at(since_1970.saturating_add(time).as_secs())
    }

    /// Sends an event to this client alone, before all others and without a place in the log: the data that the events
    /// after [`since`](Self::since) change. Once for each event; a hundred at most.
    ///
    /// An event that cannot be sent is a fault of the application: it is logged, and the client asked to come back.
    pub fn greet(mut self, event: &Event<'_>) -> Self {
        self.greeted += 1;
        if let Err(error) = event.check(usize::MAX) {
            self.problem.get_or_insert(error);
        }
        self.greeting.extend(encode_event(None, event));
        self
    }

    /// Begins with what was published after that position, wherever the client was. Take it with
    /// [`Events::position`](crate::Events::position) *before* reading the data that the client is [greeted](Self::greet)
    /// with: then it gets every change that the data does not show, and perhaps some that it does.
    ///
    /// ```
    /// # use evstream::{Access, Config, Event, Events};
    /// # let events = Events::new(Config::new())?;
    /// # let read_database = || "[]";
    /// let position = events.position(); // first
    /// let rows = Event::text(read_database()).name("rows");
    /// let access = Access::channels(["rows"]).since(position).greet(&rows);
    /// # Ok::<(), evstream::Error>(())
    /// ```
    pub fn since(mut self, position: Position) -> Self {
        self.since = Some(position);
        self
    }

    /// Refuses what cannot be granted, with `invalid-argument`, `invalid-event` or `too-large`.
    pub fn check(&self, max_event_bytes: usize) -> Result<()> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let argument = |text| Err(Error::new(ErrorKind::InvalidArgument, text));
        if let Some(user) = &self.user {
            check_user(user, MAX_CHANNEL_BYTES)?;
        }
        if let Some(expires_at_s) = self.expires_at_s.filter(|at_s| *at_s > YEAR_5000_S) {
            return argument(format!(
                "an access expires at a time in seconds since 1970; {expires_at_s} looks like milliseconds"
            ));
        }
        if self.greeted > MAX_GREETED {
            return argument(format!(
                "a client is greeted with {MAX_GREETED} events at most, not {}",
                self.greeted
            ));
        }
        if self.greeting.len() > max_event_bytes.saturating_mul(2) {
            let text = format!("a greeting of {} bytes is too large (max_event_bytes)", self.greeting.len());
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        Ok(())
    }
}

/// Later than any right to read ends; milliseconds since 1970 are greater.
pub(super) const YEAR_5000_S: u64 = 95_617_584_000;

const MAX_GREETED: usize = 100;
