//! Following a journal in Redis.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use redis::{Connection, Value, cmd};

use super::{
    ANSWER_TIMEOUT, ATTACH, Server, fresh_epoch,
    link::{list, patience, text},
};
use crate::{
    error::{Error, ErrorKind, Result},
    journal::{Entry, Reader, What},
    wire::{Epoch, Event},
    without::{Protection, without},
};

pub(super) struct RedisReader {
    server: Arc<Server>,
    connection: Option<Connection>,
    /// The timeline that is followed.
    epoch: Option<String>,
    /// The last place that was handed out.
    last: u64,
    /// The id of the entry that has it, from which the stream is read on.
    last_id: String,
    /// Entries to ask for at a time: fewer where they are large.
    page: usize,
    replies: Replies,
}

impl RedisReader {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self {
            server,
            connection: None,
            epoch: None,
            last: 0,
            last_id: START.to_owned(),
            page: FIRST_PAGE,
            replies: Replies::default(),
        }
    }
}

impl Reader for RedisReader {
    fn read(&mut self, entries: &mut Vec<Entry>, wait: Duration) -> Result<Option<u64>> {
        let mut connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let mut connection = self.server.connect()?;
            self.attach(&mut connection, entries)?;
            connection
        };
        // What has failed once is not used again: its answers may still be on the way.
        let head = match self.read_on(&mut connection, entries, wait)? {
            Seen::Upto(head) => head,
            Seen::AnotherLog => {
                self.attach(&mut connection, entries)?;
                None
            }
        };
        self.connection = Some(connection);
        Ok(head)
    }
}

/// What one look has shown.
enum Seen {
    /// All up to this head; `None` when there is more.
    Upto(Option<u64>),
    /// It does not go on from where we are.
    AnotherLog,
}

impl RedisReader {
    /// Finds out which timeline there is, and goes on in it, or begins.
    fn attach(&mut self, connection: &mut Connection, entries: &mut Vec<Entry>) -> Result<()> {
        patience(connection, ANSWER_TIMEOUT).map_err(|error| self.server.failed(&error))?;
        let mut call = ATTACH.prepare_invoke();
        call.key(&self.server.meta).key(&self.server.log).arg(fresh_epoch()?).arg(self.server.unfenced());
        call.arg(self.epoch.as_deref().unwrap_or_default()).arg(self.last);
        let answer: Vec<String> = call.invoke(connection).map_err(|error| self.server.failed(&error))?;
        let [epoch, head] = &answer[..] else { return Err(garbled("its meta")) };
        let head: u64 = head.parse().map_err(|_| garbled("its last place"))?;
        let is_same = self.epoch.as_ref() == Some(epoch);
        if is_same && without(Protection::Contiguity) {
            return Ok(());
        }
        let after = if is_same { &*self.last_id } else { START };
        let next = self.place_after(connection, after)?;
        if is_same && next.unwrap_or(head + 1) == self.last + 1 {
            return Ok(());
        }
        // Places that were handed out are not handed out again, whatever has them.
        let floor = next.filter(|next| *next > self.last).map_or(head, |next| next - 1);
        let floor = floor.max(self.last + 1);
        self.last_id = after.to_owned();
        (self.epoch, self.last) = (Some(epoch.clone()), floor);
        let epoch = u32::from_str_radix(epoch, 16).map_err(|_| garbled("its epoch"))?;
        entries.push(Entry::Begin { epoch: Epoch(epoch), floor });
        Ok(())
    }

    /// The place of the first entry after an id.
    fn place_after(&self, connection: &mut Connection, id: &str) -> Result<Option<u64>> {
        let mut range = cmd("XRANGE");
        range.arg(&self.server.log).arg(format!("({id}")).arg("+").arg("COUNT").arg(1);
        let found: Value = range.query(connection).map_err(|error| self.server.failed(&error))?;
        let Some(entry) = list(&found).first() else { return Ok(None) };
        let id = list(entry).first().map(text).unwrap_or_default();
        place_of(id).map(Some).ok_or_else(|| garbled("an id"))
    }

