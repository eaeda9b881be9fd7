//! What others may have asked of everybody who writes a table, and we do not do: rules of Delta
//! that a writer must keep, or the table is broken for all. Such a table is read, and not written.

use deltalake::kernel::{DataType, StructType};

use super::Table;
use crate::error::{Error, Result};

/// Features that change nothing of what we write, as long as no table's property and no column asks
/// for them.
const HARMLESS: &[&str] = &[
    "appendOnly",
    "changeDataFeed",
    "checkConstraints",
    "checkpointProtection",
    "columnMapping",
    "generatedColumns",
    "invariants",
    "timestampNtz",
    "v2Checkpoint",
];

/// Properties that ask for what we do not write, unless they have the second value.
const ASKS: &[(&str, &str)] = &[
    ("delta.columnMapping.mode", "none"),
    ("delta.enableIcebergCompatV1", "false"),
    ("delta.enableIcebergCompatV2", "false"),
    ("delta.enableIcebergCompatV3", "false"),
    ("delta.enableInCommitTimestamps", "false"),
    ("delta.enableRowTracking", "false"),
    ("delta.universalFormat.enabledFormats", ""),
];

/// What a column's metadata may ask of a writer, and in words.
const COLUMNS: &[(&str, &str)] = &[
    ("delta.invariants", "an invariant"),
    ("delta.generationExpression", "an expression that generates it"),
    ("delta.identity.start", "generated numbers"),
    ("CURRENT_DEFAULT", "a default"),
];

/// A rule that we would break, and the way out.
struct Rule {
    what: String,
    way_out: String,
}

impl Table {
    /// Refuses to write a table where that would break a rule of others; `rewrites` says whether
    /// rows go.
    ///
    /// # Errors
    /// `Data`: the rule, and how to take it away.
    pub fn refuse_rules_of_others(&self, rewrites: bool) -> Result<()> {
        let found = match self.property_rule(rewrites)? {
            None => column_rule(self.state()?.schema().as_ref(), ""),
            found => found,
        };
        let found = match found {
            None => self.protocol_rule()?,
            found => found,
        };
        match found {
            None => Ok(()),
            Some(rule) => Err(Error::data(format!("{}: {}", self.name, rule.what))
                .hint(format!("nothing was written; {}", rule.way_out))),
        }
    }

    fn property_rule(&self, rewrites: bool) -> Result<Option<Rule>> {
        let configuration = self.state()?.metadata().configuration();
        let constraint = "delta.constraints.";
        let mut checks: Vec<_> =
            configuration.iter().filter(|(key, _)| key.starts_with(constraint)).collect();
        checks.sort();
        if let Some((key, expression)) = checks.first() {
            let name = key.trim_start_matches(constraint);
            return Ok(Some(Rule {
                what: format!(
                    "the table has a constraint of another tool, {key} = `{expression}`, which lake does not check"
                ),
                way_out: format!(
                    "drop it there (`ALTER TABLE … DROP CONSTRAINT {name}`); a CHECK in the contract says the same, and lake checks it"
                ),
            }));
        }
        let property = "delta.appendOnly";
        if rewrites && configuration.get(property).is_some_and(|value| is_true(value)) {
            return Ok(Some(Rule {
                what: format!(
                    "the table has {property} = true, set by another tool, and rows would be replaced"
                ),
                way_out: unset(property),
            }));
        }
        let asks = ASKS.iter().find_map(|(key, unless)| {
            let value = configuration.get(*key)?;
            (!value.is_empty() && !value.eq_ignore_ascii_case(unless)).then_some((*key, value))
        });
        Ok(asks.map(|(key, value)| Rule {
            what: format!(
                "the table has {key} = {value}, set by another tool, and lake does not write such tables"
            ),
            way_out: unset(key),
        }))
    }

    fn protocol_rule(&self) -> Result<Option<Rule>> {
        let protocol = self.state()?.protocol();
        let way_out = |what: &str| {
            format!(
                "take it away with the tool that asked for it (`ALTER TABLE … {what}`), or move the table's folder away: lake makes the table anew"
            )
        };
        let version = protocol.min_writer_version();
        if version < 6 {
            return Ok(None);
        }
        let features = protocol.writer_features().unwrap_or_default().iter();
        let names = features.filter_map(|feature| serde_json::to_value(feature).ok());
        let names = names.filter_map(|name| name.as_str().map(str::to_owned));
        let foreign = names.filter(|name| !HARMLESS.contains(&name.as_str())).min();
        Ok(match foreign {
            Some(feature) => Some(Rule {
                what: format!(
                    "the table has the feature `{feature}` of Delta, which another tool asked for, and lake does not write such tables"
                ),
                way_out: way_out(&format!("DROP FEATURE {feature}")),
            }),
            None if version == 6 || version > 7 => Some(Rule {
                what: format!(
                    "the table asks for version {version} of Delta's writers, and lake has not that one"
                ),
                way_out: way_out("DROP FEATURE …"),
            }),
            None => None,
        })
    }
}

fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

fn unset(property: &str) -> String {
    format!(
        "take it away with the tool that set it (`ALTER TABLE … UNSET TBLPROPERTIES ('{property}')`), or move the table's folder away: lake makes the table anew"
    )
}

fn column_rule(fields: &StructType, above: &str) -> Option<Rule> {
    fields.fields().find_map(|field| {
        let column = format!("{above}{}", field.name());
        let asks = COLUMNS.iter().find(|(key, _)| field.metadata.contains_key(*key));
        if let Some((key, words)) = asks {
            return Some(Rule {
                what: format!(
                    "another tool gave column `{column}` {words} ({key}), which lake does not keep"
                ),
                way_out: "take it away there (`ALTER TABLE … ALTER COLUMN …`), or move the table's folder away: lake makes the table anew".to_owned(),
            });
        }
        match field.data_type() {
            DataType::Struct(inner) => column_rule(inner, &format!("{column}.")),
            _ => None,
        }
    })
}
