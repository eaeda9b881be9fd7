//! Doubles in models: what is computed is stored, in every order of rows, with statistics that no
//! reader is misled by; and what a number of a record would make stays within memory.

use std::fs;

use serde_json::Value;

use crate::support::Lake;

const BRONZE: &str = "-- One row a record.
CREATE TABLE bronze.t (id STRING NOT NULL, x DOUBLE, n BIGINT, d STRING)
TBLPROPERTIES ('lake.source' = 'folder:t');
";

/// A lake with one model, of these columns and this query.
fn lake(columns: &str, select: &str) -> Lake {
    Lake::with(&[
        ("lake/bronze/t.sql", BRONZE),
        ("lake/silver/m.sql", &format!("-- One row a key.\nCREATE TABLE silver.m ({columns});\n")),
        ("sql/silver/m.sql", select),
    ])
}

fn land(lake: &Lake, file: &str, records: &[String]) {
    lake.land(&format!("t/{file}.ndjson"), (records.join("\n") + "\n").as_bytes());
}

fn csv(lake: &Lake, sql: &str) -> String {
    let rows = lake.ok(&["sql", "--output", "csv", sql]).stdout;
    rows.lines().skip(1).collect::<Vec<_>>().join(" ")
}

/// The statistics of the files of `silver.m`.
fn statistics(lake: &Lake) -> Vec<Value> {
    let log = fs::read_dir(lake.root().join("silver/m/_delta_log")).unwrap();
    let texts = log.map(|file| fs::read_to_string(file.unwrap().path()).unwrap_or_default());
    let lines: Vec<String> =
        texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let adds = lines.iter().filter_map(|line| {
        let action: Value = serde_json::from_str(line).ok()?;
        serde_json::from_str(action["add"]["stats"].as_str()?).ok()
    });
    adds.collect()
}

