//! What rows must keep to where nothing sets them aside: also the lengths of texts, which the decoder
//! finds in records.

use crate::contract::{Check, Contract, OnViolation, Type, Violation, quoted};

/// In a table that a query computes, a broken check means a wrong query: it fails by default, and
/// so does a text that is too long, which the decoder would have found in a record.
pub fn strict(contract: &Contract) -> Contract {
    let mut contract = contract.clone();
    for check in &mut contract.checks {
        if check.violation.action == OnViolation::Quarantine {
            check.violation.action = OnViolation::Fail;
        }
    }
    let mut checks = Vec::new();
    for column in &contract.columns {
        let (name, sql) = (&column.field.name, quoted(&column.field.name));
        lengths(&column.field.data_type, name, &sql, &mut |path, expression| {
            checks.push(Check {
                name: format!("{path}_fits_its_varchar"),
                expression,
                violation: Violation { action: OnViolation::Fail, at_most: None },
                span: column.span.clone(),
            });
        });
    }
    contract.checks.extend(checks);
    contract
}

/// The texts of a contract that have a length, each with the check that it fits.
pub fn fits_lengths(contract: &Contract) -> Vec<(String, String)> {
    let mut checks = Vec::new();
    for column in &contract.columns {
        let (name, sql) = (&column.field.name, quoted(&column.field.name));
        lengths(&column.field.data_type, name, &sql, &mut |path, expression| {
            checks.push((path, expression));
        });
    }
    checks
}

/// A check for each length in a type, also of the fields of a struct: its path, and its SQL.
fn lengths(data_type: &Type, path: &str, sql: &str, add: &mut impl FnMut(String, String)) {
    match data_type {
        Type::Text { max: Some(max) } => {
            add(path.to_owned(), format!("character_length({sql}) <= {max}"));
        }
        Type::Struct(fields) => {
            for field in fields {
                let (path, sql) =
                    (format!("{path}.{}", field.name), format!("{sql}['{}']", field.name));
                lengths(&field.data_type, &path, &sql, add);
            }
        }
        _ => {}
    }
}
