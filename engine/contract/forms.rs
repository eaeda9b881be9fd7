//! Forms of a CREATE TABLE that Spark takes and the parser does not: those that say something plain
//! are brought into the parser's form, and the others are told in our words.
//!
//! Taken are clauses behind the columns in any order, a COMMENT of the table, USING DELTA, names of
//! properties without quotes, and a colon between a field of a STRUCT and its type.

use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::text::Text;
use super::types::TYPES;
use crate::mistake::{Mistake, did_you_mean};

const PARTITIONED_BY: &str = "write PARTITIONED BY (column, …), once";
const PROPERTIES: &str = "write TBLPROPERTIES ('name' = 'value', …), once";
pub(super) const BEHIND: &str = "behind the columns stand PARTITIONED BY (…), TBLPROPERTIES (…), COMMENT '…' and USING DELTA, each once, and nothing else";

/// Clauses of other dialects, each with the way out.
const CLAUSES: &[(&str, &str)] = &[
    ("PARTITIONED", PARTITIONED_BY),
    ("TBLPROPERTIES", PROPERTIES),
    ("COMMENT", "write COMMENT 'what one row is', once, in single quotes"),
    ("USING", "leave it out: tables are Delta tables"),
    ("CLUSTER", "leave it out, or split the table into folders: PARTITIONED BY (column, …)"),
    ("CLUSTERED", "leave it out, or split the table into folders: PARTITIONED BY (column, …)"),
    ("PARTITION", PARTITIONED_BY),
    ("LOCATION", "leave it out: a table lies below the setting `root`"),
    ("STORED", "leave it out: tables are Parquet files with a Delta log"),
    ("ROW", "leave it out: tables are Parquet files with a Delta log"),
    ("OPTIONS", PROPERTIES),
    ("WITH", PROPERTIES),
    ("PROPERTIES", PROPERTIES),
    ("AS", "write the query into sql/<layer>/<table>.sql"),
    ("SELECT", "write the query into sql/<layer>/<table>.sql"),
];
/// How many of [`CLAUSES`] a contract may have.
const N_OURS: usize = 4;

/// A CREATE TABLE in the parser's form.
pub(super) struct Form {
    /// Its words and signs.
    pub(super) tokens: Vec<TokenWithSpan>,
    /// The COMMENT of the table.
    pub(super) comment: Option<String>,
}

/// What stands behind the columns.
#[derive(Default)]
struct Behind<'a> {
    partitioned: &'a [TokenWithSpan],
    properties: &'a [TokenWithSpan],
    comment: Option<String>,
    using: bool,
    /// From a semicolon on.
    rest: &'a [TokenWithSpan],
}

impl Form {
    /// The form of a text's tokens. What is no CREATE TABLE with columns stays as it is.
    pub(super) fn of(tokens: &[TokenWithSpan]) -> Self {
        let tokens = words(tokens);
        let Some(end) = columns_end(&tokens) else { return Self { tokens, comment: None } };
        let (columns, behind) = tokens.split_at(end);
        let mut form = without_colons(columns);
        let comment = if let Ok(clauses) = Behind::of(behind) {
            form.extend_from_slice(clauses.partitioned);
            form.extend(with_quoted_names(clauses.properties));
            form.extend_from_slice(clauses.rest);
            clauses.comment
        } else {
            form.extend_from_slice(behind);
            None
        };
        Self { tokens: form, comment }
    }
}

impl<'a> Behind<'a> {
    /// The clauses behind the columns, or which token is none of them.
    fn of(tokens: &'a [TokenWithSpan]) -> Result<Self, usize> {
        let mut behind = Self::default();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let rest = &tokens[at..];
            let length = match word(token).as_str() {
                "PARTITIONED" if behind.partitioned.is_empty() => {
                    let is_by = rest.get(1).is_some_and(|token| word(token) == "BY");
                    let length = group(rest, 2).filter(|_| is_by).ok_or(at)?;
                    behind.partitioned = &rest[..length];
                    length
                }
                "TBLPROPERTIES" if behind.properties.is_empty() => {
                    let length = group(rest, 1).ok_or(at)?;
                    behind.properties = &rest[..length];
                    length
                }
                "COMMENT" if behind.comment.is_none() => {
                    let n = if rest.get(1).is_some_and(|it| it.token == Token::Eq) { 2 } else { 1 };
                    let Some(Token::SingleQuotedString(text)) = rest.get(n).map(|it| &it.token)
                    else {
                        return Err(at);
                    };
                    behind.comment = Some(text.trim().to_owned());
                    n + 1
                }
                "USING" if !behind.using && rest.get(1).is_some_and(|it| word(it) == "DELTA") => {
                    behind.using = true;
                    2
                }
                _ if matches!(token.token, Token::SemiColon | Token::EOF) => {
                    behind.rest = rest;
                    break;
                }
                _ => return Err(at),
            };
            at += length;
        }
        Ok(behind)
    }
}

/// The mistake in a text that the parser does not take, if it is one that is known here.
pub(super) fn mistake(text: &Text<'_>, tokens: &[TokenWithSpan]) -> Option<Mistake> {
    let tokens = words(tokens);
    let end = columns_end(&tokens)?;
    let told = |token: &TokenWithSpan, message: String, hint: &str| {
        text.mistake(message, text.range(token.span), hint)
    };
    if let Some((token, message, hint)) = in_columns(&tokens[..end]) {
        return Some(told(token, message, hint));
    }
    let behind = &tokens[end..];
    if let Err(at) = Behind::of(behind) {
        let found = word(&behind[at]);
        let ours = || CLAUSES.iter().take(N_OURS).map(|(word, _)| *word);
        let known = CLAUSES.iter().position(|(word, _)| *word == found);
        let hint = known.map(|known| CLAUSES[known].1.to_owned());
        let meant = || did_you_mean(&found, ours()).map(|word| format!("did you mean {word}?"));
        let shown = &text.sql[text.range(behind[at].span)?];
        let message = match known {
            Some(known) if known < N_OURS && found != "USING" => {
                format!("{shown} cannot be read here, or stands here twice")
            }
            _ => format!("{shown} has no effect in a contract"),
        };
        let hint = hint.or_else(meant).unwrap_or_else(|| BEHIND.to_owned());
        return Some(told(&behind[at], message, &hint));
    }
    let comma = stray_comma(behind)?;
    Some(told(comma, STRAY.0.to_owned(), STRAY.1))
}

