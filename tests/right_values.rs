//! Values that `DataFusion` computes wrongly: spans of time, zeros and NaNs as keys, windows that move,
//! conditions of NULL, quotients. Each with its right value, and a neighbour that goes on working.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use datafusion::datasource::MemTable;
use engine::contract::TableName;
use engine::mistake::Mistake;
use engine::query::{Limits, Query, explain};

use crate::support::{Lake, block_on, rows_of};

/// `bronze.t`: texts, numbers and truths with a NULL in each; `bronze.x` with the doubles that equal
/// others: 0, -0, 1, a NaN, another one, NULL.
fn query() -> Query {
    let query = Query::new(&Limits::planning(chrono_tz::UTC)).unwrap();
    query.set("datafusion.execution.target_partitions", "4").unwrap();
    query.set("datafusion.execution.batch_size", "3").unwrap();
    let id: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
    let g: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("a"), Some("b"), None]));
    let n: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(4)]));
    let b: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]));
    register(&query, "t", vec![("id", id), ("g", g), ("n", n), ("b", b)]);
    let id: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5, 6]));
    let x = [Some(0.0), Some(-0.0), Some(1.0), Some(f64::NAN), Some(-f64::NAN), None];
    let y = [Some(1e16), Some(1.0), Some(1.0), Some(f64::INFINITY), Some(2.0), Some(4.0)];
    let x: ArrayRef = Arc::new(Float64Array::from(x.to_vec()));
    let y: ArrayRef = Arc::new(Float64Array::from(y.to_vec()));
    register(&query, "x", vec![("id", id), ("x", x), ("y", y)]);
    query
}

fn register(query: &Query, table: &str, columns: Vec<(&str, ArrayRef)>) {
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let parts = vec![vec![rows.slice(0, 2)], vec![rows.slice(2, rows.num_rows() - 2)]];
    let provider = MemTable::try_new(rows.schema(), parts).unwrap();
    query.register(&TableName::new("bronze", table), Arc::new(provider)).unwrap();
}

/// The rows of a query in their order, cells with commas between them; NULL is empty.
#[track_caller]
fn rows(sql: &str) -> Vec<String> {
    rows_of(&query(), sql)
}

#[track_caller]
fn one(expression: &str) -> String {
    rows(&format!("SELECT {expression}")).join(" ")
}

/// The mistake that a query is.
#[track_caller]
fn refused(sql: &str) -> Mistake {
    let query = query();
    let planned = block_on(async { query.plan(sql).await.map(drop) });
    explain("query", sql, &planned.expect_err(sql))
}

/// The difference of a time and the first moment of 2026.
fn since(time: &str) -> String {
    format!("(TIMESTAMP '{time}' - TIMESTAMP '2026-01-01')")
}

#[test]
fn a_difference_of_times_has_days_and_the_fields_of_its_last_day() {
    let span = since("2026-01-03 05:07:09.25");
    let fields = ["day", "hour", "minute", "second", "millisecond", "microsecond", "week", "year"];
    let values = fields.map(|field| one(&format!("extract({field} FROM {span})")));
    assert_eq!(values, ["2", "5", "7", "9", "9250", "9250000", "0", "0"]);
    let before = since("2025-12-29 18:52:50.75");
    let values = fields.map(|field| one(&format!("date_part('{field}', {before})")));
    assert_eq!(values, ["-2", "-5", "-7", "-9", "-9250", "-9250000", "0", "0"]);
    let far = since("9999-12-31 23:59:59.999999");
    assert_eq!(one(&format!("extract(second FROM {far})")), "59");
    assert_eq!(one(&format!("extract(day FROM {far})")), "2912442");
    assert_eq!(one("extract(hour FROM INTERVAL '49 hours 61 minutes')"), "50");
    assert_eq!(one("extract(millisecond FROM INTERVAL '100 hours 70.5 seconds')"), "10500");
    // The control: fields of a moment.
    assert_eq!(one("extract(microsecond FROM TIMESTAMP '2026-01-01 00:00:59.5')"), "59500000");
    assert_eq!(one("extract(hour FROM TIMESTAMP '2026-01-01 05:00:00')"), "5");
}

