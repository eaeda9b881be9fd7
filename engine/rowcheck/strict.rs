//! What rows must keep to where nothing sets them aside: also the lengths of texts and their JSON, which
//! the decoder finds in records.

use crate::contract::{Check, Contract, OnViolation, Type, Violation, quoted};

/// In a table that a query computes, a broken check means a wrong query: it fails by default, and so
/// does a text that is too long or no JSON, which the decoder would have found in a record.
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
        texts(&column.field.data_type, name, &sql, &mut |data_type, path, sql| {
            let (name, expression) = match data_type {
                Type::Json => (format!("{path}_is_json"), format!("json_valid({sql})")),
                Type::Text { max: Some(max) } => {
                    (format!("{path}_fits_its_varchar"), fits(sql, *max))
                }
                _ => return,
            };
            let violation = Violation { action: OnViolation::Fail, at_most: None };
            checks.push(Check { name, expression, violation, span: column.span.clone() });
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
        texts(&column.field.data_type, name, &sql, &mut |data_type, path, sql| {
            if let Type::Text { max: Some(max) } = data_type {
                checks.push((path.to_owned(), fits(sql, *max)));
            }
        });
    }
    checks
}

fn fits(sql: &str, max: u64) -> String {
    format!("character_length({sql}) <= {max}")
}

/// Shows each text of a type, also of the fields of a struct, with its path and its SQL.
fn texts(data_type: &Type, path: &str, sql: &str, show: &mut impl FnMut(&Type, &str, &str)) {
    match data_type {
        Type::Text { .. } | Type::Json => show(data_type, path, sql),
        Type::Struct(fields) => {
            for field in fields {
                let (path, sql) =
                    (format!("{path}.{}", field.name), format!("{sql}['{}']", field.name));
                texts(&field.data_type, &path, &sql, show);
            }
        }
        _ => {}
    }
}
