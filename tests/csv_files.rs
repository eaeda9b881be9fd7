//! What CSV files look like in the wild: headers, separators, quotes, rows that are no rows.

use serde_json::{Value, json};

use crate::support::{Lake, append, gzip};

const TABLE: &str = "-- One row per record.
CREATE TABLE bronze.t (id STRING NOT NULL, name STRING, n BIGINT, x DOUBLE, ok BOOLEAN, deep STRUCT<a STRING>)
TBLPROPERTIES ('lake.source' = 'folder:t');";

fn lake() -> Lake {
    Lake::with(&[("lake/bronze/t.sql", TABLE)])
}

/// Columns of the table, by file and position.
#[track_caller]
fn taken(lake: &Lake, columns: &str) -> Vec<Value> {
    lake.rows(&format!("SELECT {columns} FROM bronze.t ORDER BY _source_file, _offset"))
}

#[test]
fn headers_of_any_case_and_separator_name_the_columns() {
    for (header, row) in [
        ("id,name,n", "1,alpha,5"),
        ("ID,Name,N", "1,alpha,5"),
        ("id;name;n", "1;alpha;5"),
        ("N\tId\tNAME", "5\t1\talpha"),
        (" id | name | n ", "1|alpha|5"),
        ("\u{feff}id,name,n,,", "1,alpha,5,,"),
        ("id,name,n,,", "1,alpha,5"),
        ("\"id\",\"name\",\"n\"", "\"1\",\"alpha\",\"5\""),
    ] {
        for end in ["\n", "\r\n", "\r"] {
            let lake = lake();
            lake.land("t/a.csv", format!("{header}{end}{row}{end}{end}{row}").as_bytes());
            lake.ok(&["run", "bronze"]);
            let row = json!({"id": "1", "name": "alpha", "n": 5});
            assert_eq!(taken(&lake, "id, name, n"), [row.clone(), row], "{header}");
            assert_eq!(lake.refused(), "", "{header}");
        }
    }
}

#[test]
fn a_header_that_names_no_column_is_a_mistake_and_is_not_repeated() {
    let lake = lake();
    lake.land("t/a.csv", b"alice@example.com,alice@example.com,9\nbob@example.com,b,8\n");
    lake.land("t/b.csv", b"who,what\nx,y\n");
    lake.land("t/c.csv", b"id,name,name\n1,x,y\n");
    lake.land("t/good.csv", b"id,other\n1,x\n");
    let output = lake.run(&["run", "bronze"]);
    output.says(0, &["t/a.csv: the header names no column", "id,name,n,x,ok,deep.a"]);
    output.says(0, &["t/c.csv: the header names `name` in columns 2 and 3"]);
    assert!(!output.stderr.contains("alice"), "{}", output.stderr);
    assert_eq!(lake.refused(), "unreadable@0 unreadable@0 unreadable@0");
    let messages = lake.rows("SELECT error_message, raw FROM bronze.quarantine");
    assert!(!format!("{messages:?}").contains("alice"), "{messages:?}");
    let expected = [json!({"id": "1", "_rescued_data": "{\"other\":\"x\"}"})];
    assert_eq!(taken(&lake, "id, _rescued_data"), expected);
}

#[test]
fn a_row_with_other_fields_than_its_header_is_in_quarantine_as_a_whole() {
    let lake = lake();
    let rows = "id,name\n1,a\n2,a,RAW\n3\n4,a,,\n5,\n,,,\n6,a\n";
    lake.land("t/a.csv", rows.as_bytes());
    lake.ok(&["run", "bronze"]);
    let ids: Vec<Value> = taken(&lake, "id").iter().map(|row| row["id"].clone()).collect();
    assert_eq!(ids, ["1", "4", "5", "6"]);
    assert_eq!(lake.refused(), "not_csv@1 not_csv@2 missing_field@5");
    let rescued = "SELECT count(*) AS n FROM bronze.t WHERE _rescued_data IS NOT NULL";
    assert_eq!(lake.number(rescued), 0, "a shifted value is nowhere in the table");
}

