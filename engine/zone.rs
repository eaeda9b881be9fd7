//! Time zones by their names: as the IANA has them, whatever their case, and offsets from UTC.
//!
//! Promise: a name that nobody knows is refused and never taken for UTC. Offsets are those of ISO 8601,
//! `+05:30` is east of Greenwich.

use chrono_tz::{TZ_VARIANTS, Tz};

use crate::error::Error;
use crate::mistake::did_you_mean;

/// The zone of an IANA name, in any case.
pub fn find(name: &str) -> Option<Tz> {
    let is_utc = name.eq_ignore_ascii_case("z");
    let exact = || name.parse().ok();
    let folded = || TZ_VARIANTS.iter().copied().find(|tz| tz.name().eq_ignore_ascii_case(name));
    if is_utc { Some(Tz::UTC) } else { exact().or_else(folded) }
}

/// The zone of a setting.
///
/// # Errors
/// `Usage`: no zone has this name.
pub fn setting(name: &str) -> Result<Tz, Error> {
    find(name).ok_or_else(|| {
        let message = format!("setting `reporting_tz`: `{name}` is not a time zone");
        Error::usage(message).hint(match similar(name) {
            Some(known) => format!("did you mean {known}?"),
            None => "use an IANA name, as in Europe/Paris".to_owned(),
        })
    })
}

/// The name of a zone as the readers of times know it: `europe/paris` is `Europe/Paris`, `+05` is
/// `+05:00`.
///
/// # Errors
/// The way out, for a name that is none.
pub fn canonical(name: &str) -> Result<String, String> {
    if let Some(tz) = find(name) {
        return Ok(tz.name().to_owned());
    }
    if let Some(offset) = offset(name) {
        return Ok(offset);
    }
    Err(match similar(name) {
        Some(known) => format!("did you mean '{known}'?"),
        None if name.starts_with(['+', '-']) => {
            "an offset from UTC has hours and minutes, as in '+05:30'".to_owned()
        }
        None => "use an IANA name, as in 'Europe/Paris', or an offset, as in '+05:30'".to_owned(),
    })
}

/// An offset in its one form: `+0530` and `+05` have hours and minutes, up to a day.
fn offset(text: &str) -> Option<String> {
    let (sign, digits) = text.split_at_checked(1)?;
    let digits = match digits.as_bytes() {
        [_, _, b':', _, _] => digits.replace(':', ""),
        [_, _] => format!("{digits}00"),
        [_, _, _, _] => digits.to_owned(),
        _ => return None,
    };
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || !matches!(sign, "+" | "-") {
        return None;
    }
    let (hours, minutes) = digits.split_at(2);
    let is_offset = hours <= "23" && minutes <= "59";
    is_offset.then(|| format!("{sign}{hours}:{minutes}"))
}

/// The zone that was probably meant: one whose name, or whose city, is nearly this one.
fn similar(name: &str) -> Option<&'static str> {
    let wanted = name.to_lowercase().replace(' ', "_");
    let names: Vec<(String, &'static str)> =
        TZ_VARIANTS.iter().map(|tz| (tz.name().to_lowercase(), tz.name())).collect();
    let whole = did_you_mean(&wanted, names.iter().map(|(lower, _)| lower.as_str()));
    let city_of = |lower: &str| lower.rsplit('/').next().unwrap_or_default().to_owned();
    let wanted_city = city_of(&wanted);
    let found = names.iter().find(|(lower, _)| whole == Some(lower.as_str()));
    let found = found.or_else(|| {
        let has_city = wanted_city.len() > 3;
        names.iter().find(|(lower, _)| has_city && city_of(lower) == wanted_city)
    });
    found.map(|(_, known)| *known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_found_in_any_case_and_an_offset_in_any_form() {
        for (name, known) in [
            ("Europe/Paris", "Europe/Paris"),
            ("europe/paris", "Europe/Paris"),
            ("AMERICA/NEW_YORK", "America/New_York"),
            ("utc", "UTC"),
            ("Z", "UTC"),
            ("CET", "CET"),
            ("etc/gmt-2", "Etc/GMT-2"),
            ("+05:30", "+05:30"),
            ("+0530", "+05:30"),
            ("-09", "-09:00"),
        ] {
            assert_eq!(canonical(name).as_deref(), Ok(known), "{name}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_refused_with_the_nearest_one() {
        for (name, hint) in [
            ("Europe/Pariss", "did you mean 'Europe/Paris'?"),
            ("Paris", "did you mean 'Europe/Paris'?"),
            ("Europe/New York", "did you mean 'America/New_York'?"),
            ("+5", "as in '+05:30'"),
            ("+24:00", "as in '+05:30'"),
            ("+05:60", "as in '+05:30'"),
            ("+é1", "as in '+05:30'"),
            ("Mars/Base", "as in 'Europe/Paris'"),
            ("", "as in 'Europe/Paris'"),
        ] {
            let found = canonical(name).unwrap_err();
            assert!(found.contains(hint), "{name}: {found}");
        }
        assert!(setting("europe/paris").is_ok());
        assert!(setting("+05:30").is_err());
    }
}
