//! The settings of one GRIP proxy.

use std::fmt;

use ring::hmac;

use super::{
    auth::{Auth, Authorization},
    key::{Key, KeyKind},
    uri::{Uri, take_settings},
};
use crate::{
    error::{Error, ErrorKind, Result},
    wire::protocol::PUBLISH_PATH,
};

/// One GRIP proxy: where and how to publish to it, and how to know the requests that come through it.
///
/// `Debug` and `Display` show no secrets.
///
/// ```
/// use evstream::grip::Proxy;
/// let pushpin = Proxy::parse("http://localhost:5561/?verify-key=a-long-sig_key-of-pushpin")?;
/// assert_eq!(pushpin.publish_url(), "http://localhost:5561/publish/");
/// let fastly = Proxy::fastly("SU1Z0isxPaozGVKXdv0eY", "an-api-token")?;
/// assert_eq!(fastly.to_string(), "https://api.fastly.com/service/SU1Z0isxPaozGVKXdv0eY");
/// # Ok::<(), evstream::Error>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    control_uri: String, // without user, query and last slash: safe to show
    control_query: String,
    auth: Auth,
    verify_key: Option<Key>,
    verify_iss: Option<String>,
    trust_unverified: bool,
}

/// The settings of a [`Proxy`] one by one, under the names that GRIP libraries use. Empty texts count as absent.
#[derive(Clone, Copy, Default)]
pub struct ProxySettings<'a> {
    /// Base of the control API, such as `http://localhost:5561`; `/publish/` is appended. May hold `user:password@`.
    pub control_uri: &'a str,
    /// Issuer (`iss`) of the token with which publish requests are signed. Needs `key`.
    pub control_iss: Option<&'a str>,
    /// With `control_iss` the [`Key`] that signs, in any of its forms; otherwise a bearer token, taken literally.
    pub key: Option<&'a str>,
    /// User for basic authorization. Not used when there is a `key`.
    pub user: Option<&'a str>,
    /// Password for basic authorization.
    pub password: Option<&'a str>,
    /// Issuer (`iss`) that signatures of requests must name. Default: any.
    pub verify_iss: Option<&'a str>,
    /// The [`Key`] that verifies signatures of requests. Default: `key`, if that is a shared secret that signs.
    pub verify_key: Option<&'a str>,
    /// Believes requests with any `Grip-Sig` when there is no key to verify it. Default: false.
    ///
    /// Anybody who can reach the application directly can then get responses that are meant for a proxy.
    pub trust_unverified: bool,
}

impl Proxy {
    /// Reads a `GRIP_URL`, such as `https://api.example.com/realm/x?iss=x&key=base64:...`.
    ///
    /// The parameters `iss`, `key`, `verify-iss` and `verify-key` are those of [`ProxySettings`] (`iss` is
    /// `control_iss`); other parameters stay in the URL. Values are percent-encoded. One URL names one proxy.
    ///
    /// `https://api.fastly.com/service/SERVICE_ID?key=API_TOKEN` is all that a service of Fastly Fanout needs: the key and
    /// the issuer of its signatures are known. Fails with `invalid-config`.
    pub fn parse(grip_url: &str) -> Result<Self> {
        Self::parse_with_verify_key(grip_url, None)
    }

    /// Reads a `GRIP_URL`, with a `verify-key` given apart, as in the environment variable `GRIP_VERIFY_KEY`.
    ///
    /// It counts instead of the one in the URL, unless it is empty.
    pub fn parse_with_verify_key(grip_url: &str, verify_key: Option<&str>) -> Result<Self> {
        let uri = Uri::parse(grip_url)?;
        let ([iss, key, verify_iss, url_verify_key], query) =
            take_settings(uri.query, ["iss", "key", "verify-iss", "verify-key"])?;
        let verify_key = verify_key.filter(|key| !key.trim().is_empty());
        let settings = ProxySettings {
            control_iss: iss.as_deref(),
            key: key.as_deref(),
            verify_iss: verify_iss.as_deref(),
            verify_key: verify_key.or(url_verify_key.as_deref()),
            ..ProxySettings::default()
        };
        Self::build(&uri, query, &settings)
    }

