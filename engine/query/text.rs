//! SQL text as statements and expressions, in forms that `DataFusion` reads right.
//!
//! Numbers with an exponent are doubles: it is told that numbers with a point are decimals, and makes
//! decimals of all others, too. Patterns are escaped by a backslash, and tuples are in a set by EXISTS.

use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::sql::parser::Statement;
use sqlparser::ast::{
    DataType, ExactNumberInfo, Expr, ExprWithAlias, Select, SelectFlavor, SelectItem, TypedString,
    Value, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use super::{like, parse, tuples};

type Result<T> = std::result::Result<T, DataFusionError>;

/// The longest decimal.
const DIGITS_MAX: usize = 38;

/// The one statement of a text.
pub(super) fn statement(sql: &str) -> Result<Statement> {
    let mut statement = parse::statement(sql)?;
    with_doubles(&mut statement)?;
    Ok(statement)
}

/// An expression.
pub(super) fn expression(sql: &str) -> Result<ExprWithAlias> {
    let mut expression = parse::expression(sql)?;
    read_right(&mut expression.expr)?;
    Ok(expression)
}

fn with_doubles(statement: &mut Statement) -> Result<()> {
    match statement {
        Statement::Statement(statement) => read_right(statement.as_mut()),
        Statement::Explain(explain) => with_doubles(&mut explain.statement),
        _ => Ok(()),
    }
}

fn read_right(sql: &mut impl VisitMut) -> Result<()> {
    match sql.visit(&mut Reader) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Reader;

impl VisitorMut for Reader {
    type Break = DataFusionError;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<DataFusionError> {
        // `FROM t` is `SELECT * FROM t`, as in `DuckDB`, and no row of no columns.
        if select.flavor == SelectFlavor::FromFirstNoSelect && select.projection.is_empty() {
            let all = WildcardAdditionalOptions::default();
            select.projection.push(SelectItem::Wildcard(all));
        }
        tuples::in_conditions(select).map_or_else(ControlFlow::Break, ControlFlow::Continue)
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DataFusionError> {
        if let Expr::Value(value) = expr
            && let Value::Number(number, _) = &value.value
            && is_double(number)
        {
            let number = Value::SingleQuotedString(number.replace('_', ""));
            *expr = Expr::TypedString(TypedString {
                data_type: DataType::Double(ExactNumberInfo::None),
                value: number.with_span(value.span),
                uses_odbc_syntax: false,
            });
        }
        let read = like::with_backslash(expr).and_then(|()| tuples::as_exists(expr));
        read.map_or_else(ControlFlow::Break, ControlFlow::Continue)
    }
}

/// Whether a number has an exponent, or more digits than a decimal.
fn is_double(number: &str) -> bool {
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    number.contains(['e', 'E']) || digits > DIGITS_MAX
}

#[cfg(test)]
mod tests {
    use super::super::testing::cells;
    use super::super::{Limits, Query};

    fn run(sql: &str) -> Result<String, String> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let query = Query::new(&Limits::planning(chrono_tz::UTC)).unwrap();
        cells(runtime.block_on(query.collect(sql)))
    }

    #[test]
    fn operators_bind_as_in_other_engines() {
        for (expression, value) in [
            ("false IS NOT DISTINCT FROM true AND false", "false"),
            ("true AND 1 IS DISTINCT FROM 1 OR true", "true"),
            ("1 IS DISTINCT FROM 2 AND NULL IS NOT DISTINCT FROM NULL", "true"),
            ("NOT 1 IS DISTINCT FROM 1", "true"),
            ("1 IS DISTINCT FROM 1 + 1", "true"),
            ("CASE WHEN 1 IS DISTINCT FROM 1 OR 2 = 2 THEN 'y' END", "y"),
            ("true = 'abc' LIKE 'a%'", "true"),
            ("'abc' LIKE 'a%' = true", "true"),
            (r"'a%' LIKE 'a\%' ESCAPE '\' = true", "true"),
            ("true = 5 BETWEEN 1 AND 10", "true"),
            ("5 BETWEEN 1 AND 10 = true", "true"),
            ("5 BETWEEN 1 AND 10 AND false", "false"),
            ("true = 5 IN (1, 5)", "true"),
            ("true = 'abc' ~ 'b'", "true"),
            ("'abc' ~ 'b' || 'c'", "true"),
            ("'a' || 1 + 2", "a3"),
            ("1 + 2 || 'x'", "3x"),
            ("'1' || 2 * 3", "16"),
            ("1 << 2 & 3", "0"),
            ("4 | 2 & 2", "2"),
            ("1 + 1 << 2", "8"),
            ("5 & 3 = 1", "true"),
            ("NOT 1 = 2", "true"),
            ("1 = 2 IS NULL", "false"),
            ("1 IS NULL = false", "true"),
            ("false IS TRUE AND true", "false"),
            ("-1::int + 2", "1"),
            ("-2 * 3", "-6"),
            ("2 - 3 - 4", "-5"),
            ("'abc' || 'd' LIKE 'abcd'", "true"),
        ] {
            assert_eq!(run(&format!("SELECT {expression}")).as_deref(), Ok(value), "{expression}");
        }
    }

    #[test]
    fn from_without_select_takes_all_columns() {
        for (sql, rows) in [
            ("FROM (VALUES (1, 2)) t(a, b) LIMIT 1", "1 2"),
            ("FROM (VALUES (1)) t(a) UNION ALL FROM (VALUES (2)) u(a) ORDER BY a", "1, 2"),
            ("WITH w AS (FROM (VALUES (7)) t(a)) FROM w", "7"),
            ("FROM (VALUES (1, 2)) t(a, b) SELECT b", "2"),
        ] {
            assert_eq!(run(sql).as_deref(), Ok(rows), "{sql}");
        }
    }

    #[test]
    fn a_text_that_is_nested_too_deep_ends_at_once_with_its_place() {
        let nested = |n: usize, inside: &str| {
            format!("SELECT {}{inside}{}", "CAST(".repeat(n), " AS BIGINT)".repeat(n))
        };
        assert_eq!(run(&nested(30, "1")).as_deref(), Ok("1"));
        for (n, inside) in [(30, "1 1"), (45, "1 +"), (55, "1"), (400, "1")] {
            // Each level would double the time: this ends, or takes days.
            assert!(run(&nested(n, inside)).is_err());
        }
    }

    #[test]
    fn numbers_with_a_point_are_decimals_and_those_with_an_exponent_doubles() {
        for (expression, value) in [
            ("arrow_typeof(1.50)", "Decimal128(3, 2)"),
            ("arrow_typeof(12345678901234567890123)", "Decimal128(23, 0)"),
            ("arrow_typeof(1e2)", "Float64"),
            ("-1.5e1", "-15.0"),
            ("CAST(123456789012345678.99 AS DECIMAL(20,2))", "123456789012345678.99"),
            ("0.1 + 0.2", "0.3"),
            ("123456789012345678901234567890123456789012 > 1", "true"),
        ] {
            assert_eq!(run(&format!("SELECT {expression}")).as_deref(), Ok(value), "{expression}");
        }
    }
}
