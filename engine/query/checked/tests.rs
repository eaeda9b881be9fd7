//! Numbers at the end of their range, in every place of a query.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::datasource::MemTable;

use crate::contract::TableName;
use crate::query::testing::cells;
use crate::query::{Limits, Query};

const MAX: i64 = i64::MAX;
const MIN: i64 = i64::MIN;

/// Orders: two partitions of some batches each, with the ends of each type.
fn orders() -> Query {
    let batch = |country: &[&str], total: &[Option<i64>], pieces: &[i32], big: &[Option<i128>]| {
        let big = Decimal128Array::from(big.to_vec()).with_precision_and_scale(38, 0).unwrap();
        let price: Vec<Option<i128>> = pieces.iter().map(|n| Some(i128::from(*n) * 100)).collect();
        let price = Decimal128Array::from(price).with_precision_and_scale(18, 2).unwrap();
        RecordBatch::try_from_iter_with_nullable([
            ("country", Arc::new(StringArray::from(country.to_vec())) as Arc<dyn Array>, false),
            ("total", Arc::new(Int64Array::from(total.to_vec())), true),
            ("pieces", Arc::new(Int32Array::from(pieces.to_vec())), true),
            ("big", Arc::new(big), true),
            ("price", Arc::new(price), true),
        ])
        .unwrap()
    };
    let most = 10_i128.pow(38) - 1;
    let first = batch(&["DE", "FR"], &[Some(MAX), Some(7)], &[1, 2], &[Some(most), Some(1)]);
    let second = batch(&["FR", "DE"], &[None, Some(MAX)], &[0, i32::MAX], &[None, Some(most)]);
    let third = batch(&["DE", "IT"], &[Some(-MAX), Some(MIN)], &[-1, 4], &[Some(-most), Some(5)]);
    let schema = first.schema();
    let table = MemTable::try_new(schema, vec![vec![first, second], vec![third]]).unwrap();
    let query = Query::new(&Limits::planning(chrono_tz::UTC)).unwrap();
    query.register(&TableName::new("silver", "orders"), Arc::new(table)).unwrap();
    query
}

/// The cells of a result, or the report of its error.
async fn ask(sql: &str) -> Result<String, String> {
    cells(orders().collect(sql).await)
}

#[track_caller]
fn asked(sql: &str) -> Result<String, String> {
    tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(ask(sql))
}

#[track_caller]
fn fails(sql: &str, parts: &[&str]) {
    let report = asked(sql).expect_err(sql);
    for part in parts {
        assert!(report.contains(part), "{sql}\n`{part}` is missing in: {report}");
    }
    // The ends of the types are values of rows here: no message repeats one.
    let (message, _) = report.split_once("hint:").unwrap_or((&report, ""));
    for value in [MAX.to_string(), MIN.to_string(), "99999999999".to_owned()] {
        assert!(!message.contains(&value), "{sql}: a value is in {report}");
    }
}

#[track_caller]
fn gives(sql: &str, expected: &str) {
    assert_eq!(asked(sql), Ok(expected.to_owned()), "{sql}");
}

#[test]
fn an_integer_that_leaves_its_range_ends_the_query_with_the_expression() {
    for (expression, shown) in [
        ("total + 1", "total + 1` leaves the range of BIGINT"),
        ("-2 - total", "-2 - silver.orders.total"),
        ("total - 100", "total - 100"),
        ("total * 2", "total * 2"),
        ("-total", "-silver.orders.total"),
        ("(total / 2) * pieces + total", "* silver.orders.pieces"),
        ("pieces * pieces", "leaves the range of"),
        ("total / pieces / 0", "divides by zero"),
        ("abs(total)", "a function does not take a value"),
        ("CAST(total AS INT)", "CAST(silver.orders.total AS INT)"),
        ("CAST(total AS SMALLINT)", "out of its range"),
        ("CAST(total AS DECIMAL(10, 0))", "DECIMAL(10, 0)"),
        ("CAST(total AS DECIMAL(38, 20))", "DECIMAL(38, 20)"),
        ("CAST(country AS BIGINT)", "CAST(silver.orders.country AS BIGINT)"),
        ("arrow_cast(total, 'Int32')", "does not fit"),
    ] {
        fails(&format!("SELECT {expression} FROM silver.orders WHERE pieces <> 7"), &[shown]);
    }
    assert!(
        asked("SELECT 9223372036854775807 + 1").unwrap_err().contains("leaves the range of BIGINT")
    );
    fails("SELECT total / -1 FROM silver.orders", &["total / -1` leaves the range"]);
}

