//! What a proxy asks for at once: large answers come in pieces, of which none takes much memory.

#![cfg(feature = "runtime")]

use std::time::{SystemTime, UNIX_EPOCH};

use evstream::{
    __internal::Decoder,
    Access, Config, Event, Events, Reply, Request,
    grip::{Auth, Key},
};

const KEY: &str = "the key of these tests";

fn events(config: impl FnOnce(Config) -> Config) -> Events {
    let url = format!("http://127.0.0.1:1/?verify-key={}", KEY.replace(' ', "%20"));
    Events::new(config(Config::new().grip(vec![url.into()]).history_bytes(1 << 30))).unwrap()
}

/// Asks as a proxy does.
fn ask(events: &Events, path: &str, query: &str, headers: &[(&str, &str)]) -> Reply {
    ask_with(events, path, query, headers, Access::allow())
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn ask_with(events: &Events, path: &str, query: &str, headers: &[(&str, &str)], access: Access) -> Reply {
    let now_s = now_s();
    let auth = Auth::jwt("pushpin", Key::parse(KEY).unwrap()).header(now_s).unwrap().unwrap();
    let signature = auth.value().strip_prefix("Bearer ").unwrap();
    let headers: Vec<(&str, &[u8])> = headers
        .iter()
        .chain(&[("Grip-Sig", signature)])
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    let request = Request { method: "GET", path, query, headers: &headers, peer: None };
    events.open_request(&request, access)
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| &**value)
}

/// The path of a reply's link.
fn link(reply: &Reply) -> Option<String> {
    Some(header(reply, "Grip-Link")?.strip_prefix('<')?.split_once('>')?.0.to_owned())
}

/// Where a reply without a hold sends the proxy next.
fn next(reply: &Reply) -> Option<String> {
    link(reply).filter(|_| header(reply, "Grip-Hold").is_none())
}

/// Follows the links until the stream is held; gives back all replies.
fn follow(events: &Events, first: Reply) -> Vec<Reply> {
    let mut replies = vec![first];
    while let Some(path) = next(replies.last().unwrap()) {
        assert!(replies.len() < 100, "it comes to an end");
        replies.push(ask(events, &path, "", &[]));
    }
    assert_eq!(header(replies.last().unwrap(), "Grip-Hold"), Some("stream"));
    replies
}

fn texts(replies: &[Reply]) -> Vec<String> {
    let mut decoder = Decoder::new();
    let events = replies.iter().flat_map(|reply| decoder.feed(&reply.body));
    events.filter(|event| event.name.is_none()).map(|event| event.data).collect()
}

/// Publishes so many texts on channels in turn; gives them back.
fn publish(events: &Events, channels: &[&str], count: usize, bytes: usize) -> Vec<String> {
    let text = |number| format!("{number} {}", "x".repeat(bytes));
    let texts: Vec<String> = (0..count).map(text).collect();
    for (text, channel) in texts.iter().zip(channels.iter().cycle()) {
        events.publish(channel, Event::text(text)).unwrap();
    }
    texts
}

#[test]
fn what_a_client_missed_comes_in_pages() {
    for sole in [false, true] {
        let events = events(|config| config.grip_sole_publisher(sole));
        let first = events.publish("a", Event::text("first")).unwrap().position().unwrap().to_string();
        let expected = publish(&events, &["a", "b", "other", "c"], 400, 30_000);
        let expected: Vec<String> =
            expected.into_iter().enumerate().filter(|(number, _)| number % 4 != 2).map(|(_, t)| t).collect();
        let query = "channel=c&channel=a&channel=b";
        let replies = follow(&events, ask(&events, "/events/", query, &[("Last-Event-ID", &first)]));
        assert!(replies.iter().all(|reply| reply.body.len() < 1_100_000));
        assert!(replies.len() > 5);
        assert!(texts(&replies) == expected, "each once and in order");
    }
}

