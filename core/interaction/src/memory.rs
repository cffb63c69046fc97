//! The events of the last day, by their hashes. A sender that retries delivers an event once more, hours
//! later at worst; then it changes nothing.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::time::Duration;

use deskreel_model::Utc;
use foldhash::fast::RandomState;

/// An event is remembered for one to two of these.
const PERIOD: Duration = Duration::from_secs(24 * 3600);

/// A million events take 20 MB. Two different texts among them have the same hash with a probability of one
/// in ten million.
#[derive(Debug, Default)]
pub(crate) struct EventMemory {
    hasher: RandomState,
    current: HashSet<u64, RandomState>,
    before: HashSet<u64, RandomState>,
    until: Option<Utc>,
}

impl EventMemory {
    pub fn len(&self) -> usize {
        self.current.len() + self.before.len()
    }

    /// Notes an event. Returns whether the same text has come already.
    pub fn note(&mut self, text: &str, now: Utc) -> bool {
        if self.until.is_none_or(|until| now >= until) {
            self.before = std::mem::take(&mut self.current);
            self.until = Some(now.plus(PERIOD));
        }
        let hash = self.hasher.hash_one(text);
        !self.current.insert(hash) || self.before.contains(&hash)
    }
}
