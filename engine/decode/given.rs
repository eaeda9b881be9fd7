//! Values that a record has from elsewhere than its own text, as from the names of its folders.

use super::cursor::Cursor;
use super::plan::Child;
use super::{Decoder, Reject};

impl Decoder {
    /// The next records have these columns, with a value as JSON, unless they say otherwise. A
    /// value of a personal column is a pseudonym already.
    pub fn give(&mut self, columns: &[(String, Vec<u8>)]) {
        let top = &self.plan.structs[0];
        let field = |name: &str| top.field(name.as_bytes());
        let given = columns.iter().filter_map(|(name, json)| Some((field(name)?, json.clone())));
        self.given = given.collect();
    }

    /// Gives the record the values that it has from elsewhere.
    pub(super) fn fill(&mut self) -> Result<(), Reject> {
        let given = std::mem::take(&mut self.given);
        let mut filled = Ok(());
        for (field, json) in &given {
            let at = usize::from(*field);
            let own = &mut self.plan.structs[0];
            let Child::Leaf(index) = own.children[at] else { continue };
            own.seen[at] = self.record;
            let leaf = &mut self.plan.leaves[index];
            if leaf.column.rows.last() == Some(&self.n_rows) {
                continue;
            }
            let mut cursor = Cursor { bytes: json, at: 0 };
            if leaf.domain.is_some() {
                if let Ok(text) = cursor.string(&mut self.scratch) {
                    leaf.column.push_text(self.n_rows, text.bytes(&self.scratch));
                }
                self.touched.push(u16::try_from(index).unwrap_or(u16::MAX));
                continue;
            }
            filled = self.leaf(index, &mut cursor, 1);
            if filled.is_err() {
                break;
            }
        }
        self.given = given;
        filled
    }
}
