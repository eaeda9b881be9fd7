//! What lands in a folder and how often it is read: once, whatever happens to the file.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::{Lake, append, batch, gzip, parquet, record_schema, zstandard};

const EVENTS: &str = include_str!("fixtures/domain/events.jsonl");

const COUNT: &str = "SELECT count(*) AS n FROM bronze.events";

/// Some lines of the events, each with its newline.
fn lines(from: usize, to: usize) -> String {
    EVENTS.split_inclusive('\n').skip(from).take(to - from).collect()
}

/// The log of a table: one file a version.
fn versions(lake: &Lake, table: &str) -> Vec<PathBuf> {
    crate::support::below(&lake.root().join(table.replace('.', "/")).join("_delta_log"))
}

#[test]
fn a_second_run_changes_nothing_and_says_so() {
    let lake = Lake::new();
    lake.land("events/a.ndjson", lines(0, 100).as_bytes());
    lake.ok(&["run", "all"]);
    let tables = lake.tables(&["bronze", "silver", "gold"]);
    let before: Vec<_> = tables.iter().map(|table| versions(&lake, table)).collect();
    let output = lake.ok(&["run", "all"]);
    for line in output.stderr.lines().filter(|line| line.starts_with("  ")) {
        assert!(line.ends_with("up to date"), "{line}");
    }
    assert!(output.stderr.contains("gold.video_retention"), "{}", output.stderr);
    assert!(output.stdout.is_empty(), "data goes to stdout, news to stderr: {}", output.stdout);
    let after: Vec<_> = tables.iter().map(|table| versions(&lake, table)).collect();
    assert_eq!(after, before);
}

#[test]
fn a_file_that_has_grown_goes_on_where_it_was() {
    let lake = Lake::new();
    let path = lake.land("events/a.ndjson", lines(0, 20).as_bytes());
    lake.ok(&["run", "bronze"]);
    append(&path, lines(20, 50).as_bytes());
    lake.ok(&["run", "bronze"]);
    append(&path, lines(50, 51).as_bytes());
    lake.ok(&["run", "bronze"]);
    let numbers = "SELECT count(*) AS rows, min(_offset) AS first, max(_offset) AS last, count(DISTINCT _offset) AS positions FROM bronze.events";
    let row = &lake.rows(numbers)[0];
    assert_eq!(row["rows"], 51);
    assert_eq!((&row["first"], &row["last"]), (&0.into(), &50.into()), "positions count on");
    assert_eq!(row["positions"], 51);
}

#[test]
fn a_packed_file_that_has_grown_goes_on_where_it_was() {
    let lake = Lake::new();
    let gz = lake.land("events/a.ndjson.gz", &gzip(lines(0, 20).as_bytes()));
    let zst = lake.land("events/b.ndjson.zst", &zstandard(lines(20, 40).as_bytes()));
    lake.ok(&["run", "bronze"]);
    append(&gz, &gzip(lines(40, 50).as_bytes()));
    append(&zst, &zstandard(lines(50, 60).as_bytes()));
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number(COUNT), 60);
    let distinct = "SELECT count(DISTINCT concat(_source_file, CAST(_offset AS VARCHAR))) AS n FROM bronze.events";
    assert_eq!(lake.number(distinct), 60);
}

#[test]
fn a_line_that_is_still_being_written_waits_until_it_is_whole() {
    let lake = Lake::new();
    let last = lines(10, 11);
    let (begin, rest) = last.trim_end().split_at(100);
    let path = lake.land("events/a.ndjson", (lines(0, 10) + begin).as_bytes());
    lake.run(&["run", "bronze"]).says(0, &["events/a.ndjson", "no whole line yet"]);
    assert_eq!(lake.number(COUNT), 10);
    append(&path, rest.as_bytes());
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number(COUNT), 11, "a whole object counts without its newline");
    append(&path, b"\n");
    lake.ok(&["run", "bronze"]);
    append(&path, lines(11, 12).as_bytes());
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number(COUNT), 12);
    assert_eq!(lake.number("SELECT max(_offset) AS n FROM bronze.events"), 11);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.quarantine"), 0);
}

