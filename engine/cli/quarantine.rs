//! `lake quarantine`: the records that no table took.

use clap::{Args, Subcommand};
use engine::error::Result;

use super::tables::Tables;
use super::{Common, Need, print, say};

/// Records that no table took
#[derive(Args, Debug)]
pub(crate) struct Quarantine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How many there are, by table, source and fault; and the newest ones, numbered
    List {
        /// At most so many
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// One of them whole: its number is in the list
    Show {
        /// The number in the list
        number: u64,
    },
}

/// A total order, newest first, so that numbers stay while nothing arrives.
const NUMBERED: &str = "SELECT row_number() OVER (ORDER BY first_seen_at DESC, table_name, source, partition, position) AS n, * FROM bronze.quarantine";

impl Quarantine {
    pub(crate) async fn run(self, common: &Common) -> Result<()> {
        let world = common.world(Need::Readable).await?;
        if world.lake.table(&engine::quarantine::name()).await?.is_none() {
            say("quarantine is empty");
            return Ok(());
        }
        let tables = Tables::open(&world, &[]).await?;
        let some = tables.query.collect("SELECT 1 FROM bronze.quarantine LIMIT 1").await;
        if some.is_ok_and(|rows| rows.iter().all(|rows| rows.num_rows() == 0)) {
            say("quarantine is empty");
            return Ok(());
        }
        match self.command {
            Command::List { limit } => {
                if common.global.output == super::Output::Table {
                    tables.print("SELECT table_name, error_class, error_message, count(*) AS records FROM bronze.quarantine GROUP BY table_name, error_class, error_message ORDER BY records DESC, table_name, error_message LIMIT 50", common.global.output).await?;
                }
                let sql = format!(
                    "SELECT n, table_name, source, partition, position, error_class, error_message, first_seen_at FROM ({NUMBERED}) ORDER BY n LIMIT {limit}"
                );
                tables.print(&sql, common.global.output).await.map(drop)
            }
            Command::Show { number } => {
                let sql = format!("SELECT * FROM ({NUMBERED}) WHERE n = {number}");
                let rows = tables.query.collect(&sql).await;
                let rows = rows.map_err(|cause| {
                    engine::query::translate("cannot read bronze.quarantine", cause)
                })?;
                show(&rows, number)
            }
        }
    }
}

fn show(batches: &[datafusion::arrow::array::RecordBatch], number: u64) -> Result<()> {
    use datafusion::arrow::array::AsArray;
    use datafusion::arrow::util::display::array_value_to_string;
    let Some(rows) = batches.iter().find(|rows| rows.num_rows() > 0) else {
        return Err(engine::error::Error::usage(format!(
            "there is no record {number} in quarantine"
        ))
        .hint("`lake quarantine list` numbers them"));
    };
    let mut text = String::new();
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        if field.name() == "raw" {
            let raw = column
                .as_binary_opt::<i32>()
                .map(|raw| String::from_utf8_lossy(raw.value(0)).into_owned());
            text.push_str(&format!("\n{}\n", raw.unwrap_or_default()));
        } else if field.name() != "n" {
            let value = array_value_to_string(column, 0).unwrap_or_default();
            text.push_str(&format!("{:14} {value}\n", field.name()));
        }
    }
    print(&text);
    Ok(())
}
