//! Files that a batch lists, and that are not there when it is read: nothing of them is lost, and
//! nothing waits for them.

use std::path::{Path, PathBuf};

use crate::names::run_and_be_killed;
use crate::support::{Lake, append};

const TABLE: &str = "-- One row per record.
CREATE TABLE bronze.t (id STRING NOT NULL)
TBLPROPERTIES ('lake.source' = 'folder:t');";

/// A lake that has read a file `0`, and its landing folder.
fn lake() -> (Lake, PathBuf) {
    let lake = Lake::with(&[("lake/bronze/t.sql", TABLE)]);
    let path = land(&lake, "0.ndjson", "0");
    lake.ok(&["run", "bronze"]);
    (lake, path.parent().unwrap().to_owned())
}

fn land(lake: &Lake, name: &str, id: &str) -> PathBuf {
    lake.land(&format!("t/{name}"), format!("{{\"id\":\"{id}\"}}\n").as_bytes())
}

#[track_caller]
fn ids(lake: &Lake) -> String {
    let rows = lake.rows("SELECT id FROM bronze.t ORDER BY id");
    rows.iter().map(|row| row["id"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

fn lag(lake: &Lake) -> String {
    let status = lake.ok(&["status", "--output", "ndjson"]).stdout;
    let row: serde_json::Value = serde_json::from_str(status.lines().next().unwrap()).unwrap();
    row["lag"].to_string()
}

fn move_to(from: &Path, to: &Path) {
    std::fs::rename(from, to).unwrap();
}

#[test]
fn a_listed_file_that_is_away_is_told_and_read_once_when_it_is_back() {
    let (lake, folder) = lake();
    land(&lake, "b.ndjson", "b");
    let broken = lake.land("t/c.ndjson", b"{\"id\":\"c\"}\nno json\n");
    run_and_be_killed(&lake);
    // The folder of a disk that is not mounted.
    let disk = folder.with_file_name("disk");
    move_to(&folder, &disk);
    std::fs::create_dir(&folder).unwrap();
    for _ in 0..2 {
        let says = ["t/b.ndjson, t/c.ndjson were listed for folder:t and not there", "accept-loss"];
        lake.run(&["run", "bronze"]).says(0, &says);
        assert_eq!((ids(&lake).as_str(), lag(&lake).as_str()), ("0", "2"));
    }
    // New files come in meanwhile.
    land(&lake, "n.ndjson", "n");
    lake.ok(&["run", "bronze"]);
    assert_eq!(ids(&lake), "0 n");
    std::fs::remove_dir_all(&folder).unwrap();
    move_to(&disk, &folder);
    append(&broken, b"{\"id\":\"d\"}\n");
    run_and_be_killed(&lake);
    let output = lake.ok(&["run", "bronze"]);
    assert!(!output.stderr.contains("not there"), "{}", output.stderr);
    for _ in 0..2 {
        lake.ok(&["run", "bronze"]);
        assert_eq!((ids(&lake).as_str(), lag(&lake).as_str()), ("0 b c d n", "0"));
        assert_eq!(lake.refused(), "not_json@1");
    }
}

#[test]
fn what_a_file_had_grown_by_while_it_was_away_is_read_behind_what_was_read() {
    let (lake, folder) = lake();
    let path = folder.join("0.ndjson");
    append(&path, b"{\"id\":\"1\"}\n");
    run_and_be_killed(&lake);
    let away = folder.with_file_name("away");
    move_to(&path, &away);
    lake.run(&["run", "bronze"]).says(0, &["t/0.ndjson was listed"]);
    move_to(&away, &path);
    append(&path, b"{\"id\":\"2\"}\n");
    lake.ok(&["run", "bronze"]);
    lake.ok(&["run", "bronze"]);
    assert_eq!(ids(&lake), "0 1 2");
    assert_eq!(lake.number("SELECT count(DISTINCT _offset) AS n FROM bronze.t"), 3);
}

#[test]
fn a_folder_in_the_place_of_a_listed_file_stops_nobody_and_is_read() {
    let (lake, folder) = lake();
    land(&lake, "b.ndjson", "b");
    run_and_be_killed(&lake);
    std::fs::remove_file(folder.join("b.ndjson")).unwrap();
    land(&lake, "b.ndjson/part-0.ndjson", "in");
    land(&lake, "n.ndjson", "n");
    for _ in 0..2 {
        lake.run(&["run", "bronze"]).says(0, &["t/b.ndjson was listed"]);
        assert_eq!(ids(&lake), "0 in n");
    }
    // What is known to be gone is given up once, and said no more.
    lake.run(&["run", "bronze", "--accept-loss", "folder:t"])
        .says(0, &["accepted for folder:t: t/b.ndjson"]);
    let output = lake.ok(&["run", "bronze"]);
    assert!(!output.stderr.contains("b.ndjson"), "{}", output.stderr);
    assert_eq!((ids(&lake).as_str(), lag(&lake).as_str()), ("0 in n", "0"));
}

#[test]
fn names_of_files_that_are_away_show_no_person() {
    let table = "-- One row per record.
CREATE TABLE bronze.t (id STRING NOT NULL, user_id STRING)
TBLPROPERTIES ('lake.source' = 'folder:t', 'lake.personal' = 'user_id');";
    let lake = Lake::with(&[("lake/bronze/t.sql", table)]);
    land(&lake, "0.ndjson", "0");
    lake.ok(&["run", "bronze"]);
    let path = land(&lake, "user_id=ann/b.ndjson", "b");
    run_and_be_killed(&lake);
    let away = path.with_file_name("away");
    move_to(&path, &away);
    let said = lake.ok(&["run", "bronze"]).stderr;
    assert!(said.contains("b.ndjson was listed") && !said.contains("ann"), "{said}");
    let log = crate::support::below(&lake.root().join("bronze/t/_delta_log"));
    let texts = log.iter().map(|path| std::fs::read_to_string(path).unwrap_or_default());
    assert!(!texts.collect::<String>().contains("user_id=ann"));
    move_to(&away, &path);
    lake.ok(&["run", "bronze"]);
    assert_eq!(ids(&lake), "0 b");
}
