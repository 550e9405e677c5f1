//! A connection's place under the caps, `max_connections` and `max_connections_per_address`, and whom it comes from.

use std::{net::IpAddr, sync::Arc};

use crate::stream::Hub;

/// One connection in the count, until it is dropped.
pub(super) struct Place {
    hub: Arc<Hub>,
    origin: Origin,
    /// Which address it counts for.
    counted: Option<IpAddr>,
}

/// Whom a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    /// The address, where there is one.
    pub(super) address: Option<IpAddr>,
    /// Whether it is a trusted proxy, whose requests say on whose behalf they are.
    pub(super) is_for_others: bool,
}

impl Place {
    /// `None` when there are too many.
    pub(super) fn take(hub: &Arc<Hub>, peer: Option<IpAddr>) -> Option<Self> {
        let (total, per_address) = (hub.config().max_connections, hub.config().max_connections_per_address);
        // One of a trusted proxy is that of many clients.
        let is_for_others = hub.proxies.trusts(peer);
        let counted = peer.filter(|_| !is_for_others);
        if hub.connections.enter(total, counted, per_address).is_err() {
            hub.counters.count_refused_connection();
            return None;
        }
        Some(Self { hub: hub.clone(), origin: Origin { address: peer, is_for_others }, counted })
    }

    /// The place of a connection that a proxy has made for nobody whom it names. It passes on what requests say without looking,
    /// so that a client may have written it.
    pub(super) fn of_nobody_named(mut self) -> Self {
        self.origin.is_for_others = false;
        self
    }

    pub(super) fn origin(&self) -> Origin {
        self.origin
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.connections.leave(self.counted, self.hub.config().max_connections_per_address);
    }
}
