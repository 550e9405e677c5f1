//! Whether processes that share a journal are one.
//!
//! A [`Run`] starts processes that publish numbered events and serve streams, and clients that move between them with their last
//! id. A test does to the journal and the processes what it likes, and asks for the [`Verdict`], which holds what
//! everybody has seen against the promises:
//!
//! 1. a place is that of one event, and an event has one place, over all processes;
//! 2. each stream is contiguous in the shared order per channel, or has a `stream-reset` that names the channel and comes after the loss;
//! 3. nothing comes twice without a reset;
//! 4. each publish ends, acknowledged or with an error;
//! 5. what was acknowledged and is lost, or has failed, is told.
//!
//! Runs draw from a seed, which a failure prints; `EVSTREAM_SEED=n` uses it again, and `EVSTREAM_JOURNAL_SECONDS=n` makes
//! the scenarios longer.

#[path = "../../../core/tests/common/body.rs"]
#[expect(unreachable_pub, reason = "the core's tests share it")]
#[expect(dead_code, reason = "the same")]
mod body;
pub mod client;
pub mod node;
pub mod relay;
mod run;
mod verdict;
mod way;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use run::{Plan, Run};
pub use verdict::Verdict;

/// Where publishers publish.
pub const CHANNELS: [&str; 5] = ["ch0", "ch1", "ch2", "ch3", "ch4"];

/// How long anything may take before a check fails: long, because other programs use the machine too.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Microseconds since 1970, which all processes of a run share.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

/// Waits until `condition` holds.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How long the middle of a scenario lasts.
pub fn seconds(default: u64) -> Duration {
    let set = std::env::var("EVSTREAM_JOURNAL_SECONDS").ok();
    Duration::from_secs(
        set.map_or(default, |text| text.parse().expect("EVSTREAM_JOURNAL_SECONDS is a number")),
    )
}
