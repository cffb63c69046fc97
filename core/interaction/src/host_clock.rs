//! The host's clock: the only one that moves the time of decisions.
//!
//! It counts the time that has passed, and follows the wall clock slowly. A wall clock that is set, by hand,
//! by NTP or after a virtual machine was paused, therefore fires no timer and ends no pause, and time never
//! goes back.

use std::time::Duration;

use deskreel_model::Utc;

/// Part of the time that has passed by which the clock may be corrected: an hour takes ten.
const SLEW: u32 = 10;
/// A log of an earlier run that is further ahead of the wall clock was written under a clock that was plainly
/// wrong.
const BELIEVABLE: Duration = Duration::from_secs(24 * 3600);

/// Pure: the caller reads the clocks.
#[derive(Debug, Clone)]
pub struct HostClock {
    now: Utc,
    /// Time since the machine's start at which `now` was read.
    running: Duration,
}

impl HostClock {
    /// `running` is the time since the machine's start, its sleep included. `last` is the newest time of an
    /// earlier run: this run does not go back behind it.
    pub fn new(wall: Utc, running: Duration, last: Option<Utc>) -> HostClock {
        let last = last.filter(|last| HostClock::believes(*last, wall));
        HostClock { now: last.map_or(wall, |last| last.max(wall)), running }
    }

    /// Returns whether an earlier run can have written this time.
    pub fn believes(time: Utc, wall: Utc) -> bool {
        time <= wall.plus(BELIEVABLE)
    }

    /// The time now, by the two clocks of the machine.
    pub fn read(&mut self, wall: Utc, running: Duration) -> Utc {
        let passed = running.saturating_sub(self.running);
        let steady = self.now.plus(passed);
        let corrected = wall.max(steady.minus(passed / SLEW)).min(steady.plus(passed / SLEW));
        self.now = self.now.max(corrected);
        self.running = self.running.max(running);
        self.now
    }

    /// How far this clock is from the wall clock, which was set.
    pub fn distance(&self, wall: Utc) -> Duration {
        self.now.saturating_since(wall).max(wall.saturating_since(self.now))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn wall(seconds: i64) -> Utc {
        Utc::parse("2026-01-05T09:00:00Z").unwrap().shifted_ms(seconds * 1000)
    }

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_wall_clock_that_is_set_moves_nothing_at_once_and_is_followed_slowly() {
        let mut clock = HostClock::new(wall(0), s(50), None);
        assert_eq!(clock.read(wall(10), s(60)), wall(10));
        assert_eq!(clock.read(wall(3610), s(60)), wall(10), "set an hour ahead");
        assert_eq!(clock.read(wall(3620), s(70)), wall(21), "a tenth faster");
        assert_eq!(clock.read(wall(-3570), s(80)), wall(30), "set an hour back: a tenth slower");
        assert_eq!(clock.distance(wall(-3570)), s(3600));
    }

    #[test]
    fn a_start_does_not_go_back_behind_the_run_before_unless_that_is_absurd() {
        assert_eq!(HostClock::new(wall(0), s(1), Some(wall(600))).now, wall(600));
        assert_eq!(HostClock::new(wall(0), s(1), Some(wall(-600))).now, wall(0));
        assert_eq!(HostClock::new(wall(0), s(1), Some(wall(86_400 * 365))).now, wall(0));
    }

    proptest! {
        #[test]
        fn time_never_goes_back_and_runs_at_nine_to_eleven_tenths(
            steps in prop::collection::vec((0..100_000_000u64, -4_000_000_000i64..4_000_000_000), 1..50),
        ) {
            let mut clock = HostClock::new(wall(0), s(0), None);
            let (mut running, mut before) = (s(0), wall(0));
            for (passed_ms, wall_s) in steps {
                let passed = Duration::from_millis(passed_ms);
                running += passed;
                let now = clock.read(wall(wall_s), running);
                let moved = now.saturating_since(before);
                prop_assert!(now >= before);
                let slack = Duration::from_millis(1);
                prop_assert!(moved + slack >= passed * 9 / 10 && moved <= passed * 11 / 10 + slack, "{moved:?} {passed:?}");
                before = now;
            }
        }
    }
}
