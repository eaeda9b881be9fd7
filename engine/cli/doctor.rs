//! `lake doctor`: looks at everything a run needs, and says what to mend.

use datafusion::arrow::array::StringArray;
use engine::contract::{Contract, Source, SourceKind};
use engine::error::{Error, Kind, Result};
use engine::ingest::{examine, examine_quarantine, noted, way_out_of_damage};
use engine::lake::Lake;
use engine::offsets;
use engine::project::Project;
use engine::quarantine;
use engine::refresh::{self, way_out_of_damage as way_out_of_model_damage};
use engine::settings::Settings;
use engine::status::{Held, held};
use engine::table::Table;
use engine::world::World;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::load::{Need, load, read_files};
use super::{Common, Output, print, rows};

/// What was looked at, and what was found there.
struct Report(Vec<(String, Result<String>)>);

impl Report {
    fn add(&mut self, what: &str, result: Result<String>) {
        self.0.push((what.to_owned(), result));
    }

    fn is_well(&self) -> bool {
        self.0.iter().all(|(_, result)| result.is_ok())
    }

    fn print(&self, output: Output) -> Result<()> {
        if output != Output::Table {
            let found = |result: &Result<String>| match result {
                Ok(found) => found.clone(),
                Err(error) => error.report().trim_start_matches("error: ").to_owned(),
            };
            let names = self.0.iter().map(|(what, _)| Some(what.as_str()));
            let results =
                self.0.iter().map(|(_, result)| Some(if result.is_ok() { "ok" } else { "failed" }));
            let found = self.0.iter().map(|(_, result)| Some(found(result)));
            let columns: Vec<(&str, StringArray)> = vec![
                ("name", names.collect()),
                ("result", results.collect()),
                ("found", found.collect()),
            ];
            return rows::show(&rows::batch(columns)?, output);
        }
        let mut text = String::new();
        for (what, result) in &self.0 {
            match result {
                Ok(found) => text.push_str(&format!("ok    {what:22} {found}\n")),
                Err(error) => {
                    let report = error.report().replace('\n', "\n                             ");
                    let report = report.trim_start_matches("error: ");
                    text.push_str(&format!("FAIL  {what:22} {report}\n"));
                }
            }
        }
        print(&text);
        Ok(())
    }
}

/// Runs every check that does not change a table.
pub(crate) async fn doctor(common: &Common) -> Result<()> {
    let folder = common.folder()?;
    let output = common.global.output;
    let mut report = Report(Vec::new());
    report.add("project", Ok(folder.display().to_string()));
    let settings = match common.settings(&folder) {
        Ok(settings) => settings,
        Err(error) => {
            report.add("lake.toml", Err(error));
            return finish(&report, output);
        }
    };
    report.add("lake.toml", Ok("every setting is known".to_owned()));
    let project = load(&folder, &settings, Need::Planned).await;
    report.add(
        "lake/, sql/, jobs/",
        project.map(|project| {
            format!("{} contracts, {} models", project.contracts.len(), project.models.len())
        }),
    );
    let key = privacy(&folder, &settings);
    // What was reported already is not asked of each table again.
    let (is_planned, has_key) = (report.is_well(), key.is_ok());
    report.add("privacy.key", key);
    match Lake::new(&settings) {
        Ok(lake) => {
            report.add("root", root(&lake).await);
            landing(&lake, &folder, &mut report);
            // Files that cannot be read were reported above.
            if let Ok(world) = common.world_in(&folder, Need::Readable).await {
                let may_ask =
                    |contract: &Contract| is_planned && (has_key || contract.personal.is_empty());
                tables(&world, may_ask, &mut report).await;
            }
            brokers(&lake, &folder, &settings, &mut report).await;
        }
        Err(error) => report.add("root", Err(error)),
    }
    finish(&report, output)
}

fn finish(report: &Report, output: Output) -> Result<()> {
    report.print(output)?;
    match report.0.iter().filter(|(_, result)| result.is_err()).count() {
        0 => Ok(()),
        1 => Err(Error::data("1 thing needs mending")),
        n => Err(Error::data(format!("{n} things need mending"))),
    }
}

fn privacy(folder: &std::path::Path, settings: &Settings) -> Result<String> {
    let files = read_files(folder)?;
    let (project, _) = Project::parse(files);
    if project.contracts.values().all(|contract| contract.personal.is_empty()) {
        return Ok("not needed: no personal columns".to_owned());
    }
    settings.privacy_key().map(|_| "set".to_owned())
}

/// The folders that are read: what is wrong with one hides no other.
fn landing(lake: &Lake, folder: &std::path::Path, report: &mut Report) {
    let (project, _) = Project::parse(read_files(folder).unwrap_or_default());
    let mut found = Vec::new();
    for source in project.sourced().flat_map(|contract| &contract.sources) {
        if source.kind == SourceKind::Folder {
            match lake.landing_place(&source.name) {
                Ok(place) => {
                    let there = if place.is_some() { "there" } else { "not there yet" };
                    found.push(format!("{} ({there})", lake.landing_url(&source.name)));
                }
                Err(error) => report.add(&source.to_string(), Err(error)),
            }
        }
    }
    report.add("landing", Ok(found.join(", ")));
}

