//! Limits by number: so many at once, and so many a second. Time is given, so that it is pure.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket with `size` tokens that fills evenly within `fill`. Each take costs one.
#[derive(Debug, Clone)]
pub struct Brake {
    size: f64,
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Brake {
    pub fn new(size: u32, fill: Duration, now: Instant) -> Brake {
        let size = f64::from(size);
        Brake { size, per_second: size / fill.as_secs_f64(), left: size, at: now }
    }

    /// One more, or how long to wait for it.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        if self.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.left) / self.per_second));
        }
        self.left -= 1.0;
        Ok(())
    }

    /// The one that was taken counts for nothing.
    pub fn give_back(&mut self) {
        self.left = (self.left + 1.0).min(self.size);
    }

    /// Whether nothing is held against it any more.
    pub fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.left >= self.size
    }

    fn fill(&mut self, now: Instant) {
        let past = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + past * self.per_second).min(self.size);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_at_a_time() {
        let start = Instant::now();
        let mut brake = Brake::new(3, Duration::from_secs(3), start);
        assert_eq!([(); 3].map(|()| brake.take(start)), [Ok(()); 3]);
        assert_eq!(brake.take(start), Err(Duration::from_secs(1)));
        let later = start + Duration::from_millis(1001);
        assert_eq!(brake.take(later), Ok(()));
        assert!(brake.take(later).is_err());
        brake.give_back();
        assert_eq!(brake.take(later), Ok(()));
        assert!(brake.take(later).is_err());
        assert!(!brake.is_full(later) && brake.is_full(start + Duration::from_secs(60)));
    }
}
