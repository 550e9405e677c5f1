//! `POST /publish/`: other GRIP publishers reach a process that serves its streams itself.

#![cfg(feature = "runtime")]

mod common;

use std::sync::Arc;

use common::{Client, Conn, Head, PATH};
use evstream::{
    Address, Config, ErrorKind, Events, Mount, Server,
    grip::{Auth, Key},
};
use serde_json::json;

struct PublishEndpoint {
    events: Events,
    server: Arc<Server>,
}

impl PublishEndpoint {
    fn new(auth: Auth) -> Self {
        Self::with(Config::new(), auth)
    }

    fn with(config: Config, auth: Auth) -> Self {
        let events = Events::new(config).unwrap();
        let server =
            events.server().mount(Mount::new(PATH)).accept_publish(auth).bind("127.0.0.1:0").unwrap();
        Self { events, server }
    }

    fn post(&self, headers: &[(&str, &str)], body: &str) -> (Head, String) {
        let length = body.len().to_string();
        let headers = [headers, &[("Content-Length", &*length)]].concat();
        Conn::open(&self.server).request("POST", "/publish/", &headers).send(body).response()
    }

    /// The status and text of the answer.
    fn publish(&self, headers: &[(&str, &str)], body: &serde_json::Value) -> (u16, String) {
        let (head, text) = self.post(headers, &body.to_string());
        (head.status, text)
    }
}

fn item(channel: &str, content: &str) -> serde_json::Value {
    json!({ "channel": channel, "formats": { "http-stream": { "content": content } } })
}

fn published() -> (u16, String) {
    (200, "Published\n".to_owned())
}

#[test]
fn events_reach_streams_with_ids_of_ours() {
    let endpoint = PublishEndpoint::new(Auth::none());
    let mut client = Client::open(&endpoint.server, "/events/?channel=a&channel=b%20c");
    let first = item("events-a", "event: note\nid: 17\ndata: one\ndata: two\n\ndata: three\n\n");
    let body = json!({ "items": [first, item("events-b%20c", "data: four\n\n"), item("events-b c", "data: five\n\n")] });
    assert_eq!(endpoint.publish(&[], &body), published());
    let event = client.expect("note");
    assert_eq!(event.data, "one\ntwo");
    assert!(event.id.len() > 10 && event.id.contains('-'), "{event:?}");
    assert_eq!([client.data(), client.data(), client.data()], ["three", "four", "five"]);

    let binary = json!({ "channel": "events-a", "http-stream": { "content-bin": "ZGF0YTogw6kKCg==" } });
    assert_eq!(endpoint.publish(&[], &json!({ "items": [binary] })), published());
    assert_eq!(client.data(), "é");
    let nothing = json!({ "items": [] });
    assert_eq!(endpoint.publish(&[], &nothing), published());
    let hint = json!({ "items": [{ "channel": "events-a", "http-stream": { "action": "hint" } }] });
    assert_eq!(endpoint.publish(&[], &hint), published());
    let other = json!({ "items": [{ "channel": "events-a", "ws-message": { "content": "x" } }] });
    assert_eq!(endpoint.publish(&[], &other), published());
    assert_eq!(endpoint.events.stats().published, 5);
}

#[test]
fn without_authorization_only_programs_of_this_machine_may_publish() {
    let events = Events::new(Config::new()).unwrap();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let bound = events.server().accept_publish(Auth::none()).bind(address);
        let error = bound.expect_err(address);
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{address}");
        assert!(error.to_string().contains("needs authorization"), "{error}");
        let auth = Auth::bearer("a-token").unwrap();
        assert!(events.server().accept_publish(auth).bind(address).is_ok(), "{address}");
    }
    for address in ["127.0.0.1:0", "127.8.8.8:0", "[::1]:0"] {
        if let Err(error) = events.server().accept_publish(Auth::none()).bind(address) {
            // Some machines have no IPv6.
            assert_eq!((address, error.kind()), ("[::1]:0", ErrorKind::Io), "{error}");
        }
    }

    let endpoint = PublishEndpoint::new(Auth::none());
    let body = json!({ "items": [item("events-a", "data: x\n\n")] });
    for origin in ["http://evil.example", "null", "http://127.0.0.1"] {
        let (status, text) = endpoint.publish(&[("Origin", origin)], &body);
        assert_eq!(status, 403, "{text}");
    }
    assert_eq!(endpoint.events.stats().published, 0);
}

