//! Times as the index keeps them: milliseconds since 1970, in UTC.

use deskreel_model::{RecordingId, Utc};
use jiff::Timestamp;

pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

pub fn to_ms(time: Utc) -> i64 {
    time.0.as_millisecond()
}

/// A time as the API writes it: RFC 3339 with milliseconds.
pub fn rfc3339(ms: i64) -> String {
    Utc(Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)).to_string()
}

/// A time for people, to the second, without a zone: `2026-01-05 09:00:15`. It is UTC.
pub fn wall_clock(ms: i64) -> String {
    rfc3339(ms).replace('T', " ").chars().take(19).collect()
}

pub fn parse(text: &str) -> Option<i64> {
    Utc::parse(text).map(to_ms)
}

/// The start in a recording's id: `20261123T071002Z-4f2a91`.
pub fn of_recording(id: &RecordingId) -> Option<i64> {
    let second = id.as_str().split_once("Z-")?.0;
    let started = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", second).ok()?;
    Some(started.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}
