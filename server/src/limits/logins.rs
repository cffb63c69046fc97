//! Slows down password guessing, by the name that is tried.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong passwords for one name before it has to wait.
const ATTEMPTS: u32 = 5;
pub const WAIT: Duration = Duration::from_secs(60);
/// Names that are remembered; beyond it those that need not wait are forgotten.
const NAMES: usize = 10_000;

/// Attempts by name. An attempt counts from its beginning, so that concurrent ones count like sequential
/// ones; a right password takes it back.
#[derive(Debug, Default)]
pub struct LoginAttempts(Mutex<HashMap<String, (u32, Instant)>>);

impl LoginAttempts {
    /// Counts an attempt. False: the name has to wait.
    pub fn begin(&self, name: &str) -> bool {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.get(name).is_some_and(|(count, last)| *count >= ATTEMPTS && last.elapsed() < WAIT) {
            return false;
        }
        if attempts.len() >= NAMES {
            attempts.retain(|_, (_, last)| last.elapsed() < WAIT);
        }
        let (count, last) = attempts.entry(name.to_owned()).or_insert((0, Instant::now()));
        *count = if last.elapsed() < WAIT { *count + 1 } else { 1 };
        *last = Instant::now();
        true
    }

    /// Takes one attempt back: its password was not wrong.
    pub fn take_back(&self, name: &str) {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((count, _)) = attempts.get_mut(name) {
            *count = count.saturating_sub(1);
        }
    }

    /// Forgets all attempts of a name whose password was right.
    pub fn forget(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}
