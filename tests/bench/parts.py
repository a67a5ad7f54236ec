"""Parts of the program, each in a Python of its own: starting, opening, loading, drawing; and a status change."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import clock
import work
from figures import Figure
from whole import Bench

IMPORT = 50.0  # ms
OPEN = 0.5  # s
CHANGE = 1.5  # times: as good as constant, for a larger run is farther from the processor's caches
BURST = 600  # changes between two looks at the clock


def starting(bench: Bench) -> Iterator[Figure]:
    """Importing the package, and the shortest command."""
    value = _median(bench, lambda: clock.inside("", "import hybridnb"))
    yield Figure("import hybridnb", value * 1e3, "ms", IMPORT, f"Python {sys.version.split()[0]}")
    bare = _median(bench, lambda: clock.timed([sys.executable, "-c", "pass"], bench.root).seconds)
    value = _median(bench, lambda: clock.timed([sys.executable, "-m", "hybridnb", "--version"], bench.root).seconds)
    yield Figure("hybridnb --version", value * 1e3, "ms", None, f"Python alone {bare * 1e3:.0f} ms")


def loading(bench: Bench) -> Iterator[Figure]:
    """Reading a workflow file, and drawing what is in it."""
    for jobs in (bench.jobs, bench.many):
        for name, graph in (("independent", work.independent(jobs)), ("layered", work.layered(jobs))):
            file = work.lay(bench.root / f"{name}{jobs}", graph) / "hybridnb.yaml"
            yield from _file(bench, f"{jobs} {name} jobs", str(file))


def _file(bench: Bench, what: str, file: str) -> Iterator[Figure]:
    setup = "from pathlib import Path\nfrom hybridnb import definition, drawing\nimport yaml\nfile = Path(sys.argv[1])"
    yield Figure(f"load {what}", _median(bench, lambda: clock.inside(setup, "definition.load(file)", file)), "s")
    loaded = f"{setup}\nworkflow = definition.load(file)"
    arranged = f"{loaded}\nlayout = drawing.arrange(workflow.parents())"
    again = clock.inside(arranged, "drawing.draw(workflow, layout=layout)", file)
    note = f"again, where the layout is known, {again:.2f} s"
    yield Figure(f"draw {what}", clock.inside(loaded, "drawing.draw(workflow)", file), "s", None, note)


def opening(bench: Bench) -> Iterator[Figure]:
    """Opening the run of W4."""
    folder = next(f.parent for f in bench.root.glob("*/hybridnb.runs/*/journal.yaml") if _jobs(f.parent) == bench.many)
    setup = "from pathlib import Path\nfrom hybridnb.store import Store\nfolder = Path(sys.argv[1])"
    value = _median(bench, lambda: clock.inside(setup, "Store.open(folder)", str(folder)))
    yield Figure(
        f"open a run of {bench.many} jobs", value, "s", OPEN, f"journal of {(folder / 'journal.yaml').stat().st_size >> 10} KiB"
    )


def _jobs(run: Path) -> int:
    return sum(1 for _ in (run / "jobs").iterdir())


def changing(bench: Bench) -> Iterator[Figure]:
    """A status change: a journal record, committed, taken into the run."""
    small, large = 100, 100 * bench.jobs
    one, other = _Changes(bench.root / "small.yaml", small), _Changes(bench.root / "large.yaml", large)
    times = [(one.burst(), other.burst()) for _ in range(3 * bench.rounds)]
    value = statistics.median(b / a for a, b in times)
    first, second = (statistics.median(t[i] for t in times) / BURST * 1e6 for i in (0, 1))
    yield Figure(f"a status change, {small} to {large} jobs", value, "x", CHANGE, f"{first:.0f} and {second:.0f} µs")


class _Changes:
    """A run of so many jobs, whose attempts begin and end."""

    def __init__(self, path: Path, jobs: int) -> None:
        from hybridnb.journal import Journal
        from hybridnb.run import Run

        self._journal, self._run, self._jobs, self._made = Journal(path), Run(), jobs, 0
        for i in range(jobs):
            self._note({"event": "defined", "job": f"j{i}", "definition": {"script": work.SCRIPT}})
        self._journal.commit(sync=True)

    def _note(self, record: dict[str, object]) -> None:
        self._journal.append(record)
        self._run.apply(record)

    def burst(self) -> float:
        """Make a burst of changes; return the seconds that they took."""
        began = time.perf_counter()
        for i in range(self._made, self._made + BURST // 3):
            job, number = f"j{i * 7919 % self._jobs}", i // self._jobs + 1
            about = {"job": job, "attempt": number, "at": "2026-01-01T00:00:00.000Z"}
            self._note({"event": "attempt", **about, "token": "0123456789abcdef", "host": "local"})
            self._note({"event": "state", **about, "state": "running"})
            self._note({"event": "state", **about, "state": "done", "exit_code": 0})
            self._journal.commit()
        self._made += BURST // 3
        return time.perf_counter() - began


def _median(bench: Bench, measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(max(bench.rounds, 3)))
