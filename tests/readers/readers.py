#!/usr/bin/env python3
"""Reads every Delta table of a lake with other engines and compares with what `lake sql` says.

  "$(tests/readers/setup)" tests/readers/readers.py --lake BIN --project DIR --root R [--layers L ...]

Per table: the protocol in its log (reader 1, writer 2), and with DuckDB, Polars and deltalake (pyarrow)
the row count, the exact sum of each integer column, least and greatest of each timestamp and date
column, and the number of values in every other column. Prints `N passed, M failed`; exits 1 on a failure.
"""

import argparse
import calendar
import datetime
import json
import os
import re
import subprocess
import sys

import deltalog

try:
    import deltalake
    import duckdb
    import duckdb_extension_delta
    import polars
    import pyarrow
    import pyarrow.compute
except ImportError as missing:
    sys.exit(f'{missing}; run it as "$(tests/readers/setup)" tests/readers/readers.py ...')

TIMESTAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:?00)?")
SHOWN = 8


def measures(columns):
    """(column, measure) pairs that a table is compared by; an empty column name is the whole row."""
    wanted = [("", "rows")]
    for name, kind in columns.items():
        if kind in deltalog.INTEGERS:
            wanted.append((name, "sum"))
        elif kind in ("timestamp", "date"):
            wanted += [(name, f"least {kind}"), (name, f"greatest {kind}")]
        else:
            wanted.append((name, "values"))
    return wanted


def micros(text):
    """RFC 3339 text as microseconds since 1970."""
    match = TIMESTAMP.fullmatch(text)
    if match is None:
        raise ValueError(f"not an RFC 3339 timestamp in UTC: {text!r}")
    seconds = calendar.timegm(tuple(int(part) for part in match.groups()[:6]))
    return seconds * 1_000_000 + int((match.group(7) or "").ljust(6, "0")[:6])


def lake_sql(options, query):
    """Rows of `lake sql`."""
    command = [options.lake, "--project", options.project, "sql", query, "--output", "ndjson"]
    environment = {**os.environ, "LAKE_ROOT": options.root}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise RuntimeError(f"`lake sql` ended with {run.returncode}: {run.stderr.strip()[-600:]}")
    return [json.loads(line) for line in run.stdout.splitlines() if line.strip()]


def with_lake(options, table, wanted):
    """The measures as the lake itself gives them."""
    forms = {
        "rows": "count(*)",
        "sum": 'CAST(sum(CAST("{0}" AS DECIMAL(38,0))) AS VARCHAR)',
        "values": 'count("{0}")',
        "least timestamp": 'min("{0}")',
        "greatest timestamp": 'max("{0}")',
        "least date": 'min("{0}")',
        "greatest date": 'max("{0}")',
    }
    items = [f"{forms[kind].format(name)} AS m{place}" for place, (name, kind) in enumerate(wanted)]
    row = lake_sql(options, f"SELECT {', '.join(items)} FROM {table}")[0]
    values = [row[f"m{place}"] for place in range(len(wanted))]
    return [plain(kind, value) for (_, kind), value in zip(wanted, values)]


def plain(kind, value):
    """One spelling for a value from any reader: integers, and ISO text for dates."""
    if value is None:
        return None
    if kind.endswith("timestamp"):
        return micros(value) if isinstance(value, str) else int(value)
    if kind.endswith("date"):
        return value.isoformat()[:10] if isinstance(value, datetime.date) else str(value)[:10]
    return int(value)


def with_duckdb(folder, wanted):
    """DuckDB with its delta extension, loaded from the package (no network)."""
    base = os.path.dirname(duckdb_extension_delta.__file__)
    extension = os.path.join(base, "extensions", f"v{duckdb.__version__}", "delta.duckdb_extension")
    connection = duckdb.connect()
    connection.execute(f"LOAD '{extension}'")
    connection.execute("SET TimeZone = 'UTC'")
    forms = {
        "rows": "count(*)",
        "sum": 'sum("{0}"::HUGEINT)',
        "values": 'count("{0}")',
        "least timestamp": 'epoch_us(min("{0}"))',
        "greatest timestamp": 'epoch_us(max("{0}"))',
        "least date": 'min("{0}")',
        "greatest date": 'max("{0}")',
    }
    items = ", ".join(forms[kind].format(name) for name, kind in wanted)
    return connection.execute(f"SELECT {items} FROM delta_scan(?)", [folder]).fetchone()


