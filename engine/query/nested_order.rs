//! Lists and structs have one order: that of ORDER BY, where a NULL inside is greater than any value, as
//! in Postgres and `DuckDB`.
//!
//! `DataFusion` compares them, and finds the least one, with such a NULL in front.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array, make_comparator};
use datafusion::arrow::compute::{SortOptions, concat, take};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Between, BinaryExpr};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, ExprSchemable, Operator,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

const ORDER: SortOptions = SortOptions { descending: false, nulls_first: false };

/// Whether values of a type have parts that may be NULL, and an order.
pub(super) fn is_ordered(data_type: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, List, Struct};
    match data_type {
        List(item) | LargeList(item) | FixedSizeList(item, _) => may_be_inside(item.data_type()),
        Struct(fields) => fields.iter().all(|field| may_be_inside(field.data_type())),
        _ => false,
    }
}

fn may_be_inside(data_type: &DataType) -> bool {
    if data_type.is_nested() { is_ordered(data_type) } else { !data_type.is_null() }
}

/// A comparison of two lists or structs by their order; `None` if it is another one.
pub(super) fn compared(comparison: &BinaryExpr, schema: &DFSchema) -> Result<Option<Expr>> {
    let BinaryExpr { left, op, right } = comparison;
    if !matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq) {
        return Ok(None);
    }
    let (from, to) = (left.get_type(schema)?, right.get_type(schema)?);
    if !is_ordered(&from) || !from.equals_datatype(&to) {
        return Ok(None);
    }
    let signature = Signature::any(2, Volatility::Immutable);
    let function = ScalarUDF::from(Compared { op: *op, signature });
    Ok(Some(function.call(vec![left.as_ref().clone(), right.as_ref().clone()])))
}

/// `value BETWEEN low AND high` of lists or structs as two comparisons.
pub(super) fn between(between: &Between, schema: &DFSchema) -> Result<Option<Expr>> {
    let Between { expr, negated, low, high } = between;
    let pair = |op, other: &Expr| {
        let comparison = BinaryExpr::new(expr.clone(), op, Box::new(other.clone()));
        compared(&comparison, schema)
    };
    let (Some(low), Some(high)) = (pair(Operator::GtEq, low)?, pair(Operator::LtEq, high)?) else {
        return Ok(None);
    };
    let within = low.and(high);
    Ok(Some(if *negated { Expr::Not(Box::new(within)) } else { within }))
}

