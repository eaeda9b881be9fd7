//! No value changes in silence on its way in, and one that a check cannot judge costs only itself.

use serde_json::{Value, json};

use crate::support::Lake;

/// A lake of one table of bronze.
fn lake(columns: &str, properties: &str) -> Lake {
    let contract = format!(
        "-- One row per record.\nCREATE TABLE bronze.t (\n  {columns}\n)\nTBLPROPERTIES ('lake.source' = 'folder:t'{properties})"
    );
    Lake::with(&[("lake/bronze/t.sql", &contract)])
}

/// The ids in the table, and the ids in quarantine with their classes.
#[track_caller]
fn sorted(lake: &Lake) -> (Vec<String>, Vec<(String, String)>) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let taken = lake.rows("SELECT id FROM bronze.t ORDER BY id");
    let rejected =
        lake.rows("SELECT raw, error_class FROM bronze.quarantine ORDER BY source, position");
    let id = |row: &Value| {
        let raw = hex::decode(row["raw"].as_str().unwrap()).unwrap();
        text(&serde_json::from_slice::<Value>(&raw).unwrap()["id"])
    };
    (
        taken.iter().map(|row| text(&row["id"])).collect(),
        rejected.iter().map(|row| (id(row), text(&row["error_class"]))).collect(),
    )
}

#[test]
fn a_record_for_which_a_check_cannot_be_computed_costs_only_itself() {
    let checks = "CONSTRAINT unit_price CHECK (total / items > 0), CONSTRAINT is_year CHECK (CAST(year AS INT) > 1900)";
    let lake = lake(&format!("id STRING, total BIGINT, items BIGINT, year STRING, {checks}"), "");
    let lines = [
        r#"{"id":"1","total":10,"items":2,"year":"2026"}"#,
        r#"{"id":"2","total":10,"items":0,"year":"2026"}"#,
        r#"{"id":"3","total":9,"items":3,"year":"MMXXVI"}"#,
        r#"{"id":"4","total":-9,"items":3,"year":"2026"}"#,
        r#"{"id":"5","total":9,"items":3}"#,
    ];
    lake.land("t/a.ndjson", (lines.join("\n") + "\n").as_bytes());
    for _ in 0..2 {
        lake.ok(&["run", "bronze"]);
        let (taken, rejected) = sorted(&lake);
        assert_eq!(taken, ["1", "5"]);
        let expected = ["2", "3", "4"].map(|id| (id.to_owned(), "check_failed".to_owned()));
        assert_eq!(rejected, expected);
    }
    lake.land("t/b.ndjson", b"{\"id\":\"6\",\"total\":9,\"items\":3}\n");
    lake.ok(&["run", "bronze"]);
    assert_eq!(sorted(&lake).0, ["1", "5", "6"]);
}

#[test]
fn a_model_whose_check_cannot_be_computed_fails_and_says_no_value() {
    let lake = lake("id STRING, country STRING", "");
    lake.file(
        "lake/gold/g.sql",
        "-- One row per record.\nCREATE TABLE gold.g (id STRING, country STRING, CONSTRAINT is_code CHECK (CAST(country AS INT) > 0))",
    );
    lake.file("sql/gold/g.sql", "SELECT id, country FROM bronze.t");
    lake.land("t/a.ndjson", b"{\"id\":\"1\",\"country\":\"7\"}\n");
    lake.ok(&["run", "all"]);
    lake.land("t/b.ndjson", b"{\"id\":\"2\",\"country\":\"alice@example.com\"}\n");
    let output = lake.run(&["run", "all"]);
    output.says(1, &["gold.g: check `is_code` cannot be computed for 1 rows", "hint:"]);
    assert!(!output.stderr.contains("alice"), "{}", output.stderr);
    assert_eq!(lake.number("SELECT count(*) AS n FROM gold.g"), 1);
}

/// What `lake status` says of the health of the table.
#[track_caller]
fn health(lake: &Lake) -> Value {
    let rows: Vec<Value> =
        serde_json::from_str(&lake.ok(&["status", "--output", "json"]).stdout).unwrap();
    rows.iter().find(|row| row["table_name"] == "bronze.t").unwrap()["health"].clone()
}

