//! A rate limit with bursts. Pure: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket with `size` tokens that refills evenly within `fill`. Each event takes one.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    size: f64,
    per_second: f64,
    left: f64,
    at: Instant,
}

impl TokenBucket {
    pub fn new(size: u32, fill: Duration, now: Instant) -> TokenBucket {
        let size = f64::from(size);
        TokenBucket { size, per_second: size / fill.as_secs_f64(), left: size, at: now }
    }

    /// Takes a token, or returns how long to wait for one.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        if self.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.left) / self.per_second));
        }
        self.left -= 1.0;
        Ok(())
    }

    /// Returns the token that was taken.
    pub fn give_back(&mut self) {
        self.left = (self.left + 1.0).min(self.size);
    }

    /// Whether all tokens are back.
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
        let mut bucket = TokenBucket::new(3, Duration::from_secs(3), start);
        assert_eq!([(); 3].map(|()| bucket.take(start)), [Ok(()); 3]);
        assert_eq!(bucket.take(start), Err(Duration::from_secs(1)));
        let later = start + Duration::from_millis(1001);
        assert_eq!(bucket.take(later), Ok(()));
        assert!(bucket.take(later).is_err());
        bucket.give_back();
        assert_eq!(bucket.take(later), Ok(()));
        assert!(bucket.take(later).is_err());
        assert!(!bucket.is_full(later) && bucket.is_full(start + Duration::from_secs(60)));
    }
}
