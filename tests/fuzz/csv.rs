//! The reader of CSV files: headers of all kinds, quotes, separators, line ends, rows of a wrong
//! length and above the limit, packed or not, in one look or in many.

use std::collections::BTreeMap;

use engine::decode::Class;

use crate::dice::Dice;
use crate::reading::{Desk, Item, Landed, Packed, Reading, Text, What, ends};
use crate::records::value;
use crate::target::{Outcome, Target};

/// Memory beside twice the record limit, in bytes: two chunks on their way and one being cut, each of
/// a megabyte, or of 16,384 short rows that are refused with a message each; and the buffer that they
/// are cut from, which doubles.
const MEMORY: usize = 24 << 20;
/// Of a text that a codec unpacks to.
const BOMB_BYTES: usize = 24 << 20;

const COLUMNS: &[&str] = &[
    "id",
    "n",
    "small",
    "x",
    "ok",
    "at",
    "day",
    "free",
    "any",
    "user_id",
    "version",
    "inner.a",
    "inner.b",
    "inner.deep.c",
    "inner.deep.note",
    "inner.deep.ok",
    "unknown",
    "un.known",
    "Straße",
];

pub(crate) struct CsvTarget {
    desk: Desk,
}

/// What a row comes to.
#[derive(Clone, Debug)]
enum Row {
    /// Its fields, by their columns; a field without a value is not there.
    Fields(BTreeMap<String, String>),
    Refused(Class),
    /// It has too few fields: refused, or waited for where it stands last and has no line's end.
    Short,
}

/// What came of a text: read at once, seen while it grew, and packed.
pub(crate) struct Came {
    at_once: Reading,
    grown: Option<Reading>,
    unpacked: Option<Reading>,
}

pub(crate) struct Case {
    file: Landed,
    /// What must come of it, if that is known.
    expected: Option<Vec<Row>>,
}

/// A text, the rows that it has, and where it may be seen to end.
#[derive(Default)]
struct Document {
    text: String,
    rows: Vec<Row>,
    ends: Vec<usize>,
}

impl CsvTarget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { desk: Desk::new(limit) }
    }
}

fn document(dice: &mut Dice, limit: usize) -> Document {
    let separator = dice.one(&[",", ",", ";", "\t", "|"]);
    let line_end = dice.one(&["\n", "\n", "\r\n", "\r"]);
    let mut columns: Vec<&str> = COLUMNS.to_vec();
    for i in (1..columns.len()).rev() {
        columns.swap(i, dice.below(i + 1));
    }
    // Two that are known tell the separator.
    columns.retain(|name| *name != "id" && *name != "n");
    columns.truncate(dice.below(columns.len()));
    columns.extend(["id", "n"]);
    let mut document = Document::default();
    let bom = dice.one(&["", "", "\u{feff}", "\n"]);
    let header: Vec<String> = columns.iter().map(|name| spelled(name, dice)).collect();
    document.text = format!("{bom}{}{line_end}", header.join(separator));
    document.ends.push(document.text.len());
    for _ in 0..dice.length(40) {
        row(&columns, separator, limit, dice, &mut document);
        if dice.once_in(20) {
            document.text.push_str(dice.one(&["", "\n", "\n\n"]));
        }
        document.text.push_str(line_end);
        document.ends.push(document.text.len());
    }
    if dice.once_in(3) && line_end != "\r" && document.rows.len() > 1 {
        document.text.truncate(document.text.trim_end_matches(['\r', '\n']).len());
        document.ends.pop();
        document.ends.push(document.text.len());
        document.rows.pop_if(|row| matches!(row, Row::Short));
    }
    document
}

/// A column's name in another case, in quotes, or between spaces: it is the same column.
fn spelled(name: &str, dice: &mut Dice) -> String {
    if name.starts_with("un") {
        return name.to_owned();
    }
    match dice.below(8) {
        0 if name.is_ascii() => name.to_uppercase(),
        1 => format!("\"{name}\""),
        2 => format!(" {name} "),
        _ => name.to_owned(),
    }
}

