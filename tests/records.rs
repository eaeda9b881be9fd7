//! Every record ends in exactly one place: the events of the contract's examples in the table, each
//! broken record in quarantine as it came, and neither costs its neighbours anything.

use serde_json::{Value, json};

use crate::support::Lake;

const EXAMPLES: &str = include_str!("fixtures/domain/contract_examples.jsonl");

/// Raw ids of a person, as a client sends them.
const PERSON: &[&str] = &["RAW-USER-7f3a", "RAW-BROWSER-91c2", "RAW-DEVICE-55d0"];

/// A whole record: the play request among the examples, with an id and a person of its own.
pub(crate) fn record(id: &str) -> Value {
    let mut record: Value = serde_json::from_str(EXAMPLES.lines().nth(1).unwrap()).unwrap();
    record["event_id"] = json!(id);
    record["user_id"] = json!(PERSON[0]);
    record["anonymous_id"] = json!(PERSON[1]);
    record["device_id"] = json!(PERSON[2]);
    record
}

/// A record with one value changed, as text; `path` is a JSON pointer, `None` removes the field.
fn with(id: &str, path: &str, value: Option<Value>) -> String {
    let mut record = record(id);
    let (parent, name) = path.rsplit_once('/').unwrap();
    let object = record.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => drop(object.insert(name.to_owned(), value)),
        None => drop(object.remove(name)),
    }
    record.to_string()
}

/// Records that no JSON value can express: text put in by hand.
fn spliced(id: &str, from: &str, to: &str) -> String {
    let text = record(id).to_string();
    assert!(text.contains(from), "{text}");
    text.replacen(from, to, 1)
}

fn not_json() -> Vec<Vec<u8>> {
    let whole = record("n0").to_string();
    let mut invalid_utf8 = spliced("n1", "\"n1\"", "\"n?1\"").into_bytes();
    let at = invalid_utf8.windows(3).position(|bytes| bytes == b"n?1").unwrap();
    invalid_utf8[at + 1] = 0xff;
    vec![
        b"this is no JSON".to_vec(),
        b"[1, 2]".to_vec(),
        b"null".to_vec(),
        b"\"text\"".to_vec(),
        whole.as_bytes()[..whole.len() / 2].to_vec(),
        invalid_utf8,
        format!("{whole},").into_bytes(),
        spliced("n2", "{", "{\"seq\":4,").into_bytes(),
        spliced("n3", "{", &format!("{{\"new\":{}{},", "[".repeat(100_000), "]".repeat(100_000)))
            .into_bytes(),
        spliced("n4", "{", "{\"new\":01,").into_bytes(),
        spliced("n5", "{", "{\"new\":\"\\ud800\",").into_bytes(),
        spliced("n6", "{", "{\"new\":\"tab\there\",").into_bytes(),
    ]
}

fn wrong_values() -> Vec<String> {
    let long = "x".repeat(129);
    let cases = [
        ("/seq", json!("1")),
        ("/seq", json!(true)),
        ("/seq", json!([1])),
        ("/seq", json!(-1)),
        ("/seq", json!(1000.5)),
        ("/video", json!([])),
        ("/video", json!("playing")),
        ("/video", Value::Null),
        ("/is_test", json!("true")),
        ("/is_test", json!(1)),
        ("/event_id", json!(17)),
        ("/event_id", json!("")),
        ("/event_id", json!(long)),
        ("/session_id", json!("")),
        ("/session_id", json!(long)),
        ("/playback_id", json!("")),
        ("/family", json!("opera")),
        ("/family", json!("Video")),
        ("/type", json!("dance")),
        ("/type", json!("impression")),
        ("/video/state", json!("dreaming")),
        ("/video/state", json!("")),
        ("/video/playback_rate", json!(0)),
        ("/video/playback_rate", json!(16.5)),
        ("/video/position_ms", json!("0")),
        ("/schema_version", json!(2)),
        ("/schema_version", json!("1")),
        ("/country", json!("fr")),
        ("/country", json!("FRA")),
        ("/event_ts", json!("yesterday")),
        ("/event_ts", json!("2026-03-01")),
        ("/event_ts", json!("2026-03-01 12:00:00Z")),
        ("/event_ts", json!("2026-03-01T12:00:00")),
        ("/event_ts", json!("2026-03-01T12:00:00+01:00")),
        ("/event_ts", json!("2026-02-30T12:00:00Z")),
        ("/event_ts", json!("2026-03-01T24:00:01Z")),
        ("/event_ts", json!(1_772_366_400_000_i64)),
        ("/sent_ts", json!("")),
    ];
    let numbered = cases.iter().enumerate();
    numbered.map(|(i, (path, value))| with(&format!("w{i}"), path, Some(value.clone()))).collect()
}

