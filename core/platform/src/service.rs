//! Notifications to the service manager that has started this process, if one has.

use std::time::{Duration, Instant};

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as native;

/// The service is up.
pub fn notify_ready() {
    native::notify_ready();
}

/// The service manager's watchdog, which restarts a service that no longer feeds it (`WatchdogSec` of a
/// unit). Feed it where the service does its work and nowhere else.
pub struct Watchdog {
    every: Option<Duration>,
    fed: Option<Instant>,
}

impl Watchdog {
    /// Without a service manager, or without a watchdog of it, feeding has no effect.
    pub fn new() -> Watchdog {
        // Half of the limit, as sd_watchdog_enabled(3) recommends.
        Watchdog { every: native::watchdog_limit().map(|limit| limit / 2), fed: None }
    }

    /// The work goes on. Call it as often as you like.
    pub fn feed(&mut self) {
        let Some(every) = self.every else { return };
        let is_due = self.fed.is_none_or(|fed| fed.elapsed() >= every / 2);
        if is_due {
            self.fed = Some(Instant::now());
            native::notify_alive();
        }
    }
}

impl Default for Watchdog {
    fn default() -> Self {
        Watchdog::new()
    }
}

/// The service has begun to end.
pub fn notify_stopping() {
    native::notify_stopping();
}
