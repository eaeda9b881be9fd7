//! Tables beside other tools: rules and properties that those gave a table, and files that were
//! taken away, cut or emptied. Many folders in one table, too.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Lake, Output, below};

const BRONZE: &str = "-- One row is an event.
CREATE TABLE bronze.t (id BIGINT NOT NULL, a STRING)
TBLPROPERTIES ('lake.source' = 'folder:t'MORE);
";
const SILVER: &str = "-- One row is an event.
CREATE TABLE silver.t (id BIGINT NOT NULL, a STRING)MORE;
";

pub(crate) fn lake() -> Lake {
    let lake = Lake::with(&[
        ("lake/bronze/t.sql", &BRONZE.replace("MORE", "")),
        ("lake/silver/t.sql", &SILVER.replace("MORE", "")),
        ("sql/silver/t.sql", "-- One row is an event.\nSELECT id, a FROM bronze.t\n"),
    ]);
    land(&lake, 1);
    lake.ok(&["run", "all"]);
    lake
}

/// Another event, in a file of its own.
pub(crate) fn land(lake: &Lake, id: u32) {
    lake.land(&format!("t/{id}.ndjson"), format!("{{\"id\":{id},\"a\":\"x{id}\"}}\n").as_bytes());
}

pub(crate) fn log(lake: &Lake, table: &str) -> PathBuf {
    lake.root().join(table).join("_delta_log")
}

/// The commits of a table.
fn commits(lake: &Lake, table: &str) -> Vec<PathBuf> {
    let is_commit = |path: &PathBuf| path.extension().is_some_and(|end| end == "json");
    below(&log(lake, table)).into_iter().filter(is_commit).collect()
}

/// The newest action of a kind in a table's log.
pub(crate) fn newest(lake: &Lake, table: &str, kind: &str) -> Value {
    let texts = commits(lake, table).into_iter().map(|path| std::fs::read_to_string(path).unwrap());
    let actions = texts.flat_map(|text| {
        let actions = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        actions.collect::<Vec<_>>()
    });
    actions.filter_map(|action| action.get(kind).cloned()).next_back().unwrap()
}

/// What another tool commits to a table.
pub(crate) fn commit(lake: &Lake, table: &str, actions: &[Value]) {
    let number = commits(lake, table).len();
    let lines: Vec<String> = actions.iter().map(Value::to_string).collect();
    let text = lines.join("\n") + "\n";
    std::fs::write(log(lake, table).join(format!("{number:020}.json")), text).unwrap();
}

/// Another tool sets a property, under a protocol if it needs one.
fn set(lake: &Lake, table: &str, key: &str, value: &str, protocol: Option<Value>) {
    let mut metadata = newest(lake, table, "metaData");
    metadata["configuration"][key] = json!(value);
    let protocol = protocol.map(|protocol| json!({ "protocol": protocol }));
    let actions: Vec<Value> = protocol.into_iter().chain([json!({"metaData": metadata})]).collect();
    commit(lake, table, &actions);
}

fn property(lake: &Lake, table: &str, key: &str) -> Option<String> {
    let found = newest(lake, table, "metaData")["configuration"].get(key).cloned()?;
    found.as_str().map(str::to_owned)
}

pub(crate) fn count(lake: &Lake, table: &str) -> i64 {
    lake.number(&format!("SELECT count(*) AS n FROM {table}"))
}

#[test]
fn a_constraint_of_another_tool_is_not_broken_in_silence() {
    let lake = lake();
    let writer = Some(json!({"minReaderVersion": 1, "minWriterVersion": 3}));
    set(&lake, "bronze/t", "delta.constraints.small", "id < 2", writer.clone());
    land(&lake, 2);
    let says = [
        "bronze.t: the table has a constraint of another tool",
        "delta.constraints.small",
        "DROP CONSTRAINT small",
    ];
    lake.run(&["run", "all"]).says(1, &says);
    assert_eq!((count(&lake, "bronze.t"), count(&lake, "silver.t")), (1, 1));
    // Without it, under the protocol that stays, rows come in.
    let mut metadata = newest(&lake, "bronze/t", "metaData");
    metadata["configuration"].as_object_mut().unwrap().remove("delta.constraints.small");
    commit(&lake, "bronze/t", &[json!({"metaData": metadata})]);
    lake.ok(&["run", "all"]);
    assert_eq!((count(&lake, "bronze.t"), count(&lake, "silver.t")), (2, 2));
    set(&lake, "silver/t", "delta.constraints.small", "id < 3", writer);
    lake.ok(&["run", "all"]);
    land(&lake, 3);
    lake.run(&["run", "all"])
        .says(1, &["silver.t: the table has a constraint", "failed: silver.t"]);
    assert_eq!((count(&lake, "bronze.t"), count(&lake, "silver.t")), (3, 2));
}

