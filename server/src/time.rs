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

/// Of the second in a recording's id: `20261123T071002Z-4f2a91`.
pub fn of_recording(id: &str) -> Option<i64> {
    let second = id.split_once("Z-")?.0;
    let started = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", second).ok()?;
    Some(started.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}
