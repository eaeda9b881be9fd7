//! Exit codes: 75 is only for what may pass by itself; what is gone, damaged or mistyped is named.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Stdio;

use crate::support::{Lake, below};

const ORDERS: (&str, &str) = (
    "lake/bronze/orders.sql",
    "-- One row per order.
CREATE TABLE bronze.orders (id STRING NOT NULL COMMENT 'order', n BIGINT COMMENT 'pieces')
PARTITIONED BY (_ingest_date)
TBLPROPERTIES ('lake.source' = 'folder:orders');
",
);
const CONTRACT: (&str, &str) = (
    "lake/gold/pieces.sql",
    "-- One row per order.
CREATE TABLE gold.pieces (id STRING NOT NULL COMMENT 'order', n BIGINT COMMENT 'pieces');
",
);
const MODEL: (&str, &str) = (
    "sql/gold/pieces.sql",
    "/*---\nrefresh = \"full\"\n---*/\n-- One row per order.\nSELECT id, n FROM bronze.orders\n",
);
const COUNT: &str = "SELECT count(id) AS n, sum(n) AS pieces FROM gold.pieces";

/// A lake with two orders, and their model.
fn lake() -> Lake {
    let lake = Lake::with(&[ORDERS, CONTRACT, MODEL]);
    lake.land("orders/a.ndjson", b"{\"id\":\"a\",\"n\":1}\n{\"id\":\"b\",\"n\":2}\n");
    lake.ok(&["run", "all"]);
    lake
}

/// The Parquet files of a table, without those of its log.
fn data(lake: &Lake, table: &str) -> Vec<PathBuf> {
    let mut files = below(&lake.root().join(table));
    files.retain(|path| !path.to_string_lossy().contains("_delta_log"));
    assert!(!files.is_empty());
    files
}

fn log(lake: &Lake, table: &str, version: u64, ending: &str) -> PathBuf {
    lake.root().join(table).join(format!("_delta_log/{version:020}.{ending}"))
}

#[test]
fn a_table_whose_files_are_gone_is_named_with_the_way_out() {
    let lake = lake();
    let files = data(&lake, "gold/pieces");
    let name = files[0].file_name().unwrap().to_string_lossy().into_owned();
    files.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let way_out = "lake run gold --select gold.pieces --full-refresh";
    let parts = ["table gold.pieces is gone", &name, way_out];
    lake.run(&["sql", COUNT]).says(1, &parts);
    // Its neighbour can be read.
    assert_eq!(lake.number("SELECT sum(n) AS n FROM bronze.orders"), 3);
    data(&lake, "bronze/orders").iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let gone = ["table bronze.orders is gone", "restore it from a backup"];
    lake.run(&["sql", "SELECT id FROM bronze.orders"]).says(1, &gone);
    lake.land("orders/b.ndjson", b"{\"id\":\"c\",\"n\":3}\n");
    lake.run(&["run", "all"]).says(1, &["sql/gold/pieces.sql", "table bronze.orders is gone"]);
}

#[test]
fn a_damaged_file_is_not_worth_trying_again() {
    for damage in [
        |bytes: &mut Vec<u8>| bytes.truncate(40),
        |bytes: &mut Vec<u8>| bytes.clear(),
        |bytes: &mut Vec<u8>| bytes[4..60].fill(0x5a),
        |bytes: &mut Vec<u8>| {
            let end = bytes.len() - 8;
            bytes[end - 60..end].fill(0x5a);
        },
    ] {
        let lake = lake();
        for path in data(&lake, "gold/pieces") {
            let mut bytes = std::fs::read(&path).unwrap();
            damage(&mut bytes);
            std::fs::write(path, bytes).unwrap();
        }
        let output = lake.run(&["sql", COUNT]);
        output.says(1, &["of table gold.pieces is damaged", "--full-refresh"]);
        assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    }
}

#[test]
fn a_damaged_input_of_a_model_is_named() {
    let lake = lake();
    for path in data(&lake, "bronze/orders") {
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4..40].fill(0x5a);
        std::fs::write(path, bytes).unwrap();
    }
    lake.land("orders/b.ndjson", b"{\"id\":\"c\",\"n\":3}\n");
    let parts = ["sql/gold/pieces.sql failed", "of table bronze.orders is damaged"];
    lake.run(&["run", "all"]).says(1, &parts);
}

