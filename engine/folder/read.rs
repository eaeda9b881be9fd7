//! Reads the files of a batch and cuts them into chunks of whole records.
//!
//! A batch is read exactly as it was listed: a file that is another one now is not taken for it.
//! What cannot be read is decided, too, or it would stop the table for ever.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::ops::Range as Span;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::cut::Cutter;
use super::magic::{HEAD_BYTES, check_text, packing_of};
use super::pipe::{FETCH_BYTES, Pipe, WINDOW_LOG_MAX, fill, is_of_window, through, unpacked};
use super::place::Unread;
use super::{Folder, Format, Packing, csv, format_of, json, parquet};
use crate::batchlog::{Batch, Range, Resume, is_marked, mark_bytes};
use crate::chunk::{Chunk, Origin};
use crate::contract::{Contract, TypedField};
use crate::error::{Error, Kind, Result};
use crate::guard::guarded;

const LAND_AGAIN: &str = "land it again under a new name";

/// Reads the batches of a folder.
#[derive(Clone, Debug)]
pub struct Reader {
    folder: Folder,
    fields: Arc<[TypedField]>,
    /// Bytes of a record at most.
    limit: usize,
}

/// What became of the files of a batch.
#[derive(Debug, Default)]
pub struct Done {
    /// Remarks on what is not whole yet.
    pub remarks: Vec<String>,
    /// Files that are not there as they were listed, by their names for people: nothing of their
    /// ranges was read.
    pub away: BTreeSet<String>,
}

/// How the reading of a file ended.
struct Ended {
    cutter: Cutter,
    result: Result<()>,
    /// What is not read, for people.
    remark: Option<String>,
}

impl Reader {
    /// A reader of `folder` for the records of a contract, of which none is longer than `limit`.
    pub fn new(folder: Folder, contract: &Contract, limit: usize) -> Self {
        let fields = contract.columns.iter().map(|column| column.field.clone()).collect();
        Self { folder, fields, limit }
    }

    /// Sends the chunks of a batch, in its order; ends early if nobody listens any more.
    ///
    /// # Errors
    /// What may pass. What does not is decided: a chunk says so.
    pub async fn read(&self, batch: &Batch, chunks: &mpsc::Sender<Chunk>) -> Result<Done> {
        let mut done = Done::default();
        for range in &batch.ranges {
            if chunks.is_closed() {
                break;
            }
            let place = self.folder.place(&range.path);
            let read = match self.first(range).await {
                Ok(first) => self.read_range(range, first, chunks).await,
                Err(Unread::Failed(error)) => Err(error),
                // It was there when the batch was written, and may come back: a disk that is not
                // mounted now. The others are read all the same.
                Err(Unread::Gone | Unread::Denied) => {
                    done.away.insert(place);
                    continue;
                }
            };
            let remark = read.map_err(|error| error.at(&place))?;
            done.remarks.extend(remark.map(|remark| format!("{place}: {remark}")));
        }
        Ok(done)
    }

    /// The first bytes of a file, if it is the one that was listed.
    async fn first(&self, range: &Range) -> Result<Bytes, Unread> {
        let end = range.end.min(FETCH_BYTES);
        let first = self.folder.place.bytes(&range.path, 0..end).await?;
        let n = mark_bytes(&range.mark);
        let from = range.end.saturating_sub(n);
        let last = if range.end <= FETCH_BYTES {
            first.slice(usize::try_from(from).unwrap_or(0)..)
        } else {
            self.folder.place.bytes(&range.path, from..range.end).await?
        };
        let start = usize::try_from(range.end.min(n)).unwrap_or(0);
        if is_marked(&range.mark, &first[..start], &last) { Ok(first) } else { Err(Unread::Gone) }
    }

    fn cutter(&self, range: &Range, chunks: Option<mpsc::Sender<Chunk>>) -> Cutter {
        let origin = Origin::file(&self.folder.place(&range.path), range.modified_ms);
        Cutter::new(origin, self.limit, chunks)
    }

