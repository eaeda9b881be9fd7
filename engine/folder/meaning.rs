//! What the columns of a Parquet file mean: the types that they are read as, and what the contract
//! makes of them.
//!
//! Where the library reads less than the file says (spans without months, decimals of many digits), or
//! gives up a whole file for one value (text that is no UTF-8), the bytes are read without their
//! meaning, and `encode` makes values of them.

use std::fs::File;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use datafusion::parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use datafusion::parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

use super::csv_columns::known;
use crate::contract::{self, TypedField};
use crate::guard::guarded;

/// What the bytes of a column stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Meaning {
    /// What their type says.
    #[default]
    Plain,
    Text,
    Json,
    Uuid,
    /// Bytes that are no text, even if they look like it.
    Opaque,
    /// Months, days and milliseconds.
    Interval,
    /// A day, and the nanoseconds since its midnight: `INT96`.
    Moment96,
    /// A whole number, and how many of its digits stand behind the point.
    Decimal(i32),
    /// A struct that is a value of any type in an encoding of its own.
    Variant,
}

/// What the contract takes a column for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It does not know it, or takes what comes.
    #[default]
    Any,
    Text,
    Whole,
    /// JSON, or a struct.
    Json,
    Other,
}

/// A column, or a field of one.
#[derive(Clone, Debug, Default)]
pub(super) struct Column {
    /// As the contract spells it.
    pub(super) name: String,
    /// The fields from the record down to it.
    pub(super) path: String,
    pub(super) meaning: Meaning,
    pub(super) wanted: Wanted,
    /// The fields of a struct; the values of a list; the keys and the values of a map.
    pub(super) inner: Vec<Column>,
    /// Its moments in nanoseconds, where they are read twice.
    pub(super) fine: Option<ArrayRef>,
}

/// How much of the meaning the library does not have to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stripped {
    /// What it cannot read as it is.
    Odd,
    /// Text as well.
    Text,
}

/// The metadata as the file has it.
///
/// # Errors
/// It cannot be read.
pub(super) fn whole(file: &File) -> Result<Arc<ParquetMetaData>, ParquetError> {
    let read = guarded(|| ParquetMetaDataReader::new().parse_and_finish(file));
    read.unwrap_or_else(|| Err(gave_up())).map(Arc::new)
}

fn gave_up() -> ParquetError {
    ParquetError::General("its metadata is damaged".to_owned())
}

/// The metadata with the Arrow types that the columns are read as, and without some of their meaning;
/// moments of 96 bits are read in `unit`s.
///
/// # Errors
/// It cannot be read.
pub(super) fn metadata(
    file: &File,
    whole: &Arc<ParquetMetaData>,
    stripped: Stripped,
    unit: TimeUnit,
) -> Result<ArrowReaderMetadata, ParquetError> {
    let bare = bare(whole.file_metadata().schema_descr().root_schema(), stripped);
    let bare = bare.map(|root| Arc::new(SchemaDescriptor::new(root)));
    let load = |options: ArrowReaderOptions| {
        let loaded = guarded(|| match &bare {
            Some(bare) => {
                let options = options.with_parquet_schema(Arc::clone(bare));
                ArrowReaderMetadata::load(file, options)
            }
            None => ArrowReaderMetadata::try_new(Arc::clone(whole), options),
        });
        loaded.unwrap_or_else(|| Err(gave_up()))
    };
    // The Arrow schema that some writers add is a hint: where it is broken, Parquet's own is there.
    let loaded = load(ArrowReaderOptions::new())
        .or_else(|_| load(ArrowReaderOptions::new().with_skip_arrow_metadata(true)))?;
    let mut leaf = 0;
    let parquet = loaded.parquet_schema();
    let fields: Fields = loaded
        .schema()
        .fields()
        .iter()
        .map(|field| read_as(field, parquet, (stripped, unit), &mut leaf))
        .collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    let adapted = guarded(|| ArrowReaderMetadata::try_new(Arc::clone(loaded.metadata()), options));
    Ok(adapted.and_then(Result::ok).unwrap_or(loaded))
}

