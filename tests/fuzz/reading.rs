//! Reads a file as an ingest would, from memory, and holds what came to the promises of all readers:
//! each record in one place, none above the limit, and an end that says where it is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use engine::batchlog::{Batch, MARK_BYTES, Range, mark};
use engine::chunk::{Body, Chunk};
use engine::contract::{Source, SourceKind};
use engine::decode::Class;
use engine::folder::{Folder, Place, Reader};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::de::IgnoredAny;
use tokio::sync::mpsc;

use crate::dice::Dice;
use crate::records::things;

/// Records of one reading that are held to what was expected; of more only their number is known.
const ITEMS_MAX: usize = 1 << 17;
/// Readings of one case.
const READINGS: usize = 3;

/// What one record came to: where it stands, and its text's hash or the fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) position: i64,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Taken: the hash of its text, without white space around it.
    Record(u64),
    Refused(Class),
}

/// What a file came to.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// In the order of their positions.
    pub(crate) items: Vec<Item>,
    /// Records that a reader wrote, by their positions.
    pub(crate) texts: BTreeMap<i64, String>,
    /// Where it cannot be read further, and why.
    pub(crate) fault: Option<(i64, String)>,
    /// An earlier look ended in a fault.
    had_fault: bool,
    pub(crate) n_records: u64,
    pub(crate) n_refused: u64,
    /// Runs of positions that are somebody's: the first, and the one behind the last.
    runs: Vec<(i64, i64)>,
    /// Whether there was more than is noted.
    pub(crate) has_more: bool,
}

/// What the records of a format are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// As somebody wrote them.
    Theirs,
    /// Written by the reader, so JSON unless they are no UTF-8.
    Ours,
    /// The same, and each is kept to be looked at.
    Kept,
}

/// Reads files from memory.
pub(crate) struct Desk {
    runtime: tokio::runtime::Runtime,
    store: Arc<InMemory>,
    reader: Reader,
    pub(crate) limit: usize,
    /// Room for what readings note, made before the memory of a case is counted.
    spare: RefCell<Vec<Reading>>,
}

pub(crate) fn hash(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.trim_ascii().hash(&mut hasher);
    hasher.finish()
}

impl Desk {
    pub(crate) fn new(limit: usize) -> Self {
        let store = Arc::new(InMemory::new());
        let url = url::Url::parse("memory:///landing/").expect("a URL");
        let source = Source { kind: SourceKind::Folder, name: "things".to_owned() };
        let place = Place::Remote(Arc::clone(&store) as Arc<dyn ObjectStore>, url);
        // Buffers in memory, where there is a folder for that.
        let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let folder = Folder::new(source, place, scratch.ok());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let reader = Reader::new(folder, &things(), limit);
        let spare = (0..READINGS).map(|_| Reading::with_room()).collect();
        let runtime = runtime.expect("a runtime");
        Self { runtime, store, reader, limit, spare: RefCell::new(spare) }
    }

    /// Takes back the room of a reading.
    pub(crate) fn done(&self, mut reading: Reading) {
        (reading.fault, reading.n_records, reading.n_refused) = (None, 0, 0);
        reading.had_fault = false;
        reading.items.clear();
        reading.runs.clear();
        reading.texts.clear();
        reading.has_more = false;
        self.spare.borrow_mut().push(reading);
    }

    /// Reads a file that was seen when it ended at each of `ends`, the last of which is its size. Its
    /// bytes are those of the case: the store holds no copy, which would count as memory of the reader.
    pub(crate) fn read(
        &self,
        name: &str,
        bytes: &Bytes,
        ends: &[usize],
        text: Text,
    ) -> Result<Reading, String> {
        let mut reading = self.spare.borrow_mut().pop().unwrap_or_else(Reading::with_room);
        let mut last: Option<Range> = None;
        // An empty file is never listed.
        for end in ends.iter().copied().filter(|end| *end > 0) {
            let seen = bytes.slice(..end);
            let mut next = range(name, &seen);
            if let Some(last) = &last {
                let resume = self.runtime.block_on(self.reader.behind(last));
                let resume = resume.map_err(|error| error.report())?;
                (next.start, next.resume) = (last.end, Some(resume));
            }
            last = Some(next.clone());
            let batch = Batch { number: 0, ranges: vec![next] };
            reading.begin();
            self.batch(name, seen, &batch, text, &mut reading)?;
        }
        Ok(reading)
    }

    fn batch(
        &self,
        name: &str,
        seen: Bytes,
        batch: &Batch,
        text: Text,
        reading: &mut Reading,
    ) -> Result<(), String> {
        self.runtime.block_on(async {
            let put = self.store.put(&Path::from(name), seen.into()).await;
            put.map_err(|cause| cause.to_string())?;
            let (sender, mut receiver) = mpsc::channel(1);
            let read = async {
                let read = self.reader.read(batch, &sender).await;
                drop(sender);
                read
            };
            let hear = async {
                let mut heard = Ok(());
                while let Some(chunk) = receiver.recv().await {
                    if heard.is_ok() {
                        heard = reading.hear(&chunk, self.limit, text);
                    }
                }
                heard
            };
            let (read, heard) = tokio::join!(read, hear);
            heard?;
            read.map(|_| ()).map_err(|error| format!("the run would end: {}", error.report()))
        })
    }
}

