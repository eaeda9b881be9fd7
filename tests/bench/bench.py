"""Measures lake against its peers, on the same data and in the same run, and prints Markdown tables.

  tests/bench/run [--lake BIN] [--project DIR] [--events N] [--repetitions 3] [--only bronze|models|kafka]
  tests/bench/run --only kafka [--consume BIN] [--partitions 8,1,64] [--seconds 30]
  tests/bench/run --peer-only LANDING      (no lake: does DuckDB understand every model?)

Bronze: a folder of NDJSON to a table, against read_json with the contract's types to zstd(1) Parquet.
Models: all of silver and gold in full, against the same SQL in DuckDB over the lake's own bronze files, each
model a table, then zstd Parquet. Row counts and integer sums must agree, or the run fails (exit 1).
Kafka: a topic to a table, against consuming it and dropping what comes (kafka.py).
"""

import argparse
import glob
import json
import os
import secrets
import shutil
import sys
import tempfile

import contract
import deltafiles
import kafka
import translate
from measure import AS_THEY_ARE, Failed, run, table

THREADS = 2
BRONZE = ("events", "videos")
# What the engine adds to a bronze row; only for --peer-only, where no lake wrote it.
ENGINE_COLUMNS = {
    "_topic": "NULL::VARCHAR",
    "_partition": "NULL::INTEGER",
    "_offset": "NULL::BIGINT",
    "_record_ts": "TIMESTAMPTZ '2026-01-01 00:00:00+00'",
    "_ingested_at": "TIMESTAMPTZ '2026-01-01 00:00:00+00'",
    "_ingest_date": "DATE '2026-01-01'",
    "_source_file": "NULL::VARCHAR",
    "_key": "NULL::VARCHAR",
    "_rescued_data": "NULL::VARCHAR",
}


