//! How SQL is read: the parser's generic dialect, with the precedence of operators that Postgres and
//! `DuckDB` have, and with an end.
//!
//! Promise: `a IS DISTINCT FROM b AND c` is a condition and another one (apache/datafusion#23692),
//! `true = x LIKE 'a%'` compares what LIKE gives, `a << b & c` goes from left to right. And a text that
//! the parser would try in more and more ways, since each level of parentheses doubles them, is refused.

use std::cell::Cell;

use sqlparser::ast::Expr;
use sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token};

/// How often the parser may begin an expression, for each word or sign of the text; some ten times are
/// usual where it has to try.
const TRIES_A_TOKEN: usize = 100;

/// The dialect of every SQL text of a project. Each text takes a new one: it counts.
#[derive(Debug, Default)]
pub struct LakeSql {
    tries: Cell<usize>,
    tries_max: Cell<usize>,
}

/// The dialect's answers to questions of yes or no.
macro_rules! as_generic {
    ($($question:ident)*) => {
        $(fn $question(&self) -> bool { GenericDialect.$question() })*
    };
}

impl Dialect for LakeSql {
    fn dialect(&self) -> std::any::TypeId {
        GenericDialect.dialect()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        GenericDialect.is_identifier_part(ch)
    }

    as_generic! {
        allow_extract_custom allow_extract_single_quotes support_map_literal_syntax
        supports_array_join_syntax supports_array_typedef_with_brackets
        supports_asc_desc_in_column_definition supports_bitwise_shift_operators
        supports_comma_separated_set_assignments supports_comma_separated_trim
        supports_comment_on supports_comment_optimizer_hint supports_connect_by
        supports_constraint_keyword_without_name supports_create_index_with_clause
        supports_create_view_comment_syntax supports_cte_without_as
        supports_data_type_signed_suffix supports_detach supports_dictionary_syntax
        supports_empty_projections supports_explain_with_utility_options
        supports_extract_comma_syntax supports_filter_during_aggregation
        supports_from_first_select supports_group_by_expr supports_group_by_with_modifier
        supports_install supports_interpolate supports_interval_options
        supports_key_column_option supports_left_associative_joins_without_parens
        supports_limit_by supports_limit_comma supports_load_extension supports_match_against
        supports_match_recognize supports_multiline_comment_hints
        supports_named_fn_args_with_assignment_operator supports_nested_comments
        supports_optimize_table supports_parens_around_table_factor
        supports_parenthesized_set_variables supports_partition_by_after_order_by
        supports_pipe_operator supports_prewhere supports_projection_trailing_commas
        supports_quote_delimited_string supports_select_format
        supports_select_item_multi_column_alias supports_select_wildcard_except
        supports_select_wildcard_exclude supports_select_wildcard_ilike
        supports_select_wildcard_rename supports_select_wildcard_replace supports_set_names
        supports_settings supports_start_transaction_modifier supports_string_escape_constant
        supports_struct_literal supports_try_convert supports_unicode_string_literal
        supports_update_order_by supports_user_host_grantee supports_values_as_table_factor
        supports_window_clause_named_window_reference
        supports_window_function_null_treatment_arg supports_with_fill supports_xml_expressions
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

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        if self.tries.get() == 0 {
            self.tries_max.set(TRIES_A_TOKEN * (n_tokens(parser) + 10));
        }
        self.tries.set(self.tries.get() + 1);
        let ends = self.tries.get() > self.tries_max.get();
        ends.then(|| Err(too_deep(parser.peek_token_ref().span.start)))
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
}

/// How many tokens are left of a text.
fn n_tokens(parser: &Parser) -> usize {
    let mut most = 64;
    while parser.peek_nth_token_ref(most).token != Token::EOF {
        most *= 2;
    }
    most
}

fn too_deep(place: Location) -> ParserError {
    ParserError::ParserError(format!("the expression is nested too deep to be read{place}"))
}