#[test]
fn the_seconds_of_a_difference_keep_their_fraction_and_are_never_lost() {
    let epoch = |time: &str| one(&format!("extract(epoch FROM {})", since(time)));
    assert_eq!(epoch("2026-01-01 00:00:05.500"), "5.5");
    assert_eq!(epoch("2025-12-31 23:59:54.5"), "-5.5");
    assert_eq!(epoch("2026-01-01 01:00:00.999"), "3600.999");
    assert_eq!(epoch("1950-01-01"), "-2398377600.0");
    assert_eq!(epoch("9999-12-31"), "251634988800.0");
    assert_eq!(one("extract(epoch FROM NULLIF(now() - now(), now() - now()))"), "");
    assert_eq!(one("extract(epoch FROM INTERVAL '15 minutes')"), "900.0");
    assert_eq!(one("extract(epoch FROM TIMESTAMP '1970-01-01 00:15:00')"), "900.0");
}

#[test]
fn intervals_are_compared_and_ordered_by_their_length() {
    for (left, op, right) in [
        ("26 hours", ">", "1 day"),
        ("24 hours", "=", "1 day"),
        ("30 days", "=", "1 month"),
        ("1 year", "<", "361 days"),
        ("-25 hours", "<", "-1 day"),
        ("2 days", ">", "1 day"),
    ] {
        assert_eq!(one(&format!("INTERVAL '{left}' {op} INTERVAL '{right}'")), "true", "{left}");
    }
    let of = |values: &[&str]| {
        let values: Vec<_> = values.iter().map(|v| format!("(INTERVAL '{v}')")).collect();
        format!("(VALUES {}) t(v)", values.join(", "))
    };
    let some = of(&["25 hours", "1 day", "2 days"]);
    assert_eq!(
        rows(&format!("SELECT extract(epoch FROM v) / 3600 FROM {some} ORDER BY v DESC")),
        ["48.0", "25.0", "24.0"]
    );
    let some = of(&["25 hours", "1 day"]);
    assert_eq!(
        rows(&format!(
            "SELECT max(v) = INTERVAL '25 hours', min(v) = INTERVAL '1 day' FROM {some}"
        )),
        ["true,true"]
    );
    let same = of(&["24 hours", "1 day"]);
    assert_eq!(rows(&format!("SELECT count(DISTINCT v) FROM {same}")), ["1"]);
    assert_eq!(rows(&format!("SELECT rank() OVER (ORDER BY v) FROM {same}")), ["1", "1"]);
    for sql in [
        format!("SELECT v, count(*) FROM {same} GROUP BY v"),
        format!("SELECT DISTINCT v FROM {same}"),
        format!("SELECT v FROM {same} UNION SELECT v FROM {same}"),
    ] {
        let mistake = refused(&sql);
        assert!(mistake.message.contains("an INTERVAL is a key"), "{mistake:?}");
        assert!(mistake.hint.unwrap().contains("extract(epoch"));
    }
    assert_eq!(
        rows(&format!("SELECT extract(epoch FROM v), count(*) FROM {same} GROUP BY 1")),
        ["86400.0,2"]
    );
}

#[test]
fn a_negative_distance_of_a_frame_is_refused() {
    let over = |frame: &str| {
        format!(
            "SELECT count(*) OVER (ORDER BY v RANGE BETWEEN {frame} PRECEDING AND CURRENT ROW) AS n \
             FROM (VALUES (TIMESTAMP '2026-01-01'), (TIMESTAMP '2026-02-01')) t(v) ORDER BY 1"
        )
    };
    for frame in ["INTERVAL '-1 month'", "INTERVAL '-1 day'", "INTERVAL '1 day -25 hours'"] {
        let mistake = refused(&over(frame));
        assert!(mistake.message.contains("negative"), "{mistake:?}");
    }
    refused(
        "SELECT count(*) OVER (ORDER BY id RANGE BETWEEN '-1' PRECEDING AND CURRENT ROW) FROM bronze.t",
    );
    assert_eq!(rows(&over("INTERVAL '1 month'")), ["1", "2"]);
    assert_eq!(rows(&over("INTERVAL '1 month -1 day'")), ["1", "1"]);
}

