//! Caps on open streams, in total and per client address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Counts the streams that are open.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    open: AtomicU64,
    by_address: Mutex<HashMap<IpAddr, u64>>,
}

/// Which cap a request has met.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Full {
    Total,
    Address,
}

impl Admission {
    /// Takes a place, to be given back with [`leave`](Self::leave). A cap of 0 is none.
    pub(crate) fn enter(
        &self,
        total_cap: u64,
        address: Option<IpAddr>,
        address_cap: u64,
    ) -> Result<(), Full> {
        let one_more = |open| (total_cap == 0 || open < total_cap).then_some(open + 1);
        if self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
            return Err(Full::Total);
        }
        // Addresses are only kept when they are limited: a map entry per client is not free.
        let Some(address) = address.filter(|_| address_cap > 0).map(client) else { return Ok(()) };
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_address.entry(address).or_default();
        if *count >= address_cap {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Address);
        }
        *count += 1;
        Ok(())
    }

    pub(crate) fn leave(&self, address: Option<IpAddr>, address_cap: u64) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = address.filter(|_| address_cap > 0).map(client) else { return };
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }

    pub(crate) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }
}

/// What counts as one client: an IPv4 address, however it is written, or the network of an IPv6 address, which is
/// the least that a client is given and may choose its addresses from.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        IpAddr::V4(v4) => v4.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_is_one_address_however_it_is_written() {
        let one = |text: &str| client(text.parse().unwrap());
        assert_eq!(one("::ffff:10.0.0.1"), one("10.0.0.1"));
        assert_ne!(one("10.0.0.2"), one("10.0.0.1"));
        assert_eq!(one("2001:db8:0:1::1"), one("2001:db8:0:1:2:3:4:5"));
        assert_ne!(one("2001:db8:0:1::1"), one("2001:db8:0:2::1"));
    }

    #[test]
    fn caps_hold_and_places_come_back() {
        let admission = Admission::default();
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|text| Some(text.parse().unwrap()));
        assert_eq!(admission.enter(3, a, 2), Ok(()));
        assert_eq!(admission.enter(3, a, 2), Ok(()));
        assert_eq!(admission.enter(3, a, 2), Err(Full::Address));
        assert_eq!(admission.enter(3, b, 2), Ok(()));
        assert_eq!(admission.enter(3, b, 2), Err(Full::Total));
        admission.leave(a, 2);
        assert_eq!(admission.enter(3, a, 2), Ok(()));
        assert_eq!(admission.open(), 3);
        for address in [a, a, b] {
            admission.leave(address, 2);
        }
        assert_eq!(admission.open(), 0);
        assert!(admission.by_address.lock().unwrap().is_empty());
    }
}
