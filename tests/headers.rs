//! What a model's header and its SQL say has an effect, or `lake check` and `lake run` refuse it alike.

use serde_json::json;

use crate::support::Lake;

const BRONZE: (&str, &str) = (
    "lake/bronze/t.sql",
    "CREATE TABLE bronze.t (id STRING, n BIGINT) TBLPROPERTIES ('lake.source' = 'folder:t')",
);
const GOLD: (&str, &str) = ("lake/gold/g.sql", "CREATE TABLE gold.g (id STRING, n BIGINT)");
const COPY: &str = "SELECT id, n FROM bronze.t";

/// A lake with two records in `bronze.t`, and a model `gold.g` with this text.
fn lake(model: &str) -> Lake {
    let lake = Lake::with(&[BRONZE, GOLD, ("sql/gold/g.sql", model)]);
    lake.land("t/a.ndjson", b"{\"id\":\"a\",\"n\":1}\n{\"id\":\"b\",\"n\":-2}\n");
    lake
}

fn checked(check: &str) -> String {
    format!("/*---\n[check]\nthe_check = {check:?}\n---*/\n{COPY}")
}

/// Both commands refuse the project, and nothing is written.
#[track_caller]
fn is_refused(lake: &Lake, parts: &[&str]) {
    lake.run(&["run", "all"]).says(2, parts);
    assert!(!lake.root().exists(), "something was written");
    lake.run(&["check"]).says(2, parts);
}

#[test]
fn a_set_check_is_true_or_false() {
    for (check, part) in [
        ("(SELECT count(*) FROM this WHERE n < 0)", "BIGINT, not true or false"),
        ("(SELECT max(id) FROM this)", "STRING, not true or false"),
        ("(SELECT NULL FROM this LIMIT 1)", "LIMIT without ORDER BY"),
        ("(SELECT count(*) = 0, 1 FROM this)", "the_check"),
        ("(SELECT m FROM this) > 0", "the_check"),
    ] {
        is_refused(&lake(&checked(check)), &["sql/gold/g.sql:3:1", "the_check", part]);
    }
    for check in [
        "(SELECT count(*) FROM this WHERE n < 0) = 1",
        "EXISTS (SELECT 1 FROM this WHERE n > 0) AND NOT EXISTS (SELECT 1 FROM this WHERE n > 5)",
        "1 IN (SELECT n FROM this)",
        "5 NOT IN (SELECT n FROM this) -- none",
        "CASE WHEN (SELECT count(*) FROM this) = 0 THEN true ELSE EXISTS (SELECT 1 FROM THIS) END",
    ] {
        lake(&checked(check)).ok(&["run", "all"]);
        let not = lake(&checked(&format!("NOT ({check}\n)")));
        not.run(&["run", "all"]).says(1, &["gold.g", "`the_check` does not hold"]);
    }
    // NULL is neither: it passes.
    for check in [
        "(SELECT max(n) FROM this WHERE n > 100) > 1",
        "(SELECT sum(n) > 1 FROM this WHERE n > 100)",
    ] {
        lake(&checked(check)).ok(&["run", "all"]);
    }
    let broken = lake(&checked("(SELECT count(*) FROM this WHERE n < 0) = 0"));
    broken.run(&["run", "all"]).says(1, &["gold.g", "`the_check` does not hold"]);
    let many = lake(&checked("(SELECT n FROM this) > 0"));
    many.run(&["run", "all"]).says(1, &["the_check"]);
}

#[test]
fn a_table_that_only_a_check_reads_is_an_input() {
    let model = checked("(SELECT count(*) FROM this) >= (SELECT sum(n) FROM Silver.\"limits\")");
    let lake = lake(&model);
    lake.file("lake/silver/limits.sql", "CREATE TABLE silver.limits (n BIGINT)");
    lake.file("sql/silver/limits.sql", "SELECT count(*) AS n FROM bronze.u");
    lake.file(
        "lake/bronze/u.sql",
        "CREATE TABLE bronze.u (id STRING) TBLPROPERTIES ('lake.source' = 'folder:u')",
    );
    lake.land("u/a.ndjson", b"{\"id\":\"1\"}\n{\"id\":\"2\"}\n");
    lake.ok(&["run", "all"]);
    // What the check says of the same rows has changed, so it runs again.
    lake.land("u/b.ndjson", b"{\"id\":\"3\"}\n");
    lake.run(&["run", "all"]).says(1, &["gold.g", "`the_check` does not hold"]);
    lake.file("sql/gold/g.sql", &model.replace("limits", "limit"));
    lake.run(&["check"])
        .says(2, &["there is no table silver.limit", "did you mean `silver.limits`?"]);
}

