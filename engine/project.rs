//! The files of a project become a [`Project`]; every mistake in them is found at once.

use std::collections::BTreeMap;

use crate::contract::{self, Contract, TableName};
use crate::job::{self, Job};
use crate::mistake::{Files, Mistake, did_you_mean};
use crate::model::{self, Model, Refresh};

#[cfg(test)]
mod tests;

/// Tables that the engine makes itself, without a contract of the project.
pub const OWN_TABLES: &[(&str, &str)] = &[("bronze", "quarantine")];

/// What a project's files say.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// The contracts, by table.
    pub contracts: BTreeMap<TableName, Contract>,
    /// The models, by table.
    pub models: BTreeMap<TableName, Model>,
    /// The jobs.
    pub jobs: Vec<Job>,
    /// The models in an order in which each comes after its inputs.
    pub order: Vec<TableName>,
    /// The text of every file.
    pub files: Files,
}

impl Project {
    /// Reads a project. What could be read is returned beside the mistakes.
    pub fn parse(mut files: Files) -> (Self, Vec<Mistake>) {
        for text in files.values_mut() {
            // Editors of Windows put a mark before the first line, which is no part of the text.
            if text.starts_with('\u{feff}') {
                text.drain(..'\u{feff}'.len_utf8());
            }
        }
        let mut project = Self::default();
        let mut mistakes = Vec::new();
        for (path, text) in &files {
            let parts: Vec<&str> = path.split('/').collect();
            match parts.as_slice() {
                ["lake", layer, file] if file.ends_with(".sql") => {
                    let name = TableName::new(layer, stem(file));
                    let contract = collect(contract::parse(&name, path, text), &mut mistakes);
                    if let (true, Some(contract)) = (may_be(&name, path, &mut mistakes), contract) {
                        project.contracts.insert(name, contract);
                    }
                }
                ["sql", layer, file] if file.ends_with(".sql") => {
                    let name = TableName::new(layer, stem(file));
                    let model = collect(model::parse(&name, path, text), &mut mistakes);
                    if let (true, Some(model)) = (may_be(&name, path, &mut mistakes), model) {
                        project.models.insert(name, model);
                    }
                }
                ["jobs", file] if file.ends_with(".toml") => {
                    project.jobs.extend(collect(job::parse(stem(file), path, text), &mut mistakes));
                }
                ["lake" | "sql", ..] => mistakes
                    .push(Mistake::new(path, "the path is not <folder>/<layer>/<table>.sql")),
                ["jobs", ..] => {
                    mistakes.push(Mistake::new(path, "the path is not jobs/<name>.toml"));
                }
                _ => {}
            }
        }
        project.files = files;
        project.cross_check(&mut mistakes);
        project.order = project.sort(&mut mistakes);
        (project, mistakes)
    }

    /// Whether the project or the engine defines a table.
    pub fn knows(&self, name: &TableName) -> bool {
        self.files.contains_key(&format!("lake/{}/{}.sql", name.layer, name.table))
            || self.files.contains_key(&format!("sql/{}/{}.sql", name.layer, name.table))
            || OWN_TABLES.iter().any(|(layer, table)| *layer == name.layer && *table == name.table)
    }