#[test]
fn a_tolerance_of_a_source_never_stops_it_and_status_says_what_is_beyond() {
    for (action, in_table, in_quarantine) in
        [("quarantine", 20, 3), ("drop", 20, 0), ("warn", 23, 0)]
    {
        let lake = lake(
            "id STRING, n BIGINT, CONSTRAINT positive CHECK (n > 0)",
            &format!(", 'lake.else.positive' = '{action} at most 10%'"),
        );
        let mut lines = String::new();
        for id in 0..19 {
            lines += &format!("{{\"id\":\"{id}\",\"n\":1}}\n");
        }
        lake.land("t/a.ndjson", lines.as_bytes());
        lake.ok(&["run", "bronze"]);
        assert_eq!(health(&lake), "healthy");
        lake.land("t/b.ndjson", b"{\"id\":\"bad\",\"n\":-1}\n");
        lake.ok(&["run", "bronze"]);
        assert_eq!(health(&lake), "healthy", "1 of 20, whatever the batches");
        lake.land("t/c.ndjson", b"{\"id\":\"bad2\",\"n\":-1}\n{\"id\":\"bad3\",\"n\":-1}\n");
        lake.land("t/d.ndjson", b"{\"id\":\"good\",\"n\":1}\n");
        lake.ok(&["run", "bronze"]);
        let expected = "unhealthy: check `positive` is broken by 3 of 23 rows, more than 10%";
        assert_eq!(health(&lake), expected);
        assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.t"), in_table, "{action}");
        assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.quarantine"), in_quarantine);
    }
}

#[test]
fn a_tolerance_of_a_model_still_judges_its_whole_result() {
    let lake = lake("id STRING, n BIGINT", "");
    lake.file(
        "lake/gold/g.sql",
        "-- One row per record.\nCREATE TABLE gold.g (id STRING, n BIGINT, CONSTRAINT positive CHECK (n > 0)) TBLPROPERTIES ('lake.else.positive' = 'drop at most 40%')",
    );
    lake.file("sql/gold/g.sql", "SELECT id, n FROM bronze.t");
    lake.land(
        "t/a.ndjson",
        b"{\"id\":\"1\",\"n\":1}\n{\"id\":\"2\",\"n\":1}\n{\"id\":\"3\",\"n\":-1}\n",
    );
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM gold.g"), 2);
    lake.land("t/b.ndjson", b"{\"id\":\"4\",\"n\":-1}\n");
    lake.run(&["run", "all"]).says(1, &["check `positive` is broken by 2 of 4 rows"]);
}

#[test]
fn integers_written_as_fractions_are_taken_only_where_they_are_surely_exact() {
    let lake = lake("id STRING, n BIGINT", "");
    let lines = [
        r#"{"id":"a","n":9007199254740993.0}"#,
        r#"{"id":"b","n":9007199254740991.5}"#,
        r#"{"id":"c","n":9007199254740991.0}"#,
        r#"{"id":"d","n":1e-400}"#,
        r#"{"id":"e","n":1.0e3}"#,
        r#"{"id":"f","n":9007199254740993}"#,
        r#"{"id":"g","n":4503599627370497.1}"#,
    ];
    lake.land("t/a.ndjson", (lines.join("\n") + "\n").as_bytes());
    lake.ok(&["run", "bronze"]);
    let expected = [
        json!({"id": "c", "n": 9_007_199_254_740_991_i64}),
        json!({"id": "e", "n": 1000}),
        json!({"id": "f", "n": 9_007_199_254_740_993_i64}),
    ];
    assert_eq!(lake.rows("SELECT id, n FROM bronze.t ORDER BY id"), expected);
    let rejected =
        [("a", "out_of_range"), ("b", "wrong_type"), ("d", "wrong_type"), ("g", "wrong_type")];
    assert_eq!(sorted(&lake).1, rejected.map(|(id, class)| (id.to_owned(), class.to_owned())));
}

#[test]
fn nan_and_infinity_are_out_of_range_from_json_and_csv() {
    let lake = lake("id STRING, x DOUBLE", "");
    let words = ["NaN", "Infinity", "-Infinity", "nan", "inf", "-inf", "+Inf"];
    let numbered = words.iter().enumerate();
    let lines: Vec<String> = numbered
        .clone()
        .map(|(i, word)| format!("{{\"id\":\"j{i}\",\"x\":\"{word}\"}}\n"))
        .collect();
    lake.land("t/a.ndjson", (lines.concat() + "{\"id\":\"good\",\"x\":1.5}\n").as_bytes());
    let rows: Vec<String> = numbered.map(|(i, word)| format!("c{i},{word}\n")).collect();
    lake.land("t/b.csv", format!("id,x\n{}also,-0.5\nnull,\n", rows.concat()).as_bytes());
    lake.ok(&["run", "bronze"]);
    let (taken, rejected) = sorted(&lake);
    assert_eq!(taken, ["also", "good", "null"]);
    assert_eq!(rejected.len(), 2 * words.len());
    assert!(rejected.iter().all(|(_, class)| class == "out_of_range"), "{rejected:?}");
}

