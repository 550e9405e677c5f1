//! Whether a request came through a configured proxy.

use super::{
    jwt::{self, Refusal},
    proxy::Proxy,
};

/// What the `Grip-Sig` of a request says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// There is none, or no proxy is configured: answer the request directly.
    NotProxied,
    /// It is that of the proxy with this index: answer with a hold.
    Proxied(usize),
    /// None of the proxies has a key to verify it with: answer directly, as a hold might go to anybody. See
    /// [`Proxy::warnings`].
    Unverifiable,
    /// It is not the signature of any of the proxies: refuse the request and count the reason.
    Refused(Refusal),
}

/// Judges the `Grip-Sig` header of a request; `None` and empty mean that the request has none.
///
/// A signature must be made with the key of a proxy, by its algorithm, name its issuer if one is required, and not
/// have expired (with a leeway of 5 s). A proxy without a key is believed only with `trust_unverified`. Of several
/// reasons to refuse, that of the proxy that came nearest counts.
pub fn verify_request(proxies: &[Proxy], grip_sig: Option<&str>, now_s: u64) -> Verdict {
    let Some(token) = grip_sig.map(str::trim).filter(|token| !token.is_empty() && !proxies.is_empty()) else {
        return Verdict::NotProxied;
    };
    let mut refusal = None;
    for (i, proxy) in proxies.iter().enumerate() {
        if let Some(key) = proxy.verify_key() {
            match jwt::verify(key, proxy.verify_iss(), token, now_s) {
                Ok(()) => return Verdict::Proxied(i),
                Err(reason) => refusal = refusal.max(Some(reason)),
            }
        }
    }
    if let Some(i) = proxies.iter().position(Proxy::trusts_unverified) {
        return Verdict::Proxied(i);
    }
    refusal.map_or(Verdict::Unverifiable, Verdict::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grip::{Key, ProxySettings};

    const NOW_S: u64 = 1_800_000_000;

    fn proxies(urls: &[&str]) -> Vec<Proxy> {
        urls.iter().map(|url| Proxy::parse(url).unwrap()).collect()
    }

    fn trusting() -> Proxy {
        let settings =
            ProxySettings { control_uri: "http://h", trust_unverified: true, ..Default::default() };
        Proxy::new(&settings).unwrap()
    }

    fn token(secret: &str, iss: &str, expires_s: u64) -> String {
        jwt::sign(&Key::parse(secret).unwrap(), iss, expires_s).unwrap()
    }

    #[test]
    fn the_proxy_that_signed_is_found() {
        let proxies =
            proxies(&["http://h?verify-key=first", "http://h?key=token", "http://h?verify-key=third"]);
        let judge = |secret| verify_request(&proxies, Some(&token(secret, "i", NOW_S + 60)), NOW_S);
        assert_eq!(judge("first"), Verdict::Proxied(0));
        assert_eq!(judge("third"), Verdict::Proxied(2));
        assert_eq!(judge("token"), Verdict::Refused(Refusal::WrongKey), "a bearer token is no verify key");
        assert_eq!(verify_request(&proxies, None, NOW_S), Verdict::NotProxied);
        assert_eq!(verify_request(&[], Some("x"), NOW_S), Verdict::NotProxied);
    }

    #[test]
    fn the_nearest_refusal_counts() {
        let proxies = proxies(&[
            "http://h?verify-key=a",
            "http://h?verify-key=b&verify-iss=i",
            "http://h?verify-key=c",
        ]);
        let judge = |token: &str| verify_request(&proxies, Some(token), NOW_S);
        assert_eq!(judge(&token("b", "j", NOW_S + 60)), Verdict::Refused(Refusal::WrongIssuer));
        assert_eq!(judge(&token("a", "j", NOW_S - 60)), Verdict::Refused(Refusal::Expired));
        assert_eq!(judge("x"), Verdict::Refused(Refusal::Malformed));
    }

    #[test]
    fn a_shared_key_verifies_too_unless_there_is_another() {
        let token = token("shared", "i", NOW_S + 60);
        let judge = |url| verify_request(&proxies(&[url]), Some(&token), NOW_S);
        assert_eq!(judge("http://h?iss=x&key=shared"), Verdict::Proxied(0));
        assert_eq!(judge("http://h?iss=x&key=shared&verify-key=k"), Verdict::Refused(Refusal::WrongKey));
    }

    #[test]
    fn without_a_key_only_explicit_trust_believes() {
        assert_eq!(verify_request(&proxies(&["http://h"]), Some("anything"), NOW_S), Verdict::Unverifiable);
        let mut list = proxies(&["http://h?verify-key=k"]);
        list.push(trusting());
        assert_eq!(verify_request(&list, Some("anything"), NOW_S), Verdict::Proxied(1));
        assert_eq!(verify_request(&list, Some(&token("k", "i", NOW_S + 60)), NOW_S), Verdict::Proxied(0));
        assert_eq!(verify_request(&list, Some(" "), NOW_S), Verdict::NotProxied);
    }
}
