//! The log by example; beside a model of it in `model`.

mod model;

use std::{collections::HashMap, sync::Arc};

use proptest::prelude::*;

use super::{Gap, Item, Limits, Log, Subscription, channel::CHANNEL_BYTES, channels::MAPS};
use crate::wire::{Decoder, Epoch, Event, Position};

const LIMITS: Limits = Limits {
    history_events: 4,
    history_age_ms: 10_000,
    history_bytes: 1 << 20,
    backlog_events: 8,
    forget_after_ms: 180_000,
};

/// Longer than any channel without use is remembered.
const LONG_MS: u64 = 400_000;

fn new_log(limits: Limits) -> Arc<Log> {
    Arc::new(Log::new(Epoch(0x5f3a_9c01), limits))
}

fn new_following_log(limits: Limits) -> Arc<Log> {
    let log = Log::following(limits);
    log.end_check(log.begin_check());
    Arc::new(log)
}

fn publish(log: &Arc<Log>, channel: &str, data: &str, now_ms: u64) -> u64 {
    log.publish(&log.channel(channel, now_ms), &Event::text(data), now_ms).position.seq
}

/// What a client would make of the items: sequence number, channel and data of each.
fn texts(items: &[Item], names: &[&str]) -> Vec<(u64, String, String)> {
    let text = |item: &Item| {
        let event = Decoder::new().feed(item.frame.sse()).pop().expect("a frame is one event");
        assert_eq!(
            event.id.split('-').nth(1),
            Some(&*format!("{:012x}", item.seq)),
            "it is the item's place"
        );
        (item.seq, names[item.channel].to_owned(), event.data)
    };
    items.iter().map(text).collect()
}

fn read(subscription: &Subscription, cursor: u64) -> Result<(Vec<u64>, u64), Gap> {
    let mut items = Vec::new();
    let upto = subscription.read(cursor, usize::MAX, &mut items)?;
    Ok((items.iter().map(|item| item.seq).collect(), upto))
}

#[test]
fn channels_are_merged_in_the_order_of_publishing() {
    let log = new_log(LIMITS);
    let reader = Subscription::new(&log, ["b", "a", "b"], 0);
    assert_eq!(reader.channels().len(), 2, "a name given twice counts once");
    for channel in ["a", "b", "c", "b", "a"] {
        publish(&log, channel, channel, 0);
    }
    let mut items = Vec::new();
    assert_eq!(reader.read(0, usize::MAX, &mut items), Ok(5));
    let expected = [(1, "a"), (2, "b"), (4, "b"), (5, "a")];
    assert_eq!(
        texts(&items, &["b", "a"]),
        expected.map(|(seq, name)| (seq, name.to_owned(), name.to_owned()))
    );
}

#[test]
fn a_gap_names_every_channel_that_is_skipped() {
    let log = new_log(Limits { history_events: 1, backlog_events: 2, ..LIMITS });
    let reader = Subscription::new(&log, ["lossy", "whole", "quiet"], 0);
    publish(&log, "whole", "kept, but the reader goes on behind it", 0);
    for _ in 0..3 {
        publish(&log, "lossy", "x", 0);
    }
    let gap = Gap { channels: vec![0, 1], head: 4, is_lost: false };
    assert_eq!(reader.gap(0), Some(gap.clone()));
    let mut items = Vec::new();
    assert_eq!(reader.read(0, usize::MAX, &mut items), Err(gap));
    assert!(items.is_empty());
    // What is still held connects to where the loss ends.
    assert_eq!(read(&reader, 2), Ok((vec![3, 4], 4)));
}

#[test]
fn without_history_only_readers_make_a_channel_keep() {
    let log = new_log(Limits { history_events: 0, backlog_events: 2, ..LIMITS });
    publish(&log, "a", "lost", 0);
    assert_eq!(log.stats().history_bytes, 0);
    let reader = Subscription::new(&log, ["a"], 0);
    assert_eq!(reader.gap(0), Some(Gap { channels: vec![0], head: 1, is_lost: false }));
    publish(&log, "a", "kept", 0);
    assert_eq!(read(&reader, 1), Ok((vec![2], 2)));
    drop(reader);
    assert_eq!(log.stats().history_bytes, 0, "the backlog goes with its last reader");
    assert_eq!(
        Subscription::new(&log, ["a"], 0).gap(1),
        Some(Gap { channels: vec![0], head: 2, is_lost: false })
    );
}

