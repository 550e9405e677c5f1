//! Clients that fall behind: what they are told, and that nobody else notices.
#![cfg(feature = "runtime")]

mod common;

use common::{Client, Over, PATIENCE, closed, noise, publish, resets, serve, until};
use evstream::{CloseReason, Config, Event, Events, ResetReason, SlowClient};

const BACKLOG: u64 = 50;
const EVENT_BYTES: usize = 50_000;

fn config() -> Config {
    Config::new().backlog_events(BACKLOG).history_events(0).max_event_bytes(EVENT_BYTES as u64)
}

/// Publishes until more than the backlog is waiting for the one that does not read; `well` reads along. Gives back
/// the positions of all events.
fn leave_behind(events: &Events, well: &mut Client) -> Vec<String> {
    let mut positions = Vec::new();
    let text = noise(EVENT_BYTES, 1);
    // The sockets on both sides hold a few megabytes, which are not waiting.
    for _ in 0..400 {
        positions.push(events.publish("a", Event::text(&*text)).unwrap().position().unwrap().to_string());
        assert!(well.data() == text);
        let held = events.stats().history_bytes;
        assert!(held <= (BACKLOG + 1) * (EVENT_BYTES as u64 + 200), "{held} bytes are held");
    }
    positions
}

#[test]
fn one_reset_and_then_it_goes_on() {
    let (events, server) = serve(config());
    let mut slow = Client::open(&server, "/events/?channel=a&channel=b");
    let mut well = Client::open(&server, "/events/?channel=a");
    let positions = leave_behind(&events, &mut well);

    let mut before = 0;
    let reset = loop {
        let event = slow.event();
        if event.name.is_some() {
            break event;
        }
        assert_eq!(event.id, positions[before], "in order up to the gap");
        before += 1;
    };
    assert_eq!(reset.name.as_deref(), Some("stream-reset"));
    assert_eq!(reset.data, r#"{"channels":["a"],"reason":"overflow"}"#);
    let place =
        positions.iter().position(|position| *position == reset.id).expect("it names an event's place");
    assert!(place >= before, "it goes forward");
    for position in &positions[place + 1..] {
        assert_eq!(slow.expect("message").id, *position, "in order after the gap");
    }
    publish(&events, "b", ["level again"]);
    assert_eq!(slow.data(), "level again");
    assert_eq!(resets(&events, ResetReason::Overflow), 1);
    assert_eq!(events.stats().open, 2);
}

#[test]
fn or_it_is_closed_and_comes_back() {
    let (events, server) = serve(config().slow_client(SlowClient::Close));
    let mut slow = Client::open(&server, "/events/?channel=a");
    let mut well = Client::open(&server, "/events/?channel=a");
    let positions = leave_behind(&events, &mut well);

    let (data, over) = slow.read_to_end();
    assert_eq!(over, Over::Complete);
    assert_eq!(slow.last_id(), positions[data.len() - 1]);
    assert_eq!((slow.close_notice(), slow.retry_ms()), (Some("slow"), Some(2_000)));
    until("it was closed", || closed(&events, CloseReason::Slow) == 1);
    assert_eq!(events.stats().open, 1);
    assert_eq!(resets(&events, ResetReason::Overflow), 0);

    let mut back = Client::resume(&server, "/events/?channel=a", slow.last_id());
    back.expect("stream-open");
    let reset = back.expect("stream-reset");
    assert_eq!(reset.data, r#"{"channels":["a"],"reason":"expired"}"#);
    publish(&events, "a", ["x"]);
    assert_eq!([back.data(), well.data()], ["x", "x"]);
}

/// One that is slow but stays within the backlog is told nothing, because nothing was lost.
#[test]
fn within_the_backlog_nothing_is_lost() {
    let (events, server) = serve(Config::new().history_events(0).backlog_events(2_000));
    let mut slow = Client::open(&server, "/events/?channel=a");
    let text = noise(20_000, 2);
    let positions: Vec<String> = (0..2_000)
        .map(|_| events.publish("a", Event::text(&*text)).unwrap().position().unwrap().to_string())
        .collect();
    for position in positions {
        let event = slow.expect("message");
        assert_eq!(event.id, position);
        assert!(event.data == text);
    }
    assert!(server.close(PATIENCE));
    assert_eq!(slow.read_to_end(), (vec![], Over::Complete));
}
