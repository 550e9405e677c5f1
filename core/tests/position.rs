//! A snapshot joined to a stream by the position from before it.
#![cfg(feature = "runtime")]

use std::{
    collections::BTreeSet,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use evstream::{Access, Config, Event, Events, Request};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn it_is_that_of_the_newest_event_on_any_channel() {
    let events = Events::new(Config::new()).unwrap();
    assert_eq!(events.position().seq, 0);
    for channel in ["a", "b", "a"] {
        let receipt = events.publish(channel, Event::text("x")).unwrap();
        assert_eq!(events.position(), receipt.position().unwrap());
    }
    events.close(Duration::ZERO).unwrap();
    assert_eq!(events.position().seq, 3);
}

/// Everybody stores a row and then publishes it; whoever reads the table and follows the stream has all rows.
#[test]
fn a_snapshot_and_the_stream_from_before_it_have_everything() {
    const WRITERS: usize = 2;
    const EACH: usize = 400;
    let events = Events::new(Config::new().history_events(10_000).backlog_events(10_000)).unwrap();
    let table = Mutex::new(BTreeSet::new());
    let all: BTreeSet<String> = (0..WRITERS * EACH).map(|row| row.to_string()).collect();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (events, table) = (&events, &table);
            scope.spawn(move || {
                for n in 0..EACH {
                    let row = (writer * EACH + n).to_string();
                    table.lock().unwrap().insert(row.clone());
                    events.publish("rows", Event::text(&*row)).unwrap();
                }
            });
        }
        for _ in 0..20 {
            let position = events.position();
            let mut rows = table.lock().unwrap().clone();
            follow(&events, &position.to_string(), &mut rows, &all);
        }
    });
}

/// Adds what the stream brings until `rows` has all.
fn follow(events: &Events, position: &str, rows: &mut BTreeSet<String>, all: &BTreeSet<String>) {
    let query = format!("channel=rows&last_event_id={position}");
    let request = Request { method: "GET", path: "/events/", query: &query, headers: &[], peer: None };
    let reply = events.open_request(&request, Access::allow());
    assert!(!String::from_utf8_lossy(&reply.body).contains("stream-reset"));
    let mut stream = events.pull(reply.stream.unwrap()).unwrap();
    let mut decoder = evstream::__internal::Decoder::new();
    let deadline = Instant::now() + PATIENCE;
    while rows != all {
        let chunk = stream.next_timeout(deadline.saturating_duration_since(Instant::now())).unwrap();
        let chunk = chunk.expect("a row is missing, and nothing comes");
        let events = decoder.feed(&chunk).into_iter();
        rows.extend(events.filter(|event| event.name.is_none()).map(|event| event.data));
    }
}
