//! Tables whose contract, key or folders change: old rows stay right, or the change is refused with
//! its place.

use serde_json::json;

use crate::support::{Lake, below};

/// A contract of `bronze.orders` with these columns.
fn contract(columns: &str, properties: &str) -> String {
    format!(
        "-- One row per order.\nCREATE TABLE bronze.orders (\n  {columns}\n)\nTBLPROPERTIES ('lake.source' = 'folder:orders'{properties});\n"
    )
}

const CONTRACT: &str = "lake/bronze/orders.sql";

fn shop(columns: &str, properties: &str) -> Lake {
    let lake = Lake::with(&[(CONTRACT, &contract(columns, properties))]);
    lake.land("orders/a.ndjson", b"{\"id\":\"o1\",\"who\":\"ann\",\"total\":5}\n");
    lake
}

const COLUMNS: &str = "id STRING NOT NULL, who STRING, total BIGINT";

#[test]
fn a_new_column_that_rows_cannot_have_is_refused_with_its_place() {
    let lake = shop(COLUMNS, "");
    lake.ok(&["run", "bronze"]);
    lake.file(CONTRACT, &contract(&format!("{COLUMNS}, shop STRING NOT NULL"), ""));
    lake.run(&["run", "bronze"]).says(
        2,
        &[
            "column `shop` is new and NOT NULL",
            "lake/bronze/orders.sql:3:49",
            "allow NULL in a new column",
        ],
    );
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.orders"), 1);
    // With NULL allowed it comes in, and goes on to take rows.
    lake.file(CONTRACT, &contract(&format!("{COLUMNS}, shop STRING"), ""));
    lake.land("orders/b.ndjson", b"{\"id\":\"o2\",\"shop\":\"north\"}\n");
    lake.ok(&["run", "bronze"]);
    let rows = lake.rows("SELECT id, shop FROM bronze.orders ORDER BY id");
    assert_eq!(rows, [json!({"id": "o1", "shop": null}), json!({"id": "o2", "shop": "north"})]);
}

#[test]
fn a_stricter_or_another_column_is_refused_and_a_looser_one_is_not() {
    let lake = shop(COLUMNS, "");
    lake.ok(&["run", "bronze"]);
    for (columns, says) in [
        (
            "id STRING NOT NULL, who STRING, total BIGINT NOT NULL",
            "column `total` is NOT NULL in the contract",
        ),
        ("id STRING NOT NULL, who STRING, total DOUBLE", "column `total` has another type"),
        (
            "id STRING NOT NULL, who STRING",
            "column `total` is in the table, and no longer in the contract",
        ),
    ] {
        lake.file(CONTRACT, &contract(columns, ""));
        lake.run(&["run", "bronze"]).says(2, &[says, "lake/bronze/orders.sql"]);
    }
    lake.file(CONTRACT, &contract("id STRING, who STRING, total BIGINT", ""));
    lake.land("orders/b.ndjson", b"{\"who\":\"bob\"}\n");
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.orders WHERE id IS NULL"), 1);
}

#[test]
fn a_table_without_rows_takes_any_contract() {
    let lake = Lake::with(&[(CONTRACT, &contract(COLUMNS, ""))]);
    std::fs::create_dir_all(lake.folder().join("landing/orders")).unwrap();
    lake.ok(&["run", "bronze"]);
    lake.file(
        CONTRACT,
        &contract("shop STRING NOT NULL, total DOUBLE", ", 'lake.personal' = 'shop'"),
    );
    lake.land("orders/a.ndjson", b"{\"shop\":\"north\",\"total\":0.5}\n");
    lake.ok(&["run", "bronze"]);
    let rows = lake.rows("SELECT shop, total FROM bronze.orders");
    assert_eq!(rows[0]["total"], 0.5);
    assert_ne!(rows[0]["shop"], "north");
}

#[test]
fn a_column_that_becomes_personal_is_refused_while_its_values_are_there_raw() {
    let lake = shop(COLUMNS, "");
    lake.ok(&["run", "bronze"]);
    lake.file(CONTRACT, &contract(COLUMNS, ", 'lake.personal' = 'who'"));
    lake.run(&["run", "bronze"])
        .says(2, &["column `who` becomes personal", "raw", "lake/bronze/orders.sql:3:23"]);
    // A new column may be.
    let columns = format!("{COLUMNS}, mail STRING");
    lake.file(CONTRACT, &contract(&columns, ", 'lake.personal' = 'mail'"));
    lake.land("orders/b.ndjson", b"{\"id\":\"o2\",\"mail\":\"ann@example.com\"}\n");
    lake.ok(&["run", "bronze"]);
    let pseudonym = lake.rows("SELECT mail FROM bronze.orders WHERE id = 'o2'")[0]["mail"].clone();
    assert_eq!(pseudonym.as_str().unwrap().len(), 39, "{pseudonym}");
    for (personal, says) in
        [("", "is no longer personal"), (", 'lake.personal' = 'mail = who'", "under another name")]
    {
        lake.file(CONTRACT, &contract(&columns, personal));
        lake.run(&["run", "bronze"]).says(2, &["column `mail`", says]);
    }
}