#[test]
fn the_zero_below_zero_is_zero_wherever_it_is_a_key() {
    let zeros = "(SELECT id, x FROM bronze.x WHERE id < 4) v";
    assert_eq!(
        rows(&format!(
            "SELECT id, rank() OVER (ORDER BY x) AS r, count(*) OVER (PARTITION BY x) AS c, \
             sum(1) OVER (ORDER BY x) AS s FROM {zeros} ORDER BY id"
        )),
        ["1,1,2,2", "2,1,2,2", "3,3,1,3"]
    );
    assert_eq!(rows(&format!("SELECT id FROM {zeros} ORDER BY x DESC, id")), ["3", "1", "2"]);
    assert_eq!(rows(&format!("SELECT id FROM {zeros} ORDER BY x, id DESC")), ["2", "1", "3"]);
    assert_eq!(rows(&format!("SELECT DISTINCT ON (x) id FROM {zeros} ORDER BY x, id")), ["1", "3"]);
    assert_eq!(
        rows(&format!("SELECT array_agg(id ORDER BY x, id DESC) FROM {zeros}")),
        ["[2, 1, 3]"]
    );
    assert_eq!(
        rows(&format!(
            "SELECT CASE x WHEN 0.0 THEN 'zero' ELSE 'other' END, x IN (3.0, 4.0, 5.0, 6.0, 0.0), \
             nullif(x, 0.0) IS NULL FROM {zeros} ORDER BY id"
        )),
        ["zero,true,true", "zero,true,true", "other,false,false"]
    );
    // The controls: a value that is passed on, and comparisons.
    assert_eq!(rows(&format!("SELECT x FROM {zeros} ORDER BY id")), ["0.0", "-0.0", "1.0"]);
    assert_eq!(
        rows(&format!("SELECT nullif(x, 1.0) FROM {zeros} ORDER BY id")),
        ["0.0", "-0.0", ""]
    );
    assert_eq!(rows(&format!("SELECT count(*) FROM {zeros} GROUP BY x ORDER BY 1")), ["1", "2"]);
}

#[test]
fn a_nan_is_the_same_whatever_computed_it() {
    let nans = "(VALUES (1, CAST('NaN' AS DOUBLE)), (2, CAST('-nan' AS DOUBLE)), \
                (3, CAST('Infinity' AS DOUBLE) - CAST('Infinity' AS DOUBLE)), (4, 1.0)) v(id, x)";
    assert_eq!(rows(&format!("SELECT count(*) FROM (SELECT DISTINCT x FROM {nans})")), ["2"]);
    assert_eq!(rows(&format!("SELECT count(DISTINCT x) FROM {nans}")), ["2"]);
    assert_eq!(rows(&format!("SELECT count(*) FROM {nans} GROUP BY x ORDER BY 1")), ["1", "3"]);
    assert_eq!(rows(&format!("SELECT min(x), max(x) FROM {nans}")), ["1.0,NaN"]);
    assert_eq!(rows(&format!("SELECT id FROM {nans} ORDER BY x, id")), ["4", "1", "2", "3"]);
    assert_eq!(rows(&format!("SELECT id FROM {nans} WHERE x < 5.0")), ["4"]);
    assert_eq!(
        rows(&format!("SELECT count(*) FROM {nans} JOIN (SELECT x AS y FROM {nans}) w ON x = y")),
        ["10"]
    );
    assert_eq!(
        rows(&format!("SELECT x FROM {nans} WHERE id < 4 INTERSECT SELECT -x FROM {nans}")),
        ["NaN"]
    );
    assert_eq!(one("sum(y - y) = CAST('NaN' AS DOUBLE) FROM bronze.x"), "true");
    assert_eq!(
        rows(
            "SELECT s, count(*) FROM (SELECT id, sum(y) - sum(y) AS s FROM bronze.x \
              WHERE id IN (4, 5) GROUP BY id) GROUP BY s ORDER BY 1"
        ),
        ["0.0,1", "NaN,1"]
    );
}

#[test]
fn a_window_that_moves_keeps_nothing_of_what_left_it() {
    let over = |function: &str| {
        rows(&format!(
            "SELECT {function} OVER (ORDER BY id ROWS 1 PRECEDING) AS v FROM bronze.x ORDER BY id"
        ))
    };
    assert_eq!(over("sum(y)"), ["1e16", "1e16", "2.0", "inf", "inf", "6.0"]);
    assert_eq!(over("avg(y)")[2..], ["1.0", "inf", "inf", "3.0"]);
    assert_eq!(over("var_pop(y)")[2], "0.0");
    assert_eq!(over("var_pop(y)")[5], "1.0");
    assert_eq!(over("stddev(y)")[5], "1.4142135623730951");
    assert_eq!(over("covar_pop(y, id)")[5], "0.5");
    assert_eq!(over("bool_or(y > 3.0)")[4..], ["true", "true"]);
    assert_eq!(over("string_agg(CAST(id AS STRING), '+')")[5], "5+6");
    // The controls: integers, and a window that grows.
    assert_eq!(over("sum(id)"), ["1", "3", "5", "7", "9", "11"]);
    assert_eq!(over("max(y)")[4..], ["inf", "4.0"]);
    assert_eq!(
        rows("SELECT sum(y) OVER (ORDER BY id) FROM bronze.x WHERE id > 1 AND id <> 4 ORDER BY id"),
        ["1.0", "2.0", "4.0", "8.0"]
    );
}

