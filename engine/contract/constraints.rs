//! The keys and checks of a contract, beside a column or behind all of them.

use std::ops::Range;

use sqlparser::ast::{
    CheckConstraint, Expr, FunctionArguments, IndexColumn, NullsDistinctOption,
    PrimaryKeyConstraint, Spanned, TableConstraint, UniqueConstraint, Value,
};

use super::clauses::constraint_without_effect;
use super::names::{Named, PLAIN, folded, is_plain, table_named};
use super::parse::Reader;
use super::reads::{Fault, Reads};
use super::{Check, Contract, OnViolation, Violation};
use crate::mistake::did_you_mean;

impl Reader<'_> {
    pub(super) fn constraint(&mut self, constraint: &TableConstraint, contract: &mut Contract) {
        match constraint {
            TableConstraint::PrimaryKey(key) => {
                let columns = self.key_columns(&key.columns, contract);
                self.primary_key(key, columns, contract);
            }
            TableConstraint::Unique(key) => {
                let columns = self.key_columns(&key.columns, contract);
                self.unique(key, columns, contract);
            }
            TableConstraint::Check(check) => match &check.name {
                Some(name) => self.check(check, (folded(name), self.text.ident(name)), contract),
                None => self.refuse(
                    format!("the check `{}` has no name", check.expr),
                    self.text.range(check.expr.span()),
                    "write CONSTRAINT name CHECK (…): reports and quarantine name it",
                ),
            },
            other => {
                let (words, hint) = constraint_without_effect(other).unwrap_or_default();
                let place = words.split('/').find_map(|words| self.text.keywords(words, 0));
                self.refuse(format!("`{other}` has no effect in a contract"), place, hint);
            }
        }
    }

    /// The columns of a key, each once, none with words that have no effect.
    fn key_columns(&mut self, columns: &[IndexColumn], contract: &Contract) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for column in columns {
            let place = self.text.range(column.column.expr.span());
            let Some(name) = column_named(&column.column.expr) else {
                let message = format!("`{}` is no column of its own", column.column.expr);
                self.refuse(
                    message,
                    place,
                    "a key has columns, no expressions and no nested fields",
                );
                continue;
            };
            let options = &column.column.options;
            if column.operator_class.is_some()
                || column.column.with_fill.is_some()
                || options.asc.is_some()
                || options.nulls_first.is_some()
            {
                self.refuse(
                    format!("what stands behind `{name}` has no effect in a key"),
                    place.clone(),
                    "write the name alone",
                );
            }
            if !contract.columns.iter().any(|column| column.field.name == name) {
                let known = contract.columns.iter().map(|column| column.field.name.as_str());
                let hint =
                    did_you_mean(&name, known).map(|known| format!("did you mean `{known}`?"));
                let message = format!("the key names `{name}`, which is no column");
                self.refuse(message, place, &hint.unwrap_or_default());
            } else if names.contains(&name) {
                self.refuse(format!("the key names `{name}` twice"), place, "");
            }
            names.push(name);
        }
        names
    }

    pub(super) fn primary_key(
        &mut self,
        key: &PrimaryKeyConstraint,
        columns: Vec<String>,
        contract: &mut Contract,
    ) {
        let place = self.text.keywords("PRIMARY KEY", 0);
        if !contract.primary_key.is_empty() {
            let hint = "a key of two columns is PRIMARY KEY (a, b); another one is UNIQUE (…)";
            self.refuse("the table has two primary keys", place.clone(), hint);
        }
        if key.index_name.is_some()
            || key.index_type.is_some()
            || !key.index_options.is_empty()
            || key.characteristics.is_some()
        {
            self.refuse(
                format!("`{key}` says more than which columns are the key"),
                place,
                "write PRIMARY KEY (…) alone: it is always checked",
            );
        }
        contract.primary_key = columns;
    }

    pub(super) fn unique(
        &mut self,
        key: &UniqueConstraint,
        columns: Vec<String>,
        contract: &mut Contract,
    ) {
        let place = self.text.keywords("UNIQUE", 0);
        if key.index_name.is_some()
            || key.index_type.is_some()
            || !key.index_options.is_empty()
            || key.characteristics.is_some()
            || key.nulls_distinct == NullsDistinctOption::NotDistinct
        {
            self.refuse(format!("`{key}` says more than which columns are unique"), place.clone(), "write UNIQUE (…) alone: it is always checked, and NULLs are no copies of each other");
        }
        if contract.unique.contains(&columns) {
            self.refuse("the same columns are a key twice", place, "leave one of the two out");
        }
        contract.unique.push(columns);
    }

    pub(super) fn check(
        &mut self,
        check: &CheckConstraint,
        (name, span): (String, Range<usize>),
        contract: &mut Contract,
    ) {
        if !is_plain(&name) {
            let message = format!("`{name}` is no name for a check");
            self.refuse(message, Some(span.clone()), PLAIN);
        }
        if contract.checks.iter().any(|check| check.name == name) {
            self.refuse(
                format!("check `{name}` appears twice"),
                Some(span.clone()),
                "give each a name of its own: CONSTRAINT name CHECK (…)",
            );
        }
        if check.enforced == Some(false) {
            let place = self.text.keywords("NOT ENFORCED", span.end).or(Some(span.clone()));
            self.refuse(
                format!("check `{name}` is NOT ENFORCED, and has no effect"),
                place,
                &format!("to count such rows only, set 'lake.else.{name}' = 'warn'"),
            );
        }
        self.expression(check, &name, &span);
        let property = format!("lake.else.{name}");
        let violation = match contract.properties.get(&property).map(|text| Violation::parse(text))
        {
            Some(Ok(violation)) => violation,
            Some(Err(message)) => {
                self.refuse(message, self.keys.get(&property).cloned(), "");
                Violation { action: OnViolation::Quarantine, at_most: None }
            }
            None => Violation { action: OnViolation::Quarantine, at_most: None },
        };
        let expression = check.expr.to_string();
        contract.checks.push(Check { name, expression, violation, span });
    }

    /// A check looks at one row: it reads columns, and nothing else.
    fn expression(&mut self, check: &CheckConstraint, name: &str, span: &Range<usize>) {
        let reads = Reads::of(check.expr.as_ref());
        if let Some(query) = reads.query {
            let place = self.text.range(query).or(Some(span.clone()));
            self.refuse(
                format!("check `{name}` has a query in it, and a check sees its row alone"),
                place,
                "write it as a set check, into [check] of the model's header",
            );
        } else if !reads.columns {
            self.refuse(
                format!("check `{name}` reads no column: it is the same for every row"),
                Some(span.clone()),
                "",
            );
        }
        for Fault { span: place, message, hint } in
            reads.wrong.into_iter().chain(reads.null_comparisons)
        {
            let place = self.text.range(place).or(Some(span.clone()));
            self.refuse(format!("check `{name}`: {message}"), place, hint);
        }
    }
}

/// The column that an entry of a key names: also by a word that is a value or a function elsewhere.
fn column_named(entry: &Expr) -> Option<String> {
    match entry {
        Expr::Identifier(ident) => Some(folded(ident)),
        Expr::Function(function) if function.args == FunctionArguments::None => {
            match table_named(&function.name) {
                Named::Alone(name) => Some(name),
                _ => None,
            }
        }
        Expr::Value(value) => match value.value {
            Value::Boolean(is_true) => Some(is_true.to_string()),
            Value::Null => Some("null".to_owned()),
            _ => None,
        },
        _ => None,
    }
}
