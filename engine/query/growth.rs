//! How much a function would make of its arguments, before it does.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

/// The bytes of a character at most.
const CHAR_BYTES: f64 = 4.0;
/// The bytes of a number in a list.
const NUMBER_BYTES: f64 = 8.0;

/// What a function makes, at most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    /// The length of the longest value: characters or elements.
    pub(super) longest: f64,
    /// The bytes of all values.
    pub(super) bytes: f64,
}

impl Size {
    fn add(&mut self, length: f64, bytes: f64) {
        self.longest = self.longest.max(length);
        self.bytes += bytes.max(0.0);
    }
}

/// How a function makes more of its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// A text of so many characters.
    Pad,
    /// A text so many times.
    Repeat,
    /// A list of an element so many times.
    Copies,
    /// A list of so many elements.
    Resize,
    /// The whole numbers from one to another.
    Series,
    /// A text in the place of each of another.
    Replace,
    /// A text in the place of all matches, of which there are as many as the function says.
    Matches(Arc<ScalarUDF>),
    /// A text between all elements.
    Join,
}

impl Growth {
    /// What would be made.
    pub(super) fn size(&self, args: &ScalarFunctionArgs) -> Result<Size> {
        let has_rows = args.args.iter().any(|arg| matches!(arg, ColumnarValue::Array(_)));
        let n_rows = if has_rows { args.number_rows } else { 1 };
        let (call, args) = (args, args.args.as_slice());
        let mut size = Size::default();
        match self {
            Self::Pad => {
                let (texts, lengths) = (Texts::of(&args[0])?, Numbers::of(args.get(1))?);
                let fill = args.get(2).map(Texts::of).transpose()?;
                let fill_is_plain = fill.is_none_or(|fill| fill.is_plain());
                let width = if fill_is_plain && texts.is_plain() { 1.0 } else { CHAR_BYTES };
                (0..n_rows).for_each(|row| {
                    let length = if texts.get(row).is_some() { lengths.get(row) } else { 0.0 };
                    size.add(length, length * width);
                });
            }
            Self::Repeat => {
                let (texts, times) = (Texts::of(&args[0])?, Numbers::of(args.get(1))?);
                (0..n_rows).for_each(|row| {
                    let length = times.get(row) * bytes_of(texts.get(row));
                    size.add(length, length);
                });
            }
            Self::Copies => {
                let (elements, times) = (Values::of(&args[0])?, Numbers::of(args.get(1))?);
                (0..n_rows).for_each(|row| {
                    size.add(times.get(row), times.get(row) * elements.bytes(row));
                });
            }
            Self::Resize => {
                let lengths = Numbers::of(args.get(1))?;
                let elements = args.get(2).map(Values::of).transpose()?;
                (0..n_rows).for_each(|row| {
                    let width = elements.as_ref().map_or(NUMBER_BYTES, |value| value.bytes(row));
                    size.add(lengths.get(row), lengths.get(row) * width);
                });
            }
            Self::Series => series(args, n_rows, &mut size)?,
            Self::Replace => replaced(args, n_rows, &mut size)?,
            Self::Matches(count) => matches(call, count, n_rows, &mut size)?,
            Self::Join => {
                let lists = Values::of(&args[0])?;
                let between = args.get(1).map(Texts::of).transpose()?;
                (0..n_rows).for_each(|row| {
                    let separator = between.as_ref().map_or(0.0, |of| bytes_of(of.get(row)));
                    let separators = lists.length(row) * separator;
                    size.add(separators, separators);
                });
            }
        }
        Ok(size)
    }
}

/// From one number to another, by steps.
fn series(args: &[ColumnarValue], n_rows: usize, size: &mut Size) -> Result<()> {
    if args.iter().any(|arg| !arg.data_type().is_integer()) {
        return Ok(());
    }
    let columns = args.iter().map(|arg| Numbers::of(Some(arg))).collect::<Result<Vec<_>>>()?;
    for row in 0..n_rows {
        let numbers: Vec<f64> = columns.iter().map(|column| column.signed(row)).collect();
        let (start, end, step) = match numbers.as_slice() {
            [end] => (0.0, *end, 1.0),
            [start, end] => (*start, *end, 1.0),
            [start, end, step] => (*start, *end, *step),
            _ => return Ok(()),
        };
        let length = ((end - start) / step).floor() + 1.0;
        // Without a NULL, and without a step of nothing, of which the function tells.
        if length.is_finite() && length > 0.0 {
            size.add(length, length * NUMBER_BYTES);
        }
    }
    Ok(())
}

fn replaced(args: &[ColumnarValue], n_rows: usize, size: &mut Size) -> Result<()> {
    let [texts, old, new] = args else { return Ok(()) };
    let (texts, old, new) = (Texts::of(texts)?, Texts::of(old)?, Texts::of(new)?);
    for row in 0..n_rows {
        let (Some(text), Some(old), Some(new)) = (texts.get(row), old.get(row), new.get(row))
        else {
            continue;
        };
        if new.len() <= old.len() {
            continue;
        }
        let n = text.matches(old).count();
        let grown = as_double(n) * as_double(new.len());
        size.add(grown, grown + as_double(text.len()));
    }
    Ok(())
}

