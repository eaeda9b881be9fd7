//! `lake doctor` asks of tables and folders what a run asks of them.

use serde_json::{Value, json};

use crate::support::{Lake, below};

const BRONZE: &str = "-- One row is an event.
CREATE TABLE bronze.t (id STRING NOT NULL, n BIGINT)
TBLPROPERTIES ('lake.source' = 'folder:t'MORE);
";
const SILVER: &str = "-- One row is an event.\nCREATE TABLE silver.t (id STRING, n BIGINT);\n";

/// A lake after a run, for which a new file waits.
fn lake(more: &str) -> Lake {
    let lake = Lake::with(&[
        ("lake/bronze/t.sql", &BRONZE.replace("MORE", more)),
        ("lake/silver/t.sql", SILVER),
        ("sql/silver/t.sql", "-- One row is an event.\nSELECT id, n FROM bronze.t\n"),
    ]);
    lake.land("t/a.ndjson", b"{\"id\":\"1\",\"n\":1}\n");
    lake.ok(&["run", "all"]);
    lake.ok(&["doctor"]);
    lake.land("t/b.ndjson", b"{\"id\":\"2\",\"n\":2}\n");
    lake
}

/// Another tool gives a table a property, or takes the place of its protocol.
fn commit(lake: &Lake, table: &str, property: &str, value: &str, protocol: &Value) {
    let log = lake.root().join(table).join("_delta_log");
    let mut commits = below(&log);
    commits.retain(|path| path.extension().is_some_and(|end| end == "json"));
    let texts = commits.iter().map(|path| std::fs::read_to_string(path).unwrap());
    let actions = texts.flat_map(|text| {
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    });
    let mut metadata =
        actions.filter_map(|action| action.get("metaData").cloned()).next_back().unwrap();
    metadata["configuration"][property] = json!(value);
    let text = format!("{}\n{}\n", json!({"protocol": protocol}), json!({"metaData": metadata}));
    std::fs::write(log.join(format!("{:020}.json", commits.len())), text).unwrap();
}

/// What a run refuses, the doctor tells in the same words.
#[track_caller]
fn is_told(lake: &Lake, table: &str, part: &str) {
    let run = lake.run(&["run", "all"]);
    assert!(run.code != Some(0) && run.stderr.contains(part), "{}", run.stderr);
    let doctor = lake.run(&["doctor"]);
    doctor.says(1, &["needs mending"]);
    let is_it = |line: &&str| line.starts_with("FAIL") && line.contains(table);
    assert!(doctor.stdout.lines().any(|line| is_it(&line)), "{}", doctor.stdout);
    assert!(doctor.stdout.contains(part), "{}", doctor.stdout);
}

#[test]
fn the_doctor_tells_rules_of_other_tools() {
    let writer = json!({"minReaderVersion": 1, "minWriterVersion": 3});
    for table in ["bronze", "silver"] {
        let lake = lake("");
        commit(&lake, &format!("{table}/t"), "delta.constraints.small", "n > 0", &writer);
        is_told(&lake, &format!("{table}.t"), "delta.constraints.small");
    }
    let features = json!({"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["rowTracking", "domainMetadata"]});
    let lake = lake("");
    commit(&lake, "bronze/t", "some.property", "x", &features);
    is_told(&lake, "bronze.t", "which another tool asked for");
}

#[test]
fn the_doctor_tells_a_contract_that_its_rows_do_not_fit() {
    let lake = lake("");
    let contract = BRONZE.replace("MORE", "");
    lake.file("lake/bronze/t.sql", &contract.replace("n BIGINT", "n DOUBLE"));
    lake.file("lake/silver/t.sql", &SILVER.replace("n BIGINT", "n DOUBLE"));
    is_told(&lake, "bronze.t", "column `n` has another type");
    // A column more is no fault, and of a model all rows are computed anew.
    lake.file("lake/bronze/t.sql", &contract.replace("n BIGINT", "n BIGINT, more STRING"));
    lake.file("sql/silver/t.sql", "-- One row.\nSELECT id, CAST(n AS DOUBLE) AS n FROM bronze.t\n");
    lake.ok(&["doctor"]);
    lake.ok(&["run", "all"]);
}

#[test]
fn the_doctor_tells_another_key_and_a_log_of_batches_that_is_gone() {
    let mut lake = lake(", 'lake.personal' = 'id'");
    lake.set("LAKE_PRIVACY_KEY", "cd".repeat(32));
    is_told(&lake, "bronze.t", "were made under the key");
    lake.set("LAKE_PRIVACY_KEY", "5a".repeat(32));
    std::fs::remove_dir_all(lake.root().join("_lake/bronze.t")).unwrap();
    is_told(&lake, "bronze.t", "the log of batches ends before it");
}

#[test]
fn a_file_in_the_place_of_a_folder_is_told_and_holds_up_no_other() {
    let other = BRONZE.replace("MORE", "").replace("bronze.t", "bronze.u");
    let other = other.replace("folder:t", "folder:u");
    let lake = lake("");
    lake.file("lake/bronze/u.sql", &other);
    // A folder that is not there yet is none of these.
    lake.run(&["run", "all"]).says(0, &["no folder", "/u yet"]);
    lake.ok(&["doctor"]);
    lake.land("u", b"{\"id\":\"1\"}\n");
    lake.land("t/c.ndjson", b"{\"id\":\"3\"}\n");
    is_told(&lake, "folder:u", "is a file, where a folder of files is read");
    lake.run(&["status"]).says(1, &["is a file, where a folder of files is read", "mkdir"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.t"), 3);
    let landing = lake.folder().join("landing");
    std::fs::remove_file(landing.join("u")).unwrap();
    std::os::unix::fs::symlink("nowhere", landing.join("u")).unwrap();
    is_told(&lake, "folder:u", "is a link to a folder that is not there");
    std::fs::remove_file(landing.join("u")).unwrap();
    lake.land("u/a.ndjson", b"{\"id\":\"1\"}\n");
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.u"), 1);
}
