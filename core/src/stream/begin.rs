//! How a stream begins: at the client's position where the log connects to it, or later, when the log is not there yet.

use std::sync::Arc;

use super::{
    hub::Hub,
    notice,
    resume::{Lost, locate},
};
use crate::{
    log::{Ahead, Log, Subscription},
    wire::{Position, Resume},
};

/// Where a stream reads from, and what the client is told first.
pub(super) struct Begin {
    pub(super) at: Position,
    pub(super) body: Vec<u8>,
    pub(super) early: Option<Box<Early>>,
}

/// A client that came before the log, which follows another, is where it is to begin.
#[derive(Debug)]
pub(super) enum Early {
    /// Nothing is known of the log yet.
    Waiting { resume: Resume, since_ms: u64 },
    /// The client was in another process, which is ahead of this one.
    Ahead(Ahead),
}

/// Begins a stream for a client that has come at `since_ms`.
pub(super) fn begin(hub: &Hub, subscription: &Subscription, resume: Resume, since_ms: u64) -> Begin {
    let log = hub.log();
    if log.is_waiting() {
        let early = Some(Box::new(Early::Waiting { resume, since_ms }));
        return Begin { at: log.position(0), body: WAITING.to_vec(), early };
    }
    begin_at(hub, subscription, resume, None)
}

/// Begins a stream that was [waiting](Early::Waiting), now that something is known of the log.
pub(super) fn begin_late(hub: &Hub, subscription: &Subscription, resume: Resume, since_ms: u64) -> Begin {
    begin_at(hub, subscription, resume, Some(since_ms))
}

fn begin_at(hub: &Hub, subscription: &Subscription, resume: Resume, since_ms: Option<u64>) -> Begin {
    let log = hub.log();
    // Before the place is looked up, which may be reached meanwhile, or the epoch be another.
    let (ahead, head) = (log.ahead(), log.head());
    let names: Vec<&str> = subscription.channels().iter().map(|channel| channel.name()).collect();
    let located = match (resume, since_ms) {
        (Resume::Fresh, Some(since_ms)) => Ok(subscription.since(since_ms)),
        _ => locate(subscription, resume),
    };
    match located {
        Ok(cursor) => {
            let early = ahead.filter(|_| cursor > head).map(|ahead| Box::new(Early::Ahead(ahead)));
            let at = match resume {
                Resume::From(position) => position,
                _ => log.position(cursor),
            };
            Begin { at, body: notice::open(&at.to_string(), &names), early }
        }
        Err(Lost { reason, gap, id }) => {
            hub.counters.count_reset(reason);
            let missed: Vec<&str> = gap.channels.iter().map(|&index| names[index]).collect();
            let mut body = notice::open(&id, &names);
            let at = log.position(gap.head);
            body.extend(notice::reset(at, &missed, reason));
            Begin { at, body, early: None }
        }
    }
}

impl Early {
    /// Whether there is nothing more to wait for; then `false` when the place of a client that was ahead does not exist.
    pub(super) fn is_over(&self, log: &Arc<Log>, cursor: u64) -> Option<bool> {
        match self {
            Self::Waiting { .. } => (!log.is_waiting()).then_some(true),
            Self::Ahead(ahead) => log.has_reached(cursor, *ahead),
        }
    }
}

/// What a client gets that has to wait, so that it sees an answer.
const WAITING: &[u8] = b":\n\n";
