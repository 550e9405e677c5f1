//! A connection's place under the caps, `max_connections` and `max_connections_per_address`.

use std::{net::IpAddr, sync::Arc};

use crate::stream::Hub;

/// One connection in the count, until it is dropped.
pub(super) struct Place {
    hub: Arc<Hub>,
    peer: Option<IpAddr>,
    /// Which address it counts for.
    counted: Option<IpAddr>,
}

impl Place {
    /// `None` when there are too many.
    pub(super) fn take(hub: &Arc<Hub>, peer: Option<IpAddr>) -> Option<Self> {
        let (total, per_address) = (hub.config().max_connections, hub.config().max_connections_per_address);
        // One of a trusted proxy is that of many clients.
        let counted = peer.filter(|_| !hub.proxies.trusts(peer));
        if hub.connections.enter(total, counted, per_address).is_err() {
            hub.counters.count_refused_connection();
            return None;
        }
        Some(Self { hub: hub.clone(), peer, counted })
    }

    /// The address it came from, where there is one.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        self.peer
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.connections.leave(self.counted, self.hub.config().max_connections_per_address);
    }
}
