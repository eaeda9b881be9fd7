//! `SIMILAR TO` as a regular expression.
//!
//! Its patterns are of the SQL standard: `%` and `_` as in LIKE, `|`, `*`, `+`, `?`, `{…}`, `(…)` and
//! `[…]` as in a regular expression, everything else for itself; and they stand for the whole text.
//! `DataFusion` 55.2 takes them for regular expressions that a part of the text is enough for.

use datafusion::common::{Result, Span};
use sqlparser::ast::{BinaryOperator, Expr, Spanned, Value, ValueWithSpan};

use super::shapes::refusal;

/// Rewrites `a SIMILAR TO 'pattern'` as `a ~ '^(?:…)$'`.
///
/// # Errors
/// The pattern is no constant, or no pattern.
pub(super) fn as_regex(expr: &mut Expr) -> Result<()> {
    let Expr::SimilarTo { negated, expr: value, pattern, escape_char } = expr else {
        return Ok(());
    };
    let place = || Span::try_from_sqlparser_span(pattern.span());
    let Some(text) = text_of(pattern) else {
        return Err(refusal(
            "the pattern of SIMILAR TO is a text, the same for all rows",
            "write a regular expression, as in a ~ ('^(' || b || ')$')",
            place(),
        ));
    };
    let escape = match escape_char.as_ref().map(|escape| escape.value.clone().into_string()) {
        None => Some('\\'),
        Some(Some(escape)) if escape.chars().count() < 2 => escape.chars().next(),
        _ => {
            let help = "write one, as in ESCAPE '#'";
            return Err(refusal("ESCAPE takes one character", help, place()));
        }
    };
    let Some(regex) = regex(&text, escape) else {
        return Err(refusal(
            &format!("`{text}` is no pattern of SIMILAR TO: something stands open at its end"),
            "close each [ and ( of it, and let a character follow the escape",
            place(),
        ));
    };
    let op = if *negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
    let span = pattern.span();
    let regex = Expr::Value(Value::SingleQuotedString(regex).with_span(span));
    let value = std::mem::replace(value.as_mut(), Expr::value(Value::Null));
    let left = Box::new(Expr::Nested(Box::new(value)));
    *expr = Expr::Nested(Box::new(Expr::BinaryOp { left, op, right: Box::new(regex) }));
    Ok(())
}

fn text_of(pattern: &Expr) -> Option<String> {
    match pattern {
        Expr::Nested(inner) => text_of(inner),
        Expr::Value(ValueWithSpan { value, .. }) => value.clone().into_string(),
        _ => None,
    }
}

/// The regular expression of a pattern; `None` if something in it stands open.
fn regex(pattern: &str, escape: Option<char>) -> Option<String> {
    // A line's end is a character as any other.
    let mut regex = "(?s)^(?:".to_owned();
    let mut characters = pattern.chars();
    let mut open = 0_usize;
    while let Some(character) = characters.next() {
        match character {
            _ if Some(character) == escape => push_itself(characters.next()?, &mut regex),
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '[' => {
                regex.push('[');
                let mut is_empty = true;
                loop {
                    let inside = characters.next()?;
                    match inside {
                        ']' if !is_empty => break,
                        '^' if is_empty && regex.ends_with('[') => {
                            regex.push('^');
                            continue;
                        }
                        '-' => regex.push('-'),
                        _ if Some(inside) == escape => push_itself(characters.next()?, &mut regex),
                        // A class such as [:alpha:] has brackets of its own.
                        '[' if characters.as_str().starts_with(':') => {
                            let end = characters.as_str().find(":]")? + 2;
                            let (class, rest) = characters.as_str().split_at(end);
                            regex.push('[');
                            regex.push_str(class);
                            characters = rest.chars();
                        }
                        _ => push_itself(inside, &mut regex),
                    }
                    is_empty = false;
                }
                regex.push(']');
            }
            '(' => {
                open += 1;
                regex.push_str("(?:");
            }
            ')' => {
                open = open.checked_sub(1)?;
                regex.push(')');
            }
            '|' | '*' | '+' | '?' | '{' | '}' => regex.push(character),
            _ => push_itself(character, &mut regex),
        }
    }
    regex.push_str(")$");
    (open == 0).then_some(regex)
}

fn push_itself(character: char, regex: &mut String) {
    if character.is_ascii_punctuation() {
        regex.push('\\');
    }
    regex.push(character);
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
    fn a_pattern_stands_for_the_whole_text() {
        for (text, pattern, is_similar) in [
            ("abc", "a%", "true"),
            ("abc", "a_c", "true"),
            ("abc", "b", "false"),
            ("xabcx", "abc", "false"),
            ("abc", "(abc|d)", "true"),
            ("d", "abc|d", "true"),
            ("abc", "a.c", "false"),
            ("a.c", "a.c", "true"),
            ("DE", "[A-Z]{2}", "true"),
            ("xxDExx", "[A-Z]{2}", "false"),
            ("^$", "^$", "true"),
            ("aab", "a+b", "true"),
            ("50%", r"50\%", "true"),
            ("505", r"50\%", "false"),
            ("x", "[^a-c]", "true"),
            ("b", "[^a-c]", "false"),
            ("]", "[]]", "true"),
            ("7", "[[:digit:]]", "true"),
            ("a\nb", "a%b", "true"),
            ("", "%", "true"),
            ("a&b", "a&b", "true"),
        ] {
            let sql = format!("SELECT '{text}' SIMILAR TO '{pattern}'");
            assert_eq!(run(&sql).as_deref(), Ok(is_similar), "{sql}");
            let negated = format!("SELECT NOT ('{text}' NOT SIMILAR TO '{pattern}')");
            assert_eq!(run(&negated).as_deref(), Ok(is_similar), "{negated}");
        }
        assert_eq!(run("SELECT 'a%' SIMILAR TO 'a#%' ESCAPE '#'").as_deref(), Ok("true"));
        assert_eq!(run("SELECT CAST(NULL AS VARCHAR) SIMILAR TO 'a'").as_deref(), Ok("NULL"));
        assert_eq!(run("SELECT 'a' || 'b' SIMILAR TO 'ab'").as_deref(), Ok("true"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (sql, what) in [
            ("SELECT 'a' SIMILAR TO x FROM (VALUES ('a')) t (x)", "the same for all rows"),
            ("SELECT 'a' SIMILAR TO '[a'", "stands open"),
            ("SELECT 'a' SIMILAR TO '(a'", "stands open"),
            ("SELECT 'a' SIMILAR TO 'a' ESCAPE 'xy'", "one character"),
        ] {
            let refused = run(sql).unwrap_err();
            assert!(refused.contains(what), "{sql}: {refused}");
        }
    }
}
