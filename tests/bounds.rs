//! Records at and beyond every bound of the shipped project: what no true value reaches is in
//! quarantine, and whatever is let in stops nothing and is added up exactly.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::records::record;
use crate::support::Lake;

/// A whole event with some values set; a path is a JSON pointer.
fn event(id: &str, changes: &[(&str, Value)]) -> Value {
    let mut event = record(id);
    for (path, value) in changes {
        let (parent, name) = path.rsplit_once('/').unwrap();
        let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        drop(parent.insert(name.to_owned(), value.clone()));
    }
    event
}

/// An event of one playback at a time of the client's clock; the collector has no clock of its own.
fn step(playback: &str, seq: i64, at: &str, changes: &[(&str, Value)]) -> Value {
    let mut event = event(&format!("{playback}-{seq}"), changes);
    let object = event.as_object_mut().unwrap();
    for name in ["mono_ms", "sent_ts", "received_ts"] {
        object.remove(name);
    }
    object.insert("playback_id".to_owned(), json!(playback));
    object.insert("seq".to_owned(), json!(seq));
    object.insert("event_ts".to_owned(), json!(at));
    event
}

/// A video event: its type, its state and its position after it.
fn video(playback: &str, seq: i64, at: &str, kind: &str, state: &str, position: i64) -> Value {
    let video = json!({"state": state, "position_ms": position, "phase": "start", "reason": "stall",
        "from_position_ms": position, "fatal": false, "error_code": "none"});
    step(playback, seq, at, &[("/type", json!(kind)), ("/video", video)])
}

/// An ad event of an impression that is paid for.
fn ad(playback: &str, seq: i64, kind: &str, model: &str, price: i64, more: &Value) -> Value {
    let mut ad = json!({"impression_id": format!("{playback}-i"), "ad_break_id": "b", "ad_id": "a",
        "campaign_id": playback, "pricing_model": model, "price_micros": price, "currency": "EUR"});
    let fields = ad.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let changes = [("/family", json!("ad")), ("/type", json!(kind)), ("/video", Value::Null)];
    let mut event = step(playback, seq, "2026-03-01T12:00:00Z", &changes);
    event["ad"] = ad;
    event
}

fn lines(records: &[Value]) -> Vec<u8> {
    records.iter().flat_map(|record| format!("{record}\n").into_bytes()).collect()
}

#[track_caller]
fn quarantined(lake: &Lake) -> i64 {
    lake.number("SELECT count(*) AS n FROM bronze.quarantine")
}

/// The last legal value of a number and the first that is none, with the family it belongs to.
fn edges() -> Vec<(&'static str, &'static str, Value, Value)> {
    const DURATION: i64 = 10_000_000_000;
    const POSITION: i64 = 10_000_000_000_000;
    const COUNT: i64 = 1_000_000_000;
    const PRICE: i64 = 1_000_000_000_000_000 - 1;
    let most = |family, path, n: i64| (family, path, json!(n), json!(n + 1));
    let mut edges = vec![
        most("video", "/seq", POSITION),
        most("video", "/mono_ms", 100_000_000_000),
        ("video", "/video/playback_rate", json!(0.01), json!(0.009)),
        ("video", "/video/playback_rate", json!(0.0625), json!(1e-13)),
        ("video", "/video/playback_rate", json!(16), json!(16.5)),
        most("video", "/video/player_duration_ms", POSITION),
        most("ad", "/ad/break_position_ms", POSITION),
        most("ad", "/ad/price_micros", PRICE),
        most("web", "/web/price_micros", PRICE),
        most("web", "/web/order_value_micros", PRICE),
        most("web", "/web/quantity", COUNT),
        most("web", "/web/results", 1_000_000_000_000),
        most("interaction", "/interaction/text_len", COUNT),
    ];
    for (family, path) in [
        ("video", "/video/position_ms"),
        ("video", "/video/from_position_ms"),
        ("interaction", "/interaction/position_ms"),
        ("session", "/session/position_ms"),
    ] {
        edges.push(most(family, path, POSITION));
        edges.push((family, path, json!(-POSITION), json!(-POSITION - 1)));
    }
    for name in ["duration_ms", "startup_ms", "interval_ms", "buffer_ms"] {
        edges.push(most("video", ["/video/", name].concat().leak(), DURATION));
    }
    for name in ["dropped_frames", "bitrate_kbps", "prev_bitrate_kbps", "width", "height"] {
        edges.push(most("video", ["/video/", name].concat().leak(), COUNT));
    }
    for name in ["ad_duration_ms", "ad_position_ms", "skip_offset_ms"] {
        edges.push(most("ad", ["/ad/", name].concat().leak(), DURATION));
    }
    for name in ["pod_position", "pod_size", "slots_requested", "ads_returned"] {
        edges.push(most("ad", ["/ad/", name].concat().leak(), COUNT));
    }
    edges
}

