//! Names of tables, columns and fields: which are allowed, and which table an SQL name means.
//!
//! A name is a folder on disk and in S3, a word in SQL of many engines, and a word in messages. Plain
//! names are the same in all of them, also where a file system or an engine ignores case.

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::TableName;

/// The catalog that holds every table: `lake.silver.events` is `silver.events`.
pub const CATALOG: &str = "lake";

/// The greatest length of a name: folders and files have at most 255 bytes, and other names are
/// made from these.
const LENGTH_MAX: usize = 128;

/// Words that mean something else where a layer is named.
const RESERVED_LAYERS: &[&str] =
    &["all", "information_schema", "maintain", "ops", "public", "this"];

/// What a plain name is, in words.
pub(crate) const PLAIN: &str = "use a-z, 0-9 and _, starting with a letter, at most 128 of them";

/// Whether a name is a word in lower case: `order_items2`.
pub(crate) fn is_plain(name: &str) -> bool {
    name.len() <= LENGTH_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// A name as SQL that means exactly this name, whether it is a keyword or not.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names as a list of columns in SQL.
pub fn quoted_list(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    names.join(", ")
}

/// The name that an identifier means: without quotes it is in lower case.
pub(crate) fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

/// What stands where SQL names a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A table of a layer.
    Table(TableName),
    /// One word: a CTE, or `this`.
    Alone(String),
    /// No table of a lake can have this name: why not.
    Nothing(String),
}

/// Which table a name in SQL means: `bronze.t`, `"bronze"."t"`, `BRONZE.T` and `lake.bronze.t` are one.
pub(crate) fn table_named(name: &ObjectName) -> Named {
    let mut parts = Vec::new();
    for part in &name.0 {
        match part {
            ObjectNamePart::Identifier(ident) => parts.push(folded(ident)),
            ObjectNamePart::Function(_) => {
                return Named::Nothing(format!("`{name}` is no table"));
            }
        }
    }
    match parts.as_slice() {
        [alone] => Named::Alone(alone.clone()),
        [layer, table] => Named::Table(TableName::new(layer, table)),
        [catalog, layer, table] if catalog == CATALOG => Named::Table(TableName::new(layer, table)),
        [catalog, ..] => Named::Nothing(format!(
            "`{name}` is no table: there is no catalog `{catalog}`, only {CATALOG}"
        )),
        [] => Named::Nothing("a table has no name".to_owned()),
    }
}

/// The table that a text means as SQL would, also with its catalog, in quotes or in capitals.
pub fn spelled(text: &str) -> Option<TableName> {
    let parser = Parser::new(&GenericDialect {}).try_with_sql(text);
    let mut parser = parser.ok()?;
    let name = parser.parse_object_name(false).ok()?;
    match (table_named(&name), &parser.peek_token().token) {
        (Named::Table(table), Token::EOF) => Some(table),
        _ => None,
    }
}

/// Why no table may have a name, and the way out.
pub(crate) fn objection(name: &TableName) -> Option<(String, String)> {
    let TableName { layer, table } = name;
    for (what, part) in [("layer", layer), ("table", table)] {
        if !is_plain(part) {
            return Some((
                format!("`{part}` is no name for a {what}"),
                format!("{PLAIN}: the folder and the file give the table its name"),
            ));
        }
    }
    RESERVED_LAYERS.contains(&layer.as_str()).then(|| {
        (
            format!("no layer can be called `{layer}`"),
            "the word means something else in a run or in SQL: call the folder otherwise"
                .to_owned(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax;

    fn named(sql: &str) -> Named {
        table_named(&syntax::parse(sql, |parser| parser.parse_object_name(false)).unwrap())
    }

    #[test]
    fn one_table_has_many_spellings() {
        let t = Named::Table(TableName::new("bronze", "t"));
        for sql in
            ["bronze.t", "\"bronze\".\"t\"", "BRONZE.T", "lake.bronze.t", "\"lake\".Bronze.\"t\""]
        {
            assert_eq!(named(sql), t, "{sql}");
        }
        for text in ["GOLD.Days", "lake.gold.days", " \"gold\" . \"days\" "] {
            assert_eq!(spelled(text), Some(TableName::new("gold", "days")), "{text}");
        }
        for text in ["", "gold", "gold.days x", "gold.days, gold.b", "other.gold.days"] {
            assert_eq!(spelled(text), None, "{text}");
        }
        assert_eq!(named("bronze.\"T\""), Named::Table(TableName::new("bronze", "T")));
        assert_eq!(named("This"), Named::Alone("this".to_owned()));
        assert!(matches!(named("other.bronze.t"), Named::Nothing(_)));
        assert!(matches!(named("x.lake.bronze.t"), Named::Nothing(_)));
    }

    #[test]
    fn names_are_plain_or_refused() {
        for name in ["a", "orders_2", &"x".repeat(128)] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", "_a", "2a", "Orders", "a-b", "a b", "a#b", "é", "a\"b", &"x".repeat(129)]
        {
            assert!(!is_plain(name), "{name}");
        }
        assert_eq!(objection(&TableName::new("gold", "orders")), None);
        for (layer, table) in [
            ("gold", "Orders"),
            ("_lake", "a"),
            ("public", "a"),
            ("information_schema", "tables"),
            ("a.b", "c"),
        ] {
            assert!(objection(&TableName::new(layer, table)).is_some(), "{layer}.{table}");
        }
    }

    #[test]
    fn a_quoted_name_is_one_name() {
        assert_eq!(quoted("from"), "\"from\"");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
