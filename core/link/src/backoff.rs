//! Decides when to try again after a connection broke.

use std::time::Duration;

/// Longest wait in seconds before the first, second, ... try after a failure; the last one repeats.
const LONGEST_S: [u64; 7] = [1, 2, 4, 8, 16, 32, 60];
/// Longest wait in seconds after a refusal: a person must fix something first.
const REFUSED_S: u64 = 300;

#[derive(Debug, Default)]
pub struct Backoff {
    failures: usize,
}

impl Backoff {
    /// `chance` is a random number from 0 to 1. A wait lies anywhere between zero and its longest, so that
    /// two thousand recorders that lost one server do not come back at once.
    pub fn wait(&mut self, is_refused: bool, chance: f64) -> Duration {
        let longest = match is_refused {
            true => REFUSED_S,
            false => LONGEST_S[self.failures.min(LONGEST_S.len() - 1)],
        };
        self.failures += 1;
        // Not too soon after a refusal: each try costs the server a useless answer.
        let least = if is_refused { 0.5 } else { 0.0 };
        Duration::from_secs(longest).mul_f64(least + (1.0 - least) * chance.clamp(0.0, 1.0))
    }

    pub fn tries(&self) -> usize {
        self.failures
    }

    /// Starts over, after a connection that lasted.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_start_over_after_a_connection_that_lasted() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..9).map(|_| backoff.wait(false, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.wait(false, 0.5), Duration::from_millis(500));
        assert_eq!(backoff.wait(true, 0.0), Duration::from_secs(150));
    }
}