#[test]
fn a_damaged_log_is_not_worth_trying_again() {
    let mut lake = lake();
    lake.set("RUST_BACKTRACE", "1");
    let version = (0..9).rev().find(|version| log(&lake, "gold/pieces", *version, "json").exists());
    let newest = log(&lake, "gold/pieces", version.unwrap(), "json");
    let whole = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, b"garbage\n").unwrap();
    let output = lake.run(&["sql", COUNT]);
    output.says(1, &["cannot open table gold.pieces", "restore"]);
    assert!(!output.stderr.contains("0: "), "a backtrace is no help: {}", output.stderr);
    // Its neighbour can be read all the same.
    assert_eq!(lake.number("SELECT sum(n) AS n FROM bronze.orders"), 3);
    std::fs::write(&newest, whole).unwrap();
    assert_eq!(lake.rows(COUNT).len(), 1);
}

/// Orders in so many versions that a checkpoint was written.
fn many_versions() -> Lake {
    let lake = Lake::with(&[ORDERS]);
    for i in 0..12 {
        lake.land(&format!("orders/{i}.ndjson"), format!("{{\"id\":\"{i}\"}}\n").as_bytes());
        lake.ok(&["run", "bronze"]);
    }
    assert!(log(&lake, "bronze/orders", 10, "checkpoint.parquet").exists());
    lake
}

#[test]
fn a_version_that_is_gone_is_named_with_those_that_are_there() {
    let lake = many_versions();
    let sql = "SELECT count(*) AS n FROM bronze.orders";
    let at = |version: &str| {
        lake.run(&["sql", "--version", &format!("bronze.orders={version}"), sql, "--output", "csv"])
    };
    assert_eq!(at("3").stdout, "n\n3\n");
    at("99999").says(2, &["bronze.orders has no version 99999", "available versions are 0 to 12"]);
    // As cleaning up a log does.
    (0..10).for_each(|v| std::fs::remove_file(log(&lake, "bronze/orders", v, "json")).unwrap());
    at("3").says(2, &["bronze.orders has no version 3", "available versions are 10 to 12"]);
    assert_eq!((at("10").stdout, at("11").stdout), ("n\n10\n".to_owned(), "n\n11\n".to_owned()));
    at("-1").says(2, &["-1"]);
    at("x").says(2, &["`x` is no version number"]);
    lake.run(&["sql", "--version", "bronze.nothing=0", sql])
        .says(2, &["there is no table bronze.nothing"]);
}

#[test]
fn a_version_whose_files_were_vacuumed_says_which() {
    let lake = lake();
    // Another version without any of the files of this one.
    lake.file("sql/gold/pieces.sql", &MODEL.1.replace("SELECT id, n", "SELECT id, n * 2 AS n"));
    let first = data(&lake, "gold/pieces");
    lake.ok(&["run", "all"]);
    let version = lake.rows("SELECT sum(n) AS n FROM gold.pieces");
    assert_eq!(version[0]["n"], 6);
    let old = |version: u64| {
        let pin = format!("gold.pieces={version}");
        lake.run(&["sql", "--version", &pin, COUNT, "--output", "csv"])
    };
    assert_eq!(old(1).stdout, "n,pieces\n2,3\n");
    first.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    old(1).says(1, &["version 1 of gold.pieces", "is gone", "read a newer version"]);
    assert_eq!(old(2).stdout, "n,pieces\n2,6\n");
}

#[test]
fn a_query_that_needs_more_memory_than_it_may_have_is_not_tried_again() {
    let mut lake = lake();
    lake.set("LAKE_QUERY_MEMORY", "1MiB");
    // What a hash join holds cannot be spilled.
    let sql = "SELECT count(*) AS n FROM generate_series(1, 1000000) AS a JOIN generate_series(1, 1000000) AS b ON a.value = b.value";
    lake.run(&["sql", sql]).says(1, &["hint: raise `query.memory`"]);
    lake.set("LAKE_QUERY_MEMORY", "4GiB");
    assert_eq!(lake.number(sql), 1_000_000);
}

