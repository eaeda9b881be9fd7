//! What a replay makes of a record: the row that its file would give today, or the reason of today.

use serde_json::{Value, json};

use crate::replay::{REPLAY, says, versions};
use crate::support::Lake;

#[test]
fn rows_of_csv_are_read_with_the_types_of_the_mended_contract() {
    let table = |columns: &str, check: &str| {
        format!(
            "-- One row per record.\nCREATE TABLE bronze.t (id STRING NOT NULL, {columns}, CONSTRAINT c CHECK ({check})) TBLPROPERTIES ('lake.source' = 'folder:t');"
        )
    };
    let cases = [
        ("n BIGINT", "n BIGINT", "7", json!(7)),
        ("n BIGINT", "n STRING", "007", json!("007")),
        ("n BIGINT", "n STRING", "1e3", json!("1e3")),
        ("n STRING", "n BIGINT", "+12", json!(12)),
        ("n STRING", "n DOUBLE", ".5", json!(0.5)),
        ("n BOOLEAN", "n STRING", "True", json!("True")),
        ("n STRING", "n BOOLEAN", "T", json!(true)),
        ("n STRING", "n JSON", "\"{\"\"a\"\": 1}\"", json!("{\"a\": 1}")),
        ("n JSON", "n STRING", "\" [1]\"", json!(" [1]")),
        ("m BIGINT", "m BIGINT, n BIGINT", "12", json!(12)),
        ("m BIGINT", "m BIGINT, n DATE", "\"\"", Value::Null),
    ];
    for (before, after, text, expected) in cases {
        let lake = Lake::with(&[("lake/bronze/t.sql", &table(before, "id <> 'bad'"))]);
        lake.land("t/a.csv", format!("id,n,m\nbad,{text},1\n").as_bytes());
        lake.ok(&["run", "bronze"]);
        assert_eq!(lake.refused(), "check_failed@0", "{before}");
        lake.file("lake/bronze/t.sql", &table(after, "id <> ''"));
        lake.ok(REPLAY);
        let rows = lake.rows("SELECT n FROM bronze.t");
        assert_eq!(rows, [json!({"n": expected})], "{before} to {after}: {text}");
        assert_eq!(lake.refused(), "", "{before} to {after}: {text}");
    }
}

#[test]
fn what_stays_says_why_it_stays_now() {
    let table = |checks: &str| {
        format!(
            "-- One row per record.\nCREATE TABLE bronze.t (id STRING NOT NULL, n BIGINT, {checks}) TBLPROPERTIES ('lake.source' = 'folder:t');"
        )
    };
    let lake = Lake::with(&[("lake/bronze/t.sql", &table("CONSTRAINT old CHECK (id <> 'bad')"))]);
    let rows = "{\"id\":\"bad\",\"n\":1}\n{\"id\":\"bad\",\"n\":9}\nno json\n";
    lake.land("t/a.ndjson", rows.as_bytes());
    lake.ok(&["run", "bronze"]);
    let why = "SELECT position, error_class, error_message, raw, first_seen_at FROM bronze.quarantine ORDER BY position";
    let before = lake.rows(why);
    assert!(before[0]["error_message"].as_str().unwrap().contains("old"), "{before:?}");
    lake.file("lake/bronze/t.sql", &table("CONSTRAINT fresh CHECK (n > 5)"));
    says(&lake.ok(REPLAY), "bronze.t", "1 records came in, 2 stayed");
    let after = lake.rows(why);
    assert!(after[0]["error_message"].as_str().unwrap().contains("fresh"), "{after:?}");
    for column in ["position", "raw", "first_seen_at"] {
        assert_eq!(after[0][column], before[0][column]);
    }
    assert_eq!(after[1], before[2], "what is no JSON is none still");
    let version = || lake.rows("SELECT * FROM bronze.quarantine");
    let (log, held) = (versions(&lake), version());
    says(&lake.ok(REPLAY), "bronze.t", "0 records came in, 2 stayed");
    assert_eq!((versions(&lake), version()), (log, held), "nothing is new");
    // None comes in, and the reason is another one.
    lake.file("lake/bronze/t.sql", &table("CONSTRAINT third CHECK (n > 7)"));
    says(&lake.ok(REPLAY), "bronze.t", "0 records came in, 2 stayed");
    assert!(lake.rows(why)[0]["error_message"].as_str().unwrap().contains("third"));
}
