//! The clocks of this machine, and values made from them: origins, anchors and ids.

use std::time::Duration;

use deskreel_model::manifest::Anchor;
use deskreel_model::{MediaTime, RecordingId, Utc};
pub(crate) use deskreel_platform::clocks::monotonic_ns;

/// Makes the id of a recording that begins now, for callers that must know it before the recording runs.
pub fn new_id() -> RecordingId {
    let (now_ns, anchor) = clocks(0);
    RecordingId::new(anchor.utc, salt(now_ns))
}

/// Media time now.
pub(crate) fn media_time(origin_ns: i64) -> MediaTime {
    between(origin_ns, monotonic_ns())
}

fn between(origin_ns: i64, now_ns: i64) -> MediaTime {
    MediaTime(u64::try_from(now_ns.saturating_sub(origin_ns)).unwrap_or(0))
}

/// Reads the monotonic clock, and the wall clock tied to it: between two readings of the monotonic one, whose
/// difference is the uncertainty.
pub(crate) fn clocks(origin_ns: i64) -> (i64, Anchor) {
    let before = monotonic_ns();
    let utc = Utc(jiff::Timestamp::now());
    let uncertainty_ns = monotonic_ns().abs_diff(before);
    let origin_ns = if origin_ns == 0 { before } else { origin_ns };
    (before, Anchor { media: between(origin_ns, before), utc, uncertainty_ns })
}

/// Notices that the machine has slept.
#[derive(Debug)]
pub(crate) struct Sleep {
    /// Total time that the machine had slept since it was started, when last seen.
    asleep_ns: i64,
}

impl Sleep {
    /// Shorter differences are not a sleep: the two clocks are read in sequence, and we may be held up in
    /// between. A sleep takes seconds.
    const SHORTEST_NS: i64 = 1_000_000_000;

    pub fn new() -> Sleep {
        Sleep { asleep_ns: deskreel_platform::clocks::asleep_ns() }
    }

    /// Returns how long the machine has slept since the last call.
    pub fn look(&mut self) -> Option<Duration> {
        self.slept(deskreel_platform::clocks::asleep_ns())
    }

    fn slept(&mut self, asleep_ns: i64) -> Option<Duration> {
        let slept = asleep_ns.saturating_sub(self.asleep_ns);
        if slept < Sleep::SHORTEST_NS {
            return None;
        }
        self.asleep_ns = asleep_ns;
        u64::try_from(slept).ok().map(Duration::from_nanos)
    }
}

/// The anchor of media time zero, from the wall clock now.
pub(crate) fn anchor_of_zero(origin_ns: i64) -> Anchor {
    let (_, Anchor { media, utc, uncertainty_ns }) = clocks(origin_ns);
    Anchor { media: MediaTime::ZERO, utc: utc.minus(media - MediaTime::ZERO), uncertainty_ns }
}

/// Distinguishes recordings of the same second: those of one process by the clock, those of several by the
/// process id.
fn salt(now_ns: i64) -> u32 {
    (now_ns / 1_000) as u32 ^ std::process::id().rotate_left(12)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_sleep_is_the_difference_of_the_two_clocks() {
        let mut sleep = Sleep { asleep_ns: 3600 * SECOND };
        assert_eq!(sleep.slept(3600 * SECOND), None);
        assert_eq!(sleep.slept(3605 * SECOND), Some(Duration::from_secs(5)));
        assert_eq!(sleep.slept(3605 * SECOND), None, "it is reported once");
        assert_eq!(sleep.slept(32_405 * SECOND), Some(Duration::from_secs(28_800)));
    }

    #[test]
    fn being_held_up_between_two_readings_is_not_a_sleep() {
        let mut sleep = Sleep { asleep_ns: 3600 * SECOND };
        for seen in [3600 * SECOND - 400_000_000, 3600 * SECOND + 999_000_000, 3590 * SECOND, 3600 * SECOND] {
            assert_eq!(sleep.slept(seen), None);
        }
        assert_eq!(sleep.asleep_ns, 3600 * SECOND, "small differences do not add up");
    }

    #[test]
    fn after_a_sleep_zero_may_lie_before_the_clock_began() {
        // The recording began a minute after the machine, which then slept for eight hours and is awake for
        // another minute.
        let origin = 60 * SECOND - 28_800 * SECOND;
        assert_eq!(between(origin, 120 * SECOND), MediaTime::from_millis(28_860_000));
    }
}
