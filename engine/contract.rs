//! What a table is: its columns, keys, checks and properties, read from a `CREATE TABLE`.
//!
//! One contract becomes a Delta table, our checks, and (in bronze) the decoder's schema.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};

mod clauses;
mod constraints;
mod fingerprint;
mod forms;
mod names;
mod orders;
mod parse;
mod properties;
mod reads;
mod references;
#[cfg(test)]
mod tests;
mod text;
mod types;
pub use names::{CATALOG, quoted, quoted_list, spelled};
pub(crate) use names::{PLAIN, folded, is_plain, objection};
pub(crate) use parse::lookup;
pub use parse::parse;
pub use properties::{OnViolation, Personal, Source, SourceKind, Violation};
pub(crate) use reads::{Fault, Reads, functions_of};
pub(crate) use text::{Text, leading_comment, syntax_mistake};
pub use types::{Type, TypedField, sql_type};

/// The name of a table: `silver.events`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// `bronze`, `silver`, `gold`, …: the folder.
    pub layer: String,
    /// The file's name without its ending.
    pub table: String,
}

impl TableName {
    /// Splits `layer.table`.
    pub fn parse(text: &str) -> Option<Self> {
        let (layer, table) = text.split_once('.')?;
        let plain = |part: &str| !part.is_empty() && !part.contains('.');
        (plain(layer) && plain(table)).then(|| Self::new(layer, table))
    }

    /// The name of `table` in `layer`.
    pub fn new(layer: &str, table: &str) -> Self {
        Self { layer: layer.to_owned(), table: table.to_owned() }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.layer, self.table)
    }
}

/// One column of a contract.
#[derive(Clone, Debug)]
pub struct Column {
    /// Name, type and nested fields.
    pub field: TypedField,
    /// Whether a row without it breaks the contract.
    pub not_null: bool,
    /// What it means, with its unit.
    pub comment: Option<String>,
    /// Where the contract's file names it.
    pub span: Range<usize>,
}

/// A row check: a row for which the expression is false breaks the contract.
#[derive(Clone, Debug)]
pub struct Check {
    /// The constraint's name.
    pub name: String,
    /// The SQL expression; NULL passes, as in SQL.
    pub expression: String,
    /// What happens to a row that breaks it.
    pub violation: Violation,
    /// Where the contract's file has it.
    pub span: Range<usize>,
}

/// Everything that is promised about one table.
#[derive(Clone, Debug)]
pub struct Contract {
    /// The table.
    pub name: TableName,
    /// The contract's file, below the project's folder.
    pub file: String,
    /// The leading comment: what one row is.
    pub about: String,
    /// The columns, without those that the engine adds.
    pub columns: Vec<Column>,
    /// Columns that are unique together, if any.
    pub primary_key: Vec<String>,
    /// More lists of columns that are unique together; a row with a NULL in them is unique.
    pub unique: Vec<Vec<String>>,
    /// Row checks.
    pub checks: Vec<Check>,
    /// Columns that split the table into folders.
    pub partition_by: Vec<String>,
    /// Every property as written, and each `DEFAULT` as `lake.default`.
    pub properties: BTreeMap<String, String>,
    /// Where a bronze table's records come from.
    pub sources: Vec<Source>,
    /// Columns that are pseudonymised before they reach the table.
    pub personal: Vec<Personal>,
}

/// The column of a record's key in Kafka.
pub const KEY: &str = "_key";

/// The column of a record's headers in Kafka, which only a table has whose contract asks for it.
pub const HEADERS: &str = "_headers";

/// The columns that the engine adds to a table that has sources.
pub fn engine_columns() -> Vec<TypedField> {
    let field = |name: &str, data_type: Type| TypedField { name: name.to_owned(), data_type };
    vec![
        field("_topic", Type::Text { max: None }),
        field("_partition", Type::Int),
        field("_offset", Type::BigInt),
        field("_record_ts", Type::Timestamp),
        field("_ingested_at", Type::Timestamp),
        field("_ingest_date", Type::Date),
        field("_source_file", Type::Text { max: None }),
        field(KEY, Type::Text { max: None }),
        field(HEADERS, Type::Text { max: None }),
        field("_rescued_data", Type::Text { max: None }),
    ]
}

