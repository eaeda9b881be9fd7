//! `round` and `trunc` whose results are of the planned type, and finite where the number is.
//!
//! `DataFusion` gives a rounded decimal the places that a literal asks for, and all places of the number
//! where it sees no literal. What it sees changes while a plan is made: coercion puts a cast around the
//! literal, and the optimizer takes it away again. The type would change under `coalesce`, CASE and `=`
//! that were planned with it. Here the places are taken from the query once, before all that.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, PrimitiveArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, FieldRef, Float32Type, Float64Type, Int64Type,
};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use super::nodes::refuse;

/// The functions, which replace `DataFusion`'s of the same names.
pub(super) fn functions(registry: &dyn FunctionRegistry) -> Vec<ScalarUDF> {
    let found = ["round", "trunc"].into_iter().filter_map(|name| {
        let inner = registry.udf(name).ok()?;
        Some(ScalarUDF::from(Rounding { inner, places: None }))
    });
    found.collect()
}

/// The same function, which knows the places if they are a constant.
pub(super) fn with_places(function: Arc<ScalarUDF>, args: &[Expr]) -> Arc<ScalarUDF> {
    let (Some(rounding), [_, places]) = (function.inner().downcast_ref::<Rounding>(), args) else {
        return function;
    };
    match constant(places) {
        Some(places) => {
            let inner = Arc::clone(&rounding.inner);
            Arc::new(ScalarUDF::from(Rounding { inner, places: Some(places) }))
        }
        None => function,
    }
}

/// The whole number that an expression is for every row; NULL counts as 0, as the type is alike.
fn constant(expr: &Expr) -> Option<i32> {
    let varies = |part: &Expr| {
        Ok(match part {
            Expr::Column(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::Placeholder(_)
            | Expr::ScalarSubquery(_)
            | Expr::Exists(_)
            | Expr::InSubquery(_) => true,
            part => part.is_volatile(),
        })
    };
    if expr.exists(varies).unwrap_or(true) {
        return None;
    }
    let literal = match expr {
        Expr::Literal(value, _) => value.clone(),
        expr => {
            let context = SimplifyContext::builder().with_schema(Arc::new(DFSchema::empty()));
            match ExprSimplifier::new(context.build()).simplify(expr.clone()).ok()? {
                Expr::Literal(value, _) => value,
                _ => return None,
            }
        }
    };
    match literal.cast_to(&DataType::Int32).ok()? {
        ScalarValue::Int32(places) => Some(places.unwrap_or(0)),
        _ => None,
    }
}

/// `round` or `trunc` of `DataFusion`'s.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Rounding {
    inner: Arc<ScalarUDF>,
    /// The places that the query says; `None` if a row says them, or nothing does.
    places: Option<i32>,
}

impl ScalarUDFImpl for Rounding {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn is_strict(&self) -> bool {
        self.inner.is_strict()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let places = self.places.map(|places| ScalarValue::Int32(Some(places)));
        let known = [None, places.as_ref()];
        let scalar_arguments = &known[..args.scalar_arguments.len().min(known.len())];
        self.inner.return_field_from_args(ReturnFieldArgs {
            arg_fields: args.arg_fields,
            scalar_arguments,
        })
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.output_ordering(inputs)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let n_rows = args.number_rows;
        let given = <[ColumnarValue; 2]>::try_from(args.args.clone());
        let rounded = self.inner.invoke_with_args(args)?;
        // Without places there is nothing to multiply by, and so nothing that leaves the range.
        let Ok([values, places]) = given else { return Ok(rounded) };
        match rounded.data_type() {
            DataType::Float64 => self.finite::<Float64Type>(&values, &places, rounded, n_rows),
            DataType::Float32 => self.finite::<Float32Type>(&values, &places, rounded, n_rows),
            _ => Ok(rounded),
        }
    }
}

impl Rounding {
    /// Numbers that were rounded by a power of ten beyond the range of doubles: one of many places
    /// has no more of them, and one of few digits before the point is 0.
    fn finite<T: ArrowPrimitiveType>(
        &self,
        values: &ColumnarValue,
        places: &ColumnarValue,
        rounded: ColumnarValue,
        n_rows: usize,
    ) -> Result<ColumnarValue>
    where
        T::Native: Into<f64>,
    {
        let is_scalar = matches!(rounded, ColumnarValue::Scalar(_));
        let n_rows = if is_scalar { 1 } else { n_rows };
        let made = rounded.to_array(n_rows)?;
        let made = made.as_primitive::<T>();
        let double = |number: T::Native| -> f64 { number.into() };
        if made.iter().flatten().all(|number| double(number).is_finite()) {
            return Ok(rounded);
        }
        let values = values.to_array(n_rows)?;
        let values = values.as_primitive::<T>();
        let places = cast(&places.to_array(n_rows)?, &DataType::Int64)?;
        let places = places.as_primitive::<Int64Type>();
        let one = |row: usize| {
            if made.is_null(row) {
                return Ok(None);
            }
            let (number, value) = (made.value(row), values.value(row));
            Ok(Some(match double(number) {
                made if made.is_finite() => number,
                _ if !double(value).is_finite() || places.value(row) > 0 => value,
                made if made.is_nan() => T::default_value(),
                _ => return refuse!("`{}` leaves the range of its type", self.name()),
            }))
        };
        let repaired = (0..made.len()).map(one).collect::<Result<PrimitiveArray<T>>>()?;
        if is_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&repaired, 0)?));
        }
        Ok(ColumnarValue::Array(Arc::new(repaired)))
    }
}

#[cfg(test)]
mod tests;
