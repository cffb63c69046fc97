//! When a line that broke is tried again.

use std::time::Duration;

/// Longest waits, in seconds, of the first, second, ... try after a failure; the last repeats.
const LONGEST_S: [u64; 7] = [1, 2, 4, 8, 16, 32, 60];
/// Where the server refuses us, somebody must mend something first.
const REFUSED_S: u64 = 300;

#[derive(Debug, Default)]
pub struct Backoff {
    failures: usize,
}

impl Backoff {
    /// `chance` is from 0 to 1. A wait lies anywhere between nothing and its longest: two thousand recorders that lost
    /// one server do not come back at once.
    pub fn wait(&mut self, is_refused: bool, chance: f64) -> Duration {
        let longest = match is_refused {
            true => REFUSED_S,
            false => LONGEST_S[self.failures.min(LONGEST_S.len() - 1)],
        };
        self.failures += 1;
        // Not too soon after a refusal, which the server answers for nothing.
        let least = if is_refused { 0.5 } else { 0.0 };
        Duration::from_secs(longest).mul_f64(least + (1.0 - least) * chance.clamp(0.0, 1.0))
    }

    pub fn tries(&self) -> usize {
        self.failures
    }

    /// The line held.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_begin_anew_once_the_line_held() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..9).map(|_| backoff.wait(false, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.wait(false, 0.5), Duration::from_millis(500));
        assert_eq!(backoff.wait(true, 0.0), Duration::from_secs(150));
    }
}
