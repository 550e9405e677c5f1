//! Ending streams from outside, for hosts that are about to stop.

#![cfg(feature = "runtime")]

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use evstream::{Access, Config, Event, Events, Message, Mount, Request};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_finished_pull_gives_last_words_once() {
    let events = Events::new(Config::new()).unwrap();
    let request = Request { method: "GET", path: "/", query: "channel=a", headers: &[], peer: None };
    let mut pull = events.pull(events.open_request(&request, Access::allow()).stream.unwrap()).unwrap();
    let words = pull.finish().unwrap();
    assert!(words.starts_with(b"event: stream-close\n"), "{words:?}");
    assert_eq!(pull.finish(), None);
    assert_eq!(pull.next_timeout(SOON).unwrap(), None);
    assert_eq!(events.stats().open, 0);
}

#[test]
fn ended_streams_ask_clients_to_come_back_and_others_may_come() {
    let events = Events::new(Config::new()).unwrap();
    events.end_streams(SOON); // there is none, and no engine either
    let server = events.server().mount(Mount::new("/")).bind("127.0.0.1:0").unwrap();
    for _ in 0..2 {
        let mut client = TcpStream::connect(server.address().to_string()).unwrap();
        client.set_read_timeout(Some(SOON)).unwrap();
        client.write_all(b"GET /?channel=a HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut lines = BufReader::new(client).lines().map(Result::unwrap);
        assert!(lines.any(|line| line == "event: stream-open"));
        // The socket may still be on its way to the engine.
        loop {
            events.end_streams(SOON);
            if events.stats().open == 0 {
                break;
            }
            std::thread::yield_now();
        }
        assert!(lines.any(|line| line == r#"data: {"reason":"shutdown"}"#));
    }
}

/// A subscriber is no client, whom somebody else could serve.
#[test]
fn subscriptions_go_on() {
    let events = Events::new(Config::new()).unwrap();
    let mut subscription = events.subscribe(["a"]).unwrap();
    events.end_streams(SOON);
    events.publish("a", Event::text("x")).unwrap();
    let Some(Message::Event(event)) = subscription.next_timeout(SOON).unwrap() else { panic!() };
    assert_eq!(event.data, "x");
}
