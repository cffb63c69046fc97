//! The monotonic clock, and how long the machine has slept.

use std::time::Duration;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as native;

/// Nanoseconds of the clock that GStreamer's system clock counts too. It stands still while the machine
/// sleeps.
pub fn monotonic_ns() -> i64 {
    native::monotonic_ns()
}

/// Time since the machine's start, its sleep included.
pub fn running() -> Duration {
    let ns = monotonic_ns().saturating_add(asleep_ns());
    Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
}

/// Nanoseconds that the machine has slept since its start. Never too large: a delay between its two readings
/// makes it smaller.
pub fn asleep_ns() -> i64 {
    native::asleep_ns()
}
