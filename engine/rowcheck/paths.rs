//! Whose values a check looks at: columns, and fields of structs by their path.

use std::sync::Arc;

use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::{Column, IsNotNullExpr, IsNullExpr, Literal};
use datafusion::physical_plan::PhysicalExpr;

/// The paths that an expression reads, as `session.position_ms`. Whether something is NULL is no value.
pub(super) fn paths(expr: &Arc<dyn PhysicalExpr>) -> Vec<String> {
    if let Some(path) = path_of(expr) {
        return vec![path];
    }
    let asks_for_null = expr.downcast_ref::<IsNullExpr>().is_some()
        || expr.downcast_ref::<IsNotNullExpr>().is_some();
    let read = expr.children().into_iter();
    read.filter(|inner| !(asks_for_null && path_of(inner).is_some())).flat_map(paths).collect()
}

/// Whether one of two paths is the other, or stands above it.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        match (a.next(), b.next()) {
            (Some(a), Some(b)) if a != b => return false,
            (Some(_), Some(_)) => {}
            _ => return true,
        }
    }
}

fn path_of(expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    if let Some(column) = expr.downcast_ref::<Column>() {
        return Some(column.name().to_owned());
    }
    let call = expr.downcast_ref::<ScalarFunctionExpr>()?;
    let ("get_field", [of, names @ ..]) = (call.fun().name(), call.args()) else { return None };
    names.iter().try_fold(path_of(of)?, |path, name| {
        let name = name.downcast_ref::<Literal>()?.value().try_as_str()??;
        Some(format!("{path}.{name}"))
    })
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema};

    use super::*;
    use crate::query::{Limits, Query};

    #[test]
    fn a_field_of_a_struct_is_read_without_the_others() {
        let fields = |fields: Vec<Field>| DataType::Struct(Fields::from(fields));
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let inner = Field::new("inner", fields(vec![text("a"), text("b")]), true);
        let st = Field::new("st", fields(vec![text("id"), inner]), true);
        let schema = Arc::new(Schema::new(vec![text("id"), st]));
        let query = Query::new(&Limits::planning(crate::zone::setting("UTC").unwrap())).unwrap();
        for (sql, wanted) in [
            ("st.id = 'x'", vec!["st.id"]),
            ("st.inner.a IN ('x', 'y')", vec!["st.inner.a"]),
            ("octet_length(st.inner.b) > 1 AND id LIKE 'u%'", vec!["id", "st.inner.b"]),
            ("st IS NOT NULL AND st.id IS NULL", vec![]),
            ("length(id) IS NULL", vec!["id"]),
        ] {
            let mut found = paths(&query.expression(&schema, sql).unwrap());
            found.sort_unstable();
            found.dedup();
            assert_eq!(found, wanted, "{sql}");
        }
    }

    #[test]
    fn a_struct_overlaps_with_its_fields_and_they_do_not_with_each_other() {
        for (a, b, wanted) in [
            ("st", "st.id", true),
            ("st.id", "st", true),
            ("st.id", "st.id", true),
            ("st.id", "st.ids", false),
            ("st.inner.a", "st.id", false),
            ("id", "st.id", false),
        ] {
            assert_eq!(overlap(a, b), wanted, "{a} {b}");
        }
    }
}
