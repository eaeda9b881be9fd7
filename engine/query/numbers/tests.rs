//! Whole numbers, decimals and doubles that meet.

use std::sync::Arc;

use datafusion::arrow::array::{Array, Decimal128Array, Float64Array, Int64Array, RecordBatch};
use datafusion::datasource::MemTable;

use crate::contract::TableName;
use crate::query::testing::cells;
use crate::query::{Limits, Query};

/// Two neighbours beyond the doubles, one within, decimals of all digits, and doubles.
fn numbers() -> Query {
    let decimal = |values: Vec<i128>, precision, scale| {
        Decimal128Array::from(values).with_precision_and_scale(precision, scale).unwrap()
    };
    let most = 10_i128.pow(38) - 1;
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3])) as Arc<dyn Array>),
        ("n", Arc::new(Int64Array::from(vec![5, 9_007_199_254_740_993, 9_007_199_254_740_992]))),
        ("f", Arc::new(Float64Array::from(vec![5.0, 9_007_199_254_740_992.0, 0.1]))),
        ("m", Arc::new(decimal(vec![123_456_789_012_345_679, 50, 100], 18, 2))),
        ("w", Arc::new(decimal(vec![most, 0, 1], 38, 0))),
    ])
    .unwrap();
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
    let query = Query::new(&Limits::planning(chrono_tz::UTC)).unwrap();
    query.register(&TableName::new("silver", "t"), Arc::new(table)).unwrap();
    query
}

#[track_caller]
fn asked(sql: &str) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async { cells(numbers().collect(sql).await) })
}

#[track_caller]
fn gives(sql: &str, expected: &str) {
    assert_eq!(asked(sql).as_deref(), Ok(expected), "{sql}");
}

#[track_caller]
fn rounds(sql: &str) {
    let error = asked(sql).expect_err(sql);
    assert!(error.contains("9007199254740992, where doubles are rounded"), "{sql}: {error}");
    assert!(error.contains("hint: ") && !error.contains("9007199254740993"), "{sql}: {error}");
}

const FROM: &str = "FROM silver.t ORDER BY id";

#[test]
fn decimals_of_literals_are_compared_with_all_their_digits() {
    gives("SELECT id FROM silver.t WHERE m = 1234567890123456.79", "1");
    gives("SELECT id FROM silver.t WHERE m > 0.49 AND m < 0.501", "2");
    gives("SELECT id FROM silver.t WHERE w > 0.5 ORDER BY id", "1, 3");
    gives("SELECT id FROM silver.t WHERE w BETWEEN 0.5 AND 1.5", "3");
    gives("SELECT id FROM silver.t WHERE w IN (0.0, 1.000) ORDER BY id", "2, 3");
    gives("SELECT id FROM silver.t WHERE n = 9007199254740992.0", "3");
    gives("SELECT id FROM silver.t WHERE n > 5.5 ORDER BY id", "2, 3");
    gives("SELECT 9007199254740993 = 9007199254740992.0", "false");
    gives("SELECT 1 = 1.000, 1.5 = 1.50, 2 > 1.999", "true true true");
}

#[test]
fn a_double_meets_a_decimal_of_a_literal_as_a_double() {
    gives(&format!("SELECT f * 0.5 {FROM}"), "2.5, 4503599627370496.0, 0.05");
    gives("SELECT id FROM silver.t WHERE f = 0.1", "3");
    gives("SELECT id FROM silver.t WHERE f IN (0.1, 7)", "3");
    gives("SELECT id FROM silver.t WHERE f >= 0.01 AND f <= 16 ORDER BY id", "1, 3");
    gives(&format!("SELECT greatest(0.3, f) {FROM}"), "5.0, 9007199254740992.0, 0.3");
    gives(&format!("SELECT coalesce(nullif(f, 5), 0.7) {FROM}"), "0.7, 9007199254740992.0, 0.1");
    gives(
        &format!("SELECT CASE WHEN f > 1 THEN f ELSE 0.1 END = 0.1 {FROM}"),
        "false, false, true",
    );
    gives("SELECT f FROM silver.t WHERE id = 3 UNION ALL SELECT 0.1", "0.1, 0.1");
    gives("SELECT count(*) FROM silver.t a JOIN (SELECT 0.1 AS x) b ON a.f = b.x", "1");
    gives("SELECT power(1.5, 2), sqrt(2.25), round(2.567, 1), floor(2.5)", "2.25 1.5 2.6 2.0");
    gives("SELECT CAST(0.1 AS DOUBLE) + CAST(0.2 AS DOUBLE)", "0.30000000000000004");
}

