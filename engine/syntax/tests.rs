//! Texts that nest, go on, or double, and their neighbours that people write.

use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use super::*;

/// Reads statements on a thread with as little stack as those of the binary have; the message.
#[track_caller]
fn refused(sql: &str) -> String {
    let text = sql.to_owned();
    let thread = std::thread::Builder::new().stack_size(8 << 20);
    let read =
        move || parse(&text, |parser| parser.parse_statements()).map(|statements| statements.len());
    match thread.spawn(read).unwrap().join().unwrap() {
        Ok(_) => format!("it is taken: {}…", &sql[..sql.len().min(60)]),
        Err(error) => error.to_string(),
    }
}

/// `open` for `n` times, something inside, and `close` as often.
fn nested(begin: &str, open: &str, inside: &str, close: &str, n: usize) -> String {
    format!("{begin}{}{inside}{}", open.repeat(n), close.repeat(n))
}

const NESTS: &[(&str, &str, &str, &str)] = &[
    ("SELECT CAST(NULL AS ", "STRUCT<a ", "INT", ">"),
    ("SELECT CAST(NULL AS ", "STRUCT<", "", ""),
    ("SELECT CAST(NULL AS ", "ARRAY<", "INT", ">"),
    ("SELECT CAST(NULL AS ", "ARRAY<STRUCT<a ", "INT", ">>"),
    ("SELECT CAST(NULL AS ", "MAP(INT, ", "INT", ")"),
    ("SELECT CAST(NULL AS ", "Nullable(", "INT", ")"),
    ("CREATE TABLE t (a ", "STRUCT<a ", "INT", ">"),
    ("SELECT ", "(", "1", ")"),
    ("SELECT ", "[", "1", "]"),
    ("SELECT ", "{'a': ", "1", "}"),
    ("SELECT ", "abs(", "1", ")"),
    ("SELECT ", "ceil(", "1", ")"),
    ("SELECT ", "CAST(", "1", " AS INT)"),
    ("SELECT ", "TRY_CAST(", "1", " AS INT)"),
    ("SELECT ", "substring(", "'a'", " FROM 1)"),
    ("SELECT ", "overlay(", "'a'", " PLACING 'b' FROM 1)"),
    ("SELECT ", "NOT ", "true", ""),
    ("SELECT ", "- ", "1", ""),
    ("SELECT ", "CASE WHEN true THEN ", "1", " END"),
    ("SELECT ", "CASE ", "1", " WHEN 1 THEN 1 END"),
    ("SELECT ", "(SELECT ", "1", ")"),
    ("SELECT ", "EXISTS (SELECT ", "1", ")"),
    ("SELECT 1 FROM ", "(SELECT 1 FROM ", "t", ")"),
    ("SELECT 1 FROM ", "(", "t", ")"),
    ("SELECT 1 FROM t MATCH_RECOGNIZE(PATTERN (", "(", "a", ")"),
    ("", "WITH a AS (", "SELECT 1", ") SELECT 1 FROM a"),
    ("", "(", "SELECT 1", ")"),
];

#[test]
fn what_nests_too_deep_has_a_place_and_no_depth_ends_the_process() {
    for (begin, open, inside, close) in NESTS {
        for n in [70, 3000, 60_000] {
            let sql = nested(begin, open, inside, close, n);
            let message = refused(&sql);
            assert!(message.contains(" at Line: "), "{open} {n} times: {message}");
        }
    }
}

#[test]
fn what_nests_as_people_write_it_is_taken() {
    for (begin, open, inside, close) in
        NESTS.iter().filter(|(begin, ..)| begin.starts_with("SELECT "))
    {
        let n = if open.contains("SELECT") { 10 } else { 20 };
        let end = if begin.ends_with("AS ") { ")" } else { "" };
        let sql = nested(begin, open, inside, close, n) + end;
        let whole = !inside.is_empty() && !begin.contains("MATCH");
        assert_eq!(parse(&sql, |parser| parser.parse_statements()).is_ok(), whole, "{sql}");
    }
}

#[test]
fn a_mistake_in_what_nests_is_found_in_no_time() {
    for open in ["CAST(", "TRY_CAST(", "ceil(", "floor(", "substring(", "position(", "CASE WHEN "] {
        for n in [30, 48, 55] {
            let message = refused(&nested("SELECT ", open, "1 1", ")", n));
            assert!(message.contains(" at Line: "), "{open} {n} times: {message}");
        }
    }
}

