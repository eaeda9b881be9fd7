//! Reads a contract from its `CREATE TABLE`.
//!
//! Whatever the file says has an effect, or is a mistake with its place: every part that the parser
//! reads is used here, or refused here or in [`super::clauses`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use sqlparser::ast::{
    ColumnDef, ColumnOption, CreateTable, CreateTableOptions, DataType, Expr,
    HiveDistributionStyle, Spanned, SqlOption, Statement, UnaryOperator, Value,
};
use sqlparser::parser::ParserError;

use super::clauses::without_effect;
use super::forms::{self, Form};
use super::names::{Named, PLAIN, folded, is_plain, table_named};
use super::properties::{entries, known, objection};
use super::text::{Text, leading_comment, syntax_mistake};
use super::types::way_out;
use super::{Column, Contract, Personal, Source, SourceKind, TableName, Type, TypedField};
use crate::mistake::{Mistake, did_you_mean};
use crate::syntax;

/// Reads the contract of `name` from the text of `file`.
///
/// # Errors
/// Every mistake in the file, with its place.
pub fn parse(name: &TableName, file: &str, text: &str) -> Result<Contract, Vec<Mistake>> {
    let text = Text::new(file, text);
    let (table, comment) = create_table(&text).map_err(|mistake| vec![mistake])?;
    let mut reader = Reader { text, mistakes: Vec::new(), keys: BTreeMap::new() };
    let mut contract = reader.contract(name, &table);
    contract.about = comment.unwrap_or(contract.about);
    if reader.mistakes.is_empty() { Ok(contract) } else { Err(reader.mistakes) }
}

/// The CREATE TABLE of a file, and its COMMENT.
fn create_table(text: &Text<'_>) -> Result<(CreateTable, Option<String>), Mistake> {
    let told = |error: ParserError| syntax_mistake(text.file, text.sql, &error.to_string());
    let tokens = syntax::tokens(text.sql).map_err(told)?;
    let form = Form::of(&tokens);
    let statements = syntax::parse_tokens(form.tokens, |parser| parser.parse_statements());
    let statements =
        statements.map_err(|error| forms::mistake(text, &tokens).unwrap_or_else(|| told(error)))?;
    let mut statements = statements.into_iter();
    match (statements.next(), statements.next()) {
        (Some(Statement::CreateTable(table)), None) => Ok((table, form.comment)),
        _ => Err(Mistake::new(text.file, "a contract is one CREATE TABLE and nothing else")),
    }
}

/// Reads one file and collects its mistakes.
pub(super) struct Reader<'a> {
    pub(super) text: Text<'a>,
    pub(super) mistakes: Vec<Mistake>,
    /// Where each property is set.
    pub(super) keys: BTreeMap<String, Range<usize>>,
}

