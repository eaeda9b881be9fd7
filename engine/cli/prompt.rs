//! The prompt of `lake sql`: history, several lines, completion, `\d` and `\timing`.

use std::time::Instant;

use engine::contract::TableName;
use engine::error::{Error, Result};
use engine::world::World;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Editor, Helper, Highlighter, Hinter};

use super::tables::Tables;
use super::{Output, print, say};

const HELP: &str = "a query ends with ;
  \\d          the tables
  \\d TABLE    a table's columns
  \\timing     show how long queries take, or stop doing so
  \\refresh    see the tables as they are now
  \\q          leave (or Ctrl-D)";

/// Reads and answers queries until the person leaves.
pub(crate) async fn prompt(
    world: &World,
    tables: Tables,
    versions: &[(TableName, u64)],
    output: Output,
) -> Result<()> {
    let broken = |cause: ReadlineError| match cause {
        ReadlineError::Io(cause) => Error::io("the prompt cannot be read", cause),
        cause => Error::internal("the prompt cannot be read").caused_by(cause),
    };
    let mut tables = tables;
    let mut editor: Editor<Words, FileHistory> = Editor::new().map_err(broken)?;
    editor.set_helper(Some(Words { words: words(&tables).await }));
    let history = world.lake.local_root().map(|root| root.join("_lake").join("history"));
    if let Some(history) = &history {
        // There is none at the first prompt.
        let _ = editor.load_history(history);
    }
    say("lake sql: \\? for help, \\q to leave");
    let mut timing = false;
    loop {
        let line = match editor.readline("lake> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(cause) => return Err(broken(cause)),
        };
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        // A line that cannot be remembered can still be answered.
        let _ = editor.add_history_entry(line);
        match line.trim_end_matches(';').trim() {
            "\\q" | "exit" | "quit" => break,
            "\\?" | "help" => say(HELP),
            "\\timing" => {
                timing = !timing;
                say(if timing { "timing is on" } else { "timing is off" });
            }
            "\\refresh" => tables = Tables::open(world, versions).await?,
            command if command.starts_with("\\d") => describe(&tables, command[2..].trim()).await,
            command if command.starts_with('\\') => {
                say(&format!("there is no {command}; \\? shows what there is"));
            }
            _ => answer(&tables, line, output, timing).await,
        }
    }
    if let Some(history) = &history {
        let _ = editor.save_history(history);
    }
    Ok(())
}

async fn answer(tables: &Tables, line: &str, output: Output, timing: bool) {
    for query in super::sql::statements(line) {
        let started = Instant::now();
        match tables.print(&query, output).await {
            Ok(n_rows) if timing => {
                say(&format!("{n_rows} rows in {} ms", started.elapsed().as_millis()));
            }
            Ok(1) => say("1 row"),
            Ok(n_rows) => say(&format!("{n_rows} rows")),
            Err(error) => say(&error.report()),
        }
    }
}

async fn describe(tables: &Tables, table: &str) {
    if table.is_empty() {
        let names = tables.query.names().await;
        let lines: Vec<String> = names
            .iter()
            .map(|(name, columns)| format!("{name} ({} columns)\n", columns.len()))
            .collect();
        print(&lines.concat());
        return;
    }
    if let Err(error) = tables.print(&format!("DESCRIBE {table}"), Output::Table).await {
        say(&error.report());
    }
}

async fn words(tables: &Tables) -> Vec<String> {
    let keywords = [
        "SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "LIMIT", "JOIN", "COUNT(*)", "DESCRIBE",
        "EXPLAIN",
    ];
    let mut words: Vec<String> = keywords.iter().map(|word| (*word).to_owned()).collect();
    for (name, columns) in tables.query.names().await {
        words.push(name.to_string());
        words.extend(columns);
    }
    words.sort();
    words.dedup();
    words
}

/// Knows the words that may come next, and when a query is whole.
#[derive(Helper, Highlighter, Hinter)]
struct Words {
    words: Vec<String>,
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let start = line[..at]
            .rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))
            .map_or(0, |at| at + 1);
        let begun = line[start..at].to_lowercase();
        let fitting = self
            .words
            .iter()
            .filter(|word| !begun.is_empty() && word.to_lowercase().starts_with(&begun));
        let pairs = fitting.map(|word| Pair { display: word.clone(), replacement: word.clone() });
        Ok((start, pairs.collect()))
    }
}

impl Validator for Words {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let input = context.input().trim();
        let whole = input.is_empty()
            || input.starts_with('\\')
            || input.ends_with(';')
            || matches!(input, "exit" | "quit" | "help");
        Ok(if whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}