fn missing_fields() -> Vec<String> {
    let paths = [
        "/schema_version",
        "/event_id",
        "/family",
        "/type",
        "/event_ts",
        "/session_id",
        "/anonymous_id",
        "/app_id",
        "/platform",
        "/device_type",
        "/playback_id",
        "/video_id",
        "/seq",
        "/video",
        "/video/state",
        "/video/position_ms",
    ];
    paths.iter().enumerate().map(|(i, path)| with(&format!("m{i}"), path, None)).collect()
}

fn huge_numbers() -> Vec<String> {
    let numbers = ["9223372036854775808", "-9223372036854775809", "1e30", "1e999"];
    let from = "\"seq\":0";
    let numbered = numbers.iter().enumerate();
    numbered.map(|(i, n)| spliced(&format!("h{i}"), from, &format!("\"seq\":{n}"))).collect()
}

/// Two objects in one record: in a topic that is a broken one, and in a file it is two.
pub(crate) fn glued() -> Vec<u8> {
    let whole = record("n0").to_string();
    format!("{whole} {whole}").into_bytes()
}

/// Every broken record there is here.
pub(crate) fn broken() -> Vec<Vec<u8>> {
    let mut records = not_json();
    let texts = [wrong_values(), missing_fields(), huge_numbers()].concat();
    records.extend(texts.into_iter().map(String::into_bytes));
    records
}

