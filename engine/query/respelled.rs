//! Texts that other engines read as times and decimals, in a spelling that the casts know: a time
//! without seconds, a decimal with an exponent.
//!
//! Each is tried as it stands first, so that usual texts cost nothing.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ColumnarValue;

/// The greatest exponent, far beyond what any decimal has.
const EXPONENT_MAX: i32 = 100;

/// Whether a cast between two types reads a text that may be respelled.
pub(super) fn reads(from: &DataType, to: &DataType) -> bool {
    let is_time = matches!(to, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64);
    from.is_string() && (to.is_decimal() || is_time)
}

/// A cast that fails where a value does not fit.
pub(super) fn cast_strictly(value: &ColumnarValue, to: &DataType) -> Result<ColumnarValue> {
    let strict = value.cast_to(to, None);
    if strict.is_ok() || !reads(&value.data_type(), to) {
        return strict;
    }
    match value {
        ColumnarValue::Array(array) => ColumnarValue::Array(all(array, to)?).cast_to(to, None),
        ColumnarValue::Scalar(scalar) => {
            let array = all(&scalar.to_array()?, to)?;
            let respelled = ScalarValue::try_from_array(&array, 0)?;
            ColumnarValue::Scalar(respelled).cast_to(to, None)
        }
    }
}

/// A cast that gives NULL where a value does not fit.
pub(super) fn cast_or_null(value: &ColumnarValue, to: &DataType) -> Result<ColumnarValue> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let read = |array: &ArrayRef| -> Result<ArrayRef> {
        let found = cast_with_options(array, to, &options)?;
        if found.null_count() == array.null_count() {
            return Ok(found);
        }
        Ok(cast_with_options(&all(array, to)?, to, &options)?)
    };
    Ok(match value {
        ColumnarValue::Array(array) => ColumnarValue::Array(read(array)?),
        ColumnarValue::Scalar(scalar) => {
            let found = read(&scalar.to_array()?)?;
            ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?)
        }
    })
}

