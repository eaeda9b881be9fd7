//! Subqueries that read the rows around them, and names and constants that the planner does not take:
//! each with the value that `DuckDB` and Postgres give, and with what must go on working beside it.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::datasource::MemTable;
use engine::contract::{self, TableName};
use engine::mistake::Mistake;
use engine::query::{Limits, Query, explain};
use serde_json::{Value, json};

use crate::support::{Lake, batch, block_on, nullable, rows_of};

/// `bronze.t` with four rows: k is 1, 1, 2, NULL and n 1, 2, NULL, 4.
fn query() -> Query {
    let query = Query::new(&Limits::planning(chrono_tz::UTC)).unwrap();
    query.set("datafusion.execution.target_partitions", "4").unwrap();
    let name = TableName::new("bronze", "t");
    let text = format!(
        "CREATE TABLE {name} (id STRING, k BIGINT, n BIGINT, ts TIMESTAMP) \
         TBLPROPERTIES ('lake.source' = 'folder:x')"
    );
    let schema = nullable(&contract::parse(&name, "t.sql", &text).unwrap());
    let columns: Vec<usize> = (0..schema.fields().len())
        .filter(|at| !schema.field(*at).name().starts_with('_'))
        .collect();
    let schema = Arc::new(schema.project(&columns).unwrap());
    let rows: Vec<Value> = vec![
        json!({"id": "a", "k": 1, "n": 1, "ts": "2026-01-01T10:00:00Z"}),
        json!({"id": "b", "k": 1, "n": 2, "ts": "2026-01-02T10:00:00Z"}),
        json!({"id": "c", "k": 2}),
        json!({"id": "d", "n": 4}),
    ];
    let batches: Vec<RecordBatch> = rows.chunks(2).map(|rows| batch(&schema, rows)).collect();
    let provider = MemTable::try_new(schema, vec![batches]).unwrap();
    query.register(&name, Arc::new(provider)).unwrap();
    query
}

/// The rows of a query, sorted, cells with commas between them; NULL is empty.
#[track_caller]
fn rows(sql: &str) -> Vec<String> {
    let mut rows = rows_of(&query(), sql);
    rows.sort();
    rows
}

/// The mistake that a query is before it runs.
#[track_caller]
fn refused(sql: &str) -> Mistake {
    let query = query();
    let planned = block_on(async { query.plan(sql).await.map(drop) });
    explain("query", sql, &planned.expect_err(sql))
}

#[test]
fn a_single_value_may_depend_on_the_row_around_it_by_any_condition() {
    for (value, expected) in [
        ("SELECT count(*) FROM bronze.t b WHERE b.n <= a.n", ["a,1", "b,2", "c,0", "d,3"]),
        ("SELECT sum(b.n) FROM bronze.t b WHERE b.n < a.n", ["a,", "b,1", "c,", "d,3"]),
        ("SELECT max(b.n) FROM bronze.t b WHERE b.k <= a.k", ["a,2", "b,2", "c,2", "d,"]),
        (
            "SELECT count(*) + 1 FROM bronze.t b WHERE b.k = a.k AND b.id <> a.id",
            ["a,2", "b,2", "c,1", "d,1"],
        ),
        (
            "SELECT min(b.id) FROM bronze.t b WHERE b.k IS NOT DISTINCT FROM a.k",
            ["a,a", "b,a", "c,c", "d,d"],
        ),
        (
            "SELECT count(*) FROM (SELECT n AS m FROM bronze.t) b WHERE b.m > a.n OR b.m IS NULL",
            ["a,3", "b,2", "c,1", "d,1"],
        ),
        ("SELECT max(a.n + b.n) FROM bronze.t b WHERE b.k = a.k", ["a,3", "b,4", "c,", "d,"]),
        ("SELECT a.n + 1", ["a,2", "b,3", "c,", "d,5"]),
        ("SELECT a.id WHERE a.n > 1", ["a,", "b,b", "c,", "d,d"]),
        // An equality is a join as before.
        ("SELECT count(*) FROM bronze.t b WHERE b.k = a.k", ["a,2", "b,2", "c,1", "d,0"]),
    ] {
        assert_eq!(
            rows(&format!("SELECT id, ({value}) AS v FROM bronze.t a")),
            expected,
            "{value}"
        );
    }
    let below = "(SELECT max(n) FROM bronze.t b WHERE b.k <= a.k)";
    assert_eq!(rows(&format!("SELECT id FROM bronze.t a WHERE n < {below}")), ["a"]);
    assert_eq!(rows(&format!("SELECT id FROM bronze.t a WHERE {below} IS NULL")), ["d"]);
    let none = "(SELECT count(*) FROM bronze.t b WHERE b.k = a.k AND b.id <> a.id)";
    assert_eq!(rows(&format!("SELECT id FROM bronze.t a WHERE 0 = {none}")), ["c", "d"]);
}

