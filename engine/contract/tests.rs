//! What a contract says has an effect, or is a mistake with its place.

use super::*;
use crate::mistake::Mistake;

fn read(text: &str) -> Result<Contract, Vec<Mistake>> {
    parse(&TableName::new("bronze", "clicks"), "lake/bronze/clicks.sql", text)
}

const GOOD: &str = "-- One row per click.\nCREATE TABLE bronze.clicks (\n  id VARCHAR(8) NOT NULL COMMENT 'who',\n  at TIMESTAMP,\n  place STRUCT<x BIGINT, y BIGINT>,\n  CONSTRAINT right_side CHECK (place.x >= 0)\n)\nPARTITIONED BY (_ingest_date)\nTBLPROPERTIES ('lake.source' = 'folder:clicks', 'lake.else.right_side' = 'drop at most 1%', 'lake.comment.place.x' = 'pixels');\n";

#[test]
fn a_contract_is_read_whole() {
    let contract = read(GOOD).unwrap();
    assert_eq!(contract.about, "One row per click.");
    assert_eq!(contract.columns.len(), 3);
    assert_eq!(contract.fields().len(), 12);
    assert_eq!(contract.checks[0].violation.action, OnViolation::Drop);
    assert_eq!(contract.comment("place.x"), Some("pixels"));
    assert_eq!(contract.partition_by, ["_ingest_date"]);
}

#[test]
fn all_mistakes_are_found_with_their_place() {
    let text = GOOD
        .replace("at TIMESTAMP", "At TIMESTAMP, id UUID")
        .replace("(_ingest_date)", "(_ingest_dat)")
        .replace("lake.source", "lake.sorce")
        .replace("lake.else.right_side", "lake.else.left_side");
    let mistakes = read(&text).unwrap_err();
    let shown: Vec<String> = mistakes.iter().map(|mistake| mistake.message.clone()).collect();
    for part in ["snake_case", "twice", "UUID", "_ingest_dat", "lake.sorce", "names no check"] {
        assert!(shown.iter().any(|message| message.contains(part)), "{part}: {shown:?}");
    }
    assert!(mistakes.iter().all(|mistake| mistake.span.is_some()), "{mistakes:?}");
}

#[test]
fn a_syntax_error_has_a_place() {
    let mistakes = read("CREATE TABLE bronze.clicks (\n  id STRING NOT NUL\n)").unwrap_err();
    let span = mistakes[0].span.clone().unwrap();
    assert_eq!(span.start, 41, "{mistakes:?}");
}

/// A contract of a table that a model computes.
fn computed(columns: &str, behind: &str) -> String {
    format!("CREATE TABLE gold.sums (id STRING, n BIGINT, other BIGINT{columns}){behind}")
}

/// The mistakes of a contract, each with what its place shows.
fn mistakes_in(text: &str) -> Vec<(String, String)> {
    let table = if text.contains("gold.sums") { ("gold", "sums") } else { ("bronze", "clicks") };
    let name = TableName::new(table.0, table.1);
    let found = parse(&name, "lake/x/y.sql", text).err().unwrap_or_default();
    let shown = |mistake: &Mistake| {
        let place = mistake.span.clone().map_or("nowhere", |span| &text[span]);
        (mistake.message.clone(), place.to_owned())
    };
    found.iter().map(shown).collect()
}

#[track_caller]
fn is_one_mistake(text: &str, part: &str, place: &str) {
    let found = mistakes_in(text);
    assert_eq!(found.len(), 1, "{text}: {found:?}");
    assert!(found[0].0.contains(part), "{text}: {found:?}");
    assert_eq!(found[0].1, place, "{text}: {found:?}");
}

#[test]
fn keys_and_checks_beside_a_column_have_an_effect() {
    let text = "CREATE TABLE gold.sums (
        id STRING PRIMARY KEY,
        n BIGINT NOT NULL CHECK (n > 0) CONSTRAINT small CHECK (n < 9) COMMENT 'pieces',
        code STRING NULL UNIQUE,
        UNIQUE (n, \"code\"),
        CONSTRAINT named UNIQUE (id, n))";
    let contract = parse(&TableName::new("gold", "sums"), "lake/gold/sums.sql", text).unwrap();
    assert_eq!(contract.primary_key, ["id"]);
    assert_eq!(contract.unique, [vec!["code"], vec!["n", "code"], vec!["id", "n"]]);
    let checks: Vec<(&str, &str)> =
        contract.checks.iter().map(|c| (c.name.as_str(), c.expression.as_str())).collect();
    assert_eq!(checks, [("n_check", "n > 0"), ("small", "n < 9")]);
    assert!(contract.columns[1].not_null && contract.columns[1].comment.is_some());
}

