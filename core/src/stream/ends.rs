//! When a stream ends of itself.

use super::{hub::Hub, notice::CloseNotice, request::Now};

/// When a stream ends of itself, by the clock of the events, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) at_ms: u64,
    pub(crate) why: CloseNotice,
}

impl Ends {
    /// The first of what the settings and the application say, for each stream at another time, so that clients do not all
    /// come back at once.
    pub(super) fn new(hub: &Hub, expires_at_s: Option<u64>, now: Now) -> Self {
        let config = hub.config();
        let after = |time_ms: u64, why| {
            let at_ms = if time_ms == 0 {
                NEVER
            } else {
                now.ms.saturating_add(hub.spread_ms(time_ms, time_ms / 10))
            };
            Self { at_ms, why }
        };
        let expires_at_ms = expires_at_s.map_or(NEVER, |at_s| {
            let left_ms = at_s.saturating_sub(now.unix_s).saturating_mul(1_000);
            // Seconds are cut off, and timers are late rather than early.
            let most_ms = left_ms.saturating_sub(LATE_MS);
            let early_ms = (left_ms / 10).min(MOST_EARLY_MS);
            now.ms.saturating_add(hub.spread_ms(most_ms.saturating_sub(early_ms), early_ms))
        });
        [
            after(config.max_age_ms, CloseNotice::MaxAge),
            after(config.reauthorize_ms, CloseNotice::Reauthorize),
            Self { at_ms: expires_at_ms, why: CloseNotice::Expired },
        ]
        .into_iter()
        .min_by_key(|ends| ends.at_ms)
        .unwrap_or(Self { at_ms: NEVER, why: CloseNotice::MaxAge })
    }
}

/// The deadline of what has none.
pub(crate) const NEVER: u64 = u64::MAX;

const LATE_MS: u64 = 1_100;
const MOST_EARLY_MS: u64 = 60_000;
