//! The commands beside `run`: what they print, and in which format.

use serde_json::{Value, json};

use crate::support::Lake;

const VALUES: &str = "SELECT 9223372036854775807 AS big, CAST(NULL AS BIGINT) AS none, arrow_cast('2026-03-01T12:00:00.25Z', 'Timestamp(Microsecond, Some(\"UTC\"))') AS moment, 'a,\"b' AS text, true AS yes, DATE '2026-03-01' AS day";

#[test]
fn csv_and_ndjson_have_whole_integers_nulls_and_times_in_utc() {
    let lake = Lake::new();
    let output = lake.ok(&["sql", VALUES, "--output", "csv"]);
    let expected = "big,none,moment,text,yes,day\n9223372036854775807,,2026-03-01T12:00:00.250000Z,\"a,\"\"b\",true,2026-03-01\n";
    assert_eq!(output.stdout, expected);
    let output = lake.ok(&["sql", VALUES, "--output", "ndjson"]);
    assert!(
        output.stdout.contains("\"big\":9223372036854775807,\"none\":null"),
        "{}",
        output.stdout
    );
    assert!(output.stdout.contains("\"2026-03-01T12:00:00.250000Z\""), "{}", output.stdout);
    assert_eq!(output.stdout.lines().count(), 1);
    assert_eq!(output.stderr, "");
}

#[test]
fn what_a_query_may_not_say_is_named() {
    let lake = Lake::new();
    for (sql, parts) in [
        ("SELECT CAST('2024' AS DATE FORMAT 'YYYY')", ["CAST with format", "not supported"]),
        ("SELECT 1 AS x ORDER BY x WITH FILL", ["WITH FILL", "not supported"]),
        ("DROP TABLE t", ["only reads", "would change something"]),
        ("CREATE TABLE t AS SELECT 1", ["only reads", "would change something"]),
        ("SET x = 1", ["only reads", "would change something"]),
    ] {
        lake.run(&["sql", sql]).says(2, &parts);
    }
}

#[test]
fn bytes_that_are_no_text_end_a_cast_with_its_place_and_a_way_out() {
    let contract = "-- One row per record.\nCREATE TABLE bronze.t (id STRING NOT NULL)\nTBLPROPERTIES ('lake.source' = 'folder:t')";
    let lake = Lake::with(&[("lake/bronze/t.sql", contract)]);
    lake.land("t/a.ndjson", b"{\"id\":5}\n");
    lake.ok(&["run", "all"]);
    let sql = "SELECT CAST(raw AS STRING) AS raw FROM bronze.quarantine";
    assert_eq!(lake.rows(sql), [json!({"raw": "{\"id\":5}"})]);
    lake.land("t/b.ndjson", b"{\"id\":\"\xe9\"}\n");
    lake.ok(&["run", "all"]);
    let output = lake.run(&["sql", sql]);
    output.says(1, &["`CAST(", "raw AS STRING)`", "no UTF-8", "TRY_CAST"]);
    let tried = sql.replace("CAST", "TRY_CAST") + " ORDER BY 1";
    assert_eq!(lake.rows(&tried), [json!({"raw": "{\"id\":5}"}), json!({"raw": null})]);
}

#[test]
fn json_is_one_list_also_of_no_rows() {
    let lake = Lake::new();
    let output = lake.ok(&["sql", "SELECT value FROM generate_series(1, 3)", "--output", "json"]);
    let rows: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(rows, json!([{"value": 1}, {"value": 2}, {"value": 3}]));
    let output = lake.ok(&["sql", "SELECT 1 AS one WHERE false", "--output", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&output.stdout).unwrap(), json!([]));
    let output = lake.ok(&["sql", "SELECT 1 AS one WHERE false", "--output", "csv"]);
    assert_eq!(output.stdout, "one\n");
    let output = lake.ok(&["sql", "SELECT 1 AS one WHERE false", "--output", "ndjson"]);
    assert_eq!(output.stdout, "");
}

