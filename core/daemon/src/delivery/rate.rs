//! The cap on the rate of deliveries, for all sinks together.

use std::time::{Duration, Instant};

/// The rate cap, as a debt: at most one second's bytes are sent ahead.
pub(super) struct Rate {
    per_second: f64,
    /// Bytes that may be sent now; negative while earlier bytes are unpaid.
    credit: f64,
    at: Instant,
}

impl Rate {
    pub fn new(per_second: u64, now: Instant) -> Rate {
        // A rate of zero would wait forever.
        let per_second = per_second.max(1) as f64;
        Rate { per_second, credit: per_second, at: now }
    }

    /// Takes `bytes` from the credit, or returns the time at which to ask again.
    pub fn take(&mut self, bytes: u64, now: Instant) -> Option<Instant> {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        (self.credit, self.at) = ((self.credit + earned).min(self.per_second), now);
        if self.credit > 0.0 {
            self.credit -= bytes as f64;
            return None;
        }
        // One byte more than the debt, so that rounding leaves nothing unpaid.
        Some(now + Duration::from_secs_f64((1.0 - self.credit) / self.per_second))
    }
}