#[test]
fn a_nan_of_a_model_is_stored_as_one_and_no_statistics_hide_it() {
    let lake = lake(
        "id STRING NOT NULL, x DOUBLE, y DOUBLE, s STRUCT<x: DOUBLE, y: DOUBLE>",
        "SELECT id, CASE id WHEN '2' THEN CAST('NaN' AS DOUBLE) ELSE x END AS x, x AS y, \
         named_struct('x', CASE id WHEN '2' THEN x / (x - x) - x / (x - x) ELSE x END, 'y', x) AS s FROM bronze.t",
    );
    let records: Vec<String> = (1..=3)
        .map(|n| format!(r#"{{"id":"{n}","x":{n}.0}}"#))
        .chain([r#"{"id":"4"}"#.into()])
        .collect();
    land(&lake, "a", &records);
    lake.ok(&["run", "all"]);
    let of = |condition: &str| {
        csv(&lake, &format!("SELECT id FROM silver.m WHERE {condition} ORDER BY id"))
    };
    assert_eq!(csv(&lake, "SELECT count(x), count(s['x']), count(y) FROM silver.m"), "3,3,3");
    assert_eq!(of("x > 3.5e0"), "2", "a NaN is greater than all numbers, as in other engines");
    assert_eq!(of("x = CAST('NaN' AS DOUBLE)"), "2");
    assert_eq!(of("s['x'] > 3.5e0"), "2");
    assert_eq!((of("x IS NULL"), of("x < 3.5e0")), ("4".to_owned(), "1 3".to_owned()));
    assert_eq!(csv(&lake, "SELECT max(y), min(y) FROM silver.m"), "3.0,1.0");
    let statistics = statistics(&lake);
    assert!(!statistics.is_empty());
    for file in statistics {
        for bound in ["minValues", "maxValues"] {
            let of = &file[bound];
            assert!(of["x"].is_null() && of["s"]["x"].is_null(), "{file}");
            assert!(of["y"].is_number() && of["s"]["y"].is_number(), "{file}");
        }
    }
    // The control: once the NaN is gone, the column is as all others.
    lake.file(
        "sql/silver/m.sql",
        "SELECT id, x, x AS y, named_struct('x', x, 'y', x) AS s FROM bronze.t",
    );
    lake.ok(&["run", "all"]);
    assert_eq!(of("x > 2.5e0"), "3");
}

#[test]
fn two_deliveries_of_the_same_records_have_the_same_sums() {
    let select = "SELECT id, sum(x) AS s, avg(x) AS a, stddev(x) AS v, corr(x, n) AS c FROM \
                  (SELECT 'all' AS id, x, n FROM bronze.t) GROUP BY id";
    let columns = "id STRING NOT NULL, s DOUBLE, a DOUBLE, v DOUBLE, c DOUBLE";
    let record = |n: i32| {
        let x = f64::from(n * 7919 % 10_007 - 5000) * 10_f64.powi(n % 13 - 5);
        format!(r#"{{"id":"{n}","x":{x:?},"n":{n}}}"#)
    };
    let records: Vec<String> = (0..3000).map(record).collect();
    let (one, five) = (lake(columns, select), lake(columns, select));
    land(&one, "a", &records);
    for part in 0..5 {
        let records: Vec<String> = records.iter().rev().skip(part).step_by(5).cloned().collect();
        land(&five, &format!("p{part}"), &records);
    }
    let found: Vec<String> = [&one, &five]
        .iter()
        .map(|lake| {
            lake.ok(&["run", "all"]);
            csv(lake, "SELECT s, a, v, c FROM silver.m")
        })
        .collect();
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0].split(',').count(), 4, "{}", found[0]);
    // The control: sums that need no care.
    assert_eq!(csv(&one, "SELECT sum(x), avg(x) FROM (VALUES (1.5e0), (2.5e0)) v(x)"), "4.0,2.0");
}

#[test]
fn a_number_of_a_record_that_asks_for_too_much_ends_the_model_and_not_the_process() {
    let mut lake = lake(
        "id STRING NOT NULL, n BIGINT",
        "SELECT id, CAST(array_length(generate_series(1, n)) AS BIGINT) AS n FROM bronze.t",
    );
    lake.set("LAKE_QUERY_MEMORY", "256MiB");
    land(&lake, "a", &[r#"{"id":"a","n":3}"#.into(), r#"{"id":"b","n":1000000}"#.into()]);
    lake.ok(&["run", "all"]);
    assert_eq!(csv(&lake, "SELECT n FROM silver.m ORDER BY id"), "3 1000000");
    land(&lake, "b", &[r#"{"id":"c","n":400000000}"#.into()]);
    lake.run(&["run", "all"]).says(
        1,
        &["sql/silver/m.sql", "generate_series makes nothing longer than 16777216", "hint: "],
    );
    let many: Vec<String> =
        (0..50).map(|n| format!(r#"{{"id":"m{n}","n":{}}}"#, 9_000_000)).collect();
    lake.file("sql/silver/m.sql", "SELECT id, CAST(array_length(generate_series(1, n)) AS BIGINT) AS n FROM bronze.t WHERE id <> 'c'");
    land(&lake, "c", &many);
    lake.run(&["run", "all"]).says(1, &["MiB of the rows", "query.memory"]);
}

#[test]
fn a_decimal_is_the_double_that_is_nearest_to_it() {
    let lake = lake(
        "id STRING NOT NULL, x DOUBLE, y DOUBLE",
        "SELECT id, CAST(d AS DOUBLE) AS x, d * 1e0 AS y FROM \
         (SELECT id, CAST(d AS DECIMAL(20, 2)) AS d FROM bronze.t)",
    );
    let record = |id: &str, d: &str| format!(r#"{{"id":"{id}","d":"{d}"}}"#);
    // Rounded to units first, these are neighbours of the right doubles.
    land(
        &lake,
        "a",
        &[
            record("a", "123456789012345678.01"),
            record("b", "-90071992547409.93"),
            record("c", "0.10"),
        ],
    );
    lake.ok(&["run", "all"]);
    let expected = [123_456_789_012_345_680.0, -90_071_992_547_409.94, 0.1];
    let rows = lake.rows("SELECT x, y FROM silver.m ORDER BY id");
    for (row, expected) in rows.iter().zip(expected) {
        for column in ["x", "y"] {
            assert_eq!(row[column].as_f64().unwrap().to_bits(), f64::to_bits(expected), "{row}");
        }
    }
    assert_eq!(
        csv(&lake, "SELECT CAST(1234567890123456.789 AS DOUBLE) = 1234567890123456.789e0"),
        "true"
    );
}
