//! Shapes of SQL that `DataFusion` computes wrongly when it is left alone: rewritten, or refused with a
//! place and the way out. Each with the right value, and with a shape beside it that goes on working.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::datasource::MemTable;
use engine::contract::{self, TableName};
use engine::mistake::Mistake;
use engine::query::{Limits, Query, explain};
use serde_json::{Value, json};

use crate::support::{Lake, batch, block_on, nullable, rows_of};

/// `bronze.l` with the keys 1, 2, 2, NULL, and `bronze.r` with 2, 3, NULL; `n` is never NULL.
fn query() -> Query {
    let query = Query::new(&Limits::planning(chrono_tz::UTC)).unwrap();
    query.set("datafusion.execution.target_partitions", "4").unwrap();
    query.set("datafusion.execution.batch_size", "3").unwrap();
    let left = [(1, Some(1), 10), (2, Some(2), 20), (3, Some(2), 30), (4, None, 40)];
    let right = [(1, Some(2), 200), (2, Some(3), 300), (3, None, 400)];
    for (table, value, rows) in [("l", "x", &left[..]), ("r", "y", &right[..])] {
        let rows: Vec<Value> = rows
            .iter()
            .map(|(id, k, v)| json!({"id": id, "k": k, "g": id % 2, value: v, "n": id}))
            .collect();
        register(
            &query,
            table,
            &format!("id BIGINT, k BIGINT, g INT, {value} BIGINT, n BIGINT"),
            &rows,
        );
    }
    register(&query, "none", "k BIGINT", &[]);
    query
}

fn register(query: &Query, table: &str, columns: &str, rows: &[Value]) {
    let name = TableName::new("bronze", table);
    let text =
        format!("CREATE TABLE {name} ({columns}) TBLPROPERTIES ('lake.source' = 'folder:x')");
    let schema = nullable(&contract::parse(&name, "t.sql", &text).unwrap());
    let columns: Vec<usize> = (0..schema.fields().len())
        .filter(|at| !schema.field(*at).name().starts_with('_'))
        .collect();
    let schema = Arc::new(schema.project(&columns).unwrap());
    let rows: Vec<RecordBatch> = rows.chunks(2).map(|rows| batch(&schema, rows)).collect();
    let provider = MemTable::try_new(schema, vec![rows]).unwrap();
    query.register(&name, Arc::new(provider)).unwrap();
}

/// The rows of a query, sorted, cells with commas between them; NULL is empty.
#[track_caller]
fn rows(sql: &str) -> Vec<String> {
    let mut rows = rows_of(&query(), sql);
    rows.sort();
    rows
}

/// The mistake that a query is.
#[track_caller]
fn refused(sql: &str) -> Mistake {
    let query = query();
    let planned = block_on(async { query.plan(sql).await.map(drop) });
    explain("query", sql, &planned.expect_err(sql))
}

const L: &str = "(SELECT k, x FROM bronze.l) l";
const R: &str = "(SELECT k, y FROM bronze.r) r";

#[test]
fn the_key_of_an_outer_join_is_that_of_the_side_that_has_it() {
    for (kind, expected) in [
        ("JOIN", vec!["2,20,200", "2,30,200"]),
        ("LEFT JOIN", vec![",40,", "1,10,", "2,20,200", "2,30,200"]),
        ("RIGHT JOIN", vec![",,400", "2,20,200", "2,30,200", "3,,300"]),
        ("FULL JOIN", vec![",,400", ",40,", "1,10,", "2,20,200", "2,30,200", "3,,300"]),
    ] {
        assert_eq!(rows(&format!("SELECT k, x, y FROM {L} {kind} {R} USING (k)")), expected);
        assert_eq!(rows(&format!("SELECT * FROM {L} {kind} {R} USING (k)")), expected, "{kind}");
        assert_eq!(rows(&format!("SELECT * FROM {L} NATURAL {kind} {R}")), expected, "{kind}");
        let named =
            format!("WITH l AS (SELECT k, x FROM bronze.l) SELECT * FROM l {kind} {R} USING (k)");
        assert_eq!(rows(&named), expected, "{kind}");
        let united =
            format!("SELECT k, x, y FROM {L} {kind} {R} USING (k) UNION ALL SELECT 9, 9, 9");
        assert_eq!(rows(&united).len(), expected.len() + 1, "{kind}");
    }
}

