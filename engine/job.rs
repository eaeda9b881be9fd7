//! When things run: `jobs/<name>.toml`.

use std::str::FromStr;

use crate::mistake::{Mistake, did_you_mean};
use crate::settings::parse_duration_ms;

/// A schedule and what runs on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The file's name without its ending.
    pub name: String,
    /// One sentence for people.
    pub description: String,
    /// Five cron fields.
    pub schedule: String,
    /// Layers (`silver`) or tables (`gold.orders_daily`), in order.
    pub run: Vec<String>,
    /// How often a failed run is tried again.
    pub retries: u32,
    /// After how many milliseconds a run is stopped.
    pub timeout_ms: i64,
    /// How old the result may be, in milliseconds, before somebody is told.
    pub freshness_ms: Option<i64>,
    /// Whom to tell.
    pub alert: Vec<String>,
}

const KEYS: &[&str] =
    &["description", "schedule", "run", "retries", "timeout", "freshness", "alert"];

/// Reads the job `name` from the text of `file`.
///
/// # Errors
/// Every mistake in the file, with its place.
pub fn parse(name: &str, file: &str, text: &str) -> Result<Job, Vec<Mistake>> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let mistake = Mistake::new(file, error.message().to_owned());
        vec![error.span().map_or(mistake.clone(), |span| mistake.span(span))]
    })?;
    let mut job = Job {
        name: name.to_owned(),
        description: String::new(),
        schedule: String::new(),
        run: Vec::new(),
        retries: 0,
        timeout_ms: 30 * 60_000,
        freshness_ms: None,
        alert: Vec::new(),
    };
    let mut mistakes = Vec::new();
    for (key, value) in &table {
        if !KEYS.contains(&key.as_str()) {
            let mut mistake = Mistake::new(file, format!("unknown key `{key}`")).find(text, key);
            mistake.hint = did_you_mean(key, KEYS.iter().copied())
                .map(|known| format!("did you mean `{known}`?"));
            mistakes.push(mistake);
        } else if let Err(message) = set(&mut job, key, value) {
            mistakes.push(Mistake::new(file, format!("`{key}`: {message}")).find(text, key));
        }
    }
    for key in ["schedule", "run"].into_iter().filter(|key| !table.contains_key(*key)) {
        mistakes.push(Mistake::new(file, format!("the job has no `{key}`")));
    }
    if mistakes.is_empty() { Ok(job) } else { Err(mistakes) }
}

fn set(job: &mut Job, key: &str, value: &toml::Value) -> Result<(), String> {
    match key {
        "description" => job.description = string(value)?,
        "schedule" => {
            job.schedule = string(value)?;
            croner::Cron::from_str(&job.schedule)
                .map_err(|error| format!("no cron schedule: {error}"))?;
        }
        "run" => {
            job.run = strings(value)?;
            if job.run.is_empty() {
                return Err("the job runs nothing".to_owned());
            }
        }
        "alert" => job.alert = strings(value)?,
        "retries" => {
            let retries = value.as_integer().and_then(|n| u32::try_from(n).ok());
            job.retries = retries.ok_or("not a number of retries, 0 or more")?;
        }
        "timeout" => job.timeout_ms = duration(value)?,
        _ => job.freshness_ms = Some(duration(value)?),
    }
    Ok(())
}

fn string(value: &toml::Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| "not a string".to_owned())
}

fn strings(value: &toml::Value) -> Result<Vec<String>, String> {
    let list = value.as_array().ok_or("not a list of strings")?;
    let list = list.iter().map(string).collect::<Result<Vec<_>, _>>()?;
    for (i, entry) in list.iter().enumerate() {
        if list[..i].contains(entry) {
            return Err(format!("`{entry}` is named twice"));
        }
    }
    Ok(list)
}

fn duration(value: &toml::Value) -> Result<i64, String> {
    parse_duration_ms(&string(value)?).ok_or_else(|| "not a duration, as in 15m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_and_its_mistakes_are_found_at_once() {
        let good = "schedule = \"*/15 * * * *\"\nrun = [\"silver\"]\ntimeout = \"5m\"\n";
        assert_eq!(parse("refresh", "jobs/refresh.toml", good).unwrap().timeout_ms, 300_000);
        let bad = "schedule = \"99 * * * *\"\nruns = [\"silver\"]\ntimeout = \"5 parsecs\"\n";
        let mistakes = parse("refresh", "jobs/refresh.toml", bad).unwrap_err();
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
        for run in ["[]", "[\"silver\", \"silver\"]", "\"silver\"", "[1]"] {
            let text = format!("schedule = \"*/15 * * * *\"\nrun = {run}\n");
            assert_eq!(parse("refresh", "jobs/refresh.toml", &text).unwrap_err().len(), 1, "{run}");
        }
    }
}