#[test]
fn a_quote_that_is_not_closed_costs_its_line_and_not_the_rest() {
    let texts = [
        ("id,name,n\n1,a,1\n2,\"b,2\n3,c,3\n4,d,4\n", "1 3 4", "not_csv@1"),
        ("id,name,n\n1,a,1\n2,\"b\nstill b\n\"\"\",2\n3,c\"c,3\n4,\"d\"\"\",4\n", "1 2 3 4", ""),
        // The last may be on its way still: it waits, and is told.
        ("id,name,n\n1,a,1\n2,\"b", "1", ""),
    ];
    for (text, ids, expected) in texts {
        for (name, bytes) in
            [("t/a.csv", text.as_bytes().to_vec()), ("t/a.csv.gz", gzip(text.as_bytes()))]
        {
            let lake = lake();
            lake.land(name, &bytes);
            lake.ok(&["run", "bronze"]);
            let found = taken(&lake, "id");
            let found: Vec<&str> = found.iter().map(|row| row["id"].as_str().unwrap()).collect();
            assert_eq!(found.join(" "), ids, "{text}");
            assert_eq!(lake.refused(), expected, "{text}");
        }
    }
}

#[test]
fn a_quote_that_is_not_closed_in_a_long_file_costs_no_memory_and_no_rows() {
    let mut lake = lake();
    lake.set("LAKE_INGEST_RECORD_LIMIT", "64KiB");
    let mut text = "id,name,n\n0,\"open,0\n".to_owned();
    (1..300_000).for_each(|i| text.push_str(&format!("{i},name,{i}\n")));
    lake.land("t/a.csv", text.as_bytes());
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.t"), 299_999);
    assert_eq!(lake.refused(), "not_csv@0");
}

#[test]
fn a_row_above_the_limit_costs_itself() {
    let big = "x".repeat(3 << 20);
    let controls = "\u{1}".repeat(800);
    for field in [big.clone(), format!("\"{big}\n\"\"{big}\""), controls] {
        for packed in [false, true] {
            let mut lake = lake();
            lake.set("LAKE_INGEST_RECORD_LIMIT", "2KiB");
            let text = format!("id,name\n1,a\n2,{field}\n3,c\n");
            let name = if packed { "t/a.csv.gz" } else { "t/a.csv" };
            lake.land(name, &if packed { gzip(text.as_bytes()) } else { text.into_bytes() });
            lake.ok(&["run", "bronze"]);
            assert_eq!(taken(&lake, "id"), [json!({"id": "1"}), json!({"id": "3"})]);
            assert_eq!(lake.refused(), "too_large@1");
        }
    }
    let mut lake = lake();
    lake.set("LAKE_INGEST_RECORD_LIMIT", "2KiB");
    lake.land("t/a.csv", format!("id,{big}\n1,2\n").as_bytes());
    lake.run(&["run", "bronze"]).says(0, &["t/a.csv: the header is longer"]);
    assert_eq!(lake.refused(), "unreadable@0");
}

#[test]
fn numbers_keep_each_digit_and_booleans_are_words() {
    let lake = lake();
    let numbers = ["943.3567169983137", "113.11364927898171", "1.5777777777770001", "5e-324"];
    let rows = numbers.iter().enumerate().map(|(i, x)| format!("{i},{x},{}\n", i % 2 == 0));
    lake.land("t/a.csv", format!("id,x,ok\n{}", rows.collect::<String>()).as_bytes());
    let lines = numbers.iter().enumerate();
    let lines = lines.map(|(i, x)| format!("{{\"id\":\"{i}\",\"x\":{x},\"ok\":{}}}\n", i % 2 == 0));
    lake.land("t/b.ndjson", lines.collect::<String>().as_bytes());
    lake.land("t/c.csv", b"id,ok\n4,True\n5,FALSE\n6,yes\n7,1\n");
    lake.ok(&["run", "bronze"]);
    let same = "SELECT count(*) AS n FROM bronze.t a JOIN bronze.t b ON a.id = b.id AND a.x = b.x AND a.ok = b.ok WHERE a._source_file = 't/a.csv' AND b._source_file = 't/b.ndjson'";
    assert_eq!(lake.number(same), 4);
    let taken = lake.rows("SELECT id, ok FROM bronze.t WHERE _source_file = 't/c.csv' ORDER BY id");
    assert_eq!(taken, [json!({"id": "4", "ok": true}), json!({"id": "5", "ok": false})]);
    assert_eq!(lake.refused(), "wrong_type@2 wrong_type@3");
}

