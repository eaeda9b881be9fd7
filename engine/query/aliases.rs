//! Names for expressions that `DataFusion` calls alike: `n` beside `CAST(n AS DOUBLE)`, two counts.
//!
//! It takes a cast for a column of what it casts, and has no place for two columns of one name. Only
//! a statement that is refused for that reason is planned once more, with names of ours; what had a
//! name keeps it, and a column that stands twice gets a number, as in `DuckDB`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr as Planned, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::parser::Statement;
use sqlparser::ast::{
    Expr, Function, Ident, Select, SelectItem, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::nodes::rewritten;
use super::parse;
use super::shapes::Result;

/// The function that keeps casts apart until the statement is planned.
const MARK: &str = "__cast";

/// Whether a statement was refused since two of its columns have one name.
pub(super) fn are_alike(error: &DataFusionError) -> bool {
    let text = error.find_root().strip_backtrace();
    text.contains("require unique expression names")
        || text.contains("duplicate unqualified field")
        || text.contains("duplicate qualified field")
}

/// Gives each expression of each SELECT a name of its own.
///
/// # Errors
/// Only by a bug of ours.
pub(super) fn told_apart(statement: &mut Statement, with_columns: bool) -> Result<()> {
    match statement {
        Statement::Statement(sql) => {
            let mut namer = Namer { with_columns, casts: BTreeMap::new() };
            match VisitMut::visit(sql.as_mut(), &mut namer) {
                ControlFlow::Break(error) => Err(error),
                ControlFlow::Continue(()) => Ok(()),
            }
        }
        Statement::Explain(explain) => told_apart(&mut explain.statement, with_columns),
        _ => Ok(()),
    }
}

/// A plan without the marks of [`told_apart`].
pub(super) fn unmarked(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        rewritten(node, |expr| {
            expr.transform_up(|part| match part {
                Planned::ScalarFunction(ScalarFunction { func, mut args })
                    if func.name() == MARK =>
                {
                    Ok(Transformed::yes(args.swap_remove(0)))
                }
                part => Ok(Transformed::no(part)),
            })
        })
    });
    plan.data()
}

/// The function that marks casts.
pub(super) fn mark() -> ScalarUDF {
    ScalarUDF::from(Mark { signature: Signature::any(2, Volatility::Immutable) })
}

struct Namer {
    /// Whether columns beside a star get names as well.
    with_columns: bool,
    /// The number of each cast.
    casts: BTreeMap<String, usize>,
}

impl VisitorMut for Namer {
    type Break = DataFusionError;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<DataFusionError> {
        let is_star = |item: &SelectItem| {
            matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
        };
        let beside_star = self.with_columns && select.projection.iter().any(is_star);
        let mut taken: BTreeSet<String> = BTreeSet::new();
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                taken.insert(normal(alias));
            }
        }
        for item in &mut select.projection {
            let SelectItem::UnnamedExpr(expr) = item else { continue };
            let column = match expr {
                Expr::Identifier(ident) => Some(normal(ident)),
                Expr::CompoundIdentifier(parts) => parts.last().map(normal),
                _ => None,
            };
            let name = column.clone().unwrap_or_else(|| expr.to_string());
            let is_new = taken.insert(name.clone());
            if column.is_some() && is_new && !beside_star {
                continue;
            }
            let mut own = name.clone();
            let mut n = 0;
            while (column.is_some() || !is_new || n > 0) && (n == 0 || !taken.insert(own.clone())) {
                n += 1;
                own = format!("{name}_{n}");
            }
            let expr = std::mem::replace(expr, Expr::Value(Value::Null.into()));
            *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', own) };
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DataFusionError> {
        if !(matches!(expr, Expr::Cast { .. } | Expr::AtTimeZone { .. }) && reads_column(expr)) {
            return ControlFlow::Continue(());
        }
        let next = self.casts.len();
        let number = *self.casts.entry(expr.to_string()).or_insert(next);
        match marked(expr, number) {
            Ok(marked) => *expr = marked,
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }
}

fn marked(cast: &Expr, number: usize) -> Result<Expr> {
    use sqlparser::ast::{FunctionArg, FunctionArgExpr, FunctionArguments};
    let call = format!("{MARK}(NULL, {number})");
    let mut call = parse::part(&call, |parser| parser.parse_expr())?;
    if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = &mut call
        && let Some(first) = list.args.first_mut()
    {
        *first = FunctionArg::Unnamed(FunctionArgExpr::Expr(cast.clone()));
    }
    Ok(call)
}

fn reads_column(expr: &Expr) -> bool {
    struct Reader;
    impl Visitor for Reader {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    Visit::visit(expr, &mut Reader).is_break()
}

fn normal(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// Gives its first argument; its name tells two casts apart.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Mark {
    signature: Signature,
}

impl ScalarUDFImpl for Mark {
    fn name(&self) -> &'static str {
        MARK
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::clone(&args.arg_fields[0]))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(args
            .args
            .into_iter()
            .next()
            .unwrap_or(ColumnarValue::Scalar(datafusion::common::ScalarValue::Null)))
    }
}
