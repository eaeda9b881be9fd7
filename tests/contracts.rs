//! What a contract says is kept by the engine, whatever its words and names are.

use std::os::unix::fs::symlink;

use serde_json::json;

use crate::support::Lake;

const SOURCE: &str = "TBLPROPERTIES ('lake.source' = 'folder:t')";

/// A lake whose table `bronze.t` has these columns, and that has these files besides.
fn lake(columns: &str, files: &[(&str, &str)]) -> Lake {
    let contract = format!("CREATE TABLE bronze.t ({columns}) {SOURCE}");
    let lake = Lake::with(&[("lake/bronze/t.sql", contract.as_str())]);
    for (path, text) in files {
        lake.file(path, text);
    }
    lake
}

#[test]
fn a_check_beside_a_column_sends_records_to_quarantine() {
    let lake = lake("id STRING, total BIGINT CHECK (total >= 0) DEFAULT 7", &[]);
    lake.land(
        "t/a.ndjson",
        b"{\"id\":\"a\",\"total\":5}\n{\"id\":\"b\",\"total\":-5}\n{\"id\":\"c\"}\n",
    );
    lake.ok(&["run", "bronze"]);
    let rows = lake.rows("SELECT id, total FROM bronze.t ORDER BY id");
    assert_eq!(rows, [json!({"id": "a", "total": 5}), json!({"id": "c", "total": 7})]);
    let message = lake.rows("SELECT error_message FROM bronze.quarantine");
    assert_eq!(message.len(), 1);
    assert!(message[0].to_string().contains("total_check"), "{message:?}");
}

/// Runs a model that copies `bronze.t`, with these columns and words behind them.
fn copied(columns: &str, rows: &str) -> crate::support::Output {
    let lake = lake("id STRING, code STRING, n BIGINT", &[]);
    lake.file("lake/gold/g.sql", &format!("CREATE TABLE gold.g ({columns})"));
    lake.file("sql/gold/g.sql", "SELECT id, code, n FROM bronze.t");
    lake.land("t/a.ndjson", rows.as_bytes());
    lake.run(&["run", "all"])
}

#[test]
fn keys_of_a_model_are_checked_however_they_are_written() {
    let once = "{\"id\":\"a\",\"n\":1}\n{\"id\":\"b\",\"code\":\"x\",\"n\":1}\n{\"id\":\"c\"}\n";
    let twice = "{\"id\":\"a\",\"code\":\"x\",\"n\":1}\n{\"id\":\"a\",\"code\":\"x\",\"n\":1}\n";
    let nameless = "{\"n\":1}\n{\"id\":\"a\"}\n";
    for (columns, key) in [
        ("id STRING PRIMARY KEY, code STRING, n BIGINT", "id"),
        ("id STRING, code STRING, n BIGINT, PRIMARY KEY (id)", "id"),
        ("id STRING UNIQUE, code STRING, n BIGINT", "id"),
        ("id STRING, code STRING UNIQUE, n BIGINT", "code"),
        ("id STRING, code STRING, n BIGINT, CONSTRAINT k UNIQUE (\"code\", n)", "code, n"),
    ] {
        copied(columns, once).says(0, &[]);
        copied(columns, twice).says(1, &["gold.g", &format!("({key})"), "more than one row"]);
    }
    let primary = "id STRING PRIMARY KEY, code STRING, n BIGINT";
    copied(primary, nameless).says(1, &["gold.g", "1 rows have a NULL", "(id)"]);
    copied(&primary.replace("PRIMARY KEY", "UNIQUE"), nameless).says(0, &[]);
}

#[test]
fn a_check_beside_a_column_of_a_model_fails_its_run() {
    let columns = "id STRING, code STRING, n BIGINT CHECK (n > 0)";
    copied(columns, "{\"id\":\"a\",\"n\":1}\n").says(0, &[]);
    copied(columns, "{\"id\":\"a\",\"n\":0}\n").says(1, &["gold.g", "n_check"]);
}

