//! The files of a project as one: names, places, and what they say of each other.

use super::*;

fn files(list: &[(&str, &str)]) -> Files {
    list.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

const CLICKS: &str =
    "CREATE TABLE bronze.clicks (id STRING) TBLPROPERTIES ('lake.source' = 'folder:clicks')";

#[test]
fn models_come_after_their_inputs() {
    let (project, mistakes) = Project::parse(files(&[
        ("lake/bronze/clicks.sql", CLICKS),
        ("sql/gold/a.sql", "/*---\nrefresh = \"view\"\n---*/ SELECT id FROM silver.b"),
        ("sql/silver/b.sql", "/*---\nrefresh = \"view\"\n---*/ SELECT id FROM bronze.clicks"),
    ]));
    assert_eq!(mistakes, []);
    let order: Vec<String> = project.order.iter().map(ToString::to_string).collect();
    assert_eq!(order, ["silver.b", "gold.a"]);
}

#[test]
fn mistakes_between_files_are_found_at_once() {
    let (_, mistakes) = Project::parse(files(&[
        ("lake/bronze/clicks.sql", CLICKS),
        ("lake/gold/orphan.sql", "CREATE TABLE gold.orphan (id STRING)"),
        ("sql/gold/a.sql", "SELECT id FROM bronze.click"),
        ("sql/gold/b.sql", "/*---\nrefresh = \"view\"\n---*/ SELECT id FROM gold.c"),
        ("sql/gold/c.sql", "/*---\nrefresh = \"view\"\n---*/ SELECT id FROM gold.b"),
        ("jobs/x.toml", "schedule = \"0 * * * *\"\nrun = [\"sliver\", \"bronze\"]"),
    ]));
    let text: Vec<String> =
        mistakes.iter().map(|m| format!("{} {:?}", m.message, m.hint)).collect();
    for part in [
        "nothing fills gold.orphan",
        "gold.a has no contract",
        "did you mean `bronze.clicks`?",
        "in a circle",
        "no layer or table sliver",
    ] {
        assert!(text.iter().any(|message| message.contains(part)), "{part}: {text:#?}");
    }
    assert_eq!(mistakes.len(), 5, "{text:#?}");
}

fn shown(list: &[(&str, &str)]) -> Vec<String> {
    let (_, mistakes) = Project::parse(files(list));
    mistakes.iter().map(|m| format!("{}: {} {:?}", m.file, m.message, m.hint)).collect()
}

#[test]
fn a_table_has_a_plain_name_that_is_free() {
    for (path, part) in [
        ("lake/bronze/clicks#b.sql", "no name for a table"),
        ("lake/bronze/Clicks.sql", "no name for a table"),
        ("lake/Bronze/clicks.sql", "no name for a layer"),
        ("lake/public/clicks.sql", "can be called"),
        ("lake/information_schema/tables.sql", "can be called"),
        ("lake/bronze/quarantine.sql", "is the engine's"),
    ] {
        let table = path.trim_start_matches("lake/").trim_end_matches(".sql");
        let (layer, table) = table.split_once('/').unwrap();
        let text = format!(
            "CREATE TABLE \"{layer}\".\"{table}\" (id STRING) TBLPROPERTIES ('lake.source' = 'folder:x')"
        );
        let found = shown(&[(path, &text)]);
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        assert!(found[0].contains(part), "{path}: {found:?}");
        let sql = path.replace("lake/", "sql/");
        let found = shown(&[
            ("lake/bronze/clicks.sql", CLICKS),
            (&sql, "/*---\nrefresh = \"view\"\n---*/ SELECT id FROM bronze.clicks"),
        ]);
        assert!(
            found.iter().any(|shown| shown.starts_with(&sql) && shown.contains(part)),
            "{sql}: {found:?}"
        );
    }
    assert_eq!(shown(&[("lake/bronze/clicks.sql", CLICKS)]), [] as [String; 0]);
}

#[test]
fn files_in_the_wrong_place_are_told() {
    for path in [
        "lake/clicks.sql",
        "lake/bronze/clicks.toml",
        "sql/gold/a.SQL",
        "jobs/a.sql",
        "jobs/eu/a.toml",
    ] {
        let found = shown(&[("lake/bronze/clicks.sql", CLICKS), (path, "")]);
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        assert!(found[0].contains(path), "{found:?}");
    }
}

#[test]
fn a_mark_before_the_first_line_and_windows_line_ends_are_read() {
    let clicks = format!("\u{feff}-- One click.\n{CLICKS}").replace('\n', "\r\n");
    let view =
        "\u{feff}/*---\r\nrefresh = \"view\"\r\n---*/\r\nSELECT id\r\nFROM bronze.clicks\r\n";
    let (project, mistakes) =
        Project::parse(files(&[("lake/bronze/clicks.sql", &clicks), ("sql/gold/a.sql", view)]));
    assert_eq!(mistakes, []);
    assert_eq!(project.contracts[&TableName::new("bronze", "clicks")].about, "One click.");
    assert_eq!(project.models[&TableName::new("gold", "a")].refresh, Refresh::View);
}

#[test]
fn a_view_may_depend_on_the_order_of_rows_until_a_stored_model_reads_it() {
    let view = "/*---\nrefresh = \"view\"\n---*/ SELECT id FROM bronze.clicks LIMIT 3";
    let over = "/*---\nrefresh = \"view\"\n---*/ SELECT id FROM gold.v";
    let base =
        [("lake/bronze/clicks.sql", CLICKS), ("sql/gold/v.sql", view), ("sql/gold/w.sql", over)];
    assert_eq!(shown(&base), [] as [String; 0]);
    let stored = [
        ("lake/gold/s.sql", "CREATE TABLE gold.s (id STRING)"),
        ("sql/gold/s.sql", "SELECT id FROM Gold.W"),
    ];
    let found = shown(&[&base[..], &stored[..]].concat());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("gold/v.sql") && found[0].contains("gold.s reads"), "{found:?}");
}