/// What is known to be wrong among the columns.
fn in_columns(tokens: &[TokenWithSpan]) -> Option<(&TokenWithSpan, String, &'static str)> {
    let mut angles = 0_usize;
    for (token, next) in tokens.iter().zip(tokens.iter().skip(1)) {
        let is_type = matches!(word(token).as_str(), "STRUCT" | "ARRAY" | "MAP");
        match (&token.token, word(token).as_str()) {
            (_, "MAP") if next.token == Token::Lt => {
                let hint = "write JSON, which keeps an object whatever its keys are";
                return Some((token, format!("type `MAP<…>` is not one of {TYPES}"), hint));
            }
            (_, "NOT") if angles > 0 => {
                let hint = "write a check: CONSTRAINT name CHECK (column.field IS NOT NULL)";
                return Some((token, "a field of a STRUCT cannot be NOT NULL".to_owned(), hint));
            }
            (_, "COMMENT") if angles > 0 => {
                let hint = "write it as a property: 'lake.comment.column.field' = '…'";
                return Some((token, "a field of a STRUCT has no COMMENT".to_owned(), hint));
            }
            (_, "COMMENT") if is_in_double_quotes(next) => {
                let message = "a COMMENT is a text, and stands in single quotes".to_owned();
                return Some((next, message, "write it as in COMMENT 'what it means'"));
            }
            (Token::Gt, _) => angles = angles.saturating_sub(1),
            (Token::ShiftRight, _) => angles = angles.saturating_sub(2),
            _ => {}
        }
        angles += usize::from(is_type && next.token == Token::Lt);
    }
    stray_comma(tokens).map(|comma| (comma, STRAY.0.to_owned(), STRAY.1))
}

const STRAY: (&str, &str) =
    ("nothing follows this comma", "leave it out, or write what follows it");

/// A comma with another one or the closing parenthesis behind it.
fn stray_comma(tokens: &[TokenWithSpan]) -> Option<&TokenWithSpan> {
    let is_stray = |pair: &&[TokenWithSpan]| {
        pair[0].token == Token::Comma && matches!(pair[1].token, Token::RParen | Token::Comma)
    };
    tokens.windows(2).find(is_stray).map(|pair| &pair[0])
}

fn words(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let is_word = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    tokens.iter().filter(is_word).cloned().collect()
}

/// A keyword in capitals; empty for what is none.
fn word(token: &TokenWithSpan) -> String {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_uppercase(),
        _ => String::new(),
    }
}

fn is_in_double_quotes(token: &TokenWithSpan) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style == Some('"'))
}

/// Behind the parenthesis that closes the columns of the first statement.
fn columns_end(tokens: &[TokenWithSpan]) -> Option<usize> {
    let open = tokens.iter().position(|token| token.token == Token::LParen)?;
    let has_ended = tokens[..open].iter().any(|token| token.token == Token::SemiColon);
    let is_create = tokens.first().is_some_and(|token| word(token) == "CREATE");
    group(tokens, open).filter(|_| is_create && !has_ended)
}

/// Behind the parenthesis that closes the one at `open`.
fn group(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth <= 1 => return Some(at + 1).filter(|_| depth == 1),
            Token::RParen => depth -= 1,
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The columns without the colon that Spark writes between a field of a STRUCT and its type.
fn without_colons(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut angles = 0_usize;
    let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens {
        match token.token {
            Token::Lt if kept.last().is_some_and(|last| word(last) == "STRUCT") => angles += 1,
            Token::Gt => angles = angles.saturating_sub(1),
            Token::ShiftRight => angles = angles.saturating_sub(2),
            Token::Colon if angles > 0 => continue,
            _ => {}
        }
        kept.push(token.clone());
    }
    kept
}

/// TBLPROPERTIES whose names are texts: `lake.source = 'x'` becomes `'lake.source' = 'x'`.
fn with_quoted_names(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let begins =
            kept.last().is_some_and(|last| matches!(last.token, Token::LParen | Token::Comma));
        let dots = if begins { dotted(&tokens[at..]) } else { 0 };
        if dots > 1 {
            let parts = tokens[at..at + dots].iter().map(|token| token.token.to_string());
            let name = Token::SingleQuotedString(parts.collect());
            let span = Span::new(token.span.start, tokens[at + dots - 1].span.end);
            kept.push(TokenWithSpan { token: name, span });
            at += dots;
        } else {
            kept.push(token.clone());
            at += 1;
        }
    }
    kept
}

/// How many tokens the name at the start has, as in `lake.source =`; 0 where none stands.
fn dotted(tokens: &[TokenWithSpan]) -> usize {
    let is_plain = |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.quote_style.is_none());
    let part = |(at, token): (usize, &TokenWithSpan)| {
        if at % 2 == 0 { is_plain(token) } else { token.token == Token::Period }
    };
    let n = tokens.iter().enumerate().take_while(|found| part(*found)).count();
    let is_set = tokens.get(n).is_some_and(|token| token.token == Token::Eq);
    if is_set && n % 2 == 1 { n } else { 0 }
}
