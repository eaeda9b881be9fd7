//! Values as text: the two hooks through which arrow's printers ask for ours, at every depth.
//!
//! Ours are times, which must never fail to be printed; in JSON numbers that JSON does not have; and
//! for people text that could drive their terminal. All else is arrow's.

use std::fmt::Write;

use arrow_json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder};
use datafusion::arrow::array::{Array, AsArray, PrimitiveArray};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, DurationMicrosecondType,
    DurationMillisecondType, DurationNanosecondType, DurationSecondType, Field, FieldRef,
    Float16Type, Float32Type, Float64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{
    ArrayFormatter, ArrayFormatterFactory, DisplayIndex, FormatOptions, FormatResult,
};

use super::time::{self, Zone};
use crate::printable;
use crate::years::Day;

/// The text of the value at an index that is not NULL.
type Text<'a> = Box<dyn Fn(usize) -> String + 'a>;

/// For programs: exact.
#[derive(Debug)]
pub(super) struct Exact;

/// For people: text cannot drive a terminal. `lines`: it may have several lines, as a plan has.
#[derive(Debug)]
pub(super) struct ForPeople {
    pub(super) lines: bool,
}

impl ArrayFormatterFactory for Exact {
    fn create_array_formatter<'formatter>(
        &self,
        array: &'formatter dyn Array,
        options: &FormatOptions<'formatter>,
        _: Option<&'formatter Field>,
    ) -> Result<Option<ArrayFormatter<'formatter>>, ArrowError> {
        Ok(temporal(array).map(|text| formatter(array, text, options)))
    }
}

impl ArrayFormatterFactory for ForPeople {
    fn create_array_formatter<'formatter>(
        &self,
        array: &'formatter dyn Array,
        options: &FormatOptions<'formatter>,
        _: Option<&'formatter Field>,
    ) -> Result<Option<ArrayFormatter<'formatter>>, ArrowError> {
        let shown = if self.lines { printable::lines } else { printable::line };
        let text: Option<Text<'formatter>> = match array.data_type() {
            DataType::Utf8 => {
                let array = array.as_string::<i32>();
                Some(Box::new(move |at| shown(array.value(at)).into_owned()))
            }
            DataType::LargeUtf8 => {
                let array = array.as_string::<i64>();
                Some(Box::new(move |at| shown(array.value(at)).into_owned()))
            }
            DataType::Utf8View => {
                let array = array.as_string_view();
                Some(Box::new(move |at| shown(array.value(at)).into_owned()))
            }
            _ => temporal(array),
        };
        Ok(text.map(|text| formatter(array, text, options)))
    }
}

fn formatter<'a>(
    array: &'a dyn Array,
    text: Text<'a>,
    options: &FormatOptions<'a>,
) -> ArrayFormatter<'a> {
    let shown = Shown { array, text, null: options.null() };
    ArrayFormatter::new(Box::new(shown), options.safe())
}

struct Shown<'a> {
    array: &'a dyn Array,
    text: Text<'a>,
    null: &'a str,
}

impl DisplayIndex for Shown<'_> {
    fn write(&self, at: usize, to: &mut dyn Write) -> FormatResult {
        if self.array.is_null(at) {
            to.write_str(self.null)?;
        } else {
            to.write_str(&(self.text)(at))?;
        }
        Ok(())
    }
}

impl EncoderFactory for Exact {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Option<Box<dyn Encoder + 'a>> = match array.data_type() {
            DataType::Float16 => numbers(array.as_primitive::<Float16Type>(), f64::from),
            DataType::Float32 => numbers(array.as_primitive::<Float32Type>(), f64::from),
            DataType::Float64 => numbers(array.as_primitive::<Float64Type>(), |x| x),
            _ => temporal(array).map(|text| Box::new(Quoted(text)) as Box<dyn Encoder + 'a>),
        };
        Ok(encoder.map(|encoder| NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

/// A text that needs no escapes.
struct Quoted<'a>(Text<'a>);

impl Encoder for Quoted<'_> {
    fn encode(&mut self, at: usize, to: &mut Vec<u8>) {
        to.push(b'"');
        to.extend_from_slice((self.0)(at).as_bytes());
        to.push(b'"');
    }
}

/// Numbers some of which JSON does not have: they are texts there, so that none vanishes.
struct Numbers<F>(F);

impl<F: Fn(usize) -> String> Encoder for Numbers<F> {
    fn encode(&mut self, at: usize, to: &mut Vec<u8>) {
        to.extend_from_slice((self.0)(at).as_bytes());
    }
}

/// `None` where all numbers are finite: arrow prints those.
fn numbers<'a, T: ArrowPrimitiveType>(
    array: &'a PrimitiveArray<T>,
    double: fn(T::Native) -> f64,
) -> Option<Box<dyn Encoder + 'a>>
where
    T::Native: std::fmt::Debug,
{
    if array.values().iter().all(|value| double(*value).is_finite()) {
        return None;
    }
    Some(Box::new(Numbers(move |at: usize| {
        let value = array.value(at);
        match double(value) {
            x if x.is_nan() => "\"NaN\"".to_owned(),
            f64::INFINITY => "\"Infinity\"".to_owned(),
            f64::NEG_INFINITY => "\"-Infinity\"".to_owned(),
            _ => format!("{value:?}"),
        }
    })))
}

/// How times are printed; `None` if the column holds none.
fn temporal(array: &dyn Array) -> Option<Text<'_>> {
    use DataType::{Date32, Date64, Duration, Time32, Time64, Timestamp};
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    fn values<T: ArrowPrimitiveType>(array: &dyn Array) -> impl Fn(usize) -> i64 + '_
    where
        T::Native: Into<i64>,
    {
        let array = array.as_primitive::<T>();
        move |at| array.value(at).into()
    }
    fn text<'a>(value: impl Fn(usize) -> i64 + 'a, shown: impl Fn(i64) -> String + 'a) -> Text<'a> {
        Box::new(move |at| shown(value(at)))
    }
    Some(match array.data_type() {
        Date32 => text(values::<Date32Type>(array), |day| Day(day).to_string()),
        Date64 => text(values::<Date64Type>(array), time::date_ms),
        Timestamp(unit, zone) => {
            let (unit, zone) = (*unit, Zone::of(zone.as_deref()));
            let shown = move |value| time::timestamp(value, unit, zone);
            match unit {
                Second => text(values::<TimestampSecondType>(array), shown),
                Millisecond => text(values::<TimestampMillisecondType>(array), shown),
                Microsecond => text(values::<TimestampMicrosecondType>(array), shown),
                Nanosecond => text(values::<TimestampNanosecondType>(array), shown),
            }
        }
        Time32(Second) => text(values::<Time32SecondType>(array), |s| time::time_of_day(s, Second)),
        Time32(_) => {
            text(values::<Time32MillisecondType>(array), |ms| time::time_of_day(ms, Millisecond))
        }
        Time64(Microsecond) => {
            text(values::<Time64MicrosecondType>(array), |us| time::time_of_day(us, Microsecond))
        }
        Time64(_) => {
            text(values::<Time64NanosecondType>(array), |ns| time::time_of_day(ns, Nanosecond))
        }
        Duration(unit) => {
            let unit = *unit;
            let shown = move |value| time::duration(value, unit);
            match unit {
                Second => text(values::<DurationSecondType>(array), shown),
                Millisecond => text(values::<DurationMillisecondType>(array), shown),
                Microsecond => text(values::<DurationMicrosecondType>(array), shown),
                Nanosecond => text(values::<DurationNanosecondType>(array), shown),
            }
        }
        _ => return None,
    })
}
