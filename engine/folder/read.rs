//! Reads the files of a batch and cuts them into chunks of whole records.
//!
//! A batch is read exactly as it was listed: a file that is another one now is not taken for it.
//! What cannot be read is decided, too, or it would stop the table for ever.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::cut::Cutter;
use super::pipe::{FETCH_BYTES, Pipe, fill, through, unpacked};
use super::place::Unread;
use super::{Folder, Format, Packing, csv, format_of, json, parquet};
use crate::batchlog::{Batch, MARK_BYTES, Range, mark};
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

/// How the reading of a file ended.
struct Ended {
    cutter: Cutter,
    result: Result<()>,
    /// What is not read, for people.
    remark: Option<String>,
}

/// Where the reading of a file that has grown goes on.
#[derive(Clone, Copy, Debug, Default)]
enum Before {
    #[default]
    Nothing,
    Json(json::Place),
    Csv(csv::Place),
}

impl Reader {
    /// A reader of `folder` for the records of a contract, of which none is longer than `limit`.
    pub fn new(folder: Folder, contract: &Contract, limit: usize) -> Self {
        let fields = contract.columns.iter().map(|column| column.field.clone()).collect();
        Self { folder, fields, limit }
    }

    /// Sends the chunks of a batch, in its order; ends early if nobody listens any more. Returns
    /// remarks on what is not whole yet.
    ///
    /// # Errors
    /// What may pass. What does not is decided: a chunk says so.
    pub async fn read(&self, batch: &Batch, chunks: &mpsc::Sender<Chunk>) -> Result<Vec<String>> {
        let mut remarks = Vec::new();
        for range in &batch.ranges {
            if chunks.is_closed() {
                break;
            }
            let place = self.folder.place(&range.path);
            let lost = |_: Unread| {
                Error::data(format!("the file was listed in batch {}, and is gone or another one since: the records that it held then are lost", batch.number))
                    .hint("if they are still somewhere, land them under a new name")
            };
            let read = match self.first(range).await {
                Ok(first) => self.read_range(range, first, chunks, &lost).await,
                Err(Unread::Failed(error)) => Err(error),
                Err(Unread::Denied) => Err(Error::retry("this user may not read the file")
                    .hint("give permission, then run again")),
                // It was there when the batch was written: what is gone is decided as well.
                Err(gone) => {
                    let fault = self.cutter(range, None).fault(&lost(gone));
                    // Nobody listens any more only if the run has failed already.
                    let _ = chunks.send(fault).await;
                    Ok(None)
                }
            };
            let remark = read.map_err(|error| error.at(&place))?;
            remarks.extend(remark.map(|remark| format!("{place}: {remark}")));
        }
        Ok(remarks)
    }

