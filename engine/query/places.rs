//! Where a text of SQL says what an expression of its plan is: plans keep the places of columns alone.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Diagnostic, Span};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::{Expr, Operator};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::shapes::span_of;
use crate::error::Error;
use crate::syntax;

/// Tokens behind a function's name among which its constants are looked for.
const NEAR: usize = 200;

/// The place of a call with its constants, else of one of these, else of a column.
pub(super) fn of(expr: &Expr, sql: &str) -> Option<Span> {
    let tokens = syntax::tokens(sql).ok()?;
    let words: Vec<&TokenWithSpan> =
        tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let (names, constants) = (names(expr), constants(expr));
    let is_constant = |token: &&TokenWithSpan| is_one_of(&token.token, &constants);
    // The field of `extract(day FROM t)` is a word.
    let is_near = |token: &&TokenWithSpan| {
        is_constant(token)
            || matches!(&token.token, Token::Word(word) if constants.contains(&word.value))
    };
    let called = (0..words.len()).find_map(|at| {
        let near = &words[at..words.len().min(at + NEAR)];
        let is_name = names.iter().any(|name| is_named(near, name));
        is_name.then(|| near.iter().copied().find(is_near)).flatten()
    });
    let found = called.or_else(|| words.iter().copied().find(is_constant));
    found.and_then(|token| Span::try_from_sqlparser_span(token.span)).or_else(|| span_of([expr]))
}

/// Names of functions and operators, as a text may have them.
fn names(expr: &Expr) -> Vec<String> {
    let operator = |sign: &str| vec![sign.to_owned()];
    match expr {
        Expr::ScalarFunction(call) => match call.name() {
            "checked_divide" => operator("/"),
            "checked_modulo" => operator("%"),
            "checked_shift_left" => operator("<<"),
            "checked_shift_right" => operator(">>"),
            "checked_cast" => vec!["cast".to_owned()],
            "date_part" => vec!["date_part".to_owned(), "extract".to_owned()],
            name => vec![name.to_owned()],
        },
        Expr::AggregateFunction(call) => vec![call.func.name().to_owned()],
        Expr::WindowFunction(call) => vec![call.fun.name().to_owned()],
        Expr::Cast(_) => vec!["cast".to_owned()],
        Expr::BinaryExpr(BinaryExpr { op: Operator::Divide, .. }) => operator("/"),
        Expr::BinaryExpr(BinaryExpr { op: Operator::Modulo, .. }) => operator("%"),
        _ => vec![],
    }
}

fn is_named(words: &[&TokenWithSpan], name: &str) -> bool {
    match words {
        [first, second, ..] => match &first.token {
            Token::Word(word) => {
                word.value.eq_ignore_ascii_case(name) && second.token == Token::LParen
            }
            sign => sign.to_string() == name,
        },
        _ => false,
    }
}

/// The constants of an expression, those that may be the fault's first.
fn constants(expr: &Expr) -> Vec<String> {
    let mut all = Vec::new();
    // The closure never fails.
    let _ = expr.apply(|part| {
        if let Expr::Literal(value, _) = part {
            all.push(match value.try_as_str() {
                Some(Some(text)) => text.to_owned(),
                _ => value.to_string(),
            });
        }
        Ok(TreeNodeRecursion::Continue)
    });
    all
}

fn is_one_of(token: &Token, constants: &[String]) -> bool {
    match token {
        Token::SingleQuotedString(text) => constants.contains(text),
        Token::Number(number, _) => constants.iter().any(|constant| is_number(constant, number)),
        _ => false,
    }
}

/// A sign is a token of its own.
fn is_number(constant: &str, number: &str) -> bool {
    let constant = constant.trim_start_matches('-');
    constant == number
        || matches!((constant.parse::<f64>(), number.parse::<f64>()), (Ok(a), Ok(b)) if a.to_bits() == b.to_bits())
}

/// An error about the cast of a constant, with the place of the constant.
pub(super) fn placed(error: DataFusionError, sql: &str) -> DataFusionError {
    let DataFusionError::External(own) = error.find_root() else { return error };
    let Some(own) = own.downcast_ref::<Error>() else { return error };
    let text = own.to_string();
    let constant = text.strip_prefix("`CAST(").and_then(|rest| rest.split_once(" AS "));
    let Some((constant, _)) = constant.filter(|_| error.diagnostic().is_none()) else {
        return error;
    };
    let constant = constant.trim_matches('\'').replace("\'\'", "'");
    let Ok(tokens) = syntax::tokens(sql) else { return error };
    let found =
        tokens.iter().find(|token| is_one_of(&token.token, std::slice::from_ref(&constant)));
    let span = found.and_then(|token| Span::try_from_sqlparser_span(token.span));
    let diagnostic = Diagnostic::new_error(text, span);
    match own.hint_text() {
        Some(hint) => {
            let diagnostic = diagnostic.with_help(hint.to_owned(), None);
            error.with_diagnostic(diagnostic)
        }
        None => error.with_diagnostic(diagnostic),
    }
}