impl Reader<'_> {
    fn contract(&mut self, name: &TableName, table: &CreateTable) -> Contract {
        if table_named(&table.name) != Named::Table(name.clone()) {
            let message = format!("the contract in {} is of {}", self.text.file, table.name);
            let hint = format!("the file's path says {name}: rename one of them");
            self.refuse(message, self.text.range(table.name.span()), &hint);
        }
        for (place, _) in self.text.headers() {
            self.refuse(
                "a contract has no header",
                Some(place),
                "refresh and set checks belong into the model's file in sql/",
            );
        }
        self.mistakes.extend(without_effect(&self.text, table));
        let mut contract = Contract {
            name: name.clone(),
            file: self.text.file.to_owned(),
            about: leading_comment(self.text.sql),
            columns: Vec::new(),
            primary_key: Vec::new(),
            unique: Vec::new(),
            checks: Vec::new(),
            partition_by: self.partition_by(table),
            sources: Vec::new(),
            personal: Vec::new(),
            properties: BTreeMap::new(),
        };
        self.properties(table, &mut contract);
        for part in
            contract.properties.get("lake.source").into_iter().flat_map(|text| entries(text))
        {
            match Source::parse(part) {
                Ok(source) => contract.sources.push(source),
                Err(message) => {
                    self.refuse(message, self.keys.get("lake.source").cloned(), "");
                    // The table has a source all the same, and so the columns of one.
                    let name = part.to_owned();
                    contract.sources.push(Source { kind: SourceKind::Folder, name });
                }
            }
        }
        let personal = contract.properties.get("lake.personal");
        contract.personal =
            personal.into_iter().flat_map(|text| entries(text)).map(Personal::parse).collect();
        for definition in &table.columns {
            self.column(definition, &mut contract);
        }
        if contract.columns.is_empty() {
            self.refuse("the contract has no columns", None, "");
        }
        for constraint in &table.constraints {
            self.constraint(constraint, &mut contract);
        }
        self.references(&contract);
        contract
    }

    pub(super) fn refuse(
        &mut self,
        message: impl Into<String>,
        place: Option<Range<usize>>,
        hint: &str,
    ) {
        self.mistakes.push(self.text.mistake(message, place, hint));
    }

    fn properties(&mut self, table: &CreateTable, contract: &mut Contract) {
        let CreateTableOptions::TableProperties(options) = &table.table_options else { return };
        for option in options {
            let SqlOption::KeyValue { key, value } = option else {
                let place = self.text.range(option.span());
                self.refuse(format!("`{option}` is no property"), place, "write 'name' = 'value'");
                continue;
            };
            let name = key.value.clone();
            let nth = usize::from(self.keys.contains_key(&name));
            let place = self.text.string(&name, nth).unwrap_or_else(|| self.text.ident(key));
            let value = match value {
                Expr::Value(value) => match &value.value {
                    Value::SingleQuotedString(text) => Some(text.clone()),
                    _ => None,
                },
                _ => None,
            };
            let Some(value) = value else {
                let message = format!("property `{name}` is not a text");
                self.refuse(message, Some(place), "write its value in single quotes");
                continue;
            };
            if let Some(objection) = objection(&name, &value) {
                let hint = did_you_mean(&name.to_lowercase(), known())
                    .filter(|known| *known != name)
                    .map(|known| format!("did you mean `{known}`?"));
                let message = format!("property `{name}` cannot be set: {objection}");
                self.refuse(message, Some(place.clone()), &hint.unwrap_or_default());
            } else if self.keys.contains_key(&name) {
                self.refuse(
                    format!("property `{name}` is set twice"),
                    Some(place),
                    "leave one of the two out",
                );
                continue;
            }
            self.keys.insert(name.clone(), place);
            contract.properties.insert(name, value);
        }
    }

    fn column(&mut self, definition: &ColumnDef, contract: &mut Contract) {
        let name = definition.name.value.clone();
        let span = self.text.ident(&definition.name);
        if !is_plain(&name) {
            let hint = format!("{PLAIN}; names with a leading _ are the engine's");
            self.refuse(format!("column `{name}` is not in snake_case"), Some(span.clone()), &hint);
        }
        if contract.columns.iter().any(|column| column.field.name == name) {
            self.refuse(format!("column `{name}` appears twice"), Some(span.clone()), "");
        }
        let data_type = Type::from_sql(&definition.data_type).unwrap_or_else(|message| {
            let hint = way_out(&definition.data_type).unwrap_or_default();
            self.refuse(message, Some(span.clone()), &hint);
            Type::Text { max: None }
        });
        let mut column =
            Column { field: TypedField { name, data_type }, not_null: false, comment: None, span };
        self.options(definition, &mut column, contract);
        contract.columns.push(column);
    }

    /// The words behind a column's type: each has an effect, once.
    fn options(&mut self, definition: &ColumnDef, column: &mut Column, contract: &mut Contract) {
        let mut seen = BTreeSet::new();
        for defined in &definition.options {
            let words = match &defined.option {
                ColumnOption::Comment(comment) => {
                    column.comment = Some(comment.clone());
                    "COMMENT"
                }
                ColumnOption::NotNull => {
                    column.not_null = true;
                    "NOT NULL"
                }
                ColumnOption::Null => "NULL",
                ColumnOption::Default(value) => {
                    self.default(value, column, contract);
                    "DEFAULT"
                }
                ColumnOption::PrimaryKey(key) => {
                    self.primary_key(key, vec![column.field.name.clone()], contract);
                    "PRIMARY KEY"
                }
                ColumnOption::Unique(key) => {
                    self.unique(key, vec![column.field.name.clone()], contract);
                    "UNIQUE"
                }
                ColumnOption::Check(check) => {
                    let name = match defined.name.as_ref().or(check.name.as_ref()) {
                        Some(name) => (folded(name), self.text.ident(name)),
                        None => (format!("{}_check", column.field.name), column.span.clone()),
                    };
                    self.check(check, name, contract);
                    continue;
                }
                other => {
                    let message =
                        format!("`{other}` of column `{}` has no effect", column.field.name);
                    let place = self.option_place(&column.span, other);
                    self.refuse(message, place, "a column has NOT NULL, DEFAULT, CHECK (…), PRIMARY KEY, UNIQUE and COMMENT, and nothing else");
                    continue;
                }
            };
            if !seen.insert(words) {
                let message = format!("column `{}` has {words} twice", column.field.name);
                self.refuse(message, Some(column.span.clone()), "leave one of the two out");
            }
        }
        if seen.contains("NULL") && seen.contains("NOT NULL") {
            let message = format!("column `{}` is NULL and NOT NULL", column.field.name);
            self.refuse(message, Some(column.span.clone()), "leave one of the two out");
        }
    }

    /// Where an option without effect stands: at its first word behind the column's name.
    fn option_place(&self, column: &Range<usize>, option: &ColumnOption) -> Option<Range<usize>> {
        let text = option.to_string();
        let word = text.split([' ', '(']).next().unwrap_or_default();
        self.text.keywords(word, column.end).or_else(|| Some(column.clone()))
    }

    /// `DEFAULT 1` is the property `lake.default`.
    fn default(&mut self, value: &Expr, column: &Column, contract: &mut Contract) {
        let name = &column.field.name;
        let literal = match value {
            Expr::Value(value) => Some((value, "")),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match expr.as_ref() {
                Expr::Value(value) => Some((value, "-")),
                _ => None,
            },
            _ => None,
        };
        let text = match literal.map(|(value, sign)| (&value.value, sign)) {
            // Which is what a record without the field gets anyway.
            Some((Value::Null, "")) => return,
            Some((Value::Number(number, _), sign)) => format!("{sign}{number}"),
            _ => {
                let message = format!("`{value}` is no default for `{name}`");
                let hint = "defaults are whole numbers, for INT and BIGINT columns";
                self.refuse(message, Some(column.span.clone()), hint);
                return;
            }
        };
        let property = format!("lake.default.{name}");
        if self.keys.contains_key(&property) {
            let message = format!("`{name}` has a default in 'lake.default' already");
            self.refuse(message, Some(column.span.clone()), "leave one of the two out");
        }
        self.keys.entry(property.clone()).or_insert_with(|| column.span.clone());
        contract.properties.insert(property, text);
    }

    fn partition_by(&mut self, table: &CreateTable) -> Vec<String> {
        let HiveDistributionStyle::PARTITIONED { columns } = &table.hive_distribution else {
            return Vec::new();
        };
        for column in columns {
            if column.data_type != DataType::Unspecified || !column.options.is_empty() {
                let place = self.text.ident(&column.name);
                self.refuse(
                    format!("`{column}` is a column of its own in PARTITIONED BY"),
                    Some(place),
                    "write the column among the others, and its name alone in PARTITIONED BY (…)",
                );
            }
        }
        columns.iter().map(|column| folded(&column.name)).collect()
    }
}

/// The type of a field named with dots.
pub(crate) fn lookup<'a>(fields: &'a [TypedField], path: &str) -> Option<&'a Type> {
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let field = fields.iter().find(|field| field.name == head)?;
    match (rest, &field.data_type) {
        (None, data_type) => Some(data_type),
        (Some(rest), Type::Struct(fields)) => lookup(fields, rest),
        (Some(_), _) => None,
    }
}
