//! What the integration tests share: a small client on real sockets, with a deadline on every wait.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test binary takes what it needs")]

mod body;
mod client;
mod log;
mod relay;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use evstream::{CloseReason, Config, Event, Events, Mount, ResetReason, Server};

pub use body::Unframe;
pub use client::{Client, Conn, Head, Over};
pub use log::hear_log;
pub use relay::{Act, Relay, Seen};

/// How long anything may take before a test fails: long, because other programs use the machine too.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Where [`serve`] mounts its streams.
pub const PATH: &str = "/events/";

/// A server on a free port of the loopback interface, with the channels that clients name.
pub fn serve(config: Config) -> (Events, Arc<Server>) {
    serve_mounts(config, [Mount::new(PATH)])
}

pub fn serve_mounts(config: Config, mounts: impl IntoIterator<Item = Mount>) -> (Events, Arc<Server>) {
    let events = Events::new(config).unwrap();
    let builder = mounts.into_iter().fold(events.server(), evstream::ServerBuilder::mount);
    let server = builder.bind("127.0.0.1:0").unwrap();
    (events, server)
}

/// Waits until `condition` holds.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// How many streams have ended for `reason`.
pub fn closed(events: &Events, reason: CloseReason) -> u64 {
    events.stats().closed.iter().find(|(r, _)| *r == reason).map_or(0, |(_, count)| *count)
}

/// How many resets were sent for `reason`.
pub fn resets(events: &Events, reason: ResetReason) -> u64 {
    events.stats().resets.iter().find(|(r, _)| *r == reason).map_or(0, |(_, count)| *count)
}

/// Publishes an event to the channel `a`, and gives back the place that the journal has given it.
pub fn publish_placed(events: &Events, text: &str) -> String {
    let receipt = events.publish("a", Event::text(text)).unwrap();
    receipt.wait(PATIENCE).unwrap();
    receipt.position().unwrap().to_string()
}

/// Publishes texts in turn.
pub fn publish<'a>(events: &Events, channel: &str, texts: impl IntoIterator<Item = &'a str>) {
    for text in texts {
        events.publish(channel, Event::text(text)).unwrap();
    }
}

/// Text of `bytes` bytes that is nowhere the same, so that a piece that is missing or twice there shows.
pub fn noise(bytes: usize, seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.alphanumeric()).take(bytes).collect()
}