#[test]
fn a_number_beyond_its_bound_is_in_quarantine_and_one_at_the_bound_stops_nothing() {
    let lake = Lake::new();
    let edges = edges();
    let mut events = Vec::new();
    for (n, (family, path, last, first)) in edges.iter().enumerate() {
        for (side, value) in [("in", last), ("out", first)] {
            let (id, playback) = (format!("{side}{n}"), json!(format!("{side}{n}")));
            let mut event = match *family {
                "ad" => ad(&id, 1, "impression", "CPC", 5, &json!({})),
                _ => event(&id, &[("/playback_id", playback)]),
            };
            let kind = match *family {
                "interaction" => Some(("like", json!({"action": "add"}))),
                "session" => Some(("session_start", json!({}))),
                "web" => Some(("page_view", json!({}))),
                _ => None,
            };
            if let Some((kind, object)) = kind {
                (event["family"], event["type"]) = (json!(family), json!(kind));
                event[*family] = object;
            }
            let (parent, name) = path.rsplit_once('/').unwrap();
            event.pointer_mut(parent).unwrap()[name] = value.clone();
            event["event_id"] = json!(id);
            events.push(event);
        }
    }
    lake.land("events/edges.ndjson", &lines(&events));
    let videos = [
        json!({"video_id": "long", "duration_ms": 10_000_000_000_i64, "credits_start_ms": 10_000_000_000_i64}),
        json!({"video_id": "longer", "duration_ms": 10_000_000_001_i64}),
        json!({"video_id": "late", "credits_start_ms": 10_000_000_001_i64}),
        json!({"video_id": "intro", "intro_end_ms": 10_000_000_001_i64}),
    ];
    lake.land("videos/edges.ndjson", &lines(&videos));
    lake.ok(&["run", "all"]);
    let taken: Vec<Value> =
        lake.rows("SELECT event_id FROM silver.events WHERE event_id LIKE 'out%'");
    assert!(taken.is_empty(), "{taken:?}");
    let n = edges.len() as i64;
    assert_eq!(lake.number("SELECT count(*) AS n FROM silver.events"), n);
    let checked = "SELECT count(*) AS n FROM bronze.quarantine WHERE error_class = 'check_failed'";
    assert_eq!((lake.number(checked), quarantined(&lake)), (n + 3, n + 3));
}

#[test]
fn a_version_that_begins_at_the_open_end_never_holds_and_stops_nothing() {
    let lake = Lake::new();
    let version = |id: &str, title: &str, from: &str| json!({"video_id": id, "title": title, "valid_from": from});
    let videos = [
        version("x", "held", "2026-01-01T00:00:00Z"),
        version("x", "never", "9999-12-31T00:00:00Z"),
        version("y", "held", "2026-01-01T00:00:00Z"),
        version("y", "last", "9999-12-30T23:59:59.999999Z"),
        version("y", "never", "9999-12-31T23:59:59.999999Z"),
        version("only", "first", "9999-12-31T00:00:00Z"),
        version("only", "second", "9999-12-31T12:00:00Z"),
        version("early", "1950", "1950-01-01T00:00:00Z"),
        version("early", "1960", "1960-01-01T00:00:00Z"),
        version("early", "year 1", "0001-01-01T00:00:00Z"),
        version("early", "2026", "2026-01-01T00:00:00Z"),
    ];
    lake.land("videos/a.ndjson", &lines(&videos));
    lake.land("events/a.ndjson", &lines(&[event("e", &[("/video_id", json!("x"))])]));
    lake.ok(&["run", "all"]);
    let rows = lake.rows("SELECT video_id, title, valid_from, valid_to, is_current FROM silver.videos ORDER BY video_id, valid_from");
    let found: Vec<String> = rows
        .iter()
        .map(|row| {
            let day = |name: &str| row[name].as_str().unwrap()[..10].to_owned();
            format!(
                "{} {} {}..{} {}",
                row["video_id"].as_str().unwrap(),
                row["title"].as_str().unwrap(),
                day("valid_from"),
                day("valid_to"),
                row["is_current"]
            )
        })
        .collect();
    let expected = [
        "early 1960 1970-01-01..2026-01-01 false",
        "early 2026 2026-01-01..9999-12-31 true",
        "only first 1970-01-01..9999-12-31 true",
        "x held 1970-01-01..9999-12-31 true",
        "y held 1970-01-01..9999-12-30 false",
        "y last 9999-12-30..9999-12-31 true",
    ];
    assert_eq!(found, expected);
    assert_eq!(lake.rows("SELECT video_title FROM silver.events")[0]["video_title"], "held");
}

