//! Folders that are named as Hive names the partitions of a table: `country=DE/hour=7/a.ndjson`.
//!
//! The name gives each record of its files a value for the column, where the record has none. A
//! value of a personal column becomes a pseudonym in every name that leaves this folder.

use std::borrow::Cow;

use super::csv_columns::{json_of, known};
use crate::contract::{Contract, TypedField};
use crate::pseudonym::Pseudonyms;

/// What Hive writes for NULL.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

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

/// Replaces the values of personal columns in the names of folders.
#[derive(Clone, Debug, Default)]
pub(super) struct Masks {
    pseudonyms: Option<Pseudonyms>,
    /// Column, and the domain of its pseudonyms.
    personal: Vec<(String, usize)>,
}

impl Masks {
    pub(super) fn new(contract: &Contract, pseudonyms: Option<&Pseudonyms>) -> Self {
        let mut pseudonyms = pseudonyms.cloned();
        let personal = contract.personal.iter().filter_map(|personal| {
            let domain = pseudonyms.as_mut()?.domain(&personal.domain);
            Some((personal.path.clone(), domain))
        });
        let personal = personal.collect();
        Self { pseudonyms, personal }
    }

    /// A path below the folder as others may see it.
    pub(super) fn apply<'a>(&self, path: &'a str) -> Cow<'a, str> {
        let Some(pseudonyms) = self.pseudonyms.as_ref().filter(|_| path.contains('=')) else {
            return Cow::Borrowed(path);
        };
        let mut pseudonyms = pseudonyms.clone();
        let masked = path.split('/').map(|part| {
            let Some((name, value)) = part.split_once('=') else { return part.to_owned() };
            let plain = decoded(name);
            let is_meant = |(path, _): &&(String, usize)| path.eq_ignore_ascii_case(&plain);
            match self.personal.iter().find(is_meant) {
                Some((_, domain)) if !value.is_empty() && value != NULL => {
                    format!("{name}={}", pseudonyms.of(*domain, decoded(value).as_bytes()))
                }
                _ => part.to_owned(),
            }
        });
        Cow::Owned(masked.collect::<Vec<_>>().join("/"))
    }
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
}
