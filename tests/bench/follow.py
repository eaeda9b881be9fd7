#!/usr/bin/env python3
"""A run that follows one topic with hardly any traffic: what it holds, and what a commit takes as the log grows.

  tests/bench/follow.py LAKE [--commits 3000] [--rate 40/s] [--interval 1ms] [--project DIR]

Events come one after the other, so that nearly each look commits. After every thousand commits it prints the
time and the processor time of one, and the resident memory: of it, what the process allocated, and what is
pages of the binary, which the kernel takes back where memory is short.
"""

import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
BROKER = os.path.join(os.path.dirname(HERE), "kafka", "broker")
SOURCE = re.compile(r"'lake\.source'\s*=\s*'[^']*'")
# A busy machine is no reason to take the broker for dead.
SESSION = "broker.session.timeout.ms=60000"
PATIENCE_SECONDS = 120


def project(folder, origin, topic):
    """The project, with bronze.events from this topic alone."""
    for part in ("lake", "sql", "jobs"):
        shutil.copytree(os.path.join(origin, part), os.path.join(folder, part))
    shutil.copy(os.path.join(origin, "lake.toml"), folder)
    path = os.path.join(folder, "lake", "bronze", "events.sql")
    with open(path, encoding="utf-8") as source:
        text = SOURCE.sub(f"'lake.source' = 'kafka:{topic}'", source.read())
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


def memory(pid):
    """MiB resident: all, allocated, and the most of all so far."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        found = dict(line.split(":", 1) for line in status)
    return [int(found[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon", "VmHWM")]


def cpu_seconds(pid):
    """Processor time of the process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    """Starts a broker, a follower and a producer, and looks at the log."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("lake")
    parser.add_argument("--commits", type=int, default=3000)
    parser.add_argument("--rate", default="40/s")
    parser.add_argument("--interval", default="1ms")
    parser.add_argument("--project", default=REPOSITORY)
    options = parser.parse_args()
    lake = os.path.abspath(options.lake)
    with tempfile.TemporaryDirectory() as work:
        started = subprocess.run(
            [BROKER, "start", f"{work}/kafka", "--with", str(os.getpid()), SESSION], capture_output=True, text=True, check=True
        )
        place = os.path.join(work, "project")
        os.makedirs(place)
        project(place, options.project, "f-events")
        environment = {
            **os.environ,
            "LAKE_KAFKA_BROKERS": started.stdout.split()[0],
            "LAKE_ROOT": f"{work}/lake",
            "LAKE_LANDING": f"{work}/landing",
            "LAKE_PRIVACY_KEY": "5a" * 32,
            "LAKE_INGEST_INTERVAL": options.interval,
        }
        subprocess.run([BROKER, "topic", f"{work}/kafka", "create", "f-events", "4"], check=True, capture_output=True)
        base = [lake, "--project", place, "--quiet"]
        follower = subprocess.Popen([*base, "run", "bronze", "--select", "bronze.events", "--follow"], env=environment)
        send = ["simulate", "--to", "kafka:f-events", "--events", "100000000", "--rate", options.rate]
        producer = subprocess.Popen([*base, *send], env=environment, stderr=subprocess.DEVNULL)
        try:
            watch(follower, f"{work}/lake/bronze/events/_delta_log", options.commits)
        finally:
            producer.kill()
            follower.terminate()
            follower.wait()
            subprocess.run([BROKER, "kill", f"{work}/kafka"], check=False)


def watch(follower, log, commits):
    """Prints a line after every thousand commits, and one after the first hundred."""
    print("| commits | ms each | processor ms each | resident MiB | allocated | most |")
    print("|---:|---:|---:|---:|---:|---:|")
    before, began, cpu = 0, None, 0.0
    for mark in [20, 100, *range(1000, commits + 1, 1000)]:
        quiet_since = time.monotonic()
        while not os.path.exists(os.path.join(log, f"{mark:020}.json")):
            if follower.poll() is not None:
                sys.exit(f"lake ended with {follower.returncode}")
            if time.monotonic() - quiet_since > PATIENCE_SECONDS * max(1, mark // 100):
                sys.exit(f"{len(glob.glob(os.path.join(log, '0*.json')))} commits, and no more")
            time.sleep(0.02)
        now, used = time.monotonic(), cpu_seconds(follower.pid)
        if began is not None:
            n = mark - before
            figures = [(now - began) / n * 1000, (used - cpu) / n * 1000, *memory(follower.pid)]
            print(f"| {mark} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |", flush=True)
        before, began, cpu = mark, now, used


if __name__ == "__main__":
    main()
