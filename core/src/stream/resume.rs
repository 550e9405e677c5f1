//! Where a client was, and whether the log still connects to it.

use super::notice::ResetReason;
use crate::{
    log::{Gap, Log, Subscription},
    wire::{
        Resume,
        protocol::{ERROR_ID, UNKNOWN_ID},
    },
};

/// A client whose position the log does not connect to.
pub(super) struct Lost {
    pub(super) reason: ResetReason,
    pub(super) gap: Gap,
    /// What the `stream-open` before the `stream-reset` carries: an id that is sure to be a gap again. A client takes
    /// over the id of each event, or an empty one where it has none, and may be cut off between the two.
    pub(super) id: String,
}

/// The cursor for a client's position, or what the client has lost.
pub(super) fn locate(subscription: &Subscription, resume: Resume) -> Result<u64, Lost> {
    let log = subscription.log();
    let (epoch, head) = (log.epoch(), log.head());
    let lost = |reason, gap| {
        let id = repeated(log, resume).expect("a client without a position has lost nothing");
        Err(Lost { reason, gap, id })
    };
    match resume {
        Resume::Fresh => Ok(head),
        Resume::From(position) if position.epoch == epoch && position.seq <= head => {
            let gap = subscription.gap(position.seq);
            gap.map_or(Ok(position.seq), |gap| lost(ResetReason::Expired, gap))
        }
        // Another process was there already.
        Resume::From(position) if position.epoch == epoch && log.ahead().is_some() => Ok(position.seq),
        _ => lost(ResetReason::Epoch, Gap::of_all(subscription)),
    }
}

/// A client's position as it is told back to it: whenever it comes back with that, it is where it was, or is told of
/// the same gap. `None` for a client without one.
pub(super) fn repeated(log: &Log, resume: Resume) -> Option<String> {
    match resume {
        Resume::Fresh => None,
        Resume::Error => Some(ERROR_ID.to_owned()),
        // Not a place in the future of a log of our own: the log would reach it, and the gap be forgotten.
        Resume::From(position)
            if position.epoch != log.epoch() || position.seq <= log.head() || log.ahead().is_some() =>
        {
            Some(position.to_string())
        }
        Resume::From(_) | Resume::Unknown => Some(UNKNOWN_ID.to_owned()),
    }
}