#[test]
fn an_aggregate_of_bits_over_a_window_that_moves_is_null_where_no_value_is_left() {
    let over = |function: &str, frame: &str| {
        rows(&format!(
            "SELECT {function} OVER (ORDER BY id ROWS BETWEEN {frame}) AS v FROM bronze.t ORDER BY id"
        ))
    };
    let here = "CURRENT ROW AND CURRENT ROW";
    for function in ["bit_xor", "bit_and", "bit_or", "sum"] {
        for distinct in ["", "DISTINCT "] {
            let call = format!("{function}({distinct}n)");
            assert_eq!(over(&call, here), ["1", "2", "", "4"], "{call}");
        }
    }
    let two = "1 PRECEDING AND CURRENT ROW";
    assert_eq!(over("bit_xor(n)", two), ["1", "3", "2", "4"]);
    assert_eq!(over("bit_or(n)", two), ["1", "3", "2", "4"]);
    assert_eq!(over("bit_and(n)", two), ["1", "0", "2", "4"]);
    assert_eq!(over("bit_xor(DISTINCT n % 2)", two), ["1", "1", "0", "0"]);
    assert_eq!(over("median(DISTINCT n)", two), ["1.0", "1.5", "2.0", "4.0"]);
    assert_eq!(over("bit_xor(n)", "UNBOUNDED PRECEDING AND CURRENT ROW"), ["1", "3", "3", "7"]);
}

#[test]
fn a_window_may_reach_beyond_all_rows() {
    let far = ["9223372036854775807", "9223372036854775808", "18446744073709551615"];
    for (unit, by) in ["ROWS", "GROUPS"].iter().flat_map(|unit| far.map(|by| (unit, by))) {
        let over = |function: &str, frame: &str| {
            rows(&format!(
                "SELECT {function} OVER (ORDER BY id {unit} BETWEEN {frame}) AS v FROM bronze.t ORDER BY id"
            ))
        };
        let behind = format!("1 PRECEDING AND {by} FOLLOWING");
        assert_eq!(over("count(*)", &behind), ["4", "4", "3", "2"], "{unit} {by}");
        assert_eq!(over("last_value(id)", &behind), ["4", "4", "4", "4"], "{unit} {by}");
        let before = format!("{by} PRECEDING AND 1 PRECEDING");
        assert_eq!(over("count(*)", &before), ["0", "1", "2", "3"], "{unit} {by}");
        let nothing = format!("{by} FOLLOWING AND {by} FOLLOWING");
        assert_eq!(over("count(*)", &nothing), ["0", "0", "0", "0"], "{unit} {by}");
        assert_eq!(over("sum(id)", &nothing), ["", "", "", ""], "{unit} {by}");
    }
}

