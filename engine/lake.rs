//! Where the tables are: opens them under the root, on local disk or S3.

use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use url::Url;

use crate::contract::{Contract, TableName};
use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::table::{StoreOptions, Table, open_store};

/// The root of a lake and the landing place of its files.
#[derive(Clone, Debug)]
pub struct Lake {
    root: Url,
    landing: Url,
    options: StoreOptions,
}

impl Lake {
    /// The lake that the settings name. Nothing is read or written yet.
    ///
    /// # Errors
    /// `root` or `landing` is no place.
    pub fn new(settings: &Settings) -> Result<Self> {
        let (root, landing) = (place(settings, "root")?, place(settings, "landing")?);
        Ok(Self { root, landing, options: StoreOptions::new() })
    }

    /// The root, for messages.
    pub fn root(&self) -> &Url {
        &self.root
    }

    /// The root as a folder, if it is on local disk.
    pub fn local_root(&self) -> Option<std::path::PathBuf> {
        self.root.to_file_path().ok()
    }

    /// Opens a table at its newest version; `None` if nothing has made it yet.
    pub async fn table(&self, name: &TableName) -> Result<Option<Table>> {
        if Self::missing_folder(&self.table_url(name)?) {
            return Ok(None);
        }
        Table::open(name, &self.table_url(name)?, &self.options, None).await
    }

    /// Opens a table at a version.
    pub async fn table_at(&self, name: &TableName, version: u64) -> Result<Table> {
        let table = Table::open(name, &self.table_url(name)?, &self.options, Some(version)).await?;
        table.ok_or_else(|| Error::usage(format!("there is no table {name} in {}", self.root)))
    }

    /// Opens a table, making it first if it is not there.
    pub async fn open_or_create(&self, contract: &Contract) -> Result<Table> {
        if let Some(table) = self.table(&contract.name).await? {
            return Ok(table);
        }
        let url = self.table_url(&contract.name)?;
        Self::make_folder(&url)?;
        Table::create(contract, &url, &self.options).await
    }

    /// The store of our own files under the root, rooted at `<root>/_lake`.
    pub fn own_store(&self) -> Result<Arc<dyn ObjectStore>> {
        let url = join(&self.root, "_lake/")?;
        Self::make_folder(&url)?;
        open_store(&url, &self.options)
    }

    /// The store of a folder below the landing place; `None` if there is no such folder.
    pub fn landing_store(&self, folder: &str) -> Result<Option<Arc<dyn ObjectStore>>> {
        let url = join(&self.landing, &format!("{folder}/"))?;
        if Self::missing_folder(&url) {
            return Ok(None);
        }
        open_store(&url, &self.options).map(Some)
    }

    /// Where a landing folder is, for messages.
    pub fn landing_url(&self, folder: &str) -> String {
        let url = join(&self.landing, folder);
        url.map_or_else(
            |_| folder.to_owned(),
            |url| match url.to_file_path() {
                Ok(path) => path.to_string_lossy().into_owned(),
                Err(()) => url.to_string(),
            },
        )
    }

    /// A folder for spilled data: under the root if it is local.
    pub fn scratch_folder(&self) -> Result<tempfile::TempDir> {
        let made = match self.local_root() {
            Some(root) => {
                let parent = root.join("_lake").join("tmp");
                remove_stale(&parent);
                std::fs::create_dir_all(&parent).and_then(|()| tempfile::tempdir_in(parent))
            }
            None => tempfile::tempdir(),
        };
        made.map_err(|cause| {
            Error::io(format!("cannot make a scratch folder for {}", self.root), cause)
        })
    }

    /// The URL of a table's folder.
    pub fn table_url(&self, name: &TableName) -> Result<Url> {
        join(&self.root, &format!("{}/{}/", name.layer, name.table))
    }

    fn missing_folder(url: &Url) -> bool {
        url.to_file_path().is_ok_and(|path| !path.is_dir())
    }

    fn make_folder(url: &Url) -> Result<()> {
        match url.to_file_path() {
            Ok(path) => std::fs::create_dir_all(&path).map_err(|cause| {
                Error::io(format!("cannot make the folder {}", path.display()), cause)
            }),
            Err(()) => Ok(()),
        }
    }
}

/// Scratch folders of runs that were killed: nobody works in one for a day.
fn remove_stale(parent: &Path) {
    let day = std::time::Duration::from_hours(24);
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        if modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > day)) {
            // One that cannot be removed takes space, and nothing else.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn place(settings: &Settings, name: &str) -> Result<Url> {
    let text = settings.place(name);
    let url = if text.contains("://") {
        Url::parse(&format!("{}/", text.trim_end_matches('/'))).ok()
    } else {
        std::path::absolute(Path::new(&text))
            .ok()
            .and_then(|path| Url::from_directory_path(path).ok())
    };
    url.filter(|url| matches!(url.scheme(), "file" | "s3" | "s3a")).ok_or_else(|| {
        Error::usage(format!("setting `{name}`: `{text}` is no folder and no s3://bucket/prefix"))
    })
}

fn join(base: &Url, path: &str) -> Result<Url> {
    base.join(path).map_err(|cause| {
        Error::usage(format!("`{path}` is no place below {base}")).caused_by(cause)
    })
}
