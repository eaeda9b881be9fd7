//! Opens a table past what its log says wrongly of itself.
//!
//! `_last_checkpoint` saves readers a listing, and is no more than a hint: what it names may be gone.
//! A checkpoint saves them the commits before it, and may be damaged. Where the rest of the log is
//! whole, the table is read without them, as Spark does. They stay where they are: the next
//! checkpoint of ours mends the hint.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use deltalake::{DeltaTable, DeltaTableBuilder};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use url::Url;

use super::damage::{LAST_CHECKPOINT, LOG, checkpoint_version, commit_version};
use super::versions::available;
use super::{StoreOptions, open_store};

/// So many checkpoints are passed over.
const CHECKPOINTS_MAX: usize = 3;

/// A table that cannot be opened as its log says; `None` if it cannot be opened otherwise either.
pub(super) async fn open_without(
    url: &Url,
    options: &StoreOptions,
    version: Option<u64>,
) -> Option<DeltaTable> {
    let store = open_store(url, options).ok()?;
    let listed: Vec<_> = store.list(Some(&"_delta_log".into())).try_collect().await.ok()?;
    let names: Vec<String> =
        listed.iter().filter_map(|file| Some(file.location.filename()?.to_owned())).collect();
    let newest = names.iter().filter_map(|name| commit_version(name)).max()?;
    let wanted = version.unwrap_or(newest);
    // The reader does not miss the beginning of a log.
    let is_whole = |hidden: &BTreeSet<String>| {
        let seen = names.iter().filter(|name| !hidden.contains(*name));
        available(seen.map(String::as_str)).iter().any(|versions| versions.contains(&wanted))
    };
    let mut checkpoints: Vec<u64> =
        names.iter().filter_map(|name| checkpoint_version(name)).collect();
    checkpoints.sort_unstable();
    checkpoints.dedup();
    let mut hidden = BTreeSet::new();
    if names.iter().any(|name| name == LAST_CHECKPOINT) {
        hidden.insert(LAST_CHECKPOINT.to_owned());
        if is_whole(&hidden)
            && let Some(table) = open(url, options, version, &hidden).await
        {
            return Some(table);
        }
    }
    for checkpoint in checkpoints.into_iter().rev().take(CHECKPOINTS_MAX) {
        hidden.insert(LAST_CHECKPOINT.to_owned());
        let files = names.iter().filter(|name| checkpoint_version(name) == Some(checkpoint));
        hidden.extend(files.cloned());
        if is_whole(&hidden)
            && let Some(table) = open(url, options, version, &hidden).await
        {
            tracing::warn!(%url, checkpoint, "a checkpoint of the table cannot be read; it is not needed");
            return Some(table);
        }
    }
    None
}

async fn open(
    url: &Url,
    options: &StoreOptions,
    version: Option<u64>,
    hidden: &BTreeSet<String>,
) -> Option<DeltaTable> {
    let builder = || {
        let builder = DeltaTableBuilder::from_url(url.clone()).ok()?;
        Some(builder.with_storage_options(options.clone()))
    };
    let inner = builder()?.build_storage().ok()?.root_object_store(None);
    let store = Arc::new(Hiding { inner, hidden: hidden.clone() });
    let mut builder = builder()?.with_storage_backend(store, url.clone());
    if let Some(version) = version {
        builder = builder.with_version(version);
    }
    builder.load().await.ok()
}

/// A store in which some files of logs are not seen.
#[derive(Debug)]
struct Hiding {
    inner: Arc<dyn ObjectStore>,
    hidden: BTreeSet<String>,
}

impl Hiding {
    fn hides(&self, path: &Path) -> bool {
        let mut parts = path.as_ref().rsplit('/');
        let (file, folder) = (parts.next(), parts.next());
        folder == Some(LOG.trim_end_matches('/'))
            && file.is_some_and(|file| self.hidden.contains(file))
    }

    fn seen<'a>(
        &self,
        found: BoxStream<'a, Result<ObjectMeta>>,
    ) -> BoxStream<'a, Result<ObjectMeta>> {
        let hiding = Self { inner: Arc::clone(&self.inner), hidden: self.hidden.clone() };
        let is_seen = move |file: &Result<ObjectMeta>| match file {
            Ok(file) => !hiding.hides(&file.location),
            Err(_) => true,
        };
        found.filter(move |file| std::future::ready(is_seen(file))).boxed()
    }
}

impl fmt::Display for Hiding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Hiding {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if self.hides(location) {
            let path = location.to_string();
            return Err(Error::NotFound { path, source: "it is passed over".into() });
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.seen(self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.seen(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut found = self.inner.list_with_delimiter(prefix).await?;
        found.objects.retain(|file| !self.hides(&file.location));
        Ok(found)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(
        &self,
        from: &Path,
        to: &Path,
        options: object_store::RenameOptions,
    ) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}
