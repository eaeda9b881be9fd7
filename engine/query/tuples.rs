//! `(a, b) IN (SELECT x, y …)` as EXISTS: `DataFusion` compares one column.
//!
//! It is true where a row has equal values, unknown where none has and NULLs leave one open, else false.

use datafusion::common::Span;
use sqlparser::ast::{
    BinaryOperator, Expr, Ident, Query, Select, SelectItem, SetExpr, Spanned, TableFactor,
    UnaryOperator,
};

use super::parse;
use super::shapes::{Result, refusal};

const ROWS: &str = "__tuple";

/// Rewrites one expression that looks for a tuple in a subquery, with all of its three answers.
pub(super) fn as_exists(expr: &mut Expr) -> Result<()> {
    let Some(search) = Search::of(expr) else { return Ok(()) };
    search.require_as_many_columns()?;
    let answers = "CASE WHEN NULL THEN TRUE WHEN NULL THEN NULL ELSE FALSE END";
    let mut answers = parse::part(answers, |parser| parser.parse_expr())?;
    if let Expr::Case { conditions, .. } = &mut answers
        && let [matches, unknown] = conditions.as_mut_slice()
    {
        matches.condition = search.exists(|equal| equal)?;
        unknown.condition = search.exists(is_null)?;
    }
    *expr = if search.negated { not(answers) } else { answers };
    Ok(())
}

/// Rewrites the conditions that keep rows of a SELECT, for which false and unknown are the same.
pub(super) fn in_conditions(select: &mut Select) -> Result<()> {
    let mut open: Vec<&mut Expr> = Vec::new();
    open.extend(&mut select.selection);
    open.extend(&mut select.having);
    while let Some(condition) = open.pop() {
        match condition {
            Expr::Nested(inner) => open.push(inner),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                open.extend([left.as_mut(), right.as_mut()]);
            }
            condition => {
                let Some(search) = Search::of(condition) else { continue };
                search.require_as_many_columns()?;
                let matches = search.exists(|equal| equal)?;
                *condition = if search.negated {
                    and(not(matches), not(search.exists(is_null)?))
                } else {
                    matches
                };
            }
        }
    }
    Ok(())
}

/// A tuple, and the subquery that it is looked for in.
struct Search {
    values: Vec<Expr>,
    subquery: Box<Query>,
    negated: bool,
}

impl Search {
    fn of(expr: &Expr) -> Option<Self> {
        let (left, subquery, negated) = match expr {
            Expr::InSubquery { expr, subquery, negated } => (expr, subquery.as_ref(), *negated),
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => {
                (left, in_parentheses(right)?, false)
            }
            Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => {
                (left, in_parentheses(right)?, true)
            }
            _ => return None,
        };
        let Expr::Tuple(values) = left.as_ref() else { return None };
        Some(Self { values: values.clone(), subquery: Box::new(subquery.clone()), negated })
    }

    fn require_as_many_columns(&self) -> Result<()> {
        let SetExpr::Select(select) = self.subquery.body.as_ref() else { return Ok(()) };
        let named = |item: &SelectItem| {
            matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
        };
        let (n_values, n_columns) = (self.values.len(), select.projection.len());
        if n_values == n_columns || !select.projection.iter().all(named) {
            return Ok(());
        }
        Err(refusal(
            &format!("{n_values} values are looked for in a subquery of {n_columns} columns"),
            "select as many columns as there are values on the left",
            select.projection.first().and_then(|item| Span::try_from_sqlparser_span(item.span())),
        ))
    }

    /// Whether there is a row for which a condition on the equality of all values holds.
    fn exists(&self, condition: impl Fn(Expr) -> Expr) -> Result<Expr> {
        let names: Vec<String> = (1..=self.values.len()).map(|n| format!("__c{n}")).collect();
        let text = format!("SELECT 1 FROM (SELECT 1) AS {ROWS} ({})", names.join(", "));
        let mut query = parse::part(&text, |parser| parser.parse_query())?;
        let pairs = self.values.iter().zip(&names).map(|(value, name)| {
            let of = Expr::CompoundIdentifier(vec![Ident::new(ROWS), Ident::new(name)]);
            binary(of, BinaryOperator::Eq, nested(value.clone()))
        });
        if let SetExpr::Select(select) = query.body.as_mut()
            && let Some(from) = select.from.first_mut()
            && let TableFactor::Derived { subquery, .. } = &mut from.relation
        {
            subquery.clone_from(&self.subquery);
            select.selection = pairs.reduce(and).map(condition);
        }
        Ok(Expr::Exists { subquery: query, negated: false })
    }
}

fn in_parentheses(expr: &Expr) -> Option<&Query> {
    match expr {
        Expr::Subquery(query) => Some(query),
        Expr::Nested(inner) => in_parentheses(inner),
        _ => None,
    }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn and(left: Expr, right: Expr) -> Expr {
    binary(left, BinaryOperator::And, right)
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

fn is_null(expr: Expr) -> Expr {
    Expr::IsNull(Box::new(nested(expr)))
}

fn not(expr: Expr) -> Expr {
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(nested(expr)) }
}
