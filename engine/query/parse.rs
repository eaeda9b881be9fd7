//! SQL as `DataFusion` parses it, within the bounds of [`syntax`].

use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParser, DFParserBuilder, Statement};
use sqlparser::ast::{ExprWithAlias, Visit};
use sqlparser::parser::{Parser, ParserError};

use crate::syntax;

type Result<T> = std::result::Result<T, DataFusionError>;

/// The one statement of a text.
pub(super) fn statement(sql: &str) -> Result<Statement> {
    let mut statements = read(sql, |parser| parser.parse_statements())?;
    match (statements.pop_front(), statements.len()) {
        (Some(statement), 0) => {
            bounded(&statement)?;
            Ok(statement)
        }
        (None, _) => Err(DataFusionError::Plan("there is no query".to_owned())),
        _ => Err(DataFusionError::Plan("there is more than one query".to_owned())),
    }
}

/// The one expression of a text.
pub(super) fn expression(sql: &str) -> Result<ExprWithAlias> {
    let expression = read(sql, |parser| parser.parse_into_expr())?;
    syntax::bounded(&expression.expr).map_err(wrong)?;
    Ok(expression)
}

/// What the engine itself writes, as part of a statement.
pub(super) fn part<T: Visit>(
    sql: &str,
    read: impl FnOnce(&mut Parser<'_>) -> std::result::Result<T, ParserError>,
) -> Result<T> {
    syntax::parse(sql, read).map_err(wrong)
}

fn read<T>(sql: &str, read: impl FnOnce(&mut DFParser<'_>) -> Result<T>) -> Result<T> {
    let tokens = syntax::tokens(sql).map_err(wrong)?;
    let (dialect, end) = (syntax::Dialect::new(tokens.len()), syntax::end(&tokens));
    let mut parser = DFParserBuilder::new(tokens).with_dialect(&dialect).build()?;
    read(&mut parser).map_err(|error| match error {
        DataFusionError::SQL(cause, _) => wrong(syntax::placed(*cause, &parser.parser, end)),
        other => other,
    })
}

fn bounded(statement: &Statement) -> Result<()> {
    match statement {
        Statement::Statement(sql) => syntax::bounded(sql.as_ref()).map_err(wrong),
        Statement::Explain(explain) => bounded(&explain.statement),
        // Whatever else there is, nothing may run it.
        _ => Ok(()),
    }
}

fn wrong(cause: ParserError) -> DataFusionError {
    DataFusionError::SQL(Box::new(cause), None)
}
