//! `lake quarantine`: the records that no table took.

use clap::{Args, Subcommand};
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use engine::error::Result;
use engine::output::for_people;
use engine::printable;
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
    /// Whether it takes records in.
    pub(crate) fn replays(&self) -> bool {
        matches!(self.command, Command::Replay { .. })
    }

    pub(crate) async fn run(self, common: &Common) -> Result<()> {
        match self.command {
            Command::List { limit } => {
                let (tables, is_empty) = open(common).await?;
                if is_empty {
                    say("quarantine is empty");
                    if common.global.output == Output::Table {
                        return Ok(());
                    }
                }
                list(&tables, limit, common.global.output).await
            }
            Command::Show { number } => {
                let (tables, _) = open(common).await?;
                show(&tables, number, common.global.output).await
            }
            Command::Replay { table } => Box::pin(take_in(common, table.as_deref())).await,
        }
    }
}

/// The tables, quarantine among them in any case; and whether it is empty.
async fn open(common: &Common) -> Result<(Tables, bool)> {
    let world = common.world(Need::Readable).await?;
    let name = engine::quarantine::name();
    let is_there = world.lake.table(&name).await?.is_some();
    let tables = Tables::open(&world, &[]).await?;
    if !is_there {
        tables.query.register_empty(&name, engine::quarantine::contract()?.schema())?;
        return Ok((tables, true));
    }
    let some = tables.query.collect("SELECT 1 FROM bronze.quarantine LIMIT 1").await;
    // One that cannot be read is not empty: what is asked of it next says why.
    let is_empty = some.is_ok_and(|rows| rows.iter().all(|rows| rows.num_rows() == 0));
    Ok((tables, is_empty))
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

async fn show(tables: &Tables, number: u64, output: Output) -> Result<()> {
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
    if output != Output::Table {
        return super::rows::show(&rows.slice(0, 1), output);
    }
    print(&whole(rows)?);
    Ok(())
}

/// A record for people: a line for each column, and what came behind them.
fn whole(rows: &RecordBatch) -> Result<String> {
    let (mut text, mut raw) = (String::new(), String::new());
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        let name = field.name();
        let bytes = column.as_binary_opt::<i32>();
        let value = match bytes {
            _ if column.is_null(0) && name == "raw" => "(no value)".to_owned(),
            _ if column.is_null(0) => String::new(),
            Some(bytes) => String::from_utf8_lossy(bytes.value(0)).into_owned(),
            None => for_people(column, 0)?,
        };
        match name.as_str() {
            "n" => {}
            // Several lines of a record stay several lines.
            "raw" => raw = format!("\n{value}\n"),
            _ => text.push_str(&format!("{name:14} {}\n", printable::line(&value))),
        }
    }
    Ok(text + &raw)
}

async fn take_in(common: &Common, table: Option<&str>) -> Result<()> {
    let world = common.world(Need::Parsed).await?;
    for replayed in Box::pin(replay(&world, table)).await? {
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
