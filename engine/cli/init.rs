//! `lake init`: a new project that runs at once.

use std::path::{Path, PathBuf};

use clap::Args;
use engine::error::{Error, Result};
use include_dir::{Dir, include_dir};

use super::{Common, say};

static TEMPLATE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/engine/cli/template");

/// Make a new project that runs at once
#[derive(Args, Debug)]
pub(crate) struct Init {
    /// Its folder; files that are there stay as they are
    dir: PathBuf,
}

impl Init {
    pub(crate) fn run(self, common: &Common) -> Result<()> {
        if self.dir.join("lake.toml").exists() {
            return Err(Error::usage(format!("{} is a project already", self.dir.display()))
                .hint("choose another folder"));
        }
        write(&TEMPLATE, &self.dir)?;
        if common.quiet() {
            return Ok(());
        }
        let dir = self.dir.display();
        say(&format!(
            "a new project is in {dir}\n\nNext:\n  lake --project {dir} run all\n  lake --project {dir} sql \"SELECT * FROM gold.orders_daily\"\n  lake --project {dir} check"
        ));
        Ok(())
    }
}

/// Writes embedded files below `to`; a file that is there already stays.
pub(crate) fn write(from: &Dir<'_>, to: &Path) -> Result<()> {
    for file in from.files() {
        let path = to.join(file.path());
        let failed = |cause| Error::io(format!("cannot write {}", path.display()), cause);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        if !path.exists() {
            std::fs::write(&path, file.contents()).map_err(failed)?;
        }
    }
    from.dirs().try_for_each(|dir| write(dir, to))
}
