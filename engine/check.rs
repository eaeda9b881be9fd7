//! `lake check`: plans every model against the contracts, reading no rows, and finds all mistakes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::dataframe::DataFrame;

use crate::contract::{Contract, TableName, is_plain, sql_type};
use crate::decode::Decoder;
use crate::error::Result;
use crate::mistake::{Files, Mistake};
use crate::model::{Model, Refresh};
use crate::project::Project;
use crate::pseudonym::Pseudonyms;
use crate::quarantine;
use crate::query::{Limits, Query, explain};
use crate::refresh::stored_inputs;
use crate::rowcheck::RowChecks;

/// What a check found.
#[derive(Debug)]
pub struct Checked {
    /// The project, as far as it could be read.
    pub project: Project,
    /// Every mistake, in the order of the files.
    pub mistakes: Vec<Mistake>,
    /// Contracts that are missing and could be planned: their path and text.
    pub drafts: Vec<(String, String)>,
}

/// Reads and plans a project.
///
/// # Errors
/// Only by a bug of ours: mistakes of the project are in the result.
pub async fn check(files: Files, reporting_tz: chrono_tz::Tz) -> Result<Checked> {
    let (project, mistakes) = Project::parse(files);
    let query = Query::new(&Limits::planning(reporting_tz))?;
    let mut checker = Checker {
        project: &project,
        query,
        mistakes,
        broken: BTreeSet::new(),
        drafts: Vec::new(),
        stored_views: project.stored_views(),
    };
    checker.contracts()?;
    for name in &project.order {
        checker.model(&project.models[name]).await?;
    }
    let Checker { mut mistakes, drafts, .. } = checker;
    mistakes.sort_by(|a, b| {
        (&a.file, a.span.as_ref().map(|s| s.start))
            .cmp(&(&b.file, b.span.as_ref().map(|s| s.start)))
    });
    mistakes.dedup();
    Ok(Checked { project, mistakes, drafts })
}

struct Checker<'a> {
    project: &'a Project,
    query: Query,
    mistakes: Vec<Mistake>,
    /// Tables whose schema is unknown: models that read them are not judged.
    broken: BTreeSet<TableName>,
    drafts: Vec<(String, String)>,
    /// Views that stored models read, and one such model for each.
    stored_views: BTreeMap<TableName, TableName>,
}