#[test]
fn no_value_vanishes_under_a_column_that_has_others_below_it() {
    let lake = lake();
    lake.land("t/a.csv", b"id,name,name.first,deep.a\n1,alpha,AAA,inner\n");
    lake.land("t/b.csv", b"name.first,name,id,deep\nBBB,alpha,2,\n");
    lake.ok(&["run", "bronze"]);
    let rows = taken(&lake, "id, name, _rescued_data, deep['a'] AS a");
    assert_eq!(
        rows,
        [
            json!({"id": "1", "name": "alpha", "_rescued_data": "{\"name.first\":\"AAA\"}", "a": "inner"}),
            json!({"id": "2", "name": "alpha", "_rescued_data": "{\"name.first\":\"BBB\"}", "a": null}),
        ]
    );
}

#[test]
fn a_row_that_grew_after_it_was_taken_is_told_plain_and_packed() {
    let header = "id,name,n\n";
    for is_packed in [false, true] {
        let packed = |text: &str| {
            let bytes = text.as_bytes();
            if is_packed { gzip(bytes) } else { bytes.to_vec() }
        };
        let name = if is_packed { "t/a.csv.gz" } else { "t/a.csv" };
        let lake = lake();
        let path = lake.land(name, &packed(&format!("{header}1,a,67")));
        lake.ok(&["run", "bronze"]);
        append(&path, &packed("890\n2,b,1\n"));
        lake.land("t/neighbour.csv", format!("{header}3,c,3\n").as_bytes());
        lake.run(&["run", "bronze"]).says(1, &[name, "last row was still being written"]);
        assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.t"), 2, "the neighbour is in");
    }
}

#[test]
fn a_file_that_grows_by_whole_rows_or_ends_a_half_one_is_read_on() {
    for is_packed in [false, true] {
        let packed = |text: &str| {
            let bytes = text.as_bytes();
            if is_packed { gzip(bytes) } else { bytes.to_vec() }
        };
        let lake = lake();
        let name = if is_packed { "t/a.csv.gz" } else { "t/a.csv" };
        let path = lake.land(name, &packed("id,name,n\n1,a,1"));
        // A line's end; half a row; its quoted rest; a header's worth of rows.
        for piece in ["\n", "2,\"first line\n", "second line\",2\n", "3,c", ",3\n4,d,4\n"] {
            lake.ok(&["run", "bronze"]);
            append(&path, &packed(piece));
        }
        lake.ok(&["run", "bronze"]);
        let rows = taken(&lake, "id, name, n, _offset AS at");
        let row =
            |id: &str, name: &str, n: i64| json!({"id": id, "name": name, "n": n, "at": n - 1});
        let second = "first line\nsecond line";
        let expected = [row("1", "a", 1), row("2", second, 2), row("3", "c", 3), row("4", "d", 4)];
        assert_eq!(rows, expected);
        assert_eq!(lake.refused(), "", "no half is anywhere");
    }
}

#[test]
fn a_half_row_at_the_end_waits_and_is_told_and_is_in_one_place() {
    for is_packed in [false, true] {
        let packed = |text: &str| {
            let bytes = text.as_bytes();
            if is_packed { gzip(bytes) } else { bytes.to_vec() }
        };
        let halves = [
            ("1,a,1\n2,\"b", "c\",2\n", "bc"),
            ("1,a,1\n2,\"b\n", "c\",2\n", "b\nc"),
            ("1,a,1\n2,b", "c,2\n", "bc"),
            ("1,a,1\n2,\"b\"x", "c,2\n", "refused"),
        ];
        for (half, rest, expected) in halves {
            let lake = lake();
            let name = if is_packed { "t/a.csv.gz" } else { "t/a.csv" };
            let path = lake.land(name, &packed(&format!("id,name,n\n{half}")));
            let output = lake.run(&["run", "bronze"]);
            output.says(0, &[name, "bytes are no whole row yet"]);
            assert_eq!((taken(&lake, "id").len(), lake.refused().as_str()), (1, ""), "{half}");
            append(&path, &packed(rest));
            lake.ok(&["run", "bronze"]);
            let rows = taken(&lake, "name, _offset AS at");
            if expected == "refused" {
                assert_eq!((rows.len(), lake.refused().as_str()), (1, "not_csv@1"), "{half}");
            } else {
                assert_eq!(rows[1..], [json!({"name": expected, "at": 1})], "{half}");
                assert_eq!(lake.refused(), "", "{half}");
            }
        }
        // One that has fields enough is whole, and so is one that can become no row any more.
        let lake = lake();
        lake.land("t/a.csv", b"id,name,n\n1,a,1");
        lake.land("t/b.csv", b"id,name,n\n2,b,2,more");
        assert!(!lake.ok(&["run", "bronze"]).stderr.contains("no whole row"));
        assert_eq!((taken(&lake, "id").len(), lake.refused().as_str()), (1, "not_csv@0"));
    }
}

