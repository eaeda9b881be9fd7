//! What makes a model due, what is left alone, and how far a failure reaches.

use std::path::PathBuf;

use serde_json::json;

use crate::support::{Lake, below};

const ORDERS: &str = "-- One row per order.
CREATE TABLE bronze.orders (id STRING, country STRING, total BIGINT)
PARTITIONED BY (_ingest_date)
TBLPROPERTIES ('lake.source' = 'folder:orders');";

/// The contract and the query of a model.
fn model(name: &str, columns: &str, query: &str) -> [(String, String); 2] {
    let path = name.replace('.', "/");
    [
        (
            format!("lake/{path}.sql"),
            format!("-- One row per key.\nCREATE TABLE {name} (\n{columns}\n);"),
        ),
        (format!("sql/{path}.sql"), query.to_owned()),
    ]
}

fn add(lake: &Lake, name: &str, columns: &str, query: &str) {
    for (path, text) in model(name, columns, query) {
        lake.file(&path, &text);
    }
}

/// A lake of orders, two of which have landed.
fn shop() -> Lake {
    let lake = Lake::with(&[("lake/bronze/orders.sql", ORDERS)]);
    let orders = [("o1", "FR", 5), ("o2", "DE", 7)];
    land(&lake, "a", &orders);
    lake
}

fn land(lake: &Lake, file: &str, orders: &[(&str, &str, i64)]) {
    let lines: Vec<String> = orders
        .iter()
        .map(|(id, country, total)| {
            json!({"id": id, "country": country, "total": total}).to_string() + "\n"
        })
        .collect();
    lake.land(&format!("orders/{file}.ndjson"), lines.concat().as_bytes());
}

/// The line of a run about a table.
fn line(stderr: &str, table: &str) -> String {
    let line = stderr.lines().find(|line| line.trim_start().starts_with(&format!("{table} ")));
    line.unwrap_or_else(|| panic!("nothing is said of {table}:\n{stderr}")).to_owned()
}

fn parquet_files(lake: &Lake, table: &str) -> Vec<PathBuf> {
    let mut files = below(&lake.root().join(table.replace('.', "/")));
    files.retain(|path| path.extension().is_some_and(|ending| ending == "parquet"));
    files.retain(|path| !path.to_string_lossy().contains("_delta_log"));
    files
}

#[test]
fn a_value_that_moves_into_another_column_is_written() {
    let lake = shop();
    let columns = "id STRING NOT NULL, home BIGINT, abroad BIGINT";
    let query = |home: &str, abroad: &str| {
        format!(
            "SELECT id, CASE WHEN country {home} 'FR' THEN total END AS home, CASE WHEN country {abroad} 'FR' THEN total END AS abroad FROM bronze.orders"
        )
    };
    add(&lake, "gold.split", columns, &query("<>", "="));
    lake.ok(&["run", "all"]);
    lake.file("sql/gold/split.sql", &query("=", "<>"));
    lake.ok(&["run", "all"]);
    let rows = lake.rows("SELECT * FROM gold.split ORDER BY id");
    assert_eq!(rows[0], json!({"id": "o1", "home": 5, "abroad": null}));
    assert_eq!(rows[1], json!({"id": "o2", "home": null, "abroad": 7}));
    // Another text of the same rows: computed, and found to be what is there.
    lake.file("sql/gold/split.sql", &format!("{} WHERE true", query("=", "<>")));
    let output = lake.ok(&["run", "all"]);
    assert!(line(&output.stderr, "gold.split").ends_with("unchanged"), "{}", output.stderr);
}

#[test]
fn a_full_refresh_writes_the_table_whatever_it_holds() {
    let lake = shop();
    add(&lake, "gold.t", "id STRING NOT NULL, total BIGINT", "SELECT id, total FROM bronze.orders");
    lake.ok(&["run", "all"]);
    for file in parquet_files(&lake, "gold.t") {
        std::fs::remove_file(file).unwrap();
    }
    let told = ["gold.t: the file ", "is gone", "--select gold.t --full-refresh"];
    lake.run(&["run", "all"]).says(1, &told);
    let output = lake.ok(&["run", "gold", "--select", "gold.t", "--full-refresh"]);
    assert!(!output.stderr.contains("unchanged"), "{}", output.stderr);
    assert_eq!(lake.number("SELECT count(*) AS n FROM gold.t"), 2);
    assert!(line(&lake.ok(&["run", "all"]).stderr, "gold.t").ends_with("up to date"));
}

