//! When to be woken for each event, and when not.

/// Notices a flood of events on many channels, each of which would wake the thread.
///
/// Waking costs more than an event does. In a flood the thread naps instead, and nobody wakes it: that delays events by
/// a millisecond and saves most of the wake-ups.
#[derive(Default)]
pub(super) struct Load {
    ms: u64,
    rounds_in_ms: usize,
    woken: usize,
    napping: bool,
}

impl Load {
    pub(super) fn count_round(&mut self, now_ms: u64) {
        if self.ms != now_ms {
            (self.ms, self.rounds_in_ms) = (now_ms, 0);
        }
        self.rounds_in_ms += 1;
    }

    pub(super) fn count_woken(&mut self, woken: usize) {
        self.woken = woken;
    }

    pub(super) fn wants_nap(&mut self) -> bool {
        let news = if self.napping { self.woken } else { self.rounds_in_ms };
        self.napping = self.woken > 0 && news >= FLOOD_PER_MS;
        self.napping
    }
}

/// As long as a poller can wait at the least.
pub(super) const NAP_MS: u64 = 1;

/// Wake-ups in a millisecond from which on a nap saves more than it costs.
const FLOOD_PER_MS: usize = 4;