/// Matches are counted only where so many as there are characters would be too much.
fn matches(
    args: &ScalarFunctionArgs,
    count: &ScalarUDF,
    n_rows: usize,
    size: &mut Size,
) -> Result<()> {
    const MANY: f64 = 1_048_576.0;
    let [texts, patterns, new, flags @ ..] = args.args.as_slice() else { return Ok(()) };
    let (old, new) = (Texts::of(texts)?, Texts::of(new)?);
    let most = |row: usize| {
        let text = bytes_of(old.get(row));
        (text + 1.0) * bytes_of(new.get(row))
    };
    let all: f64 = (0..n_rows).map(most).sum();
    if flags.is_empty() || all < MANY {
        return Ok(());
    }
    let flags = Texts::of(&flags[0])?;
    let flags: StringArray = (0..n_rows).map(|row| flags.get(row)).collect();
    if !flags.iter().flatten().any(|flags| flags.contains('g')) {
        return Ok(());
    }
    // The count knows of no `g`: it counts all matches.
    let flags: StringArray =
        flags.iter().map(|flags| Some(flags.unwrap_or_default().replace('g', ""))).collect();
    let starts = ColumnarValue::Scalar(1_i64.into());
    let counted = ScalarFunctionArgs {
        args: vec![texts.clone(), patterns.clone(), starts, ColumnarValue::Array(Arc::new(flags))],
        number_rows: n_rows,
        ..args.clone()
    };
    let counts = count.invoke_with_args(counted)?;
    let counts = Numbers::of(Some(&counts))?;
    for row in 0..n_rows {
        let Some(new) = new.get(row) else { continue };
        // What groups repeat of a match is no longer than the text, each time that it is named.
        let n_groups = as_double(new.matches(['\\', '$']).count());
        let text = bytes_of(old.get(row));
        let grown = counts.get(row) * as_double(new.len()) + n_groups * text;
        size.add(grown - text, text + grown);
    }
    Ok(())
}

fn as_double(n: usize) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a bound, not a sum")]
    let double = n as f64;
    double
}

fn bytes_of(text: Option<&str>) -> f64 {
    text.map_or(0.0, |text| as_double(text.len()))
}

/// The values of an argument: one for all rows, or one for each.
struct Column(ArrayRef);

impl Column {
    fn of(value: &ColumnarValue) -> Result<Self> {
        Ok(Self(match value {
            ColumnarValue::Array(values) => Arc::clone(values),
            ColumnarValue::Scalar(value) => value.to_array()?,
        }))
    }

    fn at(&self, row: usize) -> usize {
        if self.0.len() == 1 { 0 } else { row }
    }
}

struct Texts(Column);

impl Texts {
    fn of(value: &ColumnarValue) -> Result<Self> {
        let column = Column::of(value)?;
        Ok(Self(Column(cast(&column.0, &DataType::Utf8)?)))
    }

    fn get(&self, row: usize) -> Option<&str> {
        let texts = self.0.0.as_string::<i32>();
        let row = self.0.at(row);
        texts.is_valid(row).then(|| texts.value(row))
    }

    fn is_plain(&self) -> bool {
        self.0.0.as_string::<i32>().value_data().is_ascii()
    }
}

/// Numbers, of which none is NaN.
struct Numbers(Option<Column>);

impl Numbers {
    fn of(value: Option<&ColumnarValue>) -> Result<Self> {
        let Some(value) = value else { return Ok(Self(None)) };
        let column = Column::of(value)?;
        Ok(Self(Some(Column(cast(&column.0, &DataType::Float64)?))))
    }

    fn signed(&self, row: usize) -> f64 {
        let Some(column) = &self.0 else { return 0.0 };
        let numbers: &Float64Array = column.0.as_primitive::<Float64Type>();
        let row = column.at(row);
        if numbers.is_valid(row) { numbers.value(row) } else { f64::NAN }
    }

    /// A length: nothing where it is negative or NULL.
    fn get(&self, row: usize) -> f64 {
        self.signed(row).max(0.0)
    }
}

struct Values(Column);

impl Values {
    fn of(value: &ColumnarValue) -> Result<Self> {
        Column::of(value).map(Self)
    }

    fn bytes(&self, row: usize) -> f64 {
        bytes_at(&self.0.0, self.0.at(row))
    }

    /// The elements of a list.
    fn length(&self, row: usize) -> f64 {
        let lists = self.0.0.as_list_opt::<i32>();
        lists.map_or(0.0, |lists| f64::from(lists.value_length(self.0.at(row))))
    }
}

/// The bytes of a value, about.
fn bytes_at(values: &ArrayRef, row: usize) -> f64 {
    if let Some(width) = values.data_type().primitive_width() {
        return as_double(width);
    }
    if values.is_null(row) {
        return NUMBER_BYTES;
    }
    if let Some(lists) = values.as_list_opt::<i32>() {
        let offset = |at: usize| usize::try_from(lists.value_offsets()[at]).unwrap_or_default();
        let elements = offset(row)..offset(row + 1);
        return match lists.values().data_type().primitive_width() {
            Some(width) => NUMBER_BYTES + as_double(elements.len()) * as_double(width),
            None => NUMBER_BYTES + elements.map(|at| bytes_at(lists.values(), at)).sum::<f64>(),
        };
    }
    if let Some(whole) = values.as_struct_opt() {
        return whole.columns().iter().map(|column| bytes_at(column, row)).sum();
    }
    match values.data_type() {
        DataType::Utf8 => bytes_of(Some(values.as_string::<i32>().value(row))),
        DataType::Utf8View => bytes_of(Some(values.as_string_view().value(row))),
        DataType::Binary => as_double(values.as_binary::<i32>().value(row).len()),
        _ => as_double(values.get_array_memory_size() / values.len().max(1)),
    }
}
