//! Finding the streams that are open, and ending them, in this process and, by the journal or GRIP proxies, in all others.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::App;
use crate::{
    engine::end_meant,
    error::{Error, ErrorKind, Result},
    journal::Heard,
    publish::{ProxyResult, Receipt},
    stream::{LastWords, OpenStream, Order, Who},
    wire::{Event, protocol::MAX_REASON_BYTES},
};

/// What [`Events::disconnect`](crate::Events::disconnect) and [`Events::reopen`](crate::Events::reopen) give back.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Of the journal, which tells the other processes, or else of the proxies.
    told: Option<Receipt>,
}

impl App {
    /// Ends streams in all processes; in this one at once. Fails with `invalid-argument`, `closed` or `forked`.
    pub(crate) fn end_meant(&self, who: Who, forbidden: Option<&str>) -> Result<Ended> {
        who.check()?;
        if forbidden.is_some_and(|text| text.len() > MAX_REASON_BYTES) {
            let text = format!("what a client is told may have {MAX_REASON_BYTES} bytes at most");
            return Err(Error::new(ErrorKind::InvalidArgument, text));
        }
        self.check_open()?;
        let words = LastWords::asked_for(forbidden);
        self.end_own(who.clone(), &words);
        let config = self.hub.config();
        let until = |tried_for_ms| Instant::now() + Duration::from_millis(tried_for_ms);
        if let Some(journal) = &self.journal {
            let order = Event::json(&Order::new(self.hub.name(), &who, forbidden))?;
            // Whoever has come back since and was let in must not be sent away again.
            let again = Event::json(&Order::new(self.hub.name(), &who, None))?;
            let deadline = until(config.journal_deadline_ms);
            return Ok(Ended { told: Some(self.appending(journal)?.order(&order, &again, deadline)) });
        }
        let deadline = until(config.grip_deadline_ms);
        let told = self.publisher()?.and_then(|publisher| publisher.end(&self.hub, &who, &words, deadline));
        Ok(Ended { told })
    }

    /// The streams of this process that are meant. Fails with `invalid-argument`, `timeout`, `closed` or `forked`.
    pub(crate) fn streams(&self, who: Who) -> Result<Vec<OpenStream>> {
        who.check()?;
        self.check_open()?;
        self.started_engine().map_or(Ok(Vec::new()), |engine| engine.streams(&Arc::new(who)))
    }

    fn end_own(&self, who: Who, words: &LastWords) {
        end_meant(&self.hub, self.started_engine(), who, words);
    }

    /// Does what another process has said in the journal. When something of that is missing, anyone may have been meant: all
    /// clients come back, and the application decides anew.
    pub(super) fn obey(&self, heard: Heard<'_>) {
        match heard {
            Heard::Missing => self.end_own(Who::everyone(), &LastWords::asked_for(None)),
            Heard::Order(order) => {
                if let Some(order) = Order::parse(order).filter(|order| order.from != self.hub.name()) {
                    let (who, words) = order.into_parts();
                    self.end_own(who, &words);
                }
            }
            Heard::Journal(epoch) => {
                if let Some(appending) = self.appending.get() {
                    appending.is_in(epoch);
                }
            }
        }
    }
}

impl Ended {
    /// Whether only streams of this process have ended, for want of a journal and of GRIP proxies.
    pub fn is_local_only(&self) -> bool {
        self.told.is_none()
    }

    /// Waits until the journal has it, and so the other processes will do it and tell proxies; without a journal until every
    /// GRIP proxy has ended the streams it holds. The streams of this process end in any case.
    ///
    /// Fails with `journal-unavailable`, `journal-rejected`, `proxy-unavailable`, `proxy-rejected`, `queue-full`, `closed`,
    /// `timeout` or `forked`.
    pub fn wait(&self, timeout: Duration) -> Result<()> {
        self.told.as_ref().map_or(Ok(()), |told| told.wait(timeout).and_then(first_failure))
    }

    /// What [`wait`](Self::wait) does, for async code.
    pub async fn told(&self) -> Result<()> {
        match &self.told {
            None => Ok(()),
            Some(told) => told.delivered().await.and_then(first_failure),
        }
    }

    /// Calls `told` with what [`wait`](Self::wait) gives, as [`Receipt::on_delivered`] does.
    pub fn on_told(&self, told: impl FnOnce(Result<()>) + Send + 'static) {
        match &self.told {
            None => told(Ok(())),
            Some(receipt) => receipt.on_delivered(|results| told(results.and_then(first_failure))),
        }
    }
}

fn first_failure(results: Vec<ProxyResult>) -> Result<()> {
    results.into_iter().try_for_each(|proxy| proxy.result)
}