#[test]
fn a_default_beside_a_column_is_the_one_of_a_property() {
    let source = "TBLPROPERTIES ('lake.source' = 'folder:clicks')";
    let contract = read(&format!(
        "CREATE TABLE bronze.clicks (a BIGINT DEFAULT 7, b INT DEFAULT -1, c STRING DEFAULT NULL) {source}"
    ))
    .unwrap();
    let default = |name: &str| contract.properties.get(name).map(String::as_str);
    assert_eq!(default("lake.default.a"), Some("7"));
    assert_eq!(default("lake.default.b"), Some("-1"));
    assert_eq!(default("lake.default.c"), None);
    for column in [
        "a STRING DEFAULT 'x'",
        "a BIGINT DEFAULT 1.5",
        "a INT DEFAULT 3000000000",
        "a BIGINT DEFAULT (1 + 1)",
        "a BIGINT DEFAULT now()",
    ] {
        is_one_mistake(
            &format!("CREATE TABLE bronze.clicks ({column}) {source}"),
            "is no default for `a`",
            "a",
        );
    }
    is_one_mistake(&computed(", m BIGINT DEFAULT 1", ""), "has no source", "m");
}

#[test]
fn names_in_quotes_are_the_same_names() {
    let text = "CREATE TABLE \"gold\".\"sums\" (\"order\" STRING, \"from\" STRING, PRIMARY KEY (\"order\", \"from\")) PARTITIONED BY (\"from\")";
    let contract = parse(&TableName::new("gold", "sums"), "lake/gold/sums.sql", text).unwrap();
    assert_eq!(contract.primary_key, ["order", "from"]);
    assert_eq!(contract.partition_by, ["from"]);
    assert_eq!(mistakes_in(&computed(", PRIMARY KEY (ID)", "")), []);
    let words =
        "CREATE TABLE gold.sums (true STRING, current_date STRING, UNIQUE (true, current_date))";
    let contract = parse(&TableName::new("gold", "sums"), "lake/gold/sums.sql", words).unwrap();
    assert_eq!(contract.unique, [["true", "current_date"]]);
    is_one_mistake(&computed(", PRIMARY KEY (\"ID\")", ""), "which is no column", "\"ID\"");
}

#[test]
fn a_column_says_nothing_that_has_no_effect() {
    for (column, place) in [
        ("m BIGINT GENERATED ALWAYS AS (n + 1) STORED", "GENERATED"),
        ("m STRING COLLATE latin1", "COLLATE"),
        ("m STRING REFERENCES gold.other (id)", "REFERENCES"),
        ("m BIGINT AUTO_INCREMENT", "AUTO_INCREMENT"),
        ("m STRING CHARACTER SET utf8", "CHARACTER"),
    ] {
        is_one_mistake(&computed(&format!(", {column}"), ""), "has no effect", place);
    }
    for (column, part) in [
        ("m STRING NOT NULL NOT NULL", "twice"),
        ("m STRING COMMENT 'a' COMMENT 'b'", "twice"),
        ("m STRING NULL NOT NULL", "NULL and NOT NULL"),
        ("m INT(5)", "has no effect"),
        ("m TIMESTAMP(3)", "has no effect"),
        ("m TIMESTAMP WITHOUT TIME ZONE", "is not supported"),
        ("m BINARY(5)", "has no effect"),
        ("m STRING(5)", "VARCHAR(5)"),
        ("m VARCHAR(10 OCTETS)", "counts characters"),
        ("m VARCHAR(0)", "1 or more"),
        ("m DECIMAL(10, -2)", "out of range"),
        ("M STRING", "snake_case"),
        ("_m STRING", "snake_case"),
        ("\"m m\" STRING", "snake_case"),
    ] {
        let found = mistakes_in(&computed(&format!(", {column}"), ""));
        assert_eq!(found.len(), 1, "{column}: {found:?}");
        assert!(found[0].0.contains(part) && found[0].1 != "nowhere", "{column}: {found:?}");
    }
    for column in [
        "m VARCHAR(10)",
        "m TIMESTAMP(6)",
        "m TIMESTAMP WITH TIME ZONE",
        "m INTEGER",
        "m DECIMAL(38, 0)",
    ] {
        assert_eq!(mistakes_in(&computed(&format!(", {column}"), "")), [], "{column}");
    }
}

