//! Processes and clients that share a journal, from their start to the verdict.

use std::time::{Duration, Instant};

use evstream::Position;
use fastrand::Rng;

use crate::{
    CHANNELS, PATIENCE,
    client::{Addresses, Client},
    node::{Heard, Node},
    until,
    verdict::Verdict,
};

/// How large a run is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Processes that serve streams and publish.
    pub servers: usize,
    /// Processes that only publish.
    pub publishers: usize,
    /// Events a second that each of them publishes.
    pub rate: u64,
    /// Clients that move between the servers.
    pub clients: usize,
    /// `SETTING=VALUE` for all processes.
    pub settings: Vec<String>,
    /// Their environment besides.
    pub env: Vec<(String, String)>,
}

/// A run under way.
#[derive(Debug)]
pub struct Run {
    program: String,
    journals: Vec<String>,
    plan: Plan,
    /// The servers, and then the publishers.
    pub nodes: Vec<Node>,
    started: usize,
    ended: Vec<Heard>,
    addresses: Addresses,
    clients: Vec<Client>,
    /// For a scenario to draw from.
    pub random: Rng,
}

impl Default for Plan {
    fn default() -> Self {
        let settings = vec!["keep_alive_ms=300".to_owned(), "retry_ms=100".to_owned()];
        Self { servers: 3, publishers: 2, rate: 60, clients: 6, settings, env: Vec::new() }
    }
}

impl Plan {
    /// With this setting besides.
    pub fn set(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// Without a protection that the product has, to see that it is missed.
    pub fn without(mut self, protection: &str) -> Self {
        self.env.push(("EVSTREAM_TEST_WITHOUT".to_owned(), protection.to_owned()));
        self
    }
}

impl Run {
    /// Starts it; returns when every client has a stream and every process publishes. `program` is the node's, and
    /// the processes take the addresses of the journal in turn.
    pub fn start(program: &str, journals: &[&str], plan: Plan) -> Self {
        let seed = std::env::var("EVSTREAM_SEED");
        let seed =
            seed.map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("EVSTREAM_SEED is a number"));
        println!("EVSTREAM_SEED={seed}");
        let mut run = Self {
            program: program.to_owned(),
            journals: journals.iter().map(|&journal| journal.to_owned()).collect(),
            nodes: Vec::new(),
            started: 0,
            ended: Vec::new(),
            addresses: Addresses::default(),
            clients: Vec::new(),
            random: Rng::with_seed(seed),
            plan,
        };
        for index in 0..run.plan.servers + run.plan.publishers {
            let node = run.start_node(index);
            run.nodes.push(node);
        }
        run.note_addresses();
        let clients = (0..run.plan.clients).map(|_| Client::start(&run.addresses, run.random.fork()));
        run.clients = clients.collect();
        until("every client to have a stream", || run.clients.iter().all(Client::has_begun));
        run.publish();
        run.wait_for_more();
        run
    }

