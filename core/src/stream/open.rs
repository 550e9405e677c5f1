//! From a request to a reply.

use std::sync::Arc;

use super::{
    accept::{accepts_stream, names_stream},
    access::{Access, Refusal},
    admission::Full,
    asked::{Asked, Screened},
    begin::{Begin, begin},
    cors,
    ended::Meanwhile,
    ends::Ends,
    grip::{self, Route},
    hold,
    hub::Hub,
    later::{later, shut, shut_after, unavailable},
    live::{About, Stream},
    notice::{self, CloseNotice, Condition, LastWords},
    own::{check_own, is_own_channel, own_channel},
    reply::{Headers, Reply, event_stream},
    request::{Now, Request},
};
use crate::{
    grip::LinkKey,
    log::Subscription,
    wire::{
        Query, Resume, check_channel, keep_first,
        protocol::{CHANNEL_PARAMETER, LAST_EVENT_ID_HEADER, USER_CHANNEL_PREFIX},
    },
};

/// Reads a request, and answers one that needs no word from the application: preflight, what is malformed, what a proxy
/// asks for on behalf of a stream it holds.
pub fn screen(hub: &Arc<Hub>, request: &Request<'_>, now: Now) -> Screened {
    if request.method == "OPTIONS" {
        return Screened::Reply(cors::preflight(request, hub.config()));
    }
    let ended_before = hub.ended.count();
    // A proxy gives its answer to several clients, so it must not depend on the origin of one.
    let is_link = LinkKey::is_link(request.path);
    let cors = if is_link { Vec::new() } else { cors::headers(request, hub.config()) };
    match route(hub, request, now) {
        Ok(asked) => Screened::Ask(Asked { ended_before, cors, ..asked }),
        Err(reply) => Screened::Reply(finish(reply, cors, request.method == "HEAD")),
    }
}

/// Answers a request for a stream that the application allows as `access` says.
///
/// What a client could mend before it comes back, such as a wrong method, gets an HTTP status. What it could not,
/// such as a missing channel, is told in-band with a `stream-error`, because a browser does not show a page the
/// status and text of a failed stream.
pub fn open(hub: &Arc<Hub>, mut asked: Asked, access: Access, now: Now) -> Reply {
    let (cors, is_head) = (std::mem::take(&mut asked.cors), asked.is_head);
    let reply = answer(hub, asked, access, now).unwrap_or_else(|reply| reply);
    finish(reply, cors, is_head)
}

/// [`screen`] and [`open`] in one, for an access that does not depend on the request.
pub fn open_request(hub: &Arc<Hub>, request: &Request<'_>, access: Access, now: Now) -> Reply {
    match screen(hub, request, now) {
        Screened::Reply(reply) => reply,
        Screened::Ask(asked) => open(hub, asked, access, now),
    }
}

fn route(hub: &Arc<Hub>, request: &Request<'_>, now: Now) -> Result<Asked, Reply> {
    let is_head = match request.method {
        "GET" => false,
        "HEAD" => true,
        _ => return Err(Reply::text(405, "a stream is read with GET").header("Allow", cors::METHODS)),
    };
    if !hub.is_open() {
        return Err(shut(hub, request));
    }
    match grip::route(hub, request, now) {
        Route::Refuse(reply) => Err(reply),
        Route::Later(reply) => Err(later(hub, &read(hub, request)?, CloseNotice::Failed, || reply)),
        // A HEAD of a client; a proxy would write chunks to one that it holds.
        Route::Repair(..) if is_head => Err(event_stream()),
        // It tries again soon, perhaps elsewhere.
        Route::Repair(..) if hub.log().is_waiting() => Err(unavailable(hub, 503, NOT_ATTACHED)),
        Route::Repair(grip, link) => Err(hold::repair(hub, grip, &link, request, now)),
        Route::Direct => read(hub, request),
        Route::Hold => Ok(Asked { held: Some(request.path.into()), ..read(hub, request)? }),
    }
}

