//! The end that follows.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    Shared,
    bell::LOOK_EVERY,
    header::State,
    record::Raw,
    ring::{Found, Ring},
};
use crate::{
    clock::deadline,
    error::Result,
    journal::{Entry, Reader},
    wire::Epoch,
};

pub(super) struct FileReader {
    shared: Arc<Shared>,
    ring: Option<Ring>,
    /// What was told of by the last `Begin`.
    epoch: Option<Epoch>,
    /// Where the next record begins.
    at: u64,
    /// The last place that was handed out, or the floor that was told.
    last: u64,
    /// The generation that was not what the word to sleep on said: then sleeping on it is no sleep.
    odd: Option<u64>,
    /// When the path was looked at.
    looked: Instant,
    /// Kept to be used again.
    page: Vec<u8>,
}

impl FileReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let looked = Instant::now();
        Self { shared, ring: None, epoch: None, at: 0, last: 0, odd: None, looked, page: Vec::new() }
    }
}

impl Reader for FileReader {
    fn read(&mut self, entries: &mut Vec<Entry>, wait: Duration) -> Result<Option<u64>> {
        let until = deadline(wait);
        let before = entries.len();
        let mut tries = 0;
        while tries < TRIES {
            let mut ring = match self.ring.take() {
                Some(ring) => ring,
                None => self.open()?,
            };
            let Some(state) = self.read_ring(&mut ring, entries)? else {
                tries += 1;
                continue;
            };
            let ring = self.ring.insert(ring);
            let is_all = self.at == state.end;
            let left = until.saturating_duration_since(Instant::now());
            if entries.len() > before || !is_all || left.is_zero() {
                return Ok(is_all.then_some(self.last));
            }
            // Nothing new. A word that was another, although the state is not, would be no sleep.
            if self.odd == Some(state.generation) {
                thread::sleep(left.min(ODD_PAUSE));
            } else if !ring.bell.wait(state.bell(), left) {
                self.odd = Some(state.generation);
            }
        }
        Ok(None)
    }
}

impl FileReader {
    fn open(&mut self) -> Result<Ring> {
        self.looked = Instant::now();
        Ring::open(&self.shared, Instant::now() + LOCK_TIMEOUT)
    }

    /// Hands out what is new. Gives back the state up to which it may be read; `None` when that has to be tried again, with
    /// the file opened again.
    fn read_ring(&mut self, ring: &mut Ring, entries: &mut Vec<Entry>) -> Result<Option<State>> {
        let Some(state) = self.find(ring)? else { return Ok(None) };
        if self.epoch != Some(state.epoch()) || self.at < state.oldest_at {
            // Another epoch, or we were overtaken.
            let floor = state.oldest_seq - 1;
            if floor <= self.last {
                self.begin_anew(ring, &state)?;
                return Ok(None);
            }
            (self.epoch, self.at) = (Some(state.epoch()), state.oldest_at);
            self.learn(floor);
            entries.push(Entry::Begin { epoch: state.epoch(), floor });
        }
        if self.at == state.end {
            return Ok(Some(state));
        }
        let (at, before) = (self.at, entries.len());
        let next = self.read_page(ring, &state, entries)?;
        // Was all of it there still when it was read?
        let now = self.find(ring)?.filter(|now| now.epoch == state.epoch && now.oldest_at <= at);
        if let (Some(_), Some((at, last))) = (now, next) {
            self.at = at;
            self.learn(last);
            return Ok(now);
        }
        entries.truncate(before);
        if now.is_some() {
            self.begin_anew(ring, &state)?;
        }
        Ok(None)
    }

    /// The state of the file, which is begun anew when it is damaged; `None` when the file has to be opened again.
    fn find(&mut self, ring: &mut Ring) -> Result<Option<State>> {
        let mut is_whole = true;
        if self.looked.elapsed() >= LOOK_EVERY {
            let Some(whole) = ring.is_whole()? else { return Ok(None) };
            is_whole = whole;
            self.looked = Instant::now();
        }
        for _ in 0..TRIES {
            match ring.find()? {
                Found::State(state) if is_whole => return Ok(Some(state)),
                Found::Changed => return Ok(None),
                Found::State(_) => break,
                Found::Damaged => {} // or just being written
            }
        }
        Ok(ring.lock(Instant::now() + LOCK_TIMEOUT)?.map(|locked| locked.state))
    }

    /// Reads whole records from where we are. Gives back where the next begins, and the last place; `None` when they are
    /// damaged.
    fn read_page(
        &mut self,
        ring: &Ring,
        state: &State,
        entries: &mut Vec<Entry>,
    ) -> Result<Option<(u64, u64)>> {
        let (mut at, mut last) = (self.at, self.last);
        if at > state.end || !ring.read(at, state.end, &mut self.page)? {
            return Ok(None);
        }
        let mut rest = &self.page[..];
        while let Some(raw) = Raw::next(&mut rest) {
            let Ok(raw) = raw else { return Ok(None) };
            let Ok(what) = raw.what() else { return Ok(None) };
            if raw.epoch != state.epoch || raw.seq != last + 1 {
                return Ok(None);
            }
            entries.push(Entry::Placed { seq: raw.seq, at_unix_ms: raw.at_unix_ms, what });
            (at, last) = (at + raw.bytes(), raw.seq);
        }
        self.page.shrink_to(KEPT_BYTES);
        Ok(Some((at, last)))
    }

    /// Begins an epoch above all that is known here, if what was `seen` without the lock is so with it.
    fn begin_anew(&mut self, ring: &mut Ring, seen: &State) -> Result<()> {
        let Some(mut locked) = ring.lock(Instant::now() + LOCK_TIMEOUT)? else { return Ok(()) };
        let state = locked.state;
        if state.epoch != seen.epoch {
            return Ok(());
        }
        let is_followed = self.epoch == Some(state.epoch()) && self.at >= state.oldest_at;
        if !is_followed && state.oldest_seq - 1 <= self.last {
            return locked.begin_anew("places in it are behind those that were followed");
        }
        if is_followed && self.at != state.end {
            let mut entries = Vec::new();
            if self.read_page(locked.ring, &state, &mut entries)?.is_none() {
                return locked.begin_anew("records in it are damaged");
            }
        }
        Ok(())
    }

    fn learn(&mut self, seq: u64) {
        self.last = seq;
        self.shared.learn(seq);
    }
}

/// How long a lock is waited for to judge what seems damaged.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// How often something is tried that others may be changing.
const TRIES: usize = 8;
const ODD_PAUSE: Duration = Duration::from_millis(5);
/// Memory that is kept between reads.
const KEPT_BYTES: usize = 1024 * 1024;
