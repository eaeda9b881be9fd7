#!/usr/bin/env python3
"""Compares the tables of a lake with the oracle's, row by row, as multisets.

  python3 tests/oracle/compare.py --lake BIN --project DIR --root R --oracle DIR [--table NAME ...]

One check per table; prints the first differences and `N passed, M failed`; exits 1 on any difference.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter

from tables import TABLES, canonical

SHOWN = 5


def lake_rows(options, table):
    """The table as `lake sql` prints it, or an explanation of why it cannot."""
    command = [options.lake, "--project", options.project, "sql", table.query(), "--output", "ndjson"]
    run = subprocess.run(
        command, env={**os.environ, "LAKE_ROOT": options.root}, capture_output=True, text=True, check=False
    )
    if run.returncode != 0:
        return None, f"`lake sql` ended with {run.returncode}: {run.stderr.strip()[-800:]}"
    return [json.loads(line) for line in run.stdout.splitlines() if line.strip()], None


def oracle_rows(options, table):
    """The table as the oracle wrote it."""
    with open(os.path.join(options.oracle, f"{table.name}.ndjson"), encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def by_key(table, rows):
    """key -> sorted rows; a key normally has one row, duplicates stay visible."""
    groups = {}
    for row in rows:
        row = canonical(table, row)
        groups.setdefault(json.dumps([row[name] for name in table.key]), []).append(row)
    for members in groups.values():
        members.sort(key=lambda row: json.dumps(row, sort_keys=True))
    return groups


def differing_columns(table, want, got):
    """The columns in which two rows of one key differ by more than is allowed."""
    names = []
    for column in table.columns:
        one, two = want[column], got[column]
        if one == two:
            continue
        close = isinstance(one, int) and isinstance(two, int) and abs(one - two) <= table.slack.get(column, 0)
        if not close:
            names.append(column)
    return names


def differences(table, wanted, found):
    """Yields (column or kind, text) per difference."""
    for key in sorted(wanted.keys() | found.keys()):
        want, got = wanted.get(key, []), found.get(key, [])
        if len(want) != len(got):
            yield "row count", f"{key}: {len(want)} rows expected, {len(got)} in the lake"
            continue
        for one, two in zip(want, got):
            for column in differing_columns(table, one, two):
                yield column, f"{key}: {column} expected {one[column]!r}, in the lake {two[column]!r}"


def compare(options, table):
    """One check; returns True if the tables are equal."""
    rows, problem = lake_rows(options, table)
    expected = oracle_rows(options, table)
    if problem:
        print(f"FAILED {table.name}: {problem}")
        return False
    found = list(differences(table, by_key(table, expected), by_key(table, rows)))
    if not found:
        print(f"ok     {table.name}: {len(expected)} rows")
        return True
    tally = ", ".join(f"{name} {count}" for name, count in Counter(name for name, _ in found).most_common())
    print(f"FAILED {table.name}: {len(expected)} rows expected, {len(rows)} in the lake; differences: {tally}")
    shown = Counter()
    for name, text in found:
        shown[name] += 1
        if shown[name] <= SHOWN:
            print(f"         {text}")
    return False


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lake", required=True)
    parser.add_argument("--project", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--oracle", required=True, help="folder that oracle.py wrote")
    names = [table.name for table in TABLES]
    parser.add_argument("--table", action="append", choices=names, help="only this table (repeatable)")
    options = parser.parse_args()
    results = [compare(options, table) for table in TABLES if table.name in (options.table or names)]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