/// Title and duration of one video of two records, whose file times have this distance.
fn winner(first: &Value, second: &Value, second_is_later: bool) -> String {
    let lake = Lake::new();
    let begin = SystemTime::UNIX_EPOCH + Duration::from_hours(490_000);
    for (name, record, later) in
        [("one", first, !second_is_later), ("two", second, second_is_later)]
    {
        let path =
            lake.land(&format!("videos/{name}.ndjson"), &lines(std::slice::from_ref(record)));
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(begin + Duration::from_hours(24 * u64::from(later))).unwrap();
    }
    lake.ok(&["run", "all"]);
    let rows = lake.rows("SELECT title, duration_ms FROM silver.videos");
    assert_eq!(rows.len(), 1, "{rows:?}");
    format!("{} {}", rows[0]["title"].as_str().unwrap(), rows[0]["duration_ms"])
}

#[test]
fn of_two_records_for_one_time_the_later_updated_ts_counts_whatever_the_files_say() {
    let record = |title: &str, duration: i64, updated: Option<&str>| {
        json!({"video_id": "x", "valid_from": "2026-01-01T00:00:00Z", "title": title,
            "duration_ms": duration, "updated_ts": updated})
    };
    let (old, new) = (Some("2026-02-01T00:00:00Z"), Some("2026-02-01T00:00:00.000001Z"));
    for later in [false, true] {
        let (a, b) = (record("A", 2000, new), record("B", 1000, old));
        assert_eq!(winner(&a, &b, later), "A 2000", "{later}");
        assert_eq!(winner(&record("A", 1000, old), &record("B", 2000, None), later), "A 1000");
    }
    // Without it the later file counts, as the contract says.
    let (a, b) = (record("A", 2000, None), record("B", 1000, None));
    assert_eq!((winner(&a, &b, false), winner(&a, &b, true)), ("A 2000".into(), "B 1000".into()));
}

#[test]
fn records_that_differ_only_where_texts_are_joined_are_two_versions() {
    let lake = Lake::new();
    let record = |title: &str, genre: Option<&str>, language: &str, from: &str| json!({"video_id": "x", "title": title, "description_hash": genre, "language": language, "valid_from": from});
    let videos = [
        record("a\u{1f}b", Some("c"), "d", "2026-01-01T00:00:00Z"),
        record("a", Some("b\u{1f}c"), "d", "2026-01-02T00:00:00Z"),
        record("a", None, "d", "2026-01-03T00:00:00Z"),
        record("a", Some("\u{1e}"), "d", "2026-01-04T00:00:00Z"),
        record("a", Some("\u{1e}"), "d", "2026-01-05T00:00:00Z"),
    ];
    lake.land("videos/a.ndjson", &lines(&videos));
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM silver.videos"), 4);
}

