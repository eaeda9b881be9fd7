//! Contracts as people bring them from Spark: what says something plain is taken, and the rest is
//! told in words of ours, at its place.

use serde_json::Value;

use crate::support::Lake;

const P: &str = "TBLPROPERTIES ('lake.source' = 'folder:q')";

fn lake(contract: &str) -> Lake {
    Lake::with(&[("lake/bronze/q.sql", contract)])
}

/// Asserts that a contract is refused at a word, with parts of the message.
#[track_caller]
fn is_refused(contract: &str, word: &str, parts: &[&str]) {
    let output = lake(&format!("-- One row.\n{contract}\n")).run(&["check"]);
    output.says(2, parts);
    let column = contract.find(word).unwrap() + 1;
    output.says(2, &[&format!("lake/bronze/q.sql:2:{column}"), "help:"]);
}

#[test]
fn plain_clauses_of_spark_are_taken_in_any_order() {
    for behind in [
        format!("USING DELTA {P}"),
        format!("USING delta PARTITIONED BY (day) COMMENT 'One row.' {P}"),
        format!("{P} PARTITIONED BY (day) USING DELTA;"),
        format!("COMMENT = 'One row.' {P};"),
        "TBLPROPERTIES (lake.source = 'folder:q', delta.checkpointInterval = '20')".to_owned(),
    ] {
        let lake = lake(&format!(
            "CREATE TABLE bronze.q (id STRING, day DATE, s STRUCT<a: STRING, b: STRUCT<c:INT>>) {behind}"
        ));
        lake.run(&["check"]).says(0, &["no mistakes: 1 contracts"]);
        lake.land("q/a.ndjson", b"{\"id\":\"1\",\"s\":{\"a\":\"x\",\"b\":{\"c\":7}}}\n");
        lake.ok(&["run", "bronze"]);
        assert_eq!(lake.number("SELECT s['b']['c'] AS n FROM bronze.q"), 7, "{behind}");
    }
}

#[test]
fn a_comment_of_the_table_is_its_description() {
    for (above, behind, expected) in [
        ("", "COMMENT 'One row is a click.'", "One row is a click."),
        ("-- A note.\n", "COMMENT 'One row is a click.'", "One row is a click."),
        ("-- One row is a tap.\n", "", "One row is a tap."),
    ] {
        let lake = lake(&format!("{above}CREATE TABLE bronze.q (id STRING) {behind} {P};"));
        lake.land("q/a.ndjson", b"{\"id\":\"1\"}\n");
        lake.ok(&["run", "bronze"]);
        let log = lake.root().join("bronze/q/_delta_log/00000000000000000000.json");
        let text = std::fs::read_to_string(log).unwrap();
        let mut actions = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let metadata = actions.find_map(|action| action.get("metaData").cloned()).unwrap();
        assert_eq!(metadata["description"], expected);
    }
}

#[test]
fn what_cannot_be_taken_is_told_at_its_place_with_the_way_out() {
    let of = |columns: &str, behind: &str| format!("CREATE TABLE bronze.q ({columns}) {behind};");
    let cluster = format!("CLUSTER BY (id) {P}");
    is_refused(&of("id STRING", &cluster), "CLUSTER", &["PARTITIONED BY (column"]);
    is_refused(
        &of("id STRING", &format!("LOCATION 'x' {P}")),
        "LOCATION",
        &["below the setting `root`"],
    );
    is_refused(&of("id STRING", &format!("USING parquet {P}")), "USING", &["Delta tables"]);
    is_refused(&of("id STRING", &format!("COMMENT \"x\" {P}")), "COMMENT", &["single quotes"]);
    is_refused(
        &of("id STRING", &format!("TBLPROPERTY ('a' = 'b') {P}")),
        "TBLPROPERTY (",
        &["did you mean TBLPROPERTIES?"],
    );
    is_refused(&of("id STRING, m MAP<STRING, BIGINT>", P), "MAP", &["is not one of", "write JSON"]);
    is_refused(&of("id STRING, m ARRAY<STRING>", P), "m ARRAY", &["is not one of", "write JSON"]);
    is_refused(&of("id STRING, f FLOAT", P), "f FLOAT", &["is not one of", "write DOUBLE"]);
    is_refused(&of("id STRING,", P), ",)", &["nothing follows this comma"]);
    is_refused(&of("id STRING,, n INT", P), ",,", &["nothing follows this comma"]);
    is_refused(
        &of("id STRING", "TBLPROPERTIES ('lake.source' = 'folder:q',)"),
        ",)",
        &["nothing follows this comma"],
    );
    is_refused(&of("s STRUCT<a: INT NOT NULL>", P), "NOT NULL", &["write a check"]);
    is_refused(&of("s STRUCT<a: INT COMMENT 'x'>", P), "COMMENT", &["lake.comment.column.field"]);
    is_refused(&of("id STRING COMMENT \"x\"", P), "\"x\"", &["single quotes"]);
    let twice = format!("{P} {P}");
    let output = lake(&of("id STRING", &twice)).run(&["check"]);
    output.says(2, &["TBLPROPERTIES", "help:"]);
}
