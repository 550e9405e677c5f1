//! What was ended lately, for streams that are being opened meanwhile.
//!
//! An application decides on a request, and then the stream is opened and handed to a driver. What is ended between these
//! moments is met by nobody, so every stream is checked again when it has got its driver.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    notice::{CloseNotice, LastWords},
    who::Who,
};
use crate::sync::unpoison;

/// The latest calls that have ended streams, counted from 1.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    count: AtomicU64,
    /// How many of them have been told to those who drive streams.
    posted: AtomicU64,
    latest: Mutex<VecDeque<(Who, LastWords)>>,
}

/// What has become of a stream while it was opened.
#[derive(Clone, Debug)]
pub(super) enum Meanwhile {
    Nothing,
    /// It was meant.
    Ended(LastWords),
    /// So much has ended that nobody knows.
    Unknown,
}

impl Ended {
    /// How many calls there were.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Notes a call. Must come before streams are looked for.
    pub(crate) fn note(&self, who: Who, words: LastWords) {
        let mut latest = unpoison(self.latest.lock());
        if latest.len() == MAX_KEPT {
            latest.pop_front();
        }
        latest.push_back((who, words));
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// How many calls were told to those who drive streams.
    pub(crate) fn posted(&self) -> u64 {
        self.posted.load(Ordering::SeqCst)
    }

    /// Notes that a call was told to those who drive streams.
    pub(crate) fn note_posted(&self) {
        self.posted.fetch_add(1, Ordering::SeqCst);
    }

    /// What the calls since there were `count` of them mean for a stream.
    pub(super) fn since(&self, count: u64, fits: impl Fn(&Who) -> bool) -> Meanwhile {
        if self.count() == count {
            return Meanwhile::Nothing;
        }
        let latest = unpoison(self.latest.lock());
        let new = self.count() - count;
        if new > latest.len() as u64 {
            return Meanwhile::Unknown;
        }
        let mut meant =
            latest.iter().rev().take(new as usize).filter(|(who, _)| fits(who)).map(|(_, words)| words);
        // What forbids outweighs what lets come back.
        let first = meant.next();
        match meant.chain(first).find(|words| words.is_final()).or(first) {
            Some(words) => Meanwhile::Ended(words.clone()),
            None => Meanwhile::Nothing,
        }
    }
}

impl Meanwhile {
    /// What a stream is to say that was open already.
    pub(super) fn into_words(self) -> Option<LastWords> {
        match self {
            Self::Nothing => None,
            Self::Ended(words) => Some(words),
            Self::Unknown => Some(CloseNotice::Reauthorize.into()),
        }
    }
}

/// An application that ends more while it decides on one request has that client come back.
const MAX_KEPT: usize = 1_024;
