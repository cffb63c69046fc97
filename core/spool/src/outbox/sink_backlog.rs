//! One sink's backlog, in memory: the files that wait for it, and when to try again after a failure. Pure. A
//! restart forgets it, tries at once, and reads the waiting files from the manifests.
//!
//! A failure delays the whole sink, since mostly the far end is away: full jitter over 1 s, 2 s, 4 s and so
//! on up to 5 min, and at least as long as the sink asked for. It also moves the recording after all others
//! that wait, and delays it by the same share of a backoff that counts its own failures. So a recording that
//! cannot be delivered costs the others only a try now and then.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use deskreel_model::{PartNumber, RecordingId};

const BASE: Duration = Duration::from_secs(1);
const CAP: Duration = Duration::from_secs(300);

/// A header (number 0) or a fragment. Sorts in the order of delivery: a header before its fragments, a part
/// before the next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileKey {
    pub part: PartNumber,
    pub number: u32,
    pub track: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileFacts {
    pub sha256: String,
    pub size: u64,
}

pub(super) type FileQueue = BTreeMap<FileKey, FileFacts>;

#[derive(Default)]
pub(super) struct SinkBacklog {
    /// The sink has answered that it takes no fragments.
    pub takes_whole: bool,
    /// Files that wait, by recording. A sealed recording has an entry only once its turn has come.
    pub queues: BTreeMap<RecordingId, FileQueue>,
    /// Number of failures in a row.
    failures: u32,
    not_before: Option<Instant>,
    stuck: BTreeMap<RecordingId, FailedRecording>,
    /// Total number of failures, to put failed recordings in order.
    turn: u64,
    pub counts: DeliveryCounts,
}

/// Counts since the outbox was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    pub files: u64,
    pub bytes: u64,
    pub recordings: u64,
    pub refused: u64,
    /// Number of calls that ended with `RetryAfter` or an error.
    pub failures: u64,
}

/// A recording whose last delivery failed.
pub(super) struct FailedRecording {
    failures: u32,
    /// When the first of these failures happened.
    pub since: Instant,
    pub not_before: Instant,
    turn: u64,
    pub error: String,
}

impl SinkBacklog {
    pub fn waits_until(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|until| *until > now)
    }

    pub fn stuck(&self, recording: &RecordingId) -> Option<&FailedRecording> {
        self.stuck.get(recording)
    }

    /// The newest error among recordings whose last delivery failed.
    pub fn last_error(&self) -> Option<&str> {
        self.stuck.values().max_by_key(|stuck| stuck.turn).map(|stuck| stuck.error.as_str())
    }

    /// The recording that has failed for the longest time, if any has.
    pub fn oldest_failure(&self) -> Option<&FailedRecording> {
        self.stuck.values().min_by_key(|stuck| stuck.since)
    }

    /// Sorts recordings: first those without a failure, oldest first; then those that failed, the longest
    /// wait first.
    pub fn in_order(&self, mut oldest_first: Vec<RecordingId>) -> Vec<RecordingId> {
        oldest_first.sort_by_key(|recording| self.stuck.get(recording).map(|stuck| stuck.turn));
        oldest_first
    }

    /// A delivery succeeded, so the sink is reachable.
    pub fn succeeded(&mut self, recording: &RecordingId) {
        (self.failures, self.not_before) = (0, None);
        self.stuck.remove(recording);
    }

    /// A delivery failed. `floor` is the pause that the sink asked for; `chance` is in 0..1.
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
        self.delay_recording(recording, error, floor, now, chance);
    }

    /// Delays one recording, and not the sink.
    pub fn delay_recording(
        &mut self,
        recording: &RecordingId,
        error: String,
        floor: Duration,
        now: Instant,
        chance: f64,
    ) {
        self.turn += 1;
        self.counts.failures += 1;
        let (failures, since) =
            self.stuck.get(recording).map_or((0, now), |stuck| (stuck.failures, stuck.since));
        let failures = failures.saturating_add(1);
        let not_before = now + delay(failures, floor, chance);
        let failed = FailedRecording { failures, since, not_before, turn: self.turn, error };
        self.stuck.insert(recording.clone(), failed);
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

/// Random numbers by SplitMix64: jitter need not be hard to guess, only different on each PC.
pub(super) struct Jitter(pub u64);

impl Jitter {
    /// Returns a number in 0..1.
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
    fn backoff_doubles_from_a_second_to_five_minutes_and_never_goes_below_what_was_asked() {
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
        let mut chance = Jitter(7);
        let mut tenths = [0; 10];
        (0..10_000).for_each(|_| tenths[(chance.next() * 10.0) as usize] += 1);
        assert!(tenths.iter().all(|count| (850..1150).contains(count)), "{tenths:?}");
    }
}