/// What a run does below the root, beside reading.
async fn root(lake: &Lake) -> Result<String> {
    lake.refuse_unsafe_store().await?;
    let store = lake.own_store()?;
    let path = Path::from(format!("doctor-{}", uuid::Uuid::new_v4()));
    let failed = |what: &str, cause| {
        Error::retry(format!("cannot {what} below {}", lake.root())).caused_by(cause)
    };
    store.put(&path, "one".into()).await.map_err(|cause| failed("write", cause))?;
    store.delete(&path).await.map_err(|cause| failed("delete", cause))?;
    Ok(format!("{}: put-if-absent, write, delete", lake.root()))
}

/// The tables; `may_ask` says of which a run can be asked at all.
async fn tables(world: &World, may_ask: impl Fn(&Contract) -> bool, report: &mut Report) {
    let mut found = Vec::new();
    for contract in world.project.contracts.values() {
        let name = &contract.name;
        match table(world, contract, may_ask(contract)).await {
            Ok(Some(version)) => found.push(format!("{name} v{version}")),
            Ok(None) => {}
            Err(error) => report.add(&name.to_string(), Err(error)),
        }
    }
    if let Err(error) = examine_quarantine(world).await {
        report.add(&quarantine::name().to_string(), Err(error));
    }
    let text = if found.is_empty() {
        "none yet: `lake run all` makes them".to_owned()
    } else {
        found.join(", ")
    };
    report.add("tables", Ok(text));
}

/// The version of a table that a run would go on with; `None` if it is not there yet.
async fn table(world: &World, contract: &Contract, may_ask: bool) -> Result<Option<u64>> {
    let table = world.lake.table(&contract.name).await?;
    if let Some(table) = &table {
        whole(&world.project, table).await?;
    }
    match contract.sources.is_empty() {
        _ if !may_ask => {}
        true => refresh::examine(world, contract).await?,
        false => examine(world, contract).await?,
    }
    Ok(table.map(|table| table.version()))
}

/// Whether a table's files are as its log has them.
async fn whole(project: &Project, table: &Table) -> Result<()> {
    let (name, damage) = (table.name(), table.damage().await?);
    let is_read = project.contracts.get(name).is_some_and(|found| !found.sources.is_empty());
    let way_out = match () {
        () if damage.is_none() => return Ok(()),
        () if is_read => way_out_of_damage(name),
        () => way_out_of_model_damage(name, &damage),
    };
    Err(Error::data(damage.to_string()).hint(way_out))
}

/// Whether the brokers answer, and still hold what the tables have yet to read.
async fn brokers(lake: &Lake, folder: &std::path::Path, settings: &Settings, report: &mut Report) {
    let what = "kafka.brokers";
    let Some(brokers) = settings.get(what) else {
        report.add(what, Ok("not set: only folders are read".to_owned()));
        return;
    };
    // Files that cannot be read were reported above.
    let (project, _) = Project::parse(read_files(folder).unwrap_or_default());
    let mut found = Vec::new();
    for contract in project.sourced() {
        for source in contract.sources.iter().filter(|source| source.kind == SourceKind::Kafka) {
            match held(settings, &contract.name, &source.name).await {
                Err(error) if error.kind() == Kind::Retry => {
                    // They would not answer for the other topics either.
                    report.add(what, Err(error));
                    return;
                }
                held => found.push((contract, source, held)),
            }
        }
    }
    if found.is_empty() {
        report.add(what, Ok(format!("{brokers}: not asked, no table reads a topic")));
    } else if found.iter().any(|(_, _, held)| held.is_ok()) {
        report.add(what, Ok(format!("{brokers} answers")));
    }
    for (contract, source, held) in found {
        let position = match held {
            Ok(held) => position(lake, contract, source, held).await,
            Err(error) => Err(error),
        };
        report.add(&source.to_string(), position);
    }
}

/// Where a table is in a topic.
async fn position(
    lake: &Lake,
    contract: &Contract,
    source: &Source,
    held: Option<Held>,
) -> Result<String> {
    let name = &contract.name;
    // A table that cannot be opened was reported above.
    let table = lake.table(name).await.unwrap_or_default();
    let Some(held) = held else {
        if let Some(table) = &table {
            let known = noted(table, source, 0).await?;
            if known.lineage.is_some() {
                return Err(offsets::gone(name, &source.to_string(), &known));
            }
        }
        return Ok(format!("not there yet: {name} reads it as soon as it is"));
    };
    let n = held.topic.n_partitions;
    let partitions = if n == 1 { "1 partition".to_owned() } else { format!("{n} partitions") };
    let Some(table) = table else {
        return Ok(format!("{partitions}, not read by {name} yet"));
    };
    let known = noted(&table, source, n).await?;
    let lost = held.lost(&known);
    if !lost.is_empty() {
        return Err(offsets::stop(name, &source.to_string(), &lost));
    }
    let n_read = known.next.iter().flatten().count();
    Ok(format!("{partitions}, {n_read} of them read by {name}, nothing is lost"))
}
