//! Local times, zones and far dates: in queries, models and checks alike.

use serde_json::{Value, json};

use crate::support::Lake;

const CONTRACT: &str = "-- One row per record.
CREATE TABLE bronze.t (id STRING, at TIMESTAMP, day DATE)
TBLPROPERTIES ('lake.source' = 'folder:t')";

/// A lake of moments around the changes of clocks in Berlin.
fn lake() -> Lake {
    let lake = Lake::with(&[("lake/bronze/t.sql", CONTRACT)]);
    let lines: String = [
        ("a", "2026-07-01T22:30:00Z"),
        ("b", "2026-10-25T00:30:00Z"),
        ("c", "2026-10-25T01:30:00Z"),
        ("d", "2026-03-29T02:30:00Z"),
    ]
    .iter()
    .map(|(id, at)| json!({"id": id, "at": at, "day": "9999-12-31"}).to_string() + "\n")
    .collect();
    lake.land("t/a.ndjson", lines.as_bytes());
    lake.ok(&["run", "bronze"]);
    lake
}

/// The values of `expression`, in the order of the ids.
#[track_caller]
fn each(lake: &Lake, expression: &str) -> Vec<Value> {
    let rows = lake.rows(&format!("SELECT {expression} AS x FROM bronze.t ORDER BY id"));
    rows.into_iter().map(|mut row| row["x"].take()).collect()
}

#[test]
fn a_moment_of_a_zone_without_its_zone_is_what_the_clock_there_shows() {
    let lake = lake();
    let local = [
        "2026-07-02T00:30:00.000000",
        "2026-10-25T02:30:00.000000",
        "2026-10-25T02:30:00.000000",
        "2026-03-29T04:30:00.000000",
    ];
    for form in [
        "CAST(at AT TIME ZONE 'Europe/Berlin' AS TIMESTAMP)",
        "(at AT TIME ZONE 'europe/berlin')::timestamp",
        "TRY_CAST(at AT TIME ZONE 'Europe/Berlin' AS TIMESTAMP)",
        "to_local_time(at AT TIME ZONE 'Europe/Berlin')",
        "arrow_cast(at AT TIME ZONE 'Europe/Berlin', 'Timestamp(Microsecond, None)')",
    ] {
        assert_eq!(each(&lake, form), local, "{form}");
    }
    let berlin = "at AT TIME ZONE 'Europe/Berlin'";
    for (expression, expected) in [
        (format!("{berlin} >= DATE '2026-07-02' AND {berlin} < DATE '2026-07-03'"), "true"),
        (format!("{berlin} BETWEEN DATE '2026-07-02' AND DATE '2026-07-03'"), "true"),
        (format!("{berlin} = TIMESTAMP '2026-07-02 00:30:00'"), "true"),
        (format!("{berlin} - DATE '2026-07-02' = INTERVAL '30 minutes'"), "true"),
        (format!("to_unixtime({berlin})"), "1782945000"),
        (format!("to_char({berlin}, '%H:%M')"), "00:30"),
        (format!("extract(dow FROM {berlin})"), "4"),
        (format!("date_bin(INTERVAL '1 day', {berlin})"), "2026-07-02T00:00:00.000000+02:00"),
        (
            format!("date_bin(INTERVAL '6 hours', {berlin}, TIMESTAMP '0001-01-01')"),
            "2026-07-02T00:00:00.000000+02:00",
        ),
        (format!("{berlin} + INTERVAL '1 month'"), "2026-08-02T00:30:00.000000+02:00"),
        ("date_bin(INTERVAL '1 day', at)".to_owned(), "2026-07-01T00:00:00.000000Z"),
        ("CAST(at AS TIMESTAMP)".to_owned(), "2026-07-01T22:30:00.000000"),
    ] {
        let rows = lake.rows(&format!("SELECT CAST(x AS VARCHAR) AS x FROM (SELECT {expression} AS x FROM bronze.t WHERE id = 'a')"));
        let printed = lake.rows(&format!("SELECT {expression} AS x FROM bronze.t WHERE id = 'a'"));
        let found = printed[0]["x"].as_str().map_or_else(|| rows[0]["x"].clone(), Value::from);
        assert_eq!(found, *expected, "{expression}");
    }
    let union = "SELECT max(x) AS x FROM (SELECT at AT TIME ZONE 'Europe/Berlin' AS x FROM bronze.t WHERE id = 'a' UNION ALL SELECT DATE '2026-07-02') u";
    assert_eq!(lake.rows(union), [json!({"x": "2026-07-02T00:30:00.000000"})]);
}

