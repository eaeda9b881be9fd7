//! Where to go on in a topic, from what the table knows and what the cluster still has; and what
//! is lost if the two do not meet.

use std::fmt::{self, Write as _};

use crate::contract::TableName;
use crate::error::{Error, Result};

/// What a partition holds now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset that is still there.
    pub low: i64,
    /// The offset behind the last committed record.
    pub end: i64,
}

/// Which topic a table was read from. A topic that was made anew under its old name has another id
/// and begins with offset 0; where that was accepted, progress is counted under a new number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The cluster's id of the topic; empty if the cluster has none.
    pub id: String,
    /// How many times the offsets began anew.
    pub generation: u32,
}

impl Lineage {
    /// As the table's property has it: `ID`, or `ID#2` after offsets began anew twice.
    pub fn parse(text: &str) -> Self {
        let parsed = text.rsplit_once('#').and_then(|(id, n)| Some((id, n.parse().ok()?)));
        match parsed {
            Some((id, generation)) => Self { id: id.to_owned(), generation },
            None => Self { id: text.to_owned(), generation: 0 },
        }
    }

    /// The text of the property.
    pub fn property(&self) -> String {
        match self.generation {
            0 => self.id.clone(),
            n => format!("{}#{n}", self.id),
        }
    }

    /// The application id of a partition's `txn`, whose version is the next offset:
    /// `kafka:TOPIC/PARTITION`, or `kafka:TOPIC#2/PARTITION`.
    pub fn app(&self, source: &str, partition: i32) -> String {
        format!("{}/{partition}", self.source(source))
    }

    /// The source with its generation, `kafka:TOPIC#2`, as quarantine has it: records of a topic that
    /// was made anew stand at the same offsets as those of the old one.
    pub fn source(&self, source: &str) -> String {
        match self.generation {
            0 => source.to_owned(),
            n => format!("{source}#{n}"),
        }
    }

    /// Whether an id is that of another topic. One that is not known is no other.
    pub fn is_another(&self, id: &str) -> bool {
        !self.id.is_empty() && !id.is_empty() && self.id != id
    }
}

/// What quarantine notes of a topic before the table does: which one it is, and at which offset of
/// each partition the table begins with it, so that a run that is cut short is taken up there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Which topic.
    pub lineage: Lineage,
    /// By partition.
    pub begin: Vec<i64>,
}

impl Note {
    /// As the property has it: `ID#1@50,7`; `None` if it is no note.
    pub fn parse(text: &str) -> Option<Self> {
        let (lineage, begin) = text.split_once('@')?;
        let begin = begin.split(',').filter(|offset| !offset.is_empty()).map(str::parse);
        Some(Self {
            lineage: Lineage::parse(lineage),
            begin: begin.collect::<Result<_, _>>().ok()?,
        })
    }

    /// The text of the property.
    pub fn property(&self) -> String {
        let begin: Vec<String> = self.begin.iter().map(i64::to_string).collect();
        format!("{}@{}", self.lineage.property(), begin.join(","))
    }
}

/// What a table knows of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Which topic it was; `None` if the table never read it.
    pub lineage: Option<Lineage>,
    /// By partition, the next offset; `None` for one that it never saw.
    pub next: Vec<Option<i64>>,
}

/// Records that the table has not, and the cluster neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Retention, or a person, deleted them.
    Deleted { partition: i32, next: i64, low: i64 },
    /// The partition ends before the place that the table has read to: it was cut off.
    Beyond { partition: i32, next: i64, end: i64 },
    /// The topic was deleted and made anew; of the old one the table has what is before `next`.
    Remade { was: String, is: String, next: Vec<Option<i64>> },
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deleted { partition, next, low } => write!(
                f,
                "partition {partition}: offsets {next} to {} are gone, the first that is left is {low}",
                low - 1
            ),
            Self::Beyond { partition, next, end } => write!(
                f,
                "partition {partition}: the table has read up to offset {next}, and the partition ends at {end}"
            ),
            Self::Remade { was, is, next } => write!(
                f,
                "the topic was deleted and made anew (its id was {was}, and is {is}): of the old one is gone what was {}",
                unread(next)
            ),
        }
    }
}

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The topic from now on.
    pub lineage: Lineage,
    /// By partition, the first offset to read.
    pub offsets: Vec<i64>,
    /// What is lost, if that was accepted.
    pub lost: Vec<Loss>,
}

/// Decides where each partition goes on. A partition that is new in a topic that the table knows
/// begins with offset 0; those of an unknown topic begin at `begin`.
///
/// # Errors
/// What is lost, if `accept_loss` does not say that this is known.
pub fn start(
    known: &Known,
    id: &str,
    bounds: &[Bounds],
    begin: &[i64],
    accept_loss: bool,
) -> Result<Start, Vec<Loss>> {
    let Some(lineage) = &known.lineage else {
        let lineage = Lineage { id: id.to_owned(), generation: 0 };
        return Ok(Start { lineage, offsets: begin.to_vec(), lost: Vec::new() });
    };
    let lost: Vec<Loss> = if lineage.is_another(id) {
        let next = known.next.clone();
        vec![Loss::Remade { was: lineage.id.clone(), is: id.to_owned(), next }]
    } else {
        // A partition that is not there any more holds nothing.
        let nothing = Bounds { low: 0, end: 0 };
        (0..bounds.len().max(known.next.len()))
            .zip(0..)
            .filter_map(|(at, partition)| {
                let next = known.next.get(at).copied().flatten().unwrap_or(0);
                let Bounds { low, end } = bounds.get(at).copied().unwrap_or(nothing);
                match () {
                    () if next < low => Some(Loss::Deleted { partition, next, low }),
                    () if next > end => Some(Loss::Beyond { partition, next, end }),
                    () => None,
                }
            })
            .collect()
    };
    if !lost.is_empty() && !accept_loss {
        return Err(lost);
    }
    let anew = lost.iter().any(|loss| !matches!(loss, Loss::Deleted { .. }));
    let remade = lost.iter().any(|loss| matches!(loss, Loss::Remade { .. }));
    let id = if id.is_empty() { lineage.id.clone() } else { id.to_owned() };
    let generation = lineage.generation + u32::from(anew);
    let offsets = bounds.iter().enumerate().map(|(at, bounds)| {
        let next = known.next.get(at).copied().flatten().unwrap_or(0);
        if remade { bounds.low } else { next.clamp(bounds.low, bounds.end.max(bounds.low)) }
    });
    let offsets = offsets.collect();
    Ok(Start { lineage: Lineage { id, generation }, offsets, lost })
}