#[test]
fn any_all_and_exists_have_their_three_answers_in_a_list_of_columns() {
    for (value, expected) in [
        ("n > ALL (SELECT 1)", ["a,false", "b,true", "c,", "d,true"]),
        ("n = ANY (SELECT 2)", ["a,false", "b,true", "c,", "d,false"]),
        ("n <> ALL (SELECT n FROM bronze.t)", ["a,false", "b,false", "c,", "d,false"]),
        (
            "n >= ALL (SELECT b.n FROM bronze.t b WHERE b.k = a.k)",
            ["a,false", "b,true", "c,", "d,true"],
        ),
        (
            "EXISTS (SELECT 1 FROM bronze.t b WHERE b.n < a.n)",
            ["a,false", "b,true", "c,false", "d,true"],
        ),
    ] {
        assert_eq!(rows(&format!("SELECT id, {value} AS v FROM bronze.t a")), expected, "{value}");
    }
}

#[test]
fn a_tuple_is_looked_for_in_a_subquery() {
    let pairs = "SELECT k, n FROM bronze.t";
    let ids = |condition: &str| rows(&format!("SELECT id FROM bronze.t a WHERE {condition}"));
    assert_eq!(ids(&format!("(k, n) IN ({pairs})")), ["a", "b"]);
    assert_eq!(ids(&format!("(k, n) = ANY ({pairs}) AND id <> 'a'")), ["b"]);
    // (2, NULL) and (NULL, 4) may be in the set, or not.
    assert_eq!(ids(&format!("(k, n) NOT IN ({pairs} WHERE n = 1)")), ["b", "c", "d"]);
    assert_eq!(ids(&format!("(k, n) NOT IN ({pairs} WHERE k = 2)")), ["a", "b"]);
    assert_eq!(ids(&format!("NOT ((k, n) IN ({pairs} WHERE n = 7))")), ["a", "b", "c", "d"]);
    assert_eq!(ids(&format!("(k, n) IN ({pairs}) OR id = 'd'")), ["a", "b", "d"]);
    assert_eq!(ids("(k, n) IN (SELECT k, n FROM bronze.t b WHERE b.id < a.id)"), [""; 0]);
    let value =
        format!("SELECT id, (k, n) IN ({pairs} WHERE n = 1 OR n IS NULL) AS v FROM bronze.t");
    assert_eq!(rows(&value), ["a,true", "b,false", "c,", "d,"]);
    assert_eq!(ids("(k, n) IN ((1, 1), (2, 2))"), ["a"]);
    let mistake = refused("SELECT id FROM bronze.t WHERE (k, n) IN (SELECT k FROM bronze.t)");
    assert!(mistake.message.contains("2 values"), "{mistake:?}");
}