class Bench:
    """Where things are, and one method per thing that is run."""

    def __init__(self, options, work):
        self.options, self.work = options, work
        self.landing = options.peer_only or os.path.join(work, "landing")
        self.root = os.path.join(work, "lake")
        self.peer = os.path.join(work, "peer")
        self.environment = {
            "LAKE_ROOT": self.root,
            "LAKE_LANDING": self.landing,
            "LAKE_PRIVACY_KEY": secrets.token_hex(32),
        }
        self.problems = []

    def lake(self, *arguments):
        """One measured run of lake."""
        command = [self.options.lake, "--project", self.options.project, *arguments]
        return run(command, self.environment, self.work)

    def duckdb(self, statements, questions=None):
        """One measured run of a DuckDB process."""
        job = os.path.join(self.work, "job.json")
        with open(job, "w", encoding="utf-8") as out:
            json.dump({"threads": THREADS, "statements": statements, "questions": questions or {}}, out)
        child = os.path.join(os.path.dirname(os.path.abspath(__file__)), "duck_child.py")
        return run([sys.executable, child, job], {}, self.work)

    def files(self, name):
        """The landing files of a source."""
        found = glob.glob(os.path.join(self.landing, name, "**", "*.*"), recursive=True)
        kept = sorted(path for path in found if ".ndjson" in path or ".json" in path)
        if not kept:
            raise SystemExit(f"no NDJSON files under {os.path.join(self.landing, name)}")
        return kept

    def landing_bytes(self):
        """Size of all landing files."""
        return sum(os.path.getsize(path) for name in BRONZE for path in self.files(name))

    def same(self, what, ours, theirs, peer="DuckDB"):
        """Notes a difference between the two sides."""
        if ours != theirs:
            self.problems.append(f"{what}: lake {ours}, {peer} {theirs}")

    def bronze_statements(self):
        """NDJSON to typed zstd Parquet, in DuckDB."""
        shutil.rmtree(self.peer, ignore_errors=True)
        os.makedirs(self.peer)
        yield "SET preserve_insertion_order = false"
        yield "SET TimeZone = 'UTC'"
        for name in BRONZE:
            types = contract.columns(self.options.project, f"bronze.{name}")
            listed = ", ".join(f"'{path}'" for path in self.files(name))
            spec = ", ".join(f"'{column}': '{kind}'" for column, kind in types.items())
            yield (
                f"COPY (SELECT * FROM read_json([{listed}], format = 'newline_delimited', columns = {{{spec}}})) "
                f"TO '{self.peer}/{name}.parquet' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
            )

    def run_bronze(self):
        """Both sides, alternating; the last lake root stays for the models."""
        sides = {"lake": [], "DuckDB": []}
        counts = {name: f"SELECT count(*) AS n FROM '{self.peer}/{name}.parquet'" for name in BRONZE}
        for _ in range(self.options.repetitions):
            shutil.rmtree(self.root, ignore_errors=True)
            sides["lake"].append(self.lake("run", "bronze"))
            sides["DuckDB"].append(self.duckdb(list(self.bronze_statements())))
        answers = json.loads(self.duckdb([], counts).output)
        for name in BRONZE:
            rows = self.lake_rows(f"SELECT count(*) AS n FROM bronze.{name}")
            self.same(f"rows of bronze.{name}", str(rows[0]["n"]), answers[name][0]["n"])
        return sides, int(answers["events"][0]["n"])

    def lake_rows(self, query):
        """Rows of `lake sql`."""
        text = self.lake("sql", query, "--output", "ndjson").output
        return [json.loads(line) for line in text.splitlines() if line.strip()]

    def bronze_views(self):
        """DuckDB views over the lake's own bronze files; with --peer-only over DuckDB's."""
        if not self.options.peer_only:
            for log in sorted(glob.glob(os.path.join(self.root, "bronze", "*", "_delta_log"))):
                folder = os.path.dirname(log)
                yield deltafiles.view(f"bronze.{os.path.basename(folder)}", folder)
            return
        extra = ", ".join(f"{value} AS {name}" for name, value in ENGINE_COLUMNS.items())
        for name in BRONZE:
            version = "REPLACE (coalesce(content_version, 1) AS content_version)"
            source = f"read_parquet('{self.peer}/{name}.parquet')"
            yield f"CREATE VIEW bronze.{name} AS SELECT * {version}, {extra} FROM {source}"

    def model_job(self):
        """(statements, questions, models) of silver and gold in DuckDB."""
        views = list(self.bronze_views())
        known = {view.split()[2] for view in views}
        statements, questions, used = [*translate.PRELUDE, *views], {}, []
        folder = os.path.join(self.peer, "models")
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        for model in translate.load(self.options.project):
            missing = sorted(model.inputs - known - {model.name})
            if missing:
                print(f"SKIPPED model {model.name}: DuckDB has no {', '.join(missing)}")
                continue
            known.add(model.name)
            used.append(model)
            statements.append(model.statement())
            if model.refresh != "view":
                target = f"'{folder}/{model.name}.parquet' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
                statements.append(f"COPY {model.name} TO {target}")
                questions[model.name] = f"DESCRIBE {model.name}"
        return statements, questions, used

    def sums(self, described, lake):
        """A query per table: rows, and the sum of every integer column."""
        queries = {}
        for name, columns in described.items():
            integers = [c["column_name"] for c in columns if c["column_type"].endswith(("INT", "INTEGER"))]
            kind = "DECIMAL(38,0)" if lake else "HUGEINT"
            items = [f'CAST(sum(CAST("{c}" AS {kind})) AS VARCHAR) AS "{c}"' for c in integers]
            queries[name] = f"SELECT {', '.join(['CAST(count(*) AS VARCHAR) AS row_count', *items])} FROM {name}"
        return queries

    def compare_models(self, statements, described):
        """Every table's row count and sums on both sides."""
        theirs = json.loads(self.duckdb(statements, self.sums(described, lake=False)).output)
        for name, query in self.sums(described, lake=True).items():
            ours = self.lake_rows(query)[0]
            for column, value in theirs[name][0].items():
                mine = "None" if ours[column] is None else str(ours[column])
                self.same(f"{name}.{column}", mine, value)
        return len(theirs)

    def run_models(self):
        """Both sides, alternating; then the comparison of what they computed."""
        sides = {"lake": [], "DuckDB": []}
        statements, questions, used = self.model_job()
        parts = {"silver": [], "gold": []}
        for _ in range(self.options.repetitions):
            for layer, runs in parts.items():
                runs.append(self.lake("run", layer, "--full-refresh"))
            sides["lake"].append(parts["silver"][-1] + parts["gold"][-1])
            sides["DuckDB"].append(self.duckdb(statements, questions))
        compared = self.compare_models(statements, json.loads(sides["DuckDB"][-1].output))
        print(f"\n{len(used)} models; row counts and integer sums of {compared} tables compared")
        return {**sides, "lake, silver alone": parts["silver"], "lake, gold alone": parts["gold"]}


