//! The decoder: a row for each record that was taken, nothing taken that is no JSON object, nothing
//! of a person in the rows, and the same for a record whatever came before it.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::DataType;
use engine::contract::{self, TableName};
use engine::decode::{Decoder, Reject};
use engine::pseudonym::Pseudonyms;
use serde::de::IgnoredAny;

use crate::dice::Dice;
use crate::persons::{mentions, remains};
use crate::records::{record, steep, things};
use crate::target::{Outcome, Target};

/// Lines of the published contract, as producers send them.
const EXAMPLES: &str = include_str!("../fixtures/domain/contract_examples.jsonl");
const EVENTS: &str = include_str!("../../lake/bronze/events.sql");

/// Memory beside what grows with the records, in bytes.
const MEMORY: usize = 1 << 20;
/// Bytes for one of a record: columns, text without its escapes, and a copy without persons, each in
/// a buffer that doubles.
const MEMORY_PER_BYTE: usize = 16;

/// Two decoders of one contract: one that has seen other records before, and how a new one is made.
struct Kind {
    seasoned: Decoder,
    contract: contract::Contract,
    personal: &'static [&'static str],
}

pub(crate) struct DecoderTarget {
    things: Kind,
    events: Kind,
}

/// What became of each record, and the rows.
pub(crate) struct Came {
    results: Vec<Result<(), Reject>>,
    columns: Vec<ArrayRef>,
}

/// Some records of one contract.
pub(crate) struct Case {
    are_events: bool,
    records: Vec<Vec<u8>>,
}

impl Kind {
    fn new(contract: contract::Contract, personal: &'static [&'static str]) -> Self {
        Self { seasoned: decoder(&contract), contract, personal }
    }
}

fn decoder(contract: &contract::Contract) -> Decoder {
    Decoder::new(contract, Some(Pseudonyms::new(&[7; 32]))).expect("the contract is right")
}

impl DecoderTarget {
    pub(crate) fn new() -> Self {
        let name = TableName::new("bronze", "events");
        let events = contract::parse(&name, "lake/bronze/events.sql", EVENTS);
        let events = events.expect("the shipped contract is right");
        Self {
            things: Kind::new(things(), &["user_id", "inner.owner", "owner"]),
            events: Kind::new(events, &["user_id", "anonymous_id", "device_id"]),
        }
    }
}

impl Target for DecoderTarget {
    type Case = Case;
    type Came = Came;

    fn case(&mut self, dice: &mut Dice) -> Case {
        let are_events = dice.once_in(4);
        let examples: Vec<&str> = EXAMPLES.lines().collect();
        let mut records = Vec::new();
        for _ in 0..dice.between(1, 8) {
            let text = match dice.below(12) {
                0 if dice.once_in(4) => steep(dice, 60_000),
                0 => steep(dice, 2000),
                1 => crate::records::value(dice, 3),
                _ if are_events => dice.one(&examples).to_owned(),
                _ => record(dice),
            };
            let mut bytes = text.into_bytes();
            if dice.once_in(2) {
                let others = [record(dice), steep(dice, 300)];
                dice.damage(&mut bytes, &others.each_ref().map(String::as_bytes));
            }
            records.push(bytes);
        }
        Case { are_events, records }
    }

    fn files(case: &Case) -> Vec<(String, &[u8])> {
        let numbered = case.records.iter().enumerate();
        numbered.map(|(i, record)| (format!("record-{i}.json"), record.as_slice())).collect()
    }

    fn run(&mut self, case: &Case) -> Result<Came, String> {
        let kind = if case.are_events { &mut self.events } else { &mut self.things };
        let mut fresh = decoder(&kind.contract);
        let results = case.records.iter().map(|record| fresh.decode(record)).collect();
        let columns = fresh.finish().map_err(|error| error.report())?;
        Ok(Came { results, columns })
    }

    fn judge(&mut self, case: &Case, came: Came) -> Result<Outcome, String> {
        let kind = if case.are_events { &mut self.events } else { &mut self.things };
        let Came { results, columns } = came;
        let mut outcome = Outcome::default();
        let mut is_silent = true;
        for (i, (record, taken)) in case.records.iter().zip(results).enumerate() {
            let again = kind.seasoned.decode(record);
            if taken != again {
                return Err(format!("record {i}: {taken:?}, and {again:?} behind other records"));
            }
            // One byte order mark before a record is passed over.
            let bare = record.strip_prefix(b"\xef\xbb\xbf").unwrap_or(record);
            let text = std::str::from_utf8(bare).unwrap_or_default();
            match taken {
                Ok(()) => {
                    if !is_object(text) {
                        return Err(format!("record {i} was taken, and is no JSON object"));
                    }
                    outcome.accepted += 1;
                    is_silent &= !remains(text, kind.personal);
                }
                Err(Reject { message, .. }) => {
                    outcome.rejected += 1;
                    if mentions(&message) {
                        return Err(format!("record {i}: the message names a person: {message}"));
                    }
                }
            }
        }
        let seasoned = kind.seasoned.finish().map_err(|error| error.report())?;
        if columns.iter().zip(&seasoned).any(|(one, other)| one.as_ref() != other.as_ref()) {
            return Err("the columns depend on the records that came before".to_owned());
        }
        check_columns(&columns, usize::try_from(outcome.accepted).unwrap_or(0), is_silent)?;
        Ok(outcome)
    }

    fn memory(&self, case: &Case) -> usize {
        let bytes: usize = case.records.iter().map(Vec::len).sum();
        MEMORY + MEMORY_PER_BYTE * bytes
    }
}

fn is_object(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn check_columns(columns: &[ArrayRef], n_rows: usize, is_silent: bool) -> Result<(), String> {
    for (i, column) in columns.iter().enumerate() {
        if column.len() != n_rows {
            return Err(format!("column {i} has {} rows, and not {n_rows}", column.len()));
        }
        if is_silent {
            let mut found = false;
            texts(column, &mut |text| found |= mentions(text));
            if found {
                return Err(format!("column {i} names a person"));
            }
        }
    }
    let Some(rescued) = columns.last() else { return Err("there are no columns".to_owned()) };
    let mut broken = false;
    texts(rescued, &mut |text| broken |= !is_object(text));
    if broken { Err("_rescued_data is no JSON object".to_owned()) } else { Ok(()) }
}

/// Every text of a column.
fn texts(column: &ArrayRef, hear: &mut impl FnMut(&str)) {
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().flatten().for_each(hear),
        DataType::Struct(_) => {
            for column in column.as_struct().columns() {
                texts(column, hear);
            }
        }
        _ => {}
    }
}
