//! One client's open stream: a cursor over its channels.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
};

use super::{
    begin::{Begin, Early, begin_late},
    ends::Ends,
    hub::Hub,
    notice::{self, CloseNotice, Condition, LastWords, ResetReason},
    resume::repeated,
    spread::Turn,
    stats::CloseReason,
    who::Who,
};
use crate::{
    config::SlowClient,
    log::{Gap, Item, Subscription},
    wire::{Epoch, Frame, Position, protocol::ERROR_RETRY_MS},
};

/// One client's open stream. Exactly one driver reads it; dropping it closes it.
#[derive(Debug)]
#[must_use = "dropping it closes it"]
pub struct Stream {
    hub: Arc<Hub>,
    subscription: Subscription,
    /// What its cursor is a place of, which the log is past when it has yet to be told of another.
    epoch: Epoch,
    cursor: u64,
    early: Option<Box<Early>>,
    user: Option<Box<User>>,
    peer: Option<IpAddr>,
    number: u64,
    ended_before: u64,
    opened_ms: u64,
    ends: Ends,
    close_reason: CloseReason,
}

/// Whose it is. Apart, because most streams are nobody's, and each byte counts.
#[derive(Debug)]
struct User {
    name: Option<Box<str>>,
    /// The id of the ticket that has opened it.
    ticket: Option<Box<str>>,
    /// The streams of the same user or ticket that it takes the place of.
    replaced: Vec<u64>,
}

/// What is known of a client when its stream begins.
pub(super) struct About {
    pub(super) user: Option<String>,
    /// The id of the ticket that has opened it.
    pub(super) ticket: Option<String>,
    pub(super) peer: Option<IpAddr>,
    pub(super) number: u64,
    /// The streams of the same user or ticket that it takes the place of.
    pub(super) replaced: Vec<u64>,
    /// How much had been ended when the application was asked.
    pub(super) ended_before: u64,
    pub(super) opened_ms: u64,
    pub(super) ends: Ends,
}

/// What a stream has to say next.
#[derive(Debug)]
pub enum Read {
    /// The events that were appended to the items, perhaps none.
    Events,
    /// An event of evstream's own, in place of what was lost.
    Notice(Frame),
    /// The stream is to say these [last words](Stream::last_words) and be closed.
    End(LastWords),
}

impl Stream {
    /// A stream that reads `subscription` from after `at`. The hub's admission has let it in.
    pub(super) fn new(
        hub: &Arc<Hub>,
        subscription: Subscription,
        at: Position,
        early: Option<Box<Early>>,
        about: About,
    ) -> Self {
        let About { user, ticket, peer, number, replaced, ended_before, opened_ms, ends } = about;

        let is_somebodys = user.is_some() || ticket.is_some();
        hub.counters.opened.fetch_add(1, Ordering::Relaxed);
        let stream = Self {
            hub: hub.clone(),
            subscription,
            epoch: at.epoch,
            cursor: at.seq,
            early,
            user: is_somebodys.then(|| {
                Box::new(User { name: user.map(Into::into), ticket: ticket.map(Into::into), replaced })
            }),
            peer,
            number,
            ended_before,
            opened_ms,
            ends,
            close_reason: CloseReason::Dropped,
        };
        hub.tell(|observer| observer.stream_opened(&stream));
        stream
    }

    /// Takes what lies after the cursor, about `max_bytes` at most, and moves the cursor behind it.
    pub fn read(&mut self, max_bytes: usize, items: &mut Vec<Item>) -> Read {
        if self.hub.ended.count() == self.ended_before {
            return self.read_log(max_bytes, items);
        }
        // It was ended, and nobody has come to do so yet.
        let before = self.ended_before;
        match self.ended_meanwhile() {
            // Who may not read any more gets nothing that is published from now on.
            Some(words) if words.is_final() => Read::End(words),
            Some(words) => {
                let start = items.len();
                match self.read_log(max_bytes, items) {
                    Read::Events if items.len() == start => Read::End(words),
                    read => {
                        self.ended_before = before;
                        read
                    }
                }
            }
            None => self.read_log(max_bytes, items),
        }
    }

