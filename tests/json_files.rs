//! What JSON may look like in a file: a line each, over lines, glued together, or in one list.

use serde_json::json;

use crate::support::{Lake, append, gzip, zstandard};

const TABLE: &str = "-- One row per record.
CREATE TABLE bronze.t (id STRING NOT NULL, tags JSON)
TBLPROPERTIES ('lake.source' = 'folder:t');";

fn lake() -> Lake {
    Lake::with(&[("lake/bronze/t.sql", TABLE)])
}

/// The ids in the table with their positions, as `a@0 b@1`.
#[track_caller]
fn taken(lake: &Lake) -> String {
    let rows = lake.rows("SELECT id, _offset FROM bronze.t ORDER BY _source_file, _offset");
    let shown =
        rows.iter().map(|row| format!("{}@{}", row["id"].as_str().unwrap(), row["_offset"]));
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_shape_of_json_comes_in_with_a_position_for_each_record() {
    let shapes = [
        ("{\"id\":\"a\"}\n{\"id\":\"b\"}\n", "a@0 b@1"),
        ("{\"id\":\"a\"}\n\n{\"id\":\"b\"}", "a@0 b@2"),
        ("[{\"id\":\"a\"},{\"id\":\"b\"}]", "a@0 b@1"),
        (
            "[\n  {\n    \"id\": \"a\",\n    \"tags\": [{\"x\": 1}, [\n{}]]\n  },\n  {\n    \"id\": \"b\"\n  }\n]\n",
            "a@0 b@1",
        ),
        ("\u{feff} [ {\"id\":\"a\"} ,\n {\"id\":\"b\"} ]\n", "a@0 b@1"),
        ("{\"id\":\"a\"}{\"id\":\"b\"} {\"id\":\"c\"}", "a@0 b@1 c@2"),
        ("{\"id\":\"a\"}{\"id\":\"b\"}\n{\"id\":\"c\"}\n", "a@0 b@1 c@2"),
        ("{\n  \"id\": \"a\"\n}\n{\n  \"id\": \"b\"\n}\n", "a@0 b@3"),
        ("{\n  \"id\": \"a\"\n}", "a@0"),
        ("{\"id\":\"a\"}\n{\"id\":\"b\",\n\"tags\":[\n1]}\n{\"id\":\"c\"}\n", "a@0 b@1 c@4"),
        ("{\"tags\":{\"x\":1}\n,\"id\":\"a\"}\n{\"id\":\"b\"}\n", "a@0 b@2"),
        ("{\"id\":\"}{\"}\n{\"id\":\"b\"}\n", "}{@0 b@1"),
        ("{\"id\":\"a\"}\r{\"id\":\"b\"}\r", "a@0 b@1"),
        ("{\"id\":\"a\"}\r\n{\"id\":\"b\"}\r\n", "a@0 b@1"),
    ];
    for (text, expected) in shapes {
        for (name, bytes) in [
            ("t/a.json", text.as_bytes().to_vec()),
            ("t/a.ndjson.gz", gzip(text.as_bytes())),
            ("t/a.jsonl.zst", zstandard(text.as_bytes())),
        ] {
            let lake = lake();
            lake.land(name, &bytes);
            lake.ok(&["run", "bronze"]);
            assert_eq!(taken(&lake), expected, "{name}: {text}");
            assert_eq!(lake.refused(), "", "{name}: {text}");
        }
    }
}

#[test]
fn what_is_no_json_costs_only_itself() {
    let shapes = [
        ("{\"id\":\"a\"}\n{\"id\":\n{\"id\":\"b\"}\n{\"id\":\"c\"}\n", "a@0 b@2 c@3", "not_json@1"),
        ("{\"id\":\"a\"}\n{\"id\":\"x\n{\"id\":\"b\"}\n", "a@0 b@2", "not_json@1"),
        (
            "{\"id\":\"a\"}\nno json\n}\n]\n{\"id\":\"b\"}\n",
            "a@0 b@4",
            "not_json@1 not_json@2 not_json@3",
        ),
        (
            "{\"id\":\"a\"}\n[1,2]\n{\"id\":\"b\"} x\n{\"id\":\"c\"}\n",
            "a@0 c@3",
            "not_json@1 not_json@2",
        ),
        ("{\"id\":\"a\"}\n{\"id\":\"x\"\n", "a@0", "not_json@1"),
        (
            "[{\"id\":\"a\"},1,null,\"x\",[{\"id\":\"y\"}],{\"id\":NaN},{\"id\":\"b\"}]",
            "a@0 b@6",
            "not_json@1 not_json@2 not_json@3 not_json@4 wrong_type@5",
        ),
        ("[\n{\"id\":\"a\"},\n{\"id\":\"x\n{\"id\":\"b\"}\n]", "a@0 b@2", "not_json@1"),
        ("{\n \"id\": \"a\",\n \"tags\": NaN\n}\n{\n \"id\": \"b\"\n}\n", "b@4", "not_json@0"),
    ];
    for (text, expected, expected_refused) in shapes {
        let lake = lake();
        lake.land("t/a.json", text.as_bytes());
        lake.ok(&["run", "bronze"]);
        assert_eq!(taken(&lake), expected, "{text}");
        let refused = lake.refused().replace("wrong_type", "not_json");
        assert_eq!(refused, expected_refused.replace("wrong_type", "not_json"), "{text}");
    }
}

#[test]
fn a_file_that_grows_goes_on_in_the_middle_of_whatever_it_is() {
    let texts = [
        "{\"id\":\"a\"}{\"id\":\"b\"}\n{\"id\":\"c\"}\n\n{\n\"id\":\"d\"\n}\n{\"id\":\"e\"}",
        " [\n {\"id\":\"a\"}, {\"id\":\"b\"},{\"id\":\"c\",\"tags\":[1,{}]}\n,{\"id\":\"}\\\"]\"}\n]\n",
    ];
    for text in texts {
        let whole = lake();
        whole.land("t/a.json", text.as_bytes());
        whole.ok(&["run", "bronze"]);
        let lake = lake();
        let path = lake.land("t/a.json", b"");
        for piece in text.as_bytes().chunks(7) {
            append(&path, piece);
            lake.ok(&["run", "bronze"]);
        }
        assert_eq!(taken(&lake), taken(&whole), "{text}");
        assert_eq!(lake.refused(), "", "{text}");
    }
}

#[test]
fn what_is_not_whole_yet_is_told() {
    let lake = lake();
    lake.land("t/a.json", b"[{\"id\":\"a\"},{\"id\":");
    lake.land("t/b.json", b"[{\"id\":\"b\"}");
    lake.land("t/c.json", b"{\"id\":\"c\"}\n{\"id\"");
    let output = lake.run(&["run", "bronze"]);
    output.says(0, &["t/a.json: the last 6 bytes", "t/b.json: its list", "t/c.json: the last 5"]);
    assert_eq!(taken(&lake), "a@0 b@0 c@0");
}

#[test]
fn a_half_line_at_the_end_of_a_packed_file_waits_as_in_a_plain_one() {
    let lake = lake();
    let path = lake.land("t/a.ndjson.gz", &gzip(b"{\"id\":\"a\"}\n{\"id\":"));
    let whole = lake.land("t/b.ndjson.gz", &gzip(b"{\"id\":\"b\"}\n{\"id\":\"c\"}"));
    lake.run(&["run", "bronze"]).says(0, &["t/a.ndjson.gz: the last 6 bytes are no whole line"]);
    assert_eq!((taken(&lake).as_str(), lake.refused().as_str()), ("a@0 b@0 c@1", ""));
    append(&path, &gzip(b"\"d\"}\n{\"id\":\"e\"}\n"));
    append(&whole, &gzip(b"\nno json\n"));
    lake.ok(&["run", "bronze"]);
    assert_eq!(taken(&lake), "a@0 d@1 e@2 b@0 c@1");
    assert_eq!(lake.refused(), "not_json@2");
}

#[test]
fn a_record_above_the_limit_costs_itself_in_every_shape_and_packing() {
    let big = "x".repeat(3000);
    let shapes = [
        format!("{{\"id\":\"a\"}}\n{{\"id\":\"{big}\"}}\n{{\"id\":\"b\"}}\n"),
        format!("{{\"id\":\"a\"}}{{\"id\":\"{big}\"}}{{\"id\":\"b\"}}"),
        format!("[{{\"id\":\"a\"}},{{\"id\":\"{big}\"}},{{\"id\":\"b\"}}]"),
        format!("{{\"id\":\"a\"}}\n{big}\n{{\"id\":\"b\"}}\n"),
        format!("{{\"id\":\"a\"}}\n{{\"id\":\n[\"{}\n{{\"id\":\"b\"}}\n", "\",\n\"".repeat(3000)),
        // Longer than what is read at once.
        format!("[{{\"id\":\"a\"}},{{\"id\":\"{}\"}},{{\"id\":\"b\"}}]", "x".repeat(5 << 20)),
        format!("{{\"id\":\"a\"}}\n{{\"id\":\"{}\"}}\n{{\"id\":\"b\"}}\n", "y\\\"".repeat(2 << 20)),
    ];
    for (i, text) in shapes.iter().enumerate() {
        for (name, bytes) in
            [("t/a.json", text.clone().into_bytes()), ("t/a.json.gz", gzip(text.as_bytes()))]
        {
            let mut lake = lake();
            lake.set("LAKE_INGEST_RECORD_LIMIT", "2KiB");
            lake.land(name, &bytes);
            lake.ok(&["run", "bronze"]);
            let rows = lake.rows("SELECT id FROM bronze.t ORDER BY _offset");
            assert_eq!(rows, [json!({"id": "a"}), json!({"id": "b"})], "shape {i}");
            assert_eq!(lake.refused(), "too_large@1", "shape {i}");
        }
    }
}

#[test]
fn a_limit_that_limits_nothing_is_refused() {
    for limit in ["0", "10B", "8GiB", "much"] {
        let mut lake = lake();
        lake.set("LAKE_INGEST_RECORD_LIMIT", limit);
        lake.run(&["run", "bronze"]).says(2, &["ingest.record_limit"]);
    }
}

#[test]
fn a_text_of_another_encoding_is_told_and_is_no_garbage() {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let lake = lake();
    lake.land("t/a.ndjson", &[b"\xff\xfe".to_vec(), utf16("{\"id\":\"x\"}\n")].concat());
    lake.land("t/b.json", &utf16("{\"id\":\"x\"}\n"));
    lake.land("t/c.csv", &utf16("id\nx\n"));
    lake.land("t/d.ndjson", b"{\"id\":\"caf\xe9\"}\n{\"id\":\"good\"}\n");
    let output = lake.run(&["run", "bronze"]);
    output.says(0, &["t/a.ndjson: the text is UTF-16", "t/b.json: the text", "t/c.csv: the text"]);
    assert_eq!(taken(&lake), "good@1");
    assert_eq!(lake.refused(), "unreadable@0 unreadable@0 unreadable@0 not_utf8@0");
}

#[test]
fn a_list_behind_white_space_is_one_however_the_file_grows() {
    for begin in [" ", "\n", "  \n\n", "\u{feff}", "\u{feff}\n"] {
        let lake = lake();
        let path = lake.land("t/a.json", begin.as_bytes());
        lake.ok(&["run", "bronze"]);
        append(&path, b"[{\"id\":\"a\"},\n{\"id\":\"b\"}]\n");
        lake.ok(&["run", "bronze"]);
        assert_eq!(taken(&lake), "a@0 b@1", "{begin:?}");
        assert_eq!(lake.refused(), "", "{begin:?}");
    }
    let lake = lake();
    let path = lake.land("t/a.ndjson", b" \n");
    lake.ok(&["run", "bronze"]);
    append(&path, b"{\"id\":\"a\"}\n");
    lake.ok(&["run", "bronze"]);
    assert_eq!(taken(&lake), "a@1");
}

#[test]
fn where_a_damaged_list_ends_is_no_position_of_a_record() {
    let list = (0..500).map(|i| format!("{{\"id\":\"{i}\"}}")).collect::<Vec<_>>().join(",");
    for text in [format!("[{list}]"), list.replace("},{", "}{")] {
        let packed = gzip(text.as_bytes());
        let lake = lake();
        lake.land("t/a.json.gz", &packed[..packed.len() / 2]);
        lake.ok(&["run", "bronze"]);
        let taken = lake.number("SELECT count(*) AS n FROM bronze.t");
        assert!(taken > 0 && taken < 500, "{taken}");
        assert_eq!(lake.number("SELECT max(_offset) AS n FROM bronze.t"), taken - 1);
        assert_eq!(lake.refused(), format!("unreadable@{taken}"));
    }
}

#[test]
fn records_of_a_file_that_is_looked_at_often_have_each_their_position() {
    for pieces in [
        [
            "{\"id\":\"a\"}\n{\"tags\":\n",
            "1}\n{\"id\":\"b\"}\n",
            "{\"id\":\"c\"}\n",
            "{\"id\":\"d\"}",
        ],
        ["[{\"id\":\"a\"},", "{\"id\":\"b\"}", ",{\"id\":\"c\"}, 12", ",{\"id\":\"d\"}]"],
        ["{\"id\":\"a\"}", "{\"id\":\"b\"}\n", "{\"id\":\"c\"} {\"id\":", "\"d\"}\n"],
    ] {
        let lake = lake();
        let path = lake.land("t/a.json", pieces[0].as_bytes());
        for piece in &pieces[1..] {
            lake.ok(&["run", "bronze"]);
            append(&path, piece.as_bytes());
        }
        lake.ok(&["run", "bronze"]);
        let taken = taken(&lake);
        let ids: Vec<&str> = taken.split(' ').map(|record| &record[..1]).collect();
        assert_eq!(ids, ["a", "b", "c", "d"], "{taken}");
        let all = format!("{taken} {}", lake.refused());
        let positions: Vec<&str> =
            all.split_whitespace().filter_map(|one| one.split('@').nth(1)).collect();
        let distinct: std::collections::BTreeSet<&&str> = positions.iter().collect();
        assert_eq!(distinct.len(), positions.len(), "{all}");
    }
}
