//! From a request to a reply.

use std::sync::Arc;

use super::{
    accept::accepts_stream,
    access::Access,
    admission::Full,
    cors,
    grip::{self, Route},
    hub::Hub,
    live::Stream,
    notice::{self, Condition, ResetReason},
    reply::Reply,
    request::{Now, Request},
};
use crate::{
    config::Config,
    log::{Gap, Subscription},
    wire::{Query, Resume, check_channel, protocol},
};

/// Answers a request that needs no word from the application, before it is asked: preflight, what is malformed, what a
/// proxy asks for on behalf of a stream it holds.
pub fn screen(hub: &Arc<Hub>, request: &Request<'_>, now: Now) -> Option<Reply> {
    let reply = match request.method {
        "OPTIONS" => return Some(cors::preflight(request, hub.config())),
        "GET" | "HEAD" => match grip::route(hub, request, now) {
            Route::Refuse(reply) => reply,
            Route::Repair(grip, link) => return Some(grip::repair(hub, grip, &link, request, now)),
            Route::Direct | Route::Hold(_) => read(request).err()?,
        },
        _ => Reply::text(405, "a stream is read with GET").header("Allow", cors::METHODS),
    };
    Some(finish(reply, request, hub.config()))
}

/// Answers `request` for a stream that the application allows as `access` says.
///
/// What a client could mend before it comes back, such as a wrong method, gets an HTTP status. What it could not,
/// such as a missing channel, is told in-band with a `stream-error`, because a browser does not show a page the
/// status and text of a failed stream.
pub fn open(hub: &Arc<Hub>, request: &Request<'_>, access: Access, now: Now) -> Reply {
    let asked = match screen(hub, request, now) {
        Some(reply) => return reply,
        None => read(request),
    };
    let reply =
        asked.and_then(|asked| answer(hub, request, asked, access, now)).unwrap_or_else(|reply| reply);
    finish(reply, request, hub.config())
}

/// What a request asks for.
struct Asked {
    channels: Vec<String>,
    resume: Resume,
}

/// Reads a request; the error is the reply to one that cannot be read.
fn read(request: &Request<'_>) -> Result<Asked, Reply> {
    if !accepts_stream(request) {
        let text = "this is a stream of text/event-stream; the request's Accept excludes it";
        return Err(Reply::text(406, text));
    }
    let query = Query::parse(request.query)
        .map_err(|error| refuse(Condition::BadRequest, &error.to_string(), &[]))?;
    match resume(request, &query) {
        Resume::Error => Err(Reply::text(400, "the stream has ended with a stream-error; do not come back")),
        resume => Ok(Asked { channels: query.channels, resume }),
    }
}

fn answer(
    hub: &Arc<Hub>,
    request: &Request<'_>,
    asked: Asked,
    access: Access,
    now: Now,
) -> Result<Reply, Reply> {
    let channels = access.channels.unwrap_or(asked.channels);
    if let Some((condition, text)) = access.forbidden {
        return Err(refuse(condition, &text, &channels));
    }
    let channels = check_channels(channels, hub.config().channel_limit as usize)
        .map_err(|(text, channels)| refuse(Condition::BadRequest, &text, &channels))?;
    if request.method == "HEAD" {
        return Ok(event_stream());
    }
    if let Route::Hold(grip) = grip::route(hub, request, now) {
        let user = access.user.as_deref();
        return Ok(grip::hold(hub, grip, request, channels, user, asked.resume, now));
    }
    let (total, per_address) = (hub.config().max_streams, hub.config().max_streams_per_address);
    hub.admission.enter(total, request.peer, per_address).map_err(|full| refuse_for_now(hub, full))?;
    let names = channels.iter().map(|channel| &**channel);
    let subscription = Subscription::new(hub.log(), names, now.ms);
    Ok(start(hub, subscription, asked.resume, access.user, request))
}

