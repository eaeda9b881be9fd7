//! `lake status`: how far every table is, and how much waits for it.

use serde_json::{Value, json};

use crate::support::Lake;

const EVENTS: &str = include_str!("fixtures/domain/events.jsonl");

const HEADER: &str =
    "table_name,source,partition,next_offset,end_offset,lag,committed_at,age_s,version,health";

/// Some lines of the events, each with its newline.
fn lines(from: usize, to: usize) -> String {
    EVENTS.split_inclusive('\n').skip(from).take(to - from).collect()
}

/// What `lake status` knows.
#[track_caller]
fn status(lake: &Lake) -> Vec<Value> {
    serde_json::from_str(&lake.ok(&["status", "--output", "json"]).stdout).unwrap()
}

/// The one row of a table and a source; a model has none.
#[track_caller]
fn row(lake: &Lake, table: &str, source: &Value) -> Value {
    let mut rows = status(lake);
    rows.retain(|row| row["table_name"] == table && row["source"] == *source);
    assert_eq!(rows.len(), 1, "{table} {source}: {rows:?}");
    rows.remove(0)
}

/// What a folder's row says: batches, files that wait, the table's version.
#[track_caller]
fn progress(lake: &Lake) -> [Value; 3] {
    let row = row(lake, "bronze.events", &json!("folder:events"));
    ["next_offset", "lag", "version"].map(|column| row[column].clone())
}

#[test]
fn a_fresh_lake_says_what_waits_and_is_not_made_by_being_asked() {
    let lake = Lake::new();
    lake.land("events/a.ndjson", lines(0, 10).as_bytes());
    lake.land("events/deeper/b.ndjson", lines(10, 20).as_bytes());
    lake.land("events/empty.ndjson", b"");
    lake.land("events/c.ndjson.part", lines(20, 30).as_bytes());
    lake.land("events/readme.txt", b"hello");
    assert_eq!(progress(&lake), [Value::Null, json!(2), Value::Null]);
    let model = row(&lake, "gold.video_retention", &Value::Null);
    let known = model.as_object().unwrap().values().filter(|value| !value.is_null()).count();
    assert_eq!(known, 1, "{model}");
    let output = lake.ok(&["status"]);
    for part in ["no table is made yet", "`lake run all`", "landing/videos", "`kafka.brokers`"] {
        assert!(output.stderr.contains(part), "{part} is missing in\n{}", output.stderr);
    }
    assert_eq!(lake.ok(&["status", "-q"]).stderr, "");
    assert!(!lake.root().exists(), "it was only looked at");
}

#[test]
fn a_run_takes_what_waits_and_a_new_or_grown_file_waits_again() {
    let lake = Lake::new();
    lake.land("events/a.ndjson", lines(0, 10).as_bytes());
    lake.ok(&["run", "bronze"]);
    assert_eq!(progress(&lake), [1, 0, 1].map(Value::from));
    let row = row(&lake, "bronze.events", &json!("folder:events"));
    assert!(row["age_s"].as_i64().is_some_and(|age| (0..600).contains(&age)), "{row}");
    assert!(row["committed_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{row}");
    assert!(row["partition"].is_null() && row["end_offset"].is_null(), "{row}");
    lake.land("events/a.ndjson", lines(0, 15).as_bytes());
    lake.land("events/b.ndjson", lines(15, 20).as_bytes());
    assert_eq!(progress(&lake), [1, 2, 1].map(Value::from));
    lake.ok(&["run", "all"]);
    assert_eq!(progress(&lake), [2, 0, 2].map(Value::from));
    assert!(status(&lake).iter().all(|row| row["version"].is_number()));
}

#[test]
fn every_format_has_the_columns_and_people_read_an_age() {
    let lake = Lake::new();
    lake.land("events/a.ndjson", lines(0, 10).as_bytes());
    lake.ok(&["run", "bronze"]);
    let csv = lake.ok(&["status", "--output", "csv"]).stdout;
    assert_eq!(csv.lines().next(), Some(HEADER));
    assert!(csv.contains("\nbronze.events,folder:events,,1,,0,20"), "{csv}");
    let mut names: Vec<&str> = HEADER.split(',').collect();
    names.sort_unstable();
    for row in status(&lake) {
        let mut columns: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        columns.sort_unstable();
        assert_eq!(columns, names);
    }
    let table = lake.ok(&["status"]).stdout;
    assert!(table.contains("| age ") && !table.contains("committed_at"), "{table}");
    let line = table.lines().find(|line| line.contains("folder:events")).unwrap();
    let age = line.split('|').nth(7).unwrap().trim();
    assert!(age.ends_with('s') && age.len() < 8, "{line}");
}

#[test]
fn a_topic_without_brokers_has_a_row_and_no_lag() {
    let lake = Lake::new();
    lake.ok(&["run", "bronze"]);
    let row = row(&lake, "bronze.events", &json!("kafka:events"));
    for column in ["partition", "next_offset", "end_offset", "lag"] {
        assert!(row[column].is_null(), "{row}");
    }
    assert_eq!(row["version"], 0);
}

#[test]
fn brokers_that_do_not_answer_are_named_once_and_the_rest_is_shown() {
    let mut lake = Lake::new();
    lake.land("events/a.ndjson", lines(0, 10).as_bytes());
    lake.ok(&["run", "bronze"]);
    lake.set("LAKE_KAFKA_BROKERS", "127.0.0.1:1");
    lake.set("LAKE_KAFKA_TIMEOUT", "1s");
    let output = lake.run(&["status", "--output", "json"]);
    output.says(75, &["no broker answers at 127.0.0.1:1", "hint: start the broker"]);
    assert_eq!(output.stderr.matches("no broker answers").count(), 1, "{}", output.stderr);
    let rows: Vec<Value> = serde_json::from_str(&output.stdout).unwrap();
    let lag = |source: &str| {
        let row = rows.iter().find(|row| row["source"] == source).unwrap();
        row["lag"].clone()
    };
    assert_eq!((lag("folder:events"), lag("kafka:events")), (json!(0), Value::Null));
    let output = lake.run(&["doctor"]);
    output.says(1, &["1 thing needs mending"]);
    let found = output.stdout.lines().find(|line| line.starts_with("FAIL")).unwrap();
    assert!(found.contains("kafka.brokers") && found.contains("no broker answers"), "{found}");
}
