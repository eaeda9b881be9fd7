//! Names of columns where readers find a value by its name: there each name may come once.
//!
//! SQL allows `SELECT a.id, b.id`; a reader of JSON keeps one of two equal keys, in silence. The
//! later ones are renamed as `DuckDB` does: `id`, `id_1`.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, GenericListArray, OffsetSizeTrait};
use datafusion::arrow::array::{RecordBatch, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;

/// The schema with each name once, also inside structs; `None` if it is so already.
pub(super) fn unique(schema: &SchemaRef) -> Option<SchemaRef> {
    let fields = unique_fields(schema.fields());
    (fields != *schema.fields())
        .then(|| Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
}

/// The same rows under the names of `schema`.
pub(super) fn rename(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = rows.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| renamed(column, field.data_type()));
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}

fn unique_fields(fields: &Fields) -> Fields {
    let given: HashSet<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    let mut taken: HashSet<String> = HashSet::new();
    let mut renamed = Vec::with_capacity(fields.len());
    for field in fields {
        let mut name = field.name().clone();
        let mut n = 0;
        while !taken.insert(name.clone()) {
            // A name that another column was given by the query stays that column's.
            name = loop {
                n += 1;
                let candidate = format!("{}_{n}", field.name());
                if !given.contains(candidate.as_str()) {
                    break candidate;
                }
            };
        }
        let data_type = unique_type(field.data_type());
        let field = Field::clone(field).with_name(name).with_data_type(data_type);
        renamed.push(Arc::new(field));
    }
    renamed.into()
}

fn unique_type(data_type: &DataType) -> DataType {
    let item = |item: &FieldRef| {
        Arc::new(Field::clone(item).with_data_type(unique_type(item.data_type())))
    };
    match data_type {
        DataType::Struct(fields) => DataType::Struct(unique_fields(fields)),
        DataType::List(of) => DataType::List(item(of)),
        DataType::LargeList(of) => DataType::LargeList(item(of)),
        other => other.clone(),
    }
}

fn renamed(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    Ok(match data_type {
        _ if column.data_type() == data_type => Arc::clone(column),
        DataType::Struct(fields) => {
            let have = column.as_struct();
            let columns = have.columns().iter().zip(fields);
            let columns = columns.map(|(column, field)| renamed(column, field.data_type()));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let nulls = have.nulls().cloned();
            Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, have.len())?)
        }
        DataType::List(of) => Arc::new(renamed_list(column.as_list::<i32>(), of)?),
        DataType::LargeList(of) => Arc::new(renamed_list(column.as_list::<i64>(), of)?),
        _ => Arc::clone(column),
    })
}

fn renamed_list<O: OffsetSizeTrait>(
    have: &GenericListArray<O>,
    of: &FieldRef,
) -> Result<GenericListArray<O>, ArrowError> {
    let values = renamed(have.values(), of.data_type())?;
    let nulls = have.nulls().cloned();
    GenericListArray::try_new(Arc::clone(of), have.offsets().clone(), values, nulls)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        let fields: Fields =
            names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect();
        unique_fields(&fields).iter().map(|field| field.name().clone()).collect()
    }

    #[test]
    fn each_name_comes_once_and_none_is_taken_from_another_column() {
        assert_eq!(names(&["id", "n", "id", "id"]), ["id", "n", "id_1", "id_2"]);
        assert_eq!(names(&["id", "id", "id_1"]), ["id", "id_2", "id_1"]);
        assert_eq!(names(&["id_1", "id_1", "id", "id"]), ["id_1", "id_1_1", "id", "id_2"]);
        assert_eq!(names(&["", ""]), ["", "_1"]);
        assert_eq!(names(&["a", "A"]), ["a", "A"]);
    }

    #[test]
    fn a_schema_without_equal_names_stays() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        assert!(unique(&schema).is_none());
    }
}
