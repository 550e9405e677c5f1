//! Health, and the server's own paths for it and for metrics.
#![cfg(feature = "runtime")]

mod common;

use std::net::TcpListener;

use common::{Client, Conn, PATH, PATIENCE, Relay, serve_mounts, until};
use evstream::{Access, Config, Event, Events, Mount, Server};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The status, media type and text of an answer.
fn ask(server: &Server, method: &str, target: &str, headers: &[(&str, &str)]) -> (u16, String, String) {
    let mut conn = Conn::open(server);
    conn.request(method, target, headers);
    let head = conn.head();
    let text = if method == "HEAD" { String::new() } else { conn.body(&head) };
    (head.status, head.header("content-type").unwrap_or_default().to_owned(), text)
}

fn get(server: &Server, target: &str) -> (u16, String) {
    let (status, _, text) = ask(server, "GET", target, &[]);
    (status, text)
}

#[test]
fn metrics_have_a_path_in_the_format_that_is_asked_for() {
    let (events, server) = serve_mounts(Config::new(), [Mount::new(PATH), Mount::metrics("/metrics")]);
    let _client = Client::open(&server, "/events/?channel=a");
    until("the stream is there", || events.stats().open == 1);
    for (accept, kind) in [("*/*", PROMETHEUS), ("application/openmetrics-text;version=1.0.0", OPENMETRICS)] {
        let (status, given, text) = ask(&server, "GET", "/metrics", &[("Accept", accept)]);
        assert_eq!(
            (status, &*given, text.ends_with("# EOF\n")),
            (200, kind, kind == OPENMETRICS),
            "{accept}"
        );
        assert!(text.contains("\nevstream_streams 1\n"), "{text}");
    }
    assert_eq!(ask(&server, "HEAD", "/metrics/", &[]), (200, PROMETHEUS.into(), String::new()));
    assert_eq!(ask(&server, "POST", "/metrics", &[("Content-Length", "0")]).0, 405);
    // A scrape while everything ends is answered.
    let mut conn = Conn::open(&server);
    conn.request("GET", "/metrics", &[]);
    assert_eq!(conn.head().status, 200);
}

#[test]
fn others_than_this_machine_are_asked_who_they_are() {
    let events = Events::new(Config::new()).unwrap();
    for mount in [Mount::metrics("/m"), Mount::health("/h")] {
        let error = events.server().mount(mount.clone()).bind("0.0.0.0:0").unwrap_err();
        assert_eq!(error.code(), "invalid-config");
        assert!(error.to_string().contains("needs an authorize function"), "{error}");
        events.server().mount(mount.clone()).bind("127.0.0.1:0").unwrap();
        events.server().mount(mount.authorize(|_| Access::allow())).bind("0.0.0.0:0").unwrap();
    }
    events.server().mount(Mount::new(PATH)).bind("0.0.0.0:0").unwrap();
    let error = events.server().mount(Mount::metrics("/m").channels(["a"])).bind("127.0.0.1:0").unwrap_err();
    assert_eq!(error.code(), "invalid-config");
}

#[test]
fn an_authorize_function_decides() {
    let decide = |request: &evstream::StreamRequest<'_>| match request.header("authorization") {
        Some("Bearer right") => Access::allow(),
        Some("Bearer later") => Access::fail("the database is away"),
        Some("Bearer old") => Access::allow().expires_at(1),
        Some("Bearer bug") => panic!("a bug"),
        _ => Access::forbid("wrong token"),
    };
    let mounts = [Mount::metrics("/metrics").authorize(decide), Mount::health("/healthz").authorize(decide)];
    let (_events, server) = serve_mounts(Config::new(), mounts);
    for path in ["/metrics", "/healthz"] {
        let status = |token: &str| {
            let (status, _, text) =
                ask(&server, "GET", path, &[("Authorization", &format!("Bearer {token}"))]);
            assert_eq!(status == 200, text.contains("evstream_streams") || text.contains("ready"), "{text}");
            status
        };
        assert_eq!(["right", "wrong", "old", "later", "bug"].map(status), [200, 403, 403, 503, 503]);
        assert_eq!(get(&server, path), (403, "wrong token\n".to_owned()));
    }
}

#[test]
fn health_has_a_path() {
    let (events, server) = serve_mounts(Config::new(), [Mount::health("/healthz")]);
    let well = r#"{"ready":true,"live":true,"problems":[]}"#;
    assert_eq!(events.health().to_json(), well);
    for target in ["/healthz", "/healthz/", "/healthz?live"] {
        assert_eq!(get(&server, target), (200, format!("{well}\n")));
    }
}

#[test]
fn nobody_is_sent_to_events_that_are_closed() {
    let events = Events::new(Config::new()).unwrap();
    assert!(events.health().ready);
    events.close(PATIENCE).unwrap();
    let health = events.health();
    assert_eq!((health.ready, health.live, health.problems.len()), (false, true, 1));
}

#[test]
fn a_proxy_that_is_away_keeps_clients_away_only_where_it_is_required() {
    // A port that nobody listens on.
    let url = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let with = |required| {
        let config = Config::new().grip(vec![format!("{url}?key=geheim").into()]).grip_required(required);
        let (events, server) = serve_mounts(config.grip_verify_key("geheim".into()), [Mount::health("/h")]);
        events.publish("a", Event::text("x")).unwrap();
        (events, server)
    };
    let (needs_it, server) = with(true);
    let (can_do_without, _other) = with(false);
    assert!(needs_it.health().ready, "not at once");
    until("it is missed", || !needs_it.health().problems.is_empty());
    let (status, text) = get(&server, "/h");
    assert_eq!(status, 503);
    assert!(text.starts_with(r#"{"ready":false,"live":true,"problems":["#) && text.contains(&url), "{text}");
    assert!(!text.contains("geheim"), "{text}");
    assert_eq!(get(&server, "/h?live").0, 200);
    until("it is told of", || !can_do_without.health().problems.is_empty());
    assert!(can_do_without.health().ready);
}

#[test]
fn a_proxy_that_is_back_is_well() {
    let proxy = Relay::accepting();
    proxy.act(|_| common::Act::Answer(502));
    let config =
        Config::new().grip(vec![proxy.url().into()]).grip_required(true).grip_verify_key("geheim".into());
    let events = Events::new(config).unwrap();
    let receipt = events.publish("a", Event::text("x")).unwrap();
    until("it is missed", || !events.health().ready);
    proxy.act(|_| common::Act::Answer(200));
    let after = events.publish("a", Event::text("y")).unwrap();
    until("it is back", || events.health().ready);
    for receipt in [receipt, after] {
        receipt.wait(PATIENCE).unwrap();
    }
}