    fn read_log(&mut self, max_bytes: usize, items: &mut Vec<Item>) -> Read {
        if self.early.is_some()
            && let Some(read) = self.read_early()
        {
            return read;
        }
        if let Some(due_ms) = self.reset_due_ms() {
            if self.hub.now_ms().is_some_and(|now_ms| now_ms < due_ms) {
                return Read::Events;
            }
            // What came since the epoch began is not missed.
            let gap = Gap::of_epoch(&self.subscription);
            return self.reset(&gap, ResetReason::Epoch);
        }
        match self.subscription.read(self.cursor, max_bytes, items) {
            Ok(cursor) => {
                self.cursor = cursor;
                Read::Events
            }
            Err(gap) => self.fall_behind(&gap),
        }
    }

    /// When it is told that the log is of another epoch, and before which it reads nothing; `None` when it need not be told.
    pub(crate) fn reset_due_ms(&self) -> Option<u64> {
        self.is_level().then(|| self.turn().due_ms(&self.hub, self.cursor)).flatten()
    }

    pub(crate) fn turn(&self) -> Turn {
        Turn::of(self.number)
    }

    /// Whether it reads the log like others: it has begun, and its place is in the log.
    pub(crate) fn is_level(&self) -> bool {
        self.early.is_none()
    }

    /// A `keep-alive` for it.
    pub(crate) fn keep_alive(&self) -> Frame {
        match self.early.as_deref() {
            // It has no place yet.
            Some(Early::Waiting { .. }) => Frame::from_sse(b":\n\n"),
            _ => self.hub.keep_alive(self.position()),
        }
    }

