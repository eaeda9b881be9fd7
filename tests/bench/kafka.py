"""Kafka to bronze, held against consuming the same topic and dropping what comes: the same client, the same
settings, the same run. And how soon a record that was sent is in a commit, with `--follow`.

Every run is counted: each offset of the topic must be in bronze or in quarantine, once, and what was spoilt
must be in quarantine.
"""

import contextlib
import glob
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import deltafiles
from measure import AS_THEY_ARE, Child, Failed, Run, run

HERE = os.path.dirname(os.path.abspath(__file__))
BROKER = os.path.join(os.path.dirname(HERE), "kafka", "broker")
# Of a broker that is to be fast: more memory, and code compiled to the end.
JVM = "-Xmx2g -XX:TieredStopAtLevel=4"
NO_KAFKA = 3
INTERRUPTED = 130
INTERVALS = ("2s", "500ms")
RATE = 5000
# How long a follower may take to begin, and to commit the last records.
PATIENCE_SECONDS = 60
WIDE = 64
WIDE_GOAL_MB = 256
SOURCE = re.compile(r"'lake\.source'\s*=\s*'[^']*'")


class Refused(Exception):
    """There can be no such benchmark on this machine."""


def add_arguments(parser):
    """What only this benchmark knows."""
    parser.add_argument("--consume", help="the bench `consume`; without, the newest in deps/ beside lake")
    parser.add_argument("--partitions", default="8", help=f"of the topic: 8, or 8,1,{WIDE} one after the other")
    parser.add_argument("--seconds", type=int, default=30, help="how long freshness is measured; 0 leaves it out")


def newest_consume(lake):
    """The bench as cargo last built it beside this lake."""
    found = glob.glob(os.path.join(os.path.dirname(os.path.abspath(lake)), "deps", "consume-*"))
    programs = [path for path in found if "." not in os.path.basename(path) and os.access(path, os.X_OK)]
    if not programs:
        raise Refused("there is no bench `consume`: cargo bench --no-run --bench consume, or --consume BIN")
    return max(programs, key=os.path.getmtime)