/// What a request asks for; the error is the reply to one that cannot be read.
pub(super) fn read(hub: &Hub, request: &Request<'_>) -> Result<Asked, Reply> {
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
    if let Some(text) = query.problem {
        return Err(refuse(Condition::BadRequest, &text, &[]));
    }
    let is_head = request.method == "HEAD";
    Ok(Asked {
        channels: query.channels,
        resume,
        peer: hub.proxies.client(request),
        held: None,
        is_head,
        ended_before: 0,
        names_stream: !is_head && names_stream(request),
        cors: Vec::new(),
    })
}

fn answer(hub: &Arc<Hub>, mut asked: Asked, mut access: Access, now: Now) -> Result<Reply, Reply> {
    if !hub.is_open() {
        return Err(shut_after(hub, &asked));
    }
    let channels = access.channels.take().unwrap_or_else(|| std::mem::take(&mut asked.channels));
    let own = own_channel(hub.config(), access.user.as_deref());
    let (mut channels, problem) =
        check_channels(channels, hub.config().channel_limit as usize, own.is_some());
    match access.refusal.take() {
        Some(Refusal::Forbidden(text)) => return Err(refuse(Condition::Forbidden, &text, &channels)),
        Some(Refusal::Unauthorized(text, challenge)) => {
            if asked.names_stream {
                return Err(refuse(Condition::Forbidden, text, &channels));
            }
            return Err(Reply::text(401, text).header("WWW-Authenticate", challenge));
        }
        Some(Refusal::Failed(text)) => {
            return Err(later(hub, &asked, CloseNotice::Failed, || unavailable(hub, 503, &text)));
        }
        None => {}
    }
    if let Some(text) = problem {
        return Err(refuse(Condition::BadRequest, &text, &channels));
    }
    channels.extend(own);
    let ended_before = hub.ended.count();
    match hub.ended.since(asked.ended_before, |who| who.fits_new(access.user.as_deref(), &channels)) {
        Meanwhile::Nothing => {}
        Meanwhile::Ended(LastWords::Forbidden(text)) => {
            return Err(refuse(Condition::Forbidden, &text, &channels));
        }
        Meanwhile::Ended(LastWords::Close(why)) => {
            return Err(later(hub, &asked, why, || {
                unavailable(hub, 503, "the application is to decide anew")
            }));
        }
        Meanwhile::Unknown => {
            let text = "the application has ended streams meanwhile, and is to decide anew";
            return Err(later(hub, &asked, CloseNotice::Reauthorize, || unavailable(hub, 503, text)));
        }
    }
    let checked = access.check(hub.config().max_event_bytes as usize);
    if let Err(error) = checked.and_then(|()| check_own(hub.config(), access.user.as_deref())) {
        tracing::error!(%error, "an access cannot be granted");
        return Err(later(hub, &asked, CloseNotice::Failed, || {
            unavailable(hub, 503, "the access cannot be granted")
        }));
    }
    if access.expires_at_s.is_some_and(|expires_at_s| expires_at_s <= now.unix_s) {
        return Err(refuse(Condition::Forbidden, "the right to read has expired", &channels));
    }
    if let (Some(path), Some(grip)) = (&asked.held, hub.grip()) {
        if !asked.is_head && hub.log().is_waiting() {
            return Err(later(hub, &asked, CloseNotice::Failed, || unavailable(hub, 503, NOT_ATTACHED)));
        }
        if asked.is_head {
            return Ok(event_stream());
        }
        if access.expires_at_s.is_some() && !grip.sequenced {
            let text = "an access expires at a GRIP proxy only with a journal or grip_sole_publisher";
            tracing::error!("{text}");
            return Err(later(hub, &asked, CloseNotice::Failed, || unavailable(hub, 503, text)));
        }
        let resume = access.since.map_or(asked.resume, Resume::From);
        return Ok(hold::hold(hub, grip, path, channels, &access, resume, now));
    }
    let (total, per_address) = (hub.config().max_streams, hub.config().max_streams_per_address);
    hub.admission.enter(total, asked.peer, per_address).map_err(|full| refuse_full(hub, &asked, full))?;
    if asked.is_head {
        hub.admission.leave(asked.peer, per_address);
        return Ok(event_stream());
    }
    let (number, replaced) = enter(hub, &asked, &access)?;
    let names = channels.iter().map(|channel| &**channel);
    let subscription = Subscription::new(hub.log(), names, now.ms);
    let resume = access.since.map_or(asked.resume, Resume::From);
    let Begin { at, mut body, early } = begin(hub, &subscription, resume, now.ms);
    body.extend_from_slice(&access.greeting);
    let about = About {
        user: access.user,
        ticket: access.ticket,
        peer: asked.peer,
        number,
        replaced,
        ended_before,
        opened_ms: now.ms,
        ends: Ends::new(hub, access.expires_at_s, now),
    };
    let stream = Stream::new(hub, subscription, at, early, about);
    Ok(Reply { body, stream: Some(stream), ..event_stream() })
}