#[test]
fn what_fits_is_computed_as_before() {
    let country = "FROM silver.orders WHERE country = 'FR' ORDER BY pieces";
    gives(
        &format!("SELECT total + 1, -total, total * -2, pieces - 3 {country}"),
        "NULL NULL NULL -3, 8 -7 -14 -1",
    );
    gives("SELECT -9223372036854775808", "-9223372036854775808");
    gives("SELECT 9223372036854775806 + 1, -9223372036854775807 - 1", &format!("{MAX} {MIN}"));
    gives(
        &format!(
            "SELECT CAST(total AS INT), CAST(pieces AS BIGINT) * 2, TRY_CAST(total AS SMALLINT) AS small {country}"
        ),
        "NULL 0 NULL, 7 4 7",
    );
    gives("SELECT TRY_CAST(total AS INT) AS n FROM silver.orders WHERE country = 'IT'", "NULL");
    gives(
        "SELECT CAST(total AS DECIMAL(38, 0)) + 1 FROM silver.orders WHERE pieces = 1",
        "9223372036854775808",
    );
    gives(
        "SELECT total % -1, total / 2 FROM silver.orders WHERE country = 'IT'",
        "0 -4611686018427387904",
    );
    gives(
        "SELECT price * price, price + price FROM silver.orders WHERE pieces = 4",
        "16.0000 8.00",
    );
}

#[test]
fn a_decimal_has_at_most_38_digits() {
    fails("SELECT big + 1 FROM silver.orders", &["big + 1` leaves the range of DECIMAL(38, 0)"]);
    fails("SELECT big - (0 - big) FROM silver.orders", &["leaves the range of DECIMAL(38, 0)"]);
    fails("SELECT big * 10 FROM silver.orders", &["big * 10"]);
    fails("SELECT big * big FROM silver.orders", &["big * silver.orders.big"]);
    fails(
        "SELECT sum(big) FROM silver.orders WHERE pieces > 0",
        &["sum(silver.orders.big)", "DECIMAL(38, 0)"],
    );
    gives("SELECT sum(big) FROM silver.orders WHERE pieces <> 2147483647", "6");
    // Too great only in between.
    gives("SELECT sum(big) FROM silver.orders WHERE country = 'DE'", &"9".repeat(38));
    gives("SELECT big + 1 FROM silver.orders WHERE country = 'IT'", "6");
}

#[test]
fn a_sum_that_does_not_fit_names_its_group() {
    fails(
        "SELECT sum(total) FROM silver.orders WHERE pieces > 0",
        &["sum(silver.orders.total)` leaves the range of BIGINT"],
    );
    // Here the sum of all leaves the range as well, and may be met first.
    fails(
        "SELECT country, sum(total) FROM silver.orders WHERE pieces >= 0 GROUP BY ROLLUP (country)",
        &["sum(silver.orders.total)", "where country "],
    );
    let of_groups = "country = DE";
    for sql in [
        "SELECT country, sum(total) FROM silver.orders WHERE pieces >= 0 GROUP BY country",
        "SELECT country, sum(total) AS n, count(DISTINCT pieces) FROM silver.orders WHERE pieces >= 0 GROUP BY country",
        "SELECT country FROM silver.orders WHERE pieces >= 0 GROUP BY country HAVING sum(total) > 0",
        "SELECT sum(total) OVER (PARTITION BY country) FROM silver.orders WHERE pieces >= 0",
    ] {
        fails(sql, &["sum(silver.orders.total)", of_groups]);
    }
}

#[test]
fn a_sum_is_right_whatever_the_order_of_its_rows() {
    let groups = "FROM silver.orders GROUP BY country ORDER BY country";
    let most = format!("DE {MAX}, FR 7, IT {MIN}");
    gives(&format!("SELECT country, sum(total) {groups}"), &most);
    gives("SELECT sum(total) FROM silver.orders WHERE country = 'DE'", &MAX.to_string());
    gives("SELECT sum(total) FROM silver.orders WHERE country = 'none'", "NULL");
    gives("SELECT sum(DISTINCT total) FROM silver.orders WHERE country = 'DE'", "0");
    gives("SELECT sum(total) FILTER (WHERE country = 'FR') FROM silver.orders", "7");
    gives(
        &format!("SELECT country, sum(total + 0) AS n, count(DISTINCT pieces) {groups}"),
        &format!("DE {MAX} 3, FR 7 2, IT {MIN} 1"),
    );
    gives(
        "SELECT country, sum(pieces), sum(price) FROM silver.orders GROUP BY ROLLUP (country) ORDER BY 1 LIMIT 1",
        "DE 2147483647 2147483647.00",
    );
    gives(
        "SELECT country, (SELECT sum(inner_.total) FROM silver.orders AS inner_ WHERE inner_.country = outer_.country) AS n FROM silver.orders AS outer_ WHERE pieces = 4",
        &format!("IT {MIN}"),
    );
}

