//! Appending to a journal in Redis.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use redis::Connection;

use super::{ANSWER_TIMEOUT, APPEND, Server, fresh_epoch, link::patience};
use crate::{
    error::{Error, ErrorKind, Result},
    journal::{Record, What, Writer},
    wire::{Epoch, Position},
    without::{Protection, without},
};

pub(super) struct RedisWriter {
    pub(super) server: Arc<Server>,
    connection: Option<Connection>,
    /// This writer's own key.
    pub(super) key: Option<String>,
    /// The last number that was acknowledged, and in which timeline; `None` when nothing is to be missed there.
    acknowledged: Option<(String, u64)>,
    /// What was acknowledged lately, for the case that it is not there after all.
    recent: VecDeque<Recent>,
}

struct Recent {
    number: u64,
    at: Instant,
    /// The channels of the record; none for all.
    channels: Vec<Box<str>>,
}

/// What a call of the script has come to.
enum Appended {
    At {
        epoch: String,
        places: Vec<Position>,
    },
    /// Nothing: of what was acknowledged, this timeline has only what is up to this number.
    Behind(u64),
}

impl RedisWriter {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server, connection: None, key: None, acknowledged: None, recent: VecDeque::new() }
    }
}

impl Writer for RedisWriter {
    fn append(&mut self, records: &[Record], timeout: Duration) -> Result<Vec<Position>> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.server.connect()?,
        };
        let timeout = timeout.clamp(Duration::from_millis(1), ANSWER_TIMEOUT);
        patience(&connection, timeout).map_err(|error| self.server.failed(&error))?;
        let mut appended = self.call(&mut connection, records)?;
        if let Appended::Behind(number) = appended {
            tracing::warn!(
                "events that were appended to the journal are not in it any more; their readers are told"
            );
            if !without(Protection::Markers) {
                self.mark(&mut connection, self.since(number))?;
            }
            // Only now: were the marker not there, the next attempt would have to append it.
            self.acknowledged = None;
            self.recent.retain(|recent| recent.number <= number);
            appended = self.call(&mut connection, records)?;
        }
        let Appended::At { epoch, places } = appended else { return Err(garbled()) };
        self.acknowledge(epoch, records);
        self.connection = Some(connection);
        Ok(places)
    }
}

impl RedisWriter {
    fn call(&mut self, connection: &mut Connection, records: &[Record]) -> Result<Appended> {
        let key = self.key()?;
        let server = &self.server;
        let (epoch, number) =
            self.acknowledged.as_ref().map_or(("", 0), |(epoch, number)| (&**epoch, *number));
        let mut call = APPEND.prepare_invoke();
        call.key(&server.meta).key(&server.log).key(key);
        call.arg(fresh_epoch()?).arg(server.known.load(Ordering::Relaxed)).arg(server.unfenced());
        call.arg(server.age_ms).arg(server.bytes).arg(epoch).arg(number);
        for Record { number, what } in records {
            call.arg(*number);
            match what {
                What::Event { channel, event } => {
                    let retry = event.retry_ms.map(|retry_ms| retry_ms.to_string()).unwrap_or_default();
                    call.arg("e").arg(&**channel).arg(event.name.as_deref().unwrap_or_default());
                    call.arg(&*event.data).arg(retry).arg(event.comment.as_deref().unwrap_or_default());
                }
                What::Lost { channels } => {
                    let names = serde_json::to_string(channels).unwrap_or_default();
                    call.arg("l").arg("").arg("").arg(names).arg("").arg("");
                }
            }
        }
        let answer: Vec<String> = call.invoke(connection).map_err(|error| server.failed(&error))?;
        let [epoch, number, places @ ..] = &answer[..] else { return Err(garbled()) };
        if places.is_empty() && !records.is_empty() {
            return number.parse().map(Appended::Behind).map_err(|_| garbled());
        }
        let at = Epoch(u32::from_str_radix(epoch, 16).map_err(|_| garbled())?);
        let place = |seq: &String| {
            let seq = seq.parse().ok().filter(|seq| *seq > 0).ok_or_else(garbled)?;
            Ok(Position { epoch: at, seq })
        };
        let places: Vec<Position> = places.iter().map(place).collect::<Result<_>>()?;
        if places.len() != records.len() {
            return Err(garbled());
        }
        server.known.fetch_max(places.last().map_or(0, |place| place.seq), Ordering::Relaxed);
        Ok(Appended::At { epoch: epoch.clone(), places })
    }

    /// Appends the news that events are missing. It has a key of its own, for it must not be taken for one that was appended.
    fn mark(&self, connection: &mut Connection, channels: Vec<Box<str>>) -> Result<()> {
        let mut markers = Self::new(self.server.clone());
        let record = Record { number: 1, what: What::Lost { channels } };
        markers.call(connection, &[record]).map(drop)
    }

    /// The channels of what was acknowledged after that number; none for all.
    fn since(&self, number: u64) -> Vec<Box<str>> {
        let is_known = self.recent.front().is_some_and(|oldest| oldest.number <= number + 1);
        let missing = self.recent.iter().filter(|recent| recent.number > number);
        if !is_known || missing.clone().any(|recent| recent.channels.is_empty()) {
            return Vec::new();
        }
        let channels: BTreeSet<Box<str>> =
            missing.flat_map(|recent| recent.channels.iter().cloned()).collect();
        if channels.len() > MAX_NAMED { Vec::new() } else { channels.into_iter().collect() }
    }

    fn acknowledge(&mut self, epoch: String, records: &[Record]) {
        let at = Instant::now();
        if let Some(last) = records.last() {
            self.acknowledged = Some((epoch, last.number));
        }
        for Record { number, what } in records {
            let channels = match what {
                What::Event { channel, .. } => vec![channel.clone()],
                What::Lost { channels } => channels.clone(),
            };
            self.recent.push_back(Recent { number: *number, at, channels });
        }
        let is_old = |recent: &Recent| at.duration_since(recent.at) > KEPT;
        while self.recent.len() > MAX_RECENT || self.recent.front().is_some_and(is_old) {
            self.recent.pop_front();
        }
    }

    fn key(&mut self) -> Result<String> {
        if self.key.is_none() || without(Protection::Repeats) {
            self.key = Some(format!("{}{}{}", self.server.publisher, fresh_epoch()?, fresh_epoch()?));
        }
        Ok(self.key.clone().unwrap_or_default())
    }
}

fn garbled() -> Error {
    Error::new(
        ErrorKind::JournalUnavailable,
        "the script that appends to the journal has given a strange answer",
    )
}

/// How long it is known on which channels something was acknowledged; longer than a failover takes.
const KEPT: Duration = Duration::from_secs(60);
const MAX_RECENT: usize = 100_000;
const MAX_NAMED: usize = 1_000;
