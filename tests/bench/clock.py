"""Timing a whole process, in pairs with the yardstick so that other work on the machine falls on both."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PATIENCE = 900.0  # seconds that one run may take


class Failed(RuntimeError):
    """A tool did not do the work."""


class Time(NamedTuple):
    """What a process took."""

    seconds: float
    peak: float  # MB of memory, of the largest among the process and those that it waited for


def timed(command: Sequence[str], folder: Path, variables: Mapping[str, str] | None = None) -> Time:
    """Run a command in the folder; raise Failed with what it said when it fails."""
    with open(folder / "said", "wb") as said:
        before = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **(variables or {})}, stdout=subprocess.DEVNULL, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - before
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        words = (folder / "said").read_text(errors="replace")[-2000:]
        raise Failed(f"{' '.join(command)[:200]}: exit code {process.returncode}\n{words}")
    return Time(seconds, usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10))


def inside(setup: str, timed_line: str, *words: str) -> float:
    """Time one line in a new Python after its setup, in seconds; `sys.argv[1:]` are the words."""
    code = f"import sys, time\n{setup}\nbegan = time.perf_counter()\n{timed_line}\nprint(time.perf_counter() - began)"
    return float(subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True, text=True).stdout)


def pairs(rounds: int, first: Callable[[], Time], second: Callable[[], Time]) -> list[tuple[Time, Time]]:
    """Time one right after the other, several times."""
    return [(first(), second()) for _ in range(rounds)]


def ratio(timed_pairs: Sequence[tuple[Time, Time]]) -> float:
    """The median of the pairs' ratios, second to first."""
    return statistics.median(second.seconds / first.seconds for first, second in timed_pairs)


def median(times: Sequence[Time]) -> float:
    """The median in seconds."""
    return statistics.median(t.seconds for t in times)