def with_polars(folder, wanted):
    """Polars, lazily."""
    forms = {
        "rows": lambda name: polars.len(),
        "sum": lambda name: polars.col(name).cast(polars.Int128).sum(),
        "values": lambda name: polars.col(name).count(),
        "least timestamp": lambda name: polars.col(name).min().dt.timestamp("us"),
        "greatest timestamp": lambda name: polars.col(name).max().dt.timestamp("us"),
        "least date": lambda name: polars.col(name).min(),
        "greatest date": lambda name: polars.col(name).max(),
    }
    items = [forms[kind](name).alias(f"m{place}") for place, (name, kind) in enumerate(wanted)]
    return polars.scan_delta(folder).select(items).collect().row(0)


def with_deltalake(folder, wanted):
    """The deltalake package's table read by pyarrow."""
    table = deltalake.DeltaTable(folder).to_pyarrow_table()
    compute = pyarrow.compute

    def of(name, kind):
        if kind == "rows":
            return table.num_rows
        column = table.column(name)
        if kind == "values":
            return len(column) - column.null_count
        if kind == "sum":
            return compute.sum(column.cast(pyarrow.int64()).cast(pyarrow.decimal128(38, 0))).as_py()
        value = compute.min_max(column)["min" if kind.startswith("least") else "max"]
        if kind.endswith("timestamp"):
            return value.cast(pyarrow.timestamp("us", "UTC")).cast(pyarrow.int64()).as_py()
        return value.as_py()

    return [of(name, kind) for name, kind in wanted]


READERS = (("DuckDB", with_duckdb), ("Polars", with_polars), ("deltalake", with_deltalake))


def sum_of_nothing(wanted, values):
    """Readers disagree on the sum over no values: 0 or NULL. It is NULL here."""
    return [None if kind == "sum" and value == 0 else value for (_, kind), value in zip(wanted, values)]


def read_with(name, reader, folder, wanted, expected):
    """One check: a list of differences (empty is good)."""
    try:
        raw = reader(folder, wanted)
        found = [plain(kind, value) for (_, kind), value in zip(wanted, raw)]
    except Exception as fault:  # any failure of a foreign reader is the finding
        return [f"cannot read it: {type(fault).__name__}: {str(fault)[:400]}"]
    found = sum_of_nothing(wanted, found)
    return [
        f"{kind} of {column or 'table'}: lake {want}, {name} {got}"
        for (column, kind), want, got in zip(wanted, expected, found)
        if want != got
    ]


def report(label, faults):
    """Prints one check; returns True if it passed."""
    print(f"ok     {label}" if not faults else f"FAILED {label}")
    for fault in faults[:SHOWN]:
        print(f"         {fault}")
    return not faults


def check_table(options, layer, table, folder):
    """All checks of one table."""
    name = f"{layer}.{table}"
    fault = deltalog.protocol_fault(folder)
    yield report(f"{name}: protocol", [fault] if fault else [])
    wanted = measures(deltalog.columns(folder))
    try:
        expected = sum_of_nothing(wanted, with_lake(options, name, wanted))
    except (RuntimeError, ValueError, KeyError, IndexError) as fault:
        yield report(f"{name}: lake sql", [str(fault)])
        return
    for reader_name, reader in READERS:
        label = f"{name}: {reader_name}, {expected[0]} rows, {len(wanted)} measures"
        yield report(label, read_with(reader_name, reader, folder, wanted, expected))


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lake", required=True)
    parser.add_argument("--project", required=True)
    parser.add_argument("--root", required=True, help="the lake's root folder")
    parser.add_argument("--layers", nargs="*", help="only these layers")
    options = parser.parse_args()
    options.root = os.path.abspath(options.root)
    results = []
    for layer, table, folder in deltalog.tables(options.root, options.layers):
        results += check_table(options, layer, table, folder)
    if not results:
        print(f"FAILED no Delta table under {options.root}/<layer>/<table>")
        results = [False]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    CODE = main()
    # The readers leave threads behind, which now and then abort the process when Python takes itself apart,
    # after all is said: it ends here instead.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(CODE)