#[test]
fn a_lost_file_is_written_again_when_the_rows_are_computed_anew() {
    let lake = shop();
    add(&lake, "gold.n", "n BIGINT", "SELECT count(DISTINCT country) AS n FROM bronze.orders");
    lake.ok(&["run", "all"]);
    std::fs::remove_file(&parquet_files(&lake, "gold.n")[0]).unwrap();
    land(&lake, "b", &[("o3", "FR", 1)]);
    // Due, and with the same result as before.
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT n FROM gold.n"), 2);
}

#[test]
fn rows_that_another_tool_deleted_are_told_and_come_back() {
    let lake = shop();
    add(&lake, "gold.t", "id STRING NOT NULL, total BIGINT", "SELECT id, total FROM bronze.orders");
    lake.ok(&["run", "all"]);
    delete_by_hand(&lake, "gold/t");
    let output = lake.ok(&["run", "all"]);
    output.says(0, &["gold.t: another tool changed its rows since version", "--full-refresh"]);
    lake.ok(&["run", "gold", "--full-refresh"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM gold.t"), 2);
    let output = lake.ok(&["run", "all"]);
    assert!(!output.stderr.contains("another tool"), "{}", output.stderr);

    // Due anyway, with the rows that were there before the other tool came: they are written.
    delete_by_hand(&lake, "gold/t");
    lake.file("sql/gold/t.sql", "SELECT id, total FROM bronze.orders WHERE true");
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM gold.t"), 2);
}

/// Commits, as another tool would, a version of the table without its files.
fn delete_by_hand(lake: &Lake, table: &str) {
    let log = lake.root().join(table).join("_delta_log");
    let mut versions = below(&log);
    versions.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    let mut live = std::collections::BTreeSet::new();
    for version in &versions {
        for action in std::fs::read_to_string(version).unwrap().lines() {
            let action: serde_json::Value = serde_json::from_str(action).unwrap();
            if let Some(path) = action["add"]["path"].as_str() {
                live.insert(path.to_owned());
            }
            if let Some(path) = action["remove"]["path"].as_str() {
                live.remove(path);
            }
        }
    }
    assert!(!live.is_empty(), "{table} has no files");
    let mut text = json!({"commitInfo": {"timestamp": 1, "operation": "DELETE"}}).to_string();
    for path in live {
        let remove = json!({"path": path, "dataChange": true, "deletionTimestamp": 1});
        text.push_str(&format!("\n{}", json!({"remove": remove})));
    }
    std::fs::write(log.join(format!("{:020}.json", versions.len())), text).unwrap();
}

#[test]
fn a_changed_contract_makes_its_model_due() {
    let contract = |columns: &str, rest: &str| {
        format!("-- One row per order.\nCREATE TABLE gold.t (\n{columns}\n){rest};")
    };
    let columns = "id STRING, country STRING, total BIGINT";
    let check = format!("{columns}, CONSTRAINT large CHECK (total > 5)");
    let lake = shop();
    let dropped = contract(&check, " TBLPROPERTIES ('lake.else.large' = 'drop')");
    lake.file("lake/gold/t.sql", &dropped);
    lake.file("sql/gold/t.sql", "SELECT id, country, total FROM bronze.orders");
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM gold.t"), 1);

    // The check goes: the rows that it dropped come back.
    lake.file("lake/gold/t.sql", &contract(columns, ""));
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM gold.t"), 2);

    // Each of these holds for no row that is there already: it is looked at, and fails.
    land(&lake, "b", &[("o2", "DEU", 9)]);
    lake.ok(&["run", "all"]);
    for (change, says) in [
        ("id STRING, country VARCHAR(2), total BIGINT", "country"),
        ("id STRING, country STRING, total BIGINT, PRIMARY KEY (id)", "more than one row"),
        (&format!("{columns}, CONSTRAINT small CHECK (total < 9)"), "small"),
    ] {
        lake.file("lake/gold/t.sql", &contract(change, ""));
        lake.run(&["run", "all"]).says(1, &["gold.t", says]);
    }

    // Words about a table are no rows of it.
    lake.file("lake/gold/t.sql", &contract(columns, ""));
    lake.ok(&["run", "all"]);
    let described = contract("id STRING, country STRING COMMENT 'two letters', total BIGINT", "");
    lake.file("lake/gold/t.sql", &described);
    lake.ok(&["run", "all"]);
    assert!(line(&lake.ok(&["run", "all"]).stderr, "gold.t").ends_with("up to date"));
}

#[test]
fn a_model_that_dates_is_due_when_the_zone_changes_however_it_spells_the_function() {
    let mut lake = Lake::with(&[(
        "lake/bronze/visits.sql",
        "-- One row per visit.\nCREATE TABLE bronze.visits (id STRING, at TIMESTAMP)\nTBLPROPERTIES ('lake.source' = 'folder:visits');",
    )]);
    lake.land("visits/a.ndjson", b"{\"id\":\"v\",\"at\":\"2026-03-01T23:30:00Z\"}\n");
    add(&lake, "gold.loud", "day DATE", "SELECT REPORTING_DATE(at) AS day FROM bronze.visits");
    add(
        &lake,
        "gold.quoted",
        "day DATE",
        "SELECT \"reporting_date\"(at) AS day FROM bronze.visits",
    );
    add(&lake, "gold.none", "id STRING", "SELECT id FROM bronze.visits");
    let until = "reporting_date(at) < DATE '2026-03-02'";
    add(
        &lake,
        "gold.checked",
        &format!("at TIMESTAMP, CONSTRAINT early CHECK ({until})"),
        "SELECT at FROM bronze.visits",
    );
    lake.ok(&["run", "all"]);
    lake.set("LAKE_REPORTING_TZ", "Europe/Paris");
    let output = lake.run(&["run", "all"]);
    output.says(1, &["gold.checked", "check `early`"]);
    for table in ["gold.loud", "gold.quoted"] {
        assert_eq!(lake.rows(&format!("SELECT day FROM {table}"))[0]["day"], "2026-03-02");
    }
    assert!(line(&output.stderr, "gold.none").ends_with("up to date"), "{}", output.stderr);
}

#[test]
fn a_model_whose_input_is_missing_writes_nothing_and_says_what_makes_it() {
    let lake = shop();
    add(&lake, "silver.s", "id STRING", "SELECT id FROM bronze.orders");
    add(&lake, "gold.g", "n BIGINT", "SELECT count(*) AS n FROM silver.s");
    lake.run(&["run", "gold"]).says(
        1,
        &["gold.g: its input silver.s does not exist yet", "hint: `lake run silver` makes it"],
    );
    assert!(!lake.root().join("gold").exists(), "{:?}", below(&lake.root()));
    lake.run(&["run", "silver"]).says(
        1,
        &[
            "silver.s: its input bronze.orders does not exist yet",
            "`lake run bronze` reads its source",
        ],
    );
    assert!(!lake.root().join("silver").exists(), "{:?}", below(&lake.root()));
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT n FROM gold.g"), 2);
}

#[test]
fn a_model_that_fails_holds_back_what_depends_on_it_and_nothing_else() {
    let lake = shop();
    let totals = "id STRING, total BIGINT, CONSTRAINT small CHECK (total < 100)";
    add(&lake, "silver.bad", totals, "SELECT id, total FROM bronze.orders");
    add(&lake, "silver.good", "id STRING", "SELECT id FROM bronze.orders");
    lake.file("sql/silver/seen.sql", "/*---\nrefresh = \"view\"\n---*/\nSELECT id FROM silver.bad");
    add(&lake, "gold.of_bad", "n BIGINT", "SELECT count(*) AS n FROM silver.seen");
    add(&lake, "gold.of_good", "n BIGINT", "SELECT count(*) AS n FROM silver.good");
    lake.ok(&["run", "all"]);
    land(&lake, "b", &[("o3", "FR", 100)]);
    let output = lake.run(&["run", "all"]);
    output.says(
        1,
        &["failed: silver.bad; held back, since they depend on it: gold.of_bad", "check `small`"],
    );
    assert_eq!(lake.number("SELECT n FROM gold.of_good"), 3);
    assert_eq!(lake.number("SELECT n FROM gold.of_bad"), 2);
    assert_eq!(lake.number("SELECT count(*) AS n FROM silver.bad"), 2);
}

#[test]
fn a_source_that_stops_holds_up_no_other_table_and_no_model() {
    let lake = shop();
    lake.file(
        "lake/bronze/visits.sql",
        "-- One row per visit.\nCREATE TABLE bronze.visits (id STRING)\nTBLPROPERTIES ('lake.source' = 'folder:visits');",
    );
    add(&lake, "gold.orders", "n BIGINT", "SELECT count(*) AS n FROM bronze.orders");
    add(&lake, "gold.visits", "n BIGINT", "SELECT count(*) AS n FROM bronze.visits");
    lake.land("visits/a.ndjson", b"{\"id\":\"v1\"}\n");
    lake.ok(&["run", "all"]);
    // The file that was read is replaced.
    lake.land(
        "orders/a.ndjson",
        b"{\"id\":\"other\",\"country\":\"XX\",\"total\":1}\n{\"id\":\"z\"}\n",
    );
    lake.land("visits/b.ndjson", b"{\"id\":\"v2\"}\n");
    lake.run(&["run", "all"]).says(1, &["orders/a.ndjson"]);
    assert_eq!(lake.number("SELECT n FROM gold.visits"), 2);
    assert_eq!(lake.number("SELECT n FROM gold.orders"), 2);
}
