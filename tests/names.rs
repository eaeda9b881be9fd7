//! Names, links and times of landing files: one odd entry holds up nobody.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

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
        let says = format!("t/{name}: left out, it is a link out of the landing folder");
        output.says(0, &[&says, "ingest.linked_folders"]);
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
    write(&folder.join("ice/metadata/v1.metadata.json"), "f");
    write(&folder.join("ice/metadata/snap-1.avro"), "f");
    write(&folder.join("ice/data/part.ndjson"), "g");
    let output = lake.run(&["run", "bronze"]);
    output.says(0, &["t/_new and t/b.ndjson.part: left out as unfinished", "rename"]);
    output.says(0, &["t/table: left out, it is a table", "t/ice: left out, it is a table"]);
    assert!(!output.stderr.contains("snap-1"), "{}", output.stderr);
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
    write(&folder.join("good.ndjson"), "replaced");
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
    for name in ["t/out.ndjson", "t/readme.txt", "t/good.ndjson was read, and now has other"] {
        assert_eq!(told.matches(name).count(), 1, "{told}");
    }
}

/// What a run leaves that is killed between the log of batches and its commit.
pub(crate) fn run_and_be_killed(lake: &Lake) {
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
fn a_file_that_is_replaced_before_it_is_read_is_read_as_it_is_then() {
    let (lake, folder) = lake();
    lake.ok(&["run", "bronze"]);
    write(&folder.join("b.ndjson"), "b");
    run_and_be_killed(&lake);
    assert_eq!(ids(&lake), "good");
    write(&folder.join("b.ndjson"), "c");
    for _ in 0..2 {
        lake.ok(&["run", "bronze"]);
        assert_eq!((ids(&lake).as_str(), lake.refused().as_str()), ("c good", ""));
    }
    // One that was read, and is replaced, is a loud stop as ever.
    write(&folder.join("b.ndjson"), "d");
    lake.run(&["run", "bronze"]).says(1, &["t/b.ndjson", "other content"]);
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

#[test]
fn a_file_is_read_once_however_many_links_lead_to_it() {
    let (lake, folder) = lake();
    let shared = folder.parent().unwrap().join("shared");
    write(&shared.join("s.ndjson"), "shared");
    write(&folder.join("sub/c.ndjson"), "sub");
    write(&folder.join("_kept/b.ndjson"), "kept");
    symlink("good.ndjson", folder.join("copy.ndjson")).unwrap();
    symlink("sub", folder.join("subs")).unwrap();
    symlink("_kept/b.ndjson", folder.join("one.ndjson")).unwrap();
    symlink("_kept/b.ndjson", folder.join("two.ndjson")).unwrap();
    symlink("../shared", folder.join("x")).unwrap();
    symlink("../shared", folder.join("y")).unwrap();
    // Folders that link to each other.
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "a")] {
        std::fs::create_dir_all(shared.join(from)).unwrap();
        for i in 0..5 {
            symlink(format!("../{to}"), shared.join(from).join(i.to_string())).unwrap();
        }
    }
    let output = lake.run(&["run", "bronze"]);
    output.says(0, &["t/copy.ndjson: left out, it is a link to a file that is read under its own"]);
    output.says(0, &["t/subs: left out, it is a link to a folder that is read under its own name"]);
    output.says(0, &["t/two.ndjson: left out, it is a link to a file that another link names"]);
    output.says(0, &["t/y/s.ndjson: left out, it is a link to a file that another link names"]);
    output.says(0, &["t/x/a/0: left out, it is a link behind another link"]);
    assert_eq!(ids(&lake), "good kept shared sub");
    // What was read goes on to count under the name that it had.
    symlink("../shared", folder.join("a_first")).unwrap();
    lake.ok(&["run", "bronze"]);
    assert_eq!(ids(&lake), "good kept shared sub");
}