/// What all replies have in common.
fn finish(reply: Reply, request: &Request<'_>, config: &Config) -> Reply {
    let mut reply = cors::allow_origin(reply, request, config);
    if request.method == "HEAD" {
        reply.body.clear();
    }
    reply
}

/// Where the client was, from the header or, for clients that cannot set it, from the query.
fn resume(request: &Request<'_>, query: &Query) -> Resume {
    match request.header(protocol::LAST_EVENT_ID_HEADER) {
        Some(header) if !header.is_empty() => Resume::parse(header),
        _ => Resume::parse(query.last_event_id.as_deref().unwrap_or("")),
    }
}

/// The channels, each once; or what is wrong with them.
fn check_channels(mut channels: Vec<String>, limit: usize) -> Result<Vec<String>, (String, Vec<String>)> {
    let mut seen = std::collections::HashSet::new();
    channels.retain(|channel| seen.insert(channel.clone()));
    let text = if channels.is_empty() {
        format!("no channel was given; name one with ?{}=NAME", protocol::CHANNEL_PARAMETER)
    } else if channels.len() > limit {
        let text = format!("{} channels were given; a stream may have {limit}", channels.len());
        channels.truncate(limit); // what is told back stays small, whatever was asked
        text
    } else if let Some(error) = channels.iter().find_map(|channel| check_channel(channel).err()) {
        channels.retain(|channel| check_channel(channel).is_ok());
        error.to_string()
    } else {
        return Ok(channels);
    };
    Err((text, channels))
}

/// The reply for a stream, at the client's position where the log still connects to it.
fn start(
    hub: &Arc<Hub>,
    subscription: Subscription,
    resume: Resume,
    user: Option<String>,
    request: &Request<'_>,
) -> Reply {
    let log = hub.log();
    let names: Vec<&str> = subscription.channels().iter().map(|channel| channel.name()).collect();
    let (cursor, body) = match locate(&subscription, resume) {
        Ok(cursor) => (cursor, notice::open(Some(log.position(cursor)), &names)),
        Err((reason, gap)) => {
            hub.counters.count_reset(reason);
            let missed: Vec<&str> = gap.channels.iter().map(|&index| names[index]).collect();
            let mut body = notice::open(None, &names);
            body.extend(notice::reset(log.position(gap.head), &missed, reason));
            (gap.head, body)
        }
    };
    let stream = Stream::new(hub, subscription, cursor, user, request.peer);
    Reply { body, stream: Some(stream), ..event_stream() }
}

/// The cursor for a client's position, or why there is none and what the client misses by that.
pub(super) fn locate(subscription: &Subscription, resume: Resume) -> Result<u64, (ResetReason, Gap)> {
    let head = subscription.log().head();
    match resume {
        Resume::Fresh => Ok(head),
        Resume::From(position) if position.epoch == subscription.log().epoch() && position.seq <= head => {
            match subscription.gap(position.seq) {
                None => Ok(position.seq),
                Some(gap) => Err((ResetReason::Expired, gap)),
            }
        }
        _ => Err((ResetReason::Epoch, Gap { channels: (0..subscription.channels().len()).collect(), head })),
    }
}

/// The head of every answer that is a stream, however short.
pub(super) fn event_stream() -> Reply {
    Reply::empty(200)
        .header("Content-Type", protocol::CONTENT_TYPE)
        .header("Cache-Control", "no-cache, no-transform")
        .header("X-Accel-Buffering", "no")
}

fn refuse(condition: Condition, text: &str, channels: &[String]) -> Reply {
    Reply { body: notice::error(condition, text, channels), ..event_stream() }
}

fn refuse_for_now(hub: &Hub, full: Full) -> Reply {
    hub.counters.refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let reply = match full {
        Full::Total => Reply::text(503, "too many streams are open; try again later"),
        Full::Address => Reply::text(429, "too many streams are open from this address; try again later"),
    };
    let retry_s = hub.config().retry_ms.div_ceil(1_000).max(1);
    reply.header("Retry-After", retry_s.to_string())
}
