//! Values of Parquet files as JSON records have them: moments in UTC, bytes as text, each value by
//! itself. What JSON has no number for is told by a word that no contract takes.

use std::io::Write;

use arrow_json::writer::NullableEncoder;
use arrow_json::{Encoder, EncoderFactory, EncoderOptions};
use chrono::DateTime;
use datafusion::arrow::array::{Array, AsArray, PrimitiveArray};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, DecimalType, FieldRef, Float16Type, Float32Type, Float64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use datafusion::arrow::error::ArrowError;

/// In a field's metadata: what the contract takes a decimal for.
pub(super) const DECIMAL_AS: &str = "lake.decimal";
/// … text, or a whole number.
pub(super) const TEXT: &str = "text";
pub(super) const WHOLE: &str = "whole";

/// Encodes what the library would encode otherwise.
#[derive(Debug)]
pub(super) struct Encoders;

impl EncoderFactory for Encoders {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        use DataType::{
            Binary, BinaryView, Date64, Decimal32, Decimal64, Decimal128, Decimal256, Float16,
            Float32, Float64, LargeBinary, Timestamp,
        };
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            Float16 => double(array.as_primitive::<Float16Type>(), f64::from),
            Float32 => double(array.as_primitive::<Float32Type>(), f64::from),
            Float64 => double(array.as_primitive::<Float64Type>(), |value| value),
            Binary => bytes(|i| array.as_binary::<i32>().value(i)),
            LargeBinary => bytes(|i| array.as_binary::<i64>().value(i)),
            BinaryView => bytes(|i| array.as_binary_view().value(i)),
            Date64 => day(array.as_primitive::<Date64Type>()),
            Timestamp(TimeUnit::Second, _) => {
                moment(array.as_primitive::<TimestampSecondType>(), |s| s.checked_mul(1_000_000))
            }
            Timestamp(TimeUnit::Millisecond, _) => {
                moment(array.as_primitive::<TimestampMillisecondType>(), |ms| ms.checked_mul(1000))
            }
            Timestamp(TimeUnit::Microsecond, _) => {
                moment(array.as_primitive::<TimestampMicrosecondType>(), Some)
            }
            Timestamp(TimeUnit::Nanosecond, _) => {
                moment(array.as_primitive::<TimestampNanosecondType>(), |ns| {
                    Some(ns.div_euclid(1000))
                })
            }
            Decimal32(..) => decimal(field, array.as_primitive::<Decimal32Type>()),
            Decimal64(..) => decimal(field, array.as_primitive::<Decimal64Type>()),
            Decimal128(..) => decimal(field, array.as_primitive::<Decimal128Type>()),
            Decimal256(..) => decimal(field, array.as_primitive::<Decimal256Type>()),
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

/// An encoder that is a function.
struct By<F>(F);

impl<F: FnMut(usize, &mut Vec<u8>)> Encoder for By<F> {
    fn encode(&mut self, i: usize, out: &mut Vec<u8>) {
        (self.0)(i, out);
    }
}

fn double<'a, T: ArrowPrimitiveType>(
    array: &'a PrimitiveArray<T>,
    widened: impl Fn(T::Native) -> f64 + 'a,
) -> Box<dyn Encoder + 'a> {
    Box::new(By(move |i, out: &mut Vec<u8>| {
        let value = widened(array.value(i));
        // A Vec takes every byte.
        let _ = match value {
            _ if value.is_nan() => write!(out, "\"NaN\""),
            f64::INFINITY => write!(out, "\"Infinity\""),
            f64::NEG_INFINITY => write!(out, "\"-Infinity\""),
            _ => write!(out, "{value:?}"),
        };
    }))
}

/// Bytes that are text as text, others as hexadecimal digits; each value by itself.
fn bytes<'a>(value: impl Fn(usize) -> &'a [u8] + 'a) -> Box<dyn Encoder + 'a> {
    Box::new(By(move |i, out: &mut Vec<u8>| {
        let value = value(i);
        // A Vec takes every byte.
        let _ = match std::str::from_utf8(value) {
            Ok(text) => serde_json::to_writer(out, text).map_err(Into::into),
            Err(_) => write!(out, "\"{}\"", hex::encode(value)),
        };
    }))
}

const MOMENT: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

fn moment<'a, T: ArrowPrimitiveType<Native = i64>>(
    array: &'a PrimitiveArray<T>,
    us_of: impl Fn(i64) -> Option<i64> + 'a,
) -> Box<dyn Encoder + 'a> {
    Box::new(By(move |i, out: &mut Vec<u8>| text_of(us_of(array.value(i)), MOMENT, out)))
}

/// Days as dates, whatever unit they are in; a time within a day as a moment.
fn day(array: &PrimitiveArray<Date64Type>) -> Box<dyn Encoder + '_> {
    const DAY_MS: i64 = 86_400_000;
    Box::new(By(move |i, out: &mut Vec<u8>| {
        let ms = array.value(i);
        let format = if ms.rem_euclid(DAY_MS) == 0 { "%Y-%m-%d" } else { MOMENT };
        text_of(ms.checked_mul(1000), format, out);
    }))
}

fn text_of(us: Option<i64>, format: &str, out: &mut Vec<u8>) {
    let time = us.and_then(DateTime::from_timestamp_micros);
    // A Vec takes every byte.
    let _ = match time {
        Some(time) => write!(out, "\"{}\"", time.format(format)),
        None => write!(out, "\"out of range\""),
    };
}

/// All digits: text where the contract has text, else a number, without a fraction of nothing but
/// zeros where the contract has whole numbers.
fn decimal<'a, T: DecimalType>(
    field: &FieldRef,
    array: &'a PrimitiveArray<T>,
) -> Box<dyn Encoder + 'a> {
    let wanted = field.metadata().get(DECIMAL_AS).cloned().unwrap_or_default();
    Box::new(By(move |i, out: &mut Vec<u8>| {
        let text = array.value_as_string(i);
        // A Vec takes every byte.
        let _ = match wanted.as_str() {
            TEXT => write!(out, "\"{text}\""),
            WHOLE => {
                let whole =
                    text.split_once('.').filter(|(_, zeros)| zeros.trim_matches('0').is_empty());
                write!(out, "{}", whole.map_or(text.as_str(), |(whole, _)| whole))
            }
            _ => write!(out, "{text}"),
        };
    }))
}