#[test]
fn what_another_tool_asks_of_writers_is_refused_by_its_name() {
    let features = |names: &[&str]| {
        Some(json!({"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": names}))
    };
    let cases = [
        (
            "delta.enableRowTracking",
            "true",
            features(&["rowTracking", "domainMetadata"]),
            "delta.enableRowTracking",
        ),
        ("owner", "me", features(&["allowColumnDefaults"]), "`allowColumnDefaults`"),
        ("owner", "me", features(&["identityColumns"]), "`identityColumns`"),
        ("owner", "me", Some(json!({"minReaderVersion": 1, "minWriterVersion": 6})), "version 6"),
        ("delta.enableInCommitTimestamps", "true", None, "delta.enableInCommitTimestamps"),
    ];
    for (key, value, protocol, says) in cases {
        let lake = lake();
        set(&lake, "bronze/t", key, value, protocol);
        land(&lake, 2);
        let output = lake.run(&["run", "bronze"]);
        output.says(1, &["bronze.t: the table", says, "take it away"]);
    }
    for (key, words) in [
        ("delta.invariants", "an invariant"),
        ("delta.generationExpression", "an expression that generates it"),
    ] {
        for (table, name) in [("bronze/t", "bronze.t"), ("silver/t", "silver.t")] {
            let lake = lake();
            let mut metadata = newest(&lake, table, "metaData");
            let schema = metadata["schemaString"].as_str().unwrap();
            let mut schema: Value = serde_json::from_str(schema).unwrap();
            schema["fields"][1]["metadata"][key] = json!("a <> ''");
            metadata["schemaString"] = json!(schema.to_string());
            let protocol = json!({"minReaderVersion": 1, "minWriterVersion": 4});
            commit(&lake, table, &[json!({"protocol": protocol}), json!({"metaData": metadata})]);
            land(&lake, 2);
            lake.run(&["run", "all"]).says(1, &[name, "column `a`", key, words]);
            assert!(newest(&lake, table, "metaData").to_string().contains(key));
        }
    }
}

#[test]
fn an_append_only_table_takes_rows_and_is_not_replaced() {
    let lake = lake();
    set(&lake, "silver/t", "delta.appendOnly", "true", None);
    // Nothing is due: nothing is refused.
    lake.ok(&["run", "all"]);
    set(&lake, "bronze/t", "delta.appendOnly", "true", None);
    land(&lake, 2);
    let says = [
        "silver.t: the table has delta.appendOnly = true",
        "UNSET TBLPROPERTIES ('delta.appendOnly')",
    ];
    lake.run(&["run", "all"]).says(1, &says);
    assert_eq!((count(&lake, "bronze.t"), count(&lake, "silver.t")), (2, 1));
    set(&lake, "silver/t", "delta.appendOnly", "false", None);
    lake.ok(&["run", "all"]);
    assert_eq!(count(&lake, "silver.t"), 2);
}

