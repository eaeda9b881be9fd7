//! Reads a contract from its `CREATE TABLE`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use sqlparser::ast::{
    ColumnOption, CreateTable, CreateTableOptions, Expr, HiveDistributionStyle, Ident, SqlOption,
    Statement, TableConstraint, Value,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use super::properties::{objection, parts};
use super::{
    Check, Column, Contract, OnViolation, Personal, Source, TableName, Type, TypedField, Violation,
    engine_columns,
};
use crate::mistake::{Mistake, byte_at, did_you_mean, find_word};

/// Reads the contract of `name` from the text of `file`.
///
/// # Errors
/// Every mistake in the file, with its place.
pub fn parse(name: &TableName, file: &str, text: &str) -> Result<Contract, Vec<Mistake>> {
    let table = create_table(file, text).map_err(|mistake| vec![mistake])?;
    let mut reader = Reader { file, text, mistakes: Vec::new() };
    let contract = reader.contract(name, &table);
    if reader.mistakes.is_empty() { Ok(contract) } else { Err(reader.mistakes) }
}

fn create_table(file: &str, text: &str) -> Result<CreateTable, Mistake> {
    let statements = Parser::parse_sql(&GenericDialect {}, text)
        .map_err(|error| syntax_mistake(file, text, &error.to_string()))?;
    let mut statements = statements.into_iter();
    match (statements.next(), statements.next()) {
        (Some(Statement::CreateTable(table)), None) => Ok(table),
        _ => Err(Mistake::new(file, "a contract is one CREATE TABLE and nothing else")),
    }
}

