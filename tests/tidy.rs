//! House rules that no lint knows: strata, doors, words, lengths, and that every file has its pair.

use std::collections::BTreeSet;
use std::path::Path;

use engine::model::Refresh;

use crate::support::{REPOSITORY, below, project};

/// A module may import modules of its own row or of a row above, never of a row below.
const STRATA: &[(&str, &[&str])] = &[
    ("base", &["clock", "dialect", "error", "guard", "mistake", "printable", "settings"]),
    (
        "decide",
        &[
            "batchlog",
            "chunk",
            "contract",
            "decode",
            "job",
            "model",
            "offsets",
            "plan",
            "project",
            "pseudonym",
        ],
    ),
    ("act", &["folder", "intake", "kafka", "lake", "quarantine", "query", "rowcheck", "table"]),
    ("verbs", &["check", "ingest", "output", "refresh", "replay", "run", "status", "world"]),
];

/// Each heavy dependency enters by few doors: modules of the engine, or `cli`, `main` and `demo`.
const DOORS: &[(&str, &[&str])] = &[
    ("rdkafka", &["kafka"]),
    ("aws_config", &["kafka"]),
    ("aws_msk_iam_sasl_signer", &["kafka"]),
    ("deltalake", &["table"]),
    ("buoyant_kernel", &["table"]),
    ("object_store", &["cli", "folder", "lake", "table"]),
    ("clap", &["cli", "demo", "main"]),
    ("clap_complete", &["cli"]),
    ("rustyline", &["cli"]),
    ("indicatif", &["cli"]),
    ("annotate_snippets", &["mistake"]),
    ("hmac", &["pseudonym"]),
    ("sqlparser", &["cli", "contract", "model", "query"]),
    ("arrow_json", &["folder", "output"]),
    ("chrono_tz", &["check", "query", "settings"]),
    ("flate2", &["folder"]),
    ("tracing_subscriber", &["cli"]),
];

/// Parts of `DataFusion` that plan or run SQL.
const PLANNER: &[&str] = &["SessionContext", "SessionState", "execute_stream_partitioned"];

/// Words of one domain: the engine knows none.
const DOMAIN_WORDS: &[&str] = &["video", "playback", "advert", "viewer", "campaign"];

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// A source file: its path below the repository, and its text.
struct Source {
    path: String,
    text: String,
}

/// The Rust files below some folders.
fn sources(folders: &[&str]) -> Vec<Source> {
    let repository = Path::new(REPOSITORY);
    let mut all = Vec::new();
    for folder in folders {
        for path in below(&repository.join(folder)) {
            let name = path.strip_prefix(repository).unwrap().to_string_lossy().into_owned();
            if name.ends_with(".rs") {
                all.push(Source { path: name, text: std::fs::read_to_string(&path).unwrap() });
            }
        }
    }
    assert!(!all.is_empty());
    all
}

impl Source {
    /// `engine/table/commit.rs` is part of `table`, `demo/show.rs` of `demo`.
    fn module(&self) -> &str {
        let mut parts = self.path.split('/');
        match (parts.next(), parts.next()) {
            (Some("engine"), Some(part)) => part.trim_end_matches(".rs"),
            (Some(folder), _) => folder,
            _ => "",
        }
    }

    /// The lines with their numbers, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = (1..).zip(self.text.lines());
        lines.map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
    }
}

/// The identifiers of a line.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

fn stratum(module: &str) -> Option<usize> {
    STRATA.iter().position(|(_, modules)| modules.contains(&module))
}

/// The modules of the engine that a line of code names: `crate::table`, `crate::{lake, table}`.
fn imports(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, prefix) in line.match_indices("crate::") {
        let rest = &line[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap_or_default();
                found.extend(list.split(',').filter_map(|item| words(item).next()));
            }
            None => found.extend(words(rest).next()),
        }
    }
    found
}

#[track_caller]
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} against the house rules:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_module_of_the_engine_is_in_one_row_as_lib_rs_has_it() {
    let lib = std::fs::read_to_string(Path::new(REPOSITORY).join("engine/lib.rs")).unwrap();
    let mut row = "";
    let mut listed = Vec::new();
    for line in lib.lines() {
        if let Some(comment) = line.strip_prefix("// ") {
            row = comment.split([':', ' ']).next().unwrap_or_default();
        } else if let Some(module) = line.strip_prefix("pub mod ") {
            listed.push((row, module.trim_end_matches(';')));
        }
    }
    let mut expected: Vec<(&str, &str)> = Vec::new();
    for (row, modules) in STRATA {
        expected.extend(modules.iter().map(|module| (*row, *module)));
    }
    assert_eq!(listed, expected, "engine/lib.rs and the rows here differ");
}

