//! Rows against the checks of their contract: which row breaks which.
//!
//! A check that cannot be computed for a row (a division by zero, a text that is no number, a value
//! beyond its type) is broken by that row alone. Nothing that is said of it repeats a value.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::physical_plan::PhysicalExpr;

use crate::contract::{Check, Contract, OnViolation, Violation, functions_of};
use crate::error::{Error, Result};
use crate::guard::guarded;
use crate::mistake::Mistake;
use crate::query::{Query, explain};

mod paths;
mod strict;
use paths::{overlap, paths};
pub use strict::{fits_lengths, strict};

/// The checks of one contract, ready to run on batches of its schema.
#[derive(Clone, Debug)]
pub struct RowChecks {
    table: String,
    /// Whether records come in here; else a query computes the rows.
    is_source: bool,
    checks: Vec<(Check, Arc<dyn PhysicalExpr>)>,
    not_null: Vec<(usize, String)>,
}

/// How many rows broke which check, and how many there were.
#[derive(Clone, Debug, Default)]
pub struct Violations {
    /// By the check's name.
    pub by_check: BTreeMap<String, u64>,
    /// Rows seen.
    pub n_rows: u64,
}

impl Violations {
    /// Joins what two workers counted.
    pub fn merge(&mut self, other: &Self) {
        self.n_rows += other.n_rows;
        for (name, n) in &other.by_check {
            *self.by_check.entry(name.clone()).or_default() += n;
        }
    }
}

/// What became of the rows of a batch.
#[derive(Debug)]
pub struct Sorted {
    /// The rows that stay.
    pub kept: RecordBatch,
    /// The rows that go to quarantine, and what is wrong with each: the check that it breaks first.
    pub quarantined: Vec<(usize, String)>,
}

/// The rows of a batch that break one check.
#[derive(Debug, Default)]
struct Broken {
    /// Rows for which it is false.
    is_false: Vec<usize>,
    /// Rows for which it cannot be computed.
    failed: Vec<usize>,
}

impl RowChecks {
    /// Plans the checks of a contract.
    ///
    /// # Errors
    /// Every check that is no boolean expression on the contract's columns, with its place.
    pub fn plan(contract: &Contract, text: &str, query: &Query) -> Result<Self, Vec<Mistake>> {
        let schema = contract.schema();
        let mut checks = Vec::new();
        let mut mistakes = Vec::new();
        for check in &contract.checks {
            let before = mistakes.len();
            mistakes.extend(unfit_functions(check, contract, query));
            if mistakes.len() > before {
                continue;
            }
            let planned = query.expression(&schema, &check.expression).and_then(|expression| {
                expression.data_type(schema.as_ref()).map(|data_type| (expression, data_type))
            });
            match planned {
                Ok((expression, DataType::Boolean)) => {
                    checks.push((check.clone(), expression));
                }
                Ok((_, data_type)) => mistakes.push(
                    Mistake::new(
                        &contract.file,
                        format!("check `{}` is {data_type}, not true or false", check.name),
                    )
                    .span(check.span.clone()),
                ),
                Err(cause) => {
                    let mut mistake = explain(&contract.file, text, &cause);
                    mistake.message = format!("check `{}`: {}", check.name, mistake.message);
                    mistakes.push(mistake.span(check.span.clone()));
                }
            }
        }
        let columns = contract.columns.iter().enumerate();
        let not_null = columns
            .filter(|(_, column)| column.not_null)
            .map(|(i, column)| (i, column.field.name.clone()));
        let table = contract.name.to_string();
        if mistakes.is_empty() {
            let is_source = !contract.sources.is_empty();
            Ok(Self { table, is_source, checks, not_null: not_null.collect() })
        } else {
            Err(mistakes)
        }
    }

    /// Whether a check looks at a value of one of these columns or fields of structs, by their paths.
    pub fn look_at(&self, columns: &[&str]) -> bool {
        let mut read = self.checks.iter().flat_map(|(_, expression)| paths(expression));
        read.any(|path| columns.iter().any(|column| overlap(&path, column)))
    }

    /// Sorts the rows of a batch. A check that must hold makes an error instead.
    pub fn sort(&self, rows: RecordBatch, violations: &mut Violations) -> Result<Sorted> {
        self.sort_as(rows, None, violations)
    }

