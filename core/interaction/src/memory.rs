//! The events of the last day, by their hashes. A sender that retries delivers an event once more, hours
//! later at worst; then it changes nothing.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
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
    current: HashSet<u64, BuildHasherDefault<Identity>>,
    before: HashSet<u64, BuildHasherDefault<Identity>>,
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

/// The hash of a hash: itself.
#[derive(Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0 << 8 | u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