#[test]
fn wrong_use_is_a_mistake_in_the_command() {
    let lake = lake();
    for (arguments, part) in [
        (&["sql", ""][..], "there is no query"),
        (&["sql", " ; -- nothing\n"], "there is no query"),
        (&["sql", "SELECT 1; SELECT 2"], "error"),
        (&["sql", "SELEC 1"], "error"),
        (&["sql", "SELECT 1", "--output", "xml"], "xml"),
        (&["sql", "SELECT 1", "--output"], "--output"),
        (&["sql", "SELECT 1", "--version"], "--version"),
        (&["sql", "SELECT 1", "--version", "gold.pieces"], "TABLE=VERSION"),
        (&["run"], "LAYER"),
        (&["run", "all", "--nonsense"], "--nonsense"),
        (&["run", ""], "layer"),
        (&["quarantine"], "quarantine"),
        (&["quarantine", "show"], "NUMBER"),
        (&["quarantine", "show", "-1"], "-1"),
        (&["status", "everything"], "everything"),
        (&["--profile", "none", "status"], "none"),
    ] {
        let output = lake.run(arguments);
        output.says(2, &[part]);
        assert!(!output.stderr.contains("panicked"), "{arguments:?}: {}", output.stderr);
        assert_eq!(output.stdout, "", "{arguments:?}");
    }
    assert_eq!(lake.number("SELECT 1 AS n"), 1);
}

