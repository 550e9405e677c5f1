//! What a publisher gets back.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake},
    time::Duration,
};

use super::ticket::{ProxyResult, Ticket};
use crate::{error::Result, log::Appended, sync::lock, wire::Position};

/// What [`Events::publish`](crate::Events::publish) gives back. It may be dropped at once: the event goes its way, and an
/// observer hears of a proxy that did not get it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Receipt {
    position: Option<Position>,
    /// Streams and subscriptions of this process that will get it.
    pub streams: usize,
    ticket: Option<Arc<Ticket>>,
}

impl Receipt {
    /// The receipt of an event that goes to no proxy.
    pub(crate) fn local(appended: Appended) -> Self {
        Self { position: Some(appended.position), streams: appended.subscribers, ticket: None }
    }

    pub(super) fn proxied(appended: Appended, ticket: Arc<Ticket>) -> Self {
        Self { ticket: Some(ticket), ..Self::local(appended) }
    }

    /// The receipt of an event that the journal is to give a place.
    pub(super) fn journaled(streams: usize, ticket: Arc<Ticket>) -> Self {
        Self { position: None, streams, ticket: Some(ticket) }
    }

    /// The place of the event, which clients see as its `id`. With a journal it is known when the journal has the event:
    /// after [`wait`](Self::wait) or [`delivered`](Self::delivered).
    pub fn position(&self) -> Option<Position> {
        self.position.or_else(|| self.ticket.as_ref()?.position())
    }

    /// Whether only streams of this process get the event: there is neither a journal nor a GRIP proxy.
    pub fn is_local_only(&self) -> bool {
        self.ticket.is_none()
    }

    /// GRIP proxies that are sent the event.
    pub fn proxies(&self) -> usize {
        self.ticket.as_ref().map_or(0, |ticket| ticket.proxies())
    }

    /// Waits until every GRIP proxy has taken the event or failed, and says which; empty when none is configured. With a
    /// journal it waits until that has the event, and is what brings it to proxies.
    ///
    /// Fails with `journal-unavailable`, `journal-rejected`, `queue-full` or `closed` when the journal did not get it, with `timeout` when the time was not enough, and with `forked` in a child of the process that has published
    /// the event. The events are delivered also when nobody waits.
    ///
    /// ```no_run
    /// # use evstream::{Config, Event, Events};
    /// # use std::time::Duration;
    /// # let events = Events::new(Config::new().grip_from_env())?;
    /// let receipt = events.publish("clock", Event::text("12:00"))?;
    /// for proxy in receipt.wait(Duration::from_secs(5))? {
    ///     if let Err(error) = proxy.result {
    ///         eprintln!("{}: {error}", proxy.proxy);
    ///     }
    /// }
    /// # Ok::<(), evstream::Error>(())
    /// ```
    pub fn wait(&self, timeout: Duration) -> Result<Vec<ProxyResult>> {
        self.ticket.as_ref().map_or_else(|| Ok(Vec::new()), |ticket| ticket.wait(timeout))
    }

    /// What [`wait`](Self::wait) gives, for async code. Dropping the future changes nothing.
    ///
    /// ```
    /// # use evstream::{Event, Events};
    /// async fn publish(events: &Events) -> evstream::Result<bool> {
    ///     let receipt = events.publish("clock", Event::text("12:00"))?;
    ///     Ok(receipt.delivered().await?.iter().all(|proxy| proxy.result.is_ok()))
    /// }
    /// ```
    pub async fn delivered(&self) -> Result<Vec<ProxyResult>> {
        match &self.ticket {
            None => Ok(Vec::new()),
            Some(ticket) => std::future::poll_fn(|cx| ticket.poll(cx)).await,
        }
    }

    /// Calls `told` with what [`wait`](Self::wait) gives: before this returns when there is nothing to wait for, else on a
    /// thread of evstream's that others need, so it must be short and must not block.
    pub fn on_delivered(&self, told: impl FnOnce(Result<Vec<ProxyResult>>) + Send + 'static) {
        match &self.ticket {
            None => told(Ok(Vec::new())),
            Some(ticket) => Arc::new(Told { ticket: ticket.clone(), told: Mutex::new(Some(told)) }).wake(),
        }
    }
}

/// A callback, called once: a ticket that is settled wakes it.
struct Told<F> {
    ticket: Arc<Ticket>,
    told: Mutex<Option<F>>,
}

impl<F: FnOnce(Result<Vec<ProxyResult>>) + Send + 'static> Wake for Told<F> {
    fn wake(self: Arc<Self>) {
        let waker = self.clone().into();
        let Poll::Ready(results) = self.ticket.poll(&Context::from_waker(&waker)) else { return };
        let told = lock(&self.told).take();
        if let Some(told) = told {
            told(results);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::{
        error::{Error, ErrorKind},
        log::Appended,
        wire::Epoch,
    };

    fn appended() -> Appended {
        let position = Position { epoch: Epoch(1), seq: 1 };
        Appended { position, previous: position, first: true, subscribers: 0 }
    }

    #[test]
    fn a_callback_is_called_once_when_all_have_answered() {
        let (sent, told) = mpsc::channel();
        let tell = |sent: &mpsc::Sender<usize>| {
            let sent = sent.clone();
            move |results: Result<Vec<ProxyResult>>| sent.send(results.unwrap().len()).unwrap()
        };
        Receipt::local(appended()).on_delivered(tell(&sent));
        assert_eq!(told.try_recv(), Ok(0));

        let ticket = Ticket::new(&["a".to_owned(), "b".to_owned()].into());
        let receipt = Receipt::proxied(appended(), ticket.clone());
        receipt.on_delivered(tell(&sent));
        ticket.settle(0, Ok(()));
        assert!(told.try_recv().is_err());
        ticket.settle(1, Err(Error::new(ErrorKind::Closed, "closed")));
        assert_eq!(told.try_recv(), Ok(2));
        receipt.on_delivered(tell(&sent));
        assert_eq!(told.try_recv(), Ok(2), "late, and at once");
        assert!(told.try_recv().is_err());
        assert_eq!(Arc::strong_count(&ticket), 2, "nothing holds on to it");
    }
}
