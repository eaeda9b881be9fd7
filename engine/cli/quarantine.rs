//! `lake quarantine`: the records that no table took.

use clap::{Args, Subcommand};
use engine::error::Result;
use engine::replay::replay;

use super::tables::Tables;
use super::{Common, Need, Output, count, print, say};

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
    /// Take in those that fit now, after a contract or the engine was mended; the others stay
    Replay {
        /// Only those of this table
        #[arg(long, value_name = "TABLE")]
        table: Option<String>,
    },
}

/// A total order, newest first, so that numbers stay while nothing arrives.
const NUMBERED: &str = "SELECT row_number() OVER (ORDER BY first_seen_at DESC, table_name, source, partition, position) AS n, * FROM bronze.quarantine";

impl Quarantine {
    pub(crate) async fn run(self, common: &Common) -> Result<()> {
        match self.command {
            Command::List { limit } => match open(common).await? {
                Some(tables) => list(&tables, limit, common.global.output).await,
                None => Ok(()),
            },
            Command::Show { number } => match open(common).await? {
                Some(tables) => show(&tables, number).await,
                None => Ok(()),
            },
            Command::Replay { table } => take_in(common, table.as_deref()).await,
        }
    }
}

/// The tables; `None` if there is nothing in quarantine, which is said.
async fn open(common: &Common) -> Result<Option<Tables>> {
    let world = common.world(Need::Readable).await?;
    if world.lake.table(&engine::quarantine::name()).await?.is_some() {
        let tables = Tables::open(&world, &[]).await?;
        let some = tables.query.collect("SELECT 1 FROM bronze.quarantine LIMIT 1").await;
        if !some.is_ok_and(|rows| rows.iter().all(|rows| rows.num_rows() == 0)) {
            return Ok(Some(tables));
        }
    }
    say("quarantine is empty");
    Ok(None)
}

async fn list(tables: &Tables, limit: u32, output: Output) -> Result<()> {
    if output == Output::Table {
        tables.print("SELECT table_name, error_class, error_message, count(*) AS records FROM bronze.quarantine GROUP BY table_name, error_class, error_message ORDER BY records DESC, table_name, error_message LIMIT 50", output).await?;
    }
    let sql = format!(
        "SELECT n, table_name, source, partition, position, error_class, error_message, first_seen_at FROM ({NUMBERED}) ORDER BY n LIMIT {limit}"
    );
    tables.print(&sql, output).await.map(drop)
}

async fn show(tables: &Tables, number: u64) -> Result<()> {
    use datafusion::arrow::array::{Array, AsArray};
    use datafusion::arrow::util::display::array_value_to_string;
    let sql = format!("SELECT * FROM ({NUMBERED}) WHERE n = {number}");
    let batches = tables.query.collect(&sql).await;
    let batches = batches
        .map_err(|cause| engine::query::translate("cannot read bronze.quarantine", cause))?;
    let Some(rows) = batches.iter().find(|rows| rows.num_rows() > 0) else {
        return Err(engine::error::Error::usage(format!(
            "there is no record {number} in quarantine"
        ))
        .hint("`lake quarantine list` numbers them"));
    };
    let mut text = String::new();
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        if field.name() == "raw" {
            let raw = column.as_binary_opt::<i32>().filter(|raw| raw.is_valid(0));
            match raw {
                Some(raw) => {
                    text.push_str(&format!("\n{}\n", String::from_utf8_lossy(raw.value(0))));
                }
                None => text.push_str("\n(no value)\n"),
            }
        } else if field.name() != "n" {
            let value = array_value_to_string(column, 0).unwrap_or_default();
            text.push_str(&format!("{:14} {value}\n", field.name()));
        }
    }
    print(&text);
    Ok(())
}

async fn take_in(common: &Common, table: Option<&str>) -> Result<()> {
    let world = common.world(Need::Parsed).await?;
    for replayed in replay(&world, table).await? {
        if !common.quiet() {
            let name = replayed.table.to_string();
            say(&format!(
                "  {name:24} {:>12} records came in, {} stayed",
                count(replayed.came_in),
                count(replayed.stayed)
            ));
        }
    }
    Ok(())
}
