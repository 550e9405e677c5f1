//! Next links: the session of a held stream, signed into a path.

use std::fmt;

use ::base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{hmac, rand::SecureRandom};

use super::{
    hold::link_uri,
    key::{Key, same_secret},
    proxy::Proxy,
};
use crate::{
    error::{Error, ErrorKind, Result},
    wire::{Epoch, percent_decode_bytes},
};

/// Begins the last segment of every path made by [`LinkKey::path`].
pub const LINK_MARKER: &str = "evs1-";

/// What the answer to a next link needs to know of the session, as its requests carry neither cookies nor any other
/// header of the client.
///
/// It is signed but not encrypted: the proxy, and whoever reads the access logs, can see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// Path of the endpoint, as it stands in the request line, without a slash at its end.
    pub mount: String,
    /// The channels of the stream, sorted, each once.
    pub channels: Vec<String>,
    /// The user of the stream.
    pub user: Option<String>,
    /// When the link expires, in seconds since 1970; a multiple of an hour.
    pub expires_s: u64,
    /// Where the answer begins, if the proxy does not say so: see [`next_page`](super::next_page).
    pub cursors: Option<Cursors>,
}

/// A place on each channel of a [`Link`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cursors {
    /// The lifetime of the log that they belong to.
    pub epoch: Epoch,
    /// Sequence numbers of what was seen last, in the order of the channels.
    pub seqs: Vec<u64>,
}

/// Signs and opens links. All processes that serve the same endpoints need the same key.
///
/// `Debug` shows no secrets.
#[derive(Clone)]
pub struct LinkKey(hmac::Key);

/// Why a link was refused. In the order of the checks.
///
/// Best answered with status 200, no body and no hold: the proxy then ends the stream at once, and the client comes back
/// with its position. After an error status Pushpin tries for half a minute first.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum LinkRefusal {
    /// The path is not that of a link.
    NotALink,
    /// The path is cut off or damaged.
    Malformed,
    /// It is not signed with this key, or not for this mount: another process made it, the key was changed, or it is
    /// forged.
    WrongKey,
    /// Its time is over.
    Expired,
}

impl Link {
    /// A link for a stream that begins now and may last for `lifetime_s` seconds without asking the application again.
    ///
    /// The expiry is rounded up to a full hour, so that the links of equal streams are equal too: a proxy asks an equal
    /// link once for all of them. The answer to a link repeats the path it was asked by, and so keeps the expiry.
    pub fn new<S: Into<String>>(
        mount: &str,
        channels: impl IntoIterator<Item = S>,
        user: Option<&str>,
        now_s: u64,
        lifetime_s: u64,
    ) -> Self {
        let mut channels: Vec<String> = channels.into_iter().map(Into::into).collect();
        channels.sort_unstable();
        channels.dedup();
        let hours = now_s.saturating_add(lifetime_s).div_ceil(HOUR_S).min(u64::MAX / HOUR_S);
        Self {
            mount: mount.trim_end_matches('/').to_owned(),
            channels,
            user: user.map(str::to_owned),
            expires_s: hours * HOUR_S,
            cursors: None,
        }
    }
}

impl LinkKey {
    /// A key from a secret of the application. Fails with `invalid-config` when it is shorter than 16 bytes.
    pub fn from_secret(secret: &str) -> Result<Self> {
        if secret.len() < MIN_SECRET_BYTES {
            let text = format!("the secret that signs links must have at least {MIN_SECRET_BYTES} bytes");
            return Err(Error::new(ErrorKind::InvalidConfig, text));
        }
        let key = Key::from_secret(secret.as_bytes())?;
        Ok(Self(key.derive(PURPOSE).expect("a secret is no public key")))
    }

    /// A key from the first of the proxies whose settings hold a secret, so that all processes with the same settings
    /// have the same; `None` if none of them does.
    pub fn from_proxies(proxies: &[Proxy]) -> Option<Self> {
        proxies.iter().find_map(|proxy| proxy.derive(PURPOSE)).map(Self)
    }

