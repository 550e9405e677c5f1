//! Publishes that get lost on the way to the proxy, and how streams are repaired.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use evstream::{Access, Config, ErrorKind, Mount};

use super::{App, Pushpin, Settings, Source, settings_for, target};
use crate::common::{Act, PATH, PATIENCE, Relay, until};

/// A Pushpin and an application that publishes to it through a relay.
fn start(config: impl FnOnce(Config) -> Config) -> (Pushpin, Relay, App) {
    let mut pushpin = Pushpin::new(Settings::default());
    let relay = Relay::to(pushpin.control);
    let app = App::new(config(settings_for(&url_through(&relay, &pushpin))));
    pushpin.start(app.address());
    (pushpin, relay, app)
}

fn url_through(relay: &Relay, pushpin: &Pushpin) -> String {
    pushpin.grip_url().replace(&pushpin.control.to_string(), &relay.address.to_string())
}

#[test]
fn what_was_lost_is_repaired_in_order_and_once() {
    let (pushpin, relay, app) = start(|config| config);
    let source = Source::open(pushpin.http, &target(["a", "b"])).opened();
    app.publish_well("a", "1");
    source.expect_texts(&["1"]);

    relay.act(|_| Act::Answer(200)); // and goes nowhere
    for (channel, text) in [("a", "2"), ("b", "3"), ("a", "4")] {
        app.publish_well(channel, text);
    }
    relay.act(|_| Act::Pass);
    app.publish_well("a", "5");
    source.expect_texts(&["1", "2", "3", "4", "5"]);
    app.publish_well("b", "6");
    source.expect_texts(&["1", "2", "3", "4", "5", "6"]);
    assert_eq!(source.state().heads.len(), 1, "the client notices nothing");
    assert_eq!(source.state().count("stream-reset"), 0);
}

#[test]
fn the_last_event_is_repaired_too() {
    let (pushpin, relay, app) = start(|config| config.grip_link_timeout_ms(2_000));
    let source = Source::open(pushpin.http, &target(["a"])).opened();
    relay.act(|_| Act::Answer(200));
    app.publish_well("a", "the last");
    source.expect_texts(&["the last"]);
    assert_eq!(source.state().heads.len(), 1);
}

#[test]
fn what_was_lost_comes_before_later_events_of_other_channels() {
    let (pushpin, relay, app) = start(|config| config);
    let source = Source::open(pushpin.http, &target(["a", "b"])).opened();
    for (channel, text) in [("a", "1"), ("b", "2")] {
        app.publish_well(channel, text);
    }
    source.expect_texts(&["1", "2"]);
    relay.act(|seen| if seen.body.contains("lost") { Act::Answer(400) } else { Act::Pass });
    let lost = app.publish("a", "lost").wait(PATIENCE).unwrap();
    assert_eq!(lost[0].result.as_ref().unwrap_err().kind(), ErrorKind::ProxyRejected);
    app.publish_well("b", "3");
    source.expect_texts(&["1", "2", "lost", "3"]);
    app.publish_well("a", "4");
    source.expect_texts(&["1", "2", "lost", "3", "4"]);
    assert_eq!(source.state().heads.len(), 1);
}

/// While a proxy asks for what it has missed it drops what does not follow, and hints on the channel itself with that.
#[test]
fn what_was_lost_while_the_proxy_was_asking_comes_before_later_events_of_other_channels() {
    let mut pushpin = Pushpin::new(Settings::default());
    let control = Relay::to(pushpin.control);
    let app = App::new(settings_for(&url_through(&control, &pushpin)));
    let origin = Relay::to(app.address());
    pushpin.start(origin.address);
    let source = Source::open(pushpin.http, &target(["a", "b"])).opened();
    app.publish_well("b", "1");
    source.expect_texts(&["1"]);
    control.act(|seen| if seen.body.contains("lost") { Act::Answer(400) } else { Act::Pass });
    let lose = |text: &str| {
        assert!(app.publish("a", text).wait(PATIENCE).unwrap()[0].result.is_err());
    };
    origin.act(|_| Act::Late(Duration::from_millis(1_500)));
    lose("lost at first");
    app.publish_well("b", "2"); // with a hint before it
    until("an answer is under way", || origin.late_answers() > 0);
    origin.act(|_| Act::Pass);
    lose("lost meanwhile");
    app.publish_well("b", "3");
    source.expect_texts(&["1", "lost at first", "2", "lost meanwhile", "3"]);
    assert_eq!(source.state().heads.len(), 1);
}