#[test]
fn money_is_exact_beyond_what_64_bits_hold() {
    const PRICE: i64 = 999_999_999_999_999;
    let lake = Lake::new();
    let none = json!({});
    let mut events = vec![ad("cpc", 0, "impression", "CPC", PRICE, &none)];
    events.extend(
        (1..=12).map(|n| ad("cpc", n, "click", "CPC", PRICE, &json!({"click_id": n.to_string()}))),
    );
    for n in 0..11 {
        let playback = format!("cpv{n}");
        for (seq, kind) in ["impression", "start"].iter().enumerate() {
            let more = json!({"campaign_id": "cpv"});
            events.push(ad(&playback, seq as i64, kind, "CPV", PRICE, &more));
        }
    }
    events.push(ad("cpm", 0, "impression", "CPM", 12_000_500, &none));
    // What no price is bills nothing, and stops nothing.
    events.push(ad("never", 0, "impression", "CPC", 5_000_000_000_000_000, &none));
    lake.land("events/a.ndjson", &lines(&events));
    lake.ok(&["run", "all"]);
    let rows = lake.rows("SELECT campaign_id, CAST(revenue_nanos AS VARCHAR) AS nanos, CAST(revenue_micros AS VARCHAR) AS micros FROM gold.ad_daily ORDER BY campaign_id");
    let expected = [
        json!({"campaign_id": "cpc", "nanos": "11999999999999988000", "micros": "11999999999999988"}),
        json!({"campaign_id": "cpm", "nanos": "12000500", "micros": "12001"}),
        json!({"campaign_id": "cpv", "nanos": "10999999999999989000", "micros": "10999999999999989"}),
    ];
    assert_eq!(rows, expected);
    assert_eq!(quarantined(&lake), 1);
}

#[test]
fn a_thousand_times_the_greatest_length_adds_up() {
    const MOST: i64 = 10_000_000_000;
    let lake = Lake::new();
    let mut events = Vec::new();
    for n in 0..1100 {
        let more = json!({"ad_duration_ms": MOST, "impression_id": format!("i{n}")});
        events.push(ad("ads", 2 * n, "impression", "FLAT", 0, &more));
        events.push(ad("ads", 2 * n + 1, "complete", "FLAT", 0, &more));
    }
    let at = "2026-03-01T12:00:00Z";
    for n in 0..1000 {
        for (place, position) in [(0, 0), (1, MOST)] {
            let seq = 2 * n + place;
            let mut event = video("there_and_back", seq, at, "heartbeat", "playing", position);
            event["mono_ms"] = json!(position);
            event["video_id"] = json!("in no catalogue");
            events.push(event.clone());
            if place == 1 {
                event["event_id"] = json!(format!("beyond-{seq}"));
                event["mono_ms"] = json!(position * 1_000_000);
                events.push(event);
            }
        }
    }
    lake.land("events/a.ndjson", &lines(&events));
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT sum(ad_ms) AS n FROM gold.ad_daily"), 1100 * MOST);
    let row = &lake.rows("SELECT media_ms, unique_media_ms, play_time_ms, inferred_jumps FROM silver.playbacks WHERE playback_id = 'there_and_back'")[0];
    // Each way back is a jump: the position went where no clock led.
    let expected = json!({"media_ms": 1000 * MOST, "unique_media_ms": MOST, "play_time_ms": 1000 * MOST, "inferred_jumps": 999});
    assert_eq!(*row, expected);
    assert_eq!(quarantined(&lake), 1000);
}

