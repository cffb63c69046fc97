//! The monotonic clock, and how long the machine has slept.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as native;

/// Nanoseconds of the clock that GStreamer's system clock counts too. It stands still while the machine
/// sleeps.
pub fn monotonic_ns() -> i64 {
    native::monotonic_ns()
}

/// Nanoseconds that the machine has slept since its start. Never too large: a delay between its two readings
/// makes it smaller.
pub fn asleep_ns() -> i64 {
    native::asleep_ns()
}
