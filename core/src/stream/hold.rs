//! Streams that a proxy holds: the answers that hand them over, and that repair their gaps.
//!
//! A proxy is told of a place in the log in three ways. *Pages* (`Grip-Link` without `Grip-Hold`) carry it in their link:
//! the proxy asks on at once. A *provisional* `prev-id` is the place up to which an answer was written that the proxy had
//! not subscribed to yet: no item follows it, so the proxy hands nothing on before it has asked once more. A *true*
//! `prev-id` is that of an answer to a stream which was subscribed all the while.

use std::sync::Arc;

use super::{
    access::Access,
    grip::{Grip, OWN_CHANNELS},
    hub::Hub,
    notice::{self, ResetReason},
    reply::{Reply, event_stream},
    request::{Now, Request},
    resume::{Lost, locate},
};
use crate::{
    grip::{Cursors, Hold, Last, Link, next_page, parse_grip_last},
    log::{Gap, Item, Subscription},
    wire::{
        Event, Resume, encode_event,
        protocol::{self, MAX_HOLD_CHANNELS},
    },
};

/// The reply that hands a new stream over: what was missed up to now as its body, and where the proxy goes on.
pub(super) fn hold(
    hub: &Arc<Hub>,
    grip: &Grip,
    path: &str,
    channels: Vec<String>,
    access: &Access,
    resume: Resume,
    now: Now,
) -> Reply {
    let config = hub.config();
    let reauthorize_ms = Some(config.reauthorize_ms).filter(|after_ms| *after_ms > 0);
    let lifetime_s = config.grip_link_lifetime_ms.min(reauthorize_ms.unwrap_or(u64::MAX)).div_ceil(1_000);
    // In the order the client has asked for, as it is told them; the link has an order of its own.
    let names: Vec<&str> = channels.iter().map(|channel| &**channel).collect();
    let subscription = Subscription::new(hub.log(), names.iter().copied(), now.ms);
    let mut link = Link::new(path, names.iter().copied(), access.user.as_deref(), now.unix_s, lifetime_s);
    // Links are good until a full hour, so that proxies see the same one for many; a right ends when it ends.
    link.expires_s = link.expires_s.min(access.expires_at_s.unwrap_or(u64::MAX));
    let mut body;
    let written = match locate(&subscription, resume) {
        Ok(cursor) => {
            body = notice::open(&hub.log().position(cursor).to_string(), &names);
            body.extend_from_slice(&access.greeting);
            let cursors = vec![cursor; names.len()];
            if is_ahead(hub, &cursors) {
                hub.counters.count_hold();
                return instruct(hub, grip, &link, &subscription, PrevIds::Kept(&cursors), body);
            }
            append_missed(hub, &subscription, &cursors, &mut body)
        }
        Err(Lost { reason, gap, id }) => {
            body = notice::open(&id, &names);
            let written = append_reset(hub, &subscription, &gap, reason, &mut body);
            body.extend_from_slice(&access.greeting);
            written
        }
    };
    hub.counters.count_hold();
    // The proxy subscribes when the body has gone out. Where it looks for no gaps, that must not take long.
    if written.is_cut || (!grip.sequenced && body.len() > SHORT_BYTES) {
        return page(hub, grip, &link, vec![written.upto; link.channels.len()], body);
    }
    instruct(hub, grip, &link, &subscription, PrevIds::Provisional(written.upto), body)
}

/// The reply to a proxy that asks by a link for what comes next, or for what it may have missed.
///
/// It depends on the path and the `Grip-Last` headers alone, because a proxy gives one reply to all who ask the same.
pub(super) fn repair(hub: &Arc<Hub>, grip: &Grip, link: &Link, request: &Request<'_>, now: Now) -> Reply {
    let cursors = match &link.cursors {
        Some(cursors) => known(hub, cursors),
        None => match parse_grip_last(request.header_values(protocol::GRIP_LAST_HEADER)) {
            Ok(lasts) => seen(hub, grip, link, &lasts),
            Err(error) => return Reply::text(400, &error.to_string()),
        },
    };
    let names = link.channels.iter().map(|channel| &**channel);
    let subscription = Subscription::new(hub.log(), names, now.ms);
    let mut body = Vec::new();
    if let Some(cursors) = cursors.as_ref().filter(|cursors| is_ahead(hub, cursors)) {
        hub.counters.count_repair();
        return instruct(hub, grip, link, &subscription, PrevIds::Kept(cursors), body);
    }
    let written = if let Some(cursors) = &cursors {
        append_missed(hub, &subscription, cursors, &mut body)
    } else {
        let all = Gap::of_all(&subscription);
        append_reset(hub, &subscription, &all, ResetReason::Epoch, &mut body)
    };
    hub.counters.count_repair();
    if written.is_cut {
        let further = |cursor: u64| cursor.max(written.upto);
        return page(hub, grip, link, cursors.into_iter().flatten().map(further).collect(), body);
    }
    // A stream that was handed over in pages is subscribed only now.
    let prev_ids = if link.cursors.is_some() { PrevIds::Provisional } else { PrevIds::True };
    instruct(hub, grip, link, &subscription, prev_ids(written.upto), body)
}

