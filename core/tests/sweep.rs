//! What is too old goes, whoever is there to see to it.
#![cfg(feature = "runtime")]

mod common;

use std::time::SystemTime;

use common::{PATH, serve, until};
use evstream::{
    Access, Config, Event, Events, Request,
    grip::{Auth, Key},
};

const KEY: &str = "0123456789abcdef";
const HISTORY_AGE_MS: u64 = 200;

fn config() -> Config {
    Config::new().history_age_ms(HISTORY_AGE_MS)
}

fn publish(events: &Events) {
    for channel in ["a", "b"] {
        events.publish(channel, Event::text("x")).unwrap();
    }
    assert!(events.stats().history_bytes > 0);
}

fn until_gone(events: &Events) {
    until("the events are too old", || events.stats().history_bytes == 0);
}

#[test]
fn a_server_without_clients_drops_what_is_too_old() {
    let (events, _server) = serve(config());
    // Twice: in between there was nothing to sweep.
    for _ in 0..2 {
        publish(&events);
        until_gone(&events);
    }
}

#[test]
fn an_engine_that_sleeps_is_no_reason_to_keep_what_is_too_old() {
    let events = Events::new(config()).unwrap();
    let _subscription = events.subscribe(["other"]).unwrap();
    publish(&events);
    until_gone(&events);
}

#[test]
fn behind_a_proxy_what_is_too_old_goes_as_well() {
    let proxy = format!("http://127.0.0.1:1/?verify-key={KEY}");
    let events = Events::new(config().grip(vec![proxy.into()])).unwrap();
    let now_s = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let auth = Auth::jwt("pushpin", Key::parse(KEY).unwrap()).header(now_s).unwrap().unwrap();
    let signature = auth.value().strip_prefix("Bearer ").unwrap();
    let headers = [("Grip-Sig", signature.as_bytes())];
    let request = Request { method: "GET", path: PATH, query: "channel=a", headers: &headers, peer: None };
    let reply = events.open_request(&request, Access::allow());
    assert!(reply.stream.is_none(), "the proxy holds it");
    assert_eq!(events.stats().held, 1);
    publish(&events);
    until_gone(&events);
}

#[test]
fn who_only_publishes_drops_what_is_too_old_while_publishing() {
    let events = Events::new(config()).unwrap();
    publish(&events);
    until("the others are too old", || {
        let before = events.stats().history_bytes;
        events.publish("now and then", Event::text("x")).unwrap();
        events.stats().history_bytes < before
    });
}

#[test]
fn nobody_is_handed_what_is_too_old() {
    let events = Events::new(config()).unwrap();
    let old = events.position().to_string();
    let receipt = events.publish("a", Event::text("x")).unwrap();
    let query = format!("channel=a&last_event_id={old}");
    let request = Request { method: "GET", path: PATH, query: &query, headers: &[], peer: None };
    assert_eq!(receipt.position().unwrap().seq, 1);
    until("it is told of a gap", || {
        let reply = events.open_request(&request, Access::allow());
        String::from_utf8_lossy(&reply.body).contains("expired")
    });
}