#[test]
fn a_zone_that_nobody_knows_is_refused_with_the_nearest_name() {
    let lake = lake();
    for (zone, hint) in [
        ("Europe/Pariss", "did you mean 'Europe/Paris'?"),
        ("Mars/Base", "use an IANA name"),
        ("+5", "as in '+05:30'"),
    ] {
        for form in ["at", "CAST(at AS TIMESTAMP)", "day"] {
            let sql = format!("SELECT {form} AT TIME ZONE '{zone}' FROM bronze.t");
            lake.run(&["sql", &sql]).says(2, &[&format!("`{zone}` is not a time zone"), hint]);
        }
        let sql = format!("SELECT from_unixtime(0, '{zone}')");
        lake.run(&["sql", &sql]).says(2, &["is not a time zone", hint]);
        let sql = format!(
            "SELECT arrow_cast(at, 'Timestamp(Microsecond, Some(\"{zone}\"))') FROM bronze.t"
        );
        lake.run(&["sql", &sql]).says(2, &["is not a time zone", hint]);
    }
    let column = "SELECT at AT TIME ZONE id FROM bronze.t";
    lake.run(&["sql", column]).says(2, &["the zone of AT TIME ZONE is a text", "CASE"]);
    for (zone, shown) in [
        ("europe/paris", "2026-07-02T00:30:00.000000+02:00"),
        ("+0530", "2026-07-02T04:00:00.000000+05:30"),
        ("z", "2026-07-01T22:30:00.000000Z"),
    ] {
        assert_eq!(each(&lake, &format!("at AT TIME ZONE '{zone}'"))[0], shown, "{zone}");
    }
    let check = CONTRACT.replace(
        "day DATE",
        "day DATE, CONSTRAINT c CHECK (extract(hour FROM at AT TIME ZONE 'Mars/Base') >= 0)",
    );
    lake.file("lake/bronze/t.sql", &check);
    lake.run(&["check"]).says(2, &["`Mars/Base` is not a time zone"]);
}

#[test]
fn a_local_time_in_the_hour_of_a_change_is_a_moment_in_models_and_checks() {
    let lake = lake();
    let local = "CAST(at AT TIME ZONE 'UTC' AS TIMESTAMP)";
    let moments = [
        "2026-07-01T20:30:00.000000Z",
        "2026-10-24T22:30:00.000000Z",
        "2026-10-24T23:30:00.000000Z",
        "2026-03-29T01:30:00.000000Z",
    ];
    let moment = format!("{local} AT TIME ZONE 'Europe/Berlin' AT TIME ZONE 'UTC'");
    assert_eq!(each(&lake, &moment), moments);
    for (text, zone, expected) in [
        ("2026-10-25 02:30:00", "Europe/Berlin", "2026-10-25T01:30:00.000000Z"),
        ("2026-03-29 02:30:00", "Europe/Berlin", "2026-03-29T01:30:00.000000Z"),
        ("2026-04-05 02:30:00", "Australia/Sydney", "2026-04-04T16:30:00.000000Z"),
        ("2026-10-04 02:30:00", "Australia/Sydney", "2026-10-03T16:30:00.000000Z"),
        ("2026-03-29 01:30:00", "Europe/Berlin", "2026-03-29T00:30:00.000000Z"),
    ] {
        for form in [format!("TIMESTAMP '{text}'"), format!("'{text}'")] {
            let sql = format!("SELECT {form} AT TIME ZONE '{zone}' AT TIME ZONE 'UTC' AS x");
            assert_eq!(lake.rows(&sql), [json!({"x": expected})], "{sql}");
        }
    }
    let day = "SELECT TIMESTAMP '2026-03-28 02:30:00' AT TIME ZONE 'Europe/Berlin' + INTERVAL '1 day' AS x";
    assert_eq!(lake.rows(day), [json!({"x": "2026-03-29T03:30:00.000000+02:00"})]);
    lake.file(
        "lake/gold/m.sql",
        "-- One row per record.\nCREATE TABLE gold.m (id STRING, x TIMESTAMP, CONSTRAINT c CHECK (CAST(x AT TIME ZONE 'Europe/Berlin' AS TIMESTAMP) AT TIME ZONE 'Europe/Berlin' IS NOT NULL))",
    );
    lake.file(
        "sql/gold/m.sql",
        &format!("/*---\nabout = \"One row per record.\"\n---*/\nSELECT id, {moment} AS x FROM bronze.t\n"),
    );
    lake.ok(&["run", "gold"]);
    let stored = lake.rows("SELECT x FROM gold.m ORDER BY id");
    assert_eq!(stored, moments.map(|x| json!({"x": x})));
}

