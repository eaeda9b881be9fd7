//! Where things stand in a file of SQL, so that each mistake can show its place.

use std::cell::OnceCell;
use std::ops::Range;

use sqlparser::ast::{Ident, Statement};
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Whitespace};

use super::forms::Form;
use crate::mistake::{Mistake, byte_at};
use crate::syntax;

/// How a model's header opens, as the parser sees the comment: without `/*`.
const HEADER: &str = "---";

/// A file of SQL.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    /// Its path below the project's folder.
    pub(crate) file: &'a str,
    /// What stands in it.
    pub(crate) sql: &'a str,
    /// Its tokens: places are looked up often, and a file is cut into tokens once.
    tokens: OnceCell<Vec<TokenWithSpan>>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(file: &'a str, sql: &'a str) -> Self {
        Self { file, sql, tokens: OnceCell::new() }
    }

    /// The statements in the file.
    pub(crate) fn statements(&self) -> Result<Vec<Statement>, Mistake> {
        syntax::parse(self.sql, |parser| parser.parse_statements())
            .map_err(|error| syntax_mistake(self.file, self.sql, &error.to_string()))
    }

    /// The bytes between two places that the parser names; `None` where it names none.
    pub(crate) fn range(&self, span: Span) -> Option<Range<usize>> {
        if span == Span::empty() {
            return None;
        }
        let start = byte_at(self.sql, span.start.line, span.start.column);
        Some(start..byte_at(self.sql, span.end.line, span.end.column).max(start))
    }

    /// The place of an identifier.
    pub(crate) fn ident(&self, ident: &Ident) -> Range<usize> {
        self.range(ident.span).unwrap_or_default()
    }

    /// A mistake at a place, if the place is known.
    pub(crate) fn mistake(
        &self,
        message: impl Into<String>,
        span: Option<Range<usize>>,
        hint: &str,
    ) -> Mistake {
        let mut mistake = Mistake::new(self.file, message);
        mistake.span = span;
        mistake.hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
        mistake
    }

    /// Where keywords follow each other at or behind a byte: `NOT ENFORCED`.
    pub(crate) fn keywords(&self, words: &str, from: usize) -> Option<Range<usize>> {
        let tokens: Vec<&TokenWithSpan> = self
            .tokens()
            .iter()
            .filter(|token| !matches!(token.token, Token::Whitespace(_)))
            .collect();
        let wanted: Vec<&str> = words.split(' ').collect();
        let is_word = |token: &TokenWithSpan, word: &str| matches!(&token.token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word));
        let found = tokens
            .windows(wanted.len())
            .filter(|window| window.iter().zip(&wanted).all(|(token, word)| is_word(token, word)));
        let places = found.filter_map(|window| {
            let last = window.last()?;
            self.range(Span::new(window[0].span.start, last.span.end))
        });
        places.into_iter().find(|place| place.start >= from)
    }

    /// Where a text in single quotes stands for the `nth` time, counted from 0.
    pub(crate) fn string(&self, value: &str, nth: usize) -> Option<Range<usize>> {
        let is_it = |token: &&TokenWithSpan| matches!(&token.token, Token::SingleQuotedString(found) if found == value);
        self.range(self.tokens().iter().filter(is_it).nth(nth)?.span)
    }

    /// Behind the parenthesis that closes the first one: where a table's columns end.
    pub(crate) fn behind_columns(&self) -> usize {
        let mut depth = 0;
        for token in self.tokens() {
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen if depth == 1 => {
                    return self.range(token.span).map_or(0, |place| place.end);
                }
                Token::RParen => depth -= 1,
                _ => {}
            }
        }
        0
    }

    /// The first word of a CREATE TABLE that is none of `CREATE TABLE name (…) PARTITIONED BY (…)
    /// TBLPROPERTIES (…);`. The parser forgets some clauses that it has read, as a WITH before
    /// TBLPROPERTIES, so what it hands on does not say whether there was one.
    pub(crate) fn strange_clause(&self) -> Option<Range<usize>> {
        let form = Form::of(self.tokens());
        let mut tokens = form.tokens.iter().filter(|token| token.token != Token::EOF);
        let word = |token: &TokenWithSpan| match &token.token {
            Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_uppercase(),
            _ => String::new(),
        };
        for wanted in ["CREATE", "TABLE"] {
            let token = tokens.next()?;
            if word(token) != wanted {
                return self.range(token.span);
            }
        }
        // The parser has read a name here, of one or several parts.
        let mut is_part = false;
        for token in tokens.by_ref() {
            match token.token {
                Token::LParen => break,
                Token::Period => is_part = false,
                Token::Word(_) if !is_part => is_part = true,
                _ => return self.range(token.span),
            }
        }
        let mut may_follow = vec!["TBLPROPERTIES", "PARTITIONED"];
        let mut depth = 1;
        for token in tokens {
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                Token::SemiColon => {}
                _ if depth > 0 => {}
                _ => match word(token).as_str() {
                    "BY" => {}
                    clause if may_follow.contains(&clause) => may_follow.retain(|it| *it != clause),
                    _ => return self.range(token.span),
                },
            }
        }
        None
    }

    /// Block comments that open as a header does, or nearly so, and whether only white space
    /// stands before each.
    pub(crate) fn headers(&self) -> Vec<(Range<usize>, bool)> {
        let mut first = true;
        let mut found = Vec::new();
        for token in self.tokens() {
            match &token.token {
                Token::Whitespace(Whitespace::MultiLineComment(comment)) => {
                    let opens = comment.starts_with(HEADER)
                        || (first && comment.trim_start().starts_with("--"));
                    if let Some(place) = self.range(token.span).filter(|_| opens) {
                        found.push((place, first));
                    }
                    first = false;
                }
                Token::Whitespace(Whitespace::SingleLineComment { .. }) => first = false,
                Token::Whitespace(_) => {}
                _ => first = false,
            }
        }
        found
    }

    /// The tokens of the file; none where it has no tokens, which the parser reports.
    fn tokens(&self) -> &[TokenWithSpan] {
        self.tokens.get_or_init(|| syntax::tokens(self.sql).unwrap_or_default())
    }
}