#[test]
fn quotients_and_averages_of_literals_are_doubles() {
    gives(
        "SELECT 1 / 3.0, 1.0 / 3, 2.0 / 3.0",
        "0.3333333333333333 0.3333333333333333 0.6666666666666666",
    );
    gives("SELECT 100.0 * n / 3 FROM silver.t WHERE id = 1", "166.66666666666666");
    gives("SELECT avg(CASE WHEN id = 1 THEN 1.0 ELSE 0 END) FROM silver.t", "0.3333333333333333");
    gives(
        "SELECT sum(CASE WHEN id = 1 THEN 1.0 ELSE 0 END) / count(*) FROM silver.t",
        "0.3333333333333333",
    );
    gives("SELECT avg(x) FROM (VALUES (1.0), (0.0), (0.0)) AS v(x)", "0.3333333333333333");
    gives("SELECT x / 3 FROM (SELECT 1.0 AS x)", "0.3333333333333333");
    // Decimals of a table stay decimals.
    gives(
        "SELECT m / 2.0, m * 1.5 FROM silver.t WHERE id = 1",
        "617283945061728.395000 1851851835185185.185",
    );
    gives("SELECT 2.0 / m FROM silver.t WHERE id = 2", "4.000000");
    gives("SELECT n * 1.5 FROM silver.t WHERE id = 2", "13510798882111489.5");
}

#[test]
fn a_whole_number_beyond_the_doubles_is_not_rounded_to_meet_one() {
    for sql in [
        "SELECT n = f FROM silver.t",
        "SELECT count(*) FROM silver.t WHERE n > f",
        "SELECT count(*) FROM silver.t WHERE n IN (f, 3)",
        "SELECT count(*) FROM silver.t WHERE f BETWEEN n AND n",
        "SELECT count(*) FROM silver.t a JOIN silver.t b ON a.n = b.f",
        "SELECT count(*) FROM silver.t WHERE n IN (SELECT f FROM silver.t)",
        "SELECT count(*) FROM silver.t WHERE f NOT IN (SELECT n FROM silver.t)",
        "SELECT CASE n WHEN f THEN 1 END FROM silver.t",
        "SELECT CASE WHEN id = 2 THEN n ELSE f END FROM silver.t",
        "SELECT greatest(n, f) FROM silver.t",
        "SELECT coalesce(n, f) FROM silver.t",
        "SELECT nullif(n, f) FROM silver.t",
        "SELECT n FROM silver.t UNION ALL SELECT f FROM silver.t",
    ] {
        rounds(sql);
    }
}

#[test]
fn whole_numbers_that_are_doubles_meet_them() {
    gives("SELECT id FROM silver.t WHERE n = f AND n < 100", "1");
    gives("SELECT count(*) FROM silver.t WHERE id = f OR id < f", "2");
    gives("SELECT count(*) FROM silver.t a JOIN silver.t b ON a.id = b.f", "0");
    gives("SELECT id FROM silver.t WHERE n = 9007199254740992e0", "3");
    gives("SELECT id FROM silver.t WHERE n > 1e10 ORDER BY id", "2, 3");
    gives("SELECT id FROM silver.t WHERE n < 1e300 AND n > 5.5e0 ORDER BY id", "2, 3");
    gives("SELECT CAST(n AS DOUBLE) = f FROM silver.t WHERE id = 2", "true");
    gives("SELECT n + f FROM silver.t WHERE id = 1", "10.0");
    gives("SELECT greatest(id, f) FROM silver.t WHERE id = 1", "5.0");
}

#[test]
fn shifts_keep_all_bits() {
    gives(
        "SELECT 1 << 62, -8 >> 1, 5 >> 63, -1 << 63",
        "4611686018427387904 -4 0 -9223372036854775808",
    );
    for sql in ["1 << 63", "1 << 64", "1 << -1", "5 >> 64", "5 >> -1", "n << 60"] {
        let error = asked(&format!("SELECT {sql} FROM silver.t")).expect_err(sql);
        assert!(error.contains("leaves the range of BIGINT"), "{sql}: {error}");
    }
}