    fn read_on(
        &mut self,
        connection: &mut Connection,
        entries: &mut Vec<Entry>,
        wait: Duration,
    ) -> Result<Seen> {
        self.replies.rest();
        let failed = |error: redis::RedisError| self.server.failed(&error);
        patience(connection, wait + ANSWER_TIMEOUT).map_err(failed)?;
        let block_ms = wait.as_millis().max(1) as u64;
        let mut calls = redis::pipe();
        calls.cmd("HMGET").arg(&self.server.meta).arg("e").arg("s");
        calls.cmd("XREAD").arg("COUNT").arg(self.page).arg("BLOCK").arg(block_ms);
        calls.arg("STREAMS").arg(&self.server.log).arg(&self.last_id);
        // The log may have become another one while this waited.
        calls.cmd("HGET").arg(&self.server.meta).arg("e");
        let (meta, found, epoch_after): (Value, Value, Value) = calls.query(connection).map_err(failed)?;
        let [epoch, head] = list(&meta) else { return Err(garbled("its meta")) };
        if [epoch, &epoch_after].into_iter().any(|epoch| Some(text(epoch)) != self.epoch.as_deref()) {
            return Ok(Seen::AnotherLog);
        }
        let head: u64 = text(head).parse().map_err(|_| garbled("its last place"))?;
        if head < self.last {
            // It has gone back.
            return Ok(Seen::AnotherLog);
        }
        let streams = list(&found);
        let new = streams.first().and_then(|stream| list(stream).get(1)).map(list).unwrap_or_default();
        self.replies.count(!new.is_empty());
        self.page = next_page(self.page, new);
        for entry in new {
            let [id, fields] = list(entry) else { return Err(garbled("an entry")) };
            let id = text(id);
            let (Some(seq), Some(at_unix_ms)) = (place_of(id), time_of(id)) else {
                return Err(garbled("an id"));
            };
            if seq <= self.last {
                // Of before a `Begin`.
                id.clone_into(&mut self.last_id);
                continue;
            }
            if seq != self.last + 1 && !without(Protection::Contiguity) {
                return Ok(Seen::AnotherLog);
            }
            entries.push(Entry::Placed { seq, at_unix_ms, what: what(list(fields)) });
            (self.last, self.last_id) = (seq, id.to_owned());
        }
        if new.is_empty() && head > self.last && !without(Protection::Contiguity) {
            // What should be there is gone.
            return Ok(Seen::AnotherLog);
        }
        self.server.known.fetch_max(self.last, Ordering::Relaxed);
        Ok(Seen::Upto((self.last >= head).then_some(self.last)))
    }
}

/// How many entries to ask for after these, so that an answer takes some megabytes at most, or a few entries.
fn next_page(page: usize, entries: &[Value]) -> usize {
    if entries.is_empty() {
        return page;
    }
    let fields = entries.iter().flat_map(|entry| list(entry).get(1).map(list).unwrap_or_default());
    let bytes: usize = fields.map(|field| text(field).len()).sum();
    let fitting = entries.len() * PAGE_BYTES / bytes.max(1);
    // Larger ones may follow smaller ones.
    fitting.clamp(1, (page * 2).min(MAX_PAGE))
}

/// What an entry says, whoever has written it: what makes no sense is a loss on all channels, for something was meant.
fn what(fields: &[Value]) -> What {
    let field = |name: &str| {
        let found = fields.chunks(2).find(|pair| text(&pair[0]) == name);
        found.and_then(|pair| pair.get(1)).map(text).unwrap_or_default()
    };
    let channels = || serde_json::from_str(field("d")).unwrap_or_default();
    if field("k") != "e" || field("c").is_empty() {
        return What::Lost { channels: if field("k") == "l" { channels() } else { Vec::new() } };
    }
    let mut event = Event::text(field("d").to_owned());
    if !field("n").is_empty() {
        event = event.name(field("n").to_owned());
    }
    if let Ok(retry_ms) = field("r").parse() {
        event = event.retry_ms(retry_ms);
    }
    if !field("m").is_empty() {
        event = event.comment(field("m").to_owned());
    }
    What::Event { channel: field("c").into(), event }
}

fn place_of(id: &str) -> Option<u64> {
    id.split_once('-')?.1.parse().ok()
}

fn time_of(id: &str) -> Option<u64> {
    id.split_once('-')?.0.parse().ok()
}

fn garbled(what: &str) -> Error {
    Error::new(ErrorKind::JournalUnavailable, format!("the journal in Redis is not as it should be: {what}"))
}

/// Many small answers cost Redis more than fewer larger ones: above a rate, it is given a moment to gather.
#[derive(Debug)]
struct Replies {
    since: Instant,
    count: u32,
    is_busy: bool,
}

impl Default for Replies {
    fn default() -> Self {
        Self { since: Instant::now(), count: 0, is_busy: false }
    }
}

impl Replies {
    fn count(&mut self, had_entries: bool) {
        self.count += u32::from(had_entries);
        let passed = self.since.elapsed();
        if passed >= Duration::from_secs(1) {
            self.is_busy = self.count > MAX_REPLIES;
            (self.since, self.count) = (Instant::now(), 0);
        }
    }

    fn rest(&self) {
        if self.is_busy {
            thread::sleep(GATHERING);
        }
    }
}

const START: &str = "0-0";
const FIRST_PAGE: usize = 16;
const MAX_PAGE: usize = 1_000;
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Answers in a second.
const MAX_REPLIES: u32 = 500;
const GATHERING: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(count: usize, bytes: usize) -> Vec<Value> {
        let text = |text: String| Value::BulkString(text.into());
        let entry = |_| {
            Value::Array(vec![
                text("1-1".into()),
                Value::Array(vec![text("d".into()), text("x".repeat(bytes))]),
            ])
        };
        (0..count).map(entry).collect()
    }

    #[test]
    fn pages_of_large_entries_are_small() {
        assert_eq!(next_page(FIRST_PAGE, &entries(16, 100)), 32);
        assert_eq!(next_page(MAX_PAGE, &entries(1_000, 10)), MAX_PAGE);
        assert_eq!(next_page(MAX_PAGE, &entries(8, 1024 * 1024)), 3);
        assert_eq!(next_page(3, &entries(1, 2 * PAGE_BYTES)), 1);
        assert_eq!(next_page(1, &entries(1, 10)), 2);
        assert_eq!(next_page(64, &[]), 64);
    }
}
