//! Rounded decimals beside other numbers, and the types of all functions of decimals.

use std::collections::BTreeSet;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;

use super::super::testing::cells;
use super::super::{Limits, Query};

const ROWS: &str = "(VALUES (1, CAST(1.26 AS DECIMAL(6,2)), 1, CAST('a' AS VARCHAR)), (2, NULL, 0, NULL), (3, -0.05, NULL, 'b')) t(id, p, n, s)";

async fn collected(
    query: &Query,
    sql: &str,
) -> Result<(DFSchema, Vec<RecordBatch>), DataFusionError> {
    let frame = query.plan(sql).await?;
    Ok((frame.schema().clone(), frame.collect().await?))
}

fn run(sql: &str) -> Result<String, String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let query = Query::new(&Limits::planning(chrono_tz::UTC)).unwrap();
    cells(runtime.block_on(query.collect(sql)))
}

#[test]
fn a_rounded_decimal_stands_beside_other_numbers() {
    for (expression, values) in [
        ("coalesce(p, 0.44)", "1.26, 0.44, -0.05"),
        ("coalesce(round(p, 0), 0.44)", "1.00, 0.44, 0.00"),
        ("coalesce(round(p), 0.44)", "1.00, 0.44, 0.00"),
        ("coalesce(round(p, 1), 0.44)", "1.30, 0.44, -0.10"),
        ("coalesce(round(p, 2 - 1), 0.44)", "1.30, 0.44, -0.10"),
        ("coalesce(round(p, CAST('1' AS INT)), 0.44)", "1.30, 0.44, -0.10"),
        ("coalesce(round(p, n), 0.44)", "1.30, 0.44, 0.44"),
        ("coalesce(round(p, -1), 0.44)", "0.00, 0.44, 0.00"),
        ("greatest(round(p, 0), 0.44)", "1.00, 0.44, 0.44"),
        ("least(0.44, round(p, 1))", "0.44, 0.44, -0.10"),
        ("CASE WHEN id = 2 THEN 0.44 ELSE round(p, 0) END", "1.00, 0.44, 0.00"),
        ("nvl(round(p, 0), 0.44)", "1.0, 0.44, 0.0"),
        ("round(p, 0) = 1.0", "true, NULL, false"),
        ("round(p, 0) IN (1.0, 0.44)", "true, NULL, false"),
        ("round(p, 0) BETWEEN 0.99 AND 1.01", "true, NULL, false"),
        ("round(p, 0)", "1, NULL, 0"),
        ("round(p, 1) + 0.01", "1.31, NULL, -0.09"),
        ("coalesce(trunc(p, 1), 0.44)", "1.20, 0.44, 0.00"),
        ("coalesce(ceil(p), 0.44)", "2.00, 0.44, 0.00"),
        ("coalesce(floor(p), 0.44)", "1.00, 0.44, -1.00"),
    ] {
        let found = run(&format!("SELECT {expression} FROM {ROWS} ORDER BY id"));
        assert_eq!(found.as_deref(), Ok(values), "{expression}");
    }
    let within = format!(
        "SELECT coalesce(round(p, k), 0.44) FROM (SELECT p, id, 0 AS k FROM {ROWS}) ORDER BY id"
    );
    assert_eq!(run(&within).as_deref(), Ok("1.00, 0.44, 0.00"));
    let united = format!("SELECT round(p, 0) AS x FROM {ROWS} UNION ALL SELECT 0.44 ORDER BY x");
    assert_eq!(run(&united).as_deref(), Ok("0.00, 0.44, 1.00, NULL"));
}

#[test]
fn a_finite_number_stays_finite_when_it_is_rounded() {
    for (expression, value) in [
        ("round(1.25e0, 1)", "1.3"),
        ("trunc(1.29e0, 1)", "1.2"),
        ("round(1e300, 2)", "1e300"),
        ("round(1e300, 10)", "1e300"),
        ("round(-1e300, 10)", "-1e300"),
        ("trunc(1e300, 10)", "1e300"),
        ("round(1.5e0, 400)", "1.5"),
        ("trunc(1.5e0, 400)", "1.5"),
        ("round(123.4e0, -400)", "0.0"),
        ("trunc(123.4e0, -400)", "0.0"),
        ("round(CAST('inf' AS DOUBLE), -400)", "inf"),
        ("round(CAST(1e38 AS FLOAT), 10)", "1e38"),
        ("round(12345, -2)", "12300"),
    ] {
        assert_eq!(run(&format!("SELECT {expression}")).as_deref(), Ok(value), "{expression}");
    }
    let rows = "(VALUES (1e300, 10), (1.25e0, 1), (NULL, 1), (123.4e0, -400)) t(x, n)";
    for places in ["n", "n + 0"] {
        let found = run(&format!("SELECT round(x, {places}), trunc(x, {places}) FROM {rows}"));
        assert_eq!(found.as_deref(), Ok("1e300 1e300, 1.3 1.2, NULL NULL, 0.0 0.0"));
    }
    assert!(run("SELECT round(1.7e308, -308)").unwrap_err().contains("leaves the range"));
}

/// Every scalar function with every few arguments: what runs gives the type that it was planned with.
#[test]
fn a_function_of_decimals_gives_the_type_that_it_was_planned_with() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let query = Query::new(&Limits::planning(chrono_tz::UTC)).unwrap();
    let names: BTreeSet<String> =
        query.context.state().scalar_functions().keys().cloned().collect();
    let lists = ["p", "p, 0", "p, 1", "p, n", "p, p", "p, 0.44", "0.44, p", "p, p, p", "n, p"];
    let (mut n_run, mut wrong) = (0, Vec::new());
    for name in names {
        for list in lists {
            let call = format!("{name}({list})");
            let sql = format!("SELECT \"{name}\"({list}) AS x FROM {ROWS}");
            match runtime.block_on(collected(&query, &sql)) {
                Ok((schema, batches)) => {
                    n_run += 1;
                    let planned = schema.field(0).data_type();
                    let found = batches.iter().map(|batch| batch.column(0).data_type());
                    wrong.extend(
                        found
                            .filter(|found| *found != planned)
                            .map(|found| format!("{call}: {planned} became {found}")),
                    );
                }
                Err(error) => {
                    let text = error.to_string();
                    if text.contains("column types must match") || text.contains("promised") {
                        wrong.push(format!("{call}: {text}"));
                    }
                }
            }
        }
    }
    assert!(n_run > 100, "{n_run}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