#[test]
fn a_model_writes_no_year_that_other_readers_do_not_know() {
    let lake = lake();
    let model = |columns: &str, expression: &str| {
        lake.file(
            "lake/silver/m.sql",
            &format!("-- One row per record.\nCREATE TABLE silver.m (id STRING, {columns})"),
        );
        lake.file(
            "sql/silver/m.sql",
            &format!("/*---\nabout = \"One row per record.\"\n---*/\nSELECT id, {expression} FROM bronze.t\n"),
        );
        lake.run(&["run", "silver", "--full-refresh"])
    };
    for (columns, expression, path) in [
        ("x DATE", "CAST(day + INTERVAL '1 day' AS DATE) AS x", "`x`"),
        ("x DATE", "CAST(DATE '0001-01-01' - INTERVAL '1 day' AS DATE) AS x", "`x`"),
        ("x TIMESTAMP", "CAST(day AS TIMESTAMP) AT TIME ZONE 'UTC' + INTERVAL '1 day' AS x", "`x`"),
        (
            "x STRUCT<d DATE>",
            "named_struct('d', CAST(day + INTERVAL '1 day' AS DATE)) AS x",
            "`x.d`",
        ),
    ] {
        let says = format!(
            "silver.m: {path} has dates or times outside of the years 0001 to 9999 in 4 rows"
        );
        model(columns, expression).says(1, &[&says, "nothing was committed", "least("]);
    }
    for (columns, expression) in [
        ("x DATE", "day AS x"),
        ("x DATE", "least(CAST(day + INTERVAL '1 day' AS DATE), DATE '9999-12-31') AS x"),
    ] {
        model(columns, expression).says(0, &[]);
    }
}

#[test]
fn a_series_of_times_holds_for_every_year_and_zone() {
    let lake = Lake::new();
    let list = |arguments: &str| {
        let rows = lake.rows(&format!("SELECT generate_series({arguments}) AS x"));
        let rows: Vec<Value> = rows[0]["x"].as_array().unwrap().clone();
        let table = lake.rows(&format!("SELECT value FROM generate_series({arguments})"));
        let table: Vec<Value> = table.into_iter().map(|mut row| row["value"].take()).collect();
        assert_eq!(rows, table, "{arguments}");
        rows
    };
    assert_eq!(
        list("TIMESTAMP '9999-12-30', TIMESTAMP '9999-12-31', INTERVAL '1 day'"),
        ["9999-12-30T00:00:00.000000", "9999-12-31T00:00:00.000000"]
    );
    assert_eq!(
        list("TIMESTAMP '1500-03-01', TIMESTAMP '1500-02-27', INTERVAL '-1 day'"),
        ["1500-03-01T00:00:00.000000", "1500-02-28T00:00:00.000000", "1500-02-27T00:00:00.000000"]
    );
    assert_eq!(
        list("TIMESTAMP '2026-01-31', TIMESTAMP '2026-03-31', INTERVAL '1 month'"),
        ["2026-01-31T00:00:00.000000", "2026-02-28T00:00:00.000000", "2026-03-28T00:00:00.000000"]
    );
    // The hour that is left out moves one of them only.
    let berlin = |day: &str| format!("TIMESTAMPTZ '{day}' AT TIME ZONE 'Europe/Berlin'");
    let (from, to) = (berlin("2026-03-28 01:30:00Z"), berlin("2026-03-30 00:30:00Z"));
    assert_eq!(
        list(&format!("{from}, {to}, INTERVAL '1 day'")),
        [
            "2026-03-28T02:30:00.000000+01:00",
            "2026-03-29T03:30:00.000000+02:00",
            "2026-03-30T02:30:00.000000+02:00"
        ]
    );
    let dates = lake.rows(
        "SELECT range(DATE '9999-12-28', DATE '9999-12-31', INTERVAL '2 days') AS x, range(3) AS n",
    );
    assert_eq!(dates, [json!({"x": ["9999-12-28", "9999-12-30"], "n": [0, 1, 2]})]);
    lake.run(&["sql", "SELECT generate_series(TIMESTAMP '0001-01-01', TIMESTAMP '9999-12-31', INTERVAL '1 second')"])
        .says(2, &["makes nothing longer"]);
}

