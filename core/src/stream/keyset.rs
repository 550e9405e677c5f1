//! Keys that are not given but fetched: a set of JSON Web Keys (RFC 7517 section 5) at an address, as far as it is known.
//!
//! Fetching is for a higher floor, which is told when a key is wanted that is not there.

use std::{
    net::IpAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use jsonwebtoken::decode_header;
use serde::de::DeserializeOwned;

use crate::{
    error::{Error, ErrorKind, Result},
    fork::{Own, Process},
    grip::{NamedKey, Refusal, claims, origin_of, set_of_keys},
    sync::{Mutex, lock},
};

/// The keys at an address. Shared by all who verify with them.
pub(crate) struct KeySet {
    url: Box<str>,
    keys: Mutex<Option<Arc<[NamedKey]>>>,
    /// A token names a key that is not there.
    wanted: AtomicBool,
    /// Nobody's but of the process that fetches: of a parent nothing is left to be woken.
    fetcher: Mutex<Option<Own<Waker>>>,
    fetching: Mutex<Option<(Process, Weak<()>)>>,
}

/// Why a token is not good.
pub(super) enum Unverified {
    /// Nothing is known of the keys yet.
    NoKeys,
    Refused(Refusal),
}

impl KeySet {
    /// The set at an address. Fails with `invalid-config` unless it begins with `https://`, or is on this machine: whoever
    /// changes the answer on its way signs tokens as he likes.
    pub(super) fn at(url: &str) -> Result<Arc<Self>> {
        let refuse = |why: &str| {
            let text = format!("the address of a set of keys {why}");
            Err(Error::new(ErrorKind::InvalidConfig, text))
        };
        let url = url.trim();
        let origin = match origin_of(url) {
            Ok(Some(origin)) => origin,
            Ok(None) => return refuse("must not have a user or password, which a log could show"),
            Err(_) => return refuse("is not one such as https://login.example.com/.well-known/jwks.json"),
        };
        if !origin.starts_with("https://") && !is_of_this_machine(&origin) {
            return refuse("must begin with https://, but for a loopback address");
        }
        Ok(Arc::new(Self {
            url: url.into(),
            keys: Mutex::default(),
            wanted: AtomicBool::new(false),
            fetcher: Mutex::default(),
            fetching: Mutex::default(),
        }))
    }

    /// What a token says that is signed with one of the keys.
    pub(super) fn claims<C: DeserializeOwned>(&self, token: &str) -> Result<C, Unverified> {
        let name = decode_header(token).map_err(|_| Unverified::Refused(Refusal::Malformed))?.kid;
        let keys = lock(&self.keys).clone();
        let Some(keys) = keys else {
            self.want();
            return Err(Unverified::NoKeys);
        };
        if name.is_some() && keys.iter().all(|key| key.name != name) {
            self.want();
        }
        // Those of its name first, and then each that may be meant: but not so many that a token of nobody costs much.
        let (named, others): (Vec<_>, Vec<_>) = keys.iter().partition(|key| key.name == name);
        let may_be = |key: &&NamedKey| name.is_none() || key.name.is_none();
        let mut refusal = Refusal::WrongKey;
        for NamedKey { key, .. } in named.into_iter().chain(others.into_iter().filter(may_be)).take(MAX_TRIED)
        {
            match claims(key, token) {
                Ok(claims) => return Ok(claims),
                Err(other) => refusal = refusal.max(other),
            }
        }
        Err(Unverified::Refused(refusal))
    }

    fn want(&self) {
        self.wanted.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if let Some(fetcher) = lock(&self.fetcher).take()
            && fetcher.process().is_current()
        {
            fetcher.wake_by_ref();
        }
    }
}

impl Drop for KeySet {
    /// Whoever fetches for nobody is to end.
    fn drop(&mut self) {
        self.wake();
    }
}

/// For whoever fetches.
impl KeySet {
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether the caller is to fetch, for as long as it holds what is given back: nobody else does in this process.
    pub(crate) fn claim(&self) -> Option<Arc<()>> {
        let mut fetching = lock(&self.fetching);
        if fetching.as_ref().is_some_and(|(process, held)| process.is_current() && held.strong_count() > 0) {
            return None;
        }
        let held = Arc::new(());
        *fetching = Some((Process::current(), Arc::downgrade(&held)));
        Some(held)
    }

    /// Takes what the address has answered; says how many keys there are. What was known stays when it makes no sense.
    pub(crate) fn learn(&self, answer: &[u8]) -> Result<usize> {
        let keys = set_of_keys(answer)?;
        let count = keys.len();
        *lock(&self.keys) = Some(keys.into());
        Ok(count)
    }

    /// Waits until a key is wanted that is not there.
    pub(crate) fn poll_wanted(&self, context: &mut Context<'_>) -> Poll<()> {
        *lock(&self.fetcher) = Some(Own::new(context.waker().clone()));
        if self.wanted.swap(false, Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySet").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Of an origin such as `http://127.0.0.1:8000`.
fn is_of_this_machine(origin: &str) -> bool {
    let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// A token without a `kid` is tried with so many.
const MAX_TRIED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in [
            "https://login.example.com/.well-known/jwks.json",
            "https://login.example.com",
            " https://[2001:db8::1]:8443/keys?tenant=a ",
            "HTTPS://login.example.com/",
            "http://127.0.0.1:8000/keys",
            "http://127.1.2.3/",
            "http://[::1]:8000/",
            "http://localhost/keys",
        ] {
            assert!(KeySet::at(good).is_ok(), "{good}");
        }
        for bad in [
            "http://login.example.com/keys",
            "http://localhost.example.com/",
            "http://127.0.0.1.example.com/",
            "http://[2001:db8::1]/",
            "https://user:password@login.example.com/",
            "http://127.0.0.1@evil.example.com/",
            "ftp://127.0.0.1/",
            "https://",
            "https:///keys",
            "https://a b/",
            "keys.json",
            "",
        ] {
            let error = KeySet::at(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{bad}");
            assert!(!error.to_string().contains("password@"), "{error}");
        }
    }

    #[test]
    fn one_fetches() {
        let set = KeySet::at("https://a/").unwrap();
        let held = set.claim().unwrap();
        assert!(set.claim().is_none());
        drop(held);
        assert!(set.claim().is_some());
    }
}
