//! Caps on open streams, in total and per client address.

use std::{
    collections::HashMap,
    net::IpAddr,
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
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        if total_cap > 0 && open >= total_cap {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Total);
        }
        // Addresses are only kept when they are limited: a map entry per client is not free.
        let Some(address) = address.filter(|_| address_cap > 0) else { return Ok(()) };
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
        let Some(address) = address.filter(|_| address_cap > 0) else { return };
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

#[cfg(test)]
mod tests {
    use super::*;

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
