"""The face in a notebook, in a real kernel: loading it, recording a cell, starting its job, and what it costs while nothing happens."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import clock
import tools
import work
from figures import Figure
from tools import HERE
from whole import Bench

sys.path.append(str(HERE.parent))

from testbed.kernel import Kernel, Outputs
from testbed.processes import until

from hybridnb import definition
from hybridnb.notebook.cells import Cells, Entry

LOAD = 100.0  # ms
RECORD, EDIT = 20.0, 15.0  # ms
FIRST, LATER = 1.5, 0.1  # s from the cell's begin to the first act of its script
IDLE, QUIET = 0.1, 1.0  # % of a core
FREE = 1.15  # times
SIZE = 20.0  # kB
REST = 10.0  # seconds in which the idle kernel is watched
GOING = 20  # jobs that go on while the kernel computes

_BOOK = "hybridnb.ipynb"  # its workflow's file is the one that work.lay() writes
_CLOCK = """\
def _watch(shell):
    import time
    began, spent = [], []
    now = lambda: (time.time(), time.process_time())
    def end(_):
        (wall, cpu), (wall_then, cpu_then) = now(), began[-1] if began else now()
        spent.append((wall_then, wall - wall_then, cpu - cpu_then))
    shell.events.register("pre_execute", lambda: began.append(now()))
    shell.events.register("post_run_cell", end)
    return spent
import json, time
_spent = _watch(get_ipython())"""
_LOOP = """\
def _loop(rounds):
    began, found = time.perf_counter(), 0
    for number in range(rounds):
        found += number * number % 7
    return time.perf_counter() - began
