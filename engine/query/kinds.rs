//! Which kind of number an expression is: whole, decimal, or floating, and whether its decimals are
//! those of literals alone.

use std::collections::HashSet;

use datafusion::arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, DecimalType};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{BinaryExpr, Cast};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, lit};

/// What an expression is as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Null,
    Whole,
    /// A decimal of literals, such as `0.5` or `n * 0.5`: exact, and a double where an exact value
    /// makes no sense.
    Literal,
    /// A decimal of a table or of a CAST.
    Decimal,
    Floating,
    Other,
}

/// How deep an expression is looked into: sums of thousands of terms are as deep as they are long.
const DEPTH_MAX: usize = 40;

/// Functions that give one of their arguments, or what is left of one.
const KEEPING: &[&str] = &[
    "abs", "ceil", "coalesce", "floor", "greatest", "ifnull", "least", "nullif", "nvl", "round",
    "trunc",
];

/// The columns that an expression may name.
pub(super) struct Scope<'a> {
    pub(super) schema: &'a DFSchema,
    /// Those whose decimals are of literals.
    pub(super) literals: HashSet<Column>,
}

impl Scope<'_> {
    pub(super) fn kind(&self, expr: &Expr) -> Result<Kind> {
        self.kind_within(expr, DEPTH_MAX)
    }

    /// What stands deeper than `depth` is judged by its type.
    fn kind_within(&self, expr: &Expr, depth: usize) -> Result<Kind> {
        let Some(depth) = depth.checked_sub(1) else {
            return Ok(of_type(&expr.get_type(self.schema)?));
        };
        match expr {
            Expr::Alias(alias) => self.kind_within(&alias.expr, depth),
            Expr::Literal(value, _) if value.data_type().is_decimal() => Ok(Kind::Literal),
            Expr::Negative(value) => self.kind_within(value, depth),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_arithmetic(*op) => {
                Ok(self.kind_within(left, depth)?.max(self.kind_within(right, depth)?))
            }
            Expr::Case(case) => {
                let branches = case.when_then_expr.iter().map(|(_, then)| then);
                let branches = branches.chain(&case.else_expr);
                self.greatest(branches.map(AsRef::as_ref), depth)
            }
            Expr::ScalarFunction(call) if keeps_kind(call.name()) => {
                let n = if is_choice(call.name()) { call.args.len() } else { 1 };
                self.greatest(call.args.iter().take(n), depth)
            }
            Expr::Column(column) if self.literals.contains(column) => Ok(Kind::Literal),
            expr => Ok(of_type(&expr.get_type(self.schema)?)),
        }
    }

    fn greatest<'e>(&self, exprs: impl Iterator<Item = &'e Expr>, depth: usize) -> Result<Kind> {
        let mut greatest = Kind::Null;
        for expr in exprs {
            greatest = greatest.max(self.kind_within(expr, depth)?);
        }
        Ok(greatest)
    }
}

pub(super) fn of_type(data_type: &DataType) -> Kind {
    match data_type {
        DataType::Null => Kind::Null,
        data_type if data_type.is_integer() => Kind::Whole,
        data_type if data_type.is_decimal() => Kind::Decimal,
        data_type if data_type.is_floating() => Kind::Floating,
        _ => Kind::Other,
    }
}

pub(super) fn keeps_kind(function: &str) -> bool {
    KEEPING.contains(&function)
}

/// Whether a function gives one of its arguments, so that they get one type.
pub(super) fn is_choice(function: &str) -> bool {
    keeps_kind(function) && !matches!(function, "abs" | "ceil" | "floor" | "round" | "trunc")
}

pub(super) fn is_arithmetic(op: Operator) -> bool {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    matches!(op, Plus | Minus | Multiply | Divide | Modulo)
}

/// Digits before and behind the point that the values of a type may have.
pub(super) fn digits(data_type: &DataType) -> Option<(u8, u8)> {
    use DataType::{Decimal32, Decimal64, Decimal128, Decimal256};
    match data_type {
        Decimal32(p, s) | Decimal64(p, s) | Decimal128(p, s) | Decimal256(p, s) => {
            let scale = u8::try_from(*s).ok()?;
            Some((p.checked_sub(scale)?, scale))
        }
        DataType::Null => Some((0, 0)),
        // What the planner takes for them.
        DataType::Int64 | DataType::UInt64 => Some((20, 0)),
        data_type if data_type.is_integer() => Some((10, 0)),
        _ => None,
    }
}

/// A value as a double; a literal from its digits, so that it is the nearest one.
pub(super) fn to_double(expr: Expr) -> Expr {
    match expr {
        Expr::Literal(value, metadata) => match double(&value) {
            Some(number) => lit(number),
            None => cast(Expr::Literal(value, metadata), DataType::Float64),
        },
        Expr::Negative(value) => Expr::Negative(Box::new(to_double(*value))),
        Expr::Alias(mut alias) => {
            alias.expr = Box::new(to_double(*alias.expr));
            Expr::Alias(alias)
        }
        expr => cast(expr, DataType::Float64),
    }
}

fn double(value: &ScalarValue) -> Option<f64> {
    let text = match value {
        ScalarValue::Decimal128(Some(n), p, s) => Decimal128Type::format_decimal(*n, *p, *s),
        ScalarValue::Decimal256(Some(n), p, s) => Decimal256Type::format_decimal(*n, *p, *s),
        _ => return None,
    };
    text.parse().ok()
}

pub(super) fn cast(expr: Expr, to: DataType) -> Expr {
    Expr::Cast(Cast::new(Box::new(expr), to))
}

/// The double that an expression is; numbers with an exponent are texts as doubles.
pub(super) fn double_literal(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Literal(ScalarValue::Float64(number), _) => *number,
        Expr::Negative(value) => double_literal(value).map(|number| -number),
        Expr::Cast(Cast { expr, field }) if *field.data_type() == DataType::Float64 => {
            match expr.as_ref() {
                Expr::Literal(ScalarValue::Utf8(Some(text)), _) => text.parse().ok(),
                _ => None,
            }
        }
        _ => None,
    }
}
