"""Column types of a contract (`lake/<layer>/<table>.sql`) in DuckDB's words, for reading the same JSON."""

import os
import re

from translate import closing, strip_comments

WORDS = {"STRING": "VARCHAR", "JSON": "VARCHAR", "TIMESTAMP": "TIMESTAMPTZ", "INT": "INTEGER"}


def split(text):
    """Parts of a list at its top level: commas in (), <> or quotes do not separate."""
    parts, depth, quoted, part = [], 0, False, ""
    for letter in text:
        if letter == "'":
            quoted = not quoted
        if not quoted and letter in "(<>)":
            depth += 1 if letter in "(<" else -1
        if letter == "," and depth == 0 and not quoted:
            parts.append(part.strip())
            part = ""
        else:
            part += letter
    return [one for one in [*parts, part.strip()] if one]


def duck_type(text):
    """A contract's type."""
    text = text.strip()
    if text.upper().startswith("STRUCT<"):
        inside = text[text.index("<") + 1 : text.rindex(">")]
        fields = [part.split(None, 1) for part in split(inside)]
        return "STRUCT(" + ", ".join(f'"{name}" {duck_type(kind)}' for name, kind in fields) + ")"
    if text.upper().startswith("ARRAY<"):
        return duck_type(text[text.index("<") + 1 : text.rindex(">")]) + "[]"
    word = re.match(r"\w+", text).group(0).upper()
    return text if word == "DECIMAL" else WORDS.get(word, word)


def columns(project, table):
    """name -> DuckDB type, without what the engine adds."""
    layer, name = table.split(".")
    with open(os.path.join(project, "lake", layer, f"{name}.sql"), encoding="utf-8") as source:
        text = source.read()
    text = strip_comments(text)
    text = re.sub(r"\bCOMMENT\s+'(?:[^']|'')*'", "", text)
    opening = text.index("(", text.upper().index("CREATE TABLE"))
    found = {}
    for part in split(text[opening + 1 : closing(text, opening)]):
        column, rest = part.split(None, 1)
        if column.upper() in ("CONSTRAINT", "PRIMARY", "CHECK"):
            continue
        found[column] = duck_type(re.sub(r"\bNOT\s+NULL\b", "", rest))
    return found