    /// Sorts the rows of a batch by what they were when they came, where that is something else.
    pub fn sort_as(
        &self,
        rows: RecordBatch,
        came: Option<&RecordBatch>,
        violations: &mut Violations,
    ) -> Result<Sorted> {
        violations.n_rows += rows.num_rows() as u64;
        let mut keep: Option<Vec<bool>> = None;
        let mut quarantined: BTreeMap<usize, String> = BTreeMap::new();
        for (check, expression) in &self.checks {
            let Broken { is_false, failed } =
                self.broken(check, expression.as_ref(), came.unwrap_or(&rows))?;
            let n = is_false.len() + failed.len();
            if n == 0 {
                continue;
            }
            *violations.by_check.entry(check.name.clone()).or_default() += n as u64;
            let action = match check.violation {
                // Where records come in, a tolerance never stops.
                Violation { action: OnViolation::Fail, at_most: Some(_) } if self.is_source => {
                    OnViolation::Quarantine
                }
                violation => violation.action,
            };
            match action {
                OnViolation::Warn => continue,
                OnViolation::Fail if failed.is_empty() => {
                    return Err(self.must_hold(check, n, &first_place(&rows, &is_false)));
                }
                OnViolation::Fail => {
                    return Err(self.uncomputable(
                        check,
                        failed.len(),
                        &first_place(&rows, &failed),
                    ));
                }
                // Nobody knows whether the author would drop these, and a model has no quarantine.
                OnViolation::Drop if !failed.is_empty() && !self.is_source => {
                    return Err(self.uncomputable(check, failed.len(), ""));
                }
                OnViolation::Quarantine | OnViolation::Drop => {}
            }
            let keep = keep.get_or_insert_with(|| vec![true; rows.num_rows()]);
            let said_false = (action == OnViolation::Quarantine).then_some("is false");
            for (rows, fault) in [(is_false, said_false), (failed, Some("cannot be computed"))] {
                for row in rows {
                    keep[row] = false;
                    if let Some(fault) = fault {
                        let fault = || format!("check `{}` {fault}", check.name);
                        quarantined.entry(row).or_insert_with(fault);
                    }
                }
            }
        }
        let kept = match keep {
            None => rows,
            Some(keep) => filter_record_batch(&rows, &BooleanArray::from(keep))
                .map_err(|cause| Error::internal("cannot filter rows").caused_by(cause))?,
        };
        Ok(Sorted { kept, quarantined: quarantined.into_iter().collect() })
    }

    /// For rows that a query computed: NOT NULL holds for them, or the query is wrong.
    pub fn require_not_null(&self, rows: &RecordBatch) -> Result<()> {
        for (index, name) in &self.not_null {
            let n = rows.column(*index).null_count();
            if n > 0 {
                return Err(Error::data(format!(
                    "{}: {n} rows have no `{name}`, which is NOT NULL",
                    self.table
                ))
                .hint("nothing was committed; correct the model, or allow NULL in the contract"));
            }
        }
        Ok(())
    }

    /// The share of rows that each check tolerates, once all rows of a model are seen. Records of a
    /// source come in batches of any size, which say nothing of it: `lake status` judges there.
    pub fn within_tolerance(&self, violations: &Violations) -> Result<()> {
        for (check, _) in &self.checks {
            let n = violations.by_check.get(&check.name).copied().unwrap_or_default();
            #[allow(clippy::cast_precision_loss, reason = "a share of rows")]
            let share = n as f64 / (violations.n_rows.max(1)) as f64;
            if check.violation.at_most.is_some_and(|most| share > most) {
                return Err(Error::data(format!(
                    "{}: check `{}` is broken by {n} of {} rows, more than it tolerates",
                    self.table, check.name, violations.n_rows
                ))
                .hint("nothing was committed; look at the rows, or raise the tolerance in the contract"));
            }
        }
        Ok(())
    }

    fn broken(
        &self,
        check: &Check,
        expression: &dyn PhysicalExpr,
        rows: &RecordBatch,
    ) -> Result<Broken> {
        let mut broken = Broken::default();
        if judge(expression, rows, 0, &mut broken) {
            return Ok(broken);
        }
        // What fails without any row fails because of the check.
        if !judge(expression, &rows.slice(0, 0), 0, &mut broken) {
            return Err(Error::data(format!(
                "{}: check `{}` cannot be computed for any row: {}",
                self.table, check.name, check.expression
            ))
            .hint("nothing was committed; correct the check in the contract"));
        }
        judge_apart(expression, rows, 0, &mut broken);
        broken.is_false.sort_unstable();
        Ok(broken)
    }

    fn uncomputable(&self, check: &Check, n: usize, first: &str) -> Error {
        Error::data(format!(
            "{}: check `{}` cannot be computed for {n} rows: {}{first}",
            self.table, check.name, check.expression
        ))
        .hint("nothing was committed; a division by zero, a text that is no number, or a value beyond its type ends a check: ask for what it needs first, as in `items <> 0 AND total / items > 0`")
    }

