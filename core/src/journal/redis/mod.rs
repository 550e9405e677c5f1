//! A journal in Redis: one stream of events per namespace, which every process follows whole.
//!
//! Places are given by a [script](../../../src/journal/redis/append.lua) in the same step that appends, so that they have no
//! holes; a reader that sees one has missed something, and says so. Nothing is subscribed to: what is not read now is read later.

mod address;
mod lease;
mod link;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    sync::{Arc, LazyLock, Mutex, atomic::AtomicU64},
    time::Duration,
};

use redis::Script;

use self::{
    address::{Address, Host, Place},
    lease::RedisLease,
    reader::RedisReader,
    writer::RedisWriter,
};
use super::{Journal, Lease, Reader, Writer};
use crate::{config::Config, error::Result};

/// Makes the journal of an address; `None` when its scheme is none of Redis.
pub(super) fn open(address: &str, config: &Config) -> Option<Result<Arc<dyn Journal>>> {
    let address = match Address::parse(address)? {
        Ok(address) => address,
        Err(error) => return Some(Err(error)),
    };
    let server = Arc::new(Server::new(address, config));
    Some(Ok(Arc::new(RedisJournal(server))))
}

#[derive(Debug)]
struct RedisJournal(Arc<Server>);

/// What the ends have in common.
#[derive(Debug)]
struct Server {
    address: Address,
    meta: String,
    log: String,
    /// The beginning of publishers' keys.
    publisher: String,
    /// Who forwards to GRIP proxies.
    forwarder: String,
    /// Up to where everything is forwarded.
    forwarded: String,
    unfenced: bool,
    age_ms: u64,
    bytes: u64,
    /// The highest place that this process has seen.
    known: AtomicU64,
    /// The node of a cluster that has the keys, as far as is known.
    moved_to: Mutex<Option<Host>>,
}

impl Journal for RedisJournal {
    fn writer(&self) -> Box<dyn Writer> {
        Box::new(RedisWriter::new(self.0.clone()))
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(RedisReader::new(self.0.clone()))
    }

    fn lease(&self) -> Box<dyn Lease> {
        Box::new(RedisLease::new(self.0.clone()))
    }
}

impl Server {
    fn new(address: Address, config: &Config) -> Self {
        let key = |name| format!("{{{}}}{name}", address.namespace);
        Self {
            meta: key("meta"),
            log: key("log"),
            publisher: key("p:"),
            forwarder: key("fwd"),
            forwarded: key("fwdseq"),
            unfenced: config.journal_unfenced,
            age_ms: config.history_age_ms,
            bytes: config.journal_bytes,
            known: AtomicU64::new(0),
            moved_to: Mutex::default(),
            address,
        }
    }

    /// What scripts take for whether they look at `master_replid`.
    fn unfenced(&self) -> &'static str {
        if self.unfenced { "1" } else { "0" }
    }
}

/// An epoch that another timeline would have.
fn fresh_epoch() -> Result<String> {
    Ok(format!("{:08x}", crate::wire::Epoch::random()?.0))
}

static ATTACH: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("fence.lua"), include_str!("attach.lua"))));
static LEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lease.lua")));
static APPEND: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("fence.lua"), include_str!("append.lua"))));

/// How long a Redis may take to answer what it does at once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
