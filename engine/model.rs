//! How a table's rows are computed: a plain SELECT with a TOML header in its leading comment.
//!
//! What the SELECT and the set checks read are the model's inputs, however SQL spells their names:
//! nothing else is there when the model runs, and a change of any of them makes it due.

use std::collections::BTreeMap;
use std::ops::Range;

use sha2::{Digest, Sha256};
use sqlparser::ast::Statement;

use crate::contract::{Fault, Reads, TableName, Text};
use crate::mistake::Mistake;

mod header;

use header::{Header, read_header};

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

impl SetCheck {
    /// A query that counts one where the check is false. NULL passes, as in SQL. In a WHERE there may
    /// be subqueries of every kind, which a list of columns does not take.
    pub fn broken_sql(&self) -> String {
        format!("SELECT count(*) FROM (SELECT 1) WHERE NOT ({}\n)", self.expression)
    }
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
    /// The tables that it and its checks read, in the order of their names.
    pub inputs: Vec<TableName>,
    /// Where the file names each input first.
    pub input_spans: BTreeMap<TableName, Range<usize>>,
    /// The functions that it and its checks call, as the planner looks them up, and where first.
    pub functions: BTreeMap<String, Range<usize>>,
    /// What makes its rows depend on the order in which other rows come: mistakes where they are stored.
    pub unsteady: Vec<Mistake>,
    /// Changes when the query or its checks change, not when its comments do.
    pub fingerprint: String,
}

/// Reads the model of `name` from the text of `file`.
///
/// # Errors
/// Every mistake in the file, with its place.
pub fn parse(name: &TableName, file: &str, text: &str) -> Result<Model, Vec<Mistake>> {
    let text = Text::new(file, text);
    let mut mistakes = Vec::new();
    let header = read_header(&text, &mut mistakes);
    let statement = select(&text).map_err(|mistake| mistakes.push(mistake)).ok();
    let Some(statement) = statement else { return Err(mistakes) };
    let Header { about, refresh, checks } = header;
    let mut model = Model {
        name: name.clone(),
        file: file.to_owned(),
        text: text.sql.to_owned(),
        about,
        refresh,
        fingerprint: fingerprint(&statement, checks.iter().map(|(check, _)| check)),
        checks: Vec::new(),
        inputs: Vec::new(),
        input_spans: BTreeMap::new(),
        functions: BTreeMap::new(),
        unsteady: Vec::new(),
    };
    let reads = Reads::of(&statement);
    for (alone, span) in &reads.alone {
        mistakes.push(no_layer(&text, alone, text.range(*span)));
    }
    take(&text, reads, None, &mut model, &mut mistakes);
    for (check, reads) in checks {
        if refresh == Refresh::View {
            let message =
                format!("check `{}` would never run: a view is never committed", check.name);
            mistakes.push(text.mistake(
                message,
                Some(check.span.clone()),
                "move it to a model that reads the view and is stored",
            ));
        }
        if reads.tables.is_empty() && reads.alone.is_empty() {
            let message =
                format!("check `{}` reads no table: it is the same for all rows", check.name);
            mistakes.push(text.mistake(
                message,
                Some(check.span.clone()),
                "read the new rows, as in (SELECT count(*) FROM this) > 0",
            ));
        }
        for alone in reads.alone.keys().filter(|alone| *alone != THIS) {
            mistakes.push(no_layer(&text, alone, Some(check.span.clone())));
        }
        take(&text, reads, Some(&check), &mut model, &mut mistakes);
        model.checks.push(check);
    }
    model.inputs = model.input_spans.keys().cloned().collect();
    if mistakes.is_empty() { Ok(model) } else { Err(mistakes) }
}

/// What a check calls the rows that are about to be committed.
const THIS: &str = "this";

fn no_layer(text: &Text<'_>, name: &str, place: Option<Range<usize>>) -> Mistake {
    let hint = match name {
        THIS => "only the checks in the header read the new rows; a model cannot read itself",
        _ => "a table is named with its layer, as in bronze.orders; a name alone is one of a WITH",
    };
    text.mistake(format!("there is no table `{name}`"), place, hint)
}

/// Adds what a piece of the file reads. In a check, whose text is inside of TOML, the place of all
/// of it is the check's.
fn take(
    text: &Text<'_>,
    reads: Reads,
    check: Option<&SetCheck>,
    model: &mut Model,
    mistakes: &mut Vec<Mistake>,
) {
    let place = |span| match check {
        Some(check) => Some(check.span.clone()),
        None => text.range(span),
    };
    let mistake = |fault: Fault| {
        let message = match check {
            Some(check) => format!("check `{}`: {}", check.name, fault.message),
            None => fault.message,
        };
        text.mistake(message, place(fault.span), fault.hint)
    };
    for (table, span) in reads.tables {
        model.input_spans.entry(table).or_insert_with(|| place(span).unwrap_or_default());
    }
    for (function, span) in reads.functions {
        model.functions.entry(function).or_insert_with(|| place(span).unwrap_or_default());
    }
    mistakes.extend(reads.wrong.into_iter().map(mistake));
    if check.is_some() {
        mistakes.extend(reads.null_comparisons.into_iter().map(mistake));
    }
    model.unsteady.extend(reads.unsteady.into_iter().map(mistake));
}

/// Changes when the SELECT or a check changes, and not when a comment or a space does.
fn fingerprint<'a>(statement: &Statement, checks: impl Iterator<Item = &'a SetCheck>) -> String {
    let mut digest = Sha256::new();
    digest.update(statement.to_string());
    for check in checks {
        digest.update([0]);
        digest.update(&check.expression);
    }
    hex::encode(&digest.finalize()[..8])
}