#[test]
fn parquet_is_a_file_that_can_be_read_back() {
    use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let lake = Lake::new();
    let path = lake.folder().join("out.parquet");
    let mut command = lake.command(&["sql", VALUES, "--output", "parquet"]);
    command.stdout(std::fs::File::create(&path).unwrap());
    assert!(command.status().unwrap().success());
    let file = std::fs::File::open(&path).unwrap();
    let rows = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let n_rows: usize = rows.map(|rows| rows.unwrap().num_rows()).sum();
    assert_eq!(n_rows, 1);
}

#[test]
fn several_statements_come_from_stdin() {
    use std::io::Write;
    use std::process::Stdio;
    let lake = Lake::new();
    let mut command = lake.command(&["sql", "--output", "csv"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"SELECT ';' AS a; SELECT 2 AS b;\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a\n;\nb\n2\n");
}

#[test]
fn a_table_can_be_read_as_it_was() {
    let lake = Lake::new();
    let examples = include_str!("fixtures/domain/contract_examples.jsonl");
    lake.land("events/a.jsonl", examples.as_bytes());
    lake.ok(&["run", "bronze"]);
    lake.land("events/b.jsonl", examples.as_bytes());
    lake.ok(&["run", "bronze"]);
    let count = |version: u64| {
        let pin = format!("bronze.events={version}");
        let sql = "SELECT count(*) AS n FROM bronze.events";
        lake.ok(&["sql", "--version", &pin, sql, "--output", "csv"]).stdout
    };
    let n = examples.lines().count();
    assert_eq!([count(0), count(1), count(2)], [0, n, 2 * n].map(|n| format!("n\n{n}\n")));
    let sql = "SELECT 1 AS one";
    lake.run(&["sql", "--version", "bronze.events=99", sql]).says(2, &["bronze.events", "99"]);
    lake.run(&["sql", "--version", "bronze.nothing=1", sql]).says(2, &["bronze.nothing"]);
    lake.run(&["sql", "--version", "events", sql]).says(2, &["TABLE=VERSION"]);
}

#[test]
fn a_table_is_named_on_the_command_line_as_in_sql() {
    let lake = Lake::new();
    lake.land("events/a.jsonl", include_bytes!("fixtures/domain/contract_examples.jsonl"));
    lake.ok(&["run", "bronze"]);
    for name in ["BRONZE.Events", "lake.bronze.events", "\"bronze\".\"events\"", "bronze.events"] {
        lake.ok(&["run", "bronze", "--select", name]);
        let count =
            ["sql", "--version", &format!("{name}=0"), "SELECT count(*) FROM bronze.events"];
        assert!(lake.ok(&count).stdout.contains('0'));
        lake.ok(&["quarantine", "replay", "--table", name]);
    }
    for name in ["bronze.\"Events\"", "other.bronze.events", "bronze.events x", "events"] {
        lake.run(&["run", "bronze", "--select", name]).says(2, &["there is no table"]);
    }
}

#[test]
fn quarantine_lists_and_shows_records() {
    let lake = Lake::new();
    lake.run(&["quarantine", "list"]).says(0, &["quarantine is empty"]);
    lake.land("events/a.ndjson", b"not json\n{\"event_id\":\"half\n");
    lake.ok(&["run", "bronze"]);
    let output = lake.ok(&["quarantine", "list"]);
    for part in ["bronze.events", "not_json", "folder:events/a.ndjson", "| 1 ", "| 2 "] {
        assert!(output.stdout.contains(part), "{part} is missing in\n{}", output.stdout);
    }
    let output = lake.ok(&["quarantine", "list", "--output", "ndjson", "--limit", "1"]);
    let row: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&row["n"], &row["position"]), (&json!(1), &json!(0)));
    let output = lake.ok(&["quarantine", "show", "2"]);
    assert!(output.stdout.contains("{\"event_id\":\"half"), "{}", output.stdout);
    let output = lake.run(&["quarantine", "show", "7"]);
    output.says(2, &["no record 7", "`lake quarantine list`"]);
}