#[test]
fn a_json_column_of_a_model_holds_json() {
    let columns = "id STRING, doc JSON, part STRUCT<doc JSON, note STRING>";
    let lake = lake("id STRING, doc STRING", &[]);
    lake.file("lake/silver/g.sql", &format!("CREATE TABLE silver.g ({columns})"));
    lake.file(
        "sql/silver/g.sql",
        "SELECT id, CASE WHEN id <> 'c' THEN doc END AS doc, named_struct('doc', CASE WHEN id = 'c' THEN doc END, 'note', doc) AS part FROM bronze.t",
    );
    lake.land(
        "t/a.ndjson",
        b"{\"id\":\"a\",\"doc\":\"{\\\"a\\\":[1,null]}\"}\n{\"id\":\"b\"}\n{\"id\":\"c\",\"doc\":\" 5 \"}\n",
    );
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM silver.g"), 3);
    for (id, name) in [("d", "doc_is_json"), ("c", "part.doc_is_json")] {
        let line = format!("{{\"id\":\"{id}\",\"doc\":\"{{secret:1,\"}}\n");
        let file = lake.land("t/b.ndjson", line.as_bytes());
        let run = lake.run(&["run", "all"]);
        run.says(1, &["silver.g", name]);
        assert!(!run.stderr.contains("secret"), "{}", run.stderr);
        std::fs::remove_file(file).unwrap();
        std::fs::remove_dir_all(lake.root()).unwrap();
    }
}

#[test]
fn words_of_sql_are_names_of_columns_like_any_other() {
    let columns = "\"from\" VARCHAR(3) CHECK (\"from\" <> 'x'), \"true\" VARCHAR(3), current_date VARCHAR(3), \"order\" BIGINT";
    let lake = lake(columns, &[]);
    let key = "PRIMARY KEY (\"from\", \"true\", current_date, \"order\"), UNIQUE (\"order\")";
    lake.file("lake/gold/g.sql", &format!("CREATE TABLE gold.g ({columns}, {key})"));
    lake.file(
        "sql/gold/g.sql",
        "SELECT \"from\", \"true\", \"current_date\", \"order\" FROM bronze.t",
    );
    lake.land(
        "t/a.ndjson",
        b"{\"from\":\"a\",\"true\":\"b\",\"current_date\":\"c\",\"order\":1}\n",
    );
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM gold.g WHERE \"from\" = 'a'"), 1);
    lake.land(
        "t/b.ndjson",
        b"{\"from\":\"b\",\"true\":\"b\",\"current_date\":\"c\",\"order\":1}\n",
    );
    lake.run(&["run", "all"]).says(1, &["gold.g", "(order)", "more than one row"]);
}

#[test]
fn a_check_may_call_every_function_of_one_row_and_no_other() {
    let check = "coalesce(n, 0) >= 0 AND nvl2(n, n, 1) > 0 AND arrow_cast(n, 'Int32') < 9 AND nvl(id, '') <> 'x'";
    let lake = lake(&format!("id STRING, n BIGINT, CONSTRAINT c CHECK ({check})"), &[]);
    lake.land(
        "t/a.ndjson",
        b"{\"id\":\"a\",\"n\":1}\n{\"id\":\"b\"}\n{\"id\":\"c\",\"n\":-1}\n{\"id\":\"x\"}\n",
    );
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.t"), 2);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.quarantine"), 2);
    for (check, part) in [
        ("sum(n) > 0", "sum() looks at many rows"),
        ("row_number() OVER (ORDER BY n) > 0", "row_number() looks at many rows"),
        ("n > 'x'", "`CAST('x' AS BIGINT)`: a value is no BIGINT"),
        ("n", "not true or false"),
        ("nn > 0", "no column `nn`"),
        ("id < CAST(now() AS STRING)", "at every run"),
    ] {
        lake.file(
            "lake/bronze/t.sql",
            &format!(
                "CREATE TABLE bronze.t (id STRING, n BIGINT, CONSTRAINT c CHECK ({check})) {SOURCE}"
            ),
        );
        for command in [&["check"][..], &["run", "all"]] {
            lake.run(command)
                .says(2, &["error: 1 mistake", "lake/bronze/t.sql:1:56", "check `c`", part]);
        }
    }
}

#[test]
fn a_project_with_words_that_have_no_effect_is_refused_before_anything_is_written() {
    for columns in [
        "id STRING, UNIQUE (id)",
        "id STRING COLLATE latin1",
        "id INT(5)",
        "id STRING, n BIGINT CHECK (n > 0) NOT ENFORCED",
        "s STRUCT<x BIGINT, X BIGINT>",
    ] {
        let lake = lake(columns, &[]);
        lake.land("t/a.ndjson", b"{\"id\":\"1\"}\n");
        for command in [&["check"][..], &["run", "all"]] {
            lake.run(command).says(2, &["error: 1 mistake", "lake/bronze/t.sql:1:", "^"]);
        }
        assert!(!lake.root().exists(), "{columns}: something was written");
    }
}