#[test]
fn a_line_before_the_header_may_name_the_separator() {
    for (text, name) in [
        ("sep=;\r\nid;name;n\r\n1;a,b;5\r\n", "a,b"),
        ("\"sep=;\"\nid;name;n\n1;a;5\n", "a"),
        ("\u{feff}SEP=,\nid,name,n\n1,a;b,5\n", "a;b"),
        ("sep=\t\nid\tname\tn\n1\ta\t5\n", "a"),
        ("sep=^\nid^name^n\n1^a^5\n", "a"),
        // As it was saved once more; and one that names another than there is.
        ("sep=;;;\nid;name;n\n1;a;5\n", "a"),
        ("sep=,\nid;name;n\n1;a;5\n", "a"),
    ] {
        let lake = lake();
        let path = lake.land("t/a.csv", text.as_bytes());
        lake.ok(&["run", "bronze"]);
        append(&path, text.lines().last().unwrap().replace('1', "2").as_bytes());
        lake.ok(&["run", "bronze"]);
        let row = |id: &str, at: i64| json!({"id": id, "name": name, "n": 5, "at": at});
        let rows = taken(&lake, "id, name, n, _offset AS at");
        assert_eq!(rows, [row("1", 0), row("2", 1)], "{text}");
    }
    let lake = lake();
    lake.land("t/a.csv", b"sep=;\n");
    lake.land("t/b.csv", b"sep=x\nid,name\n1,a\n");
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.refused(), "unreadable@0", "a letter is no separator");
}

#[test]
fn numbers_are_taken_as_programs_write_them() {
    let lake = lake();
    let rows = "007,007,1\n+2,+7,+1.5\n3, 7 ,.5\n4,7.,7.\n5,07,-.5e1\n6,-0,1e400\n7,0x7,1\n8,1 0,1\n9,7,1.2.3\n";
    lake.land("t/a.csv", format!("id,n,x\n{rows}").as_bytes());
    lake.land("t/n=012/b.csv", b"id,x\na,1\n");
    lake.land("t/c.ndjson", b"{\"id\":\"b\",\"n\":007}\n{\"id\":\"c\",\"n\":\"7\"}\n");
    lake.ok(&["run", "bronze"]);
    let row = |id: &str, n: i64, x: f64| json!({"id": id, "n": n, "x": x});
    let expected = [
        row("007", 7, 1.0),
        row("+2", 7, 1.5),
        row("3", 7, 0.5),
        row("4", 7, 7.0),
        row("5", 7, -5.0),
        row("a", 12, 1.0),
    ];
    assert_eq!(taken(&lake, "id, n, x"), expected);
    let refused = "out_of_range@5 wrong_type@6 wrong_type@7 wrong_type@8 not_json@0 wrong_type@1";
    assert_eq!(lake.refused(), refused);
}

#[test]
fn a_column_named_like_a_field_of_a_text_is_kept_and_costs_no_row() {
    let lake = lake();
    lake.land("t/a.csv", b"id,name.lang\n1,en\n");
    lake.land("t/b.csv", b"ID,Name.lang,deep.a\n2,fr,x\n");
    lake.land("t/c.csv", b"id,name,name.lang\n3,a,de\n");
    lake.ok(&["run", "bronze"]);
    let rows = taken(&lake, "id, name, deep['a'] AS a, _rescued_data AS r");
    let row =
        |id: &str, name: Value, a: Value, r: &str| json!({"id": id, "name": name, "a": a, "r": r});
    let expected = [
        row("1", Value::Null, Value::Null, "{\"name.lang\":\"en\"}"),
        row("2", Value::Null, "x".into(), "{\"Name.lang\":\"fr\"}"),
        row("3", "a".into(), Value::Null, "{\"name.lang\":\"de\"}"),
    ];
    assert_eq!(rows, expected);
    assert_eq!(lake.refused(), "");
}