    /// A proxy from its settings one by one. Fails with `invalid-config`.
    pub fn new(settings: &ProxySettings<'_>) -> Result<Self> {
        let uri = Uri::parse(settings.control_uri)?;
        let query = take_settings(uri.query, [])?.1;
        Self::build(&uri, query, settings)
    }

    /// A service of Fastly Fanout. The API token needs the scope `global` for the service.
    pub fn fastly(service_id: &str, api_token: &str) -> Result<Self> {
        check_name("service id", service_id)?;
        Self::new(&ProxySettings {
            control_uri: &format!("{FASTLY_SERVICES}{service_id}"),
            key: Some(non_empty("API token", api_token)?),
            ..ProxySettings::default()
        })
    }

    /// A realm of Fanout Cloud, with its key in base64, as its control panel shows it.
    pub fn fanout_cloud(realm: &str, key_base64: &str) -> Result<Self> {
        check_name("realm", realm)?;
        let key = non_empty("realm key", key_base64)?;
        Self::new(&ProxySettings {
            control_uri: &format!("https://api.fanout.io/realm/{realm}"),
            control_iss: Some(realm),
            key: Some(&format!("base64:{}", key.strip_prefix("base64:").unwrap_or(key))),
            ..ProxySettings::default()
        })
    }

    /// The same proxy, whose requests are believed without a check where no key can verify them, or not.
    pub fn trust_unverified(self, trust_unverified: bool) -> Self {
        Self { trust_unverified, ..self }
    }

    /// Where to POST items. Its query, if the settings gave one, may be secret.
    pub fn publish_url(&self) -> String {
        let mark = if self.control_query.is_empty() { "" } else { "?" };
        [&*self.control_uri, PUBLISH_PATH, mark, &*self.control_query].concat()
    }

    /// How publish requests are authorized.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// The `Authorization` of publish requests; `None` for no header at all.
    pub fn authorization(&self, now_s: u64) -> Result<Option<Authorization>> {
        self.auth.header(now_s)
    }

    /// The key that verifies signatures of requests.
    pub fn verify_key(&self) -> Option<&Key> {
        self.verify_key.as_ref().or_else(|| self.auth.shared_key())
    }

    /// The issuer that signatures of requests must name.
    pub fn verify_iss(&self) -> Option<&str> {
        self.verify_iss.as_deref()
    }

    /// Whether any `Grip-Sig` is believed when there is no key to verify it.
    pub fn trusts_unverified(&self) -> bool {
        self.trust_unverified && self.verify_key().is_none()
    }

