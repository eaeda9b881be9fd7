//! Runs `tests/sql/<layer>/<table>.test`: given rows, the model's SELECT, expected rows.
//!
//! A test mentions only the columns it is about: others are NULL when given, and are not compared
//! when expected. A table that is not given is empty. An empty cell is NULL, a dotted name a nested
//! field, and a struct of which nothing is given is NULL.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use engine::contract::TableName;
use engine::model::{Model, Refresh};
use engine::project::Project;
use engine::query::{Limits, Query};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use serde_json::{Map, Value};

use crate::support::{REPOSITORY, batch, below, block_on, nullable, project};

/// Every test runs so often, with its given rows in another order each time.
const ORDERS: u64 = 3;

/// One `test` of a file.
#[derive(Debug, Default)]
struct Case {
    place: String,
    name: String,
    given: BTreeMap<String, Rows>,
    expected: Rows,
}

/// A Markdown table.
#[derive(Clone, Debug, Default)]
struct Rows {
    place: String,
    columns: Vec<String>,
    cells: Vec<Vec<String>>,
}

#[test]
fn the_models_of_this_project_do_what_their_tests_say() {
    every_test_passes(Path::new(REPOSITORY));
}

#[test]
fn the_model_of_a_new_project_does_what_its_test_says() {
    every_test_passes(&Path::new(REPOSITORY).join("engine/cli/template"));
}

#[test]
fn a_test_that_expects_something_else_fails_and_says_where() {
    let folder = Path::new(REPOSITORY).join("engine/cli/template");
    let text = "test \"x\"\n  given bronze.orders\n  | order_id | ordered_at           | total_micros |\n  | o1       | 2026-03-01T10:00:00Z | 5            |\n  expect\n  | order_date | orders |\n  | 2026-03-01 | 2      |\n";
    let project = project(&folder);
    let model = &project.models[&TableName::new("gold", "orders_daily")];
    let cases = parse("some.test", text);
    let found = block_on(failure(&project, model, &cases[0]));
    let found = found.expect("the test must fail");
    for part in ["some.test:5", "missing: 2026-03-01 | 2", "extra:   2026-03-01 | 1"] {
        assert!(found.contains(part), "{part} is not in {found}");
    }
}

fn every_test_passes(folder: &Path) {
    let project = project(folder);
    let mut untested: Vec<&TableName> = project
        .models
        .values()
        .filter(|model| model.refresh != Refresh::View)
        .map(|model| &model.name)
        .collect();
    let mut failures = Vec::new();
    for path in below(&folder.join("tests/sql")) {
        let place = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
        let name = table_of(&place);
        let model = project
            .models
            .get(&name)
            .unwrap_or_else(|| panic!("{place}: there is no model {name}"));
        let cases = parse(&place, &std::fs::read_to_string(&path).unwrap());
        if !cases.is_empty() {
            untested.retain(|table| **table != name);
        }
        for case in &cases {
            failures.extend(block_on(failure(&project, model, case)));
        }
    }
    assert!(untested.is_empty(), "models without a test in tests/sql: {untested:?}");
    assert!(failures.is_empty(), "{} failed\n\n{}", failures.len(), failures.join("\n\n"));
}

/// `tests/sql/silver/events.test` is about `silver.events`.
fn table_of(place: &str) -> TableName {
    let parts: Vec<&str> = place.split('/').collect();
    match parts.as_slice() {
        ["tests", "sql", layer, file] if file.ends_with(".test") => {
            TableName::new(layer, file.trim_end_matches(".test"))
        }
        _ => panic!("{place} is not tests/sql/<layer>/<table>.test"),
    }
}

