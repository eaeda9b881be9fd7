//! Timestamps and dates in the one pattern that a contract allows.

const US_PER_SECOND: i64 = 1_000_000;

/// Microseconds since 1970 of `2026-03-01T12:00:05.123456Z`; one to six digits of the second's
/// fraction are allowed, other zones and patterns are not.
pub(super) fn timestamp_us(text: &[u8]) -> Option<i64> {
    let (head, tail) = text.split_at_checked(19)?;
    let separators = head[10] == b'T' && head[13] == b':' && head[16] == b':';
    let days = i64::from(date_days(&head[..10])?);
    let (hour, minute, second) = (two(head, 11)?, two(head, 14)?, two(head, 17)?);
    if !separators || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * US_PER_SECOND + fraction_us(tail)?)
}

fn fraction_us(tail: &[u8]) -> Option<i64> {
    if tail == b"Z" {
        return Some(0);
    }
    let digits = tail.strip_prefix(b".")?.strip_suffix(b"Z")?;
    if digits.is_empty() || digits.len() > 6 {
        return None;
    }
    let mut us = 0;
    for i in 0..6 {
        us = us * 10 + digits.get(i).map_or(Some(0), |byte| digit(*byte))?;
    }
    Some(us)
}

/// Whether a text would be a time if it had no more than six digits behind its seconds.
pub(super) fn is_fine(text: &[u8]) -> bool {
    let digits = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    let (Some(micros), Some(rest)) = (text.get(..26), text.get(26..)) else { return false };
    let nanos = rest.strip_suffix(b"Z").filter(|rest| !rest.is_empty() && digits(rest));
    nanos.is_some() && timestamp_us(&[micros, b"Z"].concat()).is_some()
}

/// Days since 1970 of `2026-03-01`.
pub(super) fn date_days(text: &[u8]) -> Option<i32> {
    if text.len() != 10 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let year = two(text, 0)? * 100 + two(text, 2)?;
    let (month, day) = (two(text, 5)?, two(text, 8)?);
    // SQL, Python and other readers of the table know no year 0.
    if year < 1 || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    // Counts from March, so that a leap day is the last day of its year.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = y.div_euclid(400);
    let year_of_era = y - era * 400;
    let day_of_year = (153 * m + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    i32::try_from(era * 146_097 + day_of_era - 719_468).ok()
}

/// What a text lacks that looks like a timestamp and is none here; empty where nobody knows. Says
/// nothing of the text itself.
pub(super) fn lack(text: &[u8]) -> &'static str {
    let Some((_, time)) = text.split_at_checked(10).filter(|(day, _)| date_days(day).is_some())
    else {
        return "";
    };
    let digits = time.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let offset = time.iter().rposition(|byte| matches!(byte, b'+' | b'-'));
    match time.first() {
        None => ": it has a day and no time of day",
        Some(b' ' | b't') => ": `T` stands between day and time",
        Some(b'T') if offset.is_some() => {
            ": a moment is written in UTC, with `Z` and no other offset"
        }
        Some(b'T') if time.ends_with(b"z") => ": `Z` is a capital",
        Some(b'T') if digits > 0 => ": it has no zone, and `Z` for UTC stands at the end",
        Some(b'T') if time.len() < 9 => ": it has no seconds",
        Some(b'T') if time.len() > 17 => ": a second has six digits behind the point at most",
        _ => "",
    }
}

/// Whether a text that is no time or day here would be one of a year before 0001 or after 9999.
pub(super) fn is_far(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"+").or(text.strip_prefix(b"-")).unwrap_or(text);
    let digits = unsigned.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (year, rest) = unsigned.split_at(digits);
    let is_far = year.len() > 4 || year == b"0000" || unsigned.len() < text.len();
    is_far && year.len() >= 4 && rest.len() >= 6 && rest[0] == b'-' && rest[3] == b'-'
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn two(text: &[u8], at: usize) -> Option<i64> {
    Some(digit(text[at])? * 10 + digit(text[at + 1])?)
}

fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_agree_with_chrono() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2026-03-01T12:00:05.123456Z",
            "2024-02-29T23:59:59.9Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999Z",
        ] {
            let expected = chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros();
            assert_eq!(timestamp_us(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_a_time_lacks_is_told_without_it() {
        for (text, part) in [
            ("2026-03-01", "no time of day"),
            ("2026-03-01 12:00:00Z", "`T`"),
            ("2026-03-01T12:00:00+01:00", "UTC"),
            ("2026-03-01T12:00-0500", "UTC"),
            ("2026-03-01T12:00:00", "no zone"),
            ("2026-03-01T12:00", "no zone"),
            ("2026-03-01T10:00Z", "no seconds"),
            ("2026-03-01T10Z", "no seconds"),
            ("2026-03-01T12:00:00z", "capital"),
            ("2026-03-01T12:00:00.1234567Z", "six digits"),
        ] {
            assert!(lack(text.as_bytes()).contains(part), "{text}: {}", lack(text.as_bytes()));
        }
        for text in ["", "soon", "2026-02-30T12:00:00Z", "2026-03-01T24:00:00Z"] {
            assert_eq!(lack(text.as_bytes()), "", "{text}");
        }
    }

    #[test]
    fn other_patterns_are_refused() {
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-03-01 12:00:00Z",
            "2026-03-01T12:00:00+01:00",
            "2026-03-01T12:00:00",
            "2026-03-01T24:00:00Z",
            "2026-03-01T12:00:60Z",
            "2026-03-01T12:00:00.Z",
            "2026-03-01T12:00:00.1234567Z",
            "2026-03-01",
            "",
            "2026-13-01T12:00:00Z",
            "2026-3-01T12:00:00Z",
            "+026-03-01T12:00:00Z",
        ] {
            assert_eq!(timestamp_us(text.as_bytes()), None, "{text}");
            assert!(!is_far(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_time_finer_than_a_microsecond_is_known_as_one() {
        for text in ["2026-03-01T12:00:00.1234567Z", "2026-03-01T12:00:00.123456000Z"] {
            assert!(is_fine(text.as_bytes()), "{text}");
        }
        for text in [
            "2026-03-01T12:00:00.123456Z",
            "2026-03-01T12:00:00.123456",
            "2026-02-30T12:00:00.1234567Z",
            "",
        ] {
            assert!(!is_fine(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn years_before_0001_and_after_9999_are_far() {
        for text in [
            "0000-01-01",
            "0000-12-31T23:59:59.999999Z",
            "-0001-06-01",
            "+10000-01-01T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "294247-01-10T04:00:54.775807Z",
        ] {
            let text = text.as_bytes();
            assert!(is_far(text) && timestamp_us(text).is_none() && date_days(text).is_none());
        }
        assert_eq!(date_days(b"0001-01-01"), Some(-719_162));
        assert_eq!(date_days(b"9999-12-31"), Some(2_932_896));
    }
}
