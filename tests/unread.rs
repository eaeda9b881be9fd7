//! A table that is made and not filled yet is not there: nothing is computed from rows that nobody
//! has computed or read.

use crate::support::{Lake, below};

const KEEN: &str = ", CONSTRAINT keen CHECK (n > 5)";

fn add(lake: &Lake, name: &str, columns: &str, query: &str) {
    let path = name.replace('.', "/");
    let contract = format!("-- One row per key.\nCREATE TABLE {name} ({columns});");
    lake.file(&format!("lake/{path}.sql"), &contract);
    lake.file(&format!("sql/{path}.sql"), query);
}

fn source(lake: &Lake, table: &str, columns: &str, properties: &str) {
    let contract = format!(
        "-- One row per record.\nCREATE TABLE bronze.{table} (id STRING, n BIGINT{columns})\nTBLPROPERTIES ({properties});"
    );
    lake.file(&format!("lake/bronze/{table}.sql"), &contract);
}

/// A lake of `bronze.t`, with one record, and `gold.h`, which counts it.
fn lake() -> Lake {
    let lake = Lake::with(&[]);
    source(&lake, "t", "", "'lake.source' = 'folder:t'");
    add(&lake, "gold.h", "n BIGINT", "SELECT count(*) AS n FROM bronze.t");
    lake.land("t/a.ndjson", b"{\"id\":\"a\",\"n\":1}\n");
    lake
}

/// What a run of gold alone says while `input` is not there.
#[track_caller]
fn is_missing(lake: &Lake, input: &str, way_out: &str) {
    let expected = format!("gold.g: its input {input} does not exist yet");
    lake.run(&["run", "gold"]).says(1, &[&expected, way_out]);
    lake.run(&["sql", &format!("SELECT * FROM {input}")]).says(2, &["nothing has made it yet"]);
    assert!(!lake.root().join("gold/g").exists(), "{:?}", below(&lake.root()));
}

#[test]
fn a_model_that_never_got_to_an_end_has_no_table_for_others() {
    let lake = lake();
    add(&lake, "silver.s", &format!("id STRING, n BIGINT{KEEN}"), "SELECT id, n FROM bronze.t");
    lake.file("sql/silver/v.sql", "/*---\nrefresh = \"view\"\n---*/\nSELECT n FROM silver.s");
    add(&lake, "gold.g", "n BIGINT", "SELECT count(*) AS n FROM silver.v");
    lake.run(&["run", "all"])
        .says(1, &["check `keen`", "held back, since they depend on it: gold.g"]);
    is_missing(&lake, "silver.s", "`lake run silver` makes it");
    assert_eq!(lake.number("SELECT n FROM gold.h"), 1);
    lake.land("t/b.ndjson", b"{\"id\":\"b\",\"n\":9}\n");
    add(&lake, "silver.s", "id STRING, n BIGINT", "SELECT id, n FROM bronze.t WHERE n > 5");
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT n FROM gold.g"), 1);
}

#[test]
fn a_model_without_rows_has_a_table() {
    let lake = lake();
    add(&lake, "silver.s", "id STRING", "SELECT id FROM bronze.t WHERE n > 5");
    add(&lake, "gold.g", "n BIGINT", "SELECT count(*) AS n FROM silver.s");
    for layer in ["bronze", "silver", "gold"] {
        lake.ok(&["run", layer]);
    }
    assert_eq!(lake.number("SELECT n FROM gold.g"), 0);
    assert_eq!(lake.number("SELECT count(*) AS n FROM silver.s"), 0);
}

#[test]
fn brokers_that_never_answered_hold_back_what_reads_their_topics() {
    let mut lake = lake();
    source(&lake, "k", "", "'lake.source' = 'kafka:k'");
    add(&lake, "silver.s", "id STRING", "SELECT id FROM bronze.k");
    add(&lake, "gold.g", "n BIGINT", "SELECT count(*) AS n FROM silver.s");
    lake.set("LAKE_KAFKA_BROKERS", "127.0.0.1:1");
    lake.set("LAKE_KAFKA_TIMEOUT", "1s");
    let held_back = "failed: bronze.k; held back, since they depend on it: gold.g, silver.s";
    lake.run(&["run", "all"]).says(75, &["no broker answers", held_back]);
    assert_eq!(lake.number("SELECT n FROM gold.h"), 1);
    is_missing(&lake, "silver.s", "`lake run silver` makes it");
    lake.run(&["run", "silver"]).says(1, &["its input bronze.k does not exist yet"]);
    // A contract that has gained a column brings no rows.
    source(&lake, "k", ", more STRING", "'lake.source' = 'kafka:k'");
    lake.run(&["run", "all"]).says(75, &[held_back]);
    // A source that is configured away is none to wait for.
    lake.set("LAKE_KAFKA_BROKERS", "");
    lake.run(&["run", "all"]).says(0, &["kafka:k: left out"]);
    assert_eq!(lake.number("SELECT n FROM gold.g"), 0);
    lake.run(&["run", "all"]).is_up_to_date("gold.g");
}

