//! `lake status`: how far every table is.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use engine::error::{Error, Result};
use engine::status::{Row, batch};

use super::rows::show;
use super::{Common, Need, Output, say};

/// Prints a row for each table, and for each partition that it reads.
pub(crate) async fn status(common: &Common) -> Result<()> {
    let world = common.world(Need::Readable).await?;
    let status = engine::status::status(&world).await?;
    let output = common.global.output;
    let rows = if output == Output::Table { readable(&status.rows) } else { batch(&status.rows) };
    show(&rows?, output)?;
    if !common.quiet() && status.rows.iter().all(|row| row.version.is_none()) {
        say("no table is made yet: `lake run all` makes them");
    }
    let mut failed = status.failed.into_iter();
    let Some(first) = failed.next() else { return Ok(()) };
    failed.for_each(|error| say(&error.report()));
    Err(first)
}

/// The rows for people: how long ago instead of when.
fn readable(rows: &[Row]) -> Result<RecordBatch> {
    let ages = rows.iter().map(|row| row.age_s.map(age)).collect::<StringArray>();
    let ages: ArrayRef = Arc::new(ages);
    let all = batch(rows)?;
    let schema = all.schema();
    let columns = schema.fields().iter().zip(all.columns());
    let columns = columns.filter_map(|(field, column)| match field.name().as_str() {
        "committed_at" => None,
        "age_s" => Some(("age", Arc::clone(&ages), true)),
        name => Some((name, Arc::clone(column), true)),
    });
    RecordBatch::try_from_iter_with_nullable(columns)
        .map_err(|cause| Error::internal("the status is no table").caused_by(cause))
}

/// Seconds, in the two largest units that they fill.
fn age(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{days}d {}h", hours % 24),
        () if hours > 0 => format!("{hours}h {}m", minutes % 60),
        () if minutes > 0 => format!("{minutes}m {}s", seconds % 60),
        () => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_two_units() {
        let ages = [0, 59, 302, 3_600, 90_061].map(age);
        assert_eq!(ages, ["0s", "59s", "5m 2s", "1h 0m", "1d 1h"]);
    }
}
