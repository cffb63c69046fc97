//! Reads and writes times as events and facts have them, `2026-01-05T09:00:00.000Z`. Hand-written: a replay
//! reads and writes several per event, and a general parser takes ten times as long. Any other form is left
//! to a general parser.

const DAY_MS: i64 = 86_400_000;

/// Returns milliseconds since 1970, from a text of exactly this form, with or without the fraction.
pub fn parse(text: &str) -> Option<i64> {
    let text = text.as_bytes();
    let fraction = match text.len() {
        20 => 0,
        24 if text[19] == b'.' => number(&text[20..23])?,
        _ => return None,
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (text.len() - 1, b'Z')];
    if marks.into_iter().any(|(index, mark)| text[index] != mark) {
        return None;
    }
    let (year, month, day) = (number(&text[..4])?, number(&text[5..7])?, number(&text[8..10])?);
    let (hour, minute, second) = (number(&text[11..13])?, number(&text[14..16])?, number(&text[17..19])?);
    if !(1970..=9998).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=days_in(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let seconds = (hour * 60 + minute) * 60 + second;
    Some(days(year, month, day) * DAY_MS + seconds * 1000 + fraction)
}

/// Returns the text of milliseconds since 1970; `None` before 1970 and from the year 9999 on.
pub fn write(ms: i64) -> Option<[u8; 24]> {
    if !(0..days(9999, 1, 1) * DAY_MS).contains(&ms) {
        return None;
    }
    let (year, month, day) = date(ms / DAY_MS);
    let ms = ms % DAY_MS;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    put(&mut text[..4], year);
    put(&mut text[5..7], month);
    put(&mut text[8..10], day);
    put(&mut text[11..13], ms / 3_600_000);
    put(&mut text[14..16], ms / 60_000 % 60);
    put(&mut text[17..19], ms / 1000 % 60);
    put(&mut text[20..23], ms % 1000);
    Some(text)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

fn put(digits: &mut [u8], mut number: i64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

// The conversions between dates and days since 1970 are from Howard Hinnant's "chrono-compatible low-level
// date algorithms": years begin in March, so that the leap day is the last day, and 400 years have 146,097
// days. There are 719,468 days from the first of March of the year 0 to 1970.

fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (era * 400 + year + i64::from(month <= 2), month, of_year - (153 * march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a time by jiff.
    fn judged(ms: i64) -> String {
        format!("{:.3}", jiff::Timestamp::from_millisecond(ms).unwrap_or_default())
    }

    #[test]
    fn every_day_is_written_and_read_as_by_a_general_parser() {
        let last = days(9999, 1, 1);
        for day in 0..last {
            // A different time of day each day.
            let ms = day * DAY_MS + day * 7_919_777 % DAY_MS;
            let text = judged(ms);
            assert_eq!(write(ms).map(Vec::from), Some(text.clone().into_bytes()));
            assert_eq!(parse(&text), Some(ms), "{text}");
        }
        assert_eq!((write(-1), write(last * DAY_MS)), (None, None));
    }

    #[test]
    fn other_forms_are_left_to_a_general_parser() {
        assert_eq!(parse("1970-01-02T00:00:01Z"), Some(DAY_MS + 1000));
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00z",
            "2026-01-01T00:00:00,000Z",
            "2026-01-01T00:00:00.00Z",
            "2026-01-01T00:00:00.0000Z",
            "2026-01-01T0/:00:00Z",
            "+026-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
