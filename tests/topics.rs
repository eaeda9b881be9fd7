//! Events from topics of a genuine Kafka: each committed record in exactly one place, whatever it
//! is, and the same rows in silver and gold as from files.

use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr as RespErr};
use serde_json::{Value, json};

use crate::records::{broken, glued, record};
use crate::scenarios::{EVENTS, VIDEOS, is_right};
use crate::support::Lake;
use crate::support::kafka::{Broker, Producer, Transactional, read_topic};
use crate::support::stream::Stream;

/// A whole record as text.
fn event(id: &str) -> String {
    record(id).to_string()
}

fn events(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|i| event(&format!("e{i}"))).collect()
}

#[test]
fn the_scenarios_are_right_through_a_topic_in_many_runs() {
    let Some(broker) = Broker::shared() else { return };
    let stream = Stream::without_topic(broker, "scenarios");
    let lake = &stream.lake;
    lake.land("videos/catalogue.jsonl", VIDEOS.as_bytes());
    lake.ok(&["run", "bronze"]).says(0, &["no topic"]);
    broker.create_topic(&stream.topic, 3);
    let lines: Vec<&str> = EVENTS.lines().collect();
    for (i, part) in lines.chunks(lines.len().div_ceil(6)).enumerate() {
        stream.send(part);
        lake.ok(&["run", ["bronze", "all"][i % 2]]);
    }
    lake.ok(&["run", "all"]);
    assert_eq!(stream.holds_all(), (lines.len(), 0));
    is_right(lake, "through a topic");
}

#[test]
fn a_simulation_through_topics_gives_the_rows_of_one_through_files() {
    let Some(broker) = Broker::shared() else { return };
    let mut stream = Stream::without_topic(broker, "made-events");
    stream.lake.set("LAKE_INGEST_BATCH_SIZE", "2MiB");
    let arguments = ["simulate", "--events", "12000", "--seed", "5"];
    let through_topics = stream
        .lake
        .run(&[&arguments[..], &["--rate", "100000/s", "--to", &stream.source()]].concat());
    through_topics.says(0, &["12,000 rows"]);
    // Its catalogue is in a topic that the contract calls otherwise.
    let files = Stream::without_topic(broker, "unused");
    let landing = format!("folder:{}", files.lake.folder().join("landing").display());
    files.lake.ok(&[&arguments[..], &["--to", &landing]].concat());
    let videos = files.lake.folder().join("landing/videos");
    for path in crate::support::below(&videos) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        stream.lake.land(&format!("videos/{name}"), &std::fs::read(path).unwrap());
    }
    for lake in [&stream.lake, &files.lake] {
        lake.ok(&["run", "all"]);
    }
    assert_eq!(stream.holds_all(), (12_000, 0));
    let layers = ["silver", "gold"];
    crate::support::same(&stream.lake.bags(&layers), &files.lake.bags(&layers), "by topic");
}

/// Some 2,300 records that are broken, or may be: cut off after each byte, with one byte made
/// invalid, or left out.
fn corpus() -> Vec<Vec<u8>> {
    let whole = event("whole").into_bytes();
    let mut corpus = broken();
    corpus.push(glued());
    for at in 0..whole.len() {
        corpus.push(whole[..at].to_vec());
        let mut invalid = whole.clone();
        invalid[at] = 0xff;
        corpus.push(invalid);
        let mut shorter = whole.clone();
        shorter.remove(at);
        corpus.push(shorter);
    }
    corpus
}

#[test]
fn every_record_is_in_one_place_and_costs_its_neighbours_nothing() {
    let Some(broker) = Broker::shared() else { return };
    let mut stream = Stream::new(broker, "corpus", 4);
    stream.lake.set("LAKE_INGEST_BATCH_SIZE", "1MiB");
    let corpus = corpus();
    assert!(corpus.len() > 2_300, "{}", corpus.len());
    let mut records: Vec<Vec<u8>> = Vec::new();
    for (i, bad) in corpus.iter().enumerate() {
        records.push(event(&format!("good-{i:05}")).into_bytes());
        records.push(bad.clone());
    }
    stream.send(&records);
    stream.lake.ok(&["run", "bronze"]);
    let (taken, rejected) = stream.holds_all();
    assert_eq!(taken + rejected, records.len());
    assert!(rejected > 1_500, "{rejected}");
    let good =
        "SELECT count(DISTINCT event_id) AS n FROM bronze.events WHERE event_id LIKE 'good-%'";
    assert_eq!(stream.lake.number(good), i64::try_from(corpus.len()).unwrap());
}

