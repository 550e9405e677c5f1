//! Who may read what, as a text that an application has signed itself: for clients that send no headers.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Serialize};

use super::{
    access::Access,
    grip::sign_of_several_processes,
    hub::Hub,
    open::{check_channels, resume},
    own::{check_own, own_channel},
    request::{Now, Request},
};
use crate::{
    config::Config,
    error::{Error, ErrorKind, Result},
    wire::{
        Query, Resume, percent_decode,
        protocol::{TICKET_CHALLENGE, TICKET_MARKER, TICKET_PARAMETER},
    },
};

/// Tickets of one kind: what [`Events::ticket`](crate::Events::ticket) makes, a mount with the same takes. Cheap to clone.
///
/// A ticket is for the query of a URL, `?ticket=…`, because an `EventSource` cannot send a header. Such a URL ends up in logs, and
/// a browser comes back with the same one after each break; so a ticket opens a new stream for a short time only, 30 s, and
/// lets a client that has read from these events already, as its `Last-Event-ID` shows, go on for an hour, after which it needs
/// another one. It has one stream in a process at a time: the newest, while the one before is told `replaced`. That is not
/// seen of streams that a GRIP proxy holds.
///
/// ```
/// use evstream::{Access, Config, Events, Mount, Tickets};
/// let events = Events::new(Config::new().ticket_secret("the same in all processes".into()))?;
/// let tickets = Tickets::new("live")?;
/// let mount = Mount::new("/live/").tickets(tickets.clone());
/// // Where the page is made, for a user who has logged in:
/// let ticket = events.ticket(&tickets, &Access::channels(["room-1"]).user("bob"))?;
/// let url = format!("/live/?ticket={ticket}");
/// # Ok::<(), evstream::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "a mount is to have it"]
pub struct Tickets {
    name: String,
    open_within_s: u64,
    lasts_s: u64,
}

impl Tickets {
    /// Tickets that are good wherever those of this name are taken, and nowhere else. Fails with `invalid-argument` when it has
    /// not 1 to 200 bytes.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return argument(format!(
                "the name of tickets has 1 to {MAX_NAME_BYTES} bytes, not {}",
                name.len()
            ));
        }
        Ok(Self { name, open_within_s: OPEN_WITHIN_S, lasts_s: LASTS_S })
    }

    /// How many seconds after it was made a ticket opens a new stream; 30 by default. Fails with `invalid-argument` for less than
    /// 1 or more than an hour.
    pub fn open_within_s(mut self, seconds: u64) -> Result<Self> {
        if !(1..=MOST_OPEN_WITHIN_S).contains(&seconds) {
            return argument(format!(
                "a ticket opens a stream within 1 to {MOST_OPEN_WITHIN_S} s, not {seconds}"
            ));
        }
        self.open_within_s = seconds;
        Ok(self)
    }

    /// How many seconds after it was made a ticket ends, and its stream with it; 3600 by default. Fails with `invalid-argument`
    /// for less than 1 or more than a week.
    pub fn lasts_s(mut self, seconds: u64) -> Result<Self> {
        if !(1..=MOST_LASTS_S).contains(&seconds) {
            return argument(format!("a ticket lasts 1 to {MOST_LASTS_S} s, not {seconds}"));
        }
        self.lasts_s = seconds;
        Ok(self)
    }
}

/// Signs tickets and opens them.
pub(super) struct TicketKey {
    key: hmac::Key,
    /// Other processes do not have it.
    is_random: bool,
    has_warned: AtomicBool,
}

