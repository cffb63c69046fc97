//! Quantities with units, as people write them: `"500ms"`, `"800k"`, `"512KiB"`. Whole numbers only: `1500ms`
//! means what `1.5s` would, and there is one way to write it.

use std::time::Duration;

/// Units in milliseconds; largest first.
const TIME: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// Units in bits per second.
const RATE: [(&str, u64); 2] = [("M", 1_000_000), ("k", 1000)];
/// Units in bytes.
const SIZE: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("B", 1),
];

/// `"500ms"`, `"5s"`, `"2m"`, `"4h"`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    quantity(text, &TIME).map(Duration::from_millis)
}

/// Bits per second: `"800k"`, `"2M"`.
pub fn parse_bit_rate(text: &str) -> Option<u64> {
    quantity(text, &RATE)
}

/// Bytes: `"10MB"`, `"512KiB"`.
pub fn parse_size(text: &str) -> Option<u64> {
    quantity(text, &SIZE)
}

/// The shortest way to write a duration.
pub fn show_duration(duration: Duration) -> String {
    show(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &TIME)
}

pub fn show_bit_rate(bits_per_second: u64) -> String {
    show(bits_per_second, &RATE)
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Writes a number in the largest unit that divides it.
fn show(number: u64, units: &[(&str, u64)]) -> String {
    let whole = units.iter().find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor));
    match (whole, units.last()) {
        (Some((unit, factor)), _) => format!("{}{unit}", number / factor),
        (None, Some((unit, factor))) => format!("{}{unit}", number as f64 / *factor as f64),
        (None, None) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_whole_numbers_with_a_known_unit() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("4h"), Some(Duration::from_secs(4 * 3600)));
        assert_eq!(parse_bit_rate("800k"), Some(800_000));
        assert_eq!(parse_size("512KiB"), Some(512 << 10));
        for bad in
            ["", "5", "s", "1.5s", "5 s", "-5s", "5S", "99999999999999999999s", "5124095576030432h", "5µs"]
        {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn shown_quantities_can_be_parsed_again() {
        for ms in [1, 200, 1000, 1500, 60_000, 90_000, 3_600_000] {
            let time = Duration::from_millis(ms);
            assert_eq!(parse_duration(&show_duration(time)), Some(time));
        }
        assert_eq!(show_bit_rate(2_500_000), "2500k");
    }
}