/// Where the records stood that a table never read, if there were any.
fn unread(next: &[Option<i64>]) -> String {
    let places = (0..).zip(next).filter_map(|(partition, next): (i32, _)| {
        next.map(|next| format!("at offset {next} and behind in partition {partition}"))
    });
    let places = places.collect::<Vec<_>>().join(", ");
    if places.is_empty() { "not read".to_owned() } else { places }
}

/// The loud stop: what is lost, and the ways out.
pub fn stop(table: &TableName, source: &str, lost: &[Loss]) -> Error {
    let mut text = format!("{table}: records of {source} are lost");
    for loss in lost {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {loss}");
    }
    Error::data(text).hint(format!(
        "if the records exist elsewhere, bring them back first (a backup, a longer retention, the old topic under another name as a further source); to go on without them, run once: lake run {} --accept-loss {source}",
        table.layer
    ))
}

/// The loud stop for a topic that the table has read and the cluster no longer has.
pub fn gone(table: &TableName, source: &str, known: &Known) -> Error {
    Error::data(format!(
        "{table}: {source} is gone: the cluster has no such topic, and the table has not what was {}",
        unread(&known.next)
    ))
    .hint(format!(
        "bring it back; or take it out of the table's lake.source; to go on without it for now: lake run {} --accept-loss {source}",
        table.layer
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(id: &str, next: &[Option<i64>]) -> Known {
        Known { lineage: Some(Lineage::parse(id)), next: next.to_vec() }
    }

    const HELD: [Bounds; 2] = [Bounds { low: 10, end: 50 }, Bounds { low: 0, end: 7 }];

    #[test]
    fn a_note_comes_back_as_it_was_written() {
        for (id, begin) in [("A#1", vec![50, 7]), ("", vec![0]), ("B", Vec::new())] {
            let note = Note { lineage: Lineage::parse(id), begin };
            assert_eq!(Note::parse(&note.property()), Some(note));
        }
        assert_eq!(Note::parse("A#1"), None);
    }

    #[test]
    fn an_unknown_topic_begins_where_it_is_told() {
        let start = start(&Known::default(), "A", &HELD, &[50, 7], false).unwrap();
        assert_eq!(start.offsets, [50, 7]);
        assert_eq!(start.lineage.property(), "A");
    }

    #[test]
    fn a_known_topic_goes_on_and_a_new_partition_begins_at_its_first_record() {
        let start = start(&known("A", &[Some(20)]), "A", &HELD, &[50, 7], false).unwrap();
        assert_eq!(start.offsets, [20, 0]);
    }

    #[test]
    fn what_is_deleted_cut_off_or_made_anew_is_a_loss_that_is_named() {
        let deleted = start(&known("A", &[Some(3), Some(0)]), "A", &HELD, &[], false).unwrap_err();
        assert_eq!(deleted, [Loss::Deleted { partition: 0, next: 3, low: 10 }]);
        let error = stop(&TableName::new("bronze", "t"), "kafka:t", &deleted);
        assert!(error.to_string().contains("offsets 3 to 9 are gone"), "{error}");
        let beyond = start(&known("A", &[Some(20), Some(9)]), "A", &HELD, &[], false).unwrap_err();
        assert_eq!(beyond, [Loss::Beyond { partition: 1, next: 9, end: 7 }]);
        let remade = start(&known("A", &[Some(20), Some(7)]), "B", &HELD, &[], false).unwrap_err();
        let text = stop(&TableName::new("bronze", "t"), "kafka:t", &remade).to_string();
        assert!(text.contains("was A, and is B") && text.contains("at offset 20 and"), "{text}");
        let fewer = start(&known("", &[Some(20), Some(7), Some(4)]), "", &HELD, &[], false);
        assert_eq!(fewer.unwrap_err(), [Loss::Beyond { partition: 2, next: 4, end: 0 }]);
        // A partition that grew up unseen and lost records before it was looked at.
        let low = [HELD[0], Bounds { low: 2, end: 7 }];
        assert!(start(&known("A", &[Some(20)]), "A", &low, &[], false).is_err());
    }

    #[test]
    fn an_accepted_loss_goes_on_at_what_is_left() {
        let go = |known: &Known, id: &str| start(known, id, &HELD, &[], true).unwrap();
        let deleted = go(&known("A", &[Some(3), Some(5)]), "A");
        assert_eq!((deleted.offsets, deleted.lineage.generation), (vec![10, 5], 0));
        let beyond = go(&known("A", &[Some(20), Some(9)]), "A");
        assert_eq!((beyond.offsets, beyond.lineage.generation), (vec![20, 7], 1));
        let remade = go(&known("A#1", &[Some(20), Some(7)]), "B");
        assert_eq!(remade.offsets, [10, 0]);
        assert_eq!(remade.lineage.property(), "B#2");
        assert_eq!(remade.lineage.app("kafka:t", 1), "kafka:t#2/1");
    }
}
