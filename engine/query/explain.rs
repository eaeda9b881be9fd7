//! A planner's error, with its place in the file and the name that was probably meant.

use datafusion::common::diagnostic::Diagnostic;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;

use super::failure::{is_left_over, words};
use super::lifted;
use crate::error::Error;
use crate::mistake::{Mistake, byte_at, did_you_mean};

/// What is wrong with the SQL in `file`.
pub fn explain(file: &str, text: &str, error: &DataFusionError) -> Mistake {
    let root = error.find_root();
    let mut mistake = match root {
        DataFusionError::SQL(error, _) => {
            crate::contract::syntax_mistake(file, text, &error.to_string())
        }
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => {
            Mistake::new(file, words(root))
        }
        _ => Mistake::new(file, short(root)),
    };
    if let DataFusionError::External(own) = root
        && let Some(own) = own.downcast_ref::<Error>()
    {
        mistake.message = own.to_string();
        mistake.hint = own.hint_text().map(str::to_owned);
    }
    if is_left_over(root) {
        lifted::MESSAGE.clone_into(&mut mistake.message);
        mistake.hint = Some(lifted::HELP.to_owned());
    }
    if let Some(diagnostic) = error.diagnostic() {
        mistake = place(mistake, text, diagnostic);
    }
    if let DataFusionError::SchemaError(schema_error, _) = root
        && let SchemaError::FieldNotFound { field, valid_fields } = schema_error.as_ref()
    {
        mistake = missing_column(mistake, text, field, valid_fields);
    }
    mistake
}

fn place(mistake: Mistake, text: &str, diagnostic: &Diagnostic) -> Mistake {
    let mut mistake = mistake;
    mistake.message.clone_from(&diagnostic.message);
    if let Some(span) = diagnostic.span {
        let start = byte_at(text, span.start.line, span.start.column);
        let end = byte_at(text, span.end.line, span.end.column);
        mistake.span = Some(start..end.max(text.ceil_char_boundary(start + 1)));
    }
    if let Some(help) = diagnostic.helps.first() {
        mistake.hint = Some(help.message.clone());
    }
    mistake
}

fn missing_column(mistake: Mistake, text: &str, field: &Column, valid: &[Column]) -> Mistake {
    let mut mistake = mistake;
    mistake.message = format!("there is no column `{}`", field.flat_name());
    if mistake.span.is_none() {
        mistake = mistake.find(text, &field.name);
    }
    let names = valid.iter().map(|column| column.name.as_str());
    if let Some(known) = did_you_mean(&field.name, names) {
        mistake.hint = Some(format!("did you mean `{known}`?"));
    }
    mistake
}

/// The message without `DataFusion`'s prefixes.
fn short(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text =
        text.trim_start_matches("Error during planning: ").trim_start_matches("Schema error: ");
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => {
            first.to_lowercase().chain(chars).collect::<String>().trim_end_matches('.').to_owned()
        }
        None => String::new(),
    }
}
