//! The wall clock, as the index keeps it.

use deskreel_model::Utc;
use jiff::Timestamp;

/// Milliseconds since 1970, in UTC.
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

pub fn to_ms(time: Utc) -> i64 {
    time.0.as_millisecond()
}

/// RFC 3339 with milliseconds, as the API writes times.
pub fn rfc3339(ms: i64) -> String {
    Utc(Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)).to_string()
}

pub fn parse(text: &str) -> Option<i64> {
    Utc::parse(text).map(to_ms)
}
