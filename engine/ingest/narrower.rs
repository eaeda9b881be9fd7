//! Rows that a table of records holds already, and that a narrower contract does not take any more:
//! a new check, `VARCHAR(2)` or `JSON` for a text. They stay, and are counted once for each change,
//! in one look at the columns that it is about.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StructArray, new_null_array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use futures::StreamExt;
use serde::de::IgnoredAny;

use super::way_out_of_damage;
use crate::contract::{Check, Contract, OnViolation, Type, TypedField, Violation, quoted};
use crate::error::{Error, Result};
use crate::mistake::to_error;
use crate::query::{Query, limits, translate};
use crate::rowcheck::{RowChecks, Violations, fits_lengths};
use crate::table::{NARROWED_PROPERTY, Table};
use crate::world::World;

/// The property of a table that says which texts have a limit: `a VARCHAR(2),b.c JSON`.
const LIMITS_PROPERTY: &str = "lake.limits";

/// The limits of a contract's texts as a property.
pub(super) fn noted(contract: &Contract) -> (String, String) {
    let limits = limits_of(contract);
    let limits: Vec<String> =
        limits.iter().map(|(path, limit)| format!("{path} {}", limit.written())).collect();
    (LIMITS_PROPERTY.to_owned(), limits.join(","))
}

/// What a text must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Varchar(u64),
    Json,
}