fn range(name: &str, seen: &Bytes) -> Range {
    let edge = usize::try_from(MARK_BYTES).unwrap_or(usize::MAX).min(seen.len());
    Range {
        path: name.to_owned(),
        start: 0,
        end: seen.len() as u64,
        size: seen.len() as u64,
        modified_ms: 0,
        mark: mark(&seen[..edge], &seen[seen.len() - edge..]),
        resume: None,
    }
}

impl Reading {
    fn with_room() -> Self {
        let (items, runs) = (Vec::with_capacity(ITEMS_MAX), Vec::with_capacity(ITEMS_MAX));
        Self { items, runs, ..Self::default() }
    }

    /// A new look at the file begins.
    fn begin(&mut self) {
        self.had_fault |= self.fault.take().is_some();
    }

    fn hear(&mut self, chunk: &Chunk, limit: usize, text: Text) -> Result<(), String> {
        if let Some((position, _)) = &self.fault {
            return Err(format!("something follows the fault at position {position}"));
        }
        // What no look can read does not become readable by growing.
        if self.had_fault && !matches!(chunk.body, Body::Fault { .. }) {
            return Err("something follows the fault of an earlier look".to_owned());
        }
        match &chunk.body {
            Body::Lines { first, bytes } => {
                let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n');
                for (position, line) in (*first..).zip(lines) {
                    // A blank line is no record, and in a list that follows its position counts anew.
                    if !line.trim_ascii().is_empty() {
                        self.record(position, line, limit, text)?;
                        self.run(position, position + 1);
                    }
                }
            }
            Body::Records { bytes, records } => {
                for record in records {
                    let span = record.span.clone().and_then(|span| bytes.get(span));
                    let line = span.ok_or("a record lies outside of its chunk")?;
                    self.record(record.position, line, limit, text)?;
                    self.run(record.position, record.position + 1);
                }
            }
            Body::Refused { bytes, records } => {
                for (record, reject) in records {
                    let span = record.span.clone();
                    if span.is_some_and(|span| bytes.get(span).is_none_or(|raw| raw.len() > limit))
                    {
                        return Err("what was refused lies outside, or is too large".to_owned());
                    }
                    self.n_refused += 1;
                    self.item(record.position, What::Refused(reject.class));
                    self.run(record.position, record.position + 1);
                }
            }
            Body::Fault { position, message } => {
                self.had_fault = false;
                self.n_refused += 1;
                self.fault = Some((*position, message.clone()));
            }
        }
        Ok(())
    }

    fn record(
        &mut self,
        position: i64,
        line: &[u8],
        limit: usize,
        text: Text,
    ) -> Result<(), String> {
        if line.len() > limit {
            return Err(format!("the record at {position} has {} bytes", line.len()));
        }
        let is_json = || serde_json::from_slice::<IgnoredAny>(line).is_ok();
        if text != Text::Theirs && std::str::from_utf8(line).is_ok() && !is_json() {
            return Err(format!(
                "the record at {position} is no JSON: {}",
                String::from_utf8_lossy(line)
            ));
        }
        self.n_records += 1;
        self.item(position, What::Record(hash(line)));
        if text == Text::Kept {
            self.texts.insert(position, String::from_utf8_lossy(line).into_owned());
        }
        Ok(())
    }

    fn item(&mut self, position: i64, what: What) {
        if self.items.len() < ITEMS_MAX {
            self.items.push(Item { position, what });
        } else {
            self.has_more = true;
        }
    }

    fn run(&mut self, first: i64, end: i64) {
        let n = self.runs.len();
        match self.runs.last_mut() {
            Some(run) if run.1 == first => run.1 = end,
            _ if n < ITEMS_MAX => self.runs.push((first, end)),
            _ => self.has_more = true,
        }
    }

