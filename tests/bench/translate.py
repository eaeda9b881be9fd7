"""The project's models in DuckDB's words. A small textual layer: every rule is one difference between the
two dialects, and what it does not know DuckDB reports as an error, so a bad translation cannot pass unseen.
"""

import glob
import os
import re
import tomllib

# What textual rules turn to, and functions that only DataFusion has. int / int stays an integer, and
# NULLs sort as in DataFusion; a cast of a double to BIGINT cuts off instead of rounding.
PRELUDE = [
    "SET integer_division = true",
    "SET default_null_order = 'nulls_last_on_asc_first_on_desc'",
    "SET TimeZone = 'UTC'",
    "CREATE MACRO df_to_bigint(x) AS CASE WHEN typeof(x) IN ('DOUBLE', 'FLOAT') "
    "THEN CAST(trunc(CAST(x AS DOUBLE)) AS BIGINT) ELSE CAST(x AS BIGINT) END",
    "CREATE MACRO df_array_to_string(list, separator, missing) AS "
    "array_to_string(list_transform(list, lambda item: coalesce(item, missing)), separator)",
    "CREATE MACRO reporting_date(moment) AS CAST(moment AS DATE)",
    "CREATE SCHEMA bronze",
    "CREATE SCHEMA silver",
    "CREATE SCHEMA gold",
]
HEADER = re.compile(r"\s*/\*---(.*?)---\*/", re.DOTALL)
TABLE = re.compile(r"\b(?:FROM|JOIN)\s+(bronze|silver|gold|ops)\.(\w+)", re.IGNORECASE)

# A table function whose column has no name of its own.
NUMBERS = r"\b(FROM|JOIN)\s+(range|generate_series)\s*(\([^()]*\))(?!\s*(?:AS\s+)?\w+\s*\()"


class Model:
    """One file under sql/."""

    def __init__(self, path):
        layer, name = path.split(os.sep)[-2:]
        self.name = f"{layer}.{name.removesuffix('.sql')}"
        with open(path, encoding="utf-8") as source:
            text = source.read()
        header = HEADER.match(text)
        self.refresh = tomllib.loads(header.group(1)).get("refresh") if header else None
        self.body = strip_comments(text[header.end() :] if header else text)
        self.inputs = {f"{schema}.{table}" for schema, table in TABLE.findall(self.body)}

    def statement(self):
        """CREATE TABLE (or VIEW) in DuckDB's dialect."""
        kind = "VIEW" if self.refresh == "view" else "TABLE"
        return f"CREATE {kind} {self.name} AS {translate(self.body)}"


def strip_comments(text):
    """Without comments; quotes are respected."""
    pattern = re.compile(r"('(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")|--[^\n]*|/\*.*?\*/", re.DOTALL)
    return pattern.sub(lambda found: found.group(1) or " ", text)


def closing(text, opening):
    """Index of the parenthesis that closes the one at `opening`; quotes are respected."""
    depth, quote = 0, None
    for index in range(opening, len(text)):
        letter = text[index]
        if quote:
            quote = None if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "(":
            depth += 1
        elif letter == ")":
            depth -= 1
            if depth == 0:
                return index
    raise ValueError(f"unbalanced parentheses after: {text[opening : opening + 80]}")


def rewrite_calls(text, name, rewrite):
    """Replaces every call `name(arguments)`, innermost last; `rewrite` gets arguments and what follows."""
    pattern, position = re.compile(rf"\b{name}\s*\(", re.IGNORECASE), 0
    while found := pattern.search(text, position):
        opening = found.end() - 1
        end = closing(text, opening)
        new = rewrite(text[opening + 1 : end], text[end + 1 :])
        if new is None:
            position = found.end()
        else:
            text = text[: found.start()] + new + text[end + 1 :]
            position = found.start() + 1
    return text