#[test]
fn sums_over_windows_are_checked_and_may_shrink_again() {
    let window = "OVER (ORDER BY pieces ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)";
    fails(
        &format!(
            "SELECT sum(total) {window} FROM silver.orders WHERE country = 'DE' AND total > 0"
        ),
        &["sum(silver.orders.total) OVER", "BIGINT"],
    );
    gives(
        &format!(
            "SELECT sum(total) {window} FROM silver.orders WHERE country = 'DE' AND pieces < 5"
        ),
        &format!("-{MAX}, 0"),
    );
    let rows = format!("(VALUES (1, {MAX}), (2, 0), (3, {MAX}), (4, -5)) AS v(n, x)");
    let frame = "OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)";
    gives(
        &format!("SELECT sum(x) {frame} FROM {rows}"),
        &format!("{MAX}, {MAX}, {MAX}, {}", MAX - 5),
    );
    let distinct = format!("SELECT sum(DISTINCT x) {frame} FROM");
    gives(&format!("{distinct} {rows}"), &format!("{MAX}, {MAX}, {MAX}, {}", MAX - 5));
    gives(
        &format!("{distinct} (VALUES (1, 5), (2, 5), (3, 7), (4, NULL)) AS v(n, x)"),
        "5, 5, 12, 7",
    );
    fails(&format!("{distinct} (VALUES (1, {MAX}), (2, 1)) AS v(n, x)"), &["sum(DISTINCT v.x)"]);
    gives("SELECT sum(x) OVER (ORDER BY n) FROM (VALUES (1, 2), (2, 3)) AS v(n, x)", "2, 5");
}

#[test]
fn averages_are_right_also_where_the_sum_is_too_great() {
    gives("SELECT avg(big) FROM silver.orders WHERE pieces IN (1, 4) AND country = 'IT'", "5.0000");
    gives("SELECT avg(total) > 9e18 FROM silver.orders WHERE country = 'DE' AND total > 0", "true");
    fails(
        "SELECT avg(big) FROM silver.orders WHERE pieces IN (1, 2147483647)",
        &["avg(silver.orders.big)"],
    );
}

#[test]
fn a_branch_that_is_not_taken_does_not_fail() {
    gives(
        "SELECT sum(CASE WHEN abs(CAST(total AS DOUBLE)) < 100 THEN total * 1000 ELSE 0 END) FROM silver.orders",
        "7000",
    );
    gives("SELECT coalesce(1, total + 1) FROM silver.orders WHERE pieces = 1", "1");
    gives("SELECT CASE WHEN false THEN 9223372036854775807 + 1 ELSE 3 END", "3");
}

#[test]
fn a_condition_guards_what_stands_behind_it() {
    gives("SELECT total FROM silver.orders WHERE pieces = 2 AND total * 2 > 0", "7");
    gives("SELECT total FROM silver.orders WHERE total * 2 > 0 AND pieces = 2", "7");
    gives("SELECT count(*) FROM silver.orders WHERE pieces <> 0 AND 10 / pieces > 0", "3");
    gives("SELECT count(*) FROM silver.orders WHERE pieces = 0 OR 10 / pieces > 0", "4");
    gives(
        "SELECT pieces <> 0 AND 10 / pieces = 5 FROM silver.orders WHERE country = 'FR' ORDER BY pieces",
        "false, true",
    );
    gives(
        "SELECT total IS NULL OR total + 1 > 7 FROM silver.orders WHERE country = 'FR' ORDER BY pieces",
        "true, true",
    );
    // NULL on the left decides nothing.
    gives(
        "SELECT NULL AND 10 / pieces > 100, NULL OR 10 / pieces > 2 FROM silver.orders WHERE pieces = 2",
        "false true",
    );
    fails(
        "SELECT count(*) FROM silver.orders WHERE pieces > -2 AND 10 / pieces > 0",
        &["10 / silver.orders.pieces` divides by zero"],
    );
}

#[test]
fn the_check_of_a_row_fails_where_its_arithmetic_does() {
    let query = orders();
    let schema = Arc::new(datafusion::arrow::datatypes::Schema::new(vec![
        datafusion::arrow::datatypes::Field::new(
            "total",
            datafusion::arrow::datatypes::DataType::Int64,
            true,
        ),
        datafusion::arrow::datatypes::Field::new(
            "items",
            datafusion::arrow::datatypes::DataType::Int64,
            true,
        ),
    ]));
    let holds = |check: &str, total: i64, items: i64| {
        let columns: Vec<Arc<dyn Array>> =
            vec![Arc::new(Int64Array::from(vec![total])), Arc::new(Int64Array::from(vec![items]))];
        let rows = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let value = query.expression(&schema, check).unwrap().evaluate(&rows);
        value.map(|value| array_value_to_string(&value.into_array(1).unwrap(), 0).unwrap()).ok()
    };
    assert_eq!(holds("total + items > 0", MAX, 1), None);
    assert_eq!(holds("total + items > 0", MAX, 0).as_deref(), Some("true"));
    assert_eq!(holds("total * 1000 < 5", 1, 0).as_deref(), Some("false"));
    assert_eq!(holds("total / items > 0", 5, 0), None);
    assert_eq!(holds("items = 0 OR total / items > 0", 5, 0).as_deref(), Some("true"));
    assert_eq!(holds("items > 0 AND total / items > 0", 5, 0).as_deref(), Some("false"));
}
