//! Panics of others' code while events are published to a proxy: wakers, and what listens to the log.

#![cfg(feature = "runtime")]

mod common;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};

use common::{Act, PATIENCE, Relay, hear_log};
use evstream::{Config, ErrorKind, Event, Events, Receipt};
use tracing::Level;

struct Bad;

impl Wake for Bad {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

fn kind(receipt: &Receipt) -> Option<ErrorKind> {
    let results = receipt.wait(PATIENCE).unwrap();
    results[0].result.as_ref().err().map(evstream::Error::kind)
}

fn publish(events: &Events, text: &str) -> Receipt {
    events.publish("a", Event::text(text)).unwrap()
}

#[test]
fn a_waker_that_panics_harms_nobody_else() {
    let proxy = Relay::accepting();
    let go_on = Arc::new(AtomicBool::new(false));
    let held = go_on.clone();
    proxy.act(move |_| Act::Answer(if held.load(Ordering::SeqCst) { 200 } else { 503 }));
    let events = Events::new(Config::new().grip(vec![proxy.url().into()])).unwrap();
    let first = publish(&events, "1");
    let mut delivered = pin!(first.delivered());
    let waker = Waker::from(Arc::new(Bad));
    assert!(delivered.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let second = publish(&events, "2");
    go_on.store(true, Ordering::SeqCst);
    assert_eq!((kind(&first), kind(&second)), (None, None));
    assert_eq!(kind(&publish(&events, "3")), None);
}

#[test]
fn a_panic_in_the_middle_costs_no_more_than_the_events_under_way() {
    let has_panicked = AtomicBool::new(false);
    // At a warning, which comes from the middle of publishing.
    hear_log(move |metadata| {
        let is_meant = *metadata.level() <= Level::WARN && metadata.target().starts_with("evstream::publish");
        assert!(!is_meant || has_panicked.swap(true, Ordering::SeqCst), "a log that panics");
    });
    let proxy = Relay::accepting();
    proxy.act(|_| Act::Answer(401));
    let events = Events::new(Config::new().grip(vec![proxy.url().into()])).unwrap();
    assert_eq!(kind(&publish(&events, "1")), Some(ErrorKind::Internal));
    proxy.act(|_| Act::Answer(200));
    assert_eq!(kind(&publish(&events, "2")), None);
    assert_eq!(events.stats().publish_failures, 1);
    assert_eq!(events.close(PATIENCE).unwrap().undelivered, 0);
}
