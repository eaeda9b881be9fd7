//! The parsers of contracts, models, jobs and whole projects: they read what a person types, so each
//! mistake has a place that can be shown, and the same text means the same.

use std::fmt::Debug;

use engine::contract::{self, TableName};
use engine::mistake::{Files, Mistake};
use engine::model;
use engine::project::Project;
use include_dir::{Dir, include_dir};

use crate::dice::Dice;
use crate::target::{Outcome, Target};

static CONTRACTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/lake");
static MODELS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/sql");
static TEMPLATE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/engine/cli/template");

/// Memory beside what grows with the text, in bytes; the latter for each of its bytes: a syntax tree
/// has hundreds of bytes for each word.
const MEMORY: usize = 16 << 20;
const MEMORY_PER_BYTE: usize = 4096;
/// A text is no longer: what people write is shorter, and time goes by its length.
const TEXT_MAX: usize = 64 << 10;

const OWN: &[(&str, &str)] = &[
    (
        "lake/bronze/clicks.sql",
        "-- One row per click.\nCREATE TABLE bronze.clicks (\n  id VARCHAR(8) NOT NULL COMMENT 'who',\n  \"order\" BIGINT CHECK (\"order\" > 0),\n  at TIMESTAMP,\n  price DECIMAL(20, 4),\n  place STRUCT<x BIGINT, y STRUCT<z STRING>>,\n  CONSTRAINT right_side CHECK (place.x >= 0 AND id IS NOT NULL)\n)\nPARTITIONED BY (_ingest_date)\nTBLPROPERTIES ('lake.source' = 'folder:clicks, kafka:clicks', 'lake.else.right_side' = 'drop at most 1%', 'lake.comment.place.x' = 'pixels', 'lake.personal' = 'id');\n",
    ),
    (
        "lake/gold/sums.sql",
        "-- One row per day.\nCREATE TABLE gold.sums (day DATE NOT NULL, n BIGINT DEFAULT 0, e DOUBLE UNIQUE, PRIMARY KEY (day), UNIQUE (n, e));\n",
    ),
    (
        "sql/gold/sums.sql",
        "-- about = \"One row per day\"\n-- refresh = \"full\"\n-- [checks]\n-- some = \"(SELECT count(*) FROM this) > 0\"\nWITH c AS (SELECT * FROM bronze.clicks)\nSELECT CAST(at AS DATE) AS day, count(*) AS n, sum(place.x) OVER (ORDER BY at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS e\nFROM c LEFT JOIN lake.bronze.clicks d USING (id)\nWHERE EXISTS (SELECT 1 FROM bronze.clicks x WHERE x.id = c.id) AND d.id IN ('a', 'é') GROUP BY 1\n",
    ),
    ("jobs/night.toml", "schedule = \"0 3 * * *\"\nrun = [\"bronze\", \"gold.sums\"]\n"),
];