#[test]
fn properties_of_others_stay_and_those_of_the_contract_go_with_it() {
    let lake = lake();
    for table in ["bronze/t", "silver/t"] {
        set(&lake, table, "delta.logRetentionDuration", "interval 60 days", None);
        set(&lake, table, "owner", "ann", None);
    }
    let retention = ", 'delta.deletedFileRetentionDuration' = 'interval 9 days'";
    lake.file("lake/bronze/t.sql", &BRONZE.replace("MORE", retention));
    let properties = retention.trim_start_matches(", ");
    lake.file(
        "lake/silver/t.sql",
        &SILVER.replace("MORE", &format!(" TBLPROPERTIES ({properties})")),
    );
    land(&lake, 2);
    lake.ok(&["run", "all"]);
    for table in ["bronze/t", "silver/t"] {
        let of = |key| property(&lake, table, key);
        assert_eq!(of("delta.logRetentionDuration").as_deref(), Some("interval 60 days"));
        assert_eq!(of("owner").as_deref(), Some("ann"));
        assert_eq!(of("delta.deletedFileRetentionDuration").as_deref(), Some("interval 9 days"));
    }
    lake.file("lake/bronze/t.sql", &BRONZE.replace("MORE", ""));
    lake.file("lake/silver/t.sql", &SILVER.replace("MORE", ""));
    land(&lake, 3);
    lake.ok(&["run", "all"]);
    for table in ["bronze/t", "silver/t"] {
        let of = |key| property(&lake, table, key);
        assert_eq!(of("delta.deletedFileRetentionDuration"), None);
        assert_eq!(of("delta.logRetentionDuration").as_deref(), Some("interval 60 days"));
        assert_eq!(of("owner").as_deref(), Some("ann"));
    }
    let output = lake.ok(&["run", "all"]);
    output.is_up_to_date("bronze.t");
    output.is_up_to_date("silver.t");
}

#[test]
fn a_change_feed_that_is_switched_on_later_raises_the_protocol() {
    let lake = lake();
    let feed = "'delta.enableChangeDataFeed' = 'true'";
    lake.file("lake/bronze/t.sql", &BRONZE.replace("MORE", &format!(", {feed}")));
    lake.file("lake/silver/t.sql", &SILVER.replace("MORE", &format!(" TBLPROPERTIES ({feed})")));
    land(&lake, 2);
    lake.ok(&["run", "all"]);
    for table in ["bronze/t", "silver/t"] {
        let protocol = newest(&lake, table, "protocol");
        assert_eq!(protocol, json!({"minReaderVersion": 1, "minWriterVersion": 4}), "{table}");
    }
    land(&lake, 3);
    lake.ok(&["run", "all"]);
    assert_eq!((count(&lake, "bronze.t"), count(&lake, "silver.t")), (3, 3));
    lake.ok(&["run", "all"]).is_up_to_date("silver.t");
}

/// The one Parquet file of a table.
fn data_file(lake: &Lake, table: &str) -> PathBuf {
    let is_data = |path: &PathBuf| path.extension().is_some_and(|end| end == "parquet");
    below(&lake.root().join(table)).into_iter().find(is_data).unwrap()
}

/// What `run`, `status` and `doctor` say of a damaged table.
#[track_caller]
fn is_told(lake: &Lake, name: &str, says: &str, way_out: &str) {
    lake.run(&["run", "all"]).says(1, &[name, says, way_out]);
    let status = lake.ok(&["status", "--output", "ndjson"]).stdout;
    let row = status.lines().find(|line| line.contains(name)).unwrap();
    assert!(row.contains("\"unhealthy: the file ") && row.contains(says), "{row}");
    let Output { code, stdout, .. } = lake.run(&["doctor"]);
    let lines: String = stdout.lines().skip_while(|line| !line.starts_with("FAIL")).collect();
    assert_eq!(code, Some(1), "{stdout}");
    assert!(lines.contains(name) && lines.contains(says) && lines.contains(way_out), "{stdout}");
}

#[test]
fn files_that_are_gone_or_cut_are_told_and_models_are_computed_anew() {
    for (says, length) in [
        ("is gone", None),
        ("has 0 bytes, and the log says", Some(0)),
        ("has 100 bytes", Some(100)),
    ] {
        let spoil = |path: &PathBuf| match length {
            None => std::fs::remove_file(path).unwrap(),
            Some(length) => {
                std::fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
            }
        };
        let lake = lake();
        spoil(&data_file(&lake, "silver/t"));
        is_told(&lake, "silver.t", says, "--full-refresh");
        lake.ok(&["run", "silver", "--select", "silver.t", "--full-refresh"]);
        assert_eq!(count(&lake, "silver.t"), 1);
        lake.ok(&["run", "all"]);
        lake.ok(&["doctor"]);

        let file = data_file(&lake, "bronze/t");
        let whole = std::fs::read(&file).unwrap();
        spoil(&file);
        is_told(&lake, "bronze.t", says, "_lake/bronze.t");
        // New records come in all the same.
        land(&lake, 2);
        lake.run(&["run", "bronze"]).says(1, &["bronze.t", says]);
        // Restored it is as it was; made anew it is as well.
        std::fs::write(&file, whole).unwrap();
        lake.ok(&["run", "all"]);
        assert_eq!((count(&lake, "bronze.t"), count(&lake, "silver.t")), (2, 2));
        std::fs::remove_dir_all(lake.root().join("bronze/t")).unwrap();
        std::fs::remove_dir_all(lake.root().join("_lake/bronze.t")).unwrap();
        lake.ok(&["run", "all"]);
        assert_eq!((count(&lake, "bronze.t"), count(&lake, "silver.t")), (2, 2));
    }
}

