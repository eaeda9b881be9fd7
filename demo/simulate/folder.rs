//! Writes simulated records into a landing folder, one JSON object a line.
//!
//! A file is called `.part` until it is complete, so that a run beside the simulator never reads
//! half a file. The catalogue is completed before the first event, for the same reader's sake.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use engine::error::{Error, Result};

use super::Sink;

/// A file is complete at about this size.
const FILE_BYTES: u64 = 100_000_000;
const BUFFER_BYTES: usize = 1 << 20;

/// A landing folder with `events/<label>-00000.ndjson` … and `videos/<label>-00000.ndjson` ….
#[derive(Debug)]
pub(crate) struct FolderSink {
    events: Parts,
    videos: Parts,
}

impl FolderSink {
    /// Creates the folders under `dir`; files of the same label that are there are left alone.
    pub(crate) fn new(dir: &Path, label: &str) -> Result<Self> {
        Ok(Self {
            events: Parts::new(dir.join("events"), label)?,
            videos: Parts::new(dir.join("videos"), label)?,
        })
    }
}

impl Sink for FolderSink {
    fn event(&mut self, _key: &str, line: &[u8]) -> Result<()> {
        // Later video records, a few changed titles, share one file.
        if self.videos.count == 1 {
            self.videos.complete()?;
        }
        self.events.write(line)
    }

    fn video(&mut self, _key: &str, line: &[u8]) -> Result<()> {
        self.videos.write(line)
    }

    /// Completes the last files. Without it they stay `.part`.
    fn finish(&mut self) -> Result<()> {
        self.videos.complete()?;
        self.events.complete()
    }
}

/// A row of numbered files, of which the last may be open.
#[derive(Debug)]
struct Parts {
    dir: PathBuf,
    label: String,
    count: u32,
    open: Option<Part>,
}

#[derive(Debug)]
struct Part {
    file: BufWriter<File>,
    unfinished: PathBuf,
    finished: PathBuf,
    bytes: u64,
}

impl Parts {
    fn new(dir: PathBuf, label: &str) -> Result<Self> {
        fs::create_dir_all(&dir)
            .map_err(|e| Error::io(format!("cannot create {}", dir.display()), e))?;
        let first = dir.join(format!("{label}-00000.ndjson"));
        if first.exists() {
            return Err(Error::usage(format!("{} is there already", first.display()))
                .hint("choose another --seed, --start or folder: files that were read once must not change"));
        }
        Ok(Self { dir, label: label.to_owned(), count: 0, open: None })
    }

    fn write(&mut self, line: &[u8]) -> Result<()> {
        if self.open.as_ref().is_some_and(|part| part.bytes >= FILE_BYTES) {
            self.complete()?;
        }
        let mut part = match self.open.take() {
            Some(part) => part,
            None => self.begin()?,
        };
        let written = part.file.write_all(line).and_then(|()| part.file.write_all(b"\n"));
        written.map_err(|e| cannot_write(&part.unfinished, e))?;
        part.bytes += line.len() as u64 + 1;
        self.open = Some(part);
        Ok(())
    }

    fn begin(&mut self) -> Result<Part> {
        let finished = self.dir.join(format!("{}-{:05}.ndjson", self.label, self.count));
        let unfinished = finished.with_extension("ndjson.part");
        let file = File::create(&unfinished).map_err(|e| cannot_write(&unfinished, e))?;
        self.count += 1;
        Ok(Part {
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            unfinished,
            finished,
            bytes: 0,
        })
    }

    fn complete(&mut self) -> Result<()> {
        let Some(mut part) = self.open.take() else { return Ok(()) };
        part.file
            .flush()
            .and_then(|()| fs::rename(&part.unfinished, &part.finished))
            .map_err(|e| cannot_write(&part.unfinished, e))
    }
}

fn cannot_write(path: &Path, cause: std::io::Error) -> Error {
    Error::io(format!("cannot write {}", path.display()), cause)
}
