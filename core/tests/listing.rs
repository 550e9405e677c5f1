//! Which streams are open, whose they are, and how far behind.

#![cfg(feature = "runtime")]

mod common;

use std::sync::mpsc;

use evstream::{
    Access, CloseReason, Config, ErrorKind, Event, Events, Mount, Observer, OpenStream, Request, Stream, Who,
};

use crate::common::{Client, Conn, PATH, PATIENCE, noise, serve_mounts, until};

/// A mount whose clients are who they say.
fn by_name() -> Mount {
    Mount::new(PATH).authorize(|request| {
        let access = Access::channels(["room", "lobby"]);
        match request.query.strip_prefix("user=") {
            Some(user) => access.user(user),
            None => access,
        }
    })
}

fn users(streams: &[OpenStream]) -> Vec<&str> {
    streams.iter().map(|stream| stream.user.as_deref().unwrap_or("nobody")).collect()
}

#[test]
fn streams_are_found_by_user_channel_and_id() {
    let (events, server) = serve_mounts(Config::new().shards(2), [by_name()]);
    let _clients = ["?user=bob", "?user=eve", "", "?user=bob"]
        .map(|query| Client::open(&server, &format!("{PATH}{query}")));
    let request = Request { method: "GET", path: "/", query: "channel=room", headers: &[], peer: None };
    let reply = events.open_request(&request, Access::channels(["other"]).user("amy"));
    let pulled = events.pull(reply.stream.unwrap()).unwrap();
    let _reader = events.subscribe(["room"]).unwrap();

    // The last ones may still be on their way to the engine.
    until("all are there", || events.streams(Who::everyone()).unwrap().len() == 5);
    let all = events.streams(Who::everyone()).unwrap();
    assert!(all.is_sorted_by_key(|stream| std::cmp::Reverse(stream.age_ms)));
    let bobs = events.streams(Who::new().user("bob")).unwrap();
    assert_eq!(users(&bobs), ["bob", "bob"]);
    assert_eq!(bobs[0].channels, ["room", "lobby"]);
    assert!(bobs[0].address.unwrap().is_loopback());
    assert_eq!(events.streams(Who::new().stream(&bobs[0].id)).unwrap()[0].id, bobs[0].id);
    assert_eq!(events.streams(Who::new().user("bob").channel("other")).unwrap(), []);
    let amys = events.streams(Who::new().channel("other")).unwrap();
    assert_eq!((users(&amys), amys[0].address), (vec!["amy"], None));
    assert_eq!(events.users("room").unwrap(), ["bob", "eve"]);

    // What was found is who is ended.
    events.disconnect(Who::new().stream(&bobs[0].id), "you").unwrap();
    until("it is gone", || events.streams(Who::new().user("bob")).unwrap().len() == 1);
    pulled.close(CloseReason::Client);
    assert_eq!(events.users("other").unwrap(), Vec::<String>::new());
}

#[test]
fn those_who_are_behind_are_told_apart() {
    let (events, server) = serve_mounts(Config::new(), [by_name()]);
    let mut slow = Conn::with_small_buffer(&server);
    slow.request("GET", &format!("{PATH}?user=slow"), &[]);
    let mut quick = Client::open(&server, &format!("{PATH}?user=quick"));
    let behind =
        |user: &str| events.streams(Who::new().user(user)).unwrap().first().map(|stream| stream.behind);
    until("both are there", || behind("slow").is_some() && behind("quick").is_some());
    let text = noise(100_000, 1);
    for _ in 0..100 {
        events.publish("room", Event::text(&text)).unwrap();
        assert_eq!(quick.data(), text);
    }
    until("one is level", || behind("quick") == Some(0));
    assert!((1..=100).contains(&behind("slow").unwrap()));

    let request = Request { method: "GET", path: "/", query: "", headers: &[], peer: None };
    let reply = events.open_request(&request, Access::channels(["room"]).user("pulled"));
    let mut pulled = events.pull(reply.stream.unwrap()).unwrap();
    events.publish("room", Event::text("1")).unwrap();
    events.publish("room", Event::text("2")).unwrap();
    until("it has a shard", || behind("pulled").is_some());
    assert_eq!(behind("pulled"), Some(2));
    while behind("pulled") != Some(0) {
        pulled.next_timeout(PATIENCE).unwrap().unwrap();
    }
}

/// Lists streams where that cannot be.
struct Asking(Events, mpsc::Sender<ErrorKind>);

impl Observer for Asking {
    fn stream_closed(&self, _: &Stream, _: CloseReason) {
        let refused = self.0.streams(Who::everyone()).map_err(|error| error.kind());
        let _ = self.1.send(refused.expect_err("it would wait for itself"));
    }
}

#[test]
fn what_cannot_be_listed_is_refused() {
    let (events, server) = serve_mounts(Config::new().shards(1), [by_name()]);
    let kind = |who| events.streams(who).unwrap_err().kind();
    for who in [Who::new(), Who::new().user(""), Who::new().user("bob").channel("")] {
        assert_eq!(kind(who), ErrorKind::InvalidArgument);
    }
    assert_eq!(events.users("").unwrap_err().kind(), ErrorKind::InvalidArgument);

    let (asked, refused) = mpsc::channel();
    events.observe(Asking(events.clone(), asked)).unwrap();
    let _client = Client::open(&server, PATH);
    until("it is there", || events.streams(Who::everyone()).unwrap().len() == 1);
    events.disconnect(Who::everyone(), "over").unwrap();
    assert_eq!(refused.recv_timeout(PATIENCE).unwrap(), ErrorKind::InvalidArgument);

    events.close(PATIENCE).unwrap();
    assert_eq!(kind(Who::everyone()), ErrorKind::Closed);
}

#[test]
fn before_the_first_stream_there_is_none() {
    let events = Events::new(Config::new()).unwrap();
    assert_eq!(events.streams(Who::everyone()).unwrap(), []);
}
