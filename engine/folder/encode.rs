//! Values of Parquet files as JSON records have them: moments in UTC, bytes as text, each value by
//! itself. A value that JSON has no form for costs its record, and never becomes another one.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use arrow_json::writer::{NullableEncoder, make_encoder};
use arrow_json::{Encoder, EncoderOptions};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait, PrimitiveArray};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type,
    Decimal128Type, Decimal256Type, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Field, FieldRef, Float16Type, Float32Type,
    Float64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use datafusion::arrow::error::ArrowError;
use serde::de::IgnoredAny;

use super::digits::{digits, push_decimal};
use super::fine::moment_at;
use super::maps::Entries;
use super::meaning::{Column, Meaning, Wanted};
use super::moments::{
    push_date, push_fine_moment, push_interval, push_moment, push_span, push_time,
};
use crate::decode::{Class, Reject};

const VARIANT: &str =
    "is a VARIANT, which is not read: write it as a text of the logical type JSON";

/// The rows of some columns, each as a JSON object.
pub(super) struct Rows<'a> {
    members: Members<'a>,
    faults: Rc<Faults>,
}

impl<'a> Rows<'a> {
    /// # Errors
    /// A column has a type that is no JSON.
    pub(super) fn new(columns: &'a [Column], arrays: &'a [ArrayRef]) -> Result<Self, ArrowError> {
        let faults = Rc::new(Faults::default());
        let members = Members::new(columns.iter().zip(arrays), &faults)?;
        Ok(Self { members, faults })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// A value of it has no form in JSON; what is appended is to be taken away.
    pub(super) fn push(&mut self, row: usize, out: &mut Vec<u8>) -> Result<(), Reject> {
        self.members.encode(row, out);
        self.faults.0.take().map_or(Ok(()), Err)
    }
}

/// The first value of a row that has no form in JSON.
#[derive(Debug, Default)]
pub(super) struct Faults(RefCell<Option<Reject>>);

impl Faults {
    #[cold]
    pub(super) fn note(&self, class: Class, path: &str, what: &str) {
        let mut noted = self.0.borrow_mut();
        noted.get_or_insert_with(|| {
            Reject::new(class, format!("`{path}` {what}; the row is kept in its file only"))
        });
    }
}

/// The fields of an object.
struct Members<'a>(Vec<(Vec<u8>, NullableEncoder<'a>)>);

impl<'a> Members<'a> {
    fn new(
        fields: impl Iterator<Item = (&'a Column, &'a ArrayRef)>,
        faults: &Rc<Faults>,
    ) -> Result<Self, ArrowError> {
        let member = |(column, array): (&'a Column, &'a ArrayRef)| -> Result<_, ArrowError> {
            let mut name = serde_json::Value::from(column.name.as_str()).to_string().into_bytes();
            name.push(b':');
            Ok((name, encoder(column, array.as_ref(), faults)?))
        };
        fields.map(member).collect::<Result<_, _>>().map(Self)
    }
}

impl Encoder for Members<'_> {
    fn encode(&mut self, i: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        for (n, (name, values)) in self.0.iter_mut().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name);
            push_nullable(values, i, out);
        }
        out.push(b'}');
    }
}

pub(super) fn push_nullable(values: &mut NullableEncoder<'_>, i: usize, out: &mut Vec<u8>) {
    if values.is_null(i) {
        out.extend_from_slice(b"null");
    } else {
        values.encode(i, out);
    }
}

/// An encoder that is a function.
struct By<F>(F);

impl<F: FnMut(usize, &mut Vec<u8>)> Encoder for By<F> {
    fn encode(&mut self, i: usize, out: &mut Vec<u8>) {
        (self.0)(i, out);
    }
}

fn by<'a>(encode: impl FnMut(usize, &mut Vec<u8>) + 'a) -> Box<dyn Encoder + 'a> {
    Box::new(By(encode))
}

