//! Raw ids that came in before their field was a person's: in `_rescued_data`, and in columns that
//! are text or JSON. What names a person is taken out when a record comes in, so rows of before
//! have it still.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use futures::StreamExt;

use crate::contract::{Contract, Personal, quoted};
use crate::decode::{Cleaned, Persons};
use crate::error::Result;
use crate::mistake::{Mistake, to_error};
use crate::query::{Query, limits, translate};
use crate::table::Table;
use crate::world::World;

/// Refuses a contract with new personal columns whose values the table holds raw.
///
/// # Errors
/// `Usage`: the first column where one stands.
pub(super) async fn refuse_raw(world: &World, table: &Table, contract: &Contract) -> Result<()> {
    let before = table.property("lake.personal")?.unwrap_or_default();
    let before: Vec<String> =
        before.split(',').map(|part| Personal::parse(part.trim()).path).collect();
    let mut new = contract.clone();
    new.personal.retain(|personal| !before.contains(&personal.path));
    let persons = Persons::of(&new);
    if persons.is_empty() {
        return Ok(());
    }
    let table = table.with_files().await?;
    if table.files()?.is_empty() {
        return Ok(());
    }
    let Some(column) = column_with(world, &table, &persons).await? else { return Ok(()) };
    let names: Vec<&str> = new.personal.iter().map(|personal| personal.path.as_str()).collect();
    let message = format!(
        "`{}` becomes personal, and rows of {} hold values of it raw in `{column}`",
        names.join("`, `"),
        contract.name
    );
    let mistake = Mistake::new(&contract.file, message).hint(format!(
        "{0} has rows that cannot be read again: undo the change, give the new shape a new table name, or move the folders {1}/{2} and _lake/{0} away, and the next run reads the sources again, as far as they are still there",
        contract.name, contract.name.layer, contract.name.table
    ));
    let column = contract.columns.iter().find(|column| names.contains(&column.field.name.as_str()));
    let mistake = match column {
        Some(column) => mistake.span(column.span.clone()),
        None => mistake,
    };
    Err(to_error(&[mistake], &world.project.files))
}

/// The first column in which a text names a person.
async fn column_with(world: &World, table: &Table, persons: &Persons) -> Result<Option<String>> {
    let failed = |cause| translate(&format!("cannot look for raw ids in {}", table.name()), cause);
    let query = Query::new(&limits(&world.settings, None)?)?;
    query.register(table.name(), table.provider()?)?;
    let schema = table.schema()?;
    let texts = schema
        .fields()
        .iter()
        .filter(|field| matches!(field.data_type(), DataType::Utf8 | DataType::Struct(_)));
    let texts: Vec<String> = texts.map(|field| quoted(field.name())).collect();
    if texts.is_empty() {
        return Ok(None);
    }
    let sql = format!("SELECT {} FROM {}", texts.join(", "), table.name());
    let frame = query.plan(&sql).await.map_err(failed)?;
    for mut rows in query.streams(frame).await.map_err(failed)? {
        while let Some(rows) = rows.next().await {
            world.stop.check()?;
            if let Some(column) = find(&rows.map_err(failed)?, persons) {
                return Ok(Some(column));
            }
        }
    }
    Ok(None)
}

fn find(rows: &RecordBatch, persons: &Persons) -> Option<String> {
    let schema = rows.schema();
    let mut columns = schema.fields().iter().zip(rows.columns());
    columns.find(|(_, column)| names_person(column, persons)).map(|(field, _)| field.name().clone())
}

fn names_person(column: &ArrayRef, persons: &Persons) -> bool {
    let is_in = |text: &str| persons.clean_text(text) != Cleaned::Same;
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().flatten().any(is_in),
        DataType::Utf8View => column.as_string_view().iter().flatten().any(is_in),
        DataType::Struct(_) => {
            column.as_struct().columns().iter().any(|inner| names_person(inner, persons))
        }
        _ => false,
    }
}