fn row(columns: &[&str], separator: &str, limit: usize, dice: &mut Dice, to: &mut Document) {
    let mut fields = BTreeMap::new();
    let mut written: Vec<String> = Vec::new();
    for name in columns {
        let text = match dice.below(6) {
            0 => String::new(),
            _ => field(name, dice),
        };
        let text = if *name == "id" { format!("r{}", dice.below(1000)) } else { text };
        let needs = text.contains(['"', '\n', '\r']) || text.contains(separator);
        let quoted = format!("\"{}\"", text.replace('"', "\"\""));
        let is_quoted = needs || dice.once_in(5);
        // Quotes around nothing are the empty text, where there is one.
        if !text.is_empty() || (is_quoted && is_text(name)) {
            fields.insert((*name).to_owned(), text.clone());
        }
        written.push(if is_quoted { quoted } else { text });
    }
    let mut row = Row::Fields(fields);
    match dice.below(60) {
        0 => {
            written.push("more".to_owned());
            row = Row::Refused(Class::NotCsv);
        }
        1 if columns.len() > 2 => {
            written.remove(0);
            row = Row::Short;
        }
        2 => {
            let long = format!("\"{}\"", "xy\n\"\"".repeat(limit / 4 + dice.below(limit)));
            written[0] = long;
            row = Row::Refused(Class::TooLarge);
        }
        // Empty fields at the end do not count.
        3 => written.extend([String::new(), String::new()]),
        _ => {}
    }
    to.rows.push(row);
    to.text.push_str(&written.join(separator));
}

fn is_text(name: &str) -> bool {
    ["id", "free", "user_id", "inner.b", "inner.deep.note"].contains(&name)
        || ["unknown", "un.known", "Straße"].contains(&name)
}

fn field(name: &str, dice: &mut Dice) -> String {
    match name {
        "n" | "small" | "version" | "inner.a" | "inner.deep.c" => dice.below(100_000).to_string(),
        "x" => format!("{}.{}", dice.below(1000), dice.below(1000)),
        "ok" | "inner.deep.ok" => dice.one(&["true", "False", "TRUE"]).to_owned(),
        "at" => "2026-03-01T12:00:05.000Z".to_owned(),
        "day" => "2024-02-29".to_owned(),
        // What this harness can read again: no numbers beyond a double.
        "any" => Some(value(dice, 2))
            .filter(|text| serde_json::from_str::<serde_json::Value>(text).is_ok())
            .unwrap_or_default(),
        _ => dice.text(20),
    }
}

/// A long text of one shape, far above every limit.
fn bomb(dice: &mut Dice) -> Vec<u8> {
    let (begin, part) = match dice.below(10) {
        0 => ("id,n\n", "x"),
        1 => ("id,n\n\"", "x"),
        2 => ("", "x"),
        3 => ("id,", "n"),
        4 => ("id,n", ","),
        5 => ("id,n\n", ","),
        6 => ("id,n\n", "\n"),
        7 => ("id,n\n", "\"\n,"),
        8 => ("id,n\n", "a,1\n"),
        _ => ("id,n\n\"", "\"\""),
    };
    let most = if part.len() > 2 { BOMB_BYTES / 8 } else { BOMB_BYTES };
    format!("{begin}{}", part.repeat(most / part.len())).into_bytes()
}

impl Target for CsvTarget {
    type Case = Case;
    type Came = Came;

    fn case(&mut self, dice: &mut Dice) -> Case {
        if dice.once_in(200) {
            let how = if dice.once_in(2) { Packed::Zstd } else { Packed::Gzip };
            let file = Landed::only_packed("a.csv", how, &bomb(dice));
            return Case { file, expected: None };
        }
        let Document { text, rows, ends: row_ends } = document(dice, self.desk.limit);
        let mut text = text.into_bytes();
        let (mut ends, expected) = if dice.once_in(2) {
            let other = document(dice, self.desk.limit).text;
            dice.damage(&mut text, &[other.as_bytes()]);
            (vec![text.len()], None)
        } else {
            // Between rows a growing file comes to the same.
            let mut seen: Vec<usize> =
                ends(dice, row_ends.len()).iter().map(|n| row_ends[n - 1]).collect();
            seen.push(text.len());
            seen.dedup();
            (seen, Some(rows))
        };
        ends.retain(|end| *end > 0);
        let file = Landed::new(dice, "a.csv".to_owned(), text, ends, expected.is_none());
        Case { file, expected }
    }

    fn files(case: &Case) -> Vec<(String, &[u8])> {
        case.file.files()
    }

    fn run(&mut self, case: &Case) -> Result<Came, String> {
        let (desk, file) = (&self.desk, &case.file);
        let kept = if case.expected.is_some() { Text::Kept } else { Text::Ours };
        let at_once = desk.read(&file.name, &file.bytes, &[file.bytes.len()], kept)?;
        let grown = case.expected.as_ref().map(|_| {
            let seen = desk.read(&file.name, &file.bytes, &file.ends, Text::Kept);
            seen.map_err(|broken| format!("seen at {:?}: {broken}", case.file.ends))
        });
        let grown = grown.transpose()?;
        Ok(Came { at_once, grown, unpacked: file.unpacked(desk, Text::Ours)? })
    }