#[test]
fn config_names_every_setting_and_where_it_comes_from_and_no_secret() {
    let lake = Lake::new();
    let output = lake.ok(&["config", "--output", "ndjson"]);
    let rows: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let setting = |name: &str| rows.iter().find(|row| row["setting"] == name).unwrap();
    assert_eq!(setting("root")["origin"], "LAKE_ROOT");
    assert_eq!(setting("reporting_tz")["value"], "UTC");
    assert_eq!(setting("query.memory")["origin"], "default");
    assert_eq!(setting("privacy.key")["value"], "(set)");
    let table = lake.ok(&["config"]).stdout;
    assert!(table.contains("LAKE_LANDING") && !table.contains("5a5a"), "{table}");
}

#[test]
fn doctor_finds_what_is_wrong() {
    let mut lake = Lake::new();
    let output = lake.ok(&["doctor"]);
    assert!(output.stdout.lines().all(|line| line.starts_with("ok ")), "{}", output.stdout);
    lake.set("LAKE_PRIVACY_KEY", "");
    let output = lake.run(&["doctor"]);
    output.says(1, &["1 thing needs mending"]);
    let found = output.stdout.lines().find(|line| line.starts_with("FAIL")).unwrap();
    assert!(found.contains("privacy.key"), "{found}");
    assert!(output.stdout.contains("LAKE_PRIVACY_KEY"), "{}", output.stdout);
}

#[test]
fn a_variable_that_is_nearly_a_setting_is_told_once() {
    let mut lake = Lake::new();
    lake.set("LAKE_LANDNG", "/hunter2");
    lake.set("LAKE_NO_SKIP", "1");
    let output = lake.ok(&["run", "bronze"]);
    assert_eq!(output.stderr.matches("did you mean LAKE_LANDING?").count(), 1, "{}", output.stderr);
    assert!(!output.stderr.contains("hunter2") && !output.stderr.contains("NO_SKIP"));
    let output = lake.ok(&["sql", "SELECT 1 AS one", "--output", "csv"]);
    assert_eq!(output.stdout, "one\n1\n");
    assert_eq!(lake.ok(&["sql", "SELECT 1", "-q"]).stderr, "");
}

#[test]
fn a_setting_of_another_type_is_a_mistake_and_a_home_folder_is_one() {
    let lake = Lake::with(&[(
        "lake/bronze/t.sql",
        "CREATE TABLE bronze.t (id STRING) TBLPROPERTIES ('lake.source' = 'folder:t')",
    )]);
    let config = |toml: &str| {
        lake.file("lake.toml", toml);
        let mut command = lake.command(&["config", "--output", "csv"]);
        let output = command.env_remove("LAKE_ROOT").output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    for toml in ["root = 5", "root = true", "root = [\"x\"]", "profile = \"x\"\n"] {
        let (code, _, stderr) = config(toml);
        assert!(code == Some(2) && stderr.contains("lake.toml:1:1"), "{toml}: {stderr}");
    }
    let (_, stdout, _) = config("root = \"~/lake\"");
    let home = lake.folder().join("lake");
    assert!(stdout.contains(&format!("root,{},", home.display())), "{stdout}");
    let (code, _, stderr) = config("root = \"$HOME/lake\"");
    assert!(code == Some(2) && stderr.contains("LAKE_ROOT"), "{stderr}");
    let (code, stdout, _) = config("root = \"data/x\"\n[query]\nmemory = 1073741824");
    assert!(code == Some(0) && stdout.contains("root,data/x,lake.toml"), "{stdout}");
}

#[test]
fn a_new_project_is_named_as_a_shell_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("my shop's");
    let output = crate::support::bare(&["init", &project.to_string_lossy()]);
    output.says(0, &["run all", "my shop"]);
    let line = output.stderr.lines().find(|line| line.ends_with(" check")).unwrap();
    let command = line.trim().replacen("lake", env!("CARGO_BIN_EXE_lake"), 1);
    let ran = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
    assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn what_failed_halfway_can_be_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("half");
    std::fs::create_dir(&project).unwrap();
    std::fs::write(project.join("sql"), "in the way").unwrap();
    let init = || crate::support::bare(&["init", &project.to_string_lossy()]);
    assert_ne!(init().code, Some(0));
    std::fs::remove_file(project.join("sql")).unwrap();
    init().says(0, &["run all"]);
    init().says(2, &["is a project already"]);
    let lake = Lake::of(&project);
    lake.run(&["check"]).says(0, &["no mistakes"]);
}