#[test]
fn every_spelling_of_a_name_is_the_same_table() {
    for name in
        ["bronze.t", "\"bronze\".\"t\"", "BRONZE.T", "lake.bronze.t", "\"lake\".Bronze.\"t\""]
    {
        let check = format!("(SELECT count(*) FROM this) = (SELECT count(*) FROM {name})");
        let lake = lake(
            &checked(&check)
                .replace("bronze.t", "gold.v")
                .replace("FROM gold.v)", &format!("FROM {name})")),
        );
        lake.file(
            "sql/gold/v.sql",
            &format!("/*---\nrefresh = \"view\"\n---*/\nSELECT id, n FROM {name}"),
        );
        lake.ok(&["run", "all"]);
        assert_eq!(lake.number("SELECT count(*) AS n FROM gold.g"), 2, "{name}");
        assert_eq!(lake.number(&format!("SELECT count(*) AS n FROM {name}")), 2, "{name}");
        lake.land("t/b.ndjson", b"{\"id\":\"c\",\"n\":3}\n");
        lake.ok(&["run", "all"]);
        assert_eq!(lake.number("SELECT count(*) AS n FROM gold.g"), 3, "{name}");
    }
    for (name, part) in [
        ("bronze.\"T\"", "did you mean `bronze.t`?"),
        ("t", "there is no table `t`"),
        ("this", "there is no table `this`"),
        ("other.bronze.t", "no catalog `other`"),
        ("information_schema.tables", "there is no table information_schema.tables"),
        ("gold.g", "in a circle"),
    ] {
        is_refused(&lake(&COPY.replace("bronze.t", name)), &["sql/gold/g.sql:1:", part]);
    }
}

#[test]
fn a_name_of_a_with_hides_no_table_of_a_layer() {
    let lake = lake(
        "WITH t AS (SELECT id, n FROM bronze.t WHERE n > 0) SELECT id, n FROM T WHERE id IN (SELECT id FROM bronze.t)",
    );
    lake.ok(&["run", "all"]);
    assert_eq!(lake.rows("SELECT id FROM gold.g"), [json!({"id": "a"})]);
}

#[test]
fn no_stored_row_depends_on_the_clock_or_on_chance() {
    for expression in [
        "now()",
        "Now()",
        "current_timestamp",
        "current_date",
        "today()",
        "current_time",
        "random()",
        "uuid()",
    ] {
        let model = format!("SELECT CAST({expression} AS STRING) AS id, n FROM bronze.t");
        is_refused(&lake(&model), &["sql/gold/g.sql:1:13", "at every run"]);
        let check =
            format!("(SELECT count(*) FROM this WHERE id < CAST({expression} AS STRING)) = 0");
        is_refused(&lake(&checked(&check)), &["sql/gold/g.sql:3:1", "at every run"]);
        let view = format!(
            "/*---\nrefresh = \"view\"\n---*/\nSELECT CAST({expression} AS STRING) AS id, n FROM bronze.t"
        );
        let over = lake(&COPY.replace("bronze.t", "gold.v"));
        over.file("sql/gold/v.sql", &view);
        is_refused(&over, &["sql/gold/v.sql:4:13", "gold.g reads this view"]);
    }
    let row = lake(COPY);
    row.file("lake/gold/g.sql", "CREATE TABLE gold.g (id STRING, n BIGINT, CONSTRAINT c CHECK (id < CAST(now() AS STRING)))");
    is_refused(&row, &["lake/gold/g.sql:1:", "check `c`: now() gives something else at every run"]);
}

#[test]
fn a_view_that_nobody_stores_may_ask_for_the_time() {
    let lake = lake(COPY);
    lake.file("sql/gold/age.sql", "/*---\nrefresh = \"view\"\n---*/\nSELECT id, now() > TIMESTAMP '2026-01-01' AS is_old FROM gold.g");
    lake.ok(&["run", "all"]);
    let rows =
        lake.rows("SELECT DISTINCT is_old FROM gold.age WHERE now() > TIMESTAMP '2026-01-01'");
    assert_eq!(rows, [json!({"is_old": true})]);
}

#[test]
fn no_stored_row_depends_on_the_order_of_delivery() {
    for sql in [
        "SELECT id, n FROM bronze.t LIMIT 1",
        "SELECT id, row_number() OVER () AS n FROM bronze.t",
        "SELECT first_value(id) AS id, sum(n) AS n FROM bronze.t",
        "SELECT id, n FROM bronze.t TABLESAMPLE (10 PERCENT)",
    ] {
        is_refused(&lake(sql), &["sql/gold/g.sql:1:"]);
    }
    let ordered = lake(
        "SELECT first_value(id ORDER BY id) AS id, sum(n) AS n FROM (SELECT id, n FROM bronze.t ORDER BY id LIMIT 1)",
    );
    ordered.ok(&["run", "all"]);
    assert_eq!(ordered.rows("SELECT id, n FROM gold.g"), [json!({"id": "a", "n": 1})]);
}

#[test]
fn a_query_whose_columns_no_contract_can_name_is_told_so() {
    let lake = Lake::with(&[BRONZE, ("sql/gold/g.sql", "SELECT id AS \"Id\", n FROM bronze.t")]);
    lake.run(&["check", "--write"])
        .says(2, &["sql/gold/g.sql", "column `Id` is not in snake_case"]);
    lake.file("sql/gold/g.sql", COPY);
    lake.ok(&["check", "--write"]);
}