#[test]
fn bytes_are_bounded_over_all_channels() {
    let log = new_log(Limits { history_bytes: 4_096, ..LIMITS });
    for round in 0..100 {
        publish(&log, ["a", "b", "c"][round % 3], &"x".repeat(round * 10), 0);
        assert!(log.stats().history_bytes <= 4_096);
    }
    assert!(log.stats().history_bytes > 2_048, "no more is dropped than needed");
}

#[test]
fn an_event_larger_than_all_history_still_reaches_readers() {
    let log = new_log(Limits { history_bytes: 4_096, ..LIMITS });
    let reader = Subscription::new(&log, ["a"], 0);
    publish(&log, "a", "small", 0);
    publish(&log, "a", &"x".repeat(10_000), 0);
    assert_eq!(read(&reader, 1), Ok((vec![2], 2)));
    publish(&log, "b", "", 0);
    assert!(log.stats().history_bytes <= 4_096, "only the newest may be larger");
    assert_eq!(reader.gap(1), Some(Gap { channels: vec![0], head: 3, is_lost: false }));
}

#[test]
fn age_is_bounded_also_where_nobody_publishes_any_more() {
    let log = new_log(LIMITS);
    publish(&log, "a", "1", 0);
    publish(&log, "b", "2", 5_000);
    let held = |log: &Log| log.rings().values().map(|(seqs, _)| seqs.len()).sum::<usize>();
    log.sweep(10_000);
    assert_eq!(held(&log), 2, "an event may be as old as history_age_ms");
    log.sweep(10_001);
    assert_eq!(held(&log), 1);
    log.sweep(15_001);
    assert_eq!((held(&log), log.stats().history_bytes), (0, 0));
}

#[test]
fn a_forgotten_channel_answers_old_positions_with_a_gap() {
    let log = new_log(LIMITS);
    publish(&log, "a", "1", 0);
    publish(&log, "b", "2", LONG_MS);
    log.sweep(LONG_MS);
    assert!(!log.rings().contains_key("a"));
    let reader = Subscription::new(&log, ["a"], LONG_MS);
    assert_eq!(reader.gap(0), Some(Gap { channels: vec![0], head: 2, is_lost: false }));
    assert_eq!(reader.gap(1), None, "a client that has seen the event has lost nothing");
    publish(&log, "a", "3", LONG_MS);
    assert_eq!(read(&reader, 1), Ok((vec![3], 3)));
}

#[test]
fn channels_are_kept_as_long_as_anything_needs_them() {
    let log = new_log(LIMITS);
    let handle = log.channel("handle", 0);
    let reader = Subscription::new(&log, ["reader"], 0);
    publish(&log, "reader", "x", 0);
    log.sweep(LONG_MS);
    assert_eq!(log.stats().channels, 2);
    assert_eq!(log.publish(&handle, &Event::text("x"), LONG_MS).position.seq, 2);

    // A client that comes back soon finds its channel, although others are forgotten meanwhile.
    drop((handle, reader));
    log.sweep(LONG_MS + 1_000);
    assert!(log.rings().contains_key("reader"));
    log.sweep(2 * LONG_MS);
    assert_eq!(log.stats().channels, 0);
}

#[test]
fn channels_that_only_clients_name_do_not_pile_up() {
    let log = new_log(LIMITS);
    publish(&log, "events", "x", 0);
    let reader = Subscription::new(&log, ["reader"], 0);
    let proxy = Subscription::new(&log, ["proxy"], 0);
    assert_eq!(proxy.last_each(1), [0]);
    drop(proxy);
    for n in 0..100_000 {
        drop(Subscription::new(&log, [&*format!("made-up-{n}")], 0));
        assert!(log.stats().channels < 40_000);
    }
    for name in ["events", "reader", "proxy"] {
        assert!(log.rings().contains_key(name), "{name} is needed");
    }
    assert_eq!(reader.gap(0), None, "no position is lost by that");
    assert_eq!(Subscription::new(&log, ["made-up-0"], 0).gap(0), None);
}

