//! Rights over a held stream's life: ended by user, by channel, and by their time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evstream::{Access, Config, ErrorKind, Event, Mount, Who};

use super::{App, Expect, Pushpin, Settings, Source, settings_for, settings_of_several, target};
use crate::common::{PATH, PATIENCE, until};

fn of_users(path: &str, user: &'static str) -> Mount {
    Mount::new(path).authorize(move |_| Access::allow().user(user))
}

/// An application with `/events/` of that user behind a Pushpin.
fn start_for(user: &'static str, config: impl FnOnce(Config) -> Config) -> (Pushpin, App) {
    let mut pushpin = Pushpin::new(Settings::default());
    let app = App::at("127.0.0.1:0", config(settings_for(&pushpin.grip_url())), of_users(PATH, user));
    pushpin.start(app.address());
    (pushpin, app)
}

/// Waits until the stream is one that Pushpin has subscribed: it gets what is published.
fn held(app: &App, source: &Source, channel: &str, text: &str) {
    app.publish_well(channel, text);
    source.until("it is held", |state| state.texts().contains(&text));
}

fn errors(source: &Source) -> Vec<String> {
    let state = source.state();
    let errors = state.events.iter().filter(|event| event.name.as_deref() == Some("stream-error"));
    errors.map(|event| event.data.clone()).collect()
}

/// Ids that a proxy has seen in the last minute would be dropped.
#[test]
fn a_user_is_disconnected_twice_within_a_minute() {
    let (pushpin, app) = start_for("b,o;b=\"ä\"", |config| config);
    for turn in ["once", "twice"] {
        let source = Source::open(pushpin.http, &target(["room"])).opened();
        held(&app, &source, "room", turn);
        app.events
            .disconnect(Who::new().user("somebody else"), "not for it")
            .unwrap()
            .wait(PATIENCE)
            .unwrap();
        app.events.disconnect(Who::new().user("b,o;b=\"ä\""), turn).unwrap().wait(PATIENCE).unwrap();
        app.publish_well("room", "secret");
        // As a client that knows of it stays away: Pushpin refuses it.
        source.until("it is refused for good", |state| state.refused == Some(400));
        let told = format!(r#"{{"channels":[],"condition":"forbidden","text":"{turn}"}}"#);
        assert_eq!(errors(&source), [told]);
        assert_eq!(source.state().texts(), [turn]);
    }
}

#[test]
fn a_user_is_disconnected_from_one_channel_with_an_odd_name() {
    let (pushpin, app) = start_for("bob", |config| config);
    let room = Source::open(pushpin.http, &target(["room/ä", "other"])).opened();
    let other = Source::open(pushpin.http, &target(["other"])).opened();
    held(&app, &room, "other", "1");
    held(&app, &other, "other", "2");
    room.expect_texts(&["1", "2"]);
    let ended = app.events.disconnect(Who::new().user("bob").channel("room/ä"), "you have left").unwrap();
    assert!(!ended.is_local_only());
    ended.wait(PATIENCE).unwrap();
    room.until("it is refused for good", |state| state.refused == Some(400));
    assert_eq!(errors(&room), [r#"{"channels":["room/ä"],"condition":"forbidden","text":"you have left"}"#]);
    app.publish_well("other", "3");
    other.expect_texts(&["1", "2", "3"]);
    assert_eq!(room.state().texts(), ["1", "2"]);
}

/// With few channels, where each has a channel for hints, with many, where there is one for all, and without hints.
#[test]
fn all_streams_of_a_channel_come_back_and_miss_nothing() {
    for (count, config) in [
        (1, settings_for as fn(&str) -> Config),
        (9, settings_for),
        (18, settings_for),
        (3, settings_of_several),
    ] {
        let mut pushpin = Pushpin::new(Settings::default());
        let app =
            App::at("127.0.0.1:0", config(&pushpin.grip_url()).channel_limit(18), of_users(PATH, "bob"));
        pushpin.start(app.address());
        let names: Vec<String> = (0..count).map(|number| format!("c {number}")).collect();
        let source = Source::open(pushpin.http, &target(names.iter().map(|name| &**name))).opened();
        let aside = Source::open(pushpin.http, &target(["aside"])).opened();
        let last = names.last().unwrap();
        held(&app, &source, last, "before");
        held(&app, &aside, "aside", "before");
        app.events.reopen(Who::new().channel(last)).unwrap().wait(PATIENCE).unwrap();
        app.publish_well(last, "after");
        source.until("it comes back", |state| state.count("stream-open") == 2);
        source.expect_texts(&["before", "after"]);
        assert!(
            source.state().events.iter().any(|event| event.data == r#"{"reason":"reauthorize"}"#),
            "{count}"
        );
        assert_eq!(aside.state().requests, 1, "with {count} channels");
        app.events.reopen(Who::everyone()).unwrap().wait(PATIENCE).unwrap();
        aside.until("all come back", |state| state.count("stream-open") == 2);
    }
}

/// A proxy puts the link off as long as *all* channels of a stream have traffic, so each stream is on one that has none.
#[test]
fn a_right_expires_on_a_busy_stream_too() {
    let mut pushpin = Pushpin::new(Settings::default());
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mount = Mount::new(PATH).authorize(move |_| Access::allow().user("bob").expires_at(now_s + 8));
    let config = settings_for(&pushpin.grip_url()).grip_link_timeout_ms(2_000);
    let app = App::at("127.0.0.1:0", config, mount);
    pushpin.start(app.address());
    let source = Source::open(pushpin.http, &target(["busy"])).opened();
    let mut number = 0;
    until("it is told to go", || {
        number += 1;
        app.publish_well("busy", &number.to_string());
        source.state().count("stream-close") > 0
    });
    let state = source.state();
    let close = state.events.iter().find(|event| event.name.as_deref() == Some("stream-close")).unwrap();
    assert_eq!(close.data, r#"{"reason":"max-age"}"#);
    drop(state);
    source.until("the right is over", |state| state.refused.is_some() || state.count("stream-error") > 0);
    assert!(app.events.stats().repairs >= 2, "links were asked while events came");
}

/// With as many channels as a stream may have.
#[test]
fn what_is_published_to_a_user_reaches_held_streams() {
    let config = |config: Config| config.user_channel(true).channel_limit(17);
    let (pushpin, app) = start_for("Jörg, \"j;\"", config);
    let names: Vec<String> = (0..17).map(|number| number.to_string()).collect();
    let sources = [
        Source::open(pushpin.http, &target(names.iter().map(|name| &**name))),
        Source::open(pushpin.http, PATH),
    ];
    let sources = sources.map(Source::opened);
    for text in ["1", "2"] {
        app.events.publish_to_user("Jörg, \"j;\"", Event::text(text)).unwrap().expect_delivered();
        app.events.publish_to_user("Jorg", Event::text("not for them")).unwrap().expect_delivered();
    }
    for source in &sources {
        source.expect_texts(&["1", "2"]);
    }
}

#[test]
fn a_proxy_that_is_away_is_said_to_be() {
    let events = evstream::Events::new(settings_for("http://127.0.0.1:1").grip_deadline_ms(200)).unwrap();
    let ended = events.disconnect(Who::new().user("bob"), "x").unwrap();
    assert_eq!(ended.wait(PATIENCE).unwrap_err().kind(), ErrorKind::ProxyUnavailable);
    // Which no proxy knows.
    let by_id = events.reopen(Who::new().stream("0-0")).unwrap();
    assert!(by_id.is_local_only());
    by_id.wait(Duration::ZERO).unwrap();
}
