//! Tokens at the library's own server, from the request to the end of the stream.
#![cfg(feature = "runtime")]

mod common;

use std::{
    fmt::Write as _,
    io::Write as _,
    net::TcpListener,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use common::{Client, Conn, Over, closed, publish, serve_mounts, until};
use evstream::{CloseReason, Config, Jwt, Mount, Who, grip::Key};
use ring::{
    hmac,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use tracing::{Subscriber, field::Visit, span};

const SECRET: &str = "a secret of some length";

fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn token(secret: &str, exp: u64) -> String {
    let claims = format!(r#"{{"sub":"bob","exp":{exp},"evstream":{{"channels":["a"]}}}}"#);
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn mount() -> Mount {
    Mount::new("/events/").jwt(Jwt::new(Key::parse(SECRET).unwrap()).unwrap())
}

#[test]
fn a_token_opens_a_stream_that_ends_with_it() {
    let (events, server) = serve_mounts(Config::new(), [mount()]);
    let mut conn = Conn::open(&server);
    conn.request(
        "GET",
        "/events/",
        &[("Cookie", &format!("__Secure-evstream={}", token(SECRET, now_s() + 3)))],
    );
    let mut client: Client = conn.into_stream();
    assert_eq!(client.expect("stream-open").data, r#"{"channels":["a"]}"#);
    publish(&events, "a", ["x"]);
    assert_eq!(client.data(), "x");
    client.read_until(|client| client.close_notice().is_some());
    assert_eq!(client.close_notice(), Some("expired"));
    assert_eq!(client.read_to_end().1, Over::Complete);
    until("it is counted", || closed(&events, CloseReason::Expired) == 1);
}

#[test]
fn its_subject_is_the_user() {
    let (events, server) = serve_mounts(Config::new(), [mount()]);
    let mut conn = Conn::open(&server);
    conn.request(
        "GET",
        "/events/",
        &[("Authorization", &format!("Bearer {}", token(SECRET, now_s() + 300)))],
    );
    let mut client: Client = conn.into_stream();
    client.expect("stream-open");
    until("the stream has its driver", || {
        events.disconnect(Who::new().user("bob"), "bye").unwrap();
        closed(&events, CloseReason::Disconnected) == 1
    });
    assert!(client.expect("stream-error").data.contains("bye"));
}

#[test]
fn a_token_that_is_refused_is_counted_and_logged_and_never_shown() {
    let heard = Arc::new(Mutex::new(String::new()));
    tracing::subscriber::set_global_default(Log(heard.clone())).unwrap();
    let (events, server) = serve_mounts(Config::new(), [mount()]);
    let bad = token("another secret of that length", now_s() + 300);
    let mut conn = Conn::open(&server);
    let authorization = format!("Bearer {bad}");
    let (head, body) = conn.request("GET", "/events/", &[("Authorization", &authorization)]).response();
    assert_eq!((head.status, &*body), (401, "the token is not accepted\n"));
    assert_eq!(head.header("www-authenticate"), Some(r#"Bearer error="invalid_token""#));
    assert_eq!(head.header("cache-control"), Some("no-store"));
    let in_band = [("Authorization", &*authorization), ("Accept", "text/event-stream")];
    let (head, body) = conn.request("GET", "/events/", &in_band).response();
    assert_eq!(head.status, 200);
    assert!(
        body.starts_with("event: stream-error\n") && body.contains("the token is not accepted"),
        "{body}"
    );
    // One in the query is none.
    let target = format!("/events/?access_token={}", token(SECRET, now_s() + 300));
    assert_eq!(conn.request("GET", &target, &[]).response().1, "a token is needed\n");
    assert_eq!((events.stats().tokens_refused, events.stats().opened), (3, 0));
    let heard = heard.lock().unwrap();
    // Those of other tests expire; of the three here one line stands for all.
    assert_eq!(heard.matches("wrong-key").count(), 1, "{heard}");
    assert!(heard.contains("requests were refused for their tokens"), "{heard}");
    let part = &bad[bad.len() - 20..];
    assert!(!heard.contains(part) && !heard.contains(SECRET), "{heard}");
}

/// What is logged at warn or worse, with all fields.
struct Log(Arc<Mutex<String>>);

impl Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields<'a>(&'a mut String);
        impl Visit for Fields<'_> {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                write!(self.0, "{field}={value:?} ").expect("a String grows");
            }
        }
        event.record(&mut Fields(&mut self.0.lock().unwrap()));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[test]
fn a_token_is_judged_anew_when_its_client_comes_back() {
    let (events, server) = serve_mounts(Config::new(), [mount()]);
    let authorization = format!("Bearer {}", token(SECRET, now_s() + 300));
    let ask = |headers: &[(&str, &str)]| {
        let mut conn = Conn::open(&server);
        conn.request("GET", "/events/", headers);
        conn
    };
    let mut client = ask(&[("Authorization", &authorization)]).into_stream();
    client.expect("stream-open");
    let id = client.last_id().to_owned();
    until("the stream has its driver", || {
        events.reopen(Who::everyone()).unwrap();
        closed(&events, CloseReason::Reauthorize) == 1
    });
    publish(&events, "a", ["missed"]);
    let again = [("Authorization", &*authorization), ("Last-Event-ID", &id)];
    let mut client = ask(&again).into_stream();
    client.expect("stream-open");
    assert_eq!(client.data(), "missed");
    let old = format!("Bearer {}", token(SECRET, now_s() - 1));
    let expired = [("Authorization", &*old), ("Last-Event-ID", &id), ("Accept", "text/event-stream")];
    assert!(ask(&expired).response().1.contains("the token has expired"));
    assert!(events.close(Duration::from_secs(5)).unwrap().ended);
}

/// An issuer whose first answer is late.
#[test]
fn keys_at_an_address_are_fetched_and_until_then_clients_come_back() {
    let random = ring::rand::SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
    let point = pair.public_key().as_ref();
    let [x, y] = [&point[1..33], &point[33..]].map(|part| URL_SAFE_NO_PAD.encode(part));
    let keys = format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"1","x":"{x}","y":"{y}"}}]}}"#);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let (answer, may_answer) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        may_answer.recv().unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", keys.len());
        connection.write_all((head + &keys).as_bytes()).unwrap();
    });
    let mount = Mount::new("/events/").jwt(Jwt::keys_at(&url).unwrap());
    let (_events, server) = serve_mounts(Config::new(), [mount]);
    let claims = r#"{"exp":4102444800,"evstream":{"channels":["a"]}}"#;
    let message = [r#"{"alg":"ES256","kid":"1"}"#, claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(&random, message.as_bytes()).unwrap());
    let first = || {
        let mut conn = Conn::open(&server);
        let authorization = format!("Bearer {message}.{signature}");
        conn.request(
            "GET",
            "/events/",
            &[("Authorization", &authorization), ("Accept", "text/event-stream")],
        );
        conn.into_stream()
    };
    let mut early = first();
    early.read_until(|client| client.close_notice().is_some());
    assert_eq!(early.close_notice(), Some("failed"));
    answer.send(()).unwrap();
    until("the keys are known", || first().next().is_ok());
}
