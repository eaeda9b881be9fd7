//! A table against its contract: which columns and properties it must get, and whether the rows
//! that it holds are still right then.

use std::collections::{BTreeMap, HashMap};

use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::{Action, MetadataExt, StructField, StructType, new_metadata};

use serde_json::json;

use super::{AWAY_PROPERTY, Change, KEY_PROPERTY, NARROWED_PROPERTY, TOPIC_PROPERTY, Table};
use crate::contract::{Contract, Personal};
use crate::error::{Error, Result};

/// The property of a table that lists which of Delta's properties its contract set: who else set
/// some keeps them.
const DELTA_PROPERTIES: &str = "lake.delta_properties";
/// The property for which a table needs a later protocol, and the version of that.
const CHANGE_FEED: &str = "delta.enableChangeDataFeed";
const WRITER_OF_CHANGE_FEED: i32 = 4;
/// From this version on a protocol lists its features by their names.
const WRITER_OF_FEATURES: i32 = 7;

/// How a table differs from its contract.
#[derive(Debug)]
pub enum Evolution {
    /// Not at all.
    None,
    /// The contract has more columns, or other properties: old rows stay as they are.
    Additive(Change),
    /// Rows that the table holds are not rows of the contract: they must be computed anew.
    Breaking {
        /// What brings the table up to date.
        change: Change,
        /// Why old rows do not fit, each with the column that it is about.
        differences: Vec<Difference>,
    },
}

/// Why rows of a table are not rows of its contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The column, nested ones with dots.
    pub column: String,
    /// What is wrong with it.
    pub message: String,
}

impl Table {
    /// Whether the table's columns and properties are still those of the contract and of `own`; if
    /// not, the action that brings them up to date.
    ///
    /// # Errors
    /// The contract is no Delta schema.
    pub fn evolve(&self, contract: &Contract, own: &[(String, String)]) -> Result<Evolution> {
        let state = self.state()?;
        let wanted = kernel_schema(contract)?;
        let have = state.schema();
        let configuration = state.metadata().configuration();
        let wanted_properties = evolved(configuration, contract, own);
        let protocol = self.protocol_for(&wanted_properties)?;
        let partitions = state.metadata().partition_columns();
        if *have == wanted
            && same_properties(configuration, &wanted_properties)
            && protocol.is_none()
            && *partitions == contract.partition_by
        {
            return Ok(Evolution::None);
        }
        let mut differences = Vec::new();
        if *partitions != contract.partition_by {
            differences.push(Difference {
                column: contract.partition_by.first().cloned().unwrap_or_default(),
                message: "the table is split into folders by other columns".to_owned(),
            });
        }
        columns(&have, &wanted, "", &mut differences);
        let before = configuration.get("lake.personal").map_or("", String::as_str);
        personal(before, &contract.personal, &have, &mut differences);
        let described = new_metadata(&wanted, contract.partition_by.clone(), wanted_properties)
            .and_then(|metadata| metadata.with_table_id(state.metadata().id().to_owned()))
            .and_then(|metadata| metadata.with_name(self.name.to_string()))
            .and_then(|metadata| metadata.with_description(contract.about.clone()));
        let metadata = described.map_err(|cause| self.failed("describe", cause.into()))?;
        let change: Change = protocol.into_iter().chain([Action::Metadata(metadata)]).collect();
        let is_empty = self.n_files()? == 0;
        Ok(if differences.is_empty() || is_empty {
            Evolution::Additive(change)
        } else {
            Evolution::Breaking { change, differences }
        })
    }
}

