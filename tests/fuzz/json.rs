//! The reader of JSON files: lines, lists, objects one after the other, whatever stands between them,
//! packed or not, in one look or in many.

use engine::decode::Class;
use serde::de::IgnoredAny;

use crate::dice::Dice;
use crate::reading::{Desk, Item, Landed, Packed, Reading, Text, What, ends, hash};
use crate::records::{record, steep, value};
use crate::target::{Outcome, Target};

/// Memory beside twice the record limit, in bytes: two chunks on their way and one being cut, each of
/// a megabyte and more, and the buffer that they are cut from, which doubles.
const MEMORY: usize = 10 << 20;
/// Of a text that a codec unpacks to.
const BOMB_BYTES: usize = 24 << 20;

pub(crate) struct JsonTarget {
    desk: Desk,
}

/// What came of a text: read at once, seen while it grew, and packed.
pub(crate) struct Came {
    at_once: Reading,
    grown: Reading,
    unpacked: Option<Reading>,
}

pub(crate) struct Case {
    file: Landed,
    /// What must come of it, if that is known.
    expected: Option<Vec<Item>>,
    /// Whether records stand at the positions expected: where an object goes over lines, only their
    /// order is known.
    in_order_only: bool,
}

/// A text, and what must come of it.
#[derive(Default)]
struct Document {
    text: String,
    expected: Vec<Item>,
    /// Whether it may be seen at any place while it grows, and comes to the same.
    grows: bool,
    in_order_only: bool,
}

impl JsonTarget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { desk: Desk::new(limit) }
    }

    fn document(&self, dice: &mut Dice) -> Document {
        match dice.below(4) {
            0 | 1 => lines(dice, self.desk.limit),
            2 => list(dice),
            _ => concatenated(dice),
        }
    }
}

fn item(position: usize, what: What) -> Item {
    Item { position: i64::try_from(position).unwrap_or(i64::MAX), what }
}

fn taken(text: &str) -> What {
    What::Record(hash(text.as_bytes()))
}

/// One record a line, and lines that are none.
fn lines(dice: &mut Dice, limit: usize) -> Document {
    let mut document = Document { grows: true, ..Document::default() };
    if dice.once_in(8) {
        document.text.push('\u{feff}');
    }
    let n = dice.length(40);
    let mut is_open = false;
    for position in 0..n {
        // Behind an object that is cut off, only one that begins tells that it was.
        let kind = if is_open { 39 } else { dice.below(40) };
        is_open = false;
        let line = match kind {
            0 if dice.once_in(4) => {
                let record = format!("{{\"id\":\"{}\"}}", "x".repeat(limit + dice.below(limit)));
                let what = What::Refused(Class::TooLarge);
                document.expected.push(item(position, what));
                document.text.push_str(&record);
                document.text.push('\n');
                continue;
            }
            1 => dice.one(&["", " ", "\r", "\t "]).to_owned(),
            // A file whose first record begins a list is one, whatever blank lines stand before it.
            2 if !document.expected.is_empty() => "[1,2]".to_owned(),
            3 => dice
                .one(&["not json", "}", "null", "12", "\"a\"", "]", ",", "{\"a\":\"x"])
                .to_owned(),
            5 => {
                is_open = true;
                dice.one(&["{\"a\":1", "{\"a\":1,"]).to_owned()
            }
            // What may be whole before its line ends is no line to be cut.
            4 => {
                document.grows = false;
                dice.one(&["{\"a\":1} x", "{\"a\":1}}", "{}]"]).to_owned()
            }
            _ => record(dice),
        };
        if !line.trim().is_empty() {
            document.expected.push(item(position, taken(&line)));
        }
        document.text.push_str(&line);
        if dice.once_in(10) {
            document.text.push('\r');
        }
        // A last line that is no whole object would wait for its end.
        let is_whole = || serde_json::from_str::<IgnoredAny>(&line).is_ok();
        let is_last = position + 1 == n && line.starts_with('{') && is_whole();
        if !is_last || dice.once_in(2) {
            document.text.push('\n');
        }
    }
    document
}

/// One list of records.
fn list(dice: &mut Dice) -> Document {
    let mut document = Document { grows: true, ..Document::default() };
    let blank = dice.one(&["", " ", "\n", "\n  ", "\r\n\t"]);
    document.text = format!("{}[{blank}", dice.one(&["", "\n", "\u{feff}", "  \n"]));
    let n = dice.length(30);
    for position in 0..n {
        let element = match dice.below(10) {
            0 => pretty(&record(dice)),
            1 => value(dice, 2),
            _ => record(dice),
        };
        document.text.push_str(&element);
        let comma = if position + 1 < n { "," } else { "" };
        document.text.push_str(&format!("{blank}{comma}{blank}"));
        document.expected.push(item(position, taken(&element)));
        // A number may go on where it is cut.
        document.grows &= element.starts_with(['{', '[', '"']);
    }
    document.text.push_str("]\n");
    document
}

/// Objects one after the other, in one line or over many.
fn concatenated(dice: &mut Dice) -> Document {
    let mut document = Document { in_order_only: true, ..Document::default() };
    let between = dice.one(&["", " ", "\n", "\n\n"]);
    let are_pretty = dice.once_in(2);
    // An object whose first line is its bracket waits until it is whole.
    document.grows = are_pretty && between.starts_with('\n');
    for position in 0..dice.between(1, 20) {
        let mut element = record(dice);
        if are_pretty {
            element = pretty(&element);
        }
        document.text.push_str(&element);
        document.text.push_str(between);
        document.expected.push(item(position, taken(&element)));
    }
    document
}