#[test]
fn times_of_the_years_0001_to_9999_come_in_and_their_days_stay_there_in_every_zone() {
    let mut lake = lake("id STRING, at TIMESTAMP, day DATE", "");
    let lines = [
        r#"{"id":"first","at":"0001-01-01T00:00:00Z","day":"0001-01-01"}"#,
        r#"{"id":"last","at":"9999-12-31T23:59:59.999999Z","day":"9999-12-31"}"#,
        r#"{"id":"x","at":"0000-06-01T00:00:00Z"}"#,
        r#"{"id":"y","at":"+10000-01-01T00:00:00Z"}"#,
        r#"{"id":"z","day":"0000-12-31"}"#,
    ];
    lake.land("t/a.ndjson", (lines.join("\n") + "\n").as_bytes());
    lake.ok(&["run", "bronze"]);
    let (taken, rejected) = sorted(&lake);
    assert_eq!(taken, ["first", "last"]);
    assert_eq!(rejected, ["x", "y", "z"].map(|id| (id.to_owned(), "out_of_range".to_owned())));
    for zone in ["UTC", "Europe/Paris", "Pacific/Kiritimati", "Pacific/Niue"] {
        lake.set("LAKE_REPORTING_TZ", zone);
        let days = lake.rows(
            "SELECT id, at, CAST(reporting_date(at) AS VARCHAR) AS day FROM bronze.t ORDER BY id",
        );
        let first =
            json!({"id": "first", "at": "0001-01-01T00:00:00.000000Z", "day": "0001-01-01"});
        assert_eq!(days[0], first, "{zone}");

        assert_eq!(days[1]["day"], "9999-12-31", "{zone}");
    }
}

#[test]
fn names_in_another_case_are_the_fields_in_every_format() {
    let lake = lake("id STRING, n BIGINT, deep STRUCT<a BIGINT>", "");
    lake.land("t/a.ndjson", b"{\"ID\":\"a\",\"N\":1,\"Deep\":{\"A\":2}}\n");
    lake.land("t/b.csv", b"ID,N,Deep.A\nb,1,2\n");
    lake.land("t/c.ndjson", b"{\"ID\":\"x\",\"id\":\"c\",\"n\":1,\"deep\":{\"a\":2}}\n");
    lake.land("t/d.ndjson", b"{\"id\":\"d\",\"N\":1,\"n\":null}\n{\"Id\":\"e\",\"ID\":\"e\"}\n");
    lake.ok(&["run", "bronze"]);
    let rows =
        lake.rows("SELECT id, n, deep['a'] AS a, _rescued_data AS r FROM bronze.t ORDER BY id");
    let row = |id: &str, r: Value| json!({"id": id, "n": 1, "a": 2, "r": r});
    let expected = [
        row("a", Value::Null),
        row("b", Value::Null),
        row("c", "{\"ID\":\"x\"}".into()),
        json!({"id": "d", "n": null, "a": null, "r": "{\"N\":1}"}),
    ];
    assert_eq!(rows, expected);
    assert_eq!(lake.refused(), "duplicate_field@1");
}

#[test]
fn a_default_fills_a_missing_field_and_no_null_that_was_sent() {
    let lake = lake(
        "id STRING, n BIGINT DEFAULT 5, deep STRUCT<a BIGINT, b BIGINT>",
        ", 'lake.default.deep.a' = '6'",
    );
    lake.land(
        "t/a.ndjson",
        b"{\"id\":\"a\"}\n{\"id\":\"b\",\"n\":null,\"deep\":{\"a\":null}}\n{\"id\":\"c\",\"n\":7,\"deep\":{}}\n",
    );
    // A row of CSV cannot leave a column out.
    lake.land("t/b.csv", b"id,n,deep.b\nd,,1\ne,8,\n");
    lake.land("t/c.csv", b"id\nf\n");
    lake.ok(&["run", "bronze"]);
    let rows = lake.rows("SELECT id, n, deep['a'] AS a FROM bronze.t ORDER BY id");
    let row = |id: &str, n: Value, a: Value| json!({"id": id, "n": n, "a": a});
    let expected = [
        row("a", 5.into(), Value::Null),
        row("b", Value::Null, Value::Null),
        row("c", 7.into(), 6.into()),
        row("d", 5.into(), 6.into()),
        row("e", 8.into(), Value::Null),
        row("f", 5.into(), Value::Null),
    ];
    assert_eq!(rows, expected);
}
