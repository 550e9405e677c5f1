//! Ending streams that proxies hold.
//!
//! Each is on a channel of its user, if it has one, and on one with all others. What is sent there has no id: a proxy would
//! take the next of the same id for a repetition, and drop it.

use std::{sync::Arc, time::Instant};

use super::{
    Publisher, Refusal,
    queue::{Load, Pending},
    receipt::Receipt,
    ticket::Ticket,
};
use crate::{
    error::Result,
    grip::{Item, Prefix},
    stream::{Hub, LastWords, Who},
    sync::lock,
    wire::Position,
};

impl Publisher {
    /// Has the proxies end streams, in order with what is published; `None` when only a stream of ours can be meant.
    pub(crate) fn end(&self, hub: &Hub, who: &Who, words: &LastWords, deadline: Instant) -> Option<Receipt> {
        let log = hub.log();
        let order = lock(&self.order);
        let (ticket, refused) = self.push_end(hub, who, words, log.position(log.head()), deadline)?;
        drop(order);
        // Only now: the application is told of it, and may publish something itself.
        for (queue, pending, error) in refused {
            queue.refuse(&pending, error);
        }
        Some(Receipt::journaled(0, ticket))
    }

    /// The same for what stands at `place` in the journal. For one thread, which keeps the order.
    pub(super) fn forward_end(
        &self,
        hub: &Hub,
        who: &Who,
        words: &LastWords,
        place: Position,
        deadline: Instant,
    ) {
        if let Some((_, refused)) = self.push_end(hub, who, words, place, deadline) {
            for (queue, pending, error) in refused {
                queue.refuse(&pending, error);
            }
        }
    }

    fn push_end(
        &self,
        hub: &Hub,
        who: &Who,
        words: &LastWords,
        position: Position,
        deadline: Instant,
    ) -> Option<(Arc<Ticket>, Vec<Refusal<'_>>)> {
        let targets = targets(&self.prefix, who)?;
        let load = items(&self.prefix, &targets, who, &hub.last_words_held(words, who.channel.as_deref()));
        let channel: Arc<str> = targets.into_iter().next()?.into();
        let ticket = Ticket::new(&self.proxies);
        let refused = self.queues.iter().enumerate().filter_map(|(index, queue)| {
            let pending = Pending {
                load: load.clone(),
                channel: channel.clone(),
                position,
                previous: None,
                no_seq: false,
                deadline,
                ticket: ticket.clone(),
                index,
            };
            queue.push(pending).err().map(|(pending, error)| (queue, pending, error))
        });
        let refused = refused.collect();
        Some((ticket, refused))
    }
}

/// The channels on a proxy that the streams are on. What a proxy holds has no id that anyone knows.
fn targets(prefix: &Prefix, who: &Who) -> Option<Vec<String>> {
    match who {
        Who { stream: Some(_), .. } => None,
        Who { user: Some(user), .. } => Some(vec![prefix.user(user)]),
        _ => Some(vec![prefix.streams(), prefix.hint_for_all()]),
    }
}

/// What tells them, and then ends them.
fn items(prefix: &Prefix, targets: &[String], who: &Who, body: &[u8]) -> Result<Load> {
    let of = |item: Item<'_>| match &who.channel {
        Some(channel) => item.require_sub(prefix.encode(channel)).to_json(),
        None => item.to_json(),
    };
    let pairs = targets.iter().flat_map(|target| [Item::send(&**target, body), Item::close(&**target)]);
    Ok(Load::End(pairs.map(of).collect::<Result<_>>()?))
}
