//! Two kinds of time that are never mixed: the position on a recording's timeline, and the wall clock.

mod text;

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Nanoseconds from the start of the recording: monotonic, shared by all its tracks and parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaTime(pub u64);

impl MediaTime {
    pub const ZERO: MediaTime = MediaTime(0);

    pub fn from_millis(ms: u64) -> Self {
        MediaTime(ms * 1_000_000)
    }

    pub fn saturating_since(self, earlier: MediaTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for MediaTime {
    type Output = MediaTime;

    fn add(self, duration: Duration) -> MediaTime {
        MediaTime(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for MediaTime {
    type Output = Duration;

    /// Returns zero if `earlier` is later.
    fn sub(self, earlier: MediaTime) -> Duration {
        self.saturating_since(earlier)
    }
}

/// `0:01:02.345`
impl fmt::Display for MediaTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0 / 1_000_000;
        write!(f, "{}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
    }
}

/// A time of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Utc(pub jiff::Timestamp);

impl Utc {
    pub const MIN: Utc = Utc(jiff::Timestamp::MIN);

    /// Parses RFC 3339, as events carry it.
    pub fn parse(text: &str) -> Option<Utc> {
        let quick = text::parse(text).and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        quick.or_else(|| text.parse().ok()).map(Utc)
    }

    /// Saturates at the last time that there is.
    pub fn plus(self, duration: Duration) -> Utc {
        self.moved(duration, 1).unwrap_or(Utc(jiff::Timestamp::MAX))
    }

    pub fn minus(self, duration: Duration) -> Utc {
        self.moved(duration, -1).unwrap_or(Utc(jiff::Timestamp::MIN))
    }

    /// Hand-written, since it runs several times per event. `None` beyond the range of times.
    fn moved(self, duration: Duration, sign: i8) -> Option<Utc> {
        let seconds = i64::try_from(duration.as_secs()).ok()?.checked_mul(sign.into())?;
        let seconds = self.0.as_second().checked_add(seconds)?;
        let nanoseconds =
            self.0.subsec_nanosecond() + i32::from(sign) * duration.subsec_nanos().cast_signed();
        // Each of the two is less than a second.
        let carried = nanoseconds / 1_000_000_000;
        let seconds = seconds.checked_add(carried.into())?;
        jiff::Timestamp::new(seconds, nanoseconds % 1_000_000_000).ok().map(Utc)
    }

    /// Adds the offset of a clock, which is positive if that clock is behind.
    pub fn shifted_ms(self, offset_ms: i64) -> Utc {
        let duration = Duration::from_millis(offset_ms.unsigned_abs());
        if offset_ms < 0 { self.minus(duration) } else { self.plus(duration) }
    }

    /// Returns zero if `earlier` is later.
    pub fn saturating_since(self, earlier: Utc) -> Duration {
        Duration::try_from(self.0.duration_since(earlier.0)).unwrap_or_default()
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Before 1970, milliseconds would be rounded in the other direction.
        let quick = if self.0.signum() < 0 { None } else { text::write(self.0.as_millisecond()) };
        match quick.as_ref().and_then(|text| str::from_utf8(text).ok()) {
            Some(text) => f.write_str(text),
            None => write!(f, "{:.3}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// jiff provides the expected values.
    #[test]
    fn times_move_as_in_a_general_library() {
        let moments = [
            "0000-01-01T00:00:00.9Z",
            "1969-12-31T23:59:59.3Z",
            "1970-01-01T00:00:00Z",
            "2026-01-05T09:00:00.999Z",
        ];
        let moments = moments.map(|text| text.parse().unwrap_or(jiff::Timestamp::MAX));
        let moments = moments.into_iter().chain([jiff::Timestamp::MIN, jiff::Timestamp::MAX]);
        let durations = [0, 1, 500_000_000, 999_999_999, 1_000_000_000, 62_123_456_789, u64::MAX];
        let durations = durations.map(Duration::from_nanos).into_iter().chain([Duration::MAX]);
        for (moment, duration) in moments.flat_map(|moment| durations.clone().map(move |by| (moment, by))) {
            let (later, earlier) = (moment.saturating_add(duration), moment.saturating_sub(duration));
            assert_eq!(
                Utc(moment).plus(duration).0,
                later.unwrap_or(jiff::Timestamp::MAX),
                "{moment} {duration:?}"
            );
            assert_eq!(
                Utc(moment).minus(duration).0,
                earlier.unwrap_or(jiff::Timestamp::MIN),
                "{moment} {duration:?}"
            );
        }
    }
}