#[test]
fn fields_of_a_struct_are_named_as_columns_are() {
    let with = |fields: &str| {
        format!(
            "CREATE TABLE bronze.clicks (s STRUCT<{fields}>) TBLPROPERTIES ('lake.source' = 'folder:clicks')"
        )
    };
    assert_eq!(mistakes_in(&with("x BIGINT, y STRUCT<x BIGINT>")), []);
    for (fields, part) in [
        ("x BIGINT, X BIGINT", "snake_case"),
        ("x BIGINT, x STRING", "two fields `x`"),
        ("\"a\"\"b\" BIGINT", "snake_case"),
        ("y STRUCT<aB BIGINT>", "snake_case"),
        ("\"a.b\" BIGINT", "snake_case"),
    ] {
        is_one_mistake(&with(fields), part, "s");
    }
}

#[test]
fn a_key_is_columns_and_nothing_more() {
    for (key, part, place) in [
        ("PRIMARY KEY (nn)", "which is no column", "nn"),
        ("PRIMARY KEY (id, id)", "twice", "id"),
        ("PRIMARY KEY (id DESC)", "no effect in a key", "id"),
        ("PRIMARY KEY (n + 1)", "no column of its own", "n + 1"),
        ("PRIMARY KEY (id) NOT ENFORCED", "says more than", "PRIMARY KEY"),
        ("PRIMARY KEY (id) DEFERRABLE", "says more than", "PRIMARY KEY"),
        ("PRIMARY KEY (id), PRIMARY KEY (n)", "two primary keys", "PRIMARY KEY"),
        ("UNIQUE NULLS NOT DISTINCT (id)", "says more than", "UNIQUE"),
        ("UNIQUE (id), UNIQUE (id)", "a key twice", "UNIQUE"),
        ("FOREIGN KEY (id) REFERENCES gold.other (id)", "no effect", "FOREIGN KEY"),
        ("INDEX by_id (id)", "no effect", "INDEX"),
    ] {
        is_one_mistake(&computed(&format!(", {key}"), ""), part, place);
    }
    assert_eq!(mistakes_in(&computed(", PRIMARY KEY (id), UNIQUE (id), UNIQUE (n, id)", "")), []);
    for key in ["PRIMARY KEY (id)", "UNIQUE (id)", "primary key"] {
        let (columns, key) = if key == "UNIQUE (id)" {
            ("a STRING", ", UNIQUE (a)")
        } else {
            ("a STRING PRIMARY KEY", "")
        };
        let text = format!(
            "CREATE TABLE bronze.clicks ({columns}{key}) TBLPROPERTIES ('lake.source' = 'folder:clicks')"
        );
        let found = mistakes_in(&text);
        assert!(found.len() == 1 && found[0].0.contains("records may come twice"), "{found:?}");
    }
}

#[test]
fn a_check_reads_its_row_and_can_be_false() {
    for (check, part, place) in [
        ("CHECK (n > 0)", "has no name", "n > 0"),
        ("CONSTRAINT c CHECK (n > 0) NOT ENFORCED", "NOT ENFORCED", "NOT ENFORCED"),
        ("CONSTRAINT c CHECK (1 = 1)", "reads no column", "c"),
        ("CONSTRAINT c CHECK (true)", "reads no column", "c"),
        ("CONSTRAINT c CHECK (NULL)", "reads no column", "c"),
        ("CONSTRAINT c CHECK (n <> NULL)", "never true", "n <> NULL"),
        (
            "CONSTRAINT c CHECK (n IN (SELECT n FROM gold.other))",
            "a query",
            "SELECT n FROM gold.other",
        ),
        ("CONSTRAINT c CHECK (n > 0), CONSTRAINT C CHECK (n < 9)", "twice", "C"),
        ("CONSTRAINT \"c d\" CHECK (n > 0)", "no name for a check", "\"c d\""),
    ] {
        is_one_mistake(&computed(&format!(", {check}"), ""), part, place);
    }
    assert_eq!(
        mistakes_in(&computed(", CONSTRAINT c CHECK (n > 0 AND n IS NOT NULL) ENFORCED", "")),
        []
    );
}