impl TicketKey {
    /// From `ticket_secret`, or else random. Fails with `invalid-config` when the secret can be guessed.
    pub(super) fn new(config: &Config) -> Result<Self> {
        let secret = config.ticket_secret.reveal();
        let is_random = secret.is_empty();
        if !is_random && secret.len() < MIN_SECRET_BYTES {
            let text = format!("ticket_secret must have at least {MIN_SECRET_BYTES} bytes");
            return Err(Error::new(ErrorKind::InvalidConfig, text));
        }
        let seed: [u8; 32];
        let secret = if is_random {
            seed = random()?;
            &seed
        } else {
            secret.as_bytes()
        };
        // Whatever else is signed with the same secret is no ticket.
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), PURPOSE);
        let key = hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref());
        Ok(Self { key, is_random, has_warned: AtomicBool::new(false) })
    }

    fn sign(&self, name: &str, holds: &Holds) -> Result<String> {
        let mut bytes = serde_json::to_vec(holds).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("a ticket cannot be written: {error}"))
        })?;
        let tag = hmac::sign(&self.key, &covered(name, &bytes));
        bytes.extend_from_slice(tag.as_ref());
        Ok(format!("{TICKET_MARKER}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    fn open(&self, name: &str, ticket: &str) -> Result<Holds, Denied> {
        let encoded = ticket.strip_prefix(TICKET_MARKER).ok_or(Denied::Malformed)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Denied::Malformed)?;
        let at = bytes.len().checked_sub(hmac_bytes()).ok_or(Denied::Malformed)?;
        let (holds, tag) = bytes.split_at(at);
        hmac::verify(&self.key, &covered(name, holds), tag).map_err(|_| Denied::WrongKey)?;
        serde_json::from_slice(holds).map_err(|_| Denied::Malformed)
    }
}

/// What is signed: the name with its length, so that it cannot run into the rest.
fn covered(name: &str, holds: &[u8]) -> Vec<u8> {
    [&(name.len() as u64).to_be_bytes(), name.as_bytes(), holds].concat()
}

fn hmac_bytes() -> usize {
    hmac::HMAC_SHA256.digest_algorithm().output_len()
}

/// What a ticket holds. It is signed, but anyone who has it can read it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Holds {
    /// Tells it from others that hold the same.
    id: String,
    open_by: u64,
    ends: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    channels: Vec<String>,
}

/// A ticket for what `access` grants. See [`Events::ticket`](crate::Events::ticket).
pub(crate) fn issue(hub: &Hub, tickets: &Tickets, access: &Access, now: Now) -> Result<String> {
    let key = &hub.ticket_key;
    if key.is_random {
        if hub.log().is_following() {
            let text =
                "tickets of processes that share a journal need ticket_secret, the same in all of them";
            return Err(Error::new(ErrorKind::InvalidConfig, text));
        }
        if let Some(sign) =
            sign_of_several_processes().filter(|_| !key.has_warned.swap(true, Ordering::Relaxed))
        {
            tracing::warn!(
                "ticket_secret is not set, but {sign}: another process refuses the tickets of this one"
            );
        }
    }
    access.check(hub.config().max_event_bytes as usize)?;
    check_own(hub.config(), access.user.as_deref())?;
    if access.refusal.is_some() {
        return argument("there is no ticket for a refusal".to_owned());
    }
    if access.since.is_some() || access.greeted > 0 {
        return argument(
            "a ticket is good for many requests, and has neither first events nor a position".to_owned(),
        );
    }
    let Some(channels) = access.channels.clone() else {
        return argument(
            "a ticket names its channels, since nobody else says which its client may read".to_owned(),
        );
    };
    let has_own = own_channel(hub.config(), access.user.as_deref()).is_some();
    let (channels, problem) = check_channels(channels, hub.config().channel_limit as usize, has_own);
    if let Some(text) = problem {
        return argument(text);
    }
    let ends = now.unix_s.saturating_add(tickets.lasts_s).min(access.expires_at_s.unwrap_or(u64::MAX));
    if ends <= now.unix_s {
        return argument("the right to read has expired".to_owned());
    }
    let holds = Holds {
        id: URL_SAFE_NO_PAD.encode(random::<16>()?),
        open_by: now.unix_s.saturating_add(tickets.open_within_s).min(ends),
        ends,
        user: access.user.clone(),
        channels,
    };
    let ticket = key.sign(&tickets.name, &holds)?;
    if ticket.len() > MAX_TICKET_BYTES {
        let text = format!(
            "a ticket for so many channels has {} bytes; a URL has room for {MAX_TICKET_BYTES}",
            ticket.len()
        );
        return Err(Error::new(ErrorKind::TooLarge, text));
    }
    Ok(ticket)
}