#[test]
fn far_times_are_read_and_measured_as_near_ones_are() {
    let lake = Lake::new();
    for (expression, expected) in [
        ("to_timestamp_micros('9999-12-31T00:00:00')", json!("9999-12-31T00:00:00.000000")),
        ("to_timestamp_millis('9999-12-31T00:00:00')", json!("9999-12-31T00:00:00.000000")),
        ("to_timestamp_seconds('0001-01-01')", json!("0001-01-01T00:00:00.000000")),
        ("to_unixtime('9999-12-31')", json!(253_402_214_400_i64)),
        (
            "date_part('epoch', TIMESTAMP '9999-12-31' - TIMESTAMP '0001-01-01')",
            json!(315_537_811_200.0),
        ),
        ("extract(epoch FROM TIMESTAMP '2026-01-02' - TIMESTAMP '2026-01-01')", json!(86_400.0)),
        (
            "date_bin(INTERVAL '7 days', TIMESTAMP '2026-01-01', TIMESTAMP '0001-01-01')",
            json!("2025-12-29T00:00:00.000000"),
        ),
        ("TIMESTAMPTZ '2026-01-01' AT TIME ZONE 'Europe/Berlin' = DATE '2026-01-01'", json!(false)),
    ] {
        assert_eq!(
            lake.rows(&format!("SELECT {expression} AS x")),
            [json!({"x": expected})],
            "{expression}"
        );
    }
    let values = "SELECT t = DATE '2026-01-01' AS x FROM (VALUES (TIMESTAMPTZ '2025-12-31 23:00:00Z' AT TIME ZONE 'Europe/Berlin')) v(t)";
    assert_eq!(lake.rows(values), [json!({"x": true})]);
}

#[test]
fn a_query_that_fails_leaves_nothing_on_stdout() {
    let lake = lake();
    let failing = "SELECT id, CAST(id AS BIGINT) AS n FROM bronze.t";
    for format in ["csv", "json", "ndjson", "parquet", "table"] {
        let done = lake.run(&["sql", failing, "--output", format]);
        done.says(1, &["a value is no BIGINT"]);
        assert_eq!(done.stdout, "", "{format}");
        let empty = lake.run(&["sql", "SELECT id FROM bronze.t WHERE false", "--output", format]);
        assert_eq!(empty.stdout.is_empty(), format == "ndjson", "{format}");
    }
}

#[test]
fn a_file_time_that_no_reader_knows_is_no_record_time_and_is_told() {
    let lake = Lake::with(&[("lake/bronze/t.sql", CONTRACT)]);
    let path = lake.land("t/a.ndjson", b"{\"id\":\"a\"}\n");
    let far = std::time::UNIX_EPOCH + std::time::Duration::from_hours(70_389_528);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    if file.set_modified(far).is_err() || path.metadata().unwrap().modified().unwrap() != far {
        return;
    }
    let said = lake.ok(&["run", "bronze"]).stderr;
    assert!(said.contains("t/a.ndjson: was changed outside of the years 0001 to 9999"), "{said}");
    assert_eq!(lake.rows("SELECT _record_ts AS x FROM bronze.t"), [json!({"x": null})]);
}
