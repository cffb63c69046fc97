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

/// Nanoseconds that the machine has slept since it was started. Never too much: a delay between the two
/// readings that it takes makes it smaller.
pub fn asleep_ns() -> i64 {
    native::asleep_ns()
}
