"""What a table's _delta_log says by itself: protocol, schema, properties. Read without any Delta library."""

import glob
import json
import os

INTEGERS = ("byte", "short", "integer", "long")


class LogError(Exception):
    """The log cannot be read or lacks an action."""


def tables(root, layers=None):
    """(layer, table, folder) for every Delta table under root/<layer>/<table>."""
    for log in sorted(glob.glob(os.path.join(root, "*", "*", "_delta_log"))):
        folder = os.path.dirname(log)
        layer, table = folder.split(os.sep)[-2:]
        if not layer.startswith(("_", ".")) and (not layers or layer in layers):
            yield layer, table, folder


def newest(folder, action):
    """The newest action of a kind: from the JSON commits, else from the last checkpoint."""
    log = os.path.join(folder, "_delta_log")
    for name in sorted(glob.glob(os.path.join(log, "*.json")), reverse=True):
        with open(name, encoding="utf-8") as lines:
            found = [json.loads(line) for line in lines if line.strip()]
        values = [value[action] for value in found if value.get(action)]
        if values:
            return values[-1]
    return from_checkpoint(log, action)


def from_checkpoint(log, action):
    """The action from the newest checkpoint file."""
    import duckdb

    files = sorted(glob.glob(os.path.join(log, "*.checkpoint*.parquet")))
    if not files:
        raise LogError(f"no {action} action in {log}")
    query = f"SELECT to_json({action}) FROM read_parquet(?) WHERE {action} IS NOT NULL"
    found = duckdb.execute(query, [files[-1]]).fetchall()
    if not found:
        raise LogError(f"no {action} action in {files[-1]}")
    return json.loads(found[-1][0])


def columns(folder):
    """name -> Delta type (a string for plain types, a dict for nested ones)."""
    schema = json.loads(newest(folder, "metaData")["schemaString"])
    return {field["name"]: field["type"] for field in schema["fields"]}


def protocol_fault(folder):
    """Why the protocol is not the one that every reader and writer knows; None if it is."""
    protocol = newest(folder, "protocol")
    properties = newest(folder, "metaData").get("configuration") or {}
    if isinstance(properties, list):  # a map as read from a checkpoint
        properties = {entry["key"]: entry["value"] for entry in properties}
    feed = properties.get("delta.enableChangeDataFeed") == "true"
    versions = (protocol["minReaderVersion"], protocol["minWriterVersion"])
    wanted = (1, 4) if feed else (1, 2)
    if versions != wanted:
        return f"protocol is {versions[0]}/{versions[1]}, not {wanted[0]}/{wanted[1]}"
    if protocol.get("readerFeatures") or protocol.get("writerFeatures"):
        return f"table features are set: {protocol}"
    return None
