"""Random queries on three small tables, in the SQL that DataFusion and DuckDB share.

Each query is right in one way only: where the order of rows counts, it ends with a unique column, and what
a LIMIT keeps is decided by an ORDER BY over all columns. `peer.py` says where the two dialects differ.
"""

INTEGERS, TEXTS = ["k", "g", "v", "n", "id"], ["s", "t"]
NUMBERS = [*INTEGERS, "d", "f"]
COMPARISONS = ["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]


class Maker:
    """Makes queries with one random generator."""

    def __init__(self, random):
        self.random = random
        self.kinds = [
            (self.join, 5),
            (self.using, 5),
            (self.predicate, 8),
            (self.scalar_subquery, 3),
            (self.window, 5),
            (self.grouped, 5),
            (self.sets, 3),
            (self.limited, 4),
            (self.expressions, 5),
            (self.lateral, 2),
            (self.tuples, 2),
            (self.alike, 1),
            (self.recursive, 1),
            (self.nested, 3),
            (self.precedence, 3),
            (self.literals, 3),
        ]

    def query(self):
        """One query."""
        makers, weights = zip(*self.kinds)
        return self.random.choices(makers, weights)[0]()

    # Small parts

    def pick(self, *choices):
        return self.random.choice(choices)

    def chance(self, percent):
        return self.random.randrange(100) < percent

    def table(self):
        return "bronze." + self.pick("a", "b", "c")

    def column(self, alias, names=("k", "g", "v", "n")):
        return f"{alias}.{self.random.choice(names)}" if alias else self.random.choice(names)

    def number(self, alias, depth=2):
        """A numeric expression that stays small."""
        if depth == 0 or self.chance(40):
            return self.pick(self.column(alias), self.column(alias), str(self.random.randrange(-3, 6)))
        left, right = self.number(alias, depth - 1), self.number(alias, depth - 1)
        return self.pick(
            f"({left} + {right})",
            f"({left} - {right})",
            f"({left} * {right})",
            f"({left} / nullif({right}, 0))",
            f"({left} % nullif({right}, 0))",
            f"(- {left})",
            f"abs({left})",
            f"coalesce({left}, {right})",
            f"nullif({left}, {right})",
            f"greatest({left}, {right})",
            f"least({left}, {right})",
            f"CASE WHEN {self.condition(alias, depth - 1)} THEN {left} ELSE {right} END",
            f"CASE {left} WHEN {right} THEN 1 WHEN 2 THEN {right} END",
        )

    def condition(self, alias, depth=2):
        """A boolean expression without subqueries."""
        if depth > 0 and self.chance(35):
            left, right = self.condition(alias, depth - 1), self.condition(alias, depth - 1)
            return self.pick(
                f"({left} AND {right})",
                f"({left} OR {right})",
                f"(NOT {left})",
                f"(({left}) IS NULL)",
                f"(({left}) IS NOT TRUE)",
                f"(({left}) IS FALSE)",
            )
        a, b, c = (self.number(alias, 0) for _ in range(3))
        text = self.column(alias, TEXTS)
        return self.pick(
            f"({a} {self.random.choice(COMPARISONS)} {b})",
            f"({a} {self.random.choice(COMPARISONS)} {b})",
            f"({a} BETWEEN {b} AND {c})",
            f"({a} NOT BETWEEN {b} AND {c})",
            f"({a} IN ({b}, {c}, 2))",
            f"({a} NOT IN ({b}, {c}))",
            f"({a} NOT IN (1, NULL))",
            f"({self.column(alias)} IS NULL)",
            f"({self.column(alias)} IS NOT NULL)",
            f"({self.column(alias, ['ok'])})",
            f"({text} LIKE {self.pattern()})",
            f"({text} NOT LIKE {self.pattern()})",
            f"({text} ILIKE {self.pattern()})",
            f"({text} {self.pick('=', '<', '>=', '<>')} {self.word()})",
            f"({self.column(alias, ['d', 'f'])} {self.pick('<', '>=', '=')} {self.pick('0', '1.5', '-2', '0.001')})",
            f"({self.column(alias, ['ts'])} {self.pick('<', '>=')} TIMESTAMP '2026-03-29 01:30:00')",
            f"({self.column(alias, ['day'])} {self.pick('<', '>=', '=')} DATE '2026-03-29')",
        )

    def pattern(self):
        return self.pick("'a%'", "'%b%'", "'_'", "'%'", "''", "'A_'", "'%é'", "'a\\%%'", "NULL")

    def word(self):
        return self.pick("'a'", "'ab'", "''", "'é'", "'A'", "'zz'")

    # Joins

    def part(self, alias, own):
        """A derived table with the keys k and g and one column of its own."""
        where = f" WHERE {self.condition('')}" if self.chance(30) else ""
        source = self.table()
        return self.pick(
            f"(SELECT k, g, v AS {own} FROM {source}{where}) {alias}",
            f"(SELECT g, k, v AS {own} FROM {source}{where}) {alias}",
            f"(SELECT k, max(g) AS g, count(v) AS {own} FROM {source}{where} GROUP BY k) {alias}",
            f"(SELECT DISTINCT k, g, n AS {own} FROM {source}{where}) {alias}",
        )

    def join(self):
        """Joins with ON: all kinds, conditions on either side."""
        kinds = ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN"]
        kind = self.random.choice(kinds)
        left, right = self.part("x", "p"), self.part("y", "q")
        on = [self.pick("x.k = y.k", "x.g = y.g", "x.k = y.g + 1", "x.k < y.k", "x.k IS NOT DISTINCT FROM y.k")]
        keys = ("k", "g")
        if self.chance(40):
            on.append(
                f"{self.pick('x.p', 'x.k')} {self.random.choice(COMPARISONS)} {self.pick('y.q', 'y.g', '1', '2')}"
            )
        if self.chance(25):
            on.append(self.pick("x.g > 1", "y.g > 1", "x.k IS NOT NULL", "y.k IS NULL", "true", "false"))
        one = kind.startswith(("LEFT SEMI", "LEFT ANTI"))
        columns = "x.k, x.g, x.p" if one else "x.k AS xk, x.g AS xg, x.p, y.k AS yk, y.g AS yg, y.q"
        where = ""
        if self.chance(50):
            side = "x" if one else self.pick("x", "y")
            where = " WHERE " + self.pick(
                f"{side}.k IS NULL",
                f"{side}.g {self.random.choice(COMPARISONS)} {self.random.randrange(4)}",
                f"coalesce({side}.k, 0) > 0",
                f"({self.column(side, keys)} > 1 OR {self.column('x', keys)} IS NULL)",
                f"({side}.k IN (1, 2) AND {self.column(side, keys)} < 3) IS NOT TRUE",
                f"CASE WHEN {side}.k IS NULL THEN true ELSE {side}.k > 1 END",
            )
        text = f"SELECT {columns} FROM {left} {kind} {right} ON {self.pick(' AND ', ' AND ', ' OR ').join(on)}"
        if not one and self.chance(30):
            third = f" {self.pick('JOIN', 'LEFT JOIN', 'FULL JOIN')} {self.part('z', 'r')} ON {self.pick('x.k', 'y.k')} = z.k"
            text = text.replace("SELECT ", "SELECT z.k AS zk, z.r, ", 1) + third
        return text + where

    def using(self):
        """USING and NATURAL, alone and in chains, and every way to name the merged column."""
        keys = self.pick("k", "k", "k, g", "g")
        # Names of either order: what the engine keeps of two equal columns must not depend on them.
        one, two, three = self.pick(("x", "y", "z"), ("z", "y", "x"))
        kind = self.pick("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
        natural = self.chance(20)
        left = self.part(one, "p")
        right = self.part(two, "q")
        joined = f"{left} NATURAL {kind} {right}" if natural else f"{left} {kind} {right} USING ({keys})"
        names = ["k", "g"] if natural else keys.split(", ")
        rest = [f"{side}.{name} AS {side}{name}" for side in (one, two) for name in ("k", "g")]
        own = ["p", "q"]
        if self.chance(35):
            kind = self.pick("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
            joined += f" {kind} {self.part(three, 'r')} USING ({keys})" if not natural else ""
            own += [] if natural else ["r"]
        key = names[0]
        where = ""
        if self.chance(40):
            where = " WHERE " + self.pick(
                f"{key} = 2",
                f"{key} IS NULL",
                f"{one}.{key} IS NULL",
                f"{two}.{key} IS NULL",
                f"{key} > 1 AND p IS NULL",
                f"coalesce({key}, 7) > 2",
                f"{key} IN (SELECT k FROM bronze.c WHERE k IS NOT NULL)",
            )
        shown = ", ".join(names + self.random.sample(rest, 2) + own)
        return self.pick(
            f"SELECT {shown} FROM {joined}{where}",
            f"SELECT {', '.join(names)} FROM {joined}{where}",
            f"SELECT * FROM {joined}{where}",
            (
                f"SELECT {one}.*, {two}.*, {key} FROM {joined}{where}"
                if len(own) == 2 and not where
                else f"SELECT {key} + 1 AS m FROM {joined}{where}"
            ),
            f"SELECT {key}, count(*) AS m, sum(p) AS n, max({two}.{key}) AS o FROM {joined}{where} GROUP BY {key}",
            f"SELECT {key} AS e, count(q) AS m FROM {joined}{where} GROUP BY 1 HAVING count(*) > 0 ORDER BY {key}, m",
            f"SELECT {key}, row_number() OVER (PARTITION BY {key} ORDER BY p, q, {one}.k, {two}.k, {one}.g, {two}.g) AS m FROM {joined}{where}",
            f"SELECT DISTINCT {key} FROM {joined}{where} ORDER BY {key} LIMIT 3",
            f"SELECT u.{key}, u.m FROM (SELECT {key}, p AS m FROM {joined}{where}) u",
            f"WITH u AS (SELECT * FROM {joined}{where}) SELECT {key}, p, q FROM u WHERE {key} IS NOT NULL",
        )

    # Subqueries

    def inner(self, alias, correlated, column):
        """The inside of IN or EXISTS."""
        where = []
        if correlated:
            where.append(
                self.pick(
                    "i.k = {o}.k", "i.g = {o}.g", "i.k < {o}.k", "i.g = {o}.g AND i.v > {o}.v", "i.k = {o}.k + 1"
                )
            )
        if self.chance(40):
            where.append(self.condition("i", 1))
        clause = (" WHERE " + " AND ".join(where)).format(o=alias) if where else ""
        source = self.table()
        return self.pick(
            f"SELECT {column} FROM {source} i{clause}",
            f"SELECT {column} FROM {source} i{clause}",
            f"SELECT {column} FROM {source} i{clause}",
            f"SELECT DISTINCT {column} FROM {source} i{clause}",
            f"SELECT {column} FROM {source} i LEFT JOIN bronze.c j ON i.k = j.k{clause}",
            f"SELECT max({column}) FROM {source} i{clause}",
            f"SELECT count(*) FROM {source} i{clause}",
            f"SELECT min({column}) FROM {source} i{clause} GROUP BY i.g",
            f"SELECT max({column}) FROM {source} i{clause} HAVING count(*) > 1",
            f"SELECT e FROM (SELECT {column} AS e FROM {source} i{clause}) h WHERE e > 1",
            f"SELECT count(*) AS e FROM {source} i{clause} GROUP BY i.k HAVING count(*) > 1",
            (
                f"SELECT {column} FROM {source} i{clause} LIMIT {self.pick(1, 1, 0)}"
                if column.isdigit()
                else f"SELECT {column} FROM {source} i{clause}"
            ),
            (
                f"SELECT {column} FROM {source} i{clause} OFFSET 1"
                if column.isdigit()
                else f"SELECT {column} FROM {source} i{clause}"
            ),
            (
                f"SELECT {column} FROM {source} i{clause} UNION ALL SELECT k FROM bronze.c"
                if not correlated
                else f"SELECT {column} FROM {source} i{clause}"
            ),
            (
                f"SELECT {column} FROM {source} i{clause} GROUP BY ROLLUP({column})"
                if not column.isdigit()
                else f"SELECT 1 FROM {source} i{clause} GROUP BY ROLLUP(i.k)"
            ),
            f"SELECT e FROM (SELECT {column} AS e, row_number() OVER (ORDER BY i.id) AS r FROM {source} i{clause}) h WHERE r = 1",
        )

    def subquery(self, alias):
        """A boolean expression with a subquery."""
        correlated = self.chance(55)
        if self.chance(45):
            return self.pick("EXISTS", "NOT EXISTS") + f" ({self.inner(alias, correlated, '1')})"
        value = self.pick(
            self.column(alias),
            self.column(alias),
            self.column(alias),
            "2",
            "7",
            "NULL",
            f"nullif({alias}.k, 2)",
            f"{alias}.k + 1",
            f"{alias}.n",
            f"coalesce({alias}.k, 3)",
        )
        inner = self.inner(alias, correlated, self.pick("i.k", "i.g", "i.n", "i.k + 1", "nullif(i.n, 2)"))
        return self.pick(
            f"{value} IN ({inner})",
            f"{value} NOT IN ({inner})",
            f"{value} NOT IN ({inner})",
            f"NOT ({value} IN ({inner}))",
            f"{value} {self.pick('=', '<', '>=', '<>')} {self.pick('ANY', 'ALL')} ({inner})",
        )

    def predicate(self):
        """Subqueries in WHERE and HAVING, alone and inside other expressions."""
        one = self.subquery("o")
        where = self.pick(
            one,
            one,
            one,
            f"{one} AND {self.condition('o', 1)}",
            f"{one} OR {self.condition('o', 1)}",
            f"{one} AND {self.subquery('o')}",
            f"({one}) OR ({self.subquery('o')})",
            f"NOT ({one} AND {self.condition('o', 1)})",
            f"NOT ({one} OR {self.condition('o', 1)})",
            f"({one}) IS NULL",
            f"({one}) IS NOT TRUE",
            f"CASE WHEN {one} THEN o.g > 1 ELSE o.g IS NULL END",
            f"CASE WHEN o.g > 1 THEN {one} ELSE true END",
            f"(({one}) = ({self.condition('o', 1)}))",
            f"coalesce({one}, true)",
        )
        if self.chance(15):
            return f"SELECT o.g, count(*) AS m FROM {self.table()} o GROUP BY o.g HAVING {self.subquery('o').replace('o.k', 'o.g').replace('o.v', 'max(o.v)').replace('o.n', 'o.g')}"
        if self.chance(15):
            return f"SELECT o.id, ({one}) AS e FROM {self.table()} o"
        if self.chance(15):
            return f"SELECT o.id, y.id AS yid FROM {self.table()} o {self.pick('JOIN', 'LEFT JOIN')} bronze.c y ON o.k = y.k WHERE {where}"
        if self.chance(8):
            return f"SELECT o.id, y.id AS yid FROM {self.table()} o {self.pick('JOIN', 'LEFT JOIN')} bronze.c y ON o.k = y.k AND {one}"
        return f"SELECT o.id, o.k, o.g FROM {self.table()} o WHERE {where}"

    def scalar_subquery(self):
        """One value of another table, in the select list and in WHERE."""
        source = self.table()
        where = self.pick(
            "i.k = o.k",
            "i.g = o.g AND i.v > 1",
            "i.k = o.k AND i.g = o.g",
            "i.g > 1",
            "i.k < o.k",
            "i.k IS NOT DISTINCT FROM o.k",
            "i.k = o.k AND i.id <> o.id",
            "i.v > o.k OR i.g = o.g",
            "false AND i.k = o.k",
        )
        value = self.pick(
            "count(*)",
            "count(i.v)",
            "sum(i.v)",
            "max(i.s)",
            "min(i.n) + 1",
            "coalesce(sum(i.v), -1)",
            "count(*) FILTER (WHERE i.v > 1)",
            "count(DISTINCT i.g)",
            "avg(i.v)",
            "bool_or(i.ok)",
            "CASE WHEN count(*) = 0 THEN -5 ELSE max(i.v) END",
            "sum(i.v) IS NULL",
        )
        inner = self.pick(
            f"SELECT {value} FROM {source} i WHERE {where}",
            f"SELECT {value} FROM {source} i WHERE {where}",
            f"SELECT {value} FROM {source} i WHERE {where} HAVING count(*) > 1",
            f"SELECT {value} FROM {source} i WHERE {where} HAVING count(*) < 1",
            f"SELECT {value} FROM {source} i LEFT JOIN bronze.c j ON i.k = j.g WHERE {where}",
            f"SELECT max(e) FROM (SELECT {value} AS e FROM {source} i WHERE {where}) h",
            f"SELECT e FROM (SELECT {value} AS e FROM {source} i WHERE {where}) h WHERE e IS NOT NULL",
            f"SELECT count(*) FROM (SELECT DISTINCT i.g FROM {source} i WHERE {where}) h",
            f"SELECT count(*) FROM {source} i WHERE i.k = o.k GROUP BY i.k",
            f"SELECT max(r) FROM (SELECT row_number() OVER (ORDER BY i.id) AS r FROM {source} i WHERE {where}) h",
        )
        return self.pick(
            f"SELECT o.id, ({inner}) AS e FROM {self.table()} o",
            f"SELECT o.id, coalesce(CAST(({inner}) AS VARCHAR), 'none') AS e FROM {self.table()} o",
            f"SELECT o.id FROM {self.table()} o WHERE ({inner}) IS NULL",
            f"SELECT o.id FROM {self.table()} o WHERE ({inner}) IS NOT NULL OR o.g = 1",
            f"SELECT o.g, max(o.v) AS m, ({inner.replace('o.k', 'o.g')}) AS e FROM {self.table()} o GROUP BY o.g",
        )

    # Windows and groups

    def frame(self, ranged):
        # DuckDB 1.5.5 leaves out rows of the same order at RANGE ... 0 PRECEDING.
        bound = [f"{self.pick(1, 2)} PRECEDING", "CURRENT ROW", f"{self.pick(1, 2)} FOLLOWING"]
        first = self.pick("UNBOUNDED PRECEDING", *bound)
        last = self.pick("UNBOUNDED FOLLOWING", *bound)
        order = ["UNBOUNDED PRECEDING", "PRECEDING", "CURRENT ROW", "FOLLOWING", "UNBOUNDED FOLLOWING"]
        rank = lambda text: next(
            i
            for i, word in reversed(list(enumerate(order)))
            if text.endswith(word) and (word.startswith("UNB") == text.startswith("UNB"))
        )
        if rank(first) > rank(last):
            first, last = last, first
        if rank(first) == rank(last) and rank(first) in (1, 3):
            small, large = sorted([first, last])
            first, last = (large, small) if rank(first) == 1 else (small, large)
        unit = "RANGE" if ranged else self.pick("ROWS", "ROWS", "GROUPS")
        return f" {unit} BETWEEN {first} AND {last}"

    def window(self):
        """Window functions of all frames, with NULLs and ties."""
        calls = []
        for number in range(self.pick(1, 1, 2, 3)):
            partition = self.pick("", "PARTITION BY g ", "PARTITION BY k, ok ", "PARTITION BY s ", "PARTITION BY f ")
            direction = self.pick("", " DESC", " DESC NULLS LAST", " NULLS FIRST")
            if self.chance(30):
                function = self.pick(
                    "rank()", "dense_rank()", "percent_rank()", "cume_dist()", "count(*)", "sum(v)", "min(s)", "max(d)"
                )
                over = f"{partition}ORDER BY {self.pick('k', 'v', 'day', 's', 'f')}{direction}"
            elif self.chance(30):
                function = self.pick(
                    "sum(v)",
                    "count(v)",
                    "min(v)",
                    "max(v)",
                    "avg(v)",
                    "sum(d)",
                    "min(s)",
                    "count(*)",
                    "bool_and(ok)",
                    "sum(v) FILTER (WHERE g > 1)",
                )
                over = f"{partition}ORDER BY n{direction}{self.frame(True)}"
            else:
                function = self.pick(
                    "row_number()",
                    "ntile(3)",
                    "lag(v)",
                    "lead(v)",
                    "lag(v, 2, -1)",
                    "lead(s, 1, 'none')",
                    "lag(v) IGNORE NULLS",
                    "lead(v) IGNORE NULLS",
                    "lag(v, 2) IGNORE NULLS",
                    "first_value(v)",
                    "last_value(v)",
                    "first_value(v) IGNORE NULLS",
                    "last_value(v) IGNORE NULLS",
                    "nth_value(v, 2)",
                    "sum(v)",
                    "count(v)",
                    "min(v)",
                    "max(s)",
                    "avg(v)",
                    "sum(d)",
                    "sum(f)",
                    "avg(f)",
                    "var_pop(f)",
                    "count(*)",
                    "max(ts)",
                    "min(day)",
                    "median(v)",
                    "array_agg(v)",
                    "stddev(v)",
                    "count(*) FILTER (WHERE v > 1)",
                    "bool_or(ok)",
                    "string_agg(s, ',')",
                )
                ranks = function.startswith(("row_number", "ntile", "lag", "lead"))
                over = (
                    f"{partition}ORDER BY {self.pick('k', 'v', 'day', 's', 'f')}{direction}, id{self.pick('', ' DESC')}"
                    + ("" if ranks or self.chance(40) else self.frame(False))
                )
            calls.append(f"{function} OVER ({over}) AS w{number}")
        where = f" WHERE {self.condition('')}" if self.chance(25) else ""
        text = f"SELECT id, {', '.join(calls)} FROM {self.table()}{where}"
        if self.chance(15):
            return text + f" QUALIFY row_number() OVER (PARTITION BY g ORDER BY v DESC, id) <= {self.pick(1, 2)}"
        if self.chance(20):
            return f"SELECT * FROM ({text}) h WHERE {self.pick('w0 IS NULL', 'w0 IS NOT NULL', 'id > 4')}"
        if self.chance(20):
            return f"{text} ORDER BY id{self.pick('', ' DESC')} LIMIT {self.pick(1, 2, 4)}{self.pick('', ' OFFSET 2')}"
        return text

    def aggregate(self):
        filtered = f" FILTER (WHERE {self.condition('', 1)})" if self.chance(25) else ""
        return (
            self.pick(
                "count(*)",
                "count(v)",
                "sum(v)",
                "avg(v)",
                "min(s)",
                "max(t)",
                "sum(d)",
                "sum(f)",
                "avg(d)",
                "min(ts)",
                "max(day)",
                "bool_and(ok)",
                "bool_or(ok)",
                "count(DISTINCT v)",
                "sum(DISTINCT v)",
                "count(DISTINCT s)",
                "avg(DISTINCT v)",
                "median(v)",
                "stddev(v)",
                "var_pop(v)",
                "corr(v, n)",
                "bit_and(n)",
                "min(v + n)",
                "sum(v * n)",
                "count(DISTINCT k % 3)",
                "covar_samp(v, n)",
                "count(DISTINCT day)",
            )
            + filtered
            if self.chance(80)
            else self.pick(
                "array_agg(v ORDER BY id)",
                "string_agg(s, '|' ORDER BY id DESC)",
                "first_value(v ORDER BY v DESC, id)",
                "last_value(s ORDER BY id)",
                "array_agg(s ORDER BY s NULLS FIRST, id)",
                "array_agg(DISTINCT v ORDER BY v)",
            )
        )

    def grouped(self):
        """Aggregates: DISTINCT, FILTER, ORDER BY, grouping sets."""
        calls = ", ".join(f"{self.aggregate()} AS m{number}" for number in range(self.pick(1, 2, 3)))
        source = self.table() + (f" WHERE {self.condition('')}" if self.chance(35) else "")
        having = (
            f" HAVING {self.pick('count(*) > 1', 'max(v) > 1', 'sum(v) IS NULL', 'count(*) = 1')}"
            if self.chance(25)
            else ""
        )
        if self.chance(20):
            return f"SELECT {calls} FROM {source}{having}"
        sets, keys = self.pick(
            ("ROLLUP(k, g)", ["k", "g"]),
            ("CUBE(k, ok)", ["k", "ok"]),
            ("GROUPING SETS ((k), (g), ())", ["k", "g"]),
            ("GROUPING SETS ((k, g), (k), (k))", ["k", "g"]),
            ("ROLLUP(g)", ["g"]),
            ("GROUPING SETS ((s), ())", ["s"]),
        )
        if self.chance(40):
            grouping = ", ".join(f"grouping({key}) AS q{key}" for key in keys)
            text = f"SELECT {', '.join(keys)}, {grouping}, {calls} FROM {source} GROUP BY {sets}{having}"
            if self.chance(25):
                some = f"{keys[0]} > {self.word() if keys[0] == 's' else 1}"
                where = self.pick(f"{keys[0]} IS NULL", some, f"q{keys[0]} = 1")
                return f"SELECT * FROM ({text}) h WHERE {where}"
            return text
        keys = self.pick("k", "g", "k, g", "s", "ok", "day", "k % 2", "coalesce(k, g)", "f", "d")
        named = ", ".join(f"{key} AS e{number}" for number, key in enumerate(split(keys)))
        text = f"SELECT {named}, {calls} FROM {source} GROUP BY {keys}{having}"
        if self.chance(20):
            return f"SELECT e0, m0, count(*) OVER () AS w FROM ({text}) h"
        if self.chance(20):
            return f"SELECT DISTINCT e0 FROM ({text}) h WHERE e0 IS NOT NULL"
        return text

    def sets(self):
        """UNION, INTERSECT and EXCEPT, with and without ALL."""
        columns = self.pick("k", "k, g", "s", "day", "k, s")
        side = lambda: f"SELECT {columns} FROM {self.table()}" + (
            f" WHERE {self.condition('', 1)}" if self.chance(50) else ""
        )
        text = side()
        for _ in range(self.pick(1, 1, 2)):
            text = f"({text}) {self.pick('UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT', 'INTERSECT ALL', 'EXCEPT ALL')} ({side()})"
        first = columns.split(", ")[0]
        return self.pick(
            text,
            text,
            f"SELECT {first}, count(*) AS m FROM ({text}) h GROUP BY {first}",
            f"SELECT * FROM ({text}) h WHERE {first} IS NOT NULL ORDER BY {columns} LIMIT 3",
            f"SELECT count(*) AS m FROM ({text}) h",
        )

    def limited(self):
        """What LIMIT keeps: the order decides."""
        limit = self.pick("LIMIT 1", "LIMIT 2", "LIMIT 3 OFFSET 1", "LIMIT 0", "LIMIT 5", "OFFSET 2")
        order = lambda *keys: ", ".join(
            key + self.pick("", " DESC", " NULLS FIRST", " DESC NULLS LAST") for key in keys
        )
        source = self.table()
        where = f" WHERE {self.condition('', 1)}" if self.chance(30) else ""
        return self.pick(
            f"SELECT k, v, id FROM {source}{where} ORDER BY {order('k', 'v', 'id')} {limit}",
            f"SELECT g, count(*) AS m FROM {source}{where} GROUP BY g ORDER BY {order('g')} {limit}",
            f"SELECT g, max(v) AS m FROM {source}{where} GROUP BY g ORDER BY {order('m', 'g')} {limit}",
            f"SELECT g, count(*) OVER () AS m FROM {source}{where} GROUP BY g ORDER BY {order('g')} {limit}",
            f"SELECT g, max(v) AS m, sum(max(v)) OVER (ORDER BY g NULLS LAST) AS w FROM {source}{where} GROUP BY g ORDER BY {order('g')} {limit}",
            f"SELECT DISTINCT k, g FROM {source}{where} ORDER BY {order('k', 'g')} {limit}",
            f"SELECT DISTINCT g, count(*) OVER (PARTITION BY g) AS m FROM {source}{where} ORDER BY {order('g', 'm')} {limit}",
            f"SELECT DISTINCT ON (k) k, v, id FROM {source}{where} ORDER BY k, v, id",
            f"SELECT DISTINCT ON (g) g, s, id FROM {source}{where} ORDER BY g, s DESC, id",
            f"SELECT x.id, y.id AS yid FROM {source} x {self.pick('JOIN', 'LEFT JOIN', 'FULL JOIN', 'RIGHT JOIN')} bronze.c y ON x.k = y.k ORDER BY {order('x.id', 'y.id')} {limit}",
            f"SELECT * FROM (SELECT id, k FROM {source}{where} UNION ALL SELECT id, g FROM bronze.c) h ORDER BY {order('id', 'k')} {limit}",
            f"SELECT count(*) AS m FROM (SELECT id FROM {source}{where} ORDER BY {order('v', 'id')} {limit}) h",
            f"SELECT sum(v) AS m FROM (SELECT v FROM {source}{where} ORDER BY {order('v', 'id')} {limit}) h WHERE v > 1",
            f"SELECT k, row_number() OVER (ORDER BY id) AS r FROM (SELECT k, id FROM {source}{where} ORDER BY {order('id')} {limit}) h",
            f"SELECT id FROM (SELECT id, k FROM {source}{where} ORDER BY {order('k', 'id')} {limit}) h ORDER BY id",
            f"SELECT k, v, j FROM (SELECT k, v, 1 AS j FROM {source}{where} UNION ALL SELECT g, v, 2 FROM bronze.c) h ORDER BY {order('k', 'j', 'v')} {limit}",
            f"SELECT g, k FROM (SELECT g, k FROM {source} WHERE k = 1 UNION ALL SELECT g, k FROM bronze.c WHERE k = 2) h ORDER BY {order('g', 'k')} {limit}",
            f"SELECT g, m FROM (SELECT g, v AS m, row_number() OVER (PARTITION BY g ORDER BY {order('v', 'id')}) AS r FROM {source}{where}) h WHERE r {self.pick('= 1', '<= 2', '< 2', '= 2')}",
        )

    # Expressions and the rest

    def zone(self):
        """The name of a zone: with and without summer time, of both hemispheres."""
        return self.pick(
            "'Europe/Berlin'", "'america/new_york'", "'Australia/Lord_Howe'", "'Asia/Kolkata'", "'America/Sao_Paulo'"
        )

    def expressions(self):
        """Functions and casts, on each row."""
        texts = [
            "upper(s)",
            "lower(t)",
            "length(s)",
            "reverse(s)",
            "substr(s, 2)",
            "substr(t, 1, 2)",
            "trim(s)",
            "s || t",
            "concat(s, t)",
            "replace(s, 'a', 'xy')",
            "lpad(s, 4, '*')",
            "rpad(t, 3, 'é')",
            "left(s, 2)",
            "right(s, 1)",
            "repeat(s, 2)",
            "strpos(s, 'b')",
            "split_part(s, 'b', 1)",
            "starts_with(s, 'a')",
            "ascii(s)",
            "coalesce(s, t, 'none')",
            "nullif(s, t)",
            "concat_ws('-', s, t)",
            "s LIKE t",
            "md5(s)",
            "translate(s, 'ab', 'x')",
            "btrim(s, 'a')",
            "regexp_replace(s, 'a+', 'z')",
            "regexp_like(s, '^a')",
        ]
        numbers = [
            "v / 2",
            "v % 3",
            "-v % 3",
            "v / -2",
            "d + 1",
            "d * 2",
            "d % 2",
            "round(d, 1)",
            "round(f)",
            "round(f, 1)",
            "ceil(f)",
            "floor(d)",
            "trunc(f)",
            "abs(d)",
            "signum(v)",
            "CAST(v AS DOUBLE) / 3",
            "CAST(s AS VARCHAR)",
            "CAST(v AS VARCHAR)",
            "CAST(d AS VARCHAR)",
            "CAST(f AS DECIMAL(10, 2))",
            "CAST(d AS DECIMAL(10, 1))",
            "sqrt(abs(f))",
            "power(v, 2)",
            "v = f",
            "d = f",
            "v > d",
            "CAST(ok AS INT)",
            "CAST('12' AS INT) + v",
            "TRY_CAST(s AS INT)",
            "v & 3",
            "v | 4",
            "n << 2",
            "v >> 1",
            "greatest(v, n)",
            "least(d, f)",
            "v BETWEEN n AND k",
            "exp(0 * f)",
            "ln(f * f + 1)",
            "CASE f WHEN 0 THEN 1 WHEN 2.5 THEN 2 ELSE 3 END",
            "f IN (1, 2, 3, 4, 0)",
            "nullif(f, 0)",
            "NOT (v IN (1, 2) AND v IN (3, 4))",
            "v NOT IN (1, 2) OR v NOT IN (3, 4)",
            "NOT ((v = 1 OR v = 2) AND v NOT IN (1, 2, 3))",
        ]
        times = [
            "date_trunc('hour', ts)",
            "date_trunc('week', ts)",
            "date_trunc('month', day)",
            "extract(year FROM ts)",
            "extract(dow FROM day)",
            "extract(week FROM day)",
            "extract(doy FROM ts)",
            "extract(epoch FROM ts)",
            "extract(second FROM ts)",
            "ts + INTERVAL '1 month'",
            "ts - INTERVAL '1 day 2 hours'",
            "day + INTERVAL '1 month'",
            "CAST(ts AS DATE)",
            "day - DATE '2026-01-31'",
            "ts < CAST(day AS TIMESTAMP)",
            "date_trunc('quarter', ts)",
            "extract(quarter FROM day)",
            "extract(isodow FROM day)",
            "extract(hour FROM ts)",
            "date_trunc('day', ts) = day",
            "ts = TIMESTAMP '2026-03-29 01:30:00'",
            "day BETWEEN DATE '2026-01-01' AND DATE '2026-12-31'",
            f"CAST(ts AT TIME ZONE {self.zone()} AS TIMESTAMP)",
            f"CAST(ts AT TIME ZONE {self.zone()} AS DATE)",
            f"CAST(date_trunc('day', ts AT TIME ZONE {self.zone()}) AS TIMESTAMP)",
            f"extract(hour FROM ts AT TIME ZONE {self.zone()})",
            f"ts AT TIME ZONE {self.zone()} >= DATE '2026-01-01'",
            f"ts AT TIME ZONE {self.zone()} BETWEEN TIMESTAMP '2025-12-31 20:00:00' AND day",
            f"CAST(CAST(ts AS TIMESTAMP) AT TIME ZONE {self.zone()} AT TIME ZONE 'UTC' AS TIMESTAMP)",
            "extract(epoch FROM TIMESTAMP '9999-12-31 00:00:00' - ts)",
            "ts < TIMESTAMP '9999-12-31 00:00:00' - INTERVAL '1 day'",
            "greatest(ts, TIMESTAMP '0001-01-01 00:00:00')",
            "date_trunc('month', coalesce(ts, TIMESTAMP '9999-12-31 00:00:00'))",
            *(
                f"extract({part} FROM ts - TIMESTAMP '2026-01-03 05:07:09.25')"
                for part in ("day", "hour", "minute", "second", "millisecond", "microsecond", "epoch")
            ),
        ]
        picked = (
            self.random.sample(texts, 2)
            + self.random.sample(numbers, 3)
            + self.random.sample(times, 2)
            + [self.number("", 3), self.condition("", 3)]
        )
        shown = ", ".join(f"{text} AS e{number}" for number, text in enumerate(picked))
        return f"SELECT id, {shown} FROM {self.table()}"

    def lateral(self):
        """Lateral joins."""
        value = self.pick("count(*)", "sum(i.v)", "max(i.s)")
        return self.pick(
            f"SELECT o.id, h.e FROM {self.table()} o CROSS JOIN LATERAL (SELECT {value} AS e FROM {self.table()} i WHERE i.k = o.k) h",
            f"SELECT o.id, h.e FROM {self.table()} o LEFT JOIN LATERAL (SELECT {value} AS e FROM {self.table()} i WHERE i.k = o.k) h ON h.e IS NOT NULL",
            f"SELECT o.id, h.e FROM {self.table()} o LEFT JOIN LATERAL (SELECT i.id AS e FROM {self.table()} i WHERE i.g = o.g) h ON true",
            f"SELECT o.id, h.e FROM {self.table()} o, LATERAL (SELECT i.id AS e FROM {self.table()} i WHERE i.g = o.g AND i.v > 1) h",
            f"SELECT o.id, h.e FROM {self.table()} o CROSS JOIN LATERAL (SELECT {value} AS e FROM {self.table()} i WHERE i.k <= o.k) h",
            f"SELECT o.id, h.e FROM {self.table()} o LEFT JOIN LATERAL (SELECT i.id + o.v AS e FROM {self.table()} i WHERE i.g = o.g) h ON true",
            f"SELECT o.id, h.e FROM {self.table()} o LEFT JOIN LATERAL (SELECT o.v * 10 AS e WHERE o.v > 1) h ON true",
            f"SELECT o.id, h.e FROM {self.table()} o, LATERAL (SELECT i.g, max(i.v + o.k) AS e FROM {self.table()} i WHERE i.k < o.k GROUP BY i.g) h",
            f"SELECT o.id, h.r FROM {self.table()} o CROSS JOIN LATERAL (SELECT row_number() OVER (ORDER BY i.id) AS r FROM {self.table()} i WHERE i.g = o.g) h",
        )

    def tuples(self):
        """Pairs of columns that are looked for in a subquery."""
        # DuckDB's answer is unknown for every pair with a NULL, also where the other half differs.
        where = self.pick("", "", " WHERE i.v > 1", " WHERE i.n = o.n", " WHERE i.k IS NOT NULL")
        one = f"(o.k, o.g) IN (SELECT i.k, i.g FROM {self.table()} i{where})"
        known = f"(o.n, o.id) {self.pick('IN', 'NOT IN')} (SELECT i.n, i.id + 1 FROM {self.table()} i{where})"
        return self.pick(
            f"SELECT o.id FROM {self.table()} o WHERE {one}",
            f"SELECT o.id FROM {self.table()} o WHERE {one} OR o.v = 1",
            f"SELECT o.id FROM {self.table()} o WHERE {known}",
            f"SELECT o.id FROM {self.table()} o WHERE NOT ({known}) AND {self.condition('o', 1)}",
            f"SELECT o.id, {known} AS e FROM {self.table()} o",
        )

    def alike(self):
        """Expressions that one engine or the other calls alike."""
        kind = self.pick("DOUBLE", "VARCHAR", "BIGINT")
        return self.pick(
            f"SELECT id, v, CAST(v AS {kind}), v FROM {self.table()}",
            f"SELECT count(*), count(*), sum(v), sum(CAST(v AS DOUBLE)) FROM {self.table()}",
            f"SELECT k, CAST(k AS {kind}), count(*) FROM {self.table()} GROUP BY k, CAST(k AS {kind})",
            f"SELECT *, k FROM (SELECT id, k FROM {self.table()}) h",
        )

    def recursive(self):
        """Recursive queries and lists of values."""
        limit = self.pick(3, 5)
        return self.pick(
            f"WITH RECURSIVE u(e, m) AS (SELECT k, 0 FROM {self.table()} WHERE k IS NOT NULL UNION ALL SELECT e + 1, m + 1 FROM u WHERE m < {limit}) SELECT e, count(*) AS c FROM u GROUP BY e",
            f"WITH RECURSIVE u AS (SELECT 1 AS e UNION ALL SELECT e + 1 FROM u WHERE e < {limit}) SELECT u.e, x.id FROM u LEFT JOIN {self.table()} x ON x.k = u.e",
            f"SELECT x.id, h.p FROM {self.table()} x {self.pick('JOIN', 'LEFT JOIN', 'FULL JOIN')} (VALUES (1, 'p'), (2, NULL), (NULL, 'q'), (2, 'r')) h(e, p) ON x.k = h.e",
            f"SELECT e, count(*) AS m FROM (SELECT unnest(make_array(k, g, NULL)) AS e FROM {self.table()}) h GROUP BY e",
            f"SELECT x.id, u.id AS uid FROM {self.table()} x JOIN (WITH RECURSIVE r AS (SELECT id, k FROM bronze.c WHERE k = 1 UNION SELECT c.id, c.k FROM bronze.c c JOIN r ON c.g = r.k) SELECT id, k FROM r) u ON u.k = x.k",
        )

    def nested(self):
        """A query on a query on a join, so that rules of the optimizer meet."""
        inner = self.pick(
            f"SELECT x.k, x.g, y.v AS v, y.n AS n, x.id AS id, y.id AS j, x.ok, x.s, x.t, x.d, x.f, x.ts, x.day FROM {self.table()} x {self.pick('JOIN', 'LEFT JOIN', 'FULL JOIN', 'RIGHT JOIN')} {self.table()} y ON x.k = y.k",
            f"SELECT k, g, max(v) AS v, count(*) AS n, min(id) AS id, 0 AS j, bool_or(ok) AS ok, max(s) AS s, max(t) AS t, max(d) AS d, max(f) AS f, max(ts) AS ts, max(day) AS day FROM {self.table()} GROUP BY k, g",
            f"SELECT k, g, v, n, id, 1 AS j, ok, s, t, d, f, ts, day FROM {self.table()} UNION ALL SELECT g, k, v, n, id, 2, ok, s, t, d, f, ts, day FROM {self.table()}",
            f"SELECT k, g, sum(v) OVER (PARTITION BY k) AS v, n, id, 1 AS j, ok, s, t, d, f, ts, day FROM {self.table()}",
        )
        where = self.condition("h")
        return self.pick(
            f"SELECT h.k, h.g, h.v, h.id, h.j FROM ({inner}) h WHERE {where}",
            f"SELECT h.k, count(*) AS m, sum(h.v) AS e FROM ({inner}) h WHERE {where} GROUP BY h.k",
            f"SELECT h.k, h.v, z.g AS zg FROM ({inner}) h {self.pick('JOIN', 'LEFT JOIN', 'FULL JOIN')} {self.table()} z ON h.k = z.k AND h.g IS NOT DISTINCT FROM z.g WHERE {where}",
            f"SELECT DISTINCT h.k FROM {self.table()} z LEFT JOIN (SELECT k FROM ({inner}) h GROUP BY k) h ON z.v = h.k",
            f"SELECT h.k, count(*) AS m FROM {self.table()} z LEFT JOIN (SELECT k, max(v) AS v FROM ({inner}) h GROUP BY k) h ON z.g = h.k GROUP BY h.k",
            f"SELECT h.k, h.id, h.j, row_number() OVER (PARTITION BY h.k ORDER BY h.id, h.j, h.g) AS r FROM ({inner}) h WHERE {where}",
            f"SELECT count(*) AS m FROM ({inner}) h WHERE {where} AND NOT ({where})",
            f"SELECT count(*) AS m FROM ({inner}) h WHERE ({where}) IS NULL",
            f"SELECT h.id, h.j, h.k FROM ({inner}) h WHERE {where} ORDER BY h.id, h.j, h.k, h.g, h.v LIMIT 3",
        )


    def precedence(self):
        """Operators beside each other without parentheses."""
        def operand():
            return self.pick(
                f"{self.column('', INTEGERS)} {self.pick('IS DISTINCT FROM', 'IS NOT DISTINCT FROM')} {self.column('', INTEGERS)}",
                f"{self.column('', INTEGERS)} {self.pick('IS DISTINCT FROM', 'IS NOT DISTINCT FROM')} {self.column('', INTEGERS)} + 1",
                f"ok = s {self.pick('', 'NOT ')}LIKE 'a%'",
                "s LIKE 'a%' = ok",
                f"ok = k {self.pick('', 'NOT ')}BETWEEN 1 AND 3",
                "v BETWEEN k AND n = ok",
                f"ok = v {self.pick('', 'NOT ')}IN (1, 2)",
                "n + 1 & 3 = 1",
                "n << 1 & 6 = 2",
                "n | 4 & n << 2 = 4",
                "s || k + 1 = t || v",
                "t || 'b' LIKE s || '%'",
                "k IS NULL = ok",
                "ok IS TRUE",
                "-k::int + 2 > v",
                "k - v - n < 0",
            )

        text = operand()
        for _ in range(self.random.randrange(1, 4)):
            text += f" {self.pick('AND', 'OR')} {self.pick('', '', 'NOT ')}{operand()}"
        if self.chance(50):
            return f"SELECT id, {text} AS x FROM {self.table()} ORDER BY id"
        return f"SELECT id FROM {self.table()} WHERE {text} ORDER BY id"

    def literals(self):
        """Numbers with a point among integers, decimals and doubles."""
        number = self.pick("0.5", "1.5", "2.50", "-0.25", "3.0", "1e0", "2.5e0")
        value = self.pick(
            f"v * {number}",
            f"v / {number}",
            f"{number} - k",
            f"d * {number}",
            f"d + {number}",
            f"f * {number}",
            f"f + {number}",
            f"100.0 * v / n / {number}",
            f"coalesce(f, {number})",
            f"coalesce(k, {number})",
            f"greatest(f, {number}, k)",
            f"CASE WHEN ok THEN f ELSE {number} END",
            f"CASE WHEN ok THEN v ELSE {number} END",
            f"round(v * {number}, 1)",
            f"abs({number} - v)",
        )
        condition = self.pick(
            f"f {self.pick('=', '<', '>=', '<>')} {number}",
            f"d {self.pick('=', '<', '>=', '<>')} {number}",
            f"v {self.pick('=', '<', '>=', '<>')} {number}",
            f"k IN (1, {number}, 3.0)",
            f"f IN (1, {number})",
            f"f BETWEEN {number} AND 2.5",
            f"v BETWEEN {number} AND 2.5",
            f"k {self.pick('=', '<', '>')} f",
            f"{value} > {number}",
            f"f IN (SELECT v * 0.5 FROM {self.table()})",
            f"k IN (SELECT f FROM {self.table()})",
        )
        if self.chance(40):
            return f"SELECT id, {value} AS x FROM {self.table()} ORDER BY id"
        if self.chance(50):
            return f"SELECT id FROM {self.table()} WHERE {condition} ORDER BY id"
        aggregate = self.pick(
            f"sum({value})",
            f"avg({value})",
            "avg(CASE WHEN ok THEN 1.0 ELSE 0 END)",
            "sum(CASE WHEN ok THEN 1.0 ELSE 0 END) / count(*)",
            "100.0 * sum(v) / count(*)",
            f"max({value})",
            "avg(v) FILTER (WHERE k > 1.5)",
        )
        return f"SELECT n, {aggregate} AS x FROM {self.table()} WHERE {condition} GROUP BY n ORDER BY n"


def split(keys):
    """The parts of a list that is separated by commas outside parentheses."""
    parts, depth = [""], 0
    for letter in keys:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]
