//! The log beside a model that is a plain list of events.

use super::*;

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
    /// Appends an event at a place given out elsewhere, some places on.
    AppendAt {
        channel: usize,
        skipped: usize,
    },
    /// Goes on in another epoch, some places on.
    Rebase {
        skipped: usize,
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
        2 => (0..CHANNELS.len(), 0..3_usize)
            .prop_map(|(channel, skipped)| Step::AppendAt { channel, skipped }),
        1 => (0..3_usize).prop_map(|skipped| Step::Rebase { skipped }),
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

/// An event as the model knows it, or a place that no event was given.
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
    epochs: u32,
    /// Where the epoch begins.
    base: u64,
    /// How many were appended at places that were given out elsewhere.
    followed: u64,
}

impl Model {
    fn new(limits: Limits) -> Self {
        let log = new_following_log(limits);
        let (events, readers, known) = (vec![], HashMap::new(), vec![]);
        Self { log, limits, now_ms: 0, events, readers, forgotten: 0, known, epochs: 0, base: 0, followed: 0 }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish { channel, bytes } => self.publish(channel, bytes, None),
            Step::AppendAt { channel, skipped } => {
                self.skip(skipped);
                self.publish(channel, 0, Some(self.events.len() as u64 + 1));
            }
            Step::Rebase { skipped } => self.rebase(skipped),
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
                self.expire(&[0, 1, 2, 3]);
            }
        }
        self.trim();
        self.check_held();
        self.note_forgotten();
    }

    fn publish(&mut self, channel: usize, bytes: usize, at: Option<u64>) {
        let data = format!("{}{}", self.events.len(), "-".repeat(bytes));
        let event = Event::text(data.as_str());
        let frame = crate::wire::Frame::unplaced(&event, self.log.epoch());
        let to = self.log.channel(CHANNELS[channel], self.now_ms);
        let appended = match at {
            None => self.log.publish(&to, &event, self.now_ms),
            Some(seq) => {
                self.followed += 1;
                self.log.append_at(seq, &to, &event, self.now_ms)
            }
        };
        let last = self.events.iter().rposition(|event| event.channel == channel).map_or(0, |n| n as u64 + 1);
        let last = last.max(self.base);
        assert!((last..=last.max(self.forgotten)).contains(&appended.previous.seq));
        assert_eq!(appended.subscribers, self.subscribers(channel));
        let bytes = super::super::channel::Slot { seq: 0, at_ms: 0, frame }.bytes();
        self.events.push(Published { channel, data, at_ms: self.now_ms, bytes, held: true });
        assert_eq!(appended.position.seq, self.events.len() as u64);
    }

    /// Places that no event gets.
    fn skip(&mut self, places: usize) {
        let at_ms = self.now_ms;
        let unused = || Published { channel: usize::MAX, data: String::new(), at_ms, bytes: 0, held: false };
        self.events.extend(std::iter::repeat_with(unused).take(places));
    }

    fn rebase(&mut self, skipped: usize) {
        self.epochs += 1;
        let wanted = (self.events.len() + skipped) as u64;
        self.base = self.log.rebase(Epoch(self.epochs), wanted, 0);
        assert_eq!(self.base, wanted.max(self.events.len() as u64 + 1));
        assert_eq!(
            self.log.position(self.log.head()),
            Position { epoch: Epoch(self.epochs), seq: self.base }
        );
        self.skip(self.base as usize - self.events.len());
        self.events.iter_mut().for_each(|event| event.held = false);
        self.forgotten = self.base;
    }

    /// Applies the bound on age to the model.
    fn expire(&mut self, channels: &[usize]) {
        let oldest_ms = self.now_ms.saturating_sub(self.limits.history_age_ms);
        for event in self.events.iter_mut().filter(|event| channels.contains(&event.channel)) {
            event.held &= event.at_ms >= oldest_ms;
        }
    }

    fn subscribe(&mut self, channels: &[usize]) -> Subscription {
        self.expire(channels);
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
                    assert!(state.cursor >= self.base, "it was not told that the epoch has changed");
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
        if let Some(gap) = subscription.gap(state.cursor) {
            self.fall(&mut state, &gap);
        } else {
            assert!(!self.has_lost(&state), "a client came back to a gap and was not told");
            assert!(state.cursor >= self.base, "it was not told that the epoch has changed");
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
            if self.held_bytes() <= history_bytes {
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
        let bytes = self.held_bytes();
        assert_eq!((self.log.stats().history_bytes, self.log.stats().published), (bytes, self.followed));
        assert_eq!(rings.values().map(|(_, bytes)| bytes).sum::<usize>(), bytes);
        let in_use = |channel: &usize| self.subscribers(*channel) > 0;
        assert!((0..CHANNELS.len()).filter(in_use).all(|channel| rings.contains_key(CHANNELS[channel])));
    }

    /// What the events count for, and the channels that hold some.
    fn held_bytes(&self) -> usize {
        let held =
            |channel: usize| self.events.iter().filter(move |event| event.channel == channel && event.held);
        let bytes = |channel: usize| match held(channel).map(|event| event.bytes).sum() {
            0 => 0,
            bytes => bytes + CHANNEL_BYTES + CHANNELS[channel].len(),
        };
        (0..CHANNELS.len()).map(bytes).sum()
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
