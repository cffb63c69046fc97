//! The events of the last day, by hashes of their texts. A sender that retries delivers an event once more,
//! hours later at worst; then it changes nothing.

use std::hash::BuildHasher;
use std::time::Duration;

use deskreel_model::Utc;
use foldhash::fast::RandomState;

use crate::hash::HashMap;

/// An event is remembered for one to two of these.
const PERIOD: Duration = Duration::from_secs(24 * 3600);

/// Hashes by the minute of the event's own time, which a repetition has, too. Most events are only noted, and
/// that appends four bytes; the few that are asked about have a minute's hashes to search. Two texts of a
/// minute with a thousand events have the same hash with a probability of one in ten thousand, and that
/// matters only if one of them comes too late.
#[derive(Debug, Default)]
pub(crate) struct EventMemory {
    hasher: RandomState,
    current: HashMap<i64, Vec<u32>>,
    before: HashMap<i64, Vec<u32>>,
    until: Option<Utc>,
}

impl EventMemory {
    /// Notes an event of `at`, received at `now`.
    pub fn note(&mut self, text: &str, at: Utc, now: Utc) {
        if self.until.is_none_or(|until| now >= until) {
            self.before = std::mem::take(&mut self.current);
            self.until = Some(now.plus(PERIOD));
        }
        let hash = self.hash(text);
        self.current.entry(minute(at)).or_default().push(hash);
    }

    /// Returns whether an event with this text has been noted.
    pub fn contains(&self, text: &str, at: Utc) -> bool {
        let hash = self.hash(text);
        let of_minute = [&self.current, &self.before].into_iter().filter_map(|known| known.get(&minute(at)));
        of_minute.flatten().any(|known| *known == hash)
    }

    pub fn len(&self) -> usize {
        [&self.current, &self.before].into_iter().flat_map(HashMap::values).map(Vec::len).sum()
    }

    #[allow(clippy::cast_possible_truncation)] // Half of the hash is enough.
    fn hash(&self, text: &str) -> u32 {
        self.hasher.hash_one(text) as u32
    }
}

fn minute(at: Utc) -> i64 {
    at.0.as_second().div_euclid(60)
}