#[test]
fn a_folder_that_is_a_link_out_is_read_only_where_the_settings_name_its_target() {
    let (mut lake, folder) = lake();
    let mounted = lake.folder().join("mounted");
    write(&mounted.join("m.ndjson"), "mounted");
    std::fs::remove_dir_all(&folder).unwrap();
    symlink(&mounted, &folder).unwrap();
    let output = lake.run(&["run", "bronze"]);
    output.says(1, &["is a link out of the landing folder", "LAKE_INGEST_LINKED_FOLDERS"]);
    lake.set("LAKE_INGEST_LINKED_FOLDERS", format!("/nowhere, {}", mounted.display()));
    lake.ok(&["run", "bronze"]);
    assert_eq!(ids(&lake), "mounted");
    // Within the landing folder a link needs no leave.
    std::fs::remove_file(&folder).unwrap();
    write(&folder.with_file_name("other").join("o.ndjson"), "other");
    symlink("other", &folder).unwrap();
    lake.set("LAKE_INGEST_LINKED_FOLDERS", "");
    lake.ok(&["run", "bronze"]);
    assert_eq!(ids(&lake), "mounted other");
}

const HIVE: &str = "-- One row per record.
CREATE TABLE bronze.t (id STRING NOT NULL, n BIGINT, day DATE, place STRING NOT NULL, who STRING)
TBLPROPERTIES ('lake.source' = 'folder:t', 'lake.personal' = 'who');";

#[test]
fn folders_named_as_hive_does_fill_columns_that_a_record_leaves_open() {
    let lake = Lake::with(&[("lake/bronze/t.sql", HIVE)]);
    let land = |name: &str, text: &str| lake.land(&format!("t/{name}"), text.as_bytes());
    let null = "__HIVE_DEFAULT_PARTITION__";
    let open = "{\"id\":\"a\"}\n{\"id\":\"b\",\"n\":7,\"place\":null}\n";
    land("n=5/day=2026-03-01/place=S%C3%A3o%20Paulo/a.ndjson", open);
    land(&format!("n=6/place=x/day={null}/b.csv"), "id,n\nc,\nd,8\n");
    land("n=six/place=x/c.ndjson", "{\"id\":\"e\"}\n{\"id\":\"f\",\"n\":1}\n");
    land("who=alice%40example.com/place=x/d.ndjson", "{\"id\":\"g\"}\n{\"id\":1}\nno\n");
    let whole = "{\"id\":\"h\",\"who\":\"alice@example.com\",\"place\":\"x\"}\n{\"id\":\"i\"}\n";
    land("e.ndjson", whole);
    land("who=alice%40example.com/_later.ndjson", "");
    let output = lake.ok(&["run", "bronze"]);
    let rows = lake.rows("SELECT id, n, day, place FROM bronze.t ORDER BY id");
    let row = |id: &str, n: Option<i64>, day: Option<&str>, place: &str| json!({"id": id, "n": n, "day": day, "place": place});
    let (day, place) = (Some("2026-03-01"), "S\u{e3}o Paulo");
    let expected = [
        row("a", Some(5), day, place),
        row("b", Some(7), day, place),
        row("c", Some(6), None, "x"),
        row("d", Some(8), None, "x"),
        row("f", Some(1), None, "x"),
        row("g", None, None, "x"),
        row("h", None, None, "x"),
    ];
    assert_eq!(rows, expected);
    let refused = "missing_field@1 wrong_type@0 wrong_type@1 not_json@2";
    assert_eq!(lake.refused(), refused);
    let same = "SELECT count(DISTINCT who) AS n FROM bronze.t WHERE id IN ('g', 'h')";
    assert_eq!(lake.number(same), 1, "one person, whoever says so");
    let names = lake.rows("SELECT _source_file, who FROM bronze.t");
    let sources = lake.rows("SELECT source, error_message FROM bronze.quarantine");
    assert!(!format!("{names:?} {sources:?} {}", output.stderr).contains("alice"));
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number(COUNT), 7);
}
