//! One client's open stream: a cursor over its channels.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
};

use super::{
    hub::Hub,
    notice::{self, ResetReason},
    stats::CloseReason,
};
use crate::{
    config::SlowClient,
    log::{Gap, Item, Subscription},
    wire::{Frame, Position},
};

/// One client's open stream. Exactly one driver reads it; dropping it closes it.
#[derive(Debug)]
pub struct Stream {
    hub: Arc<Hub>,
    subscription: Subscription,
    cursor: u64,
    user: Option<Box<str>>,
    peer: Option<IpAddr>,
    close_reason: CloseReason,
}

/// What a stream has to say next.
#[derive(Debug)]
pub enum Read {
    /// The events that were appended to the items, perhaps none.
    Events,
    /// An event of evstream's own, in place of what was lost.
    Notice(Frame),
    /// The last words; then the stream is to be closed.
    End(Frame),
}

impl Stream {
    /// A stream that reads `subscription` from after `cursor`. The hub's admission has let it in.
    pub(super) fn new(
        hub: &Arc<Hub>,
        subscription: Subscription,
        cursor: u64,
        user: Option<String>,
        peer: Option<IpAddr>,
    ) -> Self {
        hub.counters.opened.fetch_add(1, Ordering::Relaxed);
        let stream = Self {
            hub: hub.clone(),
            subscription,
            cursor,
            user: user.map(Into::into),
            peer,
            close_reason: CloseReason::Dropped,
        };
        hub.tell(|observer| observer.stream_opened(&stream));
        stream
    }

    /// Takes what lies after the cursor, about `max_bytes` at most, and moves the cursor behind it.
    pub fn read(&mut self, max_bytes: usize, items: &mut Vec<Item>) -> Read {
        match self.subscription.read(self.cursor, max_bytes, items) {
            Ok(cursor) => {
                self.cursor = cursor;
                Read::Events
            }
            Err(gap) => self.fall_behind(&gap),
        }
    }

    /// The place of the last event that was read.
    pub fn position(&self) -> Position {
        self.hub.log().position(self.cursor)
    }

    /// The user whom the application named.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The client's address, where it is known.
    pub fn peer(&self) -> Option<IpAddr> {
        self.peer
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

    fn fall_behind(&mut self, gap: &Gap) -> Read {
        match self.hub.config().slow_client {
            SlowClient::Close => {
                self.close_reason = CloseReason::Slow;
                Read::End(self.hub.goodbye())
            }
            SlowClient::Reset => {
                self.cursor = gap.head;
                self.hub.counters.count_reset(ResetReason::Overflow);
                let channels = self.subscription.channels();
                let lost: Vec<&str> = gap.channels.iter().map(|&index| channels[index].name()).collect();
                let sse = notice::reset(self.position(), &lost, ResetReason::Overflow);
                Read::Notice(Frame::from_sse(&sse))
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.hub.log().process().is_current() {
            return;
        }
        self.hub.admission.leave(self.peer, self.hub.config().max_streams_per_address);
        self.hub.counters.count_close(self.close_reason);
        self.hub.tell(|observer| observer.stream_closed(self, self.close_reason));
    }
}
