//! The simulator against its own promises, above all: events and truth say the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;

/// 2026-03-01.
const START_MS: i64 = 1_772_323_200_000;

/// Keeps everything in memory.
#[derive(Default)]
struct Memory {
    events: Vec<(String, Vec<u8>)>,
    videos: Vec<Vec<u8>>,
}

impl Sink for Memory {
    fn event(&mut self, key: &str, line: &[u8]) -> Result<()> {
        self.events.push((key.to_owned(), line.to_vec()));
        Ok(())
    }

    fn video(&mut self, _key: &str, line: &[u8]) -> Result<()> {
        self.videos.push(line.to_vec());
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

fn run(events: u64, seed: u64, faults: Faults) -> (Memory, Vec<u8>, Report) {
    let options = Options { faults, ..Options::new(events, seed, START_MS) };
    let (mut sink, mut truth) = (Memory::default(), Vec::new());
    let report = simulate(&options, &mut sink, Some(&mut truth), &mut |_| Ok(())).unwrap();
    (sink, truth, report)
}

fn parsed(sink: &Memory) -> Vec<Value> {
    sink.events.iter().map(|(_, line)| serde_json::from_slice(line).unwrap()).collect()
}

fn many_faults() -> Faults {
    Faults { lose: 0.05, duplicate: 0.1, delay: 0.05, reorder: 0.1, skew: 0.2 }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let (first, first_truth, _) = run(5_000, 7, many_faults());
    let (second, second_truth, _) = run(5_000, 7, many_faults());
    assert!(first.events == second.events && first.videos == second.videos);
    assert_eq!(first_truth, second_truth);
    let (other, _, _) = run(5_000, 8, many_faults());
    assert!(first.events != other.events);
}

#[test]
fn the_number_of_lines_is_exact() {
    for events in [0, 1, 2, 17, 1_999] {
        for faults in [Faults::default(), Faults::realistic(), many_faults()] {
            let (sink, truth, report) = run(events, events, faults);
            assert_eq!(sink.events.len() as u64, events);
            assert_eq!(report.events, events);
            let bytes: usize = sink.events.iter().map(|(_, line)| line.len() + 1).sum();
            assert_eq!(report.bytes, bytes as u64);
            assert_eq!(report.videos, sink.videos.len() as u64);
            let lines = memchr::memchr_iter(b'\n', &truth).count();
            assert_eq!(report.playbacks, lines as u64);
        }
    }
}

#[test]
fn every_line_is_an_event_of_the_contract() {
    let (sink, _, _) = run(6_000, 3, Faults::realistic());
    for ((key, _), event) in sink.events.iter().zip(parsed(&sink)) {
        for name in ["event_id", "type", "event_ts", "anonymous_id", "app_id", "platform"] {
            assert!(event[name].is_string(), "{name}: {event}");
        }
        assert_eq!(event["session_id"], key.as_str());
        let family = event["family"].as_str().unwrap();
        assert!(event[family].is_object(), "{event}");
        if matches!(family, "video" | "ad") {
            assert!(event["seq"].is_u64() && event["playback_id"].is_string(), "{event}");
        }
    }
    for line in &sink.videos {
        let video: Value = serde_json::from_slice(line).unwrap();
        assert!(video["duration_ms"].as_i64().unwrap() >= 8_000, "{video}");
        assert!(video["title"].is_string() && video["valid_from"].is_string(), "{video}");
    }
}

#[test]
fn events_come_in_order_of_arrival_even_with_faults() {
    let (sink, _, _) = run(6_000, 4, many_faults());
    let mut last = String::new();
    for event in parsed(&sink) {
        let received = event["received_ts"].as_str().unwrap().to_owned();
        assert!(last <= received, "{received} after {last}");
        last = received;
    }
}

#[test]
fn a_duplicate_differs_only_in_when_it_travelled() {
    let (sink, _, _) = run(5_000, 5, Faults { duplicate: 0.2, ..Faults::default() });
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    let mut duplicates = 0;
    for mut event in parsed(&sink) {
        let members = event.as_object_mut().unwrap();
        members.remove("sent_ts");
        members.remove("received_ts");
        let id = event["event_id"].as_str().unwrap().to_owned();
        if let Some(first) = seen.insert(id, event.clone()) {
            assert_eq!(first, event);
            duplicates += 1;
        }
    }
    assert!((500..1_500).contains(&duplicates), "{duplicates}");
}

#[test]
fn what_is_derived_from_the_events_is_the_truth() {
    for seed in 0..2 {
        let (sink, truth, _) = run(16_000, seed, Faults::default());
        let mut playbacks: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for event in parsed(&sink).into_iter().filter(|event| event["family"] == "video") {
            let id = event["playback_id"].as_str().unwrap().to_owned();
            playbacks.entry(id).or_default().push(event);
        }
        let mut compared = 0;
        let mut known = BTreeSet::new();
        for line in truth.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let truth: Value = serde_json::from_slice(line).unwrap();
            let id = truth["playback_id"].as_str().unwrap();
            known.insert(id.to_owned());
            let (segments, play_time_ms, ended) = derive(&playbacks[id]);
            let rest = truth["play_time_ms"].as_i64().unwrap() - play_time_ms;
            if ended {
                assert_eq!(serde_json::json!(segments), truth["segments"], "{truth}");
                assert_eq!(rest, 0, "{truth}");
                compared += 1;
            } else {
                assert!((0..=10_000).contains(&rest), "{rest} ms too few: {truth}");
            }
        }
        assert!(compared > 200, "{compared}");
        let unknown: Vec<&String> = playbacks.keys().filter(|id| !known.contains(*id)).collect();
        assert!(unknown.is_empty(), "playbacks without a truth: {unknown:?}");
    }
}

/// The rules of the derivation, for complete playbacks: segments, playing time, and a clean end.
fn derive(events: &[Value]) -> (Vec<[i64; 2]>, i64, bool) {
    let mut events: Vec<&Value> = events.iter().collect();
    events.sort_by_key(|event| event["seq"].as_i64());
    let int = |value: &Value| value.as_i64().unwrap();
    let (mut segments, mut play_time_ms): (Vec<[i64; 2]>, i64) = (Vec::new(), 0);
    for (this, next) in events.iter().zip(&events[1..]) {
        if this["video"]["state"] != "playing" {
            continue;
        }
        let start =
            if this["video"]["loop"] == true { 0 } else { int(&this["video"]["position_ms"]) };
        let before = if next["type"] == "seek" { "from_position_ms" } else { "position_ms" };
        let end = int(&next["video"][before]);
        let elapsed = int(&next["mono_ms"]) - int(&this["mono_ms"]);
        let rate = this["video"]["playback_rate"].as_f64().unwrap();
        // Not more than rounding off: no step leans on the tolerance of the rules.
        let off = (end - start) as f64 - elapsed as f64 * rate;
        assert!(off.abs() <= 1.0, "{off} ms off: {this} {next}");
        assert!(elapsed <= 10_003, "no heartbeat for {elapsed} ms: {this}");
        play_time_ms += ((end - start) as f64 / rate).round() as i64;
        match segments.last_mut() {
            _ if start == end => {}
            Some(last) if (start - last[1]).abs() <= 1_000 => last[1] = end,
            _ => segments.push([start, end]),
        }
    }
    let state = &events[events.len() - 1]["video"]["state"];
    (segments, play_time_ms, state == "ended" || state == "quit" || state == "fatal")
}

#[test]
fn nonsense_is_refused() {
    let good = Options::new(10, 1, START_MS);
    let faults = Faults { lose: 1.0, ..Faults::default() };
    for bad in [
        Options { faults, ..good },
        Options { faults: Faults { skew: f64::NAN, ..Faults::default() }, ..good },
        Options { videos: 0, ..good },
        Options { span_ms: 0, ..good },
        Options { start_ms: i64::MAX, ..good },
    ] {
        assert!(simulate(&bad, &mut Memory::default(), None, &mut |_| Ok(())).is_err(), "{bad:?}");
    }
}

#[test]
fn any_catalogue_and_any_span_will_do() {
    for (videos, span_ms) in [(1, 1), (9, 60_000), (51, 86_400_000), (2_000, 40 * 86_400_000)] {
        let options = Options { span_ms, videos, ..Options::new(2_000, 1, START_MS) };
        let mut sink = Memory::default();
        simulate(&options, &mut sink, None, &mut |_| Ok(())).unwrap();
        assert_eq!(sink.events.len(), 2_000);
    }
}

#[test]
fn a_folder_is_written_once_and_holds_no_unfinished_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = FolderSink::new(dir.path(), "part").unwrap();
    simulate(&Options::new(3_000, 1, START_MS), &mut sink, None, &mut |_| Ok(())).unwrap();
    sink.finish().unwrap();
    let text = std::fs::read_to_string(dir.path().join("events/part-00000.ndjson")).unwrap();
    assert_eq!(text.lines().count(), 3_000);
    assert!(!dir.path().join("events/part-00000.ndjson.part").exists());
    assert!(dir.path().join("videos/part-00000.ndjson").exists());
    assert!(FolderSink::new(dir.path(), "part").is_err());
}
