//! The records of a topic: their keys and headers, what a registry puts before them, and their size.

use serde_json::{Value, json};

use crate::support::Lake;
use crate::support::kafka::{Broker, Producer, topic};

const ORDER: &str = r#"{"id":"o1"}"#;

/// A lake with one table that reads a topic of its own, and the topic.
fn lake(broker: &Broker, name: &str, columns: &str, properties: &str) -> (Lake, String) {
    let topic = topic(name);
    broker.create_topic(&topic, 1);
    let mut lake = Lake::with(&[("lake/bronze/t.sql", &contract(&topic, columns, properties))]);
    lake.set("LAKE_KAFKA_BROKERS", broker.address());
    (lake, topic)
}

fn contract(topic: &str, columns: &str, properties: &str) -> String {
    format!(
        "-- One row is a record.\nCREATE TABLE bronze.t ({columns})\nPARTITIONED BY (_ingest_date)\nTBLPROPERTIES ('lake.source' = 'kafka:{topic}, folder:t'{properties});\n"
    )
}

fn column(rows: &[Value], name: &str) -> Vec<Value> {
    rows.iter().map(|row| row.get(name).cloned().unwrap_or(Value::Null)).collect()
}

#[test]
fn the_key_of_a_record_is_kept_in_the_table_and_in_quarantine() {
    let Some(broker) = Broker::shared() else { return };
    let (lake, topic) = lake(broker, "keys", "id STRING COMMENT 'id'", "");
    let producer = Producer::new(broker);
    let keys: [Option<&[u8]>; 4] = [Some(b"user-17"), Some(b"\xff\x00"), Some(b""), None];
    for value in [Some(ORDER.as_bytes()), None, Some(b"broken")] {
        for key in keys {
            producer.send(&topic, 0, key, value);
        }
    }
    producer.flush();
    lake.land("t/a.ndjson", format!("{ORDER}\n").as_bytes());
    lake.ok(&["run", "bronze"]).says(0, &["5 rows", "8 in quarantine"]);
    let rows = lake.rows("SELECT _key FROM bronze.t ORDER BY _topic NULLS LAST, _offset");
    let kept = [json!("user-17"), json!("/wA="), json!(""), Value::Null, Value::Null];
    assert_eq!(column(&rows, "_key"), kept);

    // Quarantine has the bytes, also of what only says that a key is gone.
    let rows = lake.rows(
        "SELECT error_class, CASE WHEN key IS NULL THEN '-' ELSE encode(key, 'hex') END AS key FROM bronze.quarantine ORDER BY position",
    );
    let bytes: Vec<Value> =
        [["757365722d3137", "ff00", "", "-"]; 2].concat().into_iter().map(Value::from).collect();
    assert_eq!(column(&rows, "key"), bytes);
    let classes = column(&rows, "error_class");
    assert_eq!((&classes[0], &classes[7]), (&json!("tombstone"), &json!("not_json")));
}

