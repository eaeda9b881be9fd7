//! Folders that are named as Hive names the partitions of a table: `country=DE/hour=7/a.ndjson`.
//!
//! The name gives each record of its files a value for the column, where the record has none. A
//! value of a personal column becomes a pseudonym in every name that leaves this folder.

use std::borrow::Cow;

use super::csv_columns::{json_of, known};
use crate::contract::{Contract, KEY, TypedField};
use crate::decode::{Persons, is_spelled_alike};
use crate::pseudonym::Pseudonyms;

/// What Hive writes for NULL.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// What a file's name ends in that is no part of a value.
const ENDINGS: &[&str] =
    &["ndjson", "jsonl", "json", "csv", "parquet", "gz", "zst", "tmp", "part", "txt"];

/// The columns that the folders of a file give its records, each with its value as JSON; the
/// innermost folder counts.
pub(crate) fn given(file: &str, fields: &[TypedField]) -> Vec<(String, Vec<u8>)> {
    let mut given: Vec<(String, Vec<u8>)> = Vec::new();
    let Some((folders, _)) = file.rsplit_once('/') else { return given };
    for (name, value) in folders.split('/').filter_map(|part| part.split_once('=')) {
        let Some(column) = known(&decoded(name), fields) else { continue };
        let value = decoded(value);
        if value.is_empty() || value == NULL {
            continue;
        }
        let Some(json) = json_of(&value, &column, fields) else { continue };
        given.retain(|(other, _)| *other != column);
        given.push((column, json));
    }
    given
}

/// Replaces the values of personal columns in the names of folders and files.
#[derive(Clone, Debug, Default)]
pub(super) struct Masks {
    pseudonyms: Option<Pseudonyms>,
    personal: Vec<Person>,
}

/// A personal column, as names of folders may have it.
#[derive(Clone, Debug)]
struct Person {
    path: String,
    /// Its names, by the rule that holds in records.
    names: Persons,
    /// The domain of its pseudonyms.
    domain: usize,
}

impl Masks {
    pub(super) fn new(contract: &Contract, pseudonyms: Option<&Pseudonyms>) -> Self {
        let mut pseudonyms = pseudonyms.cloned();
        let fields = contract.personal.iter().filter(|personal| personal.path != KEY);
        let personal = fields.filter_map(|personal| {
            let domain = pseudonyms.as_mut()?.domain(&personal.domain);
            let path = personal.path.clone();
            Some(Person { names: Persons::called([path.as_str()]), path, domain })
        });
        let personal = personal.collect();
        Self { pseudonyms, personal }
    }

    /// A path below the folder as others may see it.
    pub(super) fn apply<'a>(&self, path: &'a str) -> Cow<'a, str> {
        let Some(pseudonyms) = self.pseudonyms.as_ref().filter(|_| path.contains(['=', ':', '%']))
        else {
            return Cow::Borrowed(path);
        };
        let mut pseudonyms = pseudonyms.clone();
        let n_folders = path.matches('/').count();
        let (mut masked, mut parent) = (Vec::new(), "");
        for (n, part) in path.split('/').enumerate() {
            masked.push(self.part(parent, part, n == n_folders, &mut pseudonyms));
            parent = part.split('=').next().unwrap_or_default();
        }
        Cow::Owned(masked.join("/"))
    }

    /// One folder or file of a path. What stands behind the name of a personal column is its value
    /// to the end: nobody knows where it would end before.
    fn part(&self, parent: &str, part: &str, is_file: bool, pseudonyms: &mut Pseudonyms) -> String {
        let (stem, ending) = part.split_at(part.len() - if is_file { ending(part) } else { 0 });
        let found = self.personal.iter().filter_map(|person| {
            let start = person.names.value_in_path(parent, stem, is_file)?;
            let name = decoded(&stem[..start]);
            let is_whole = is_spelled_alike(name.trim_end_matches(['=', ':']), &person.path);
            Some((start, !is_whole, person))
        });
        match found.min_by_key(|(start, is_part, _)| (*start, *is_part)) {
            Some((start, _, person)) if !stem[start..].is_empty() && stem[start..] != *NULL => {
                let value = decoded(&stem[start..]);
                let pseudonym = pseudonyms.of(person.domain, value.as_bytes());
                format!("{}{pseudonym}{ending}", &stem[..start])
            }
            _ => part.to_owned(),
        }
    }
}

/// The length of what a file's name ends in that says what the file is, as in `.csv.gz`.
fn ending(name: &str) -> usize {
    let mut stem = name;
    while let Some((before, last)) = stem.rsplit_once('.') {
        if !ENDINGS.contains(&last) {
            break;
        }
        stem = before;
    }
    name.len() - stem.len()
}

