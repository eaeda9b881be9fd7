//! The scenarios of `tests/fixtures/domain`: made-by-hand events and the answers to them.
//!
//! However the events arrive (at once or piece by piece, in order or not, once or twice, as JSON,
//! CSV or Parquet, packed or plain), the tables must say what `expected.json` says, and the same.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::Value;

use crate::support::{Lake, batch, gzip, leaves, parquet, record_schema, same, zstandard};

pub(crate) const EVENTS: &str = include_str!("fixtures/domain/events.jsonl");
pub(crate) const VIDEOS: &str = include_str!("fixtures/domain/dim_video.jsonl");
const EXPECTED: &str = include_str!("fixtures/domain/expected.json");

/// The rows of silver and gold do not depend on how records arrived.
const COMPUTED: &[&str] = &["silver", "gold"];

type Bags = BTreeMap<String, Vec<String>>;

/// The tables after one run over all events in one file.
fn at_once() -> &'static (Bags, Vec<String>) {
    static ROWS: OnceLock<(Bags, Vec<String>)> = OnceLock::new();
    ROWS.get_or_init(|| {
        let lake = lake_with_videos();
        lake.land("events/all.jsonl", EVENTS.as_bytes());
        lake.ok(&["run", "all"]);
        (lake.bags(COMPUTED), lake.bag("bronze.events"))
    })
}

fn lake_with_videos() -> Lake {
    let lake = Lake::new();
    lake.land("videos/catalogue.jsonl", VIDEOS.as_bytes());
    lake
}

/// Asserts that a lake says what is expected, and has the rows of one run over one file.
#[track_caller]
pub(crate) fn is_right(lake: &Lake, what: &str) {
    playbacks_are_right(lake);
    curves_are_right(lake);
    dropoff_is_right(lake);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.quarantine"), 0, "{what}");
    same(&lake.bags(COMPUTED), &at_once().0, what);
}

fn expected() -> Value {
    serde_json::from_str(EXPECTED).unwrap()
}

