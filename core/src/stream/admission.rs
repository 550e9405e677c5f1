//! Caps on open streams, and on connections, in total, per client address and per user.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    config::OverUserLimit,
    sync::{Mutex, lock},
};

/// Counts the streams or connections that are open.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    open: AtomicU64,
    by_address: Mutex<HashMap<IpAddr, u64>>,
    /// The numbers of each user's streams, the oldest first.
    by_user: Mutex<HashMap<Box<str>, VecDeque<u64>>>,
    /// The number of each ticket's stream.
    by_ticket: Mutex<HashMap<Box<str>, u64>>,
}

/// Which cap a request has met.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Full {
    Total,
    Address,
    User,
}

impl Full {
    pub(crate) const ALL: [Self; 3] = [Self::Total, Self::Address, Self::User];

    /// A stable word for metrics.
    #[cfg(feature = "runtime")]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Address => "address",
            Self::User => "user",
        }
    }
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
        let mut by_address = lock(&self.by_address);
        let count = by_address.entry(address).or_default();
        if *count >= address_cap {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Address);
        }
        *count += 1;
        Ok(())
    }

    pub(crate) fn leave(&self, address: Option<IpAddr>, address_cap: u64) {
        self.open.fetch_sub(1, Ordering::Release);
        let Some(address) = address.filter(|_| address_cap > 0).map(client) else { return };
        let mut by_address = lock(&self.by_address);
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }

    /// Counts a user's stream, to be taken off with [`leave_user`](Self::leave_user); gives back the stream whose place it takes.
    /// A cap of 0 is none.
    pub(super) fn enter_user(
        &self,
        user: &str,
        number: u64,
        cap: u64,
        over: OverUserLimit,
    ) -> Result<Option<u64>, Full> {
        if cap == 0 {
            return Ok(None);
        }
        let mut by_user = lock(&self.by_user);
        let numbers = by_user.entry(user.into()).or_default();
        let is_full = numbers.len() as u64 >= cap;
        if is_full && over == OverUserLimit::Refuse {
            return Err(Full::User);
        }
        let replaced = is_full.then(|| numbers.pop_front()).flatten();
        numbers.push_back(number);
        Ok(replaced)
    }

    /// Counts the stream of a ticket, which has one at a time, to be taken off with [`leave_ticket`](Self::leave_ticket); gives
    /// back the stream whose place it takes.
    pub(super) fn enter_ticket(&self, id: &str, number: u64) -> Option<u64> {
        lock(&self.by_ticket).insert(id.into(), number)
    }

    pub(super) fn leave_ticket(&self, id: &str, number: u64) {
        let mut by_ticket = lock(&self.by_ticket);
        // A newer one has its place.
        if by_ticket.get(id) == Some(&number) {
            by_ticket.remove(id);
        }
    }

    pub(super) fn leave_user(&self, user: &str, number: u64, cap: u64) {
        if cap == 0 {
            return;
        }
        let mut by_user = lock(&self.by_user);
        let Some(numbers) = by_user.get_mut(user) else { return };
        // One that was replaced is not there any more.
        numbers.retain(|other| *other != number);
        if numbers.is_empty() {
            by_user.remove(user);
        }
    }

    pub(crate) fn open(&self) -> u64 {
        self.open.load(Ordering::Acquire)
    }
}

/// What counts as one client: an IPv4 address, however it is written, or the network of an IPv6 address, which is
/// the least that a client is given and may choose its addresses from.
pub(crate) fn client(address: IpAddr) -> IpAddr {
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
    fn a_user_has_so_many_and_no_more() {
        let admission = Admission::default();
        let enter = |number, over| admission.enter_user("bob", number, 2, over);
        assert_eq!(enter(1, OverUserLimit::Refuse), Ok(None));
        assert_eq!(enter(2, OverUserLimit::Refuse), Ok(None));
        assert_eq!(enter(3, OverUserLimit::Refuse), Err(Full::User));
        assert_eq!(enter(4, OverUserLimit::Replace), Ok(Some(1)));
        assert_eq!(enter(5, OverUserLimit::Replace), Ok(Some(2)));
        assert_eq!(admission.enter_user("eve", 6, 2, OverUserLimit::Refuse), Ok(None));
        for number in [1, 2, 4] {
            admission.leave_user("bob", number, 2);
        }
        assert_eq!(enter(7, OverUserLimit::Refuse), Ok(None));
        for (user, number) in [("bob", 5), ("bob", 7), ("eve", 6)] {
            admission.leave_user(user, number, 2);
        }
        assert!(admission.by_user.lock().unwrap().is_empty());
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