#[test]
fn a_file_that_was_replaced_is_a_loud_stop_that_names_it() {
    let lake = Lake::new();
    let path = lake.land("events/a.ndjson", lines(0, 20).as_bytes());
    lake.ok(&["run", "bronze"]);
    for other in [lines(100, 150), lines(100, 105), String::new()] {
        std::fs::write(&path, other).unwrap();
        lake.run(&["run", "bronze"]).says(1, &["events/a.ndjson", "other content", "hint:"]);
    }
    assert_eq!(lake.number(COUNT), 20, "what was read stays");
    std::fs::write(&path, lines(0, 20)).unwrap();
    lake.ok(&["run", "bronze"]);
    std::fs::remove_file(&path).unwrap();
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number(COUNT), 20, "a file may go once it was read");
}

#[test]
fn names_of_unfinished_files_are_left_alone_until_they_are_renamed() {
    let lake = Lake::new();
    let unfinished =
        ["a.ndjson.tmp", "b.ndjson.part", "_c.ndjson", ".d.ndjson", "_e/f.ndjson", ".g/h.ndjson"];
    for (i, name) in unfinished.iter().enumerate() {
        lake.land(&format!("events/{name}"), lines(i, i + 1).as_bytes());
    }
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number(COUNT), 0);
    let begun = lake.land("events/a.ndjson.tmp", lines(0, 1).as_bytes());
    std::fs::rename(&begun, begun.with_file_name("a.ndjson")).unwrap();
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number(COUNT), 1);
}

#[test]
fn a_file_of_another_format_is_named_and_the_others_are_read() {
    let lake = Lake::new();
    lake.land("events/readme.txt", b"hello");
    lake.land("events/table.xlsx", b"PK");
    lake.land("events/noending", b"{}");
    lake.land("events/a.ndjson", lines(0, 3).as_bytes());
    let output = lake.run(&["run", "bronze"]);
    output.says(0, &["events/readme.txt", "events/table.xlsx", "events/noending", ".ndjson"]);
    assert_eq!(lake.number(COUNT), 3);
}

#[test]
fn a_damaged_file_is_told_and_quarantined_and_stops_nobody() {
    let again = "land it again under a new name";
    for (name, way_out) in
        [("b.ndjson.gz", again), ("b.jsonl.zst", again), ("b.parquet", "land it as .csv")]
    {
        let lake = Lake::new();
        lake.land("events/a.ndjson", lines(0, 5).as_bytes());
        let damaged = lake.land(&format!("events/{name}"), b"this is nothing of the sort");
        let output = lake.run(&["run", "bronze"]);
        output.says(0, &[&format!("events/{name}"), way_out]);
        let quarantined = lake.rows("SELECT source, position, error_class FROM bronze.quarantine");
        let source = format!("folder:events/{name}");
        let expected = json!({"source": source, "position": 0, "error_class": "unreadable"});
        assert_eq!(quarantined, [expected]);
        std::fs::remove_file(damaged).unwrap();
        lake.land("events/c.ndjson", lines(5, 9).as_bytes());
        lake.ok(&["run", "bronze"]);
        assert_eq!(lake.number(COUNT), 9, "{name}");
    }
}

#[test]
fn blank_lines_windows_line_ends_and_a_byte_order_mark_are_no_faults() {
    let lake = Lake::new();
    let text = lines(0, 4).replace('\n', "\r\n\r\n");
    lake.land("events/a.ndjson", ["\u{feff}", &text, "\n  \n"].concat().as_bytes());
    lake.land("events/empty.ndjson", b"");
    lake.ok(&["run", "bronze"]);
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number(COUNT), 4);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.quarantine"), 0);
}

