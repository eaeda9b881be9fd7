"""Runs a program and measures it: wall seconds and peak memory (wait4). Kept small on purpose: a child's
peak cannot read lower than that of the process that starts it."""

import os
import statistics
import subprocess
import time
from dataclasses import dataclass


class Failed(Exception):
    """A program that was to be measured did not end well."""


@dataclass
class Run:
    """One measured run; `output` is its standard output."""

    seconds: float
    peak_bytes: int
    output: str

    def __add__(self, other):
        """One after the other."""
        return Run(
            self.seconds + other.seconds, max(self.peak_bytes, other.peak_bytes), self.output + other.output
        )


def run(command, environment, folder):
    """Runs to the end; raises with the end of its stderr if it fails."""
    paths = [os.path.join(folder, name) for name in ("stdout.txt", "stderr.txt")]
    with open(paths[0], "wb") as out, open(paths[1], "wb") as err:
        begin = time.perf_counter()
        child = subprocess.Popen(command, env={**os.environ, **environment}, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    with open(paths[0], encoding="utf-8") as out, open(paths[1], encoding="utf-8", errors="replace") as err:
        if child.returncode != 0:
            text = " ".join(command)
            raise Failed(f"exit {child.returncode} from {text}\n{err.read()[-2000:]}")
        return Run(seconds, usage.ru_maxrss * 1024, out.read())


def table(title, sides, events, size):
    """A Markdown table: `sides` maps a name to its runs; the first is compared with the second."""
    lines = [
        f"\n### {title}\n",
        "| | min s | median s | events/s | MB/s | peak RSS MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    medians = []
    for name, runs in sides.items():
        seconds = [one.seconds for one in runs]
        medians.append(statistics.median(seconds))
        peak = max(one.peak_bytes for one in runs) / 1e6
        rate = f"{events / medians[-1]:,.0f} | {size / 1e6 / medians[-1]:,.1f}"
        lines.append(f"| {name} | {min(seconds):.2f} | {medians[-1]:.2f} | {rate} | {peak:,.0f} |")
    lines.append(f"\nlake / DuckDB, medians: **{medians[0] / medians[1]:.2f}** (below 1: lake is faster)")
    return "\n".join(lines)
