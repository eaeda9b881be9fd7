//! Expressions on rows as the planner would leave them: some functions (`coalesce`, `nvl2`,
//! `arrow_cast`) are only names for others, and cannot be computed before they are put in their place.

use std::sync::Arc;

use datafusion::common::{DFSchema, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

/// An expression in its simplest form, with types that agree.
pub(super) fn simplified(
    state: &SessionState,
    expression: Expr,
    schema: &DFSchema,
) -> Result<Expr> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(schema.clone()))
        .with_config_options(Arc::clone(state.config_options()))
        .build();
    let simplifier = ExprSimplifier::new(context);
    simplifier.simplify(simplifier.coerce(expression, schema)?)
}