def cast_rule(arguments, _):
    """CAST(… AS BIGINT): microseconds of a timestamp (by its name), a cut-off number otherwise."""
    found = re.fullmatch(r"(.*)\sAS\s+BIGINT\s*", arguments, re.DOTALL | re.IGNORECASE)
    if found is None:
        return None
    is_time = re.search(r"_ts\s*\)*\s*$", found.group(1)) is not None
    return f"{'epoch_us' if is_time else 'df_to_bigint'}({found.group(1)})"


def arrow_cast_rule(arguments, _):
    """arrow_cast(text or microseconds, 'Timestamp(Microsecond, …)')."""
    found = re.fullmatch(r"(.*),\s*'Timestamp\(Microsecond, (?:None|Some\(\"UTC\"\))\)'\s*", arguments, re.DOTALL)
    if found is None:
        raise ValueError(f"no translation for arrow_cast({arguments})")
    value = found.group(1).strip()
    return f"CAST({value} AS TIMESTAMPTZ)" if value.startswith("'") else f"make_timestamptz(df_to_bigint({value}))"


def first_value_rule(arguments, following):
    """first_value as an aggregate is `first`; as a window function it keeps its name."""
    window = re.match(r"\s*(IGNORE\s+NULLS\s+)?OVER\b", following, re.IGNORECASE)
    if window is None:
        return f"first({arguments})"
    return None


def nulls_inside(text):
    """f(x) IGNORE NULLS OVER becomes f(x IGNORE NULLS) OVER."""
    return re.sub(r"\)\s*IGNORE\s+NULLS\s+OVER\b", " IGNORE NULLS) OVER", text, flags=re.IGNORECASE)


def window_first(text):
    """QUALIFY … WINDOW name AS (…) becomes WINDOW … QUALIFY …."""
    pattern, position = re.compile(r"\bQUALIFY\b", re.IGNORECASE), 0
    while found := pattern.search(text, position):
        window = re.compile(r"\bWINDOW\s+\w+\s+AS\s*\(", re.IGNORECASE).search(text, found.end())
        clause = text[found.start() : window.start()] if window else ""
        if window and clause.count("(") == clause.count(")") and not re.search(r"\b(SELECT|FROM)\b", clause):
            end = closing(text, window.end() - 1) + 1
            text = text[: found.start()] + text[window.start() : end] + "\n" + clause.rstrip() + text[end:]
            position = end
        else:
            position = found.end()
    return text


def translate(text):
    """DataFusion's SQL as DuckDB's."""
    text = rewrite_calls(text, "CAST", cast_rule)
    text = rewrite_calls(text, "arrow_cast", arrow_cast_rule)
    text = rewrite_calls(text, "first_value", first_value_rule)
    text = nulls_inside(text)
    text = window_first(text)
    for old, new in (
        (r"\barray_to_string\s*\(", "df_array_to_string("),
        (r"\bmake_array\s*\(", "list_value("),
        (r"\*\s*EXCEPT\s*\(", "* EXCLUDE ("),
        (NUMBERS, r"\1 \2\3 AS numbers(value)"),
    ):
        text = re.sub(old, new, text, flags=re.IGNORECASE)
    return text.strip().rstrip(";")


def load(project):
    """All models of silver and gold, inputs first."""
    paths = glob.glob(os.path.join(project, "sql", "silver", "*.sql"))
    paths += glob.glob(os.path.join(project, "sql", "gold", "*.sql"))
    if not paths:
        raise SystemExit(f"no models under {project}/sql/silver and {project}/sql/gold")
    waiting = {model.name: model for model in map(Model, sorted(paths))}
    ordered, done = [], set()
    while waiting:
        ready = [m for m in waiting.values() if not (m.inputs & waiting.keys()) - {m.name}]
        if not ready:
            raise SystemExit(f"models depend on each other in a circle: {', '.join(waiting)}")
        for model in ready:
            ordered.append(waiting.pop(model.name))
            done.add(model.name)
    return ordered
