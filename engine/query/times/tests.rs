//! Dates from the year 0001 to 9999, in every place of a query.

use super::*;
use crate::query::testing::cells;
use crate::query::{Limits, Query};

/// The history of a price: one version ended in 2026, one is open, one began with the calendar.
const HISTORY: &str = "WITH history AS (
    SELECT id, arrow_cast(f, 'Timestamp(Microsecond, Some(\"UTC\"))') AS valid_from,
           arrow_cast(t, 'Timestamp(Microsecond, Some(\"UTC\"))') AS valid_to, CAST(t AS DATE) AS day, t AS written
    FROM (VALUES (1, '2026-01-01T00:00:00Z', '9999-12-31T00:00:00Z'),
                 (2, '2025-07-01T10:30:00Z', '2026-03-01T12:34:56.789012Z'),
                 (3, '0001-01-01T00:00:00Z', '1600-02-29T23:59:59.999999Z'),
                 (4, NULL, NULL)) AS v(id, f, t)) ";

fn asked(sql: &str) -> Result<String, String> {
    let query = Query::new(&Limits::planning(chrono_tz::UTC)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    cells(runtime.block_on(query.collect(&format!("{HISTORY}{sql}"))))
}

#[track_caller]
fn gives(sql: &str, expected: &str) {
    assert_eq!(asked(sql), Ok(expected.to_owned()), "{sql}");
}

/// The ids that a condition keeps.
#[track_caller]
fn keeps(condition: &str, ids: &str) {
    gives(&format!("SELECT id FROM history WHERE {condition} ORDER BY id"), ids);
}

#[test]
fn far_dates_compare_with_literals_of_every_kind() {
    keeps("valid_to = '9999-12-31T00:00:00Z'", "1");
    keeps("valid_to = '9999-12-31'", "1");
    keeps("valid_to < TIMESTAMP '9999-12-31 00:00:00'", "2, 3");
    keeps("valid_to >= TIMESTAMP '9999-12-31'", "1");
    keeps("valid_to = DATE '9999-12-31'", "1");
    keeps("valid_to > TIMESTAMP '0001-01-01 00:00:00'", "1, 2, 3");
    keeps("valid_from = TIMESTAMP '0001-01-01 00:00:00'", "3");
    keeps("valid_to BETWEEN '2026-01-01' AND '9999-12-31'", "1, 2");
    keeps("valid_to NOT BETWEEN DATE '2026-01-01' AND DATE '9999-12-31'", "3");
    keeps("valid_to IN ('9999-12-31T00:00:00Z', '2026-03-01T12:34:56.789012Z')", "1, 2");
    keeps("valid_to IN (TIMESTAMP '9999-12-31 00:00:00')", "1");
    keeps("valid_to IN (SELECT DATE '9999-12-31')", "1");
    keeps("valid_to IS DISTINCT FROM TIMESTAMP '9999-12-31 00:00:00'", "2, 3, 4");
    keeps("day = '9999-12-31'", "1");
    keeps("day = TIMESTAMP '9999-12-31 00:00:00'", "1");
    keeps("day = valid_to", "1");
    keeps("CASE valid_to WHEN '9999-12-31T00:00:00Z' THEN true ELSE false END", "1");
    keeps("CAST(written AS TIMESTAMP) = valid_to", "1, 2, 3");
    keeps("written::timestamptz = valid_to", "1, 2, 3");
    keeps("valid_to::date = DATE '9999-12-31'", "1");
    keeps("coalesce(valid_to, TIMESTAMP '9999-12-31') = '9999-12-31'", "1, 4");
    keeps("nullif(valid_to, '9999-12-31') IS NULL", "1, 4");
    keeps("greatest(valid_to, TIMESTAMP '2026-06-01') > '2026-06-01'", "1");
    keeps("valid_to > now()", "1");
    keeps("valid_from <= current_timestamp AND valid_to > current_timestamp", "1");
    keeps(
        "valid_to AT TIME ZONE 'Europe/Paris' = TIMESTAMP '9999-12-31 01:00:00' AT TIME ZONE 'Europe/Paris'",
        "1",
    );
    keeps("valid_to = to_timestamp('9999-12-31T00:00:00Z')", "1");
    keeps("valid_to = to_timestamp(253402214400)", "1");
}

#[test]
fn far_dates_are_joined_sorted_grouped_and_put_together() {
    gives(
        "SELECT max(valid_to), min(valid_from) FROM history",
        "9999-12-31T00:00:00Z 0001-01-01T00:00:00Z",
    );
    gives("SELECT id FROM history ORDER BY valid_to DESC NULLS LAST", "1, 2, 3, 4");
    gives("SELECT a.id, b.id FROM history a JOIN history b ON a.day = b.valid_to", "1 1");
    gives(
        "SELECT count(*) FROM history GROUP BY coalesce(valid_to, TIMESTAMP '9999-12-31') ORDER BY 1 DESC LIMIT 1",
        "2",
    );
    gives(
        "SELECT max(t) FROM (SELECT valid_to AS t FROM history UNION ALL SELECT DATE '9999-12-30') AS u",
        "9999-12-31T00:00:00",
    );
    gives(
        "SELECT max(t) FROM (SELECT DATE '9999-12-31' AS t UNION ALL SELECT TIMESTAMP '2020-01-01') AS u",
        "9999-12-31T00:00:00",
    );
}

#[test]
fn functions_of_time_hold_for_far_dates() {
    let of = |expression: &str, expected: &str| {
        gives(&format!("SELECT {expression} FROM history WHERE id < 4 ORDER BY id"), expected);
    };
    of(
        "date_trunc('month', valid_to)",
        "9999-12-01T00:00:00Z, 2026-03-01T00:00:00Z, 1600-02-01T00:00:00Z",
    );
    of(
        "date_trunc('week', valid_to)",
        "9999-12-27T00:00:00Z, 2026-02-23T00:00:00Z, 1600-02-28T00:00:00Z",
    );
    of(
        "date_trunc('hour', valid_to)",
        "9999-12-31T00:00:00Z, 2026-03-01T12:00:00Z, 1600-02-29T23:00:00Z",
    );
    of("date_trunc('year', day)", "9999-01-01T00:00:00, 2026-01-01T00:00:00, 1600-01-01T00:00:00");
    of("extract(year FROM valid_to)", "9999, 2026, 1600");
    of("date_part('doy', valid_to)", "365, 60, 60");
    of("extract(epoch FROM valid_to)", "253402214400.0, 1772368496.789012, -11670912000.0");
    of(
        "date_bin(INTERVAL '1 day', valid_to)",
        "9999-12-31T00:00:00Z, 2026-03-01T00:00:00Z, 1600-02-29T00:00:00Z",
    );
    of(
        "date_bin(INTERVAL '1 month', valid_to)",
        "9999-12-01T00:00:00Z, 2026-03-01T00:00:00Z, 1600-02-01T00:00:00Z",
    );
    of("to_char(valid_to, '%Y-%m-%d')", "9999-12-31, 2026-03-01, 1600-02-29");
    of(
        "valid_to - INTERVAL '1 day'",
        "9999-12-30T00:00:00Z, 2026-02-28T12:34:56.789012Z, 1600-02-28T23:59:59.999999Z",
    );
    of("valid_to::date", "9999-12-31, 2026-03-01, 1600-02-29");
    gives(
        "SELECT date_trunc('day', TIMESTAMP '9999-12-31 23:30:00' AT TIME ZONE 'Europe/Paris')",
        "9999-12-31T00:00:00+01:00",
    );
    gives(
        "SELECT date_trunc('day', TIMESTAMP '2026-07-01 23:30:00' AT TIME ZONE 'Europe/Paris')",
        "2026-07-01T00:00:00+02:00",
    );
}

#[test]
fn a_day_whose_midnight_comes_twice_begins_at_the_first() {
    for (zone, offset) in [("America/Havana", "-04:00"), ("Europe/Paris", "+01:00")] {
        for moment in ["2026-11-01 04:30:00Z", "2026-11-01 05:30:00Z", "2026-11-01 15:30:00Z"] {
            let day = format!("TIMESTAMPTZ '{moment}' AT TIME ZONE '{zone}'");
            let midnight = format!("2026-11-01T00:00:00{offset}");
            gives(&format!("SELECT date_trunc('day', {day})"), &midnight);
            gives(&format!("SELECT date_bin(INTERVAL '1 day', {day})"), &midnight);
        }
    }
}

#[test]
fn a_series_of_days_is_joined_with_a_history_that_is_open() {
    let days = "generate_series(TIMESTAMP '2025-12-31', TIMESTAMP '2026-01-02', INTERVAL '1 day')";
    gives(
        &format!(
            "SELECT days.value, count(*) FROM {days} AS days JOIN history \
             ON days.value >= valid_from AND days.value < valid_to GROUP BY 1 ORDER BY 1"
        ),
        "2025-12-31T00:00:00 1, 2026-01-01T00:00:00 2, 2026-01-02T00:00:00 2",
    );
    gives("SELECT count(*), max(value) FROM range(0, 5)", "5 4");
    gives(
        "SELECT max(value) FROM generate_series(DATE '2026-01-01', DATE '2026-01-03', INTERVAL '1 day')",
        "2026-01-03T00:00:00",
    );
}

#[test]
fn a_span_is_compared_by_its_length() {
    keeps("valid_to - valid_from > INTERVAL '1000 days'", "1, 3");
    keeps(
        "valid_to - valid_from < INTERVAL '1 year' - INTERVAL '12 months' + INTERVAL '244 days'",
        "2",
    );
    keeps("valid_to - valid_from BETWEEN INTERVAL '1 hour' AND INTERVAL '243 days 3 hours'", "2");
    keeps("valid_to - valid_from > INTERVAL '5832 hours'", "1, 2, 3");
    keeps("valid_to - valid_from = INTERVAL '1 day'", "");
    keeps("INTERVAL '2000000 days' < valid_to - valid_from", "1");
    let report = asked("SELECT id FROM history WHERE valid_to - valid_from > INTERVAL '2 months'");
    assert!(report.clone().unwrap_err().contains("no fixed length"), "{report:?}");
}

#[test]
fn spans_between_far_dates_add_up_or_fail() {
    gives("SELECT count(*) FROM history WHERE valid_to - valid_from > INTERVAL '1000 days'", "2");
    let spans = |n: u32| {
        asked(&format!(
            "SELECT sum(valid_to - valid_from) IS NOT NULL FROM history, range(0, {n}) WHERE id = 1"
        ))
    };
    assert_eq!(spans(30), Ok("true".to_owned()));
    let report = spans(40).unwrap_err();
    assert!(report.contains("leaves the range of INTERVAL"), "{report}");
}

#[test]
fn a_time_that_no_calendar_has_is_an_error() {
    assert!(asked("SELECT to_timestamp(9e300)").is_err());
    assert!(asked("SELECT arrow_cast(9223372036854775807, 'Timestamp(Microsecond, None)') + INTERVAL '1 day'").is_err());
    gives("SELECT to_timestamp(1.5)", "1970-01-01T00:00:01.500");
}
