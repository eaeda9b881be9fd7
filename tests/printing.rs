//! What is printed: exact for programs in every format, and harmless for the terminals of people.

use serde_json::{Value, json};

use crate::support::Lake;

const ORDERS: (&str, &str) = (
    "lake/bronze/orders.sql",
    "-- One row per order.
CREATE TABLE bronze.orders (
    id STRING NOT NULL COMMENT 'order',
    at TIMESTAMP COMMENT 'when',
    note STRING COMMENT 'what was said'
)
PARTITIONED BY (_ingest_date)
TBLPROPERTIES ('lake.source' = 'folder:orders');
",
);

/// A lake with one order and one record in quarantine that would drive a terminal.
fn lake() -> Lake {
    let lake = Lake::with(&[ORDERS]);
    let order = r#"{"id":"a","at":"2026-03-01T10:00:00Z","note":"line\nline\u001b[31m"}"#;
    lake.land(
        "orders/a.ndjson",
        format!("{order}\n\u{1b}]0;owned\u{7}\u{202e}not json\n").as_bytes(),
    );
    lake.ok(&["run", "bronze"]);
    lake
}

fn drives(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t') || matches!(c, '\u{202a}'..='\u{202e}')
}

#[test]
fn a_time_of_another_zone_is_printed_with_its_offset() {
    let lake = lake();
    let sql = "SELECT at AT TIME ZONE 'Europe/Berlin' AS berlin, at AT TIME ZONE '+05:30' AS kolkata, at AS utc, arrow_cast(at, 'Timestamp(Microsecond, None)') AS none FROM bronze.orders";
    let [berlin, kolkata, utc, none] = [
        "2026-03-01T11:00:00.000000+01:00",
        "2026-03-01T15:30:00.000000+05:30",
        "2026-03-01T10:00:00.000000Z",
        "2026-03-01T10:00:00.000000",
    ];
    let rows = lake.rows(sql);
    assert_eq!(rows, [json!({"berlin": berlin, "kolkata": kolkata, "utc": utc, "none": none})]);
    let csv = lake.ok(&["sql", sql, "--output", "csv"]).stdout;
    assert_eq!(csv, format!("berlin,kolkata,utc,none\n{berlin},{kolkata},{utc},{none}\n"));
    let table = lake.ok(&["sql", sql]).stdout;
    assert!(table.contains(&format!("| {berlin} | {kolkata} | {utc} ")), "{table}");
}

#[test]
fn far_times_end_no_output_and_break_no_line() {
    let lake = lake();
    let sql = "SELECT arrow_cast(n, 'Timestamp(Microsecond, Some(\"UTC\"))') AS at, arrow_cast(n, 'Timestamp(Second, None)') AS far FROM (VALUES (9223372036854775807), (0)) AS t(n)";
    let rows = lake.rows(sql);
    assert_eq!(rows[0]["at"], "+294247-01-10T04:00:54.775807Z");
    assert_eq!(
        rows[1],
        json!({"at": "1970-01-01T00:00:00.000000Z", "far": "1970-01-01T00:00:00.000000"})
    );
    for output in ["csv", "json", "table"] {
        let text = lake.ok(&["sql", sql, "--output", output]).stdout;
        assert!(text.contains("+292277026596-12-04T15:30:07.000000"), "{output}: {text}");
    }
}

#[test]
fn no_value_vanishes_where_two_columns_have_one_name() {
    let lake = lake();
    let sql = "SELECT a.id, b.id FROM bronze.orders AS a CROSS JOIN (SELECT 'b' AS id) AS b";
    assert_eq!(lake.rows(sql), [json!({"id": "a", "id_1": "b"})]);
    let list = lake.ok(&["sql", sql, "--output", "json"]).stdout;
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list, json!([{"id": "a", "id_1": "b"}]));
    assert_eq!(lake.ok(&["sql", sql, "--output", "csv"]).stdout, "id,id\na,b\n");
    let one = "SELECT a.id, b.other FROM bronze.orders AS a CROSS JOIN (SELECT 'b' AS other) AS b";
    assert_eq!(lake.rows(one), [json!({"id": "a", "other": "b"})]);
}

