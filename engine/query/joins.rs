//! The kinds of joins in a syntax tree, and which of them have keys to merge.

use sqlparser::ast::{Join, JoinConstraint, JoinOperator, TableFactor, TableWithJoins};

/// Whose rows a join keeps.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Inner,
    Left,
    Right,
    Full,
}

/// The only side that a join shows.
pub(super) enum Side {
    Left,
    Right,
}

/// The constraint of a join that can have USING, and what it keeps; semi and anti joins keep the key
/// of their one side, as a left join does.
pub(super) fn usual(operator: &mut JoinOperator) -> Option<(Kind, &mut JoinConstraint)> {
    use JoinOperator as J;
    match operator {
        J::Join(on) | J::Inner(on) => Some((Kind::Inner, on)),
        J::Left(on) | J::LeftOuter(on) | J::LeftSemi(on) | J::LeftAnti(on) => {
            Some((Kind::Left, on))
        }
        J::Right(on) | J::RightOuter(on) => Some((Kind::Right, on)),
        J::FullOuter(on) => Some((Kind::Full, on)),
        _ => None,
    }
}

/// The side whose columns alone a semi or anti join shows.
pub(super) fn one_side(operator: &JoinOperator) -> Option<Side> {
    match operator {
        JoinOperator::LeftSemi(_) | JoinOperator::LeftAnti(_) => Some(Side::Left),
        JoinOperator::RightSemi(_) | JoinOperator::RightAnti(_) => Some(Side::Right),
        _ => None,
    }
}

/// The joins of a FROM item, those in parentheses included.
pub(super) fn every_join(table: &TableWithJoins) -> Vec<&Join> {
    let mut all: Vec<&Join> = table.joins.iter().collect();
    let factors = std::iter::once(&table.relation).chain(table.joins.iter().map(|j| &j.relation));
    for factor in factors {
        if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
            all.extend(every_join(table_with_joins));
        }
    }
    all
}

/// The kind and the constraint of a join with USING or NATURAL.
pub(super) fn constraint(join: &Join) -> Option<(Kind, JoinConstraint)> {
    let mut operator = join.join_operator.clone();
    let (kind, constraint) = usual(&mut operator)?;
    let merges = matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural);
    merges.then(|| (kind, constraint.clone()))
}

/// Whether `DataFusion` would compute a join wrongly if it were left alone.
pub(super) fn wrong_as_it_is(join: &Join, star: bool) -> bool {
    match constraint(join) {
        None | Some((Kind::Inner, _)) => false,
        // NATURAL without a common column becomes a cross join, which loses rows.
        Some((Kind::Left, constraint)) => star || constraint == JoinConstraint::Natural,
        Some(_) => true,
    }
}
