//! Numbers that leave their range, and dates at the ends of the calendar, in whole lakes.

use crate::support::Lake;

const ORDERS: &str = "-- One row per order.
CREATE TABLE bronze.orders (
    order_id STRING NOT NULL, country STRING, total BIGINT, valid_to TIMESTAMP
)
TBLPROPERTIES ('lake.source' = 'folder:orders');
";

const TOTALS: &str = "-- One row per country.
CREATE TABLE gold.totals (country STRING NOT NULL, total BIGINT NOT NULL);
";

fn lake(select: &str) -> Lake {
    lake_with("", select)
}

/// A lake whose model has these lines in its header.
fn lake_with(header: &str, select: &str) -> Lake {
    let model = format!(
        "/*---\nabout = \"One row per country\"\nrefresh = \"full\"\n{header}---*/\n{select}"
    );
    Lake::with(&[
        ("lake/bronze/orders.sql", ORDERS),
        ("lake/gold/totals.sql", TOTALS),
        ("sql/gold/totals.sql", model.as_str()),
    ])
}

fn land(lake: &Lake, file: &str, orders: &[(&str, i64)]) {
    let lines: Vec<String> = orders
        .iter()
        .enumerate()
        .map(|(n, (country, total))| {
            format!(r#"{{"order_id":"{file}-{n}","country":"{country}","total":{total}}}"#)
        })
        .collect();
    lake.land(&format!("orders/{file}.ndjson"), (lines.join("\n") + "\n").as_bytes());
}

const SUM: &str = "SELECT country, sum(total) AS total FROM bronze.orders GROUP BY country";

#[test]
fn a_sum_that_does_not_fit_ends_the_model_with_its_file_and_group_and_writes_nothing() {
    let lake = lake(SUM);
    let half = 4_600_000_000_000_000_000;
    land(
        &lake,
        "a",
        &[("DE", half), ("FR", 3), ("DE", half), ("DE", half - 3_000_000_000_000_000_000)],
    );
    lake.run(&["run", "all"]).says(
        1,
        &[
            "sql/gold/totals.sql",
            "sum(bronze.orders.total)` leaves the range of BIGINT where country = DE",
            "hint: ",
        ],
    );
    let written = lake.run(&["sql", "--output", "csv", "SELECT country FROM gold.totals"]);
    assert!(!written.stdout.contains("FR"), "{}", written.stdout);
    // The order that was too much is taken back: great sums in between are no reason to fail.
    land(&lake, "b", &[("DE", -half)]);
    lake.ok(&["run", "all"]);
    assert_eq!(
        lake.number("SELECT total AS n FROM gold.totals WHERE country = 'DE'"),
        2 * half - 3_000_000_000_000_000_000
    );
    assert_eq!(lake.number("SELECT total AS n FROM gold.totals WHERE country = 'FR'"), 3);
}

#[test]
fn a_product_that_does_not_fit_ends_the_model_with_the_expression() {
    let lake =
        lake("SELECT country, max(total * 1000) AS total FROM bronze.orders GROUP BY country");
    land(&lake, "a", &[("DE", 5_000_000_000_000_000), ("FR", 3)]);
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT max(total) AS n FROM gold.totals"), 5_000_000_000_000_000_000);
    land(&lake, "b", &[("FR", 10_000_000_000_000_000)]);
    let failed = lake.run(&["run", "all"]);
    failed.says(
        1,
        &[
            "sql/gold/totals.sql",
            "bronze.orders.total * 1000` leaves the range of BIGINT where _source_file = ",
            "b.ndjson, _offset = 0",
        ],
    );
    assert!(!failed.stderr.contains("10000000000000000"), "{}", failed.stderr);
}

#[test]
fn an_error_of_a_row_names_its_key_but_no_personal_one_and_none_behind_a_condition() {
    let by_order = |properties: &str, total: &str| {
        let bronze = ORDERS.replace("'folder:orders'", &format!("'folder:orders'{properties}"));
        let lake = Lake::with(&[
            ("lake/bronze/orders.sql", bronze.as_str()),
            (
                "lake/silver/orders.sql",
                "-- One row per order.\nCREATE TABLE silver.orders (\n    order_id STRING NOT NULL, total BIGINT, PRIMARY KEY (order_id)\n);\n",
            ),
            (
                "sql/silver/orders.sql",
                &format!("SELECT order_id, {total} AS total FROM bronze.orders"),
            ),
        ]);
        land(&lake, "a", &[("DE", 7), ("FR", 10_000_000_000_000_000), ("IT", 0)]);
        lake.run(&["run", "all"])
    };
    by_order("", "total * 1000")
        .says(1, &["* 1000` leaves the range of BIGINT where order_id = a-1\n"]);
    by_order("", "CAST(total AS INT)").says(1, &["out of its range where order_id = a-1\n"]);
    by_order("", "10 / total").says(1, &["divides by zero where order_id = a-2\n"]);
    let personal = by_order(", 'lake.personal' = 'order_id'", "total * 1000");
    personal.says(1, &["* 1000` leaves the range of BIGINT\n"]);
    let guarded = by_order("", "CASE WHEN country = 'FR' THEN total * 1000 ELSE 10 / total END");
    guarded.says(1, &["sql/silver/orders.sql failed: "]);
    assert!(!guarded.stderr.contains("order_id ="), "{}", guarded.stderr);
    // The control: rows that fit.
    assert!(by_order("", "total / 1000").stderr.find("error").is_none());
}

#[test]
fn a_set_check_and_a_view_are_checked_too() {
    let check = "[check]\nnot_negative = \"(SELECT sum(total) FROM this) >= 0\"\n";
    let lake = lake_with(check, SUM);
    lake.file(
        "sql/gold/doubled.sql",
        "/*---\nabout = \"One row per country\"\nrefresh = \"view\"\n---*/\nSELECT country, total + total AS total FROM gold.totals",
    );
    land(&lake, "a", &[("DE", 4), ("FR", 3)]);
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT sum(total) AS n FROM gold.doubled"), 14);
    land(&lake, "b", &[("DE", i64::MAX - 4)]);
    lake.run(&["run", "all"])
        .says(1, &["sql/gold/totals.sql", "sum(this.total)` leaves the range"]);
}

#[test]
fn lake_sql_ends_with_1_where_a_number_does_not_fit() {
    let lake = lake(SUM);
    land(&lake, "a", &[("DE", i64::MAX / 2), ("FR", -1)]);
    lake.ok(&["run", "bronze"]);
    for (sql, part) in [
        ("SELECT total * 3 AS n FROM bronze.orders", "total * 3"),
        ("SELECT total FROM bronze.orders WHERE total * 3 > 0", "total * 3"),
        ("SELECT CAST(total AS INT) AS n FROM bronze.orders", "CAST(bronze.orders.total AS INT)"),
        ("SELECT 10 / (total + 1) AS n FROM bronze.orders", "divides by zero"),
    ] {
        let failed = lake.run(&["sql", sql]);
        failed.says(1, &[part, "hint: "]);
        assert!(!failed.stderr.contains(&(i64::MAX / 2).to_string()), "{}", failed.stderr);
    }
    assert_eq!(
        lake.number("SELECT total AS n FROM bronze.orders WHERE country = 'FR' AND total * 3 < 0"),
        -1
    );
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.orders WHERE total * 2 > 0"), 1);
}

#[test]
fn far_dates_are_found_in_tables_of_several_files() {
    let lake = lake(SUM);
    for (file, valid_to) in [
        ("a", "9999-12-31T00:00:00Z"),
        ("b", "2026-03-01T00:00:00Z"),
        ("c", "0001-01-01T00:00:00Z"),
        ("d", "9999-12-31T23:59:59.999999Z"),
    ] {
        let order = format!("{{\"order_id\":\"{file}\",\"valid_to\":\"{valid_to}\"}}\n");
        lake.land(&format!("orders/{file}.ndjson"), order.as_bytes());
        lake.ok(&["run", "bronze"]);
    }
    for (condition, n) in [
        ("valid_to = '9999-12-31T00:00:00Z'", 1),
        ("valid_to = TIMESTAMP '9999-12-31 00:00:00'", 1),
        ("valid_to = DATE '9999-12-31'", 1),
        ("valid_to < TIMESTAMP '9999-12-31 00:00:00'", 2),
        ("valid_to > TIMESTAMP '0001-01-01 00:00:00'", 3),
        ("valid_to <= '0001-01-01'", 1),
        ("valid_to::date = DATE '9999-12-31'", 2),
        ("date_trunc('year', valid_to) = '9999-01-01'", 2),
        ("valid_to > now()", 2),
    ] {
        assert_eq!(
            lake.number(&format!("SELECT count(*) AS n FROM bronze.orders WHERE {condition}")),
            n,
            "{condition}"
        );
    }
}

#[test]
fn a_timestamp_that_a_model_writes_fits_its_contract() {
    let lake = Lake::with(&[
        ("lake/bronze/orders.sql", ORDERS),
        (
            "lake/gold/open.sql",
            "-- One row per order.\nCREATE TABLE gold.open (order_id STRING NOT NULL, valid_to TIMESTAMP);\n",
        ),
        (
            "sql/gold/open.sql",
            "SELECT order_id, coalesce(valid_to, TIMESTAMP '9999-12-31 00:00:00') AS valid_to FROM bronze.orders",
        ),
    ]);
    land(&lake, "a", &[("DE", 1)]);
    lake.ok(&["check"]);
    lake.ok(&["run", "all"]);
    assert_eq!(
        lake.rows("SELECT valid_to FROM gold.open")[0]["valid_to"],
        "9999-12-31T00:00:00.000000Z"
    );
}

#[test]
fn columns_of_unlike_types_are_joined_and_compared() {
    let lake = lake(
        "SELECT a.country, b.total FROM bronze.orders a JOIN bronze.orders b ON a.country = b.total",
    );
    land(&lake, "a", &[("7", 7), ("x", 3)]);
    // A text that is no number ends the query, and no name of ours does.
    let output = lake.run(&["run", "all"]);
    assert!(!output.stderr.contains("unique expression names"), "{}", output.stderr);
    let sql = "SELECT count(*) AS n FROM bronze.orders WHERE country IN (SELECT CAST(total AS STRING) FROM bronze.orders)";
    assert_eq!(lake.number(sql), 1);
    let sql = "SELECT count(*) AS n FROM bronze.orders a JOIN bronze.orders b ON CAST(a.total AS DECIMAL(20, 2)) = CAST(b.total AS DOUBLE)";
    assert_eq!(lake.number(sql), 2);
}

#[test]
fn checks_models_and_sql_read_operators_and_numbers_alike() {
    let orders = ORDERS.replace(
        "valid_to TIMESTAMP\n",
        "valid_to TIMESTAMP, price DOUBLE,
    CONSTRAINT known CHECK (country IS NOT DISTINCT FROM 'DE' AND total > 0.5),
    CONSTRAINT exact CHECK (total <> 9007199254740992.0),
    CONSTRAINT cheap CHECK (price < 0.3 OR price IS NULL)\n",
    );
    let model = "SELECT country, row_number() OVER (ORDER BY order_id) AS number,
    string_agg(country, ',') OVER (ORDER BY order_id) AS all, total * 0.5 AS half,
    CAST(1 AS SMALLINT) AS small FROM bronze.orders";
    let contract = "-- One row per order.
CREATE TABLE gold.totals (country STRING, number BIGINT, \"all\" STRING, half DOUBLE, small INT);
";
    let lake = Lake::with(&[
        ("lake/bronze/orders.sql", orders.as_str()),
        ("lake/gold/totals.sql", contract),
        ("sql/gold/totals.sql", &model.replace("AS all", "AS \"all\"")),
    ]);
    let lines = [
        r#"{"order_id":"a","country":"DE","total":9007199254740993,"price":0.25}"#,
        r#"{"order_id":"b","country":"FR","total":7}"#,
        r#"{"order_id":"c","country":"DE","total":0}"#,
        r#"{"order_id":"d","country":"DE","total":9007199254740992}"#,
        r#"{"order_id":"e","country":"DE","total":1,"price":0.3}"#,
    ];
    lake.land("orders/a.ndjson", (lines.join("\n") + "\n").as_bytes());
    lake.ok(&["run", "all"]);
    let row = &lake.rows("SELECT * FROM gold.totals")[0];
    assert_eq!((&row["number"], &row["small"], &row["all"]), (&1.into(), &1.into(), &"DE".into()));
    // …496.5 lies in the middle of two doubles.
    let half = row["half"].as_f64().unwrap();
    assert!([4_503_599_627_370_496.0, 4_503_599_627_370_497.0].contains(&half), "{half}");
    assert_eq!(lake.number("SELECT count(*) AS n FROM gold.totals"), 1);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.quarantine"), 4);
    let sql = "SELECT count(*) AS n FROM bronze.orders WHERE total IS DISTINCT FROM 3 AND false";
    assert_eq!(lake.number(sql), 0);
}