#[test]
fn a_model_reads_tables_of_the_project_and_not_itself() {
    let base = ("lake/bronze/clicks.sql", CLICKS);
    let view = |sql: &str| format!("/*---\nrefresh = \"view\"\n---*/ {sql}");
    for (sql, part) in [
        ("SELECT id FROM gold.a", "in a circle: gold.a reads gold.a"),
        (
            "SELECT 1 AS id FROM information_schema.tables",
            "there is no table information_schema.tables",
        ),
        ("SELECT id FROM bronze.\"Clicks\"", "did you mean `bronze.clicks`?"),
    ] {
        let found = shown(&[base, ("sql/gold/a.sql", &view(sql))]);
        assert_eq!(found.len(), 1, "{sql}: {found:?}");
        assert!(found[0].contains(part), "{sql}: {found:?}");
    }
}

/// A number below `n`, from a generator that gives the same at every run.
fn below(state: &mut u64, n: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state % n as u64).unwrap()
}

#[test]
fn no_text_breaks_the_reader_and_each_place_is_in_its_file() {
    const PIECES: &[&str] = &[
        "NOT NULL",
        "PRIMARY KEY",
        "UNIQUE (",
        "CHECK (n > 0)",
        ")",
        ",",
        "'",
        "\"",
        "é",
        "\0",
        "\u{1f600}",
        "\u{feff}",
        "\r\n",
        "--",
        "/*",
        "*/",
        "/*---",
        "---*/",
        "TBLPROPERTIES (",
        "DEFAULT",
        "-1",
        "COMMENT 'x'",
        "CONSTRAINT",
        "STRUCT<",
        "LIMIT 3",
        "now()",
        "this",
        "a.b.c",
        "STORED AS",
        "NOT ENFORCED",
        "REFERENCES t",
        "PARTITIONED BY (",
        "[check]",
        "=",
        "`",
        ";",
    ];
    let contract = "CREATE TABLE gold.a (id STRING PRIMARY KEY, n BIGINT NOT NULL CHECK (n > 0) COMMENT 'pièces', s STRUCT<a INT>, UNIQUE (n, \"id\")) PARTITIONED BY (id) TBLPROPERTIES ('lake.source' = 'folder:x, kafka:é', 'lake.else.n_check' = 'warn at most 1%', 'lake.comment.s.a' = 'x')";
    let model = "/*---\nabout = \"é\"\n[check]\na = \"(SELECT count(*) FROM this) > 0\"\n---*/\nWITH c AS (SELECT id FROM bronze.clicks LIMIT 3) SELECT id, array_agg(id) FROM c JOIN \"é\".ü USING (id)";
    let mut state = 88_172_645_463_325_252;
    for _ in 0..2_000 {
        let (path, seed) =
            [("lake/gold/a.sql", contract), ("sql/gold/a.sql", model)][below(&mut state, 2)];
        let mut text: Vec<char> = seed.chars().collect();
        for _ in 0..=below(&mut state, 4) {
            let at = below(&mut state, text.len());
            let end = (at + below(&mut state, 20)).min(text.len());
            let piece = PIECES[below(&mut state, PIECES.len())];
            text.splice(at..if below(&mut state, 2) == 0 { at } else { end }, piece.chars());
        }
        let text: String = text.into_iter().collect();
        let (project, mistakes) = Project::parse(files(&[(path, &text)]));
        for mistake in mistakes {
            let span = mistake.span.clone().unwrap_or_default();
            assert!(project.files[path].get(span).is_some(), "{mistake:?} in\n{text}");
            assert!(mistake.render(&project.files).contains(path));
        }
    }
}