/// The encoder of a column's values.
///
/// # Errors
/// It has a type that is no JSON.
pub(super) fn encoder<'a>(
    column: &'a Column,
    array: &'a dyn Array,
    faults: &Rc<Faults>,
) -> Result<NullableEncoder<'a>, ArrowError> {
    let encoder = match array.data_type() {
        DataType::Struct(_) if column.meaning == Meaning::Variant && is_known(column) => {
            fault(column, faults, Class::WrongType, VARIANT)
        }
        DataType::Struct(_) => {
            let columns = array.as_struct().columns();
            Box::new(Members::new(column.inner.iter().zip(columns), faults)?)
        }
        DataType::List(_) => list::<i32>(column, array, faults)?,
        DataType::LargeList(_) => list::<i64>(column, array, faults)?,
        DataType::FixedSizeList(_, n) => {
            let n = usize::try_from(*n).unwrap_or(0);
            let values = array.as_fixed_size_list().values();
            elements(column, values, faults, move |i| (i * n, (i + 1) * n))?
        }
        DataType::Map(..) => Box::new(Entries::new(column, array.as_map(), faults)?),
        _ => match of_meaning(column, array, faults).or_else(|| of_type(column, array, faults)) {
            Some(encoder) => encoder,
            None => return make_encoder(&PLAIN.0, array, &PLAIN.1),
        },
    };
    Ok(NullableEncoder::new(encoder, array.nulls().cloned()))
}

fn is_known(column: &Column) -> bool {
    column.wanted != Wanted::Any
}

/// What the library needs to be told and does not look at.
static PLAIN: LazyLock<(FieldRef, EncoderOptions)> =
    LazyLock::new(|| (Arc::new(Field::new("", DataType::Null, true)), EncoderOptions::default()));

/// Values that have no form in JSON.
fn fault<'a>(
    column: &'a Column,
    faults: &Rc<Faults>,
    class: Class,
    what: &'static str,
) -> Box<dyn Encoder + 'a> {
    let faults = Rc::clone(faults);
    by(move |_, _| faults.note(class, &column.path, what))
}

fn list<'a, O: OffsetSizeTrait>(
    column: &'a Column,
    array: &'a dyn Array,
    faults: &Rc<Faults>,
) -> Result<Box<dyn Encoder + 'a>, ArrowError> {
    let list = array.as_list::<O>();
    let ends = list.value_offsets();
    let range = |i: usize| (ends[i].as_usize(), ends[i + 1].as_usize());
    elements(column, list.values(), faults, range)
}

fn elements<'a>(
    column: &'a Column,
    values: &'a ArrayRef,
    faults: &Rc<Faults>,
    range: impl Fn(usize) -> (usize, usize) + 'a,
) -> Result<Box<dyn Encoder + 'a>, ArrowError> {
    let Some(inner) = column.inner.first() else {
        return Err(ArrowError::SchemaError(format!("`{}` is no list", column.path)));
    };
    let mut values = encoder(inner, values.as_ref(), faults)?;
    Ok(by(move |i, out| {
        let (start, end) = range(i);
        out.push(b'[');
        for i in start..end {
            if i > start {
                out.push(b',');
            }
            push_nullable(&mut values, i, out);
        }
        out.push(b']');
    }))
}

