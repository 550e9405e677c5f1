//! Programs that end in the middle, and come back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use evstream::{ErrorKind, Event, Mount, Observer, PublishFailure};

use super::{App, Expect, Pushpin, Settings, Source, settings_for, start, target, texts};
use crate::common::{PATH, PATIENCE, until};

#[test]
fn pushpin_restarts_and_nothing_is_lost() {
    let (mut pushpin, app) = start(|config| config);
    let sources = [&["a"][..], &["a", "b"]]
        .map(|channels| Source::open(pushpin.http, &target(channels.iter().copied())).opened());
    let texts = texts("", 15);
    texts[..5].iter().for_each(|text| app.publish_well("a", text));
    for source in &sources {
        source.expect_texts(&texts[..5]);
    }
    pushpin.stop();
    let receipts: Vec<_> = texts[5..10].iter().map(|text| app.publish("a", text)).collect();
    pushpin.start(app.address());
    receipts.iter().for_each(Expect::expect_delivered);
    texts[10..].iter().for_each(|text| app.publish_well("a", text));
    for source in &sources {
        source.expect_texts(&texts);
        assert_eq!(source.state().count("stream-reset"), 0);
    }
}

#[test]
fn pushpin_crashes_while_events_are_published_and_nothing_is_lost() {
    let (mut pushpin, app) = start(|config| config);
    let source = Source::open(pushpin.http, &target(["a"])).opened();
    let texts = texts("", 200);
    let receipts: Vec<_> = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let publish = |text: &String| {
                std::thread::sleep(Duration::from_millis(5)); // a steady flow
                app.publish("a", text)
            };
            texts.iter().map(publish).collect()
        });
        source.until("some have come", |state| state.texts().len() > 20);
        pushpin.crash();
        pushpin.start(app.address());
        publishing.join().unwrap()
    });
    receipts.iter().for_each(Expect::expect_delivered);
    source.expect_texts(&texts);
    assert_eq!(source.state().count("stream-reset"), 0);
    assert!(source.state().heads.len() >= 2);
}

#[test]
fn the_application_restarts_and_its_clients_are_told() {
    let mut pushpin = Pushpin::new(Settings { message_wait_ms: 60_000, ..Settings::default() });
    let config = settings_for(&pushpin.grip_url());
    let app = App::new(config.clone());
    let origin = app.address();
    pushpin.start(origin);
    let source = Source::open(pushpin.http, &target(["a", "b"])).opened();
    app.publish_well("a", "1");
    source.expect_texts(&["1"]);
    // Pushpin asks once after the first subscription to a channel, which would tell it too early.
    until("Pushpin has asked", || app.events.stats().repairs > 0);
    app.close();

    let app = App::at(&origin.to_string(), config, Mount::new(PATH));
    app.publish_well("a", "2");
    // Well before `message_wait` is over, which is how long Pushpin waits for an event that is missing.
    source.until("stream-reset", |state| state.count("stream-reset") == 1);
    app.publish_well("b", "3");
    source.until("3", |state| state.texts().last() == Some(&"3"));
    let state = source.state();
    assert_eq!(state.heads.len(), 1, "its connection to the proxy goes on");
    let reset = state.events.iter().find(|event| event.name.as_deref() == Some("stream-reset")).unwrap();
    assert_eq!(reset.data, r#"{"channels":["a","b"],"reason":"epoch"}"#);
}

struct Failures(Arc<AtomicUsize>, evstream::Channel);

impl Observer for Failures {
    fn publish_failed(&self, failure: &PublishFailure) {
        assert_eq!(failure.error.kind(), ErrorKind::ProxyUnavailable);
        if failure.channel != "events-a" {
            return; // what it has published itself
        }
        self.1.publish(Event::text("an observer may publish")).unwrap();
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn pushpin_is_away_for_longer_than_events_wait() {
    let (mut pushpin, app) = start(|config| config.grip_deadline_ms(1_500));
    let failures = Arc::new(AtomicUsize::new(0));
    app.events.observe(Failures(failures.clone(), app.events.channel("failures").unwrap())).unwrap();
    let source = Source::open(pushpin.http, &target(["a"])).opened();
    app.publish_well("a", "0");
    source.expect_texts(&["0"]);
    pushpin.crash();
    let receipts = ["1", "2", "3"].map(|text| app.publish("a", text));
    for receipt in &receipts {
        let error = receipt.wait(PATIENCE).unwrap().remove(0).result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ProxyUnavailable);
    }
    until("the application is told", || failures.load(Ordering::SeqCst) == 3);
    assert!(app.events.stats().publish_failures >= 3);
    pushpin.start(app.address());
    source.expect_texts(&["0", "1", "2", "3"]);
    app.publish_well("a", "4");
    source.expect_texts(&["0", "1", "2", "3", "4"]);
}
