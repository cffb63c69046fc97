//! The clock by which a host decides: see [`HostClock`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use deskreel_interaction::HostClock;
use deskreel_model::Utc;
use deskreel_platform::clocks;
use jiff::Timestamp;

/// Cheap to clone; all clones are one clock.
#[derive(Clone)]
pub struct DecisionClock(Arc<Mutex<TimeSource>>);

enum TimeSource {
    Machine {
        clock: HostClock,
        began: Instant,
    },
    /// For tests.
    Simulated {
        began: Utc,
        now: Utc,
    },
}

impl DecisionClock {
    /// `last` is the newest time of an earlier run.
    pub fn start(last: Option<Utc>) -> DecisionClock {
        let clock = HostClock::new(wall_clock(), clocks::running(), last);
        DecisionClock(Arc::new(Mutex::new(TimeSource::Machine { clock, began: Instant::now() })))
    }

    /// A clock that stands still until [`DecisionClock::set`], to test how decisions follow from time.
    pub fn simulated(now: Utc) -> DecisionClock {
        DecisionClock(Arc::new(Mutex::new(TimeSource::Simulated { began: now, now })))
    }

    /// Moves a simulated clock forward; no other clock follows.
    pub fn set(&self, at: Utc) {
        if let TimeSource::Simulated { now, .. } = &mut *self.lock() {
            *now = at.max(*now);
        }
    }

    /// In whole milliseconds, as logs keep it.
    pub fn now(&self) -> Utc {
        let now = match &mut *self.lock() {
            TimeSource::Machine { clock, .. } => clock.read(wall_clock(), clocks::running()),
            TimeSource::Simulated { now, .. } => *now,
        };
        Timestamp::from_millisecond(now.0.as_millisecond()).map_or(now, Utc)
    }

    /// Time since this clock was started; it never jumps.
    pub fn elapsed(&self) -> Duration {
        match &*self.lock() {
            TimeSource::Machine { began, .. } => began.elapsed(),
            TimeSource::Simulated { began, now } => now.saturating_since(*began),
        }
    }

    /// How far the wall clock was set since the start, less what this clock has followed.
    pub fn distance_ms(&self) -> u64 {
        match &*self.lock() {
            TimeSource::Machine { clock, .. } => {
                u64::try_from(clock.distance(wall_clock()).as_millis()).unwrap_or(u64::MAX)
            }
            TimeSource::Simulated { .. } => 0,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, TimeSource> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wall clock of the machine, which may be set at any time.
pub fn wall_clock() -> Utc {
    Utc(Timestamp::now())
}