#[test]
fn a_damaged_log_is_told_with_the_file_that_is_damaged() {
    let lake = lake();
    for id in 2..5 {
        land(&lake, id);
        lake.ok(&["run", "all"]);
    }
    let log = log(&lake, "bronze/t");
    let (two, last) = (log.join("00000000000000000002.json"), log.join("_last_checkpoint"));
    let whole = std::fs::read(&two).unwrap();
    // It would count as a commit without rows.
    std::fs::write(&two, "").unwrap();
    is_told(&lake, "bronze.t", "00000000000000000002.json of the table is empty", "_lake/bronze.t");
    let is_named = |says: &str| {
        for arguments in [
            ["run", "all"].as_slice(),
            &["status"],
            &["doctor"],
            &["sql", "SELECT 1 FROM bronze.t"],
        ] {
            let output = lake.run(arguments);
            let text = format!("{}{}", output.stdout, output.stderr);
            assert!(output.code == Some(1) && text.contains(says), "{arguments:?}: {text}");
        }
    };
    std::fs::write(&two, "xx\n").unwrap();
    is_named("the file _delta_log/00000000000000000002.json is damaged");
    std::fs::remove_file(&two).unwrap();
    is_named("the file _delta_log/00000000000000000002.json is gone");
    std::fs::write(&two, whole).unwrap();
    lake.ok(&["run", "all"]);
    assert_eq!(count(&lake, "bronze.t"), 4);
    // The hint is named where the commits that it stands for are gone, too.
    let zero = log.join("00000000000000000000.json");
    let whole = std::fs::read(&zero).unwrap();
    std::fs::remove_file(&zero).unwrap();
    std::fs::write(&last, "{\"version\":3,\"size\":10}").unwrap();
    is_named("_last_checkpoint names the checkpoint of version 3, which is gone");
    std::fs::write(&zero, whole).unwrap();
    lake.ok(&["run", "all"]);
}

#[test]
fn files_in_folders_of_any_name_are_not_taken_for_gone() {
    let lake = Lake::with(&[(
        "lake/bronze/t.sql",
        "-- One row is an event.\nCREATE TABLE bronze.t (id BIGINT, place STRING) PARTITIONED BY (place) TBLPROPERTIES ('lake.source' = 'folder:t');\n",
    )]);
    let places = ["FR", "São Paulo", "a/b", "50 %", "x=y", "q?#", "é~é", "%2F", "a+b", "\\"];
    let lines = places.iter().enumerate().map(|(id, place)| json!({"id": id, "place": place}));
    let lines: Vec<String> = lines.map(|line| line.to_string()).collect();
    lake.land("t/a.ndjson", lines.join("\n").as_bytes());
    for _ in 0..2 {
        lake.ok(&["run", "all"]);
        lake.ok(&["doctor"]);
        assert!(!lake.ok(&["status"]).stdout.contains("unhealthy"));
    }
    assert_eq!(count(&lake, "bronze.t"), 10);
}

