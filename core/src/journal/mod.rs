//! Floor 2: a journal, one ordered log that several processes share.
//!
//! A process appends what it publishes through a [`Writer`], and follows everything that any process has appended through
//! a [`Reader`], into its own [log](crate::log). So an event has the same position everywhere, and a client resumes in
//! any process. Places are given by the journal alone; what it is kept in is the engine's affair.

mod file;
mod follower;
#[cfg(feature = "redis")]
mod redis;

use std::{fmt::Debug, sync::Arc, time::Duration};

pub(crate) use follower::{Follower, Heard};

use crate::{
    config::Config,
    error::{Error, ErrorKind, Result},
    wire::{Epoch, Event, Position},
};

/// What a journal is kept in. Making one does no I/O: its ends connect when they are first used.
pub trait Journal: Debug + Send + Sync {
    /// An end to append with. Each has an identity of its own, so that what it repeats is known again.
    fn writer(&self) -> Box<dyn Writer>;

    /// An end to follow from.
    fn reader(&self) -> Box<dyn Reader>;

    /// The right to forward the journal's events to GRIP proxies, to be taken.
    fn lease(&self) -> Box<dyn Lease>;
}

/// Appends, on one thread.
pub trait Writer: Send {
    /// Appends records in order, and gives back the place of each; waits no longer than `timeout` by and large.
    ///
    /// After an error nobody knows how many were appended: the caller repeats the same records, perhaps without some at
    /// the front and with others behind, and those that are in the journal already are not appended again but have
    /// their places given back. Records are told apart by their [`number`](Record::number).
    ///
    /// Fails with `journal-unavailable` for what may pass, and `journal-rejected` for records that will never be taken.
    fn append(&mut self, records: &[Record], timeout: Duration) -> Result<Vec<Position>>;
}

/// Follows, on one thread.
pub trait Reader: Send {
    /// Waits up to `wait` for something new, and appends it to `entries`, a bounded part at a time.
    ///
    /// The first entry ever is a [`Begin`](Entry::Begin), and places only grow: each is the one before plus one, a
    /// `Begin` apart. Gives back the head of the journal when all of it up to there has been handed out and that was its
    /// head at some moment *since this call began*; `None` when there is more, or nobody knows.
    ///
    /// Fails with `journal-unavailable`; the next call connects again, and goes on where it was, or with a `Begin` if it
    /// cannot.
    fn read(&mut self, entries: &mut Vec<Entry>, wait: Duration) -> Result<Option<u64>>;
}

/// A right that one process has at a time, of all that share the journal. Dropping it gives it up, and so does the end of the
/// process, whatever ends it.
pub trait Lease: Send {
    /// Takes it if nobody else has it; whether it is held. Fails with `journal-unavailable`.
    fn take(&mut self) -> Result<bool>;

    /// Keeps it, and notes up to where everything is forwarded, if that is known. False when another may have it by now.
    ///
    /// To be called every second at least. Fails with `journal-unavailable`, after which it is still held for the time being.
    fn keep(&mut self, forwarded: Option<Position>) -> Result<bool>;

    /// What was noted last by whoever had it. Fails with `journal-unavailable`.
    fn forwarded(&mut self) -> Result<Option<Position>>;
}

/// What is appended.
#[derive(Clone, Debug)]
pub struct Record {
    /// Counts the records of one writer from 1, without holes but for those that were given up.
    pub number: u64,
    /// What it says.
    pub what: What,
}

/// What a place in the journal is given to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum What {
    /// What was published.
    Event {
        /// Of what channel.
        channel: Box<str>,
        /// The event.
        event: Event<'static>,
    },
    /// Events of these channels were published, or acknowledged, and are not in the journal; of any channel, when none is
    /// named. Who reads the channel from before this place has missed them.
    Lost {
        /// Their names.
        channels: Vec<Box<str>>,
    },
}

/// What is followed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Entry {
    /// A log that is not the one before: nothing up to `floor` is known of it, and `floor` is greater than every place that
    /// this reader has handed out before. It is 1 at least. With the epoch of the one before it is still that log: the reader
    /// was overtaken, and what came up to `floor` is gone.
    Begin {
        /// Its epoch.
        epoch: Epoch,
        /// The place before the first that may follow.
        floor: u64,
    },
    /// A place, and when it was given, in milliseconds since 1970 by the journal's clock.
    Placed {
        /// The place.
        seq: u64,
        /// When it was given.
        at_unix_ms: u64,
        /// What to.
        what: What,
    },
}

/// The journal that the setting `journal` names, or the environment; `None` when there is none.
///
/// Fails with `invalid-config`, never showing a secret.
pub fn open(config: &Config) -> Result<Option<Arc<dyn Journal>>> {
    let from_env = || std::env::var(VARIABLE).unwrap_or_default();
    let setting = Some(config.journal.reveal().trim()).filter(|setting| !setting.is_empty());
    let address = setting.map_or_else(from_env, str::to_owned);
    let scheme = address.trim().split(':').next().unwrap_or_default();
    #[cfg(feature = "redis")]
    if let Some(journal) = redis::open(address.trim(), config) {
        return journal.map(Some);
    }
    match scheme {
        "" | "none" => Ok(None),
        "file" => {
            let path = address.trim().split_once(':').map_or("", |(_, path)| path);
            Ok(Some(Arc::new(file::File::new(path, config)?)))
        }
        _ if scheme.starts_with("redis") && !cfg!(feature = "redis") => Err(Error::new(
            ErrorKind::InvalidConfig,
            "a journal in Redis needs the feature 'redis' of evstream",
        )),
        _ => Err(Error::new(
            ErrorKind::InvalidConfig,
            format!("journal takes {ADDRESSES}; this one is '{scheme}:'"),
        )),
    }
}

/// The channel of what is meant for the processes themselves, in the order of events. No application has one of that name.
pub(crate) const ORDERS: &str = "\u{1}";

/// The environment variable that names a journal where the setting does not.
const VARIABLE: &str = "EVSTREAM_JOURNAL";

const ADDRESSES: &str =
    "'none', or an address such as file:/run/app/events or redis://host:6379/0?namespace=app";