@contextlib.contextmanager
def on(processors):
    """What is started here runs on these processors."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def broker(folder, processors):
    """A broker of our own, on these processors; its address."""
    environment = {**os.environ, "KAFKA_OPTS": os.environ.get("KAFKA_OPTS", JVM)}
    command = [BROKER, "start", folder, "--with", str(os.getpid()), "--remove"]
    with on(processors):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode == NO_KAFKA:
        raise Refused(done.stderr.strip())
    if done.returncode != 0:
        raise Failed(f"exit {done.returncode} from {' '.join(command)}\n{done.stderr[-2000:]}")
    try:
        yield done.stdout.split()[0]
    finally:
        subprocess.run([BROKER, "kill", folder], check=False)


@dataclass
class Consumed:
    """A run of consume and drop: the process, and what it says of itself."""

    run: Run
    records: int
    bytes: int
    seconds: float
    cpu_seconds: float


@dataclass
class Ingested:
    """A run of lake, and what its tables say."""

    run: Run
    rows: int
    quarantined: int
    stored_bytes: int
    decode_seconds: float | None

    seconds = property(lambda self: self.run.seconds)
    cpu_seconds = property(lambda self: self.run.cpu_seconds)


class Kafka:
    """Topics, and what is done to them."""

    def __init__(self, bench, address, elsewhere):
        self.bench, self.options = bench, bench.options
        self.address, self.elsewhere = address, elsewhere
        self.work = os.path.join(bench.work, "kafka")
        self.root = os.path.join(self.work, "lake")
        self.environment = {**bench.environment, "LAKE_KAFKA_BROKERS": address, "LAKE_ROOT": self.root}
        self.bin = self.options.consume or newest_consume(self.options.lake)
        os.makedirs(self.work, exist_ok=True)

    def aside(self, *command):
        """Runs what is not measured, where the broker is; its output."""
        with on(self.elsewhere):
            return run(command, self.environment, self.work).output

    def simulate(self, topic, events, *more):
        """Sends events to a topic."""
        where = ("--to", f"kafka:{topic}", "--events", str(events), *AS_THEY_ARE)
        self.aside(self.options.lake, "--project", self.options.project, "--quiet", "simulate", *where, *more)

    def project(self, topic):
        """The project, with bronze.events from this topic alone."""
        folder = os.path.join(self.work, f"project-{topic}")
        if not os.path.exists(folder):
            for part in ("lake", "sql", "jobs"):
                shutil.copytree(os.path.join(self.options.project, part), os.path.join(folder, part))
            shutil.copy(os.path.join(self.options.project, "lake.toml"), folder)
            path = os.path.join(folder, "lake", "bronze", "events.sql")
            with open(path, encoding="utf-8") as source:
                text, n = SOURCE.subn(f"'lake.source' = 'kafka:{topic}'", source.read())
            if n != 1:
                raise Failed(f"{path} names its sources {n} times")
            with open(path, "w", encoding="utf-8") as out:
                out.write(text)
        return folder

    def into_bronze(self, topic, *more):
        """The command that reads a topic into bronze.events."""
        select = ("run", "bronze", "--select", "bronze.events")
        return [self.options.lake, "--project", self.project(topic), "--quiet", *select, *more]

    def table(self, name):
        """The folder of a bronze table."""
        return os.path.join(self.root, "bronze", name)

    def consume(self, topic):
        """Consume and drop, once."""
        done = run([self.bin, topic], self.environment, self.work)
        return Consumed(done, **json.loads(done.output))

    def ingest(self, topic, expected):
        """Into bronze of a new lake, once; `expected` is (rows, quarantined)."""
        shutil.rmtree(self.root, ignore_errors=True)
        done = run(self.into_bronze(topic), self.environment, self.work)
        counted = self.count()
        self.bench.same(f"rows and quarantined of kafka:{topic}", counted, expected, "expected")
        infos = list(self.infos())
        told = [info["lake.decode_ms"] for info in infos if "lake.decode_ms" in info]
        files, _ = deltafiles.replay(self.table("events"))
        size = sum(map(os.path.getsize, files))
        return Ingested(done, *counted, size, sum(told) / 1000 if told else None)

    def infos(self):
        """What each commit of bronze.events says of itself, if it holds records."""
        for actions in deltafiles.commits(self.table("events")):
            yield from (one["commitInfo"] for one in actions if "lake.rows" in one.get("commitInfo", {}))

    def count(self):
        """(rows, quarantined), by the Parquet files; and notes an offset that is there twice."""
        views = [deltafiles.view(name, self.table(name)) for name in ("events", "quarantine")]
        both = (
            "(SELECT _partition AS p, _offset AS o, true AS taken FROM events "
            "UNION ALL SELECT partition, position, false FROM quarantine)"
        )
        query = (
            "SELECT count(*) AS n, count(*) FILTER (taken) AS taken, count(DISTINCT (p, o)) AS apart "
            f"FROM {both}"
        )
        found = json.loads(self.bench.duckdb(views, {"all": query}).output)["all"][0]
        n, taken, apart = (int(found[name]) for name in ("n", "taken", "apart"))
        self.bench.same("offsets in bronze and quarantine", apart, n, "records there")
        return taken, n - taken

    def compare(self, partitions, with_spoilt):
        """A topic of so many partitions: consume and drop, and lake; and lake with some records spoilt, beside
        a copy that differs from it in nothing else. Returns the bytes of its values, and the runs."""
        events, topic = self.options.events, f"p{partitions}-events"
        self.simulate(topic, events, "--partitions", str(partitions))
        # Not measured: it counts, and the broker has compiled what it needs.
        first = self.consume(topic)
        self.bench.same(f"records of kafka:{topic}", first.records, events, "sent")
        steps = {"consume and drop": lambda: self.consume(topic), "lake": lambda: self.ingest(topic, (events, 0))}
        if with_spoilt:
            copy, spoilt, n_spoilt = self.copies(topic)
            steps["lake, a copy of the topic"] = lambda: self.ingest(copy, (events, 0))
            steps["lake, a copy with 1 % spoilt"] = lambda: self.ingest(spoilt, (events - n_spoilt, n_spoilt))
        runs = {name: [] for name in steps}
        for number in range(self.options.repetitions):
            # To and fro, so that none is always behind the same other.
            for name in list(steps)[:: -1 if number % 2 else 1]:
                runs[name].append(steps[name]())
        return first.bytes, runs

    def copies(self, topic):
        """Two copies of a topic, one with some records spoilt: their names, and how many those are."""
        names = [f"{kind}-{topic}" for kind in ("copied", "spoilt")]
        told = json.loads(self.aside(sys.executable, os.path.join(HERE, "spoil.py"), self.address, topic, *names))
        self.bench.same(f"records copied of kafka:{topic}", told["records"], self.options.events, "sent")
        return *names, told["broken"]

    def follow(self, interval, partitions):
        """Sends events at a steady rate to a lake that follows; how long each took to be committed."""
        topic, events = f"fresh-{interval}-events", RATE * self.options.seconds
        self.aside(BROKER, "topic", os.path.join(self.bench.work, "broker"), "create", topic, str(partitions))
        shutil.rmtree(self.root, ignore_errors=True)
        place = os.path.join(self.work, "follower")
        os.makedirs(place, exist_ok=True)
        environment = {**self.environment, "LAKE_INGEST_INTERVAL": interval}
        lake = Child(self.into_bronze(topic, "--follow"), environment, place)
        try:
            self.until(lake, lambda: glob.glob(os.path.join(self.table("events"), "_delta_log", "0*1.json")))
            self.simulate(topic, events, "--rate", f"{RATE}/s")
            self.until(lake, lambda: self.decided() >= events)
        finally:
            lake.signal(signal.SIGTERM)
            done = lake.wait((0, INTERRUPTED))
        self.bench.same(f"rows and quarantined of kafka:{topic}", self.count(), (events, 0), "expected")
        return done, self.delays()

    def decided(self):
        """How many records bronze.events has decided, by its log."""
        return sum(info["lake.rows"] + info["lake.quarantined"] for info in self.infos())

    def until(self, lake, holds):
        """Waits until something holds, as long as lake runs."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            if not lake.runs() or time.monotonic() > deadline:
                raise Failed("lake ended" if not lake.runs() else "lake did not commit all records in time")
            time.sleep(0.1)

    def delays(self):
        """From the time of the Kafka record, when it was sent, to the time of the commit that has its row: ms."""
        commits = []
        for actions in deltafiles.commits(self.table("events")):
            at = next((one["commitInfo"]["timestamp"] for one in actions if "commitInfo" in one), None)
            paths = [one["add"]["path"] for one in actions if "add" in one]
            commits += [(deltafiles.place(self.table("events"), path), at) for path in paths]
        rows = ", ".join(f"('{path}', {at})" for path, at in commits)
        listed = ", ".join(f"'{path}'" for path, _ in commits)
        statements = [
            f"CREATE TABLE commits AS SELECT * FROM (VALUES {rows}) AS known(file, committed_ms)",
            "CREATE TABLE delays AS SELECT committed_ms - epoch_ms(_record_ts) AS ms FROM commits JOIN "
            f"read_parquet([{listed}], filename = true, hive_partitioning = false) ON file = filename",
        ]
        measures = "quantile_disc(ms, 0.5) AS p50, quantile_disc(ms, 0.99) AS p99, max(ms) AS most"
        question = f"SELECT {measures}, (SELECT count(DISTINCT committed_ms) FROM commits) AS commits FROM delays"
        return json.loads(self.bench.duckdb(statements, {"delays": question}).output)["delays"][0]


