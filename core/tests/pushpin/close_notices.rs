//! What a client is told that is to come back later: through the proxy the same as without it.

use std::net::SocketAddr;

use evstream::{Access, Mount};

use super::{App, Pushpin, Settings, Source, settings_for, start_with, target};
use crate::common::{PATH, until};

const ANOTHER_SERVERS: &str = "00000000-000000000001";

#[test]
fn an_application_that_fails_is_told_alike() {
    let mut pushpin = Pushpin::new(Settings::default());
    let app = || {
        let mount = Mount::new(PATH).authorize(|_| Access::fail("the database is away"));
        App::at("127.0.0.1:0", settings_for(&pushpin.grip_url()), mount)
    };
    let told = |address: SocketAddr| {
        let source = Source::resume(address, &target(["a"]), &[], ANOTHER_SERVERS);
        source.until("an answer, again", |state| state.count("stream-close") >= 2);
        let state = source.state();
        assert_eq!(state.last_id, ANOTHER_SERVERS);
        let text = String::from_utf8_lossy(&state.text);
        text.split_inclusive("\n\n").next().unwrap().to_owned()
    };
    let (held, direct) = (app(), app());
    pushpin.start(held.address());
    let through_pushpin = told(pushpin.http);
    assert_eq!(
        through_pushpin,
        format!(
            "event: stream-close\nretry: 2000\ndata: {{\"reason\":\"failed\"}}\nid: {ANOTHER_SERVERS}\n\n"
        )
    );
    assert_eq!(told(direct.address()), through_pushpin);
    assert_eq!(held.events.stats().held, 0);
}

#[test]
fn a_proxy_with_another_key_may_get_the_right_one() {
    let other = Settings { sig_key: "another-key-than-the-configured", ..Settings::default() };
    let (pushpin, app) = start_with(other, |config| config);
    let source = Source::open(pushpin.http, &target(["a"]));
    source.until("a close notice, again", |state| state.count("stream-close") >= 2);
    assert_eq!(source.state().events[0].data, r#"{"reason":"failed"}"#);
    assert!(app.events.stats().grip_refused >= 2);
    assert_eq!(app.events.stats().held, 0);
}

/// As after a restart with another key for links.
#[test]
fn a_stream_whose_link_is_refused_ends_and_the_client_keeps_its_position() {
    let mut pushpin = Pushpin::new(Settings::default());
    let secret = |secret: &str| settings_for(&pushpin.grip_url()).grip_link_secret(secret.to_owned().into());
    let (before, after) = (secret("a secret of sixteen bytes"), secret("another of sixteen bytes"));
    let app = App::new(before);
    let origin = app.address();
    pushpin.start(origin);
    let source = Source::open(pushpin.http, &target(["a"])).opened();
    app.publish_well("a", "1");
    source.expect_texts(&["1"]);
    until("Pushpin has asked", || app.events.stats().repairs > 0);
    app.close();

    let app = App::at(&origin.to_string(), after, Mount::new(PATH));
    app.publish_well("a", "2"); // a gap, which Pushpin asks about
    source.until("stream-reset", |state| state.count("stream-reset") == 1);
    let state = source.state();
    let told: Vec<(&str, &str, &str)> = state
        .events
        .iter()
        .map(|event| (event.name.as_deref().unwrap_or("message"), &*event.data, &*event.id))
        .collect();
    let [(_, _, _), (_, "1", position), close, open, reset] = told[..] else { panic!("{told:?}") };
    assert_eq!(close, ("stream-close", r#"{"reason":"failed"}"#, position));
    assert_eq!(open, ("stream-open", r#"{"channels":["a"]}"#, position));
    assert_eq!((reset.0, reset.1), ("stream-reset", r#"{"channels":["a"],"reason":"epoch"}"#));
    assert!(app.events.stats().grip_refused >= 1);
}
