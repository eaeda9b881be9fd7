//! How a table's rows are computed: a plain SELECT with a TOML header in its leading comment.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::ops::Range;

use sha2::{Digest, Sha256};
use sqlparser::ast::{Statement, visit_relations};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use crate::contract::TableName;
use crate::mistake::{Mistake, did_you_mean, find_word};

/// How a model's table is brought up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// New rows only, for row-wise models.
    Append,
    /// All rows of the touched keys.
    Key,
    /// Whole touched partitions.
    Partition,
    /// Everything.
    Full,
    /// Nothing is stored: the query runs when it is read.
    View,
}

/// A check on the set of rows about to be committed: SQL that must be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetCheck {
    /// Its name in the header.
    pub name: String,
    /// A scalar boolean expression; `this` is the rows about to be committed.
    pub expression: String,
    /// Where the file has it.
    pub span: Range<usize>,
}

/// One model.
#[derive(Clone, Debug)]
pub struct Model {
    /// The table it computes.
    pub name: TableName,
    /// Its file, below the project's folder.
    pub file: String,
    /// The file's whole text: a SELECT that any SQL console can run.
    pub text: String,
    /// What one row is.
    pub about: String,
    /// How it is brought up to date.
    pub refresh: Refresh,
    /// Checks that run before the commit.
    pub checks: Vec<SetCheck>,
    /// The tables it reads, in the order of their names.
    pub inputs: Vec<TableName>,
    /// Where the file names each input first.
    pub input_spans: BTreeMap<TableName, Range<usize>>,
    /// Changes when the query or its checks change, not when its comments do.
    pub fingerprint: String,
}

const OPEN: &str = "/*---";
const CLOSE: &str = "---*/";
const HEADER_KEYS: &[&str] = &["about", "owner", "refresh", "check"];
const REFRESH_NAMES: &[(&str, Refresh)] = &[
    ("append", Refresh::Append),
    ("key", Refresh::Key),
    ("partition", Refresh::Partition),
    ("full", Refresh::Full),
    ("view", Refresh::View),
];

/// Reads the model of `name` from the text of `file`.
///
/// # Errors
/// Every mistake in the file, with its place.
pub fn parse(name: &TableName, file: &str, text: &str) -> Result<Model, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let header = read_header(file, text, &mut mistakes);
    let statement = match select(file, text) {
        Ok(statement) => Some(statement),
        Err(mistake) => {
            mistakes.push(mistake);
            None
        }
    };
    let (Some(statement), true) = (statement, mistakes.is_empty()) else { return Err(mistakes) };
    let inputs = tables_of(&statement);
    let input_spans = inputs
        .iter()
        .filter_map(|input| Some((input.clone(), find_in_body(text, &input.to_string())?)))
        .collect();
    let mut digest = Sha256::new();
    digest.update(statement.to_string());
    for check in &header.checks {
        digest.update([0]);
        digest.update(&check.expression);
    }
    Ok(Model {
        name: name.clone(),
        file: file.to_owned(),
        text: text.to_owned(),
        about: header.about,
        refresh: header.refresh,
        checks: header.checks,
        inputs,
        input_spans,
        fingerprint: hex::encode(&digest.finalize()[..8]),
    })
}

/// The tables that a statement reads: names of two parts; others are its own CTEs.
pub fn tables_of(statement: &Statement) -> Vec<TableName> {
    let mut tables = Vec::new();
    let _ = visit_relations(statement, |relation| {
        tables.extend(TableName::parse(&relation.to_string()));
        ControlFlow::<()>::Continue(())
    });
    tables.sort();
    tables.dedup();
    tables
}

fn select(file: &str, text: &str) -> Result<Statement, Mistake> {
    let statements = Parser::parse_sql(&GenericDialect {}, text)
        .map_err(|error| crate::contract::syntax_mistake(file, text, &error.to_string()))?;
    let mut statements = statements.into_iter();
    match (statements.next(), statements.next()) {
        (Some(statement @ Statement::Query(_)), None) => Ok(statement),
        _ => Err(Mistake::new(file, "a model is one SELECT and nothing else")),
    }
}

struct Header {
    about: String,
    refresh: Refresh,
    checks: Vec<SetCheck>,
}