/// What SQL, TOML and contracts are made of.
const WORDS: &[&str] = &[
    " SELECT ",
    " FROM ",
    " WHERE ",
    " (",
    ") ",
    ", ",
    " CREATE TABLE ",
    " NOT NULL ",
    " PRIMARY KEY ",
    " CHECK (true) ",
    " UNIQUE ",
    " DEFAULT 1 ",
    " COMMENT 'é😀' ",
    " CONSTRAINT x ",
    " PARTITIONED BY (a) ",
    " TBLPROPERTIES ('a' = 'b') ",
    "STRUCT<",
    "ARRAY<",
    "MAP<",
    ">",
    " DECIMAL(38, 10) ",
    " VARCHAR(99999999999999999999) ",
    " TIMESTAMP WITH TIME ZONE ",
    " INTERVAL '1' DAY ",
    " CASE WHEN 1 THEN 2 END ",
    " UNION ALL ",
    " OVER () ",
    " now() ",
    " bronze.clicks ",
    " \"quo\"\"ted\" ",
    " `back` ",
    " [a] ",
    "'",
    "\"",
    "''",
    "\"\"\"",
    ";",
    "--",
    "-- ",
    "\n--",
    "/*",
    "*/",
    "::",
    "->>",
    "\\",
    "é",
    "日本",
    "😀",
    "\u{feff}",
    "\u{2028}",
    "\0",
    "\t",
    "\r\n",
    "\n",
    "U&'\\0041'",
    "E'\\u{110000}'",
    "x'zz'",
    "$$a$$",
    "$1",
    "?",
    ":name",
    "@a",
    "1e999999999",
    "99999999999999999999999999999999999999999",
    "0x",
    "NaN",
    "NOT ",
    "-",
    " AND ",
    " OR ",
    " = ",
    "a.b.c.d.e",
    " at most 101% ",
    "'lake.source' = ",
    "'lake.personal' = ",
    "'lake.else.x' = ",
    "'lake.default.' = ",
    " EXPLAIN ",
    " VALUES (1) ",
    " LATERAL ",
    " GENERATED ALWAYS AS (1) ",
];

pub(crate) struct ContractTarget {
    files: Files,
}

/// One file's text; and whether the whole project is read with it.
pub(crate) struct Case {
    path: String,
    text: String,
    in_project: bool,
}

fn collect(folder: &Dir<'_>, prefix: &str, files: &mut Files) {
    for file in folder.files() {
        let path = format!("{prefix}{}", file.path().display());
        if let Some(text) = file.contents_utf8().filter(|_| path.ends_with(".sql")) {
            files.insert(path, text.to_owned());
        }
    }
    folder.dirs().for_each(|inner| collect(inner, prefix, files));
}

