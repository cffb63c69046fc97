//! Reads settings that are durations, as a pipeline file writes them. In the schema they have `format =
//! "duration"`, which `deskreel check` checks.
//!
//! ```
//! use std::time::Duration;
//!
//! #[derive(serde::Deserialize)]
//! struct Settings {
//!     #[serde(deserialize_with = "deskreel_sdk::durations::duration")]
//!     linger: Duration,
//! }
//!
//! let settings: Settings = serde_json::from_str(r#"{ "linger": "500ms" }"#).unwrap();
//! assert_eq!(settings.linger, Duration::from_millis(500));
//! ```

use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};

/// Reads a whole number followed by `ms`, `s`, `m` or `h`.
pub fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| {
        D::Error::custom(format!(
            "`{text}` is not a duration; write a whole number with ms, s, m or h, as in \"500ms\" or \"4s\""
        ))
    })
}

/// The same for an optional setting; it needs `default`, too.
pub fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(ms)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_needs_a_whole_number_and_a_unit() {
        assert_eq!(parse("90s"), Some(Duration::from_secs(90)));
        assert_eq!(parse("2h"), Some(Duration::from_secs(7200)));
        for wrong in ["", "5", "s", "1.5s", "-1s", "5 s", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