#[test]
fn imports_point_up_the_rows_and_never_down() {
    let mut wrong = Vec::new();
    for source in sources(&["engine"]) {
        let Some(own) = stratum(source.module()) else { continue };
        for (number, line) in source.code() {
            for imported in imports(line) {
                match stratum(imported) {
                    Some(other) if other > own => {
                        wrong.push(format!("{}:{number}: may not import {imported}", source.path));
                    }
                    _ => {}
                }
            }
        }
    }
    none(&wrong);
}

#[test]
fn each_heavy_dependency_comes_in_by_its_doors() {
    let mut wrong = Vec::new();
    for source in sources(&["engine", "demo"]) {
        for (number, line) in source.code() {
            let named: BTreeSet<&str> = words(line).collect();
            for (dependency, doors) in DOORS {
                let used = named.contains(dependency) && line.contains(&format!("{dependency}::"));
                if used && !doors.contains(&source.module()) {
                    wrong.push(format!("{}:{number}: may not use {dependency}", source.path));
                }
            }
            let plans = PLANNER.iter().any(|name| named.contains(name));
            if plans && !["query", "table"].contains(&source.module()) {
                wrong.push(format!("{}:{number}: plans SQL beside `query`", source.path));
            }
        }
    }
    none(&wrong);
}

#[test]
fn the_library_asks_the_environment_and_the_clock_in_one_place() {
    let places = [
        ("std::env::var", "settings"),
        ("env::vars", "settings"),
        ("SystemTime::now", "clock"),
        ("Utc::now", "clock"),
    ];
    let mut wrong = Vec::new();
    for source in sources(&["engine"]) {
        for (number, line) in source.code() {
            for (what, place) in places {
                if line.contains(what) && source.module() != place {
                    wrong.push(format!("{}:{number}: {what} belongs in {place}", source.path));
                }
            }
        }
    }
    none(&wrong);
}

/// Modules that measure how long something takes, or wait for it. It may only become shorter: what
/// depends on the calendar asks `clock`.
const MEASURE: &[&str] = &["cli", "folder", "ingest", "kafka", "refresh", "run"];

#[test]
fn only_some_modules_measure_time_and_only_the_clock_tells_it() {
    let mut wrong = Vec::new();
    for source in sources(&["engine"]) {
        for (number, line) in source.code() {
            let measures = line.contains("Instant::now");
            if measures && !MEASURE.contains(&source.module()) {
                wrong.push(format!("{}:{number}: measures time", source.path));
            }
            if line.contains("vars_os") && source.module() != "settings" {
                wrong.push(format!("{}:{number}: vars_os belongs in settings", source.path));
            }
        }
    }
    for module in MEASURE {
        let measures = |source: &Source| {
            source.module() == *module
                && source.code().any(|(_, line)| line.contains("Instant::now"))
        };
        if !sources(&["engine"]).iter().any(measures) {
            wrong.push(format!("{module} no longer measures time: take it off the list"));
        }
    }
    none(&wrong);
}

#[test]
fn modules_that_decide_do_no_input_or_output() {
    const IMPURE: &[&str] = &[
        "tokio",
        "object_store",
        "std::fs",
        "std::io::std",
        "std::net",
        "std::env",
        "std::thread",
        "std::process",
        "Instant",
        "SystemTime",
        "Clock::System",
        "sleep(",
        "rand::rng",
    ];
    let decide = STRATA.iter().find(|(name, _)| *name == "decide").unwrap().1;
    let mut wrong = Vec::new();
    for source in sources(&["engine"]) {
        // Tests of a pure part may do what they like.
        let tested = source.code().find(|(_, line)| line.contains("#[cfg(test)]"));
        let end = tested.map_or(usize::MAX, |(number, _)| number);
        let is_test = source.path.ends_with("/tests.rs");
        for (number, line) in source.code().filter(|(number, _)| *number < end && !is_test) {
            for what in IMPURE.iter().filter(|what| line.contains(**what)) {
                if decide.contains(&source.module()) {
                    wrong.push(format!("{}:{number}: {what} is not pure", source.path));
                }
            }
        }
    }
    none(&wrong);
}

#[test]
fn the_engine_knows_no_domain() {
    let mut wrong = Vec::new();
    for path in below(&Path::new(REPOSITORY).join("engine")) {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).to_lowercase();
        for (number, line) in (1..).zip(text.lines()) {
            for word in DOMAIN_WORDS.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{}:{number}: speaks of {word}", path.display()));
            }
        }
    }
    none(&wrong);
}

#[test]
fn every_rust_file_says_first_what_it_is_and_is_short() {
    let mut wrong = Vec::new();
    for source in sources(&["engine", "demo", "tests"]) {
        let Source { path, text } = &source;
        if !text.starts_with("//! ") {
            wrong.push(format!("{path}:1: has no module doc"));
        }
        let n_lines = text.lines().count();
        if n_lines > FILE_LINES_MAX {
            wrong.push(format!("{path}: has {n_lines} lines, more than {FILE_LINES_MAX}"));
        }
        for (name, number, length) in functions(text) {
            if length > FUNCTION_LINES_MAX {
                wrong.push(format!("{path}:{number}: fn {name} has {length} lines"));
            }
        }
    }
    none(&wrong);
}

