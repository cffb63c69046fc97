//! The clock by which a host decides: see [`HostClock`].

use std::sync::{Arc, Mutex, PoisonError};

use deskreel_interaction::HostClock;
use deskreel_model::Utc;
use deskreel_platform::clocks;
use jiff::Timestamp;

/// Cheap to clone; all clones are one clock.
#[derive(Clone)]
pub struct DecisionClock(Arc<Mutex<HostClock>>);

impl DecisionClock {
    /// `last` is the newest time of an earlier run.
    pub fn start(last: Option<Utc>) -> DecisionClock {
        DecisionClock(Arc::new(Mutex::new(HostClock::new(wall_clock(), clocks::running(), last))))
    }

    /// In whole milliseconds, as logs keep it.
    pub fn now(&self) -> Utc {
        let now = self.lock().read(wall_clock(), clocks::running());
        Timestamp::from_millisecond(now.0.as_millisecond()).map_or(now, Utc)
    }

    /// How far the wall clock was set since the start, less what this clock has followed.
    pub fn distance_ms(&self) -> u64 {
        u64::try_from(self.lock().distance(wall_clock()).as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HostClock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wall clock of the machine, which may be set at any time.
pub fn wall_clock() -> Utc {
    Utc(Timestamp::now())
}
