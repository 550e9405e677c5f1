//! The log beside a model that is a plain list of events.

use std::{collections::HashMap, sync::Arc};

use proptest::prelude::*;

use super::{Gap, Item, Limits, Log, Subscription};
use crate::wire::{Decoder, Epoch, Event};

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

fn publish(log: &Arc<Log>, channel: &str, data: &str, now_ms: u64) -> u64 {
    log.publish(&log.channel(channel, now_ms), &Event::text(data), now_ms).position.seq
}

/// What a client would make of the items: sequence number, channel and data of each.
fn texts(items: &[Item], names: &[&str]) -> Vec<(u64, String, String)> {
    let text = |item: &Item| {
        let event = Decoder::new().feed(item.frame.sse()).pop().expect("a frame is one event");
        assert_eq!(event.id, format!("5f3a9c01-{:012x}", item.seq), "the id is the item's place");
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
    let gap = Gap { channels: vec![0, 1], head: 4 };
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
    assert_eq!(reader.gap(0), Some(Gap { channels: vec![0], head: 1 }));
    publish(&log, "a", "kept", 0);
    assert_eq!(read(&reader, 1), Ok((vec![2], 2)));
    drop(reader);
    assert_eq!(log.stats().history_bytes, 0, "the backlog goes with its last reader");
    assert_eq!(Subscription::new(&log, ["a"], 0).gap(1), Some(Gap { channels: vec![0], head: 2 }));
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
    assert_eq!(reader.gap(1), Some(Gap { channels: vec![0], head: 3 }));
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
    assert_eq!(reader.gap(0), Some(Gap { channels: vec![0], head: 2 }));
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
fn a_proxy_is_told_the_last_places_it_can_have_seen() {
    let log = new_log(Limits { history_events: 1, backlog_events: 2, ..LIMITS });
    let reader = Subscription::new(&log, ["a", "b", "c"], 0);
    for channel in ["a", "b", "a", "a"] {
        publish(&log, channel, "", 0);
    }
    assert_eq!(reader.last_each(4), [4, 2, 0]);
    assert_eq!(reader.last_each(3), [3, 2, 0]);
    let mut items = Vec::new();
    assert_eq!(reader.read_each(&[3, 0, 0], &mut items), Ok(4));
    assert_eq!(items.iter().map(|item| item.seq).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(reader.read_each(&[0, 2, 0], &mut items), Err(Gap { channels: vec![0], head: 4 }));
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

const CHANNELS: [&str; 4] = ["a", "b", "c", "d"];

/// What happens to the log and to the readers.
#[derive(Clone, Debug)]
enum Step {
    Publish {
        channel: usize,
        bytes: usize,
    },
    Join {
        reader: usize,
        channels: Vec<usize>,
    },
    Read {
        reader: usize,
        max_bytes: usize,
    },
    /// Lets go of the channels, but not of the position.
    Leave {
        reader: usize,
    },
    /// Takes the same channels again, from the position.
    Resume {
        reader: usize,
    },
    Sweep {
        after_ms: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let reader = || 0..3_usize;
    let channels =
        proptest::sample::subsequence((0..CHANNELS.len()).collect::<Vec<_>>(), 1..=3).prop_shuffle();
    let step = prop_oneof![
        8 => (0..CHANNELS.len(), prop_oneof![4 => 0..40_usize, 1 => 0..900_usize])
            .prop_map(|(channel, bytes)| Step::Publish { channel, bytes }),
        2 => (reader(), channels).prop_map(|(reader, channels)| Step::Join { reader, channels }),
        5 => (reader(), prop_oneof![Just(0), Just(usize::MAX), 0..500_usize])
            .prop_map(|(reader, max_bytes)| Step::Read { reader, max_bytes }),
        1 => reader().prop_map(|reader| Step::Leave { reader }),
        2 => reader().prop_map(|reader| Step::Resume { reader }),
        2 => prop_oneof![3 => 0..1_500_u64, 1 => 0..2 * LONG_MS].prop_map(|after_ms| Step::Sweep { after_ms }),
    ];
    proptest::collection::vec(step, 1..120)
}

fn limits() -> impl Strategy<Value = Limits> {
    (0..4_usize, 1..2_000_u64, 300..3_000_usize, 1..6_usize).prop_map(
        |(history_events, history_age_ms, history_bytes, backlog_events)| Limits {
            history_events,
            history_age_ms,
            history_bytes,
            backlog_events,
            ..LIMITS
        },
    )
}

/// An event as the model knows it.
struct Published {
    channel: usize,
    data: String,
    at_ms: u64,
    bytes: usize,
    held: bool,
}

struct Reader {
    channels: Vec<usize>,
    cursor: u64,
    /// What it has collected since it joined or was told of a gap, when its position was `since`.
    collected: Vec<(u64, String, String)>,
    since: u64,
    subscription: Option<Subscription>,
}

/// The log, and what it should hold: every event ever, with a mark on those still held.
struct Model {
    log: Arc<Log>,
    limits: Limits,
    now_ms: u64,
    /// The event with sequence number n is at n - 1.
    events: Vec<Published>,
    readers: HashMap<usize, Reader>,
    /// The newest event of any channel that the log has forgotten.
    forgotten: u64,
    known: Vec<usize>,
}

impl Model {
    fn new(limits: Limits) -> Self {
        let log = new_log(limits);
        Self { log, limits, now_ms: 0, events: vec![], readers: HashMap::new(), forgotten: 0, known: vec![] }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish { channel, bytes } => self.publish(channel, bytes),
            Step::Join { reader, channels } => {
                let subscription = self.subscribe(&channels);
                let cursor = self.log.head();
                let subscription = Some(subscription);
                let state = Reader { channels, cursor, collected: vec![], since: cursor, subscription };
                self.readers.insert(reader, state);
            }
            Step::Read { reader, max_bytes } => self.read(reader, max_bytes),
            Step::Leave { reader } => {
                if let Some(reader) = self.readers.get_mut(&reader) {
                    reader.subscription = None;
                }
            }
            Step::Resume { reader } => self.resume(reader),
            Step::Sweep { after_ms } => {
                self.now_ms += after_ms;
                self.log.sweep(self.now_ms);
                let oldest_ms = self.now_ms.saturating_sub(self.limits.history_age_ms);
                for event in &mut self.events {
                    event.held &= event.at_ms >= oldest_ms;
                }
            }
        }
        self.trim();
        self.check_held();
        self.note_forgotten();
    }

    fn publish(&mut self, channel: usize, bytes: usize) {
        let data = format!("{}{}", self.events.len(), "-".repeat(bytes));
        let event = Event::text(data.as_str());
        let frame = crate::wire::Frame::unplaced(&event, self.log.epoch());
        let appended =
            self.log.publish(&self.log.channel(CHANNELS[channel], self.now_ms), &event, self.now_ms);
        let last = self.events.iter().rposition(|event| event.channel == channel).map_or(0, |n| n as u64 + 1);
        assert!((last..=last.max(self.forgotten)).contains(&appended.previous.seq));
        assert_eq!(appended.subscribers, self.subscribers(channel));
        let bytes = super::channel::Slot { seq: 0, at_ms: 0, frame }.bytes();
        self.events.push(Published { channel, data, at_ms: self.now_ms, bytes, held: true });
        assert_eq!(appended.position.seq, self.events.len() as u64);
    }

    fn subscribe(&self, channels: &[usize]) -> Subscription {
        Subscription::new(&self.log, channels.iter().map(|&channel| CHANNELS[channel]), self.now_ms)
    }

    fn subscribers(&self, channel: usize) -> usize {
        let reads = |reader: &&Reader| reader.subscription.is_some() && reader.channels.contains(&channel);
        self.readers.values().filter(reads).count()
    }

    fn read(&mut self, reader: usize, max_bytes: usize) {
        let Some(mut state) = self.readers.remove(&reader) else { return };
        if let Some(subscription) = &state.subscription {
            let mut items = Vec::new();
            match subscription.read(state.cursor, max_bytes, &mut items) {
                Ok(upto) => {
                    self.check_size(&state, &items, upto, max_bytes);
                    let names: Vec<_> = state.channels.iter().map(|&channel| CHANNELS[channel]).collect();
                    state.collected.extend(texts(&items, &names));
                    state.cursor = upto;
                    let expected = self
                        .between(&state.channels, state.since, upto)
                        .map(|(seq, event)| (seq, CHANNELS[event.channel].to_owned(), event.data.clone()));
                    assert_eq!(state.collected, expected.collect::<Vec<_>>());
                }
                Err(gap) => {
                    assert!(items.is_empty());
                    self.fall(&mut state, &gap);
                }
            }
        }
        self.readers.insert(reader, state);
    }

    /// That a read went as far as it could, but not much farther than it was asked.
    fn check_size(&self, reader: &Reader, items: &[Item], upto: u64, max_bytes: usize) {
        for channel in 0..reader.channels.len() {
            let sizes =
                items.iter().filter(|item| item.channel == channel).map(|item| item.frame.chunked().len());
            let sizes: Vec<usize> = sizes.collect();
            let but_last: usize = sizes.iter().rev().skip(1).sum();
            assert!(but_last <= max_bytes, "{sizes:?} are more than {max_bytes}");
        }
        if upto < self.log.head() {
            assert_eq!(items.last().map(|item| item.seq), Some(upto));
            let all: usize = items.iter().map(|item| item.frame.chunked().len()).sum();
            assert!(all > max_bytes, "it stopped at {all} bytes of {max_bytes}");
        }
    }

    fn resume(&mut self, reader: usize) {
        let Some(mut state) = self.readers.remove(&reader) else { return };
        let subscription = self.subscribe(&state.channels);
        match subscription.gap(state.cursor) {
            Some(gap) => self.fall(&mut state, &gap),
            None => assert!(!self.has_lost(&state), "a client came back to a gap and was not told"),
        }
        state.subscription = Some(subscription);
        self.readers.insert(reader, state);
    }

    /// A reader was told of a gap: there must have been one, and all it misses must be named.
    fn fall(&self, reader: &mut Reader, gap: &Gap) {
        assert!(
            self.has_lost(reader) || self.forgotten > reader.cursor,
            "told of a gap where there was none"
        );
        assert_eq!(gap.head, self.log.head());
        for (index, &channel) in reader.channels.iter().enumerate() {
            let missed = self.between(&[channel], reader.cursor, gap.head).next().is_some();
            let named = gap.channels.contains(&index);
            assert!(named || !missed, "{} is skipped in silence", CHANNELS[channel]);
            assert!(missed || !named || self.forgotten > reader.cursor, "{} is whole", CHANNELS[channel]);
        }
        reader.collected.clear();
        (reader.cursor, reader.since) = (gap.head, gap.head);
    }

    fn has_lost(&self, reader: &Reader) -> bool {
        self.between(&reader.channels, reader.cursor, self.log.head()).any(|(_, event)| !event.held)
    }

    fn between(&self, channels: &[usize], after: u64, upto: u64) -> impl Iterator<Item = (u64, &Published)> {
        let range = after as usize..upto as usize;
        let numbered = range.map(|place| (place as u64 + 1, &self.events[place]));
        numbered.filter(move |(_, event)| channels.contains(&event.channel))
    }

    /// Applies the bounds on events and bytes to the model.
    fn trim(&mut self) {
        let Limits { history_events, backlog_events, history_bytes, .. } = self.limits;
        for channel in 0..CHANNELS.len() {
            let readers = self.subscribers(channel);
            let keep = if readers > 0 { history_events.max(backlog_events) } else { history_events };
            let held = self.events.iter_mut().rev().filter(|event| event.channel == channel && event.held);
            held.skip(keep).for_each(|event| event.held = false);
        }
        let newest = self.events.len().saturating_sub(1);
        for place in 0..newest {
            let bytes: usize = self.events.iter().filter(|event| event.held).map(|event| event.bytes).sum();
            if bytes <= history_bytes {
                break;
            }
            self.events[place].held = false;
        }
    }

    fn check_held(&self) {
        let rings = self.log.rings();
        for (channel, name) in CHANNELS.iter().enumerate() {
            let all = self.between(&[0, 1, 2, 3], 0, self.events.len() as u64);
            let held = all.filter(|(_, event)| event.channel == channel && event.held).map(|(seq, _)| seq);
            let ring = rings.get(*name).map_or(&[][..], |(seqs, _)| seqs);
            assert_eq!(ring, held.collect::<Vec<_>>(), "what {name} holds");
        }
        let bytes: usize = self.events.iter().filter(|event| event.held).map(|event| event.bytes).sum();
        assert_eq!(self.log.stats().history_bytes, bytes);
        assert_eq!(rings.values().map(|(_, bytes)| bytes).sum::<usize>(), bytes);
        let in_use = |channel: &usize| self.subscribers(*channel) > 0;
        assert!((0..CHANNELS.len()).filter(in_use).all(|channel| rings.contains_key(CHANNELS[channel])));
    }

    fn note_forgotten(&mut self) {
        let rings = self.log.rings();
        let is_known = |channel: &usize| rings.contains_key(CHANNELS[*channel]);
        for channel in self.known.extract_if(.., |channel| !is_known(channel)) {
            let last = self.events.iter().rposition(|event| event.channel == channel);
            self.forgotten = self.forgotten.max(last.map_or(0, |place| place as u64 + 1));
        }
        self.known = (0..CHANNELS.len()).filter(is_known).collect();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_a_reader_collects_is_what_was_published_or_it_is_told(limits in limits(), steps in steps()) {
        let mut model = Model::new(limits);
        for step in steps {
            model.step(step);
        }
    }
}