#[test]
fn a_key_that_names_a_person_is_a_pseudonym_like_any_other_column_of_its_domain() {
    let Some(broker) = Broker::shared() else { return };
    let columns = "id STRING COMMENT 'id', user_id STRING COMMENT 'who', n INT COMMENT 'n'";
    let personal = ", 'lake.personal' = 'user_id, _key = user_id', 'lake.headers' = 'keep'";
    let (lake, topic) = lake(broker, "persons", columns, personal);
    let producer = Producer::new(broker);
    let record = r#"{"id":"o1","user_id":"alice"}"#;
    let headers: &[(&str, Option<&[u8]>)] = &[
        ("trace", Some(b"abc")),
        ("User-ID", Some(b"alice")),
        ("context", Some(br#"{"user_id":"alice","page":"p"}"#)),
    ];
    for key in [Some(&b"alice"[..]), Some(b""), None] {
        producer.send_with(&topic, 0, key, Some(record.as_bytes()), 0, headers);
    }
    // What the contract takes only later.
    let broken = r#"{"id":"o2","user_id":"alice","n":"many"}"#;
    producer.send_with(&topic, 0, Some(b"alice"), Some(broken.as_bytes()), 0, headers);
    producer.flush();
    lake.ok(&["run", "bronze"]).says(0, &["3 rows", "1 in quarantine"]);
    let rows = lake.rows("SELECT * FROM bronze.t ORDER BY _offset");
    let pseudonym = rows[0]["user_id"].clone();
    assert!(pseudonym.as_str().unwrap().len() > 32, "{pseudonym}");
    assert_eq!(column(&rows, "_key"), [pseudonym.clone(), Value::Null, Value::Null]);
    assert!(!format!("{rows:?}").contains("alice"), "{rows:?}");
    let kept: Value = serde_json::from_str(rows[0]["_headers"].as_str().unwrap()).unwrap();
    let keys: Vec<&str> =
        kept.as_array().unwrap().iter().map(|header| header["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["trace", "context"]);
    assert_eq!(kept[1]["value"], json!(r#"{"page":"p"}"#));

    let rows = lake.rows("SELECT encode(key, 'hex') AS key, headers FROM bronze.quarantine");
    assert_eq!(rows[0]["key"], json!("616c696365"));
    assert!(rows[0]["headers"].as_str().unwrap().contains("trace"));
}

#[test]
fn headers_are_kept_where_the_contract_asks_for_them_and_a_replay_has_them_too() {
    let Some(broker) = Broker::shared() else { return };
    let columns = "id STRING COMMENT 'id', CONSTRAINT wanted CHECK (id <> 'o2')";
    let (lake, topic) = lake(broker, "headers", columns, "");
    let producer = Producer::new(broker);
    let headers: &[(&str, Option<&[u8]>)] =
        &[("b", Some(b"1")), ("a", Some(b"\xff")), ("b", None), ("c", Some(b""))];
    let expected = r#"[{"key":"b","value":"1"},{"key":"a","value":{"base64":"/w=="}},{"key":"b","value":null},{"key":"c","value":""}]"#;
    producer.send_with(&topic, 0, Some(b"k"), Some(ORDER.as_bytes()), 0, headers);
    producer.send_with(&topic, 0, Some(b"k"), Some(br#"{"id":"o2"}"#), 0, headers);
    producer.flush();
    // Nobody asked: the table has no such column, and quarantine has it in any case.
    lake.ok(&["run", "bronze"]).says(0, &["1 rows", "1 in quarantine"]);
    assert!(!lake.rows("SELECT * FROM bronze.t")[0].as_object().unwrap().contains_key("_headers"));
    let held = lake.rows("SELECT headers FROM bronze.quarantine");
    assert_eq!(column(&held, "headers"), [json!(expected)]);

    // The table gains the column; rows of before have none in it.
    let keep = ", 'lake.headers' = 'keep'";
    let columns = columns.replace("<> 'o2'", "<> 'o3'");
    lake.file("lake/bronze/t.sql", &contract(&topic, &columns, keep));
    producer.send(&topic, 0, None, Some(br#"{"id":"o4"}"#));
    producer.flush();
    lake.ok(&["run", "bronze"]).says(0, &["1 rows"]);
    lake.ok(&["quarantine", "replay"]).says(0, &["1 records came in, 0 stayed"]);
    let rows = lake.rows("SELECT id, _key, _headers FROM bronze.t ORDER BY id");
    assert_eq!(column(&rows, "_headers"), [Value::Null, json!(expected), Value::Null]);
    assert_eq!(column(&rows, "_key"), [json!("k"), json!("k"), Value::Null]);
    lake.file("lake/bronze/t.sql", &contract(&topic, &columns, ", 'lake.headers' = 'all'"));
    lake.run(&["check"]).says(2, &["lake.headers", "`all` is not keep"]);
}

#[test]
fn json_behind_the_bytes_of_a_schema_registry_comes_in_and_avro_is_told() {
    let Some(broker) = Broker::shared() else { return };
    let (lake, topic) = lake(broker, "framed", "id STRING COMMENT 'id'", "");
    let producer = Producer::new(broker);
    let framed = |rest: &[u8]| [&b"\x00\x00\x00\x00\x07"[..], rest].concat();
    for value in [
        framed(br#"{"id":"a"}"#),
        framed(b"\n {\"id\":\"b\"}"),
        br#"{"id":"c"}"#.to_vec(),
        framed(b"\x02\x04o1"),
        framed(br#"{"id":"#),
        b"\x00".to_vec(),
    ] {
        producer.send(&topic, 0, None, Some(&value));
    }
    producer.flush();
    // A file is not framed.
    lake.land("t/a.ndjson", &[&framed(br#"{"id":"d"}"#)[..], b"\n"].concat());
    lake.ok(&["run", "bronze"]).says(0, &["3 rows", "4 in quarantine"]);
    let rows = lake.rows("SELECT id FROM bronze.t ORDER BY id");
    assert_eq!(column(&rows, "id"), [json!("a"), json!("b"), json!("c")]);
    let rows = lake.rows(
        "SELECT error_class, error_message, encode(raw, 'hex') AS raw FROM bronze.quarantine WHERE source LIKE 'kafka:%' ORDER BY position",
    );
    let message = "the record is framed by a schema registry (schema 7), and no JSON";
    assert_eq!(rows[0]["error_message"], json!(message));
    assert_eq!(rows[0]["raw"], json!("000000000702046f31"));
    assert_eq!(column(&rows, "error_class"), vec![json!("not_json"); 3]);
    assert_ne!(rows[2]["error_message"], json!(message));
}

#[test]
fn a_record_that_is_too_large_once_unpacked_costs_itself_and_not_its_neighbours() {
    let Some(broker) = Broker::shared() else { return };
    let (mut lake, topic) =
        lake(broker, "large", "id STRING COMMENT 'id', x STRING COMMENT 'x'", "");
    lake.set("LAKE_INGEST_RECORD_LIMIT", "1MiB");
    let sized = |n: usize| format!(r#"{{"id":"o1","x":"{}"}}"#, "x".repeat(n));
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let producer = Producer::packing(broker, codec);
        // One batch of a broker's default size, many times as large once unpacked.
        for value in [sized(3), sized(9_000_000), sized(1_000_000)] {
            producer.send(&topic, 0, Some(codec.as_bytes()), Some(value.as_bytes()));
        }
        producer.flush();
    }
    lake.ok(&["run", "bronze"]).says(0, &["8 rows", "4 in quarantine"]);
    let rows = lake.rows(
        "SELECT error_class, error_message, position, encode(key, 'hex') AS key, raw IS NULL AS empty FROM bronze.quarantine ORDER BY position",
    );
    assert_eq!(column(&rows, "error_class"), vec![json!("too_large"); 4]);
    assert_eq!(column(&rows, "position"), [json!(1), json!(4), json!(7), json!(10)]);
    assert_eq!(rows[0]["key"], json!(hex::encode("gzip")));
    assert_eq!(column(&rows, "empty"), vec![json!(true); 4]);
    let message = rows[0]["error_message"].as_str().unwrap();
    assert!(
        message.contains("9000022 bytes") && message.contains("ingest.record_limit"),
        "{message}"
    );
    // It has no bytes to take in.
    lake.ok(&["quarantine", "replay"]).says(0, &["0 records came in, 4 stayed"]);
    lake.ok(&["run", "bronze"]).says(0, &["up to date"]);
}

#[test]
fn a_batch_that_the_client_does_not_take_says_which_setting_to_raise() {
    let Some(broker) = Broker::shared() else { return };
    let (mut lake, topic) = lake(broker, "unpacked", "id STRING COMMENT 'id'", "");
    let producer = Producer::packing(broker, "zstd");
    let value = format!("{{\"id\":\"{}\"}}", "x".repeat(150_000_000));
    producer.send(&topic, 0, Some(b"k"), Some(value.as_bytes()));
    producer.send(&topic, 0, Some(b"k"), Some(ORDER.as_bytes()));
    producer.flush();
    lake.set("LAKE_KAFKA_OPTIONS", "receive.message.max.bytes=100000000");
    lake.run(&["run", "bronze"]).says(
        1,
        &[
            "partition 0 cannot be read at offset 0",
            "LAKE_KAFKA_OPTIONS=receive.message.max.bytes=",
        ],
    );
    // By default it is taken.
    lake.set("LAKE_KAFKA_OPTIONS", "");
    lake.ok(&["run", "bronze"]).says(0, &["1 rows", "1 in quarantine"]);
    let rows = lake.rows("SELECT error_class FROM bronze.quarantine");
    assert_eq!(column(&rows, "error_class"), [json!("too_large")]);
}

#[test]
fn a_batch_that_the_client_does_not_take_holds_up_neither_what_is_before_it_nor_other_partitions() {
    let Some(broker) = Broker::shared() else { return };
    let (mut lake, topic) = lake(broker, "unpacked-one", "id STRING COMMENT 'id'", "");
    broker.add_partitions(&topic, 3);
    let (plain, packed) = (Producer::new(broker), Producer::packing(broker, "zstd"));
    let send = |producer: &Producer, partition, id: &str| {
        let value = format!("{{\"id\":\"{id}\"}}");
        producer.send(&topic, partition, None, Some(value.as_bytes()));
        producer.flush();
    };
    let large = "x".repeat(5_000_000);
    for (partition, id) in [(0, "a"), (0, large.as_str()), (0, "c"), (1, "d"), (1, "e"), (2, "f")] {
        send(if id.len() > 9 { &packed } else { &plain }, partition, id);
    }
    send(&packed, 2, &large);
    let small = "receive.message.max.bytes=2000000,fetch.max.bytes=1000000";
    lake.set("LAKE_KAFKA_OPTIONS", small);
    let ids = "SELECT string_agg(id, ' ' ORDER BY id) AS ids FROM bronze.t WHERE length(id) < 9";
    for _ in 0..2 {
        let says = [
            "partition 0 cannot be read at offset 1",
            "partition 2 cannot be read at offset 1",
            "LAKE_KAFKA_OPTIONS=receive.message.max.bytes=",
        ];
        lake.run(&["run", "bronze"]).says(1, &says);
        assert_eq!(lake.rows(ids)[0]["ids"], "a d e f");
        send(&plain, 0, "g");
    }
    send(&plain, 1, "h");
    lake.run(&["run", "bronze"]).says(1, &["1 rows", "partition 0"]);
    // With room for it, all of it comes in, once.
    lake.set("LAKE_KAFKA_OPTIONS", "");
    lake.ok(&["run", "bronze"]);
    lake.ok(&["run", "bronze"]).says(0, &["up to date"]);
    assert_eq!(lake.rows(ids)[0]["ids"], "a c d e f g g h");
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.t"), 10);
}

#[test]
fn a_topic_of_nothing_but_tombstones_is_cut_into_batches() {
    let Some(broker) = Broker::shared() else { return };
    let (mut lake, topic) = lake(broker, "graves", "id STRING COMMENT 'id'", "");
    lake.set("LAKE_INGEST_BATCH_SIZE", "64KiB");
    let producer = Producer::new(broker);
    for number in 0..30_000 {
        producer.send(&topic, 0, Some(format!("key-{number}").as_bytes()), None);
    }
    producer.flush();
    lake.ok(&["run", "bronze"]).says(0, &["30,000 in quarantine"]);
    let batches = lake.number("SELECT count(DISTINCT first_seen_at) AS n FROM bronze.quarantine");
    assert!(batches > 2, "{batches}");
    let keys =
        "SELECT count(DISTINCT key) AS n FROM bronze.quarantine WHERE error_class = 'tombstone'";
    assert_eq!(lake.number(keys), 30_000);
}
