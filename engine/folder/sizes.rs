//! How long the JSON of rows is, before it is written: no row above the limit is.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, StructArray};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

/// A number, a moment, a word.
const SCALAR: u64 = 28;
/// Numbers and spans of many digits.
const LONG_SCALAR: u64 = 160;
/// Bytes of a text that is short, if it is a row's only one in its column.
const SHORT: usize = 4096;

/// Bytes of each row at most; they may be fewer.
pub(super) fn sizes(columns: &[ArrayRef], names: &[u64], n_rows: usize) -> Vec<u64> {
    let mut sizes = vec![2 + names.iter().sum::<u64>(); n_rows];
    for column in columns {
        add(column, &mut sizes);
    }
    sizes
}

/// Bytes of one row, looked at value by value.
pub(super) fn exact_size(columns: &[ArrayRef], names: &[u64], row: usize) -> u64 {
    let values = columns.iter().map(|column| total(column, row, row + 1, true));
    2 + names.iter().sum::<u64>() + values.sum::<u64>()
}

/// The bytes of a field's name with its quotes, its colon and a comma.
pub(super) fn name_size(name: &str) -> u64 {
    escaped(name.as_bytes()) + 2
}

fn add(array: &ArrayRef, sizes: &mut [u64]) {
    match array.data_type() {
        DataType::Struct(_) => {
            let array = array.as_struct();
            let names = 2 + names(array);
            for size in sizes.iter_mut() {
                *size += names;
            }
            array.columns().iter().for_each(|column| add(column, sizes));
        }
        DataType::Utf8View => {
            let array = array.as_string_view();
            for (i, size) in sizes.iter_mut().enumerate() {
                let text = array.value(i).as_bytes();
                // Escapes of a short text are not worth to look for.
                let is_short = text.len() < SHORT;
                *size += if is_short { text.len() as u64 + 2 } else { escaped(text) };
            }
        }
        DataType::Utf8
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_)
        | DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::Map(..) => {
            for (i, size) in sizes.iter_mut().enumerate() {
                *size += total(array, i, i + 1, false);
            }
        }
        other => {
            let scalar = scalar(other);
            for size in sizes.iter_mut() {
                *size += scalar;
            }
        }
    }
}

fn names(array: &StructArray) -> u64 {
    array.fields().iter().map(|field| name_size(field.name())).sum()
}

/// Bytes of the values from `start` to `end`, each with a comma.
fn total(array: &ArrayRef, start: usize, end: usize, is_exact: bool) -> u64 {
    let n = (end - start) as u64;
    let inner = |values: &ArrayRef, of: &dyn Fn(usize) -> usize| {
        total(values, of(start), of(end), is_exact) + 3 * n
    };
    match array.data_type() {
        DataType::Utf8View => {
            let array = array.as_string_view();
            (start..end).map(|i| escaped(array.value(i).as_bytes()) + 1).sum()
        }
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            (start..end).map(|i| escaped(array.value(i).as_bytes()) + 1).sum()
        }
        DataType::BinaryView => {
            let array = array.as_binary_view();
            (start..end).map(|i| of_bytes(array.value(i), is_exact) + 1).sum()
        }
        DataType::FixedSizeBinary(n) => {
            // Digits of bytes, of an id with its dashes, of a span, or of a decimal.
            let width = u64::from(n.unsigned_abs());
            (2 * width + width / 2 + if width == 12 { 40 } else { 8 }) * (end - start) as u64
        }
        DataType::Struct(_) => {
            let array = array.as_struct();
            let columns = array.columns().iter();
            let values: u64 = columns.map(|column| total(column, start, end, is_exact)).sum();
            values + (3 + names(array)) * n
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            inner(list.values(), &|i| place(i64::from(list.value_offsets()[i])))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            inner(list.values(), &|i| place(list.value_offsets()[i]))
        }
        DataType::FixedSizeList(_, n) => {
            let n = place(i64::from(*n));
            inner(array.as_fixed_size_list().values(), &|i| i * n)
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let ends = map.value_offsets();
            let (start, end) = (place(i64::from(ends[start])), place(i64::from(ends[end])));
            // Keys have quotes whatever they are.
            let keys = total(map.keys(), start, end, is_exact) + 2 * (end - start) as u64;
            keys + total(map.values(), start, end, is_exact) + 3 * n
        }
        _ if is_exact => exact(array, start, end),
        other => scalar(other) * n,
    }
}

fn scalar(data_type: &DataType) -> u64 {
    use DataType::{Decimal128, Decimal256, Timestamp};
    match data_type {
        Decimal128(..) | Decimal256(..) => LONG_SCALAR,
        Timestamp(..) => 48,
        _ => SCALAR,
    }
}

/// Numbers with their digits.
fn exact(array: &ArrayRef, start: usize, end: usize) -> u64 {
    fn of<T: ArrowPrimitiveType>(
        array: &PrimitiveArray<T>,
        start: usize,
        end: usize,
        size: impl Fn(T::Native) -> u64,
    ) -> u64 {
        let of_one = |i: usize| if array.is_null(i) { 5 } else { size(array.value(i)) + 1 };
        (start..end).map(of_one).sum()
    }
    let signed = |n: i64| u64::from(n < 0) + digits(n.unsigned_abs());
    match array.data_type() {
        DataType::Null | DataType::Boolean => 6 * (end - start) as u64,
        DataType::Int8 => of::<Int8Type>(array.as_primitive(), start, end, |n| signed(n.into())),
        DataType::Int16 => of::<Int16Type>(array.as_primitive(), start, end, |n| signed(n.into())),
        DataType::Int32 => of::<Int32Type>(array.as_primitive(), start, end, |n| signed(n.into())),
        DataType::Int64 => of::<Int64Type>(array.as_primitive(), start, end, signed),
        DataType::UInt8 => of::<UInt8Type>(array.as_primitive(), start, end, |n| digits(n.into())),
        DataType::UInt16 => {
            of::<UInt16Type>(array.as_primitive(), start, end, |n| digits(n.into()))
        }
        DataType::UInt32 => {
            of::<UInt32Type>(array.as_primitive(), start, end, |n| digits(n.into()))
        }
        DataType::UInt64 => of::<UInt64Type>(array.as_primitive(), start, end, digits),
        DataType::Float64 => of::<Float64Type>(array.as_primitive(), start, end, |x| {
            if x.is_finite() { format!("{x:?}").len() as u64 } else { 11 }
        }),
        // Without the years that nobody has.
        DataType::Timestamp(..) => 34 * (end - start) as u64,
        DataType::Date32 => 16 * (end - start) as u64,
        other => (scalar(other) + 1) * (end - start) as u64,
    }
}

fn digits(n: u64) -> u64 {
    u64::from(n.checked_ilog10().unwrap_or(0)) + 1
}

fn place(end: i64) -> usize {
    usize::try_from(end).unwrap_or(0)
}

/// Bytes that may be text, or else are written as two digits each.
fn of_bytes(value: &[u8], is_exact: bool) -> u64 {
    let digits = (2 * value.len() as u64 + 2).max(LONG_SCALAR);
    if !is_exact {
        return digits.max(escaped(value));
    }
    if std::str::from_utf8(value).is_ok() { escaped(value).max(SCALAR) } else { digits }
}

/// The bytes of a text in JSON, with its quotes and escapes.
fn escaped(text: &[u8]) -> u64 {
    let more = text.iter().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 1,
        0..=0x1f => 5,
        _ => 0_u64,
    });
    text.len() as u64 + 2 + more.sum::<u64>()
}
