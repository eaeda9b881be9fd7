"""From a table's _delta_log: its live Parquet files and its columns as DuckDB types."""

import glob
import json
import os
import urllib.parse

PLAIN = {
    "string": "VARCHAR",
    "long": "BIGINT",
    "integer": "INTEGER",
    "short": "SMALLINT",
    "byte": "TINYINT",
    "double": "DOUBLE",
    "float": "FLOAT",
    "boolean": "BOOLEAN",
    "binary": "BLOB",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
}


def duck_type(kind):
    """A Delta type (string or dict) in DuckDB's words."""
    if isinstance(kind, str):
        return kind.upper() if kind.startswith("decimal") else PLAIN[kind]
    if kind["type"] == "array":
        return duck_type(kind["elementType"]) + "[]"
    if kind["type"] == "map":
        return f"MAP({duck_type(kind['keyType'])}, {duck_type(kind['valueType'])})"
    fields = ", ".join(f'"{field["name"]}" {duck_type(field["type"])}' for field in kind["fields"])
    return f"STRUCT({fields})"


def commits(folder):
    """The actions of each version; for young tables whose log is still whole."""
    log = os.path.join(folder, "_delta_log")
    names = sorted(glob.glob(os.path.join(log, "[0-9]*.json")))
    if not names or not os.path.basename(names[0]).startswith("0" * 20):
        raise SystemExit(f"{log}: the log does not begin at version 0")
    for name in names:
        with open(name, encoding="utf-8") as lines:
            yield [json.loads(line) for line in lines if line.strip()]


def place(folder, path):
    """Where a file is that the log names."""
    return os.path.join(folder, urllib.parse.unquote(path))


def replay(folder):
    """(live files, metaData)."""
    live, metadata = {}, None
    for actions in commits(folder):  # within a commit removes come first
        for action in actions:
            if action.get("remove"):
                live.pop(action["remove"]["path"], None)
        for action in actions:
            if action.get("add"):
                live[action["add"]["path"]] = True
            metadata = action.get("metaData") or metadata
    return [place(folder, path) for path in live], metadata


def columns(folder):
    """name -> DuckDB type."""
    fields = json.loads(replay(folder)[1]["schemaString"])["fields"]
    return {field["name"]: duck_type(field["type"]) for field in fields}


def view(name, folder):
    """SQL for a DuckDB view over the table's live files, partition columns included."""
    files, metadata = replay(folder)
    types = columns(folder)
    if not files:
        nothing = ", ".join(f'NULL::{kind} AS "{column}"' for column, kind in types.items())
        return f"CREATE VIEW {name} AS SELECT {nothing} WHERE false"
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in files)
    hive = {column: types[column] for column in metadata["partitionColumns"]}
    options = "union_by_name = true, hive_partitioning = " + ("true" if hive else "false")
    if hive:
        options += ", hive_types = {" + ", ".join(f"'{key}': {kind}" for key, kind in hive.items()) + "}"
    names = ", ".join(f'"{column}"' for column in types)
    return f"CREATE VIEW {name} AS SELECT {names} FROM read_parquet([{listed}], {options})"