#[test]
fn files_of_nothing_or_of_a_header_are_no_faults() {
    let lake = lake();
    for (i, text) in ["", "\n", "id,name\n", "id,name", "\u{feff}", "\r\n\r\n"].iter().enumerate() {
        lake.land(&format!("t/{i}.csv"), text.as_bytes());
        lake.land(&format!("t/{i}.csv.gz"), &gzip(text.as_bytes()));
    }
    lake.land("t/nul.csv", b"id,name\n1,a\0b\n");
    lake.ok(&["run", "bronze"]);
    lake.ok(&["run", "bronze"]);
    assert_eq!(taken(&lake, "id, length(name) AS n"), [json!({"id": "1", "n": 3})]);
    assert_eq!(lake.refused(), "");
}

#[test]
fn a_file_that_is_not_packed_as_its_name_says_is_told() {
    let lake = lake();
    let half = gzip(b"id,name\n1,alpha\n");
    lake.land("t/a.csv.gz", b"this is no gzip");
    lake.land("t/b.csv.zst", b"x");
    lake.land("t/c.csv.gz", &half[..half.len() / 2]);
    lake.land("t/d.csv.gz", &gzip(b"id,name\n4,delta\n"));
    lake.run(&["run", "bronze"]).says(0, &["t/a.csv.gz", "t/b.csv.zst", "t/c.csv.gz"]);
    assert_eq!(taken(&lake, "id"), [json!({"id": "4"})]);
    assert_eq!(lake.refused(), "unreadable@0 unreadable@0 unreadable@0");
}

#[test]
fn a_quote_that_is_not_closed_keeps_no_more_bytes_than_a_record_may_have() {
    for (length, expected) in [(1000, ""), (3000, "too_large@1")] {
        let mut lake = lake();
        lake.set("LAKE_INGEST_RECORD_LIMIT", "2KiB");
        lake.land("t/a.csv", format!("id,name\n1,a\n2,\"{}", "x".repeat(length)).as_bytes());
        lake.ok(&["run", "bronze"]);
        assert_eq!(taken(&lake, "id"), [json!({"id": "1"})]);
        assert_eq!(lake.refused(), expected);
        let kept = lake.number(
            "SELECT coalesce(max(length(encode(raw, 'hex'))), 0) AS n FROM bronze.quarantine",
        );
        assert!(kept <= 2 * 2048, "{kept} hexadecimal digits");
    }
}

#[test]
fn text_behind_a_closing_quote_costs_its_line_and_the_next_rows_come_in() {
    let rows = [
        "1,a,1",
        "2,\"open,2",
        "3,c,3",
        "4,\"fine\",4",
        "5,\"say \"hi\" now\",5",
        "6,5\" disk,6",
        "7,\"a \"\"b\"\"\",7",
        "8,\"x\" ,8",
        "9,\"a\"b,9",
        "10,\"two\nlines\",10",
    ];
    for separator in [",", ";"] {
        for end in ["\n", "\r\n", "\r"] {
            for header in ["id,name,n", "\"id\",\"name\",\"n\""] {
                let text = [&[header][..], &rows[..]].concat().join(end).replace(',', separator);
                let lake = lake();
                lake.land("t/a.csv", text.as_bytes());
                lake.land("t/b.csv.gz", &gzip(text.as_bytes()));
                lake.ok(&["run", "bronze"]);
                let row = |id: &str, name: &str, at: i64| json!({"id": id, "name": name, "at": at});
                let expected = [
                    row("1", "a", 0),
                    row("3", "c", 2),
                    row("4", "fine", 3),
                    row("6", "5\" disk", 5),
                    row("7", "a \"b\"", 6),
                    row("8", "x", 7),
                    row("10", "two\nlines", 9),
                ];
                let both = taken(&lake, "id, name, _offset AS at");
                assert_eq!(both, [&expected[..], &expected[..]].concat(), "{text:?}");
                let refused = "not_csv@1 not_csv@4 not_csv@8";
                assert_eq!(lake.refused(), format!("{refused} {refused}"), "{text:?}");
            }
        }
    }
}

