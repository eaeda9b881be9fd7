//! What SQL reads, and which of it depends on the order of rows.

use super::*;

fn reads(sql: &str) -> Reads {
    Reads::of(&syntax::parse(sql, |parser| parser.parse_statements()).unwrap())
}

#[test]
fn tables_are_found_wherever_they_stand() {
    let sql = "WITH c AS (SELECT * FROM a.one), d AS (SELECT * FROM c)
        SELECT (SELECT max(x) FROM \"a\".\"two\"), y FROM d, LATERAL (SELECT 1 FROM A.Three) l
        JOIN lake.a.four ON EXISTS (SELECT 1 FROM a.five WHERE z IN (SELECT q FROM a.six))
        UNION ALL (SELECT 1, 2 FROM (a.seven JOIN a.eight USING (k)) ORDER BY (SELECT max(n) FROM a.nine))";
    let found: Vec<String> = reads(sql).tables.keys().map(|name| name.table.clone()).collect();
    assert_eq!(found, ["eight", "five", "four", "nine", "one", "seven", "six", "three", "two"]);
}

#[test]
fn a_cte_hides_a_table_of_one_word_and_no_other() {
    let found = reads("WITH orders AS (SELECT 1 AS a) SELECT a FROM ORDERS, bronze.orders, others");
    assert_eq!(found.tables.len(), 1);
    assert_eq!(found.alone.keys().collect::<Vec<_>>(), ["others"]);
    assert!(reads("SELECT * FROM generate_series(1, 3)").alone.is_empty());
}

#[test]
fn what_depends_on_the_order_of_rows_is_found() {
    for sql in [
        "SELECT a FROM s.t LIMIT 1",
        "SELECT a FROM s.t OFFSET 3",
        "SELECT a FROM s.t FETCH FIRST 1 ROW ONLY",
        "SELECT (SELECT a FROM s.t LIMIT 1)",
        "SELECT DISTINCT ON (a) a, b FROM s.t",
        "SELECT row_number() OVER () FROM s.t",
        "SELECT lag(a) OVER (PARTITION BY b) FROM s.t",
        "SELECT sum(a) OVER (ROWS 1 PRECEDING) FROM s.t",
        "SELECT row_number() OVER w FROM s.t WINDOW w AS (PARTITION BY a)",
        "SELECT array_agg(a) FROM s.t",
        "SELECT STRING_AGG(DISTINCT a, ',') FROM s.t",
        "SELECT first_value(a) FROM s.t GROUP BY b",
        "SELECT a FROM s.t |> WHERE a > 1 |> LIMIT 3",
        "SELECT row_number() OVER (ORDER BY 'x') FROM s.t",
        "SELECT row_number() OVER (PARTITION BY b ORDER BY 1) FROM s.t",
        "SELECT lag(a) OVER (ORDER BY NULL, lower('X') DESC) FROM s.t",
        "SELECT ntile(2) OVER (ORDER BY 1 + 1) FROM s.t",
        "SELECT row_number() OVER (ORDER BY (SELECT 1)) FROM s.t",
        "SELECT row_number() OVER w FROM s.t WINDOW w AS (ORDER BY true)",
        "SELECT first_value(a ORDER BY 1) FROM s.t",
        "SELECT array_agg(a ORDER BY DATE '2026-01-01') FROM s.t",
        "SELECT a FROM s.t ORDER BY 'x' LIMIT 1",
        "SELECT DISTINCT ON (a) a, b FROM s.t ORDER BY NULL",
        "SELECT a FROM s.t |> ORDER BY 'x' |> LIMIT 3",
    ] {
        assert_eq!(reads(sql).unsteady.len(), 1, "{sql}");
    }
}

#[test]
fn an_order_by_what_all_rows_of_a_group_have_in_common_is_none() {
    for sql in [
        "SELECT row_number() OVER (PARTITION BY k ORDER BY k) FROM s.t",
        "SELECT row_number() OVER (PARTITION BY k ORDER BY T.K DESC) FROM s.t",
        "SELECT row_number() OVER (PARTITION BY k, g ORDER BY lower(k), (g) + 1) FROM s.t",
        "SELECT lag(a) OVER (PARTITION BY CAST(b AS DATE) ORDER BY CAST(\"b\" AS DATE)) FROM s.t",
        "SELECT row_number() OVER w FROM s.t WINDOW w AS (PARTITION BY k ORDER BY k)",
        "SELECT row_number() OVER (w ORDER BY k) FROM s.t WINDOW w AS (PARTITION BY k)",
        "SELECT a FROM s.t QUALIFY row_number() OVER (PARTITION BY k ORDER BY k) = 1",
        "SELECT sum(a) OVER (PARTITION BY k ORDER BY k ROWS 1 PRECEDING) FROM s.t",
        "SELECT first_value(a ORDER BY k) FROM s.t GROUP BY k",
        "SELECT k AS g, array_agg(a ORDER BY k) FROM s.t GROUP BY g",
        "SELECT k, string_agg(a, ',' ORDER BY k DESC) FROM s.t GROUP BY 1",
        "SELECT k, last_value(a ORDER BY k) FROM s.t GROUP BY ALL",
        "SELECT DISTINCT ON (k) a FROM s.t ORDER BY k",
        "SELECT DISTINCT ON (k, g) k, a FROM s.t ORDER BY 1, g",
        "SELECT DISTINCT ON (t.k) a FROM s.t ORDER BY k",
        "SELECT a FROM s.t WHERE k = 'x' ORDER BY k LIMIT 1",
        "SELECT a FROM s.t WHERE k = 1 AND (g IS NULL) ORDER BY g, t.k LIMIT 1",
        "SELECT row_number() OVER (ORDER BY k) FROM s.t WHERE 5 = k",
        "SELECT row_number() OVER (PARTITION BY x.k ORDER BY y.k) FROM s.t x JOIN s.u y ON x.k = y.k",
    ] {
        assert_eq!(reads(sql).unsteady.len(), 1, "{sql}");
    }
    let sql = "SELECT DISTINCT ON (k) a FROM s.t ORDER BY k";
    let said = &reads(sql).unsteady[0].message;
    assert!(said.contains("whose ORDER BY is the same for all its rows"), "{said}");
}

#[test]
fn an_order_by_more_than_the_group_is_one() {
    for sql in [
        "SELECT row_number() OVER (PARTITION BY k ORDER BY k, a) FROM s.t",
        "SELECT row_number() OVER (PARTITION BY lower(k) ORDER BY k) FROM s.t",
        "SELECT row_number() OVER (PARTITION BY k ORDER BY k + a) FROM s.t",
        "SELECT row_number() OVER (PARTITION BY x.k ORDER BY y.k) FROM s.t x JOIN s.u y ON x.a = y.a",
        "SELECT row_number() OVER (PARTITION BY x.k ORDER BY y.k) FROM s.t x LEFT JOIN s.u y ON x.k = y.k",
        "SELECT row_number() OVER (PARTITION BY k ORDER BY s.k) FROM s.t",
        "SELECT row_number() OVER (PARTITION BY x.k ORDER BY y.k) FROM s.t x JOIN s.u y ON x.k = y.k FULL JOIN s.w z ON z.k = y.k",
        "SELECT row_number() OVER (PARTITION BY k ORDER BY \"K\") FROM s.t",
        "SELECT first_value(a ORDER BY k) FROM s.t",
        "SELECT first_value(a ORDER BY b) FROM s.t GROUP BY k",
        "SELECT first_value(a ORDER BY k) FROM s.t GROUP BY ROLLUP (k)",
        "SELECT (SELECT first_value(a ORDER BY k) FROM s.u) FROM s.t GROUP BY k",
        "SELECT DISTINCT ON (k) a FROM s.t ORDER BY k, a",
        "SELECT DISTINCT ON (k) a FROM s.t ORDER BY k, 1",
        "SELECT a FROM s.t WHERE k = 1 ORDER BY a LIMIT 1",
        "SELECT a FROM s.t WHERE k = 1 OR k = 2 ORDER BY k LIMIT 1",
        "SELECT a FROM s.t WHERE k = g ORDER BY k LIMIT 1",
        "SELECT * FROM s.t WHERE k = 1 ORDER BY 2 LIMIT 1",
        "SELECT k FROM s.t WHERE k = 1 UNION ALL SELECT k FROM s.u ORDER BY k LIMIT 1",
        "SELECT rank() OVER (PARTITION BY k ORDER BY k) FROM s.t",
    ] {
        assert!(reads(sql).unsteady.is_empty(), "{sql}: {:?}", reads(sql).unsteady);
    }
}

#[test]
fn what_depends_on_rows_alone_is_left_in_peace() {
    for sql in [
        "SELECT a FROM s.t ORDER BY a LIMIT 1",
        "SELECT a FROM s.t WHERE EXISTS (SELECT 1 FROM s.u WHERE u.a = t.a LIMIT 1)",
        "SELECT DISTINCT ON (a) a, b FROM s.t ORDER BY a, b",
        "SELECT row_number() OVER (ORDER BY a), rank() OVER (PARTITION BY b) FROM s.t",
        "SELECT sum(a) OVER (), count(*) OVER (PARTITION BY b) FROM s.t",
        "SELECT sum(a) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM s.t",
        "SELECT lead(a) OVER w FROM s.t WINDOW w AS (PARTITION BY a ORDER BY b)",
        "SELECT a FROM s.t |> ORDER BY a |> LIMIT 3",
        "SELECT a FROM s.t ORDER BY 1 LIMIT 3",
        "SELECT a FROM s.t ORDER BY ALL LIMIT 3",
        "SELECT b FROM s.t GROUP BY b ORDER BY count(*) LIMIT 3",
        "SELECT row_number() OVER (ORDER BY 'x', lower(a)) FROM s.t",
        "SELECT row_number() OVER (ORDER BY -t.a), lag(a) OVER (ORDER BY CASE WHEN b THEN 1 END) FROM s.t",
        "SELECT row_number() OVER (ORDER BY row_number() OVER (ORDER BY a)) FROM s.t",
        "SELECT lead(a) OVER (w ROWS 1 PRECEDING) FROM s.t WINDOW w AS (ORDER BY b)",
        "SELECT array_agg(a ORDER BY b), first_value(a ORDER BY a) FILTER (WHERE b > 1) FROM s.t",
    ] {
        assert!(reads(sql).unsteady.is_empty(), "{sql}: {:?}", reads(sql).unsteady);
    }
}

#[test]
fn words_that_the_planner_passes_over_are_wrong() {
    for sql in [
        "SELECT a FROM s.t TABLESAMPLE BERNOULLI (10)",
        "SELECT a FROM (SELECT a FROM s.t) TABLESAMPLE (10 PERCENT)",
        "SELECT a FROM s.t PARTITION (p)",
        "SELECT a FROM s.t WITH ORDINALITY",
        "SELECT a FROM s.t FOR UPDATE",
        "SELECT a FROM s.t PREWHERE a > 1",
        "SELECT a FROM s.t DISTRIBUTE BY a",
        "SELECT a FROM x.s.t",
    ] {
        assert_eq!(reads(sql).wrong.len(), 1, "{sql}: {:?}", reads(sql).wrong);
    }
    assert!(reads("SELECT a FROM s.t AS t (b) JOIN s.u USING (c)").wrong.is_empty());
}