/// Decides on a request by its ticket; says why it is refused, in the log and the figures, but not to the client.
pub(crate) fn admit(
    hub: &Hub,
    tickets: &Tickets,
    request: &Request<'_>,
    requested: &[String],
    now: Now,
) -> Access {
    let Holds { id, ends, user, channels, .. } = match read(hub, tickets, request, now) {
        Ok(holds) => holds,
        Err(Denied::Unknown) => return Access::fail("nothing is known of the journal yet"),
        Err(denied) => {
            hub.counters.count_token_refusal();
            if let Some(requests) = hub.token_log.pass(now.ms) {
                tracing::warn!(requests, reason = denied.reason(), "requests were refused for their tickets");
            }
            return Access::unauthorized(denied.told(), TICKET_CHALLENGE);
        }
    };
    let access = match Access::of_token("ticket", channels, requested) {
        Ok(access) => access.expires_at(ends),
        Err(refusal) => return refusal,
    };
    let access = match user {
        Some(user) => access.user(user),
        None => access,
    };
    access.ticket(id)
}

fn read(hub: &Hub, tickets: &Tickets, request: &Request<'_>, now: Now) -> Result<Holds, Denied> {
    let ticket = ticket(request.query)?;
    let holds = hub.ticket_key.open(&tickets.name, &ticket)?;
    if holds.ends <= now.unix_s {
        return Err(Denied::Expired);
    }
    if now.unix_s < holds.open_by {
        return Ok(holds);
    }
    // Whoever has read from these events before has opened it in time.
    match resume(request, &Query::parse(request.query)) {
        Resume::From(_) if hub.log().is_waiting() => Err(Denied::Unknown),
        Resume::From(position) if position.epoch == hub.log().epoch() => Ok(holds),
        _ => Err(Denied::Late),
    }
}

/// The only ticket in the query. Of two, something else may heed the other.
fn ticket(query: &str) -> Result<String, Denied> {
    let (query, _fragment) = query.split_once('#').unwrap_or((query, ""));
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut found = pairs.filter(|(name, _)| percent_decode(name).is_ok_and(|name| name == TICKET_PARAMETER));
    let (_, value) = found.next().ok_or(Denied::Missing)?;
    if found.next().is_some() {
        return Err(Denied::Malformed);
    }
    Ok(percent_decode(value).map_err(|_| Denied::Malformed)?.into_owned())
}

/// Why a ticket is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Denied {
    Missing,
    Malformed,
    WrongKey,
    Late,
    Expired,
    /// Not yet: it cannot be told whether the client has been here.
    Unknown,
}

impl Denied {
    /// For the log.
    fn reason(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::WrongKey => "wrong-key",
            Self::Late => "late",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
        }
    }

    /// For the client, who is to get another ticket.
    fn told(self) -> &'static str {
        match self {
            Self::Missing => "a ticket is needed",
            Self::Late | Self::Expired => "the ticket has expired",
            Self::Malformed | Self::WrongKey | Self::Unknown => "the ticket is not accepted",
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::new(ErrorKind::Internal, "the system gave no random numbers for a ticket"))?;
    Ok(bytes)
}

fn argument<T>(text: String) -> Result<T> {
    Err(Error::new(ErrorKind::InvalidArgument, text))
}

const PURPOSE: &[u8] = b"evstream tickets 1";
const MIN_SECRET_BYTES: usize = 16;
const MAX_NAME_BYTES: usize = 200;
/// Less than any server's limit of a request line.
const MAX_TICKET_BYTES: usize = 4_096;
const OPEN_WITHIN_S: u64 = 30;
const MOST_OPEN_WITHIN_S: u64 = 3_600;
const LASTS_S: u64 = 3_600;
const MOST_LASTS_S: u64 = 604_800;