print(_loop(20_000_000))"""
_REST = "_began = time.process_time()\ntime.sleep({})\nprint(time.process_time() - _began)"
_EDIT = """\
from dataclasses import replace
from pathlib import Path
from hybridnb.workflow_file import WorkflowFile
file = WorkflowFile(Path(sys.argv[1]))
name = list(file.definition.jobs)[len(file.definition.jobs) // 2]"""
_CHANGE = "file.edit(lambda w: w.with_job(replace(w[name], retries=w[name].retries + 1)))"


def notebooks(bench: Bench) -> Iterator[Figure]:
    """What a person at a notebook waits for, and what the kernel pays; all modules are compiled, as an installed package's are."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        for name in ("PYTHONPYCACHEPREFIX", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
            (folder := bench.root / name.lower()).mkdir()
            environment.setenv(name, str(folder))
        yield from _loading(bench)
        yield from _recording(bench)
        yield from _starting(bench)
        yield from _resting(bench)
        yield _computing(bench)
        yield from _sizes(bench)


class Time(NamedTuple):
    """What a cell took, in seconds."""

    wall: float
    processor: float  # of all threads of the kernel


class _Desk:
    """A kernel in a folder, and a home of its own for what it starts."""

    def __init__(self, kernel: Kernel, folder: Path) -> None:
        self.kernel, self.folder = kernel, folder

    def run(self, code: str, cell: str = "") -> Outputs:
        """Run a cell that ends well."""
        outputs = self.kernel.run(code, cell, seconds=clock.PATIENCE)
        if outputs.error:
            raise clock.Failed(f"{code[:60]!r}: {outputs.text[-2000:]}")
        return outputs

    def told(self, code: str) -> Any:
        """Return what the last line of a cell prints, which is a number."""
        return json.loads(self.run(code).streams["stdout"].splitlines()[-1])

    def spent(self, code: str, cell: str = "") -> Time:
        """Return what a cell took in the kernel."""
        self.run(code, cell)
        return Time(*self.told("print(json.dumps(_spent[-1][1:]))"))

    def began(self, code: str, cell: str, act: Path) -> float:
        """Return the seconds from the begin of a cell to the first act of its script."""
        self.run(code, cell)
        until(lambda: act.is_file() and act.read_text().endswith("\n"), f"{act.name} of a job")
        return float(act.read_text().replace(",", ".")) - float(self.told("print(_spent[-1][0])"))

    def finish(self) -> None:
        """Wait until the newest run has ended."""
        self.run("r = %workflow status\n_ = r.wait(check=False)")


@contextmanager
def _desk(bench: Bench, folder: Path, home: Path | None = None, *, load: bool = True) -> Iterator[_Desk]:
    home = home or bench.root / "home"
    home.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HYBRIDNB_HOME", str(home))
        with closing(Kernel(folder, _BOOK)) as kernel:
            desk = _Desk(kernel, folder)
            desk.run(_CLOCK)
            if load:
                desk.run("%load_ext hybridnb")
            try:
                yield desk
            finally:
                clock.timed([*tools.HYBRIDNB, "service", "stop"], folder)


def _folder(bench: Bench, *, jobs: int = 0) -> Path:
    folder = bench.root / f"desk{next(_number)}"
    if jobs:
        return work.lay(folder, work.layered(jobs))
    folder.mkdir()
    return folder


_number = count()


# -- loading ----------------------------------------------------------------------------------------------------------------
def _loading(bench: Bench) -> Iterator[Figure]:
    """The extension over a bare kernel: where nothing is, and where a run has ended."""
    empty, ran = _folder(bench), work.lay(bench.root / "twenty", work.independent(GOING))
    bench.run(tools.here(), work.independent(1))()
    clock.timed(tools.here().command, ran, bench.variables)
    _load(bench, empty)  # compiles all
    for where, folder in (("in an empty folder", empty), (f"beside a run of {GOING} jobs", ran)):
        times = [_load(bench, folder) for _ in range(max(bench.rounds, 3))]
        yield _taken(f"%load_ext hybridnb {where}", times, LOAD)


def _load(bench: Bench, folder: Path) -> Time:
    with _desk(bench, folder, load=False) as desk:
        return desk.spent("%load_ext hybridnb")


# -- recording --------------------------------------------------------------------------------------------------------------
def _recording(bench: Bench) -> Iterator[Figure]:
    """A cell of a notebook that has as many cells as its workflow has jobs; and the edit of the file alone."""
    folder = _folder(bench, jobs=bench.jobs)
    file = folder / "hybridnb.yaml"
    times = [clock.inside(_EDIT, _CHANGE, str(file)) for _ in range(max(bench.rounds, 3))]
    limit = bench.limit(EDIT)
    yield Figure(
        f"a job in a file of {bench.jobs} changed", statistics.median(times) * 1e3, "ms", limit, _between(times, 1e3, "ms")
    )
    _recorded(folder)
    with _desk(bench, folder) as desk:
        desk.run("%%job local j1\necho warm", "c1")
        for what, name, cell in (("changed", "j{0}", "c{0}"), ("added", "new{0}", "n{0}")):
            numbers = range(bench.jobs // 2, bench.jobs // 2 + 4 * max(bench.rounds, 3))
            taken = [desk.spent(f"%%job local {name.format(n)} --after j0\necho {n}", cell.format(n)) for n in numbers]
            yield _taken(f"a cell's job {what}, {bench.jobs} jobs", taken, bench.limit(RECORD))


def _taken(what: str, times: list[Time], limit: float | None) -> Figure:
    """What cells took; the processor's time tells whether others had kept the machine busy."""
    used = statistics.median(time.processor for time in times) * 1e3
    walls = [time.wall for time in times]
    return Figure(what, statistics.median(walls) * 1e3, "ms", limit, f"{_between(walls, 1e3, 'ms')}; processor {used:.3g} ms")


def _recorded(folder: Path) -> None:
    """Write the notebook of a workflow's file, and which of its cells recorded which job."""
    cells, notes = [], Cells(folder / "hybridnb.yaml")
    for number, (name, job) in enumerate(definition.load(folder / "hybridnb.yaml").jobs.items()):
        source = f"%%job local {name}\n{work.SCRIPT}"
        cells.append({"cell_type": "code", "id": f"c{number}", "source": source, "metadata": {}, "outputs": []})
        notes.note(Entry(name, f"c{number}", _BOOK, f"%%job local {name}", "", time.time(), definition.to_mapping(job)))
    (folder / _BOOK).write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


# -- starting ---------------------------------------------------------------------------------------------------------------
def _starting(bench: Bench) -> Iterator[Figure]:
    """From the begin of a cell to the first act of its script, with the service started on the way or not."""
    first: list[float] = []
    later: list[float] = []
    beside: list[float] = []
    for number in range(max(bench.rounds, 3)):
        with _desk(bench, _folder(bench), bench.root / f"h{number}") as desk:
            first.append(_act(desk, "first"))
            for again in range(4):
                desk.finish()
                later.append(_act(desk, f"later{again}"))
            desk.finish()
            desk.run("%%job local long --run\nuntil [ -e over ]; do sleep 0.1; done", "long")
            beside += [_act(desk, f"beside{again}") for again in range(4)]
            (desk.folder / "over").touch()
            desk.finish()
    yield Figure("the first --run in a new home", statistics.median(first), "s", FIRST, _between(first, 1, "s"))
    yield Figure("a later --run", statistics.median(later), "s", LATER, _between(later, 1, "s"))
    yield Figure("a --run beside a job that goes on", statistics.median(beside), "s", LATER, _between(beside, 1, "s"))


def _act(desk: _Desk, name: str) -> float:
    return desk.began(f"%%job local {name} --run\necho $EPOCHREALTIME > {name}.act", name, desk.folder / f"{name}.act")


# -- while it runs ----------------------------------------------------------------------------------------------------------
def _resting(bench: Bench) -> Iterator[Figure]:
    """The processor's time of a kernel in which nothing happens, with cards on the screen."""
    rest = _REST.format(REST if bench.full else REST / 5)
    share = 100 / (REST if bench.full else REST / 5)
    with _desk(bench, _folder(bench), load=False) as desk:
        bare = share * desk.told(rest)
    with _desk(bench, _folder(bench)) as desk:
        desk.run("%%job local done --run --wait\necho hi", "done")
        still = [share * desk.told(rest) for _ in range(bench.few)]
        yield Figure("an idle kernel", statistics.median(still), "% core", IDLE, f"without hybridnb {bare:.2f} %")
        desk.run("%%job local long --run\nuntil [ -e over ]; do sleep 1; done", "long")
        quiet = [share * desk.told(rest) for _ in range(bench.few)]
        yield Figure("while a quiet job goes on", statistics.median(quiet), "% core", QUIET, _between(quiet, 1, "%"))
        (desk.folder / "over").touch()
        desk.finish()


def _computing(bench: Bench) -> Figure:
    """A loop of pure Python while jobs go on, report their progress and have cards; between the same loop alone."""
    home, folder = bench.root / "wide", _folder(bench)
    home.mkdir()
    (home / "hosts.yaml").write_text(f"hosts: {{local: {{slots: {GOING}}}}}\n")
    going: list[float] = []
    with _desk(bench, folder, home) as desk:
        alone = [desk.told(_LOOP)]
        for _ in range(bench.rounds):
            (folder / "over").unlink(missing_ok=True)
            for number in range(GOING):
                report = f"echo '# hybridnb progress={5 * number} loss=0.{number}'; echo $EPOCHREALTIME; sleep 1"
                desk.run(f"%%job local j{number}\nuntil [ -e over ]; do {report}; done", f"c{number}")
            desk.run("r = %workflow run\n")
            until(lambda: desk.told("print(r.counts.get('running', 0))") == GOING, "jobs that go on")
            going.append(desk.told(_LOOP))
            (folder / "over").touch()
            desk.finish()
            alone.append(desk.told(_LOOP))
    value = statistics.median(2 * between / (before + after) for before, between, after in zip(alone, going, alone[1:]))
    note = f"{statistics.median(going):.2f} s; alone {statistics.median(alone):.2f} s"
    return Figure(f"a loop of Python while {GOING} jobs go on", value, "x", FREE, note)


# -- what is saved ----------------------------------------------------------------------------------------------------------
def _sizes(bench: Bench) -> Iterator[Figure]:
    """What a cell leaves in the notebook, when its jobs have ended."""
    train = "%%job local train --run --wait --out model.txt -p lr=0.1 -p depth=4\n"
    several = ",".join(map(str, range(10)))
    cells = {
        "a job": f"{train}echo '# hybridnb progress=100 loss=0.25'\necho learned | tee model.txt",
        "a job with a long log": f'{train}for i in $(seq 2000); do printf "%01000d \'<&>\\n" $i; done\ntouch model.txt',
        "a sweep of 100": f"%%job local sweep --run --wait --sweep -p lr={several} -p depth={several}\necho '# hybridnb loss=0.25'",
    }
    for what, source in cells.items():
        with _desk(bench, _folder(bench)) as desk:
            card = desk.run(source, "c1").until(lambda outputs: '"ended": true' in json.dumps(outputs.card.data), "an end").card
            kinds = ", ".join(f"{kind.partition('/')[2]} {_kilobytes(told):.1f}" for kind, told in card.data.items())
            yield Figure(f"the saved card of {what}", _kilobytes(card.data), "kB", SIZE, kinds)


def _kilobytes(told: Any) -> float:
    return len(json.dumps(told).encode()) / 1e3


def _between(values: list[float], times: float, unit: str) -> str:
    return f"{min(values) * times:.3g}–{max(values) * times:.3g} {unit}"
