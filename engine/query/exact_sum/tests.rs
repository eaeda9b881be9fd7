//! Sums and averages of doubles, in every kind of query, whatever the order of rows.

use std::sync::Arc;

use datafusion::arrow::array::{Array, Float64Array, Int64Array, RecordBatch};
use datafusion::datasource::MemTable;

use crate::contract::TableName;
use crate::query::testing::cells;
use crate::query::{Limits, Query};

/// Rows (number, group, value), in partitions of batches of some rows, which begin at a row.
fn readings(start: usize, n_partitions: usize, n_rows: usize) -> Query {
    let all: Vec<(i64, Option<f64>)> = [
        (0, Some(1e16)),
        (0, Some(1.0)),
        (1, Some(0.1)),
        (0, Some(-1e16)),
        (1, Some(0.2)),
        (2, Some(1e308)),
        (2, Some(1e308)),
        (1, None),
        (2, Some(-1e308)),
        (1, Some(0.3)),
        (3, None),
        (4, Some(1e200)),
        (4, Some(f64::INFINITY)),
        (5, Some(1e100)),
        (5, Some(1e-100)),
        (5, Some(-1e100)),
        (0, Some(0.5)),
        (6, Some(f64::NAN)),
        (6, Some(2.0)),
    ]
    .into();
    let mut numbered: Vec<_> = (0_i64..).zip(all).collect();
    numbered.rotate_left(start);
    let batches = numbered.chunks(n_rows).map(|rows| {
        let numbers: Int64Array = rows.iter().map(|(n, _)| Some(*n)).collect();
        let groups: Int64Array = rows.iter().map(|(_, (group, _))| Some(*group)).collect();
        let values: Float64Array = rows.iter().map(|(_, (_, value))| *value).collect();
        RecordBatch::try_from_iter_with_nullable([
            ("n", Arc::new(numbers) as Arc<dyn Array>, false),
            ("k", Arc::new(groups), false),
            ("x", Arc::new(values), true),
        ])
        .unwrap()
    });
    let batches: Vec<RecordBatch> = batches.collect();
    let schema = batches[0].schema();
    let mut partitions = vec![Vec::new(); n_partitions];
    for (n, batch) in batches.into_iter().enumerate() {
        partitions[n % n_partitions].push(batch);
    }
    let query = Query::new(&Limits::planning(chrono_tz::UTC)).unwrap();
    let table = MemTable::try_new(schema, partitions).unwrap();
    query.register(&TableName::new("silver", "readings"), Arc::new(table)).unwrap();
    query
}

#[track_caller]
fn gives(sql: &str, expected: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    for (start, n_partitions, n_rows) in [(0, 1, 100), (0, 3, 2), (5, 2, 1), (11, 4, 3), (16, 1, 4)]
    {
        let query = readings(start, n_partitions, n_rows);
        let found = cells(runtime.block_on(query.collect(sql))).unwrap();
        assert_eq!(found, expected, "{sql} from row {start} in batches of {n_rows}");
    }
}

#[test]
fn a_sum_is_rounded_once_whatever_the_order() {
    gives("SELECT sum(x), avg(x) FROM silver.readings WHERE k = 0", "1.5 0.375");
    gives("SELECT sum(x), count(x) FROM silver.readings WHERE k IN (2, 5)", "1e308 6");
    gives("SELECT sum(x), avg(x) FROM silver.readings WHERE k = 3", "NULL NULL");
    gives("SELECT sum(x) FROM silver.readings WHERE k = 9", "NULL");
    gives("SELECT avg(x) FROM silver.readings WHERE k = 2 AND x > 0", "1e308");
}

#[test]
fn groups_have_sums_of_their_own() {
    gives(
        "SELECT k, sum(x), avg(x) FROM silver.readings GROUP BY k ORDER BY k",
        "0 1.5 0.375, 1 0.6 0.19999999999999998, 2 1e308 3.333333333333333e307, 3 NULL NULL, 4 inf inf, 5 1e-100 3.3333333333333336e-101, 6 NaN NaN",
    );
    gives(
        "SELECT k, sum(x) FILTER (WHERE x > 0), sum(-x) FROM silver.readings WHERE k < 3 GROUP BY k ORDER BY k",
        "0 1.0000000000000002e16 -1.5, 1 0.6 -0.6, 2 inf -1e308",
    );
    gives(
        "SELECT sum(x) FROM silver.readings WHERE k < 3 GROUP BY ROLLUP (k) ORDER BY grouping(k), k",
        "1.5, 0.6, 1e308, 1e308",
    );
}

#[test]
fn distinct_values_are_added_up_once() {
    gives("SELECT sum(DISTINCT x) FROM silver.readings WHERE k = 2", "0.0");
    gives(
        "SELECT sum(DISTINCT x), avg(DISTINCT x), count(DISTINCT n), sum(x) FROM silver.readings WHERE k < 3",
        "2.1 0.23333333333333334 11 1e308",
    );
    gives(
        "SELECT k, sum(DISTINCT x) AS s, avg(DISTINCT abs(x)) FROM silver.readings WHERE k IN (0, 1) GROUP BY k ORDER BY k",
        "0 1.5 3333333333333334.0, 1 0.6 0.19999999999999998",
    );
}

#[test]
fn windows_have_them_too() {
    gives(
        "SELECT sum(x) OVER (PARTITION BY k ORDER BY n) FROM silver.readings WHERE k IN (0, 1) ORDER BY n",
        "1e16, 1e16, 0.1, 1.0, 0.30000000000000004, 0.30000000000000004, 0.6, 1.5",
    );
    gives(
        "SELECT DISTINCT k, sum(x) OVER (PARTITION BY k), avg(x) OVER (PARTITION BY k) FROM silver.readings WHERE k IN (0, 2) ORDER BY k",
        "0 1.5 0.375, 2 1e308 3.333333333333333e307",
    );
    gives(
        "SELECT sum(DISTINCT x) OVER (ORDER BY n ROWS 1 PRECEDING) FROM silver.readings WHERE k = 2 ORDER BY n",
        "1e308, 1e308, 0.0",
    );
}

#[test]
fn other_statistics_do_not_depend_on_the_order_either() {
    let of = "n + 1e9, k";
    gives(
        &format!(
            "SELECT var_samp(n + 1e9), stddev_pop(n + 1e9), corr({of}), regr_count({of}) FROM silver.readings WHERE k < 3"
        ),
        "20.272727272727273 4.29298871022458 0.1214537075111692 11",
    );
    gives(
        "SELECT k, var_pop(x), stddev(DISTINCT abs(x)), covar_samp(x, n) FROM silver.readings WHERE k IN (1, 2, 3, 6) GROUP BY k ORDER BY k",
        "1 0.006666666666666665 0.09999999999999999 0.3499999999999999, 2 inf NULL -1.6666666666666668e308, 3 NULL NULL NULL, 6 NaN NaN NaN",
    );
    gives(
        "SELECT var_pop(n + 1e15) OVER (ORDER BY n ROWS 1 PRECEDING), regr_slope(n, n) OVER (ORDER BY n) FROM silver.readings WHERE n < 3 ORDER BY n",
        "0.0 NULL, 0.25 1.0, 0.25 1.0",
    );
}

#[test]
fn sums_of_whole_numbers_stay_whole() {
    gives("SELECT sum(k), avg(n) FROM silver.readings", "48 9.0");
}