#[test]
fn no_time_is_negative_where_a_clock_steps_back() {
    let lake = Lake::new();
    let mut events = Vec::new();
    let states = [
        ("stalled", "buffer", "rebuffering"),
        ("paused", "pause", "paused"),
        ("in_ad", "pause", "ad"),
        ("sought", "buffer", "seeking"),
        ("started", "play_request", "starting"),
        ("played", "heartbeat", "playing"),
    ];
    // An hour back within the state, and as it should be.
    for (suffix, hour) in [("", "11"), ("_right", "12")] {
        for (name, kind, state) in states {
            let playback = format!("{name}{suffix}");
            let event = |seq, at: &str, kind, state, position| {
                video(&playback, seq, at, kind, state, position)
            };
            events.push(event(0, "2026-03-01T12:00:00Z", "heartbeat", "playing", 0));
            events.push(event(1, "2026-03-01T12:00:10Z", kind, state, 10_000));
            let position = if name == "played" { 12_000 } else { 10_000 };
            events.push(event(
                2,
                &format!("2026-03-01T{hour}:00:12Z"),
                "play",
                "playing",
                position,
            ));
            events.push(event(
                3,
                &format!("2026-03-01T{hour}:00:22Z"),
                "stop",
                "quit",
                position + 10_000,
            ));
        }
    }
    lake.land("events/a.ndjson", &lines(&events));
    lake.ok(&["run", "all"]);
    let columns = [
        "stall_ms",
        "paused_ms",
        "ad_ms",
        "startup_ms",
        "play_time_ms",
        "watched_ms",
        "unaccounted_ms",
    ];
    let sql = format!("SELECT playback_id, {} FROM silver.playbacks", columns.join(", "));
    for row in lake.rows(&sql) {
        let of = |name: &str| row[name].as_i64();
        let playback = row["playback_id"].as_str().unwrap();
        let in_state = if playback.ends_with("_right") { 2000 } else { 0 };
        let only = |name: &str| if playback.starts_with(name) { in_state } else { 0 };
        // Two seconds of media are within the tolerance of a step that takes no time.
        let play = if playback.starts_with("played") { 22_000 } else { 20_000 };
        assert_eq!(of("stall_ms"), Some(only("stalled")), "{row}");
        assert_eq!(of("paused_ms"), Some(only("paused")), "{row}");
        assert_eq!(of("ad_ms"), Some(only("in_ad")), "{row}");
        assert_eq!(of("startup_ms"), playback.starts_with("started").then_some(in_state), "{row}");
        assert_eq!(of("play_time_ms"), Some(play), "{row}");
        let waits = only("stalled") + only("sought") + only("started");
        assert_eq!(of("watched_ms"), Some(play + waits), "{row}");
        assert_eq!(of("unaccounted_ms"), Some(0), "{row}");
    }
    let rate = "SELECT rebuffer_rate FROM gold.video_daily_rates";
    let rate = lake.rows(rate)[0]["rebuffer_rate"].as_f64().unwrap();
    assert!(rate > 0.0 && rate < 0.01, "{rate}");
}

#[test]
fn whatever_clocks_say_times_stay_within_the_years_1_to_9999() {
    let mut lake = Lake::new();
    lake.set("LAKE_REPORTING_TZ", "Europe/Paris");
    let clocks = [
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "2026-03-01T12:00:00Z",
        "9999-12-31T23:59:59.999999Z",
    ];
    let mut events = Vec::new();
    for (a, first) in clocks.iter().enumerate() {
        for (b, second) in clocks.iter().enumerate() {
            let playback = format!("{a}{b}");
            events.push(video(&playback, 0, first, "play", "playing", 0));
            // A loop at a hundredth of the speed: its end by the media is days away.
            let mut last = video(&playback, 1, second, "heartbeat", "playing", 9_500);
            last["video"]["playback_rate"] = json!(0.01);
            last["video"]["player_duration_ms"] = json!(10_000);
            (last["sent_ts"], last["received_ts"]) = (json!(first), json!(second));
            events.push(last);
            events.push(video(&playback, 2, second, "heartbeat", "playing", 500));
        }
    }
    lake.land("events/a.ndjson", &lines(&events));
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM silver.playbacks"), 16);
    for (table, column) in [
        ("silver.playbacks", "start_ts"),
        ("silver.playbacks", "last_event_ts"),
        ("silver.intervals", "wall_start_ts"),
        ("silver.intervals", "wall_end_ts"),
    ] {
        let outside = format!(
            "SELECT count(*) AS n FROM {table} WHERE date_part('year', {column}) NOT BETWEEN 1 AND 9999"
        );
        assert_eq!(lake.number(&outside), 0, "{table}.{column}");
    }
    for part in crate::support::below(&lake.root()) {
        let text = part.to_string_lossy().into_owned();
        let day = text.split("_date=").nth(1).map(|rest| rest.split('/').next().unwrap());
        let is_date = |day: &str| {
            day.len() == 10 && day.as_bytes()[0].is_ascii_digit() && &day[..4] != "0000"
        };
        assert!(day.is_none_or(is_date), "{text}");
    }
}