#[test]
fn every_example_of_the_contract_is_taken() {
    let lake = Lake::new();
    lake.land("events/examples.jsonl", EXAMPLES.as_bytes());
    lake.ok(&["run", "all"]);
    let quarantine =
        lake.rows("SELECT position, error_class, error_message FROM bronze.quarantine");
    assert!(quarantine.is_empty(), "{quarantine:#?}");
    let mut found = Vec::new();
    for row in lake.rows("SELECT event_id FROM bronze.events ORDER BY _offset") {
        found.push(row["event_id"].as_str().unwrap().to_owned());
    }
    let mut sent = Vec::new();
    for line in EXAMPLES.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        sent.push(record["event_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(found, sent);
    assert_eq!(
        lake.number("SELECT count(*) AS n FROM bronze.events WHERE _rescued_data IS NOT NULL"),
        0
    );
}

#[test]
fn a_value_of_the_examples_arrives_as_it_was_sent() {
    let lake = Lake::new();
    lake.land("events/examples.jsonl", EXAMPLES.as_bytes());
    lake.ok(&["run", "bronze"]);
    let personal = ["user_id", "anonymous_id", "device_id", "from_device_id", "to_device_id"];
    let rows = lake.rows("SELECT * FROM bronze.events ORDER BY _offset");
    for (line, row) in EXAMPLES.lines().zip(&rows) {
        let record: Value = serde_json::from_str(line).unwrap();
        for (path, sent) in leaves(&record) {
            if personal.iter().any(|name| path.ends_with(name)) {
                continue;
            }
            let found = row.pointer(&path).unwrap_or_else(|| panic!("{path} is no column"));
            assert!(same_value(found, &sent), "{path}: {found} was sent as {sent}");
        }
    }
}

/// The values of a record with their JSON pointers; a list counts as one value.
fn leaves(record: &Value) -> Vec<(String, Value)> {
    let Value::Object(fields) = record else { return vec![(String::new(), record.clone())] };
    let mut all = Vec::new();
    for (name, value) in fields {
        let inner = leaves(value).into_iter();
        all.extend(inner.map(|(path, value)| (format!("/{name}{path}"), value)));
    }
    all
}

/// Whether a value arrived: times gain digits, and JSON columns hold text.
fn same_value(found: &Value, sent: &Value) -> bool {
    match (found, sent) {
        (Value::String(found), Value::String(sent)) => {
            let short = |text: &str| text.trim_end_matches(['Z', '0', '.']).to_owned();
            found == sent || (sent.ends_with('Z') && short(found) == short(sent))
        }
        (Value::String(text), Value::Array(_)) => {
            serde_json::from_str::<Value>(text).is_ok_and(|value| value == *sent)
        }
        (found, sent) => {
            found == sent || found.as_f64().is_some() && found.as_f64() == sent.as_f64()
        }
    }
}

#[test]
fn a_broken_record_is_in_quarantine_as_it_came_and_its_neighbours_stay() {
    let lake = Lake::new();
    let (mut file, mut expected, mut neighbours) = (Vec::new(), Vec::new(), Vec::new());
    for (i, raw) in broken().iter().enumerate() {
        let id = format!("good-{i:03}");
        file.extend_from_slice(record(&id).to_string().as_bytes());
        file.push(b'\n');
        file.extend_from_slice(raw);
        file.push(b'\n');
        neighbours.push(id);
        expected.push((2 * i + 1, hex::encode(raw)));
    }
    lake.land("events/mixed.ndjson", &file);
    lake.ok(&["run", "bronze"]);

    let mut found = Vec::new();
    for row in lake.rows("SELECT * FROM bronze.quarantine ORDER BY position") {
        assert_eq!(row["table_name"], "bronze.events", "{row}");
        assert_eq!(row["source"], "folder:events/mixed.ndjson", "{row}");
        assert!(row["partition"].is_null() && !row["first_seen_at"].is_null(), "{row}");
        assert!(!row["error_class"].as_str().unwrap().is_empty(), "{row}");
        let message = row["error_message"].as_str().unwrap();
        assert!(!message.is_empty() && !PERSON.iter().any(|id| message.contains(id)), "{row}");
        let position = usize::try_from(row["position"].as_i64().unwrap()).unwrap();
        found.push((position, row["raw"].as_str().unwrap().to_owned()));
    }
    for (position, raw) in &expected {
        let text =
            hex::decode(raw).map(|raw| String::from_utf8_lossy(&raw).chars().take(300).collect());
        let text: String = text.unwrap();
        assert!(
            found.contains(&(*position, raw.clone())),
            "record {position} is not there: {text}"
        );
    }
    assert_eq!(found.len(), expected.len());
    let rows = lake.rows("SELECT event_id FROM bronze.events ORDER BY event_id");
    let ids: Vec<&str> = rows.iter().map(|row| row["event_id"].as_str().unwrap()).collect();
    assert_eq!(ids, neighbours);
}

#[test]
fn the_fault_is_named_by_its_kind() {
    let lake = Lake::new();
    let cases = [
        ("not_json", "{".to_owned()),
        ("wrong_type", with("a", "/seq", Some(json!("1")))),
        ("out_of_range", spliced("b", "\"seq\":0", "\"seq\":1e30")),
        ("out_of_range", with("c", "/session_id", Some(json!("")))),
        ("missing_field", with("d", "/session_id", None)),
        ("duplicate_field", spliced("e", "{", "{\"seq\":4,")),
        ("check_failed", with("f", "/family", Some(json!("opera")))),
    ];
    let lines: Vec<&str> = cases.iter().map(|(_, line)| line.as_str()).collect();
    lake.land("events/a.ndjson", (lines.join("\n") + "\n").as_bytes());
    lake.ok(&["run", "bronze"]);
    let rows =
        lake.rows("SELECT error_class, error_message FROM bronze.quarantine ORDER BY position");
    assert_eq!(rows.len(), cases.len());
    for ((class, line), row) in cases.iter().zip(&rows) {
        assert_eq!(row["error_class"].as_str(), Some(*class), "{line}\n{row}");
    }
    assert!(rows[6]["error_message"].as_str().unwrap().contains("known_family"), "{}", rows[6]);
}

#[test]
fn unknown_values_of_open_lists_are_kept_and_counted() {
    let lake = Lake::new();
    let lines = [
        with("a", "/platform", Some(json!("fridge"))),
        with("b", "/device_type", Some(json!("toaster"))),
        with("c", "/video/mode", Some(json!("rehearsal"))),
        with("d", "/connection_type", Some(json!("pigeon"))),
        with("e", "/video/playback_rate", Some(json!(8))),
    ];
    lake.land("events/a.ndjson", (lines.join("\n") + "\n").as_bytes());
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.quarantine"), 0);
    let sql = "SELECT platform, device_type, video['mode'] AS mode, connection_type FROM bronze.events ORDER BY event_id";
    let rows = lake.rows(sql);
    assert_eq!(rows[0]["platform"], "fridge");
    assert_eq!(rows[1]["device_type"], "toaster");
    assert_eq!(rows[2]["mode"], "rehearsal");
    assert_eq!(rows[3]["connection_type"], "pigeon");
    let log = lake.root().join("bronze/events/_delta_log/00000000000000000001.json");
    let log = std::fs::read_to_string(log).unwrap();
    for check in
        ["known_platform", "known_device_type", "known_video_mode", "video_rate_at_most_four"]
    {
        assert!(log.contains(check), "{check} is not counted in the commit:\n{log}");
    }
}

#[test]
fn unknown_fields_are_kept_beside_the_row_and_persons_are_not() {
    let lake = Lake::new();
    let mut sent = record("a");
    sent["brand_new"] = json!({"deep": [1.5, "x", null], "user_id": PERSON[0]});
    sent["video"]["hdr"] = json!(true);
    sent["User_ID"] = json!(PERSON[0]);
    sent["DEVICE_ID"] = json!(PERSON[2]);
    lake.land("events/a.ndjson", format!("{sent}\n{}\n", record("b")).as_bytes());
    lake.ok(&["run", "bronze"]);
    let rows = lake.rows("SELECT _rescued_data FROM bronze.events ORDER BY event_id");
    let rescued: Value = serde_json::from_str(rows[0]["_rescued_data"].as_str().unwrap()).unwrap();
    assert_eq!(rescued, json!({"brand_new": {"deep": [1.5, "x", null]}, "video": {"hdr": true}}));
    assert!(rows[1]["_rescued_data"].is_null());
}

#[test]
fn raw_ids_of_persons_are_in_no_table() {
    let lake = Lake::new();
    let mut lines: Vec<String> = (0..20).map(|i| record(&format!("e{i}")).to_string()).collect();
    let handover = EXAMPLES.lines().find(|line| line.contains("\"device_change\"")).unwrap();
    let mut handover: Value = serde_json::from_str(handover).unwrap();
    handover["session"]["from_device_id"] = json!(PERSON[2]);
    handover["session"]["to_device_id"] = json!(PERSON[1]);
    handover["user_id"] = json!(PERSON[0]);
    lines.push(handover.to_string());
    lake.land("events/a.ndjson", (lines.join("\n") + "\n").as_bytes());
    lake.ok(&["run", "all"]);
    for (table, rows) in lake.bags(&["bronze", "silver", "gold"]) {
        for id in PERSON {
            assert!(!rows.iter().any(|row| row.contains(id)), "{id} is in {table}");
        }
    }
    let rows = lake.rows("SELECT user_id, device_id, session FROM bronze.events ORDER BY _offset");
    let pseudonym = rows[0]["device_id"].as_str().unwrap();
    assert_eq!(rows[0]["user_id"], rows[19]["user_id"], "one person, one pseudonym");
    assert_ne!(rows[0]["user_id"], rows[0]["device_id"], "each kind of id has its own");
    assert_eq!(rows[20]["session"]["from_device_id"].as_str(), Some(pseudonym), "the same device");
}

#[test]
fn another_key_gives_other_pseudonyms() {
    let mut pseudonyms = Vec::new();
    for key in ["00", "01"] {
        let mut lake = Lake::new();
        lake.set("LAKE_PRIVACY_KEY", key.repeat(32));
        lake.land("events/a.ndjson", format!("{}\n", record("a")).as_bytes());
        lake.ok(&["run", "bronze"]);
        pseudonyms.push(lake.rows("SELECT user_id FROM bronze.events")[0]["user_id"].clone());
    }
    assert_ne!(pseudonyms[0], pseudonyms[1]);
}

#[test]
fn without_a_key_nothing_personal_is_read() {
    let mut lake = Lake::new();
    lake.set("LAKE_PRIVACY_KEY", "");
    lake.land("events/a.ndjson", format!("{}\n", record("a")).as_bytes());
    lake.run(&["run", "bronze"]).says(2, &["privacy.key", "hint: export LAKE_PRIVACY_KEY="]);
    let files = crate::support::below(&lake.root());
    let rows = files.iter().filter(|path| path.to_string_lossy().ends_with(".parquet"));
    assert_eq!(rows.count(), 0, "{files:?}");
}

#[test]
fn a_personal_id_that_is_empty_or_missing_stays_what_it_was() {
    let lake = Lake::new();
    let missing = with("a", "/user_id", None);
    let null = with("b", "/user_id", Some(Value::Null));
    lake.land("events/a.ndjson", format!("{missing}\n{null}\n").as_bytes());
    lake.ok(&["run", "bronze"]);
    for row in lake.rows("SELECT user_id, anonymous_id FROM bronze.events") {
        assert!(row["user_id"].is_null() && !row["anonymous_id"].is_null(), "{row}");
    }
}
