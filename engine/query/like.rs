//! LIKE with an ESCAPE of any character: `DataFusion` 55.2 knows the backslash alone.

use datafusion::common::Span;
use datafusion::error::DataFusionError;
use sqlparser::ast::{Expr, Spanned, Value, ValueWithSpan};

use super::shapes::{Result, refusal};

/// Writes a pattern with backslashes in the place of another character.
///
/// # Errors
/// The pattern is no constant, or ends with the character.
pub(super) fn with_backslash(expr: &mut Expr) -> Result<()> {
    let (Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. }) = expr
    else {
        return Ok(());
    };
    let Some(ValueWithSpan { value: Value::SingleQuotedString(escape), .. }) = escape_char else {
        return Ok(());
    };
    let mut chars = escape.chars();
    let escape = match (chars.next(), chars.next()) {
        (Some('\\'), None) => return Ok(()),
        (escape, None) => escape,
        // The planner says that it is one character.
        _ => return Ok(()),
    };
    let place = Span::try_from_sqlparser_span(pattern.span());
    let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) =
        pattern.as_mut()
    else {
        return Err(refusal(
            "LIKE with a pattern out of a column is escaped by the backslash alone",
            "leave ESCAPE out, and write the pattern's escapes as backslashes: replace(pattern, '!', '\\')",
            place,
        ));
    };
    *text = rewritten(text, escape).ok_or_else(|| dangling(text, place))?;
    *escape_char = Some(Value::SingleQuotedString("\\".to_owned()).into());
    Ok(())
}

/// The same pattern, escaped by backslashes; `None` if nothing stands behind an escape.
fn rewritten(text: &str, escape: Option<char>) -> Option<String> {
    let mut pattern = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if Some(c) == escape => {
                let escaped = chars.next()?;
                if matches!(escaped, '%' | '_' | '\\') {
                    pattern.push('\\');
                }
                pattern.push(escaped);
            }
            '\\' => pattern.push_str("\\\\"),
            c => pattern.push(c),
        }
    }
    Some(pattern)
}

fn dangling(text: &str, place: Option<Span>) -> DataFusionError {
    refusal(
        &format!("the pattern '{text}' ends with its ESCAPE character"),
        "write it twice to mean itself",
        place,
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::cells;
    use super::super::{Limits, Query};

    fn run(condition: &str) -> Result<String, String> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let query = Query::new(&Limits::planning(chrono_tz::UTC)).unwrap();
        cells(runtime.block_on(query.collect(&format!("SELECT {condition}"))))
    }

    #[test]
    fn any_character_escapes() {
        for (condition, value) in [
            ("'a%b' LIKE 'a!%b' ESCAPE '!'", "true"),
            ("'axb' LIKE 'a!%b' ESCAPE '!'", "false"),
            ("'axb' LIKE 'a%b' ESCAPE '!'", "true"),
            ("'a!b' LIKE 'a!!b' ESCAPE '!'", "true"),
            (r"'a\b' LIKE 'a\b' ESCAPE '!'", "true"),
            (r"'a\%' LIKE 'a\!%' ESCAPE '!'", "true"),
            ("'a_b' NOT LIKE 'a#_b' ESCAPE '#'", "false"),
            ("'A%B' ILIKE 'a%%b' ESCAPE '%'", "true"),
            ("'AxB' ILIKE 'a%%b' ESCAPE '%'", "false"),
            (r"'a\' LIKE 'a\' ESCAPE ''", "true"),
            ("'a%' LIKE 'aü%' ESCAPE 'ü'", "true"),
            // As before.
            (r"'a%b' LIKE 'a\%b'", "true"),
            (r"'a%b' LIKE 'a\%b' ESCAPE '\'", "true"),
            ("NULL LIKE 'a!%' ESCAPE '!'", "NULL"),
        ] {
            assert_eq!(run(condition).as_deref(), Ok(value), "{condition}");
        }
    }

    #[test]
    fn an_escape_that_cannot_be_read_is_refused() {
        for condition in ["'a' LIKE 'a!' ESCAPE '!'", "'a' LIKE upper('a!') ESCAPE '!'"] {
            assert!(run(condition).is_err(), "{condition}");
        }
    }
}