#[test]
fn channels_that_clients_name_through_a_proxy_do_not_pile_up_either() {
    let log = new_log(LIMITS);
    let _held = Subscription::new(&log, ["held"], 0);
    for n in 0..100_000 {
        Subscription::new(&log, [&*format!("made-up-{n}")], n).last_each(0);
        assert!(log.stats().channels < 40_000);
    }
    let rings = log.rings();
    assert!(rings.contains_key("held"), "it is in use");
    // There is room for some: those that were used last.
    let limits = Limits { history_bytes: 64 << 20, ..LIMITS };
    let log = new_log(limits);
    for n in 0..100_000 {
        Subscription::new(&log, [&*format!("made-up-{n}")], n).last_each(0);
        assert!(log.stats().channels < 80_000);
    }
    let rings = log.rings();
    assert!((95_000..100_000).all(|n| rings.contains_key(&format!("made-up-{n}"))));
}

#[test]
fn a_million_channels_are_swept_in_small_steps() {
    const CHANNELS: u64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    const AT_ONCE: usize = 256;
    let log = new_log(Limits { history_bytes: 1 << 30, ..LIMITS });
    for n in 0..CHANNELS {
        publish(&log, &format!("user-{n}"), "", 0);
    }
    let largest = (0..MAPS).map(|map| log.channels.of_map(map).len()).max().unwrap();
    let average = CHANNELS as usize / MAPS;
    assert!(largest < 2 * average, "{largest} channels in one map, {average} in each");

    let mut now_ms = LIMITS.history_age_ms + 1;
    let sweep = |log: &Log, now_ms| {
        let mut steps = 0;
        loop {
            let step = log.sweep_step(now_ms);
            assert!(step.work <= AT_ONCE + largest, "{} at once", step.work);
            steps += 1;
            if !step.more {
                return steps;
            }
        }
    };
    assert!(sweep(&log, now_ms) >= CHANNELS as usize / AT_ONCE);
    assert_eq!(log.stats().history_bytes, 0);
    while log.stats().channels > 0 {
        sweep(&log, now_ms);
        now_ms += 1_000;
    }
    assert!(now_ms <= LIMITS.forget_after_ms * 3 / 2, "they are forgotten after {now_ms} ms");
    assert_eq!(log.next_sweep_ms(), None, "nothing is left");
}

#[test]
fn a_long_ring_is_swept_in_small_steps() {
    let log = new_log(Limits { history_events: 10_000, ..LIMITS });
    for _ in 0..2_000 {
        publish(&log, "a", "", 0);
    }
    let mut steps = 0;
    while log.sweep_step(LONG_MS).more {
        steps += 1;
    }
    assert!(steps >= 7, "{steps}");
    assert_eq!(log.stats().history_bytes, 0);
}