#[test]
fn raw_ids_of_before_their_field_was_personal_are_told() {
    let contract = |columns: &str, properties: &str| {
        format!(
            "-- One row is an order.\nCREATE TABLE bronze.t (\n  id STRING{columns}\n)\nTBLPROPERTIES ('lake.source' = 'folder:t'{properties});\n"
        )
    };
    let lake = Lake::with(&[("lake/bronze/t.sql", &contract(", more JSON", ""))]);
    lake.land("t/a.ndjson", b"{\"id\":\"a\",\"user_id\":\"RAW\",\"more\":{\"page\":\"/\"}}\n");
    lake.ok(&["run", "bronze"]);
    let personal = ", 'lake.personal' = 'user_id'";
    lake.file("lake/bronze/t.sql", &contract(", more JSON, user_id STRING", personal));
    lake.land("t/b.ndjson", b"{\"id\":\"b\",\"user_id\":\"RAW2\"}\n");
    let says = [
        "`user_id` becomes personal",
        "hold values of it raw in `_rescued_data`",
        "lake/bronze/t.sql:3:",
    ];
    lake.run(&["run", "bronze"]).says(2, &says);
    assert_eq!(count(&lake, "bronze.t"), 1);
    // A field that no row has may become personal.
    let other = ", 'lake.personal' = 'mail'";
    lake.file("lake/bronze/t.sql", &contract(", more JSON, mail STRING", other));
    lake.ok(&["run", "bronze"]);
    assert_eq!(count(&lake, "bronze.t"), 2);

    let lake = Lake::with(&[("lake/bronze/t.sql", &contract(", more JSON", ""))]);
    lake.land("t/a.ndjson", b"{\"id\":\"a\",\"more\":[{\"key\":\"user_id\",\"value\":\"RAW\"}]}\n");
    lake.ok(&["run", "bronze"]);
    lake.file("lake/bronze/t.sql", &contract(", more JSON, user_id STRING", personal));
    lake.run(&["run", "bronze"]).says(2, &["hold values of it raw in `more`"]);
}

/// Runs a command to its end, and says how much memory it had at most, in megabytes; `None` where
/// the system does not tell.
fn memory_of(lake: &Lake, arguments: &[&str]) -> Option<u64> {
    let mut child =
        lake.command(arguments).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
    let mut most = None;
    let status = loop {
        let text = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        let text = text.unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        most = most.max(kilobytes.map(|kilobytes| kilobytes >> 10));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success(), "{arguments:?}");
    most
}

#[test]
fn the_number_of_folders_does_not_decide_how_much_memory_a_run_takes() {
    const DAYS: u32 = 1_000;
    let columns =
        "id BIGINT, day DATE, a STRING, b STRING, c STRING, d STRING, e STRING, n BIGINT, x DOUBLE";
    let lake = Lake::with(&[
        (
            "lake/bronze/t.sql",
            &format!(
                "-- One row is an event.\nCREATE TABLE bronze.t ({columns}) PARTITIONED BY (day) TBLPROPERTIES ('lake.source' = 'folder:t');\n"
            ),
        ),
        (
            "lake/silver/t.sql",
            &format!(
                "-- One row is an event.\nCREATE TABLE silver.t ({columns}) PARTITIONED BY (day);\n"
            ),
        ),
        (
            "sql/silver/t.sql",
            "-- One row is an event.\nSELECT id, day, max(a) AS a, max(b) AS b, max(c) AS c, max(d) AS d, max(e) AS e, max(n) AS n, max(x) AS x FROM bronze.t GROUP BY id, day\n",
        ),
    ]);
    let mut text = String::new();
    for id in 0..10_000_u32 {
        // Late events, in no order of their days.
        let day = chrono::NaiveDate::from_ymd_opt(2018, 1, 1).unwrap()
            + chrono::Days::new(u64::from(id.wrapping_mul(7919) % DAYS));
        let row = json!({"id": id, "day": day.to_string(), "a": format!("a{id}"), "b": "b", "c": format!("{:032}", id), "d": "d", "e": format!("e{}", id % 100), "n": id, "x": f64::from(id)});
        text.push_str(&format!("{row}\n"));
    }
    lake.land("t/a.ndjson", text.as_bytes());
    // With a file open for each folder it is a gigabyte.
    for layer in ["bronze", "silver"] {
        let most = memory_of(&lake, &["run", layer]);
        assert!(most.is_none_or(|most| most < 600), "{layer}: {most:?} MB");
        let table = format!("{layer}.t");
        assert_eq!(count(&lake, &table), 10_000);
        assert_eq!(lake.number(&format!("SELECT count(DISTINCT day) AS n FROM {table}")), 1_000);
    }
    let differ = "SELECT count(*) AS n FROM bronze.t b JOIN silver.t s ON b.id = s.id WHERE b.day = s.day AND b.c = s.c AND b.x = s.x";
    assert_eq!(lake.number(differ), 10_000);
    lake.ok(&["run", "all"]).is_up_to_date("silver.t");
}
