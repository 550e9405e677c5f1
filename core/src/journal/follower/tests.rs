//! Processes that follow a journal at their own pace, and clients who move between them, beside a plain list of what it has had.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::{
    Config,
    stream::{Access, Hub, Read, Request, Stream, open_request},
    wire::{Decoded, Decoder, Epoch, Event, Position},
};

const CHANNELS: [&str; 3] = ["a", "b", "c"];
const PROCESSES: usize = 3;
const CLIENTS: usize = 3;
const SINCE_UNIX_MS: u64 = 1_000;

#[derive(Clone, Debug)]
enum Step {
    Publish {
        channel: usize,
    },
    /// An event has failed, or was acknowledged and is gone: the news of that have a place.
    Lose {
        channel: usize,
        all: bool,
    },
    /// Another timeline begins, which goes on from some places before the end of the one before.
    Begin {
        back: u64,
    },
    Follow {
        process: usize,
        entries: usize,
    },
    /// The journal no longer has what the process has not read.
    Overtake {
        process: usize,
    },
    Restart {
        process: usize,
    },
    /// The client leaves where it is, and comes to this process with its last id.
    Visit {
        client: usize,
        process: usize,
    },
    Read {
        client: usize,
    },
    KeepAlive {
        client: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let process = || 0..PROCESSES;
    let client = || 0..CLIENTS;
    let step = prop_oneof![
        8 => (0..CHANNELS.len()).prop_map(|channel| Step::Publish { channel }),
        1 => (0..CHANNELS.len(), prop::bool::weighted(0.2)).prop_map(|(channel, all)| Step::Lose { channel, all }),
        1 => (0..4_u64).prop_map(|back| Step::Begin { back }),
        8 => (process(), 0..6_usize).prop_map(|(process, entries)| Step::Follow { process, entries }),
        1 => process().prop_map(|process| Step::Overtake { process }),
        1 => process().prop_map(|process| Step::Restart { process }),
        6 => (client(), process()).prop_map(|(client, process)| Step::Visit { client, process }),
        6 => client().prop_map(|client| Step::Read { client }),
        3 => client().prop_map(|client| Step::KeepAlive { client }),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn who_moves_between_followers_misses_nothing_untold(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.finish();
    }
}

/// Somebody may have been disconnected by an order that is missing.
#[test]
fn orders_that_are_missing_are_noticed() {
    let missing = Arc::new(AtomicU64::new(0));
    let count = missing.clone();
    let mut process = Process::new();
    process.following.obey = Box::new(move |heard| {
        count.fetch_add(u64::from(heard == Heard::Missing), Ordering::Relaxed);
    });
    let log = process.hub.log().clone();
    process.begin(1, 1);
    let mut lose = |seq, channels: &[&str], at_unix_ms| {
        let channels = channels.iter().map(|&name| name.into()).collect();
        process
            .following
            .apply([Entry::Placed { seq, at_unix_ms, what: What::Lost { channels } }].into_iter());
        missing.load(Ordering::Relaxed)
    };
    assert_eq!(lose(2, &[], SINCE_UNIX_MS - 1), 0, "it has come to an old journal");
    assert_eq!(lose(3, &[], SINCE_UNIX_MS), 1, "and reads of what has come since");
    log.end_check(log.begin_check());
    assert_eq!(lose(4, &["a"], 0), 1);
    assert_eq!(lose(5, &["a", ORDERS], 0), 2);
    assert_eq!(lose(6, &[], 0), 3);
}

/// Streams can be opened before a process has caught up.
#[test]
fn orders_are_obeyed_that_come_while_an_old_journal_is_read() {
    let obeyed = Arc::new(Mutex::new(Vec::new()));
    let (orders, mut process) = (obeyed.clone(), Process::new());
    process.following.obey = Box::new(move |heard| lock(&orders).push(format!("{heard:?}")));
    process.begin(1, 1);
    for (seq, at_unix_ms) in [(2, SINCE_UNIX_MS - 1), (3, SINCE_UNIX_MS)] {
        let what = What::Event { channel: ORDERS.into(), event: Event::text(seq.to_string()) };
        process.following.apply([Entry::Placed { seq, at_unix_ms, what }].into_iter());
    }
    assert_eq!(*lock(&obeyed), ["Journal(Epoch(1))", "Order(\"3\")"]);
}

/// A place: which timeline, counted from 1 as its epoch is, and where in it.
type Place = (u32, u64);

/// What was published.
struct Published {
    issued: usize,
    channel: usize,
    /// `None` for what never came into the journal.
    place: Option<Place>,
}

struct Timeline {
    floor: u64,
    /// From the place after `floor` on.
    entries: Vec<What>,
}

struct Process {
    hub: Arc<Hub>,
    following: Following,
    /// How far it has read.
    at: Place,
}

#[derive(Default)]
struct Client {
    stream: Option<Stream>,
    decoder: Decoder,
    last_id: String,
    at: Option<Place>,
    opened: Option<(usize, Place)>,
    /// What it has passed without a reset.
    spans: Vec<(Place, u64)>,
    resets: Vec<Reset>,
    /// How many resets there were when it had an event.
    seen: HashMap<String, usize>,
}

struct Reset {
    step: usize,
    from: Place,
    to: Place,
    channels: Vec<String>,
}

struct World {
    step: usize,
    published: Vec<Published>,
    timelines: Vec<Timeline>,
    processes: Vec<Process>,
    clients: Vec<Client>,
}

impl World {
    fn new() -> Self {
        Self {
            step: 0,
            published: Vec::new(),
            timelines: vec![Timeline { floor: 1, entries: Vec::new() }],
            processes: (0..PROCESSES).map(|_| Process::new()).collect(),
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
        }
    }

    fn step(&mut self, step: Step) {
        self.step += 1;
        match step {
            Step::Publish { channel } => {
                let data = self.published.len().to_string();
                let place =
                    self.append(What::Event { channel: CHANNELS[channel].into(), event: Event::text(data) });
                self.published.push(Published { issued: self.step, channel, place: Some(place) });
            }
            Step::Lose { channel, all } => {
                self.published.push(Published { issued: self.step, channel, place: None });
                let channels = if all { vec![] } else { vec![CHANNELS[channel].into()] };
                self.append(What::Lost { channels });
            }
            Step::Begin { back } => {
                let floor = self.timelines.last().map_or(0, Timeline::head).saturating_sub(back).max(1);
                self.timelines.push(Timeline { floor, entries: Vec::new() });
            }
            Step::Follow { process, entries } => self.processes[process].follow(&mut self.timelines, entries),
            Step::Overtake { process } => self.processes[process].fall_behind(&self.timelines),
            Step::Restart { process } => {
                self.processes[process] = Process::new();
            }
            Step::Visit { client, process } => {
                self.clients[client].visit(&self.processes[process], self.step);
            }
            Step::Read { client } => self.clients[client].read(self.step),
            Step::KeepAlive { client } => self.clients[client].keep_alive(self.step),
        }
    }

    /// Everybody comes to the end.
    fn finish(mut self) {
        self.step += 1;
        // Twice, for who comes to a timeline may take places in it.
        for process in [0, 1, 2, 0, 1, 2] {
            self.processes[process].follow(&mut self.timelines, usize::MAX);
        }
        let last = (self.timelines.len() as u32, self.timelines.last().map_or(0, Timeline::head));
        for client in 0..CLIENTS {
            // On the last process from where it is, for it may be in a stream that is to be told of something yet.
            self.clients[client].read(self.step);
            self.clients[client].visit(&self.processes[client % PROCESSES], self.step);
            self.clients[client].read(self.step);
            self.clients[client].keep_alive(self.step);
            let client = &self.clients[client];
            assert!(
                client.at.is_some_and(|at| at.0 == last.0 && at.1 >= last.1),
                "{:?} is not at {last:?}",
                client.at
            );
            client.check(&self.published);
        }
    }

    fn append(&mut self, what: What) -> Place {
        let epoch = self.timelines.len() as u32;
        let timeline = self.timelines.last_mut().expect("there is one");
        timeline.entries.push(what);
        (epoch, timeline.head())
    }
}

impl Timeline {
    fn head(&self) -> u64 {
        self.floor + self.entries.len() as u64
    }
}

impl Process {
    fn new() -> Self {
        let hub = Hub::following(Config::new()).unwrap();
        let following = Following {
            log: hub.log().clone(),
            clock: Clock::start(),
            shared: Arc::default(),
            failing: false,
            since_unix_ms: SINCE_UNIX_MS,
            obey: Box::new(|_| {}),
        };
        Self { hub, following, at: (0, 0) }
    }

    /// What one look at the journal gives, so many entries of it.
    fn follow(&mut self, timelines: &mut [Timeline], entries: usize) {
        let check = self.hub.log().begin_check();
        let epoch = timelines.len() as u32;
        let timeline = timelines.last_mut().expect("there is one");
        if self.at.0 != epoch {
            // It goes on after all that it has handed out, and nothing new gets a place before that.
            let floor = timeline.floor.max(self.at.1 + 1);
            while timeline.head() < floor {
                timeline.entries.push(What::Event { channel: ORDERS.into(), event: Event::text("") });
            }
            self.begin(epoch, floor);
        }
        for seq in (self.at.1 + 1..=timeline.head()).take(entries) {
            let what = timeline.entries[(seq - timeline.floor - 1) as usize].clone();
            self.following.apply([Entry::Placed { seq, at_unix_ms: unix_ms(), what }].into_iter());
            self.at.1 = seq;
        }
        if self.at.1 >= timeline.head() {
            self.hub.log().end_check(check);
        }
    }

    fn fall_behind(&mut self, timelines: &[Timeline]) {
        let Some(timeline) = timelines.last() else { return };
        if self.at.0 as usize == timelines.len() && self.at.1 < timeline.head() {
            self.begin(self.at.0, timeline.head());
        }
    }

    fn begin(&mut self, epoch: u32, floor: u64) {
        self.following.apply([Entry::Begin { epoch: Epoch(epoch), floor }].into_iter());
        self.at = (epoch, floor);
    }
}

impl Client {
    fn visit(&mut self, process: &Process, step: usize) {
        self.stream = None;
        self.decoder = Decoder::new();
        let headers = [("Last-Event-ID", self.last_id.as_bytes())];
        let query = "channel=a&channel=b&channel=c";
        let request = Request { method: "GET", path: "/", query, headers: &headers, peer: None };
        let reply = open_request(&process.hub, &request, Access::allow(), process.following.clock.now());
        self.stream = reply.stream;
        self.note(&reply.body, step);
    }

    fn read(&mut self, step: usize) {
        loop {
            let mut items = Vec::new();
            let Some(stream) = &mut self.stream else { return };
            let text: Vec<u8> = match stream.read(usize::MAX, &mut items) {
                Read::Events => items.iter().flat_map(|item| item.frame.sse()).copied().collect(),
                Read::Notice(frame) => frame.sse().to_vec(),
                Read::End(_) => panic!("nobody ends it"),
            };
            if text.is_empty() {
                return;
            }
            self.note(&text, step);
        }
    }

    fn keep_alive(&mut self, step: usize) {
        let Some(stream) = &self.stream else { return };
        let frame = stream.keep_alive();
        self.note(frame.sse(), step);
    }

    fn note(&mut self, text: &[u8], step: usize) {
        for event in self.decoder.feed(text) {
            self.note_event(&event, step);
        }
        if !self.decoder.last_event_id().is_empty() {
            self.decoder.last_event_id().clone_into(&mut self.last_id);
        }
    }

    fn note_event(&mut self, event: &Decoded, step: usize) {
        let place = event.id.parse().ok().map(|Position { epoch, seq }| (epoch.0, seq));
        let name = event.name.as_deref();
        let (Some(at), Some(to)) = (self.at, place) else {
            if let Some(place) = place {
                assert_eq!(name, Some("stream-open"), "{event:?}");
                (self.at, self.opened) = (place.into(), Some((step, place)));
                self.spans.push((place, place.1));
            }
            return;
        };
        match name {
            Some("stream-open") => assert_eq!(at.1, to.1, "it goes on from {at:?}: {event:?}"),
            None | Some("keep-alive") => {
                // A stream that is to be told of another epoch stays where it is.
                if name.is_none() || to.1 != at.1 {
                    assert_eq!(to.0, at.0, "it comes to another epoch without a reset: {event:?}");
                }
                assert!(to.1 > at.1 || name.is_some() && to.1 == at.1, "it goes back from {at:?}: {event:?}");
                if name.is_none() {
                    let before = self.seen.insert(event.data.clone(), self.resets.len());
                    assert_ne!(before, Some(self.resets.len()), "{event:?} comes twice");
                }
                if to.0 == at.0 {
                    self.at = Some(to);
                    self.spans.last_mut().expect("it has begun").1 = to.1;
                }
            }
            Some("stream-reset") => {
                let data: serde_json::Value = serde_json::from_str(&event.data).unwrap();
                let names = data["channels"].as_array().unwrap().iter();
                let channels = names.map(|name| name.as_str().unwrap().to_owned()).collect();
                assert!(
                    data["reason"] != "epoch" || to.0 != at.0,
                    "its place {at:?} is in the journal: {event:?}"
                );
                self.resets.push(Reset { step, from: at, to, channels });
                self.at = Some(to);
                self.spans.push((to, to.1));
            }
            _ => panic!("{event:?} is not of this test"),
        }
    }

    /// That it has had all, or was told of it when it was lost.
    fn check(&self, published: &[Published]) {
        let Some((opened_step, opened)) = self.opened else { panic!("it has never had a stream") };
        for (data, event) in published.iter().enumerate() {
            let is_new = match event.place {
                Some((epoch, seq)) if epoch == opened.0 => seq > opened.1,
                _ => event.issued > opened_step,
            };
            if !is_new || self.seen.contains_key(&data.to_string()) {
                continue;
            }
            let is_told = |reset: &Reset| {
                reset.step >= event.issued
                    && reset.channels.iter().any(|name| name == CHANNELS[event.channel])
            };
            let is_good = match event.place {
                Some((epoch, seq)) => {
                    let is_passed =
                        self.spans.iter().any(|((e, from), to)| *e == epoch && *from < seq && seq <= *to);
                    let skipping = self.resets.iter().find(|reset| {
                        reset.from.0 == epoch
                            && reset.to.0 == epoch
                            && reset.from.1 < seq
                            && seq <= reset.to.1
                    });
                    !is_passed && skipping.map_or_else(|| self.resets.iter().any(is_told), is_told)
                }
                None => self.resets.iter().any(is_told),
            };
            assert!(
                is_good,
                "{data} on {} at {:?} is missed in silence",
                CHANNELS[event.channel], event.place
            );
        }
    }
}
