//! What must hold when an object ends: fields in another case, defaults, required fields.

use std::ops::Range;

use super::cursor::Cursor;
use super::plan::{Child, Plan};
use super::rescue::Rescue;
use super::{Class, Column, Decoder, Form, Reject, Values};

/// A field that means one of the contract, but for the case of its letters. Whether the field itself
/// is there as well is known when its object ends.
#[derive(Debug)]
pub(super) struct Recased {
    pub(super) within: usize,
    pub(super) field: u16,
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

impl Decoder {
    /// Ends the object of struct `index`, which stands at `depth`.
    #[inline]
    pub(super) fn complete(
        &mut self,
        index: usize,
        record: &[u8],
        depth: u32,
    ) -> Result<(), Reject> {
        if !self.recased.is_empty() {
            self.take_recased(index, record, depth)?;
        }
        if index == 0 && !self.given.is_empty() {
            self.fill()?;
        }
        self.defaults(index);
        self.required(index)
    }

    /// Takes the fields that are named in another case. The exact name wins, and what else has the
    /// name is a field that the contract does not know.
    #[cold]
    fn take_recased(&mut self, index: usize, record: &[u8], depth: u32) -> Result<(), Reject> {
        let is_own = |recased: &Recased| recased.within == index;
        let first = self.recased.iter().position(is_own).unwrap_or(self.recased.len());
        // Those of inner objects were taken when these ended.
        let own = self.recased.split_off(first);
        let seen = &self.plan.structs[index].seen;
        let is_there = |recased: &Recased| seen[usize::from(recased.field)] == self.record;
        let (unknown, known): (Vec<_>, Vec<_>) = own.into_iter().partition(is_there);
        for Recased { within, key, value, .. } in unknown {
            self.rescues.push(Rescue { within, key, value });
        }
        for Recased { field, value, .. } in known {
            let mut cursor = Cursor { bytes: record, at: value.start };
            self.field(index, field, &mut cursor, depth)?;
        }
        Ok(())
    }

    /// Fills fields that are not there. One that is `null` is there, where it could be left out.
    fn defaults(&mut self, index: usize) {
        let Plan { structs, leaves, .. } = &mut self.plan;
        let own = &structs[index];
        for (field, default) in &own.defaults {
            let at = usize::from(*field);
            let Child::Leaf(leaf) = own.children[at] else { continue };
            let Column { rows, values } = &mut leaves[leaf].column;
            let is_named = self.form == Form::Objects && own.seen[at] == self.record;
            if is_named || rows.last() == Some(&self.n_rows) {
                continue;
            }
            match values {
                Values::Int(values) => values.push(i32::try_from(*default).unwrap_or_default()),
                Values::BigInt(values) => values.push(*default),
                _ => continue,
            }
            rows.push(self.n_rows);
            self.touched.push(u16::try_from(leaf).unwrap_or(u16::MAX));
        }
    }

    fn required(&self, index: usize) -> Result<(), Reject> {
        let (row, record) = (self.n_rows, self.record);
        let Plan { structs, leaves, .. } = &self.plan;
        let own = &structs[index];
        let missing = |field: &&u16| match own.children[usize::from(**field)] {
            Child::Leaf(leaf) => leaves[leaf].column.rows.last() != Some(&row),
            Child::Struct(inner) => structs[inner].rows.last() != Some(&row),
        };
        let absent = own.required.iter().find(missing);
        let unnamed = own.present.iter().find(|field| own.seen[usize::from(**field)] != record);
        match absent.or(unnamed) {
            None => Ok(()),
            Some(field) => {
                let mut path = own.path.clone();
                path.push(String::from_utf8_lossy(&own.names[usize::from(*field)]).into_owned());
                Err(Reject::new(Class::MissingField, format!("`{}` is missing", path.join("."))))
            }
        }
    }
}