#[test]
fn a_merged_key_is_found_in_every_clause() {
    let full = format!("{L} FULL JOIN {R} USING (k)");
    assert_eq!(rows(&format!("SELECT k FROM {full} WHERE k = 3")), ["3"]);
    assert_eq!(rows(&format!("SELECT k + 1 AS m FROM {full} WHERE k > 2")), ["4"]);
    assert_eq!(
        rows(&format!("SELECT k, count(*) AS n FROM {full} GROUP BY k HAVING k IS NOT NULL")),
        ["1,1", "2,2", "3,1"]
    );
    assert_eq!(
        rows(&format!("SELECT count(*) OVER (PARTITION BY k) AS n FROM {full} WHERE k = 2")),
        ["2", "2"]
    );
    assert_eq!(rows(&format!("SELECT y FROM {full} ORDER BY k DESC NULLS LAST LIMIT 1")), ["300"]);
    assert_eq!(rows(&format!("SELECT DISTINCT k FROM {full} ORDER BY k LIMIT 1")), ["1"]);
    assert_eq!(
        rows(&format!(
            "SELECT k FROM {full} WHERE EXISTS (SELECT 1 FROM (SELECT y FROM bronze.r) z WHERE z.y = k * 100)"
        )),
        ["2", "2", "3"]
    );
    // A subquery's own column of that name is its own.
    assert_eq!(
        rows(&format!("SELECT k FROM {full} WHERE 3 IN (SELECT k FROM bronze.r) AND k = 1")),
        ["1"]
    );
}

#[test]
fn a_qualified_key_stays_its_sides() {
    let full = format!("{L} FULL JOIN {R} USING (k)");
    assert_eq!(rows(&format!("SELECT k FROM {full} WHERE l.k IS NULL AND k IS NOT NULL")), ["3"]);
    assert_eq!(rows(&format!("SELECT l.k, r.k FROM {full} WHERE y = 300")), [",3"]);
    assert_eq!(rows(&format!("SELECT coalesce(l.k, r.k) AS k FROM {full} WHERE y = 300")), ["3"]);
}

#[test]
fn a_chain_of_joins_compares_with_the_merged_key() {
    let third = "(SELECT k, id FROM bronze.r) t";
    let chain = format!("{L} FULL JOIN {R} USING (k) FULL JOIN {third} USING (k)");
    let keyed = format!("SELECT k, x, y, id FROM {chain} WHERE k IS NOT NULL");
    assert_eq!(rows(&keyed), ["1,10,,", "2,20,200,1", "2,30,200,1", "3,,300,2"]);
    let both = "bronze.l FULL JOIN bronze.r USING (k, g)";
    assert_eq!(rows(&format!("SELECT k, g FROM {both} WHERE k = 3")), ["3,0"]);
}

#[test]
fn a_star_keeps_the_preserved_key_whatever_the_tables_are_called() {
    let left = "(SELECT k, x FROM bronze.l) z LEFT JOIN (SELECT k, y FROM bronze.r) a USING (k)";
    let expected = [",40,", "1,10,", "2,20,200", "2,30,200"];
    assert_eq!(rows(&format!("SELECT * FROM {left}")), expected);
    assert_eq!(rows(&format!("SELECT * EXCEPT (k) FROM {left} WHERE k = 1")), ["10,"]);
    // NATURAL without a common column is a join on true; an outer one keeps its rows.
    let nothing = "(SELECT x FROM bronze.l) l NATURAL LEFT JOIN (SELECT k FROM bronze.none) e";
    assert_eq!(rows(&format!("SELECT x FROM {nothing}")).len(), 4);
}

#[test]
fn not_in_a_set_with_null_is_never_true() {
    let none: [&str; 0] = [];
    for value in ["id", "7", "id + 100", "nullif(1, 1)", "NULL", "k"] {
        let text = format!("SELECT id FROM bronze.l WHERE {value} NOT IN (SELECT k FROM bronze.r)");
        assert_eq!(rows(&text), none, "{text}");
        let text =
            format!("SELECT id FROM bronze.l WHERE NOT ({value} IN (SELECT k FROM bronze.r))");
        assert_eq!(rows(&text), none, "{text}");
        let text = format!(
            "SELECT id FROM bronze.l WHERE ({value} NOT IN (SELECT k FROM bronze.r)) OR x = 40"
        );
        assert_eq!(rows(&text), ["4"], "{text}");
        let empty =
            format!("SELECT id FROM bronze.l WHERE {value} NOT IN (SELECT k FROM bronze.none)");
        assert_eq!(rows(&empty), ["1", "2", "3", "4"], "{empty}");
    }
    // NULL is in no set that has members.
    for value in ["nullif(1, 1)", "NULL"] {
        let text = format!("SELECT id FROM bronze.l WHERE {value} NOT IN (SELECT n FROM bronze.r)");
        assert_eq!(rows(&text), none, "{text}");
    }
}