#[test]
fn another_key_is_refused_and_named_and_the_first_one_goes_on() {
    let mut lake = shop(COLUMNS, ", 'lake.personal' = 'who'");
    lake.ok(&["run", "bronze"]);
    lake.land("orders/b.ndjson", b"{\"id\":\"o2\",\"who\":\"ann\"}\n");
    let key = "6b".repeat(32);
    lake.set("LAKE_PRIVACY_KEY", key.as_str());
    let output = lake.run(&["run", "bronze"]);
    output.says(2, &["bronze.orders: its pseudonyms were made under the key", "LAKE_PRIVACY_KEY"]);
    assert!(!output.stderr.contains(&key), "{}", output.stderr);
    lake.set("LAKE_PRIVACY_KEY", "5a".repeat(32));
    lake.ok(&["run", "bronze"]);
    let rows = lake.rows("SELECT DISTINCT who FROM bronze.orders");
    assert_eq!(rows.len(), 1, "one person, one pseudonym: {rows:?}");
}

#[test]
fn a_decimal_is_found_by_its_own_value() {
    let lake = shop("id STRING, d STRING", "");
    let values = ["9007199254740993", "123456789012345678.99", "-0.01", "99999999999999999999.99"];
    for (i, value) in values.iter().enumerate() {
        let line = json!({"id": i.to_string(), "d": value}).to_string() + "\n";
        lake.land(&format!("orders/{i}.ndjson"), line.as_bytes());
    }
    lake.file(
        "lake/silver/s.sql",
        "-- One row per order.\nCREATE TABLE silver.s (id STRING, d DECIMAL(22,2), n STRUCT<d DECIMAL(22,2)>);",
    );
    lake.file("sql/silver/s.sql", "SELECT id, CAST(d AS DECIMAL(22,2)) AS d, named_struct('d', CAST(d AS DECIMAL(22,2))) AS n FROM bronze.orders WHERE d IS NOT NULL");
    lake.ok(&["run", "all"]);
    for value in values {
        for column in ["d", "n['d']"] {
            let sql = format!(
                "SELECT count(*) AS n FROM silver.s WHERE {column} = CAST('{value}' AS DECIMAL(22,2))"
            );
            assert_eq!(lake.number(&sql), 1, "{sql}");
        }
    }
    // What readers of the log go by: no bounds of decimals, and all others.
    for path in below(&lake.root().join("silver/s/_delta_log")) {
        for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
            let action: serde_json::Value = serde_json::from_str(line).unwrap();
            let Some(stats) = action["add"]["stats"].as_str() else { continue };
            let stats: serde_json::Value = serde_json::from_str(stats).unwrap();
            assert!(
                stats["minValues"]["id"].is_string() && stats["nullCount"]["d"] == 0,
                "{stats}"
            );
            assert!(stats["maxValues"].get("d").is_none(), "{stats}");
            assert!(stats["maxValues"]["n"].get("d").is_none(), "{stats}");
        }
    }
}

#[test]
fn a_record_whose_value_cannot_name_a_folder_is_quarantined_alone() {
    let text = contract("id STRING, shop STRING", "")
        .replace(")\nTBLPROPERTIES", ")\nPARTITIONED BY (shop)\nTBLPROPERTIES");
    let lake = Lake::with(&[(CONTRACT, &text)]);
    let long = "n".repeat(300);
    let shops = [
        json!("north"),
        json!(long),
        json!(""),
        json!("__HIVE_DEFAULT_PARTITION__"),
        json!("a/b é"),
        json!(null),
        json!("s".repeat(200)),
    ];
    let lines = shops.iter().enumerate();
    let lines =
        lines.map(|(i, shop)| json!({"id": i.to_string(), "shop": shop}).to_string() + "\n");
    lake.land("orders/a.ndjson", lines.collect::<String>().as_bytes());
    lake.ok(&["run", "bronze"]);
    let kept = lake.rows("SELECT id, shop FROM bronze.orders ORDER BY id");
    let expected = [0, 4, 5, 6].map(|i| json!({"id": i.to_string(), "shop": shops[i]}));
    assert_eq!(kept, expected);
    let rows = lake.rows(
        "SELECT position, error_class, error_message FROM bronze.quarantine ORDER BY position",
    );
    let positions: Vec<i64> = rows.iter().map(|row| row["position"].as_i64().unwrap()).collect();
    assert_eq!(positions, [1, 2, 3]);
    for row in &rows {
        assert_eq!(row["error_class"], "out_of_range", "{row}");
        assert!(
            row["error_message"].as_str().unwrap().starts_with("`shop` names a folder"),
            "{row}"
        );
    }
}