/// A name without the escapes that Hive and others write for what a path cannot hold.
fn decoded(name: &str) -> Cow<'_, str> {
    if !name.contains('%') {
        return Cow::Borrowed(name);
    }
    let bytes = name.as_bytes();
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| Some(digit(at + 1)? * 16 + digit(at + 2)?));
        let escaped = escaped.flatten().and_then(|code| u8::try_from(code).ok());
        plain.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    Cow::Owned(String::from_utf8_lossy(&plain).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{TableName, Type, parse};

    #[test]
    fn folders_give_columns_typed_values() {
        let field = |name: &str, data_type| TypedField { name: name.to_owned(), data_type };
        let fields = [
            field("n", Type::BigInt),
            field("day", Type::Date),
            field("who", Type::Text { max: None }),
        ];
        let given = |file: &str| {
            let given = given(file, &fields);
            let text = |json: &Vec<u8>| String::from_utf8(json.clone()).unwrap();
            given.iter().map(|(name, json)| format!("{name}:{}", text(json))).collect::<Vec<_>>()
        };
        assert_eq!(given("t/n=5/day=2026-03-01/x.csv"), ["n:5", "day:\"2026-03-01\""]);
        assert_eq!(given("t/N=5/x.csv"), ["n:5"]);
        assert_eq!(given("t/n=five/x.csv"), ["n:\"five\""]);
        assert_eq!(given("t/who=a%2Fb%20c=d/x.csv"), ["who:\"a/b c=d\""]);
        assert_eq!(given("t/n=1/n=2/x.csv"), ["n:2"]);
        for none in
            ["t/x.csv", "t/n=/x.csv", "t/n=__HIVE_DEFAULT_PARTITION__/x", "t/n=5.csv", "t/o=1/x"]
        {
            assert!(given(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn a_personal_value_is_a_pseudonym_in_names() {
        let text = "-- One row is a record.
CREATE TABLE bronze.t (user_id STRING, n INT) TBLPROPERTIES ('lake.source' = 'folder:t', 'lake.personal' = 'user_id');";
        let contract = parse(&TableName::new("bronze", "t"), "t.sql", text).unwrap();
        let mut pseudonyms = Pseudonyms::new(&[7; 32]);
        let masks = Masks::new(&contract, Some(&pseudonyms));
        let domain = pseudonyms.domain("user_id");
        let alice = pseudonyms.of(domain, b"alice@x").to_owned();
        assert_eq!(decoded("100%25 %zz %"), "100% %zz %");
        assert_eq!(
            masks.apply("user_id=alice%40x/n=5/a.csv"),
            format!("user_id={alice}/n=5/a.csv")
        );
        assert_eq!(masks.apply("n=5/user_id.csv"), "n=5/user_id.csv");
    }

    #[test]
    fn names_are_those_of_a_person_by_the_rule_of_records() {
        let text = "-- One row is a record.
CREATE TABLE bronze.t (user_id STRING, st STRUCT<device_id STRING>) TBLPROPERTIES ('lake.source' = 'folder:t', 'lake.personal' = 'user_id, st.device_id')";
        let contract = parse(&TableName::new("bronze", "t"), "t.sql", text).unwrap();
        let mut pseudonyms = Pseudonyms::new(&[7; 32]);
        let masks = Masks::new(&contract, Some(&pseudonyms));
        let user = pseudonyms.domain("user_id");
        let device = pseudonyms.domain("st.device_id");
        let (user, device) =
            (pseudonyms.of(user, b"RAW").to_owned(), pseudonyms.of(device, b"RAW").to_owned());
        for (path, who) in [
            ("user_id=RAW/a.csv", &user),
            ("USER-ID=RAW/a.csv", &user),
            ("userId=RAW/a.csv", &user),
            ("user%5Fid=RAW/a.csv", &user),
            ("user%255Fid=RAW/a.csv", &user),
            ("user_id%3DRAW/a.csv", &user),
            ("user id=RAW/a.csv", &user),
            ("user_id:RAW/a.csv", &user),
            ("x/context.user_id=RAW/n=1/a.csv", &user),
            ("user/id=RAW/a.csv", &user),
            ("day=2026-03-01,user_id=RAW/a.csv", &user),
            ("device_id=RAW/a.csv", &device),
            ("st.device_id=RAW/a.csv", &device),
            ("st.Device-Id=RAW/a.csv", &device),
            ("n=1/user_id=RAW.csv.gz", &user),
            ("export-user_id=RAW.ndjson", &user),
            ("events_userid=RAW.parquet", &user),
            ("user_id=RAW/", &user),
        ] {
            let masked = masks.apply(path);
            assert!(!masked.contains("RAW") && masked.contains(who.as_str()), "{path}: {masked}");
        }
        assert!(masks.apply("user_id=RAW.csv.gz").ends_with(".csv.gz"));
        assert_ne!(masks.apply("user_id=a.csv"), masks.apply("user_id=b.csv"));
        for path in [
            "n=RAW/a.csv",
            "superuser_id=RAW/a.csv",
            "user=RAW/a.csv",
            "id=RAW/a.csv",
            "user_id=/a.csv",
            "user_id=__HIVE_DEFAULT_PARTITION__/a.csv",
            "at=2026-03-01T10:00:00/x=a%20b.csv",
            "100%/a.csv",
        ] {
            assert_eq!(masks.apply(path), path);
        }
    }
}