#[test]
fn a_table_says_nothing_that_has_no_effect() {
    for (clause, place) in [
        (" WITH (a = 1)", "WITH"),
        (" OPTIONS (a = 1)", "OPTIONS"),
        (" LOCATION '/data/x'", "LOCATION"),
        (" STORED AS PARQUET", "STORED AS"),
        (" ENGINE = InnoDB", "ENGINE"),
        (" AS SELECT 1", "AS"),
        (" ORDER BY (id)", "ORDER BY"),
        (" PARTITION BY id", "PARTITION BY"),
        (" CLUSTER BY (id)", "CLUSTER BY"),
        (" CLUSTERED BY (id) INTO 4 BUCKETS", "CLUSTERED BY"),
        (" ON COMMIT DROP", "ON COMMIT"),
    ] {
        let text = computed(" COMMENT 'x'", clause);
        is_one_mistake(&text, "no effect in a contract", place);
    }
    for words in [
        "OR REPLACE TABLE",
        "TEMPORARY TABLE",
        "EXTERNAL TABLE",
        "TABLE IF NOT EXISTS",
        "TRANSIENT TABLE",
    ] {
        let text = computed("", "").replacen("TABLE", words, 1);
        let place = words.replace("TABLE", "");
        is_one_mistake(&text, "no effect in a contract", place.trim());
    }
    let like = "CREATE TABLE gold.sums LIKE gold.other";
    assert!(
        mistakes_in(like)
            .iter()
            .any(|(message, place)| message.contains("no effect") && place == "LIKE")
    );
    is_one_mistake(
        &computed("", " PARTITIONED BY (day DATE)").replace("(id STRING", "(day DATE, id STRING"),
        "column of its own",
        "day",
    );
    is_one_mistake(&format!("/*---\n---*/\n{}", computed("", "")), "no header", "/*---\n---*/");
}

#[test]
fn the_folders_of_a_table_have_names_that_readers_take() {
    for (columns, part) in
        [("(id, id)", "twice"), ("(ix)", "which is no column"), ("(id, n, other)", "every column")]
    {
        let found = mistakes_in(&computed("", &format!(" PARTITIONED BY {columns}")));
        assert_eq!(found.len(), 1, "{columns}: {found:?}");
        assert!(found[0].0.contains(part), "{columns}: {found:?}");
    }
    assert_eq!(mistakes_in(&computed("", " PARTITIONED BY (id, n)")), []);
}

#[test]
fn a_property_is_set_once_to_a_text_that_means_something() {
    let bronze = |more: &str| {
        format!(
            "CREATE TABLE bronze.clicks (id STRING, n BIGINT, j JSON, day DATE) PARTITIONED BY (day) TBLPROPERTIES ('lake.source' = 'folder:clicks'{more})"
        )
    };
    assert_eq!(
        mistakes_in(&bronze(
            ", 'lake.personal' = 'id', 'lake.default.n' = '1', 'lake.comment.id' = 'who'"
        )),
        []
    );
    for (more, part, place) in [
        (", 'lake.personal' = 'id', 'lake.personal' = 'id'", "set twice", "'lake.personal'"),
        (", 'lake.source' = 'folder:more'", "set twice", "'lake.source'"),
        (", 'delta.checkpointInterval' = 10", "is not a text", "'delta.checkpointInterval'"),
        (", 'lake.personal' = 'id, id'", "twice", "id"),
        (", 'lake.personal' = 'n'", "cannot be personal", "n"),
        (", 'lake.personal' = 'j'", "cannot be personal", "j"),
        (", 'lake.personal' = 'idd'", "which is no column", "idd"),
        (", 'lake.personal' = 'id ='", "no domain", "id"),
        (", 'lake.personal' = '_source_file'", "the engine's", "_source_file"),
        (", 'lake.distinct' = 'id, n, id'", "twice", "id"),
        (", 'lake.present' = ''", "is empty", "'lake.present'"),
        (", 'lake.else.small' = 'warn'", "names no check", "'lake.else.small'"),
        (", 'lake.comment.idd' = 'who'", "which is no column", "'lake.comment.idd'"),
        (", 'lake.default.idd' = '1'", "which is no column", "'lake.default.idd'"),
        (", 'lake.default.n' = 'one'", "is no default", "'lake.default.n'"),
    ] {
        is_one_mistake(&bronze(more), part, place);
    }
    is_one_mistake(
        &bronze("")
            .replace("id STRING", "id STRING COMMENT 'x'")
            .replace(":clicks'", ":clicks', 'lake.comment.id' = 'who'"),
        "COMMENT already",
        "'lake.comment.id'",
    );
    let found = mistakes_in(
        &bronze("")
            .replace("PARTITIONED BY (day)", "PARTITIONED BY (id)")
            .replace(":clicks'", ":clicks', 'lake.personal' = 'id'"),
    );
    assert!(found.len() == 1 && found[0].0.contains("would name folders"), "{found:?}");
}