def median(runs, what):
    """The median of one of their figures."""
    return statistics.median(getattr(one, what) for one in runs)


def compared(title, sides, events, size):
    """A Markdown table of the sides, and their ratios."""
    yield f"\n### {title}\n"
    yield "| | min s | median s | events/s | MB/s | CPU µs/event | peak RSS MB |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name, runs in sides.items():
        seconds, cpu = median(runs, "seconds"), median(runs, "cpu_seconds") * 1e6 / events
        peak = max(one.run.peak_bytes for one in runs) / 1e6
        rates = f"{events / seconds:,.0f} | {size / 1e6 / seconds:,.1f}"
        least = min(one.seconds for one in runs)
        yield f"| {name} | {least:.2f} | {seconds:.2f} | {rates} | {cpu:.2f} | {peak:,.0f} |"
    names = list(sides)
    for theirs, ours in zip(names[::2], names[1::2]):
        ratios = [median(sides[ours], what) / median(sides[theirs], what) for what in ("seconds", "cpu_seconds")]
        yield f"\n{ours} / {theirs}, medians: **{ratios[0]:.2f}** in time, {ratios[1]:.2f} in CPU"


def stages(sides, events):
    """A Markdown table of where lake's processor time goes."""
    lake = sides["lake"]
    whole, client = median(lake, "cpu_seconds"), median(sides["consume and drop"], "cpu_seconds")
    parts, rest = {"client: consume and drop": client}, "encode, write, commit, and the start"
    if any(one.decode_seconds is None for one in lake):
        rest = f"decode, check, {rest} (this lake does not tell `lake.decode_ms`)"
    else:
        parts["decode and check"] = median(lake, "decode_seconds")
    parts[rest] = whole - sum(parts.values())
    parts["all"] = whole
    yield "\n| CPU of lake | µs/event | share |"
    yield "|---|---:|---:|"
    for name, seconds in parts.items():
        yield f"| {name} | {seconds * 1e6 / events:.2f} | {seconds / whole:.0%} |"