#[test]
fn a_lateral_join_computes_on_the_row_before_it() {
    for (join, expected) in [
        (
            "LEFT JOIN LATERAL (SELECT a.n * 10 AS y WHERE a.n > 1) l ON TRUE",
            vec!["a,", "b,20", "c,", "d,40"],
        ),
        ("CROSS JOIN LATERAL (SELECT a.n * 10 AS y WHERE a.n > 1) l", vec!["b,20", "d,40"]),
        (
            "CROSS JOIN LATERAL (SELECT b.n + a.k AS y FROM bronze.t b WHERE b.k = a.k AND b.n > 1) l",
            vec!["a,3", "b,3"],
        ),
        (
            "LEFT JOIN LATERAL (SELECT b.n + a.k AS y FROM bronze.t b WHERE b.k = a.k) l ON l.y > 2",
            vec!["a,3", "b,3", "c,", "d,"],
        ),
        (
            "CROSS JOIN LATERAL (SELECT count(*) AS y FROM bronze.t b WHERE b.n < a.n) l",
            vec!["a,0", "b,1", "c,0", "d,2"],
        ),
        (
            "JOIN LATERAL (SELECT max(n) AS y FROM bronze.t b WHERE b.k < a.k) l ON l.y IS NOT NULL",
            vec!["c,2"],
        ),
        (
            "JOIN LATERAL (SELECT DISTINCT b.k + a.k AS y FROM bronze.t b WHERE b.k <= a.k) l ON TRUE",
            vec!["a,2", "b,2", "c,3", "c,4"],
        ),
        // As before.
        (
            "CROSS JOIN LATERAL (SELECT max(n) AS y FROM bronze.t b WHERE b.k = a.k) l",
            vec!["a,2", "b,2", "c,", "d,"],
        ),
    ] {
        assert_eq!(rows(&format!("SELECT a.id, l.y FROM bronze.t a {join}")), expected, "{join}");
    }
}

#[test]
fn a_subquery_that_cannot_become_a_join_is_refused_before_it_runs() {
    for sql in [
        "SELECT (SELECT b.n FROM bronze.t b WHERE b.k < a.k) AS v FROM bronze.t a",
        "SELECT id FROM bronze.t a ORDER BY (SELECT count(*) FROM bronze.t b WHERE b.id < a.id)",
        "SELECT (SELECT count(*) FROM bronze.t b WHERE b.n < a.x) AS v FROM (SELECT random() AS x) a",
    ] {
        let mistake = refused(sql);
        assert!(mistake.message.contains("cannot be turned into a join"), "{mistake:?}");
        assert!(mistake.hint.is_some_and(|hint| hint.contains("LEFT JOIN")), "{sql}");
        assert!(mistake.span.is_some(), "{sql}");
    }
}

#[test]
fn expressions_of_one_name_stand_beside_each_other() {
    let first = |sql: &str| rows(sql)[0].clone();
    assert_eq!(first("SELECT n, CAST(n AS DOUBLE) FROM bronze.t WHERE id = 'b'"), "2,2.0");
    assert_eq!(first("SELECT n, n, n FROM bronze.t WHERE id = 'b'"), "2,2,2");
    assert_eq!(first("SELECT 1, 1"), "1,1");
    assert_eq!(first("SELECT count(*), COUNT(*), count(1) FROM bronze.t"), "4,4,4");
    assert_eq!(
        first("SELECT sum(n)::DOUBLE / count(*), sum(n) / count(*) FROM bronze.t"),
        "1.75,1"
    );
    assert_eq!(first("SELECT sum(CAST(n AS DOUBLE)) AS a, sum(n) AS b FROM bronze.t"), "7.0,7");
    assert_eq!(
        first("SELECT id, k, n, ts, n FROM (SELECT * FROM bronze.t) t WHERE n = 4"),
        "d,,4,,4"
    );
    assert_eq!(first("SELECT *, n FROM (SELECT id, n FROM bronze.t) t WHERE n = 4"), "d,4,4");
    assert_eq!(
        first("SELECT (SELECT count(*) FROM bronze.t), count(*) FROM bronze.t WHERE k = 1"),
        "4,2"
    );
    assert_eq!(rows("SELECT CAST(n AS STRING) FROM bronze.t WHERE n > 1 ORDER BY n"), ["2", "4"]);
    let keys = "CAST(ts AS DATE), CAST(ts AS STRING)";
    let grouped = format!(
        "SELECT {keys}, count(*) FROM bronze.t GROUP BY {keys} HAVING CAST(ts AS DATE) > DATE '2026-01-01'"
    );
    assert_eq!(rows(&grouped), ["2026-01-02,2026-01-02T10:00:00Z,1"]);
    let zones = "ts AT TIME ZONE 'Europe/Paris', ts AT TIME ZONE 'Asia/Tokyo'";
    assert_eq!(
        rows(&format!("SELECT count(*) AS n FROM bronze.t GROUP BY {zones}")),
        ["1", "1", "2"]
    );
    // Names are unique, and those that there were stay.
    let names = |sql: &str| {
        let query = query();
        let frame = block_on(async { query.plan(sql).await }).unwrap();
        frame.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
    };
    assert_eq!(names("SELECT n, n, k AS n_1 FROM bronze.t"), ["n", "n_2", "n_1"]);
    assert_eq!(names("SELECT n, CAST(n AS DOUBLE) FROM bronze.t"), ["n", "CAST(n AS DOUBLE)"]);
    assert_eq!(names("SELECT n, count(*) FROM bronze.t GROUP BY n"), ["n", "count(*)"]);
}