/// The type without the meaning of some columns; `None` if it is the same.
fn bare(whole: &Type, stripped: Stripped) -> Option<TypePtr> {
    let info = whole.get_basic_info();
    let id = info.has_id().then(|| info.id());
    if let Type::PrimitiveType { physical_type, type_length, .. } = whole {
        let is_stripped = match meaning(whole) {
            Meaning::Interval | Meaning::Decimal(_) => true,
            Meaning::Text | Meaning::Json => stripped == Stripped::Text,
            _ => false,
        };
        let builder = Type::primitive_type_builder(info.name(), *physical_type)
            .with_repetition(info.repetition())
            .with_length(*type_length)
            .with_id(id);
        return builder.build().ok().filter(|_| is_stripped).map(Arc::new);
    }
    let fields: Vec<Option<TypePtr>> =
        whole.get_fields().iter().map(|field| bare(field, stripped)).collect();
    if fields.iter().all(Option::is_none) {
        return None;
    }
    let own = whole.get_fields().iter().cloned();
    let fields = fields.into_iter().zip(own).map(|(bare, own)| bare.unwrap_or(own)).collect();
    let mut builder = Type::group_type_builder(info.name())
        .with_converted_type(info.converted_type())
        .with_logical_type(info.logical_type_ref().cloned())
        .with_id(id)
        .with_fields(fields);
    if info.has_repetition() {
        builder = builder.with_repetition(info.repetition());
    }
    builder.build().ok().map(Arc::new)
}

/// What the bytes of a leaf stand for, as far as its Arrow type does not say it.
fn meaning(leaf: &Type) -> Meaning {
    let Type::PrimitiveType { basic_info, physical_type, type_length, precision, scale } = leaf
    else {
        return Meaning::Plain;
    };
    if *physical_type == Physical::INT96 {
        return Meaning::Moment96;
    }
    let is_fixed = *physical_type == Physical::FIXED_LEN_BYTE_ARRAY;
    if !is_fixed && *physical_type != Physical::BYTE_ARRAY {
        return Meaning::Plain;
    }
    let decimal = |precision: i32, scale: i32| {
        // These the library knows well.
        let is_known = is_fixed && (1..=16).contains(type_length) && (1..=38).contains(&precision);
        if is_known { Meaning::Plain } else { Meaning::Decimal(scale) }
    };
    match (basic_info.logical_type_ref(), basic_info.converted_type()) {
        (Some(LogicalType::Decimal(of)), _) => decimal(of.precision, of.scale),
        (None, ConvertedType::DECIMAL) => decimal(*precision, *scale),
        (Some(LogicalType::Uuid), _) if is_fixed && *type_length == 16 => Meaning::Uuid,
        (None, ConvertedType::INTERVAL) if is_fixed && *type_length == 12 => Meaning::Interval,
        (Some(LogicalType::String), _) | (None, ConvertedType::UTF8) => Meaning::Text,
        (Some(LogicalType::Json), _) | (None, ConvertedType::JSON) => Meaning::Json,
        (
            Some(LogicalType::Bson | LogicalType::Geometry { .. } | LogicalType::Geography { .. }),
            _,
        )
        | (None, ConvertedType::BSON) => Meaning::Opaque,
        _ => Meaning::Plain,
    }
}