    async fn read_range(
        &self,
        range: &Range,
        first: Bytes,
        chunks: &mpsc::Sender<Chunk>,
    ) -> Result<Option<String>> {
        let (format, packing) = kind_of(&range.path, &first);
        let resume = match (range.start, range.resume) {
            (0, _) => Resume::default(),
            (_, Some(resume)) => resume,
            // A version that did not note it listed the file.
            (start, None) => {
                let counted = self.count(range, Resume::default(), start, (format, packing)).await;
                counted.map_err(went_away)?.0
            }
        };
        let (from, resume) = place_in_file(resume, format, packing);
        let head = first.slice(..first.len().min(HEAD_BYTES));
        let first = if from == 0 { first } else { Bytes::new() };
        let cutter = self.cutter(range, Some(chunks.clone()));
        let (folder, fields) = (self.folder.clone(), Arc::clone(&self.fields));
        let work = move |pipe| {
            let mut cutter = cutter;
            let read = guarded(|| match format {
                Format::Parquet => {
                    parquet::parquet(&mut cutter, pipe, packing, &folder, &fields).map(|()| None)
                }
                Format::Csv => text_of(pipe, packing, &head)
                    .and_then(|text| csv_text(&mut cutter, text, packing, resume, &fields)),
                Format::Json => text_of(pipe, packing, &head)
                    .and_then(|text| json_text(&mut cutter, text, packing, resume)),
            });
            // A reader of a library that gives up at a damaged file must not end the run.
            let read = read.unwrap_or_else(|| {
                Err(Error::data("the file is damaged: its reader gave up").hint(LAND_AGAIN))
            });
            cutter.flush();
            let (remark, result) = match read {
                Ok(remark) => (remark, Ok(())),
                Err(error) => (None, Err(error)),
            };
            Ended { cutter, result, remark }
        };
        let place = &self.folder.place;
        let (ended, unread) = through(place, &range.path, from..range.end, first, work).await?;
        let Ended { cutter, result, remark } = ended;
        let fault = match (unread, result) {
            // The batch is read once more, by the next run.
            (Some(unread), _) => return Err(went_away(unread)),
            (None, Err(error)) if error.kind() == Kind::Data => error,
            (None, Err(error)) => return Err(error),
            (None, Ok(())) => return Ok(remark),
        };
        // Nobody listens any more only if the run has failed already.
        let _ = chunks.send(cutter.fault(&fault)).await;
        Ok(None)
    }

    /// Where a file goes on behind a range that was read.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn behind(&self, read: &Range) -> Result<Resume> {
        self.end_of(read).await.map(|(resume, ..)| resume).map_err(went_away)
    }

    /// Where a file goes on that has grown to `size`; and whether that is within a row of CSV that
    /// was taken, since it had no line's end.
    pub(super) async fn resume(&self, read: &Range, size: u64) -> Result<(Resume, bool), Unread> {
        let (resume, is_open, packing) = self.end_of(read).await?;
        if !is_open {
            return Ok((resume, false));
        }
        let (place, path) = (&self.folder.place, &read.path);
        let is_line_end = |byte: Option<&u8>| matches!(byte, Some(b'\n' | b'\r') | None);
        if packing == Packing::Plain {
            let next = place.bytes(path, resume.bytes..resume.bytes + 1).await?;
            return Ok((resume, !is_line_end(next.first())));
        }
        let next = move |pipe| {
            let mut text = unpacked(pipe, packing);
            let _ = io::copy(&mut text.by_ref().take(resume.bytes), &mut io::sink());
            let mut next = Vec::new();
            let _ = text.take(1).read_to_end(&mut next);
            next.first().copied()
        };
        let read = through(place, path, 0..size, Bytes::new(), next).await;
        match read.map_err(Unread::Failed)? {
            (next, None) => Ok((resume, !is_line_end(next.as_ref()))),
            (_, Some(unread)) => Err(unread),
        }
    }

    async fn end_of(&self, read: &Range) -> Result<(Resume, bool, Packing), Unread> {
        let head = read.end.min(HEAD_BYTES as u64);
        let head = self.folder.place.bytes(&read.path, 0..head).await?;
        let kind = kind_of(&read.path, &head);
        let from = read.resume.unwrap_or_default();
        let (resume, is_open) = self.count(read, from, read.end, kind).await?;
        Ok((resume, is_open, kind.1))
    }

    /// What was taken of a file from a place to the stored bytes before `end` is counted, not
    /// decoded: `_offset` numbers a file's records. The place behind it; and whether that is in a
    /// row of CSV that has no line's end.
    async fn count(
        &self,
        range: &Range,
        from: Resume,
        end: u64,
        (format, packing): (Format, Packing),
    ) -> Result<(Resume, bool), Unread> {
        let (mut cutter, fields) = (self.cutter(range, None), Arc::clone(&self.fields));
        let (start, from) = place_in_file(from, format, packing);
        let count = move |pipe| {
            let mut text = unpacked(pipe, packing);
            if format == Format::Json {
                let end = json::json(&mut cutter, text, from);
                return (Resume { bytes: end.place.bytes + start, ..end.place }, false);
            }
            let end = csv::csv(&mut cutter, &mut text, from, &fields).unwrap_or_default();
            (end.place, end.is_open)
        };
        let span: Span<u64> = start..end;
        let read = through(&self.folder.place, &range.path, span, Bytes::new(), count).await;
        match read.map_err(Unread::Failed)? {
            (counted, None) => Ok(counted),
            (_, Some(unread)) => Err(unread),
        }
    }
}

