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
    wire::{
        Query, Resume, check_channel, keep_first,
        protocol::{CHANNEL_PARAMETER, CONTENT_TYPE, LAST_EVENT_ID_HEADER, UNKNOWN_ID},
    },
};

/// Answers a request that needs no word from the application, before it is asked: preflight, what is malformed, what a
/// proxy asks for on behalf of a stream it holds.
pub fn screen(hub: &Arc<Hub>, request: &Request<'_>, now: Now) -> Option<Reply> {
    let reply = match request.method {
        "OPTIONS" => return Some(cors::preflight(request, hub.config())),
        "GET" | "HEAD" => match grip::route(hub, request, now) {
            Route::Refuse(reply) => reply,
            // A HEAD of a client; a proxy would write chunks to one that it holds.
            Route::Repair(..) if request.method == "HEAD" => event_stream(),
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
    let query = Query::parse(request.query);
    let resume = resume(request, &query);
    // Before anything is found wrong: whoever is told so comes back once more, and has to be stopped here.
    if resume == Resume::Error {
        return Err(Reply::text(400, "the stream has ended with a stream-error; do not come back"));
    }
    match query.problem {
        Some(text) => Err(refuse(Condition::BadRequest, &text, &[])),
        None => Ok(Asked { channels: query.channels, resume }),
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
    let (channels, problem) = check_channels(channels, hub.config().channel_limit as usize);
    if let Some((condition, text)) = access.forbidden {
        return Err(refuse(condition, &text, &channels));
    }
    if let Some(text) = problem {
        return Err(refuse(Condition::BadRequest, &text, &channels));
    }
    let is_head = request.method == "HEAD";
    if let Route::Hold(grip) = grip::route(hub, request, now) {
        let user = access.user.as_deref();
        return Ok(if is_head {
            event_stream()
        } else {
            grip::hold(hub, grip, request, channels, user, asked.resume, now)
        });
    }
    let (total, per_address) = (hub.config().max_streams, hub.config().max_streams_per_address);
    hub.admission.enter(total, request.peer, per_address).map_err(|full| refuse_for_now(hub, full))?;
    if is_head {
        hub.admission.leave(request.peer, per_address);
        return Ok(event_stream());
    }
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
    let headers = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(LAST_EVENT_ID_HEADER));
    match headers.map(|(_, value)| value.trim_ascii()).find(|value| !value.is_empty()) {
        // What is not UTF-8 is a position too, if not one of ours.
        Some(value) => std::str::from_utf8(value).map_or(Resume::Unknown, Resume::parse),
        None => Resume::parse(query.last_event_id.as_deref().unwrap_or("")),
    }
}

/// The channels, each once; and what is wrong with them, if anything is.
fn check_channels(mut channels: Vec<String>, limit: usize) -> (Vec<String>, Option<String>) {
    keep_first(&mut channels);
    let problem = if channels.is_empty() {
        Some(format!("no channel was given; name one with ?{CHANNEL_PARAMETER}=NAME"))
    } else if channels.len() > limit {
        Some(format!("{} channels were given; a stream may have {limit}", channels.len()))
    } else {
        channels.iter().find_map(|channel| check_channel(channel).err()).map(|error| error.to_string())
    };
    // What is told back stays small and clean, whatever was asked.
    channels.retain(|channel| check_channel(channel).is_ok());
    channels.truncate(limit);
    (channels, problem)
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
        Ok(cursor) => (cursor, notice::open(&log.position(cursor).to_string(), &names)),
        Err(Lost { reason, gap, id }) => {
            hub.counters.count_reset(reason);
            let missed: Vec<&str> = gap.channels.iter().map(|&index| names[index]).collect();
            let mut body = notice::open(&id, &names);
            body.extend(notice::reset(log.position(gap.head), &missed, reason));
            (gap.head, body)
        }
    };
    let stream = Stream::new(hub, subscription, cursor, user, request.peer);
    Reply { body, stream: Some(stream), ..event_stream() }
}

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
    let (epoch, head) = (subscription.log().epoch(), subscription.log().head());
    let of_another_log = |id| {
        let gap = Gap { channels: (0..subscription.channels().len()).collect(), head };
        Lost { reason: ResetReason::Epoch, gap, id }
    };
    match resume {
        Resume::Fresh => Ok(head),
        Resume::From(position) if position.epoch == epoch && position.seq <= head => {
            let lost = |gap| Lost { reason: ResetReason::Expired, gap, id: position.to_string() };
            subscription.gap(position.seq).map_or(Ok(position.seq), |gap| Err(lost(gap)))
        }
        Resume::From(position) if position.epoch != epoch => Err(of_another_log(position.to_string())),
        // A place in the future is not told back: the log would reach it, and the gap be forgotten.
        _ => Err(of_another_log(UNKNOWN_ID.to_owned())),
    }
}

/// The head of every answer that is a stream, however short.
pub(super) fn event_stream() -> Reply {
    Reply::empty(200)
        .header("Content-Type", CONTENT_TYPE)
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
