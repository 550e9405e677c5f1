//! Requests that come through a GRIP proxy: the stream is handed over to it, and its gaps are repaired.

use std::sync::Arc;

use super::{
    hub::Hub,
    notice::{self, ResetReason},
    open::{Lost, event_stream, locate},
    reply::Reply,
    request::{Now, Request},
};
use crate::{
    config::{Config, Secret},
    error::{Error, ErrorKind, Result},
    grip::{Hold, Last, Link, LinkKey, Prefix, Proxy, Refusal, Verdict, parse_grip_last, verify_request},
    log::{Gap, Item, Subscription},
    wire::{
        Event, Resume, encode_event,
        protocol::{self, MAX_HOLD_CHANNELS},
    },
};

/// What an application's events need to stand behind proxies.
#[derive(Debug)]
pub(crate) struct Grip {
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) prefix: Prefix,
    link_key: LinkKey,
}

/// How a request is to be answered.
pub(super) enum Route<'a> {
    /// With a stream of our own.
    Direct,
    /// With an instruction to the proxy it came through.
    Hold(&'a Grip),
    /// With what a proxy has missed.
    Repair(&'a Grip, Link),
    /// Not at all.
    Refuse(Reply),
}

impl Grip {
    /// `None` when no proxy is configured. Fails with `invalid-config`, never showing a secret.
    pub(super) fn new(config: &Config) -> Result<Option<Self>> {
        // An environment variable that is set to nothing names no proxy.
        let urls = config.grip.iter().map(Secret::reveal).filter(|url| !url.trim().is_empty());
        let proxies = urls.map(|url| {
            let verify_key = Some(config.grip_verify_key.reveal()).filter(|key| !key.is_empty());
            Proxy::parse_with_verify_key(url, verify_key)
                .map(|proxy| proxy.trust_unverified(config.grip_trust_unverified))
        });
        let proxies: Vec<Proxy> = proxies.collect::<Result<_>>()?;
        if proxies.is_empty() {
            return Ok(None);
        }
        let most = (MAX_HOLD_CHANNELS - 1) as u64; // one is for control
        if config.channel_limit > most {
            let text = format!(
                "channel_limit may be {most} at most with a GRIP proxy, not {}",
                config.channel_limit
            );
            return Err(Error::new(ErrorKind::InvalidConfig, text));
        }
        for warning in proxies.iter().flat_map(Proxy::warnings) {
            tracing::warn!("{warning}");
        }
        let link_key = match config.grip_link_secret.reveal() {
            "" => LinkKey::from_proxies(&proxies).map_or_else(LinkKey::random, Ok)?,
            secret => LinkKey::from_secret(secret)?,
        };
        Ok(Some(Self { proxies, prefix: Prefix::new(&config.grip_prefix)?, link_key }))
    }

    /// The channel that every hold has besides its own, for what has no place in the log.
    fn control_channel(&self) -> String {
        // No name of the application's is encoded with a caret, so this is never one of them.
        self.prefix.encode("") + "^control"
    }
}

/// Decides by the request's signature and path.
pub(super) fn route<'a>(hub: &'a Hub, request: &Request<'_>, now: Now) -> Route<'a> {
    let is_link = LinkKey::is_link(request.path);
    let Some(grip) = hub.grip() else { return Route::Direct };
    match verify_request(&grip.proxies, request.header(protocol::GRIP_SIG_HEADER), now.unix_s) {
        Verdict::NotProxied | Verdict::Unverifiable if is_link => {
            Route::Refuse(Reply::text(404, "there is no stream here"))
        }
        Verdict::NotProxied | Verdict::Unverifiable if hub.config().grip_required => {
            Route::Refuse(Reply::text(501, "streams are only served through a GRIP proxy"))
        }
        Verdict::NotProxied | Verdict::Unverifiable => Route::Direct,
        Verdict::Refused(reason) => refuse_signature(hub, reason),
        Verdict::Proxied(_) if is_link => match grip.link_key.open(request.path, now.unix_s) {
            Ok(link) => Route::Repair(grip, link),
            Err(reason) => {
                hub.counters.count_grip_refusal();
                tracing::info!(reason = reason.code(), "refused the link of a held stream");
                // Not an error status: with one a proxy tries again for half a minute before it ends the stream. Without
                // a hold it ends it at once, and the client comes back with its position.
                Route::Refuse(event_stream())
            }
        },
        Verdict::Proxied(_) => Route::Hold(grip),
    }
}

fn refuse_signature(hub: &Hub, reason: Refusal) -> Route<'static> {
    hub.counters.count_grip_refusal();
    tracing::info!(%reason, "refused the signature of a GRIP proxy");
    Route::Refuse(Reply::text(403, &format!("the {} {reason}", protocol::GRIP_SIG_HEADER)))
}

