//! Attempts to publish that were refused, so that nobody can try keys at speed.

use std::{collections::HashMap, net::IpAddr, sync::Mutex};

use crate::{
    stream::{Seldom, client},
    sync::lock,
};

/// Counts refused attempts by the client they come from.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    by_client: Mutex<HashMap<IpAddr, Failures>>,
    pub(super) log: Seldom,
}

/// How many there were, of which one is forgiven each second.
#[derive(Debug)]
struct Failures {
    count: u64,
    since_ms: u64,
}

impl Failures {
    fn left(&self, now_ms: u64) -> u64 {
        self.count.saturating_sub(now_ms.saturating_sub(self.since_ms) / FORGIVEN_EVERY_MS)
    }
}

impl Attempts {
    /// Whether a client has to wait before its next attempt is looked at. One on a Unix socket never has to.
    pub(super) fn must_wait(&self, peer: Option<IpAddr>, now_ms: u64) -> bool {
        let Some(peer) = peer.map(client) else { return false };
        lock(&self.by_client).get(&peer).is_some_and(|failures| failures.left(now_ms) >= MAX_FAILURES)
    }

    /// Notes that an attempt was refused.
    pub(super) fn refused(&self, peer: Option<IpAddr>, now_ms: u64) {
        let Some(peer) = peer.map(client) else { return };
        let mut by_client = lock(&self.by_client);
        if by_client.len() >= MAX_CLIENTS && !by_client.contains_key(&peer) {
            by_client.retain(|_, failures| failures.left(now_ms) > 0);
            if by_client.len() >= MAX_CLIENTS {
                return;
            }
        }
        let failures = by_client.entry(peer).or_insert(Failures { count: 0, since_ms: now_ms });
        *failures = Failures { count: failures.left(now_ms) + 1, since_ms: now_ms };
    }
}

/// As many mistakes as an operator makes at a time.
const MAX_FAILURES: u64 = 20;
const FORGIVEN_EVERY_MS: u64 = 1_000;
const MAX_CLIENTS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_failed_often_has_to_wait() {
        let attempts = Attempts::default();
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|text| Some(text.parse().unwrap()));
        for _ in 0..MAX_FAILURES {
            assert!(!attempts.must_wait(a, 5));
            attempts.refused(a, 5);
        }
        assert!(attempts.must_wait(a, 5) && attempts.must_wait(a, 1_004));
        assert!(!attempts.must_wait(b, 5) && !attempts.must_wait(None, 5));
        assert!(!attempts.must_wait(a, 1_005));
        attempts.refused(a, 1_005);
        assert!(attempts.must_wait(a, 1_005));
    }

    #[test]
    fn the_number_of_clients_is_bounded() {
        let attempts = Attempts::default();
        for number in 0..3 * MAX_CLIENTS as u32 {
            attempts.refused(Some(std::net::Ipv4Addr::from(number).into()), 5);
        }
        assert_eq!(lock(&attempts.by_client).len(), MAX_CLIENTS);
        attempts.refused(Some("192.0.2.1".parse().unwrap()), 60_000);
        assert_eq!(lock(&attempts.by_client).len(), 1);
    }
}