#[test]
fn a_model_whose_value_cannot_name_a_folder_says_which_column() {
    let lake = shop(COLUMNS, "");
    lake.file(
        "lake/gold/g.sql",
        "-- One row per order.\nCREATE TABLE gold.g (id STRING, who STRING)\nPARTITIONED BY (who);",
    );
    lake.file("sql/gold/g.sql", "SELECT id, repeat(who, 100) AS who FROM bronze.orders");
    let output = lake.run(&["run", "all"]);
    output.says(1, &["gold.g: `who` names a folder, and is too long for one"]);
    assert!(!output.stderr.contains("annann"), "{}", output.stderr);
    lake.file("sql/gold/g.sql", "SELECT id, repeat(who, 80) AS who FROM bronze.orders");
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM gold.g WHERE length(who) = 240"), 1);
}

#[test]
fn rows_that_a_narrower_contract_does_not_take_are_counted_once() {
    let columns = |id: &str, rest: &str| format!("{id} NOT NULL, who STRING, total BIGINT{rest}");
    let lake = shop(&columns("id STRING", ""), "");
    lake.land("orders/b.ndjson", b"{\"id\":\"long\",\"total\":0}\n{\"id\":\"17\"}\n");
    lake.ok(&["run", "bronze"]);
    let unhealthy = || lake.ok(&["status", "--output", "ndjson"]).stdout.contains("unhealthy");
    let change = |id: &str, rest: &str, says: &[&str]| {
        lake.file(CONTRACT, &contract(&columns(id, rest), ""));
        let told = lake.ok(&["run", "bronze"]).stderr;
        for part in says {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert_eq!(told.contains("narrower"), !says.is_empty(), "{told}");
        assert_eq!(unhealthy(), !says.is_empty());
        // Once for each change.
        let again = lake.ok(&["run", "bronze"]).stderr;
        assert!(!again.contains("narrower"), "{again}");
    };
    change("id VARCHAR(4)", "", &[]);
    change("id VARCHAR(2)", "", &["break it (`id` is longer than its VARCHAR: 1 row)", "_lake/"]);
    change("id VARCHAR(9)", "", &[]);
    change("id JSON", "", &["`id` is no JSON: 2 rows"]);
    change("id STRING", "", &[]);
    change("id STRING", ", CONSTRAINT c CHECK (total > 0)", &["check `c`: 1 row"]);
    // A check that cannot be computed for a row is broken by that row.
    change("id STRING", ", CONSTRAINT c CHECK (10 / total > 0)", &["check `c`: 1 row"]);
    change("id STRING", ", CONSTRAINT c CHECK (total >= 0)", &[]);
    change("id STRING", ", extra STRING, CONSTRAINT c CHECK (extra IS NULL)", &[]);
    // New records are judged by it; what is there stays.
    change("id VARCHAR(2)", ", extra STRING", &["longer than its VARCHAR: 1 row"]);
    lake.land("orders/c.ndjson", b"{\"id\":\"long2\"}\n{\"id\":\"18\"}\n");
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.orders"), 4);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.quarantine"), 1);
}

#[test]
fn check_says_what_a_table_cannot_follow_and_makes_nothing() {
    let lake = shop(COLUMNS, "");
    lake.ok(&["check"]);
    assert!(!lake.root().exists());
    lake.ok(&["run", "bronze"]);
    let before = below(&lake.root());
    for (columns, properties, says) in [
        ("id STRING NOT NULL, who STRING, total DOUBLE", "", "column `total` has another type"),
        ("id STRING NOT NULL, who STRING", "", "no longer in the contract"),
        (COLUMNS, ", 'lake.personal' = 'who'", "becomes personal"),
    ] {
        lake.file(CONTRACT, &contract(columns, properties));
        lake.run(&["check"]).says(2, &[says, "1 mistake"]);
    }
    lake.file(CONTRACT, &contract(&format!("{COLUMNS}, shop STRING"), ""));
    lake.ok(&["check"]);
    assert_eq!(below(&lake.root()), before);
}