    /// The names of all tables, for suggestions.
    pub fn names(&self) -> Vec<String> {
        let own = OWN_TABLES.iter().map(|(layer, table)| format!("{layer}.{table}"));
        let contracts = self.contracts.keys().map(ToString::to_string);
        let mut names: Vec<String> =
            contracts.chain(self.models.keys().map(ToString::to_string)).chain(own).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The contracts of tables that records flow into from sources.
    pub fn sourced(&self) -> impl Iterator<Item = &Contract> {
        self.contracts.values().filter(|contract| !contract.sources.is_empty())
    }

    /// The views that stored models read, directly or through other views, and one such model for each.
    pub fn stored_views(&self) -> BTreeMap<TableName, TableName> {
        let mut readers = BTreeMap::new();
        for model in self.models.values().filter(|model| model.refresh != Refresh::View) {
            let mut open: Vec<&TableName> = model.inputs.iter().collect();
            while let Some(input) = open.pop() {
                let view = self.models.get(input).filter(|view| view.refresh == Refresh::View);
                if let Some(view) = view.filter(|_| !readers.contains_key(input)) {
                    readers.insert(input.clone(), model.name.clone());
                    open.extend(&view.inputs);
                }
            }
        }
        readers
    }

    fn cross_check(&self, mistakes: &mut Vec<Mistake>) {
        let stored_views = self.stored_views();
        for model in self.models.values() {
            self.check_inputs(model, mistakes);
            match (model.refresh, stored_views.get(&model.name)) {
                (Refresh::View, None) => {}
                (Refresh::View, Some(reader)) => {
                    mistakes.extend(model.unsteady.iter().cloned().map(|mut mistake| {
                        mistake
                            .message
                            .push_str(&format!("; {reader} reads this view and is stored"));
                        mistake
                    }));
                }
                _ => mistakes.extend(model.unsteady.iter().cloned()),
            }
            let contract = format!("lake/{}/{}.sql", model.name.layer, model.name.table);
            let has_contract = self.files.contains_key(&contract);
            match (model.refresh, has_contract) {
                (Refresh::View, true) => mistakes.push(
                    Mistake::new(
                        &contract,
                        format!("{} is a view, and a view has no contract", model.name),
                    )
                    .hint("remove this file, or change `refresh` in the model"),
                ),
                (Refresh::View, false) | (_, true) => {}
                (_, false) => mistakes.push(
                    Mistake::new(&model.file, format!("{} has no contract", model.name))
                        .hint(format!("`lake check --write` writes {contract} from the query")),
                ),
            }
        }
        for contract in self.contracts.values() {
            let model = format!("sql/{}/{}.sql", contract.name.layer, contract.name.table);
            match (contract.sources.is_empty(), self.files.contains_key(&model)) {
                (true, false) => mistakes.push(
                    Mistake::new(&contract.file, format!("nothing fills {}", contract.name)).hint(
                        format!("write {model}, or name its source in the property 'lake.source'"),
                    ),
                ),
                (false, true) => mistakes.push(
                    Mistake::new(
                        &contract.file,
                        format!("{} has both a source and a model", contract.name),
                    )
                    .find(&self.files[&contract.file], "lake.source")
                    .hint(format!("remove 'lake.source', or {model}")),
                ),
                _ => {}
            }
        }
        for job in &self.jobs {
            self.check_job(job, mistakes);
        }
    }

    fn check_inputs(&self, model: &Model, mistakes: &mut Vec<Mistake>) {
        for input in model.inputs.iter().filter(|input| !self.knows(input)) {
            let mut mistake = Mistake::new(&model.file, format!("there is no table {input}"));
            mistake.span = model.input_spans.get(input).cloned();
            let names = self.names();
            let wanted = input.to_string();
            mistake.hint = Some(match did_you_mean(&wanted, names.iter().map(String::as_str)) {
                Some(known) => format!("did you mean `{known}`?"),
                None if contract::objection(input).is_some() => {
                    format!("a model reads the tables of the project: {}", names.join(", "))
                }
                None => {
                    format!("a table needs a contract in lake/{}/{}.sql", input.layer, input.table)
                }
            });
            mistakes.push(mistake);
        }
    }

    fn check_job(&self, job: &Job, mistakes: &mut Vec<Mistake>) {
        let mut known: Vec<String> = self.names();
        // A file with a mistake still names its table and its layer.
        for path in self.files.keys() {
            let parts: Vec<&str> = path.split('/').collect();
            if let ["lake" | "sql", layer, file] = parts.as_slice() {
                known.push((*layer).to_owned());
                known.push(format!("{layer}.{}", stem(file)));
            }
        }
        known.push("all".to_owned());
        known.push("maintain".to_owned());
        let is_known = |target: &String| {
            known.contains(target)
                || contract::spelled(target).is_some_and(|name| known.contains(&name.to_string()))
        };
        for target in job.run.iter().filter(|target| !is_known(target)) {
            let file = format!("jobs/{}.toml", job.name);
            let mut mistake = Mistake::new(&file, format!("there is no layer or table {target}"))
                .find(&self.files[&file], target);
            mistake.hint = did_you_mean(target, known.iter().map(String::as_str))
                .map(|known| format!("did you mean `{known}`?"));
            mistakes.push(mistake);
        }
    }

    /// Models after their inputs; a cycle is a mistake.
    fn sort(&self, mistakes: &mut Vec<Mistake>) -> Vec<TableName> {
        let mut order = Vec::new();
        let mut state = BTreeMap::new();
        for name in self.models.keys() {
            let mut path = Vec::new();
            if let Err(cycle) = self.visit(name, &mut state, &mut path, &mut order) {
                let model = &self.models[&cycle[0]];
                let names: Vec<String> = cycle.iter().map(ToString::to_string).collect();
                let mut mistake = Mistake::new(
                    &model.file,
                    format!("the models read each other in a circle: {}", names.join(" reads ")),
                );
                mistake.span = cycle.get(1).and_then(|next| model.input_spans.get(next)).cloned();
                mistakes.push(mistake);
                break;
            }
        }
        order
    }

    fn visit(
        &self,
        name: &TableName,
        state: &mut BTreeMap<TableName, bool>,
        path: &mut Vec<TableName>,
        order: &mut Vec<TableName>,
    ) -> Result<(), Vec<TableName>> {
        let Some(model) = self.models.get(name) else { return Ok(()) };
        match state.get(name) {
            Some(true) => return Ok(()),
            Some(false) => {
                let start = path.iter().position(|seen| seen == name).unwrap_or(0);
                let mut cycle = path[start..].to_vec();
                cycle.push(name.clone());
                return Err(cycle);
            }
            None => {}
        }
        state.insert(name.clone(), false);
        path.push(name.clone());
        for input in &model.inputs {
            self.visit(input, state, path, order)?;
        }
        path.pop();
        state.insert(name.clone(), true);
        order.push(name.clone());
        Ok(())
    }
}

/// Whether a project may have a table of this name; if not, its file has a mistake.
fn may_be(name: &TableName, path: &str, mistakes: &mut Vec<Mistake>) -> bool {
    let own = OWN_TABLES.iter().any(|(layer, table)| *layer == name.layer && *table == name.table);
    let objection = contract::objection(name).or_else(|| {
        let hint = "rename the file: the engine makes this table itself".to_owned();
        own.then(|| (format!("{name} is the engine's"), hint))
    });
    if let Some((message, hint)) = &objection {
        mistakes.push(Mistake::new(path, message).hint(hint));
    }
    objection.is_none()
}

fn stem(file: &str) -> &str {
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

fn collect<T>(result: Result<T, Vec<Mistake>>, mistakes: &mut Vec<Mistake>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(found) => {
            mistakes.extend(found);
            None
        }
    }
}
