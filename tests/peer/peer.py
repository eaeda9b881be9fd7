"""Runs the same queries on the same small random tables in our engine and in DuckDB, and compares.

A difference is a fault of ours or of DataFusion, and fails; where the two dialects mean different things,
`queries.py` leaves the shape out or `dialect` below translates it. What our engine refuses is counted: a
refusal is right for a shape that DataFusion computes wrongly, and its text is shown with --verbose.
"""

import argparse
import collections
import datetime
import decimal
import json
import random
import re
import subprocess
import sys
import time

import duckdb

from queries import Maker

COLUMNS = {
    "id": "BIGINT NOT NULL",
    "k": "BIGINT",
    "g": "INT",
    "v": "BIGINT",
    "n": "BIGINT NOT NULL",
    "s": "STRING",
    "t": "STRING",
    "d": "DECIMAL(12,3)",
    "f": "DOUBLE",
    "ok": "BOOLEAN",
    "ts": "TIMESTAMP",
    "day": "DATE",
}
# One partition and large batches; four and tiny ones; and hash joins whose both sides are split. Joins that
# sort are not asked: no plan of ours has them.
SMALL = {"datafusion.execution.target_partitions": "4", "datafusion.execution.batch_size": "3"}
WAYS = [
    {"datafusion.execution.target_partitions": "1"},
    SMALL,
    {
        **SMALL,
        "datafusion.execution.target_partitions": "2",
        "datafusion.optimizer.hash_join_single_partition_threshold": "0",
        "datafusion.optimizer.hash_join_single_partition_threshold_rows": "0",
    },
]
PRELUDE = [
    "SET integer_division = true",
    "SET default_null_order = 'nulls_last_on_asc_first_on_desc'",
    "SET TimeZone = 'UTC'",
    "SET threads = 1",
    # What it computes without its optimizer is the reference: 1.5.5 has faults of its own with it.
    "PRAGMA disable_optimizer",
    "CREATE SCHEMA bronze",
]


def value(choice, name, null):
    """A value of a column: few distinct ones, so that rows meet."""
    if choice.random() < null:
        return None
    return {
        "k": lambda: choice.randrange(5),
        "g": lambda: choice.randrange(4),
        "v": lambda: choice.randrange(-2, 6),
        "n": lambda: choice.randrange(1, 4),
        "s": lambda: choice.choice(["a", "ab", "", "b", "é", "Aé", "ba%", "zz"]),
        "t": lambda: choice.choice(["a", "b", "A", "日本", ""]),
        "d": lambda: str(
            decimal.Decimal(choice.randrange(-3000, 3001)) / 1000
            if choice.random() < 0.5
            else choice.choice(["0.000", "1.500", "-2.000", "2.500"])
        ),
        "f": lambda: choice.choice([0.0, -0.0, 0.5, -1.5, 2.5, 3.0, 1.5]),
        "ok": lambda: choice.random() < 0.5,
        "ts": lambda: choice.choice(
            [
                "2026-03-29T01:30:00Z",
                "2026-03-29T00:30:00.000001Z",
                "2026-03-29T02:30:00Z",
                "2026-10-25T02:30:00Z",
                "2026-10-04T02:15:00Z",
                "2025-12-31T23:59:59.999999Z",
                "2024-02-29T12:00:00Z",
                "1970-01-01T00:00:00Z",
                "2026-01-31T10:00:00Z",
            ]
        ),
        "day": lambda: choice.choice(["2026-03-29", "2025-12-31", "2024-02-29", "2026-01-01", "1999-12-27"]),
    }[name]()


def tables(choice):
    """Three tables; some are empty, some have no NULL in a column, some hold nothing else."""
    made = {}
    for name in "abc":
        size = choice.choice([0, 1, 3, 6, 9, 14])
        nulls = {column: choice.choice([0, 0.2, 0.2, 0.5, 1]) if choice.random() < 0.4 else 0.2 for column in COLUMNS}
        rows = []
        for number in range(size):
            row = {"id": number + 1}
            for column in list(COLUMNS)[1:]:
                row[column] = value(choice, column, 0 if column == "n" else nulls[column])
            rows.append(row)
        made[f"bronze.{name}"] = rows
    return made