impl Table {
    /// The protocol that a table must get for its properties, if it is a later one.
    ///
    /// # Errors
    /// `Data`: the table has features by their names, and the one that is asked for is not among
    /// them.
    fn protocol_for(&self, wanted: &HashMap<String, String>) -> Result<Option<Action>> {
        let protocol = self.state()?.protocol();
        if wanted.get(CHANGE_FEED).is_none_or(|value| value != "true") {
            return Ok(None);
        }
        let version = protocol.min_writer_version();
        if version >= WRITER_OF_FEATURES {
            let mut features = protocol.writer_features().unwrap_or_default().iter();
            let is_there = features.any(|feature| {
                serde_json::to_value(feature).is_ok_and(|name| name == "changeDataFeed")
            });
            return if is_there {
                Ok(None)
            } else {
                Err(Error::data(format!(
                    "{}: the contract sets {CHANGE_FEED}, and the table, which another tool upgraded, has not that feature",
                    self.name
                ))
                .hint(format!("nothing was written; set {CHANGE_FEED} with that tool, too")))
            };
        }
        if version >= WRITER_OF_CHANGE_FEED {
            return Ok(None);
        }
        let raised = json!({"protocol": {
            "minReaderVersion": protocol.min_reader_version(),
            "minWriterVersion": WRITER_OF_CHANGE_FEED,
        }});
        let raised = serde_json::from_value(raised);
        raised.map(Some).map_err(|cause| Error::internal("no protocol").caused_by(cause))
    }
}

