//! The races of the log under the loom model checker, which goes through every order in which threads may take turns
//! and see each other's writes.
//!
//! `RUSTFLAGS="--cfg evstream_loom" cargo test -p evstream --no-default-features --lib --target-dir target/loom loom`

use std::sync::Arc;

use ::loom::{
    model::Builder,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::{Item, Limits, Log, Subscription, Watch};
use crate::wire::{Epoch, Event};

const LIMITS: Limits = Limits {
    history_events: 4,
    history_age_ms: 10_000,
    history_bytes: 1 << 20,
    backlog_events: 4,
    forget_after_ms: 180_000,
};

/// Every order with at most three switches away from a thread that could have gone on: more find no more, and take
/// hours.
fn check(race: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(race);
}

fn new_log(limits: Limits) -> Arc<Log> {
    Arc::new(Log::new(Epoch(1), limits))
}

fn publish(log: &Log, channel: &str) -> u64 {
    log.publish(&log.channel(channel, 0), &Event::text(""), 0).position.seq
}

/// Publishes to these channels on a thread of its own.
fn publisher(log: &Arc<Log>, channels: &'static [&str]) -> thread::JoinHandle<()> {
    let log = log.clone();
    thread::spawn(move || {
        for channel in channels {
            publish(&log, channel);
        }
    })
}

fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

fn seqs(items: &[Item]) -> Vec<u64> {
    items.iter().map(|item| item.seq).collect()
}

#[test]
fn a_reader_skips_nothing_that_is_appended_meanwhile() {
    check(|| {
        let log = new_log(LIMITS);
        let reader = Subscription::new(&log, ["a", "b"], 0);
        let publishers = [publisher(&log, &["a", "b"]), publisher(&log, &["a"])];
        let mut items = Vec::new();
        let cursor = reader.read(0, usize::MAX, &mut items).unwrap();
        join(publishers);
        assert_eq!(reader.read(cursor, usize::MAX, &mut items), Ok(3));
        assert_eq!(seqs(&items), [1, 2, 3]);
    });
}

#[test]
fn a_reader_that_stops_early_skips_nothing_either() {
    check(|| {
        let log = new_log(LIMITS);
        let reader = Subscription::new(&log, ["a", "b"], 0);
        publish(&log, "a");
        let publisher = publisher(&log, &["b", "a"]);
        let (mut items, mut cursor) = (Vec::new(), 0);
        cursor = reader.read(cursor, 0, &mut items).unwrap();
        publisher.join().unwrap();
        while cursor < 3 {
            cursor = reader.read(cursor, 0, &mut items).unwrap();
        }
        assert_eq!(seqs(&items), [1, 2, 3]);
    });
}

#[test]
fn a_reader_gets_all_that_comes_after_it_has_subscribed() {
    check(|| {
        let log = new_log(Limits { history_events: 0, ..LIMITS });
        log.channel("a", 0);
        let publisher = publisher(&log, &["a", "a"]);
        let reader = Subscription::new(&log, ["a"], 0);
        let cursor = log.head();
        publisher.join().unwrap();
        let mut items = Vec::new();
        assert_eq!(reader.read(cursor, usize::MAX, &mut items), Ok(2));
        assert_eq!(seqs(&items), (cursor + 1..=2).collect::<Vec<_>>());
    });
}

#[test]
fn a_reader_that_looks_when_woken_misses_nothing() {
    struct Flag(AtomicBool);
    impl Watch for Flag {
        fn wake(&self, _: usize) {
            self.0.swap(true, Ordering::AcqRel);
        }
    }
    check(|| {
        let log = new_log(LIMITS);
        let reader = Subscription::new(&log, ["a"], 0);
        let publishers = [publisher(&log, &["a"]), publisher(&log, &["a"])];
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let watcher = reader.channels()[0].watch(flag.clone(), 0);
        let mut items = Vec::new();
        let mut cursor = reader.read(0, usize::MAX, &mut items).unwrap();
        if flag.0.swap(false, Ordering::AcqRel) {
            watcher.rearm();
            cursor = reader.read(cursor, usize::MAX, &mut items).unwrap();
        }
        join(publishers);
        let sleeps = !flag.0.swap(false, Ordering::AcqRel);
        assert!(!sleeps || cursor == 2, "it sleeps at {cursor}, and nobody will wake it");
    });
}

#[test]
fn the_history_stays_in_bounds_whoever_publishes() {
    check(|| {
        let log = new_log(Limits { history_bytes: 150, ..LIMITS });
        let publishers = [publisher(&log, &["a"]), publisher(&log, &["b"])];
        publish(&log, "a");
        join(publishers);
        let held = |log: &Log| log.rings().into_values().map(|(_, bytes)| bytes).sum::<usize>();
        assert_eq!(log.stats().history_bytes, held(&log));
        assert!(held(&log) <= 150);
        // Every ring can still be found by its age.
        log.sweep(LIMITS.history_age_ms + 1);
        assert_eq!(held(&log), 0);
    });
}

#[test]
fn a_channel_that_is_forgotten_and_used_at_once_is_not_silent() {
    const LATE_MS: u64 = 400_000;
    check(|| {
        let log = new_log(LIMITS);
        publish(&log, "a");
        log.sweep(LATE_MS / 2);
        let sweeper = thread::spawn({
            let log = log.clone();
            move || log.sweep(LATE_MS)
        });
        let publisher = publisher(&log, &["a"]);
        let reader = Subscription::new(&log, ["a"], LATE_MS);
        assert!(reader.gap(0).is_some(), "the first event is lost, and that is told");
        sweeper.join().unwrap();
        publisher.join().unwrap();
        let mut items = Vec::new();
        match reader.read(1, usize::MAX, &mut items) {
            Ok(_) => assert_eq!(seqs(&items), [2]),
            Err(gap) => assert_eq!(gap.channels, [0]),
        }
    });
}
