//! What the tests share: a lake of their own in a temporary folder, and the rows in it.

pub(crate) mod following;
pub(crate) mod kafka;
mod ledger;
pub(crate) mod stream;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::parquet::arrow::ArrowWriter;
use engine::contract::{Contract, TableName};
use engine::project::Project;
use engine::query::Query;
use serde_json::Value;

/// The repository, which is also the project that ships.
pub(crate) const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// Columns that say when and where a record arrived, not what it says.
const ARRIVAL: &[&str] = &[
    "_ingested_at",
    "_ingest_date",
    "_source_file",
    "_offset",
    "_record_ts",
    "record_ts",
    "first_seen_at",
];

/// What a command did.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    fn of(output: &std::process::Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts the exit code and that stderr has every part.
    #[track_caller]
    pub(crate) fn says(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "stderr:\n{}\nstdout:\n{}", self.stderr, self.stdout);
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is missing in stderr:\n{}", self.stderr);
        }
    }

    /// Asserts that a run found nothing to do for a table.
    #[track_caller]
    pub(crate) fn is_up_to_date(&self, table: &str) {
        let is_line = |line: &str| {
            line.split_whitespace().next() == Some(table) && line.ends_with("up to date")
        };
        let stderr = &self.stderr;
        assert!(stderr.lines().any(is_line), "{table} is not up to date:\n{stderr}");
    }
}

/// A lake in a temporary folder: nothing of the machine's settings reaches it.
#[derive(Debug)]
pub(crate) struct Lake {
    folder: tempfile::TempDir,
    project: PathBuf,
    settings: BTreeMap<String, String>,
}

impl Lake {
    /// A lake of the project that ships.
    pub(crate) fn new() -> Self {
        Self::of(Path::new(REPOSITORY))
    }

    /// A lake of another project.
    pub(crate) fn of(project: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let settings = BTreeMap::from([
            ("LAKE_ROOT".to_owned(), place("root")),
            ("LAKE_LANDING".to_owned(), place("landing")),
            ("LAKE_PRIVACY_KEY".to_owned(), "5a".repeat(32)),
        ]);
        std::fs::create_dir_all(folder.path().join("landing")).unwrap();
        Self { project: project.to_owned(), folder, settings }
    }

    /// A lake of a project of its own, made of these files: paths below the project, and texts.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let mut lake = Self::of(Path::new(REPOSITORY));
        lake.project = lake.folder().join("project");
        lake.file("lake.toml", "");
        for (path, text) in files {
            lake.file(path, text);
        }
        lake
    }

    /// Writes a file of the project, which must be one of [`Lake::with`].
    pub(crate) fn file(&self, path: &str, text: &str) {
        assert!(self.project.starts_with(self.folder()), "{}", self.project.display());
        let path = self.project.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Sets a `LAKE_*` variable for every command.
    pub(crate) fn set(&mut self, variable: &str, value: impl Into<String>) {
        self.settings.insert(variable.to_owned(), value.into());
    }

    /// The temporary folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the tables are.
    pub(crate) fn root(&self) -> PathBuf {
        PathBuf::from(&self.settings["LAKE_ROOT"])
    }

    /// A command of this lake that is not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare_command();
        command.arg("--project").arg(&self.project).args(arguments);
        command.envs(&self.settings).env("HOME", self.folder.path());
        command
    }

    /// Starts a command; its output is thrown away.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        Output::of(&self.command(arguments).output().unwrap())
    }

    /// Runs a command that must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> Output {
        let output = self.run(arguments);
        assert_eq!(output.code, Some(0), "lake {}\n{}", arguments.join(" "), output.stderr);
        output
    }

    /// Writes a file below the landing place: `events/a.ndjson`.
    pub(crate) fn land(&self, path: &str, bytes: &[u8]) -> PathBuf {
        let path = PathBuf::from(&self.settings["LAKE_LANDING"]).join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The rows of a query.
    #[track_caller]
    pub(crate) fn rows(&self, sql: &str) -> Vec<Value> {
        let output = self.ok(&["sql", "--output", "ndjson", sql]);
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The one number that a query asks for, as `n`.
    #[track_caller]
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let rows = self.rows(sql);
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows[0]["n"].as_i64().unwrap_or_else(|| panic!("{sql}: {rows:?}"))
    }

    /// What is in quarantine, as `not_json@1 not_csv@2`: by file, kind of fault and position.
    #[track_caller]
    pub(crate) fn refused(&self) -> String {
        let rows = self
            .rows("SELECT error_class, position FROM bronze.quarantine ORDER BY source, position");
        let shown = rows
            .iter()
            .map(|row| format!("{}@{}", row["error_class"].as_str().unwrap(), row["position"]));
        shown.collect::<Vec<_>>().join(" ")
    }

    /// The names of all stored tables in some layers.
    pub(crate) fn tables(&self, layers: &[&str]) -> Vec<String> {
        let project = project(&self.project);
        let mut names: Vec<String> = project.contracts.keys().map(ToString::to_string).collect();
        names.push("bronze.quarantine".to_owned());
        names.retain(|name| layers.contains(&name.split('.').next().unwrap_or_default()));
        names.sort();
        names
    }

    /// The rows of a table in an order of their own, without how they arrived.
    #[track_caller]
    pub(crate) fn bag(&self, table: &str) -> Vec<String> {
        let mut bag: Vec<String> = Vec::new();
        for mut row in self.rows(&format!("SELECT * FROM {table}")) {
            let columns = row.as_object_mut().unwrap();
            columns.retain(|name, _| !ARRIVAL.contains(&name.as_str()));
            bag.push(row.to_string());
        }
        bag.sort();
        bag
    }

    /// The bags of all tables of some layers.
    #[track_caller]
    pub(crate) fn bags(&self, layers: &[&str]) -> BTreeMap<String, Vec<String>> {
        let tables = self.tables(layers);
        tables.into_iter().map(|table| (table.clone(), self.bag(&table))).collect()
    }
}

