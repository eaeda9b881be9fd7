//! Rows in parts: where the pages of all columns do not fit into memory together, some columns are
//! read at a time and lie in a file as lines of JSON until all of them are there.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};

use super::cut::{Cutter, too_large};
use super::parquet::Sink;
use crate::decode::{Class, Reject};

/// Bytes of one part that are read or written at once.
const BUFFER_BYTES: usize = 16 << 10;
/// What a row begins with that cannot be taken.
const REFUSED: u8 = b'!';
/// The classes of such rows.
const CLASSES: [Class; 5] =
    [Class::TooLarge, Class::OutOfRange, Class::WrongType, Class::NotUtf8, Class::DuplicateField];

/// Where the rows of some columns are put.
pub(super) struct Spill {
    file: BufWriter<File>,
    limit: usize,
    fault: Option<io::Error>,
}

impl Spill {
    pub(super) fn new(file: File, limit: usize) -> Self {
        Self { file: BufWriter::with_capacity(BUFFER_BYTES, file), limit, fault: None }
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Err(cause) = self.file.write_all(bytes) {
            self.fault.get_or_insert(cause);
        }
    }

    /// The file, at its start.
    ///
    /// # Errors
    /// It could not be written.
    pub(super) fn written(self) -> io::Result<File> {
        if let Some(cause) = self.fault {
            return Err(cause);
        }
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(file)
    }

    /// Puts the parts of each row together.
    ///
    /// # Errors
    /// A part cannot be read.
    pub(super) fn merge(parts: Vec<File>, n_rows: u64, cutter: &mut Cutter) -> io::Result<()> {
        let reader = |file| BufReader::with_capacity(BUFFER_BYTES, file);
        let mut parts: Vec<_> = parts.into_iter().map(reader).collect();
        let (mut record, mut part_of_it) = (Vec::new(), Vec::new());
        for _ in 0..n_rows {
            if !cutter.is_heard() {
                return Ok(());
            }
            record.clear();
            let mut reject = None;
            for part in &mut parts {
                part_of_it.clear();
                part.read_until(b'\n', &mut part_of_it)?;
                let text = part_of_it.strip_suffix(b"\n").unwrap_or(&part_of_it);
                if let Some(refused) = text.strip_prefix(&[REFUSED]) {
                    reject.get_or_insert_with(|| rejected(refused));
                } else if record.len() + text.len() > cutter.limit {
                    reject = Some(too_large(cutter.limit));
                } else if reject.is_none() {
                    join(&mut record, text);
                }
            }
            match reject {
                None => cutter.record(&record),
                Some(reject) => cutter.refuse(reject, &[]),
            }
            cutter.next += 1;
            // One that was large is not kept for all that follow.
            record.shrink_to(BUFFER_BYTES);
            part_of_it.shrink_to(BUFFER_BYTES);
        }
        Ok(())
    }
}

/// Appends the fields of an object to those of another.
fn join(record: &mut Vec<u8>, object: &[u8]) {
    if record.len() <= 2 {
        record.clear();
        record.extend_from_slice(object);
    } else if object.len() > 2 {
        record.pop();
        record.push(b',');
        record.extend_from_slice(&object[1..]);
    }
}

fn rejected(refused: &[u8]) -> Reject {
    let text = String::from_utf8_lossy(refused);
    let (name, message) = text.split_once(' ').unwrap_or(("", &text));
    let class = CLASSES.into_iter().find(|class| class.name() == name);
    Reject::new(class.unwrap_or(Class::TooLarge), message)
}

impl Sink for Spill {
    fn limit(&self) -> usize {
        self.limit
    }

    fn is_open(&self) -> bool {
        self.fault.is_none()
    }

    fn rows(&mut self, lines: Vec<u8>, _: u64) {
        self.write(&lines);
    }

    fn reject(&mut self, reject: Reject) {
        let message = reject.message.replace('\n', " ");
        self.write(format!("!{} {message}\n", reject.class.name()).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_joined() {
        let joined = |parts: &[&str]| {
            let mut record = Vec::new();
            for part in parts {
                join(&mut record, part.as_bytes());
            }
            String::from_utf8(record).unwrap()
        };
        assert_eq!(joined(&[r#"{"a":1}"#, r#"{"b":2,"c":[]}"#]), r#"{"a":1,"b":2,"c":[]}"#);
        assert_eq!(joined(&["{}", r#"{"b":2}"#, "{}"]), r#"{"b":2}"#);
        assert_eq!(joined(&["{}", "{}"]), "{}");
    }

    #[test]
    fn what_was_refused_is_told_as_it_was() {
        let reject = Reject::new(Class::OutOfRange, "`a` is no time of a day");
        let mut spill = Spill::new(tempfile::tempfile().unwrap(), 10);
        spill.reject(reject.clone());
        let mut line = Vec::new();
        BufReader::new(spill.written().unwrap()).read_until(b'\n', &mut line).unwrap();
        assert_eq!(rejected(line[1..].trim_ascii_end()), reject);
    }
}
