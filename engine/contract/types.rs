//! The types a contract may use, and what they are in Arrow.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use sqlparser::ast::{CharacterLength, DataType as Sql, ExactNumberInfo};

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
    /// A sentence that says which types there are.
    pub fn from_sql(sql: &Sql) -> Result<Self, String> {
        Ok(match sql {
            Sql::Boolean | Sql::Bool => Self::Boolean,
            Sql::Int(_) | Sql::Integer(_) => Self::Int,
            Sql::BigInt(_) => Self::BigInt,
            Sql::Double(_) | Sql::DoublePrecision | Sql::Float64 => Self::Double,
            Sql::String(_) | Sql::Text | Sql::Varchar(None) => Self::Text { max: None },
            Sql::Varchar(Some(CharacterLength::IntegerLength { length, .. })) => {
                Self::Text { max: Some(*length) }
            }
            Sql::JSON => Self::Json,
            Sql::Timestamp(..) => Self::Timestamp,
            Sql::Date => Self::Date,
            Sql::Binary(_) | Sql::Bytea => Self::Binary,
            Sql::Decimal(ExactNumberInfo::PrecisionAndScale(precision, scale)) => {
                match (u8::try_from(*precision), i8::try_from(*scale)) {
                    (Ok(precision @ 1..=38), Ok(scale))
                        if i16::from(scale) <= i16::from(precision) =>
                    {
                        Self::Decimal(precision, scale)
                    }
                    _ => return Err(format!("`{sql}` is out of range: at most DECIMAL(38, 38)")),
                }
            }
            Sql::Struct(fields, _) => Self::Struct(struct_fields(fields)?),
            other => {
                return Err(format!(
                    "type `{other}` is not one of BOOLEAN, INT, BIGINT, DOUBLE, DECIMAL(p, s), STRING, VARCHAR(n), JSON, TIMESTAMP, DATE, BINARY, STRUCT<…>"
                ));
            }
        })
    }
}

fn struct_fields(fields: &[sqlparser::ast::StructField]) -> Result<Vec<TypedField>, String> {
    fields
        .iter()
        .map(|field| {
            let name = field.field_name.as_ref().ok_or("a field of a STRUCT has no name")?;
            Ok(TypedField {
                name: name.value.clone(),
                data_type: Type::from_sql(&field.field_type)?,
            })
        })
        .collect()
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