/// The number of a new stream, and of those whose place it takes. The hub's admission has let it in but for its user.
fn enter(hub: &Hub, asked: &Asked, access: &Access) -> Result<(u64, Vec<u64>), Reply> {
    let number = hub.next_stream();
    let config = hub.config();
    let mut replaced = Vec::new();
    if let Some(user) = &access.user {
        match hub.admission.enter_user(user, number, config.max_streams_per_user, config.over_user_limit) {
            Ok(older) => replaced.extend(older),
            Err(full) => {
                hub.admission.leave(asked.peer, config.max_streams_per_address);
                return Err(refuse_full(hub, asked, full));
            }
        }
    }
    replaced.extend(access.ticket.as_deref().and_then(|id| hub.admission.enter_ticket(id, number)));
    Ok((number, replaced))
}

/// What all replies have in common.
fn finish(mut reply: Reply, cors: Headers, is_head: bool) -> Reply {
    reply.headers.extend(cors);
    if is_head {
        reply.body.clear();
    }
    reply
}

/// Where the client was, from the header or, for clients that cannot set it, from the query.
pub(super) fn resume(request: &Request<'_>, query: &Query) -> Resume {
    let headers = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(LAST_EVENT_ID_HEADER));
    match headers.map(|(_, value)| value.trim_ascii()).find(|value| !value.is_empty()) {
        // Non-UTF-8 counts as an unknown position.
        Some(value) => std::str::from_utf8(value).map_or(Resume::Unknown, Resume::parse),
        None => Resume::parse(query.last_event_id.as_deref().unwrap_or("")),
    }
}

/// The channels, each once; and what is wrong with them, if anything is. There may be none when the stream `has_own`.
pub(super) fn check_channels(
    mut channels: Vec<String>,
    limit: usize,
    has_own: bool,
) -> (Vec<String>, Option<String>) {
    keep_first(&mut channels);
    let problem = if channels.is_empty() && !has_own {
        Some(format!("no channel was given; name one with ?{CHANNEL_PARAMETER}=NAME"))
    } else if channels.len() > limit {
        Some(format!("{} channels were given; a stream may have {limit}", channels.len()))
    } else if channels.iter().any(|channel| is_own_channel(channel)) {
        Some(format!(
            "channels that begin with {USER_CHANNEL_PREFIX} belong to one user each, and cannot be asked for"
        ))
    } else {
        channels.iter().find_map(|channel| check_channel(channel).err()).map(|error| error.to_string())
    };
    // What is told back stays small and clean, whatever was asked.
    channels.retain(|channel| check_channel(channel).is_ok());
    channels.truncate(limit);
    (channels, problem)
}

/// Why a proxy cannot be answered yet: it has to be told of a place.
const NOT_ATTACHED: &str = "nothing is known of the journal yet";

fn refuse(condition: Condition, text: &str, channels: &[String]) -> Reply {
    Reply { body: notice::error(condition, text, channels), ..event_stream() }
}

fn refuse_full(hub: &Hub, asked: &Asked, full: Full) -> Reply {
    hub.counters.count_refused(full);
    later(hub, asked, CloseNotice::Full, || match full {
        Full::Total => unavailable(hub, 503, "too many streams are open; try again later"),
        Full::Address => {
            unavailable(hub, 429, "too many streams are open from this address; try again later")
        }
        Full::User => unavailable(hub, 429, "too many streams of this user are open; try again later"),
    })
}