def contract(name):
    columns = ", ".join(f"{column} {kind}" for column, kind in COLUMNS.items())
    return f"CREATE TABLE {name} ({columns})"


def ours(runner, made, ways, queries):
    """The answers of our engine: for each query a list, one answer a way."""
    listed = [{"name": name, "contract": contract(name), "rows": rows} for name, rows in made.items()]
    work = json.dumps({"tables": listed, "ways": ways, "queries": queries})
    done = subprocess.run([runner], input=work, capture_output=True, text=True, check=False)
    answers = [[] for _ in queries]
    for line in done.stdout.splitlines():
        answer = json.loads(line)
        answers[answer["query"]].append(answer)
    if any(len(answer) != len(ways) for answer in answers):
        sys.exit(f"the runner ended with {done.returncode}: {done.stderr[-2000:]}")
    return answers


def theirs(made):
    """A DuckDB with the tables."""
    database = duckdb.connect()
    for statement in PRELUDE:
        database.execute(statement)
    for name, rows in made.items():
        columns = ", ".join(
            f"{column} {kind.replace('STRING', 'VARCHAR').replace('TIMESTAMP', 'TIMESTAMP')}"
            for column, kind in COLUMNS.items()
        )
        database.execute(f"CREATE TABLE {name} ({columns})")
        for row in rows:
            cells = [
                None if cell is None else str(cell).rstrip("Z") if column == "ts" else cell
                for column, cell in row.items()
            ]
            database.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(cells))})", cells)
    return database


def dialect(sql):
    """DataFusion's SQL as DuckDB's."""
    sql = re.sub(r"(\((?:\w+(?:, -?\w+)*)?)\) IGNORE NULLS OVER", r"\1 IGNORE NULLS) OVER", sql)
    sql = re.sub(r"\b(first|last)_value\((\w+ ORDER BY)", r"\1(\2", sql)
    sql = re.sub(r"LEFT (SEMI|ANTI) JOIN", r"\1 JOIN", sql)
    # A column of ours is a moment in UTC, that of DuckDB has no zone; and there AT TIME ZONE takes a moment
    # to local time, which is a cast to TIMESTAMP here.
    sql = re.sub(r"CAST\(ts AS TIMESTAMP\) AT TIME ZONE", "TS AT TIME ZONE", sql)
    sql = re.sub(r"\bts AT TIME ZONE", "TS AT TIME ZONE 'UTC' AT TIME ZONE", sql)
    sql = (
        sql.replace("signum(", "sign(")
        .replace("make_array(", "list_value(")
        .replace("regexp_like(", "regexp_matches(")
        .replace("btrim(", "trim(")
    )
    sql = re.sub(r"(I?LIKE '[^']*\\[^']*')", r"\1 ESCAPE '\\'", sql)
    return sql


def plain(cell):
    """A value of DuckDB in the words of our answers."""
    if isinstance(cell, datetime.datetime):
        text = cell.replace(tzinfo=None).isoformat()
        return text
    if isinstance(cell, (datetime.date, datetime.time)):
        return cell.isoformat()
    if isinstance(cell, datetime.timedelta):
        return str(cell)
    if isinstance(cell, (list, tuple)):
        return [plain(item) for item in cell]
    if isinstance(cell, float) and (cell != cell or cell in (float("inf"), float("-inf"))):
        return None
    return cell


def same(our, their):
    """Whether two cells are equal; doubles up to a billionth, averages of decimals up to their digits."""
    if our is None or their is None:
        return our is None and their is None
    if isinstance(their, bool) or isinstance(our, bool):
        return our == their
    if isinstance(our, (int, float, decimal.Decimal)) and isinstance(their, (int, float, decimal.Decimal)):
        if isinstance(their, float) or isinstance(our, float):
            return abs(float(our) - float(their)) <= 1e-9 * max(1.0, abs(float(their))) or (
                isinstance(our, decimal.Decimal) and abs(float(our) - float(their)) < 2e-6
            )
        return our == their
    if isinstance(our, list) and isinstance(their, list):
        return len(our) == len(their) and all(map(same, our, their))
    if isinstance(our, str) and isinstance(their, str):
        return our == their or our.rstrip("Z").removesuffix("T00:00:00").rstrip("0").rstrip(".") == their.removesuffix(
            "T00:00:00"
        ).rstrip("0").rstrip(".")
    return str(our) == str(their)