/// Says that a test does nothing; by the handle, because what a macro prints is captured. `tests/run`
/// prints the list last.
pub(crate) fn skipped(reason: &str) {
    let line = format!("SKIPPED {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    let list = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped");
    let list = std::fs::OpenOptions::new().create(true).append(true).open(list);
    list.unwrap().write_all(line.as_bytes()).unwrap();
}

/// The binary without arguments and without the machine's environment.
pub(crate) fn bare_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lake"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Runs the binary outside any project of ours.
pub(crate) fn bare(arguments: &[&str]) -> Output {
    Output::of(&bare_command().args(arguments).output().unwrap())
}

/// Asserts that two lakes' tables hold the same rows; says which differ, and where first.
#[track_caller]
pub(crate) fn same(
    found: &BTreeMap<String, Vec<String>>,
    expected: &BTreeMap<String, Vec<String>>,
    what: &str,
) {
    let names: Vec<&String> = found.keys().collect();
    assert_eq!(names, expected.keys().collect::<Vec<_>>(), "{what}");
    for (table, rows) in expected {
        let differs = rows.iter().zip(&found[table]).find(|(a, b)| a != b);
        assert!(
            *rows == found[table],
            "{what}: {table} has {} rows instead of {}; the first that differs: {differs:#?}",
            found[table].len(),
            rows.len()
        );
    }
}

/// A project that must be free of mistakes between its files.
pub(crate) fn project(folder: &Path) -> Project {
    let (project, mistakes) = Project::parse(files(folder));
    assert!(mistakes.is_empty(), "{}: {mistakes:#?}", folder.display());
    project
}

/// The files of a project by their path below its folder.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for part in ["lake", "sql", "jobs"] {
        for path in below(&folder.join(part)) {
            let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            if name.ends_with(".sql") || name.ends_with(".toml") {
                all.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    all
}

/// All files below a folder, in the order of their paths; none if there is no such folder.
pub(crate) fn below(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return paths };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            paths.extend(below(&path));
        } else {
            paths.push(path);
        }
    }
    paths.sort();
    paths
}

/// A schema whose columns may all be NULL: a test gives only what it is about.
pub(crate) fn nullable(contract: &Contract) -> SchemaRef {
    let schema = contract.schema();
    let fields: Vec<Field> =
        schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}

/// What a record of a table may hold, without the columns that the engine adds.
pub(crate) fn record_schema(table: &str) -> SchemaRef {
    let project = project(Path::new(REPOSITORY));
    let schema = nullable(&project.contracts[&TableName::parse(table).unwrap()]);
    let own = |field: &&Arc<Field>| !field.name().starts_with('_');
    let fields: Vec<Arc<Field>> = schema.fields().iter().filter(own).cloned().collect();
    Arc::new(Schema::new(fields))
}

/// JSON objects as a batch of rows; the types must fit.
pub(crate) fn batch(schema: &SchemaRef, rows: &[Value]) -> RecordBatch {
    if rows.is_empty() {
        return RecordBatch::new_empty(Arc::clone(schema));
    }
    let builder = arrow_json::ReaderBuilder::new(Arc::clone(schema)).with_batch_size(rows.len());
    let mut decoder = builder.build_decoder().unwrap();
    decoder.serialize(rows).unwrap();
    decoder.flush().unwrap().unwrap()
}

/// Rows as the bytes of a Parquet file.
pub(crate) fn parquet(rows: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
    bytes
}

/// The paths of a schema's leaves, nested ones with dots.
pub(crate) fn leaves(schema: &Schema) -> Vec<String> {
    fn walk(prefix: &str, field: &Field, paths: &mut Vec<String>) {
        let path = format!("{prefix}{}", field.name());
        match field.data_type() {
            DataType::Struct(fields) => {
                fields.iter().for_each(|field| walk(&format!("{path}."), field, paths));
            }
            _ => paths.push(path),
        }
    }
    let mut paths = Vec::new();
    schema.fields().iter().for_each(|field| walk("", field, &mut paths));
    paths
}

/// Adds bytes to a file.
pub(crate) fn append(path: &Path, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().append(true).open(path);
    file.unwrap().write_all(bytes).unwrap();
}

/// Bytes packed with gzip.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bytes packed with Zstandard.
pub(crate) fn zstandard(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// The rows of a query in their order, cells with commas between them; NULL is empty.
#[track_caller]
pub(crate) fn rows_of(query: &Query, sql: &str) -> Vec<String> {
    let batches = block_on(async { query.collect(sql).await });
    let batches = batches.unwrap_or_else(|cause| panic!("{sql}: {cause}"));
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| array_value_to_string(column, row));
            rows.push(cells.collect::<Result<Vec<_>, _>>().unwrap().join(","));
        }
    }
    rows
}

/// Runs a future on a thread with room for the planner's recursion.
pub(crate) fn block_on<T: Send>(future: impl Future<Output = T> + Send) -> T {
    const STACK_BYTES: usize = 16 << 20;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build()
        .unwrap();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let thread = thread.spawn_scoped(scope, || runtime.block_on(future)).unwrap();
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