#[test]
fn conditions_of_null_are_null_whatever_the_optimizer_knows_of_the_rest() {
    assert_eq!(rows("SELECT g ~ '.*', g !~ '.*' FROM bronze.t WHERE id = 4"), [","]);
    for pattern in ["'.*'", "'.' || '*'"] {
        for condition in [
            format!("NOT (g ~ {pattern})"),
            format!("g !~ {pattern}"),
            format!("NOT (g ~* {pattern})"),
            format!("NOT regexp_like(g, {pattern})"),
        ] {
            let none = rows(&format!("SELECT id FROM bronze.t WHERE {condition}"));
            assert!(none.is_empty(), "{condition}: {none:?}");
        }
        assert_eq!(
            rows(&format!("SELECT id FROM bronze.t WHERE g ~ {pattern} ORDER BY 1")),
            ["1", "2", "3"]
        );
    }
    for (condition, ids) in [
        ("NOT (n IN (1, 2) AND n IN (4))", "1 2 4"),
        ("NOT (n IN (1, 2) AND n NOT IN (1, 2, 3))", "1 2 4"),
        ("n NOT IN (1, 2) OR n NOT IN (3, 4)", "1 2 4"),
        ("NOT ((n = 1 OR n = 2) AND n IN (4, 5))", "1 2 4"),
        ("NOT ((n = 1 OR n = 2) AND (n = 3 OR n = 4))", "1 2 4"),
        ("NOT (n IN (1, 2) AND id > 0 AND n IN (4))", "1 2 4"),
        ("n IN (1, 2) AND n IN (2, 4)", "2"),
        ("NOT (n = 1 AND n = 2)", "1 2 4"),
    ] {
        let sql = format!("SELECT id FROM bronze.t WHERE {condition} ORDER BY 1");
        assert_eq!(rows(&sql).join(" "), ids, "{condition}");
    }
    assert_eq!(rows("SELECT n IN (1) AND n NOT IN (1) FROM bronze.t WHERE id = 3"), [""]);
}

#[test]
fn fields_of_a_struct_that_is_null_are_null() {
    let of = "FROM (SELECT nullif(s, t) AS s FROM (SELECT id, named_struct('a', id, 'b', n) AS s, \
              named_struct('a', 1, 'b', 1) AS t FROM bronze.t)) ORDER BY 1";
    assert_eq!(rows(&format!("SELECT s.a {of}")), ["2", "3", "4", ""]);
}

#[test]
fn a_truth_that_is_asked_for_twice_is_no_internal_error() {
    assert_eq!(
        rows(
            "SELECT sum(CASE WHEN b IS TRUE THEN 1 ELSE 0 END), \
              count(*) FILTER (WHERE b IS TRUE) FROM bronze.t"
        ),
        ["2,2"]
    );
    assert_eq!(
        rows(
            "SELECT (n > 1) IS TRUE AS t, count(*) FILTER (WHERE (n > 1) IS TRUE) AS c, \
              count(*) FILTER (WHERE (n > 1) IS NOT FALSE) AS d \
              FROM bronze.t GROUP BY (n > 1) IS TRUE ORDER BY 1"
        ),
        ["false,0,1", "true,2,2"]
    );
    assert_eq!(
        rows(
            "SELECT sum(CASE WHEN (n <> 1) IS FALSE THEN 1 ELSE 0 END) AS a, \
              sum(CASE WHEN (n <> 1) IS FALSE THEN id END) AS c FROM bronze.t"
        ),
        ["1,1"]
    );
}

#[test]
fn quotients_and_averages_of_decimals_are_rounded() {
    let decimal = |text: &str| format!("CAST('{text}' AS DECIMAL(10,2))");
    for (left, right, quotient) in [
        ("2.00", "3.00", "0.666667"),
        ("-2.00", "3.00", "-0.666667"),
        ("2.00", "-3.00", "-0.666667"),
        ("1.00", "3.00", "0.333333"),
        ("0.01", "2.00", "0.005000"),
        ("0.01", "20000.00", "0.000001"),
        ("0.01", "20000.01", "0.000000"),
        ("0.00", "3.00", "0.000000"),
        ("6.00", "3.00", "2.000000"),
    ] {
        assert_eq!(one(&format!("{} / {}", decimal(left), decimal(right))), quotient, "{left}");
    }
    let avg = |values: &[&str]| {
        let values: Vec<_> = values.iter().map(|v| format!("({})", decimal(v))).collect();
        rows(&format!("SELECT avg(x) FROM (VALUES {}) v(x)", values.join(", "))).join("")
    };
    assert_eq!(avg(&["0.01", "0.02", "0.02"]), "0.016667");
    assert_eq!(avg(&["-0.01", "-0.02", "-0.02"]), "-0.016667");
    assert_eq!(avg(&["0.01", "0.01", "0.02"]), "0.013333");
    assert_eq!(avg(&["1.00", "2.00"]), "1.500000");
    assert_eq!(
        one("avg(x) FROM (VALUES (CAST('1' AS DECIMAL(38,0))), (CAST('2' AS DECIMAL(38,0))), \
             (CAST('2' AS DECIMAL(38,0)))) v(x)"),
        "1.6667"
    );
    assert_eq!(one("CAST(CAST('2.345' AS DECIMAL(10,3)) AS DECIMAL(10,2))"), "2.35");
    assert_eq!(one("7 / 2"), "3");
    assert_eq!(one("-7 / 2"), "-3");
}

