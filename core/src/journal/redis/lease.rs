//! Who forwards: a key with the holder's name, which passes away when it is not renewed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use redis::{Connection, cmd};

use super::{LEASE, Server, fresh_epoch};
use crate::{
    error::Result,
    journal::Lease,
    wire::{Position, Resume},
};

pub(super) struct RedisLease {
    server: Arc<Server>,
    connection: Option<Connection>,
    /// What tells the holder from others.
    name: Option<String>,
    /// When it was renewed last, while it is held.
    held_since: Option<Instant>,
    noted: Option<Position>,
}

impl RedisLease {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server, connection: None, name: None, held_since: None, noted: None }
    }

    fn call(&mut self, what: &str, forwarded: Option<Position>) -> Result<bool> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => self.name.insert(format!("{}{}", fresh_epoch()?, fresh_epoch()?)).clone(),
        };
        let position = forwarded.map(|position| position.to_string()).unwrap_or_default();
        // Before the call: its time may begin that early.
        let since = Instant::now();
        let (holder, place) = (self.server.forwarder.clone(), self.server.forwarded.clone());
        let is_held = self.ask(|connection| {
            let mut call = LEASE.prepare_invoke();
            call.key(&holder).key(&place);
            call.arg(&name).arg(what).arg(HELD_FOR.as_millis() as u64).arg(&position);
            call.invoke(connection)
        })?;
        self.held_since = Some(since).filter(|_| is_held);
        self.noted = forwarded.or(self.noted).filter(|_| is_held);
        Ok(is_held)
    }

    /// Asks Redis. A connection that has failed is not used again.
    fn ask<T>(&mut self, ask: impl FnOnce(&mut Connection) -> redis::RedisResult<T>) -> Result<T> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.server.connect()?,
        };
        let answer = ask(&mut connection).map_err(|error| self.server.failed(&error))?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

impl Lease for RedisLease {
    fn take(&mut self) -> Result<bool> {
        self.call("take", None)
    }

    fn keep(&mut self, forwarded: Option<Position>) -> Result<bool> {
        let Some(since) = self.held_since else { return Ok(false) };
        let is_noted = forwarded.is_none() || forwarded == self.noted;
        if is_noted && since.elapsed() < RENEWED_AFTER {
            return Ok(true);
        }
        let kept = self.call("keep", forwarded);
        if kept.is_err() && since.elapsed() > HELD_FOR {
            self.held_since = None;
            return Ok(false);
        }
        kept
    }

    fn forwarded(&mut self) -> Result<Option<Position>> {
        let key = self.server.forwarded.clone();
        let text: Option<String> = self.ask(|connection| cmd("GET").arg(key).query(connection))?;
        Ok(text.and_then(|text| match Resume::parse(&text) {
            Resume::From(position) => Some(position),
            _ => None,
        }))
    }
}

impl Drop for RedisLease {
    fn drop(&mut self) {
        // Where it cannot be given up, it passes away.
        if self.held_since.is_some() && self.connection.is_some() {
            let _ = self.call("leave", None);
        }
    }
}

/// How long it is held without being renewed, and so how long nobody forwards after a holder was killed.
const HELD_FOR: Duration = Duration::from_secs(5);
const RENEWED_AFTER: Duration = Duration::from_secs(1);