#[test]
fn each_kind_of_authorization_is_asked_for() {
    let body = json!({ "items": [item("events-a", "data: x\n\n")] });
    let jwt = |iss: &str, key: &str| Auth::jwt(iss, Key::parse(key).unwrap());
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let value = |auth: &Auth, now_s| auth.header(now_s).unwrap().unwrap().value().to_owned();
    for (auth, wrong, challenge) in [
        (Auth::bearer("a-token").unwrap(), "Bearer b-token".to_owned(), "Bearer"),
        (Auth::basic("me", "pass").unwrap(), "Basic bWU6d29yZA==".to_owned(), "Basic realm="),
        (jwt("me", "the key of these tests"), value(&jwt("me", "another key"), now_s), "Bearer"),
        (jwt("me", "the key of these tests"), value(&jwt("you", "the key of these tests"), now_s), "Bearer"),
        (
            jwt("me", "the key of these tests"),
            value(&jwt("me", "the key of these tests"), now_s - 9_999),
            "Bearer",
        ),
    ] {
        let endpoint = PublishEndpoint::new(auth.clone());
        for header in [&[][..], &[("Authorization", &*wrong)], &[("Authorization", "")]] {
            let (head, text) = endpoint.post(header, &body.to_string());
            assert_eq!(head.status, 401, "{auth:?} {header:?} {text}");
            assert!(head.header("www-authenticate").unwrap().starts_with(challenge), "{head:?}");
        }
        assert_eq!(endpoint.events.stats().published, 0);
        let right = value(&auth, now_s);
        assert_eq!(
            endpoint.publish(&[("Authorization", &right), ("Origin", "http://page")], &body),
            published()
        );
        assert_eq!(endpoint.events.stats().published, 1);
    }
}

#[test]
fn what_an_event_carries_besides_its_data_is_published_too() {
    let endpoint = PublishEndpoint::new(Auth::none());
    let mut client = Client::open(&endpoint.server, "/events/?channel=a");
    let body = json!({ "items": [item("events-a", ": hi\n: there\nretry: 5000\ndata: x\n\n")] });
    assert_eq!(endpoint.publish(&[], &body), published());
    assert_eq!((client.data(), client.retry_ms()), ("x".to_owned(), Some(5_000)));
}

#[test]
fn keys_cannot_be_tried_at_speed() {
    let endpoint = PublishEndpoint::new(Auth::bearer("the-right-token").unwrap());
    let body = json!({ "items": [item("events-a", "data: x\n\n")] });
    let attempt = |token: &str| endpoint.publish(&[("Authorization", &format!("Bearer {token}"))], &body).0;
    let mut statuses: Vec<u16> = (0..500).map(|number| attempt(&format!("guess-{number}"))).collect();
    // Nor does the right one help who has tried so many.
    statuses.push(attempt("the-right-token"));
    assert_eq!(statuses.first(), Some(&401));
    let looked_at = statuses.iter().filter(|status| **status == 401).count();
    assert!(looked_at < 300 && statuses.contains(&429), "{looked_at} of {} were looked at", statuses.len());
}

#[test]
fn it_is_not_there_unless_it_was_asked_for() {
    let events = Events::new(Config::new()).unwrap();
    let server = events.server().mount(Mount::new(PATH)).bind("127.0.0.1:0").unwrap();
    let request = [("Content-Length", "2")];
    let (head, _) = Conn::open(&server).request("POST", "/publish/", &request).send("{}").response();
    assert_eq!(head.status, 404);
}