    /// Lets it run for a while.
    pub fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }

    /// Ends a process by `end`, and starts another in its place.
    pub fn replace(&mut self, index: usize, end: impl FnOnce(&mut Node)) {
        end(&mut self.nodes[index]);
        let node = self.start_node(index);
        let ended = std::mem::replace(&mut self.nodes[index], node);
        self.ended.push(ended.with(Heard::clone));
        self.note_addresses();
        self.nodes[index].rate(self.plan.rate);
    }

    /// Ends all processes, and then starts all again.
    pub fn replace_all(&mut self, mut end: impl FnMut(&mut Node)) {
        for mut node in std::mem::take(&mut self.nodes) {
            end(&mut node);
            self.ended.push(node.with(Heard::clone));
        }
        for index in 0..self.plan.servers + self.plan.publishers {
            let node = self.start_node(index);
            self.nodes.push(node);
        }
        self.note_addresses();
        self.publish();
    }

    /// Any of the processes.
    pub fn any(&mut self) -> usize {
        self.random.usize(..self.nodes.len())
    }

    /// Waits until every process has had one more event acknowledged.
    pub fn wait_for_more(&self) {
        Self::wait_for(&self.nodes);
    }

    /// Waits until that process has.
    pub fn wait_for_more_of(&self, index: usize) {
        Self::wait_for(&self.nodes[index..=index]);
    }

    fn wait_for(nodes: &[Node]) {
        let acked = |node: &Node| {
            node.with(|heard| {
                heard.published.iter().filter(|event| matches!(event.outcome, Some(Ok(_)))).count()
            })
        };
        let before: Vec<usize> = nodes.iter().map(acked).collect();
        until("every process to publish", || {
            nodes.iter().zip(&before).all(|(node, before)| acked(node) > *before)
        });
    }

    /// Whether a client was told that it has missed something.
    pub fn had_reset(&self) -> bool {
        self.clients.iter().any(Client::was_reset)
    }

    /// Has all processes publish.
    pub fn publish(&mut self) {
        let rate = self.plan.rate;
        self.nodes.iter_mut().for_each(|node| node.rate(rate));
    }

    /// Has no process publish, and waits for what is under way; says which did not end.
    pub fn hush(&mut self) -> Vec<String> {
        self.nodes.iter_mut().for_each(|node| node.rate(0));
        let pending = |nodes: &[Node]| -> Vec<String> {
            let of = |heard: &Heard| {
                let open = heard.published.iter().filter(|event| event.outcome.is_none());
                open.map(|event| event.data.clone()).collect::<Vec<_>>()
            };
            nodes.iter().flat_map(|node| node.with(of)).collect()
        };
        // A process obeys after what it is doing.
        std::thread::sleep(Duration::from_millis(100));
        let deadline = Instant::now() + PATIENCE;
        while !pending(&self.nodes).is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        pending(&self.nodes)
    }

    /// Ends it, when every client has come to its end; says how it was.
    pub fn finish(mut self) -> Verdict {
        let mut violations: Vec<String> =
            self.hush().into_iter().map(|data| format!("{data} was published, and had no end")).collect();
        let ends = self.publish_ends();
        let deadline = Instant::now() + PATIENCE;
        let is_late = |client: &Client| !client.is_at(&ends);
        while self.clients.iter().any(is_late) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let late = self.clients.iter().filter(|client| is_late(client)).count();
        if late > 0 {
            violations.push(format!("{late} clients have not come to the end, {ends:?}"));
        }
        let diaries: Vec<_> = self.clients.into_iter().map(Client::finish).collect();
        for node in &mut self.nodes {
            node.close();
            self.ended.push(node.with(Heard::clone));
        }
        Verdict::new(&self.ended, &diaries, violations)
    }

    /// The last place on each channel, when all processes have published there in one epoch.
    fn publish_ends(&mut self) -> Vec<(String, Position)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.nodes.iter_mut().for_each(Node::end);
            std::thread::sleep(Duration::from_millis(100));
            self.hush();
            let mut ends = Vec::new();
            for node in &self.nodes {
                node.with(|heard| {
                    let of = heard.published.iter().rev().take(CHANNELS.len()).filter(|event| event.is_end());
                    ends.extend(of.filter_map(|event| {
                        Some((event.channel().to_owned(), event.outcome.clone()?.ok()?))
                    }));
                });
            }
            let newest = ends.iter().max_by_key(|(_, at)| at.seq).map(|(_, at)| at.epoch);
            if ends.len() == CHANNELS.len() * self.nodes.len()
                && ends.iter().all(|(_, at)| Some(at.epoch) == newest)
            {
                return ends;
            }
            assert!(Instant::now() < deadline, "the last events have no places of one epoch: {ends:?}");
        }
    }

    fn start_node(&mut self, index: usize) -> Node {
        self.started += 1;
        let name = format!("n{}", self.started);
        let serves = index < self.plan.servers;
        let journal = &self.journals[index % self.journals.len()];
        Node::start(&self.program, &name, serves, journal, &self.plan.settings, &self.plan.env)
    }

    fn note_addresses(&self) {
        let addresses = self.nodes.iter().filter_map(|node| node.with(|heard| heard.address)).collect();
        *self.addresses.lock().expect("no client panics") = addresses;
    }
}