#[test]
fn a_named_query_that_draws_is_read_once() {
    let mistake =
        refused("WITH a AS (SELECT random() AS r) SELECT r FROM a UNION ALL SELECT r FROM a");
    assert!(mistake.message.contains("draws random values"), "{mistake:?}");
    refused(
        "WITH a AS (SELECT random() AS r), b AS (SELECT r FROM a) SELECT 1 FROM b JOIN b c ON true",
    );
    assert_eq!(rows("WITH a AS (SELECT random() AS r) SELECT r < 1 FROM a"), ["true"]);
    assert_eq!(
        rows(
            "WITH a AS (SELECT 1 AS r) SELECT count(DISTINCT r) FROM \
              (SELECT r FROM a UNION ALL SELECT r FROM a)"
        ),
        ["1"]
    );
}

#[test]
fn models_store_these_values() {
    let lake = Lake::with(&[
        (
            "lake/bronze/t.sql",
            "-- One row a record.\nCREATE TABLE bronze.t (id STRING, x DOUBLE, a TIMESTAMP, e TIMESTAMP)\n\
             TBLPROPERTIES ('lake.source' = 'folder:t');\n",
        ),
        (
            "lake/gold/w.sql",
            "-- One row a record.\nCREATE TABLE gold.w (id STRING NOT NULL, s DOUBLE, secs DOUBLE);\n",
        ),
        (
            "sql/gold/w.sql",
            "/*---\nabout = \"One row a record\"\nrefresh = \"full\"\n---*/\n\
             SELECT id, sum(x) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s, \
             extract(epoch FROM (e - a)) AS secs FROM bronze.t \
             QUALIFY row_number() OVER (PARTITION BY x ORDER BY id) = 1",
        ),
    ]);
    let lines = [
        r#"{"id":"1","x":1e16,"a":"2026-03-01T10:00:00Z","e":"2026-03-01T10:00:01.250Z"}"#,
        r#"{"id":"2","x":0.0,"a":"2026-03-01T10:00:00Z","e":"2026-03-01T10:00:07.250Z"}"#,
        r#"{"id":"3","x":-0.0,"a":"2026-03-01T10:00:00Z","e":"2026-03-01T10:00:00Z"}"#,
        r#"{"id":"4","x":1.0,"a":"2026-03-01T10:00:00Z","e":"2026-03-01T11:00:00.999Z"}"#,
    ];
    lake.land("t/a.ndjson", (lines.join("\n") + "\n").as_bytes());
    lake.ok(&["run", "all"]);
    let rows = lake.rows("SELECT id, s, secs FROM gold.w ORDER BY id");
    let rows: Vec<String> =
        rows.iter().map(|row| format!("{} {} {}", row["id"], row["s"], row["secs"])).collect();
    assert_eq!(rows, ["\"1\" 1e+16 1.25", "\"2\" 1e+16 7.25", "\"4\" 1.0 3600.999"]);
}

#[test]
fn a_field_of_a_struct_above_a_union_is_not_another_column() {
    let lake = Lake::with(&[(
        "lake/bronze/t.sql",
        "-- One row a record.\nCREATE TABLE bronze.t (a BIGINT, b BIGINT, st STRUCT<u BIGINT, v BIGINT>, \
         e BIGINT)\nTBLPROPERTIES ('lake.source' = 'folder:t');\n",
    )]);
    let lines = [
        r#"{"a":1,"b":10,"st":{"u":10000,"v":3},"e":7}"#,
        r#"{"a":2,"b":20,"st":{"u":20000,"v":4},"e":8}"#,
    ];
    lake.land("t/a.ndjson", (lines.join("\n") + "\n").as_bytes());
    lake.ok(&["run", "all"]);
    for (filter, wanted) in
        [("", (Some(60000), Some(60))), ("WHERE e > 7", (Some(50000), Some(50)))]
    {
        let union = format!("SELECT * FROM bronze.t UNION ALL SELECT * FROM bronze.t {filter}");
        let sql = format!("SELECT sum(st['u']) AS u, sum(b) AS b FROM ({union}) q");
        let rows = lake.rows(&sql);
        assert_eq!((rows[0]["u"].as_i64(), rows[0]["b"].as_i64()), wanted, "{filter}");
    }
}
