//! Deadlines of pulled streams, whose drivers are blocked by clients that take nothing and ask for nothing.
#![cfg(feature = "runtime")]

mod common;

use std::{
    pin::pin,
    thread,
    time::{Duration, Instant},
};

use common::{PATIENCE, closed, noise, publish, until};
use evstream::{
    __internal::Decoder, Access, CloseReason, Config, Event, Events, Message, Observer, Pull, Request, Stream,
};
use http_body_util::BodyExt;

const REQUEST: Request<'static> =
    Request { method: "GET", path: "/", query: "channel=a", headers: &[], peer: None };

fn pull(events: &Events) -> Pull {
    events.pull(events.open_request(&REQUEST, Access::allow()).stream.unwrap()).unwrap()
}

/// All that is left, as text.
fn read_to_end(pull: &mut Pull) -> String {
    let mut text = Vec::new();
    while let Some(piece) = pull.next_timeout(PATIENCE).unwrap() {
        text.extend(piece);
    }
    String::from_utf8(text).unwrap()
}

fn until_closed(events: &Events, reason: CloseReason) {
    until(&format!("a stream ends for {}", reason.name()), || closed(events, reason) == 1);
    assert_eq!(events.stats().open, 0);
}

#[test]
fn one_that_nobody_asks_is_given_up_and_frees_its_place() {
    struct Told(std::sync::mpsc::Sender<CloseReason>);
    impl Observer for Told {
        fn stream_closed(&self, _: &Stream, reason: CloseReason) {
            self.0.send(reason).unwrap();
        }
    }
    for keep_alive_ms in [0, 20, 20_000] {
        let config = Config::new().write_timeout_ms(100).max_streams(1).keep_alive_ms(keep_alive_ms);
        let events = Events::new(config).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        events.observe(Told(tell)).unwrap();
        let mut pull = pull(&events);
        publish(&events, "a", ["unread"]);
        assert_eq!(told.recv_timeout(PATIENCE), Ok(CloseReason::WriteTimeout));
        until_closed(&events, CloseReason::WriteTimeout);
        assert!(events.open_request(&REQUEST, Access::allow()).stream.is_some());
        // Should the client be there after all, it is asked to come back.
        assert!(read_to_end(&mut pull).contains(r#"{"reason":"slow"}"#));
        assert!(pull.finish().is_none());
        drop(pull);
        assert_eq!(closed(&events, CloseReason::WriteTimeout), 1, "it is counted once");
    }
}

#[test]
fn one_whose_driver_does_not_come_back_is_given_up() {
    let events = Events::new(Config::new().write_timeout_ms(1_000).keep_alive_ms(0)).unwrap();
    let mut pull = pull(&events);
    // Level, and woken by nothing but its events.
    assert_eq!(pull.next_timeout(Duration::from_millis(20)).unwrap_err().code(), "timeout");
    publish(&events, "a", ["sent for ever"]);
    assert!(pull.next_timeout(PATIENCE).unwrap().is_some());
    until_closed(&events, CloseReason::WriteTimeout);
    assert!(read_to_end(&mut pull).starts_with("event: stream-close"));
}

#[test]
fn one_that_has_nothing_to_take_lives_on() {
    let events = Events::new(Config::new().write_timeout_ms(1_000).keep_alive_ms(0)).unwrap();
    let (mut waiting, mut level) = (pull(&events), pull(&events));
    assert_eq!(level.next_timeout(Duration::from_millis(20)).unwrap_err().code(), "timeout");
    // Longer than the timeout, in which one of them is not even asked.
    assert_eq!(waiting.next_timeout(Duration::from_millis(2_500)).unwrap_err().code(), "timeout");
    assert_eq!(events.stats().open, 2);
    publish(&events, "a", ["x"]);
    for pull in [&mut waiting, &mut level] {
        assert!(pull.next_timeout(PATIENCE).unwrap().unwrap().starts_with(b"data: x\n"));
    }
}

#[test]
fn age_comes_to_those_whom_nobody_asks() {
    let events = Events::new(Config::new().max_age_ms(50)).unwrap();
    let mut pull = pull(&events);
    until_closed(&events, CloseReason::MaxAge);
    assert!(read_to_end(&mut pull).contains(r#"{"reason":"max-age"}"#));
}

#[test]
fn ending_streams_ends_those_whom_nobody_asks_and_no_subscription() {
    let events = Events::new(Config::new()).unwrap();
    let (mut blocked, mut reading) = (pull(&events), pull(&events));
    let mut subscription = events.subscribe(["a"]).unwrap();
    publish(&events, "a", ["1"]);
    events.end_streams(Duration::from_secs(2));
    let text = read_to_end(&mut reading);
    assert!(text.starts_with("data: 1\n") && text.contains(r#"{"reason":"shutdown"}"#), "{text}");
    until("both have ended", || closed(&events, CloseReason::Shutdown) == 2);
    publish(&events, "a", ["2"]);
    for text in ["1", "2"] {
        let Some(Message::Event(event)) = subscription.next_timeout(PATIENCE).unwrap() else { panic!() };
        assert_eq!(event.data, text);
    }
    assert!(!read_to_end(&mut blocked).contains("data: 2"));
    // What is opened now is not meant.
    let mut late = pull(&events);
    publish(&events, "a", ["3"]);
    assert!(late.next_timeout(PATIENCE).unwrap().unwrap().starts_with(b"data: 3\n"));
}

#[test]
fn a_slow_client_gets_a_big_event_piece_by_piece() {
    let events = Events::new(Config::new().write_timeout_ms(2_000).keep_alive_ms(0)).unwrap();
    let mut pull = pull(&events);
    let big = noise(900_000, 1) + "\u{20ac}";
    publish(&events, "a", ["small", &big]);
    let (mut decoder, mut data) = (Decoder::new(), Vec::new());
    let before = Instant::now();
    while data.len() < 2 {
        let piece = pull.next_timeout(PATIENCE).unwrap().unwrap();
        assert!(piece.len() <= 64 * 1_024);
        data.extend(decoder.feed(&piece).into_iter().map(|event| event.data));
        thread::sleep(Duration::from_millis(150));
    }
    assert!(before.elapsed() > Duration::from_secs(2), "the test is slower than the timeout");
    assert!(data[0] == "small" && data[1] == big);
    assert_eq!(events.stats().open, 1);
}

#[test]
fn an_event_that_was_begun_is_finished_before_the_last_words() {
    let big = noise(200_000, 1);
    for end in ["finish", "time", "close"] {
        let write_timeout_ms = if end == "time" { 1_000 } else { 60_000 };
        let events = Events::new(Config::new().write_timeout_ms(write_timeout_ms)).unwrap();
        let mut pull = pull(&events);
        publish(&events, "a", [&*big]);
        let mut text = pull.next_timeout(PATIENCE).unwrap().unwrap().to_vec();
        match end {
            "finish" => text.extend(pull.finish().unwrap()),
            "time" => until_closed(&events, CloseReason::WriteTimeout),
            _ => drop(events.close(PATIENCE).unwrap()),
        }
        text.extend(read_to_end(&mut pull).into_bytes());
        let mut decoder = Decoder::new();
        let data: Vec<String> = decoder.feed(&text).into_iter().map(|event| event.data).collect();
        assert!(data.first() == Some(&big), "{end}");
        assert!(decoder.retry_ms().is_some(), "{end}");
    }
}

#[test]
fn a_driver_that_is_sending_learns_of_the_end() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let events = Events::new(Config::new().write_timeout_ms(100)).unwrap();
    let mut blocked = pull(&events);
    let before = (blocked.closed(), blocked.closed());
    publish(&events, "a", ["x"]);
    assert!(blocked.next_timeout(PATIENCE).unwrap().is_some());
    let wait = |closed| runtime.block_on(async { tokio::time::timeout(PATIENCE, closed).await.unwrap() });
    assert_eq!(wait(before.0), CloseReason::WriteTimeout);
    assert_eq!(wait(before.1), CloseReason::WriteTimeout);
    assert_eq!(runtime.block_on(blocked.closed()), CloseReason::WriteTimeout, "also when it is over");

    let dropped = pull(&events);
    let closed = dropped.closed();
    drop(dropped);
    assert_eq!(wait(closed), CloseReason::Dropped);
}

#[test]
fn a_body_that_is_not_polled_is_given_up() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let events = Events::new(Config::new().write_timeout_ms(100).max_streams(1)).unwrap();
    let respond = || {
        let (parts, ()) = http::Request::get("/?channel=a").body(()).unwrap().into_parts();
        events.respond(&parts, None, |_| Access::allow()).unwrap()
    };
    // One whose head the server could not even send, and one that it has begun to send.
    for polls in 0..2 {
        let body = respond().into_body();
        let closed = body.closed().unwrap();
        let mut body = pin!(body);
        events.publish("a", Event::text("x")).unwrap();
        for _ in 0..polls {
            assert!(runtime.block_on(body.frame()).is_some());
        }
        let reason = runtime.block_on(async { tokio::time::timeout(PATIENCE, closed).await.unwrap() });
        assert_eq!(reason, CloseReason::WriteTimeout);
        assert_eq!(events.stats().open, 0);
        // A server that can send again ends the response.
        let rest = runtime.block_on(async { tokio::time::timeout(PATIENCE, body.collect()).await.unwrap() });
        assert!(rest.unwrap().to_bytes().windows(7).any(|bytes| bytes == b"retry: "));
    }
    assert!(respond().body().closed().is_some());
    let (parts, ()) = http::Request::delete("/?channel=a").body(()).unwrap().into_parts();
    assert!(events.respond(&parts, None, |_| Access::allow()).unwrap().body().closed().is_none());
}