#[test]
fn constants_that_no_function_takes_are_mistakes_with_their_place() {
    for (sql, place, part) in [
        ("SELECT date_trunc('weeek', ts) FROM bronze.t", "'weeek'", "granularity"),
        ("SELECT date_part('foo', ts) FROM bronze.t", "'foo'", "not supported"),
        ("SELECT extract(foo FROM ts) FROM bronze.t", "foo", "not supported"),
        ("SELECT regexp_replace(id, '(', '') FROM bronze.t", "'('", "unclosed group"),
        ("SELECT id FROM bronze.t WHERE id ~ '['", "'['", "unclosed character class"),
        ("SELECT encode(id, 'foo') FROM bronze.t", "'foo'", "encode(bronze.t.id, 'foo')"),
        ("SELECT to_char(ts, '%Q') FROM bronze.t", "'%Q'", "to_char"),
        ("SELECT to_timestamp(id, '%Q') FROM bronze.t", "'%Q'", "no format of a time"),
        ("SELECT to_timestamp('x') FROM bronze.t", "'x'", "fails for every row"),
        ("SELECT split_part(id, ',', 0) FROM bronze.t", "','", "must not be zero"),
        ("SELECT 1 / 0 FROM bronze.t", "0", "divides by zero"),
        ("SELECT n % 0 FROM bronze.t", "0", "divides by zero"),
        ("SELECT n + CAST('x' || 'y' AS INT) FROM bronze.t", "'x'", "is no INT"),
        ("SELECT CAST('x' AS INT) FROM bronze.t", "'x'", "is no INT"),
        ("SELECT approx_percentile_cont(n, 1.5) FROM bronze.t", "1.5", "between 0.0 and 1.0"),
        ("SELECT ntile(0) OVER (ORDER BY id) FROM bronze.t", "0", "positive"),
        (
            "SELECT CASE WHEN n > 9 THEN date_trunc('weeek', ts) END FROM bronze.t",
            "'weeek'",
            "granularity",
        ),
        (
            "SELECT id FROM bronze.t WHERE k IN (SELECT max(n) FROM bronze.t WHERE id ~ '*')",
            "'*'",
            "repetition",
        ),
    ] {
        let mistake = refused(sql);
        assert!(mistake.message.contains(part), "{sql}: {mistake:?}");
        assert!(mistake.hint.is_some(), "{sql}");
        let span = mistake.span.unwrap_or_else(|| panic!("{sql} has no place"));
        assert_eq!(&sql[span], place, "{sql}");
    }
}

