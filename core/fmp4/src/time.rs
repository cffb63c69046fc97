//! Nanoseconds to ticks and back.
//!
//! Only absolute times are converted; a duration in ticks is the difference of two converted times. So every
//! time is off by at most half a tick, after four hours as after one frame.

/// Ticks per second in everything that we write. At 90 kHz 24, 25, 30, 50 and 60 frames per second are exact,
/// and players know it from MPEG-TS.
pub const TIMESCALE: u32 = 90_000;

const SECOND_NS: u128 = 1_000_000_000;
/// Nanoseconds per tick are 100 000 / 9.
const NANOS: u128 = 100_000;
const TICKS: u128 = 9;

/// The tick nearest to a time.
pub fn ticks(ns: u64) -> u64 {
    ticks_at(ns, TIMESCALE)
}

/// The tick nearest to a time, with this many ticks per second.
pub fn ticks_at(ns: u64, timescale: u32) -> u64 {
    let ticks = (u128::from(ns) * u128::from(timescale) + SECOND_NS / 2) / SECOND_NS;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// The nanosecond nearest to a tick; `ticks` converts it back to the same tick.
pub fn nanos(ticks: u64) -> u64 {
    let ns = (u128::from(ticks) * NANOS + TICKS / 2) / TICKS;
    u64::try_from(ns).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_survives_conversion_to_nanoseconds_and_back() {
        for tick in (0..3_000_000).chain(u64::from(TIMESCALE) * 86_400..u64::from(TIMESCALE) * 86_401) {
            assert_eq!(ticks(nanos(tick)), tick);
        }
    }

    #[test]
    fn four_hours_at_29_97_do_not_drift() {
        // 30000/1001 frames per second: frame n is due at n * 1001/30000 s, which is n * 3003 ticks exactly.
        let frames = 4 * 3600 * 30_000 / 1001;
        let due = |n: u64| u64::try_from(u128::from(n) * 1_001_000_000_000 / 30_000).unwrap_or(u64::MAX);
        let mut sum = 0;
        for n in 0..frames {
            sum += ticks(due(n + 1)) - ticks(due(n));
            assert!(sum.abs_diff((n + 1) * 3003) <= 1, "frame {n} is off");
        }
    }
}