#[test]
fn a_null_in_csv_or_parquet_is_a_field_that_is_there() {
    let lake = Lake::new();
    let names = "schema_version,event_id,family,type,event_ts,session_id,anonymous_id,app_id,platform,device_type,playback_id,video_id,seq,video.state,video.position_ms";
    let row =
        "1,e1,video,play_request,2026-03-01T12:00:00Z,s1,a1,web,web,desktop,p1,v1,0,preloading,";
    lake.land("events/a.csv", format!("{names}\n{row}\n").as_bytes());
    let record = json!({
        "schema_version": 1, "event_id": "e2", "family": "video", "type": "play_request",
        "event_ts": "2026-03-01T12:00:00Z", "session_id": "s1", "anonymous_id": "a1", "app_id": "web",
        "platform": "web", "device_type": "desktop", "playback_id": "p1", "video_id": "v1", "seq": 0,
        "video": {"state": "preloading", "position_ms": null},
    });
    lake.land("events/b.ndjson", format!("{record}\n").as_bytes());
    let rows = batch(&record_schema("bronze.events"), &[record]);
    lake.land("events/c.parquet", &parquet(&rows));
    lake.ok(&["run", "bronze"]);
    let quarantine = lake.rows("SELECT source, error_message FROM bronze.quarantine");
    assert!(quarantine.is_empty(), "{quarantine:#?}");
    assert_eq!(lake.number(COUNT), 3);
}

#[test]
fn a_broken_row_of_csv_is_in_quarantine_as_json_and_its_neighbours_stay() {
    let lake = Lake::new();
    let header = "video_id,title,duration_ms,is_live";
    let rows = ["v1,\"One, two\",1000,true", "v2,Two,long,false", "v3,Three,,", ",Four,1,false"];
    lake.land("videos/a.csv", format!("{header}\n{}\n", rows.join("\n")).as_bytes());
    lake.ok(&["run", "bronze"]);
    let taken = lake
        .rows("SELECT video_id, title, duration_ms, is_live FROM bronze.videos ORDER BY video_id");
    assert_eq!(taken.len(), 2, "{taken:?}");
    assert_eq!(taken[0]["title"], "One, two");
    assert_eq!((&taken[0]["duration_ms"], &taken[0]["is_live"]), (&1000.into(), &true.into()));
    assert!(taken[1]["duration_ms"].is_null() && taken[1]["is_live"].is_null(), "{}", taken[1]);
    let broken =
        lake.rows("SELECT position, error_class, raw FROM bronze.quarantine ORDER BY position");
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert_eq!((&broken[0]["position"], &broken[1]["position"]), (&1.into(), &3.into()));
    let raw = hex::decode(broken[0]["raw"].as_str().unwrap()).unwrap();
    let raw: serde_json::Value = serde_json::from_slice(&raw).unwrap();
    assert_eq!(raw["duration_ms"], "long", "{raw}");
}

#[test]
fn the_log_of_batches_is_folded_and_nothing_is_read_twice() {
    let mut lake = Lake::new();
    lake.set("LAKE_INGEST_BATCH_SIZE", "1B");
    for i in 0..250 {
        lake.land(&format!("events/{i:03}.ndjson"), lines(i, i + 1).as_bytes());
    }
    lake.ok(&["run", "bronze"]);
    lake.ok(&["run", "bronze"]);
    let log = crate::support::below(&lake.root().join("_lake/bronze.events"));
    assert!(log.len() < 200, "{} files after 250 batches", log.len());
    for i in 250..255 {
        lake.land(&format!("events/{i:03}.ndjson"), lines(i, i + 1).as_bytes());
    }
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number(COUNT), 255);
    assert_eq!(lake.number("SELECT count(DISTINCT _source_file) AS n FROM bronze.events"), 255);
    // A file of the folded part is still known: it may grow, and may not be replaced.
    lake.land("events/003.ndjson", lines(3, 5).as_bytes());
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number(COUNT), 256);
    lake.land("events/004.ndjson", lines(7, 9).as_bytes());
    lake.run(&["run", "bronze"]).says(1, &["events/004.ndjson"]);
}

#[test]
fn a_packed_file_that_was_landed_half_written_is_read_to_its_end_once_it_is_whole() {
    let lake = Lake::new();
    let whole = gzip(EVENTS.repeat(40).as_bytes());
    lake.land("events/a.ndjson.gz", &whole[..whole.len() / 2]);
    lake.land("events/b.ndjson", lines(0, 3).as_bytes());
    lake.run(&["run", "bronze"]).says(0, &["events/a.ndjson.gz", "quarantine"]);
    let half = lake.number(COUNT);
    assert!(half > 3, "the lines before the cut are taken");
    lake.land("events/a.ndjson.gz", &whole);
    lake.ok(&["run", "bronze"]);
    let n_lines = i64::try_from(EVENTS.lines().count()).unwrap() * 40;
    assert_eq!(lake.number(COUNT), n_lines + 3);
}

