//! Lists a prefix of S3 around keys that are no paths: with a line's end in them, or an empty part.
//!
//! The store's client refuses a whole page of a listing for one such key. So pages are asked for in
//! ever smaller sizes until the page is that key alone, which is left out; behind it they grow again.

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path;
use tokio::sync::mpsc;
use url::Url;

use super::place::{Entry, is_folder_marker};
use crate::error::{Error, Result};

/// Keys of a page at most, as S3 has it.
const PAGE_KEYS: usize = 1000;

/// Whether a listing ended with such a key.
pub(super) fn is_odd_key(cause: &object_store::Error) -> bool {
    odd_key(cause).is_some()
}

fn odd_key(cause: &object_store::Error) -> Option<&str> {
    match cause {
        object_store::Error::InvalidPath {
            source: path::Error::BadSegment { path, .. } | path::Error::EmptySegment { path },
        } => Some(path),
        _ => None,
    }
}

/// Lists what stands below `url` behind the path `behind`, in the order of the keys.
///
/// # Errors
/// The store cannot be asked, or fails in another way.
pub(super) async fn list_around(
    url: &Url,
    behind: Option<&str>,
    sender: &mpsc::Sender<Result<Vec<Entry>>>,
) -> Result<()> {
    let failed = |cause: object_store::Error| {
        Error::retry("cannot list the folder").caused_by(cause).hint(
            "a key in it is no path: remove it, or give the credentials in variables AWS_…, so that it can be left out",
        )
    };
    let client = client(url).map_err(failed)?;
    let prefix = url.path().trim_matches('/');
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    let below = |key: &str| key.strip_prefix(&prefix).unwrap_or(key).to_owned();
    let mut offset = behind.map(|path| format!("{prefix}{path}"));
    let mut n_keys = PAGE_KEYS;
    loop {
        let options = PaginatedListOptions {
            offset: offset.clone(),
            max_keys: Some(n_keys),
            ..PaginatedListOptions::default()
        };
        let asked = Some(prefix.as_str()).filter(|prefix| !prefix.is_empty());
        let (entries, is_last) = match client.list_paginated(asked, options).await {
            Ok(page) => {
                let objects = page.result.objects;
                offset = objects.last().map(|object| object.location.to_string()).or(offset);
                let is_marker = |object: &&object_store::ObjectMeta| {
                    object.size == 0 && is_folder_marker(&below(object.location.as_ref()))
                };
                let entry = |object: &object_store::ObjectMeta| Entry::File {
                    path: below(object.location.as_ref()),
                    size: object.size,
                    modified_ms: object.last_modified.timestamp_millis(),
                    link: None,
                };
                n_keys = PAGE_KEYS.min(n_keys * 2);
                (
                    objects.iter().filter(|object| !is_marker(object)).map(entry).collect(),
                    page.page_token.is_none() || objects.is_empty(),
                )
            }
            Err(cause) => match odd_key(&cause).map(str::to_owned) {
                Some(_) if n_keys > 1 => {
                    n_keys /= 2;
                    continue;
                }
                Some(key) => {
                    let shown = format!("{:?}", below(&key)).trim_matches('"').to_owned();
                    let why =
                        "its key is no path: rename it, without control characters and empty parts";
                    offset = Some(key);
                    (vec![Entry::LeftOut { shown, why }], false)
                }
                None => return Err(failed(cause)),
            },
        };
        if sender.send(Ok(entries)).await.is_err() || is_last {
            return Ok(());
        }
    }
}

/// A client of its own: the one that the tables have does not ask for pages of a size.
fn client(url: &Url) -> object_store::Result<AmazonS3> {
    let builder = AmazonS3Builder::from_env().with_url(url.as_str());
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
    let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http:"));
    builder.with_allow_http(is_plain).build()
}