impl Limit {
    fn written(self) -> String {
        match self {
            Self::Varchar(max) => format!("VARCHAR({max})"),
            Self::Json => "JSON".to_owned(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let max = text.strip_prefix("VARCHAR(").and_then(|rest| rest.strip_suffix(')'));
        match max {
            Some(max) => max.parse().ok().map(Self::Varchar),
            None => (text == "JSON").then_some(Self::Json),
        }
    }

    /// Whether texts that kept to `before` may break this.
    fn is_narrower(self, before: Option<Self>) -> bool {
        match (self, before) {
            (Self::Varchar(now), Some(Self::Varchar(before))) => now < before,
            (now, before) => before != Some(now),
        }
    }
}

fn limits_of(contract: &Contract) -> BTreeMap<String, Limit> {
    fn add(field: &TypedField, above: &str, limits: &mut BTreeMap<String, Limit>) {
        let path = format!("{above}{}", field.name);
        match &field.data_type {
            Type::Text { max: Some(max) } => {
                limits.insert(path, Limit::Varchar(*max));
            }
            Type::Json => {
                limits.insert(path, Limit::Json);
            }
            Type::Struct(fields) => {
                for inner in fields {
                    add(inner, &format!("{path}."), limits);
                }
            }
            _ => {}
        }
    }
    let mut limits = BTreeMap::new();
    for column in &contract.columns {
        add(&column.field, "", &mut limits);
    }
    limits
}

/// What of a contract rows of the table may break that were taken before.
#[derive(Debug, Default)]
pub(super) struct Narrower {
    checks: Vec<Check>,
    limits: BTreeMap<String, Limit>,
}

impl Narrower {
    /// What is narrower in the contract than it was when the table was written last; `None` if the
    /// table has no rows, or nothing changed. Where rows broke it before, all of it is looked at.
    pub(super) fn of(table: &Table, contract: &Contract) -> Result<Option<Self>> {
        if contract.sources.is_empty() || table.n_files()? == 0 {
            return Ok(None);
        }
        let before = table.property(LIMITS_PROPERTY)?.unwrap_or_default();
        let before: BTreeMap<&str, Limit> = before
            .split(',')
            .filter_map(|part| part.rsplit_once(' '))
            .filter_map(|(path, limit)| Some((path, Limit::parse(limit)?)))
            .collect();
        let (limits, mut checks) = (limits_of(contract), Vec::new());
        let mut is_changed = before.len() != limits.len();
        for check in &contract.checks {
            let held = table.property(&format!("lake.check.{}", check.name))?;
            if held.as_ref() != Some(&check.expression) {
                checks.push(check.clone());
            }
        }
        let is = |path: &String| before.get(path.as_str()).copied();
        is_changed |= limits.iter().any(|(path, limit)| is(path) != Some(*limit));
        is_changed |= !checks.is_empty() || table.n_checks()? != contract.checks.len();
        if !is_changed {
            return Ok(None);
        }
        if table.property(NARROWED_PROPERTY)?.is_some() {
            return Ok(Some(Self { checks: contract.checks.clone(), limits }));
        }
        let limits: BTreeMap<String, Limit> =
            limits.into_iter().filter(|(path, limit)| limit.is_narrower(is(path))).collect();
        Ok(Some(Self { checks, limits }))
    }

    /// Whether there is nothing to look at.
    fn is_empty(&self) -> bool {
        self.checks.is_empty() && self.limits.is_empty()
    }

    /// The columns that it is about.
    fn columns(&self, contract: &Contract) -> Vec<String> {
        let is_meant = |name: &str| {
            let mut texts = self.checks.iter().map(|check| check.expression.to_ascii_lowercase());
            let mut paths = self.limits.keys().map(|path| path.split('.').next());
            texts.any(|text| text.contains(&name.to_ascii_lowercase()))
                || paths.any(|head| head == Some(name))
        };
        let schema = contract.schema();
        let names = schema.fields().iter().map(|field| field.name().clone());
        names.filter(|name| is_meant(name)).collect()
    }

    /// Counts the rows that break it; the empty text if there are none.
    pub(super) async fn look(
        &self,
        world: &World,
        table: &Table,
        contract: &Contract,
    ) -> Result<String> {
        if self.is_empty() {
            return Ok(String::new());
        }
        let (table, query) =
            (table.with_files().await?, Query::new(&limits(&world.settings, None)?)?);
        let failed =
            |cause| translate(&format!("cannot look at the rows of {}", table.name()), cause);
        let text = world.project.files.get(&contract.file).map_or("", String::as_str);
        let checks = RowChecks::plan(&self.as_checks(contract), text, &query)
            .map_err(|mistakes| to_error(&mistakes, &world.project.files))?;
        query.register(table.name(), table.provider()?)?;
        let have = table.schema()?;
        let columns = self.columns(contract);
        let columns = columns.iter().filter(|name| have.index_of(name).is_ok());
        let columns = columns.map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        let columns = if columns.is_empty() { "1 AS one".to_owned() } else { columns };
        let sql = format!("SELECT {columns} FROM {}", table.name());
        let frame = query.plan(&sql).await.map_err(failed)?;
        let (mut violations, schema) = (Violations::default(), contract.schema());
        let mut no_json: BTreeMap<&String, u64> = BTreeMap::new();
        for mut rows in query.streams(frame).await.map_err(failed)? {
            while let Some(rows) = rows.next().await {
                world.stop.check()?;
                let rows = conform(&rows.map_err(failed)?, &schema)?;
                for (path, _) in self.limits.iter().filter(|(_, limit)| **limit == Limit::Json) {
                    *no_json.entry(path).or_default() += n_no_json(&rows, path);
                }
                checks.sort(rows, &mut violations)?;
            }
        }
        let shown = |(name, n): (&String, &u64)| format!("{name}: {}", of_rows(*n));
        let broken = violations.by_check.iter();
        let json = no_json.iter().filter(|(_, n)| **n > 0);
        let json = json.map(|(path, n)| format!("`{path}` is no JSON: {}", of_rows(*n)));
        Ok(broken.map(shown).chain(json).collect::<Vec<_>>().join("; "))
    }

    /// The contract with no other checks than these, which set nothing aside.
    fn as_checks(&self, contract: &Contract) -> Contract {
        let mut narrow = contract.clone();
        let violation = Violation { action: OnViolation::Warn, at_most: None };
        let said = |check: &Check| Check {
            name: format!("check `{}`", check.name),
            violation,
            ..check.clone()
        };
        narrow.checks = self.checks.iter().map(said).collect();
        let lengths = fits_lengths(contract).into_iter();
        let lengths = lengths.filter(|(path, _)| self.limits.contains_key(path));
        narrow.checks.extend(lengths.map(|(path, expression)| Check {
            name: format!("`{path}` is longer than its VARCHAR"),
            expression,
            violation,
            span: 0..0,
        }));
        narrow
    }
}

fn of_rows(n: u64) -> String {
    match n {
        1 => "1 row".to_owned(),
        n => format!("{n} rows"),
    }
}

/// What is said of rows that a narrower contract does not take.
pub(super) fn told(contract: &Contract, found: &str) -> String {
    let name = &contract.name;
    format!(
        "{name}: its contract is narrower than it was, and rows that it holds break it ({found}); they stay, and new records are judged by it: loosen the contract, or {}",
        way_out_of_damage(name).trim_start_matches("restore it from a backup; or ")
    )
}

/// Rows of all columns of a contract; those that were not read are NULL.
fn conform(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let column = |field: &Arc<datafusion::arrow::datatypes::Field>| match rows
        .column_by_name(field.name())
    {
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), rows.num_rows())),
    };
    let columns: Result<Vec<ArrayRef>, _> = schema.fields().iter().map(column).collect();
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let schema = datafusion::arrow::datatypes::Schema::new(fields.collect::<Vec<_>>());
    columns
        .and_then(|columns| RecordBatch::try_new(Arc::new(schema), columns))
        .map_err(|cause| Error::internal("rows do not fit their contract").caused_by(cause))
}

