//! Where the tables are: opens them under the root, on local disk or S3.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use object_store::memory::InMemory;
use object_store::{ObjectStore, PutMode, PutOptions};
use url::Url;

use crate::contract::{Contract, TableName};
use crate::error::{Error, Result};
use crate::folder::Place;
use crate::quarantine;
use crate::settings::Settings;
use crate::table::{Scratch, StoreOptions, Table, may_pass, open_store, storage_error};

mod address;
mod scratch;

use address::place;
use scratch::Workplace;

/// An object that can be created once: a store where that works again overwrites.
const MARKER: &str = "put-if-absent";
const MARKER_TEXT: &str = "\
Every run of lake tries to create this object, and must be told that it is there already:
a store that overwrites it instead would lose commits. Leave it here.
";

/// The property of a table that records flow into.
const SOURCE_PROPERTY: &str = "lake.source";

/// The root of a lake and the landing place of its files.
#[derive(Clone, Debug)]
pub struct Lake {
    root: Url,
    landing: Url,
    options: StoreOptions,
    /// Where links below the landing place may lead beside it.
    linked: Vec<std::path::PathBuf>,
    /// Of all clones: folders in it must not outlive it.
    workplace: Arc<Mutex<Option<Workplace>>>,
}

impl Lake {
    /// The lake that the settings name. Nothing is read or written yet.
    ///
    /// # Errors
    /// `root` or `landing` is no place.
    pub fn new(settings: &Settings) -> Result<Self> {
        let (root, landing) = (place(settings, "root")?, place(settings, "landing")?);
        let (options, workplace) = (StoreOptions::new(), Arc::default());
        let linked = settings.folders("ingest.linked_folders");
        Ok(Self { root, landing, options, linked, workplace })
    }

    /// The root, for messages.
    pub fn root(&self) -> &Url {
        &self.root
    }

    /// The root as a folder, if it is on local disk.
    pub fn local_root(&self) -> Option<std::path::PathBuf> {
        self.root.to_file_path().ok()
    }

    /// Opens a table at its newest version; `None` if nothing has made it yet. A table is made
    /// before its first rows are: one whose model never got to an end, or whose sources were never
    /// read, does not hold no rows, but is not there yet.
    pub async fn table(&self, name: &TableName) -> Result<Option<Table>> {
        let Some(table) = self.opened(name).await? else { return Ok(None) };
        let is_computed = *name != quarantine::name() && table.property(SOURCE_PROPERTY)?.is_none();
        let is_awaited = table.is_unread()? || (is_computed && table.is_blank()?);
        Ok((!is_awaited).then_some(table))
    }

    /// Opens whatever stands in a table's folder.
    async fn opened(&self, name: &TableName) -> Result<Option<Table>> {
        if Self::missing_folder(&self.table_url(name)?) {
            return Ok(None);
        }
        Table::open(name, &self.table_url(name)?, &self.options, None).await
    }

    /// Opens a table at a version.
    pub async fn table_at(&self, name: &TableName, version: u64) -> Result<Table> {
        let url = self.table_url(name)?;
        let missing = || {
            Error::usage(format!("there is no table {name} in {}", self.root))
                .hint("`lake status` lists the tables and their versions")
        };
        if Self::missing_folder(&url) {
            return Err(missing());
        }
        let table = Table::open(name, &url, &self.options, Some(version)).await?;
        table.ok_or_else(missing)
    }

    /// Opens a table, making it first if it is not there. It may be one without its first rows.
    pub async fn open_or_create(&self, contract: &Contract) -> Result<Table> {
        self.open_or_make(contract, false).await
    }

    /// The same for a table whose records wait in a source: until they are read it is not there for
    /// others.
    pub async fn open_or_create_unread(&self, contract: &Contract) -> Result<Table> {
        self.open_or_make(contract, true).await
    }