#[test]
fn what_is_said_of_records_needs_a_source() {
    for (property, value) in [
        ("lake.personal", "id"),
        ("lake.empty_strings", "keep"),
        ("lake.present", "id"),
        ("lake.default.n", "1"),
    ] {
        let text = computed("", &format!(" TBLPROPERTIES ('{property}' = '{value}')"));
        is_one_mistake(&text, "has no source", &format!("'{property}'"));
    }
    let text = computed("", " TBLPROPERTIES ('lake.distinct' = 'id', 'lake.comment.n' = 'x')");
    assert_eq!(mistakes_in(&text), []);
}

#[test]
fn records_fill_no_bytes_and_no_decimals() {
    let of = |column: &str, behind: &str| {
        format!("CREATE TABLE bronze.clicks (id STRING, {column}){behind}")
    };
    let source = " TBLPROPERTIES ('lake.source' = 'folder:clicks')";
    for (column, part, place) in [
        ("b BINARY", "cannot fill `b`: it is BINARY", "b"),
        ("d DECIMAL(10, 2)", "cannot fill `d`: it is DECIMAL(10, 2)", "d"),
        ("s STRUCT<x INT, y STRUCT<d DECIMAL(10, 2)>>", "cannot fill `s.y.d`", "s"),
    ] {
        is_one_mistake(&of(column, source), part, place);
        assert_eq!(mistakes_in(&of(column, "")), []);
    }
    assert_eq!(mistakes_in(&of("s STRUCT<x INT, y DOUBLE>", source)), []);
}

#[test]
fn each_folder_is_named_once() {
    let from = |sources: &str| {
        format!(
            "CREATE TABLE bronze.clicks (id STRING) TBLPROPERTIES ('lake.source' = '{sources}')"
        )
    };
    assert_eq!(mistakes_in(&from("folder:orders, kafka:orders, folder:orders-eu")), []);
    is_one_mistake(&from("folder:orders, folder:orders"), "twice", "folder:orders");
    is_one_mistake(
        &from("folder:orders, folder:orders/eu"),
        "lie in each other",
        "folder:orders/eu",
    );
    is_one_mistake(&from("kafka:o, kafka:p, kafka:o"), "twice", "kafka:o");
    let text = from("folder:orders#2").replace(" TBL", " PARTITIONED BY (_ingest_date) TBL");
    is_one_mistake(&text, "names no folder", "'lake.source'");
}

#[test]
fn a_tolerance_has_an_effect_or_is_a_mistake() {
    let check = ", CONSTRAINT c CHECK (n > 0)";
    let otherwise = |text: &str| format!(" TBLPROPERTIES ('lake.else.c' = '{text}')");
    for text in ["fail", "warn at most 1%", "drop at most 0.5%"] {
        assert_eq!(mistakes_in(&computed(check, &otherwise(text))), [], "{text}");
    }
    let text = computed(check, &otherwise("fail at most 1%"));
    is_one_mistake(&text, "tolerance has no effect", "'lake.else.c'");
    let text = computed(check, &otherwise("quarantine at most 1%"));
    is_one_mistake(&text, "cannot go to quarantine", "'lake.else.c'");
    is_one_mistake(&computed(check, &otherwise("ignore")), "is not one of", "'lake.else.c'");
    // Where records come in, it says when the table is unhealthy.
    let sourced = "CREATE TABLE bronze.clicks (n BIGINT, CONSTRAINT c CHECK (n > 0)) TBLPROPERTIES ('lake.source' = 'folder:clicks', 'lake.else.c' = 'fail at most 1%')";
    assert_eq!(mistakes_in(sourced), []);
}