impl Checker<'_> {
    fn contracts(&mut self) -> Result<()> {
        let own = quarantine::contract()?;
        self.query.register_empty(&own.name, own.schema())?;
        for contract in self.project.contracts.values() {
            self.query.register_empty(&contract.name, contract.schema())?;
            self.row_checks(contract);
            if !contract.sources.is_empty()
                && let Err(error) = Decoder::new(contract, Some(Pseudonyms::new(&[0; 32])))
            {
                let message = error.to_string();
                let mut mistake = Mistake::new(
                    &contract.file,
                    message.trim_start_matches(&format!("{}: ", contract.file)),
                );
                mistake.hint = error.hint_text().map(str::to_owned);
                self.mistakes.push(mistake);
            }
        }
        for path in self.project.files.keys() {
            let parts: Vec<&str> = path.trim_end_matches(".sql").split('/').collect();
            if let ["lake" | "sql", layer, table] = parts.as_slice() {
                let name = TableName::new(layer, table);
                let readable = self.project.contracts.contains_key(&name)
                    || self.project.models.contains_key(&name);
                if !readable {
                    self.broken.insert(name);
                }
            }
        }
        Ok(())
    }

    /// Checks can be planned, and computed.
    fn row_checks(&mut self, contract: &Contract) {
        if let Err(mistakes) = RowChecks::plan(contract, self.text(&contract.file), &self.query) {
            self.mistakes.extend(mistakes);
            return;
        }
        // What cannot be computed without any row cannot be computed for one.
        let nobody = RecordBatch::new_empty(contract.schema());
        for check in &contract.checks {
            let value = self
                .query
                .computable(&contract.schema(), &check.expression)
                .and_then(|expression| expression.evaluate(&nobody));
            if let Err(cause) = value {
                let mut mistake = explain(&contract.file, self.text(&contract.file), &cause);
                mistake.message = format!("check `{}`: {}", check.name, mistake.message);
                self.mistakes.push(mistake.span(check.span.clone()));
            }
        }
    }

    /// What is stored follows from the inputs alone: it would be out of date at once otherwise, and
    /// a second run on the same data would give other rows.
    fn steady(&mut self, model: &Model) {
        let reader = match (model.refresh, self.stored_views.get(&model.name)) {
            (Refresh::View, None) => return,
            (Refresh::View, Some(reader)) => format!("; {reader} reads this view and is stored"),
            _ => String::new(),
        };
        for (function, place) in &model.functions {
            if !self.query.is_steady(function) {
                let message = format!("{function}() gives something else at every run{reader}");
                self.mistakes.push(Mistake::new(&model.file, message).span(place.clone()).hint(
                    "read a time from the records; what depends on the clock belongs into a view that no stored model reads",
                ));
            }
        }
    }

    fn text(&self, file: &str) -> &str {
        self.project.files.get(file).map_or("", String::as_str)
    }

    async fn model(&mut self, model: &Model) -> Result<()> {
        self.steady(model);
        let unknown = |input: &TableName| self.broken.contains(input) || !self.project.knows(input);
        if model.inputs.iter().any(unknown) {
            self.broken.insert(model.name.clone());
            return Ok(());
        }
        let contract = self.project.contracts.get(&model.name);
        let table = contract.filter(|_| model.refresh != Refresh::View).map(Contract::schema);
        let frame = match self.query.plan_into(&model.text, table.as_deref()).await {
            Ok(frame) => frame,
            Err(cause) => {
                self.mistakes.push(explain(&model.file, &model.text, &cause));
                self.broken.insert(model.name.clone());
                return Ok(());
            }
        };
        let schema = frame.schema().as_arrow().clone();
        self.raw_records(model, &frame);
        // Only a plan that could run has types that can be compared, and subqueries where they may be.
        if let Err(cause) = self.query.can_run(frame.clone()).await {
            self.mistakes.push(explain(&model.file, &model.text, &cause));
        }
        match self.project.contracts.get(&model.name) {
            _ if model.refresh == Refresh::View => {
                self.query.register(&model.name, frame.into_view())?;
            }
            Some(contract) => self.fits(model, contract, &schema),
            None => {
                let path = format!("lake/{}/{}.sql", model.name.layer, model.name.table);
                if !self.project.files.contains_key(&path) && self.names(model, &schema) {
                    self.drafts.push((path, draft(model, &schema)));
                }
                self.query.register_empty(&model.name, Arc::new(schema.clone()))?;
            }
        }
        self.set_checks(model, &schema).await
    }

    /// What of a record in quarantine may name a person, as it came, is stored nowhere else.
    fn raw_records(&mut self, model: &Model, frame: &DataFrame) {
        let has_persons = self.project.sourced().any(|contract| !contract.personal.is_empty());
        let own = quarantine::name();
        let is_read = stored_inputs(self.project, model).contains(&own);
        if model.refresh == Refresh::View || !has_persons || !is_read {
            return;
        }
        // A plan that cannot be brought into its last shape has its mistake already.
        let raw = self.query.columns_from(frame, &own, quarantine::AS_IT_CAME);
        let raw = raw.unwrap_or_default();
        let Some(column) = raw.first() else { return };
        let message = format!(
            "column `{column}` would store what came, with the raw ids of persons: {} of {own} stay there",
            quarantine::AS_IT_CAME.join(", ")
        );
        let mut mistake = Mistake::new(&model.file, message);
        mistake.span = model.input_spans.get(&own).cloned();
        self.mistakes.push(mistake.hint(
            "store the other columns, as error_class and error_message, or the length of these; a view that no stored model reads may have all of them",
        ));
    }

    fn fits(&mut self, model: &Model, contract: &Contract, schema: &Schema) {
        let Err(difference) = contract.accepts(schema) else { return };
        let column = difference.split('`').nth(1).map(str::to_owned);
        let mut mistake = Mistake::new(
            &contract.file,
            format!("the contract and its query {} differ: {difference}", model.file),
        );
        let place = column
            .and_then(|name| contract.columns.iter().find(|column| column.field.name == name));
        mistake.span = place.map(|column| column.span.clone());
        self.mistakes.push(
            mistake.hint("the SELECT's columns must have the contract's names, types and order"),
        );
    }

    /// Whether a contract may name the columns of a query.
    fn names(&mut self, model: &Model, schema: &Schema) -> bool {
        let odd: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .filter(|name| !is_plain(name))
            .collect();
        for name in &odd {
            self.mistakes.push(
                Mistake::new(
                    &model.file,
                    format!("the query's column `{name}` is not in snake_case"),
                )
                .hint("name it with AS"),
            );
        }
        odd.is_empty()
    }

    async fn set_checks(&mut self, model: &Model, schema: &Schema) -> Result<()> {
        if model.checks.is_empty() {
            return Ok(());
        }
        // The rows that are committed have the contract's types, not the query's.
        let contract = self.project.contracts.get(&model.name);
        let rows = contract.map_or_else(|| Arc::new(schema.clone()), Contract::schema);
        let this = datafusion::datasource::MemTable::try_new(rows, vec![vec![]]);
        let this =
            this.map_err(|cause| crate::error::Error::internal("no empty table").caused_by(cause))?;
        self.query.register_this(Arc::new(this))?;
        for check in &model.checks {
            let sql = format!("SELECT {}", check.expression);
            let planned = match self.query.plan(&sql).await {
                Ok(frame) => Ok(frame.schema().field(0).data_type().clone()),
                Err(cause) => Err(cause),
            };
            let planned = match planned {
                Ok(DataType::Boolean) => match self.query.plan(&check.broken_sql()).await {
                    Ok(frame) => self.query.can_run(frame).await.map(|()| DataType::Boolean),
                    Err(cause) => Err(cause),
                },
                other => other,
            };
            let mistake = match planned {
                Ok(DataType::Boolean) => continue,
                Ok(data_type) => Mistake::new(
                    &model.file,
                    format!(
                        "check `{}` is {}, not true or false",
                        check.name,
                        sql_type(&data_type)
                    ),
                )
                .hint("compare it, as in (SELECT count(*) FROM this WHERE …) = 0"),
                Err(cause) => {
                    let mut mistake = explain(&model.file, &sql, &cause);
                    mistake.message = format!("check `{}`: {}", check.name, mistake.message);
                    mistake
                }
            };
            self.mistakes.push(mistake.span(check.span.clone()));
        }
        Ok(())
    }
}

/// A contract for a query's columns, for a person to finish.
fn draft(model: &Model, schema: &Schema) -> String {
    let about = if model.about.is_empty() { "One row per …" } else { &model.about };
    let width = schema.fields().iter().map(|field| field.name().len()).max().unwrap_or(0);
    let columns: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| {
            format!("    {:width$} {} COMMENT ''", field.name(), sql_type(field.data_type()))
        })
        .collect();
    format!("-- {about}\nCREATE TABLE {} (\n{}\n);\n", model.name, columns.join(",\n"))
}