#[test]
fn not_in_a_set_without_null_keeps_what_is_not_in_it() {
    let known = "SELECT k FROM bronze.r WHERE k IS NOT NULL";
    assert_eq!(rows(&format!("SELECT id FROM bronze.l WHERE k NOT IN ({known})")), ["1"]);
    assert_eq!(rows(&format!("SELECT id FROM bronze.l WHERE n NOT IN ({known})")), ["1", "4"]);
    assert_eq!(rows("SELECT id FROM bronze.l WHERE n NOT IN (SELECT n FROM bronze.r)"), ["4"]);
    assert_eq!(rows("SELECT id FROM bronze.l WHERE k IN (SELECT k FROM bronze.r)"), ["2", "3"]);
    assert_eq!(rows("SELECT id FROM bronze.l WHERE k NOT IN (1, 3)"), ["2", "3"]);
}

#[test]
fn not_in_a_correlated_set_looks_at_each_rows_own_set() {
    let set = "SELECT i.k FROM bronze.r i WHERE i.g = o.g";
    // g = 1 has {2, NULL}, g = 0 has {3}.
    assert_eq!(rows(&format!("SELECT id FROM bronze.l o WHERE 7 NOT IN ({set})")), ["2", "4"]);
    assert_eq!(rows(&format!("SELECT id FROM bronze.l o WHERE o.k NOT IN ({set})")), ["2"]);
    assert_eq!(rows(&format!("SELECT id FROM bronze.l o WHERE o.k IN ({set})")), ["3"]);
    // {}, {2}, {2, 3}, {2, 3, NULL}
    let earlier = "SELECT i.k FROM bronze.r i WHERE i.id < o.id";
    assert_eq!(rows(&format!("SELECT id FROM bronze.l o WHERE o.n NOT IN ({earlier})")), ["1"]);
    let text = format!("SELECT id FROM bronze.l o WHERE o.n + 3 NOT IN ({earlier})");
    assert_eq!(rows(&text), ["1", "2", "3"]);
}

#[test]
fn an_unknown_answer_stays_unknown_inside_other_expressions() {
    let unknown = "k IN (SELECT k FROM bronze.r)";
    assert_eq!(rows(&format!("SELECT id FROM bronze.l WHERE ({unknown}) IS NULL")), ["1", "4"]);
    assert_eq!(rows(&format!("SELECT id FROM bronze.l WHERE NOT ({unknown} AND x > 0)")), [""; 0]);
    let case =
        format!("CASE WHEN {unknown} THEN false WHEN NOT ({unknown}) THEN false ELSE true END");
    assert_eq!(rows(&format!("SELECT id FROM bronze.l WHERE {case}")), ["1", "4"]);
    assert_eq!(rows("SELECT id FROM bronze.l WHERE k > ALL (SELECT k FROM bronze.l)"), [""; 0]);
    assert_eq!(rows("SELECT id FROM bronze.l WHERE k < ANY (SELECT k FROM bronze.l)"), ["1"]);
}

#[test]
fn an_aggregate_has_a_row_for_every_outer_row() {
    let one = "SELECT count(*) FROM bronze.r i WHERE i.k = o.k";
    let all = ["1", "2", "3", "4"];
    assert_eq!(rows(&format!("SELECT id FROM bronze.l o WHERE EXISTS ({one})")), all);
    assert_eq!(rows(&format!("SELECT id FROM bronze.l o WHERE NOT EXISTS ({one})")), [""; 0]);
    assert_eq!(rows(&format!("SELECT id FROM bronze.l o WHERE 0 IN ({one})")), ["1", "4"]);
    assert_eq!(rows(&format!("SELECT id FROM bronze.l o WHERE 0 NOT IN ({one})")), ["2", "3"]);
    let none = format!("{one} HAVING count(*) = 0");
    assert_eq!(rows(&format!("SELECT id FROM bronze.l o WHERE EXISTS ({none})")), ["1", "4"]);
    let some = "SELECT 1 FROM bronze.r i WHERE i.k = o.k";
    assert_eq!(rows(&format!("SELECT id FROM bronze.l o WHERE EXISTS ({some})")), ["2", "3"]);
    assert_eq!(
        rows(&format!("SELECT id FROM bronze.l o WHERE EXISTS ({some} GROUP BY i.k)")),
        ["2", "3"]
    );
}

