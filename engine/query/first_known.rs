//! `coalesce` in `coalesce`: `DataFusion` makes a CASE of each, in which what is inside stands twice, so
//! that 20 levels become a million.
//!
//! From the third level on, one function gives the first value that is not NULL. It computes all its
//! arguments, so that those behind the first may not fail; where they may, the depth has a limit.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, new_null_array};
use datafusion::arrow::compute::kernels::zip::zip;
use datafusion::arrow::compute::{cast, is_not_null};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion, TreeNodeVisitor};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

use super::guard::may_fail;
use super::nodes::{input_schema, rewritten};
use super::shapes::{refusal, span_of};

const NAME: &str = "first_known";
/// Levels that may stay as they are.
const PLAIN_MAX: usize = 2;
/// Levels that double what is inside: a thousand times as much is soon computed.
const DOUBLING_MAX: usize = 10;

/// A node without `coalesce` in `coalesce` in `coalesce`.
pub(super) fn flat(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut n = 0;
    plan.apply_expressions(|expr| {
        expr.apply(|part| {
            n += usize::from(is_one(part));
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    if n <= PLAIN_MAX {
        return Ok(Transformed::no(plan));
    }
    let schema = input_schema(&plan)?;
    rewritten(plan, |expr| expr.transform_up(|part| replaced(part, &schema)))
}

fn replaced(part: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if !is_one(&part) {
        return Ok(Transformed::no(part));
    }
    let depth = depth(&part);
    if depth <= PLAIN_MAX {
        return Ok(Transformed::no(part));
    }
    let Expr::ScalarFunction(ScalarFunction { func, args }) = part else {
        return Ok(Transformed::no(part));
    };
    for arg in args.iter().skip(1) {
        if may_fail(arg, schema)? {
            if depth <= DOUBLING_MAX {
                return Ok(Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args })));
            }
            return Err(refusal(
                &format!("`{}` is nested in itself more than {DOUBLING_MAX} times", func.name()),
                "one call takes all values: coalesce(a, b, c)",
                span_of(&args),
            ));
        }
    }
    let name = Expr::ScalarFunction(ScalarFunction { func, args: args.clone() });
    let function = FirstKnown {
        name: name.schema_name().to_string(),
        signature: Signature::any(args.len(), Volatility::Immutable),
    };
    Ok(Transformed::yes(ScalarUDF::from(function).call(args)))
}

fn is_one(part: &Expr) -> bool {
    matches!(part, Expr::ScalarFunction(call) if matches!(call.name(), "coalesce" | "nvl" | "ifnull" | NAME) && call.args.len() > 1)
}

/// How many of them stand in each other.
fn depth(expr: &Expr) -> usize {
    let mut levels = Levels::default();
    // The visitor never fails.
    let _ = expr.visit(&mut levels);
    levels.most
}

#[derive(Default)]
struct Levels {
    now: usize,
    most: usize,
}

impl TreeNodeVisitor<'_> for Levels {
    type Node = Expr;

    fn f_down(&mut self, part: &Expr) -> Result<TreeNodeRecursion> {
        self.now += usize::from(is_one(part));
        self.most = self.most.max(self.now);
        Ok(TreeNodeRecursion::Continue)
    }

    fn f_up(&mut self, part: &Expr) -> Result<TreeNodeRecursion> {
        self.now -= usize::from(is_one(part));
        Ok(TreeNodeRecursion::Continue)
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct FirstKnown {
    name: String,
    signature: Signature,
}

impl ScalarUDFImpl for FirstKnown {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let known = types.iter().find(|data_type| !data_type.is_null());
        Ok(known.cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> =
            args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().all(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn schema_name(&self, _: &[Expr]) -> Result<String> {
        Ok(self.name.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let to = args.return_type().clone();
        let mut first: ArrayRef = new_null_array(&to, args.number_rows);
        for arg in args.args.iter().rev() {
            let array = arg.to_array(args.number_rows)?;
            let is_other = *array.data_type() != to;
            let array = if is_other { cast(&array, &to)? } else { array };
            if array.null_count() > 0 {
                first = zip(&is_not_null(&array)?, &array, &first)?;
            } else {
                first = array;
            }
        }
        Ok(ColumnarValue::Array(first))
    }
}
