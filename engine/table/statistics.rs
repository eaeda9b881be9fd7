//! What the log says of a file's values. delta-rs writes decimals there as doubles, which lie beside
//! the true least and greatest value, and readers would leave out files that hold what they look for.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::contract::{Type, TypedField};

/// The parts of a file's statistics that bound its values.
const BOUNDS: &[&str] = &["minValues", "maxValues"];

/// The object's values as they stand: a double that is read and written again might change.
type Object = BTreeMap<String, Box<RawValue>>;

/// Whether a table has a column, or a field of a struct, whose statistics are left out.
pub(super) fn has_inexact(fields: &[TypedField]) -> bool {
    fields.iter().any(|field| match &field.data_type {
        Type::Decimal(..) => true,
        Type::Struct(inner) => has_inexact(inner),
        _ => false,
    })
}

/// A file's statistics without the bounds of decimals; `None` if they cannot be read.
pub(super) fn exact(statistics: &str, fields: &[TypedField]) -> Option<String> {
    let mut all: Object = serde_json::from_str(statistics).ok()?;
    for part in BOUNDS {
        if let Some(values) = all.get_mut(*part) {
            *values = without_decimals(values, fields)?;
        }
    }
    serde_json::to_string(&all).ok()
}

fn without_decimals(values: &RawValue, fields: &[TypedField]) -> Option<Box<RawValue>> {
    let mut values: Object = serde_json::from_str(values.get()).ok()?;
    for field in fields {
        match &field.data_type {
            Type::Decimal(..) => drop(values.remove(&field.name)),
            Type::Struct(inner) => {
                if let Some(nested) = values.get_mut(&field.name) {
                    *nested = without_decimals(nested, inner)?;
                }
            }
            _ => {}
        }
    }
    serde_json::value::to_raw_value(&values).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, data_type: Type) -> TypedField {
        TypedField { name: name.to_owned(), data_type }
    }

    #[test]
    fn decimals_have_no_bounds_and_everything_else_stays_to_the_last_digit() {
        let money = || field("money", Type::Decimal(20, 2));
        let fields = [money(), field("x", Type::Double), field("s", Type::Struct(vec![money()]))];
        assert!(has_inexact(&fields) && !has_inexact(&fields[1..2]));
        let text = r#"{"maxValues":{"money":1.2345678901234566e+17,"s":{"money":1.0},"x":0.1234567890123456789},"minValues":{"money":1.0,"s":{"money":1.0},"x":1.5777777777770001},"nullCount":{"money":0,"s":{"money":0},"x":0},"numRecords":3}"#;
        assert_eq!(
            exact(text, &fields).unwrap(),
            r#"{"maxValues":{"s":{},"x":0.1234567890123456789},"minValues":{"s":{},"x":1.5777777777770001},"nullCount":{"money":0,"s":{"money":0},"x":0},"numRecords":3}"#
        );
        assert_eq!(exact("no JSON", &fields), None);
    }
}