#[test]
fn a_clause_that_the_parser_forgets_is_refused_all_the_same() {
    let table = "CREATE TABLE bronze.t (id STRING)";
    for (contract, word) in [
        (format!("{table} WITH ('lake.personal' = 'id') {SOURCE}"), "WITH"),
        (format!("{table} PARTITIONED BY (_ingest_date) WITH (fillfactor = 70) {SOURCE}"), "WITH"),
        (format!("{table} with () {SOURCE}"), "with"),
        (format!("{table} {SOURCE} OPTIONS ()"), "OPTIONS"),
        (format!("CREATE OR ALTER TABLE bronze.t (id STRING) {SOURCE}"), "OR"),
    ] {
        let lake = lake("id STRING", &[("lake/bronze/t.sql", &contract)]);
        let expected = format!("{word} has no effect in a contract");
        lake.run(&["check"]).says(2, &["error: 1 mistake", &expected, "^"]);
    }
    for contract in [
        format!(
            "-- WITH ('a' = 'b')\ncreate table \"lake\".Bronze.\"t\" (id STRING COMMENT 'WITH') /* WITH */\npartitioned by (_ingest_date)\n{SOURCE};\n-- WITH"
        ),
        format!("{table} PARTITIONED BY (id) TBLPROPERTIES ('lake.source' = 'folder:with')"),
    ] {
        lake("id STRING", &[("lake/bronze/t.sql", &contract)]).ok(&["check"]);
    }
}

#[test]
fn types_that_other_readers_cannot_take_from_a_folder_are_refused() {
    let split = |data_type: &str| {
        let lake = lake("id STRING", &[]);
        let contract = format!("CREATE TABLE gold.g (id STRING, m {data_type}) PARTITIONED BY (m)");
        lake.file("lake/gold/g.sql", &contract);
        lake.file(
            "sql/gold/g.sql",
            &format!("SELECT id, CAST(NULL AS {data_type}) AS m FROM bronze.t"),
        );
        lake.run(&["check"])
    };
    for data_type in ["DECIMAL(20, 2)", "DECIMAL(9, 0)", "DOUBLE", "TIMESTAMP"] {
        split(data_type).says(2, &["`m` cannot split the table into folders", "^"]);
    }
    for data_type in ["BIGINT", "INT", "DATE", "BOOLEAN"] {
        split(data_type).says(0, &[]);
    }
}