/// The encoder of values whose type does not say what they are.
fn of_meaning<'a>(
    column: &'a Column,
    array: &'a dyn Array,
    faults: &Rc<Faults>,
) -> Option<Box<dyn Encoder + 'a>> {
    let value: Box<dyn Fn(usize) -> &'a [u8] + 'a> = match array.data_type() {
        DataType::FixedSizeBinary(_) => Box::new(move |i| array.as_fixed_size_binary().value(i)),
        DataType::BinaryView => Box::new(move |i| array.as_binary_view().value(i)),
        // The library knows that it is text.
        DataType::Utf8View if column.meaning == Meaning::Json => {
            Box::new(move |i| array.as_string_view().value(i).as_bytes())
        }
        _ => return None,
    };
    let faults = Rc::clone(faults);
    let note = move |class, what| faults.note(class, &column.path, what);
    let is_text = column.wanted == Wanted::Text;
    Some(match column.meaning {
        Meaning::Text => by(move |i, out| {
            if !push_text(value(i), out) {
                note(Class::NotUtf8, "is not valid UTF-8");
            }
        }),
        Meaning::Json => by(move |i, out| match std::str::from_utf8(value(i)) {
            Err(_) => note(Class::NotUtf8, "is not valid UTF-8"),
            Ok(text) if !is_text && serde_json::from_str::<IgnoredAny>(text).is_ok() => {
                // A line's end would end the record; in a string of JSON there is none.
                let in_line = |byte: u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte };
                out.extend(text.bytes().map(in_line));
            }
            Ok(_) if column.wanted == Wanted::Json => {
                note(Class::WrongType, "is of the logical type JSON, and is no JSON");
            }
            Ok(text) => {
                push_text(text.as_bytes(), out);
            }
        }),
        Meaning::Uuid => by(move |i, out| push_uuid(value(i), out)),
        Meaning::Opaque => by(move |i, out| push_hex(value(i), out)),
        Meaning::Interval => by(move |i, out| {
            let part = |at: usize| {
                let bytes = value(i).get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
                u32::from_le_bytes(bytes.unwrap_or_default())
            };
            out.push(b'"');
            push_interval(part(0), part(4), part(8), out);
            out.push(b'"');
        }),
        Meaning::Decimal(scale) => {
            let wanted = column.wanted;
            by(move |i, out| match digits(value(i)) {
                Some(digits) => push_decimal(&digits, scale, wanted, out),
                None => note(Class::OutOfRange, "is no decimal of up to 154 digits"),
            })
        }
        Meaning::Plain | Meaning::Variant | Meaning::Moment96 => match array.data_type() {
            DataType::BinaryView => by(move |i, out| {
                if !push_text(value(i), out) {
                    push_hex(value(i), out);
                }
            }),
            _ => by(move |i, out| push_hex(value(i), out)),
        },
    })
}

fn push_text(value: &[u8], out: &mut Vec<u8>) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    // A Vec takes every byte.
    let _ = serde_json::to_writer(out, text);
    true
}

fn push_hex(value: &[u8], out: &mut Vec<u8>) {
    // A Vec takes every byte.
    let _ = write!(out, "\"{}\"", hex::encode(value));
}

fn push_uuid(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for (i, byte) in value.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        // A Vec takes every byte.
        let _ = write!(out, "{byte:02x}");
    }
    out.push(b'"');
}

/// The encoder of values that the library would encode otherwise.
fn of_type<'a>(
    column: &'a Column,
    array: &'a dyn Array,
    faults: &Rc<Faults>,
) -> Option<Box<dyn Encoder + 'a>> {
    use DataType::{
        Date32, Date64, Decimal32, Decimal64, Decimal128, Decimal256, Duration, Float16, Float32,
        Float64, Interval, Time32, Time64, Timestamp,
    };
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    Some(match array.data_type() {
        Float16 => double(array.as_primitive::<Float16Type>(), f64::from),
        Float32 => double(array.as_primitive::<Float32Type>(), f64::from),
        Float64 => double(array.as_primitive::<Float64Type>(), |value| value),
        Date32 => {
            let days = array.as_primitive::<Date32Type>();
            quoted(move |i, out| push_date(i64::from(days.value(i)), out))
        }
        Date64 => day(array.as_primitive::<Date64Type>()),
        Timestamp(Microsecond, _) if column.fine.is_some() => quoted(move |i, out| {
            let (micros, nanos) = moment_at(column, array, i).unwrap_or_default();
            push_fine_moment(micros, 1_000_000, nanos, out);
        }),
        Timestamp(Second, _) => moment::<TimestampSecondType>(array, 1),
        Timestamp(Millisecond, _) => moment::<TimestampMillisecondType>(array, 1000),
        Timestamp(Microsecond, _) => moment::<TimestampMicrosecondType>(array, 1_000_000),
        Timestamp(Nanosecond, _) => moment::<TimestampNanosecondType>(array, 1_000_000_000),
        Time32(Second) => time::<Time32SecondType>(column, array, 1_000_000_000, faults),
        Time32(_) => time::<Time32MillisecondType>(column, array, 1_000_000, faults),
        Time64(Microsecond) => time::<Time64MicrosecondType>(column, array, 1000, faults),
        Time64(_) => time::<Time64NanosecondType>(column, array, 1, faults),
        Duration(Second) => span::<DurationSecondType>(array, 1_000_000_000),
        Duration(Millisecond) => span::<DurationMillisecondType>(array, 1_000_000),
        Duration(Microsecond) => span::<DurationMicrosecondType>(array, 1000),
        Duration(Nanosecond) => span::<DurationNanosecondType>(array, 1),
        Interval(_) => fault(column, faults, Class::WrongType, "is a span that is not read"),
        Decimal32(_, scale) => decimal::<Decimal32Type>(column, array, *scale),
        Decimal64(_, scale) => decimal::<Decimal64Type>(column, array, *scale),
        Decimal128(_, scale) => decimal::<Decimal128Type>(column, array, *scale),
        Decimal256(_, scale) => decimal::<Decimal256Type>(column, array, *scale),
        _ => return None,
    })
}

