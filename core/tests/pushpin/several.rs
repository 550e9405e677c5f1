//! Several publishers of the same channels: processes of one application, and other GRIP libraries.

use std::{io::Write, net::TcpStream, process::Command};

use evstream::{Config, Event, Events, ResetReason};

use super::{App, Expect, Pushpin, Settings, Source, settings_of_several, target};
use crate::common::{Act, Relay, resets, until};

/// Two processes of one application behind a Pushpin. Its requests go to them in turn, or all to the first.
fn start(in_turn: bool) -> (Pushpin, Relay, [App; 2]) {
    let mut pushpin = Pushpin::new(Settings::default());
    // Two events have nothing in common, as in two processes.
    let apps = [(); 2].map(|()| App::new(settings_of_several(&pushpin.grip_url())));
    let addresses = [apps[0].address(), apps[1].address()];
    let balancer = Relay::to(addresses[0]);
    let mut turn = 0;
    balancer.act(move |_| {
        turn += usize::from(in_turn);
        Act::To(addresses[turn % 2])
    });
    pushpin.start(balancer.address);
    (pushpin, balancer, apps)
}

#[test]
fn what_any_process_publishes_arrives_live_on_every_stream() {
    for in_turn in [false, true] {
        let (pushpin, _balancer, apps) = start(in_turn);
        let sources = [(); 4].map(|()| Source::open(pushpin.http, &target(["a", "b"])).opened());
        let mut texts = Vec::new();
        for number in 0..20 {
            let text = number.to_string();
            // Long runs of one and quick changes.
            let app = &apps[usize::from(number % 7 > 2)];
            app.publish_well(["a", "b"][number % 2], &text);
            texts.push(text);
        }
        for source in &sources {
            source.expect_texts(&texts);
            let state = source.state();
            assert_eq!((state.heads.len(), state.count("stream-reset")), (1, 0));
        }
        // And nobody asks for what was missed, which only one of them could answer.
        let asked: u64 = apps.iter().map(|app| app.events.stats().repairs).sum();
        assert_eq!(asked, 0);
    }
}

/// As a worker without streams does, such as one of Celery or a cron job.
#[test]
fn what_another_process_publishes_arrives_between_ours() {
    let (pushpin, _balancer, [app, _]) = start(false);
    let source = Source::open(pushpin.http, &target(["a"])).opened();
    let mut texts = Vec::new();
    for round in 0..3 {
        app.publish_well("a", &format!("ours {round}"));
        texts.push(format!("ours {round}"));
        let other = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "several::publish_from_another_process", "--ignored"])
            .env("GRIP_URL", pushpin.grip_url())
            .env("EVSTREAM_TEST_TEXT", format!("theirs {round}"))
            .output()
            .unwrap();
        assert!(other.status.success(), "{}", String::from_utf8_lossy(&other.stdout));
        texts.extend((0..5).map(|number| format!("theirs {round} {number}")));
    }
    source.expect_texts(&texts);
    let state = source.state();
    assert_eq!((state.heads.len(), state.count("stream-reset")), (1, 0));
}

#[test]
#[ignore = "a part of the test above, which runs it in a process of its own"]
fn publish_from_another_process() {
    let text = std::env::var("EVSTREAM_TEST_TEXT").unwrap();
    let events = Events::new(Config::new().grip_from_env()).unwrap();
    for number in 0..5 {
        events.publish("a", Event::text(format!("{text} {number}"))).unwrap().expect_delivered();
    }
}

#[test]
fn a_client_that_comes_back_resumes_where_it_was_or_is_told() {
    let (pushpin, balancer, [first, second]) = start(false);
    let source = Source::open(pushpin.http, &target(["a"])).opened();
    first.publish_well("a", "1");
    source.expect_texts(&["1"]);
    let last_id = source.state().last_id.clone();
    drop(source);
    first.publish_well("a", "2");

    let back = Source::resume(pushpin.http, &target(["a"]), &[], &last_id).opened();
    first.publish_well("a", "3");
    back.expect_texts(&["2", "3"]);
    assert_eq!(back.state().count("stream-reset"), 0);
    let last_id = back.state().last_id.clone();
    drop(back);

    let other = second.address();
    balancer.act(move |_| Act::To(other));
    let elsewhere = Source::resume(pushpin.http, &target(["a"]), &[], &last_id).opened();
    elsewhere.until("stream-reset", |state| state.count("stream-reset") == 1);
    assert_eq!(resets(&second.events, ResetReason::Epoch), 1);
    first.publish_well("a", "4");
    second.publish_well("a", "5");
    elsewhere.expect_texts(&["4", "5"]);
}

#[test]
fn megabytes_that_were_missed_come_whole() {
    let (pushpin, _balancer, [app, _]) = start(false);
    let source = Source::open(pushpin.http, &target(["a", "b"])).opened();
    app.publish_well("a", "first");
    source.expect_texts(&["first"]);
    let last_id = source.state().last_id.clone();
    drop(source);
    let mut texts: Vec<String> = (0..40).map(|number| format!("{number} {}", "x".repeat(100_000))).collect();
    for (text, channel) in texts.iter().zip(["a", "b"].iter().cycle()) {
        app.publish_well(channel, text);
    }
    let back = Source::resume(pushpin.http, &target(["a", "b"]), &[], &last_id);
    back.expect_texts(&texts);
    until_held(&app, &back);
    app.publish_well("a", "after all");
    texts.push("after all".to_owned());
    back.until("the last", |state| state.texts().last() == Some(&"after all"));
    let of_test = |text: &&str| *text != "held?";
    let state = back.state();
    assert_eq!(state.texts().into_iter().filter(of_test).collect::<Vec<_>>(), texts);
    assert_eq!((state.heads.len(), state.count("stream-reset")), (1, 0));
}

/// Waits until what is published arrives: where a proxy looks for no gaps, a stream that comes in pages misses what is
/// published before it has the last of them.
fn until_held(app: &App, source: &Source) {
    until("the stream is held", || {
        app.publish_well("b", "held?");
        source.state().texts().contains(&"held?")
    });
}

#[test]
fn items_of_other_libraries_arrive() {
    let (pushpin, _balancer, apps) = start(false);
    let source = Source::open(pushpin.http, &target(["a b"])).opened();
    apps[0].publish_well("a b", "ours");
    let place = ["", r#","id":"their-1""#, r#","id":"their-2","no-seq":true"#, r#","no-seq":true"#];
    let mut texts = vec!["ours".to_owned()];
    for (number, place) in place.into_iter().enumerate() {
        let text = format!("theirs {number}");
        let content = format!(r#"{{"http-stream":{{"content":"data: {text}\n\n"}}}}"#);
        let item = format!(r#"{{"channel":"events-a%20b"{place},"formats":{content}}}"#);
        publish_raw(&pushpin, &item);
        texts.push(text);
    }
    apps[1].publish_well("a b", "ours again");
    texts.push("ours again".to_owned());
    source.expect_texts(&texts);
}

/// Publishes as any program can.
fn publish_raw(pushpin: &Pushpin, item: &str) {
    let body = format!(r#"{{"items":[{item}]}}"#);
    let mut socket = TcpStream::connect(pushpin.control).unwrap();
    let head = format!("POST /publish/ HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
    socket.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = [0; 12];
    std::io::Read::read_exact(&mut socket, &mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}