#[test]
fn sums_of_lists_and_averages_are_exact() {
    gives("SELECT array_sum(make_array(9007199254740993, 1))", "9007199254740994");
    gives("SELECT array_sum(make_array(1, NULL, 3)), array_sum(make_array(0.5e0, 1))", "4 1.5");
    assert!(asked("SELECT array_sum(make_array(9223372036854775807, 1))").is_err());
    gives("SELECT avg(n) FROM silver.t WHERE id > 1", "9007199254740992.0");
    gives("SELECT avg(id), avg(DISTINCT id) FILTER (WHERE id > 1) FROM silver.t", "2.0 2.5");
    gives(
        "SELECT avg(id) OVER (ORDER BY id ROWS 1 PRECEDING) FROM silver.t ORDER BY id",
        "1.0, 1.5, 2.5",
    );
    gives(
        "SELECT id % 2, avg(id) AS a FROM silver.t GROUP BY id % 2 HAVING avg(id) < 3 ORDER BY 1",
        "0 2.0, 1 2.0",
    );
    gives(
        "SELECT avg(x) FROM (VALUES (9223372036854775807), (9223372036854775805)) AS v(x)",
        "9.223372036854776e18",
    );
    gives("SELECT avg(x) FROM (VALUES (1), (2), (2)) AS v(x)", "1.6666666666666667");
}

#[test]
fn nested_choices_take_no_time() {
    for (function, inside) in [
        ("coalesce(", ", 1)"),
        ("nvl(", ", n)"),
        ("ifnull(abs(", "), 1)"),
        ("coalesce(", ", n / 3)"),
    ] {
        let n = if inside.contains('/') { 8 } else { 16 };
        let sql = format!(
            "SELECT {}n{} FROM silver.t WHERE id = 1",
            function.repeat(n),
            inside.repeat(n)
        );
        gives(&sql, "5");
    }
    let nested =
        format!("SELECT {}n{} FROM silver.t", "coalesce(".repeat(20), ", n / 3)".repeat(20));
    assert!(asked(&nested).unwrap_err().contains("nested in itself more than"));
    let nested = format!(
        "SELECT {}n > 3 / n{} FROM silver.t WHERE id = 1",
        "(n > 0 AND 1 / n = 0 AND ".repeat(16),
        ")".repeat(16)
    );
    gives(&nested, "true");
}

#[test]
fn values_with_a_double_are_doubles() {
    let third = "CAST(1 AS DOUBLE) / 3";
    gives(
        &format!("SELECT * FROM (VALUES ({third}), (1.5), (NULL), (2)) AS v(x)"),
        "0.3333333333333333, 1.5, NULL, 2.0",
    );
    gives("SELECT * FROM (VALUES (1e300), (0.5)) AS v(x)", "1e300, 0.5");
    gives("SELECT arrow_typeof(x) FROM (VALUES (1.5), (2.25)) AS v(x) LIMIT 1", "Decimal128(3, 2)");
}

#[test]
fn a_decimal_that_meets_a_double_is_the_nearest_one() {
    gives("SELECT id FROM silver.t WHERE m = 0.5e0", "2");
    gives("SELECT id FROM silver.t WHERE m < 1e300 AND w < 1e37 ORDER BY id", "2, 3");
    gives("SELECT id FROM silver.t WHERE w > 1e37", "1");
    gives("SELECT id FROM silver.t WHERE m BETWEEN f / 10 AND 1e20 AND id < 3", "1");
    gives(
        "SELECT CAST(0.10 AS DECIMAL(4, 2)) = 0.1e0, CAST(0.1 AS DECIMAL(4, 2)) < 0.3e0",
        "true true",
    );
    gives("SELECT a.id, b.id FROM silver.t a JOIN silver.t b ON a.m * 10 = b.f", "2 1");
    gives("SELECT id FROM silver.t WHERE m IN (1e0, 1e300)", "3");
    // The control: decimals among themselves keep all their digits.
    gives("SELECT id FROM silver.t WHERE m = CAST('1234567890123456.79' AS DECIMAL(18, 2))", "1");
    gives("SELECT id FROM silver.t WHERE m = CAST('1234567890123456.78' AS DECIMAL(18, 2))", "");
}