#[test]
fn quotes_that_are_not_closed_in_a_long_file_cost_their_lines_and_no_time() {
    let lake = lake();
    let mut text = "id,name,n\n".to_owned();
    for i in 0..200_000 {
        match i % 1000 {
            7 => text.push_str(&format!("{i},\"open,{i}\n")),
            500 => text.push_str(&format!("{i},\"fine\",{i}\n")),
            _ => text.push_str(&format!("{i},name,{i}\n")),
        }
    }
    lake.land("t/a.csv", text.as_bytes());
    lake.ok(&["run", "bronze"]);
    let wrong =
        "SELECT count(*) AS n FROM bronze.t WHERE id <> CAST(_offset AS VARCHAR) OR n <> _offset";
    assert_eq!(lake.number(wrong), 0);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.t"), 199_800);
    let refused = "SELECT count(*) AS n FROM bronze.quarantine WHERE position % 1000 = 7";
    assert_eq!(lake.number(refused), 200);
}

#[test]
fn rows_of_a_file_that_is_looked_at_often_have_each_their_position() {
    let lake = lake();
    let path = lake.land("t/a.csv", b"id,name\n1,a\n2,\"b\n3,c\n4,d\n");
    lake.ok(&["run", "bronze"]);
    // To who reads from the start, this closes the quote of row 2.
    for piece in ["5,\"\n", "6,f\n7,g\n", "8,h\n"] {
        append(&path, piece.as_bytes());
        lake.ok(&["run", "bronze"]);
    }
    let rows = taken(&lake, "id, _offset AS at");
    let expected = [("1", 0), ("3", 2), ("4", 3), ("6", 5), ("7", 6), ("8", 7)];
    assert_eq!(rows, expected.map(|(id, at)| json!({"id": id, "at": at})));
    assert_eq!(lake.refused(), "not_csv@1 not_csv@4", "once, when it has grown");
}

#[test]
fn an_empty_text_is_no_null() {
    let lake = lake();
    let rows = "1,,,,,,\n2,\"\",\"\",\"\",\"\",\"\",\"\"\n";
    lake.land("t/a.csv", format!("id,name,n,x,ok,deep.a,new\n{rows}").as_bytes());
    lake.ok(&["run", "bronze"]);
    let rows = taken(&lake, "name, n, x, ok, deep['a'] AS a, _rescued_data AS r");
    let row = |name: Value, r: &str| json!({"name": name, "n": null, "x": null, "ok": null, "a": name, "r": r});
    let expected = [row(Value::Null, "{\"new\":null}"), row("".into(), "{\"new\":\"\"}")];
    assert_eq!(rows, expected);
    assert_eq!(lake.refused(), "");
}

#[test]
fn what_a_query_prints_as_csv_is_read_back_as_the_same_rows() {
    let columns = "id STRING, name STRING, n BIGINT, small INT, x DOUBLE, ok BOOLEAN, at TIMESTAMP, day DATE, free JSON";
    let table = |name: &str| {
        format!(
            "-- One row per record.\nCREATE TABLE bronze.{name} ({columns}) TBLPROPERTIES ('lake.source' = 'folder:{name}');"
        )
    };
    let (t, u) = (table("t"), table("u"));
    let lake = Lake::with(&[("lake/bronze/t.sql", &t), ("lake/bronze/u.sql", &u)]);
    let at = "2026-03-01T12:00:05.000001Z";
    let rows = [
        json!({"id": "", "name": "two\nlines, \"quoted\"", "n": i64::MIN, "x": 0.1, "ok": true}),
        json!({"id": "a", "n": i64::MAX, "small": -1, "x": 1e300, "ok": false, "name": " blanks "}),
        json!({"id": "b", "at": at, "day": "0001-01-01", "free": {"a": ["x", null]}}),
        json!({"name": "", "free": 1}),
        json!({"id": "\"", "name": "\r"}),
        json!({}),
    ];
    lake.land("t/a.ndjson", rows.map(|row| format!("{row}\n")).concat().as_bytes());
    lake.ok(&["run", "bronze"]);
    let names = "id, name, n, small, x, ok, at, day, free";
    let select = |table: &str| format!("SELECT {names} FROM bronze.{table} ORDER BY _offset");
    let printed = lake.ok(&["sql", "--output", "csv", &select("t")]).stdout;
    lake.land("u/a.csv", printed.as_bytes());
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.refused(), "");
    assert_eq!(lake.rows(&select("u")), lake.rows(&select("t")), "{printed}");
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.u"), 6);
}