    /// A key for this process only: links do not outlive it, and other processes refuse them.
    pub fn random() -> Result<Self> {
        let mut secret = [0; 32];
        ring::rand::SystemRandom::new()
            .fill(&mut secret)
            .map_err(|_| Error::new(ErrorKind::Internal, "the system gave no random numbers for a key"))?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
    }

    /// The path that stands for `link`: its mount, and one segment of letters, digits, `-` and `_`. Always the same
    /// for the same link.
    pub fn path(&self, link: &Link) -> String {
        let mut token = encode(link);
        token.extend_from_slice(&self.tag(&link.mount, &token).as_ref()[..TAG_BYTES]);
        let mut path = link_uri(&link.mount).into_owned();
        path.push('/');
        path.push_str(LINK_MARKER);
        URL_SAFE_NO_PAD.encode_string(token, &mut path);
        path
    }

    /// Whether a path, without its query, looks like that of a link.
    pub fn is_link(path: &str) -> bool {
        split(path).is_some()
    }

    /// The link that a path stands for, without its query. A slash at the end does not matter.
    pub fn open(&self, path: &str, now_s: u64) -> Result<Link, LinkRefusal> {
        let (mount, token) = split(path).ok_or(LinkRefusal::NotALink)?;
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| LinkRefusal::Malformed)?;
        let (payload, tag) =
            bytes.len().checked_sub(TAG_BYTES).map(|at| bytes.split_at(at)).ok_or(LinkRefusal::Malformed)?;
        if !same_secret(tag, &self.tag(mount, payload).as_ref()[..TAG_BYTES]) {
            return Err(LinkRefusal::WrongKey);
        }
        let link = decode_payload(mount, payload).ok_or(LinkRefusal::Malformed)?;
        if link.expires_s <= now_s { Err(LinkRefusal::Expired) } else { Ok(link) }
    }

    /// Covers the mount as servers understand it, since some hand it over percent-decoded.
    fn tag(&self, mount: &str, payload: &[u8]) -> hmac::Tag {
        let (mount, _) = percent_decode_bytes(mount.trim_end_matches('/'));
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&(mount.len() as u64).to_be_bytes());
        context.update(&mount);
        context.update(payload);
        context.sign()
    }
}

impl LinkRefusal {
    /// Every reason, in the order of the checks; for counters.
    pub const ALL: &'static [Self] = &[Self::NotALink, Self::Malformed, Self::WrongKey, Self::Expired];

    /// The stable name, such as `wrong-key`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotALink => "not-a-link",
            Self::Malformed => "malformed",
            Self::WrongKey => "wrong-key",
            Self::Expired => "expired",
        }
    }
}

/// The end of a sentence that says what is wrong with a link.
impl fmt::Display for LinkRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotALink => "is not a link",
            Self::Malformed => "is damaged",
            Self::WrongKey => "was signed with another key, or for another endpoint",
            Self::Expired => "has expired",
        })
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(..)")
    }
}

const PURPOSE: &str = "evstream next links 2";
const MIN_SECRET_BYTES: usize = 16;
const HOUR_S: u64 = 3600;
/// 128 of the 256 bits of the tag: more would only make every link longer.
const TAG_BYTES: usize = 16;

/// The second of expiry; the user's length plus one, or 0 for none; the user; then each channel with its length. After
/// these, where there are cursors, a channel without a name; the epoch; and a number for each channel.
fn encode(link: &Link) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    push_number(&mut out, link.expires_s);
    match &link.user {
        None => push_number(&mut out, 0),
        Some(user) => {
            push_number(&mut out, user.len() as u64 + 1);
            out.extend_from_slice(user.as_bytes());
        }
    }
    for channel in &link.channels {
        push_number(&mut out, channel.len() as u64);
        out.extend_from_slice(channel.as_bytes());
    }
    if let Some(Cursors { epoch, seqs }) = &link.cursors {
        push_number(&mut out, 0);
        push_number(&mut out, u64::from(epoch.0));
        for seq in seqs {
            push_number(&mut out, *seq);
        }
    }
    out
}