    fn must_hold(&self, check: &Check, n: usize, first: &str) -> Error {
        Error::data(format!(
            "{}: {n} rows break check `{}`: {}{first}",
            self.table, check.name, check.expression
        ))
            .hint("nothing was committed; `lake.else` in the contract says what else may happen to such rows")
    }
}

/// Where the first of some rows came from, if records have such a place: a file or a topic, and the
/// record there.
fn first_place(rows: &RecordBatch, broken: &[usize]) -> String {
    let Some(row) = broken.iter().min() else { return String::new() };
    let value = |name: &str| {
        let column = rows.column_by_name(name).filter(|column| column.is_valid(*row))?;
        array_value_to_string(column, *row).ok()
    };
    match (value("_source_file"), value("_topic"), value("_partition"), value("_offset")) {
        (Some(file), _, _, Some(at)) => format!("; the first is record {at} of {file}"),
        (_, Some(topic), Some(partition), Some(at)) => {
            format!("; the first is at offset {at} of partition {partition} of kafka:{topic}")
        }
        _ => String::new(),
    }
}

/// A check says of one row, whenever it is looked at, whether it is right: functions that say
/// something else are mistakes.
fn unfit_functions(check: &Check, contract: &Contract, query: &Query) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for function in functions_of(&check.expression) {
        let (why, hint) = if !query.is_steady(&function) {
            ("gives something else at every run", "compare with a column or with a fixed time")
        } else if query.is_of_many_rows(&function) {
            ("looks at many rows", "write it as a set check, into [check] of the model's header")
        } else {
            continue;
        };
        let message = format!("check `{}`: {function}() {why}", check.name);
        let mistake = Mistake::new(&contract.file, message).span(check.span.clone());
        mistakes.push(mistake.hint(hint));
    }
    mistakes
}

/// Adds the rows that break a check, and says whether it could be computed for all of them.
fn judge(
    expression: &dyn PhysicalExpr,
    rows: &RecordBatch,
    first: usize,
    broken: &mut Broken,
) -> bool {
    let n_rows = rows.num_rows();
    // Some functions panic where they should fail. They hold nothing that a panic could leave half
    // done.
    let holds = guarded(|| expression.evaluate(rows).and_then(|value| value.into_array(n_rows)));
    // The cause would say the value.
    let Some(Ok(holds)) = holds else { return false };
    let holds = holds.as_boolean();
    if holds.false_count() > 0 {
        let is_false = |row: &usize| holds.is_valid(*row) && !holds.value(*row);
        broken.is_false.extend((0..n_rows).filter(is_false).map(|row| first + row));
    }
    true
}