/// What a file is, by its name and its first bytes.
fn kind_of(path: &str, head: &[u8]) -> (Format, Packing) {
    let (format, named) = format_of(path).unwrap_or((Format::Json, Packing::Plain));
    (format, packing_of(named, head))
}

/// Where to begin in the stored file to go on at a place of its text, and that place as it is seen
/// from there. Lines of plain JSON are found without what stands before them.
fn place_in_file(resume: Resume, format: Format, packing: Packing) -> (u64, Resume) {
    match (format, packing) {
        (Format::Json, Packing::Plain) => (resume.bytes, resume.behind()),
        _ => (0, resume),
    }
}

fn went_away(unread: Unread) -> Error {
    match unread {
        Unread::Failed(error) => error,
        _ => Error::retry("the file went away while it was read"),
    }
}

fn json_text(
    cutter: &mut Cutter,
    text: Box<dyn Read>,
    packing: Packing,
    from: Resume,
) -> Result<Option<String>> {
    let end = json::json(cutter, text, from);
    if let Some(cause) = end.fault {
        return Err(damaged(packing, cause));
    }
    Ok(match end.n_waiting {
        0 if end.is_open() => {
            Some("its list of records is not closed yet, and more may follow".to_owned())
        }
        0 => None,
        n => Some(format!(
            "the last {n} bytes are no whole line yet, and wait for the rest of their record"
        )),
    })
}

fn csv_text(
    cutter: &mut Cutter,
    mut text: Box<dyn Read>,
    packing: Packing,
    from: Resume,
    fields: &[TypedField],
) -> Result<Option<String>> {
    let end = csv::csv(cutter, &mut text, from, fields)?;
    if let Some(cause) = end.fault {
        return Err(damaged(packing, cause));
    }
    Ok((end.n_waiting > 0).then(|| {
        let n = end.n_waiting;
        format!("the last {n} bytes are no whole row yet, and wait for the rest of it")
    }))
}

/// A file's text, unless its first bytes say that it is none; `head` are those of the stored file,
/// since a reading may begin behind them.
fn text_of(pipe: Pipe, packing: Packing, head: &[u8]) -> Result<Box<dyn Read>> {
    let mut text = unpacked(pipe, packing);
    if packing == Packing::Plain {
        return check_text(head).map(|()| text);
    }
    let mut first = [0; HEAD_BYTES];
    let (n, fault) = fill(text.as_mut(), &mut first);
    check_text(&first[..n])?;
    let first = io::Cursor::new(first[..n].to_vec());
    match fault {
        // Said again, where it belongs.
        Some(cause) => Ok(Box::new(first.chain(super::pipe::Broken(Some(cause))))),
        None => Ok(Box::new(first.chain(text))),
    }
}

fn damaged(packing: Packing, cause: io::Error) -> Error {
    if packing == Packing::Zstd && is_of_window(&cause) {
        return Error::data(format!(
            "the file is packed with a window of more than {} MiB",
            (1 << WINDOW_LOG_MAX) >> 20
        ))
        .hint(format!(
            "pack it again with `zstd --long={WINDOW_LOG_MAX}` or without --long, and land it under a new name"
        ));
    }
    let what = match packing {
        Packing::Plain => "the file cannot be read further",
        _ => "the file is damaged, or is not packed as its name says",
    };
    Error::data(what).hint(LAND_AGAIN).caused_by(cause)
}