fn decode_payload(mount: &str, mut rest: &[u8]) -> Option<Link> {
    let expires_s = take_number(&mut rest)?;
    let user = match take_number(&mut rest)? {
        0 => None,
        len => Some(take_text(&mut rest, len - 1)?),
    };
    let mut channels: Vec<String> = Vec::new();
    let mut cursors = None;
    while !rest.is_empty() {
        match take_number(&mut rest)? {
            0 => {
                let epoch = Epoch(take_number(&mut rest)?.try_into().ok()?);
                let seqs = channels.iter().map(|_| take_number(&mut rest)).collect::<Option<_>>()?;
                cursors = rest.is_empty().then_some(Cursors { epoch, seqs });
                cursors.as_ref()?;
            }
            len => channels.push(take_text(&mut rest, len)?),
        }
    }
    Some(Link { mount: mount.to_owned(), channels, user, expires_s, cursors })
}

/// Seven bits to a byte, lowest first, the highest bit of each but the last set.
fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take_text(rest: &mut &[u8], len: u64) -> Option<String> {
    let (text, tail) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    *rest = tail;
    String::from_utf8(text.to_vec()).ok()
}

/// The mount and the token of a path whose last segment has the marker.
fn split(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let (mount, segment) = path.rsplit_once('/')?;
    Some((mount, segment.strip_prefix(LINK_MARKER)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    fn key() -> LinkKey {
        LinkKey::from_secret("a secret of some length").unwrap()
    }

    fn link(user: Option<&str>) -> Link {
        Link::new("/events/", ["room 1", "clock"], user, NOW_S, 3600)
    }

    #[test]
    fn two_users_never_share_a_path() {
        let paths =
            [link(None), link(Some("")), link(Some("alice")), link(Some("bob"))].map(|l| key().path(&l));
        for (i, a) in paths.iter().enumerate() {
            for b in &paths[i + 1..] {
                assert_ne!(a.split('?').next(), b.split('?').next());
            }
        }
    }

    #[test]
    fn equal_streams_share_a_path() {
        let path = key().path(&link(Some("alice")));
        let earlier_s = NOW_S - HOUR_S + 1;
        let same = Link::new("/events", ["clock", "room 1", "clock"], Some("alice"), earlier_s, HOUR_S);
        assert_eq!(key().path(&same), path);
        assert_eq!(key().open(&path, NOW_S).unwrap(), same);
    }

    #[test]
    fn the_form_of_a_path_is_kept() {
        // Links outlive a new version of the application, so a change of this text needs a new marker, or a new purpose of the key.
        let path = key().path(&link(Some("alice")));
        assert_eq!(path, "/events/evs1-kMCn2gYGYWxpY2UFY2xvY2sGcm9vbSAxOKVG_vxD1vq7mC0nLmI-ig");
    }

    #[test]
    fn a_path_is_short_and_plain() {
        let path = key().path(&Link::new("/events", ["messages"], None, NOW_S, 86_400));
        assert!(path.len() < 60, "{path}");
        let ten = (0..10).map(|i| format!("{i}{}", "x".repeat(255)));
        let longest = key().path(&Link::new("/events", ten, Some(&"u".repeat(256)), NOW_S, 86_400));
        assert!(longest.len() < 4000, "{} bytes do not fit into a request line of gunicorn", longest.len());
    }

    #[test]
    fn expiry_is_a_full_hour_and_enforced() {
        let link = link(None);
        assert_eq!(link.expires_s % HOUR_S, 0);
        assert!((3600..7200).contains(&(link.expires_s - NOW_S)));
        let path = key().path(&link);
        assert!(key().open(&path, link.expires_s - 1).is_ok());
        assert_eq!(key().open(&path, link.expires_s), Err(LinkRefusal::Expired));
        assert_eq!(Link::new("", ["c"], None, u64::MAX, u64::MAX).expires_s % HOUR_S, 0);
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let path = key().path(&link(None));
        for other in ["", "/", "/events/", "/events/evs2-AAAA", "evs1-AAAA", "/evs1-AAAA/x"] {
            assert_eq!(key().open(other, NOW_S), Err(LinkRefusal::NotALink), "{other}");
            assert!(!LinkKey::is_link(other), "{other}");
        }
        for other in ["/events/evs1-", "/events/evs1-AAAA", "/events/evs1-a*b", "/events/evs1-é"] {
            assert_eq!(key().open(other, NOW_S), Err(LinkRefusal::Malformed), "{other}");
        }
        let another = LinkKey::from_secret("another secret of some length").unwrap();
        assert_eq!(another.open(&path, NOW_S), Err(LinkRefusal::WrongKey));
        assert_eq!(LinkKey::random().unwrap().open(&path, NOW_S), Err(LinkRefusal::WrongKey));
        assert_eq!(key().open(&path.replace("/events", "/rooms"), NOW_S), Err(LinkRefusal::WrongKey));
        assert_eq!(key().open(&format!("/x{path}"), NOW_S), Err(LinkRefusal::WrongKey));
        assert!(key().open(&format!("{path}/"), NOW_S).is_ok());
    }

    #[test]
    fn every_byte_of_a_path_counts() {
        let path = key().path(&link(Some("alice")));
        for i in 0..path.len() {
            let mut bytes = path.clone().into_bytes();
            bytes[i] = if bytes[i] == b'A' { b'B' } else { b'A' };
            assert!(key().open(&String::from_utf8(bytes).unwrap(), NOW_S).is_err(), "byte {i}");
        }
    }

    #[test]
    fn a_mount_may_be_percent_encoded_or_decoded_on_the_way() {
        let path = key().path(&Link::new("/a,b;c d", ["c"], None, NOW_S, 60));
        assert!(path.starts_with("/a%2Cb%3Bc%20d/evs1-"), "{path}");
        assert!(key().open(&path, NOW_S).is_ok());
        assert!(key().open(&path.replace("%2C", ",").replace("%3B", ";").replace("%20", " "), NOW_S).is_ok());
    }

    #[test]
    fn keys_come_from_the_first_proxy_with_a_secret() {
        let proxy = |url: &str| Proxy::parse(url).unwrap();
        let path = |urls: &[&str]| {
            let proxies: Vec<Proxy> = urls.iter().map(|url| proxy(url)).collect();
            LinkKey::from_proxies(&proxies).map(|key| key.path(&link(None)))
        };
        assert_eq!(path(&["http://h", "http://h?verify-iss=x"]), None);
        let secrets =
            ["http://h?key=tok", "http://h?iss=i&key=tok", "http://u:tok@h", "http://h?verify-key=tok"];
        for url in secrets {
            assert!(path(&[url]).is_some(), "{url}");
            assert_eq!(path(&["http://h", url, "http://h?key=other"]), path(&[url]), "{url}");
            assert_ne!(path(&[url]), path(&["http://h?key=other"]), "{url}");
        }
        assert!(LinkKey::from_secret("too short").is_err());
        assert_eq!(format!("{:?}", key()), "LinkKey(..)");
    }

    proptest! {
        #[test]
        fn round_trip(
            mount in "(/[a-z%,;é .-]{0,8}){0,3}",
            channels in proptest::collection::vec("\\PC{1,20}", 0..4),
            user in proptest::option::of("\\PC{0,20}"),
            lifetime_s in 0..1u64 << 40,
            epoch: u32,
            seqs in proptest::option::of(proptest::collection::vec(0..1u64 << 48, 4)),
        ) {
            let mut link = Link::new(&mount, channels, user.as_deref(), NOW_S + 1, lifetime_s);
            link.cursors = seqs.map(|mut seqs| {
                seqs.truncate(link.channels.len());
                Cursors { epoch: Epoch(epoch), seqs }
            });
            let path = key().path(&link);
            let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~%/".contains(&b);
            prop_assert!(path.bytes().all(legal), "{}", path);
            let opened = key().open(&path, NOW_S).unwrap();
            prop_assert_eq!(&Link { mount: link.mount.clone(), ..opened }, &link);
        }

        #[test]
        fn never_panics(path: String, token in "[A-Za-z0-9_-]{0,40}", payload: Vec<u8>) {
            let _ = key().open(&path, NOW_S);
            let _ = key().open(&format!("/events/{LINK_MARKER}{token}"), NOW_S);
            let _ = decode_payload("", &payload);
        }
    }
}