/// The tests of a file.
fn parse(file: &str, text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut table: Option<String> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let place = format!("{file}:{number}");
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("test ") {
            let name = name.trim().trim_matches('"').to_owned();
            cases.push(Case { place, name, ..Case::default() });
            table = None;
            continue;
        }
        let case = cases.last_mut().unwrap_or_else(|| panic!("{place}: a file begins with `test`"));
        if let Some(name) = line.strip_prefix("given ") {
            let rows = Rows { place: place.clone(), ..Rows::default() };
            let before = case.given.insert(name.trim().to_owned(), rows);
            assert!(before.is_none(), "{place}: {name} is given twice");
            table = Some(name.trim().to_owned());
        } else if line == "expect" {
            case.expected.place = place;
            table = None;
        } else {
            let rows = match &table {
                Some(name) => case.given.get_mut(name).unwrap(),
                None => &mut case.expected,
            };
            assert!(!rows.place.is_empty(), "{place}: rows belong under `given` or `expect`");
            rows.add(&place, line);
        }
    }
    for case in &cases {
        assert!(!case.expected.columns.is_empty(), "{}: nothing is expected", case.place);
    }
    cases
}

impl Rows {
    /// Adds a line: the first names the columns.
    fn add(&mut self, place: &str, line: &str) {
        let inner = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'));
        let inner = inner.unwrap_or_else(|| panic!("{place}: `{line}` is no row of a table"));
        let cells: Vec<String> = inner.split('|').map(|cell| cell.trim().to_owned()).collect();
        if self.columns.is_empty() {
            self.columns = cells;
        } else {
            assert_eq!(cells.len(), self.columns.len(), "{place}: cells and columns");
            self.cells.push(cells);
        }
    }

    /// The rows with the types of a table.
    fn batch(&self, schema: &SchemaRef) -> RecordBatch {
        let rows: Vec<Value> = self.cells.iter().map(|cells| self.object(schema, cells)).collect();
        batch(schema, &rows)
    }

    fn object(&self, schema: &SchemaRef, cells: &[String]) -> Value {
        let mut row = Map::new();
        for (column, cell) in self.columns.iter().zip(cells).filter(|(_, cell)| !cell.is_empty()) {
            let path: Vec<&str> = column.split('.').collect();
            let value = typed(self.type_of(schema, column), cell);
            let value = value.unwrap_or_else(|| panic!("{}: {column}: `{cell}`", self.place));
            insert(&mut row, &path, value);
        }
        Value::Object(row)
    }

    fn type_of<'a>(&self, schema: &'a SchemaRef, column: &str) -> &'a DataType {
        let found = type_at(schema, column);
        found.unwrap_or_else(|| panic!("{}: there is no column {column}", self.place))
    }
}

/// The type of a column, or of a nested field named with dots.
fn type_at<'a>(schema: &'a SchemaRef, column: &str) -> Option<&'a DataType> {
    let mut names = column.split('.');
    let mut found = schema.field_with_name(names.next()?).ok()?.data_type();
    for name in names {
        let DataType::Struct(fields) = found else { return None };
        found = fields.find(name)?.1.data_type();
    }
    Some(found)
}

/// A cell as JSON of its column's type; `None` if it is not of that type.
fn typed(data_type: &DataType, cell: &str) -> Option<Value> {
    match data_type {
        DataType::Boolean | DataType::Int32 | DataType::Int64 | DataType::Float64 => {
            let value: Value = serde_json::from_str(cell).ok()?;
            (value.is_boolean() == (*data_type == DataType::Boolean)).then_some(value)
        }
        DataType::Struct(_) => None,
        _ => Some(Value::from(cell)),
    }
}

fn insert(row: &mut Map<String, Value>, path: &[&str], value: Value) {
    match path {
        [] => {}
        [name] => {
            row.insert((*name).to_owned(), value);
        }
        [name, rest @ ..] => {
            let inner = row.entry(*name).or_insert_with(|| Value::Object(Map::new()));
            insert(inner.as_object_mut().unwrap(), rest, value);
        }
    }
}

