//! Expressions and types in the words of SQL, for errors.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::BinaryExpr;

/// Longer expressions are cut: an error shows a place, not a program.
const LENGTH_MAX: usize = 120;
const DEPTH_MAX: usize = 6;

/// An expression about as it was written, without the casts that planning added.
pub(super) fn written(expr: &Expr) -> String {
    let mut text = String::new();
    write(expr, 0, &mut text);
    text
}

fn write(expr: &Expr, depth: usize, text: &mut String) {
    if depth > DEPTH_MAX || text.len() > LENGTH_MAX {
        text.push('…');
        return;
    }
    let depth = depth + 1;
    match expr {
        Expr::Alias(alias) => write(&alias.expr, depth, text),
        Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => {
            text.push_str(&column.flat_name());
        }
        Expr::Literal(ScalarValue::Utf8(Some(literal)), _) => {
            text.push_str(&format!("'{}'", literal.replace('\'', "''")));
        }
        Expr::Literal(literal, _) => text.push_str(&literal.to_string()),
        // The outermost cast is what an error is about; those inside come from coercion as a rule.
        Expr::Cast(cast) if depth == 1 => {
            text.push_str("CAST(");
            write(&cast.expr, depth, text);
            text.push_str(&format!(" AS {})", sql_name(cast.field.data_type())));
        }
        Expr::Cast(cast) => write(&cast.expr, depth, text),
        Expr::Negative(value) => {
            text.push('-');
            operand(value, depth, text);
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            operand(left, depth, text);
            text.push_str(&format!(" {op} "));
            operand(right, depth, text);
        }
        Expr::ScalarFunction(call) if call.name() == "get_field" => match call.args.split_first() {
            Some((base, names)) => {
                write(base, depth, text);
                for name in names {
                    text.push('[');
                    write(name, depth, text);
                    text.push(']');
                }
            }
            None => text.push('…'),
        },
        // Functions of ours in the place of casts and operators.
        Expr::ScalarFunction(call) => match (call.args.as_slice(), sign(call.name())) {
            ([value], Some("")) => write(value, depth, text),
            ([value], Some(sign)) => {
                text.push_str(sign);
                operand(value, depth, text);
            }
            ([left, right], Some(sign)) => {
                operand(left, depth, text);
                text.push_str(&format!(" {sign} "));
                operand(right, depth, text);
            }
            (args, _) => arguments(call.name(), false, args, depth, text),
        },
        Expr::AggregateFunction(call) => {
            let params = &call.params;
            arguments(call.func.name(), params.distinct, &params.args, depth, text);
        }
        Expr::WindowFunction(call) => {
            let params = &call.params;
            arguments(call.fun.name(), params.distinct, &params.args, depth, text);
            text.push_str(" OVER (…)");
        }
        Expr::Case(_) => text.push_str("CASE … END"),
        _ => text.push('…'),
    }
}

fn sign(function: &str) -> Option<&'static str> {
    Some(match function {
        "checked_cast" | "tried_cast" => "",
        "checked_add" => "+",
        "checked_subtract" | "checked_negate" => "-",
        "checked_multiply" => "*",
        "checked_divide" => "/",
        "checked_modulo" => "%",
        "checked_shift_left" => "<<",
        "checked_shift_right" => ">>",
        _ => return None,
    })
}

/// An operand, in parentheses if it is an operation itself.
fn operand(expr: &Expr, depth: usize, text: &mut String) {
    match expr {
        Expr::BinaryExpr(_) => {
            text.push('(');
            write(expr, depth, text);
            text.push(')');
        }
        Expr::Cast(cast) => operand(&cast.expr, depth, text),
        _ => write(expr, depth, text),
    }
}

fn arguments(name: &str, distinct: bool, args: &[Expr], depth: usize, text: &mut String) {
    text.push_str(name);
    text.push_str(if distinct { "(DISTINCT " } else { "(" });
    for (n, arg) in args.iter().enumerate() {
        if n > 0 {
            text.push_str(", ");
        }
        write(arg, depth, text);
    }
    text.push(')');
}

/// The name of a type in SQL.
pub(super) fn sql_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Float32 => "FLOAT".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::UInt8 => "TINYINT UNSIGNED".to_owned(),
        DataType::UInt16 => "SMALLINT UNSIGNED".to_owned(),
        DataType::UInt32 => "INT UNSIGNED".to_owned(),
        DataType::UInt64 => "BIGINT UNSIGNED".to_owned(),
        DataType::Decimal256(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Duration(_) | DataType::Interval(_) => "INTERVAL".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "TIME".to_owned(),
        DataType::Timestamp(..) => "TIMESTAMP".to_owned(),
        other => crate::contract::sql_type(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{cast, col, lit};

    #[test]
    fn an_error_shows_what_was_written_and_not_what_planning_made_of_it() {
        let sum = cast(col("a"), DataType::Int64) + lit(1_i64);
        assert_eq!(written(&(sum * col("t.b"))), "(a + 1) * t.b");
        assert_eq!(written(&cast(col("a"), DataType::Int32)), "CAST(a AS INT)");
        assert_eq!(written(&lit("it's")), "'it''s'");
    }

    #[test]
    fn a_long_expression_is_cut() {
        let long = (0..5000).fold(lit(1_i64), |sum, n| sum + col(format!("column_{n}")));
        assert!(written(&long).chars().count() < 2 * LENGTH_MAX, "{}", written(&long));
    }
}
