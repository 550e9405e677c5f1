//! What a held stream gives its client when nothing goes wrong.

use std::sync::{Arc, Condvar, Mutex};

use evstream::Event;

use super::{Expect, Source, start, target, texts};
use crate::common::until;

#[test]
fn a_client_gets_what_is_published() {
    let (pushpin, app) = start(|config| config);
    let source = Source::open(pushpin.http, &target(["news"])).opened();
    let receipts: Vec<_> = ["one", "two\nlines", "ünd"].map(|text| app.publish("news", text)).into();
    receipts.iter().for_each(Expect::expect_delivered);
    app.events.publish("news", Event::text("named").name("x")).unwrap();
    source.expect_texts(&["one", "two\nlines", "ünd", "named"]);

    let state = source.state();
    let head = &state.heads[0];
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_eq!(head.header("cache-control"), Some("no-cache, no-transform"));
    assert!(head.headers.iter().all(|(name, _)| !name.starts_with("grip")), "{head:?}");
    assert_eq!(state.events[0].data, r#"{"channels":["news"]}"#);
    assert_eq!(state.events[4].name.as_deref(), Some("x"));
    for (event, receipt) in state.events[1..].iter().zip(&receipts) {
        assert_eq!(event.id, receipt.position().unwrap().to_string());
    }
    let stats = app.events.stats();
    assert_eq!((stats.opened, stats.grip_refused), (0, 0), "no stream of ours was opened");
    assert!(stats.held >= 1);
}

#[test]
fn a_client_that_comes_back_gets_what_it_missed() {
    let (pushpin, app) = start(|config| config);
    let source = Source::open(pushpin.http, &target(["a", "b"])).opened();
    app.publish_well("a", "one");
    source.expect_texts(&["one"]);
    let last_id = source.state().last_id.clone();
    drop(source);

    app.publish_well("b", "two");
    app.publish_well("other", "not for it");
    app.publish_well("a", "three");
    let source = Source::resume(pushpin.http, &target(["a", "b"]), &[], &last_id).opened();
    app.publish_well("a", "four");
    source.expect_texts(&["two", "three", "four"]);
    assert_eq!(source.state().count("stream-reset"), 0);
}

#[test]
fn quiet_streams_are_kept_alive() {
    let (pushpin, app) = start(|config| config.keep_alive_ms(1_000));
    let source = Source::open(pushpin.http, &target(["quiet"])).opened();
    source.until("keep-alives", |state| state.count("keep-alive") >= 2);
    app.publish_well("quiet", "still there");
    source.expect_texts(&["still there"]);

    let (pushpin, _app) = start(|config| config.keep_alive_ms(1_000).keep_alive_comment(true));
    let source = Source::open(pushpin.http, &target(["quiet"])).opened();
    source.until("comments", |state| String::from_utf8_lossy(&state.text).matches("\n:\n\n").count() >= 2);
    assert_eq!(source.state().events.len(), 1, "a page sees none of them");
}

#[test]
fn channels_may_have_odd_names() {
    let names = ["a b", "100%", "\"quoted\"", "a,b;c=d", "räum 東京", "c++", "x/y?z#é", "^control", "\\"];
    let (pushpin, app) = start(|config| config);
    let source = Source::open(pushpin.http, &target(names)).opened();
    for name in names {
        app.publish_well(name, name);
    }
    source.expect_texts(&names);
    let mut channels: Vec<String> = {
        let json: serde_json::Value = serde_json::from_str(&source.state().events[0].data).unwrap();
        serde_json::from_value(json["channels"].clone()).unwrap()
    };
    channels.sort();
    let mut expected = names.map(str::to_owned);
    expected.sort();
    assert_eq!(channels, expected);
    assert_eq!(source.state().heads.len(), 1);
}

#[test]
fn events_of_a_burst_keep_their_order() {
    let (pushpin, app) = start(|config| config);
    let source = Source::open(pushpin.http, &target(["a", "b", "c"])).opened();
    let texts = texts("", 600);
    for (text, channel) in texts.iter().zip(["a", "b", "c"].iter().cycle()) {
        app.publish(channel, text);
    }
    source.expect_texts(&texts);
    let ids: Vec<String> = source.state().events.iter().map(|event| event.id.clone()).collect();
    assert!(ids.is_sorted());
}

#[test]
fn five_hundred_clients_get_every_event_once() {
    const CLIENTS: usize = 500;
    const OPENING: usize = 30; // more at once than about a hundred are too many for Pushpin
    let (pushpin, app) = start(|config| config.channel_limit(2));
    let gate = Arc::new((Mutex::new(OPENING), Condvar::new()));
    let sources: Vec<Source> = (0..CLIENTS)
        .map(|_| {
            let (free, changed) = &*gate;
            let mut free = changed.wait_while(free.lock().unwrap(), |free| *free == 0).unwrap();
            *free -= 1;
            drop(free);
            let source = Arc::new(Source::open(pushpin.http, &target(["crowd"])));
            let (gate, waiting) = (gate.clone(), source.clone());
            std::thread::spawn(move || {
                waiting.until("stream-open", |state| state.count("stream-open") > 0);
                drop(waiting);
                *gate.0.lock().unwrap() += 1;
                gate.1.notify_all();
            });
            source
        })
        .collect::<Vec<_>>()
        .into_iter()
        .map(|mut source| {
            loop {
                // Ours alone as soon as its stream is open.
                match Arc::try_unwrap(source) {
                    Ok(source) => break source,
                    Err(shared) => source = shared,
                }
                std::thread::yield_now();
            }
        })
        .collect();
    until("all are held", || app.events.stats().held >= CLIENTS as u64);
    let texts = texts("", 20);
    for text in &texts {
        app.publish_well("crowd", text);
    }
    for source in &sources {
        source.expect_texts(&texts);
        assert_eq!(source.state().count("stream-reset"), 0);
    }
    let connections: usize = sources.iter().map(|source| source.state().heads.len()).sum();
    assert!(connections < CLIENTS * 2, "{connections} connections of {CLIENTS} clients");
}

#[test]
fn without_history_streams_are_held_without_a_link() {
    let (pushpin, app) = start(|config| config.history_events(0));
    let source = Source::open(pushpin.http, &target(["now"])).opened();
    let texts = texts("", 50);
    for text in &texts {
        app.publish_well("now", text);
    }
    source.expect_texts(&texts);
    assert_eq!(app.events.stats().repairs, 0);
}