/// A parser's message, its `at Line: 1, Column: 2` turned into a place in the file.
pub(crate) fn syntax_mistake(file: &str, text: &str, message: &str) -> Mistake {
    let message = message.trim_start_matches("sql parser error: ");
    let Some((what, place)) = message.split_once(" at Line: ") else {
        return Mistake::new(file, message);
    };
    let mut numbers = place.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok());
    let (line, column) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(1));
    let start = byte_at(text, line, column);
    let end = text[start..]
        .find(|c: char| c.is_whitespace() || c == ',')
        .map_or(text.len(), |n| start + n);
    Mistake::new(file, what).span(start..end.max(start))
}

/// The comment lines at the start of a file, joined to one text.
pub(crate) fn leading_comment(text: &str) -> String {
    let lines = text.lines().map(str::trim).take_while(|line| line.starts_with("--"));
    let words: Vec<&str> = lines.map(|line| line.trim_start_matches('-').trim()).collect();
    words.join(" ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, place: Option<Range<usize>>) -> &str {
        place.map_or("nowhere", |place| &text[place])
    }

    #[test]
    fn keywords_are_found_outside_of_comments_and_texts() {
        let sql = "-- LIKE it\nCREATE TABLE a (b STRING COMMENT 'LIKE')\nnot\n ENFORCED LIKE c";
        let text = Text::new("x.sql", sql);
        assert_eq!(text.keywords("LIKE", 0).map(|place| place.start), sql.rfind("LIKE"));
        assert_eq!(shown(sql, text.keywords("NOT ENFORCED", 0)), "not\n ENFORCED");
        assert_eq!(text.keywords("LIKE IT", 0), None);
        assert_eq!(Some(text.behind_columns()), sql.find("\nnot"));
    }

    #[test]
    fn headers_are_found_wherever_they_stand() {
        let at_start = |sql: &str| {
            let found = Text::new("x.sql", sql).headers();
            found.into_iter().map(|(_, first)| first).collect::<Vec<_>>()
        };
        assert_eq!(at_start("\n/*---\n---*/ SELECT 1"), [true]);
        assert_eq!(at_start("-- note\n/*---\n---*/ SELECT 1"), [false]);
        assert_eq!(at_start("/* note */ SELECT '/*---', 1 /* more */"), [] as [bool; 0]);
        assert_eq!(at_start("/*---\n---*/ SELECT 1 /*---\n---*/"), [true, false]);
    }
}
