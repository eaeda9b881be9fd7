//! Reads SQL within bounds: no text ends the process, and none keeps the parser for ever.
//!
//! By itself the parser counts how deep expressions and queries nest, and neither types nor how often
//! it reads one thing anew. So words and brackets are counted before, steps on the way ([`Dialect`]),
//! and what is expensive to plan behind ([`bounded`]). Promise: what is refused has its place in the
//! message.

use sqlparser::ast::Visit;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

mod dialect;
mod size;
#[cfg(test)]
mod tests;
pub use dialect::Dialect;
pub use size::bounded;

/// Words, signs and values of one text.
const TOKENS_MAX: usize = 200_000;
/// Brackets within each other, or one behind the other as in `INT[][]`: more than the parser takes of
/// those in expressions.
const BRACKETS_MAX: usize = 64;
/// Operators on whole queries and tables. Each works on the result of the one before.
const SETS_MAX: usize = 1000;
const SETS: &[Keyword] = &[
    Keyword::UNION,
    Keyword::EXCEPT,
    Keyword::INTERSECT,
    Keyword::MINUS,
    Keyword::PIVOT,
    Keyword::UNPIVOT,
];

/// Reads a text; what `read` leaves unread is not looked at.
///
/// # Errors
/// The text is no such SQL, or beyond a bound; the message ends with the place.
pub fn parse<T: Visit>(
    sql: &str,
    read: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
) -> Result<T, ParserError> {
    parse_tokens(tokens(sql)?, read)
}

/// As [`parse`], from the [`tokens`] of a text.
///
/// # Errors
/// The same.
pub fn parse_tokens<T: Visit>(
    tokens: Vec<TokenWithSpan>,
    read: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
) -> Result<T, ParserError> {
    let (dialect, end) = (Dialect::new(tokens.len()), end(&tokens));
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(tokens);
    let parsed = read(&mut parser).map_err(|error| placed(error, &parser, end))?;
    bounded(&parsed)?;
    Ok(parsed)
}

/// The tokens of a text, white space and comments included.
///
/// # Errors
/// There are too many, or their brackets nest too deep; the message ends with the place.
pub fn tokens(sql: &str) -> Result<Vec<TokenWithSpan>, ParserError> {
    let tokens = Tokenizer::new(&Dialect::new(0), sql).tokenize_with_location()?;
    let (mut brackets, mut n_sets) = (Brackets::default(), 0);
    let words = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
    for (n, token) in words.enumerate() {
        if n == TOKENS_MAX {
            let message = format!("more than {TOKENS_MAX} words, signs and values in one text");
            return Err(error_at(&message, token.span.start));
        }
        brackets.pass(&token.token);
        if brackets.open.len().max(brackets.in_a_row) > BRACKETS_MAX {
            return Err(error_at(TOO_DEEP, token.span.start));
        }
        if let Token::Word(word) = &token.token {
            n_sets += usize::from(SETS.contains(&word.keyword));
            if n_sets > SETS_MAX {
                let message = format!(
                    "more than {SETS_MAX} UNION, EXCEPT, INTERSECT and PIVOT in one text: store some of it in a table of its own"
                );
                return Err(error_at(&message, token.span.start));
            }
        }
    }
    Ok(tokens)
}

/// Where the last token ends.
pub fn end(tokens: &[TokenWithSpan]) -> Location {
    let is_word = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    tokens.iter().rev().find(is_word).map_or_else(Location::empty, |token| token.span.end)
}

/// A parser's error with its place, also where the parser names none: too deep, and at the end.
pub fn placed(error: ParserError, parser: &Parser<'_>, end: Location) -> ParserError {
    let message = match &error {
        ParserError::RecursionLimitExceeded => TOO_DEEP,
        ParserError::ParserError(message) if !message.contains(" at Line: ") => message.as_str(),
        _ => return error,
    };
    let current = parser.get_current_token();
    let is_at_end = current.token == Token::EOF || message.ends_with("found: EOF");
    error_at(message, if is_at_end { end } else { current.span.start })
}

const TOO_DEEP: &str =
    "the SQL nests too deep here, or a bracket is not closed: name inner parts in a WITH";

/// As the parser writes an error.
fn error_at(message: &str, place: Location) -> ParserError {
    ParserError::ParserError(format!("{message}{place}"))
}

/// The brackets that are open.
#[derive(Default)]
struct Brackets {
    open: Vec<Token>,
    /// Square brackets that follow each other at once.
    in_a_row: usize,
    /// Whether the token before is `]`, and a word behind which `<` is a bracket.
    was_closed: bool,
    was_type: bool,
}

impl Brackets {
    fn pass(&mut self, token: &Token) {
        let was_type = std::mem::take(&mut self.was_type);
        if *token == Token::LBracket {
            self.in_a_row = if self.was_closed { self.in_a_row + 1 } else { 0 };
        }
        self.was_closed = *token == Token::RBracket;
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => self.open.push(token.clone()),
            Token::Lt if was_type => self.open.push(Token::Lt),
            Token::RParen | Token::RBracket | Token::RBrace => {
                self.drop_types();
                self.open.pop();
            }
            Token::Gt => self.close_type(),
            Token::ShiftRight => {
                self.close_type();
                self.close_type();
            }
            Token::Word(word) => {
                let types = [Keyword::STRUCT, Keyword::ARRAY, Keyword::MAP];
                self.was_type = types.contains(&word.keyword);
                if matches!(word.keyword, Keyword::AND | Keyword::OR) {
                    self.drop_types();
                }
            }
            Token::Comma | Token::Colon => {}
            // No type has any other sign: what looked like its bracket compares.
            _ => self.drop_types(),
        }
    }

    fn close_type(&mut self) {
        if self.open.last() == Some(&Token::Lt) {
            self.open.pop();
        }
    }

    fn drop_types(&mut self) {
        while self.open.last() == Some(&Token::Lt) {
            self.open.pop();
        }
    }
}
