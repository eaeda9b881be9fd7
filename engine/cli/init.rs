//! `lake init`: a new project that runs at once.

use std::path::{Path, PathBuf};

use clap::Args;
use engine::error::{Error, Result};
use include_dir::{Dir, File, include_dir};

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
        let dir = in_shell(&self.dir);
        say(&format!(
            "a new project is in {dir}\n\nNext:\n  lake --project {dir} run all\n  lake --project {dir} sql \"SELECT * FROM gold.orders_daily\"\n  lake --project {dir} check"
        ));
        Ok(())
    }
}

/// A path as a shell takes it for one word.
pub(crate) fn in_shell(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Writes embedded files below `to`; a file that is there already stays. `lake.toml` is the last
/// one: who finds it finds a whole project, and what failed before it can be done again.
pub(crate) fn write(from: &Dir<'_>, to: &Path) -> Result<()> {
    from.dirs().try_for_each(|dir| write(dir, to))?;
    let is_last = |file: &&File<'_>| file.path() == Path::new("lake.toml");
    let first = from.files().filter(|file| !is_last(file));
    for file in first.chain(from.files().filter(is_last)) {
        let path = to.join(file.path());
        let failed = |cause| Error::io(format!("cannot write {}", path.display()), cause);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        if !path.exists() {
            std::fs::write(&path, file.contents()).map_err(|cause| {
                // Half a file would stay as it is the next time.
                let _ = std::fs::remove_file(&path);
                failed(cause)
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        for (path, shown) in [
            ("shop", "shop"),
            ("/a-b/c.d_1", "/a-b/c.d_1"),
            ("my shop", "'my shop'"),
            ("it's", "'it'\\''s'"),
            ("$HOME", "'$HOME'"),
            ("~/x", "'~/x'"),
            ("a*;b", "'a*;b'"),
        ] {
            assert_eq!(in_shell(Path::new(path)), shown);
        }
    }
}
