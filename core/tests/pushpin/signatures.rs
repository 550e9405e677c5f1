//! Which requests are handed over: those that bear the signature of the proxy.

use std::time::{SystemTime, UNIX_EPOCH};

use evstream::grip::{Auth, Key};

use super::{App, Pushpin, Settings, Source, proxy::SIG_KEY, settings_for, start, start_with, target};
use crate::common::{Conn, Head, Relay};

#[test]
fn without_a_signature_streams_are_served_directly() {
    // Pushpin passes them on as they come.
    let unsigned = Settings { route_options: ",no_grip", ..Settings::default() };
    let (pushpin, app) = start_with(unsigned, |config| config);
    let sources = [pushpin.http, app.address()].map(|address| Source::open(address, &target(["a"])).opened());
    app.publish_well("a", "1");
    for source in &sources {
        source.expect_texts(&["1"]);
    }
    let stats = app.events.stats();
    assert_eq!((stats.open, stats.held), (2, 0));
}

#[test]
fn without_a_signature_nothing_is_served_where_grip_is_required() {
    let (pushpin, app) = start(|config| config.grip_required(true));
    let held = Source::open(pushpin.http, &target(["a"])).opened();
    let direct = Source::open(app.address(), &target(["a"]));
    // A 501, which the client tries again.
    direct.until("an answer", |state| state.heads.iter().any(|head| head.status == 501));
    app.publish_well("a", "1");
    held.expect_texts(&["1"]);
}

#[test]
fn events_are_published_with_authorization_and_without() {
    let mut pushpin = Pushpin::new(Settings::default());
    let control = Relay::to(pushpin.control);
    let url = |query: &str| format!("{}?verify-key={SIG_KEY}{query}", control.url());
    let key = "a key that signs what is published";
    let jwt = Auth::jwt("me", Key::parse(key).unwrap());
    let signed = url(&format!("&iss=me&key={}", key.replace(' ', "%20")));
    for (url, auth) in
        [(url(""), Auth::none()), (signed, jwt), (url("&key=tok"), Auth::bearer("tok").unwrap())]
    {
        let app = App::new(settings_for(&url));
        pushpin.start(app.address());
        let before = control.seen().len();
        let source = Source::open(pushpin.http, &target(["a"])).opened();
        app.publish_well("a", "1");
        source.expect_texts(&["1"]);
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        for request in &control.seen()[before..] {
            let header = request.header("authorization");
            assert_eq!(auth.check(header, now_s), Ok(()), "{url}");
            assert_eq!(header.is_some(), url.contains("&key="), "{url}");
        }
        drop(source);
        pushpin.stop();
    }
}

#[test]
fn a_signature_must_be_right_in_everything() {
    let url = format!("http://127.0.0.1:1?verify-key={SIG_KEY}&verify-iss=pushpin");
    let app = App::new(settings_for(&url));
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let sign = |key: &str, iss: &str, now_s: u64| {
        let header = Auth::jwt(iss, Key::parse(key).unwrap()).header(now_s).unwrap().unwrap();
        header.value().strip_prefix("Bearer ").unwrap().to_owned()
    };
    let ask = |sig: &str| -> (Head, String) {
        let mut conn = Conn::tcp(app.address());
        conn.request("GET", &target(["a"]), &[("Grip-Sig", sig)]).response()
    };
    let (head, body) = ask(&sign(SIG_KEY, "pushpin", now_s));
    assert_eq!((head.status, head.header("grip-hold")), (200, Some("stream")));
    assert!(body.contains("event: stream-open"), "{body}");
    assert!(head.header("grip-link").unwrap().contains("/events/evs1-"), "{head:?}");

    let refused = [
        ("not made with the configured key", sign("not-the-key-at-all", "pushpin", now_s)),
        ("has expired", sign(SIG_KEY, "pushpin", now_s - 2 * 3_600)),
        ("another issuer", sign(SIG_KEY, "fastly:x", now_s)),
        ("malformed", "rubbish".to_owned()),
    ];
    for (count, (reason, sig)) in refused.iter().enumerate() {
        let (head, body) = ask(sig);
        assert_eq!((head.status, head.header("grip-hold")), (403, None), "{reason}");
        assert!(body.contains(reason), "{body}");
        assert!(!body.contains(SIG_KEY));
        assert_eq!(app.events.stats().grip_refused, count as u64 + 1);
    }
}

#[test]
fn a_link_is_no_way_around_the_signature() {
    let app = App::new(settings_for(&format!("http://127.0.0.1:1?verify-key={SIG_KEY}")));
    let (head, _) = Conn::tcp(app.address()).request("GET", "/events/evs1-AAAA", &[]).response();
    assert_eq!(head.status, 404);
}
