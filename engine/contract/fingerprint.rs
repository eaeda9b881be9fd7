//! What of a contract decides which rows are right, as one short text: another text, other rows.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::{Contract, OnViolation, Type};

impl Contract {
    /// Changes when the contract asks for other rows, or judges them otherwise: columns, types,
    /// lengths, NOT NULL, keys, checks and what happens on violation, defaults, personal columns, and
    /// how the table is split. Comments, the order of checks and where things stand do not count.
    pub fn fingerprint(&self) -> String {
        let mut lines = Vec::new();
        for column in &self.columns {
            let null = if column.not_null { "not null" } else { "null" };
            lines.push(format!(
                "column {:?} {} {null}",
                column.field.name,
                written(&column.field.data_type)
            ));
        }
        lines.push(format!("primary key {:?}", self.primary_key));
        lines.push(format!("partitioned by {:?}", self.partition_by));
        let mut rest: Vec<String> = Vec::new();
        rest.extend(self.unique.iter().map(|key| format!("unique {key:?}")));
        for check in &self.checks {
            let action = match check.violation.action {
                OnViolation::Fail => "fail",
                OnViolation::Quarantine => "quarantine",
                OnViolation::Drop => "drop",
                OnViolation::Warn => "warn",
            };
            let at_most = check.violation.at_most.map(f64::to_bits);
            rest.push(format!(
                "check {:?} {:?} {action} {at_most:?}",
                check.name, check.expression
            ));
        }
        for personal in &self.personal {
            rest.push(format!("personal {:?} {:?}", personal.path, personal.domain));
        }
        for (name, value) in &self.properties {
            let decides = matches!(name.as_str(), "lake.empty_strings" | "lake.present")
                || name.starts_with("lake.default.");
            if decides {
                rest.push(format!("{name:?} {value:?}"));
            }
        }
        rest.sort();
        lines.extend(rest);
        hex::encode(&Sha256::digest(lines.join("\n"))[..8])
    }
}

/// A type with everything that decides which values it takes.
fn written(data_type: &Type) -> String {
    match data_type {
        Type::Boolean => "boolean".to_owned(),
        Type::Int => "int".to_owned(),
        Type::BigInt => "bigint".to_owned(),
        Type::Double => "double".to_owned(),
        Type::Decimal(precision, scale) => format!("decimal({precision},{scale})"),
        Type::Text { max: None } => "string".to_owned(),
        Type::Text { max: Some(max) } => format!("varchar({max})"),
        Type::Json => "json".to_owned(),
        Type::Timestamp => "timestamp".to_owned(),
        Type::Date => "date".to_owned(),
        Type::Binary => "binary".to_owned(),
        Type::Struct(fields) => {
            let mut text = "struct<".to_owned();
            for field in fields {
                // Writing to a String cannot fail.
                let _ = write!(text, "{:?} {},", field.name, written(&field.data_type));
            }
            text.push('>');
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::contract::{TableName, parse};

    const CONTRACT: &str = "-- One row per click.
CREATE TABLE bronze.clicks (
    id VARCHAR(8) NOT NULL COMMENT 'who',
    n BIGINT,
    place STRUCT<x BIGINT, y VARCHAR(3)>,
    CONSTRAINT positive CHECK (n > 0),
    CONSTRAINT small CHECK (n < 9)
)
PARTITIONED BY (_ingest_date)
TBLPROPERTIES ('lake.source' = 'folder:clicks', 'lake.else.small' = 'drop at most 1%', 'lake.default.n' = '1', 'lake.personal' = 'id', 'lake.comment.place.x' = 'pixels')";

    fn fingerprint(text: &str) -> String {
        let name = TableName::new("bronze", "clicks");
        parse(&name, "lake/bronze/clicks.sql", text).unwrap().fingerprint()
    }

    #[test]
    fn what_decides_rows_changes_the_fingerprint() {
        for (from, to) in [
            ("VARCHAR(8)", "VARCHAR(9)"),
            ("VARCHAR(8)", "STRING"),
            ("y VARCHAR(3)", "y STRING"),
            (" NOT NULL", ""),
            ("n > 0", "n > 1"),
            ("CONSTRAINT positive CHECK (n > 0),", ""),
            ("drop at most 1%", "drop at most 2%"),
            ("drop at most 1%", "drop"),
            ("drop at most 1%", "warn at most 1%"),
            ("'lake.default.n' = '1'", "'lake.default.n' = '2'"),
            ("'lake.personal' = 'id', ", ""),
            ("'lake.personal' = 'id'", "'lake.personal' = 'id = user'"),
            ("PARTITIONED BY (_ingest_date)", ""),
            ("'lake.source'", "'lake.empty_strings' = 'reject', 'lake.source'"),
            ("n BIGINT", "n INT"),
        ] {
            assert!(CONTRACT.contains(from), "{from}");
            let changed = CONTRACT.replacen(from, to, 1);
            assert_ne!(fingerprint(CONTRACT), fingerprint(&changed), "{from} -> {to}");
        }
    }

    #[test]
    fn what_only_tells_does_not_change_the_fingerprint() {
        for (from, to) in [
            ("One row per click", "A click"),
            ("'who'", "'whose'"),
            ("'pixels'", "'pt'"),
            ("    n BIGINT", "\n\n  n   BIGINT"),
            ("n > 0", "n  >  0"),
        ] {
            assert!(CONTRACT.contains(from), "{from}");
            let changed = CONTRACT.replacen(from, to, 1);
            assert_eq!(fingerprint(CONTRACT), fingerprint(&changed), "{from} -> {to}");
        }
    }
}