def fresh(kafka, partitions):
    """A Markdown table of delays."""
    seconds, events = kafka.options.seconds, RATE * kafka.options.seconds
    yield f"\n### From the topic to a commit: {RATE:,} events/s for {seconds} s, {events:,} events\n"
    yield "| LAKE_INGEST_INTERVAL | p50 ms | p99 ms | max ms | commits | CPU s/s | peak RSS MB |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for interval in INTERVALS:
        done, delays = kafka.follow(interval, partitions)
        figures = " | ".join(f"{int(delays[name]):,}" for name in ("p50", "p99", "most", "commits"))
        used = f"{done.cpu_seconds / done.seconds:.2f} | {done.peak_bytes / 1e6:,.0f}"
        yield f"| {interval} | {figures} | {used} |"
    yield "\nFrom the time of the Kafka record to the time in the commit that has its row; all rows count"


def measured(bench, elsewhere):
    """The benchmark; prints its tables. Raises Refused where there can be none."""
    counts = [int(number) for number in bench.options.partitions.split(",")]
    if not bench.options.consume:
        newest_consume(bench.options.lake)
    with broker(os.path.join(bench.work, "broker"), elsewhere) as address:
        kafka = Kafka(bench, address, elsewhere)
        for number in counts:
            size, sides = kafka.compare(number, with_spoilt=number == counts[0])
            events = bench.options.events
            where = f"{number} partition{'s' if number > 1 else ''}"
            title = f"Kafka to bronze: {events:,} events, {size / 1e6:,.0f} MB of values, {where}"
            print("\n".join(compared(title, sides, events, size)))
            print("\n".join(stages(sides, events)))
            stored = statistics.median(one.stored_bytes for one in sides["lake"]) / events
            print(f"\nStored: {stored:.1f} bytes/event of {size / events:.0f} bytes/event of values")
            if number >= WIDE:
                print(f"The goal with {WIDE} partitions is a peak RSS of at most {WIDE_GOAL_MB} MB")
        if bench.options.seconds:
            print("\n".join(fresh(kafka, counts[0])))
    shared = "the same" if elsewhere & os.sched_getaffinity(0) else "other"
    print(f"\nThe broker runs on {shared} processors; each record was counted, in each run")
