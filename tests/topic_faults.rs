//! Ingesters and brokers that are killed, paused and woken, topics that lose what was not read:
//! nothing is lost in silence, and nothing comes twice.

use std::process::Child;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

use crate::records::record;
use crate::support::following::Following;
use crate::support::kafka::{Broker, Producer, Transactional, read_topic};
use crate::support::stream::Stream;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// Events of which one in 20 is broken.
fn events(from: usize, to: usize) -> impl Iterator<Item = String> {
    let mut whole = record("ID").to_string();
    whole = whole.replace("\"ID\"", "\"@\"");
    (from..to).map(move |i| {
        if i % 20 == 0 {
            format!("{{\"event_id\":\"broken-{i}\",")
        } else {
            whole.replace("\"@\"", &format!("\"e{i}\""))
        }
    })
}

impl Stream<'_> {
    /// A run that follows, whose stderr is kept.
    fn follow(&self) -> Following {
        let mut command =
            self.lake.command(&["run", "bronze", "--select", "bronze.events", "--follow"]);
        command.env("LAKE_INGEST_INTERVAL", "100ms").env("LAKE_KAFKA_TIMEOUT", "2s");
        Following::start(command)
    }

    fn run_one(&self) -> Child {
        self.lake.start(&["run", "bronze", "--select", "bronze.events"])
    }

    /// Waits until the table and quarantine together have so many records.
    fn wait_for(&self, n: usize) {
        let started = Instant::now();
        let sql = "SELECT (SELECT count(*) FROM bronze.events) + (SELECT count(*) FROM bronze.quarantine) AS n";
        // Both tables are there once the sources were looked at.
        while self.lake.run(&["sql", sql]).code != Some(0)
            || self.lake.number(sql) < i64::try_from(n).unwrap()
        {
            assert!(started.elapsed() < PATIENCE, "{n} records do not come");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn killed_at_any_moment_every_record_is_there_once() {
    let Some(broker) = Broker::start(&[]) else { return };
    let mut stream = Stream::new(&broker, "killed", 3);
    stream.lake.set("LAKE_INGEST_BATCH_SIZE", "64KiB");
    let mut random = Pcg64::seed_from_u64(41);
    let (mut sent, mut killed) = (0, 0);
    let transactional = Transactional::new(&broker, "killed");
    for round in 0..24 {
        if round % 3 == 0 {
            stream.send(events(sent, sent + 600));
            sent += 600;
            transactional.begin();
            for text in events(1_000_000 + sent, 1_000_040 + sent) {
                transactional.send(&stream.topic, 1, None, Some(text.as_bytes()));
            }
            if round % 2 == 0 { transactional.commit() } else { transactional.abort() }
        }
        let mut child = stream.run_one();
        std::thread::sleep(Duration::from_millis(random.random_range(10..400)));
        if round % 8 == 5 {
            broker.kill();
            broker.restart();
        }
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            killed += 1;
        }
        child.wait().unwrap();
    }
    assert!(killed > 5, "only {killed} runs were killed: the moments are too late");
    stream.lake.ok(&["run", "bronze"]);
    let (taken, rejected) = stream.holds_all();
    println!("killed {killed} runs and 3 brokers: {taken} taken, {rejected} rejected");
    stream.lake.ok(&["run", "bronze"]).is_up_to_date("bronze.events");
}

#[test]
fn two_that_follow_one_topic_do_no_harm_also_when_one_sleeps() {
    let Some(broker) = Broker::shared() else { return };
    let mut stream = Stream::new(broker, "two", 4);
    stream.lake.set("LAKE_INGEST_BATCH_SIZE", "64KiB");
    let children = [stream.follow(), stream.follow()];
    let mut sent = 0;
    for round in 0..6 {
        let sleeper = &children[round % 2];
        sleeper.signal("-STOP");
        stream.send(events(sent, sent + 800));
        sent += 800;
        // The other one takes them.
        stream.wait_for(sent);
        sleeper.signal("-CONT");
        stream.send(events(sent, sent + 200));
        sent += 200;
        stream.wait_for(sent);
    }
    let said = children.map(Following::interrupt).concat();
    assert_eq!(stream.holds_all(), (sent - sent / 20, sent / 20));
    assert!(said.contains("another run was faster with kafka:"), "{said}");
}

#[test]
fn two_that_work_through_one_backlog_take_each_record_once() {
    let Some(broker) = Broker::shared() else { return };
    let mut stream = Stream::new(broker, "backlog", 4);
    // Many batches in each round, and little fetched ahead: both are always at work.
    stream.lake.set("LAKE_INGEST_BATCH_SIZE", "64KiB");
    stream.lake.set("LAKE_KAFKA_MEMORY", "64KiB");
    let options = "queued.min.messages=50,fetch.message.max.bytes=20000";
    stream.lake.set("LAKE_KAFKA_OPTIONS", options);
    let sent = 20_000;
    stream.send(events(0, sent));
    let mut children = [stream.follow(), stream.follow()];
    let mut random = Pcg64::seed_from_u64(17);
    for round in 0..24 {
        let sleeper = round % 2;
        children[sleeper].signal("-STOP");
        // The moments are what is tried here: whatever they are, each record is taken once.
        std::thread::sleep(Duration::from_millis(random.random_range(100..500)));
        children[sleeper].signal("-CONT");
        std::thread::sleep(Duration::from_millis(random.random_range(0..80)));
        if let Some(ended) = children[sleeper].has_ended() {
            // It lost five rounds in a row, and left the topic to the other.
            assert_eq!(ended.code(), Some(75));
            children[sleeper] = stream.follow();
        }
    }
    stream.wait_for(sent);
    for mut child in children {
        if child.has_ended().is_none() {
            child.interrupt();
        }
    }
    assert_eq!(stream.holds_all(), (sent - sent / 20, sent / 20));
}

#[test]
fn topics_and_partitions_that_appear_are_found_while_it_runs() {
    let Some(broker) = Broker::shared() else { return };
    let stream = Stream::without_topic(broker, "grows");
    let child = stream.follow();
    child.waits_to_say("no topic");
    broker.create_topic(&stream.topic, 1);
    stream.send(events(0, 100));
    stream.wait_for(100);
    broker.add_partitions(&stream.topic, 4);
    stream.send(events(100, 500));
    stream.wait_for(500);
    child.interrupt();
    assert_eq!(stream.holds_all(), (475, 25));
    assert_eq!(stream.next_offsets().len(), 4);
}

#[test]
fn brokers_that_go_away_are_waited_for_once_they_were_there() {
    let Some(broker) = Broker::start(&[]) else { return };
    let stream = Stream::new(&broker, "away", 2);
    stream.send(events(0, 100));
    let child = stream.follow();
    stream.wait_for(100);
    broker.stop();
    child.waits_to_say("waiting for it");
    let mut impatient = stream.lake.command(&["run", "bronze"]);
    let output = impatient.env("LAKE_KAFKA_TIMEOUT", "1s").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{stderr}");
    assert!(stderr.contains("no broker answers at 127.0.0.1"), "{stderr}");
    broker.restart();
    stream.send(events(100, 200));
    stream.wait_for(200);
    let said = child.interrupt();
    assert!(said.contains("waiting for it") && said.contains("answers again"), "{said}");
    assert_eq!(stream.holds_all(), (190, 10));
}

#[test]
fn records_that_are_deleted_unread_stop_the_run() {
    let Some(broker) = Broker::shared() else { return };
    let stream = Stream::new(broker, "deleted", 2);
    let (lake, source) = (&stream.lake, stream.source());
    // Noted although nothing is there: what comes and is deleted before the next look is missed.
    lake.ok(&["run", "bronze"]);
    stream.send(events(1, 15));
    broker.delete_records(&stream.topic, 1, 4);
    let parts = ["are lost", "partition 1: offsets 0 to 3 are gone", "the first that is left is 4"];
    lake.run(&["run", "bronze"]).says(1, &parts);
    lake.run(&["run", "bronze"]).says(1, &[&format!("--accept-loss {source}")]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.events"), 0);
    lake.run(&["run", "bronze", "--accept-loss", "kafka:other"]).says(2, &["kafka:other", &source]);
    let accepted = lake.ok(&["run", "bronze", "--accept-loss", &source]);
    accepted.says(0, &["accepted for", "offsets 0 to 3 are gone"]);
    assert_eq!(stream.holds_all(), (10, 0));
    lake.ok(&["run", "bronze"]);
    let log = std::fs::read_dir(lake.root().join("bronze/events/_delta_log")).unwrap();
    let commits =
        log.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default());
    let noted = commits.filter(|commit| commit.contains("offsets 0 to 3 are gone")).count();
    assert_eq!(noted, 1, "what was lost is in the commit info");
}

#[test]
fn a_source_that_stops_the_run_does_not_hold_up_the_others() {
    let Some(broker) = Broker::shared() else { return };
    let stream = Stream::new(broker, "apart", 1);
    let (lake, videos) = (&stream.lake, format!("{}-videos", stream.topic));
    broker.create_topic(&videos, 1);
    lake.ok(&["run", "bronze"]);
    let producer = Producer::new(broker);
    for topic in [&stream.topic, &videos] {
        producer.send(topic, 0, None, Some(b"{}"));
        producer.flush();
        broker.delete_records(topic, 0, 1);
    }
    lake.land("events/1.ndjson", record("e-1").to_string().as_bytes());
    let lost = format!("kafka:{videos}");
    lake.run(&["run", "all"]).says(1, &[&lost, &stream.source(), "1 rows"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.events"), 1);
    lake.run(&["run", "bronze", "-q"]).says(1, &[&lost, &stream.source()]);
}

#[test]
fn a_topic_that_is_made_anew_stops_the_run() {
    let Some(broker) = Broker::shared() else { return };
    let stream = Stream::new(broker, "anew", 2);
    let lake = &stream.lake;
    stream.send(events(1, 11));
    lake.ok(&["run", "bronze"]);
    let before = read_topic(broker, &stream.topic);
    broker.delete_topic(&stream.topic);
    lake.run(&["run", "bronze"]).says(1, &["is gone", "at offset 5 and behind in partition 1"]);
    lake.ok(&["status"]).says(0, &["is gone"]);
    assert_eq!(lake.run(&["doctor"]).code, Some(1));
    broker.create_topic(&stream.topic, 1);
    // Its offsets reach beyond the old ones, so they alone tell nothing.
    stream.send(events(101, 121));
    lake.run(&["run", "bronze"]).says(1, &["was deleted and made anew", "--accept-loss"]);
    lake.ok(&["status"]).says(0, &["was deleted and made anew"]);
    assert_eq!(stream.holds(&before), (10, 0));
    lake.ok(&["run", "bronze", "--accept-loss", &stream.source()]);
    lake.ok(&["run", "bronze"]).says(0, &["up to date"]);
    let ids = "SELECT count(DISTINCT event_id) AS n FROM bronze.events";
    assert_eq!((lake.number(ids), stream.next_offsets()), (29, vec![20]));
}

#[test]
fn a_topic_that_is_made_anew_stops_a_run_that_follows() {
    let Some(broker) = Broker::shared() else { return };
    let stream = Stream::new(broker, "swapped", 1);
    stream.send(events(1, 11));
    let child = stream.follow();
    stream.wait_for(10);
    let before = read_topic(broker, &stream.topic);
    broker.delete_topic(&stream.topic);
    broker.create_topic(&stream.topic, 1);
    stream.send(events(101, 141));
    let (code, stderr) = child.end();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("made anew") || stderr.contains("is gone"), "{stderr}");
    assert_eq!(stream.holds(&before), (10, 0));
}

#[test]
fn who_may_read_is_asked_and_secrets_stay_secret() {
    let Some(broker) = Broker::start(&["--sasl", "--tls"]) else { return };
    let mut stream = Stream::new(&broker, "sasl", 1);
    let producer = Producer::new(&broker);
    let mut n = 0;
    let ca = broker.folder().join("ca.pem").to_string_lossy().into_owned();
    stream.lake.set("LAKE_KAFKA_SASL_USERNAME", "lake");
    stream.lake.set("LAKE_KAFKA_SSL_CA_LOCATION", ca);
    stream.lake.set("LAKE_KAFKA_TIMEOUT", "5s");
    for (listener, mechanism) in [
        ("sasl", "PLAIN"),
        ("sasl", "SCRAM-SHA-256"),
        ("sasl_ssl", "SCRAM-SHA-512"),
        ("sasl_ssl", "PLAIN"),
        ("ssl", ""),
    ] {
        stream.lake.set("LAKE_KAFKA_BROKERS", broker.listener(listener));
        let protocol = if listener == "sasl" { "sasl_plaintext" } else { listener };
        stream.lake.set("LAKE_KAFKA_SECURITY_PROTOCOL", protocol);
        stream.lake.set("LAKE_KAFKA_SASL_MECHANISM", mechanism);
        stream.lake.set("LAKE_KAFKA_SASL_PASSWORD", "lake-secret");
        n += 1;
        producer.send(
            &stream.topic,
            0,
            None,
            Some(record(&format!("e{n}")).to_string().as_bytes()),
        );
        producer.flush();
        stream.lake.ok(&["run", "bronze"]);
        assert_eq!(stream.holds_all(), (n, 0), "{listener} {mechanism}");
        if !mechanism.is_empty() {
            stream.lake.set("LAKE_KAFKA_SASL_PASSWORD", "wrong-hunter2");
            let output = stream.lake.run(&["run", "bronze"]);
            output.says(2, &["did not let us in", "kafka.sasl_mechanism"]);
            assert!(!output.stderr.contains("hunter2"), "{}", output.stderr);
        }
    }
    stream.lake.set("LAKE_KAFKA_SSL_CA_LOCATION", "/etc/hostname");
    let output = stream.lake.run(&["run", "bronze"]);
    output.says(2, &["the settings of Kafka do not fit together"]);
}

#[test]
fn a_root_that_goes_away_is_not_made_anew() {
    let Some(broker) = Broker::shared() else { return };
    let stream = Stream::new(broker, "rootless", 1);
    stream.send(events(0, 40));
    let child = stream.follow();
    stream.wait_for(40);
    let (root, aside) = (stream.lake.root(), stream.lake.folder().join("aside"));
    std::fs::rename(&root, &aside).unwrap();
    stream.send(events(40, 60));
    child.waits_to_say("is gone");
    // Scratch folders may be there, and no table.
    assert!(!root.join("bronze").exists());
    let _ = std::fs::remove_dir_all(&root);
    std::fs::rename(&aside, &root).unwrap();
    stream.wait_for(60);
    let said = child.interrupt();
    assert!(said.contains("is gone") && said.contains("it goes well again"), "{said}");
    assert_eq!(stream.holds_all(), (57, 3));
}
