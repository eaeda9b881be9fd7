//! Columns with a NaN have no statistics: those of Parquet and of the log leave it out.
//!
//! Least and greatest values are those of the numbers beside a NaN, which for most readers is greater
//! than all of them. They would leave out a file for `x > 5`, or take a column for constant.

use std::collections::BTreeSet;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Float32Type, Float64Type};
use deltalake::parquet::file::properties::{EnabledStatistics, WriterProperties};
use deltalake::parquet::schema::types::ColumnPath;

/// The columns, and fields of structs, in which a NaN was seen. No reader compares elements of lists.
#[derive(Debug, Default)]
pub(super) struct Nans {
    paths: BTreeSet<Vec<String>>,
}

impl Nans {
    /// Looks at rows; whether a column has its first NaN there.
    pub(super) fn note(&mut self, rows: &RecordBatch) -> bool {
        let n_before = self.paths.len();
        let mut path = Vec::new();
        for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
            self.look(&mut path, field.name(), column);
        }
        self.paths.len() > n_before
    }

    fn look(&mut self, path: &mut Vec<String>, name: &str, column: &ArrayRef) {
        if !column.data_type().is_floating() && !column.data_type().is_nested() {
            return;
        }
        path.push(name.to_owned());
        if let Some(fields) = column.as_struct_opt() {
            for (field, column) in fields.fields().iter().zip(fields.columns()) {
                self.look(path, field.name(), column);
            }
        } else if !self.paths.contains(path) && has_nan(column) {
            self.paths.insert(path.clone());
        }
        path.pop();
    }

    /// How files are written whose columns may hold a NaN.
    pub(super) fn applied(&self, properties: &WriterProperties) -> WriterProperties {
        let mut builder = properties.clone().into_builder();
        for path in &self.paths {
            let path = ColumnPath::from(path.clone());
            builder = builder.set_column_statistics_enabled(path, EnabledStatistics::None);
        }
        builder.build()
    }
}

fn has_nan(column: &ArrayRef) -> bool {
    if let Some(numbers) = column.as_primitive_opt::<Float64Type>() {
        return numbers.values().iter().any(|number| number.is_nan());
    }
    let numbers = column.as_primitive_opt::<Float32Type>();
    numbers.is_some_and(|numbers| numbers.values().iter().any(|number| number.is_nan()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Float64Array, Int64Array, StructArray};

    use super::*;

    fn rows(plain: f64, inner: f64) -> RecordBatch {
        let of = |number: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![1.0, number])) };
        let fields = RecordBatch::try_from_iter_with_nullable([("x", of(inner), true)]).unwrap();
        let whole: ArrayRef = Arc::new(StructArray::from(fields));
        let count: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let columns = [("x", of(plain), true), ("s", whole, true), ("n", count, true)];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    #[test]
    fn a_column_has_no_statistics_from_its_first_nan_on() {
        let mut nans = Nans::default();
        assert!(!nans.note(&rows(5.0, f64::INFINITY)));
        assert!(nans.note(&rows(5.0, f64::NAN)));
        assert!(!nans.note(&rows(5.0, f64::NAN)));
        let properties = nans.applied(&WriterProperties::default());
        let of = |path: &[&str]| {
            let path = path.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            properties.statistics_enabled(&ColumnPath::from(path))
        };
        assert_eq!(of(&["s", "x"]), EnabledStatistics::None);
        assert_ne!(of(&["x"]), EnabledStatistics::None);
        assert!(nans.note(&rows(f64::NAN, 5.0)));
    }
}
