//! The clocks of this machine, and what they make: origins, anchors and ids.

use std::time::Duration;

use deskreel_model::manifest::Anchor;
use deskreel_model::{MediaTime, RecordingId, Utc};
use rustix::time::{ClockId, clock_gettime};

/// An id for a recording that begins now, for who must know it before the recording does.
pub fn new_id() -> RecordingId {
    let (now_ns, anchor) = clocks(0);
    RecordingId::new(anchor.utc, salt(now_ns))
}

/// CLOCK_MONOTONIC: what GStreamer's system clock counts too. It stands still while the machine sleeps.
pub(crate) fn monotonic_ns() -> i64 {
    nanoseconds(ClockId::Monotonic)
}

/// CLOCK_BOOTTIME counts on in a sleep; else the two go alike.
fn boot_ns() -> i64 {
    nanoseconds(ClockId::Boottime)
}

fn nanoseconds(clock: ClockId) -> i64 {
    let now = clock_gettime(clock);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Media time now.
pub(crate) fn media_time(origin_ns: i64) -> MediaTime {
    between(origin_ns, monotonic_ns())
}

fn between(origin_ns: i64, now_ns: i64) -> MediaTime {
    MediaTime(u64::try_from(now_ns.saturating_sub(origin_ns)).unwrap_or(0))
}

/// Monotonic time, and the wall clock tied to it. The wall clock is read between two readings of the other.
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
    /// For how long, altogether, since it was started.
    asleep_ns: i64,
}

impl Sleep {
    /// The two clocks are read one after the other, and we may be held up in between; a sleep takes seconds.
    const SHORTEST_NS: i64 = 1_000_000_000;

    pub fn new() -> Sleep {
        Sleep { asleep_ns: asleep_ns() }
    }

    /// For how long it has slept since it was looked at last.
    pub fn look(&mut self) -> Option<Duration> {
        self.slept(asleep_ns())
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

/// Never too much: who is held up between the two readings sees the later one too late.
fn asleep_ns() -> i64 {
    let boot = boot_ns();
    boot - monotonic_ns()
}

/// The wall clock when media time began.
pub(crate) fn anchor_of_zero(origin_ns: i64) -> Anchor {
    let (_, Anchor { media, utc, uncertainty_ns }) = clocks(origin_ns);
    Anchor { media: MediaTime::ZERO, utc: utc.minus(media - MediaTime::ZERO), uncertainty_ns }
}

/// Tells apart recordings of the same second: of one process by the clock, of several by the process.
fn salt(now_ns: i64) -> u32 {
    (now_ns / 1_000) as u32 ^ std::process::id().rotate_left(12)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_sleep_is_what_one_clock_counts_and_the_other_does_not() {
        let mut sleep = Sleep { asleep_ns: 3600 * SECOND };
        assert_eq!(sleep.slept(3600 * SECOND), None);
        assert_eq!(sleep.slept(3605 * SECOND), Some(Duration::from_secs(5)));
        assert_eq!(sleep.slept(3605 * SECOND), None, "it is told once");
        assert_eq!(sleep.slept(32_405 * SECOND), Some(Duration::from_secs(28_800)));
    }

    #[test]
    fn to_be_held_up_between_two_readings_is_no_sleep() {
        let mut sleep = Sleep { asleep_ns: 3600 * SECOND };
        for seen in [3600 * SECOND - 400_000_000, 3600 * SECOND + 999_000_000, 3590 * SECOND, 3600 * SECOND] {
            assert_eq!(sleep.slept(seen), None);
        }
        assert_eq!(sleep.asleep_ns, 3600 * SECOND, "what was seen by the way adds up to nothing");
    }

    #[test]
    fn after_a_sleep_zero_may_lie_before_the_clock_began() {
        // It began a minute after the start of the machine, which slept for eight hours and is awake for another minute.
        let origin = 60 * SECOND - 28_800 * SECOND;
        assert_eq!(between(origin, 120 * SECOND), MediaTime::from_millis(28_860_000));
    }
}
