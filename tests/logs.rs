//! Logs of tables that other tools wrote to or cleaned up: what is there is read, and rows that they
//! changed are told.

use serde_json::json;

use crate::others::{commit, count, lake, land, log, newest};
use crate::support::Lake;

#[test]
fn a_hint_or_a_checkpoint_that_is_wrong_hides_no_table_whose_commits_are_there() {
    let lake = lake();
    for id in 2..13 {
        land(&lake, id);
        lake.ok(&["run", "bronze"]);
    }
    let (log, mut rows) = (log(&lake, "bronze/t"), 12);
    let hint = log.join("_last_checkpoint");
    let checkpoint = log.join(format!("{:020}.checkpoint.parquet", 10));
    let whole = std::fs::read(&checkpoint).unwrap();
    assert!(hint.exists());
    for text in [
        "{\"version\":3,\"size\":10}",
        "{\"version\":99,\"size\":10}",
        "{\"version\":10,\"size\":10,\"parts\":4}",
        "{\"ver",
        "",
    ] {
        std::fs::write(&hint, text).unwrap();
        assert_eq!(count(&lake, "bronze.t"), rows, "{text}");
        rows += 1;
        land(&lake, u32::try_from(rows).unwrap());
        lake.ok(&["run", "bronze"]);
        assert_eq!(count(&lake, "bronze.t"), rows, "{text}");
        assert_eq!(std::fs::read_to_string(&hint).unwrap(), text, "a read changes nothing");
        lake.ok(&["sql", "--version", "bronze.t=5", "SELECT count(*) AS n FROM bronze.t"]);
    }
    for bytes in [&whole[..100], b"".as_slice(), b"PAR1xPAR1".as_slice()] {
        std::fs::write(&checkpoint, bytes).unwrap();
        std::fs::write(&hint, "{\"version\":10,\"size\":10}").unwrap();
        assert_eq!(count(&lake, "bronze.t"), rows);
    }
    std::fs::remove_file(&checkpoint).unwrap();
    // The next checkpoint of ours mends the hint.
    for _ in 0..4 {
        rows += 1;
        land(&lake, u32::try_from(rows).unwrap());
        lake.ok(&["run", "bronze"]);
    }
    assert!(std::fs::read_to_string(&hint).unwrap().contains("\"version\":20"));
    assert_eq!(count(&lake, "bronze.t"), rows);
    // A log that does not begin at its first version is not taken for a whole one.
    std::fs::write(&hint, "{\"version\":10,\"size\":10}").unwrap();
    for version in 0..3 {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    assert_eq!(count(&lake, "bronze.t"), rows, "its checkpoint is there");
    std::fs::remove_file(log.join(format!("{:020}.checkpoint.parquet", 20))).unwrap();
    lake.run(&["sql", "SELECT count(*) FROM bronze.t"]).says(1, &["bronze.t"]);
}

#[test]
fn rows_of_a_source_that_another_tool_took_away_are_told_with_the_way_out() {
    let lake = lake();
    land(&lake, 2);
    lake.ok(&["run", "all"]);
    let said = |lake: &Lake| lake.ok(&["run", "bronze"]).stderr;
    let health = |lake: &Lake| lake.ok(&["status", "--output", "ndjson"]).stdout;
    assert!(!said(&lake).contains("another tool") && !health(&lake).contains("another tool"));
    // Who compacts changes no row.
    let add = newest(&lake, "bronze/t", "add");
    let remove = |changes| json!({"remove": {"path": add["path"], "dataChange": changes, "deletionTimestamp": 1}});
    let mut again = add.clone();
    again["dataChange"] = json!(false);
    commit(&lake, "bronze/t", &[remove(false), json!({"add": again})]);
    assert!(!said(&lake).contains("another tool") && !health(&lake).contains("another tool"));
    commit(&lake, "bronze/t", &[remove(true)]);
    let told = said(&lake);
    assert!(told.contains("bronze.t: another tool changed its rows since version"), "{told}");
    assert!(told.contains("RESTORE") && told.contains("_lake/bronze.t"), "{told}");
    assert!(health(&lake).contains("unhealthy: another tool changed its rows since"));
    // What was read counts as read, and what is new comes in.
    land(&lake, 3);
    lake.ok(&["run", "all"]);
    assert_eq!(count(&lake, "bronze.t"), 2);
    assert!(!said(&lake).contains("another tool"));
}