#[test]
fn odd_records_of_a_topic_end_where_they_belong() {
    let Some(broker) = Broker::shared() else { return };
    let stream = Stream::new(broker, "odd", 1);
    // As long as the brokers take by default.
    let long = format!("l\u{e4}nge \u{1f600} \\ \" \n{}", "x".repeat(990_000));
    let mut with_long = record("long");
    with_long["connection_type"] = json!(long);
    let producer = Producer::new(broker);
    let pretty = serde_json::to_string_pretty(&record("pretty")).unwrap();
    let valid = [with_long.to_string(), pretty, format!(" \r\n{}\t", event("spaces"))];
    for text in &valid {
        producer.send(&stream.topic, 0, None, Some(text.as_bytes()));
    }
    producer.send(&stream.topic, 0, Some(b"key"), None);
    producer.send(&stream.topic, 0, Some(b"key"), Some(b""));
    producer.send(&stream.topic, 0, Some(b"key"), Some(b"\n"));
    producer.send(&stream.topic, 0, None, Some(&vec![b'['; 100_000]));
    producer.send(&stream.topic, 0, None, Some(event("last").as_bytes()));
    producer.flush();
    stream.lake.ok(&["run", "bronze"]);
    let faults = "SELECT position, error_class, error_message FROM bronze.quarantine";
    assert_eq!(stream.holds_all(), (4, 4), "{:?}", stream.lake.rows(faults));
    let rows =
        stream.lake.rows("SELECT connection_type FROM bronze.events WHERE event_id = 'long'");
    assert_eq!(rows[0]["connection_type"], json!(long));
    let classes = stream.lake.rows("SELECT error_class FROM bronze.quarantine ORDER BY position");
    let classes: Vec<&str> =
        classes.iter().map(|row| row["error_class"].as_str().unwrap()).collect();
    assert_eq!(classes[..3], ["tombstone", "not_json", "not_json"]);
}

#[test]
fn the_time_of_a_record_is_that_of_kafka() {
    let Some(broker) = Broker::shared() else { return };
    let stream = Stream::new(broker, "times", 1);
    let producer = Producer::new(broker);
    producer.send_at(&stream.topic, 0, None, Some(event("t").as_bytes()), 1_772_366_400_123);
    producer.flush();
    stream.lake.ok(&["run", "bronze"]);
    let row = &stream.lake.rows("SELECT * FROM bronze.events")[0];
    let time = row["_record_ts"].as_str().unwrap();
    assert!(time.starts_with("2026-03-01T12:00:00.123"), "{time}");
    assert_eq!((&row["_partition"], &row["_offset"]), (&json!(0), &json!(0)));
    assert_eq!((&row["_topic"], &row["_source_file"]), (&json!(stream.topic), &Value::Null));
    // Nanoseconds where milliseconds belong: the record is whole, its time is none.
    let late = event("late");
    producer.send_at(&stream.topic, 0, None, Some(late.as_bytes()), 1_772_366_400_000_000_000);
    producer.flush();
    stream.lake.ok(&["run", "bronze"]);
    let times = "SELECT _record_ts FROM bronze.events WHERE event_id = 'late'";
    assert_eq!(stream.lake.rows(times)[0].get("_record_ts").unwrap_or(&Value::Null), &Value::Null);
}