def key(cell):
    """Something to sort cells of all types by."""
    if isinstance(cell, (int, float, decimal.Decimal)) and not isinstance(cell, bool):
        return ("1", f"{float(cell) + 0.0:020.6f}")
    return ("0" if cell is None else "2", str(cell).rstrip("Z").removesuffix("T00:00:00").rstrip("0").rstrip("."))


def difference(our, their, ordered):
    """What differs, or None."""
    if len(our) != len(their):
        return f"{len(our)} rows instead of {len(their)}"
    if not ordered:
        our, their = sorted(our, key=lambda row: list(map(key, row))), sorted(
            their, key=lambda row: list(map(key, row))
        )
    for mine, yours in zip(our, their):
        if len(mine) != len(yours) or not all(map(same, mine, yours)):
            return f"{mine} instead of {yours}"
    return None


def rows(answer):
    """The rows of an answer of ours; duplicate names were kept apart by the queries."""
    return [
        list(
            json.loads(line, parse_float=decimal.Decimal, object_pairs_hook=lambda pairs: [cell for _, cell in pairs])
        )
        for line in answer["rows"]
    ]


def judge(sql, answers, database):
    """What a query came to: (kind, text)."""
    for answer in answers:
        if answer.get("error", "").startswith(("HANGS", "PANICS")):
            return "wrong", answer["error"]
    refused = [answer for answer in answers if "error" in answer]
    if refused:
        if len(refused) < len(answers) and not any("resources" in answer["error"].lower() for answer in refused):
            return "wrong", f"only some ways fail: {refused[0]['error']}"
        return ("refused" if refused[0].get("refused") else "failed"), refused[0]["error"]
    try:
        result = database.execute(dialect(sql)).fetchall()
    except duckdb.Error as error:
        return "unknown", str(error).splitlines()[0]
    expected = [[plain(cell) for cell in row] for row in result]
    ordered = re.search(r"ORDER BY [^()]*$", sql) is not None
    for way, answer in enumerate(answers):
        found = difference(rows(answer), expected, ordered)
        if found is not None:
            return "wrong", f"way {way}: {found}"
    return "equal", ""


def explain(sql, made, text):
    used = {name: made[name] for name in made if name in sql}
    print(f"WRONG {text}\n  {sql}")
    for name, listed in used.items():
        print(f"    {name}:")
        for row in listed:
            print(f"      {json.dumps(row, ensure_ascii=False)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runner", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, help="hunt as long as this instead")
    parser.add_argument("--queries", type=int, default=60, help="in each round")
    parser.add_argument("--only", help="kinds of queries, with commas")
    parser.add_argument("--stop", type=int, default=10, help="stop after so many wrong ones")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    counts, texts, began, seed = collections.Counter(), collections.Counter(), time.monotonic(), options.seed
    while (time.monotonic() - began < options.seconds) if options.seconds else (seed < options.seed + options.rounds):
        choice = random.Random(seed)
        made, maker = tables(choice), Maker(choice)
        if options.only:
            maker.kinds = [
                (method, weight) for method, weight in maker.kinds if method.__name__ in options.only.split(",")
            ]
        queries = [maker.query() for _ in range(options.queries)]
        database = theirs(made)
        for sql, answers in zip(queries, ours(options.runner, made, WAYS, queries)):
            kind, text = judge(sql, answers, database)
            counts[kind] += 1
            if kind == "wrong":
                print(f"seed {seed}: ", end="")
                explain(sql, made, text)
            elif text:
                texts[f"{kind}: {text[:180]}"] += 1
                if options.verbose and texts[f"{kind}: {text[:180]}"] == 1:
                    print(f"{kind}: {text[:300]}\n  {sql}")
        seed += 1
        if counts["wrong"] >= options.stop:
            break
    for text, number in texts.most_common(40 if options.verbose else 0):
        print(f"{number:6} {text}")
    print(
        f"seeds {options.seed} to {seed - 1}: "
        + ", ".join(f"{number} {kind}" for kind, number in counts.most_common())
    )
    if not options.only and counts["equal"] < 0.75 * sum(counts.values()):
        sys.exit("too few queries were compared: see --verbose")
    sys.exit(1 if counts["wrong"] else 0)


if __name__ == "__main__":
    main()