#[test]
fn numbers_that_json_does_not_have_are_texts_there() {
    let lake = lake();
    let sql = "SELECT CAST('NaN' AS DOUBLE) AS a, CAST('Infinity' AS DOUBLE) AS b, CAST('-Infinity' AS DOUBLE) AS c, CAST(0.1 AS DOUBLE) AS d, CAST(NULL AS DOUBLE) AS e";
    let row = json!({"a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 0.1, "e": null});
    assert_eq!(lake.rows(sql), [row]);
}

#[test]
fn csv_tells_null_from_the_empty_text() {
    let lake = lake();
    let sql = "SELECT '' AS a, CAST(NULL AS VARCHAR) AS b, 'x' AS c";
    assert_eq!(lake.ok(&["sql", sql, "--output", "csv"]).stdout, "a,b,c\n\"\",,x\n");
}

#[test]
fn a_text_in_a_table_does_not_drive_the_terminal() {
    let lake = lake();
    let sql = "SELECT note FROM bronze.orders";
    let table = lake.ok(&["sql", sql]).stdout;
    assert!(!table.contains(drives) && table.contains("line\\nline\\u{1b}[31m"), "{table}");
    assert_eq!(table.lines().count(), 5, "{table}");
    assert_eq!(lake.rows(sql), [json!({"note": "line\nline\u{1b}[31m"})]);
    let csv = lake.ok(&["sql", sql, "--output", "csv"]).stdout;
    assert_eq!(csv, "note\n\"line\nline\u{1b}[31m\"\n");
    // A plan has lines of its own.
    let plan = lake.ok(&["sql", "EXPLAIN SELECT id FROM bronze.orders ORDER BY id"]).stdout;
    assert!(plan.lines().count() > 7 && !plan.contains("\\n"), "{plan}");
}

#[test]
fn a_record_in_quarantine_is_shown_without_what_drives_the_terminal() {
    let lake = lake();
    let shown = lake.ok(&["quarantine", "show", "1"]).stdout;
    assert!(shown.contains("\\u{1b}]0;owned\\u{7}\\u{202e}not json"), "{shown}");
    assert!(!shown.contains(drives), "{shown:?}");
    assert!(shown.contains("bronze.orders") && shown.contains("not_json"), "{shown}");
    let output = lake.ok(&["quarantine", "show", "1", "--output", "ndjson"]).stdout;
    let row: Value = serde_json::from_str(&output).unwrap();
    let raw = hex::decode(row["raw"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(raw).unwrap(), "\u{1b}]0;owned\u{7}\u{202e}not json");
    assert_eq!(row["table_name"], "bronze.orders");
    lake.run(&["quarantine", "show", "2"]).says(2, &["no record 2"]);
}

#[test]
fn a_message_about_a_file_does_not_drive_the_terminal() {
    let lake = Lake::with(&[ORDERS]);
    lake.land("orders/evil\u{202e}.csv.gz", b"this is no gzip");
    let output = lake.run(&["run", "bronze"]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(!output.stderr.contains(drives), "{:?}", output.stderr);
    assert!(output.stderr.contains("evil"), "{}", output.stderr);
}

#[test]
fn every_command_that_prints_rows_prints_them_in_the_format_that_is_asked_for() {
    let lake = lake();
    for command in [
        &["config"][..],
        &["doctor"],
        &["status"],
        &["quarantine", "list"],
        &["quarantine", "show", "1"],
        &["run", "bronze"],
        &["sql", "SELECT id FROM bronze.orders"],
    ] {
        let of = |output: &str| lake.ok(&[command, &["--output", output]].concat()).stdout;
        let list: Value = serde_json::from_str(&of("json")).unwrap();
        let rows: Vec<Value> =
            of("ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(list.as_array().map(Vec::len), Some(rows.len()), "{command:?}");
        assert!(!rows.is_empty() && rows.iter().all(Value::is_object), "{command:?}");
        let csv = of("csv");
        let mut records = csv::Reader::from_reader(csv.as_bytes());
        let n_columns = records.headers().unwrap().len();
        assert_eq!(n_columns, rows[0].as_object().unwrap().len(), "{command:?}");
        assert_eq!(records.records().map(Result::unwrap).count(), rows.len(), "{command:?}");
        let mut parquet = lake.command(&[command, &["--output", "parquet"]].concat());
        assert!(parquet.output().unwrap().stdout.starts_with(b"PAR1"), "{command:?}");
    }
}

#[test]
fn a_command_that_prints_no_rows_refuses_a_format_by_its_name() {
    let lake = lake();
    for (command, name) in [
        (&["check"][..], "`lake check`"),
        (&["init", "elsewhere"], "`lake init`"),
        (&["completions", "bash"], "`lake completions`"),
        (&["quarantine", "replay"], "`lake quarantine replay`"),
        (&["run", "bronze", "--follow"], "`lake run --follow`"),
    ] {
        let output = lake.run(&[command, &["--output", "json"]].concat());
        output.says(2, &[name, "--output"]);
        assert_eq!(output.stdout, "", "{command:?}");
    }
    lake.run(&["check", "--output", "table"]).says(0, &["no mistakes"]);
}

#[test]
fn a_run_tells_programs_what_it_did_also_where_it_fails() {
    let lake = lake();
    let rows = |output: &str| -> Vec<Value> {
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    lake.land("orders/b.ndjson", b"{\"id\":\"b\"}\n");
    let output = lake.ok(&["run", "bronze", "--output", "ndjson"]).stdout;
    let row = &rows(&output)[0];
    assert_eq!((&row["table_name"], &row["result"]), (&json!("bronze.orders"), &json!("written")));
    assert_eq!((&row["rows"], &row["quarantined"]), (&json!(1), &json!(0)));
    lake.file(
        "lake/gold/notes.sql",
        "-- One row per order.\nCREATE TABLE gold.notes (id STRING NOT NULL COMMENT 'x', n BIGINT NOT NULL COMMENT 'x');",
    );
    lake.file("sql/gold/notes.sql", "/*---\nrefresh = \"full\"\n---*/\n-- One row per order.\nSELECT id, CAST(note AS BIGINT) AS n FROM bronze.orders\n");
    let output = lake.run(&["run", "all", "--output", "ndjson"]);
    output.says(1, &["gold.notes", "failed: gold.notes"]);
    assert_eq!(rows(&output.stdout)[0]["result"], "up_to_date");
}

#[test]
fn an_empty_quarantine_is_no_rows_in_every_format() {
    let lake = Lake::with(&[ORDERS]);
    let json = lake.ok(&["quarantine", "list", "--output", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&json.stdout).unwrap(), json!([]));
    json.says(0, &["quarantine is empty"]);
    let csv = lake.ok(&["quarantine", "list", "--output", "csv"]).stdout;
    assert!(csv.starts_with("n,table_name,") && csv.lines().count() == 1, "{csv}");
    assert_eq!(lake.ok(&["quarantine", "list"]).stdout, "");
}

#[test]
fn an_unset_setting_is_null() {
    let lake = Lake::with(&[ORDERS]);
    let json = lake.ok(&["config", "--output", "json"]).stdout;
    let list: Value = serde_json::from_str(&json).unwrap();
    let setting =
        |name: &str| list.as_array().unwrap().iter().find(|row| row["setting"] == name).unwrap();
    assert_eq!(setting("kafka.brokers")["value"], Value::Null);
    assert_eq!(setting("reporting_tz")["value"], "UTC");
}