/// A proxy subscribes when it has the answer: what is published while that is under way is lost to it.
#[test]
fn what_was_published_while_a_stream_was_handed_over_comes_before_later_events_of_other_channels() {
    for others_read_too in [false, true] {
        let mut pushpin = Pushpin::new(Settings::default());
        let app = App::new(settings_for(&pushpin.grip_url()));
        let origin = Relay::to(app.address());
        pushpin.start(origin.address);
        let _others = others_read_too.then(|| Source::open(pushpin.http, &target(["a", "b"])).opened());
        app.publish_well("a", "before");
        origin.act(|seen| {
            let is_link = seen.target.contains("evs1-");
            if is_link { Act::Pass } else { Act::Late(Duration::from_millis(500)) }
        });
        let source = Source::open(pushpin.http, &target(["a", "b"]));
        until("the answer is under way", || origin.late_answers() > 0);
        app.publish_well("a", "meanwhile");
        let source = source.opened();
        app.publish_well("b", "later");
        source.expect_texts(&["meanwhile", "later"]);
        let state = source.state();
        assert_eq!((state.heads.len(), state.count("stream-reset")), (1, 0));
    }
}

#[test]
fn routes_may_rewrite_the_beginning_of_a_path() {
    for (options, rewrite, public, endpoint) in [
        (",path_beg=/base/,replace_beg=/", "/base", "/base/events/", PATH),
        (",path_beg=/live,replace_beg=/events", "/live=/events", "/live", "/events"),
    ] {
        let settings = Settings { route_options: options, ..Settings::default() };
        let mut pushpin = Pushpin::new(settings);
        let control = Relay::to(pushpin.control);
        let config = settings_for(&url_through(&control, &pushpin)).grip_public_path(rewrite.to_owned());
        let app = App::at("127.0.0.1:0", config, Mount::new(endpoint));
        pushpin.start(app.address());
        let source = Source::open(pushpin.http, &format!("{public}?channel=a")).opened();
        until("it has asked once", || app.events.stats().repairs > 0);
        control.act(|_| Act::Answer(200));
        app.publish_well("a", "lost");
        control.act(|_| Act::Pass);
        app.publish_well("a", "next");
        source.expect_texts(&["lost", "next"]);
        assert_eq!(source.state().heads.len(), 1);
    }
}

