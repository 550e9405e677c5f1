//! What a server tells of the insides of the application: metrics and health, to those who may know.

use super::mount::Serves;
use crate::{
    app::App,
    stream::{Access, Refusal, Reply, Request, prefers},
    wire::protocol::{JSON, METRICS, OPENMETRICS},
};

/// Answers a request that the application has decided on.
pub(super) fn report(app: &App, serves: Serves, request: &Request<'_>, access: &Access) -> Reply {
    if !matches!(request.method, "GET" | "HEAD") {
        return Reply::text(405, "this is read with GET").header("Allow", "GET, HEAD");
    }
    if let Some(refusal) = refuse(app, access) {
        return refusal;
    }
    match serves {
        Serves::Health => {
            let health = app.health();
            let asks_if_live = request.query.split('&').any(|parameter| parameter == "live");
            let is_well = if asks_if_live { health.live } else { health.ready };
            Reply::of(if is_well { 200 } else { 503 }, JSON, health.to_json() + "\n")
        }
        Serves::Metrics | Serves::Streams => {
            let openmetrics = prefers(request, OPENMETRICS, METRICS);
            let kind = if openmetrics {
                format!("{OPENMETRICS}; version=1.0.0; charset=utf-8")
            } else {
                format!("{METRICS}; version=0.0.4; charset=utf-8")
            };
            Reply::of(200, &kind, app.metrics(openmetrics)).header("Vary", "Accept")
        }
    }
}

fn refuse(app: &App, access: &Access) -> Option<Reply> {
    let now_s = app.now().unix_s;
    match &access.refusal {
        Some(Refusal::Forbidden(text)) => Some(Reply::text(403, text)),
        Some(Refusal::Unauthorized(text, challenge)) => {
            Some(Reply::text(401, text).header("WWW-Authenticate", *challenge))
        }
        Some(Refusal::Failed(text)) => Some(Reply::text(503, text)),
        None if access.expires_at_s.is_some_and(|expires_at_s| expires_at_s <= now_s) => {
            Some(Reply::text(403, "the right to read has expired"))
        }
        None => None,
    }
}