#[test]
fn a_single_value_is_null_where_there_is_no_row() {
    let counted = "(SELECT count(*) FROM bronze.r i WHERE i.k = o.k GROUP BY i.k)";
    assert_eq!(
        rows(&format!("SELECT id, coalesce({counted}, -1) AS n FROM bronze.l o")),
        ["1,-1", "2,1", "3,1", "4,-1"]
    );
    assert_eq!(rows(&format!("SELECT id FROM bronze.l o WHERE {counted} IS NULL")), ["1", "4"]);
    let having = "(SELECT max(y) FROM bronze.r i WHERE i.k = o.k HAVING count(*) > 1)";
    assert_eq!(rows(&format!("SELECT id FROM bronze.l o WHERE {having} IS NOT NULL")), [""; 0]);
    let total = "(SELECT count(*) FROM bronze.r HAVING count(*) > 9)";
    assert_eq!(rows(&format!("SELECT coalesce({total}, 0) AS n")), ["0"]);
    let all = "(SELECT count(*) FROM bronze.r i WHERE i.k = o.k)";
    assert_eq!(rows(&format!("SELECT id FROM bronze.l o WHERE {all} = 0")), ["1", "4"]);
}

#[test]
fn exists_knows_limit_and_offset() {
    let some = "SELECT 1 FROM bronze.l i WHERE i.k = o.k";
    assert_eq!(rows(&format!("SELECT id FROM bronze.r o WHERE EXISTS ({some})")), ["1"]);
    assert_eq!(rows(&format!("SELECT id FROM bronze.r o WHERE EXISTS ({some} LIMIT 1)")), ["1"]);
    assert_eq!(rows(&format!("SELECT id FROM bronze.r o WHERE EXISTS ({some} LIMIT 0)")), [""; 0]);
    assert_eq!(rows(&format!("SELECT id FROM bronze.r o WHERE EXISTS ({some} OFFSET 1)")), ["1"]);
    assert_eq!(rows(&format!("SELECT id FROM bronze.r o WHERE EXISTS ({some} OFFSET 2)")), [""; 0]);
    assert_eq!(
        rows(&format!("SELECT id FROM bronze.r o WHERE NOT EXISTS ({some} LIMIT 5 OFFSET 1)")),
        ["2", "3"]
    );
}

#[test]
fn set_operations_with_all_count_copies() {
    let all = "SELECT g FROM bronze.l EXCEPT ALL SELECT g FROM bronze.r";
    assert_eq!(rows(all), ["0"]);
    assert_eq!(
        rows("SELECT g FROM bronze.l INTERSECT ALL SELECT g FROM bronze.r"),
        ["0", "1", "1"]
    );
    assert_eq!(rows("SELECT g FROM bronze.l EXCEPT SELECT g FROM bronze.r"), [""; 0]);
    assert_eq!(rows("SELECT g FROM bronze.l INTERSECT SELECT g FROM bronze.r"), ["0", "1"]);
    assert_eq!(rows("SELECT k FROM bronze.l EXCEPT ALL SELECT k FROM bronze.r"), ["1", "2"]);
}

#[test]
fn an_offset_skips_the_first_rows_of_its_own_order() {
    let last = "SELECT id FROM bronze.l ORDER BY id DESC OFFSET 2";
    assert_eq!(rows(last), ["1", "2"]);
    assert_eq!(rows(&format!("SELECT id FROM ({last}) h ORDER BY id")), ["1", "2"]);
    let numbered = format!("SELECT id, row_number() OVER (ORDER BY id) AS r FROM ({last}) h");
    assert_eq!(rows(&numbered), ["1,1", "2,2"]);
    let one = "SELECT id FROM bronze.l ORDER BY id DESC LIMIT 1 OFFSET 2";
    assert_eq!(rows(&format!("SELECT id FROM ({one}) h ORDER BY id")), ["2"]);
}