#[test]
fn a_client_is_told_of_what_cannot_be_repaired() {
    let (pushpin, relay, app) = start(|config| config.history_events(2).backlog_events(2));
    let source = Source::open(pushpin.http, &target(["a", "b"])).opened();
    app.publish_well("a", "1");
    source.expect_texts(&["1"]);
    relay.act(|_| Act::Answer(200));
    for text in ["2", "3", "4", "5"] {
        app.publish_well("a", text);
    }
    relay.act(|_| Act::Pass);
    app.publish_well("a", "6");
    source.until("stream-reset", |state| state.count("stream-reset") == 1);
    let reset = source.state().events.last().unwrap().data.clone();
    assert_eq!(reset, r#"{"channels":["a"],"reason":"expired"}"#);
    app.publish_well("a", "7");
    source.until("7", |state| state.texts().contains(&"7"));
    assert_eq!(source.state().texts(), ["1", "7"]);
    assert_eq!(source.state().heads.len(), 1);
}

#[test]
fn two_users_that_are_repaired_at_the_same_moment_never_see_each_others_events() {
    let mut pushpin = Pushpin::new(Settings::default());
    let control = Relay::to(pushpin.control);
    let config = settings_for(&url_through(&control, &pushpin));
    // All have the same endpoint, and differ by who they are. Two share their channels too, but not their session.
    let mount = Mount::new(PATH).authorize(|request| match request.header("x-user") {
        Some(user) => Access::channels([format!("user-{}", user.trim_end_matches('2'))]).user(user),
        None => Access::forbid("who are you?"),
    });
    let app = App::at("127.0.0.1:0", config, mount);
    let origin = Relay::to(app.address());
    pushpin.start(origin.address);
    let users = ["alice", "bob", "alice2"];
    let sources = users.map(|user| Source::with_headers(pushpin.http, PATH, &[("X-User", user)]).opened());

    control.act(|_| Act::Answer(200));
    for user in ["alice", "bob"] {
        app.publish_well(&format!("user-{user}"), &format!("lost of {user}"));
    }
    origin.act(|_| Act::Delay(Duration::from_millis(700)));
    let before = origin.seen().len();
    control.act(|_| Act::Pass);
    for user in ["alice", "bob"] {
        app.publish_well(&format!("user-{user}"), &format!("next of {user}"));
    }
    for (source, user) in sources.iter().zip(["alice", "bob", "alice"]) {
        source.expect_texts(&[format!("lost of {user}"), format!("next of {user}")]);
    }
    origin.act(|_| Act::Pass);
    for user in ["alice", "bob"] {
        app.publish_well(&format!("user-{user}"), &format!("later of {user}"));
    }
    for (source, user) in sources.iter().zip(["alice", "bob", "alice"]) {
        source.expect_texts(&["lost", "next", "later"].map(|text| format!("{text} of {user}")));
        assert_eq!(source.state().heads.len(), 1);
    }
    let links: std::collections::BTreeSet<String> =
        origin.seen()[before..].iter().map(|seen| seen.target.clone()).collect();
    assert_eq!(links.len(), users.len(), "each session asks for itself: {links:?}");
}

/// A body over 100,000 bytes goes through Pushpin piece by piece, while it comes.
#[test]
fn megabytes_that_were_lost_or_missed_come_whole() {
    let (pushpin, relay, app) = start(|config| config);
    let source = Source::open(pushpin.http, &target(["a"])).opened();
    app.publish_well("a", "first");
    source.expect_texts(&["first"]);
    let first_id = source.state().last_id.clone();
    relay.act(|_| Act::Answer(200));
    let mut texts = vec!["first".to_owned()];
    texts.extend((0..40).map(|number: usize| format!("{number} {}", "x".repeat(100_000))));
    texts[1..].iter().for_each(|text| app.publish_well("a", text));
    relay.act(|_| Act::Pass);
    texts.push("last".to_owned());
    app.publish_well("a", "last");
    source.expect_texts(&texts);
    assert_eq!(source.state().heads.len(), 1);

    let back = Source::resume(pushpin.http, &target(["a"]), &[], &first_id);
    back.expect_texts(&texts[1..]);
    app.publish_well("a", "after all");
    texts.push("after all".to_owned());
    back.expect_texts(&texts[1..]);
    for source in [source, back] {
        let state = source.state();
        assert_eq!((state.heads.len(), state.count("stream-reset")), (1, 0));
    }
}

#[test]
fn two_users_that_come_back_at_the_same_moment_never_see_each_others_events() {
    let mut pushpin = Pushpin::new(Settings::default());
    let mount = Mount::new(PATH).authorize(|request| match request.header("x-user") {
        Some(user) => Access::channels([format!("user-{user}")]).user(user),
        None => Access::forbid("who are you?"),
    });
    let app = App::at("127.0.0.1:0", settings_for(&pushpin.grip_url()), mount);
    let origin = Relay::to(app.address());
    pushpin.start(origin.address);
    let users = ["alice", "bob"];
    let last_ids = users.map(|user| {
        let source = Source::with_headers(pushpin.http, PATH, &[("X-User", user)]).opened();
        source.state().last_id.clone()
    });
    assert_eq!(last_ids[0], last_ids[1], "nothing but the users tells their requests apart");
    for user in users {
        app.publish_well(&format!("user-{user}"), &format!("missed by {user}"));
    }
    origin.act(|_| Act::Delay(Duration::from_millis(700)));
    let sources = users.map(|user| Source::resume(pushpin.http, PATH, &[("X-User", user)], &last_ids[0]));
    for user in users {
        app.publish_well(&format!("user-{user}"), &format!("later for {user}"));
    }
    for (source, user) in sources.iter().zip(users) {
        source.expect_texts(&[format!("missed by {user}"), format!("later for {user}")]);
        assert_eq!(source.state().count("stream-reset"), 0);
    }
}

#[test]
fn a_link_that_is_refused_ends_the_stream_and_the_client_comes_back() {
    let mut pushpin = Pushpin::new(Settings::default());
    let config = |secret: &str| settings_for(&pushpin.grip_url()).grip_link_secret(secret.into());
    let (old, new) = (config("the secret of yesterday"), config("the secret of today"));
    let app = App::new(old);
    let origin = app.address();
    pushpin.start(origin);
    let source = Source::open(pushpin.http, &target(["a"])).opened();
    app.publish_well("a", "1");
    source.expect_texts(&["1"]);
    app.close();

    let app = App::at(&origin.to_string(), new, Mount::new(PATH));
    app.publish_well("a", "2");
    source.until("it is back", |state| state.heads.len() == 2 && state.count("stream-reset") == 1);
    assert!(app.events.stats().grip_refused >= 1);
    app.publish_well("a", "3");
    source.until("3", |state| state.texts().contains(&"3"));
}

#[test]
fn an_event_that_was_sent_twice_arrives_once() {
    let (pushpin, relay, app) = start(|config| config);
    let source = Source::open(pushpin.http, &target(["a"])).opened();
    // The answer to every other request gets lost: the proxy has the event, and the publisher does not know.
    let (control, count) = (pushpin.control, AtomicUsize::new(0));
    relay.act(move |seen| {
        if count.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
            return Act::Pass;
        }
        let mut socket = std::net::TcpStream::connect(control).unwrap();
        let request = format!(
            "POST /publish/ HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{}",
            seen.body.len(),
            seen.body
        );
        std::io::Write::write_all(&mut socket, request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        std::io::Read::read_exact(&mut socket, &mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        Act::Cut
    });
    let texts = super::texts("", 5);
    for text in &texts {
        app.publish_well("a", text);
    }
    source.expect_texts(&texts);
    assert_eq!(relay.seen().len(), 10);
}

#[test]
fn a_proxy_that_is_slow_holds_up_nobody_else() {
    let mut pushpin = Pushpin::new(Settings::default());
    let stalled = Relay::accepting();
    stalled.act(|_| Act::Stall);
    let config = settings_for(&pushpin.grip_url()).grip_deadline_ms(2_000);
    let config = config.grip(vec![stalled.url().as_str().into(), pushpin.grip_url().as_str().into()]);
    let app = App::new(config);
    pushpin.start(app.address());
    let held = Source::open(pushpin.http, &target(["a"])).opened();
    let direct = Source::open(app.address(), &target(["a"])).opened();
    let receipt = app.publish("a", "1");
    assert_eq!(receipt.streams, 1);
    held.expect_texts(&["1"]);
    direct.expect_texts(&["1"]);
    let results = receipt.wait(PATIENCE).unwrap();
    assert_eq!(results[0].result.as_ref().unwrap_err().kind(), ErrorKind::ProxyUnavailable);
    assert!(results[1].result.is_ok());
    until("the failure is counted", || app.events.stats().publish_failures == 1);
}