    async fn open_or_make(&self, contract: &Contract, unread: bool) -> Result<Table> {
        let url = self.table_url(&contract.name)?;
        let mut tries = 0;
        loop {
            if let Some(table) = self.opened(&contract.name).await? {
                return Ok(table);
            }
            self.refuse_missing_root()?;
            Self::make_folder(&url)?;
            match Table::create(contract, &url, &self.options, unread).await {
                Err(error) if may_pass(&url, &error, &mut tries).await => {}
                made => return made,
            }
        }
    }

    /// The store of our own files under the root, rooted at `<root>/_lake`.
    pub fn own_store(&self) -> Result<Arc<dyn ObjectStore>> {
        let url = join(&self.root, "_lake/")?;
        Self::make_folder(&url)?;
        open_store(&url, &self.options)
    }

    /// The same for who only reads: makes no folder, and is empty where nothing was written yet.
    pub fn own_store_to_read(&self) -> Result<Arc<dyn ObjectStore>> {
        let url = join(&self.root, "_lake/")?;
        if Self::missing_folder(&url) {
            return Ok(Arc::new(InMemory::new()));
        }
        open_store(&url, &self.options)
    }

    /// Refuses a root where two runs could both write the same version of a table. One request,
    /// where a run was before.
    ///
    /// # Errors
    /// `Usage` if the store has no put-if-absent; `Retry` if it cannot be written.
    pub async fn refuse_unsafe_store(&self) -> Result<()> {
        let place = self
            .local_root()
            .map_or_else(|| self.root.to_string(), |root| root.to_string_lossy().into_owned());
        let mut tries = 0;
        loop {
            match refuse_unsafe(self.own_store()?.as_ref(), &place).await {
                Err(error) if may_pass(&self.root, &error, &mut tries).await => {}
                outcome => return outcome,
            }
        }
    }

    /// Refuses a local root that was there and is gone, as where a disk was unmounted: tables that
    /// are made there now would be others.
    ///
    /// # Errors
    /// `Retry` if it is gone.
    pub fn refuse_missing_root(&self) -> Result<()> {
        match self.local_root() {
            Some(root) if !root.join("_lake").join(MARKER).exists() => {
                Err(Error::retry(format!("the lake in {} is gone", root.display()))
                    .hint("bring it back: mount its disk again, or move the folder back"))
            }
            _ => Ok(()),
        }
    }