#[test]
fn a_row_of_csv_that_was_read_half_written_is_a_loud_stop() {
    let shop = Lake::of(&Path::new(crate::support::REPOSITORY).join("engine/cli/template"));
    let header = "order_id,ordered_at,total_micros\n";
    shop.land("orders/a.csv", format!("{header}o1,2026-03-01T00:00:00Z,67").as_bytes());
    shop.ok(&["run", "bronze"]);
    let grown = format!("{header}o1,2026-03-01T00:00:00Z,67890\no2,2026-03-01T00:00:00Z,1\n");
    shop.land("orders/a.csv", grown.as_bytes());
    shop.run(&["run", "bronze"]).says(1, &["orders/a.csv", "last row", ".part"]);
}

const TABLE: &str = "-- One row per record.
CREATE TABLE bronze.t (id STRING NOT NULL)
TBLPROPERTIES ('lake.source' = 'folder:t');";

#[test]
fn a_packed_file_is_read_whatever_its_name_and_other_packings_are_told() {
    let lake = Lake::with(&[("lake/bronze/t.sql", TABLE)]);
    let record = |id: &str| format!("{{\"id\":\"{id}\"}}\n").into_bytes();
    let path = lake.land("t/a.ndjson", &gzip(&record("a")));
    lake.land("t/b.jsonl", &zstandard(&record("b")));
    lake.land("t/c.csv", &gzip(b"id\nc\n"));
    lake.land("t/d.json.gz", &zstandard(&record("d")));
    lake.land("t/e.json", b"BZh91AY&SY\x94\xb2");
    lake.land("t/f.csv", b"PK\x03\x04\x14\0\x06\0");
    lake.land("t/g.ndjson", b"\xfd7zXZ\0\0\x04");
    lake.land("t/h.ndjson.gz", &gzip(&gzip(&record("h"))));
    lake.land("t/i.ndjson.bz2", b"BZh91AY&SY\x94\xb2");
    lake.land("t/j.csv", b"id,PK\nj,BZh9\n");
    let output = lake.run(&["run", "bronze"]);
    output.says(0, &["t/e.json: the file is packed with bzip2", "t/f.csv: the file is a zip"]);
    output
        .says(0, &["t/g.ndjson: the file is packed with xz", "t/h.ndjson.gz: the file is packed"]);
    output.says(0, &["t/i.ndjson.bz2: left out"]);
    append(&path, &gzip(&record("a2")));
    lake.ok(&["run", "bronze"]);
    let ids = lake.rows("SELECT id FROM bronze.t ORDER BY id");
    assert_eq!(ids, ["a", "a2", "b", "c", "d", "j"].map(|id| json!({"id": id})));
    assert_eq!(lake.refused(), ["unreadable@0"; 4].join(" "));
}

#[test]
fn a_text_of_another_encoding_stays_unreadable_when_it_grows() {
    let lake = Lake::with(&[("lake/bronze/t.sql", TABLE)]);
    let path = lake.land("t/a.ndjson", b"{\0\"\0i\0d\0");
    for _ in 0..2 {
        lake.run(&["run", "bronze"]).says(0, &["t/a.ndjson: the text is UTF-16"]);
        append(&path, b"\"\0:\0\n\0");
    }
    assert_eq!(lake.refused(), "unreadable@0 unreadable@0");
}

#[test]
fn a_byte_order_mark_may_stand_before_each_record() {
    let lake = Lake::with(&[("lake/bronze/t.sql", TABLE)]);
    let bom = "\u{feff}";
    let lines = ["{\"id\":\"b\"}", "{\"id\":\"c\"}"].map(|line| format!("{bom}{line}\n"));
    let text = format!("{bom}{{\"id\":\"a\"}}\n{}{{\"id\":\"d\"}}\n{{{bom}}}\n", lines.concat());
    lake.land("t/a.ndjson", text.as_bytes());
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.t"), 4);
    assert_eq!(lake.refused(), "not_json@4");
}