#[test]
fn what_a_proxy_missed_comes_in_pages() {
    let events = events(|config| config.grip_sole_publisher(true));
    let held = ask(&events, "/events/", "channel=a&channel=b", &[]);
    let link = link(&held).unwrap();
    let a = events.publish("a", Event::text("seen")).unwrap().position().unwrap();
    publish(&events, &["b"], 10, 100_000);
    let b = events.publish("b", Event::text("seen")).unwrap().position().unwrap();
    let mut expected = publish(&events, &["a", "b"], 60, 50_000);
    // It is further on one channel than on the other, where it has missed nothing before its place on the first.
    let lasts = [format!("events-a; last-id={a}"), format!("events-b; last-id={b}")];
    let headers = lasts.each_ref().map(|last| ("Grip-Last", &**last));
    let replies = follow(&events, ask(&events, &link, "", &headers));
    assert!(replies.len() > 2 && replies.iter().all(|reply| reply.body.len() < 1_100_000));
    assert!(texts(&replies) == expected, "each once and in order");

    // What is published between two pages comes in its place.
    let first = ask(&events, &link, "", &headers);
    expected.extend(publish(&events, &["b", "a"], 5, 10));
    let replies = follow(&events, first);
    assert!(texts(&replies) == expected);
}

#[test]
fn a_page_of_another_lifetime_is_told() {
    let events = events(|config| config.grip_link_secret("a secret that outlives it".into()));
    let first = events.publish("a", Event::text("first")).unwrap().position().unwrap().to_string();
    publish(&events, &["a"], 60, 50_000);
    let path = next(&ask(&events, "/events/", "channel=a", &[("Last-Event-ID", &first)])).unwrap();
    let another = self::events(|config| config.grip_link_secret("a secret that outlives it".into()));
    let reply = ask(&another, &path, "", &[]);
    assert!(String::from_utf8_lossy(&reply.body).contains(r#""reason":"epoch""#));
    assert_eq!(header(&reply, "Grip-Hold"), Some("stream"));
}

#[test]
fn where_no_gaps_are_looked_for_the_hold_comes_with_a_short_answer() {
    let events = events(|config| config);
    let first = events.publish("a", Event::text("first")).unwrap().position().unwrap().to_string();
    let expected = publish(&events, &["a"], 4, 5_000);
    let replies = follow(&events, ask(&events, "/events/", "channel=a", &[("Last-Event-ID", &first)]));
    assert_eq!((texts(&replies), replies.len()), (expected, 2));
    assert!(replies[1].body.is_empty());
    let short = ask(&events, "/events/", "channel=a", &[]);
    assert_eq!((header(&short, "Grip-Hold"), header(&short, "Grip-Link")), (Some("stream"), None));
}

/// What an access says beside its channels holds for a stream that a proxy has, too.
#[test]
fn a_held_stream_has_its_greeting_its_beginning_and_its_end() {
    let held = events(|config| config.grip_sole_publisher(true));
    held.publish("a", Event::text("before")).unwrap();
    let position = held.position();
    held.publish("a", Event::text("after")).unwrap();
    let snapshot = Event::text("snapshot");
    let access = Access::channels(["a"]).since(position).greet(&snapshot).expires_at(now_s() + 1);
    let reply = ask_with(&held, "/events/", "", &[], access);
    assert_eq!(header(&reply, "Grip-Hold"), Some("stream"));
    assert_eq!(texts(std::slice::from_ref(&reply)), ["snapshot", "after"]);
    let path = link(&reply).unwrap();
    let until_s = now_s() + 1;
    while now_s() <= until_s {
        std::thread::yield_now();
    }
    let ended = ask(&held, &path, "", &[]);
    assert_eq!(header(&ended, "Grip-Hold"), None);
    assert!(String::from_utf8_lossy(&ended.body).contains("stream-close"), "it is not held any more");
    // A proxy that never asks could not be told.
    let live = events(|config| config);
    let names = [("Accept", "text/event-stream")];
    let access = || Access::channels(["a"]).expires_at(now_s() + 60);
    let reply = ask_with(&live, "/events/", "", &names, access());
    assert_eq!(header(&reply, "Grip-Hold"), None);
    assert!(String::from_utf8_lossy(&reply.body).contains(r#"{"reason":"failed"}"#));
}
