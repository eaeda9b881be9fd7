//! Records that a mended contract takes come in from quarantine, once, whatever gets in the way;
//! the others stay as they are.

use std::path::Path;
use std::process::Child;
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::crash::{Killer, all_end_well};
use crate::support::{Lake, Output, REPOSITORY, batch, below, gzip, parquet, record_schema, same};

const EXAMPLES: &str = include_str!("fixtures/domain/contract_examples.jsonl");

pub(crate) const REPLAY: &[&str] = &["quarantine", "replay"];
const BROKEN: &str = "{\"event_id\":\"broken\"}\n";
const VIDEO: &[u8] =
    b"{\"video_id\":\"v1\",\"content_version\":2,\"valid_from\":\"2026-03-01T00:00:00Z\"}\n";

/// File of a project, text in it, and what stands there instead.
type Edit = (&'static str, &'static str, &'static str);

/// A fault: events whose id begins with `held`, and videos of an early version, are not taken.
const FAULT: &[Edit] = &[
    (
        "lake/bronze/events.sql",
        "CHECK (schema_version = 1)",
        "CHECK (schema_version = 1 AND NOT starts_with(event_id, 'held'))",
    ),
    ("lake/bronze/videos.sql", "CHECK (content_version >= 0)", "CHECK (content_version >= 9)"),
];

/// One lake under two projects: one with a fault, and the one in which it is mended.
struct Mended {
    faulty: Lake,
    lake: Lake,
    _projects: [TempDir; 2],
}

impl Mended {
    /// The shipped project, and the one with the fault before.
    fn new() -> Self {
        Self::to(&[])
    }

    /// Mended, and changed otherwise.
    fn to(edits: &[Edit]) -> Self {
        let projects = [edited(FAULT), edited(edits)];
        let faulty = Lake::of(projects[0].path());
        let mut lake = Lake::of(projects[1].path());
        lake.set("LAKE_ROOT", faulty.root().to_string_lossy());
        lake.set("LAKE_LANDING", faulty.folder().join("landing").to_string_lossy());
        Self { faulty, lake, _projects: projects }
    }

    /// Some good, some held and some broken records in two files, read under the fault.
    fn with_records() -> Self {
        let mended = Self::new();
        land_some(&mended.faulty);
        mended.faulty.ok(&["run", "bronze"]);
        mended
    }
}

/// The shipped project with changes, in a folder of its own.
fn edited(edits: &[Edit]) -> TempDir {
    let project = tempfile::tempdir().unwrap();
    for part in ["lake", "sql", "jobs"] {
        copy(&Path::new(REPOSITORY).join(part), &project.path().join(part));
    }
    std::fs::write(project.path().join("lake.toml"), "").unwrap();
    for (file, from, to) in edits {
        let path = project.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no `{from}`");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }
    project
}

/// Makes `to` what `from` is.
fn copy(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    for path in below(from) {
        let copied = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(copied.parent().unwrap()).unwrap();
        std::fs::copy(path, copied).unwrap();
    }
}

/// An event as a line: the play request among the examples, with an id of its own.
fn event(id: &str) -> String {
    let mut record: Value = serde_json::from_str(EXAMPLES.lines().nth(1).unwrap()).unwrap();
    record["event_id"] = json!(id);
    record["new_field"] = json!([1, id]);
    format!("{record}\n")
}

fn events(ids: &[&str]) -> String {
    ids.iter().map(|id| event(id)).collect()
}

fn land_some(lake: &Lake) {
    let first = events(&["good-1", "held-1", "good-2"]) + BROKEN + &events(&["held-2"]);
    lake.land("events/a.ndjson", first.as_bytes());
    lake.land("events/deeper/b.ndjson", (events(&["held-3"]) + BROKEN).as_bytes());
    lake.land("videos/a.ndjson", VIDEO);
}

/// A lake that never had the fault.
fn undisturbed(land: impl Fn(&Lake)) -> Lake {
    let lake = Lake::new();
    land(&lake);
    lake.ok(&["run", "bronze"]);
    lake
}

/// The records of two lakes are the same, and stand in the same places of their sources.
#[track_caller]
fn same_records(found: &Lake, expected: &Lake, what: &str) {
    same(&found.bags(&["bronze"]), &expected.bags(&["bronze"]), what);
    for (table, id) in [("bronze.events", "event_id"), ("bronze.videos", "video_id")] {
        let places = format!(
            "SELECT {id}, _topic, _partition, _offset, _source_file FROM {table} ORDER BY _source_file, _offset"
        );
        assert_eq!(found.rows(&places), expected.rows(&places), "{what}: {table}");
        let times = format!(
            "SELECT count(*) AS n FROM (SELECT _source_file FROM {table} GROUP BY _source_file HAVING count(DISTINCT _record_ts) <> 1)"
        );
        assert_eq!(found.number(&times), 0, "{what}: a file of {table} has one time");
    }
}

/// What a replay says of a table.
#[track_caller]
pub(crate) fn says(output: &Output, table: &str, result: &str) {
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let line = output.stderr.lines().find(|line| line.trim_start().starts_with(table));
    let line = line.unwrap_or_else(|| panic!("nothing on {table}:\n{}", output.stderr));
    assert!(line.ends_with(&format!(" {result}")), "{line}");
}

/// How many commits the tables have.
pub(crate) fn versions(lake: &Lake) -> Vec<usize> {
    let count = |table: &str| {
        let log = lake.root().join("bronze").join(table).join("_delta_log");
        let log = below(&log);
        log.iter().filter(|path| path.extension().is_some_and(|end| end == "json")).count()
    };
    ["events", "videos", "quarantine"].map(count).to_vec()
}

#[test]
fn what_a_mended_contract_takes_comes_in_and_the_tables_are_as_if_nothing_had_been_wrong() {
    let land = |lake: &Lake| {
        land_some(lake);
        let many: String = (0..200).map(|i| event(&format!("held-{i}"))).collect();
        let packed = gzip(many.as_bytes());
        lake.land("events/damaged.ndjson.gz", &packed[..packed.len() / 2]);
    };
    let Mended { faulty, lake, _projects } = Mended::new();
    land(&faulty);
    faulty.ok(&["run", "all"]);
    let expected = undisturbed(land);
    let stays = "SELECT * FROM bronze.quarantine WHERE error_class <> 'check_failed' ORDER BY source, position";
    let before = lake.rows(stays);
    let classes: Vec<&str> =
        before.iter().map(|row| row["error_class"].as_str().unwrap()).collect();
    assert_eq!(classes.iter().filter(|class| **class == "unreadable").count(), 1, "{classes:?}");
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.events"), 2);

    let n_held = lake.number("SELECT count(*) AS n FROM bronze.quarantine WHERE error_class = 'check_failed' AND table_name = 'bronze.events'");
    let output = lake.ok(REPLAY);
    let result = format!("{n_held} records came in, {} stayed", before.len());
    says(&output, "bronze.events", &result);
    says(&output, "bronze.videos", "1 records came in, 0 stayed");
    same_records(&lake, &expected, "after a replay");
    assert_eq!(lake.rows(stays), before, "what stays is as it was");

    expected.ok(&["run", "all"]);
    lake.ok(&["run", "all"]);
    let layers = ["bronze", "silver", "gold"];
    same(&lake.bags(&layers), &expected.bags(&layers), "what is computed from them");

    let log = versions(&lake);
    let again = lake.ok(REPLAY);
    says(&again, "bronze.events", &format!("0 records came in, {} stayed", before.len()));
    assert!(again.stderr.contains("takes none of its records"), "{}", again.stderr);
    assert!(!again.stderr.contains("bronze.videos"), "{}", again.stderr);
    assert_eq!(versions(&lake), log, "the second time nothing is committed");
}

#[test]
fn rows_of_csv_and_parquet_come_in_as_they_would_have() {
    let land = |lake: &Lake| {
        let rows = "video_id,content_version,title,duration_ms,tags\nv1,1,\"Cats, dogs\",60000,\"[\"\"a\"\"]\"\nv2,2,,,\nv3,-1,No,,\n";
        lake.land("videos/a.csv", rows.as_bytes());
        let schema = record_schema("bronze.videos");
        let rows = [
            json!({"video_id": "v4", "content_version": 3, "title": "é\"\n", "is_live": false}),
            json!({"video_id": "v5", "duration_ms": 1000}),
        ];
        lake.land("videos/b.parquet", &parquet(&batch(&schema, &rows)));
        lake.land("events/a.ndjson", events(&["good"]).as_bytes());
    };
    let Mended { faulty, lake, _projects } = Mended::new();
    land(&faulty);
    faulty.ok(&["run", "bronze"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.videos"), 0);
    says(&lake.ok(REPLAY), "bronze.videos", "4 records came in, 1 stayed");
    same_records(&lake, &undisturbed(land), "CSV and Parquet");
}

#[test]
fn a_new_column_comes_with_the_records_that_have_it() {
    let column = (
        "lake/bronze/events.sql",
        "    user_id             STRING",
        "    new_field           JSON COMMENT 'New',\n    user_id             STRING",
    );
    let Mended { faulty, lake, _projects } = Mended::to(&[column]);
    faulty.land("events/a.ndjson", events(&["good", "held"]).as_bytes());
    faulty.ok(&["run", "bronze"]);
    says(&lake.ok(REPLAY), "bronze.events", "1 records came in, 0 stayed");
    let rows = lake.rows("SELECT new_field, _rescued_data FROM bronze.events ORDER BY event_id");
    assert!(rows[0]["new_field"].is_null() && !rows[0]["_rescued_data"].is_null(), "{rows:?}");
    assert_eq!(rows[1]["new_field"], "[1,\"held\"]");
    assert!(rows[1]["_rescued_data"].is_null(), "{rows:?}");
    let output = lake.ok(&["run", "bronze"]);
    assert!(output.stderr.contains("up to date"), "{}", output.stderr);
}

#[test]
fn only_one_table_is_replayed_if_one_is_named() {
    let Mended { lake, .. } = &Mended::with_records();
    let output = lake.ok(&["quarantine", "replay", "--table", "bronze.videos"]);
    says(&output, "bronze.videos", "1 records came in, 0 stayed");
    assert!(!output.stderr.contains("bronze.events"), "{}", output.stderr);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.events"), 2);
    says(&lake.ok(REPLAY), "bronze.events", "3 records came in, 2 stayed");
}

#[test]
fn files_of_quarantine_that_hold_nothing_of_it_stay_as_they_are() {
    let Mended { faulty, lake, _projects } = Mended::new();
    let parquet_files = || {
        let mut files = below(&lake.root().join("bronze/quarantine"));
        files.retain(|path| path.extension().is_some_and(|end| end == "parquet"));
        files
    };
    faulty.land("events/a.ndjson", BROKEN.as_bytes());
    faulty.ok(&["run", "bronze"]);
    let untouched = parquet_files();
    faulty.land("events/b.ndjson", (events(&["held"]) + BROKEN).as_bytes());
    faulty.ok(&["run", "bronze"]);
    says(&lake.ok(REPLAY), "bronze.events", "1 records came in, 2 stayed");
    let mut removed = String::new();
    for path in below(&lake.root().join("bronze/quarantine/_delta_log")) {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        removed.extend(text.lines().filter(|line| line.starts_with("{\"remove\"")));
    }
    assert!(!removed.is_empty());
    for path in untouched {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(!removed.contains(&name), "{name} was written anew");
    }
}

#[test]
fn a_replay_that_died_between_its_commits_is_finished_by_the_next() {
    let Mended { lake, .. } = &Mended::with_records();
    let quarantine = lake.root().join("bronze/quarantine");
    let kept = lake.folder().join("kept");
    copy(&quarantine, &kept);
    lake.ok(REPLAY);
    let expected = undisturbed(land_some);
    same_records(lake, &expected, "after a replay");

    copy(&kept, &quarantine);
    let output = lake.ok(REPLAY);
    assert!(output.stderr.contains("cut short"), "{}", output.stderr);
    says(&output, "bronze.events", "0 records came in, 2 stayed");
    same_records(lake, &expected, "finished");

    copy(&kept, &quarantine);
    let more = |lake: &Lake| {
        lake.land("events/c.ndjson", (events(&["good-3"]) + BROKEN).as_bytes());
        lake.ok(&["run", "bronze"]);
    };
    more(lake);
    more(&expected);
    let output = lake.ok(REPLAY);
    assert!(output.stderr.contains("cut short"), "{}", output.stderr);
    same_records(lake, &expected, "finished after a run");
    let log = versions(lake);
    lake.ok(REPLAY);
    assert_eq!(versions(lake), log, "it is finished once");
}

#[test]
fn records_that_a_run_has_yet_to_settle_are_left_to_it() {
    let Mended { faulty, lake, _projects } = Mended::new();
    faulty.land("events/a.ndjson", (events(&["good-1", "held-1"]) + BROKEN).as_bytes());
    faulty.ok(&["run", "bronze"]);
    let table = lake.root().join("bronze/events");
    let kept = lake.folder().join("kept");
    copy(&table, &kept);
    let second = events(&["good-2", "held-2"]) + BROKEN;
    faulty.land("events/b.ndjson", second.as_bytes());
    faulty.land("videos/a.ndjson", VIDEO);
    faulty.ok(&["run", "bronze"]);
    // As if it had been killed after the commit to quarantine.
    copy(&kept, &table);

    let output = lake.ok(REPLAY);
    says(&output, "bronze.events", "0 records came in, 4 stayed");
    says(&output, "bronze.videos", "1 records came in, 0 stayed");
    for part in ["4 records of folder:events are left", "`lake run bronze` first"] {
        assert!(output.stderr.contains(part), "`{part}` is missing in\n{}", output.stderr);
    }
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.events"), 2, "held-2 was decided");
    says(&lake.ok(REPLAY), "bronze.events", "2 records came in, 2 stayed");
    let expected = undisturbed(|lake| {
        lake.land("events/a.ndjson", (events(&["good-1", "held-1"]) + BROKEN).as_bytes());
        lake.land("events/b.ndjson", second.as_bytes());
        lake.land("videos/a.ndjson", VIDEO);
    });
    same_records(&lake, &expected, "settled, then replayed");
}

/// Many held records, so that a replay takes a while and several commits.
fn land_many(lake: &Lake) {
    for file in 0..4 {
        let mut lines = String::new();
        for i in 0..500 {
            lines.push_str(&event(&format!("held-{file}-{i}")));
            if i % 100 == 0 {
                lines.push_str(BROKEN);
            }
        }
        lake.land(&format!("events/{file}.ndjson"), lines.as_bytes());
    }
}

/// Many held records, and small commits to take them in.
fn with_many() -> Mended {
    let mut mended = Mended::new();
    land_many(&mended.faulty);
    mended.faulty.ok(&["run", "bronze"]);
    mended.lake.set("LAKE_INGEST_BATCH_SIZE", "64KiB");
    mended
}

#[test]
fn killed_at_any_moment_every_record_is_there_once() {
    let Mended { faulty, mut lake, _projects } = with_many();
    let root = lake.root();
    let another = lake.folder().join("another");
    copy(&root, &another);
    lake.set("LAKE_ROOT", another.to_string_lossy());
    let started = Instant::now();
    let output = lake.ok(REPLAY);
    let elapsed = started.elapsed();
    says(&output, "bronze.events", "2,000 records came in, 20 stayed");
    assert!(versions(&lake)[0] > 3, "several commits");
    lake.set("LAKE_ROOT", root.to_string_lossy());

    let mut killer = Killer::new(31, elapsed);
    for _ in 0..12 {
        killer.kill(&lake, REPLAY);
    }
    killer.hit_most();
    lake.ok(REPLAY);
    same_records(&lake, &undisturbed(land_many), "killed again and again, seed 31");
    drop(faulty);
}

#[test]
fn replays_at_the_same_time_lose_and_double_nothing() {
    let Mended { lake, .. } = &with_many();
    let mut children: Vec<Child> = (0..3).map(|_| lake.start(REPLAY)).collect();
    all_end_well(&mut children);
    lake.ok(REPLAY);
    same_records(lake, &undisturbed(land_many), "three at the same time");
}

#[test]
fn replays_beside_runs_lose_and_double_nothing() {
    let Mended { faulty, lake, _projects } = Mended::new();
    let land = |lake: &Lake, round: usize| {
        for file in 0..3 {
            let ids: Vec<String> = (0..40)
                .map(|i| format!("{}-{round}-{file}-{i}", ["held", "good"][i % 2]))
                .collect();
            let lines: String = ids.iter().map(|id| event(id)).collect();
            lake.land(&format!("events/{round}-{file}.ndjson"), (lines + BROKEN).as_bytes());
        }
        let video = format!("{{\"video_id\":\"v{round}\"}}\n");
        lake.land(&format!("videos/{round}.ndjson"), video.as_bytes());
    };
    for round in 0..6 {
        land(&faulty, round);
        // The runs have the fault, so there is always something to take in; and each side wants
        // other properties of the tables.
        let run = faulty.start(&["run", "bronze"]);
        let replays = [lake.start(REPLAY), lake.start(REPLAY)];
        all_end_well(&mut [run].into_iter().chain(replays).collect::<Vec<_>>());
    }
    faulty.ok(&["run", "bronze"]);
    lake.ok(REPLAY);
    let expected = undisturbed(|lake| (0..6).for_each(|round| land(lake, round)));
    same_records(&lake, &expected, "replays beside runs");
}

#[test]
fn a_table_that_there_is_not_is_named_and_one_that_went_keeps_its_records() {
    let template = Path::new(REPOSITORY).join("engine/cli/template");
    let project = tempfile::tempdir().unwrap();
    copy(&template, project.path());
    let contract = "-- One row per click.\nCREATE TABLE bronze.clicks (click_id STRING NOT NULL COMMENT 'Click')\nTBLPROPERTIES ('lake.source' = 'folder:clicks');\n";
    std::fs::write(project.path().join("lake/bronze/clicks.sql"), contract).unwrap();
    let before = Lake::of(project.path());
    before.land("clicks/a.ndjson", b"{}\n");
    before.land("orders/a.ndjson", b"{}\n");
    before.ok(&["run", "bronze"]);

    let mut lake = Lake::of(&template);
    lake.set("LAKE_ROOT", before.root().to_string_lossy());
    let output = lake.ok(REPLAY);
    says(&output, "bronze.orders", "0 records came in, 1 stayed");
    assert!(output.stderr.contains("note: bronze.clicks: no table of this"), "{}", output.stderr);
    lake.run(&["quarantine", "replay", "--table", "bronze.clicks"])
        .says(0, &["bronze.clicks: no table of this"]);
    lake.run(&["quarantine", "replay", "--table", "bronze.order"])
        .says(2, &["there is no table bronze.order that reads", "did you mean `bronze.orders`?"]);
    lake.run(&["quarantine", "replay", "--table", "gold.orders_daily"])
        .says(2, &["there is no table gold.orders_daily that reads", "bronze.orders"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.quarantine"), 2);
}

#[test]
fn an_empty_quarantine_is_no_mistake() {
    let lake = Lake::new();
    lake.run(REPLAY).says(0, &["quarantine is empty"]);
    assert!(!lake.root().exists(), "there was nothing to write");
    lake.land("events/a.ndjson", events(&["good"]).as_bytes());
    lake.ok(&["run", "bronze"]);
    lake.run(REPLAY).says(0, &["quarantine is empty"]);
    lake.run(&["quarantine", "replay", "--table", "bronze.events"])
        .says(0, &["bronze.events: none of its records is in quarantine"]);
}
