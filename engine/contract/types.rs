//! The types a contract may use, and what they are in Arrow.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use sqlparser::ast::{
    CharLengthUnits, CharacterLength, DataType as Sql, ExactNumberInfo, StructField, TimezoneInfo,
};

use super::names::{PLAIN, folded, is_plain};

/// The types of a contract, for messages.
pub(super) const TYPES: &str = "BOOLEAN, INT, BIGINT, DOUBLE, DECIMAL(p, s), STRING, VARCHAR(n), JSON, TIMESTAMP, DATE, BINARY, STRUCT<…>";

/// Types of other tools, and what to write for them.
const INSTEAD: &[(&[&str], &str)] = &[
    (&["ARRAY", "LIST"], "JSON, which keeps a list as it is"),
    (&["MAP", "OBJECT", "VARIANT"], "JSON, which keeps an object whatever its keys are"),
    (&["FLOAT", "REAL", "FLOAT4", "FLOAT8"], "DOUBLE"),
    (&["TINYINT", "SMALLINT", "SHORT", "BYTE", "INT2", "INT4", "UTINYINT", "USMALLINT"], "INT"),
    (&["LONG", "INT8", "INT64", "UINTEGER"], "BIGINT"),
    (&["NUMERIC", "NUMBER", "DEC", "DECIMAL"], "DECIMAL(p, s)"),
    (&["CHAR", "CHARACTER", "NCHAR", "NVARCHAR"], "VARCHAR(n), or STRING"),
    (&["UUID", "ENUM", "CLOB"], "STRING"),
    (&["TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMPTZ", "DATETIME"], "TIMESTAMP"),
    (&["BLOB", "VARBINARY", "BYTES"], "BINARY"),
    (&["JSONB"], "JSON"),
];

/// A named, typed field: a column or a field of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedField {
    /// The name, in snake case.
    pub name: String,
    /// Its type.
    pub data_type: Type,
}

/// A column type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// `BOOLEAN`
    Boolean,
    /// `INT`, 32 bits
    Int,
    /// `BIGINT`, 64 bits
    BigInt,
    /// `DOUBLE`
    Double,
    /// `DECIMAL(precision, scale)`
    Decimal(u8, i8),
    /// `STRING`, or `VARCHAR(max)` of at most `max` characters
    Text {
        /// The greatest length, in characters.
        max: Option<u64>,
    },
    /// `JSON`: any JSON value, kept as its text
    Json,
    /// `TIMESTAMP`, microseconds UTC
    Timestamp,
    /// `DATE`
    Date,
    /// `BINARY`
    Binary,
    /// `STRUCT<…>`
    Struct(Vec<TypedField>),
}

impl Type {
    /// The Arrow type of a column of this type.
    pub fn arrow(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int => DataType::Int32,
            Self::BigInt => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale),
            Self::Text { .. } | Self::Json => DataType::Utf8,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Date => DataType::Date32,
            Self::Binary => DataType::Binary,
            Self::Struct(fields) => DataType::Struct(arrow_fields(fields)),
        }
    }

    /// Reads a type as the SQL parser sees it.
    ///
    /// # Errors
    /// A sentence that says which types there are, or which part of a type would have no effect.
    pub fn from_sql(sql: &Sql) -> Result<Self, String> {
        Ok(match sql {
            Sql::Boolean | Sql::Bool => Self::Boolean,
            Sql::Int(None) | Sql::Integer(None) => Self::Int,
            Sql::BigInt(None) => Self::BigInt,
            Sql::Double(ExactNumberInfo::None) | Sql::DoublePrecision | Sql::Float64 => {
                Self::Double
            }
            Sql::String(None) | Sql::Text | Sql::Varchar(None) => Self::Text { max: None },
            Sql::Varchar(Some(CharacterLength::IntegerLength {
                length: length @ 1..,
                unit: None | Some(CharLengthUnits::Characters),
            })) => Self::Text { max: Some(*length) },
            Sql::JSON => Self::Json,
            Sql::Timestamp(
                None | Some(6),
                TimezoneInfo::None | TimezoneInfo::WithTimeZone | TimezoneInfo::Tz,
            ) => Self::Timestamp,
            Sql::Date => Self::Date,
            Sql::Binary(None) | Sql::Bytea => Self::Binary,
            Sql::Decimal(ExactNumberInfo::PrecisionAndScale(precision, scale)) => {
                match (u8::try_from(*precision), i8::try_from(*scale)) {
                    (Ok(precision @ 1..=38), Ok(scale @ 0..))
                        if i16::from(scale) <= i16::from(precision) =>
                    {
                        Self::Decimal(precision, scale)
                    }
                    _ => {
                        return Err(format!(
                            "`{sql}` is out of range: DECIMAL(1, 0) to DECIMAL(38, 38)"
                        ));
                    }
                }
            }
            Sql::Struct(fields, _) => Self::Struct(struct_fields(fields)?),
            other => return Err(objection(other)),
        })
    }
}

