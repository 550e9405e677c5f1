//! Publishing over HTTPS. Which authorities a process trusts is settled by its environment, so each test publishes from a
//! process of its own.
#![cfg(feature = "runtime")]

mod common;

use std::{fs, path::PathBuf, process::Command, sync::Arc};

use common::{PATIENCE, Relay};
use evstream::{
    Config, Event, Events,
    grip::{Auth, Key},
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};

#[test]
fn fastly_is_published_to_over_tls() {
    let authority = Authority::new();
    let fake = authority.relay(Certificate::good());
    let [result] = publish(&authority, &format!("{}/service/SID?key=an-api-token", fake.url()), ["hi"]);
    assert_eq!(result, "ok");
    let seen = &fake.seen()[0];
    assert_eq!((&*seen.method, &*seen.target), ("POST", "/service/SID/publish/"));
    assert_eq!(seen.header("authorization"), Some("Bearer an-api-token"));
    assert_eq!(seen.header("host"), Some(&*fake.address.to_string()));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert!(seen.header("user-agent").is_some_and(|agent| agent.starts_with("evstream/")));
    assert!(seen.body.contains(r#""channel":"events-a""#) && seen.body.contains("data: hi"), "{}", seen.body);
}

#[test]
fn fanout_cloud_is_published_to_over_tls() {
    let authority = Authority::new();
    let fake = authority.relay(Certificate::good());
    let url = format!("{}/realm/me?iss=me&key=base64:AAECAwQFBgcICQoLDA0ODw==", fake.url());
    assert_eq!(publish(&authority, &url, ["1", "2"]), ["ok", "ok"]);
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let auth = Auth::jwt("me", Key::parse("base64:AAECAwQFBgcICQoLDA0ODw==").unwrap());
    for seen in fake.seen() {
        assert_eq!(seen.target, "/realm/me/publish/");
        assert_eq!(auth.check(seen.header("authorization"), now_s), Ok(()));
    }
}

#[test]
fn a_certificate_that_proves_nothing_gets_nothing_and_the_error_says_why() {
    let trusted = Authority::new();
    for (issuer, certificate, expected) in [
        (
            &Authority::new(),
            Certificate::good(),
            "the issuer of its TLS certificate is not trusted; the file that SSL_CERT_FILE names",
        ),
        (&trusted, Certificate { host: "example.com", ..Certificate::good() }, "not valid for name"),
        (&trusted, Certificate { is_expired: true, ..Certificate::good() }, "expired"),
    ] {
        let fake = issuer.relay(certificate);
        let [result] = publish(&trusted, &format!("{}/?key=geheim", fake.url()), ["secret words"]);
        let begin = format!("proxy-unavailable: {}", fake.url());
        assert!(result.starts_with(&begin), "{result}");
        assert!(result.contains(expected) && result.contains("grip_deadline_ms"), "{result}");
        assert!(!result.contains("geheim"), "{result}");
        assert!(fake.seen().is_empty(), "neither the key nor the event may be sent");
    }
}

#[test]
fn without_any_authority_the_error_says_what_is_missing() {
    let mut nobody = Authority::new();
    nobody.file = PathBuf::from("/dev/null");
    let [result] = publish(&nobody, "https://127.0.0.1:1/", ["x"]);
    let expected = "io: TLS certificates cannot be verified: unexpected error: No CA certificates";
    assert!(result.starts_with(expected), "{result}");
}

/// Publishes to `a` in a process that trusts `authority` alone; what became of each event.
fn publish<const N: usize>(authority: &Authority, url: &str, data: [&str; N]) -> [String; N] {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "publishing_process", "--nocapture"])
        .env("SSL_CERT_FILE", &authority.file)
        .env("SSL_CERT_DIR", "/nonexistent")
        .env(URL, url)
        .env(DATA, data.join("\n"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let results: Vec<_> = text.lines().filter_map(|l| l.strip_prefix(RESULT)).map(str::to_owned).collect();
    results.try_into().unwrap_or_else(|_| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
#[ignore = "the other tests start it, with its environment"]
fn publishing_process() {
    let (url, data) = (std::env::var(URL).unwrap(), std::env::var(DATA).unwrap());
    let events = Events::new(Config::new().grip(vec![url.into()]).grip_deadline_ms(300)).unwrap();
    for data in data.lines() {
        let published = events.publish("a", Event::text(data)).and_then(|receipt| {
            let mut results = receipt.wait(PATIENCE)?;
            results.remove(0).result
        });
        let text = published.map_or_else(|error| format!("{}: {error}", error.code()), |()| "ok".to_owned());
        println!("\n{RESULT}{text}");
    }
}

const URL: &str = "EVSTREAM_TEST_URL";
const DATA: &str = "EVSTREAM_TEST_DATA";
const RESULT: &str = "result: ";

/// Issues certificates for servers; who reads its file trusts them.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

/// What a server says that it is.
struct Certificate {
    host: &'static str,
    is_expired: bool,
}

impl Certificate {
    fn good() -> Self {
        Self { host: "127.0.0.1", is_expired: false }
    }
}

impl Authority {
    fn new() -> Self {
        let id = fastrand::u64(..);
        let mut parameters = CertificateParams::new([]).unwrap();
        // Authorities are found by their names.
        parameters.distinguished_name.push(DnType::CommonName, format!("authority {id}"));
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let name = format!("authority-{id:x}.pem");
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&file, certificate.pem()).unwrap();
        Self { issuer: Issuer::new(parameters, key), file }
    }

    /// A server with a certificate of this authority.
    fn relay(&self, Certificate { host, is_expired }: Certificate) -> Relay {
        let mut parameters = CertificateParams::new([host.to_owned()]).unwrap();
        if is_expired {
            (parameters.not_before, parameters.not_after) =
                (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 2, 1));
        }
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Relay::accepting_tls(config)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        if self.file.starts_with(env!("CARGO_TARGET_TMPDIR")) {
            let _ = fs::remove_file(&self.file);
        }
    }
}