fn select(text: &Text<'_>) -> Result<Statement, Mistake> {
    let mut statements = text.statements()?.into_iter();
    match (statements.next(), statements.next()) {
        (Some(statement @ Statement::Query(_)), None) => Ok(statement),
        _ => Err(Mistake::new(text.file, "a model is one SELECT and nothing else")),
    }
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

    /// The mistakes of a model, each with what its place shows.
    fn mistakes(text: &str) -> Vec<(String, String)> {
        let shown = |mistake: &Mistake| {
            let place = mistake.span.clone().map_or("nowhere", |span| &text[span]);
            (mistake.message.clone(), place.to_owned())
        };
        read(text).err().unwrap_or_default().iter().map(shown).collect()
    }

    #[track_caller]
    fn is_one_mistake(text: &str, part: &str, place: &str) {
        let found = mistakes(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].0.contains(part), "{text}: {found:?}");
        assert_eq!(found[0].1, place, "{text}");
    }

    #[test]
    fn every_spelling_of_a_table_is_the_same_input() {
        for name in [
            "bronze.t",
            "\"bronze\".\"t\"",
            "BRONZE.T",
            "lake.bronze.t",
            "\"lake\".\"bronze\".\"t\"",
        ] {
            let model = read(&format!("SELECT a FROM {name}")).unwrap();
            assert_eq!(model.inputs, [TableName::new("bronze", "t")], "{name}");
            let place = model.input_spans[&model.inputs[0]].clone();
            assert_eq!(&model.text[place], name);
        }
    }

    #[test]
    fn a_table_without_a_layer_is_a_mistake_and_a_cte_is_not() {
        is_one_mistake("SELECT a FROM orders", "there is no table `orders`", "orders");
        is_one_mistake("SELECT a FROM this", "there is no table `this`", "this");
        is_one_mistake("SELECT a FROM x.bronze.t", "no catalog `x`", "x.bronze.t");
        assert_eq!(
            mistakes("WITH orders AS (SELECT a FROM bronze.orders) SELECT a FROM Orders"),
            []
        );
    }

    #[test]
    fn a_header_stands_once_and_first() {
        let header = "/*---\nrefresh = \"view\"\n---*/";
        assert_eq!(mistakes(&format!("\n  {header} SELECT a FROM s.t")), []);
        is_one_mistake(&format!("-- note\n{header}\nSELECT a FROM s.t"), "at the start", "/*---");
        is_one_mistake(&format!("SELECT a FROM s.t {header}"), "at the start", "/*---");
        is_one_mistake(&format!("{header} SELECT a {header} FROM s.t"), "one header", "/*---");
        is_one_mistake("/* --- */ SELECT a FROM s.t", "no header", "/* --");
        is_one_mistake("/*--é */ SELECT a FROM s.t", "no header", "/*--é");
        assert_eq!(mistakes("/* note */ SELECT '/*---' AS a FROM s.t"), []);
    }

    fn checked(check: &str) -> String {
        format!("/*---\n[check]\nc1 = {check:?}\n---*/\nSELECT a FROM s.t")
    }

    #[test]
    fn what_a_check_reads_is_an_input() {
        let model = read(&checked("(SELECT count(*) FROM this) = (SELECT count(*) FROM S.Other)"));
        let names: Vec<String> = model.unwrap().inputs.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["s.other", "s.t"]);
    }

    #[test]
    fn a_check_is_one_expression_on_rows() {
        assert_eq!(mistakes(&checked("(SELECT count(*) FROM this) > 0 -- some")), []);
        assert_eq!(
            mistakes(&checked(
                "NOT EXISTS (WITH w AS (SELECT a FROM this) SELECT 1 FROM w LIMIT 1)"
            )),
            []
        );
        for (check, part) in [
            ("", "no expression"),
            ("count(*) > 0 FROM this", "no expression"),
            ("true; SELECT 1", "no expression"),
            ("(SELECT a FROM this) = 1, true", "no expression"),
            ("1 = 1", "reads no table"),
            ("(SELECT max(a) FROM this) = NULL", "is never true"),
            ("(SELECT max(a) FROM thus) = 1", "there is no table `thus`"),
        ] {
            is_one_mistake(&checked(check), part, "c1");
        }
    }

    #[test]
    fn a_view_has_no_checks() {
        let view = checked("(SELECT count(*) FROM this) > 0")
            .replace("[check]", "refresh = \"view\"\n[check]");
        is_one_mistake(&view, "would never run", "c1");
    }

    #[test]
    fn what_depends_on_the_order_of_rows_is_noted_with_its_place() {
        let model = read("SELECT a FROM s.t LIMIT 3").unwrap();
        assert_eq!(model.unsteady.len(), 1);
        assert!(model.unsteady[0].span.is_some());
        assert!(read("SELECT a FROM s.t ORDER BY a LIMIT 3").unwrap().unsteady.is_empty());
    }

    #[test]
    fn who_owns_a_model_does_not_change_its_fingerprint_and_a_check_does() {
        let fingerprint = |text: &str| read(text).unwrap().fingerprint;
        let owned = MODEL.replace("refresh", "owner = \"us\"\nrefresh");
        assert_eq!(fingerprint(MODEL), fingerprint(&owned));
        assert_eq!(fingerprint(MODEL), fingerprint(&MODEL.replace("One row", "A row")));
    }
}