fn all(texts: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let texts = cast(texts, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>().iter();
    let respelled: StringArray = texts
        .map(|text| {
            let text = text?;
            let other = if to.is_decimal() { decimal(text) } else { time(text) };
            Some(other.unwrap_or_else(|| text.to_owned()))
        })
        .collect();
    Ok(Arc::new(respelled))
}

/// `2024-01-05 9:30` as `2024-01-05 09:30:00`; `None` for what is no such time.
pub(super) fn time(text: &str) -> Option<String> {
    let text = text.trim();
    let (date, clock) = (text.get(..10)?, text.get(11..)?);
    let separator = text.get(10..11)?;
    if !matches!(separator, "T" | "t" | " ") {
        return None;
    }
    let (hour, rest) = clock.split_once(':')?;
    let (minute, rest) = (rest.get(..2)?, rest.get(2..)?);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if hour.len() > 2 || !digits(hour) || !digits(minute) {
        return None;
    }
    let seconds = if rest.starts_with(':') { "" } else { ":00" };
    Some(format!("{date}{separator}{hour:0>2}:{minute}{seconds}{rest}"))
}

/// `-1.5e3` as `-1500`; `None` for what has no exponent.
pub(super) fn decimal(text: &str) -> Option<String> {
    let text = text.trim();
    let (number, exponent) = text.split_once(['e', 'E'])?;
    let exponent: i32 = exponent.parse().ok().filter(|n: &i32| n.abs() <= EXPONENT_MAX)?;
    let (sign, number) = match number.as_bytes().first()? {
        b'-' => ("-", &number[1..]),
        b'+' => ("", &number[1..]),
        _ => ("", number),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    if point <= 0 {
        let zeros = usize::try_from(-point).ok()?;
        return Some(format!("{sign}0.{}{digits}", "0".repeat(zeros)));
    }
    let point = usize::try_from(point).ok()?;
    while digits.len() < point {
        digits.push('0');
    }
    let (whole, fraction) = digits.split_at(point);
    Some(if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::cells;
    use super::super::{Limits, Query};
    use super::*;

    fn run(sql: &str) -> Result<String, String> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let query = Query::new(&Limits::planning(chrono_tz::UTC)).unwrap();
        cells(runtime.block_on(query.collect(sql)))
    }

    #[test]
    fn a_time_may_have_no_seconds() {
        for (text, value) in [
            ("2024-01-05 10:00", "2024-01-05T10:00:00"),
            ("2024-01-05T10:07", "2024-01-05T10:07:00"),
            ("2024-01-05 9:07", "2024-01-05T09:07:00"),
            (" 2024-01-05 10:00 ", "2024-01-05T10:00:00"),
            ("2024-01-05 10:00Z", "2024-01-05T10:00:00"),
            ("2024-01-05 10:00+02:00", "2024-01-05T08:00:00"),
            ("2024-01-05", "2024-01-05T00:00:00"),
            ("2024-01-05 10:00:01.5", "2024-01-05T10:00:01.500"),
        ] {
            let column =
                format!("(VALUES ('{text}'), ('2000-01-01')) v(s) WHERE s <> '2000-01-01'");
            for sql in [
                format!("SELECT CAST('{text}' AS TIMESTAMP)"),
                format!("SELECT TIMESTAMP '{text}'"),
                format!("SELECT TRY_CAST('{text}' AS TIMESTAMP)"),
                format!("SELECT CAST(s AS TIMESTAMP) FROM {column}"),
                format!("SELECT TRY_CAST(s AS TIMESTAMP) FROM {column}"),
            ] {
                assert_eq!(run(&sql).as_deref(), Ok(value), "{sql}");
            }
        }
        let zoned = "SELECT CAST(CAST(s AS TIMESTAMP) AT TIME ZONE 'Europe/Paris' AS STRING) FROM (VALUES ('2024-01-05 10:00')) v(s)";
        assert_eq!(run(zoned).as_deref(), Ok("2024-01-05T10:00:00+01:00"));
        let day =
            "SELECT CAST(s AS DATE), TRY_CAST(s AS DATE) FROM (VALUES ('2024-01-05 10:00')) v(s)";
        assert_eq!(run(day).as_deref(), Ok("2024-01-05 2024-01-05"));
        assert_eq!(
            run("SELECT TIMESTAMP '2024-01-05 10:00:00' = '2024-01-05 10:00'").as_deref(),
            Ok("true")
        );
        for text in ["2024-01-05 1", "2024-01-05 10:0", "2024-01-05x10:00", "2024-01-05 25:00", "ü"]
        {
            assert!(run(&format!("SELECT CAST('{text}' AS TIMESTAMP)")).is_err(), "{text}");
            let sql = format!("SELECT TRY_CAST(s AS TIMESTAMP) FROM (VALUES ('{text}')) v(s)");
            assert_eq!(run(&sql).as_deref(), Ok("NULL"), "{text}");
        }
    }

    #[test]
    fn a_decimal_may_have_an_exponent() {
        for (text, value) in [
            ("1e3", "1000.00"),
            ("1E-2", "0.01"),
            ("-1.5e-2", "-0.02"),
            ("+1.25e+1", "12.50"),
            ("5e-3", "0.01"),
            ("4e-3", "0.00"),
            ("0.000012345e6", "12.35"),
            ("0e99", "0.00"),
            ("12.345", "12.35"),
        ] {
            let column = format!("(VALUES ('{text}'), ('7')) v(s) WHERE s <> '7'");
            for sql in [
                format!("SELECT CAST('{text}' AS DECIMAL(10, 2))"),
                format!("SELECT TRY_CAST('{text}' AS DECIMAL(10, 2))"),
                format!("SELECT CAST(s AS DECIMAL(10, 2)) FROM {column}"),
                format!("SELECT TRY_CAST(s AS DECIMAL(10, 2)) FROM {column}"),
            ] {
                assert_eq!(run(&sql).as_deref(), Ok(value), "{sql}");
            }
        }
        let exact = "SELECT CAST('1.2345678901234567890123e20' AS DECIMAL(38, 4))";
        assert_eq!(run(exact).as_deref(), Ok("123456789012345678901.2300"));
        for text in ["1e9", "e3", "1e", "1e3x", "1e999999999999", ".e1", "1e1e1"] {
            assert!(run(&format!("SELECT CAST('{text}' AS DECIMAL(10, 2))")).is_err(), "{text}");
            let sql = format!("SELECT TRY_CAST(s AS DECIMAL(10, 2)) FROM (VALUES ('{text}')) v(s)");
            assert_eq!(run(&sql).as_deref(), Ok("NULL"), "{text}");
        }
    }
}
