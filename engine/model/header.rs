//! The header of a model: TOML in the comment with which the file begins.

use std::ops::Range;

use sqlparser::parser::ParserError;
use sqlparser::tokenizer::Token;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Refresh, SetCheck};
use crate::contract::{Reads, Text, is_plain, leading_comment};
use crate::mistake::{Mistake, did_you_mean};
use crate::syntax;

const OPEN: &str = "/*---";
const CLOSE: &str = "---*/";
const KEYS: &[&str] = &["about", "owner", "refresh", "check"];
const REFRESH_NAMES: &[(&str, Refresh)] = &[
    ("append", Refresh::Append),
    ("key", Refresh::Key),
    ("partition", Refresh::Partition),
    ("full", Refresh::Full),
    ("view", Refresh::View),
];

/// What a header says.
pub(super) struct Header {
    pub(super) about: String,
    pub(super) refresh: Refresh,
    /// The set checks, and what each reads.
    pub(super) checks: Vec<(SetCheck, Reads)>,
}

/// Reads the header of a file; a file without one has the defaults.
pub(super) fn read_header(text: &Text<'_>, mistakes: &mut Vec<Mistake>) -> Header {
    let mut reader = Reader {
        text,
        mistakes,
        header: Header { about: String::new(), refresh: Refresh::Full, checks: Vec::new() },
    };
    match reader.body() {
        Some(body) => reader.toml(body),
        None => reader.header.about = leading_comment(text.sql),
    }
    reader.header
}

struct Reader<'a> {
    text: &'a Text<'a>,
    mistakes: &'a mut Vec<Mistake>,
    header: Header,
}

impl Reader<'_> {
    fn refuse(&mut self, message: impl Into<String>, place: Range<usize>, hint: &str) {
        self.mistakes.push(self.text.mistake(message, Some(place), hint));
    }

    /// Where the header's TOML stands.
    fn body(&mut self) -> Option<Range<usize>> {
        let text = self.text.sql;
        let start = text.find(OPEN).filter(|start| text[..*start].trim().is_empty());
        for (place, at_start) in self.text.headers() {
            let is_header = start == Some(place.start);
            let opens = text[place.clone()].starts_with(OPEN);
            // Of a comment that only looks like one, these bytes may end within a character.
            let place = place.start..text.ceil_char_boundary(place.start + OPEN.len());
            match (is_header, opens, at_start) {
                (true, ..) => {}
                (false, true, _) if start.is_some() => {
                    self.refuse("a model has one header", place, "write all of it into the first");
                }
                (false, true, _) => self.refuse(
                    "the header does not stand at the start of the file, and has no effect",
                    place,
                    "move it to the first line; comments stand behind it",
                ),
                (false, false, _) => self.refuse(
                    "this comment is no header, and has no effect",
                    place,
                    "a header begins with /*--- and ends with ---*/",
                ),
            }
        }
        let start = start?;
        let body = start + OPEN.len();
        let Some(length) = text[body..].find(CLOSE) else {
            self.refuse(format!("the header is not closed by {CLOSE}"), start..body, "");
            return None;
        };
        Some(body..body + length)
    }

    fn toml(&mut self, body: Range<usize>) {
        let from = body.start;
        let (table, errors) = DeTable::parse_recoverable(&self.text.sql[body.clone()]);
        for error in &errors {
            let span = error.span().unwrap_or(0..body.len());
            self.refuse(error.message(), from + span.start..from + span.end, "");
        }
        if !errors.is_empty() {
            return;
        }
        for (name, value) in table.get_ref() {
            self.key(from, name, value);
        }
    }

    fn key(&mut self, from: usize, name: &Spanned<Cow<'_>>, value: &Spanned<DeValue<'_>>) {
        let place = from + name.span().start..from + name.span().end;
        let name = name.get_ref().as_ref();
        match (name, value.get_ref()) {
            ("about", DeValue::String(about)) => self.header.about = about.to_string(),
            ("owner", DeValue::String(_)) => {}
            ("refresh", DeValue::String(refresh)) => {
                if let Some((_, known)) = REFRESH_NAMES.iter().find(|(known, _)| known == refresh) {
                    self.header.refresh = *known;
                    return;
                }
                let place = from + value.span().start..from + value.span().end;
                let message =
                    format!("refresh `{refresh}` is not one of append, key, partition, full, view");
                let known = REFRESH_NAMES.iter().map(|(known, _)| *known);
                let hint =
                    did_you_mean(refresh, known).map(|known| format!("did you mean `{known}`?"));
                self.refuse(message, place, &hint.unwrap_or_default());
            }
            ("check", DeValue::Table(checks)) => {
                for (name, value) in checks {
                    self.check(from, name, value);
                }
            }
            (known, _) if KEYS.contains(&known) => {
                self.refuse(format!("`{known}` has a value of the wrong type"), place, "");
            }
            (unknown, _) => {
                let hint = did_you_mean(unknown, KEYS.iter().copied())
                    .map(|known| format!("did you mean `{known}`?"));
                let message = format!("unknown key `{unknown}` in the header");
                self.refuse(message, place, &hint.unwrap_or_default());
            }
        }
    }

    fn check(&mut self, from: usize, name: &Spanned<Cow<'_>>, value: &Spanned<DeValue<'_>>) {
        let span = from + name.span().start..from + name.span().end;
        let name = name.get_ref().as_ref();
        if !is_plain(name) {
            let message = format!("`{name}` is no name for a check");
            self.refuse(message, span.clone(), crate::contract::PLAIN);
        }
        let DeValue::String(expression) = value.get_ref() else {
            self.refuse(format!("check `{name}` is not a string of SQL"), span, "");
            return;
        };
        match expression_reads(expression) {
            Ok(reads) => {
                let check =
                    SetCheck { name: name.to_owned(), expression: expression.to_string(), span };
                self.header.checks.push((check, reads));
            }
            Err(error) => {
                // The place that the parser names is one in the check, not in the file.
                let error = error.to_string();
                let error = error.trim_start_matches("sql parser error: ");
                let what = error.split(" at Line: ").next().unwrap_or_default();
                let message = format!("check `{name}` is no expression of SQL: {what}");
                self.refuse(
                    message,
                    span,
                    "a check is true or false, as in (SELECT count(*) FROM this) > 0",
                );
            }
        }
    }
}

type Cow<'a> = toml::de::DeString<'a>;

/// What an expression reads; a text that goes on behind it is no expression.
fn expression_reads(text: &str) -> Result<Reads, ParserError> {
    let expression = syntax::parse(text, |parser| {
        let expression = parser.parse_expr()?;
        parser.expect_token(&Token::EOF)?;
        Ok(expression)
    })?;
    Ok(Reads::of(&expression))
}