/// A parser's message, its `at Line: 1, Column: 2` turned into a place in the file.
pub(crate) fn syntax_mistake(file: &str, text: &str, message: &str) -> Mistake {
    let message = message.trim_start_matches("sql parser error: ");
    let Some((what, place)) = message.split_once(" at Line: ") else {
        return Mistake::new(file, message);
    };
    let mut numbers = place.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok());
    let (line, column) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(1));
    let start = byte_at(text, line, column);
    let end = text[start..]
        .find(|c: char| c.is_whitespace() || c == ',')
        .map_or(text.len(), |n| start + n);
    Mistake::new(file, what).span(start..end.max(start))
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn contract(&mut self, name: &TableName, table: &CreateTable) -> Contract {
        let written = table.name.to_string();
        if written != name.to_string() {
            let hint = format!("the file's path says {name}: rename one of them");
            self.mistake(
                format!("the contract in {} is of {written}", self.file),
                &written,
                Some(hint),
            );
        }
        let properties = self.properties(table);
        let columns = self.columns(table);
        let checks = self.checks(table, &properties);
        let mut contract = Contract {
            name: name.clone(),
            file: self.file.to_owned(),
            about: leading_comment(self.text),
            columns,
            primary_key: primary_key(table),
            checks,
            partition_by: partition_by(table),
            sources: Vec::new(),
            personal: Vec::new(),
            properties,
        };
        for part in parts(&contract.properties, "lake.source") {
            match Source::parse(part) {
                Ok(source) => contract.sources.push(source),
                Err(message) => self.mistake(message, part, None),
            }
        }
        contract.personal =
            parts(&contract.properties, "lake.personal").into_iter().map(Personal::parse).collect();
        self.references(&contract);
        contract
    }

    fn mistake(&mut self, message: impl Into<String>, word: &str, hint: Option<String>) {
        let mut mistake = Mistake::new(self.file, message).find(self.text, word);
        mistake.hint = hint;
        self.mistakes.push(mistake);
    }

    fn place(&self, ident: &Ident) -> Range<usize> {
        let start = byte_at(self.text, ident.span.start.line, ident.span.start.column);
        start..start + ident.value.len()
    }

    fn columns(&mut self, table: &CreateTable) -> Vec<Column> {
        let mut seen = BTreeSet::new();
        let mut columns = Vec::new();
        for definition in &table.columns {
            let name = definition.name.value.clone();
            let span = self.place(&definition.name);
            if !plain_name(&name) || name.starts_with('_') {
                let mistake =
                    Mistake::new(self.file, format!("column `{name}` is not in snake_case"));
                self.mistakes.push(mistake.span(span.clone()).hint("use a-z, 0-9 and _, starting with a letter; names with a leading _ are the engine's"));
            }
            if !seen.insert(name.clone()) {
                self.mistakes.push(
                    Mistake::new(self.file, format!("column `{name}` appears twice"))
                        .span(span.clone()),
                );
            }
            let data_type = match Type::from_sql(&definition.data_type) {
                Ok(data_type) => data_type,
                Err(message) => {
                    self.mistakes.push(Mistake::new(self.file, message).span(span.clone()));
                    Type::Text { max: None }
                }
            };
            let options = || definition.options.iter().map(|option| &option.option);
            let comment = options().find_map(|option| match option {
                ColumnOption::Comment(comment) => Some(comment.clone()),
                _ => None,
            });
            let not_null = options().any(|option| matches!(option, ColumnOption::NotNull));
            columns.push(Column { field: TypedField { name, data_type }, not_null, comment, span });
        }
        if columns.is_empty() {
            self.mistakes.push(Mistake::new(self.file, "the contract has no columns"));
        }
        columns
    }

    fn checks(&mut self, table: &CreateTable, properties: &BTreeMap<String, String>) -> Vec<Check> {
        let mut checks: Vec<Check> = Vec::new();
        for constraint in &table.constraints {
            let TableConstraint::Check(check) = constraint else { continue };
            let Some(name) = &check.name else {
                self.mistakes.push(
                    Mistake::new(self.file, format!("the check `{}` has no name", check.expr))
                        .hint("write CONSTRAINT name CHECK (…): reports and quarantine name it"),
                );
                continue;
            };
            let property = format!("lake.else.{}", name.value);
            let violation = match properties.get(&property).map(|text| Violation::parse(text)) {
                Some(Ok(violation)) => violation,
                Some(Err(message)) => {
                    self.mistake(message, &property, None);
                    Violation { action: OnViolation::Quarantine, at_most: None }
                }
                None => Violation { action: OnViolation::Quarantine, at_most: None },
            };
            let (name, span) = (name.value.clone(), self.place(name));
            if checks.iter().any(|check| check.name == name) {
                self.mistakes.push(
                    Mistake::new(self.file, format!("check `{name}` appears twice"))
                        .span(span.clone()),
                );
            }
            checks.push(Check { name, expression: check.expr.to_string(), violation, span });
        }
        checks
    }

    fn properties(&mut self, table: &CreateTable) -> BTreeMap<String, String> {
        let mut properties = BTreeMap::new();
        let CreateTableOptions::TableProperties(options) = &table.table_options else {
            return properties;
        };
        for option in options {
            let SqlOption::KeyValue { key, value } = option else { continue };
            let name = key.value.clone();
            let Expr::Value(value) = value else {
                self.mistake(format!("property `{name}` is not a string"), &name, None);
                continue;
            };
            let value = match &value.value {
                Value::SingleQuotedString(text) => text.clone(),
                other => other.to_string(),
            };
            if let Some(objection) = objection(&name, &value) {
                let hint = did_you_mean(&name, super::properties::known())
                    .filter(|known| *known != name)
                    .map(|known| format!("did you mean `{known}`?"));
                self.mistake(format!("property `{name}` cannot be set: {objection}"), &name, hint);
            }
            properties.insert(name, value);
        }
        properties
    }

    /// Everything that names a column names one that exists.
    fn references(&mut self, contract: &Contract) {
        let fields = contract.fields();
        let mut wanted: Vec<(&str, &str)> = Vec::new();
        wanted.extend(contract.primary_key.iter().map(|name| ("PRIMARY KEY", name.as_str())));
        wanted.extend(contract.partition_by.iter().map(|name| ("PARTITIONED BY", name.as_str())));
        wanted.extend(
            contract.personal.iter().map(|personal| ("lake.personal", personal.path.as_str())),
        );
        for property in ["lake.present", "lake.distinct", "delta.dataSkippingStatsColumns"] {
            wanted.extend(contract.list(property).into_iter().map(|name| (property, name)));
        }
        for property in contract.properties.keys() {
            for prefix in ["lake.default.", "lake.comment."] {
                wanted.extend(property.strip_prefix(prefix).map(|name| (prefix, name)));
            }
            let check = property.strip_prefix("lake.else.");
            let value = contract.properties.get(property).map_or("", String::as_str);
            if check.is_some() && contract.sources.is_empty() && value.starts_with("quarantine") {
                self.mistake(
                    format!("`{property}`: a row that a model computes is no record, and cannot go to quarantine"),
                    property,
                    Some("fail, drop or warn; without the property such a row fails the run".to_owned()),
                );
            }
            if let Some(name) =
                check.filter(|name| !contract.checks.iter().any(|check| check.name == *name))
            {
                let names = contract.checks.iter().map(|check| check.name.as_str());
                let hint =
                    did_you_mean(name, names).map(|known| format!("did you mean `{known}`?"));
                self.mistake(
                    format!("`{property}` names no check of this contract"),
                    property,
                    hint,
                );
            }
        }
        for (place, name) in wanted {
            if lookup(&fields, name).is_none() {
                let names = fields.iter().map(|field| field.name.as_str());
                let hint =
                    did_you_mean(name, names).map(|known| format!("did you mean `{known}`?"));
                let mut mistake =
                    Mistake::new(self.file, format!("{place} names `{name}`, which is no column"));
                if let Some(span) = find_last(self.text, name) {
                    mistake = mistake.span(span);
                }
                mistake.hint = hint;
                self.mistakes.push(mistake);
            }
        }
        self.partition_types(contract, &fields);
    }

    fn partition_types(&mut self, contract: &Contract, fields: &[TypedField]) {
        for name in &contract.partition_by {
            if matches!(
                lookup(fields, name),
                Some(Type::Timestamp | Type::Struct(_) | Type::Double)
            ) {
                self.mistake(
                    format!("`{name}` cannot split the table into folders: other readers trip over its type"),
                    name,
                    Some("partition by a DATE, a STRING or an integer".to_owned()),
                );
            }
        }
        let nested = contract
            .columns
            .iter()
            .find(|column| matches!(column.field.data_type, Type::Struct(_)));
        if let Some(column) = nested.filter(|_| contract.name.layer == "gold") {
            let mistake = Mistake::new(
                self.file,
                format!("column `{}` is nested, and gold is not", column.field.name),
            );
            self.mistakes.push(
                mistake
                    .span(column.span.clone())
                    .hint("give each field a column of its own: not every BI tool reads structs"),
            );
        }
        if contract.sources.is_empty() {
            return;
        }
        if !contract.primary_key.is_empty() {
            self.mistake(
                "a table that has a source has no primary key: records may come twice",
                "PRIMARY",
                Some("remove it, and take the copies out in silver".to_owned()),
            );
        }
        if let Some(column) = contract
            .columns
            .iter()
            .find(|column| engine_columns().iter().any(|own| own.name == column.field.name))
        {
            self.mistake(
                format!("column `{}` is the engine's", column.field.name),
                &column.field.name,
                None,
            );
        }
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

fn find_last(text: &str, word: &str) -> Option<Range<usize>> {
    let mut last = find_word(text, word)?;
    while let Some(next) = find_word(&text[last.end..], word) {
        last = last.end + next.start..last.end + next.end;
    }
    Some(last)
}

fn plain_name(name: &str) -> bool {
    let rest = name.strip_prefix('_').unwrap_or(name);
    rest.starts_with(|c: char| c.is_ascii_lowercase())
        && rest.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn primary_key(table: &CreateTable) -> Vec<String> {
    let from_table = table.constraints.iter().find_map(|constraint| match constraint {
        TableConstraint::PrimaryKey(key) => {
            Some(key.columns.iter().map(|column| column.column.expr.to_string()).collect())
        }
        _ => None,
    });
    from_table.unwrap_or_default()
}

fn partition_by(table: &CreateTable) -> Vec<String> {
    match &table.hive_distribution {
        HiveDistributionStyle::PARTITIONED { columns } => {
            columns.iter().map(|column| column.name.value.clone()).collect()
        }
        _ => Vec::new(),
    }
}

/// The comment lines at the start of a file, joined to one text.
pub(crate) fn leading_comment(text: &str) -> String {
    let lines = text.lines().map(str::trim).take_while(|line| line.starts_with("--"));
    let words: Vec<&str> = lines.map(|line| line.trim_start_matches('-').trim()).collect();
    words.join(" ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
