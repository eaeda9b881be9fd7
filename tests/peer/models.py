"""The shipped models, each on the same random inputs in our engine and in DuckDB: equal rows, or a failure.

Each model reads the tables that our engine made, so that a difference is its own. A model that has no
translation is named with the reason.
"""

import argparse
import os
import subprocess
import sys
import tempfile

import duckdb

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(PROJECT, "tests", "bench"))

import translate  # noqa: E402

GENERATOR = os.path.join(PROJECT, "tests", "oracle", "generate.py")


def make(lake, seed, playbacks, work):
    """A lake of random events; a function that runs `lake` on it."""
    subprocess.run(
        [sys.executable, GENERATOR, "--seed", str(seed), "--playbacks", str(playbacks), "--out", f"{work}/in"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    settings = {
        "LAKE_ROOT": f"{work}/root",
        "LAKE_LANDING": f"{work}/in",
        "LAKE_PRIVACY_KEY": "5a" * 32,
        "LAKE_REPORTING_TZ": "UTC",
    }
    environment = {**{name: text for name, text in os.environ.items() if not name.startswith("LAKE_")}, **settings}

    def run(*arguments):
        return subprocess.run(
            [lake, "-q", "--project", PROJECT, *arguments], env=environment, check=True, capture_output=True
        ).stdout

    run("run", "all")
    return run


def load(database, run, name, work):
    """A table of the lake as `name` in DuckDB."""
    path = os.path.join(work, f"{name}.parquet")
    with open(path, "wb") as file:
        file.write(run("sql", "--output", "parquet", f"SELECT * FROM {name}"))
    database.execute(f"CREATE TABLE {name} AS SELECT * FROM read_parquet('{path}')")


def differing(database, name):
    """How many rows are only in one of the two, and the first of them."""
    columns = database.execute(f"DESCRIBE {name}").fetchall()
    casts = ", ".join(
        (
            f'round(CAST("{column}" AS DOUBLE), 9) AS "{column}"'
            if kind == "DOUBLE"
            else f'CAST("{column}" AS {kind}) AS "{column}"'
        )
        for column, kind, *_ in columns
    )
    found = []
    for one, two in ((name, "computed"), ("computed", name)):
        query = f"SELECT {casts} FROM {one} EXCEPT ALL SELECT {casts} FROM {two}"
        found.append(database.execute(query).fetchall())
    return found


def compare(lake, seed, playbacks):
    """Prints a line for each model that differs; the number of models compared, and that of failures."""
    compared = failed = 0
    with tempfile.TemporaryDirectory() as work:
        run = make(lake, seed, playbacks, work)
        models = translate.load(PROJECT)
        names = {model.name for model in models} | set().union(*(model.inputs for model in models))
        database = duckdb.connect(config={"threads": 1})
        for statement in translate.PRELUDE:
            database.execute(statement)
        for name in sorted(names):
            load(database, run, name, work)
        for model in models:
            try:
                database.execute(f"CREATE OR REPLACE TABLE computed AS {translate.translate(model.body)}")
            except (duckdb.Error, ValueError) as fault:
                print(f"SKIPPED model {model.name}: {str(fault).splitlines()[0]}")
                continue
            ours, theirs = differing(database, model.name)
            compared += 1
            if ours or theirs:
                failed += 1
                print(
                    f"WRONG seed {seed}: {model.name} has {len(ours)} rows that DuckDB has not, and lacks {len(theirs)}"
                )
                print(f"    ours:   {ours[:1]}\n    theirs: {theirs[:1]}")
    return compared, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--playbacks", type=int, default=40)
    options = parser.parse_args()
    results = [
        compare(options.lake, seed, options.playbacks) for seed in range(options.seed, options.seed + options.rounds)
    ]
    failed = sum(failures for _, failures in results)
    print(f"models: {sum(number for number, _ in results)} compared, {failed} wrong")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