    /// The place of the last event that was read.
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, seq: self.cursor }
    }

    /// What it is called in [`Who::stream`](super::Who::stream): a text of hexadecimal digits and `-`, which no other stream has.
    pub fn id(&self) -> String {
        self.hub.stream_id(self.number)
    }

    /// The user whom the application named.
    pub fn user(&self) -> Option<&str> {
        self.user.as_ref()?.name.as_deref()
    }

    /// The client's address, where it is known.
    pub fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// How long it has been open, where there is a clock.
    pub(crate) fn age_ms(&self) -> Option<u64> {
        self.hub.now_ms().map(|now_ms| now_ms.saturating_sub(self.opened_ms))
    }

    /// How many of the events that its channels keep it has yet to read.
    pub(crate) fn behind(&self) -> u64 {
        match self.early.as_deref() {
            // It has no place yet.
            Some(Early::Waiting { .. }) => 0,
            // Places of another epoch say nothing.
            _ if self.epoch != self.hub.log().epoch() => self.subscription.count_after(0),
            _ => self.subscription.count_after(self.cursor),
        }
    }

    /// The names of its channels.
    pub fn channels(&self) -> impl Iterator<Item = &str> {
        self.subscription.channels().iter().map(|channel| channel.name())
    }

    /// What it shares with all streams.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Ends it for a reason that the figures tell; plain dropping counts as `dropped`.
    pub fn close(mut self, reason: CloseReason) {
        self.set_close_reason(reason);
    }

    /// What it says last when the server closes it: where the client is, and when to come back.
    pub fn close_notice(&self, why: CloseNotice) -> Frame {
        let id = match self.early.as_deref() {
            Some(Early::Waiting { resume, .. }) => repeated(self.hub.log(), *resume),
            _ => Some(self.position().to_string()),
        };
        let retry_ms = match why {
            // What was set to end at once would come back at once.
            CloseNotice::Expired => self.hub.later_ms(),
            // Two clients would take each other's place for ever.
            CloseNotice::Replaced => ERROR_RETRY_MS,
            _ => self.hub.retry_ms(),
        };
        Frame::from_sse(&notice::close(why, id.as_deref(), retry_ms))
    }

    /// What it says last.
    pub fn last_words(&self, words: &LastWords) -> Frame {
        match words {
            LastWords::Close(why) => self.close_notice(*why),
            LastWords::Forbidden(text) => {
                let channels: Vec<&str> = self.channels().collect();
                Frame::from_sse(&notice::error(Condition::Forbidden, text, &channels))
            }
        }
    }

    /// A stream that it takes the place of, each once: whoever gives it a driver sees to that.
    pub(crate) fn take_replaced(&mut self) -> Option<Who> {
        let user = self.user.as_mut()?;
        let id = self.hub.stream_id(user.replaced.pop()?);
        let who = Who::new().stream(id);
        // With the user the others are told apart at a glance. A ticket has always the same.
        Some(match &user.name {
            Some(name) => who.user(&**name),
            None => who,
        })
    }

    /// When it ends of itself, and why.
    pub(crate) fn ends(&self) -> Ends {
        self.ends
    }

    /// What it is to say, if it was ended before somebody has come to do so.
    pub(crate) fn ended_meanwhile(&mut self) -> Option<LastWords> {
        let count = self.hub.ended.count();
        let meanwhile = self.hub.ended.since(self.ended_before, |who| who.fits(self));
        self.ended_before = count;
        meanwhile.into_words()
    }

    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Sets the cursor: on, past events that a driver has read for many streams at once, or back to the last event
    /// that a full socket took.
    pub(crate) fn set_cursor(&mut self, cursor: u64) {
        self.cursor = cursor;
    }

    /// Notes why it is about to be dropped.
    pub(crate) fn set_close_reason(&mut self, reason: CloseReason) {
        self.close_reason = reason;
    }

    pub(crate) fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    pub(crate) fn subscription_mut(&mut self) -> &mut Subscription {
        &mut self.subscription
    }

    /// What there is to say before it can read the log; `None` when that is over.
    fn read_early(&mut self) -> Option<Read> {
        let Some(is_good) = self.early.as_ref()?.is_over(self.hub.log(), self.cursor) else {
            return Some(Read::Events);
        };
        match self.early.take().as_deref()? {
            &Early::Waiting { resume, since_ms } => {
                let Begin { at, body, early } = begin_late(&self.hub, &self.subscription, resume, since_ms);
                (self.epoch, self.cursor, self.early) = (at.epoch, at.seq, early);
                Some(Read::Notice(Frame::from_sse(&body)))
            }
            Early::Ahead(_) if is_good => None,
            Early::Ahead(_) => {
                let all = Gap::of_all(&self.subscription);
                Some(self.reset(&all, ResetReason::Epoch))
            }
        }
    }

    fn fall_behind(&mut self, gap: &Gap) -> Read {
        let reason = if self.hub.log().is_before_epoch(self.cursor) {
            ResetReason::Epoch
        } else if gap.is_lost {
            ResetReason::Expired
        } else if self.hub.config().slow_client == SlowClient::Close {
            return Read::End(CloseNotice::Slow.into());
        } else {
            ResetReason::Overflow
        };
        self.reset(gap, reason)
    }

    fn reset(&mut self, gap: &Gap, reason: ResetReason) -> Read {
        Position { epoch: self.epoch, seq: self.cursor } = self.hub.log().position(gap.head);
        self.hub.counters.count_reset(reason);
        let channels = self.subscription.channels();
        let lost: Vec<&str> = gap.channels.iter().map(|&index| channels[index].name()).collect();
        Read::Notice(Frame::from_sse(&notice::reset(self.position(), &lost, reason)))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.hub.log().process().is_current() {
            return;
        }
        // Before its place is free: whoever sees fewer streams open finds this one counted as closed.
        self.hub.counters.count_close(self.close_reason, self.age_ms());
        self.hub.admission.leave(self.peer, self.hub.config().max_streams_per_address);
        if let Some(user) = &self.user {
            if let Some(name) = &user.name {
                self.hub.admission.leave_user(name, self.number, self.hub.config().max_streams_per_user);
            }
            if let Some(ticket) = &user.ticket {
                self.hub.admission.leave_ticket(ticket, self.number);
            }
        }
        self.hub.tell(|observer| observer.stream_closed(self, self.close_reason));
    }
}