/// Halves rows among which some fail until each of these is alone; small parts row by row, so that
/// many failing rows cost little more than one look at each.
fn judge_apart(
    expression: &dyn PhysicalExpr,
    rows: &RecordBatch,
    first: usize,
    broken: &mut Broken,
) {
    const ROW_BY_ROW: usize = 16;
    let n_rows = rows.num_rows();
    if n_rows <= ROW_BY_ROW {
        for row in 0..n_rows {
            if !judge(expression, &rows.slice(row, 1), first + row, broken) {
                broken.failed.push(first + row);
            }
        }
        return;
    }
    let half = n_rows / 2;
    for (offset, length) in [(0, half), (half, n_rows - half)] {
        let part = rows.slice(offset, length);
        if !judge(expression, &part, first + offset, broken) {
            judge_apart(expression, &part, first + offset, broken);
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, StringArray};
    use datafusion::arrow::datatypes::{Field, Schema};

    use super::*;
    use crate::contract::{TableName, parse};
    use crate::query::Limits;

    fn contract(check: &str, properties: &str) -> Contract {
        let text = format!(
            "CREATE TABLE bronze.t (id BIGINT, total BIGINT, items BIGINT, country STRING, CONSTRAINT c CHECK ({check})) TBLPROPERTIES ({properties})"
        );
        parse(&TableName::new("bronze", "t"), "t.sql", &text).unwrap()
    }

    fn planned(contract: &Contract) -> RowChecks {
        let query = Query::new(&Limits::planning("UTC".parse().unwrap())).unwrap();
        RowChecks::plan(contract, "", &query).unwrap()
    }

    /// `n` rows of which those in `bad` divide by zero and have a text that is no number.
    fn rows(n: i64, bad: &[usize]) -> RecordBatch {
        let is_bad = |row: i64| bad.iter().any(|bad| i64::try_from(*bad) == Ok(row));
        let columns: [(&str, Arc<dyn Array>); 4] = [
            ("id", Arc::new(Int64Array::from_iter_values(0..n))),
            ("total", Arc::new(Int64Array::from_iter_values((0..n).map(|_| 10)))),
            (
                "items",
                Arc::new((0..n).map(|row| Some(i64::from(!is_bad(row)))).collect::<Int64Array>()),
            ),
            (
                "country",
                Arc::new(
                    (0..n)
                        .map(|row| Some(if is_bad(row) { "alice" } else { "7" }))
                        .collect::<StringArray>(),
                ),
            ),
        ];
        let fields: Vec<Field> = columns
            .iter()
            .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
            .collect();
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    const SOURCE: &str = "'lake.source' = 'folder:t'";

    #[test]
    fn a_row_whose_check_cannot_be_computed_is_set_aside_alone() {
        for check in [
            "total / items > 0",
            "CAST(country AS BIGINT) > 0",
            "100 % items = 0",
            "lpad('x', CASE WHEN items = 0 THEN 9223372036854775807 ELSE 3 END, 'y') = 'yyx'",
        ] {
            let checks = planned(&contract(check, SOURCE));
            for bad in [vec![], vec![0], vec![999], vec![3, 4, 5, 500], (0..1000).collect()] {
                let mut violations = Violations::default();
                let sorted = checks.sort(rows(1000, &bad), &mut violations).unwrap();
                let found: Vec<usize> = sorted.quarantined.iter().map(|(row, _)| *row).collect();
                assert_eq!(found, bad, "{check}");
                assert_eq!(sorted.kept.num_rows(), 1000 - bad.len(), "{check}");
                assert_eq!(violations.by_check.get("c").copied().unwrap_or(0), bad.len() as u64);
                let expected = "check `c` cannot be computed";
                assert!(
                    sorted.quarantined.iter().all(|(_, fault)| fault == expected),
                    "{sorted:?}"
                );
            }
        }
    }

    #[test]
    fn rows_that_break_a_check_and_rows_that_cannot_be_judged_are_told_apart() {
        let checks = planned(&contract("10 / (items - 2) = -10", SOURCE));
        let mut rows = rows(40, &[7]);
        let mut columns = rows.columns().to_vec();
        let items = (0..40).map(|row| Some(if row == 20 { 2 } else { i64::from(row != 7) }));
        columns[2] = Arc::new(items.collect::<Int64Array>());
        rows = RecordBatch::try_new(rows.schema(), columns).unwrap();
        let sorted = checks.sort(rows, &mut Violations::default()).unwrap();
        let expected = [(7, "check `c` is false"), (20, "check `c` cannot be computed")];
        assert_eq!(sorted.quarantined, expected.map(|(row, fault)| (row, fault.to_owned())));
        assert_eq!(sorted.kept.num_rows(), 38);
    }

    #[test]
    fn what_happens_to_a_row_that_cannot_be_judged_follows_the_contract() {
        let sort = |otherwise: &str, source: &str| {
            let properties = format!("'lake.else.c' = '{otherwise}'{source}");
            let checks = planned(&contract("total / items > 0", &properties));
            let mut violations = Violations::default();
            let sorted = checks.sort(rows(20, &[5]), &mut violations);
            sorted.map(|sorted| {
                (sorted.kept.num_rows(), sorted.quarantined.len(), violations.by_check["c"])
            })
        };
        let source = format!(", {SOURCE}");
        assert_eq!(sort("quarantine", &source).unwrap(), (19, 1, 1));
        assert_eq!(sort("drop", &source).unwrap(), (19, 1, 1));
        assert_eq!(sort("warn", &source).unwrap(), (20, 0, 1));
        assert_eq!(sort("warn", "").unwrap(), (20, 0, 1));
        assert_eq!(sort("fail at most 1%", &source).unwrap(), (19, 1, 1));
        for (otherwise, source) in [("fail", source.as_str()), ("fail", ""), ("drop", "")] {
            let error = sort(otherwise, source).unwrap_err().report();
            assert!(error.contains("bronze.t: check `c` cannot be computed for 1 rows"), "{error}");
        }
    }

    #[test]
    fn an_error_of_a_check_says_no_value() {
        let checks = planned(&contract("CAST(country AS BIGINT) > 0", "'lake.else.c' = 'fail'"));
        let error = checks.sort(rows(3, &[1]), &mut Violations::default()).unwrap_err().report();
        assert!(error.contains("check `c`") && !error.contains("alice"), "{error}");
    }

    #[test]
    fn a_check_that_asks_first_is_computed_for_every_row() {
        let checks = planned(&contract("items = 0 OR total / items > 0", SOURCE));
        let sorted = checks.sort(rows(100, &[1, 2, 50]), &mut Violations::default()).unwrap();
        assert_eq!((sorted.kept.num_rows(), sorted.quarantined.len()), (100, 0));
    }
}
