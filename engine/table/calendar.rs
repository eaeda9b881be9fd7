//! Which columns have dates or times outside of the years that other readers know.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};

use crate::years::{DAYS, MICROS};

/// The first column that has a date or time outside of these years, as in `visit.days[]`, and in
/// how many rows.
pub fn beyond_years(rows: &RecordBatch) -> Option<(String, usize)> {
    let fields = rows.schema_ref().fields().iter();
    let mut found = fields.zip(rows.columns()).filter_map(|(field, column)| {
        beyond(column).map(|(path, n)| (format!("{}{path}", field.name()), n))
    });
    found.next()
}

/// What is below a column, and in how many of its rows.
fn beyond(column: &ArrayRef) -> Option<(String, usize)> {
    match column.data_type() {
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>();
            let is_near = days.values().iter().all(|day| DAYS.contains(day));
            let far = || days.iter().flatten().filter(|day| !DAYS.contains(day)).count();
            if is_near { None } else { some(far()) }
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let times = column.as_primitive::<TimestampMicrosecondType>();
            let is_near = times.values().iter().all(|us| MICROS.contains(us));
            let far = || times.iter().flatten().filter(|us| !MICROS.contains(us)).count();
            if is_near { None } else { some(far()) }
        }
        DataType::Struct(fields) if has_times(column.data_type()) => {
            let of = column.as_struct();
            // What a NULL struct holds is no value.
            let pairs = fields.iter().zip(of.columns());
            let mut found = pairs.filter_map(|(field, inner)| {
                let inner = visible(inner, column)?;
                beyond(&inner).map(|(path, n)| (format!(".{}{path}", field.name()), n))
            });
            found.next()
        }
        DataType::List(_) if has_times(column.data_type()) => {
            let list = column.as_list::<i32>();
            // Only what a row has counts, and that is looked at where anything is wrong.
            let (path, _) = beyond(list.values())?;
            let is_beyond =
                |row: &usize| list.is_valid(*row) && beyond(&list.value(*row)).is_some();
            let n = (0..list.len()).filter(is_beyond).count();
            (n > 0).then(|| (format!("[]{path}"), n))
        }
        _ => None,
    }
}

fn some(n: usize) -> Option<(String, usize)> {
    (n > 0).then(|| (String::new(), n))
}

/// A field of a struct, NULL where the struct is.
fn visible(inner: &ArrayRef, of: &ArrayRef) -> Option<ArrayRef> {
    use datafusion::arrow::compute::{is_null, nullif};
    if of.null_count() == 0 || inner.data_type().is_nested() {
        return Some(inner.clone());
    }
    nullif(inner, &is_null(of).ok()?).ok()
}

fn has_times(data_type: &DataType) -> bool {
    match data_type {
        DataType::Date32 | DataType::Timestamp(..) => true,
        DataType::Struct(fields) => fields.iter().any(|field| has_times(field.data_type())),
        DataType::List(of) => has_times(of.data_type()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        Date32Array, ListArray, StructArray, TimestampMicrosecondArray,
    };
    use datafusion::arrow::datatypes::Int32Type;

    use super::*;

    fn rows(column: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable([("c", column, true)]).unwrap()
    }

    fn days(values: Vec<Option<i32>>) -> ArrayRef {
        Arc::new(Date32Array::from(values))
    }

    #[test]
    fn a_date_or_time_has_four_digits_of_year() {
        let near = days(vec![Some(-719_162), Some(2_932_896), None]);
        assert_eq!(beyond_years(&rows(near)), None);
        let far = days(vec![Some(-719_163), Some(0), None, Some(2_932_897)]);
        assert_eq!(beyond_years(&rows(far)), Some(("c".to_owned(), 2)));
        let times = vec![Some(*MICROS.start()), Some(*MICROS.end()), None];
        let near: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times));
        assert_eq!(beyond_years(&rows(near)), None);
        let times = TimestampMicrosecondArray::from(vec![MICROS.end() + 1]).with_timezone("UTC");
        assert_eq!(beyond_years(&rows(Arc::new(times))), Some(("c".to_owned(), 1)));
    }

    #[test]
    fn what_is_inside_of_structs_and_lists_is_found_with_its_path() {
        let of = |column: ArrayRef| {
            let fields = RecordBatch::try_from_iter_with_nullable([("day", column, true)]);
            StructArray::from(fields.unwrap())
        };
        let inside: ArrayRef = Arc::new(of(days(vec![Some(0), Some(2_932_897)])));
        assert_eq!(beyond_years(&rows(inside)), Some(("c.day".to_owned(), 1)));
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([
            Some(vec![Some(0), Some(3_000_000), Some(3_000_001)]),
            None,
            Some(vec![Some(3_000_000)]),
            Some(vec![None]),
        ]);
        let item =
            Arc::new(datafusion::arrow::datatypes::Field::new_list_field(DataType::Date32, true));
        let list = datafusion::arrow::compute::cast(&list, &DataType::List(item)).unwrap();
        assert_eq!(beyond_years(&rows(list)), Some(("c[]".to_owned(), 2)));
    }

    #[test]
    fn what_a_null_holds_is_no_value() {
        use datafusion::arrow::buffer::NullBuffer;
        let far = days(vec![Some(2_932_897), Some(0)]);
        let fields = RecordBatch::try_from_iter_with_nullable([("day", far, true)]).unwrap();
        let (fields, columns) = (fields.schema().fields().clone(), fields.columns().to_vec());
        let gone = StructArray::new(fields, columns, Some(NullBuffer::from(vec![false, true])));
        assert_eq!(beyond_years(&rows(Arc::new(gone))), None);
    }
}
