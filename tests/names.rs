//! Names, links and times of landing files: one odd entry holds up nobody.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Lake;

const TABLE: &str = "-- One row per record.
CREATE TABLE bronze.t (id STRING NOT NULL)
TBLPROPERTIES ('lake.source' = 'folder:t');";

const COUNT: &str = "SELECT count(*) AS n FROM bronze.t";

/// A lake with a good file, and its landing folder.
fn lake() -> (Lake, PathBuf) {
    let lake = Lake::with(&[("lake/bronze/t.sql", TABLE)]);
    let path = lake.land("t/good.ndjson", b"{\"id\":\"good\"}\n");
    let folder = path.parent().unwrap().to_owned();
    (lake, folder)
}

fn write(path: &Path, id: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("{{\"id\":\"{id}\"}}\n")).unwrap();
}

#[track_caller]
fn ids(lake: &Lake) -> String {
    let rows = lake.rows("SELECT id FROM bronze.t ORDER BY id");
    rows.iter().map(|row| row["id"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_name_that_is_no_text_is_told_and_all_others_are_read() {
    let (lake, folder) = lake();
    write(&folder.join(OsStr::from_bytes(b"caf\xe9.ndjson")), "latin");
    write(&folder.join("tab\there.ndjson"), "tab");
    write(&folder.join("line\nend.csv"), "line");
    write(&folder.join(OsStr::from_bytes(b"sub/\xff\xfe/x.ndjson")), "folder");
    write(&folder.join("sub/na\u{ef}ve % # ? [1] ' .ndjson"), "odd");
    let output = lake.run(&["run", "bronze"]);
    output.says(0, &["t/caf\\xE9.ndjson: left out, its name is no UTF-8: rename it"]);
    output.says(0, &["t/tab\\there.ndjson: left out, its name has a control character"]);
    output.says(0, &["t/line\\nend.csv: left out", "t/sub/\\xFF\\xFE: left out"]);
    assert_eq!(ids(&lake), "good odd");
    lake.ok(&["status"]);
}

#[test]
fn links_are_followed_within_the_landing_folder_and_nowhere_else() {
    let (lake, folder) = lake();
    let secret = lake.folder().join("secret");
    write(&secret.join("a.ndjson"), "secret");
    write(&folder.join("_kept/b.ndjson"), "kept");
    write(&folder.join("sub/c.ndjson"), "sub");
    symlink(secret.join("a.ndjson"), folder.join("out.ndjson")).unwrap();
    symlink(&secret, folder.join("outside")).unwrap();
    symlink("../../secret/a.ndjson", folder.join("relative.ndjson")).unwrap();
    symlink(".", folder.join("again")).unwrap();
    symlink("..", folder.join("sub/up")).unwrap();
    symlink("nowhere", folder.join("broken.ndjson")).unwrap();
    symlink("self.ndjson", folder.join("self.ndjson")).unwrap();
    symlink("_kept/b.ndjson", folder.join("within.ndjson")).unwrap();
    let output = lake.run(&["run", "bronze"]);
    for name in ["out.ndjson", "outside", "relative.ndjson"] {
        output.says(0, &[&format!("t/{name}: left out, it is a link out of the landing folder")]);
    }
    for name in ["again", "sub/up", "broken.ndjson", "self.ndjson"] {
        output.says(0, &[&format!("t/{name}: left out, it is a link")]);
    }
    assert_eq!(ids(&lake), "good kept sub");
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.quarantine"), 0);
}

#[test]
fn a_file_that_becomes_a_link_out_is_not_read_through_it() {
    let (lake, folder) = lake();
    lake.ok(&["run", "bronze"]);
    write(&lake.folder().join("secret.ndjson"), "secret");
    std::fs::remove_file(folder.join("good.ndjson")).unwrap();
    symlink(lake.folder().join("secret.ndjson"), folder.join("good.ndjson")).unwrap();
    lake.run(&["run", "bronze"]).says(0, &["t/good.ndjson: left out, it is a link out"]);
    assert_eq!(ids(&lake), "good");
}

#[test]
fn a_pipe_is_told_and_nobody_waits_for_it() {
    let (lake, folder) = lake();
    assert!(Command::new("mkfifo").arg(folder.join("p.ndjson")).status().unwrap().success());
    lake.run(&["run", "bronze"]).says(0, &["t/p.ndjson: left out, it is no plain file"]);
    assert_eq!(ids(&lake), "good");
}

#[test]
fn what_looks_unfinished_or_like_a_table_is_told_with_the_way_out() {
    let (lake, folder) = lake();
    write(&folder.join("_new/a.ndjson"), "a");
    write(&folder.join("b.ndjson.part"), "b");
    write(&folder.join("_SUCCESS"), "c");
    write(&folder.join("table/_delta_log/0.json"), "d");
    write(&folder.join("table/part.ndjson"), "e");
    let output = lake.run(&["run", "bronze"]);
    output.says(0, &["t/_new and t/b.ndjson.part: left out as unfinished", "rename"]);
    output.says(0, &["t/table: left out, it is a table"]);
    assert!(!output.stderr.contains("SUCCESS"), "{}", output.stderr);
    assert_eq!(ids(&lake), "good");
}

#[test]
fn a_replaced_file_is_named_at_the_end_and_its_neighbours_come_in() {
    let (lake, folder) = lake();
    lake.ok(&["run", "bronze"]);
    write(&folder.join("good.ndjson"), "replaced");
    write(&folder.join("a.ndjson"), "a");
    write(&folder.join("z.ndjson"), "z");
    lake.run(&["run", "bronze"]).says(1, &["t/good.ndjson", "other content"]);
    assert_eq!(ids(&lake), "a good z");
}

/// Waits until a table has so many rows.
#[track_caller]
fn wait(lake: &Lake, n: i64) {
    let began = Instant::now();
    while lake.number(COUNT) != n {
        assert!(began.elapsed() < Duration::from_mins(1), "{} of {n} rows", lake.number(COUNT));
    }
}

#[test]
fn a_run_that_follows_reads_a_file_of_the_future_and_tells_things_once() {
    let (mut lake, folder) = lake();
    lake.set("LAKE_INGEST_INTERVAL", "100ms");
    lake.ok(&["run", "bronze"]);
    let future = folder.join("future.ndjson");
    write(&future, "future");
    let file = std::fs::File::options().append(true).open(&future).unwrap();
    let written = file.metadata().unwrap().modified().unwrap();
    file.set_modified(written + Duration::from_hours(48)).unwrap();
    symlink("/etc/hostname", folder.join("out.ndjson")).unwrap();
    write(&folder.join("readme.txt"), "x");
    let mut command = lake.command(&["run", "bronze", "--follow"]);
    let mut follower = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait(&lake, 2);
    write(&folder.join("last.ndjson"), "last");
    wait(&lake, 3);
    let pid = follower.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let mut told = String::new();
    std::io::Read::read_to_string(follower.stderr.as_mut().unwrap(), &mut told).unwrap();
    assert_eq!(follower.wait().unwrap().code(), Some(130), "{told}");
    for name in ["t/out.ndjson", "t/readme.txt"] {
        assert_eq!(told.matches(name).count(), 1, "{told}");
    }
}

/// What a run leaves that is killed between the log of batches and its commit.
fn run_and_be_killed(lake: &Lake) {
    let log = lake.root().join("bronze/t/_delta_log");
    let before = crate::support::below(&log);
    lake.ok(&["run", "bronze"]);
    for path in crate::support::below(&log) {
        if !before.contains(&path) {
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn a_batch_that_is_repeated_takes_nothing_of_another_file_and_says_what_is_lost() {
    let (lake, folder) = lake();
    lake.ok(&["run", "bronze"]);
    write(&folder.join("b.ndjson"), "b");
    run_and_be_killed(&lake);
    assert_eq!(ids(&lake), "good");
    write(&folder.join("b.ndjson"), "c");
    let output = lake.run(&["run", "bronze"]);
    output.says(1, &["t/b.ndjson", "batch 1", "are lost", "other content"]);
    assert_eq!(ids(&lake), "good");
    let quarantine = lake.rows("SELECT source, error_class FROM bronze.quarantine");
    assert_eq!(quarantine.len(), 1, "{quarantine:?}");
    assert_eq!(quarantine[0]["error_class"], "unreadable");
}

#[test]
fn a_batch_that_is_repeated_takes_its_files_as_they_were_also_where_they_grew() {
    let (lake, folder) = lake();
    lake.ok(&["run", "bronze"]);
    write(&folder.join("b.ndjson"), "b");
    run_and_be_killed(&lake);
    std::fs::write(folder.join("b.ndjson"), "{\"id\":\"b\"}\n{\"id\":\"c\"}\n").unwrap();
    lake.ok(&["run", "bronze"]);
    assert_eq!(ids(&lake), "b c good");
}