#[test]
fn what_goes_on_for_ever_has_a_place() {
    let many = |part: &str, between: &str, n: usize| vec![part; n].join(between);
    for sql in [
        format!("SELECT {}", many("a", " + ", 10_000)),
        format!("SELECT {}", many("a = 1", " AND ", 10_000)),
        format!("SELECT {}", many("a = 1", " OR ", 10_000)),
        format!("SELECT 1{}", "::INT".repeat(10_000)),
        format!("SELECT 1{}", " IS NULL".repeat(10_000)),
        many("SELECT 1", " UNION ALL ", 10_000),
        many("SELECT 1", " EXCEPT ", 3000),
        format!("SELECT 1 FROM {}", many("s.t", ", ", 300)),
        format!("SELECT 1 FROM s.t {}", "CROSS JOIN s.t ".repeat(3000)),
        many("SELECT 1", ";", 150_000),
        format!("SELECT CAST(NULL AS INT{})", "[]".repeat(30_000)),
        format!("SELECT CAST(NULL AS INT{})", "[3]".repeat(30_000)),
        format!("SELECT 1 FROM t{}", " PIVOT(sum(a) FOR b IN (1))".repeat(3000)),
    ] {
        let message = refused(&sql);
        assert!(message.contains(" at Line: "), "{}: {message}", &sql[..60]);
    }
}

#[test]
fn names_of_a_with_that_double_are_refused_and_chains_are_not() {
    let names = |n: usize, of: &dyn Fn(usize) -> String| {
        let steps: Vec<String> = (1..n).map(|i| format!("c{i} AS ({})", of(i - 1))).collect();
        format!("WITH c0 AS (SELECT 1 AS a), {} SELECT a FROM c{}", steps.join(", "), n - 1)
    };
    let twice = names(30, &|i| format!("SELECT x.a FROM c{i} x JOIN c{i} y ON x.a = y.a"));
    assert!(refused(&twice).contains("anew"), "{}", refused(&twice));
    let chain = names(500, &|i| format!("SELECT a FROM c{i}"));
    assert!(parse(&chain, |parser| parser.parse_statements()).is_ok());
    let few = names(6, &|i| format!("SELECT x.a FROM c{i} x JOIN c{i} y ON x.a = y.a"));
    assert!(parse(&few, |parser| parser.parse_statements()).is_ok());
}

#[test]
fn long_texts_without_depth_are_taken() {
    let values: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    for sql in [
        format!("SELECT a IN ({}) FROM s.t", values.join(", ")),
        format!("SELECT {} FROM s.t", vec!["a"; 1900].join(" + ")),
        format!("SELECT {} FROM s.t", vec!["a + 1"; 5000].join(", ")),
        format!("SELECT * FROM (VALUES ({})) t", values.join("), (")),
        format!("SELECT 1 FROM t WHERE {}", vec!["(a < 1 OR map < 2)"; 900].join(" AND ")),
        format!("SELECT a < 1{}", ", array < 2".repeat(100)),
    ] {
        let big = std::thread::Builder::new().stack_size(64 << 20);
        let shown = sql[..60].to_owned();
        let read = move || parse(&sql, |parser| parser.parse_statements()).map(drop);
        assert_eq!(big.spawn(read).unwrap().join().unwrap(), Ok(()), "{shown}");
    }
}

#[test]
fn an_end_that_comes_too_early_has_a_place() {
    assert!(
        refused("SELECT (1 +").ends_with("at Line: 1, Column: 12"),
        "{}",
        refused("SELECT (1 +")
    );
    assert!(refused("SELECT\n CAST(1 AS\n-- end\n").contains("at Line: 2, Column: 11"));
}

#[test]
fn the_dialect_reads_as_the_general_one_does() {
    for sql in [
        "SELECT a::INT, [1, 2][1], {'a': 1}, x -> 'b', `q`, \"r\", E'\\n', 1 << 2 FROM t",
        "SELECT * EXCEPT (a) FROM t |> WHERE a > 1 |> ORDER BY a",
        "FROM t",
        "SELECT first_value(a IGNORE NULLS) FILTER (WHERE b) OVER (w ORDER BY b) FROM t WINDOW w AS (PARTITION BY c)",
        "SELECT a FROM ((t JOIN u USING (k))) LIMIT 1, 2",
        "SELECT extract(day FROM a), trim(BOTH 'x' FROM a), position('a' IN b), MAP {'a': 1} FROM t",
        "SELECT position, floor, ceil, substring, a.b.c FROM t GROUP BY ROLLUP (a), CUBE (b)",
        "CREATE TABLE a.b (c STRUCT<d ARRAY<INT>, e: STRING> COMMENT 'x') PARTITIONED BY (c) TBLPROPERTIES ('a' = 'b')",
        "EXPLAIN ANALYZE SELECT DISTINCT ON (a) a, FROM t QUALIFY row_number() OVER () = 1",
        "VALUES (1, 2), (3, 4)",
        "SELECT 1 /* a /* b */ c */ -- d",
    ] {
        let ours = parse(sql, |parser| parser.parse_statements());
        assert_eq!(ours, Parser::parse_sql(&GenericDialect {}, sql), "{sql}");
        assert!(ours.is_ok() || sql.contains("ANALYZE"), "{sql}: {ours:?}");
    }
}