#[test]
fn a_file_whose_middle_may_have_been_replaced_is_told() {
    let lake = Lake::with(&[("lake/bronze/t.sql", TABLE)]);
    let text = |middle: &str, n: usize| {
        let filler = "{\"id\":\"x\"}\n".repeat(n);
        format!("{filler}{{\"id\":\"{middle}\"}}\n{filler}")
    };
    let path = lake.land("t/a.ndjson", text("old", 10_000).as_bytes());
    let small = lake.land("t/small.ndjson", text("old", 500).as_bytes());
    let set_time = |seconds| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    };
    set_time(1_000_000_000);
    lake.ok(&["run", "bronze"]);
    let output = lake.ok(&["run", "bronze"]);
    assert!(!output.stderr.contains("a.ndjson"), "{}", output.stderr);
    std::fs::write(&path, text("new", 10_000)).unwrap();
    set_time(1_100_000_000);
    // Of one of usual size every byte is known: where none is another one, nothing is said.
    std::fs::write(&small, text("old", 500)).unwrap();
    let output = lake.ok(&["run", "bronze"]);
    output.says(0, &["t/a.ndjson: another time", "under a new name"]);
    assert!(!output.stderr.contains("small"), "{}", output.stderr);
    for text in [text("new", 500), text("new", 500) + "{\"id\":\"y\"}\n"] {
        std::fs::write(&small, text).unwrap();
        lake.run(&["run", "bronze"]).says(1, &["t/small.ndjson was read", "other content"]);
    }
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.t WHERE id = 'old'"), 2);
}

#[test]
fn endings_in_capitals_are_endings() {
    let lake = Lake::with(&[("lake/bronze/t.sql", TABLE)]);
    lake.land("t/A.CSV", b"id\na\n");
    lake.land("t/b.NDJSON", b"{\"id\":\"b\"}\n");
    lake.land("t/c.Json.GZ", &gzip(b"{\"id\":\"c\"}\n"));
    lake.land("t/d.JSONL.TMP", b"{\"id\":\"d\"}\n");
    lake.land("t/E.TXT", b"e");
    let output = lake.ok(&["run", "bronze"]);
    output.says(0, &["t/d.JSONL.TMP: left out as unfinished", "t/E.TXT: left out"]);
    let ids = lake.rows("SELECT string_agg(id, ' ' ORDER BY id) AS ids FROM bronze.t");
    assert_eq!(ids[0]["ids"], "a b c");
}

#[test]
fn a_file_with_a_window_that_is_too_large_says_how_to_pack_it() {
    use std::io::Write;
    let lake = Lake::with(&[("lake/bronze/t.sql", TABLE)]);
    let packed = |window: u32| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window).unwrap();
        encoder.write_all(b"{\"id\":\"x\"}\n").unwrap();
        encoder.finish().unwrap()
    };
    lake.land("t/wide.ndjson.zst", &packed(28));
    lake.land("t/good.ndjson.zst", &packed(27));
    lake.run(&["run", "bronze"])
        .says(0, &["t/wide.ndjson.zst", "window of more than 128 MiB", "--long=27"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.t"), 1);
}

#[test]
fn a_check_that_must_hold_names_the_first_record_that_breaks_it() {
    let table = TABLE.replace(
        ")\nTBLPROPERTIES (",
        ", n BIGINT, CONSTRAINT c CHECK (n > 0))\nTBLPROPERTIES ('lake.else.c' = 'fail', ",
    );
    let lake = Lake::with(&[("lake/bronze/t.sql", &table)]);
    lake.land("t/fine.ndjson", b"{\"id\":\"b\",\"n\":1}\n");
    lake.land("t/z.ndjson", b"{\"id\":\"a\",\"n\":1}\n{\"id\":\"a\",\"n\":-1}\n");
    lake.run(&["run", "bronze"]).says(1, &["break check `c`", "record 1 of t/z.ndjson"]);
}
