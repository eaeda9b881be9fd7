//! The dialect of all SQL here: the parser's general one, with the precedence of operators that
//! Postgres and `DuckDB` have, and with a count of its steps.
//!
//! Promise: `a IS DISTINCT FROM b AND c` is a condition and another one (apache/datafusion#23692),
//! `true = x LIKE 'a%'` compares what LIKE gives, `a << b & c` goes from left to right.

use std::any::TypeId;
use std::cell::Cell;

use sqlparser::ast::Expr;
use sqlparser::dialect::{self, GenericDialect, Precedence};
use sqlparser::keywords::{Keyword, RESERVED_FOR_IDENTIFIER};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// Steps of any text, and besides for each of its tokens. Most texts take two for each token.
const STEPS: usize = 10_000;
const STEPS_PER_TOKEN: usize = 20;

/// Words that are no names. The parser reads what begins with another one twice where it is wrong:
/// once as what the word means, and then as a function or column of this name. Nested, that is twice
/// for each level.
const NO_NAMES: &[Keyword] = &[Keyword::CASE, Keyword::CAST, Keyword::NOT, Keyword::TRY_CAST];

/// The general dialect of the parser for one text, which ends when it has taken too many steps.
#[derive(Debug)]
pub struct Dialect {
    steps_left: Cell<usize>,
}

impl Dialect {
    /// For a text of so many tokens.
    pub fn new(n_tokens: usize) -> Self {
        Self { steps_left: Cell::new(STEPS + STEPS_PER_TOKEN * n_tokens) }
    }
}

/// What the general dialect answers otherwise than dialects do by default.
macro_rules! as_the_general_one {
    ($($name:ident)*) => {
        $(fn $name(&self) -> bool {
            dialect::Dialect::$name(&GenericDialect)
        })*
    };
}

impl dialect::Dialect for Dialect {
    /// The parser takes it for the general one.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    /// The parser asks at each expression.
    fn parse_prefix(&self, _: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        let left = self.steps_left.get().checked_sub(1);
        self.steps_left.set(left.unwrap_or(0));
        match left {
            Some(_) => None,
            // The one error that the parser hands on without another attempt.
            None => Some(Err(ParserError::RecursionLimitExceeded)),
        }
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        use Precedence as P;
        match precedence {
            P::Period => 100,
            P::DoubleColon => 50,
            P::AtTz => 41,
            P::MulDivModOp => 40,
            P::PlusMinus => 30,
            // Any other operator.
            P::Xor | P::Ampersand | P::Caret | P::Pipe | P::Colon | P::PgOther => 25,
            P::Between | P::Like => 20,
            P::Eq => 19,
            P::Is => 17,
            P::UnaryNot => 15,
            P::And => 10,
            P::Or => 5,
        }
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        let precedence = match parser.peek_token_ref().token {
            Token::StringConcat => Precedence::Pipe,
            Token::Tilde
            | Token::TildeAsterisk
            | Token::ExclamationMarkTilde
            | Token::ExclamationMarkTildeAsterisk
            | Token::DoubleTilde
            | Token::DoubleTildeAsterisk
            | Token::ExclamationMarkDoubleTilde
            | Token::ExclamationMarkDoubleTildeAsterisk => Precedence::Like,
            _ => return None,
        };
        Some(Ok(self.prec_value(precedence)))
    }

    fn parse_infix(
        &self,
        parser: &mut Parser,
        left: &Expr,
        _: u8,
    ) -> Option<Result<Expr, ParserError>> {
        use Keyword::{DISTINCT, FROM, IS, NOT};
        let negated = parser.parse_keywords(&[IS, NOT, DISTINCT, FROM]);
        if !negated && !parser.parse_keywords(&[IS, DISTINCT, FROM]) {
            return None;
        }
        let right = parser.parse_subexpr(self.prec_value(Precedence::Is)).map(Box::new);
        let left = Box::new(left.clone());
        let made = if negated { Expr::IsNotDistinctFrom } else { Expr::IsDistinctFrom };
        Some(right.map(|right| made(left, right)))
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        RESERVED_FOR_IDENTIFIER.contains(&keyword) || NO_NAMES.contains(&keyword)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        dialect::Dialect::is_delimited_identifier_start(&GenericDialect, ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        dialect::Dialect::is_identifier_start(&GenericDialect, ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        dialect::Dialect::is_identifier_part(&GenericDialect, ch)
    }

    as_the_general_one! {
        supports_unicode_string_literal
        supports_partition_by_after_order_by
        supports_array_join_syntax
        supports_group_by_expr
        supports_group_by_with_modifier
        supports_left_associative_joins_without_parens
        supports_connect_by
        supports_match_recognize
        supports_pipe_operator
        supports_start_transaction_modifier
        supports_window_function_null_treatment_arg
        supports_dictionary_syntax
        supports_window_clause_named_window_reference
        supports_parenthesized_set_variables
        supports_select_wildcard_except
        support_map_literal_syntax
        allow_extract_custom
        allow_extract_single_quotes
        supports_extract_comma_syntax
        supports_create_view_comment_syntax
        supports_parens_around_table_factor
        supports_values_as_table_factor
        supports_create_index_with_clause
        supports_explain_with_utility_options
        supports_limit_comma
        supports_update_order_by
        supports_from_first_select
        supports_projection_trailing_commas
        supports_asc_desc_in_column_definition
        supports_try_convert
        supports_bitwise_shift_operators
        supports_comment_on
        supports_load_extension
        supports_named_fn_args_with_assignment_operator
        supports_struct_literal
        supports_empty_projections
        supports_nested_comments
        supports_multiline_comment_hints
        supports_user_host_grantee
        supports_string_escape_constant
        supports_array_typedef_with_brackets
        supports_match_against
        supports_set_names
        supports_comma_separated_set_assignments
        supports_filter_during_aggregation
        supports_select_wildcard_exclude
        supports_data_type_signed_suffix
        supports_interval_options
        supports_quote_delimited_string
        supports_select_wildcard_replace
        supports_select_wildcard_ilike
        supports_select_wildcard_rename
        supports_optimize_table
        supports_install
        supports_detach
        supports_prewhere
        supports_with_fill
        supports_limit_by
        supports_interpolate
        supports_settings
        supports_select_format
        supports_comment_optimizer_hint
        supports_constraint_keyword_without_name
        supports_key_column_option
        supports_comma_separated_trim
        supports_cte_without_as
        supports_select_item_multi_column_alias
        supports_xml_expressions
    }
}
