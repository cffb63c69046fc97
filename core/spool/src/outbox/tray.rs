//! One sink's tray in the outbox, in memory: what waits for it, and when to try again after a failure. Pure; a
//! restart forgets it, tries at once and reads what waits from the manifests.
//!
//! A failure holds the whole sink back, since mostly the far end is away: full jitter over 1 s, 2 s, 4 s and so on up
//! to 5 min, and at least as long as the sink said. It also puts the recording behind all others that wait, and keeps
//! it back for the same share of its own count of failures: so one that cannot be delivered costs the others a try
//! now and then, and nothing else.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use deskreel_model::{PartNumber, RecordingId};

const BASE: Duration = Duration::from_secs(1);
const CAP: Duration = Duration::from_secs(300);

/// A header or a fragment. In the order of delivery: a header before its fragments, a part before the next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub part: PartNumber,
    pub number: u32,
    pub track: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub sha256: String,
    pub size: u64,
}

pub(super) type Queue = BTreeMap<Key, Facts>;

#[derive(Default)]
pub(super) struct Tray {
    /// It has said that it takes no fragments.
    pub takes_whole: bool,
    /// What waits, in order. A sealed recording has none here until it is its turn.
    pub queues: BTreeMap<RecordingId, Queue>,
    /// In a row.
    failures: u32,
    not_before: Option<Instant>,
    stuck: BTreeMap<RecordingId, Stuck>,
    /// Counts failures, to tell which was first.
    turn: u64,
    pub counts: Counts,
}

/// Since the outbox was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub files: u64,
    pub bytes: u64,
    pub recordings: u64,
    pub refused: u64,
    /// Calls that ended with `RetryAfter` or an error.
    pub failures: u64,
}

/// A recording whose last delivery failed.
pub(super) struct Stuck {
    failures: u32,
    pub not_before: Instant,
    turn: u64,
    pub error: String,
}

impl Tray {
    pub fn waits_until(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|until| *until > now)
    }

    pub fn stuck(&self, recording: &RecordingId) -> Option<&Stuck> {
        self.stuck.get(recording)
    }

    /// The newest error of a recording that has not succeeded since.
    pub fn last_error(&self) -> Option<&str> {
        self.stuck.values().max_by_key(|stuck| stuck.turn).map(|stuck| stuck.error.as_str())
    }

    /// Oldest first; behind those, the ones that failed, the one first that has waited longest.
    pub fn in_order(&self, mut oldest_first: Vec<RecordingId>) -> Vec<RecordingId> {
        oldest_first.sort_by_key(|recording| self.stuck.get(recording).map(|stuck| stuck.turn));
        oldest_first
    }

    /// The far end answered.
    pub fn succeeded(&mut self, recording: &RecordingId) {
        (self.failures, self.not_before) = (0, None);
        self.stuck.remove(recording);
    }

    /// `floor` is what the sink asked for, `chance` in 0..1.
    pub fn failed(
        &mut self,
        recording: &RecordingId,
        error: String,
        floor: Duration,
        now: Instant,
        chance: f64,
    ) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + delay(self.failures, floor, chance));
        self.holds_back(recording, error, floor, now, chance);
    }

    /// The recording failed, and not the sink.
    pub fn holds_back(
        &mut self,
        recording: &RecordingId,
        error: String,
        floor: Duration,
        now: Instant,
        chance: f64,
    ) {
        self.turn += 1;
        self.counts.failures += 1;
        let failures = self.stuck.get(recording).map_or(0, |stuck| stuck.failures).saturating_add(1);
        let not_before = now + delay(failures, floor, chance);
        self.stuck.insert(recording.clone(), Stuck { failures, not_before, turn: self.turn, error });
    }

    pub fn forget(&mut self, recording: &RecordingId) {
        self.queues.remove(recording);
        self.stuck.remove(recording);
    }
}

fn delay(failures: u32, floor: Duration, chance: f64) -> Duration {
    let doubled = BASE.saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(CAP).mul_f64(chance.clamp(0.0, 1.0)).max(floor)
}

/// SplitMix64: jitter need not be hard to guess, only different on each PC.
pub(super) struct Chance(pub u64);

impl Chance {
    /// In 0..1.
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_from_a_second_to_five_minutes_and_never_goes_below_what_was_asked() {
        let seconds =
            |failures, floor, chance| delay(failures, Duration::from_secs(floor), chance).as_secs_f64();
        let most: Vec<f64> = (1..=11).map(|failures| seconds(failures, 0, 1.0)).collect();
        assert_eq!(most, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]);
        assert_eq!(
            (seconds(3, 0, 0.25), seconds(3, 120, 0.9), seconds(u32::MAX, 0, 0.5)),
            (1.0, 120.0, 150.0)
        );
    }

    #[test]
    fn chance_is_spread_over_the_whole_range() {
        let mut chance = Chance(7);
        let mut tenths = [0; 10];
        (0..10_000).for_each(|_| tenths[(chance.next() * 10.0) as usize] += 1);
        assert!(tenths.iter().all(|count| (850..1150).contains(count)), "{tenths:?}");
    }
}