/// Where the proxy is on each channel; `None` when one of that is no place in our log.
fn seen(hub: &Hub, grip: &Grip, link: &Link, lasts: &[Last]) -> Option<Vec<u64>> {
    let cursor = |channel: &String| {
        let proxy_name = grip.prefix.encode(channel);
        let last = lasts.iter().find(|last| last.channel == proxy_name)?;
        match Resume::parse(last.last_id.strip_suffix(PROVISIONAL).unwrap_or(&last.last_id)) {
            Resume::From(position) if position.epoch == hub.log().epoch() => Some(position.seq),
            _ => None,
        }
    };
    link.channels.iter().map(cursor).collect::<Option<Vec<u64>>>().filter(|seqs| are_places(hub, seqs))
}

/// The places that a link names; `None` when they are not of our log.
fn known(hub: &Hub, cursors: &Cursors) -> Option<Vec<u64>> {
    let is_ours = cursors.epoch == hub.log().epoch() && are_places(hub, &cursors.seqs);
    is_ours.then(|| cursors.seqs.clone())
}

/// Whether our log has these places, or may come to them.
fn are_places(hub: &Hub, seqs: &[u64]) -> bool {
    hub.log().is_following() || !is_ahead(hub, seqs)
}

/// Whether another process has told the proxy of a place that our log has not come to: then it is to ask again, and until then
/// it is told nothing that could take it back.
fn is_ahead(hub: &Hub, seqs: &[u64]) -> bool {
    let head = hub.log().head();
    seqs.iter().any(|seq| *seq > head)
}

/// Up to where the log was written into a body.
struct Written {
    upto: u64,
    /// Whether more was there than goes into one reply.
    is_cut: bool,
}

/// Appends what lies after the cursors, or the news that some of it is gone.
fn append_missed(hub: &Hub, subscription: &Subscription, cursors: &[u64], body: &mut Vec<u8>) -> Written {
    let mut items: Vec<Item> = Vec::new();
    // Before reading: what is published from now on may be cut off without being missed.
    let head = hub.log().head();
    match subscription.read_each(cursors, PAGE_BYTES, &mut items) {
        Ok(upto) => {
            for item in &items {
                body.extend_from_slice(item.frame.sse());
            }
            if items.last().is_some_and(|last| cursors.iter().any(|cursor| *cursor > last.seq)) {
                // On another channel the client is further. It has everything up to here now.
                body.extend(format!("id: {}\n\n", hub.log().position(upto)).into_bytes());
            }
            hub.counters.delivered.count(items.len(), body.len());
            Written { upto, is_cut: upto < head }
        }
        Err(gap) => append_reset(hub, subscription, &gap, ResetReason::Expired, body),
    }
}

/// Appends the news of a gap, after which the stream goes on.
fn append_reset(
    hub: &Hub,
    subscription: &Subscription,
    gap: &Gap,
    reason: ResetReason,
    body: &mut Vec<u8>,
) -> Written {
    hub.counters.count_reset(reason);
    let missed: Vec<&str> = gap.channels.iter().map(|&index| subscription.channels()[index].name()).collect();
    body.extend(notice::reset(hub.log().position(gap.head), &missed, reason));
    Written { upto: gap.head, is_cut: false }
}

/// A reply after which the proxy asks at once for what comes next.
fn page(hub: &Hub, grip: &Grip, link: &Link, seqs: Vec<u64>, body: Vec<u8>) -> Reply {
    let cursors = Some(Cursors { epoch: hub.log().epoch(), seqs });
    let (name, value) = next_page(&grip.link_path(&Link { cursors, ..link.clone() }));
    Reply { body, ..event_stream() }.header(name, value)
}

