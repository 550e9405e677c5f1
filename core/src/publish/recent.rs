//! The orders of the last minute, which are repeated when the journal that has them is lost: perhaps nobody had read them.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::wire::{Epoch, Event};

/// Orders of this process, and the journal that they went to.
#[derive(Debug, Default)]
pub(super) struct Recent {
    orders: VecDeque<(Instant, Event<'static>)>,
    /// Of the journal, once anything is known of it.
    epoch: Option<Epoch>,
}

impl Recent {
    /// Keeps what to say should the order that is given now be lost.
    pub(super) fn keep(&mut self, again: Event<'static>, now: Instant) {
        self.forget_old(now);
        if self.orders.len() == MAX_ORDERS {
            self.orders.pop_front();
            tracing::warn!("more than {MAX_ORDERS} orders a minute; the oldest would not be repeated");
        }
        self.orders.push_back((now, again));
    }

    /// Notes which journal there is; gives back what to say again when it is another than before.
    pub(super) fn is_in(&mut self, epoch: Epoch, now: Instant) -> Vec<Event<'static>> {
        if self.epoch.replace(epoch).is_none_or(|before| before == epoch) {
            return Vec::new();
        }
        self.forget_old(now);
        self.orders.iter().map(|(_, again)| again.clone()).collect()
    }

    fn forget_old(&mut self, now: Instant) {
        while self.orders.front().is_some_and(|(given, _)| now.duration_since(*given) > KEPT_FOR) {
            self.orders.pop_front();
        }
    }
}

/// Whoever has not followed the journal for longer has lost his clients meanwhile.
const KEPT_FOR: Duration = Duration::from_secs(60);

const MAX_ORDERS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_in_another_journal_of_late_is_said_again() {
        let start = Instant::now();
        let after = |s| start + Duration::from_secs(s);
        let texts = |events: Vec<Event<'static>>| -> Vec<String> {
            events.iter().map(|event| event.data.to_string()).collect()
        };
        let mut recent = Recent::default();
        recent.keep(Event::text("old"), start);
        assert!(recent.is_in(Epoch(1), start).is_empty(), "it is the first that is known");
        recent.keep(Event::text("new"), after(30));
        assert!(recent.is_in(Epoch(1), after(31)).is_empty());
        assert_eq!(texts(recent.is_in(Epoch(2), after(40))), ["old", "new"]);
        assert!(recent.is_in(Epoch(2), after(40)).is_empty(), "once is enough");
        assert_eq!(texts(recent.is_in(Epoch(3), after(70))), ["new"]);
        assert!(recent.is_in(Epoch(4), after(200)).is_empty());
    }

    #[test]
    fn there_is_a_bound() {
        let now = Instant::now();
        let mut recent = Recent::default();
        recent.is_in(Epoch(1), now);
        for number in 0..MAX_ORDERS + 5 {
            recent.keep(Event::text(number.to_string()), now);
        }
        let again = recent.is_in(Epoch(2), now);
        assert_eq!((again.len(), &*again[0].data), (MAX_ORDERS, "5"));
    }
}