/// The functions of a file with the line of their name and their length.
///
/// Counts braces at the indentation that rustfmt gives: a function ends with the first `}` that
/// stands as far left as its `fn`.
fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        if line.trim_end().ends_with([';', '}']) {
            continue;
        }
        let ends = |line: &&str| {
            let trimmed = line.trim_start();
            line.len() - trimmed.len() == indent && (trimmed == "}" || trimmed.ends_with(';'))
        };
        let length = lines[at + 1..].iter().position(ends).map_or(lines.len() - at, |n| n + 2);
        found.push((name.to_owned(), at + 1, length));
    }
    found
}

/// The name, if a line of code begins a function.
fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    loop {
        let (word, after) = rest.split_once(' ')?;
        match word {
            "fn" => return words(after).next(),
            "pub" | "pub(crate)" | "pub(super)" | "const" | "async" | "unsafe" => rest = after,
            _ => return None,
        }
    }
}

#[test]
fn the_scanner_of_functions_sees_their_length() {
    let body = "    let x = 1;\n".repeat(71);
    let text = format!(
        "/// Doc.\npub(crate) async fn long<T>(\n    a: T,\n) -> T {{\n{body}}}\n\nfn short() {{}}\n"
    );
    assert_eq!(functions(&text), [("long".to_owned(), 2, 75)]);
    assert_eq!(function_name("    pub const fn a_b(x: u8) -> u8 {"), Some("a_b"));
    assert_eq!(function_name("let fn_name = 1;"), None);
}

#[test]
fn lines_of_sql_and_toml_can_be_read() {
    let mut wrong = Vec::new();
    for folder in ["lake", "sql", "jobs", "tests/sql"] {
        for path in below(&Path::new(REPOSITORY).join(folder)) {
            let text = std::fs::read_to_string(&path).unwrap();
            for (number, line) in (1..).zip(text.lines()) {
                if line.ends_with([' ', '\t']) || line.contains('\t') {
                    wrong.push(format!("{}:{number}: spaces at the end, or tabs", path.display()));
                }
            }
        }
    }
    none(&wrong);
}

/// So many lines of contracts and models are longer than a screen is wide. It may only fall.
const LONG_SQL_LINES_MAX: usize = 162;

#[test]
fn lines_of_contracts_and_models_become_no_longer() {
    const WIDTH: usize = 120;
    let mut long = Vec::new();
    for folder in ["lake", "sql"] {
        for path in below(&Path::new(REPOSITORY).join(folder)) {
            let text = std::fs::read_to_string(&path).unwrap();
            for (number, line) in (1..).zip(text.lines()) {
                if line.chars().count() > WIDTH {
                    long.push(format!("{}:{number}", path.display()));
                }
            }
        }
    }
    assert!(
        long.len() <= LONG_SQL_LINES_MAX,
        "{} lines are longer than {WIDTH} columns, {LONG_SQL_LINES_MAX} are allowed:\n{}",
        long.len(),
        long.join("\n")
    );
}

#[test]
fn every_test_file_is_declared() {
    let main = std::fs::read_to_string(Path::new(REPOSITORY).join("tests/main.rs")).unwrap();
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(Path::new(REPOSITORY).join("tests")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") else {
            continue;
        };
        if !main.lines().any(|line| line == format!("mod {module};")) {
            wrong.push(format!("tests/main.rs forgets {module}"));
        }
    }
    none(&wrong);
}

#[test]
fn no_test_is_ignored() {
    let mut wrong = Vec::new();
    for source in sources(&["engine", "demo", "tests"]) {
        for (number, line) in source.code() {
            if line.trim_start().starts_with("#[ignore") {
                wrong.push(format!("{}:{number}: is ignored", source.path));
            }
        }
    }
    none(&wrong);
}

#[test]
fn every_model_has_its_contract_and_its_test_and_says_what_a_row_is() {
    let repository = Path::new(REPOSITORY);
    let project = project(repository);
    let mut wrong = Vec::new();
    for model in project.models.values() {
        let (layer, table) = (&model.name.layer, &model.name.table);
        let pairs =
            [format!("lake/{layer}/{table}.sql"), format!("tests/sql/{layer}/{table}.test")];
        for pair in pairs.iter().filter(|_| model.refresh != Refresh::View) {
            if !repository.join(pair).is_file() {
                wrong.push(format!("{} needs {pair}", model.file));
            }
        }
        if !model.about.starts_with("One row per ") {
            wrong.push(format!("{}: `about` does not say what one row is", model.file));
        }
    }
    for contract in project.contracts.values() {
        if !contract.about.starts_with("One row per ") {
            wrong.push(format!("{}: does not begin with what one row is", contract.file));
        }
        for column in contract.columns.iter().filter(|column| column.comment.is_none()) {
            wrong.push(format!("{}: {} has no comment", contract.file, column.field.name));
        }
    }
    none(&wrong);
}