fn quoted<'a>(mut push: impl FnMut(usize, &mut Vec<u8>) + 'a) -> Box<dyn Encoder + 'a> {
    by(move |i, out| {
        out.push(b'"');
        push(i, out);
        out.push(b'"');
    })
}

fn double<'a, T: ArrowPrimitiveType>(
    array: &'a PrimitiveArray<T>,
    widened: impl Fn(T::Native) -> f64 + 'a,
) -> Box<dyn Encoder + 'a> {
    by(move |i, out| {
        let value = widened(array.value(i));
        // A Vec takes every byte.
        let _ = match value {
            _ if value.is_nan() => write!(out, "\"NaN\""),
            f64::INFINITY => write!(out, "\"Infinity\""),
            f64::NEG_INFINITY => write!(out, "\"-Infinity\""),
            _ => write!(out, "{value:?}"),
        };
    })
}

/// Moments as fine as they are: what no column holds, its record is refused for.
fn moment<'a, T: ArrowPrimitiveType<Native = i64>>(
    array: &'a dyn Array,
    per_second: i64,
) -> Box<dyn Encoder + 'a> {
    let array = array.as_primitive::<T>();
    quoted(move |i, out| push_moment(array.value(i), per_second, out))
}

/// Days as dates, whatever unit they are in; a time within a day as a moment.
fn day(array: &PrimitiveArray<Date64Type>) -> Box<dyn Encoder + '_> {
    const DAY_MS: i64 = 86_400_000;
    quoted(move |i, out| {
        let ms = array.value(i);
        if ms.rem_euclid(DAY_MS) == 0 {
            push_date(ms.div_euclid(DAY_MS), out);
        } else {
            push_moment(ms, 1000, out);
        }
    })
}

fn time<'a, T: ArrowPrimitiveType<Native: Into<i64>>>(
    column: &'a Column,
    array: &'a dyn Array,
    nanos: i64,
    faults: &Rc<Faults>,
) -> Box<dyn Encoder + 'a> {
    let (array, faults) = (array.as_primitive::<T>(), Rc::clone(faults));
    quoted(move |i, out| {
        let since_midnight = array.value(i).into().checked_mul(nanos);
        if !since_midnight.is_some_and(|nanos| push_time(nanos, out)) {
            faults.note(Class::OutOfRange, &column.path, "is no time of a day");
        }
    })
}

fn span<'a, T: ArrowPrimitiveType<Native = i64>>(
    array: &'a dyn Array,
    nanos: i128,
) -> Box<dyn Encoder + 'a> {
    let array = array.as_primitive::<T>();
    quoted(move |i, out| push_span(i128::from(array.value(i)) * nanos, out))
}

fn decimal<'a, T: ArrowPrimitiveType<Native: ToString>>(
    column: &Column,
    array: &'a dyn Array,
    scale: i8,
) -> Box<dyn Encoder + 'a> {
    let (array, wanted) = (array.as_primitive::<T>(), column.wanted);
    by(move |i, out| push_decimal(&array.value(i).to_string(), i32::from(scale), wanted, out))
}