#[test]
fn lengths_in_a_struct_of_a_model_are_checked() {
    let lake = lake("id STRING, n DOUBLE", &[]);
    let model = |inner: &str, query: &str| {
        let contract =
            format!("CREATE TABLE silver.g (id STRING, st STRUCT<n DOUBLE, s STRUCT<a {inner}>>)");
        lake.file("lake/silver/g.sql", &contract);
        let query = format!(
            "SELECT id, named_struct('n', {query}, 's', named_struct('a', id)) AS st FROM bronze.t"
        );
        lake.file("sql/silver/g.sql", &query);
        lake.run(&["run", "all"])
    };
    lake.land("t/a.ndjson", "{\"id\":\"abcdé\",\"n\":1}\n{\"id\":null,\"n\":0}\n".as_bytes());
    let broken = ["silver.g: 1 rows break check `st.s.a_fits_its_varchar`"];
    model("VARCHAR(4)", "n").says(1, &broken);
    model("VARCHAR(5)", "n").says(0, &[]);
    // Another length makes the model due.
    model("VARCHAR(3)", "n").says(1, &broken);
    // NaN is NaN in a struct, too.
    model("STRING", "CAST('NaN' AS DOUBLE) * n").says(0, &[]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM silver.g WHERE isnan(st['n'])"), 2);
    assert_eq!(lake.number("SELECT count(st['s']['a']) AS n FROM silver.g"), 1);
}

#[test]
fn a_lake_does_not_take_its_own_files_for_records() {
    for (root, landing) in
        [("landing/t/lake", "landing"), ("lake", "lake/_lake"), ("landing/t", "landing")]
    {
        let mut lake = lake("id STRING", &[]);
        lake.set("LAKE_ROOT", lake.folder().join(root).to_string_lossy());
        lake.set("LAKE_LANDING", lake.folder().join(landing).to_string_lossy());
        lake.run(&["run", "all"]).says(2, &["lie in each other", "LAKE_LANDING"]);
    }
    // Beside each other they may lie in one folder.
    for (root, landing) in [("all", "all/landing"), ("all/lake", "all"), ("t/lake", "t/landing")] {
        let mut lake = lake("id STRING", &[]);
        lake.set("LAKE_ROOT", lake.folder().join(root).to_string_lossy());
        lake.set("LAKE_LANDING", lake.folder().join(landing).to_string_lossy());
        lake.land("t/a.ndjson", b"{\"id\":\"1\"}\n");
        lake.ok(&["run", "all"]);
        assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.t"), 1, "{root}, {landing}");
    }
}

#[test]
fn a_file_of_the_project_that_cannot_be_read_is_named() {
    let lake = lake("id STRING", &[]);
    let folder = lake.folder().join("project/sql/gold");
    std::fs::create_dir_all(&folder).unwrap();
    // What editors leave beside a file is none of the project's.
    for name in [".a.sql.swp", ".#a.sql", "#a.sql#", "a.sql~", "a.sql.bak"] {
        std::fs::write(folder.join(name), b"\xe9 no SQL").unwrap();
    }
    lake.ok(&["check"]);
    std::fs::write(folder.join("latin.sql"), b"SELECT '\xe9' AS a").unwrap();
    lake.run(&["check"]).says(2, &["latin.sql", "UTF-8"]);
    std::fs::remove_file(folder.join("latin.sql")).unwrap();
    symlink("nowhere.sql", folder.join("link.sql")).unwrap();
    lake.run(&["check"]).says(2, &["link.sql", "link"]);
    std::fs::remove_file(folder.join("link.sql")).unwrap();
    std::fs::create_dir(folder.join("dir.sql")).unwrap();
    lake.run(&["check"]).says(2, &["dir.sql", "is a folder"]);
    std::fs::remove_dir(folder.join("dir.sql")).unwrap();
    std::fs::write(folder.join("a.SQL"), "SELECT 1 AS a").unwrap();
    lake.run(&["check"]).says(2, &["sql/gold/a.SQL", "the path is not"]);
    std::fs::remove_file(folder.join("a.SQL")).unwrap();
    std::fs::write(folder.join("a.sql"), "SELECT 'a\0b' AS a, \0").unwrap();
    lake.run(&["check"]).says(2, &["sql/gold/a.sql"]);
}

#[test]
fn long_expressions_are_read_and_endless_ones_refused() {
    let sum = |terms: usize| format!("SELECT {} AS n FROM bronze.t", vec!["n"; terms].join(" + "));
    let any = |terms: i32| (0..terms).map(|n| format!("n = {n}")).collect::<Vec<_>>().join(" OR ");
    let contract = |check: &str| {
        format!("CREATE TABLE bronze.t (n BIGINT, CONSTRAINT long CHECK ({check})) {SOURCE}")
    };
    let lake = lake("n BIGINT", &[]);
    lake.file("lake/bronze/t.sql", &contract(&any(1900)));
    lake.file("lake/gold/g.sql", "CREATE TABLE gold.g (n BIGINT)");
    lake.file("sql/gold/g.sql", &sum(1900));
    lake.land("t/a.ndjson", b"{\"n\":2}\n{\"n\":9999}\n");
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT n FROM gold.g"), 3800);
    // A list is one term, however long it is.
    let list: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    lake.file("lake/bronze/t.sql", &contract(&format!("n IN ({})", list.join(", "))));
    lake.ok(&["check"]);
    lake.file("lake/bronze/t.sql", &contract(&any(20_000)));
    lake.file("sql/gold/g.sql", &sum(20_000));
    lake.run(&["check"]).says(2, &["lake/bronze/t.sql", "sql/gold/g.sql", "terms in a row"]);
    lake.file(
        "sql/gold/g.sql",
        &format!("SELECT {}n{} AS n FROM bronze.t", "(".repeat(5000), ")".repeat(5000)),
    );
    lake.run(&["check"]).says(2, &["sql/gold/g.sql:1:", "nests too deep"]);
}