/// What a column is read as: text and bytes as views, so that a value that stands in the file once
/// is in memory once; and moments of 96 bits in microseconds, since nanoseconds end in 2262 (`fine`).
fn read_as(
    field: &FieldRef,
    parquet: &SchemaDescriptor,
    (stripped, unit): (Stripped, TimeUnit),
    leaf: &mut usize,
) -> FieldRef {
    let mut nested = |inner: &FieldRef| read_as(inner, parquet, (stripped, unit), leaf);
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(nested).collect()),
        DataType::List(inner) => DataType::List(nested(inner)),
        DataType::LargeList(inner) => DataType::LargeList(nested(inner)),
        DataType::FixedSizeList(inner, n) => DataType::FixedSizeList(nested(inner), *n),
        DataType::Map(entries, is_sorted) => DataType::Map(nested(entries), *is_sorted),
        other => {
            let at = *leaf;
            *leaf += 1;
            let physical = parquet.columns().get(at).map(|column| column.physical_type());
            match (other, physical) {
                (DataType::Timestamp(TimeUnit::Nanosecond, zone), Some(Physical::INT96)) => {
                    DataType::Timestamp(unit, zone.clone())
                }
                // The hint still says text.
                (_, Some(Physical::BYTE_ARRAY)) if stripped == Stripped::Text => {
                    DataType::BinaryView
                }
                (other, _) => viewed(other),
            }
        }
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

fn viewed(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::Dictionary(_, value) => viewed(value),
        other => other.clone(),
    }
}

/// The columns as the contract spells and takes them.
pub(super) fn columns(
    schema: &Schema,
    whole: &SchemaDescriptor,
    fields: &[TypedField],
) -> Vec<Column> {
    let mut meanings = whole.columns().iter().map(|leaf| meaning(leaf.self_type()));
    let mut columns = spelled(schema.fields(), Some(fields), "", &mut meanings);
    mark_variants(&mut columns, whole.root_schema());
    columns
}

fn spelled(
    own: &Fields,
    known_fields: Option<&[TypedField]>,
    above: &str,
    meanings: &mut dyn Iterator<Item = Meaning>,
) -> Vec<Column> {
    let column = |field: &FieldRef| {
        let fields = known_fields.unwrap_or_default();
        let exact = |name: &str| own.iter().any(|other| other.name() == name);
        let known = if field.name().contains('.') { None } else { known(field.name(), fields) };
        let known = known.filter(|known| known == field.name() || !exact(known));
        let known = known.and_then(|name| fields.iter().find(|field| field.name == name));
        let name = known.map_or(field.name(), |known| &known.name).clone();
        let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        let wanted = known.map_or(Wanted::Any, |known| wanted(&known.data_type));
        let inner_fields = match known.map(|known| &known.data_type) {
            Some(contract::Type::Struct(fields)) => Some(fields.as_slice()),
            _ => None,
        };
        let mut column = Column { name, path, wanted, ..Column::default() };
        match field.data_type() {
            DataType::Struct(inner) => {
                column.inner = spelled(inner, inner_fields, &column.path, meanings);
            }
            DataType::List(inner)
            | DataType::LargeList(inner)
            | DataType::FixedSizeList(inner, _) => {
                let inner = Fields::from(vec![unnamed(inner)]);
                column.inner = spelled(&inner, None, &column.path, meanings);
            }
            DataType::Map(entries, _) => {
                if let DataType::Struct(inner) = entries.data_type() {
                    column.inner = spelled(inner, None, &column.path, meanings);
                }
            }
            _ => column.meaning = meanings.next().unwrap_or_default(),
        }
        column
    };
    own.iter().map(column).collect()
}

/// The values of a list have no name that anybody chose.
fn unnamed(field: &FieldRef) -> FieldRef {
    Arc::new(Field::clone(field).with_name("element"))
}

fn wanted(data_type: &contract::Type) -> Wanted {
    use contract::Type::{BigInt, Int, Json, Struct, Text};
    match data_type {
        Text { .. } => Wanted::Text,
        Int | BigInt => Wanted::Whole,
        Json | Struct(_) => Wanted::Json,
        _ => Wanted::Other,
    }
}

fn mark_variants(columns: &mut [Column], group: &Type) {
    for (column, field) in columns.iter_mut().zip(group.get_fields()) {
        match field.get_basic_info().logical_type_ref() {
            Some(LogicalType::Variant(_)) => column.meaning = Meaning::Variant,
            None if field.is_group() => mark_variants(&mut column.inner, field),
            Some(_) | None => {}
        }
    }
}
