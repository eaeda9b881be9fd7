//! What a run tells people: a line a table, and a moving one on a terminal.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use engine::contract::TableName;
use engine::world::{Event, Step, StepResult};
use indicatif::{ProgressBar, ProgressStyle};

use super::say;

/// Shows the events of a run on stderr.
#[derive(Debug)]
pub(crate) struct Bar {
    quiet: bool,
    following: bool,
    said: Mutex<HashSet<String>>,
    moving: Mutex<HashMap<TableName, ProgressBar>>,
}

impl Bar {
    /// A run that goes on for ever says only what is new.
    pub(crate) fn new(quiet: bool, following: bool) -> Self {
        Self { quiet, following, said: Mutex::default(), moving: Mutex::default() }
    }

    /// Hears an event of the engine.
    pub(crate) fn hear(&self, event: &Event) {
        if let Event::Failed(report) = event {
            say(report);
        }
        if self.quiet {
            return;
        }
        let Ok(mut moving) = self.moving.lock() else { return };
        match event {
            Event::Rows(table, rows) => {
                moving
                    .entry(table.clone())
                    .or_insert_with(|| spinner(&table.to_string()))
                    .inc(*rows);
            }
            Event::Done(step) => {
                if let Some(bar) = moving.remove(&step.table) {
                    bar.finish_and_clear();
                }
                if !(self.following && step.result == StepResult::UpToDate) {
                    say(&line(step));
                }
            }
            Event::Remark(text) => {
                if self.said.lock().is_ok_and(|mut said| said.insert(text.clone())) {
                    // A name with a line's end in it must not look like another message.
                    say(&format!("note: {}", text.replace('\n', "\n  ")));
                }
            }
            Event::Failed(_) => {}
        }
    }
}

/// A moving line; it hides itself when stderr is no terminal.
pub(crate) fn spinner(name: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(name.to_owned());
    if let Ok(style) =
        ProgressStyle::with_template("  {msg:24} {human_pos:>12} rows  {per_sec:>14}  {elapsed}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn line(step: &Step) -> String {
    let name = step.table.to_string();
    let mut text = match step.result {
        StepResult::UpToDate => format!("  {name:24} {:>12}       up to date", ""),
        StepResult::Unchanged => format!("  {name:24} {:>12} rows  unchanged", count(step.rows)),
        StepResult::Written => {
            let rate = step.rows.saturating_mul(1000) / step.elapsed_ms.max(1);
            let seconds = step.elapsed_ms / 1000;
            let tenths = step.elapsed_ms % 1000 / 100;
            format!(
                "  {name:24} {:>12} rows  {:>12} rows/s  {seconds}.{tenths} s",
                count(step.rows),
                count(rate)
            )
        }
    };
    if step.quarantined > 0 {
        text.push_str(&format!("  ({} in quarantine)", count(step.quarantined)));
    }
    text
}

/// A number with commas.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        assert_eq!([count(0), count(999), count(1_000_000)], ["0", "999", "1,000,000"]);
    }
}