    /// What an operator should know about these settings, as sentences for the log, without secrets.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        match self.verify_key() {
            Some(key) => {
                let weak = key.weakness().map(|why| format!("the verify key of {self} is weak: {why}"));
                warnings.extend(weak);
            }
            None if self.trust_unverified => warnings.push(format!(
                "requests are believed to come through {self} without a check; set a verify key"
            )),
            None => warnings.push(format!(
                "requests that come through {self} cannot be told from forged ones, so streams are not handed over to \
                 it; set a verify key (the sig_key of Pushpin)"
            )),
        }
        warnings
    }

    /// A key for another purpose, the same for the same settings and `purpose`; `None` if they hold no secret.
    pub(super) fn derive(&self, purpose: &str) -> Option<hmac::Key> {
        self.auth
            .derive(purpose)
            .or_else(|| self.verify_key.as_ref().filter(|key| key.kind() == KeyKind::Secret)?.derive(purpose))
    }

    fn build(uri: &Uri<'_>, control_query: String, settings: &ProxySettings<'_>) -> Result<Self> {
        let uri_user = uri.user.as_ref().map(|(user, password)| (&**user, &**password));
        let user =
            present(settings.user).map(|user| (user, settings.password.unwrap_or_default())).or(uri_user);
        let auth = match (present(settings.control_iss), present(settings.key)) {
            (Some(iss), Some(key)) => {
                Auth::jwt(iss, Key::parse_signing(key).map_err(|e| in_setting("key", &e))?)
            }
            (None, Some(token)) => Auth::bearer(token).map_err(|e| in_setting("key", &e))?,
            (Some(_), None) => {
                let text = "the issuer ('iss') of a GRIP proxy is of no use without a 'key' to sign with";
                return Err(Error::new(ErrorKind::InvalidConfig, text));
            }
            (None, None) => match user {
                Some((user, password)) => Auth::basic(user, password)?,
                None => Auth::none(),
            },
        };
        let control_uri = format!("{}{}", uri.origin, uri.path.strip_suffix('/').unwrap_or(uri.path));
        let fastly_service = control_uri.strip_prefix(FASTLY_SERVICES);
        let verify_key = present(settings.verify_key)
            .or_else(|| fastly_service.map(|_| FASTLY_PUBLIC_KEY))
            .map(Key::parse)
            .transpose()
            .map_err(|e| in_setting("verify-key", &e))?;
        let of_service = || fastly_service.map(|service_id| format!("fastly:{service_id}"));
        let verify_iss = present(settings.verify_iss).map(str::to_owned).or_else(of_service);
        if verify_iss.is_none() && verify_key.as_ref().is_some_and(is_of_fastly) {
            let text = "the verify key is that of Fastly Fanout, which signs for all its customers; set the issuer \
                        ('verify-iss') to fastly:SERVICE_ID";
            return Err(Error::new(ErrorKind::InvalidConfig, text));
        }
        Ok(Self {
            control_uri,
            control_query,
            auth,
            verify_key,
            verify_iss,
            trust_unverified: settings.trust_unverified,
        })
    }
}

/// The control URI, without user and query.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.control_uri)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("control_uri", &self.control_uri)
            .field("auth", &self.auth)
            .field("verify_key", &self.verify_key)
            .field("verify_iss", &self.verify_iss)
            .field("trust_unverified", &self.trust_unverified)
            .finish_non_exhaustive()
    }
}

/// Shows only what cannot be secret.
impl fmt::Debug for ProxySettings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxySettings")
            .field("control_iss", &self.control_iss)
            .field("verify_iss", &self.verify_iss)
            .field("trust_unverified", &self.trust_unverified)
            .finish_non_exhaustive()
    }
}

/// The public key of Fastly Fanout, the same for every service (published in Fastly's documentation).
const FASTLY_PUBLIC_KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"CKo5A1ebyFcnmVV8SE5On-8G81JyBjSvcrx4VLetWCg","y":"7gwJqaU6N8TP88--twjkwoB36f-pT3QsmI46nPhjO7M"}"#;

/// What the control URI of a service begins with, before its id.
const FASTLY_SERVICES: &str = "https://api.fastly.com/service/";

fn is_of_fastly(key: &Key) -> bool {
    Key::parse(FASTLY_PUBLIC_KEY).is_ok_and(|fastly| key.is_same_public(&fastly))
}

fn present(value: Option<&str>) -> Option<&str> {
    value.filter(|value| !value.is_empty())
}

fn non_empty<'a>(name: &str, value: &'a str) -> Result<&'a str> {
    present(Some(value.trim()))
        .ok_or_else(|| Error::new(ErrorKind::InvalidConfig, format!("the {name} must not be empty")))
}

/// What becomes a part of a path. The text is not quoted: a secret may have been given in its place.
fn check_name(name: &str, value: &str) -> Result<()> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Ok(());
    }
    let text = format!("the {name} may hold letters, digits, '-' and '_', and must not be empty");
    Err(Error::new(ErrorKind::InvalidConfig, text))
}

