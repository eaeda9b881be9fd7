//! Finds the project, reads its files and settings, and puts the world together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::clock::Clock;
use engine::error::{Error, Result};
use engine::lake::Lake;
use engine::mistake::{Files, to_error};
use engine::project::Project;
use engine::settings::{Settings, environment};
use engine::world::{Stop, World};

use super::{Bar, Global};

/// What every command gets.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub(crate) global: Global,
    pub(crate) stop: Stop,
    /// Whether the command goes on until it is stopped.
    pub(crate) following: bool,
}

impl Common {
    /// Whether only errors are wanted.
    pub(crate) fn quiet(&self) -> bool {
        self.global.quiet
    }

    /// The project's folder: as named, or the nearest parent folder with a `lake.toml`.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        if let Some(folder) = &self.global.project {
            if folder.join("lake.toml").is_file() {
                return Ok(folder.clone());
            }
            return Err(Error::usage(format!(
                "{} is no project: it has no lake.toml",
                folder.display()
            ))
            .hint("`lake init DIR` makes a project"));
        }
        let here = std::env::current_dir()
            .map_err(|cause| Error::io("cannot tell the current folder", cause))?;
        let found = here.ancestors().find(|folder| folder.join("lake.toml").is_file());
        found.map(Path::to_owned).ok_or_else(|| {
            Error::usage(format!("there is no lake.toml in {} or above", here.display()))
                .hint("`lake init DIR` makes a project; --project DIR names one")
        })
    }

    /// The settings of the project in `folder`.
    pub(crate) fn settings(&self, folder: &Path) -> Result<Settings> {
        let path = folder.join("lake.toml");
        let text = std::fs::read_to_string(&path)
            .map_err(|cause| Error::io(format!("cannot read {}", path.display()), cause))?;
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        Settings::load(&folder, &text, self.global.profile.as_deref(), &environment())
    }

    /// The settings of the project here or above; where there is none, those of the environment.
    pub(crate) fn settings_anywhere(&self) -> Result<Settings> {
        match self.folder() {
            Ok(folder) => self.settings(&folder),
            Err(error) if self.global.project.is_some() => Err(error),
            Err(_) => {
                Settings::load(Path::new(""), "", self.global.profile.as_deref(), &environment())
            }
        }
    }

    /// The world of the project, whose files must be as good as `need` says.
    pub(crate) async fn world(&self, need: Need) -> Result<World> {
        let folder = self.folder()?;
        self.world_in(&folder, need).await
    }

    /// The world of the project in `folder`.
    pub(crate) async fn world_in(&self, folder: &Path, need: Need) -> Result<World> {
        let settings = self.settings(folder)?;
        let project = load(folder, &settings, need).await?;
        let bar = Bar::new(self.global.quiet, self.following);
        Ok(World {
            project: Arc::new(project),
            lake: Lake::new(&settings)?,
            settings,
            clock: Clock::System,
            listener: Arc::new(move |event| bar.hear(event)),
            stop: self.stop.clone(),
        })
    }
}

/// How good the files of a project must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// What can be read is enough: people ask their tables also while they mend a model.
    Readable,
    /// Every file can be read, and they fit each other.
    Parsed,
    /// Every model can be planned, too.
    Planned,
}

/// Reads and checks the project in `folder`.
pub(crate) async fn load(folder: &Path, settings: &Settings, need: Need) -> Result<Project> {
    let files = read_files(folder)?;
    if need != Need::Planned {
        let (project, mistakes) = Project::parse(files.clone());
        if need == Need::Readable || mistakes.is_empty() {
            return Ok(project);
        }
        // There are mistakes: then all of them are shown at once.
    }
    let tz = settings.get("reporting_tz").and_then(engine::zone::find).unwrap_or_default();
    let checked = engine::check::check(files, tz).await?;
    if checked.mistakes.is_empty() {
        return Ok(checked.project);
    }
    Err(to_error(&checked.mistakes, &checked.project.files))
}

/// The files of a project, by their path below its folder.
pub(crate) fn read_files(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    for part in ["lake", "sql", "jobs"] {
        read_below(folder, part, 0, &mut files)?;
    }
    if files.is_empty() {
        return Err(Error::usage(format!(
            "{} has no files in lake/, sql/ or jobs/",
            folder.display()
        ))
        .hint("`lake init DIR` makes a project that runs at once"));
    }
    Ok(files)
}

fn read_below(folder: &Path, below: &str, depth: u32, files: &mut Files) -> Result<()> {
    let place = folder.join(below);
    let entries = match std::fs::read_dir(&place) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound && depth == 0 => return Ok(()),
        Err(cause) => return Err(Error::io(format!("cannot read {}", place.display()), cause)),
    };
    for entry in entries {
        let entry =
            entry.map_err(|cause| Error::io(format!("cannot read {}", place.display()), cause))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{below}/{name}");
        // Hidden files, and what editors leave beside a file, such as #a.sql#, a.sql~ and .a.sql.swp.
        if name.starts_with(['.', '#']) {
            continue;
        }
        if entry.path().is_dir() {
            if has_ending(&name) {
                let shown = entry.path();
                return Err(Error::usage(format!("{} is a folder, not a file", shown.display()))
                    .hint("a folder below lake/ or sql/ is a layer: call it otherwise"));
            }
            // A root inside the project, such as ./lake/data, is no part of it: files are two deep.
            if depth < 2 {
                read_below(folder, &path, depth + 1, files)?;
            }
        } else if has_ending(&name) {
            files.insert(path, read_text(&entry.path())?);
        }
    }
    Ok(())
}

/// The text of a file of the project.
fn read_text(path: &Path) -> Result<String> {
    use std::io::ErrorKind::{InvalidData, NotFound};
    std::fs::read_to_string(path).map_err(|cause| {
        let shown = path.display();
        match cause.kind() {
            InvalidData => Error::usage(format!("{shown} is no text in UTF-8"))
                .hint("save it as UTF-8: a letter in it is of another encoding"),
            // Files come and go while editors save them, but a link to nothing stays.
            NotFound if path.is_symlink() => {
                Error::usage(format!("{shown} is a link to a file that is not there"))
                    .hint("remove the link, or bring the file back")
            }
            _ => Error::io(format!("cannot read {shown}"), cause),
        }
    })
}

/// Also in capitals: the project says that such a file has the wrong ending.
fn has_ending(name: &str) -> bool {
    let ending = Path::new(name).extension().map(std::ffi::OsStr::to_ascii_lowercase);
    ending.is_some_and(|ending| ending == "sql" || ending == "toml")
}
