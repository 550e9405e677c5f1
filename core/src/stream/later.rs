//! Requests that cannot be served now, but later.

use super::{
    asked::Asked,
    hub::Hub,
    notice::{self, CloseNotice},
    open::read,
    reply::{Reply, event_stream},
    request::Request,
    resume::repeated,
};
use crate::{fork::FORKED, grip::LinkKey};

/// Answers a request when there are no streams any more: the events are closed, or belong to the parent of this process.
pub(super) fn shut(hub: &Hub, request: &Request<'_>) -> Reply {
    if hub.grip().is_some() && LinkKey::is_link(request.path) {
        // The proxy tries again for half a minute, and another process may answer it: the client notices nothing.
        return unavailable(hub, 503, why_shut(hub).1);
    }
    read(hub, request).map_or_else(|reply| reply, |asked| shut_after(hub, &asked))
}

/// Answers a request that was read before there were none.
pub(super) fn shut_after(hub: &Hub, asked: &Asked) -> Reply {
    let (why, text) = why_shut(hub);
    later(hub, asked, why, || unavailable(hub, 503, text))
}

/// Answers a request that is served as soon as whatever stands in the way has passed.
///
/// A client of streams is told with a `stream-close`: a browser's `EventSource` never comes back after a status other than
/// 200 (WHATWG HTML 9.2.3), so that one busy moment would end its page for good. Everyone else gets `otherwise`. What is
/// wrong with the request itself comes first.
pub(super) fn later(hub: &Hub, asked: &Asked, why: CloseNotice, otherwise: impl FnOnce() -> Reply) -> Reply {
    if !asked.names_stream {
        return otherwise();
    }
    // With its own position, or it might come back without one, and never hear what it has missed.
    let id = repeated(hub.log(), asked.resume);
    Reply { body: notice::close(why, id.as_deref(), hub.later_ms()), ..event_stream() }
}

fn why_shut(hub: &Hub) -> (CloseNotice, &'static str) {
    if hub.log().process().is_current() {
        (CloseNotice::Shutdown, "the events are closed")
    } else {
        (CloseNotice::Failed, FORKED)
    }
}

/// An answer for everyone else, who may heed a `Retry-After`.
pub(super) fn unavailable(hub: &Hub, status: u16, text: &str) -> Reply {
    let retry_s = hub.later_ms().div_ceil(1_000);
    Reply::text(status, text).header("Retry-After", retry_s.to_string())
}