    /// A folder below the landing place, to list and to read; `None` if there is no such folder.
    pub fn landing_place(&self, folder: &str) -> Result<Option<Place>> {
        let url = join(&self.landing, &format!("{folder}/"))?;
        if self.root.as_str().starts_with(url.as_str())
            || url.as_str().starts_with(join(&self.root, "_lake/")?.as_str())
        {
            return Err(Error::usage(format!(
                "the landing folder {} and the lake's root {} lie in each other",
                self.landing_url(folder),
                self.root
            ))
            .hint("set `root` or `landing` (LAKE_ROOT, LAKE_LANDING) to another place: the lake would read its own files"));
        }
        if Self::missing_folder(&url) {
            return url.to_file_path().map_or(Ok(()), |path| refuse_in_place(&path)).map(|()| None);
        }
        if let (Ok(landing), Ok(folder)) = (self.landing.to_file_path(), url.to_file_path()) {
            return Place::local(&landing, folder, &self.linked).map(Some);
        }
        let store = open_store(&url, &self.options)?;
        Ok(Some(Place::Remote(store, url)))
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
            Some(root) => self.workplace(&root.join("_lake").join("tmp")),
            None => tempfile::tempdir(),
        };
        made.map_err(|cause| {
            Error::io(format!("cannot make a scratch folder for {}", self.root), cause)
        })
    }

    /// [`Lake::scratch_folder`] for who may need one.
    pub fn scratch(&self) -> Scratch {
        let lake = self.clone();
        Arc::new(move || lake.scratch_folder())
    }

    /// A new folder in this process's own, which is made at the first one.
    fn workplace(&self, parent: &Path) -> io::Result<tempfile::TempDir> {
        let mut own = self.workplace.lock().unwrap_or_else(PoisonError::into_inner);
        let workplace = match own.take() {
            // Someone may have removed it, as a root that was away for a while.
            Some(workplace) if workplace.path().is_dir() => workplace,
            _ => Workplace::new(parent)?,
        };
        let folder = tempfile::tempdir_in(workplace.path());
        *own = Some(workplace);
        folder
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

/// Refuses what stands where a folder of files would be, as `cp a.ndjson landing/orders` makes it
/// where there is no folder `orders`.
fn refuse_in_place(folder: &Path) -> Result<()> {
    // Without the slash at its end, which would ask for a folder.
    let folder: std::path::PathBuf = folder.components().collect();
    let there = folder.ancestors().find_map(|path| Some((path, path.symlink_metadata().ok()?)));
    let Some((path, metadata)) = there.filter(|(path, _)| !path.is_dir()) else { return Ok(()) };
    let shown = path.display();
    let (what, hint) = if metadata.is_symlink() {
        (
            "a link to a folder that is not there",
            "remove the link, or bring the folder back".to_owned(),
        )
    } else {
        let hint = format!(
            "make it a folder with the file in it: mv {shown} {shown}.tmp && mkdir {shown} && mv {shown}.tmp {shown}/a.ndjson, with the ending of its format"
        );
        ("a file, where a folder of files is read", hint)
    };
    Err(Error::data(format!("{shown} is {what}")).hint(hint))
}

/// Creates the marker, twice if it was not there: a store with put-if-absent refuses in the end.
async fn refuse_unsafe(store: &dyn ObjectStore, place: &str) -> Result<()> {
    use object_store::Error::{AlreadyExists, NotImplemented, NotSupported};
    let unsafe_store = || {
        Error::usage(format!("{place} cannot hold a lake: its store has no put-if-absent")).hint(
            "two runs at once would lose commits there: use a local disk, Amazon S3, or a store that honours `If-None-Match: *`",
        )
    };
    for _ in 0..2 {
        let options = PutOptions::from(PutMode::Create);
        match store.put_opts(&MARKER.into(), MARKER_TEXT.into(), options).await {
            Ok(_) => {}
            Err(AlreadyExists { .. }) => return Ok(()),
            Err(cause @ (NotImplemented { .. } | NotSupported { .. })) => {
                return Err(unsafe_store().caused_by(cause));
            }
            // What some stores answer to a condition that they do not know.
            Err(cause) if cause.to_string().contains("501 Not Implemented") => {
                return Err(unsafe_store().caused_by(cause));
            }
            Err(cause) => return Err(not_written(place, cause)),
        }
    }
    Err(unsafe_store())
}

fn not_written(place: &str, cause: object_store::Error) -> Error {
    let what = format!("cannot write below {place}");
    storage_error(&what, cause.into()).unwrap_or_else(|cause| Error::retry(what).caused_by(cause))
}

fn join(base: &Url, path: &str) -> Result<Url> {
    base.join(path).map_err(|cause| {
        Error::usage(format!("`{path}` is no place below {base}")).caused_by(cause)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt;

    use futures::executor::block_on;
    use futures::stream::BoxStream;
    use object_store::path::Path as Location;
    use object_store::{
        CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
        PutMultipartOptions, PutPayload, PutResult, Result,
    };

    use super::*;

    /// What a store does where it is asked to create an object.
    #[derive(Debug)]
    enum Fault {
        Overwrites,
        Refuses,
        Denies,
    }

    /// A store in memory, with a fault.
    #[derive(Debug)]
    struct Faulty(InMemory, Fault);

    impl fmt::Display for Faulty {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Faulty")
        }
    }

    #[async_trait::async_trait]
    impl ObjectStore for Faulty {
        async fn put_opts(
            &self,
            location: &Location,
            payload: PutPayload,
            _: PutOptions,
        ) -> Result<PutResult> {
            match self.1 {
                Fault::Overwrites => {
                    self.0.put_opts(location, payload, PutOptions::default()).await
                }
                Fault::Refuses => Err(object_store::Error::NotImplemented {
                    operation: "create".to_owned(),
                    implementer: self.to_string(),
                }),
                Fault::Denies => Err(object_store::Error::PermissionDenied {
                    path: location.to_string(),
                    source: "not you".into(),
                }),
            }
        }

        async fn put_multipart_opts(
            &self,
            location: &Location,
            options: PutMultipartOptions,
        ) -> Result<Box<dyn MultipartUpload>> {
            self.0.put_multipart_opts(location, options).await
        }

        async fn get_opts(&self, location: &Location, options: GetOptions) -> Result<GetResult> {
            self.0.get_opts(location, options).await
        }

        fn delete_stream(
            &self,
            locations: BoxStream<'static, Result<Location>>,
        ) -> BoxStream<'static, Result<Location>> {
            self.0.delete_stream(locations)
        }

        fn list(&self, prefix: Option<&Location>) -> BoxStream<'static, Result<ObjectMeta>> {
            self.0.list(prefix)
        }

        async fn list_with_delimiter(&self, prefix: Option<&Location>) -> Result<ListResult> {
            self.0.list_with_delimiter(prefix).await
        }

        async fn copy_opts(
            &self,
            from: &Location,
            to: &Location,
            options: CopyOptions,
        ) -> Result<()> {
            self.0.copy_opts(from, to, options).await
        }
    }

    #[test]
    fn a_store_with_put_if_absent_is_taken_again_and_again() {
        let store = InMemory::new();
        for _ in 0..3 {
            block_on(refuse_unsafe(&store, "s3://b/x/")).unwrap();
        }
    }

    #[test]
    fn a_store_without_put_if_absent_is_refused_at_every_run() {
        for fault in [Fault::Overwrites, Fault::Refuses] {
            let store = Faulty(InMemory::new(), fault);
            for _ in 0..3 {
                let error = block_on(refuse_unsafe(&store, "s3://b/x/")).unwrap_err();
                assert_eq!(error.exit_code(), 2, "{store:?}: {error}");
                assert!(error.to_string().contains("s3://b/x/"), "{error}");
                assert!(error.hint_text().is_some_and(|hint| hint.contains("If-None-Match")));
            }
        }
    }

    #[test]
    fn a_store_that_may_not_be_written_is_another_matter() {
        let store = Faulty(InMemory::new(), Fault::Denies);
        let error = block_on(refuse_unsafe(&store, "s3://b/x/")).unwrap_err();
        assert_eq!(error.exit_code(), 75);
        let report = error.report();
        assert!(report.contains("not you") && report.contains("permission"), "{report}");
    }

    #[test]
    fn scratch_folders_of_one_process_are_in_one_place_and_go_with_it() {
        let root = tempfile::tempdir().unwrap();
        let text = format!("root = \"{0}\"\nlanding = \"{0}\"\n", root.path().display());
        let settings = Settings::load(root.path(), &text, None, &BTreeMap::new()).unwrap();
        let lake = Lake::new(&settings).unwrap();
        let (a, b) = (lake.scratch_folder().unwrap(), lake.clone().scratch_folder().unwrap());
        assert_ne!(a.path(), b.path());
        assert_eq!(a.path().parent(), b.path().parent());
        // A root that was away has no such folder any more.
        std::fs::remove_dir_all(root.path().join("_lake")).unwrap();
        let c = lake.scratch_folder().unwrap();
        assert!(c.path().is_dir());
        drop((a, b, c, lake));
        let left = std::fs::read_dir(root.path().join("_lake/tmp")).unwrap().count();
        assert_eq!(left, 0);
    }

    #[test]
    fn a_full_disk_says_so() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let cause = object_store::Error::Generic { store: "Disk", source: Box::new(full) };
        let error = not_written("/lake", cause);
        assert_eq!(error.hint_text().map(|hint| hint.contains("disk space")), Some(true));
    }
}