/// What a command says to bytes on stdin.
fn fed(lake: &Lake, bytes: &[u8]) -> (Option<i32>, String) {
    let mut command = lake.command(&["sql", "--output", "csv"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that refuses may be gone before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(bytes);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_query_on_stdin_must_be_a_text_with_a_query() {
    let lake = lake();
    for (bytes, part) in [(&b"\xff\xfe\x00SELECT"[..], "stdin"), (b"", "there is no query")] {
        let (code, said) = fed(&lake, bytes);
        assert!(code == Some(2) && said.contains(part), "{code:?}: {said}");
    }
    assert_eq!(fed(&lake, b"SELECT 1 AS n"), (Some(0), "n\n1\n".to_owned()));
}

#[test]
fn arguments_and_variables_that_are_no_text_break_nothing() {
    let lake = lake();
    let bytes = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    let run = |mut command: std::process::Command| {
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!stderr.contains("panicked") && !stderr.contains("broke"), "{stderr}");
        (output.status.code(), stderr)
    };
    let mut query = lake.command(&["sql"]);
    query.arg(bytes);
    assert_eq!(run(query).0, Some(2));
    let mut project = crate::support::bare_command();
    project.arg("--project").arg(bytes).arg("status");
    assert_eq!(run(project).0, Some(2));
    for variable in ["LAKE_ROOT", "LAKE_LANDING", "LAKE_PRIVACY_KEY", "LAKE_QUERY_MEMORY"] {
        let mut command = lake.command(&["status"]);
        command.env(variable, bytes);
        let (code, stderr) = run(command);
        assert!(code == Some(2) && stderr.contains(variable), "{variable}: {stderr}");
    }
    let mut unknown = lake.command(&["status"]);
    unknown.env("LAKE_\u{1b}X", bytes).env("OTHER", bytes);
    assert_eq!(run(unknown).0, Some(0));
}

#[test]
fn a_project_that_cannot_be_read_says_what_is_wrong() {
    let lake = lake();
    let project = lake.folder().join("project");
    let at = |folder: &std::path::Path| {
        crate::support::bare(&["--project", &folder.to_string_lossy(), "status"])
    };
    at(&project.join("lake.toml")).says(2, &["is no project"]);
    at(&project.join("nowhere")).says(2, &["is no project"]);
    std::fs::write(project.join("lake.toml"), b"root = \"\xff\"\n").unwrap();
    at(&project).says(2, &["cannot read", "lake.toml"]);
    std::fs::remove_file(project.join("lake.toml")).unwrap();
    std::fs::create_dir(project.join("lake.toml")).unwrap();
    at(&project).says(2, &["is no project"]);
    std::fs::remove_dir(project.join("lake.toml")).unwrap();
    lake.file("lake.toml", "");
    std::fs::write(project.join("sql/gold/pieces.sql"), b"SELECT '\xff'").unwrap();
    lake.run(&["check"]).says(2, &["sql/gold/pieces.sql"]);
    lake.file("sql/gold/pieces.sql", MODEL.1);
    lake.run(&["check"]).says(0, &["no mistakes"]);
}

#[test]
fn a_pipe_that_is_closed_is_no_fault() {
    let lake = lake();
    for output in ["csv", "ndjson", "json", "table", "parquet"] {
        let sql = "SELECT value, value * 2 AS twice FROM generate_series(1, 2000000)";
        let mut command = lake.command(&["sql", sql, "--output", output]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert!(
            ended.status.success() && stderr.is_empty(),
            "{output}: {:?} {stderr}",
            ended.status
        );
    }
}

#[test]
fn no_colours_are_written_where_no_terminal_is() {
    let lake = lake();
    lake.land("orders/c.ndjson", b"broken\n");
    for arguments in [&["run", "all"][..], &["status"], &["sql", "SELEC"], &["-vv", "status"]] {
        let output = lake.run(arguments);
        assert!(!output.stderr.contains('\u{1b}') && !output.stdout.contains('\u{1b}'));
    }
}

#[test]
fn a_place_whose_name_a_library_would_read_otherwise_is_refused_before_anything_is_written() {
    let mut lake = Lake::new();
    let folder = lake.folder().join("places");
    for name in ["a%20b", "a%41b", "%2e%2e", "x\\y"] {
        lake.set("LAKE_ROOT", folder.join(name).to_string_lossy());
        for command in [&["run", "bronze"][..], &["sql", "SELECT 1"], &["status"]] {
            lake.run(command).says(2, &["setting `root`", name, "LAKE_ROOT"]);
        }
    }
    for place in ["s3://bucket/a%20b", "s3://bucket/x/../y", "s3://bucket/x\\y"] {
        lake.set("LAKE_ROOT", place);
        lake.run(&["run", "bronze"]).says(2, &["setting `root`", "in it"]);
    }
    assert!(!folder.exists());
    for name in ["a b", "100%", "a#b?c", "é", "a%zz"] {
        lake.set("LAKE_ROOT", folder.join(name).to_string_lossy());
        lake.ok(&["run", "bronze"]);
        assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.events"), 0, "{name}");
        assert!(folder.join(name).join("bronze/events/_delta_log").is_dir(), "{name}");
    }
}

#[test]
fn a_root_behind_a_link_and_up_again_is_one_place() {
    let mut lake = Lake::new();
    let folder = lake.folder().join("places");
    std::fs::create_dir_all(folder.join("real/deep")).unwrap();
    std::os::unix::fs::symlink("real/deep", folder.join("link")).unwrap();
    lake.set("LAKE_ROOT", folder.join("link/../root").to_string_lossy());
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.events"), 0);
    assert!(folder.join("real/root/bronze/events/_delta_log").is_dir());
    assert!(!folder.join("root").exists());
}

#[test]
fn settings_of_kafka_that_can_never_work_are_mistakes_and_not_waited_for() {
    let contract = "CREATE TABLE bronze.t (id STRING) TBLPROPERTIES ('lake.source' = 'kafka:t')";
    let lake = || {
        let mut lake = Lake::with(&[("lake/bronze/t.sql", contract)]);
        lake.set("LAKE_KAFKA_TIMEOUT", "1s");
        lake.set("LAKE_KAFKA_BROKERS", "localhost:1");
        lake
    };
    lake().run(&["run", "bronze"]).says(75, &["kafka.brokers"]);
    for (variable, value, part) in [
        ("LAKE_KAFKA_BROKERS", "http://localhost:9092", "write localhost:9092"),
        ("LAKE_KAFKA_BROKERS", "localhost:99999", "host:port"),
        ("LAKE_KAFKA_BROKERS", "ssl://localhost:1", "LAKE_KAFKA_SECURITY_PROTOCOL"),
        ("LAKE_KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT", "LAKE_KAFKA_SASL_MECHANISM"),
        ("LAKE_KAFKA_SASL_MECHANISM", "PLAIN", "LAKE_KAFKA_SECURITY_PROTOCOL"),
    ] {
        let mut lake = lake();
        lake.set(variable, value);
        lake.run(&["run", "bronze"]).says(2, &[part]);
        lake.run(&["doctor"]).says(1, &[]);
    }
}