#[test]
fn aborted_records_are_never_seen_and_open_ones_are_waited_for() {
    let Some(broker) = Broker::shared() else { return };
    let stream = Stream::new(broker, "transactions", 2);
    let (topic, lake) = (&stream.topic, &stream.lake);
    let transactional = Transactional::new(broker, topic);
    let send = |ids: std::ops::Range<usize>| {
        for text in events(ids.start, ids.end) {
            transactional.send(topic, 0, None, Some(text.as_bytes()));
        }
    };
    for (i, commits) in [true, false, true, true, false, false].into_iter().enumerate() {
        transactional.begin();
        send(i * 10..i * 10 + 10);
        if commits { transactional.commit() } else { transactional.abort() }
    }
    lake.ok(&["run", "bronze"]);
    assert_eq!(stream.holds_all(), (30, 0));
    // Six transactions of ten records and a mark each, the last two without a row: all of it is
    // read, and partition 1, which has nothing, is noted.
    assert_eq!(stream.next_offsets(), [66, 0]);
    let n_commits = lake.number("SELECT count(DISTINCT _ingested_at) AS n FROM bronze.events");
    assert_eq!(n_commits, 1);
    lake.ok(&["run", "bronze"]).is_up_to_date("bronze.events");

    // Nothing but aborted records: progress without a row.
    transactional.begin();
    send(100..110);
    transactional.abort();
    lake.ok(&["run", "bronze"]);
    assert_eq!(stream.next_offsets(), [77, 0]);

    // An open transaction holds back what comes after it in its partition, and no run waits for it.
    transactional.begin();
    send(200..205);
    transactional.flush();
    let other = Producer::new(broker);
    for (partition, text) in [0, 1].into_iter().zip(events(300, 302)) {
        other.send(topic, partition, None, Some(text.as_bytes()));
    }
    other.flush();
    lake.ok(&["run", "bronze"]);
    assert_eq!(stream.next_offsets(), [77, 1]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.events"), 31);
    transactional.commit();
    lake.ok(&["run", "bronze"]);
    assert_eq!(stream.holds_all(), (37, 0));
}

#[test]
fn what_quarantine_holds_is_decided() {
    let Some(broker) = Broker::shared() else { return };
    let stream = Stream::new(broker, "decided", 2);
    let lake = &stream.lake;
    stream.send(events(0, 10));
    lake.ok(&["run", "bronze"]);
    // What a crash between the two commits leaves behind: quarantine went on, the table did not.
    let table = lake.root().join("bronze/events");
    let aside = lake.folder().join("aside");
    copy(&table, &aside);
    let mixed = |from: usize| -> Vec<String> {
        let cut = |i| format!("{{\"event_id\":\"broken-{i}\"}}");
        events(from, from + 10)
            .into_iter()
            .enumerate()
            .flat_map(|(i, text)| [text, cut(i)])
            .collect()
    };
    stream.send(mixed(100));
    lake.ok(&["run", "bronze"]);
    std::fs::remove_dir_all(&table).unwrap();
    std::fs::rename(&aside, &table).unwrap();
    // More has come since, so the batch that is read now is another one.
    stream.send(mixed(200));
    lake.ok(&["run", "bronze"]);
    assert_eq!(stream.holds_all(), (30, 20));
    lake.ok(&["run", "bronze"]).says(0, &["up to date"]);
}

#[test]
fn what_a_mended_contract_takes_comes_in_once_and_not_before_it_is_decided() {
    let Some(broker) = Broker::shared() else { return };
    let stream = Stream::new(broker, "mended", 2);
    let lake = &stream.lake;
    let (contract, mended) = forbid_threes(&stream);

    stream.send(events(0, 40));
    lake.ok(&["run", "bronze"]);
    assert_eq!(stream.holds_all(), (36, 4));
    let table = lake.root().join("bronze/events");
    let aside = lake.folder().join("aside");
    copy(&table, &aside);
    stream.send(events(40, 60));
    lake.ok(&["run", "bronze"]);
    // A crash between the two commits: quarantine has two records more than the table knows of.
    std::fs::remove_dir_all(&table).unwrap();
    std::fs::rename(&aside, &table).unwrap();
    std::fs::write(&contract, &mended).unwrap();

    // Those two are left: the next run would take them for decided, or take them again.
    lake.ok(&["quarantine", "replay"]).says(0, &["4 records came in, 2 stayed", "lake run bronze"]);
    lake.ok(&["run", "bronze"]);
    assert_eq!(stream.holds_all(), (58, 2));
    lake.ok(&["quarantine", "replay"]).says(0, &["2 records came in, 0 stayed"]);
    assert_eq!(stream.holds_all(), (60, 0));
    lake.ok(&["quarantine", "replay"]);
    lake.ok(&["run", "bronze"]);
    assert_eq!(stream.holds_all(), (60, 0));
    let places = "SELECT count(*) AS n FROM bronze.events WHERE event_id LIKE '%3' AND _topic IS NOT NULL AND _record_ts IS NOT NULL AND _source_file IS NULL";
    assert_eq!(lake.number(places), 6);
}

#[test]
fn records_of_a_topic_that_was_made_anew_are_not_taken_for_those_of_the_old_one() {
    let Some(broker) = Broker::shared() else { return };
    let stream = Stream::new(broker, "namesakes", 1);
    let (lake, source) = (&stream.lake, stream.source());
    let (contract, mended) = forbid_threes(&stream);
    // Two topics one after the other, with records of one time at the same offsets.
    let send = |records: Vec<String>| send_at_one_time(&stream, &records);
    send(vec!["{".to_owned(); 20]);
    lake.ok(&["run", "bronze"]);
    broker.delete_topic(&stream.topic);
    broker.create_topic(&stream.topic, 1);
    send(events(100, 120));
    let accept = ["run", "bronze", "--accept-loss", &source];
    lake.ok(&accept).says(0, &["made anew", "18 rows"]);
    let count = |sql: &str| lake.number(&format!("SELECT count(*) AS n FROM bronze.{sql}"));
    assert_eq!((count("events"), count("quarantine")), (18, 22));

    // A replay takes two of the new ones, and leaves those of the old one at their places alone.
    std::fs::write(&contract, &mended).unwrap();
    lake.ok(&["quarantine", "replay"]).says(0, &["2 records came in, 20 stayed"]);
    assert_eq!((count("events"), count("quarantine")), (20, 20));
    assert_eq!(count(&format!("quarantine WHERE source = '{source}'")), 20);
}

#[test]
fn a_topic_that_was_made_anew_after_a_crash_is_not_taken_for_the_old_one() {
    let Some(broker) = Broker::shared() else { return };
    let stream = Stream::new(broker, "unfinished", 1);
    let (lake, source) = (&stream.lake, stream.source());
    let send = |records: Vec<String>| send_at_one_time(&stream, &records);
    // The first commit ever is to quarantine, and no second one follows.
    send(vec!["{".to_owned(); 10]);
    lake.ok(&["run", "bronze"]);
    std::fs::remove_dir_all(lake.root().join("bronze/events")).unwrap();
    broker.delete_topic(&stream.topic);
    broker.create_topic(&stream.topic, 1);
    send(events(0, 20));
    lake.run(&["run", "bronze"]).says(1, &["made anew", "--accept-loss"]);
    lake.ok(&["run", "bronze", "--accept-loss", &source]);
    let rows = "SELECT count(*) AS n FROM bronze.events";
    assert_eq!(lake.number(rows), 20);

    // What the old topic left in quarantine is nobody's any more, so a replay looks at it.
    lake.ok(&["quarantine", "replay"]).says(0, &["0 records came in, 10 stayed"]);
    lake.ok(&["run", "bronze"]).says(0, &["up to date"]);

    // Made anew again, accepted, and cut short between the two commits: what was accepted holds.
    let (table, aside) = (lake.root().join("bronze/events"), lake.folder().join("aside"));
    copy(&table, &aside);
    broker.delete_topic(&stream.topic);
    broker.create_topic(&stream.topic, 1);
    send(vec!["{".to_owned(); 5]);
    lake.ok(&["run", "bronze", "--accept-loss", &source]);
    std::fs::remove_dir_all(&table).unwrap();
    std::fs::rename(&aside, &table).unwrap();
    send(events(100, 130));
    lake.ok(&["run", "bronze"]);
    let held = lake.number("SELECT count(*) AS n FROM bronze.quarantine");
    assert_eq!((lake.number(rows), held), (50, 15));
}

/// Makes the contract refuse events whose id ends in 3; its file, and the text that takes them.
fn forbid_threes(stream: &Stream<'_>) -> (PathBuf, String) {
    let contract = stream.project().join("lake/bronze/events.sql");
    let mended = std::fs::read_to_string(&contract).unwrap();
    let first = "    CONSTRAINT ";
    let strict = format!("    CONSTRAINT no_threes CHECK (event_id NOT LIKE '%3'),\n{first}");
    std::fs::write(&contract, mended.replacen(first, &strict, 1)).unwrap();
    (contract, mended)
}

/// Sends records to partition 0, all with one time.
fn send_at_one_time(stream: &Stream<'_>, records: &[String]) {
    let producer = Producer::new(stream.broker);
    for text in records {
        producer.send_at(&stream.topic, 0, None, Some(text.as_bytes()), 1_772_366_400_000);
    }
    producer.flush();
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let status = std::process::Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(status.unwrap().success());
}

#[test]
fn a_topic_is_begun_where_the_settings_say_once() {
    let Some(broker) = Broker::shared() else { return };
    let mut stream = Stream::new(broker, "begun", 2);
    stream.send(events(0, 4));
    stream.lake.set("LAKE_KAFKA_START", "latest");
    stream.lake.ok(&["run", "bronze"]);
    assert_eq!(stream.next_offsets(), [2, 2]);
    stream.send(events(4, 8));
    // A partition that is added is new from its first record on, also for who began with the latest.
    broker.add_partitions(&stream.topic, 3);
    stream.send(events(8, 11));
    stream.lake.ok(&["run", "bronze"]);
    assert_eq!(stream.next_offsets(), [5, 5, 1]);
    assert_eq!(stream.lake.number("SELECT count(*) AS n FROM bronze.events"), 7);

    let stream = {
        let mut stream = Stream::new(broker, "since", 1);
        let producer = Producer::new(broker);
        for (i, text) in (0..5).zip(events(0, 5)) {
            let time_ms = 1_772_366_400_000 + i * 60_000;
            producer.send_at(&stream.topic, 0, None, Some(text.as_bytes()), time_ms);
        }
        producer.flush();
        stream.lake.set("LAKE_KAFKA_START", "2026-03-01T12:03:00Z");
        stream
    };
    stream.lake.ok(&["run", "bronze"]);
    let rows = stream.lake.rows("SELECT event_id FROM bronze.events ORDER BY event_id");
    assert_eq!(rows, [json!({"event_id": "e3"}), json!({"event_id": "e4"})]);
}

#[test]
fn topics_and_folders_fill_one_table_and_one_topic_fills_two() {
    let Some(broker) = Broker::shared() else { return };
    let stream = Stream::new(broker, "several", 2);
    let second = format!("{}-too", stream.topic);
    broker.create_topic(&second, 1);
    let contract = stream.project().join("lake/bronze/events.sql");
    let text = std::fs::read_to_string(&contract).unwrap();
    let source = stream.source();
    std::fs::write(&contract, text.replace(&source, &format!("{source}, kafka:{second}"))).unwrap();
    let copy = "CREATE TABLE bronze.copies (event_id STRING NOT NULL)\nPARTITIONED BY (_ingest_date)\nTBLPROPERTIES ('lake.source' = 'SOURCE');\n";
    let file = stream.project().join("lake/bronze/copies.sql");
    std::fs::write(file, copy.replace("SOURCE", &source)).unwrap();

    stream.send(events(0, 10));
    let producer = Producer::new(broker);
    producer.send(&second, 0, None, Some(event("second").as_bytes()));
    producer.flush();
    stream.lake.land("events/a.jsonl", format!("{}\n", event("landed")).as_bytes());
    stream.lake.ok(&["run", "bronze"]);
    assert_eq!(stream.holds_all(), (10, 0));
    assert_eq!(stream.lake.number("SELECT count(*) AS n FROM bronze.events"), 12);
    assert_eq!(stream.lake.number("SELECT count(*) AS n FROM bronze.copies"), 10);
    stream.lake.ok(&["run", "bronze"]).says(0, &["bronze.copies", "up to date"]);
    assert_eq!(read_topic(broker, &second).len(), 1);
}

#[test]
fn errors_of_the_cluster_are_got_over() {
    // librdkafka's own imitation of a cluster: what it can do that a real one does not do on demand.
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic("events", 3, 1).unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    let producer: BaseProducer = config.create().unwrap();
    for (i, text) in events(0, 300).iter().enumerate() {
        let partition = i32::try_from(i % 3).unwrap();
        producer
            .send(BaseRecord::<(), str>::to("events").partition(partition).payload(text))
            .unwrap();
    }
    producer.flush(Duration::from_secs(10)).unwrap();
    let mut lake = Lake::new();
    lake.set("LAKE_KAFKA_BROKERS", cluster.bootstrap_servers());
    lake.set("LAKE_INGEST_BATCH_SIZE", "32KiB");
    // It has no ids of topics, for which a new table waits so long.
    lake.set("LAKE_KAFKA_TIMEOUT", "3s");
    let passing = [
        RespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
        RespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    ];
    for api in [RDKafkaApiKey::Fetch, RDKafkaApiKey::ListOffsets, RDKafkaApiKey::OffsetCommit] {
        cluster.request_errors(api, &passing);
    }
    let met = lake.run(&["run", "bronze", "--select", "bronze.events"]);
    assert!(matches!(met.code, Some(0 | 75)), "{:?}: {}", met.code, met.stderr);
    // It got over them, or may be tried again; the next one has it right.
    lake.ok(&["run", "bronze", "--select", "bronze.events"]);
    let rows = "SELECT count(*) AS n FROM bronze.events";
    let places = "SELECT count(DISTINCT _partition * 1000 + _offset) AS n FROM bronze.events";
    assert_eq!((lake.number(rows), lake.number(places)), (300, 300));
    drop(cluster);
    lake.set("LAKE_KAFKA_TIMEOUT", "1s");
    lake.run(&["run", "bronze"]).says(75, &["no broker answers"]);
}
