//! Timestamps are microseconds, so that the years 0001 to 9999 can be written and compared.
//!
//! `DataFusion` reads a TIMESTAMP, and compares texts and dates with one, in nanoseconds, which end in
//! 2262: `valid_to < TIMESTAMP '9999-12-31 00:00:00'` fails. Here SQL's TIMESTAMP has microseconds,
//! as every table has, and casts to nanoseconds that the coercion of types adds become microseconds.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::datatype::DataTypeExt;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Cast, TryCast};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Union, Values};
use datafusion::optimizer::AnalyzerRule;
use datafusion::sql::sqlparser::ast::{DataType as Sql, TimezoneInfo};

use super::nodes::{input_schema, rewritten};
use super::spans;

/// SQL's `TIMESTAMP` is microseconds without a zone, `TIMESTAMPTZ` microseconds in UTC.
#[derive(Debug)]
pub(super) struct Microseconds;

impl TypePlanner for Microseconds {
    fn plan_type_field(&self, sql: &Sql) -> Result<Option<FieldRef>> {
        let Sql::Timestamp(None | Some(6 | 9), zone) = sql else { return Ok(None) };
        let zone = match zone {
            TimezoneInfo::Tz | TimezoneInfo::WithTimeZone => Some("UTC".into()),
            TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => None,
        };
        Ok(Some(DataType::Timestamp(TimeUnit::Microsecond, zone).into_nullable_field_ref()))
    }
}

/// Replaces casts to nanoseconds, after a first coercion of types and before a second one.
///
/// The second one settles what is nanoseconds for other reasons, as `arrow_cast` can ask for.
#[derive(Debug)]
pub(super) struct MicrosecondCasts;

impl AnalyzerRule for MicrosecondCasts {
    fn name(&self) -> &'static str {
        "microsecond_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(node)?.data)
    }
}

fn node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = input_schema(&plan)?;
    rewritten(plan, |expr| replaced(expr, &schema))?.map_data(|plan| match plan {
        // Its schema is that of its inputs, which have microseconds now.
        LogicalPlan::Union(union) => Ok(LogicalPlan::Union(Union::try_new(union.inputs)?)),
        LogicalPlan::Values(values) => Ok(LogicalPlan::Values(typed(values)?)),
        plan => plan.recompute_schema(),
    })
}

/// Values whose columns have microseconds where a cast in one of their rows has.
fn typed(values: Values) -> Result<Values> {
    let Values { schema, mut values } = values;
    let empty = DFSchema::empty();
    let mut fields = Vec::new();
    for (at, (qualifier, field)) in schema.iter().enumerate() {
        let mut field = Arc::clone(field);
        if let Some(to) = micros(field.data_type()) {
            let types = values.iter().map(|row| row[at].get_type(&empty));
            if types.collect::<Result<Vec<_>>>()?.contains(&to) {
                for row in &mut values {
                    let value = std::mem::take(&mut row[at]);
                    row[at] = value.cast_to(&to, &empty)?;
                }
                field = Arc::new(Field::clone(&field).with_data_type(to));
            }
        }
        fields.push((qualifier.cloned(), field));
    }
    let schema = DFSchema::new_with_metadata(fields, schema.metadata().clone())?;
    Ok(Values { schema: Arc::new(schema), values })
}

fn replaced(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| match expr {
        Expr::Cast(Cast { expr, field }) => match micros(field.data_type()) {
            Some(to) if expr.get_type(schema)? == to => Ok(Transformed::yes(*expr)),
            Some(to) => Ok(Transformed::yes(Expr::Cast(Cast::new(expr, to)))),
            None => Ok(Transformed::no(Expr::Cast(Cast { expr, field }))),
        },
        Expr::TryCast(TryCast { expr, field }) => match micros(field.data_type()) {
            Some(to) => Ok(Transformed::yes(Expr::TryCast(TryCast::new(expr, to)))),
            None => Ok(Transformed::no(Expr::TryCast(TryCast { expr, field }))),
        },
        expr => spans::by_length(expr, schema),
    })
}

/// Microseconds for nanoseconds.
fn micros(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        _ => None,
    }
}