#[track_caller]
fn playbacks_are_right(lake: &Lake) {
    let rows = lake.rows("SELECT * FROM silver.playbacks");
    let found: BTreeMap<&str, &Value> =
        rows.iter().map(|row| (row["playback_id"].as_str().unwrap(), row)).collect();
    assert_eq!(found.len(), rows.len(), "a playback is one row");
    let mut wrong = Vec::new();
    for (playback, columns) in expected()["playbacks"].as_object().unwrap() {
        for (column, value) in columns.as_object().unwrap() {
            let is = found.get(playback.as_str()).and_then(|row| row.get(column));
            if is != Some(value) {
                wrong.push(format!("{playback}.{column}: {is:?} is not {value}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Watched units of a slice, and those of one play that watched it once.
type Curve = BTreeMap<(String, i64), (f64, f64)>;

/// The retention curves: of a playback from its intervals, of a video as gold has it.
fn curves(lake: &Lake) -> Curve {
    let of_playbacks = "
        WITH slices AS (SELECT value AS slice FROM generate_series(1, 100))
        SELECT playback_id AS scope, slice, max(d) AS whole,
               sum(greatest(0, least(end_ms * 100, slice * d) - greatest(start_ms * 100, (slice - 1) * d))) AS units
        FROM silver.intervals CROSS JOIN slices
        WHERE d > 0
        GROUP BY playback_id, slice";
    let of_videos = "
        SELECT concat('video:', retention.video_id) AS scope, slice,
               sum(watched_units) AS units, sum(plays * duration_ms) AS whole
        FROM gold.video_retention AS retention
        JOIN silver.video_durations AS durations
            ON durations.video_id = retention.video_id AND durations.content_version = retention.content_version
        GROUP BY retention.video_id, slice";
    let mut curves = Curve::new();
    for row in lake.rows(of_playbacks).iter().chain(&lake.rows(of_videos)) {
        let scope = row["scope"].as_str().unwrap().to_owned();
        let number = |name: &str| row[name].as_f64().unwrap();
        curves.insert((scope, row["slice"].as_i64().unwrap()), (number("units"), number("whole")));
    }
    curves
}

#[track_caller]
fn curves_are_right(lake: &Lake) {
    let curves = curves(lake);
    let mut wrong = Vec::new();
    for (scope, steps) in expected()["retention"].as_object().unwrap() {
        for step in steps.as_array().unwrap() {
            let (from, to) = (step[0].as_i64().unwrap(), step[1].as_i64().unwrap());
            let ratio = step[2].as_f64().unwrap();
            for slice in from..=to {
                let found = curves.get(&(scope.clone(), slice));
                // Units are whole numbers: half a unit apart is another number.
                let equal = found.is_some_and(|(units, whole)| (units - ratio * whole).abs() < 0.5);
                if !equal {
                    wrong.push(format!("{scope}, slice {slice}: {found:?} is not {ratio}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[track_caller]
fn dropoff_is_right(lake: &Lake) {
    let rows = lake.rows(
        "SELECT video_id, slice, sum(exits) AS exits, sum(at_risk) AS at_risk
         FROM gold.video_dropoff GROUP BY video_id, slice",
    );
    let mut found = BTreeMap::new();
    for row in &rows {
        let key = (row["video_id"].as_str().unwrap(), row["slice"].as_i64().unwrap());
        found.insert(key, (row["exits"].as_i64().unwrap(), row["at_risk"].as_i64().unwrap()));
    }
    for (video, slices) in expected()["dropoff"].as_object().unwrap() {
        for slice in slices.as_array().unwrap() {
            let number = |i: usize| slice[i].as_i64().unwrap();
            let key = (video.as_str(), number(0));
            assert_eq!(found.get(&key), Some(&(number(1), number(2))), "{key:?}");
        }
    }
}

/// The events, each line with its newline, in an order drawn by `seed`.
fn shuffled(seed: u64) -> Vec<String> {
    let mut lines: Vec<String> = EVENTS.lines().map(|line| format!("{line}\n")).collect();
    lines.shuffle(&mut Pcg64::seed_from_u64(seed));
    lines
}

#[test]
fn all_events_in_one_file_give_the_expected_rows() {
    let lake = lake_with_videos();
    lake.land("events/all.jsonl", EVENTS.as_bytes());
    lake.ok(&["run", "all"]);
    is_right(&lake, "one file");
    assert_eq!(lake.bag("bronze.events").len(), EVENTS.lines().count());
}

#[test]
fn the_area_under_every_curve_is_what_was_watched() {
    let lake = lake_with_videos();
    lake.land("events/all.jsonl", EVENTS.as_bytes());
    lake.ok(&["run", "all"]);
    let mut areas: BTreeMap<String, f64> = BTreeMap::new();
    for ((scope, _), (units, _)) in curves(&lake) {
        *areas.entry(scope).or_default() += units;
    }
    let watched = lake.rows(
        "SELECT playback_id AS scope, media_ms FROM silver.playbacks
         WHERE duration_ms > 0 AND media_ms > 0 AND stream_type = 'vod'",
    );
    assert!(watched.len() > 100, "{}", watched.len());
    for row in &watched {
        let scope = row["scope"].as_str().unwrap();
        let units = row["media_ms"].as_f64().unwrap() * 100.0;
        assert!((areas[scope] - units).abs() < 0.5, "{scope}: {} is not {units}", areas[scope]);
    }
}

#[test]
fn files_that_come_one_by_one_give_the_rows_of_one_file() {
    let lake = lake_with_videos();
    let lines = shuffled(1);
    for (i, part) in lines.chunks(lines.len().div_ceil(7)).enumerate() {
        lake.land(&format!("events/{i}.ndjson"), part.concat().as_bytes());
        lake.ok(&["run", "all"]);
    }
    is_right(&lake, "seven files, a run after each");
    assert_eq!(lake.bag("bronze.events"), at_once().1);
}

#[test]
fn the_catalogue_may_come_after_the_events() {
    let lake = Lake::new();
    lake.land("events/all.jsonl", EVENTS.as_bytes());
    lake.ok(&["run", "all"]);
    lake.land("videos/catalogue.jsonl", VIDEOS.as_bytes());
    lake.ok(&["run", "all"]);
    is_right(&lake, "videos after events");
}

#[test]
fn small_batches_give_the_rows_of_a_big_one() {
    let mut lake = lake_with_videos();
    lake.set("LAKE_INGEST_BATCH_SIZE", "10KiB");
    for (i, part) in shuffled(2).chunks(16).enumerate() {
        lake.land(&format!("events/day={}/{i}.ndjson", i % 3), part.concat().as_bytes());
    }
    lake.ok(&["run", "all"]);
    is_right(&lake, "many small batches");
    assert_eq!(lake.bag("bronze.events"), at_once().1);
}

#[test]
fn shuffled_and_repeated_lines_give_the_same_rows() {
    for seed in 3..6 {
        let mut random = Pcg64::seed_from_u64(seed);
        let mut lines = shuffled(seed);
        let again: Vec<String> =
            lines.iter().filter(|_| random.random_bool(0.3)).cloned().collect();
        lines.extend(again.iter().cloned().chain(again.iter().take(9).cloned()));
        lines.shuffle(&mut random);
        let lake = lake_with_videos();
        lake.land("videos/again.jsonl", VIDEOS.as_bytes());
        let (first, second) = lines.split_at(lines.len() / 2);
        lake.land("events/a.ndjson", first.concat().as_bytes());
        lake.ok(&["run", "all"]);
        lake.land("events/b.ndjson", second.concat().as_bytes());
        lake.ok(&["run", "all"]);
        is_right(&lake, &format!("seed {seed}"));
        let bronze = lake.number("SELECT count(*) AS n FROM bronze.events");
        assert_eq!(usize::try_from(bronze).unwrap(), lines.len(), "bronze keeps every copy");
    }
}

#[test]
fn packed_files_in_sub_folders_give_the_same_rows() {
    let lake = lake_with_videos();
    let lines = shuffled(7);
    let (first, rest) = lines.split_at(200);
    let (second, third) = rest.split_at(200);
    lake.land("events/2026/03/a.ndjson.gz", &gzip(first.concat().as_bytes()));
    lake.land("events/2026/b.jsonl.zst", &zstandard(second.concat().as_bytes()));
    // Two gzip members in one file, as `cat a.gz b.gz` makes them.
    let (third, fourth) = third.split_at(100);
    let members = [gzip(third.concat().as_bytes()), gzip(fourth.concat().as_bytes())].concat();
    lake.land("events/c.json.gz", &members);
    lake.ok(&["run", "all"]);
    is_right(&lake, "gzip and zstd");
    assert_eq!(lake.bag("bronze.events"), at_once().1);
}

fn records(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn parquet_files_give_the_same_rows() {
    let lake = lake_with_videos();
    let schema = record_schema("bronze.events");
    let lines = shuffled(8);
    for (i, part) in lines.chunks(300).enumerate() {
        let rows = batch(&schema, &records(part));
        lake.land(&format!("events/{i}.parquet"), &parquet(&rows));
    }
    lake.ok(&["run", "all"]);
    is_right(&lake, "Parquet");
    assert_eq!(lake.bag("bronze.events"), at_once().1);
}

#[test]
fn csv_files_give_the_same_rows() {
    let lake = Lake::new();
    for (folder, lines) in [("events", EVENTS), ("videos", VIDEOS)] {
        let columns = leaves(&record_schema(&format!("bronze.{folder}")));
        let mut text = columns.join(",") + "\n";
        for line in lines.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let cells: Vec<String> =
                columns.iter().map(|column| csv_cell(&record, column)).collect();
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        lake.land(&format!("{folder}/all.csv.gz"), &gzip(text.as_bytes()));
    }
    lake.ok(&["run", "all"]);
    is_right(&lake, "CSV");
    assert_eq!(lake.bag("bronze.events"), at_once().1);
}

fn csv_cell(record: &Value, column: &str) -> String {
    let value = record.pointer(&format!("/{}", column.replace('.', "/")));
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => format!("\"{}\"", text.replace('"', "\"\"")),
        Some(other) => other.to_string(),
    }
}

#[test]
fn a_full_refresh_writes_every_model_again_and_gives_the_same_rows() {
    let lake = lake_with_videos();
    lake.land("events/all.jsonl", EVENTS.as_bytes());
    lake.ok(&["run", "all"]);
    let output = lake.ok(&["run", "all", "--full-refresh", "--output", "ndjson"]).stdout;
    let steps: Vec<Value> =
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for table in lake.tables(COMPUTED) {
        let step = steps.iter().find(|step| step["table_name"] == *table).unwrap();
        assert_eq!(step["result"], "written", "{table}");
    }
    same(&lake.bags(COMPUTED), &at_once().0, "a full refresh");
    assert_eq!(lake.bag("bronze.events"), at_once().1);
}

/// What viewers truly watched, as the simulator wrote it down, against what the lake derives from
/// their events: equal where a playback ended, and one heartbeat short at most where it did not.
#[test]
fn what_the_lake_derives_is_what_the_simulator_showed() {
    const HEARTBEAT_MS: i64 = 10_000;
    let lake = Lake::new();
    let landing = format!("folder:{}", lake.folder().join("landing").display());
    let truth = lake.folder().join("truth.ndjson");
    let told = truth.to_string_lossy().into_owned();
    lake.ok(&["simulate", "--events", "20000", "--to", &landing, "--truth", &told]);
    lake.ok(&["run", "all"]);
    let derived =
        lake.rows("SELECT playback_id, play_time_ms, media_ms, dropped FROM silver.playbacks");
    let derived: BTreeMap<&str, &Value> =
        derived.iter().map(|row| (row["playback_id"].as_str().unwrap(), row)).collect();
    let mut n_equal = 0;
    for line in std::fs::read_to_string(&truth).unwrap().lines() {
        let shown: Value = serde_json::from_str(line).unwrap();
        let row = derived[shown["playback_id"].as_str().unwrap()];
        let segments = shown["segments"].as_array().unwrap().iter();
        let media_ms: i64 =
            segments.map(|part| part[1].as_i64().unwrap() - part[0].as_i64().unwrap()).sum();
        let missing =
            shown["play_time_ms"].as_i64().unwrap() - row["play_time_ms"].as_i64().unwrap();
        if row["dropped"] == 1 {
            assert!((0..=HEARTBEAT_MS).contains(&missing), "{shown} {row}");
        } else {
            assert_eq!((missing, row["media_ms"].as_i64()), (0, Some(media_ms)), "{shown} {row}");
            n_equal += 1;
        }
    }
    assert!(n_equal > 100, "{n_equal}");
}