    /// The first bytes of a file, if it is the one that was listed.
    async fn first(&self, range: &Range) -> Result<Bytes, Unread> {
        let end = range.end.min(FETCH_BYTES);
        let first = self.folder.place.bytes(&range.path, 0..end).await?;
        let from = range.end.saturating_sub(MARK_BYTES);
        let last = if range.end <= FETCH_BYTES {
            first.slice(usize::try_from(from).unwrap_or(0)..)
        } else {
            self.folder.place.bytes(&range.path, from..range.end).await?
        };
        let start = usize::try_from(range.end.min(MARK_BYTES)).unwrap_or(0);
        if mark(&first[..start], &last) == range.mark { Ok(first) } else { Err(Unread::Gone) }
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
        lost: &impl Fn(Unread) -> Error,
    ) -> Result<Option<String>> {
        let (format, packing) = format_of(&range.path).unwrap_or((Format::Json, Packing::Plain));
        // What earlier batches took is counted, not decoded: `_offset` numbers a file's records.
        let before = match range.start {
            0 => Before::Nothing,
            start => self.before(range, start, format, packing).await?.0,
        };
        let (from, before) = match (before, packing) {
            // The place is one of the file itself: there it goes on.
            (Before::Json(place), Packing::Plain) => (place.bytes, Before::Json(place.behind())),
            (before, _) => (0, before),
        };
        let first = if from == 0 { first } else { Bytes::new() };
        let cutter = self.cutter(range, Some(chunks.clone()));
        let (folder, fields) = (self.folder.clone(), Arc::clone(&self.fields));
        let work = move |pipe| {
            let mut cutter = cutter;
            let read = guarded(|| match format {
                Format::Parquet => {
                    parquet::parquet(&mut cutter, pipe, packing, &folder, &fields).map(|()| None)
                }
                Format::Csv => csv_text(&mut cutter, pipe, packing, before, &fields),
                Format::Json => json_text(&mut cutter, pipe, packing, before),
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
            (Some(Unread::Failed(error)), _) => return Err(error),
            (Some(Unread::Denied), _) => {
                return Err(Error::retry("this user may not read the file any more"));
            }
            (Some(gone), _) => lost(gone),
            (None, Err(error)) if error.kind() == Kind::Data => error,
            (None, Err(error)) => return Err(error),
            (None, Ok(())) => return Ok(remark),
        };
        // Nobody listens any more only if the run has failed already.
        let _ = chunks.send(cutter.fault(&fault)).await;
        Ok(None)
    }

    /// What earlier batches took of a file: of the stored bytes before `start`. And whether that
    /// ended in a row of CSV that has no line's end.
    async fn before(
        &self,
        range: &Range,
        start: u64,
        format: Format,
        packing: Packing,
    ) -> Result<(Before, bool)> {
        let (mut cutter, fields) = (self.cutter(range, None), Arc::clone(&self.fields));
        let count = move |pipe| {
            let mut text = unpacked(pipe, packing);
            if format == Format::Json {
                let may_grow = packing == Packing::Plain;
                let end = json::json(&mut cutter, text, json::Place::default(), may_grow);
                return (Before::Json(end.place), false);
            }
            let end = csv::csv(&mut cutter, &mut text, csv::Place::default(), &fields);
            let end = end.unwrap_or_default();
            (Before::Csv(end.place), end.is_open)
        };
        let place = &self.folder.place;
        let (before, unread) = through(place, &range.path, 0..start, Bytes::new(), count).await?;
        match unread {
            None => Ok(before),
            Some(Unread::Failed(error)) => Err(error),
            Some(_) => Err(Error::retry("the file went away while it was read")),
        }
    }
}

impl Folder {
    /// Whether what a file of CSV has grown by begins within the last row that was taken.
    pub(super) async fn cuts_a_row(
        &self,
        reader: &Reader,
        range: &Range,
        packing: Packing,
    ) -> Result<bool, Unread> {
        let (path, start) = (&range.path, range.start);
        if packing == Packing::Plain {
            let edge = self.place.bytes(path, start - 1..start + 1).await?;
            if edge.contains(&b'\n') || edge.contains(&b'\r') {
                return Ok(false);
            }
        }
        let before = reader.before(range, start, Format::Csv, packing).await;
        let (Before::Csv(before), true) = before.map_err(Unread::Failed)? else { return Ok(false) };
        let next = move |pipe| {
            let mut text = unpacked(pipe, packing);
            let _ = io::copy(&mut text.by_ref().take(before.bytes), &mut io::sink());
            let mut next = [0];
            text.read_exact(&mut next).is_ok_and(|()| !matches!(next[0], b'\n' | b'\r'))
        };
        let read = through(&self.place, path, 0..range.end, Bytes::new(), next).await;
        match read.map_err(Unread::Failed)? {
            (cuts, None) => Ok(cuts),
            (_, Some(unread)) => Err(unread),
        }
    }
}

fn json_text(
    cutter: &mut Cutter,
    pipe: Pipe,
    packing: Packing,
    before: Before,
) -> Result<Option<String>> {
    let from = if let Before::Json(place) = before { place } else { json::Place::default() };
    let is_start = matches!(before, Before::Nothing);
    let text = encoded(unpacked(pipe, packing), is_start)?;
    let end = json::json(cutter, text, from, packing == Packing::Plain);
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
    pipe: Pipe,
    packing: Packing,
    before: Before,
    fields: &[TypedField],
) -> Result<Option<String>> {
    let from = if let Before::Csv(place) = before { place } else { csv::Place::default() };
    let mut text = encoded(unpacked(pipe, packing), true)?;
    let end = csv::csv(cutter, &mut text, from, fields)?;
    end.fault.map_or(Ok(None), |cause| Err(damaged(packing, cause)))
}

/// A text, unless its first bytes say that it is no UTF-8.
fn encoded(mut text: Box<dyn Read>, is_start: bool) -> Result<Box<dyn Read>> {
    if !is_start {
        return Ok(text);
    }
    let mut first = [0; 2];
    let (n, fault) = fill(text.as_mut(), &mut first);
    let is_utf16 = match first[..n] {
        [0xff, 0xfe] | [0xfe, 0xff] => true,
        [0, other] | [other, 0] => other != 0,
        _ => false,
    };
    if is_utf16 {
        return Err(Error::data("the text is UTF-16 or UTF-32")
            .hint("write it as UTF-8, and land it under a new name"));
    }
    let first = io::Cursor::new(first[..n].to_vec());
    match fault {
        // Said again, where it belongs.
        Some(cause) => Ok(Box::new(first.chain(super::pipe::Broken(Some(cause))))),
        None => Ok(Box::new(first.chain(text))),
    }
}

fn damaged(packing: Packing, cause: io::Error) -> Error {
    let what = match packing {
        Packing::Plain => "the file cannot be read further",
        _ => "the file is damaged, or is not packed as its name says",
    };
    Error::data(what).hint(LAND_AGAIN).caused_by(cause)
}