/// The reply that hands a new stream over: everything up to now as its body, and where the proxy goes on.
pub(super) fn hold(
    hub: &Arc<Hub>,
    grip: &Grip,
    request: &Request<'_>,
    channels: Vec<String>,
    user: Option<&str>,
    resume: Resume,
    now: Now,
) -> Reply {
    let lifetime_s = hub.config().grip_link_lifetime_ms / 1_000;
    // In the order the client has asked for, as it is told them; the link has an order of its own.
    let names: Vec<&str> = channels.iter().map(|channel| &**channel).collect();
    let subscription = Subscription::new(hub.log(), names.iter().copied(), now.ms);
    let link = Link::new(request.path, names.iter().copied(), user, now.unix_s, lifetime_s);
    let mut body;
    let upto = match locate(&subscription, resume) {
        Ok(cursor) => {
            body = notice::open(&hub.log().position(cursor).to_string(), &names);
            append_missed(hub, &subscription, &vec![cursor; names.len()], &mut body)
        }
        Err(Lost { reason, gap, id }) => {
            body = notice::open(&id, &names);
            append_reset(hub, &subscription, &gap, reason, &mut body)
        }
    };
    hub.counters.count_hold();
    instruct(hub, grip, &link, &subscription, upto, body)
}

/// The reply to a proxy that asks by a link for what it may have missed.
///
/// It depends on the path and the `Grip-Last` headers alone, because a proxy gives one reply to all who ask the same.
pub(super) fn repair(hub: &Arc<Hub>, grip: &Grip, link: &Link, request: &Request<'_>, now: Now) -> Reply {
    let lasts = match parse_grip_last(request.header_values(protocol::GRIP_LAST_HEADER)) {
        Ok(lasts) => lasts,
        Err(error) => return Reply::text(400, &error.to_string()),
    };
    let names = link.channels.iter().map(|channel| &**channel);
    let subscription = Subscription::new(hub.log(), names, now.ms);
    let mut body = Vec::new();
    let upto = if let Some(cursors) = cursors(hub, grip, link, &lasts) {
        append_missed(hub, &subscription, &cursors, &mut body)
    } else {
        let all = Gap { channels: (0..link.channels.len()).collect(), head: hub.log().head() };
        append_reset(hub, &subscription, &all, ResetReason::Epoch, &mut body)
    };
    hub.counters.count_repair();
    instruct(hub, grip, link, &subscription, upto, body)
}

/// Where the proxy is on each channel; `None` when one of that is no place in our log.
fn cursors(hub: &Hub, grip: &Grip, link: &Link, lasts: &[Last]) -> Option<Vec<u64>> {
    let head = hub.log().head();
    let cursor = |channel: &String| {
        let proxy_name = grip.prefix.encode(channel);
        let last = lasts.iter().find(|last| last.channel == proxy_name)?;
        match Resume::parse(&last.last_id) {
            Resume::From(position) if position.epoch == hub.log().epoch() && position.seq <= head => {
                Some(position.seq)
            }
            _ => None,
        }
    };
    link.channels.iter().map(cursor).collect()
}

/// Appends what lies after the cursors, or the news that some of it is gone; gives back up to where that is.
fn append_missed(hub: &Hub, subscription: &Subscription, cursors: &[u64], body: &mut Vec<u8>) -> u64 {
    let mut items: Vec<Item> = Vec::new();
    match subscription.read_each(cursors, &mut items) {
        Ok(upto) => {
            for item in &items {
                body.extend_from_slice(item.frame.sse());
            }
            if items.last().is_some_and(|last| cursors.iter().any(|cursor| *cursor > last.seq)) {
                // On another channel the client is further. It has everything up to here now.
                body.extend(format!("id: {}\n\n", hub.log().position(upto)).into_bytes());
            }
            hub.counters.count_delivered(items.len(), body.len());
            upto
        }
        Err(gap) => append_reset(hub, subscription, &gap, ResetReason::Expired, body),
    }
}

/// Appends the news of a gap; gives back where the stream goes on.
fn append_reset(
    hub: &Hub,
    subscription: &Subscription,
    gap: &Gap,
    reason: ResetReason,
    body: &mut Vec<u8>,
) -> u64 {
    hub.counters.count_reset(reason);
    let missed: Vec<&str> = gap.channels.iter().map(|&index| subscription.channels()[index].name()).collect();
    body.extend(notice::reset(hub.log().position(gap.head), &missed, reason));
    gap.head
}

/// The whole instruction, which every reply repeats: what the proxy knows of the stream is the last one it got.
fn instruct(
    hub: &Hub,
    grip: &Grip,
    link: &Link,
    subscription: &Subscription,
    upto: u64,
    body: Vec<u8>,
) -> Reply {
    let config = hub.config();
    let proxy_names: Vec<String> =
        subscription.channels().iter().map(|channel| grip.prefix.encode(channel.name())).collect();
    let prev_ids: Vec<String> =
        subscription.last_each(upto).into_iter().map(|seq| hub.log().position(seq).to_string()).collect();
    // Without history nothing can be repaired, so the proxy is not to look for gaps.
    let repairs = config.history_events > 0;
    let control_channel = grip.control_channel();
    let keep_alive = if config.keep_alive_comment {
        ":\n\n".to_owned()
    } else {
        let event = encode_event(None, &Event::text("").name(protocol::KEEP_ALIVE));
        String::from_utf8_lossy(&event).into_owned()
    };
    let path = grip.link_key.path(link);

    let mut hold = Hold::new();
    for (name, prev_id) in proxy_names.iter().zip(&prev_ids) {
        hold = hold.channel(name, repairs.then_some(&**prev_id));
    }
    hold = hold.channel(&control_channel, None);
    if config.keep_alive_ms > 0 {
        hold = hold.keep_alive(&keep_alive, config.keep_alive_ms.div_ceil(1_000) as u32);
    }
    if repairs {
        hold = hold.next(&path, config.grip_link_timeout_ms.div_ceil(1_000) as u32);
    }
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
