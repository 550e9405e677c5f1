//! Floor 2: publishing to GRIP proxies, or to a journal. A queue and a task for each, so that a dead one holds up nobody.

mod appending;
mod ending;
mod exiting;
mod forwarding;
mod http;
mod queue;
mod receipt;
mod recent;
mod ticket;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

pub(crate) use appending::Appending;
pub(crate) use forwarding::Forwarding;
pub use receipt::Receipt;
pub use ticket::ProxyResult;

use self::{
    queue::{Load, Pending, Queue},
    ticket::Ticket,
};
use crate::{
    client::client,
    error::{Error, Result},
    grip::{Prefix, Unplaced},
    log::{Appended, Channel, Log},
    stream::Hub,
    sync::lock,
    wire::{Event, Position, encode_event},
};

/// An event that a queue has not taken.
type Refusal<'a> = (&'a Arc<Queue>, Pending, Error);

/// Figures of the way to a proxy.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProxyFigures {
    /// Its address, without what is secret.
    pub(crate) proxy: String,
    /// Events that wait or are under way.
    pub(crate) waiting: u64,
    /// Events that it did not get.
    pub(crate) failed: u64,
    /// How long it could not be reached, if that is so by what was tried of late.
    pub(crate) failing_for: Option<Duration>,
}

/// Sends the events of an application to its proxies.
#[derive(Debug)]
pub(crate) struct Publisher {
    queues: Vec<Arc<Queue>>,
    proxies: Arc<[String]>,
    prefix: Prefix,
    sequenced: bool,
    /// Held while an event gets its place in the log and in the queues, so that both have the same order, and for nothing
    /// else: all publishers wait for it.
    order: Mutex<()>,
}

impl Publisher {
    /// Starts a task for each proxy; `None` when there is none.
    pub(crate) fn start(hub: &Arc<Hub>, runtime: &tokio::runtime::Handle) -> Result<Option<Self>> {
        let Some(grip) = hub.grip() else { return Ok(None) };
        let client = {
            let over_tls = grip.proxies.iter().any(|proxy| proxy.publish_url().starts_with("https:"));
            client(over_tls, hub.config().grip_env_proxy)?
        };
        let sequenced = grip.sequenced;
        let capacity = hub.config().grip_queue_events as usize;
        let queues = grip.proxies.iter().map(|proxy| {
            let hints = sequenced.then(|| grip.prefix.clone());
            let queue = Arc::new(Queue::new(proxy.to_string(), capacity, hints, hub));
            runtime.spawn(http::run(queue.clone(), client.clone(), proxy.clone()));
            queue
        });
        let queues: Vec<Arc<Queue>> = queues.collect();
        let proxies = queues.iter().map(|queue| queue.proxy().to_owned()).collect();
        Ok(Some(Self { queues, proxies, prefix: grip.prefix.clone(), sequenced, order: Mutex::new(()) }))
    }

    /// Publishes to the log and leaves the event with the queues. Never waits for a proxy.
    pub(crate) fn publish(
        &self,
        log: &Log,
        channel: &Arc<Channel>,
        event: &Event<'_>,
        now_ms: u64,
        deadline: Instant,
    ) -> Receipt {
        let ticket = Ticket::new(&self.proxies);
        let proxy_name: Arc<str> = self.prefix.encode(channel.name()).into();
        let load =
            Unplaced::new(&proxy_name, &encode_event(None, event)).map(|item| Load::Event(Arc::new(item)));
        let mut refused = Vec::new();
        let order = lock(&self.order);
        let appended = log.publish(channel, event, now_ms);
        self.push(&load, &proxy_name, &appended, deadline, &ticket, |refusal| refused.push(refusal));
        drop(order);
        // Only now: the application is told of it, and may publish something itself.
        for (queue, pending, error) in refused {
            queue.refuse(&pending, error);
        }
        Receipt::proxied(appended, ticket)
    }

    /// Leaves an event that has its place already with the queues. For one thread, which keeps the order.
    fn forward(&self, channel: &str, event: &Event<'_>, appended: &Appended, deadline: Instant) {
        let ticket = Ticket::new(&self.proxies);
        let proxy_name: Arc<str> = self.prefix.encode(channel).into();
        let load =
            Unplaced::new(&proxy_name, &encode_event(None, event)).map(|item| Load::Event(Arc::new(item)));
        let refuse = |(queue, pending, error): Refusal<'_>| queue.refuse(&pending, error);
        self.push(&load, &proxy_name, appended, deadline, &ticket, refuse);
    }

