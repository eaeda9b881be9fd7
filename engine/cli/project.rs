//! `lake check` and `lake config`.

use clap::Args;
use datafusion::arrow::array::StringArray;
use engine::error::{Error, Result};
use engine::ingest::unfollowable;
use engine::lake::Lake;
use engine::mistake::to_error;
use engine::settings::Origin;

use super::load::read_files;
use super::{Common, Output, print, rows, say};

/// Find every mistake in lake/, sql/, jobs/ and lake.toml
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// Write missing contracts from what their queries compute
    #[arg(long)]
    write: bool,
}

impl Check {
    pub(crate) async fn run(self, common: &Common) -> Result<()> {
        let folder = common.folder()?;
        let settings = common.settings(&folder);
        let files = read_files(&folder)?;
        let tz = settings.as_ref().ok().and_then(|settings| settings.get("reporting_tz"));
        let tz = tz.and_then(engine::zone::find);
        let mut checked = engine::check::check(files, tz.unwrap_or_default()).await?;
        if let (Ok(settings), true) = (&settings, checked.mistakes.is_empty())
            && let Ok(lake) = Lake::new(settings)
            && lake.local_root().is_some()
        {
            // Their logs are near, and say what a run would.
            checked.mistakes = unfollowable(&lake, &checked.project).await;
        }
        if self.write && !checked.drafts.is_empty() {
            for (path, text) in &checked.drafts {
                let place = folder.join(path);
                let written = place
                    .parent()
                    .map_or(Ok(()), std::fs::create_dir_all)
                    .and_then(|()| std::fs::write(&place, text));
                written.map_err(|cause| {
                    Error::io(format!("cannot write {}", place.display()), cause)
                })?;
                say(&format!("wrote {path}: add its keys, checks and comments"));
            }
            return Box::pin(Self { write: false }.run(common)).await;
        }
        match (settings, checked.mistakes.is_empty()) {
            (Ok(_), true) => {
                let project = &checked.project;
                let (contracts, models, jobs) =
                    (project.contracts.len(), project.models.len(), project.jobs.len());
                say(&format!("no mistakes: {contracts} contracts, {models} models, {jobs} jobs"));
                Ok(())
            }
            (Err(error), true) => Err(error),
            (Ok(_), false) => Err(to_error(&checked.mistakes, &checked.project.files)),
            (Err(error), false) => {
                say(&error.report());
                Err(to_error(&checked.mistakes, &checked.project.files))
            }
        }
    }
}

/// Prints every setting, its value and its origin.
pub(crate) fn config(common: &Common) -> Result<()> {
    let settings = common.settings(&common.folder()?)?;
    let origin = |origin: &Origin| match origin {
        Origin::Default => "default".to_owned(),
        Origin::File(file) => file.clone(),
        Origin::Env(variable) => variable.clone(),
    };
    let list = settings.list();
    let list: Vec<_> =
        list.into_iter().map(|(key, value, from)| (key, value, origin(&from))).collect();
    if common.global.output != Output::Table {
        let names = list.iter().map(|(key, ..)| Some(key.name)).collect::<StringArray>();
        let values = list.iter().map(|(_, value, _)| value.as_deref()).collect::<StringArray>();
        let origins = list.iter().map(|(.., from)| Some(from.as_str())).collect::<StringArray>();
        let about = list.iter().map(|(key, ..)| Some(key.about)).collect::<StringArray>();
        let columns =
            vec![("setting", names), ("value", values), ("origin", origins), ("about", about)];
        return rows::show(&rows::batch(columns)?, common.global.output);
    }
    let mut text = String::new();
    for (key, value, from) in list {
        let value = value.filter(|value| !value.is_empty());
        let value = value.as_deref().unwrap_or("(not set)");
        text.push_str(&format!("{:18} {value:28} {from:24} {}\n", key.name, key.about));
    }
    print(&text);
    Ok(())
}