/// Runs a test in several orders; what is wrong, if something is.
async fn failure(project: &Project, model: &Model, case: &Case) -> Option<String> {
    for seed in 0..ORDERS {
        let mut random = Pcg64::seed_from_u64(seed);
        let mut given = case.given.clone();
        for rows in given.values_mut() {
            rows.cells.shuffle(&mut random);
        }
        let wrong = match run(project, model, &given).await {
            Ok(rows) => difference(project, model, case, &rows),
            Err(message) => Some(message),
        };
        if let Some(wrong) = wrong {
            let place = &case.expected.place;
            return Some(format!("{place}: test \"{}\", order {seed}\n{wrong}", case.name));
        }
    }
    None
}

/// The rows that a model computes from given ones.
async fn run(
    project: &Project,
    model: &Model,
    given: &BTreeMap<String, Rows>,
) -> Result<Vec<RecordBatch>, String> {
    let limits = Limits { memory: 1 << 30, scratch: None, reporting_tz: chrono_tz::Tz::UTC };
    let query = Query::new(&limits).map_err(|error| error.report())?;
    for (table, rows) in given {
        let known = model.inputs.iter().any(|input| input.to_string() == *table);
        assert!(known, "{}: {} does not read {table}", rows.place, model.name);
    }
    for input in &model.inputs {
        let contract = project.contracts.get(input);
        let contract = contract.ok_or_else(|| format!("{input} has no contract"))?;
        let schema = nullable(contract);
        let rows = match given.get(&input.to_string()) {
            Some(rows) => rows.batch(&schema),
            None => RecordBatch::new_empty(Arc::clone(&schema)),
        };
        let table = MemTable::try_new(schema, vec![vec![rows]]).map_err(|e| e.to_string())?;
        query.register(input, Arc::new(table)).map_err(|error| error.report())?;
    }
    query.collect(&model.text).await.map_err(|error| error.to_string())
}

/// What distinguishes the rows found from those expected, in the columns that the test names.
fn difference(
    project: &Project,
    model: &Model,
    case: &Case,
    found: &[RecordBatch],
) -> Option<String> {
    let schema = match project.contracts.get(&model.name) {
        Some(contract) => nullable(contract),
        None => return Some(format!("{} has no contract", model.name)),
    };
    let columns = &case.expected.columns;
    let mut missing = render(&case.expected.batch(&schema), columns);
    let mut extra: Vec<String> = found.iter().flat_map(|rows| render(rows, columns)).collect();
    let n_found = extra.len();
    missing.retain(|row| match extra.iter().position(|other| other == row) {
        Some(at) => {
            extra.swap_remove(at);
            false
        }
        None => true,
    });
    if missing.is_empty() && extra.is_empty() {
        return None;
    }
    extra.sort();
    let mut text =
        format!("  of {}: {n_found} rows\n  columns: {}\n", model.name, columns.join(" | "));
    for row in &missing {
        writeln!(text, "  missing: {row}").unwrap();
    }
    for row in &extra {
        writeln!(text, "  extra:   {row}").unwrap();
    }
    Some(text)
}

/// Rows as text, with some of their columns.
fn render(rows: &RecordBatch, columns: &[String]) -> Vec<String> {
    let cells = |row: usize| columns.iter().map(move |column| cell(rows, column, row));
    (0..rows.num_rows()).map(|row| cells(row).collect::<Vec<_>>().join(" | ")).collect()
}

fn cell(rows: &RecordBatch, column: &str, row: usize) -> String {
    let mut names = column.split('.');
    let first = names.next().unwrap_or_default();
    let Some(mut array) = rows.column_by_name(first) else { return format!("no column {column}") };
    for name in names {
        if array.is_null(row) {
            return String::new();
        }
        match array.as_struct_opt().and_then(|inner| inner.column_by_name(name)) {
            Some(inner) => array = inner,
            None => return format!("no column {column}"),
        }
    }
    let options = FormatOptions::default()
        .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"))
        .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"));
    ArrayFormatter::try_new(array.as_ref(), &options).unwrap().value(row).to_string()
}
