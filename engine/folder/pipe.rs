//! Bytes of a stored file on their way to a thread that reads them as text, unpacked.

use std::io::{self, Read};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Packing;
use super::place::{Place, Unread};
use crate::error::{Error, Result};

/// Bytes fetched from the store at once.
pub(super) const FETCH_BYTES: u64 = 4 << 20;

/// Bytes from the fetching task, as a blocking reader.
#[derive(Debug)]
pub(super) struct Pipe {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                Some(bytes) => self.rest = bytes?,
                None => return Ok(0),
            }
        }
        let n = buffer.len().min(self.rest.len());
        buffer[..n].copy_from_slice(&self.rest.split_to(n));
        Ok(n)
    }
}

/// The window that a frame of zstd may ask for, as a power of two: more is a bomb.
pub(super) const WINDOW_LOG_MAX: u32 = 27;

/// Whether a frame of zstd asked for a larger window.
pub(super) fn is_of_window(cause: &io::Error) -> bool {
    cause.to_string().contains("requires too much memory")
}

/// The text of a file.
pub(super) fn unpacked(bytes: Pipe, packing: Packing) -> Box<dyn Read> {
    match packing {
        Packing::Plain => Box::new(bytes),
        Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
        Packing::Zstd => {
            let decoder = zstd::Decoder::new(bytes).and_then(|mut decoder| {
                decoder.window_log_max(WINDOW_LOG_MAX)?;
                Ok(decoder)
            });
            match decoder {
                Ok(decoder) => Box::new(decoder),
                Err(cause) => Box::new(Broken(Some(cause))),
            }
        }
    }
}

/// A reader that could not be made: its error shows when it is read.
pub(super) struct Broken(pub(super) Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Reads until the buffer is full, the text ends, or cannot be read further.
pub(super) fn fill(text: &mut dyn Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut n = 0;
    while n < buffer.len() {
        match text.read(&mut buffer[n..]) {
            Ok(0) => break,
            Ok(read) => n += read,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return (n, Some(cause)),
        }
    }
    (n, None)
}

/// Feeds bytes of a file to `work`, which runs on a thread that may wait. `first` are the bytes at
/// the range's start, as far as they were fetched already.
///
/// # Errors
/// What the store says. `work` hears only that it cannot read on, so that it takes nothing half.
pub(super) async fn through<T, F>(
    place: &Place,
    path: &str,
    range: std::ops::Range<u64>,
    first: Bytes,
    work: F,
) -> Result<(T, Option<Unread>)>
where
    T: Send + 'static,
    F: FnOnce(Pipe) -> T + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(2);
    let worker = tokio::task::spawn_blocking(move || work(Pipe { receiver, rest: Bytes::new() }));
    let mut at = range.start + first.len() as u64;
    let mut unread = None;
    let mut fetched = Ok(first);
    loop {
        let is_heard = match fetched {
            Ok(bytes) => sender.send(Ok(bytes)).await.is_ok(),
            Err(error) => {
                let cut = io::Error::new(io::ErrorKind::UnexpectedEof, "the file is cut off");
                let _ = sender.send(Err(cut)).await;
                unread = Some(error);
                false
            }
        };
        if !is_heard || at >= range.end {
            break;
        }
        let end = range.end.min(at + FETCH_BYTES);
        fetched = place.bytes(path, at..end).await;
        at = end;
    }
    drop(sender);
    let done = worker.await.map_err(|cause| Error::internal("a reader broke").caused_by(cause))?;
    Ok((done, unread))
}
