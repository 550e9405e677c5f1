//! The cases: how many streams, on which channels, under which load.

use crate::{
    clients::{Channels, ONE_CHANNEL},
    subject::Kind,
};

/// One thing to measure, the same for every subject.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) streams: usize,
    pub(crate) channels: Channels,
    pub(crate) load: Load,
}

/// What is published while the streams are open.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// Nothing: only opening and holding are measured.
    Idle,
    /// So many events a second.
    Paced { rate: u32, seconds: f64 },
    /// Events at once, and again when all of them have arrived.
    Bursts { events: u32, times: u32 },
    /// Events a second to channels taken at random.
    Random { rate: u32, seconds: f64 },
    /// The publish call is timed, so many calls at once, and again when all have arrived.
    TimedCalls { calls: u32, times: u32 },
    /// Events to a proxy that holds no streams, each when it has taken the one before (`each`) or all at once, and again
    /// when it has taken all.
    Items { events: u32, times: u32, each: bool },
}

/// Every case, in the order they run.
pub(crate) const CASES: [Case; 11] = [
    Case {
        name: "paced",
        about: "one channel, 20 events/s",
        streams: 2_000,
        channels: Channels::One,
        load: Load::Paced { rate: 20, seconds: 5.0 },
    },
    Case {
        name: "paced-wide",
        about: "one channel, 3 events/s",
        streams: 15_000,
        channels: Channels::One,
        load: Load::Paced { rate: 3, seconds: 5.0 },
    },
    Case {
        name: "burst",
        about: "one channel, 100 events at once",
        streams: 2_000,
        channels: Channels::One,
        load: Load::Bursts { events: 100, times: 10 },
    },
    Case {
        name: "many-channels",
        about: "a channel for each stream, 20,000 events/s to random channels",
        streams: 10_000,
        channels: Channels::Own,
        load: Load::Random { rate: 20_000, seconds: 5.0 },
    },
    Case {
        name: "idle",
        about: "streams opened and left alone",
        streams: 15_000,
        channels: Channels::One,
        load: Load::Idle,
    },
    PUBLISH_0,
    Case { name: "publish-400", streams: 400, ..PUBLISH_0 },
    Case { name: "publish-4000", streams: 4_000, ..PUBLISH_0 },
    Case {
        name: "latency",
        about: "one channel, 10 events/s",
        streams: 5_000,
        channels: Channels::One,
        load: Load::Paced { rate: 10, seconds: 5.0 },
    },
    GRIP_EACH,
    Case {
        name: "grip-burst",
        about: "2,000 events at once to a Pushpin",
        load: Load::Items { events: 2_000, times: 5, each: false },
        ..GRIP_EACH
    },
];

const GRIP_EACH: Case = Case {
    name: "grip-each",
    about: "events to a Pushpin, each when it has taken the one before",
    streams: 0,
    channels: Channels::One,
    load: Load::Items { events: 1_000, times: 3, each: true },
};

const PUBLISH_0: Case = Case {
    name: "publish-0",
    about: "the publish call, in batches of 50",
    streams: 0,
    channels: Channels::One,
    load: Load::TimedCalls { calls: 50, times: 10 },
};

/// Data of each event.
const DATA_BYTES: usize = 100;

impl Case {
    /// The same with less time and fewer repeats: a look, not a figure to quote.
    pub(crate) fn quick(mut self) -> Self {
        self.load = match self.load {
            Load::Paced { rate, .. } => Load::Paced { rate, seconds: 1.0 },
            Load::Random { rate, .. } => Load::Random { rate, seconds: 1.0 },
            other => other,
        };
        self.repeated(3)
    }

    /// The same with what is repeated done so many times.
    pub(crate) fn repeated(mut self, repeats: u32) -> Self {
        if let Load::Bursts { times, .. } | Load::TimedCalls { times, .. } | Load::Items { times, .. } =
            &mut self.load
        {
            *times = repeats;
        }
        self
    }

    /// The subjects it is for.
    pub(crate) fn kind(&self) -> Kind {
        if matches!(self.load, Load::Items { .. }) { Kind::Publisher } else { Kind::Server }
    }

    /// The commands to the subject, each sent when all events of the one before have arrived. The first only warms up.
    pub(crate) fn commands(&self) -> Vec<String> {
        let streams = self.streams;
        let repeated = |command: String, times: u32| vec![command; times as usize + 1];
        match self.load {
            Load::Idle => Vec::new(),
            Load::Paced { rate, seconds } => {
                let pace = format!("pace {ONE_CHANNEL} {rate} {seconds} {DATA_BYTES}");
                vec![format!("publish {ONE_CHANNEL} 5 {DATA_BYTES}"), pace]
            }
            Load::Bursts { events, times } => {
                repeated(format!("publish {ONE_CHANNEL} {events} {DATA_BYTES}"), times)
            }
            Load::Random { rate, seconds } => {
                let random = |seconds| format!("random {streams} {rate} {seconds} {DATA_BYTES}");
                vec![random(0.5), random(seconds)]
            }
            Load::Items { events, times, each } => {
                let command = if each { "publish-each" } else { "publish" };
                repeated(format!("{command} {ONE_CHANNEL} {events} {DATA_BYTES}"), times)
            }
            Load::TimedCalls { calls, times } => {
                repeated(format!("time-publish {ONE_CHANNEL} {calls} {DATA_BYTES}"), times)
            }
        }
    }

    /// To how many streams each event goes.
    pub(crate) fn fan_out(&self) -> u64 {
        match self.channels {
            Channels::One => self.streams as u64,
            Channels::Own => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_every_load_warms_up() {
        for (index, case) in CASES.iter().enumerate() {
            assert!(CASES[..index].iter().all(|other| other.name != case.name), "{}", case.name);
            assert_ne!(case.commands().len(), 1, "{} has a warm-up and nothing after it", case.name);
            assert_eq!(case.commands().is_empty(), case.clone().quick().commands().is_empty());
        }
    }
}
