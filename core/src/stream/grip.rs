//! Requests that come through a GRIP proxy, told from others by their signature.

use super::{
    hub::Hub,
    notice::{self, CloseNotice},
    reply::{Reply, event_stream},
    request::{Now, Request},
    seldom::Seldom,
};
use crate::{
    config::{Config, Secret},
    error::{Error, ErrorKind, Result},
    fork::Process,
    grip::{Link, LinkKey, LinkRefusal, Prefix, Proxy, Refusal, Rewrite, Verdict, verify_request},
    wire::protocol::{self, MAX_HOLD_CHANNELS},
};

/// What an application's events need to stand behind proxies.
#[derive(Debug)]
pub(crate) struct Grip {
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) prefix: Prefix,
    /// Whether what is published to a proxy has a sequence, so that its gaps show: only where they can be repaired.
    pub(crate) sequenced: bool,
    link_key: LinkKey,
    rewrite: Rewrite,
    refused_links: Seldom,
    refused_signatures: Seldom,
}

/// What a hold has of ours at least: a channel for hints or for all streams, and one of the user.
pub(super) const OWN_CHANNELS: usize = 2;

/// How a request is to be answered.
pub(super) enum Route<'a> {
    /// With a stream of our own.
    Direct,
    /// With an instruction to the proxy it came through.
    Hold,
    /// With what a proxy has missed.
    Repair(&'a Grip, Link),
    /// Not at all.
    Refuse(Reply),
    /// Not now; this is for those who do not know streams.
    Later(Reply),
}

impl Grip {
    /// `None` when no proxy is configured; `shared` says that processes which publish have one log. Fails with
    /// `invalid-config`, never showing a secret.
    pub(super) fn new(config: &Config, shared: bool) -> Result<Option<Self>> {
        // An empty environment variable configures no proxy.
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
        let most = (MAX_HOLD_CHANNELS - OWN_CHANNELS) as u64 - u64::from(config.user_channel);
        if config.channel_limit > most {
            let text = format!(
                "channel_limit may be {most} at most with a GRIP proxy{}, not {}",
                if config.user_channel { " and user_channel" } else { "" },
                config.channel_limit
            );
            return Err(Error::new(ErrorKind::InvalidConfig, text));
        }
        for warning in proxies.iter().flat_map(Proxy::warnings) {
            tracing::warn!("{warning}");
        }
        let sequenced = (shared || config.grip_sole_publisher) && config.history_events > 0;
        if sequenced && !shared {
            if let Some(sign) = sign_of_several_processes() {
                tracing::warn!(
                    "grip_sole_publisher is set, but {sign}: what another process publishes is hidden by it"
                );
            }
        } else if !sequenced && config.history_events > 0 {
            tracing::info!(
                "what gets lost on the way to a GRIP proxy is not repaired, since other processes may publish too; give them \
                 a journal, or set grip_sole_publisher if there are none"
            );
        }
        let link_key = match config.grip_link_secret.reveal() {
            "" => LinkKey::from_proxies(&proxies).map_or_else(LinkKey::random, Ok)?,
            secret => LinkKey::from_secret(secret)?,
        };
        let prefix = Prefix::new(&config.grip_prefix)?;
        let rewrite = Rewrite::parse(&config.grip_public_path)?;
        let (refused_links, refused_signatures) = <_>::default();
        Ok(Some(Self { proxies, prefix, sequenced, link_key, rewrite, refused_links, refused_signatures }))
    }

    /// The path of a link, as it is in front of the proxies.
    pub(super) fn link_path(&self, link: &Link) -> String {
        self.rewrite.undo(self.link_key.path(link))
    }
}

/// What shows that this process is one of several of the same application, as the end of a sentence.
pub(super) fn sign_of_several_processes() -> Option<&'static str> {
    let more_than = |name, count: u64| {
        std::env::var(name).is_ok_and(|value| value.trim().parse().is_ok_and(|n: u64| n > count))
    };
    if more_than("WEB_CONCURRENCY", 1) {
        Some("WEB_CONCURRENCY asks for several workers") // read by gunicorn, uvicorn and others
    } else if more_than("NODE_APP_INSTANCE", 0) {
        Some("NODE_APP_INSTANCE says that this is not the only instance") // set by PM2
    } else if Process::current().is_forked() {
        Some("this process was forked from another that had evstream loaded")
    } else {
        None
    }
}

/// Decides by the request's signature and path.
pub(super) fn route<'a>(hub: &'a Hub, request: &Request<'_>, now: Now) -> Route<'a> {
    let is_link = LinkKey::is_link(request.path);
    let no_link = || Route::Refuse(Reply::text(404, "there is no stream here"));
    let Some(grip) = hub.grip() else { return if is_link { no_link() } else { Route::Direct } };
    match verify_request(&grip.proxies, request.header(protocol::GRIP_SIG_HEADER), now.unix_s) {
        Verdict::NotProxied | Verdict::Unverifiable if is_link => no_link(),
        Verdict::NotProxied | Verdict::Unverifiable if hub.config().grip_required => {
            Route::Refuse(Reply::text(501, "streams are only served through a GRIP proxy"))
        }
        Verdict::NotProxied | Verdict::Unverifiable => Route::Direct,
        Verdict::Refused(reason) => refuse_signature(hub, grip, reason, now),
        Verdict::Proxied(_) if is_link => match grip.link_key.open(request.path, now.unix_s) {
            Ok(link) => Route::Repair(grip, link),
            Err(reason) => {
                hub.counters.count_grip_refusal();
                if let Some(links) = grip.refused_links.pass(now.ms) {
                    tracing::info!(links, reason = reason.code(), "links of held streams were refused");
                }
                // Not an error status: with one a proxy tries again for half a minute before it ends the stream. Without
                // a hold it ends it at once, and the client comes back with its position, which is that of its last
                // event: the proxy may give this answer to several clients.
                let why = match reason {
                    LinkRefusal::Expired => CloseNotice::MaxAge,
                    LinkRefusal::NotALink | LinkRefusal::Malformed | LinkRefusal::WrongKey => {
                        CloseNotice::Failed
                    }
                };
                Route::Refuse(Reply { body: notice::close(why, None, hub.retry_ms()), ..event_stream() })
            }
        },
        Verdict::Proxied(_) => Route::Hold,
    }
}

fn refuse_signature(hub: &Hub, grip: &Grip, reason: Refusal, now: Now) -> Route<'static> {
    hub.counters.count_grip_refusal();
    if let Some(requests) = grip.refused_signatures.pass(now.ms) {
        tracing::warn!(requests, reason = reason.code(), "signatures of GRIP proxies were refused");
    }
    Route::Later(Reply::text(403, &format!("the {} {reason}", protocol::GRIP_SIG_HEADER)))
}