    fn judge(&mut self, case: &Case, came: Came) -> Result<Outcome, String> {
        let Came { mut at_once, mut grown, unpacked } = came;
        for reading in grown.iter_mut().chain([&mut at_once]) {
            reading.settle().map_err(|broken| format!("seen at {:?}: {broken}", case.file.ends))?;
        }
        let mut outcome = Outcome { accepted: at_once.n_records, rejected: at_once.n_refused };
        for (reading, rows) in grown.iter().chain([&at_once]).zip(case.expected.iter().cycle()) {
            check(reading, rows)
                .map_err(|broken| format!("seen at {:?}: {broken}", case.file.ends))?;
        }
        if let Some(mut unpacked) = unpacked {
            unpacked.settle()?;
            outcome.accepted += unpacked.n_records;
            outcome.rejected += unpacked.n_refused;
            let has_more = at_once.has_more || unpacked.has_more;
            let is_same = has_more || unpacked.items == at_once.items;
            if !case.file.is_damaged && case.file.looks_packed() {
                unpacked.expect_refused()?;
            } else if !case.file.is_damaged && !is_same {
                let n = (at_once.items.len(), unpacked.items.len());
                return Err(format!("packed and plain it is not the same: {n:?} items"));
            }
            self.desk.done(unpacked);
        }
        grown.into_iter().chain([at_once]).for_each(|reading| self.desk.done(reading));
        Ok(outcome)
    }

    fn memory(&self, _: &Case) -> usize {
        2 * self.desk.limit + MEMORY
    }
}

/// Holds what came to the rows that were written: each in its place, with each value.
fn check(reading: &Reading, rows: &[Row]) -> Result<(), String> {
    if let Some((position, message)) = &reading.fault {
        return Err(format!("an undamaged file has a fault at {position}: {message}"));
    }
    if reading.items.len() != rows.len() {
        return Err(format!("{} rows came, and {} were written", reading.items.len(), rows.len()));
    }
    for (position, (item, row)) in (0..).zip(reading.items.iter().zip(rows)) {
        let Item { position: came, what } = item;
        if *came != position {
            return Err(format!("a row is at {came}, and not at {position}"));
        }
        match (row, what) {
            (Row::Refused(class), What::Refused(other)) if class == other => {}
            (Row::Short, What::Refused(Class::NotCsv)) => {}
            (Row::Fields(fields), What::Record(_)) => {
                let text = reading.texts.get(&position).map_or("", String::as_str);
                same(fields, text).map_err(|broken| format!("row {position}: {broken}"))?;
            }
            _ => return Err(format!("row {position} is {what:?}, and was {row:?}")),
        }
    }
    Ok(())
}

/// Whether a record has these fields, and no others.
fn same(fields: &BTreeMap<String, String>, record: &str) -> Result<(), String> {
    let parsed = serde_json::from_str::<serde_json::Value>(record);
    let parsed = parsed.map_err(|cause| format!("{cause} in {record}"))?;
    let mut found = BTreeMap::new();
    leaves(&parsed, "", fields, &mut found);
    let wanted: BTreeMap<String, String> =
        fields.iter().map(|(name, text)| (name.clone(), plain(name, text))).collect();
    if found == wanted { Ok(()) } else { Err(format!("it is {found:?}, and was {wanted:?}")) }
}

fn leaves(
    value: &serde_json::Value,
    path: &str,
    fields: &BTreeMap<String, String>,
    found: &mut BTreeMap<String, String>,
) {
    let name = path.strip_prefix('.').unwrap_or(path);
    match value {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                leaves(value, &format!("{path}.{key}"), fields, found);
            }
        }
        serde_json::Value::Null if !fields.contains_key(name) => {}
        // Whatever its column is, a row has texts.
        serde_json::Value::String(text) => {
            found.insert(name.to_owned(), plain(name, text));
        }
        other => {
            found.insert(name.to_owned(), plain(name, &other.to_string()));
        }
    }
}

/// Values that are written in many ways, in one.
fn plain(name: &str, text: &str) -> String {
    match name {
        "ok" | "inner.deep.ok" => text.to_lowercase(),
        "x" => text.parse::<f64>().map_or(text.to_owned(), |number| number.to_string()),
        "any" => {
            let parsed = serde_json::from_str::<serde_json::Value>(text);
            parsed.map_or(text.to_owned(), |value| value.to_string())
        }
        _ => text.to_owned(),
    }
}