#[test]
fn whoever_sleeps_while_there_is_nothing_to_sweep_is_woken() {
    struct Calls(std::sync::atomic::AtomicUsize);
    impl super::Watch for Calls {
        fn wake(&self, _: usize) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let log = new_log(LIMITS);
    let calls = Arc::new(Calls(0.into()));
    assert!(log.set_sweeper(calls.clone()));
    for round in 1..4 {
        let now_ms = round as u64 * 2 * LONG_MS;
        assert_eq!(log.next_sweep_ms(), None);
        publish(&log, "a", "", now_ms);
        publish(&log, "b", "", now_ms);
        assert_eq!(calls.0.load(std::sync::atomic::Ordering::Relaxed), round);
        log.sweep_if_due(now_ms);
        assert_eq!(log.next_sweep_ms(), Some(now_ms + 1_000));
        log.sweep(now_ms + LONG_MS);
    }
}

#[test]
fn nobody_is_handed_what_is_too_old_however_late_the_sweep_is() {
    let log = new_log(LIMITS);
    publish(&log, "a", "1", 0);
    publish(&log, "a", "2", LIMITS.history_age_ms);
    let late = Subscription::new(&log, ["a"], LIMITS.history_age_ms + 1);
    assert_eq!(late.gap(0), Some(Gap { channels: vec![0], head: 2, is_lost: false }));
    assert_eq!(read(&late, 1), Ok((vec![2], 2)));
}

#[test]
fn another_epoch_is_a_gap_for_everybody_and_goes_on_after_all_places() {
    let log = new_log(LIMITS);
    let reader = Subscription::new(&log, ["a", "quiet"], 0);
    publish(&log, "a", "1", 0);
    let gone = log.channel("gone", 0);
    drop(gone);
    // The other log is behind: a place is taken that no reader can have come to.
    assert_eq!(log.rebase(Epoch(2), 0, 0), 2);
    assert_eq!(log.stats().history_bytes, 0);
    for cursor in [0, 1] {
        assert!(log.is_before_epoch(cursor));
        assert_eq!(reader.gap(cursor), Some(Gap { channels: vec![0, 1], head: 2, is_lost: false }));
    }
    assert_eq!(reader.gap(2), None);
    assert_eq!(
        Subscription::new(&log, ["gone"], 0).gap(1),
        Some(Gap { channels: vec![0], head: 2, is_lost: false })
    );
    assert_eq!(
        Subscription::new(&log, ["new"], 0).gap(1),
        Some(Gap { channels: vec![0], head: 2, is_lost: false })
    );

    let appended = log.append_at(5, &log.channel("a", 0), &Event::text("5"), 0);
    assert_eq!((appended.previous.seq, appended.first), (2, true));
    let mut items = Vec::new();
    assert_eq!(reader.read(2, usize::MAX, &mut items), Ok(5));
    let [event] = &Decoder::new().feed(items[0].frame.sse())[..] else { panic!("one event") };
    assert_eq!((&*event.id, &*event.data), ("00000002-000000000005", "5"));
    // The other log is ahead: what it has up to there is not known here.
    assert_eq!(log.rebase(Epoch(3), 9, 0), 9);
    assert_eq!(reader.gap(5), Some(Gap { channels: vec![0, 1], head: 9, is_lost: false }));
}

#[test]
fn what_is_counted_as_published_are_events() {
    let log = new_log(LIMITS);
    publish(&log, "a", "1", 0);
    publish(&log, "b", "2", 0);
    assert_eq!(log.stats().published, 2);
    let log = new_following_log(LIMITS);
    log.rebase(Epoch(2), 9, 0);
    log.append_at(10, &log.channel("a", 0), &Event::text("10"), 0);
    log.pass(11);
    log.lose_at::<&str>(12, &[], 0);
    log.append_at(20, &log.channel("a", 0), &Event::text("20"), 0);
    assert_eq!(log.stats().published, 2);
}

#[test]
fn a_proxy_is_told_the_last_places_it_can_have_seen() {
    let log = new_log(Limits { history_events: 1, backlog_events: 2, ..LIMITS });
    let reader = Subscription::new(&log, ["a", "b", "c"], 0);
    for channel in ["a", "b", "a", "a"] {
        publish(&log, channel, "", 0);
    }
    assert_eq!(reader.last_each(4), [4, 2, 0]);
    assert_eq!(reader.last_each(3), [3, 2, 0]);
    let mut items = Vec::new();
    assert_eq!(reader.read_each(&[3, 0, 0], usize::MAX, &mut items), Ok(4));
    assert_eq!(items.iter().map(|item| item.seq).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(
        reader.read_each(&[0, 2, 0], usize::MAX, &mut items),
        Err(Gap { channels: vec![0], head: 4, is_lost: false })
    );
    // What has come and gone since the proxy was answered is not behind it.
    log.sweep(LONG_MS);
    assert_eq!(reader.last_each(1), [1, 1, 0]);
}

#[test]
fn a_ring_gives_back_what_a_burst_needed() {
    let log = new_log(Limits { history_events: 3, backlog_events: 100_000, ..LIMITS });
    let reader = Subscription::new(&log, ["a"], 0);
    for _ in 0..10_000 {
        publish(&log, "a", "", 0);
    }
    drop(reader);
    let channel = log.channel("a", 0);
    let capacity = |channel: &super::Channel| channel.lock().ring.capacity();
    assert_eq!(channel.lock().ring.len(), 3);
    assert!(capacity(&channel) <= 64, "{}", capacity(&channel));
    log.sweep(LONG_MS);
    assert_eq!(capacity(&channel), 0);
}

#[test]
fn a_watch_is_called_once_until_it_is_armed_again() {
    #[derive(Default)]
    struct Calls(std::sync::Mutex<Vec<usize>>);
    impl super::Watch for Calls {
        fn wake(&self, token: usize) {
            self.0.lock().unwrap().push(token);
        }
    }
    let log = new_log(LIMITS);
    let channel = log.channel("a", 0);
    let calls = Arc::new(Calls::default());
    let [seven, eight] = [7, 8].map(|token| channel.watch(calls.clone(), token));
    publish(&log, "a", "", 0);
    publish(&log, "a", "", 0);
    seven.rearm();
    publish(&log, "a", "", 0);
    channel.unwatch(&seven);
    for watcher in [&seven, &eight] {
        watcher.rearm();
    }
    publish(&log, "a", "", 0);
    assert_eq!(*calls.0.lock().unwrap(), [7, 8, 7, 8]);
}

#[test]
fn readers_on_other_threads_get_everything_in_order() {
    const EACH: usize = 2_000;
    let log = new_log(Limits { history_events: 0, backlog_events: 3 * EACH, ..LIMITS });
    let names = ["a", "b", "c"];
    let readers: Vec<_> = (0..3).map(|_| Subscription::new(&log, names, 0)).collect();
    std::thread::scope(|scope| {
        for name in names {
            let log = &log;
            scope.spawn(move || {
                for n in 0..EACH {
                    publish(log, name, &n.to_string(), 0);
                }
            });
        }
        for (max_bytes, reader) in [0, 500, usize::MAX].into_iter().zip(readers) {
            scope.spawn(move || {
                let (mut cursor, mut items) = (0, Vec::new());
                while cursor < (names.len() * EACH) as u64 {
                    cursor = reader.read(cursor, max_bytes, &mut items).expect("the backlog holds it all");
                }
                assert_eq!(items.len(), names.len() * EACH);
                let mut next = HashMap::from(names.map(|name| (name.to_owned(), 0)));
                for (place, (seq, name, data)) in texts(&items, &names).into_iter().enumerate() {
                    assert_eq!(seq, place as u64 + 1);
                    let next = next.get_mut(&name).unwrap();
                    assert_eq!(data, next.to_string());
                    *next += 1;
                }
            });
        }
    });
}

#[test]
fn missing_events_are_told_after_what_was_there_before_and_before_what_comes_after() {
    let log = new_log(LIMITS);
    let [a, b, other] = ["a", "b", "c"].map(|name| log.channel(name, 0));
    let reader = Subscription::new(&log, ["a", "b"], 0);
    let append = |seq, channel: &Arc<super::Channel>| {
        log.append_at(seq, channel, &Event::text("x"), 0);
    };
    append(1, &a);
    append(2, &b);
    log.lose_at(3, &["a"], 0);
    append(4, &b);
    append(5, &a);
    append(6, &other);
    let mut items = Vec::new();
    let seqs = |items: &[Item]| items.iter().map(|item| item.seq).collect::<Vec<_>>();
    assert_eq!(reader.read(0, usize::MAX, &mut items), Ok(2));
    assert_eq!(seqs(&items), [1, 2]);
    items.clear();
    let gap = reader.read(2, usize::MAX, &mut items).unwrap_err();
    assert_eq!(gap, Gap { channels: vec![0], head: 3, is_lost: true });
    assert_eq!(reader.read(gap.head, usize::MAX, &mut items), Ok(6));
    assert_eq!(seqs(&items), [4, 5]);
    // Of all channels, also of those that nobody has yet.
    log.lose_at::<&str>(7, &[], 0);
    assert!(reader.read(6, usize::MAX, &mut items).is_err_and(|gap| gap.channels == [0, 1] && gap.is_lost));
    assert!(Subscription::new(&log, ["new"], 0).gap(6).is_some());
    assert_eq!(Subscription::new(&log, ["new"], 0).gap(7), None);
}
