//! Rows against the checks of their contract: which row breaks which.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::DataType;
use datafusion::physical_plan::PhysicalExpr;

use crate::contract::{Check, Contract, OnViolation, Type, Violation, quoted};
use crate::error::{Error, Result};
use crate::mistake::Mistake;
use crate::query::{Query, explain};

/// The checks of one contract, ready to run on batches of its schema.
#[derive(Clone, Debug)]
pub struct RowChecks {
    table: String,
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
    /// The rows that go to quarantine, and the check that each breaks first.
    pub quarantined: Vec<(usize, String)>,
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
            Ok(Self { table, checks, not_null: not_null.collect() })
        } else {
            Err(mistakes)
        }
    }

    /// Sorts the rows of a batch. A check that must hold makes an error instead.
    pub fn sort(&self, rows: RecordBatch, violations: &mut Violations) -> Result<Sorted> {
        violations.n_rows += rows.num_rows() as u64;
        let mut keep: Option<Vec<bool>> = None;
        let mut quarantined: BTreeMap<usize, String> = BTreeMap::new();
        for (check, expression) in &self.checks {
            let broken = self.broken(check, expression.as_ref(), &rows)?;
            if broken.is_empty() {
                continue;
            }
            *violations.by_check.entry(check.name.clone()).or_default() += broken.len() as u64;
            match check.violation.action {
                OnViolation::Warn => {}
                OnViolation::Fail => return Err(self.must_hold(check, broken.len())),
                OnViolation::Quarantine | OnViolation::Drop => {
                    let keep = keep.get_or_insert_with(|| vec![true; rows.num_rows()]);
                    for row in broken {
                        keep[row] = false;
                        if check.violation.action == OnViolation::Quarantine {
                            quarantined.entry(row).or_insert_with(|| check.name.clone());
                        }
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

    /// The share of rows that each check tolerates, once all are seen.
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
    ) -> Result<Vec<usize>> {
        let failed = |cause| {
            Error::data(format!("{}: check `{}` cannot be computed", self.table, check.name))
                .caused_by(cause)
        };
        let value = expression.evaluate(rows).map_err(failed)?;
        let array = value.into_array(rows.num_rows()).map_err(failed)?;
        let holds = array.as_boolean();
        if holds.false_count() == 0 {
            return Ok(Vec::new());
        }
        Ok((0..holds.len()).filter(|row| holds.is_valid(*row) && !holds.value(*row)).collect())
    }

    fn must_hold(&self, check: &Check, n: usize) -> Error {
        Error::data(format!("{}: {n} rows break check `{}`: {}", self.table, check.name, check.expression))
            .hint("nothing was committed; `lake.else` in the contract says what else may happen to such rows")
    }
}

/// In a table that a query computes, a broken check means a wrong query: it fails by default, and
/// so does a text that is too long, which the decoder would have found in a record.
pub fn strict(contract: &Contract) -> Contract {
    let mut contract = contract.clone();
    for check in &mut contract.checks {
        if check.violation.action == OnViolation::Quarantine {
            check.violation.action = OnViolation::Fail;
        }
    }
    for column in &contract.columns {
        if let Type::Text { max: Some(max) } = column.field.data_type {
            contract.checks.push(Check {
                name: format!("{}_fits_its_varchar", column.field.name),
                expression: format!("character_length({}) <= {max}", quoted(&column.field.name)),
                violation: Violation { action: OnViolation::Fail, at_most: None },
                span: column.span.clone(),
            });
        }
    }
    contract
}