/// `min` or `max` of lists or structs.
pub(super) fn extreme(function: &str) -> Arc<AggregateUDF> {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(AggregateUDF::from(Extreme { greatest: function == "max", signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Compared {
    op: Operator,
    signature: Signature,
}

impl ScalarUDFImpl for Compared {
    fn name(&self) -> &'static str {
        "nested_compare"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let (left, right) = (&arrays[0], &arrays[1]);
        let compare = make_comparator(left, right, ORDER)?;
        let holds = |order: Ordering| match self.op {
            Operator::Lt => order.is_lt(),
            Operator::LtEq => order.is_le(),
            Operator::Gt => order.is_gt(),
            _ => order.is_ge(),
        };
        let row = |row: usize| {
            let known = left.is_valid(row) && right.is_valid(row);
            known.then(|| holds(compare(row, row)))
        };
        let holds: BooleanArray = (0..left.len()).map(row).collect();
        Ok(ColumnarValue::Array(Arc::new(holds)))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    greatest: bool,
    signature: Signature,
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &'static str {
        if self.greatest { "nested_max" } else { "nested_min" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let wanted = if self.greatest { Ordering::Greater } else { Ordering::Less };
        let data_type = args.return_field.data_type().clone();
        Ok(Box::new(Best { wanted, data_type, value: None }))
    }
}

/// The least or greatest value so far.
#[derive(Debug)]
struct Best {
    wanted: Ordering,
    data_type: DataType,
    /// One row.
    value: Option<ArrayRef>,
}

impl Accumulator for Best {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let all = match &self.value {
            Some(best) => concat(&[best.as_ref(), values[0].as_ref()])?,
            None => Arc::clone(&values[0]),
        };
        let compare = make_comparator(&all, &all, ORDER)?;
        let known = (0..all.len()).filter(|row| all.is_valid(*row));
        let better =
            |best: usize, row: usize| if compare(row, best) == self.wanted { row } else { best };
        if let Some(best) = known.reduce(better) {
            let best = u32::try_from(best).unwrap_or(u32::MAX);
            self.value = Some(take(&all, &UInt32Array::from(vec![best]), None)?);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match &self.value {
            Some(best) => ScalarValue::try_from_array(best, 0),
            None => ScalarValue::try_new_null(&self.data_type),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.as_ref().map_or(0, |best| best.get_array_memory_size())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::cells;
    use super::super::{Limits, Query};

    fn run(sql: &str) -> String {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let query = Query::new(&Limits::planning(chrono_tz::UTC)).unwrap();
        cells(runtime.block_on(query.collect(sql))).unwrap_or_else(|error| error)
    }

    /// Least first.
    const VALUES: [&str; 3] = [
        "(VALUES (1, [1, 2]), (2, [1, NULL]), (3, [2]), (4, NULL)) v(i, x)",
        "(VALUES (1, {'u': 1}), (2, {'u': 2}), (3, {'u': CAST(NULL AS INT)}), (4, NULL)) v(i, x)",
        "(VALUES (1, [{'u': 1}]), (2, [{'u': CAST(NULL AS INT)}]), (3, [NULL]), (4, NULL)) v(i, x)",
    ];

    #[test]
    fn a_null_inside_is_the_greatest_wherever_values_are_put_in_order() {
        for values in VALUES {
            let first = |sql: &str| run(&sql.replace("FROM v", &format!("FROM {values}")));
            assert_eq!(first("SELECT i FROM v ORDER BY x"), "1, 2, 3, 4", "{values}");
            let pairs = format!(
                "SELECT a.i FROM {} JOIN {} ON a.x < b.x ORDER BY 1, b.i",
                values.replace(" v(", " a("),
                values.replace(" v(", " b(")
            );
            assert_eq!(run(&pairs), "1, 1, 2", "{values}");
            let middle = "SELECT i FROM v WHERE x BETWEEN (SELECT min(x) FROM v) AND (SELECT max(x) FROM v) ORDER BY i";
            assert_eq!(first(middle), "1, 2, 3", "{values}");
            let row = |row: &str| first(&format!("SELECT x FROM v WHERE i = {row}"));
            for (function, whole, moving) in [("min", "1", "1123"), ("max", "3", "1233")] {
                let found = first(&format!("SELECT {function}(x) FROM v"));
                assert_eq!(found, row(whole), "{values} {function}");
                let over = format!(
                    "SELECT {function}(x) OVER (ORDER BY i ROWS 1 PRECEDING) AS m FROM v ORDER BY i"
                );
                let expected: Vec<String> =
                    moving.chars().map(|least| row(&least.to_string())).collect();
                assert_eq!(first(&over), expected.join(", "), "{values} {function}");
            }
        }
    }

    #[test]
    fn groups_filters_and_nothing_have_their_extremes() {
        let rows = "(VALUES (1, [1]), (1, [0]), (2, NULL)) v(k, x)";
        let sql = format!(
            "SELECT k, min(x), max(x) FILTER (WHERE x <> [1]), min(DISTINCT x) FROM {rows} GROUP BY k ORDER BY k"
        );
        assert_eq!(run(&sql), "1 [0] [0] [0], 2 NULL NULL NULL");
        assert_eq!(run("SELECT [1, 2] < [1, NULL], [1] <= [1], [1] < NULL"), "true true NULL");
        assert_eq!(run(&format!("SELECT k FROM {rows} WHERE x NOT BETWEEN [1] AND [2]")), "1");
    }
}
