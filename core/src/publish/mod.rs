//! Floor 2: publishing to GRIP proxies. A queue and a task for each proxy, so that a dead one holds up nobody.

mod http;
mod queue;
mod ticket;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

pub use ticket::ProxyResult;
pub(crate) use ticket::Ticket;

use self::queue::{Pending, Queue};
use crate::{
    error::{Error, Result},
    grip::{Item, Prefix},
    log::{Appended, Channel, Log},
    stream::Hub,
    wire::{Event, Position, encode_event},
};

/// Sends the events of an application to its proxies.
#[derive(Debug)]
pub(crate) struct Publisher {
    queues: Vec<Arc<Queue>>,
    prefix: Prefix,
    sequenced: bool,
    /// Held while an event gets its place in the log and in the queues, so that both have the same order.
    order: Mutex<()>,
}

/// An event that a proxy did not get.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PublishFailure {
    /// The proxy, by its control URI.
    pub proxy: String,
    /// The channel, by its name on the proxy.
    pub channel: String,
    /// The place of the event.
    pub position: Position,
    /// What was wrong.
    pub error: Error,
}

impl Publisher {
    /// Starts a task for each proxy; `None` when there is none.
    pub(crate) fn start(hub: &Arc<Hub>, runtime: &tokio::runtime::Handle) -> Result<Option<Self>> {
        let Some(grip) = hub.grip() else { return Ok(None) };
        let client = http::client(&grip.proxies)?;
        let sequenced = hub.config().history_events > 0;
        let capacity = hub.config().grip_queue_events as usize;
        let queues = grip.proxies.iter().map(|proxy| {
            let queue = Arc::new(Queue::new(proxy.to_string(), capacity, sequenced, hub));
            runtime.spawn(http::run(queue.clone(), client.clone(), proxy.clone()));
            queue
        });
        let queues = queues.collect();
        Ok(Some(Self { queues, prefix: grip.prefix.clone(), sequenced, order: Mutex::new(()) }))
    }

    /// Publishes to the log and leaves the event with the queues. Never waits for a proxy.
    pub(crate) fn publish(
        &self,
        log: &Log,
        channel: &Arc<Channel>,
        event: &Event<'_>,
        now_ms: u64,
        deadline: Instant,
    ) -> (Appended, Arc<Ticket>) {
        let order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let appended = log.publish(channel, event, now_ms);
        let ticket = Ticket::new(self.queues.iter().map(|queue| queue.proxy().to_owned()).collect());
        let proxy_name: Arc<str> = self.prefix.encode(channel.name()).into();
        let json = self.to_json(&proxy_name, event, &appended).map(Arc::<[u8]>::from);
        let mut refused = Vec::new();
        for (index, queue) in self.queues.iter().enumerate() {
            let (channel, position, ticket) = (proxy_name.clone(), appended.position, ticket.clone());
            let json = json.clone();
            let pending = Pending { json, channel, position, deadline, ticket, index };
            refused.extend(queue.push(pending).err().map(|(pending, error)| (queue, pending, error)));
        }
        drop(order);
        // Only now: the application is told of it, and may publish something itself.
        for (queue, pending, error) in refused {
            queue.settle(&pending, Err(error));
        }
        (appended, ticket)
    }

    /// Waits until the queues are empty; then, or when `timeout` is over, ends the tasks. Gives back how many events
    /// were not delivered.
    pub(crate) fn close(&self, timeout: Duration) -> u64 {
        let deadline = Instant::now() + timeout;
        self.queues.iter().map(|queue| queue.close(deadline)).sum()
    }

    fn to_json(&self, proxy_name: &str, event: &Event<'_>, appended: &Appended) -> Result<Vec<u8>> {
        let id = appended.position.to_string();
        let content = encode_event(Some(&id), event);
        let item = Item::send(proxy_name, &*content);
        // With an id a proxy takes a repeated request only once. The id before it makes gaps show, which only helps
        // where they can be repaired.
        let item = match (self.sequenced, appended.first) {
            (false, _) => item.id(id),
            (true, false) => item.sequence(id, appended.previous.to_string()),
            // A proxy may know another lifetime of the log, and would wait for an event that never comes.
            (true, true) => item.sequence(id, appended.previous.to_string()).no_seq(),
        };
        item.to_json()
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, time::Duration};

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
}
