//! What a run does, in which order: the tables that a command names, and the models between them.

use std::collections::BTreeSet;

use crate::contract::{TableName, spelled};
use crate::error::{Error, Result};
use crate::mistake::did_you_mean;
use crate::model::Refresh;
use crate::project::Project;

/// What a run works through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Tables that read their sources.
    pub ingest: Vec<TableName>,
    /// Models, each after its inputs; views are computed when they are read, so they are not here.
    pub refresh: Vec<TableName>,
}

/// Plans a run of `layer` (or `all`), narrowed to the tables in `select` if there are any.
///
/// # Errors
/// A name that the project does not know.
pub fn plan(project: &Project, layer: &str, select: &[String]) -> Result<Plan> {
    let names = project.contracts.keys().chain(project.models.keys());
    let layers: BTreeSet<&str> = names.map(|name| name.layer.as_str()).collect();
    if layer != "all" && !layers.contains(layer) {
        let error = Error::usage(format!("the project has no layer `{layer}`"));
        if let Some(table) = table_named(project, layer) {
            return Err(error.hint(format!(
                "`{table}` is a table: `lake run {} --select {table}` runs it alone",
                table.layer
            )));
        }
        let known: Vec<&str> = layers.iter().copied().chain(["all"]).collect();
        return Err(match did_you_mean(layer, known.iter().copied()) {
            Some(known) => error.hint(format!("did you mean `{known}`?")),
            None => error.hint(format!("its layers: {}", known.join(", "))),
        });
    }
    let selected =
        select.iter().map(|name| find(project, name)).collect::<Result<BTreeSet<TableName>>>()?;
    let wanted = |name: &TableName| {
        (layer == "all" || name.layer == layer) && (selected.is_empty() || selected.contains(name))
    };
    let stored = |name: &&TableName| project.models[*name].refresh != Refresh::View;
    let plan = Plan {
        ingest: project.sourced().map(|contract| contract.name.clone()).filter(wanted).collect(),
        refresh: project.order.iter().filter(stored).filter(|name| wanted(name)).cloned().collect(),
    };
    if plan == Plan::default() && !selected.is_empty() {
        let names: Vec<String> = selected.iter().map(ToString::to_string).collect();
        return Err(Error::usage(format!(
            "{} is not a stored table of layer `{layer}`",
            names.join(", ")
        ))
        .hint("run the table's own layer, or `all`"));
    }
    Ok(plan)
}

/// The table that somebody means who writes its name where a layer's stands.
fn table_named(project: &Project, text: &str) -> Option<TableName> {
    let names: Vec<TableName> =
        project.names().iter().filter_map(|name| TableName::parse(name)).collect();
    let mut called = names.iter().filter(|name| name.table == text);
    let known = names.iter().find(|name| spelled(text).as_ref() == Some(*name));
    known.or_else(|| called.next().filter(|_| called.next().is_none())).cloned()
}

fn find(project: &Project, name: &str) -> Result<TableName> {
    let names = project.names();
    if let Some(found) = spelled(name).filter(|parsed| names.contains(&parsed.to_string())) {
        Ok(found)
    } else {
        let error = Error::usage(format!("there is no table {name}"));
        Err(match did_you_mean(name, names.iter().map(String::as_str)) {
            Some(known) => error.hint(format!("did you mean `{known}`?")),
            None => error.hint(format!("the tables: {}", names.join(", "))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mistake::Files;

    fn project() -> Project {
        let files: Files = [
            ("lake/bronze/clicks.sql", "CREATE TABLE bronze.clicks (id STRING) TBLPROPERTIES ('lake.source' = 'folder:clicks')"),
            ("lake/silver/b.sql", "CREATE TABLE silver.b (id STRING)"),
            ("sql/silver/b.sql", "SELECT id FROM bronze.clicks"),
            ("lake/gold/a.sql", "CREATE TABLE gold.a (id STRING)"),
            ("sql/gold/a.sql", "SELECT id FROM silver.b"),
            ("sql/gold/v.sql", "/*---\nrefresh = \"view\"\n---*/ SELECT id FROM gold.a"),
        ]
        .into_iter()
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .collect();
        let (project, mistakes) = Project::parse(files);
        assert_eq!(mistakes, []);
        project
    }

    #[test]
    fn all_is_everything_in_order_without_views() {
        let plan = plan(&project(), "all", &[]).unwrap();
        assert_eq!(plan.ingest, [TableName::new("bronze", "clicks")]);
        assert_eq!(plan.refresh, [TableName::new("silver", "b"), TableName::new("gold", "a")]);
    }

    #[test]
    fn unknown_names_are_errors_with_a_suggestion() {
        let error = plan(&project(), "sliver", &[]).unwrap_err();
        assert_eq!(error.hint_text(), Some("did you mean `silver`?"));
        let error = plan(&project(), "all", &["gold.aa".to_owned()]).unwrap_err();
        assert_eq!(error.hint_text(), Some("did you mean `gold.a`?"));
        assert!(plan(&project(), "silver", &["gold.a".to_owned()]).is_err());
    }

    #[test]
    fn a_table_in_the_place_of_a_layer_is_told_from_an_unknown_name() {
        for (name, part) in [
            ("bronze.clicks", "lake run bronze --select bronze.clicks"),
            ("clicks", "lake run bronze --select bronze.clicks"),
            ("gold.none", "its layers: bronze"),
        ] {
            let error = plan(&project(), name, &[]).unwrap_err();
            assert!(error.hint_text().unwrap().contains(part), "{name}: {}", error.report());
        }
    }
}
