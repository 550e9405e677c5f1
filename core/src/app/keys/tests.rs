//! An issuer of tokens that fails in all the ways there are.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::Mutex,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};

use super::*;
use crate::{
    Config,
    stream::{Hub, Now},
    sync::lock,
    wire::Epoch,
};

const PATIENCE: Duration = Duration::from_secs(60);
const QUICK: Pace = Pace {
    every: Duration::from_millis(20),
    at_most_every: Duration::from_millis(10),
    at_least_every: Duration::from_millis(20),
    first_pause: Duration::from_millis(2),
    within: PATIENCE,
};

/// A key of the issuer.
struct Signer {
    kid: &'static str,
    pair: EcdsaKeyPair,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        Self { kid, pair }
    }

    fn jwk(&self) -> String {
        let point = self.pair.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|part| URL_SAFE_NO_PAD.encode(part));
        format!(
            r#"{{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"{}","x":"{x}","y":"{y}"}}"#,
            self.kid
        )
    }

    fn token(&self, header: &str) -> String {
        let claims = r#"{"exp":4102444800,"sub":"bob","evstream":{"channels":["a"]}}"#;
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn named(&self) -> String {
        self.token(&format!(r#"{{"alg":"ES256","kid":"{}"}}"#, self.kid))
    }
}

/// Answers every request with what is set.
struct Issuer {
    url: String,
    answer: Arc<Mutex<String>>,
    requests: Arc<Mutex<usize>>,
}

impl Issuer {
    fn start(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let (answer, requests) = (Arc::new(Mutex::new(answer)), Arc::new(Mutex::new(0)));
        let (own, count) = (answer.clone(), requests.clone());
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let mut lines = BufReader::new(&connection).lines();
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let answer = lock(&own).clone();
                *lock(&count) += 1;
                let _ = (&connection).write_all(answer.as_bytes());
            }
        });
        Self { url, answer, requests }
    }

    /// Answers so from now on, and has been asked since.
    async fn answers(&self, answer: String) {
        *lock(&self.answer) = answer;
        // One may be under way.
        let asked = *lock(&self.requests) + 2;
        until(|| *lock(&self.requests) >= asked).await;
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn set(keys: &[String]) -> String {
    ok(&format!(r#"{{"keys":[{}]}}"#, keys.join(",")))
}

async fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

/// Whether a token is accepted; `None` while nothing is known of the keys.
fn accepts(hub: &Hub, jwt: &Jwt, token: &str) -> Option<bool> {
    let authorization = format!("Bearer {token}");
    let headers: [(&str, &[u8]); 1] = [("authorization", authorization.as_bytes())];
    let request = Request { method: "GET", path: "/", query: "", headers: &headers, peer: None };
    let access = decide(hub, jwt, &request, &[], Now { ms: 1, unix_s: 1_800_000_000 });
    match access.refusal {
        None => Some(true),
        Some(crate::stream::Refusal::Failed(_)) => None,
        Some(_) => Some(false),
    }
}

#[test]
fn what_was_fetched_last_holds_whatever_the_issuer_answers() {
    run(async {
        let hub = Hub::new(Config::new(), Epoch(1)).unwrap();
        let [first, second, stranger] = ["1", "2", "1"].map(Signer::new);
        let issuer = Issuer::start("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_owned());
        let jwt = Jwt::keys_at(&issuer.url).unwrap();
        let accepts = |token: &str| accepts(&hub, &jwt, token);
        let key_set = jwt.key_set().unwrap();
        let task = tokio::spawn(keep(Arc::downgrade(key_set), key_set.claim().unwrap(), hub.clone(), QUICK));
        until(|| *lock(&issuer.requests) > 2).await;
        assert_eq!(accepts(&first.named()), None, "nothing is known yet");
        assert!(hub.stats().key_failures >= 2);
        assert_eq!(accepts("no.to.ken"), Some(false), "whatever the keys are");

        issuer.answers(set(&[first.jwk()])).await;
        assert_eq!(accepts(&first.named()), Some(true));
        assert_eq!(accepts(&first.token(r#"{"alg":"ES256"}"#)), Some(true), "it names none");
        assert_eq!(accepts(&stranger.named()), Some(false), "it is signed by somebody else");
        assert_eq!(accepts(&second.named()), Some(false));
        assert_eq!(accepts(&first.token(r#"{"alg":"HS256","kid":"1"}"#)), Some(false), "the key decides");

        let private = first.jwk().replace("\"x\"", "\"d\":\"AAAA\",\"x\"");
        let secret = r#"{"kty":"oct","kid":"s","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}"#.to_owned();
        let for_encryption = second.jwk().replace("\"sig\"", "\"enc\"");
        for bad in [
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n".to_owned(),
            ok("<html>"),
            ok(r#"{"keys":[]}"#),
            set(&[secret.clone(), for_encryption.clone()]),
            set(&vec![second.jwk(); 101]),
            ok(&format!(r#"{{"keys":[{}],"pad":"{}"}}"#, second.jwk(), "x".repeat(MAX_BYTES))),
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_owned(),
            String::new(),
        ] {
            issuer.answers(bad.clone()).await;
            assert_eq!(accepts(&first.named()), Some(true), "{}", &bad[..bad.len().min(100)]);
            assert_eq!(accepts(&second.named()), Some(false), "{}", &bad[..bad.len().min(100)]);
        }
        issuer.answers(set(&[private, secret, for_encryption, second.jwk().replace("\"2\"", "\"3\"")])).await;
        assert_eq!(accepts(&first.named()), Some(true), "what is private of a key is left out");
        assert_eq!(accepts(&second.named()), Some(false), "by that name it is not for signatures");
        issuer.answers(set(&[second.jwk()])).await;
        assert_eq!(accepts(&second.named()), Some(true));
        assert_eq!(accepts(&first.named()), Some(false), "it was withdrawn");
        task.abort();
        let _ = task.await;
        assert!(key_set.claim().is_some(), "another may fetch");
    });
}

#[test]
fn a_key_that_is_named_is_found_behind_many_without_a_name() {
    let hub = Hub::new(Config::new(), Epoch(1)).unwrap();
    let signer = Signer::new("1");
    let nameless = Signer::new("2").jwk().replace(r#""kid":"2","#, "");
    let keys = [vec![nameless; 20], vec![signer.jwk()]].concat().join(",");
    let jwt = Jwt::keys_at("https://login.example.com/keys").unwrap();
    jwt.key_set().unwrap().learn(format!(r#"{{"keys":[{keys}]}}"#).as_bytes()).unwrap();
    assert_eq!(accepts(&hub, &jwt, &signer.named()), Some(true));
}

#[test]
fn a_key_that_is_not_there_is_asked_for_before_its_time() {
    run(async {
        let hub = Hub::new(Config::new(), Epoch(1)).unwrap();
        let [first, second] = ["1", "2"].map(Signer::new);
        let issuer = Issuer::start(set(&[first.jwk()]));
        let jwt = Jwt::keys_at(&issuer.url).unwrap();
        let key_set = jwt.key_set().unwrap();
        let pace = Pace { every: Duration::from_secs(3_600), ..QUICK };
        let _task = tokio::spawn(keep(Arc::downgrade(key_set), key_set.claim().unwrap(), hub.clone(), pace));
        until(|| accepts(&hub, &jwt, &first.named()) == Some(true)).await;
        *lock(&issuer.answer) = set(&[first.jwk(), second.jwk()]);
        until(|| accepts(&hub, &jwt, &second.named()) == Some(true)).await;
    });
}

#[test]
fn an_issuer_that_hangs_is_asked_again() {
    run(async {
        let hub = Hub::new(Config::new(), Epoch(1)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let jwt = Jwt::keys_at(&format!("http://{}/keys", listener.local_addr().unwrap())).unwrap();
        let key_set = jwt.key_set().unwrap();
        let pace = Pace { within: Duration::from_millis(10), ..QUICK };
        let _task = tokio::spawn(keep(Arc::downgrade(key_set), key_set.claim().unwrap(), hub.clone(), pace));
        // The system takes the connections; nobody answers.
        until(|| hub.stats().key_failures > 2).await;
    });
}

#[test]
fn nobody_fetches_for_nobody() {
    run(async {
        let hub = Hub::new(Config::new(), Epoch(1)).unwrap();
        let issuer = Issuer::start(set(&[Signer::new("1").jwk()]));
        let jwt = Jwt::keys_at(&issuer.url).unwrap();
        let key_set = jwt.key_set().unwrap();
        let pace =
            Pace { every: Duration::from_secs(3_600), at_least_every: Duration::from_secs(3_600), ..QUICK };
        let task = tokio::spawn(keep(Arc::downgrade(key_set), key_set.claim().unwrap(), hub.clone(), pace));
        until(|| *lock(&issuer.requests) == 1).await;
        let clone = jwt.clone();
        drop(jwt);
        assert!(clone.key_set().unwrap().claim().is_none(), "one still fetches");
        drop(clone);
        timeout(PATIENCE, task).await.unwrap().unwrap();
    });
}

#[test]
fn an_answer_says_for_how_long_it_is_good() {
    for (line, seconds) in [
        ("max-age=300", Some(300)),
        ("public, Max-Age = \"300\", must-revalidate", Some(300)),
        ("s-maxage=7, max-age=300", Some(300)),
        ("no-cache, no-store, max-age=0, must-revalidate", None),
        ("max-age=-1", None),
        ("max-age=soon", None),
        ("max-age", None),
        ("public", None),
        ("", None),
    ] {
        assert_eq!(max_age(line), seconds.map(Duration::from_secs), "{line}");
    }
}

#[test]
fn no_answer_is_good_for_long() {
    run(async {
        let hub = Hub::new(Config::new(), Epoch(1)).unwrap();
        let answer = set(&[Signer::new("1").jwk()]);
        let issuer =
            Issuer::start(answer.replacen("\r\n", "\r\nCache-Control: public, max-age=86400\r\n", 1));
        let jwt = Jwt::keys_at(&issuer.url).unwrap();
        let key_set = jwt.key_set().unwrap();
        // A day is cut to 20 ms here, where an answer without it would be good for an hour.
        let pace = Pace { every: Duration::from_secs(3_600), ..QUICK };
        let _task = tokio::spawn(keep(Arc::downgrade(key_set), key_set.claim().unwrap(), hub.clone(), pace));
        until(|| *lock(&issuer.requests) > 2).await;
    });
}
