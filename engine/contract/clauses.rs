//! What a `CREATE TABLE` may say elsewhere and a contract may not: nobody would do it.
//!
//! The parser takes the clauses of a dozen databases. One that the engine passed over in silence
//! would be a promise that nobody keeps, so each is a mistake with the place and what to write.

use sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use sqlparser::ast::{
    CreateTable, CreateTableOptions, HiveDistributionStyle, ObjectName, TableConstraint,
};

use super::forms::BEHIND;
use super::text::Text;
use crate::mistake::Mistake;

const LEAVE_OUT: &str = "leave it out: the contract alone says what the table is";
const IN_PARENTHESES: &str = "write PRIMARY KEY (…) inside of the parentheses";
const PARTITIONED_BY: &str = "write PARTITIONED BY (column, …)";
const PROPERTIES: &str = "write TBLPROPERTIES ('name' = 'value', …)";

/// Every clause of a contract that has no effect.
pub(super) fn without_effect(text: &Text<'_>, table: &CreateTable) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let behind = text.behind_columns();
    let clauses = before(table).map(|clause| (clause, 0)).into_iter();
    for ((present, words, hint), from) in clauses.chain(after(table).map(|clause| (clause, behind)))
    {
        if present {
            let first = words.split('/').next().unwrap_or_default();
            let place = words.split('/').find_map(|words| text.keywords(words, from));
            let written = place.clone().map_or(first, |place| &text.sql[place]);
            mistakes.push(text.mistake(
                format!("{written} has no effect in a contract"),
                place,
                hint,
            ));
        }
    }
    if mistakes.is_empty()
        && let Some(place) = text.strange_clause()
    {
        let word = &text.sql[place.clone()];
        let hint = if word.eq_ignore_ascii_case("WITH") {
            PROPERTIES
        } else if place.start < behind {
            LEAVE_OUT
        } else {
            BEHIND
        };
        let message = format!("{word} has no effect in a contract");
        mistakes.push(text.mistake(message, Some(place), hint));
    }
    if mistakes.is_empty() && has_more(table) {
        mistakes.push(text.mistake(
            "a clause of the CREATE TABLE has no effect in a contract",
            Some(behind..text.sql.trim_end().len()).filter(|place| place.start < place.end),
            BEHIND,
        ));
    }
    mistakes
}

type Clause = (bool, &'static str, &'static str);

/// Clauses before the columns: whether each is there, its words, and the way out.
fn before(table: &CreateTable) -> [Clause; 10] {
    [
        (table.or_replace, "OR REPLACE", LEAVE_OUT),
        (table.temporary, "TEMPORARY/TEMP", LEAVE_OUT),
        (table.external, "EXTERNAL", LEAVE_OUT),
        (table.global.is_some(), "GLOBAL/LOCAL", LEAVE_OUT),
        (table.transient, "TRANSIENT", LEAVE_OUT),
        (table.volatile, "VOLATILE", LEAVE_OUT),
        (table.iceberg, "ICEBERG", "leave it out: tables are Delta tables"),
        (table.dynamic, "DYNAMIC", LEAVE_OUT),
        (table.snapshot, "SNAPSHOT", LEAVE_OUT),
        (table.if_not_exists, "IF NOT EXISTS", LEAVE_OUT),
    ]
}

/// Clauses behind the columns.
fn after(table: &CreateTable) -> [Clause; 21] {
    let formats = table.hive_formats.as_ref();
    let storage = formats.is_some_and(|formats| formats.storage.is_some());
    let partitioned = matches!(table.hive_distribution, HiveDistributionStyle::SKEWED { .. });
    let options = |wanted: fn(&CreateTableOptions) -> bool| wanted(&table.table_options);
    [
        (options(|o| matches!(o, CreateTableOptions::With(_))), "WITH", PROPERTIES),
        (options(|o| matches!(o, CreateTableOptions::Options(_))), "OPTIONS", PROPERTIES),
        (
            options(|o| matches!(o, CreateTableOptions::Plain(_))),
            "COMMENT/ENGINE/AUTO_INCREMENT/CHARSET/COLLATE",
            "write what the table is as a comment in the first lines, -- One row per …; properties are TBLPROPERTIES",
        ),
        (partitioned, "SKEWED BY", PARTITIONED_BY),
        (
            storage || table.file_format.is_some(),
            "STORED AS/USING",
            "leave it out: tables are Parquet files with a Delta log",
        ),
        (formats.is_some_and(|formats| formats.row_format.is_some()), "ROW FORMAT", LEAVE_OUT),
        (
            formats.is_some_and(|formats| formats.serde_properties.is_some()),
            "WITH SERDEPROPERTIES/SERDEPROPERTIES",
            PROPERTIES,
        ),
        (
            table.location.is_some() || formats.is_some_and(|formats| formats.location.is_some()),
            "LOCATION",
            "leave it out: a table lies below the setting `root`",
        ),
        (table.query.is_some(), "AS/SELECT", "write the query into sql/<layer>/<table>.sql"),
        (table.like.is_some(), "LIKE", "write the columns"),
        (table.clone.is_some(), "CLONE", "write the columns"),
        (
            table.comment.is_some(),
            "COMMENT",
            "write what the table is as a comment in the first lines: -- One row per …",
        ),
        (table.primary_key.is_some(), "PRIMARY KEY", IN_PARENTHESES),
        (table.order_by.is_some(), "ORDER BY", LEAVE_OUT),
        (table.partition_by.is_some(), "PARTITION BY", PARTITIONED_BY),
        (table.cluster_by.is_some(), "CLUSTER BY", PARTITIONED_BY),
        (table.clustered_by.is_some(), "CLUSTERED BY", PARTITIONED_BY),
        (table.inherits.is_some(), "INHERITS", "write the columns"),
        (table.on_commit.is_some(), "ON COMMIT", LEAVE_OUT),
        (table.strict, "STRICT", "leave it out: types are always strict"),
        (table.without_rowid, "WITHOUT ROWID", LEAVE_OUT),
    ]
}

/// Whether the parser has read anything else that a contract does not use.
fn has_more(table: &CreateTable) -> bool {
    let known = CreateTableBuilder::new(ObjectName(Vec::new())).build();
    let mut rest = table.clone();
    rest.name = known.name.clone();
    rest.columns.clear();
    rest.constraints.clear();
    rest.hive_distribution = known.hive_distribution.clone();
    rest.table_options = known.table_options.clone();
    rest != known
}

/// A constraint that is no key and no check: its words, and the way out.
pub(super) fn constraint_without_effect(
    constraint: &TableConstraint,
) -> Option<(&'static str, &'static str)> {
    match constraint {
        TableConstraint::PrimaryKey(_) | TableConstraint::Unique(_) | TableConstraint::Check(_) => {
            None
        }
        TableConstraint::ForeignKey(_) => Some((
            "FOREIGN KEY",
            "write a set check into the model's header, as in (SELECT count(*) FROM this WHERE id NOT IN (SELECT id FROM silver.other)) = 0",
        )),
        TableConstraint::FulltextOrSpatial(_) => {
            Some(("FULLTEXT/SPATIAL", "leave it out: tables have no indexes"))
        }
        _ => Some(("INDEX/KEY/USING INDEX", "leave it out: tables have no indexes")),
    }
}
