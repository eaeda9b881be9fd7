//! No raw id of a person leaves quarantine's raw bytes, whatever it is wrapped in.

use serde_json::{Value, json};

use crate::support::{Lake, Output, below};

const CONTRACT: &str = "-- One row per order.
CREATE TABLE bronze.orders (
    order_id STRING NOT NULL,
    user_id  STRING,
    note     STRING,
    items    JSON,
    shop     STRUCT<city STRING, staff JSON>,
    CONSTRAINT note_is_short CHECK (note IS NULL OR character_length(note) < 200)
)
TBLPROPERTIES ('lake.source' = 'folder:orders', 'lake.personal' = 'user_id')";

const RAW: &str = "RAW-7f3a@example.com";

fn lake() -> Lake {
    Lake::with(&[
        ("lake/bronze/orders.sql", CONTRACT),
        (
            "lake/silver/orders.sql",
            "-- One row per order.\nCREATE TABLE silver.orders (order_id STRING NOT NULL, note STRING, items JSON, staff JSON, rescued STRING)",
        ),
        (
            "sql/silver/orders.sql",
            "SELECT order_id, note, items, shop['staff'] AS staff, _rescued_data AS rescued FROM bronze.orders",
        ),
    ])
}

/// Asserts that the id is in no row, in no log of a table, and in nothing that was printed.
#[track_caller]
fn nowhere(lake: &Lake, outputs: &[Output]) {
    for table in ["bronze.orders", "silver.orders"] {
        for row in lake.rows(&format!("SELECT * FROM {table}")) {
            assert!(!row.to_string().contains("RAW"), "{table}: {row}");
        }
    }
    for row in lake.rows("SELECT source, error_class, error_message FROM bronze.quarantine") {
        assert!(!row.to_string().contains("RAW"), "{row}");
    }
    for path in below(&lake.root()) {
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains("RAW"), "{}: {text}", path.display());
        }
    }
    for output in outputs {
        assert!(!output.stdout.contains("RAW") && !output.stderr.contains("RAW"), "{output:?}");
    }
}

/// A text as JSON in a string, so many times.
fn wrapped(value: &Value, times: usize) -> Value {
    (0..times).fold(value.clone(), |value, _| Value::String(value.to_string()))
}

/// A record for each way in which a person's id may come.
fn records() -> Vec<Value> {
    let person = json!({"sku": "s", "User-ID": RAW, "of": [{"userId": RAW}]});
    let mut values: Vec<Value> = (0..7).map(|times| wrapped(&person, times)).collect();
    for text in [
        format!("{{\"user_id\":\"{RAW}\""),
        format!("{{'user_id': '{RAW}'}}"),
        format!("{{\"a\":1}} {{\"user_id\":\"{RAW}\"}}"),
        format!("[user_id: {RAW}]"),
    ] {
        values.push(json!(text));
    }
    let deep = format!("{}\"{RAW}\"{}", "[".repeat(200), "]".repeat(200));
    values.push(json!(format!("{{\"user_id\":{deep}}}")));
    values.push(json!(deep));
    let mut records = Vec::new();
    for (i, value) in values.iter().enumerate() {
        let note = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        records.push(json!({"order_id": format!("items-{i}"), "items": [value], "k": 1}));
        records.push(json!({"order_id": format!("staff-{i}"), "shop": {"staff": value}}));
        records
            .push(json!({"order_id": format!("new-{i}"), "new": value, "shop": {"new": [value]}}));
        if note.len() < 200 {
            records.push(json!({"order_id": format!("note-{i}"), "note": note}));
        }
    }
    records.push(
        json!({"order_id": "spelled", "USERID": RAW, "user id": RAW, "context.user_id": RAW}),
    );
    records
}

