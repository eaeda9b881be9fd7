//! Which folder each row of a table belongs to.

use buoyant_kernel::expressions::Scalar;
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::HashMap;
use deltalake::kernel::scalars::ScalarExt;
use indexmap::IndexMap;

/// The values that name a folder, by column.
type Values = IndexMap<String, Scalar>;

/// The folders that were seen, numbered as they came.
pub(super) struct Folders {
    names: Vec<String>,
    columns: Vec<usize>,
    converter: RowConverter,
    numbers: HashMap<Box<[u8]>, u32>,
    values: Vec<Values>,
}

impl Folders {
    /// No folders yet, of a table that is split by these columns.
    pub(super) fn new(schema: &Schema, partition_by: &[String]) -> Result<Self, ArrowError> {
        let columns = partition_by.iter().map(|name| schema.index_of(name));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let fields = columns.iter().map(|&at| SortField::new(schema.field(at).data_type().clone()));
        Ok(Self {
            names: partition_by.to_vec(),
            converter: RowConverter::new(fields.collect())?,
            columns,
            numbers: HashMap::new(),
            values: Vec::new(),
        })
    }

    /// Whether the table is not split.
    pub(super) fn is_one(&self) -> bool {
        self.names.is_empty()
    }

    /// How many were seen.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The values that name a folder.
    pub(super) fn values(&self, folder: usize) -> &Values {
        &self.values[folder]
    }

    /// The folder of each row.
    pub(super) fn of(&mut self, rows: &RecordBatch) -> Result<Vec<u32>, ArrowError> {
        let columns: Vec<ArrayRef> =
            self.columns.iter().map(|&at| rows.column(at).clone()).collect();
        let keys = self.converter.convert_columns(&columns)?;
        let mut folders = Vec::with_capacity(rows.num_rows());
        let mut last: Option<(&[u8], u32)> = None;
        for (row, key) in keys.iter().enumerate() {
            let key = key.data();
            let folder = match last {
                Some((before, folder)) if before == key => folder,
                _ => match self.numbers.get(key) {
                    Some(folder) => *folder,
                    None => self.add(key, &columns, row)?,
                },
            };
            last = Some((key, folder));
            folders.push(folder);
        }
        Ok(folders)
    }

    fn add(&mut self, key: &[u8], columns: &[ArrayRef], row: usize) -> Result<u32, ArrowError> {
        let number = u32::try_from(self.values.len())
            .map_err(|_| ArrowError::InvalidArgumentError("too many folders".to_owned()))?;
        let values = self.names.iter().zip(columns).map(|(name, column)| {
            let value = Scalar::from_array(column.as_ref(), row);
            let value = value.ok_or_else(|| {
                ArrowError::NotYetImplemented(format!("folders by {}", column.data_type()))
            });
            Ok((name.clone(), value?))
        });
        self.values.push(values.collect::<Result<_, ArrowError>>()?);
        self.numbers.insert(key.into(), number);
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Date32Array, StringArray};

    use super::*;

    #[test]
    fn folders_are_numbered_as_they_come_and_null_is_one_of_them() {
        let batch = |days: &[Option<i32>], shops: &[Option<&str>]| {
            let days: ArrayRef = Arc::new(Date32Array::from(days.to_vec()));
            let shops: ArrayRef = Arc::new(StringArray::from(shops.to_vec()));
            let columns = [("day", days, true), ("shop", shops, true)];
            RecordBatch::try_from_iter_with_nullable(columns).unwrap()
        };
        let first = batch(&[Some(3), Some(3), Some(1), None], &[Some("a"), Some("a"), None, None]);
        let by = ["day".to_owned(), "shop".to_owned()];
        let mut folders = Folders::new(&first.schema(), &by).unwrap();
        assert_eq!(folders.of(&first).unwrap(), [0, 0, 1, 2]);
        let second = batch(&[Some(1), Some(3), Some(3)], &[None, Some("b"), Some("a")]);
        assert_eq!(folders.of(&second).unwrap(), [1, 3, 0]);
        assert_eq!(folders.len(), 4);
        assert_eq!(folders.values(0)["day"], Scalar::Date(3));
        assert!(folders.values(2)["shop"].is_null());
        assert!(Folders::new(&first.schema(), &["no".to_owned()]).is_err());
        assert!(Folders::new(&first.schema(), &[]).unwrap().is_one());
    }
}