/// Why a type is none of a contract.
fn objection(sql: &Sql) -> String {
    match sql {
        Sql::Int(_) | Sql::Integer(_) | Sql::BigInt(_) | Sql::Double(_) | Sql::Binary(_) => {
            format!("the length in `{sql}` has no effect: leave it out")
        }
        Sql::String(Some(length)) => {
            format!("the length in `{sql}` has no effect: write VARCHAR({length})")
        }
        Sql::Varchar(Some(_)) => {
            format!("`{sql}` is not VARCHAR(n): n counts characters, 1 or more; or write STRING")
        }
        Sql::Timestamp(_, TimezoneInfo::WithoutTimeZone) | Sql::Datetime(_) => {
            format!("`{sql}` is not supported: a TIMESTAMP is a moment, in UTC")
        }
        Sql::Timestamp(..) => {
            format!("the precision in `{sql}` has no effect: a TIMESTAMP has microseconds")
        }
        other => format!("type `{other}` is not one of {TYPES}"),
    }
}

/// Which type to write in the place of one that a contract does not have, if it is a known one.
pub(super) fn way_out(sql: &Sql) -> Option<String> {
    if let Sql::Struct(fields, _) = sql {
        let refused = |field: &&StructField| Type::from_sql(&field.field_type).is_err();
        return way_out(&fields.iter().find(refused)?.field_type);
    }
    let text = sql.to_string().to_ascii_uppercase();
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (_, instead) = INSTEAD.iter().find(|(names, _)| names.contains(&&text[..end]))?;
    Some(format!("write {instead}"))
}

fn struct_fields(fields: &[StructField]) -> Result<Vec<TypedField>, String> {
    let mut read: Vec<TypedField> = Vec::new();
    for field in fields {
        let name = field_name(field)?;
        if read.iter().any(|other| other.name == name) {
            return Err(format!("the STRUCT has two fields `{name}`"));
        }
        read.push(TypedField { name, data_type: Type::from_sql(&field.field_type)? });
    }
    if read.is_empty() { Err("a STRUCT has no fields".to_owned()) } else { Ok(read) }
}

/// A field's name; two that differ only in case are one for most engines, so none has capitals.
fn field_name(field: &StructField) -> Result<String, String> {
    let name = field.field_name.as_ref().ok_or("a field of a STRUCT has no name")?;
    if field.options.is_some() {
        return Err(format!("the options of the field `{name}` have no effect: leave them out"));
    }
    let plain = is_plain(name.value.strip_prefix('_').unwrap_or(&name.value));
    if plain {
        Ok(folded(name))
    } else {
        Err(format!("the field `{}` of a STRUCT is not in snake_case: {PLAIN}", name.value))
    }
}

fn arrow_fields(fields: &[TypedField]) -> Fields {
    fields
        .iter()
        .map(|field| Arc::new(Field::new(&field.name, field.data_type.arrow(), true)))
        .collect()
}

/// An Arrow type in the words of a contract.
pub fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => {
            "INT".to_owned()
        }
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => "BIGINT".to_owned(),
        DataType::Float32 | DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "TIMESTAMP".to_owned(),
        DataType::Timestamp(..) => {
            "TIMESTAMP /* cast to microseconds UTC in the query */".to_owned()
        }
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BINARY".to_owned(),
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{} {}", field.name(), sql_type(field.data_type())))
                .collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        _ => "STRING".to_owned(),
    }
}
