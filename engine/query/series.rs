//! `generate_series` and `range` over times, in microseconds as all times here are.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::catalog::{TableFunction, TableFunctionArgs, TableFunctionImpl};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::{TableProvider, ViewTable, provider_as_source};
use datafusion::functions_table;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use datafusion::prelude::{cast, ident};

/// The functions by their names.
pub(super) fn functions() -> [(&'static str, Arc<dyn TableFunctionImpl>); 2] {
    [
        ("generate_series", Arc::new(Series(functions_table::generate_series()))),
        ("range", Arc::new(Series(functions_table::range()))),
    ]
}

/// A function of `DataFusion`'s, which takes and gives nanoseconds.
#[derive(Debug)]
struct Series(Arc<TableFunction>);

impl TableFunctionImpl for Series {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let exprs = args.exprs().iter().cloned().map(nanoseconds).collect::<Result<Vec<_>>>()?;
        let inner = TableFunctionArgs::new(&exprs, args.session());
        let series = self.0.create_table_provider_with_args(inner)?;
        let schema = series.schema();
        let DataType::Timestamp(TimeUnit::Nanosecond, zone) = schema.field(0).data_type() else {
            return Ok(series);
        };
        let micros = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
        let name = schema.field(0).name();
        let plan = LogicalPlanBuilder::scan("series", provider_as_source(series), None)?
            .project([cast(ident(name), micros).alias(name)])?
            .build()?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}

fn nanoseconds(expr: Expr) -> Result<Expr> {
    match expr {
        Expr::Literal(value @ ScalarValue::TimestampMicrosecond(..), metadata) => {
            let zone = match value.data_type() {
                DataType::Timestamp(_, zone) => zone,
                _ => None,
            };
            let nanos = DataType::Timestamp(TimeUnit::Nanosecond, zone);
            Ok(Expr::Literal(value.cast_to(&nanos)?, metadata))
        }
        expr => Ok(expr),
    }
}
