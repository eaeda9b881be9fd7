//! What the name of a landing file says: its format, how it is packed, whether it is finished.

use super::place::is_unfinished_part;

/// The format of a landing file, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON objects: one a line, or one after the other, or in a list.
    Json,
    /// Rows under a header line.
    Csv,
    /// Parquet.
    Parquet,
}

/// How a landing file is compressed, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstd,
}

/// A file's format and packing; `None` if its name says that it is none of ours. `A.CSV` is CSV.
pub fn format_of(path: &str) -> Option<(Format, Packing)> {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let name = name.as_str();
    let (stem, packing) = match name.rsplit_once('.')? {
        (stem, "gz") => (stem, Packing::Gzip),
        (stem, "zst") => (stem, Packing::Zstd),
        _ => (name, Packing::Plain),
    };
    let format = match stem.rsplit_once('.')?.1 {
        "ndjson" | "jsonl" | "json" => Format::Json,
        "csv" => Format::Csv,
        "parquet" => Format::Parquet,
        _ => return None,
    };
    Some((format, packing))
}

/// What a path below a landing folder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name<'a> {
    /// A file to be read.
    Ours,
    /// A file that would be read under a finished name; or, with a slash behind it, a folder whose
    /// name begins with `_` or `.`.
    Unfinished,
    /// A part of the log of a table; the table's folder with a slash behind it.
    TableLog(&'a str),
    /// A file that tools leave beside data and nobody would read: `_SUCCESS`, `.DS_Store`.
    Beside,
    /// A file of a format that is none of ours.
    Foreign,
}

/// Folders that tables keep their log in.
const TABLE_LOGS: &[&str] = &["_delta_log", ".hoodie"];

/// Whether a file in a folder `metadata` is what Iceberg writes there.
fn is_iceberg(name: &str) -> bool {
    let is_version = name.starts_with(|first: char| first == 'v' || first.is_ascii_digit());
    let is_metadata = name.ends_with(".metadata.json") || name.ends_with(".metadata.json.gz");
    name == "version-hint.text" || (is_version && is_metadata)
}

pub(super) fn name_of(path: &str) -> Name<'_> {
    let mut start = 0;
    for part in path.split('/') {
        if TABLE_LOGS.contains(&part) && start + part.len() < path.len() {
            return Name::TableLog(&path[..start]);
        }
        let file = path.get(start + part.len() + 1..);
        if part == "metadata" && file.is_some_and(is_iceberg) {
            return Name::TableLog(&path[..start]);
        }
        start += part.len() + 1;
    }
    let hidden_folder = path
        .rsplit_once('/')
        .is_some_and(|(folders, _)| folders.split('/').any(is_unfinished_part));
    if hidden_folder {
        return Name::Unfinished;
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    let finished = name.trim_start_matches(['.', '_']);
    let stem = finished.rsplit_once('.').filter(|(_, ending)| {
        ending.eq_ignore_ascii_case("tmp") || ending.eq_ignore_ascii_case("part")
    });
    let finished = stem.map_or(finished, |(stem, _)| stem);
    match format_of(finished) {
        Some(_) if finished == name => Name::Ours,
        Some(_) => Name::Unfinished,
        None if finished != name => Name::Beside,
        None => Name::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_file_is() {
        assert_eq!(format_of("a/b.ndjson"), Some((Format::Json, Packing::Plain)));
        assert_eq!(format_of("b.csv.gz"), Some((Format::Csv, Packing::Gzip)));
        assert_eq!(format_of("b.parquet"), Some((Format::Parquet, Packing::Plain)));
        assert_eq!(format_of("b.jsonl.zst"), Some((Format::Json, Packing::Zstd)));
        assert_eq!(format_of("B.CSV"), Some((Format::Csv, Packing::Plain)));
        assert_eq!(format_of("CSV/b.Json.GZ"), Some((Format::Json, Packing::Gzip)));
        assert_eq!(format_of("readme.txt"), None);
        assert_eq!(format_of("noending"), None);
    }

    #[test]
    fn unfinished_files_and_the_logs_of_tables_are_not_read() {
        for name in
            [".a.json", "_a.json", "a.json.tmp", "a.json.part", "A.JSON.TMP", "_x/a.json", ".x/"]
        {
            assert_eq!(name_of(name), Name::Unfinished, "{name}");
        }
        for name in ["_success.TXT", "_SUCCESS", ".DS_Store", ".part-0.json.crc", "x.tmp"] {
            assert_eq!(name_of(name), Name::Beside, "{name}");
        }
        assert_eq!(name_of("a_b/c.json"), Name::Ours);
        assert_eq!(name_of("t/_delta_log/0.json"), Name::TableLog("t/"));
        assert_eq!(name_of("_delta_log/"), Name::TableLog(""));
        assert_eq!(name_of("a/ice/metadata/v3.metadata.json"), Name::TableLog("a/ice/"));
        assert_eq!(name_of("metadata/00001-4f.gz.metadata.json"), Name::TableLog(""));
        assert_eq!(name_of("a/metadata/version-hint.text"), Name::TableLog("a/"));
        assert_eq!(name_of("a/metadata/x.json"), Name::Ours);
        assert_eq!(name_of("a/metadata/my.metadata.json"), Name::Ours);
        assert_eq!(name_of("a/readme.txt"), Name::Foreign);
    }
}