/// The properties that a table gets. What others set stays, unless the contract says otherwise.
fn evolved(
    have: &HashMap<String, String>,
    contract: &Contract,
    own: &[(String, String)],
) -> HashMap<String, String> {
    let was_ours: Vec<&str> =
        have.get(DELTA_PROPERTIES).map_or("", String::as_str).split(',').collect();
    let stays = |key: &str| {
        if key.starts_with("lake.") {
            // What earlier commits noted of their sources and of the key.
            [TOPIC_PROPERTY, AWAY_PROPERTY].iter().any(|prefix| key.starts_with(prefix))
                || [KEY_PROPERTY, NARROWED_PROPERTY].contains(&key)
        } else {
            !was_ours.contains(&key)
        }
    };
    let mut wanted: HashMap<String, String> = have
        .iter()
        .filter(|(key, _)| stays(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    wanted.extend(own_properties(contract));
    wanted.extend(own.iter().cloned());
    // What of our own is empty goes.
    let is_none = |key: &String| own.iter().any(|(name, value)| name == key && value.is_empty());
    wanted.retain(|key, _| !is_none(key));
    with_defaults(wanted)
}

/// Whether a table has all properties, and no other. A table of before [`DELTA_PROPERTIES`] was
/// noted gets it when something else changes.
fn same_properties(have: &HashMap<String, String>, wanted: &HashMap<String, String>) -> bool {
    let is_noted = have.contains_key(DELTA_PROPERTIES);
    let counts = |(key, _): &(&String, &String)| is_noted || *key != DELTA_PROPERTIES;
    have.len() == wanted.iter().filter(counts).count()
        && wanted.iter().filter(counts).all(|(key, value)| have.get(key) == Some(value))
}

/// Columns that went, changed their type, or must have a value that rows do not have.
fn columns(have: &StructType, wanted: &StructType, above: &str, found: &mut Vec<Difference>) {
    use deltalake::kernel::DataType::Struct;
    for before in have.fields() {
        let column = format!("{above}{}", before.name());
        let message = match wanted.field(before.name()).map(|now| (now, before.data_type())) {
            None => "is in the table, and no longer in the contract",
            Some((now, Struct(before))) if matches!(now.data_type(), Struct(_)) => {
                if let Struct(now) = now.data_type() {
                    columns(before, now, &format!("{column}."), found);
                }
                continue;
            }
            Some((now, data_type)) if now.data_type() != data_type => {
                "has another type in the table than in the contract"
            }
            Some((now, _)) if before.is_nullable() && !now.is_nullable() => {
                "is NOT NULL in the contract, and rows of the table may be without it"
            }
            Some(_) => continue,
        };
        found.push(Difference { message: format!("column `{column}` {message}"), column });
    }
    let new = wanted.fields().filter(|field| have.field(field.name()).is_none());
    for field in new.filter(|field| !field.is_nullable()) {
        let column = format!("{above}{}", field.name());
        let message =
            format!("column `{column}` is new and NOT NULL, and the table has rows without it");
        found.push(Difference { column, message });
    }
}

/// Columns whose values the table holds raw, or under other pseudonyms than from now on.
fn personal(before: &str, now: &[Personal], have: &StructType, found: &mut Vec<Difference>) {
    let before: Vec<Personal> = before
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(Personal::parse)
        .collect();
    let domains = |personal: &[Personal]| -> BTreeMap<String, String> {
        personal.iter().map(|one| (one.path.clone(), one.domain.clone())).collect()
    };
    let (before, now) = (domains(&before), domains(now));
    let mut paths: Vec<&String> = before.keys().chain(now.keys()).collect();
    paths.sort();
    paths.dedup();
    for path in paths.into_iter().filter(|path| holds(have, path)) {
        let message = match (before.get(path), now.get(path)) {
            (None, Some(_)) => "becomes personal, and the table holds its values raw",
            (Some(_), None) => {
                "is no longer personal, and the table holds pseudonyms of its values"
            }
            (Some(before), Some(now)) if before != now => {
                "is personal under another name, and the table holds pseudonyms under the old one"
            }
            _ => continue,
        };
        found.push(Difference {
            message: format!("column `{path}` {message}"),
            column: path.clone(),
        });
    }
}

/// Whether a table has a column, nested ones with dots.
fn holds(fields: &StructType, path: &str) -> bool {
    use deltalake::kernel::DataType::Struct;
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    fields.field(head).is_some_and(|field| match (rest, field.data_type()) {
        (None, _) => true,
        (Some(rest), Struct(inner)) => holds(inner, rest),
        (Some(_), _) => false,
    })
}

/// The columns of a contract as Delta has them, with their comments.
pub(super) fn kernel_schema(contract: &Contract) -> Result<StructType> {
    let arrow = contract.schema();
    let plain: StructType = arrow.as_ref().try_into_kernel().map_err(|cause| {
        Error::usage(format!("{}: the columns are no Delta schema", contract.file)).caused_by(cause)
    })?;
    let fields = plain.fields().map(|field| commented(field, field.name(), contract));
    StructType::try_new(fields).map_err(|cause| {
        Error::usage(format!("{}: the columns are no Delta schema", contract.file)).caused_by(cause)
    })
}

fn commented(field: &StructField, path: &str, contract: &Contract) -> StructField {
    use deltalake::kernel::DataType::Struct;
    let mut field = field.clone();
    if let Struct(inner) = field.data_type() {
        let fields = inner
            .fields()
            .map(|inner| commented(inner, &format!("{path}.{}", inner.name()), contract));
        if let Ok(inner) = StructType::try_new(fields) {
            field.data_type = Struct(Box::new(inner));
        }
    }
    match contract.comment(path) {
        Some(comment) => field.with_metadata([("comment", comment)]),
        None => field,
    }
}

/// The properties of a new Delta table.
pub(super) fn properties(contract: &Contract) -> HashMap<String, String> {
    with_defaults(own_properties(contract))
}

fn with_defaults(mut properties: HashMap<String, String>) -> HashMap<String, String> {
    properties.entry("delta.checkpointInterval".to_owned()).or_insert_with(|| "10".to_owned());
    properties
}

/// Properties that a contract gives a table: its own, and its checks for people to see.
fn own_properties(contract: &Contract) -> HashMap<String, String> {
    let mut properties: HashMap<String, String> = contract
        .properties
        .iter()
        .filter(|(key, _)| !key.starts_with("lake.comment."))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for check in &contract.checks {
        properties.insert(format!("lake.check.{}", check.name), check.expression.clone());
    }
    // Sorted, as properties are: else each run would see a change.
    let delta = contract.properties.keys().filter(|key| !key.starts_with("lake."));
    let delta = delta.map(String::as_str).collect::<Vec<_>>().join(",");
    if !delta.is_empty() {
        properties.insert(DELTA_PROPERTIES.to_owned(), delta);
    }
    properties
}
