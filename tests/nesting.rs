//! Text that nests thousands deep, or goes on for ever, is a mistake with its place, wherever SQL or
//! TOML is read: it ends no process, and keeps nobody waiting.

use std::time::{Duration, Instant};

use crate::support::Lake;

const SOURCE: &str = "TBLPROPERTIES ('lake.source' = 'folder:t')";
/// Far more than any of them takes, on a busy machine.
const SOON: Duration = Duration::from_secs(30);

fn nested(open: &str, inside: &str, close: &str, n: usize) -> String {
    format!("{}{inside}{}", open.repeat(n), close.repeat(n))
}

fn lake() -> Lake {
    let contract = format!("CREATE TABLE bronze.t (n BIGINT) {SOURCE}");
    Lake::with(&[("lake/bronze/t.sql", contract.as_str())])
}

/// `lake check` with this file refuses it, and shows where.
#[track_caller]
fn is_a_mistake(lake: &Lake, path: &str, text: &str) {
    lake.file(path, text);
    let started = Instant::now();
    lake.run(&["check"]).says(2, &[&format!("{path}:")]);
    let shown: String = text.chars().take(60).collect();
    assert!(started.elapsed() < SOON, "{path} took {:?}: {shown}", started.elapsed());
}

#[test]
fn a_contract_whose_types_nest_without_end_is_a_mistake() {
    let lake = lake();
    for data_type in [
        nested("STRUCT<a ", "INT", ">", 5000),
        nested("STRUCT<", "", "", 5000),
        nested("ARRAY<", "INT", ">", 5000),
        nested("MAP(INT, ", "INT", ")", 5000),
        format!("INT{}", "[]".repeat(5000)),
        nested("STRUCT<a ", "INT", ">", 200_000),
    ] {
        let contract = format!("CREATE TABLE bronze.t (a {data_type}) {SOURCE}");
        is_a_mistake(&lake, "lake/bronze/t.sql", &contract);
    }
    // As deep as anybody writes it, it is one.
    let contract =
        format!("CREATE TABLE bronze.t (a {}) {SOURCE}", nested("STRUCT<a ", "BIGINT", ">", 20));
    lake.file("lake/bronze/t.sql", &contract);
    lake.ok(&["check"]);
}

#[test]
fn a_check_that_nests_without_end_is_a_mistake() {
    let lake = lake();
    for check in [
        nested("(", "n > 0", ")", 5000),
        nested("NOT ", "n > 0", "", 5000),
        nested("ceil(", "n", ")", 55) + " > 0",
        nested("CASE WHEN n > 0 THEN ", "true", " END", 300),
        vec!["n > 0"; 10_000].join(" AND "),
    ] {
        let contract =
            format!("CREATE TABLE bronze.t (n BIGINT, CONSTRAINT deep CHECK ({check})) {SOURCE}");
        is_a_mistake(&lake, "lake/bronze/t.sql", &contract);
    }
}

#[test]
fn a_model_that_nests_or_doubles_without_end_is_a_mistake() {
    let lake = lake();
    lake.file("lake/gold/g.sql", "CREATE TABLE gold.g (n BIGINT)");
    let doubled: Vec<String> = (1..40)
        .map(|i| format!("c{i} AS (SELECT x.n FROM c{} x JOIN c{} y ON x.n = y.n)", i - 1, i - 1))
        .collect();
    for query in [
        nested("SELECT n FROM (", "SELECT n FROM bronze.t", ")", 3000),
        format!("SELECT {} AS n", nested("(SELECT ", "1", ")", 15)),
        format!("SELECT 1 AS n WHERE {}", nested("EXISTS (SELECT 1 WHERE ", "true", ")", 15)),
        nested("WITH a AS (", "SELECT 1 AS n", ") SELECT n FROM a", 20),
        vec!["SELECT n FROM bronze.t"; 5000].join(" UNION ALL "),
        vec!["SELECT n FROM bronze.t"; 5000].join(" EXCEPT "),
        format!("WITH c0 AS (SELECT n FROM bronze.t), {} SELECT n FROM c39", doubled.join(", ")),
        format!("SELECT count(*) AS n FROM {}", vec!["bronze.t"; 300].join(" CROSS JOIN ")),
        "SELECT (1 + ".to_owned(),
    ] {
        is_a_mistake(&lake, "sql/gold/g.sql", &query);
    }
    for header in [
        format!("about = {}", nested("[", "", "]", 5000)),
        format!("[check]\nc = \"{}\"", nested("(", "(SELECT count(*) FROM this) > 0", ")", 5000)),
    ] {
        let model = format!("/*---\n{header}\n---*/\nSELECT n FROM bronze.t");
        is_a_mistake(&lake, "sql/gold/g.sql", &model);
    }
    lake.file("sql/gold/g.sql", "SELECT n FROM bronze.t");
    is_a_mistake(&lake, "jobs/j.toml", &format!("run = {}", nested("[", "", "]", 5000)));
}

#[test]
fn a_query_that_nests_without_end_is_told_where() {
    let lake = lake();
    lake.land("t/a.ndjson", b"{\"n\":2}\n");
    lake.ok(&["run", "bronze"]);
    for query in [
        format!("SELECT {}", nested("(", "1", ")", 3000)),
        format!("SELECT {}", nested("- ", "1", "", 3000)),
        format!("SELECT {}", nested("TRY_CAST(", "1", " AS INT)", 300)),
        format!("SELECT {}", nested("substring(", "'a'", " FROM 1)", 48)),
        format!("SELECT CAST(NULL AS {})", nested("ARRAY<", "INT", ">", 3000)),
        format!("SELECT 1 WHERE {}", vec!["1 = 1"; 10_000].join(" OR ")),
        vec!["SELECT 1"; 5000].join(" UNION ALL "),
    ] {
        let started = Instant::now();
        lake.run(&["sql", &query]).says(2, &["query:1:"]);
        assert!(started.elapsed() < SOON, "{:?}: {}", started.elapsed(), &query[..60]);
    }
    for (query, value) in [
        (format!("SELECT {} AS n FROM bronze.t", nested("(", "n", ")", 30)), 2),
        (
            format!(
                "SELECT {} AS n FROM bronze.t",
                nested("CASE WHEN n > 1 THEN ", "n", " END", 20)
            ),
            2,
        ),
        (format!("SELECT {} AS n", nested("(SELECT ", "1", ")", 8)), 1),
        (format!("SELECT count(*) AS n FROM ({})", vec!["SELECT 1"; 200].join(" UNION ALL ")), 200),
        (
            format!(
                "SELECT count(*) AS n FROM bronze.t WHERE {}",
                vec!["n = 2"; 500].join(" AND ")
            ),
            1,
        ),
    ] {
        assert_eq!(lake.number(&query), value, "{}", &query[..60]);
    }
}