#[cfg(all(test, not(evstream_loom)))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::wire::{Epoch, Position};

    const NOW_S: u64 = 1_800_000_000;

    fn hub(secret: &str) -> Arc<Hub> {
        Hub::new(Config::new().ticket_secret(secret.into()), Epoch(7)).unwrap()
    }

    fn at(unix_s: u64) -> Now {
        Now { ms: 0, unix_s }
    }

    fn judge(hub: &Hub, name: &str, query: &str, last_event_id: &str, unix_s: u64) -> Result<(), Denied> {
        let headers: [(&str, &[u8]); 1] = [("last-event-id", last_event_id.as_bytes())];
        let request = Request { method: "GET", path: "/live/", query, headers: &headers, peer: None };
        read(hub, &Tickets::new(name).unwrap(), &request, at(unix_s)).map(|_| ())
    }

    #[test]
    fn a_new_stream_is_opened_soon_and_an_old_one_until_the_end() {
        let hub = hub("a secret of some length");
        let ticket =
            issue(&hub, &Tickets::new("live").unwrap(), &Access::channels(["a"]), at(NOW_S)).unwrap();
        let query = format!("channel=a&ticket={ticket}");
        let ours = Position { epoch: Epoch(7), seq: 3 }.to_string();
        let others = Position { epoch: Epoch(8), seq: 3 }.to_string();
        for (id, after_s, verdict) in [
            ("", 29, Ok(())),
            ("", 30, Err(Denied::Late)),
            (&*ours, 30, Ok(())),
            (&*ours, 3_599, Ok(())),
            (&*ours, 3_600, Err(Denied::Expired)),
            (&*others, 29, Ok(())),
            (&*others, 30, Err(Denied::Late)),
            ("unknown", 30, Err(Denied::Late)),
            ("nonsense", 30, Err(Denied::Late)),
        ] {
            assert_eq!(judge(&hub, "live", &query, id, NOW_S + after_s), verdict, "{id:?} after {after_s} s");
        }
        // As a client says it that cannot send the header.
        let in_query = format!("{query}&last_event_id={ours}");
        assert_eq!(judge(&hub, "live", &in_query, "", NOW_S + 60), Ok(()));
    }

    #[test]
    fn it_ends_when_the_right_ends_that_it_stands_for() {
        let hub = hub("a secret of some length");
        let access = Access::channels(["a"]).expires_at(NOW_S + 10);
        let ticket = issue(&hub, &Tickets::new("live").unwrap(), &access, at(NOW_S)).unwrap();
        let query = format!("ticket={ticket}");
        assert_eq!(judge(&hub, "live", &query, "", NOW_S + 9), Ok(()));
        assert_eq!(judge(&hub, "live", &query, "", NOW_S + 10), Err(Denied::Expired));
    }

    #[test]
    fn what_is_not_whole_or_not_of_here_is_refused() {
        let hub_here = hub("a secret of some length");
        let here = Tickets::new("live").unwrap();
        let ticket = issue(&hub_here, &here, &Access::channels(["a"]), at(NOW_S)).unwrap();
        let judge = |name, query: &str| judge(&hub_here, name, query, "", NOW_S);
        assert_eq!(judge("live", &format!("ticket={ticket}")), Ok(()));
        assert_eq!(judge("live", &format!("tick%65t={ticket}#x")), Ok(()));
        assert_eq!(judge("other", &format!("ticket={ticket}")), Err(Denied::WrongKey));
        assert_eq!(judge("live", "channel=a"), Err(Denied::Missing));
        assert_eq!(judge("live", &format!("#ticket={ticket}")), Err(Denied::Missing));
        assert_eq!(judge("live", &format!("ticket={ticket}&ticket={ticket}")), Err(Denied::Malformed));
        for end in 0..ticket.len() {
            assert!(judge("live", &format!("ticket={}", &ticket[..end])).is_err(), "cut at {end}");
        }
        for at in 0..ticket.len() {
            let mut changed = ticket.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(judge("live", &format!("ticket={changed}")).is_err(), "changed at {at}");
        }
        let foreign =
            issue(&hub("another secret of it"), &here, &Access::channels(["a"]), at(NOW_S)).unwrap();
        assert_eq!(judge("live", &format!("ticket={foreign}")), Err(Denied::WrongKey));
    }

    #[test]
    fn the_form_of_a_ticket_is_kept() {
        // Another form needs another marker, or another purpose of the key.
        let holds = Holds {
            id: "i".to_owned(),
            open_by: 30,
            ends: 3_600,
            user: Some("bob".to_owned()),
            channels: vec!["a".to_owned()],
        };
        let text = hub("a secret of some length").ticket_key.sign("live", &holds).unwrap();
        let encoded = "eyJpZCI6ImkiLCJvcGVuX2J5IjozMCwiZW5kcyI6MzYwMCwidXNlciI6ImJvYiIsImNoYW5uZWxzIjpbImEiXX05eXgsL24DBllbdzVd8_9mOR7GQaiFMjKaLiohm9-JvQ";
        assert_eq!(text, format!("evt1-{encoded}"));
    }
}