impl Contract {
    /// Every field of the table: the contract's, then the engine's.
    pub fn fields(&self) -> Vec<TypedField> {
        let mut fields: Vec<TypedField> =
            self.columns.iter().map(|column| column.field.clone()).collect();
        if !self.sources.is_empty() {
            let columns = engine_columns().into_iter();
            fields.extend(columns.filter(|own| own.name != HEADERS || self.keeps_headers()));
        }
        fields
    }

    /// Whether the table has the headers of its records.
    pub fn keeps_headers(&self) -> bool {
        self.properties.get("lake.headers").is_some_and(|kept| kept == "keep")
    }

    /// The table's Arrow schema: timestamps in microseconds UTC, plain strings.
    pub fn schema(&self) -> SchemaRef {
        let required = |name: &str| {
            self.columns.iter().any(|column| column.not_null && column.field.name == name)
        };
        let fields: Vec<Field> = self
            .fields()
            .iter()
            .map(|field| Field::new(&field.name, field.data_type.arrow(), !required(&field.name)))
            .collect();
        Arc::new(Schema::new(fields))
    }

    /// The comment of a column, or of a nested field named with dots.
    pub fn comment(&self, path: &str) -> Option<&str> {
        let column = self.columns.iter().find(|column| column.field.name == path);
        column
            .and_then(|column| column.comment.as_deref())
            .or_else(|| self.properties.get(&format!("lake.comment.{path}")).map(String::as_str))
    }

    /// A comma-separated property as a list, empty if it is not set.
    pub fn list(&self, property: &str) -> Vec<&str> {
        let text = self.properties.get(property).map_or("", String::as_str);
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
    }

    /// Whether two contracts' columns have the same names and Arrow types in the same order.
    pub fn accepts(&self, schema: &Schema) -> Result<(), String> {
        let own = self.schema();
        let names = |schema: &Schema| -> Vec<String> {
            schema.fields().iter().map(|field| field.name().clone()).collect()
        };
        if names(&own) != names(schema) {
            return Err(difference(&names(&own), &names(schema)));
        }
        for (promised, planned) in own.fields().iter().zip(schema.fields()) {
            if !compatible(promised.data_type(), planned.data_type()) {
                return Err(format!(
                    "column `{}` is {} in the contract, and {} in the query",
                    promised.name(),
                    sql_type(promised.data_type()),
                    sql_type(planned.data_type())
                ));
            }
        }
        Ok(())
    }
}

/// Types that differ only in how Arrow lays them out, or that are the literal NULL.
fn compatible(promised: &DataType, planned: &DataType) -> bool {
    use DataType::{Dictionary, Null, Struct, Timestamp, Utf8, Utf8View};
    match (promised, planned) {
        (_, Null) | (Utf8, Utf8View) => true,
        (_, Dictionary(_, value)) => compatible(promised, value),
        (Timestamp(a, za), Timestamp(b, zb)) => a == b && za.is_some() == zb.is_some(),
        (Struct(a), Struct(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|(a, b)| a.name() == b.name() && compatible(a.data_type(), b.data_type()))
        }
        _ => promised == planned,
    }
}

fn difference(promised: &[String], planned: &[String]) -> String {
    let missing: Vec<&str> =
        promised.iter().filter(|name| !planned.contains(name)).map(String::as_str).collect();
    let extra: Vec<&str> =
        planned.iter().filter(|name| !promised.contains(name)).map(String::as_str).collect();
    match (missing.is_empty(), extra.is_empty()) {
        (true, true) => {
            format!("the columns are in another order: the contract has {}", promised.join(", "))
        }
        (false, true) => format!("the query lacks {}", missing.join(", ")),
        (true, false) => format!("the contract lacks {}", extra.join(", ")),
        (false, false) => {
            format!(
                "the query lacks {}, the contract lacks {}",
                missing.join(", "),
                extra.join(", ")
            )
        }
    }
}