#[test]
fn requests_that_are_wrong_are_told_so() {
    let endpoint = PublishEndpoint::with(Config::new().max_event_bytes(100), Auth::none());
    let (head, _) = Conn::open(&endpoint.server).request("GET", "/publish", &[]).response();
    assert_eq!((head.status, head.header("allow")), (405, Some("POST")));

    let large = item("events-a", &format!("data: {}\n\n", "x".repeat(101)));
    for (status, body, reason) in [
        (400, String::new(), "not valid JSON"),
        (400, "{".to_owned(), "not valid JSON"),
        (400, "{}".to_owned(), "'items'"),
        (400, json!({ "items": [{}] }).to_string(), "items[0] has no 'channel'"),
        (400, json!({ "items": [item("other-a", "data: x\n\n")] }).to_string(), "grip_prefix"),
        (400, json!({ "items": [item("events-", "data: x\n\n")] }).to_string(), "items[0]"),
        (400, json!({ "items": [item("events-a%0A", "data: x\n\n")] }).to_string(), "items[0]"),
        (400, json!({ "items": [item("events-a", "data: x")] }).to_string(), "empty line"),
        (
            400,
            json!({ "items": [item("events-a", ": comment\n\n")] }).to_string(),
            "items[0]: the content has an event without 'data'",
        ),
        (
            400,
            json!({ "items": [item("events-a", "data: x\n\ndata: cut\n")] }).to_string(),
            "items[0]: the content is cut short",
        ),
        (400, json!({ "items": [item("events-a", "dat: x\n\n")] }).to_string(), "none of data"),
        (
            400,
            json!({ "items": [item("events-a", "event: keep-alive\ndata: x\n\n")] }).to_string(),
            "keep-alive",
        ),
        (
            400,
            json!({ "items": [{ "channel": "events-a", "http-stream": { "content-bin": "ZGF0YTog/woK" } }] })
                .to_string(),
            "items[0]: the content is not UTF-8",
        ),
        (
            400,
            json!({ "items": [item("events-a", "event: stream-open\ndata: x\n\n")] }).to_string(),
            "stream-",
        ),
        (413, json!({ "items": [large] }).to_string(), "100"),
        (413, format!("{{\"items\":[],\"x\":\"{}\"}}", "x".repeat(1_000_000)), "1000000"),
    ] {
        let (head, text) = endpoint.post(&[], &body);
        assert_eq!(head.status, status, "{text}");
        assert!(text.contains(reason), "{reason}: {text}");
    }
    let chunked = [("Transfer-Encoding", "chunked")];
    let mut conn = Conn::open(&endpoint.server);
    let (head, _) =
        conn.request("POST", "/publish/", &chunked).send("c\r\n{\"items\":[]}\r\n0\r\n\r\n").response();
    assert_eq!(head.status, 200, "a body without a length is taken, which Pushpin refuses");
    assert_eq!(endpoint.events.stats().published, 0);
}

#[test]
fn all_items_of_a_request_are_published_or_none() {
    let endpoint = PublishEndpoint::new(Auth::none());
    let good = item("events-a", "data: x\n\n");
    for bad in [item("events-a", "x"), item("other", "data: x\n\n"), json!({ "channel": "events-a" })] {
        let (status, text) = endpoint.publish(&[], &json!({ "items": [good, good, bad] }));
        assert_eq!(status, 400);
        assert!(text.starts_with("items[2]"), "{text}");
    }
    assert_eq!(endpoint.events.stats().published, 0);
}

#[test]
fn an_item_that_is_repeated_is_published_once() {
    let endpoint = PublishEndpoint::new(Auth::none());
    let mut client = Client::open(&endpoint.server, "/events/?channel=a&channel=b");
    let with_id = |channel: &str, id: &str, data: &str| {
        let stream = json!({ "content": format!("data: {data}\n\n") });
        json!({ "channel": channel, "id": id, "formats": { "http-stream": stream } })
    };
    let body = json!({ "items": [with_id("events-a", "1", "one"), with_id("events-a", "1", "again")] });
    for _ in 0..2 {
        assert_eq!(endpoint.publish(&[], &body), published());
    }
    let body = json!({ "items": [with_id("events-b", "1", "another channel"), with_id("events-a", "", "empty id")] });
    assert_eq!(endpoint.publish(&[], &body), published());
    let body = json!({ "items": [item("events-a", "data: none\n\n"), item("events-a", "data: none\n\n")] });
    assert_eq!(endpoint.publish(&[], &body), published());
    let data: Vec<String> = (0..5).map(|_| client.data()).collect();
    assert_eq!(data, ["one", "another channel", "empty id", "none", "none"]);
}

#[test]
fn a_unix_socket_needs_no_authorization() {
    let path = std::env::temp_dir().join(format!("evstream-publish-{}.sock", std::process::id()));
    let events = Events::new(Config::new()).unwrap();
    let server =
        events.server().accept_publish(Auth::none()).bind(&format!("unix:{}", path.display())).unwrap();
    assert!(matches!(server.address(), Address::Unix(_)));
    let body = json!({ "items": [item("events-a", "data: x\n\n")] }).to_string();
    let length = [("Content-Length", &*body.len().to_string())];
    let (head, text) = Conn::open(&server).request("POST", "/publish/", &length).send(&body).response();
    assert_eq!((head.status, text), published());
}
