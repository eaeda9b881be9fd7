"""Runs a program and measures it: wall seconds, processor seconds and peak memory (wait4). Kept small on
purpose: a child's peak cannot read lower than that of the process that starts it."""

import os
import statistics
import subprocess
import time
from dataclasses import dataclass


# Events as they are: some come twice, some never, some minutes to hours late. The peers read the same.
AS_THEY_ARE = ("--seed", "7", "--duplicate", "0.005", "--lose", "0.005", "--delay", "0.005")


class Failed(Exception):
    """A program that was to be measured did not end well."""


@dataclass
class Run:
    """One measured run; `output` is its standard output."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str

    def __add__(self, other):
        """One after the other."""
        return Run(
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            max(self.peak_bytes, other.peak_bytes),
            self.output + other.output,
        )


class Child:
    """A program that runs; what it writes goes to two files in `folder`."""

    def __init__(self, command, environment, folder):
        self.command = command
        self.paths = [os.path.join(folder, name) for name in ("stdout.txt", "stderr.txt")]
        with open(self.paths[0], "wb") as out, open(self.paths[1], "wb") as err:
            self.begin = time.perf_counter()
            self.process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=out, stderr=err)

    def runs(self):
        """Whether it has not ended yet; leaves it to `wait` to hear how."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self.process.returncode is None and os.waitid(os.P_PID, self.process.pid, options) is None

    def signal(self, number):
        """Sends it a signal; its number is its own until `wait`."""
        os.kill(self.process.pid, number)

    def wait(self, expected=(0,)):
        """Waits for its end; raises with the end of its stderr if that is not one of `expected`."""
        _, status, usage = os.wait4(self.process.pid, 0)
        seconds = time.perf_counter() - self.begin
        self.process.returncode = os.waitstatus_to_exitcode(status)
        with open(self.paths[0], encoding="utf-8") as out:
            output = out.read()
        if self.process.returncode not in expected:
            with open(self.paths[1], encoding="utf-8", errors="replace") as err:
                end = err.read()[-2000:]
            raise Failed(f"exit {self.process.returncode} from {' '.join(self.command)}\n{end}")
        return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, output)


def run(command, environment, folder):
    """Runs to the end; raises with the end of its stderr if it fails."""
    return Child(command, environment, folder).wait()


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