/// What a proxy is told of the place up to which a stream was written.
#[derive(Clone, Copy)]
enum PrevIds<'a> {
    True(u64),
    Provisional(u64),
    /// As provisional, for a stream that was not written: the places it came with.
    Kept(&'a [u64]),
}

impl PrevIds<'_> {
    fn each(self, hub: &Hub, subscription: &Subscription) -> Vec<String> {
        let id = |seq| hub.log().position(seq).to_string();
        match self {
            Self::True(upto) => subscription.last_each(upto).into_iter().map(id).collect(),
            Self::Provisional(upto) => vec![id(upto) + PROVISIONAL; subscription.channels().len()],
            Self::Kept(cursors) => cursors.iter().map(|seq| id(*seq) + PROVISIONAL).collect(),
        }
    }
}

/// The whole instruction, which every reply repeats: what the proxy knows of the stream is the last one it got.
fn instruct(
    hub: &Hub,
    grip: &Grip,
    link: &Link,
    subscription: &Subscription,
    prev_ids: PrevIds<'_>,
    body: Vec<u8>,
) -> Reply {
    let config = hub.config();
    let proxy_names: Vec<String> =
        subscription.channels().iter().map(|channel| grip.prefix.encode(channel.name())).collect();
    let keep_alive = if config.keep_alive_comment {
        ":\n\n".to_owned()
    } else {
        let event = encode_event(None, &Event::text("").name(protocol::KEEP_ALIVE));
        String::from_utf8_lossy(&event).into_owned()
    };
    let (path, ids);
    // Silent but for what ends streams: so a proxy asks the link in time however busy the others are.
    let own = OwnChannels::new(grip, &proxy_names, link.user.as_deref());
    let mut hold = Hold::new();
    if config.keep_alive_ms > 0 {
        hold = hold.keep_alive(&keep_alive, config.keep_alive_ms.div_ceil(1_000) as u32);
    }
    if grip.sequenced {
        path = grip.link_path(&Link { cursors: None, ..link.clone() });
        ids = prev_ids.each(hub, subscription);
        for (name, prev_id) in proxy_names.iter().zip(&ids) {
            hold = hold.channel(name, Some(prev_id));
        }
        hold = own.hints.iter().fold(hold, |hold, name| hold.channel(name, None));
        let timeout_s = match prev_ids {
            PrevIds::True(_) => config.grip_link_timeout_ms.div_ceil(1_000) as u32,
            PrevIds::Provisional(_) | PrevIds::Kept(_) => 1,
        };
        hold = hold.next(&path, timeout_s);
    } else {
        hold = proxy_names.iter().fold(hold, |hold, name| hold.channel(name, None));
    }
    hold = own.filtered.iter().fold(hold, |hold, name| hold.filtered(name));
    match hold.headers() {
        Ok(headers) => headers
            .into_iter()
            .fold(Reply { body, ..event_stream() }, |reply, (name, value)| reply.header(name, value)),
        Err(error) => {
            tracing::error!(%error, "a stream cannot be handed over to the proxy");
            Reply::text(500, "the stream cannot be handed over to the proxy")
        }
    }
}

/// The channels that a stream is on beside those of the application.
struct OwnChannels {
    /// Where it hears of gaps, if not on one for all.
    hints: Vec<String>,
    /// Where it hears that it is to end: with all, and with those of its user.
    filtered: Vec<String>,
}

impl OwnChannels {
    /// Hints come beside each of its channels, or on one for all streams for which a proxy has no room for so many. That one is
    /// then also where all streams are ended.
    fn new(grip: &Grip, proxy_names: &[String], user: Option<&str>) -> Self {
        let prefix = &grip.prefix;
        let beside_each = 2 * proxy_names.len() + OWN_CHANNELS <= MAX_HOLD_CHANNELS;
        let all = if grip.sequenced && !beside_each { prefix.hint_for_all() } else { prefix.streams() };
        let hints =
            proxy_names.iter().filter(|_| grip.sequenced && beside_each).map(|name| prefix.hint(name));
        Self {
            hints: hints.collect(),
            filtered: [all].into_iter().chain(user.map(|user| prefix.user(user))).collect(),
        }
    }
}

/// Ends a `prev-id` that is provisional. No item has such an id.
const PROVISIONAL: &str = "~";

/// What one reply carries of the log, about: a hundred clients that come back at once cost no more than this each.
const PAGE_BYTES: usize = 1_000_000;

/// As much as goes out at once to any client.
const SHORT_BYTES: usize = 8 * 1_024;