impl ContractTarget {
    pub(crate) fn new() -> Self {
        let mut files = Files::new();
        collect(&CONTRACTS, "lake/", &mut files);
        collect(&MODELS, "sql/", &mut files);
        collect(&TEMPLATE, "", &mut files);
        files.retain(|path, _| path.starts_with("lake/") || path.starts_with("sql/"));
        files.extend(OWN.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
        Self { files }
    }
}

fn damage(dice: &mut Dice, text: &str, other: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    match dice.below(4) {
        0 => dice.damage(&mut bytes, &[other.as_bytes()]),
        1 => {
            let token = dice.one(WORDS);
            let times = if dice.once_in(8) { dice.length(20_000) } else { dice.length(200) };
            let times = times.min(TEXT_MAX / token.len());
            let at = dice.below(bytes.len() + 1);
            bytes.splice(at..at, token.repeat(times).bytes());
        }
        _ => {
            for _ in 0..dice.between(1, 6) {
                let at = word(dice, &bytes);
                let token = dice.one(WORDS).as_bytes();
                let other = &other.as_bytes()[word(dice, other.as_bytes())];
                let from = bytes[word(dice, &bytes)].to_vec();
                match dice.below(5) {
                    0 => drop(bytes.drain(at)),
                    1 => drop(bytes.splice(at, token.iter().copied())),
                    2 => drop(bytes.splice(at.start..at.start, token.iter().copied())),
                    3 => drop(bytes.splice(at, other.iter().copied())),
                    _ => drop(bytes.splice(at, from)),
                }
            }
        }
    }
    bytes.truncate(TEXT_MAX);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The place of one word or sign.
fn word(dice: &mut Dice, text: &[u8]) -> std::ops::Range<usize> {
    let at = dice.below(text.len().max(1)).min(text.len());
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let before = text[..at].iter().rev().take_while(|byte| is_word(byte)).count();
    let behind = text[at..].iter().take_while(|byte| is_word(byte)).count();
    let end = (at + behind.max(1)).min(text.len());
    at - before..end
}

impl Target for ContractTarget {
    type Case = Case;
    type Came = bool;

    fn case(&mut self, dice: &mut Dice) -> Case {
        let paths: Vec<&String> = self.files.keys().collect();
        let own = self.files.get_key_value(OWN[dice.below(OWN.len())].0);
        let any = self.files.get_key_value(paths[dice.below(paths.len())]);
        let (path, text) = if dice.once_in(2) { own } else { any }.expect("it is there");
        let other = &self.files[paths[dice.below(paths.len())]];
        let text = if dice.once_in(20) { text.clone() } else { damage(dice, text, other) };
        Case { path: path.clone(), text, in_project: dice.once_in(200) }
    }

    fn files(case: &Case) -> Vec<(String, &[u8])> {
        vec![(case.path.clone(), case.text.as_bytes())]
    }

    fn run(&mut self, case: &Case) -> Result<bool, String> {
        let Case { path, text, in_project } = case;
        let parts: Vec<&str> = path.trim_end_matches(".sql").split('/').collect();
        let is_right = match parts.as_slice() {
            ["lake", layer, table] => {
                let name = TableName::new(layer, table);
                let read = |text: &str| contract::parse(&name, path, text);
                let fingerprint = |contract: contract::Contract| contract.fingerprint();
                check(path, text, read, fingerprint)?
            }
            ["sql", layer, table] => {
                let name = TableName::new(layer, table);
                let read = |text: &str| model::parse(&name, path, text);
                check(path, text, read, |model: model::Model| model.fingerprint)?
            }
            _ => false,
        };
        if *in_project || path.starts_with("jobs/") {
            let mut files = self.files.clone();
            if !in_project {
                files.retain(|path, _| OWN.iter().any(|(own, _)| own == path));
            }
            files.insert(path.clone(), text.clone());
            let (project, mistakes) = Project::parse(files.clone());
            shown(&mistakes, &project.files)?;
            if Project::parse(files).1 != mistakes {
                return Err("a project read twice has other mistakes".to_owned());
            }
        }
        Ok(is_right)
    }

    fn judge(&mut self, _: &Case, is_right: bool) -> Result<Outcome, String> {
        Ok(Outcome { accepted: u64::from(is_right), rejected: u64::from(!is_right) })
    }

    fn memory(&self, case: &Case) -> usize {
        MEMORY + MEMORY_PER_BYTE * case.text.len()
    }
}

/// Reads a text twice, and shows its mistakes; whether it has none.
fn check<T: Debug>(
    path: &str,
    text: &str,
    read: impl Fn(&str) -> Result<T, Vec<Mistake>>,
    fingerprint: impl Fn(T) -> String,
) -> Result<bool, String> {
    let (once, twice) = (read(text), read(text));
    if format!("{once:?}") != format!("{twice:?}") {
        return Err("read twice it is not the same".to_owned());
    }
    match once {
        Ok(right) => {
            let commented = format!("{text}\n-- one more comment\n");
            let again = read(&commented)
                .map_err(|mistakes| format!("a comment behind it makes mistakes: {mistakes:?}"))?;
            if fingerprint(right) == fingerprint(again) {
                Ok(true)
            } else {
                Err("a comment behind it changes its fingerprint".to_owned())
            }
        }
        Err(mistakes) if mistakes.is_empty() => Err("it is refused without a mistake".to_owned()),
        Err(mistakes) => {
            let files = Files::from([(path.to_owned(), text.to_owned())]);
            shown(&mistakes, &files).map(|()| false)
        }
    }
}

/// Each mistake has a place in its file's text, and can be shown.
fn shown(mistakes: &[Mistake], files: &Files) -> Result<(), String> {
    for mistake in mistakes {
        let text = files.get(&mistake.file).map_or("", String::as_str);
        if let Some(span) = &mistake.span
            && text.get(span.clone()).is_none()
        {
            return Err(format!("the place {span:?} is none in the text of {mistake:?}"));
        }
        if mistake.render(files).is_empty() {
            return Err(format!("{mistake:?} shows nothing"));
        }
    }
    Ok(())
}
