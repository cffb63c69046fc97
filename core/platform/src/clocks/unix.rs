use rustix::time::{ClockId, clock_gettime};

pub fn monotonic_ns() -> i64 {
    nanoseconds(ClockId::Monotonic)
}

/// CLOCK_BOOTTIME runs on during a sleep, CLOCK_MONOTONIC does not. The later reading is subtracted, so that
/// the difference is never too large.
pub fn asleep_ns() -> i64 {
    let boot = nanoseconds(ClockId::Boottime);
    boot - nanoseconds(ClockId::Monotonic)
}

fn nanoseconds(clock: ClockId) -> i64 {
    let now = clock_gettime(clock);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}