    /// Puts the items in order; each position is somebody's once, and none is behind the fault.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        self.runs.sort_unstable();
        for pair in self.runs.windows(2) {
            if pair[0].1 > pair[1].0 {
                return Err(format!("position {} is there twice", pair[1].0));
            }
        }
        let end = self.runs.last().map_or(0, |run| run.1);
        if self.runs.first().is_some_and(|run| run.0 < 0) {
            return Err("a position is negative".to_owned());
        }
        if let Some((position, message)) = &self.fault
            && *position < end
        {
            return Err(format!("the fault is at {position}, before {end}: {message}"));
        }
        self.items.sort_unstable_by_key(|item| item.position);
        Ok(())
    }

    /// Whether the file was refused as a whole.
    pub(crate) fn expect_refused(&self) -> Result<(), String> {
        match self.fault {
            Some(_) if self.items.is_empty() => Ok(()),
            _ => Err(format!("{} items came of a text that is packed twice", self.items.len())),
        }
    }

    /// Whether these items came, and nothing else.
    pub(crate) fn expect(&self, expected: &[Item]) -> Result<(), String> {
        if self.has_more {
            return Err("more came than a case has".to_owned());
        }
        if let Some((position, message)) = &self.fault {
            return Err(format!("an undamaged file has a fault at {position}: {message}"));
        }
        for (i, expected) in expected.iter().enumerate() {
            match self.items.get(i) {
                Some(item) if item == expected => {}
                item => {
                    return Err(format!("item {i} is {item:?}, expected was {expected:?}"));
                }
            }
        }
        match self.items.get(expected.len()) {
            Some(item) => Err(format!("{item:?} was not expected")),
            None => Ok(()),
        }
    }
}

/// How a text is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packed {
    Gzip,
    Zstd,
}

impl Packed {
    fn ending(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// Packs a text, in two members or frames cut at `at`.
    fn pack(self, text: &[u8], at: usize) -> Vec<u8> {
        let at = at.min(text.len());
        [&text[..at], &text[at..]].iter().flat_map(|part| self.member(part)).collect()
    }

    fn member(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Gzip => {
                let level = flate2::Compression::fast();
                let mut packer = flate2::write::GzEncoder::new(Vec::new(), level);
                packer.write_all(text).expect("a Vec takes every byte");
                packer.finish().expect("a Vec takes every byte")
            }
            Self::Zstd => zstd::encode_all(text, 1).expect("a Vec takes every byte"),
        }
    }
}

/// A file of text, and in some cases the same text packed.
pub(crate) struct Landed {
    pub(crate) name: String,
    pub(crate) bytes: Bytes,
    /// Where a growing file was seen to end; the last is its size.
    pub(crate) ends: Vec<usize>,
    /// The name and the bytes of the packed one.
    packed: Option<(String, Bytes)>,
    /// Whether that was damaged behind the packing.
    pub(crate) is_damaged: bool,
}

impl Landed {
    /// A text with the ends at which it was seen, one in two packed as well.
    pub(crate) fn new(
        dice: &mut Dice,
        name: String,
        text: Vec<u8>,
        ends: Vec<usize>,
        may_be_damaged: bool,
    ) -> Self {
        let how = match dice.below(4) {
            0 => Some(Packed::Gzip),
            1 => Some(Packed::Zstd),
            _ => None,
        };
        let mut is_damaged = false;
        let packed = how.map(|how| {
            let mut packed = how.pack(&text, dice.below(text.len() + 1));
            is_damaged = dice.once_in(4) && may_be_damaged;
            if is_damaged {
                dice.damage(&mut packed, &[]);
            }
            (format!("{name}{}", how.ending()), packed.into())
        });
        Self { name, bytes: text.into(), ends, packed, is_damaged }
    }

    /// A file that is there only packed.
    pub(crate) fn only_packed(name: &str, how: Packed, text: &[u8]) -> Self {
        let bytes = how.pack(text, usize::MAX);
        let ends = vec![bytes.len()];
        let name = format!("{name}{}", how.ending());
        Self { name, bytes: bytes.into(), ends, packed: None, is_damaged: false }
    }

    /// Whether the text begins as packed files do. It is unpacked as one then, whatever its name: what
    /// comes of it is another text, and packed once more it is refused.
    pub(crate) fn looks_packed(&self) -> bool {
        self.bytes.starts_with(b"\x1f\x8b") || self.bytes.starts_with(b"\x28\xb5\x2f\xfd")
    }

    pub(crate) fn files(&self) -> Vec<(String, &[u8])> {
        let packed = self.packed.as_ref();
        let plain = (self.name.clone(), self.bytes.as_ref());
        let packed = packed.map(|(name, bytes)| (name.clone(), bytes.as_ref()));
        [plain].into_iter().chain(packed).collect()
    }

    /// What the packed one comes to, if there is one.
    pub(crate) fn unpacked(&self, desk: &Desk, text: Text) -> Result<Option<Reading>, String> {
        let packed = self.packed.as_ref();
        packed.map(|(name, bytes)| desk.read(name, bytes, &[bytes.len()], text)).transpose()
    }
}

/// Up to three ends at which a growing file was seen, and its size.
pub(crate) fn ends(dice: &mut Dice, size: usize) -> Vec<usize> {
    let n = dice.below(4);
    let mut ends: Vec<usize> = (0..n).map(|_| dice.below(size + 1)).collect();
    ends.push(size);
    ends.retain(|end| *end > 0);
    ends.sort_unstable();
    ends.dedup();
    ends
}