fn in_setting(name: &str, error: &Error) -> Error {
    Error::new(error.kind(), format!("'{name}' of a GRIP proxy: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    #[test]
    fn fastly() {
        let proxy = Proxy::fastly("abc123", " token\n").unwrap();
        assert_eq!(proxy.publish_url(), "https://api.fastly.com/service/abc123/publish/");
        assert_eq!(proxy.authorization(NOW_S).unwrap().unwrap().value(), "Bearer token");
        assert_eq!(proxy.verify_iss(), Some("fastly:abc123"));
        assert_eq!(proxy.verify_key().map(Key::kind), Some(KeyKind::EcPublic));
        assert!(proxy.warnings().is_empty());
        for (service_id, token) in [("", "t"), ("a/b", "t"), ("a", ""), ("a", " "), ("a", "x y")] {
            assert!(Proxy::fastly(service_id, token).is_err(), "{service_id:?} {token:?}");
        }
    }

    #[test]
    fn fastly_is_known_by_its_address() {
        for url in [
            "https://api.fastly.com/service/abc123?key=token",
            "HTTPS://API.fastly.com/service/abc123/?key=token",
        ] {
            let proxy = Proxy::parse(url).unwrap();
            assert_eq!(
                format!("{proxy:?}"),
                format!("{:?}", Proxy::fastly("abc123", "token").unwrap()),
                "{url}"
            );
        }
        let other = "https://api.fastly.com/service/a?key=t&verify-key=a-key-of-some-length&verify-iss=i";
        let other = Proxy::parse(other).unwrap();
        assert_eq!(
            (other.verify_iss(), other.verify_key().map(Key::kind)),
            (Some("i"), Some(KeyKind::Secret))
        );
        // Elsewhere its key says nothing of whose service it is.
        let settings = ProxySettings {
            control_uri: "https://relay.example",
            verify_key: Some(FASTLY_PUBLIC_KEY),
            ..ProxySettings::default()
        };
        assert!(Proxy::new(&settings).unwrap_err().to_string().contains("fastly:SERVICE_ID"));
        assert!(Proxy::new(&ProxySettings { verify_iss: Some("fastly:abc"), ..settings }).is_ok());
    }

    #[test]
    fn fanout_cloud() {
        for key in ["AAECAwQFBgcICQoLDA0ODw==", "base64:AAECAwQFBgcICQoLDA0ODw"] {
            let proxy = Proxy::fanout_cloud("realm", key).unwrap();
            assert_eq!(proxy.publish_url(), "https://api.fanout.io/realm/realm/publish/");
            assert_eq!(proxy.verify_key().map(Key::kind), Some(KeyKind::Secret));
            let header = proxy.authorization(NOW_S).unwrap().unwrap();
            assert_eq!(proxy.auth().check(Some(header.value()), NOW_S), Ok(()));
        }
        assert!(Proxy::fanout_cloud("realm", "not base64!").is_err());
    }

    #[test]
    fn settings_give_what_the_url_gives() {
        let url =
            Proxy::parse("http://h:1/b/?iss=i&key=k-of-some-length&verify-key=v&verify-iss=w&x=y").unwrap();
        let settings = Proxy::new(&ProxySettings {
            control_uri: "http://h:1/b/?x=y",
            control_iss: Some("i"),
            key: Some("k-of-some-length"),
            user: Some("unused"),
            password: Some(""),
            verify_key: Some("v"),
            verify_iss: Some("w"),
            trust_unverified: false,
        })
        .unwrap();
        assert_eq!(format!("{url:?}"), format!("{settings:?}"));
        assert_eq!(url.publish_url(), settings.publish_url());
        let [a, b] = [&url, &settings].map(|p| p.authorization(NOW_S).unwrap().unwrap().value().to_owned());
        assert_eq!(a, b);

        let uri = ProxySettings { control_uri: "http://u:p@h?key=stays", ..ProxySettings::default() };
        let proxy = Proxy::new(&uri).unwrap();
        assert_eq!(proxy.publish_url(), "http://h/publish/?key=stays");
        assert_eq!(proxy.authorization(NOW_S).unwrap().unwrap().value(), "Basic dTpw");
        let other = ProxySettings { user: Some("v"), password: Some("q"), ..uri };
        assert_eq!(Proxy::new(&other).unwrap().authorization(NOW_S).unwrap().unwrap().value(), "Basic djpx");
    }

    #[test]
    fn warnings() {
        let warnings = |url: &str| Proxy::parse(url).unwrap().warnings().join("\n");
        assert!(warnings("http://h").contains("set a verify key"));
        assert!(warnings("http://h?verify-key=changeme").contains("default of Pushpin"));
        assert_eq!(warnings("http://h?verify-key=a-key-of-some-length"), "");
        let trusting = Proxy::parse("http://h").unwrap().trust_unverified(true);
        assert!(trusting.trusts_unverified() && trusting.warnings()[0].contains("without a check"));
        let with_key =
            Proxy::parse("http://h?verify-key=a-key-of-some-length").unwrap().trust_unverified(true);
        assert!(!with_key.trusts_unverified() && with_key.warnings().is_empty());
    }

    #[test]
    fn nothing_shows_a_secret() {
        let urls = [
            "http://geheim:geheim@h/p?iss=i&key=geheim-geheim-geheim&verify-key=geheim&x=geheim",
            "http://geheim:geheim@h/p?key=geheim&verify-key=base64:geheim",
            "http://geheim:geheim@h/p",
        ];
        for url in urls {
            let proxy = Proxy::parse(url).unwrap();
            let header = proxy.authorization(NOW_S).unwrap().unwrap();
            let shown =
                format!("{proxy} {proxy:?} {proxy:#?} {:?} {header:?} {:?}", proxy.auth(), proxy.warnings());
            assert!(shown.contains("http://h/p"), "{shown}");
            assert!(!shown.contains("geheim") && !shown.contains(header.value()), "{shown}");
        }
        let settings = ProxySettings {
            control_uri: "http://geheim@h",
            control_iss: Some("i"),
            key: Some("geheim"),
            user: Some("geheim"),
            password: Some("geheim"),
            verify_key: Some("geheim"),
            ..ProxySettings::default()
        };
        assert!(!format!("{settings:?} {settings:#?}").contains("geheim"));
    }

    proptest! {
        #[test]
        fn never_panics_nor_shows_a_secret(
            url in "(http://|https://|x://)?([a-z:.@%]{0,8}geheim[a-z:.@%]{0,8}@)?[a-z0-9:.\\[\\]é]{0,12}(/[a-z%é]{0,5}){0,2}\
                    (\\?((key|iss|verify-key|verify-iss|x)=[a-z%+é:]{0,6}&){0,4}(key|verify-key)=[a-z%é]{0,4}geheim)?(#x)?",
        ) {
            let shown = match Proxy::parse(&url) {
                Ok(proxy) => format!("{proxy} {proxy:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            prop_assert!(!shown.contains("geheim"), "{}", shown);
        }

        #[test]
        fn never_panics(url: String) {
            let _ = Proxy::parse(&url);
        }

        #[test]
        fn percent_encoded_settings_arrive(iss in "[^\u{0}]{1,12}", token in "[!-~]{1,12}", iss2 in "\\PC{1,9}") {
            let encode = |text: &str| {
                let mut out = String::new();
                crate::grip::channel::percent_encode(&mut out, text, |b| b.is_ascii_alphanumeric());
                out
            };
            let url = format!("http://h?verify-iss={}&key={}", encode(&iss2), encode(&token));
            let proxy = Proxy::parse(&url).unwrap();
            prop_assert_eq!(proxy.verify_iss(), Some(&*iss2));
            let header = proxy.authorization(NOW_S).unwrap().unwrap();
            prop_assert_eq!(header.value(), format!("Bearer {token}"));
            let url = format!("http://h?iss={}&key={}", encode(&iss), encode("a secret"));
            prop_assert!(Proxy::parse(&url).is_ok());
        }
    }
}