#[test]
fn a_table_in_the_place_of_a_layer_is_told_how_to_run_it() {
    let lake = Lake::new();
    let hint = "`lake run bronze --select bronze.events` runs it alone";
    lake.run(&["run", "bronze.events"]).says(2, &[hint]);
    lake.run(&["run", "bronz"]).says(2, &["did you mean `bronze`?"]);
}

#[test]
fn completions_and_help_are_printed() {
    let bash = crate::support::bare(&["completions", "bash"]);
    assert_eq!(bash.code, Some(0));
    assert!(
        bash.stdout.contains("_lake()") && bash.stdout.contains("quarantine"),
        "{}",
        bash.stdout
    );
    let help = crate::support::bare(&["--help"]);
    assert_eq!(help.code, Some(0));
    let commands =
        ["demo", "init", "simulate", "run", "sql", "status", "check", "quarantine", "doctor"];
    for command in commands {
        assert!(help.stdout.contains(&format!("\n  {command} ")), "{command}:\n{}", help.stdout);
    }
    assert!(help.stdout.contains("Exit codes"), "{}", help.stdout);
    crate::support::bare(&["quarantin"]).says(2, &["quarantine"]);
}

#[test]
fn quiet_says_nothing_but_errors() {
    let lake = Lake::new();
    lake.land("events/a.ndjson", b"not json\n");
    assert_eq!(lake.ok(&["run", "bronze", "-q"]).stderr, "");
    lake.run(&["run", "gld", "-q"]).says(2, &["gld"]);
}

#[test]
fn the_same_seed_makes_the_same_bytes() {
    let mut made = Vec::new();
    for seed in ["1", "1", "2"] {
        let lake = Lake::new();
        let folder = lake.folder().join("landing");
        let to = format!("folder:{}", folder.display());
        crate::support::bare(&["simulate", "--events", "3000", "--seed", seed, "--to", &to])
            .says(0, &[]);
        let files = crate::support::below(&folder);
        made.push(files.iter().map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>());
    }
    assert_eq!(made[0], made[1]);
    assert_ne!(made[0], made[2]);
}

#[test]
fn an_outer_join_keeps_the_rows_that_have_no_partner() {
    let lake = Lake::new();
    let events = include_str!("fixtures/domain/events.jsonl");
    let some: String = events.split_inclusive('\n').take(200).collect();
    lake.land("events/a.ndjson", [events, &some].concat().as_bytes());
    lake.ok(&["run", "bronze"]);
    let repeated = "SELECT event_id FROM bronze.events GROUP BY event_id HAVING count(*) > 1";
    let outer = format!(
        "SELECT count(*) AS n FROM ({repeated}) AS r RIGHT JOIN bronze.events AS e ON e.event_id = r.event_id WHERE r.event_id IS NULL"
    );
    let without =
        format!("SELECT count(*) AS n FROM bronze.events WHERE event_id NOT IN ({repeated})");
    assert_eq!(lake.number(&outer), lake.number(&without));
    assert!(lake.number(&outer) > 0);
}