/// A record over many lines, as printers write it.
fn pretty(record: &str) -> String {
    let parsed = serde_json::from_str::<serde_json::Value>(record);
    let printed = parsed.and_then(|value| serde_json::to_string_pretty(&value));
    printed.unwrap_or_else(|_| record.to_owned())
}

/// A long text of one shape, far above every limit.
fn bomb(dice: &mut Dice) -> Vec<u8> {
    let (begin, part): (&str, &str) = match dice.below(12) {
        0 => ("", "x"),
        1 => ("{\"a\":\"", "x"),
        2 => ("", "["),
        3 => ("", "{\"a\":"),
        4 => ("[", " "),
        5 => ("", "\n"),
        6 => ("", "{}\n"),
        7 => ("[1", ",{}"),
        8 => ("{\n", "\"a\":1,\n"),
        9 => ("[", "\"\\\""),
        10 => ("\"", "\\"),
        _ => ("{\"id\":\"a\"}\n", "{\"id\":\"a\"} "),
    };
    let most = if part.len() > 1 { BOMB_BYTES / 4 } else { BOMB_BYTES };
    format!("{begin}{}", part.repeat(most / part.len())).into_bytes()
}

impl Target for JsonTarget {
    type Case = Case;
    type Came = Came;

    fn case(&mut self, dice: &mut Dice) -> Case {
        let ending = dice.one(&["ndjson", "jsonl", "json"]);
        let name = format!("a.{ending}");
        if dice.once_in(200) {
            let bomb = bomb(dice);
            let how = if dice.once_in(2) { Packed::Zstd } else { Packed::Gzip };
            let file = Landed::only_packed(&name, how, &bomb);
            return Case { file, expected: None, in_order_only: false };
        }
        let document = self.document(dice);
        let mut text = document.text.into_bytes();
        let (expected, in_order_only) = if dice.once_in(2) {
            let others = [record(dice), steep(dice, 3000), self.document(dice).text];
            dice.damage(&mut text, &others.each_ref().map(String::as_bytes));
            (None, false)
        } else {
            (Some(document.expected), document.in_order_only)
        };
        let grows = document.grows || expected.is_none();
        let ends = if grows { ends(dice, text.len()) } else { vec![text.len()] };
        let file = Landed::new(dice, name, text, ends, expected.is_none());
        Case { file, expected, in_order_only }
    }

    fn files(case: &Case) -> Vec<(String, &[u8])> {
        case.file.files()
    }

    fn run(&mut self, case: &Case) -> Result<Came, String> {
        let (desk, file) = (&self.desk, &case.file);
        let at_once = desk.read(&file.name, &file.bytes, &[file.bytes.len()], Text::Theirs)?;
        let grown = desk.read(&file.name, &file.bytes, &file.ends, Text::Theirs);
        let grown = grown.map_err(|broken| format!("seen at {:?}: {broken}", case.file.ends))?;
        Ok(Came { at_once, grown, unpacked: file.unpacked(desk, Text::Theirs)? })
    }

    fn judge(&mut self, case: &Case, came: Came) -> Result<Outcome, String> {
        let Came { mut at_once, mut grown, unpacked } = came;
        at_once.settle()?;
        grown.settle().map_err(|broken| format!("seen at {:?}: {broken}", case.file.ends))?;
        let mut outcome = Outcome { accepted: at_once.n_records, rejected: at_once.n_refused };
        if let Some(mut unpacked) = unpacked {
            unpacked.settle()?;
            outcome.accepted += unpacked.n_records;
            outcome.rejected += unpacked.n_refused;
            match (case.file.is_damaged, case.file.looks_packed()) {
                (true, _) => {}
                (false, true) => unpacked.expect_refused()?,
                (false, false) => same(&at_once, &unpacked)?,
            }
            self.desk.done(unpacked);
        }
        if let Some(expected) = &case.expected {
            for reading in [&mut grown, &mut at_once] {
                expect(reading, expected, case.in_order_only)
                    .map_err(|broken| format!("seen at {:?}: {broken}", case.file.ends))?;
            }
        }
        self.desk.done(at_once);
        self.desk.done(grown);
        Ok(outcome)
    }

    fn memory(&self, _: &Case) -> usize {
        2 * self.desk.limit + MEMORY
    }
}

fn expect(reading: &mut Reading, expected: &[Item], in_order_only: bool) -> Result<(), String> {
    if in_order_only {
        for (position, item) in (0..).zip(&mut reading.items) {
            item.position = position;
        }
    }
    reading.expect(expected)
}

/// A packed text comes to what the plain one does.
fn same(plain: &Reading, packed: &Reading) -> Result<(), String> {
    if packed.fault != plain.fault {
        return Err(format!("packed it has the fault {:?}, plain {:?}", packed.fault, plain.fault));
    }
    if plain.has_more || packed.has_more || packed.items == plain.items {
        return Ok(());
    }
    let (n, m) = (plain.items.len(), packed.items.len());
    let differs = plain.items.iter().zip(&packed.items).find(|(one, other)| one != other);
    Err(format!("packed it is {m} items, plain {n}: {differs:?}"))
}
