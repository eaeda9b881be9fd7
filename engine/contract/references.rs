//! What a contract says about its columns fits them: names that exist, each once, of a type for
//! which it makes sense, in a kind of table where it has an effect.

use std::collections::BTreeSet;
use std::ops::Range;

use super::names::is_plain;
use super::parse::Reader;
use super::properties::{LISTS, entries, is_of_sources};
use super::{Contract, KEY, OnViolation, Source, Type, TypedField, engine_columns, lookup};
use crate::mistake::{did_you_mean, find_word};

impl Reader<'_> {
    /// Everything that a property or a clause says about columns.
    pub(super) fn references(&mut self, contract: &Contract) {
        let fields = contract.fields();
        self.sources(contract);
        self.types_of_records(contract);
        for list in LISTS {
            self.list(contract, list, &fields);
        }
        for personal in &contract.personal {
            let place = self.entry("lake.personal", &personal.path);
            self.exists(&fields, "lake.personal", &personal.path, place);
        }
        self.personal(contract, &fields);
        for property in contract.properties.keys() {
            for prefix in ["lake.default.", "lake.comment."] {
                if let Some(name) = property.strip_prefix(prefix) {
                    let place = self.keys.get(property).cloned();
                    self.exists(&fields, prefix, name, place);
                }
            }
            if contract.sources.is_empty() && is_of_sources(property) {
                self.at_key(
                    property,
                    format!(
                        "`{property}` has no effect: it is about records, and {} has no source",
                        contract.name
                    ),
                    "leave it out; the model decides what its columns hold",
                );
            }
        }
        self.comments(contract);
        self.on_violation(contract);
        self.defaults(contract, &fields);
        self.partitions(contract, &fields);
        self.shape(contract);
    }

    fn at_key(&mut self, property: &str, message: String, hint: &str) {
        let place = self.keys.get(property).cloned();
        self.mistakes.push(self.text.mistake(message, place, hint));
    }

    /// The place of an entry in a property's value.
    fn entry(&self, property: &str, entry: &str) -> Option<Range<usize>> {
        let key = self.keys.get(property)?.clone();
        let found = find_word(&self.text.sql[key.end..], entry)
            .map(|place| key.end + place.start..key.end + place.end);
        Some(found.unwrap_or(key))
    }

    fn exists(
        &mut self,
        fields: &[TypedField],
        says: &str,
        name: &str,
        place: Option<Range<usize>>,
    ) {
        if lookup(fields, name).is_some() {
            return;
        }
        let names = fields.iter().map(|field| field.name.as_str());
        let hint = did_you_mean(name, names).map(|known| format!("did you mean `{known}`?"));
        let message = format!("{says} names `{name}`, which is no column");
        self.mistakes.push(self.text.mistake(message, place, &hint.unwrap_or_default()));
    }

    fn sources(&mut self, contract: &Contract) {
        let Some(text) = contract.properties.get("lake.source") else { return };
        let mut sources: Vec<Source> = Vec::new();
        for part in entries(text) {
            // A part that is no source is a mistake already.
            let Ok(source) = Source::parse(part) else { continue };
            if let Some(other) = sources.iter().find(|other| other.overlaps(&source)) {
                let message = if *other == source {
                    format!("`{source}` is named twice: each record would come twice")
                } else {
                    format!("`{source}` and `{other}` lie in each other: records would come twice")
                };
                let place = self.last_entry("lake.source", part);
                self.mistakes.push(self.text.mistake(
                    message,
                    place,
                    "name each folder once; a folder's own folders are read with it",
                ));
            }
            sources.push(source);
        }
    }

    /// Records have no decimals and no bytes: JSON has neither.
    fn types_of_records(&mut self, contract: &Contract) {
        if contract.sources.is_empty() {
            return;
        }
        for column in &contract.columns {
            let Some((path, what)) = unreadable(&column.field) else { continue };
            let message = format!("records cannot fill `{path}`: it is {what}");
            self.mistakes.push(self.text.mistake(
                message,
                Some(column.span.clone()),
                "a table that has a source takes BOOLEAN, INT, BIGINT, DOUBLE, STRING, VARCHAR(n), JSON, TIMESTAMP, DATE and STRUCT<…>; keep it as a STRING, or an amount as a BIGINT of its smallest unit, and let a model cast it",
            ));
        }
    }

    /// The last place of an entry in a property's value.
    fn last_entry(&self, property: &str, entry: &str) -> Option<Range<usize>> {
        let mut last = self.entry(property, entry)?;
        let end = self.text.sql[last.end..].find('\'').map_or(last.end, |at| last.end + at);
        while let Some(next) = find_word(&self.text.sql[last.end..end], entry) {
            last = last.end + next.start..last.end + next.end;
        }
        Some(last)
    }

    fn list(&mut self, contract: &Contract, property: &str, fields: &[TypedField]) {
        let mut seen = BTreeSet::new();
        for name in contract.list(property) {
            let place = self.entry(property, name);
            self.exists(fields, property, name, place);
            if !seen.insert(name) {
                let message = format!("{property} names `{name}` twice");
                let place = self.last_entry(property, name);
                self.mistakes.push(self.text.mistake(message, place, ""));
            }
        }
        if property == "delta.dataSkippingStatsColumns"
            && contract.properties.contains_key(property)
            && contract.properties.contains_key("delta.dataSkippingNumIndexedCols")
        {
            self.at_key(
                "delta.dataSkippingNumIndexedCols",
                format!("a number of columns has no effect beside {property}, which names them"),
                "leave one of the two out",
            );
        }
    }

    fn personal(&mut self, contract: &Contract, fields: &[TypedField]) {
        let mut seen = BTreeSet::new();
        for personal in &contract.personal {
            let path = personal.path.as_str();
            let message = match lookup(fields, path) {
                _ if path.starts_with('_') && path != KEY => {
                    format!("`{path}` is the engine's and identifies nobody")
                }
                Some(data_type) if !matches!(data_type, Type::Text { .. }) => {
                    format!("`{path}` cannot be personal: it is no STRING, and a pseudonym is one")
                }
                Some(_) if contract.partition_by.iter().any(|name| name == path) => {
                    format!(
                        "`{path}` is personal and cannot split the table: it would name folders"
                    )
                }
                Some(_) if !seen.insert(path) => format!("lake.personal names `{path}` twice"),
                Some(_) if personal.domain.is_empty() => {
                    format!("`{path}` has no domain behind its `=`")
                }
                _ => continue,
            };
            let place = self.last_entry("lake.personal", path);
            self.mistakes.push(self.text.mistake(message, place, ""));
        }
    }

    /// A comment has one place: beside the column, or in a property for a nested field.
    fn comments(&mut self, contract: &Contract) {
        for column in contract.columns.iter().filter(|column| column.comment.is_some()) {
            let property = format!("lake.comment.{}", column.field.name);
            if contract.properties.contains_key(&property) {
                let message = format!("`{}` has a COMMENT already", column.field.name);
                self.at_key(&property, message, "leave one of the two out");
            }
        }
    }

    fn on_violation(&mut self, contract: &Contract) {
        for property in contract.properties.keys() {
            let Some(name) = property.strip_prefix("lake.else.") else { continue };
            let Some(check) = contract.checks.iter().find(|check| check.name == name) else {
                let names = contract.checks.iter().map(|check| check.name.as_str());
                let hint =
                    did_you_mean(name, names).map(|known| format!("did you mean `{known}`?"));
                let message = format!("`{property}` names no check of this contract");
                self.at_key(property, message, &hint.unwrap_or_default());
                continue;
            };
            if !contract.sources.is_empty() {
                continue;
            }
            if check.violation.action == OnViolation::Fail && check.violation.at_most.is_some() {
                self.at_key(
                    property,
                    format!("`{property}`: its tolerance has no effect, since the first such row fails the run"),
                    "write `warn at most …`, which keeps the rows and fails beyond, or leave the tolerance out",
                );
            }
            // One that cannot be read has its mistake already.
            let is_said = contract.properties[property].trim_start().starts_with("quarantine");
            if is_said {
                self.at_key(
                    property,
                    format!("`{property}`: a row that a model computes is no record, and cannot go to quarantine"),
                    "fail, drop or warn; without the property such a row fails the run",
                );
            }
        }
    }

    fn defaults(&mut self, contract: &Contract, fields: &[TypedField]) {
        for (property, value) in &contract.properties {
            let Some(name) = property.strip_prefix("lake.default.") else { continue };
            let fits = match lookup(fields, name) {
                Some(Type::Int) => value.parse::<i32>().is_ok(),
                Some(Type::BigInt) => value.parse::<i64>().is_ok(),
                Some(_) => false,
                // It is a mistake already.
                None => true,
            };
            if !fits {
                let message = format!("`{value}` is no default for `{name}`");
                self.at_key(
                    property,
                    message,
                    "defaults are whole numbers, for INT and BIGINT columns",
                );
            }
        }
    }

    fn partitions(&mut self, contract: &Contract, fields: &[TypedField]) {
        let mut seen = BTreeSet::new();
        for name in &contract.partition_by {
            let place = self.text.keywords("PARTITIONED BY", 0).and_then(|by| {
                let found = find_word(&self.text.sql[by.end..], name)?;
                Some(by.end + found.start..by.end + found.end)
            });
            let message = match fields.iter().find(|field| field.name == *name) {
                None => {
                    self.exists(fields, "PARTITIONED BY", name, place.clone());
                    continue;
                }
                Some(_) if !seen.insert(name) => format!("PARTITIONED BY names `{name}` twice"),
                Some(field) => match field.data_type {
                    Type::Timestamp
                    | Type::Struct(_)
                    | Type::Double
                    | Type::Decimal(..)
                    | Type::Json
                    | Type::Binary => format!(
                        "`{name}` cannot split the table into folders: other readers trip over its type"
                    ),
                    _ => continue,
                },
            };
            self.mistakes.push(self.text.mistake(
                message,
                place,
                "partition by a DATE, a STRING or an integer",
            ));
        }
        if !fields.is_empty() && fields.iter().all(|field| seen.contains(&field.name)) {
            let place = self.text.keywords("PARTITIONED BY", 0);
            let message = "every column splits the table into folders: its files would hold none";
            self.mistakes.push(self.text.mistake(
                message,
                place,
                "partition by some of the columns",
            ));
        }
    }

    /// What a table of this layer and kind may not have.
    fn shape(&mut self, contract: &Contract) {
        let nested = contract
            .columns
            .iter()
            .find(|column| matches!(column.field.data_type, Type::Struct(_)));
        if let Some(column) = nested.filter(|_| contract.name.layer == "gold") {
            self.mistakes.push(self.text.mistake(
                format!("column `{}` is nested, and gold is not", column.field.name),
                Some(column.span.clone()),
                "give each field a column of its own: not every BI tool reads structs",
            ));
        }
        if contract.sources.is_empty() {
            return;
        }
        for (key, what, words) in [
            (!contract.primary_key.is_empty(), "primary key", "PRIMARY KEY"),
            (!contract.unique.is_empty(), "unique columns", "UNIQUE"),
        ] {
            if key {
                let place = self.text.keywords(words, 0);
                self.mistakes.push(self.text.mistake(
                    format!("a table that has a source has no {what}: records may come twice"),
                    place,
                    "remove it, and take the copies out in silver",
                ));
            }
        }
        let own = engine_columns();
        for column in &contract.columns {
            if own.iter().any(|own| own.name == column.field.name) && is_plain(&column.field.name) {
                self.mistakes.push(self.text.mistake(
                    format!("column `{}` is the engine's", column.field.name),
                    Some(column.span.clone()),
                    "",
                ));
            }
        }
    }
}

/// The first field of a type that no record fills, with its path, and its type.
fn unreadable(field: &TypedField) -> Option<(String, String)> {
    match &field.data_type {
        Type::Binary => Some((field.name.clone(), "BINARY".to_owned())),
        Type::Decimal(precision, scale) => {
            Some((field.name.clone(), format!("DECIMAL({precision}, {scale})")))
        }
        Type::Struct(inner) => inner
            .iter()
            .find_map(unreadable)
            .map(|(path, what)| (format!("{}.{path}", field.name), what)),
        _ => None,
    }
}