/// How many texts at a path are no JSON.
fn n_no_json(rows: &RecordBatch, path: &str) -> u64 {
    let mut parts = path.split('.');
    let mut column = parts.next().and_then(|name| rows.column_by_name(name)).cloned();
    for name in parts {
        column = column.as_ref().and_then(|column| field_of(column.as_struct_opt()?, name));
    }
    let Some(column) = column.filter(|column| *column.data_type() == DataType::Utf8) else {
        return 0;
    };
    let texts = column.as_string::<i32>().iter().flatten();
    texts.filter(|text| serde_json::from_str::<IgnoredAny>(text).is_err()).count() as u64
}

/// A field of a struct, NULL where the struct is.
fn field_of(whole: &StructArray, name: &str) -> Option<ArrayRef> {
    let field = whole.column_by_name(name)?;
    match whole.nulls() {
        None => Some(Arc::clone(field)),
        Some(nulls) => {
            let nulls = datafusion::arrow::buffer::NullBuffer::union(Some(nulls), field.nulls());
            let data = field.to_data().into_builder().nulls(nulls).build().ok()?;
            Some(datafusion::arrow::array::make_array(data))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{TableName, parse};

    #[test]
    fn limits_are_noted_with_their_paths_and_narrower_ones_are_known() {
        let text = "CREATE TABLE bronze.t (a VARCHAR(2), b STRUCT<c JSON, d STRING>, e STRING) TBLPROPERTIES ('lake.source' = 'folder:t')";
        let contract = parse(&TableName::new("bronze", "t"), "t.sql", text).unwrap();
        assert_eq!(noted(&contract).1, "a VARCHAR(2),b.c JSON");
        for limit in [Limit::Varchar(7), Limit::Json] {
            assert_eq!(Limit::parse(&limit.written()), Some(limit));
            assert!(limit.is_narrower(None) && !limit.is_narrower(Some(limit)));
        }
        assert!(Limit::Varchar(2).is_narrower(Some(Limit::Varchar(3))));
        assert!(!Limit::Varchar(3).is_narrower(Some(Limit::Varchar(2))));
        assert!(Limit::Json.is_narrower(Some(Limit::Varchar(2))));
    }
}