def use_two_processors():
    """Both sides get the same two, also what reads the number of processors. Returns those for the rest."""
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, set(processors[:THREADS]))
    return set(processors[THREADS:] or processors)


def peer_only(bench):
    """The translation alone: every model must run in DuckDB."""
    timed = bench.duckdb(list(bench.bronze_statements()))
    statements, _, used = bench.model_job()
    counts = {model.name: f"SELECT count(*) AS n FROM {model.name}" for model in used}
    models = bench.duckdb(statements, counts)
    for name, rows in json.loads(models.output).items():
        print(f"ok     {name}: {rows[0]['n']} rows")
    print(f"bronze {timed.seconds:.2f} s, models {models.seconds:.2f} s")
    return 0


def against_duckdb(bench):
    """Bronze from a folder, and the models."""
    options = bench.options
    bench.lake("simulate", "--events", str(options.events), *AS_THEY_ARE, "--to", f"folder:{bench.landing}")
    size = bench.landing_bytes()
    if options.only == "models":
        bench.lake("run", "bronze")
        events = int(bench.lake_rows("SELECT count(*) AS n FROM bronze.events")[0]["n"])
    else:
        sides, events = bench.run_bronze()
        print(table(f"Folder to bronze, {events:,} events, {size / 1e6:,.0f} MB", sides, events, size))
    if options.only != "bronze":
        sides = bench.run_models()
        print(table(f"Silver and gold in full, {events:,} events", sides, events, size))


def against_consuming(bench, elsewhere):
    """Bronze from a topic; where there can be none, that is said, and fails only if it was asked for."""
    try:
        kafka.measured(bench, elsewhere)
    except kafka.Refused as reason:
        if bench.options.only:
            bench.problems.append(f"kafka: {reason}")
        else:
            print(f"\nSKIPPED kafka: {reason}")


def measured(bench, elsewhere):
    """The benchmark proper; returns the exit code."""
    options = bench.options
    if options.only != "kafka":
        against_duckdb(bench)
    if options.only in (None, "kafka"):
        against_consuming(bench, elsewhere)
    print(f"\nmin and median of {options.repetitions} alternating runs, {THREADS} processors each")
    for problem in bench.problems:
        print(f"FAILED {problem}")
    return 1 if bench.problems else 0


def main():
    """Command line."""
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lake", default=os.path.join(target, "release", "lake"))
    parser.add_argument("--project", default=os.path.dirname(os.path.dirname(here)))
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--only", choices=("bronze", "models", "kafka"))
    parser.add_argument("--peer-only", metavar="LANDING", help="only DuckDB, over this landing folder")
    kafka.add_arguments(parser)
    parser.add_argument("--work", help="scratch folder; a temporary one is made and removed if absent")
    options = parser.parse_args()
    if not options.peer_only and not os.path.exists(options.lake):
        parser.error(f"no lake at {options.lake}; give --lake")
    elsewhere = use_two_processors()
    work = options.work or tempfile.mkdtemp(prefix="lake-bench-")
    os.makedirs(work, exist_ok=True)
    try:
        bench = Bench(options, os.path.abspath(work))
        return peer_only(bench) if options.peer_only else measured(bench, elsewhere)
    except Failed as fault:
        print(f"FAILED {fault}")
        return 1
    finally:
        if not options.work:
            shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main())
