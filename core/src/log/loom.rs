//! The races of the log under the loom model checker, which goes through every order in which threads may take turns
//! and see each other's writes.
//!
//! `RUSTFLAGS="--cfg evstream_loom" cargo test -p evstream --no-default-features --lib --target-dir target/loom loom`

use std::sync::Arc;

use ::loom::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::{Item, Limits, Log, Subscription, Watch};
use crate::{
    sync::check_races,
    wire::{Epoch, Event},
};

const LIMITS: Limits = Limits {
    history_events: 4,
    history_age_ms: 10_000,
    history_bytes: 1 << 20,
    backlog_events: 4,
    forget_after_ms: 180_000,
};

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

struct Flag(AtomicBool);

impl Watch for Flag {
    fn wake(&self, _: usize) {
        self.0.swap(true, Ordering::AcqRel);
    }
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
    check_races(|| {
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
    check_races(|| {
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
    check_races(|| {
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
    check_races(|| {
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
fn a_reader_of_a_log_that_follows_another_misses_nothing_untold() {
    check_races(|| {
        let log = new_log(LIMITS);
        let reader = Subscription::new(&log, ["a", "b"], 0);
        let follower = thread::spawn({
            let log = log.clone();
            move || {
                let append = |seq, channel| log.append_at(seq, &log.channel(channel, 0), &Event::text(""), 0);
                append(2, "a");
                append(4, "b");
            }
        });
        let mut items = Vec::new();
        let cursor = reader.read(0, usize::MAX, &mut items).unwrap();
        follower.join().unwrap();
        assert_eq!(reader.read(cursor, usize::MAX, &mut items), Ok(4));
        assert_eq!(seqs(&items), [2, 4]);
    });
}

#[test]
fn a_reader_is_told_of_another_epoch_before_it_reads_on() {
    check_races(|| {
        let log = new_log(LIMITS);
        let reader = Subscription::new(&log, ["a"], 0);
        publish(&log, "a");
        let follower = thread::spawn({
            let log = log.clone();
            move || {
                assert_eq!(log.rebase(Epoch(2), 5, 0), 5);
                log.append_at(6, &log.channel("a", 0), &Event::text(""), 0);
            }
        });
        let (mut cursor, mut items, mut told_upto) = (0, Vec::new(), 0);
        let mut look = || match reader.read(cursor, usize::MAX, &mut items) {
            Ok(upto) => cursor = upto,
            Err(gap) => (cursor, told_upto) = (gap.head, gap.head),
        };
        // Twice, or the checker does not come to the order in which the head would have been too early.
        look();
        look();
        follower.join().unwrap();
        look();
        look();
        assert_eq!(cursor, 6);
        assert!(told_upto >= 5, "it has come from one epoch to the other");
        assert!(told_upto == 6 || items.last().is_some_and(|item| item.seq == 6));
    });
}

#[test]
fn a_reader_is_told_of_a_loss_before_it_reads_on() {
    check_races(|| {
        let log = new_log(LIMITS);
        let reader = Subscription::new(&log, ["a", "b"], 0);
        let follower = thread::spawn({
            let log = log.clone();
            move || {
                let append = |seq, channel| log.append_at(seq, &log.channel(channel, 0), &Event::text(""), 0);
                append(1, "a");
                log.lose_at(2, &["a"], 0);
                append(3, "b");
            }
        });
        let (mut cursor, mut items, mut told) = (0, Vec::new(), Vec::new());
        let mut look = || match reader.read(cursor, usize::MAX, &mut items) {
            Ok(upto) => cursor = upto,
            Err(gap) => {
                assert!(gap.channels.contains(&0), "it names the channel");
                cursor = gap.head;
                told.push((gap.head, gap.channels));
            }
        };
        look();
        look();
        follower.join().unwrap();
        // What was there before the loss, the loss, and what comes after it.
        (0..3).for_each(|_| look());
        assert_eq!(cursor, 3);
        assert!(told.iter().any(|(head, _)| *head >= 2), "it has passed the loss");
        let has = |seq| items.iter().any(|item| item.seq == seq);
        assert!(has(3) || told.iter().any(|(head, channels)| *head == 3 && channels.contains(&1)));
    });
}

#[test]
fn a_reader_that_is_ahead_of_the_log_is_not_sent_back() {
    check_races(|| {
        let log = Arc::new(Log::following(LIMITS));
        log.rebase(Epoch(1), 1, 0);
        let follower = thread::spawn({
            let log = log.clone();
            move || {
                let check = log.begin_check();
                log.append_at(2, &log.channel("a", 0), &Event::text(""), 0);
                log.append_at(3, &log.channel("a", 0), &Event::text(""), 0);
                log.end_check(check);
            }
        });
        // It was in another process, which had the second of the events already.
        let ahead = log.ahead().unwrap();
        assert_ne!(log.has_reached(3, ahead), Some(false));
        follower.join().unwrap();
        assert_eq!(log.has_reached(3, ahead), Some(true));
        // Nobody has had that place: it waits for a check that begins after it has come, and no longer.
        let check = log.begin_check();
        log.end_check(check);
        assert_eq!(log.has_reached(4, ahead), Some(false));
    });
}

#[test]
fn a_reader_that_sleeps_is_woken_by_another_epoch() {
    check_races(|| {
        let log = new_log(LIMITS);
        let reader = Subscription::new(&log, ["a"], 0);
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let _watcher = reader.channels()[0].watch(flag.clone(), 0);
        let follower = thread::spawn({
            let log = log.clone();
            move || log.rebase(Epoch(2), 0, 0)
        });
        let woken = flag.0.swap(false, Ordering::AcqRel);
        let looked = reader.read(0, usize::MAX, &mut Vec::new());
        assert!(!woken || looked.is_err(), "it was woken for nothing");
        follower.join().unwrap();
        assert!(woken || flag.0.swap(false, Ordering::AcqRel), "it sleeps, and nobody will wake it");
    });
}

#[test]
fn the_history_stays_in_bounds_whoever_publishes() {
    check_races(|| {
        let log = new_log(Limits { history_bytes: 600, ..LIMITS });
        let publishers = [publisher(&log, &["a"]), publisher(&log, &["b"])];
        publish(&log, "a");
        join(publishers);
        let held = |log: &Log| log.rings().into_values().map(|(_, bytes)| bytes).sum::<usize>();
        assert_eq!(log.stats().history_bytes, held(&log));
        assert!(held(&log) <= 600);
        // Every ring can still be found by its age.
        log.sweep(LIMITS.history_age_ms + 1);
        assert_eq!(held(&log), 0);
    });
}

#[test]
fn a_channel_that_is_forgotten_and_used_at_once_is_not_silent() {
    const LATE_MS: u64 = 400_000;
    check_races(|| {
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
