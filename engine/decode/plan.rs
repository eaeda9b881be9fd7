//! What a contract tells the decoder: a tree of structs whose leaves are columns.

use std::collections::HashMap;

use datafusion::arrow::datatypes::DataType;

use super::column::Column;
use super::persons::Persons;
use crate::contract::{Contract, KEY, Type, TypedField};
use crate::error::{Error, Result};
use crate::pseudonym::Pseudonyms;

/// A field of a struct.
#[derive(Clone, Copy, Debug)]
pub(super) enum Child {
    Struct(usize),
    Leaf(usize),
}

/// A struct: the record itself, or a nested one.
#[derive(Debug)]
pub(super) struct Struct {
    /// The fields from the record down to this struct.
    pub(super) path: Vec<String>,
    pub(super) names: Vec<Box<[u8]>>,
    pub(super) children: Vec<Child>,
    by_name: HashMap<Box<[u8]>, u16>,
    /// Names in lower case; none where several fields differ in nothing else.
    by_lower: HashMap<String, Option<u16>>,
    /// Whether all names are ASCII in lower case: then a name that is so as well is none of them.
    are_lower: bool,
    /// For each field (0: before the first), the one that followed it last time.
    pub(super) followers: Vec<u16>,
    /// In which record each field was seen last.
    pub(super) seen: Vec<u32>,
    /// Fields that must have a value.
    pub(super) required: Vec<u16>,
    /// Fields that must be named, though they may be null.
    pub(super) present: Vec<u16>,
    /// Fields that have a value when the record has none.
    pub(super) defaults: Vec<(u16, i64)>,
    /// The rows that have this struct.
    pub(super) rows: Vec<u32>,
}

/// A column of values.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) path: String,
    pub(super) data_type: Type,
    pub(super) arrow: DataType,
    pub(super) is_number: bool,
    pub(super) column: Column,
    /// The pseudonyms' domain, if the column identifies a person.
    pub(super) domain: Option<usize>,
}

/// The whole tree; struct 0 is the record.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) structs: Vec<Struct>,
    pub(super) leaves: Vec<Leaf>,
    pub(super) reject_empty: bool,
    /// The names that no JSON in the table may have.
    pub(super) persons: Persons,
}

fn is_lower(name: &[u8]) -> bool {
    name.iter().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase())
}

impl Struct {
    /// The field called `name`.
    pub(super) fn field(&self, name: &[u8]) -> Option<u16> {
        self.by_name.get(name).copied()
    }

    /// The one field that `name`, which is none, would be in letters of another case.
    pub(super) fn recased(&self, name: &[u8]) -> Option<u16> {
        if self.are_lower && is_lower(name) {
            return None;
        }
        let name = std::str::from_utf8(name).ok()?.to_lowercase();
        self.by_lower.get(&name).copied().flatten()
    }
}

impl Plan {
    /// The plan of a contract; personal columns get their domains from `pseudonyms`.
    pub(super) fn new(contract: &Contract, pseudonyms: Option<&mut Pseudonyms>) -> Result<Self> {
        let mut plan = Self {
            structs: Vec::new(),
            leaves: Vec::new(),
            reject_empty: contract
                .properties
                .get("lake.empty_strings")
                .is_some_and(|v| v == "reject"),
            persons: Persons::of(contract),
        };
        let fields: Vec<TypedField> =
            contract.columns.iter().map(|column| column.field.clone()).collect();
        plan.add(contract, &fields, &[])?;
        plan.personal(contract, pseudonyms)?;
        for (index, column) in (0..).zip(&contract.columns) {
            if column.not_null {
                plan.structs[0].required.push(index);
            }
        }
        Ok(plan)
    }

    fn personal(&mut self, contract: &Contract, pseudonyms: Option<&mut Pseudonyms>) -> Result<()> {
        if contract.personal.is_empty() {
            return Ok(());
        }
        let pseudonyms =
            pseudonyms.ok_or_else(|| Error::internal("personal columns without a key"))?;
        // The key of a Kafka record is none of its fields.
        for personal in contract.personal.iter().filter(|personal| personal.path != KEY) {
            let domain = pseudonyms.domain(&personal.domain);
            let leaf = self.leaves.iter_mut().find(|leaf| leaf.path == personal.path);
            let text = leaf.filter(|leaf| matches!(leaf.data_type, Type::Text { .. }));
            text.ok_or_else(|| {
                Error::usage(format!(
                    "{}: personal column `{}` is not a string",
                    contract.file, personal.path
                ))
            })?
            .domain = Some(domain);
        }
        Ok(())
    }

    fn add(
        &mut self,
        contract: &Contract,
        fields: &[TypedField],
        path: &[String],
    ) -> Result<usize> {
        let index = self.structs.len();
        let names: Vec<Box<[u8]>> =
            fields.iter().map(|field| field.name.as_bytes().into()).collect();
        let mut by_lower = HashMap::new();
        for (i, field) in (0..).zip(fields) {
            let same = by_lower.entry(field.name.to_lowercase());
            same.and_modify(|field| *field = None).or_insert(Some(i));
        }
        self.structs.push(Struct {
            path: path.to_vec(),
            by_lower,
            are_lower: names.iter().all(|name| is_lower(name)),
            by_name: (0..).zip(&names).map(|(i, name)| (name.clone(), i)).collect(),
            names,
            children: Vec::new(),
            followers: (0..=u16::try_from(fields.len()).unwrap_or(u16::MAX)).collect(),
            seen: vec![0; fields.len()],
            required: Vec::new(),
            present: Vec::new(),
            defaults: Vec::new(),
            rows: Vec::new(),
        });
        for (number, field) in (0..).zip(fields) {
            let mut path = path.to_vec();
            path.push(field.name.clone());
            let child = match &field.data_type {
                Type::Struct(inner) => Child::Struct(self.add(contract, inner, &path)?),
                _ => Child::Leaf(self.leaf(contract, field, path.join("."))?),
            };
            let dotted = path.join(".");
            let own = &mut self.structs[index];
            own.children.push(child);
            if contract.list("lake.present").contains(&dotted.as_str()) {
                own.present.push(number);
            }
            if let Some(default) = contract.properties.get(&format!("lake.default.{dotted}")) {
                own.defaults
                    .push((number, default_of(contract, &dotted, default, &field.data_type)?));
            }
        }
        Ok(index)
    }

    fn leaf(&mut self, contract: &Contract, field: &TypedField, path: String) -> Result<usize> {
        let column = Column::new(&field.data_type).ok_or_else(|| {
            Error::usage(format!("{}: records cannot fill `{path}`, a {:?}", contract.file, field.data_type))
                .hint("use BOOLEAN, INT, BIGINT, DOUBLE, STRING, VARCHAR(n), JSON, TIMESTAMP, DATE or STRUCT<…> in a table that has a source")
        })?;
        let (data_type, arrow) = (field.data_type.clone(), field.data_type.arrow());
        let is_number = matches!(data_type, Type::Int | Type::BigInt | Type::Double);
        self.leaves.push(Leaf { path, data_type, arrow, is_number, column, domain: None });
        Ok(self.leaves.len() - 1)
    }
}

fn default_of(contract: &Contract, path: &str, text: &str, data_type: &Type) -> Result<i64> {
    match (data_type, text.parse()) {
        (Type::Int | Type::BigInt, Ok(value)) => Ok(value),
        _ => Err(Error::usage(format!("{}: `{text}` is no default for `{path}`", contract.file))
            .hint("defaults are whole numbers, for INT and BIGINT columns")),
    }
}
