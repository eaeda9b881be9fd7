//! Functions tried on the constants that a query gives them, before any row is read.
//!
//! Promise: what fails for every row, since the fault is in the SQL, is a mistake with its place and the
//! function's own words; these hold no value of a record, unlike those of an error at run time. What
//! runs for some row passes: branches that a condition guards count for constants alone.

use std::sync::Arc;

use chrono::format::{Item, StrftimeItems};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion, TreeNodeVisitor};
use datafusion::common::{Column, DFSchema, ExprSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::{BinaryExpr, Case};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, Volatility,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_plan::collect;

use super::failure::words;
use super::nodes::input_schema;
use super::places;
use super::shapes::{Result, refusal};
use super::written::written;
use crate::error::Error;
use crate::guard::guarded;

/// Values of a row that nobody has. A constant is wrong if it fits none of them.
const TEXTS: [&str; 4] = ["a", "", "2000-01-01", "1"];
const NUMBERS: [i64; 4] = [1, 0, -1, 2];

/// Functions that take every constant that could be planned, or whose argument decides more than the
/// constant: no value that we make up says anything about them.
const TAKE_ALL: &[&str] = &[
    "array_element",
    "arrow_cast",
    "arrow_try_cast",
    "checked_add",
    "checked_cast",
    "checked_multiply",
    "checked_subtract",
    "coalesce",
    "concat",
    "decode",
    "first_known",
    "get_field",
    "greatest",
    "least",
    "make_array",
    "named_struct",
    "nullif",
    "nvl",
    "struct",
];
/// Functions that read a text by a format.
const READERS: &[&str] = &["to_timestamp", "to_date", "to_time", "to_unixtime", "to_local_time"];
/// Functions of many rows that take every constant.
const SETS_TAKE_ALL: &[&str] = &["lag", "lead", "string_agg", "listagg"];

/// Refuses what cannot be computed for any row.
///
/// # Errors
/// The first such expression, with its place in the text.
pub(super) async fn tried(state: &SessionState, plan: &LogicalPlan, sql: &str) -> Result<()> {
    for (function, schema) in scalars(state, plan, sql)? {
        let Some(cause) = fails_on_sets(state, &function, &schema).await else { continue };
        return Err(mistake(&function, &cause, sql));
    }
    Ok(())
}

/// As [`tried`], for what looks at one row at a time. The rest is returned.
pub(super) fn scalars(
    state: &SessionState,
    plan: &LogicalPlan,
    sql: &str,
) -> Result<Vec<(Expr, DFSchema)>> {
    let mut sets = Vec::new();
    plan.apply_with_subqueries(|node| {
        let mut look = Look { state, node, schema: None, sql, frames: Vec::new(), sets: vec![] };
        node.apply_expressions(|expr| {
            look.frames.clear();
            expr.visit(&mut look)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        for function in std::mem::take(&mut look.sets) {
            if let Some(schema) = look.schema() {
                sets.push((function, schema.clone()));
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(sets)
}

/// An expression that is being looked at.
struct Frame {
    /// The first child that is computed for some rows only.
    lazy_from: usize,
    is_guarded: bool,
    /// Whether a condition without columns may have decided that nothing here is ever computed.
    may_be_dead: bool,
    n_entered: usize,
    /// Which children are constants.
    constants: Vec<bool>,
}

struct Look<'a> {
    state: &'a SessionState,
    node: &'a LogicalPlan,
    schema: Option<DFSchema>,
    sql: &'a str,
    frames: Vec<Frame>,
    /// Aggregate and window functions with constants.
    sets: Vec<Expr>,
}

impl<'n> TreeNodeVisitor<'n> for Look<'_> {
    type Node = Expr;

    fn f_down(&mut self, expr: &'n Expr) -> Result<TreeNodeRecursion> {
        let (mut is_guarded, mut may_be_dead) = (false, decides_without_rows(expr));
        if let Some(parent) = self.frames.last_mut() {
            is_guarded = parent.is_guarded || parent.n_entered >= parent.lazy_from;
            may_be_dead |= parent.may_be_dead;
            parent.n_entered += 1;
        }
        let lazy_from = lazy_from(expr);
        self.frames.push(Frame {
            lazy_from,
            is_guarded,
            may_be_dead,
            n_entered: 0,
            constants: vec![],
        });
        Ok(TreeNodeRecursion::Continue)
    }

    fn f_up(&mut self, expr: &'n Expr) -> Result<TreeNodeRecursion> {
        let Some(frame) = self.frames.pop() else { return Ok(TreeNodeRecursion::Continue) };
        let constant = may_be_constant(expr) && frame.constants.iter().all(|constant| *constant);
        match self.frames.last_mut() {
            Some(parent) => parent.constants.push(constant),
            None if constant => self.constant(expr)?,
            None => {}
        }
        if !constant && frame.constants.contains(&true) && !frame.may_be_dead {
            self.parts(expr, &frame)?;
        }
        Ok(TreeNodeRecursion::Continue)
    }
}

impl Look<'_> {
    fn schema(&mut self) -> Option<&DFSchema> {
        if self.schema.is_none() {
            self.schema = input_schema(self.node).ok();
        }
        self.schema.as_ref()
    }

    /// The constants of an expression that is none itself, and the expression on them.
    fn parts(&mut self, expr: &Expr, frame: &Frame) -> Result<()> {
        let mut at = 0;
        expr.apply_children(|child| {
            let is_computed = !frame.is_guarded && at < frame.lazy_from;
            if is_computed && frame.constants.get(at) == Some(&true) {
                self.constant(child)?;
            }
            at += 1;
            Ok(TreeNodeRecursion::Continue)
        })?;
        match expr {
            Expr::ScalarFunction(call) => {
                let name = call.name();
                let is_operator = name.starts_with("checked_");
                let divides = matches!(name, "checked_divide" | "checked_modulo");
                if TAKE_ALL.contains(&name)
                    || is_operator && frame.is_guarded
                    || divides && is_above_zero(call.args.last())
                {
                    return Ok(());
                }
                if READERS.iter().any(|reader| name.starts_with(reader)) {
                    return readable(expr, &call.args, self.sql);
                }
                self.with_rows(expr, &frame.constants)
            }
            Expr::BinaryExpr(BinaryExpr { op, right, .. })
                if is_fallible(*op, frame.is_guarded)
                    && !(is_division(*op) && is_above_zero(Some(right))) =>
            {
                self.with_rows(expr, &frame.constants)
            }
            Expr::AggregateFunction(call) => {
                self.on_sets(expr, call.func.name(), call.params.args.len(), frame);
                Ok(())
            }
            Expr::WindowFunction(call) => {
                self.on_sets(expr, call.fun.name(), call.params.args.len(), frame);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn on_sets(&mut self, expr: &Expr, name: &str, n_args: usize, frame: &Frame) {
        let from = usize::from(name != "ntile");
        let constants = frame.constants.get(from..n_args).unwrap_or_default();
        if constants.contains(&true) && !SETS_TAKE_ALL.contains(&name) {
            self.sets.push(expr.clone());
        }
    }

    /// An expression without columns, which has one value.
    fn constant(&self, expr: &Expr) -> Result<()> {
        if is_settled(expr) {
            return Ok(());
        }
        let row = row(&[])?;
        let Some(cause) = guarded(|| compute(self.state, expr, &row)).and_then(Result::err) else {
            return Ok(());
        };
        if is_ours(&cause) {
            return Ok(());
        }
        // What is inside says more.
        let mut inner = None;
        expr.apply_children(|child| {
            let fails =
                |child| guarded(|| compute(self.state, child, &row)).is_some_and(|r| r.is_err());
            if inner.is_none() && fails(child) {
                inner = Some(child.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        match inner {
            Some(inner) if !matches!(expr, Expr::Case(_)) => self.constant(&inner),
            _ => Err(mistake(expr, &cause, self.sql)),
        }
    }

    /// An expression on its constants and on made-up values in the place of all else.
    fn with_rows(&mut self, expr: &Expr, constants: &[bool]) -> Result<()> {
        let Some(schema) = self.schema() else { return Ok(()) };
        let (mut types, mut at) = (Vec::new(), 0);
        let general = expr.clone().map_children(|child| {
            at += 1;
            if constants.get(at - 1) == Some(&true) {
                return Ok(Transformed::no(child));
            }
            types.push(child.get_type(schema)?);
            let name = format!("__{}", types.len());
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(name))))
        });
        let Ok(general) = general else { return Ok(()) };
        // Lists that are made up need not belong together, as the keys and values of a map do.
        if types.iter().any(DataType::is_nested) {
            return Ok(());
        }
        let mut cause = None;
        for n in 0..NUMBERS.len() {
            let values = types.iter().map(|data_type| value(data_type, n));
            let row = row(&values.collect::<Vec<_>>())?;
            match guarded(|| compute(self.state, &general.data, &row)) {
                Some(Err(error)) if !is_ours(&error) => cause = cause.or(Some(error)),
                _ => return Ok(()),
            }
        }
        cause.map_or(Ok(()), |cause| Err(mistake(expr, &cause, self.sql)))
    }
}

/// What is never computed if a condition without columns says so.
fn decides_without_rows(expr: &Expr) -> bool {
    match expr {
        Expr::Case(Case { expr: None, when_then_expr, .. }) => {
            when_then_expr.iter().any(|(when, _)| !when.any_column_refs())
        }
        Expr::Case(Case { expr: Some(of), .. }) => !of.any_column_refs(),
        _ => false,
    }
}

fn lazy_from(expr: &Expr) -> usize {
    match expr {
        Expr::Case(case) => 1 + usize::from(case.expr.is_some()),
        Expr::BinaryExpr(BinaryExpr { op: Operator::And | Operator::Or, .. }) => 1,
        Expr::ScalarFunction(call) => match call.name() {
            "coalesce" | "nvl" | "nvl2" | "ifnull" | "first_known" => 1,
            _ => usize::MAX,
        },
        _ => usize::MAX,
    }
}

/// A literal, or a cast of one, which has been computed when arithmetic was checked.
fn is_settled(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(..) => true,
        Expr::Alias(alias) => is_settled(&alias.expr),
        Expr::Cast(cast) => matches!(*cast.expr, Expr::Literal(..)),
        _ => false,
    }
}

/// Whether a divisor is a number that everything can be divided by.
fn is_above_zero(divisor: Option<&Expr>) -> bool {
    let Some(Expr::Literal(value, _)) = divisor else { return false };
    matches!(value.cast_to(&DataType::Int64), Ok(ScalarValue::Int64(Some(1..))))
}

fn is_division(op: Operator) -> bool {
    matches!(op, Operator::Divide | Operator::Modulo)
}

fn is_fallible(op: Operator, is_guarded: bool) -> bool {
    use Operator::{RegexIMatch, RegexMatch, RegexNotIMatch, RegexNotMatch};
    match op {
        RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch => true,
        op => is_division(op) && !is_guarded,
    }
}

/// Whether an expression of constants is one.
fn may_be_constant(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Immutable,
        Expr::Literal(..)
        | Expr::Alias(_)
        | Expr::BinaryExpr(_)
        | Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::Not(_)
        | Expr::IsNotNull(_)
        | Expr::IsNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Negative(_)
        | Expr::Between(_)
        | Expr::Case(_)
        | Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::InList(_) => true,
        _ => false,
    }
}

/// Texts that say how a time is written, and do not.
fn readable(expr: &Expr, args: &[Expr], sql: &str) -> Result<()> {
    for arg in args.iter().skip(1) {
        if let Expr::Literal(format, _) = arg
            && let Some(Some(format)) = format.try_as_str()
            && StrftimeItems::new(format).any(|item| matches!(item, Item::Error))
        {
            let cause = format!("'{format}' is no format of a time, as '%Y-%m-%d %H:%M:%S' is");
            return Err(mistake(expr, &DataFusionError::Plan(cause), sql));
        }
    }
    Ok(())
}

/// Computes an expression on one row.
fn compute(state: &SessionState, expr: &Expr, row: &RecordBatch) -> Result<()> {
    let schema = Arc::new(DFSchema::try_from(row.schema())?);
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(&schema))
        .with_config_options(Arc::clone(state.config_options()))
        .build();
    let expr = ExprSimplifier::new(context).simplify(expr.clone().unalias())?;
    if matches!(expr, Expr::Literal(..)) {
        return Ok(());
    }
    state.create_physical_expr(expr, &schema)?.evaluate(row).map(drop)
}

/// A row of made-up values.
fn row(values: &[ScalarValue]) -> Result<RecordBatch> {
    let of = |(n, value): (usize, &ScalarValue)| {
        Field::new(format!("__{}", n + 1), value.data_type(), true)
    };
    let mut fields: Vec<Field> = values.iter().enumerate().map(of).collect();
    let mut columns = values.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>>>()?;
    fields.push(Field::new("__row", DataType::Boolean, true));
    columns.push(ScalarValue::Boolean(Some(true)).to_array()?);
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// The n-th made-up value of a type, NULL if there is none.
fn value(data_type: &DataType, n: usize) -> ScalarValue {
    let made = match data_type {
        text if text.is_string() => ScalarValue::from(TEXTS[n]).cast_to(text),
        plain if plain.is_numeric() || plain.is_temporal() => {
            ScalarValue::Int64(Some(NUMBERS[n])).cast_to(plain)
        }
        DataType::Boolean => Ok(ScalarValue::Boolean(Some(n == 0))),
        other => ScalarValue::new_default(other),
    };
    let default = |_| ScalarValue::new_default(data_type);
    made.or_else(default).or_else(|_| ScalarValue::try_from(data_type)).unwrap_or(ScalarValue::Null)
}

/// Why an aggregate or window function fails, whatever its row.
async fn fails_on_sets(
    state: &SessionState,
    function: &Expr,
    schema: &DFSchema,
) -> Option<DataFusionError> {
    let mut cause = None;
    for n in 0..2 {
        // What cannot be made up says nothing.
        let plan = on_one_row(function, schema, n).ok()?;
        let rows = async {
            let plan = state.create_physical_plan(&plan).await?;
            collect(plan, state.task_ctx()).await
        };
        match rows.await {
            Err(error) if !is_ours(&error) => cause = Some(error),
            _ => return None,
        }
    }
    cause
}

fn on_one_row(function: &Expr, schema: &DFSchema, n: usize) -> Result<LogicalPlan> {
    let mut columns = Vec::new();
    for column in function.column_refs() {
        let field = schema.field_from_column(column)?;
        let value = Expr::Literal(value(field.data_type(), n), None);
        columns.push(match &column.relation {
            Some(table) => value.alias_qualified(Some(table.clone()), column.name.clone()),
            None => value.alias(column.name.clone()),
        });
    }
    columns.push(Expr::Literal(ScalarValue::Boolean(Some(true)), None).alias("__row"));
    let row = LogicalPlanBuilder::empty(true).project(columns)?;
    match function {
        Expr::WindowFunction(_) => row.window([function.clone()])?.build(),
        _ => row.aggregate(Vec::<Expr>::new(), [function.clone()])?.build(),
    }
}

/// Errors that say nothing about the query: what we made up does not work.
fn is_ours(cause: &DataFusionError) -> bool {
    use DataFusionError::{Internal, NotImplemented, ResourcesExhausted, SchemaError};
    let root = cause.find_root();
    matches!(root, Internal(_) | NotImplemented(_) | ResourcesExhausted(_) | SchemaError(..))
}

fn mistake(expr: &Expr, cause: &DataFusionError, sql: &str) -> DataFusionError {
    let place = places::of(expr, sql);
    if let DataFusionError::External(own) = cause.find_root()
        && let Some(own) = own.downcast_ref::<Error>()
    {
        let hint = own.hint_text().unwrap_or("no row can be computed: change the constant");
        return refusal(&own.to_string(), hint, place);
    }
    let message = format!("`{}` fails for every row: {}", written(expr), words(cause));
    refusal(&message, "no row can be computed: change the constant", place)
}