#[test]
fn brokers_that_are_named_later_hold_back_what_was_never_read() {
    let mut lake = lake();
    source(&lake, "k", "", "'lake.source' = 'kafka:k'");
    lake.ok(&["run", "bronze"]);
    add(&lake, "gold.g", "n BIGINT", "SELECT count(*) AS n FROM bronze.k");
    lake.set("LAKE_KAFKA_BROKERS", "127.0.0.1:1");
    lake.set("LAKE_KAFKA_TIMEOUT", "1s");
    lake.run(&["run", "all"]).says(75, &["failed: bronze.k; held back", "gold.h"]);
    assert!(!lake.root().join("gold/g").exists());
}

#[test]
fn a_batch_that_never_came_in_holds_back_what_reads_its_table() {
    let lake = lake();
    source(&lake, "u", KEEN, "'lake.source' = 'folder:u', 'lake.else.keen' = 'fail'");
    add(&lake, "gold.g", "n BIGINT", "SELECT count(*) AS n FROM bronze.u");
    lake.land("u/a.ndjson", b"{\"id\":\"a\",\"n\":1}\n");
    lake.run(&["run", "all"]).says(1, &["check `keen`", "held back"]);
    is_missing(&lake, "bronze.u", "`lake run bronze` reads its source");
    assert_eq!(lake.number("SELECT n FROM gold.h"), 1);
    source(&lake, "u", "", "'lake.source' = 'folder:u'");
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT n FROM gold.g"), 1);
}

#[test]
fn sources_without_records_and_sources_that_are_configured_away_have_a_table() {
    let lake = lake();
    for (table, source_of) in [("away", "kafka:away, folder:none"), ("empty", "folder:empty")] {
        source(&lake, table, "", &format!("'lake.source' = '{source_of}'"));
    }
    std::fs::create_dir_all(lake.folder().join("landing/empty")).unwrap();
    let both = "SELECT count(*) AS n FROM (SELECT id FROM bronze.away UNION ALL SELECT id FROM bronze.empty)";
    add(&lake, "gold.g", "n BIGINT", both);
    lake.ok(&["run", "bronze"]);
    lake.ok(&["run", "gold"]);
    assert_eq!(lake.number("SELECT n FROM gold.g"), 0);
    lake.ok(&["run", "bronze"]);
    lake.run(&["run", "gold"]).is_up_to_date("gold.g");
    lake.land("empty/a.ndjson", b"{\"id\":\"a\"}\n");
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT n FROM gold.g"), 1);
}

#[test]
fn a_model_over_an_input_that_has_yet_to_gain_a_column_says_what_to_run() {
    let lake = lake();
    add(&lake, "silver.s", "id STRING, n BIGINT", "SELECT id, n FROM bronze.t");
    add(&lake, "gold.g", "n BIGINT", "SELECT sum(n) AS n FROM silver.s");
    lake.ok(&["run", "all"]);
    add(&lake, "silver.s", "id STRING, n BIGINT, z BIGINT", "SELECT id, n, n AS z FROM bronze.t");
    // What does not ask for it is computed all the same.
    lake.ok(&["run", "gold", "--full-refresh"]);
    add(&lake, "gold.g", "n BIGINT", "SELECT sum(z) AS n FROM silver.s");
    let says = ["gold.g: its input silver.s has no column `z` yet", "`lake run silver` adds it"];
    lake.run(&["run", "gold"]).says(1, &says);
    lake.ok(&["run", "silver"]);
    lake.ok(&["run", "gold"]);
    assert_eq!(lake.number("SELECT n FROM gold.g"), 1);
}

#[test]
fn a_view_of_what_nobody_has_made_says_what_makes_it() {
    let lake = lake();
    lake.file("sql/silver/v.sql", "/*---\nrefresh = \"view\"\n---*/\nSELECT n FROM bronze.t");
    let says = ["it is a view of bronze.t, which nothing has made yet: `lake run bronze` does"];
    lake.run(&["sql", "SELECT * FROM silver.v"]).says(2, &says);
    // A layer of nothing but views is one.
    lake.ok(&["run", "silver"]);
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number("SELECT n FROM silver.v"), 1);
}

#[test]
fn a_lost_file_of_a_source_is_no_reason_to_compute_it_anew() {
    let lake = lake();
    add(&lake, "gold.k", "n BIGINT", "SELECT sum(n) AS n FROM bronze.t");
    lake.ok(&["run", "all"]);
    for path in below(&lake.root().join("bronze/t")) {
        if path.extension().is_some_and(|ending| ending == "parquet") {
            std::fs::remove_file(path).unwrap();
        }
    }
    for arguments in
        [["run", "gold", "--full-refresh"].as_slice(), &["sql", "SELECT * FROM bronze.t"]]
    {
        let output = lake.run(arguments);
        output.says(1, &["table bronze.t", "_lake/bronze.t away"]);
        assert!(!output.stderr.contains("--full-refresh"), "{}", output.stderr);
    }
}