#[test]
fn constants_that_some_row_may_have_are_let_through() {
    for sql in [
        "SELECT CASE WHEN n <> 0 THEN 1 / n END AS v FROM bronze.t",
        "SELECT CASE WHEN n > 9 THEN 1 / 0 END AS v FROM bronze.t",
        "SELECT CASE WHEN false THEN date_trunc('weeek', ts) END AS v FROM bronze.t",
        "SELECT coalesce(n, 1 / 0) AS v FROM bronze.t WHERE n IS NOT NULL",
        "SELECT id FROM bronze.t WHERE id IS NOT NULL OR 1 / 0 = 1",
        "SELECT id FROM bronze.t WHERE n > 9 AND 1 / 0 = 1",
        "SELECT 9223372036854775807 - abs(n) AS v FROM bronze.t",
        "SELECT decode(id, 'base64') AS v FROM bronze.t WHERE id = 'YQ=='",
        "SELECT to_timestamp(id, '%Y') AS v FROM bronze.t WHERE id = '2000'",
        "SELECT map([id, 'x' || id], [1, 2]) AS v FROM bronze.t",
        "SELECT make_date(2024, 2, CAST(n AS INT)) AS v FROM bronze.t",
        "SELECT regexp_replace(id, '([a-c])', '<\\1>', 'g') AS v FROM bronze.t",
        "SELECT date_trunc('week', ts) AS v, date_bin(INTERVAL '1 day', ts) AS w FROM bronze.t",
        "SELECT lpad(id, 3, '0') AS v, substr(id, 2) AS w, to_char(ts, '%d.%m.%Y') AS x FROM bronze.t",
        "SELECT approx_percentile_cont(n, 0.9) AS v, string_agg(id, ', ') AS w FROM bronze.t",
        "SELECT lag(n, 1, 0) OVER (ORDER BY id) AS v, ntile(2) OVER (ORDER BY id) AS w FROM bronze.t",
    ] {
        rows(sql);
    }
}

#[test]
fn an_error_of_a_row_does_not_repeat_it_and_hints_at_what_helps() {
    let lake = Lake::with(&[(
        "lake/bronze/t.sql",
        "-- One row per record.\nCREATE TABLE bronze.t (id STRING COMMENT 'x') \
         TBLPROPERTIES ('lake.source' = 'folder:t');\n",
    )]);
    lake.land("t/a.ndjson", b"{\"id\":\"secret(\"}\n{\"id\":\"x\"}\n");
    lake.ok(&["run", "bronze"]);
    for (sql, part, hint) in [
        ("SELECT regexp_replace('a', id, '') FROM bronze.t", "no regular expression", "strpos"),
        ("SELECT decode(id, 'hex') FROM bronze.t", "a function does not take", "CASE WHEN"),
        ("SELECT CAST(id AS INT) FROM bronze.t", "is no INT", "TRY_CAST"),
        ("SELECT (SELECT id FROM bronze.t) AS a", "more than one row", "max(x)"),
    ] {
        let output = lake.run(&["sql", sql]);
        output.says(1, &[part, hint]);
        assert!(!output.stderr.contains("secret"), "{}", output.stderr);
    }
}

#[test]
fn a_check_and_a_model_with_such_a_constant_are_refused() {
    let source = "-- One row per record.\nCREATE TABLE bronze.t (id STRING COMMENT 'x', ts TIMESTAMP COMMENT 'x',\n\
                  CONSTRAINT week CHECK (date_trunc('week', ts) IS NOT NULL)) \
                  TBLPROPERTIES ('lake.source' = 'folder:t');\n";
    let contract = "-- One row per record.\nCREATE TABLE silver.g (x STRING COMMENT 'x');\n";
    let lake = Lake::with(&[
        ("lake/bronze/t.sql", source),
        ("lake/silver/g.sql", contract),
        ("sql/silver/g.sql", "SELECT upper(id) AS x\nFROM bronze.t\n"),
    ]);
    lake.run(&["check"]).says(0, &["no mistakes"]);
    lake.file("sql/silver/g.sql", "SELECT\n  encode(id, 'foo') AS x\nFROM bronze.t\n");
    lake.run(&["check"]).says(2, &["sql/silver/g.sql:2:14", "foo"]);
    lake.file("sql/silver/g.sql", "SELECT upper(id) AS x FROM bronze.t\n");
    lake.file("lake/bronze/t.sql", &source.replace("'week'", "'weeek'"));
    lake.run(&["check"]).says(2, &["lake/bronze/t.sql:3", "check `week`", "granularity"]);
}