    fn push<'a>(
        &'a self,
        load: &Result<Load>,
        proxy_name: &Arc<str>,
        appended: &Appended,
        deadline: Instant,
        ticket: &Arc<Ticket>,
        mut refuse: impl FnMut(Refusal<'a>),
    ) {
        for (index, queue) in self.queues.iter().enumerate() {
            let pending = Pending {
                load: load.clone(),
                channel: proxy_name.clone(),
                position: appended.position,
                // Gaps are to show only where they can be repaired.
                previous: self.sequenced.then_some(appended.previous),
                // A proxy may know another lifetime of the log, and would wait for an event that never comes.
                no_seq: self.sequenced && appended.first,
                deadline,
                ticket: ticket.clone(),
                index,
            };
            if let Err((pending, error)) = queue.push(pending) {
                refuse((queue, pending, error));
            }
        }
    }

    /// Has the proxies told at once that they have missed something at `place` on these channels.
    fn hint(&self, place: Position, channels: &[impl AsRef<str>]) {
        let names: Vec<Arc<str>> =
            channels.iter().map(|channel| self.prefix.encode(channel.as_ref()).into()).collect();
        for queue in &self.queues {
            queue.hint(place, names.iter().cloned());
        }
    }

    /// The first place that some proxy neither has, nor was told that it has missed; `None` when there is none.
    fn first_owed(&self) -> Option<Position> {
        self.queues.iter().filter_map(|queue| queue.first_owed()).min_by_key(|position| position.seq)
    }

    /// Whether some proxy can be left another event: the fastest sets the pace, for one may be away.
    fn has_room(&self) -> bool {
        self.queues.iter().any(|queue| queue.has_room())
    }

    /// Lets go of everything that is not under way.
    fn forget(&self) {
        self.queues.iter().for_each(|queue| queue.forget());
    }

    /// Waits until the queues are empty; then, or at the deadline, ends the tasks. `tell` is told how many events were
    /// not delivered before the application is told of each.
    pub(crate) fn close(&self, deadline: Instant, tell: impl FnOnce(u64)) {
        for queue in &self.queues {
            queue.flush(deadline);
        }
        let abandoned: Vec<_> = self.queues.iter().map(|queue| queue.close()).collect();
        tell(self.undelivered());
        for (queue, abandoned) in self.queues.iter().zip(abandoned) {
            queue.abandon(&abandoned);
        }
    }

    pub(crate) fn figures(&self) -> Vec<ProxyFigures> {
        self.queues.iter().map(|queue| queue.figures()).collect()
    }

    /// Events that are not delivered yet, or will not be, since the queues were told to close.
    pub(crate) fn undelivered(&self) -> u64 {
        self.queues.iter().map(|queue| queue.undelivered()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, net::TcpListener, sync::mpsc, time::Duration};

    use crate::{Config, ErrorKind, Event, Events};

    #[test]
    fn whoever_waits_is_told_when_the_events_are_dropped() {
        let proxy = TcpListener::bind("127.0.0.1:0").unwrap(); // takes connections, and never answers
        let url = format!("http://{}/", proxy.local_addr().unwrap());
        let events = Events::new(Config::new().grip(vec![url.into()])).unwrap();
        let taken = events.publish("a", Event::text("1")).unwrap();
        let waiting = events.publish("a", Event::text("2")).unwrap();
        drop(events);
        for receipt in [taken, waiting] {
            let results = receipt.wait(Duration::from_secs(10)).unwrap();
            let error = results[0].result.as_ref().unwrap_err();
            assert_eq!((results.len(), error.kind()), (receipt.proxies(), ErrorKind::Closed));
        }
    }

    /// The one that is under way is given up, and then the one behind it, without being tried.
    #[test]
    fn closing_does_not_wait_for_what_is_given_up() {
        let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", proxy.local_addr().unwrap());
        let events = Events::new(Config::new().grip(vec![url.into()]).grip_deadline_ms(200)).unwrap();
        events.publish("a", Event::text("1")).unwrap();
        let (mut request, _) = proxy.accept().unwrap();
        request.read_exact(&mut [0; 1]).unwrap(); // it was taken
        events.publish("a", Event::text("2")).unwrap();
        let (told, closed) = mpsc::channel();
        std::thread::spawn(move || drop(told.send(events.close(Duration::from_secs(600)))));
        let closed = closed.recv_timeout(Duration::from_secs(60)).expect("long before its deadline").unwrap();
        assert_eq!((closed.ended, closed.undelivered), (true, 2));
    }
}