fn read_header(file: &str, text: &str, mistakes: &mut Vec<Mistake>) -> Header {
    let mut header = Header { about: String::new(), refresh: Refresh::Full, checks: Vec::new() };
    let Some(start) = text.find(OPEN).filter(|start| text[..*start].trim().is_empty()) else {
        header.about = crate::contract::leading_comment(text);
        return header;
    };
    let body_start = start + OPEN.len();
    let Some(length) = text[body_start..].find(CLOSE) else {
        mistakes.push(
            Mistake::new(file, format!("the header is not closed by {CLOSE}"))
                .span(start..body_start),
        );
        return header;
    };
    let body = &text[body_start..body_start + length];
    let table: toml::Table = match body.parse() {
        Ok(table) => table,
        Err(error) => {
            let span = error.span().unwrap_or(0..body.len());
            mistakes.push(
                Mistake::new(file, error.message().to_owned())
                    .span(body_start + span.start..body_start + span.end),
            );
            return header;
        }
    };
    for (name, value) in &table {
        read_key(file, text, name, value, &mut header, mistakes);
    }
    header
}

fn read_key(
    file: &str,
    text: &str,
    name: &str,
    value: &toml::Value,
    header: &mut Header,
    mistakes: &mut Vec<Mistake>,
) {
    match (name, value) {
        ("about", toml::Value::String(about)) => header.about.clone_from(about),
        ("owner", toml::Value::String(_)) => {}
        ("refresh", toml::Value::String(refresh)) => {
            match REFRESH_NAMES.iter().find(|(known, _)| known == refresh) {
                Some((_, refresh)) => header.refresh = *refresh,
                None => mistakes.push(
                    Mistake::new(
                        file,
                        format!(
                            "refresh `{refresh}` is not one of append, key, partition, full, view"
                        ),
                    )
                    .find(text, refresh),
                ),
            }
        }
        ("check", toml::Value::Table(checks)) => {
            for (name, value) in checks {
                let span = find_word(text, name).unwrap_or_default();
                match value.as_str() {
                    Some(expression) => header.checks.push(SetCheck {
                        name: name.clone(),
                        expression: expression.to_owned(),
                        span,
                    }),
                    None => mistakes.push(
                        Mistake::new(file, format!("check `{name}` is not a string of SQL"))
                            .span(span),
                    ),
                }
            }
        }
        (known, _) if HEADER_KEYS.contains(&known) => {
            mistakes.push(
                Mistake::new(file, format!("`{known}` has a value of the wrong type"))
                    .find(text, known),
            );
        }
        (unknown, _) => {
            let mut mistake = Mistake::new(file, format!("unknown key `{unknown}` in the header"))
                .find(text, unknown);
            mistake.hint = did_you_mean(unknown, HEADER_KEYS.iter().copied())
                .map(|known| format!("did you mean `{known}`?"));
            mistakes.push(mistake);
        }
    }
}

/// The first occurrence of `word` behind the header.
fn find_in_body(text: &str, word: &str) -> Option<Range<usize>> {
    let from = text.find(CLOSE).map_or(0, |at| at + CLOSE.len());
    find_word(&text[from..], word).map(|span| from + span.start..from + span.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = "/*---\nabout = \"One row per day.\"\nrefresh = \"full\"\n[check]\nsome = \"(SELECT count(*) FROM this) > 0\"\n---*/\nWITH c AS (SELECT day FROM bronze.clicks)\nSELECT day, count(*) AS n FROM c GROUP BY day\n";

    fn read(text: &str) -> Result<Model, Vec<Mistake>> {
        parse(&TableName::new("gold", "days"), "sql/gold/days.sql", text)
    }

    #[test]
    fn a_model_names_its_inputs_and_checks() {
        let model = read(MODEL).unwrap();
        assert_eq!(model.inputs, [TableName::new("bronze", "clicks")]);
        assert_eq!(model.checks[0].name, "some");
        assert_eq!(model.about, "One row per day.");
        assert!(model.input_spans.contains_key(&model.inputs[0]));
    }

    #[test]
    fn comments_do_not_change_the_fingerprint_and_code_does() {
        let fingerprint = |text: &str| read(text).unwrap().fingerprint;
        let commented = MODEL.replace("WITH c", "-- clicks\nWITH  c");
        assert_eq!(fingerprint(MODEL), fingerprint(&commented));
        assert_ne!(fingerprint(MODEL), fingerprint(&MODEL.replace("AS n", "AS m")));
        assert_ne!(fingerprint(MODEL), fingerprint(&MODEL.replace("> 0", "> 1")));
    }

    #[test]
    fn mistakes_in_header_and_body_have_places() {
        let mistakes =
            read(&MODEL.replace("about", "abuot").replace("\"full\"", "\"fuul\"")).unwrap_err();
        assert_eq!(mistakes.len(), 2, "{mistakes:?}");
        assert!(mistakes.iter().all(|mistake| mistake.span.is_some()));
        let mistakes = read(&MODEL.replace("GROUP BY", "GRUOP BY")).unwrap_err();
        assert!(mistakes[0].span.is_some(), "{mistakes:?}");
        assert!(read("DROP TABLE x").is_err());
    }
}
