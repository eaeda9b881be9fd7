//! Which versions of a table can be read: a log is cleaned up from its beginning, and a version
//! needs a checkpoint at or before it and every commit from there on.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use futures::TryStreamExt;
use url::Url;

use super::{StoreOptions, open_store};
use crate::contract::TableName;
use crate::error::{Error, Result};

/// Why a table cannot be read at `version`, if its log has no such version; `None` if it has.
pub(super) async fn missing(
    name: &TableName,
    url: &Url,
    options: &StoreOptions,
    version: u64,
) -> Result<Option<Error>> {
    let store = open_store(url, options)?;
    let listed = store.list(Some(&"_delta_log".into())).try_collect::<Vec<_>>().await;
    let listed = listed
        .map_err(|cause| super::translate(format!("cannot open table {name}"), cause.into()))?;
    let available = available(listed.iter().filter_map(|file| file.location.filename()));
    if available.is_empty() {
        return Ok(Some(
            Error::usage(format!("there is no table {name} yet"))
                .hint("`lake status` lists the tables and their versions"),
        ));
    }
    if available.iter().any(|range| range.contains(&version)) {
        return Ok(None);
    }
    let text: Vec<String> = available.iter().map(shown).collect();
    let error = Error::usage(format!("table {name} has no version {version}"));
    Ok(Some(error.hint(format!("the available versions are {}", text.join(", ")))))
}

fn shown(range: &RangeInclusive<u64>) -> String {
    if range.start() == range.end() {
        range.start().to_string()
    } else {
        format!("{} to {}", range.start(), range.end())
    }
}

/// The versions that the files of a log can give.
pub(super) fn available<'a>(files: impl Iterator<Item = &'a str>) -> Vec<RangeInclusive<u64>> {
    let mut commits = BTreeSet::new();
    // Of each checkpoint its parts, and how many there must be.
    let mut checkpoints: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for file in files {
        let Some((digits, rest)) = file.split_at_checked(20) else { continue };
        let Ok(version) = digits.parse::<u64>() else { continue };
        if rest == ".json" {
            commits.insert(version);
        } else if let Some(rest) = rest.strip_prefix(".checkpoint.") {
            // `0000000001.0000000003.parquet` is the first of three parts.
            let n_parts = rest.split('.').nth(1).and_then(|n| n.parse().ok()).unwrap_or(1);
            let seen = checkpoints.entry(version).or_insert((0, n_parts));
            seen.0 += 1;
        }
    }
    let whole = checkpoints.iter().filter(|(_, (seen, n_parts))| seen >= n_parts);
    let whole: BTreeSet<u64> = whole.map(|(version, _)| *version).collect();
    let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
    for &version in commits.union(&whole) {
        let before = ranges.last().map(|range| *range.end());
        let follows = version.checked_sub(1).is_none_or(|before_it| Some(before_it) == before);
        match ranges.last_mut() {
            Some(range) if follows => *range = *range.start()..=version,
            _ if follows || whole.contains(&version) => ranges.push(version..=version),
            _ => {}
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[&str]) -> Vec<String> {
        let name = |file: &&str| {
            let (version, rest) = file.split_once('.').unwrap();
            format!("{:020}.{rest}", version.parse::<u64>().unwrap())
        };
        let files: Vec<String> = files.iter().map(name).collect();
        available(files.iter().map(String::as_str)).iter().map(shown).collect()
    }

    #[test]
    fn a_whole_log_has_every_version() {
        assert_eq!(of(&["0.json", "1.json", "2.json"]), ["0 to 2"]);
        assert_eq!(of(&["0.json"]), ["0"]);
        assert_eq!(of(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_log_that_was_cleaned_up_begins_at_its_checkpoint() {
        let files = ["10.checkpoint.parquet", "11.json", "12.json", "8.json", "9.json"];
        assert_eq!(of(&files), ["10 to 12"]);
        assert_eq!(of(&["10.checkpoint.parquet", "10.json", "12.json"]), ["10"]);
        assert_eq!(of(&["1.json", "2.json"]), Vec::<String>::new());
    }

    #[test]
    fn a_gap_ends_what_can_be_read_until_the_next_checkpoint() {
        let files = ["0.json", "1.json", "3.json", "5.checkpoint.parquet", "6.json"];
        assert_eq!(of(&files), ["0 to 1", "5 to 6"]);
    }

    #[test]
    fn a_checkpoint_in_parts_counts_when_all_are_there() {
        let part = |n| format!("5.checkpoint.{n:010}.{:010}.parquet", 2);
        let (one, two) = (part(1), part(2));
        assert_eq!(of(&[&one, "6.json"]), Vec::<String>::new());
        assert_eq!(of(&[&one, &two, "6.json"]), ["5 to 6"]);
        let version_2 = "5.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.parquet";
        assert_eq!(of(&[version_2, "6.json"]), ["5 to 6"]);
    }
}