#[test]
fn a_limit_keeps_what_a_window_below_it_needs() {
    let groups = "SELECT g, count(*) OVER () AS n FROM bronze.l GROUP BY g ORDER BY g LIMIT 1";
    assert_eq!(rows(groups), ["0,2"]);
    let united = "SELECT g, j, k FROM (SELECT g, k, 1 AS j FROM bronze.l UNION ALL SELECT g, k, 2 FROM bronze.r) h \
                  ORDER BY g, j, k LIMIT 4";
    assert_eq!(rows(united), ["0,1,", "0,1,2", "0,2,3", "1,1,1"]);
}

#[test]
fn what_cannot_be_rewritten_is_refused_with_its_place() {
    let rank = "SELECT id FROM bronze.l o WHERE 2 IN (SELECT r FROM (SELECT row_number() OVER (ORDER BY i.id) AS r \
                FROM bronze.r i WHERE i.g = o.g) h)";
    let mistake = refused(rank);
    assert!(mistake.message.contains("window function in a correlated subquery"), "{mistake:?}");
    assert!(mistake.hint.is_some_and(|hint| hint.contains("PARTITION BY")));
    assert!(mistake.span.is_some());

    let sets = "SELECT id FROM bronze.l o WHERE EXISTS (SELECT 1 FROM bronze.r i WHERE i.k = o.k GROUP BY ROLLUP(i.k))";
    assert!(refused(sets).message.contains("#25519"));

    let ahead = "SELECT lead(k) IGNORE NULLS OVER (ORDER BY id) AS e FROM bronze.l";
    let mistake = refused(ahead);
    assert!(mistake.message.contains("#25471"), "{mistake:?}");
    assert_eq!(&ahead[mistake.span.unwrap()], "k");
    let behind =
        "SELECT lag(k) IGNORE NULLS OVER (ORDER BY id DESC) AS e FROM bronze.l WHERE x > 10";
    assert_eq!(rows(behind), ["", "", "2"]);
}

#[test]
fn a_model_and_a_check_have_the_same_doors() {
    let contract = "-- One row per key.\nCREATE TABLE gold.g (k BIGINT COMMENT 'x', x BIGINT COMMENT 'x', y BIGINT COMMENT 'x');\n";
    let source = "-- One row per record.\nCREATE TABLE bronze.t (k BIGINT COMMENT 'x', side STRING COMMENT 'x', n BIGINT COMMENT 'x')\n\
                  PARTITIONED BY (_ingest_date) TBLPROPERTIES ('lake.source' = 'folder:t');\n";
    let full = "SELECT k, x, y FROM (SELECT k, n AS x FROM bronze.t WHERE side = 'l') a\n\
                FULL JOIN (SELECT k, n AS y FROM bronze.t WHERE side = 'r') b USING (k)\n";
    let lake = Lake::with(&[
        ("lake/bronze/t.sql", source),
        ("lake/gold/g.sql", contract),
        ("sql/gold/g.sql", full),
    ]);
    lake.ok(&["check"]);
    lake.land(
        "t/a.ndjson",
        b"{\"k\":1,\"side\":\"l\",\"n\":10}\n{\"k\":2,\"side\":\"r\",\"n\":400}\n",
    );
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM gold.g WHERE k = 2 AND y = 400"), 1);
    let stored = "SELECT count(*) AS n FROM bronze.t o WHERE 7 NOT IN (SELECT n FROM bronze.t i WHERE i.k = o.k)";
    assert_eq!(lake.number(stored), 2);
    let any = "SELECT count(*) AS n FROM bronze.t WHERE EXISTS (SELECT 1 FROM gold.g) AND k NOT IN (SELECT x FROM gold.g)";
    assert_eq!(lake.number(any), 0);

    lake.file(
        "sql/gold/g.sql",
        "SELECT k, n AS x, lead(n) IGNORE NULLS OVER (ORDER BY k) AS y FROM bronze.t\n",
    );
    lake.run(&["check"]).says(2, &["sql/gold/g.sql:1:24", "#25471", "lag(…) IGNORE NULLS"]);
    lake.run(&["sql", "SELECT lead(n) IGNORE NULLS OVER (ORDER BY k) AS y FROM bronze.t"])
        .says(2, &["#25471"]);
}