#[test]
fn an_id_in_json_of_any_kind_reaches_no_table() {
    let lake = lake();
    let records = records();
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    lake.land("orders/a.ndjson", (lines.join("\n") + "\n").as_bytes());
    let run = lake.ok(&["run", "all"]);
    let n_records = i64::try_from(records.len()).unwrap();
    assert_eq!(lake.number("SELECT count(*) AS n FROM silver.orders"), n_records);
    nowhere(&lake, &[run]);
    let rows = lake.rows("SELECT items FROM bronze.orders WHERE order_id IN ('items-0', 'items-1') ORDER BY order_id");
    let cleaned = json!({"sku": "s", "of": [{}]});
    for (row, expected) in rows.iter().zip([json!([cleaned]), json!([cleaned.to_string()])]) {
        let found: Value = serde_json::from_str(row["items"].as_str().unwrap()).unwrap();
        let inner = |value: &Value| match value[0].as_str() {
            Some(text) => serde_json::from_str(text).unwrap(),
            None => value[0].clone(),
        };
        assert_eq!(inner(&found), inner(&expected), "{row}");
    }
}

#[test]
fn an_id_in_a_row_of_csv_reaches_no_table() {
    let lake = lake();
    let quoted = format!("\"[{{\"\"sku\"\":\"\"s\"\",\"\"user_id\"\":\"\"{RAW}\"\"}}]\"");
    let text = format!("order_id,items,note,new,User-ID\no1,{quoted},{quoted},{quoted},{RAW}\n");
    lake.land("orders/a.csv", text.as_bytes());
    let run = lake.ok(&["run", "all"]);
    nowhere(&lake, &[run]);
    let rows = lake.rows("SELECT items, note FROM bronze.orders");
    assert_eq!(
        (rows[0]["items"].as_str(), rows[0]["note"].as_str()),
        (Some(r#"[{"sku":"s"}]"#), Some(r#"[{"sku":"s"}]"#))
    );
}

#[test]
fn what_names_nobody_stays_as_it_was_sent() {
    let lake = lake();
    let note = "[draft] of {something}: user = me";
    let line = r#"{"order_id":"o1","note":"[draft] of {something}: user = me","items":[ {"sku" : "s","n":1.50} ],"shop":{"staff":"{\"k\": 1}"},"new":{"a":[1e400, "x"]}}"#;
    lake.land("orders/a.ndjson", format!("{line}\n").as_bytes());
    lake.ok(&["run", "all"]);
    let rows = lake.rows("SELECT * FROM silver.orders");
    assert_eq!(rows[0]["note"], note);
    assert_eq!(rows[0]["items"], r#"[ {"sku" : "s","n":1.50} ]"#);
    assert_eq!(rows[0]["staff"], r#""{\"k\": 1}""#);
    assert_eq!(rows[0]["rescued"], r#"{"new":{"a":[1e400, "x"]}}"#);
}

#[test]
fn messages_of_faults_and_checks_say_no_value() {
    let lake = lake();
    let check = CONTRACT.replace("character_length(note) < 200", "CAST(note AS BIGINT) > 0");
    lake.file("lake/bronze/orders.sql", &check);
    let lines = [
        json!({"order_id": "good", "note": "5"}),
        json!({"order_id": "text", "note": RAW}),
        json!({"order_id": "zero", "note": "0"}),
        json!({"order_id": {"x": RAW}}),
        json!({"order_id": "type", "shop": RAW}),
        json!({"note": RAW}),
    ];
    let mut lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    lines.push(format!("{{\"order_id\":\"{RAW}\",\"order_id\":\"{RAW}\"}}"));
    lines.push(format!("{{\"{RAW}\":\"{RAW}\" {RAW}"));
    lake.land("orders/a.ndjson", (lines.join("\n") + "\n").as_bytes());
    let run = lake.ok(&["run", "all", "-v"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.orders"), 1);
    let rows =
        lake.rows("SELECT error_class, error_message FROM bronze.quarantine ORDER BY position");
    let classes: Vec<&str> = rows.iter().map(|row| row["error_class"].as_str().unwrap()).collect();
    let expected = [
        "check_failed",
        "check_failed",
        "wrong_type",
        "wrong_type",
        "missing_field",
        "duplicate_field",
        "not_json",
    ];
    assert_eq!(classes, expected);
    assert_eq!(rows[0]["error_message"], "check `note_is_short` cannot be computed");
    assert_eq!(rows[1]["error_message"], "check `note_is_short` is false");
    let list = lake.ok(&["quarantine", "list"]);
    nowhere(&lake, &[run, list]);
}

#[test]
fn a_check_judges_the_id_that_came_and_not_its_pseudonym() {
    let contract = "-- One row per visit.
CREATE TABLE bronze.visits (
    visit_id STRING NOT NULL,
    user_id  VARCHAR(30),
    who      STRUCT<id STRING, age BIGINT>,
    note     STRING,
    CONSTRAINT known CHECK (user_id <> 'anonymous' AND user_id LIKE 'RAW%'),
    CONSTRAINT named CHECK (who['id'] <> 'RAW-nobody'),
    CONSTRAINT noted CHECK (note <> 'RAW'),
    CONSTRAINT given CHECK (user_id IS NOT NULL)
)
TBLPROPERTIES ('lake.source' = 'folder:visits', 'lake.personal' = 'user_id, who.id')";
    let lake = Lake::with(&[("lake/bronze/visits.sql", contract)]);
    lake.ok(&["check"]);
    let lines = [
        json!({"visit_id": "a", "user_id": RAW, "who": {"id": RAW}}),
        json!({"visit_id": "b", "user_id": "anonymous"}),
        json!({"visit_id": "c", "user_id": "x1"}),
        json!({"visit_id": "d", "user_id": RAW, "who": {"id": "RAW-nobody"}}),
        json!({"visit_id": "e", "user_id": RAW, "note": "RAW"}),
        json!({"visit_id": "f", "user_id": ""}),
        json!({"visit_id": "g", "user_id": 5}),
        json!({"visit_id": "h", "user_id": RAW, "who": {"age": 3}}),
        json!({"visit_id": "i", "user_id": format!("{RAW}{RAW}")}),
    ];
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    lake.land("visits/a.ndjson", (lines.join("\n") + "\n").as_bytes());
    let run = lake.ok(&["run", "all"]);
    let kept = lake.rows("SELECT visit_id, user_id FROM bronze.visits ORDER BY visit_id");
    let ids: Vec<&str> = kept.iter().map(|row| row["visit_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["a", "h"]);
    assert_eq!(kept[0]["user_id"], kept[1]["user_id"]);
    assert!(kept.iter().all(|row| !row.to_string().contains("RAW")), "{kept:?}");
    let said = lake.rows("SELECT error_message AS m FROM bronze.quarantine ORDER BY position");
    let said: Vec<&str> = said.iter().map(|row| row["m"].as_str().unwrap()).collect();
    let check = |name: &str| format!("check `{name}` is false");
    assert_eq!(said[..5], ["known", "known", "named", "noted", "given"].map(check));
    assert_eq!(said.len(), 7);
    for text in said.iter().copied().chain([run.stdout.as_str(), run.stderr.as_str()]) {
        assert!(!text.contains("RAW"), "{text}");
    }
}

#[test]
fn messages_of_functions_say_no_value() {
    let lake = lake();
    let line = json!({"order_id": "a", "note": format!("{RAW}(")});
    lake.land("orders/a.ndjson", format!("{line}\n").as_bytes());
    lake.ok(&["run", "bronze"]);
    for call in [
        "CAST(note AS DATE)",
        "to_timestamp(note, '%d/%m/%Y')",
        "to_date(note, '%d/%m/%Y')",
        "regexp_replace(order_id, note, '')",
        "map([note, note], [1, 2])['x']",
    ] {
        let output = lake.run(&["sql", &format!("SELECT {call} FROM bronze.orders")]);
        assert_eq!(output.code, Some(1), "{call}: {output:?}");
        assert!(!output.stderr.contains("RAW"), "{call}: {}", output.stderr);
    }
}

#[test]
fn json_behind_other_words_in_a_text_is_looked_into() {
    let lake = lake();
    let json = format!("{{\"user_id\":\"{RAW}\"}}");
    let notes = [
        format!("data: {json}"),
        format!("callback({json})"),
        format!("5{json}"),
        format!("null,{json}"),
        // Nobody is named here: they stay as they are.
        "see [draft] of {order}".to_owned(),
        "he said \"soon\"".to_owned(),
    ];
    let lines = notes.iter().enumerate();
    let lines: String = lines
        .map(|(i, note)| json!({"order_id": i.to_string(), "note": note}).to_string() + "\n")
        .collect();
    lake.land("orders/a.ndjson", lines.as_bytes());
    let output = lake.ok(&["run", "all"]);
    nowhere(&lake, &[output]);
    let rows = lake.rows("SELECT note FROM bronze.orders ORDER BY order_id");
    let kept: Vec<&Value> = rows.iter().map(|row| &row["note"]).collect();
    assert_eq!(kept[..4], [&Value::Null; 4]);
    assert_eq!(kept[4..], [&json!(notes[4]), &json!(notes[5])]);
}

#[test]
fn what_came_leaves_quarantine_for_no_stored_table() {
    let lake = lake();
    let model = |columns: &str, query: &str| {
        lake.file(
            "lake/silver/q.sql",
            &format!("-- One row per fault.\nCREATE TABLE silver.q ({columns})"),
        );
        lake.file("sql/silver/q.sql", query);
        lake.run(&["check"])
    };
    lake.file(
        "sql/gold/seen.sql",
        "/*---\nrefresh = \"view\"\n---*/\nSELECT raw AS came, error_class FROM bronze.quarantine",
    );
    for query in [
        "SELECT CAST(raw AS STRING) AS r FROM bronze.quarantine",
        "SELECT substr(encode(\"key\", 'hex'), 1) AS r FROM BRONZE.\"quarantine\"",
        "WITH q AS (SELECT * FROM lake.bronze.quarantine) SELECT max(headers) AS r FROM q",
        "SELECT encode(came, 'base64') AS r FROM gold.seen",
        "SELECT error_class AS r FROM bronze.quarantine UNION ALL SELECT arrow_cast(raw, 'Utf8') FROM bronze.quarantine",
        "SELECT o.order_id || q.r AS r FROM bronze.orders o LEFT JOIN (SELECT source AS s, CAST(\"key\" AS STRING) AS r FROM bronze.quarantine) q ON o.note = q.s",
        "SELECT max(r) AS r FROM (SELECT first_value(CAST(raw AS STRING)) OVER (PARTITION BY source ORDER BY position) AS r FROM bronze.quarantine)",
        "SELECT (SELECT max(headers) FROM bronze.quarantine) AS r FROM bronze.orders",
    ] {
        model("r STRING", query)
            .says(2, &["column `r` would store what came", "error_class and error_message"]);
    }
    let measured = "SELECT error_message AS r, octet_length(CAST(raw AS STRING)) + count(\"key\") OVER (PARTITION BY source) AS n FROM bronze.quarantine WHERE raw IS NOT NULL AND CAST(raw AS STRING) LIKE '{%'";
    model("r STRING, n BIGINT", measured).says(0, &[]);
    let counted = "SELECT error_class AS r, count(*) AS n FROM gold.seen GROUP BY error_class";
    model("r STRING, n BIGINT", counted).says(0, &[]);
    lake.land("orders/a.ndjson", format!("{{\"user_id\":\"{RAW}\"}}\n").as_bytes());
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT n FROM silver.q"), 1);
    assert_eq!(
        lake.number("SELECT count(*) AS n FROM gold.seen WHERE CAST(came AS STRING) LIKE '%RAW%'"),
        1
    );
    // Where no table has personal columns, there is nothing to keep.
    lake.file("lake/bronze/orders.sql", &CONTRACT.replace(", 'lake.personal' = 'user_id'", ""));
    model("r STRING", "SELECT CAST(raw AS STRING) AS r FROM bronze.quarantine").says(0, &[]);
}

#[test]
fn all_tables_of_a_lake_have_one_key() {
    let mut lake = lake();
    lake.land("orders/a.ndjson", b"{\"order_id\":\"1\",\"user_id\":\"u\"}\n");
    lake.ok(&["run", "bronze"]);
    let table = |name: &str, personal: &str| {
        let contract = format!(
            "-- One row per visit.\nCREATE TABLE bronze.{name} (user_id STRING) TBLPROPERTIES ('lake.source' = 'folder:visits'{personal})"
        );
        lake.file(&format!("lake/bronze/{name}.sql"), &contract);
    };
    table("visits", ", 'lake.personal' = 'user_id'");
    table("plain", "");
    lake.land("visits/a.ndjson", b"{\"user_id\":\"u\"}\n");
    let key = "5a".repeat(32);
    lake.set("LAKE_PRIVACY_KEY", "c3".repeat(32));
    let select = |name: &'static str| ["run", "bronze", "--select", name];
    lake.run(&select("bronze.visits")).says(
        2,
        &[
            "bronze.visits: the pseudonyms of bronze.orders in this lake were made under the key",
            "LAKE_ROOT",
        ],
    );
    assert!(!lake.root().join("bronze/visits").exists());
    // A table without persons has no key.
    lake.ok(&select("bronze.plain"));
    lake.set("LAKE_PRIVACY_KEY", key);
    lake.ok(&["run", "bronze"]);
    let joined = "SELECT count(*) AS n FROM bronze.orders JOIN bronze.visits USING (user_id)";
    assert_eq!(lake.number(joined), 1);
}

#[test]
fn names_of_folders_and_files_that_name_a_person_show_no_raw_id() {
    let contract = CONTRACT
        .replace("city STRING,", "city STRING, device_id STRING,")
        .replace("'lake.personal' = 'user_id'", "'lake.personal' = 'user_id, shop.device_id'");
    let lake = lake();
    lake.file("lake/bronze/orders.sql", &contract);
    let folders = [
        "user_id=RAW1",
        "user-id=RAW2",
        "UserID=RAW3",
        "device_id=RAW4",
        "user%5Fid=RAW5",
        "user_id%3DRAW6",
        "n=1/context.user_id=RAW7",
    ];
    let mut n = 0;
    for folder in folders {
        for (name, text) in [
            ("a.ndjson", "{\"order_id\":\"1\"}"),
            ("bad.ndjson", "{\"order_id\":5}"),
            ("x.txt", "x"),
            ("export-user_id=RAW9.ndjson", "{\"order_id\":\"2\"}"),
        ] {
            lake.land(&format!("orders/{folder}/{name}"), text.as_bytes());
        }
        n += 2;
    }
    // The control: names of nobody stay as they are.
    lake.land("orders/superuser_id=x1/country=DE/a.ndjson", b"{\"order_id\":\"3\"}");
    let output = lake.ok(&["run", "all"]);
    assert!(output.stderr.contains("x.txt: left out"), "{}", output.stderr);
    nowhere(&lake, &[output, lake.ok(&["status"]), lake.ok(&["doctor"])]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.orders"), n + 1);
    let files = "SELECT count(DISTINCT _source_file) AS n FROM bronze.orders";
    assert_eq!(lake.number(files), n + 1);
    let kept = "SELECT count(*) AS n FROM bronze.orders WHERE _source_file = 'orders/superuser_id=x1/country=DE/a.ndjson'";
    assert_eq!(lake.number(kept), 1);
    // The pseudonym in the name is that of the column.
    let same = "SELECT count(*) AS n FROM bronze.orders WHERE starts_with(_source_file, 'orders/user_id=' || user_id || '/')";
    assert_eq!(lake.number(same), 2);
}
