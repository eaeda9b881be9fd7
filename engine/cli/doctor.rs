//! `lake doctor`: looks at everything a run needs, and says what to mend.

use engine::error::{Error, Result};
use engine::lake::Lake;
use engine::settings::Settings;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutOptions};

use super::load::{Need, load, read_files};
use super::{Common, print};

/// Collects what was looked at.
struct Report {
    text: String,
    n_failed: u32,
}

impl Report {
    fn add(&mut self, what: &str, result: Result<String>) {
        match result {
            Ok(found) => self.text.push_str(&format!("ok    {what:22} {found}\n")),
            Err(error) => {
                self.n_failed += 1;
                let report = error.report().replace('\n', "\n                             ");
                self.text.push_str(&format!(
                    "FAIL  {what:22} {}\n",
                    report.trim_start_matches("error: ")
                ));
            }
        }
    }
}

/// Runs every check that does not change a table.
pub(crate) async fn doctor(common: &Common) -> Result<()> {
    let folder = common.folder()?;
    let mut report = Report { text: String::new(), n_failed: 0 };
    report.add("project", Ok(folder.display().to_string()));
    let settings = match common.settings(&folder) {
        Ok(settings) => settings,
        Err(error) => {
            report.add("lake.toml", Err(error));
            return finish(&report);
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
    report.add("privacy.key", privacy(&folder, &settings));
    match Lake::new(&settings) {
        Ok(lake) => {
            report.add("root", put_if_absent(&lake).await);
            report.add("landing", landing(&lake, &folder));
            tables(&lake, &folder, &mut report).await;
        }
        Err(error) => report.add("root", Err(error)),
    }
    report.add(
        "kafka.brokers",
        Ok(settings
            .get("kafka.brokers")
            .map_or("not set: only folders are read".to_owned(), str::to_owned)),
    );
    finish(&report)
}

fn finish(report: &Report) -> Result<()> {
    print(&report.text);
    match report.n_failed {
        0 => Ok(()),
        1 => Err(Error::data("1 thing needs mending")),
        n => Err(Error::data(format!("{n} things need mending"))),
    }
}

fn privacy(folder: &std::path::Path, settings: &Settings) -> Result<String> {
    let files = read_files(folder)?;
    let (project, _) = engine::project::Project::parse(files);
    if project.contracts.values().all(|contract| contract.personal.is_empty()) {
        return Ok("not needed: no personal columns".to_owned());
    }
    settings.privacy_key().map(|_| "set".to_owned())
}

fn landing(lake: &Lake, folder: &std::path::Path) -> Result<String> {
    let (project, _) = engine::project::Project::parse(read_files(folder)?);
    let mut found = Vec::new();
    for source in project.sourced().flat_map(|contract| &contract.sources) {
        if source.kind == engine::contract::SourceKind::Folder {
            let there =
                if lake.landing_store(&source.name)?.is_some() { "there" } else { "not there yet" };
            found.push(format!("{} ({there})", lake.landing_url(&source.name)));
        }
    }
    Ok(found.join(", "))
}

/// Two creators of one object: a store that lets both win would lose commits.
async fn put_if_absent(lake: &Lake) -> Result<String> {
    let store = lake.own_store()?;
    let path = Path::from(format!("doctor-{}", uuid::Uuid::new_v4()));
    let options = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    let failed =
        |cause| Error::retry(format!("cannot write below {}", lake.root())).caused_by(cause);
    store.put_opts(&path, "one".into(), options()).await.map_err(failed)?;
    let second = store.put_opts(&path, "two".into(), options()).await;
    store.delete(&path).await.map_err(failed)?;
    match second {
        Err(object_store::Error::AlreadyExists { .. }) => {
            Ok(format!("{}: write, put-if-absent, delete", lake.root()))
        }
        Err(cause) => Err(failed(cause)),
        Ok(_) => {
            Err(Error::usage(format!("{} lets two writers create the same object", lake.root()))
                .hint("such a store loses commits: use one that honours If-None-Match"))
        }
    }
}

async fn tables(lake: &Lake, folder: &std::path::Path, report: &mut Report) {
    let Ok(files) = read_files(folder) else { return };
    let (project, _) = engine::project::Project::parse(files);
    let mut found = Vec::new();
    for name in project.contracts.keys() {
        match lake.table(name).await {
            Ok(Some(table)) => found.push(format!("{name} v{}", table.version())),
            Ok(None) => {}
            Err(error) => report.add(&name.to_string(), Err(error)),
        }
    }
    let text = if found.is_empty() {
        "none yet: `lake run all` makes them".to_owned()
    } else {
        found.join(", ")
    };
    report.add("tables", Ok(text));
}
