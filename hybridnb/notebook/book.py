"""One workflow's file as a notebook works with it: its definition, its cells, its runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .. import graph, store, sweep
from ..api import Run, Workflow
from ..errors import CallError, HybridnbError, NotFound
from ..hosts.config import Hosts
from ..model import Workflow as Definition
from ..workflow_file import WorkflowFile
from .live import Live
from .place import Notebook
from .reading import Reading, final
from .record import Recorder, lines

if TYPE_CHECKING:
    from .canvas.widget import Canvas

_NAMED = re.compile(rb'"(?:job|group)": "([^"]+)"')  # in a journal
_BUSY = {"running", "cancelling"}


class Book:
    """A workflow's file, and all that this kernel knows of it."""

    def __init__(self, path: Path, notebook: Notebook | None, live: Live) -> None:
        self.file = WorkflowFile(path)
        self.recorder = Recorder(self.file, notebook)
        self.live = live
        self.canvas: Canvas | None = None  # when somebody has asked for one
        self._stale: dict[Path, list[str]] = {}  # jobs that a run took as they were before their cells were edited
        self._hosts = Hosts()
        self._stamp = 0  # of the folder of runs, as of the last look
        self._expanded: tuple[Definition, Definition] | None = None
        self._folders: list[Path] = []
        self._named: dict[Path, tuple[int, frozenset[bytes]]] = {}  # jobs and sweeps of a run, when its journal was of this size

    def __repr__(self) -> str:
        return f"Book({str(self.path)!r})"

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def name(self) -> str:
        """The file as a reader of the notebook finds it: from the notebook's folder, or this one."""
        notebook = self.recorder.notebook
        return Path(os.path.relpath(self.path, notebook.path.parent if notebook else Path.cwd())).as_posix()

    @property
    def definition(self) -> Definition:
        return self.file.definition

    def scheduler(self, host: str) -> str:
        """Return the scheduler of a host, as it is described now."""
        with suppress(HybridnbError):
            return str(self._hosts.entries(self.path.parent).get(host, {}).get("scheduler", ""))
        return ""

    @property
    def expanded(self) -> Definition:
        """The definition with the jobs of its sweeps one by one."""
        now = self.definition
        if self._expanded is None or self._expanded[0] is not now:
            self._expanded = now, sweep.expand(now)
        return self._expanded[1]

    @property
    def workflow(self) -> Workflow:
        """The same file, as a program sees it."""
        return Workflow(self.path)

    # -- runs -----------------------------------------------------------------------------------------------------------
    def folders(self) -> list[Path]:
        """Return the folders of its runs, the newest first."""
        if (stamp := self._changed_at()) != self._stamp:
            self._folders = store.newest(self.path)
            self._stamp = stamp if self._begun() == len(self._folders) else 0  # one has a folder, and no journal yet: look again
        return self._folders

    def _begun(self) -> int:
        try:
            return sum(entry.is_dir() for entry in os.scandir(self.path.with_suffix(".runs")))
        except OSError:
            return 0

    def _changed_at(self) -> int:
        try:
            return self.path.with_suffix(".runs").stat().st_mtime_ns
        except OSError:
            return 0

    @property
    def latest(self) -> Reading | None:
        """The newest run, or None."""
        return next(self._readings(), None)

    def _readings(self, name: str = "") -> Iterator[Reading]:
        for folder in self.folders():
            if not name or self.live.reads(folder) or self._may_hold(folder, name):
                reading = self.live.reading(folder)
                reading.refresh()
                yield reading

    def _may_hold(self, folder: Path, name: str) -> bool:
        """Is this job, or sweep, named in a run's journal? To search a large one is far faster than to take it in."""
        journal = folder / "journal.yaml"
        with suppress(OSError):  # whoever reads it is told why
            size = journal.stat().st_size
            if folder not in self._named or self._named[folder][0] != size:
                self._named[folder] = size, frozenset(_NAMED.findall(journal.read_bytes()))
            return name.encode() in self._named[folder][1]
        return True

    def last(self, name: str) -> Reading | None:
        """Return the newest run in which there is this job, or sweep."""
        return next((reading for reading in self._readings(name) if members(reading, name)), None)

    def run(self, *, jobs: Iterable[str] = (), start: str | None = None, failed: bool = False, new: bool = False) -> Run:
        """Run the workflow, or some of it; it is followed from now on. Raise CallError when there is nothing to run."""
        if not self.definition.jobs:
            raise CallError(f"{self.name} has no jobs yet: run a cell that begins with %%job, or add one by '%workflow add'")
        chosen = tuple(jobs)
        run = self.workflow.run(jobs=chosen, start=start, failed=failed, new=new)
        self._stale[run.folder] = self.recorder.stale(chosen)
        self.live.follow(run.folder)
        self.live.unsettle()
        return run

    def start(self, name: str) -> Run:
        """Run one job, or sweep, now, with those above it that are not done: in the run that goes on, unless it has ended there.

        Raises CallError when it runs already, NotFound when there is no such job.
        """
        above = [job for job in graph.ancestors(self.definition.parents(), [self.definition[name].name]) if not self._is_done(job)]
        reading = self.latest
        if reading is None or reading.ended:
            return self.run(jobs=[*above, name])
        if busy := _states(reading, name) & _BUSY:
            way = f"wait for it, or stop it by '%workflow cancel {name}'"
            raise CallError(f"'{name}' is {busy.pop()} in run {reading.run.id}: {way}")
        new = any(map(final, _states(reading, name)))
        if new and (waits := [job for job in above if not all(map(final, _states(reading, job)))]):
            raise CallError(f"'{name}' has ended in run {reading.run.id}, and '{waits[0]}' above it has not: wait for that first")
        if not new and (missed := [job for job in above if _states(reading, job) and all(map(final, _states(reading, job)))]):
            Run(reading.folder).retry(*missed)
        return self.run(jobs=[*above, name], new=new)

    def stale(self, folder: Path, name: str = "") -> str:
        """Say which jobs a run took as they were before their cells were edited: all of them, or this one and those above it."""
        stale = self._stale.get(folder, [])
        with suppress(HybridnbError):  # the file is being edited
            if stale and name:
                above = {name, *graph.ancestors(self.definition.parents(), [name])}
                stale = [job for job in stale if job in above]
        return f"edited after it was recorded, and run as it was then: {', '.join(lines(stale))}" if stale else ""

    def _is_done(self, name: str) -> bool:
        """Is a job, or all of a sweep, done in the newest run in which it is?"""
        reading = self.last(name)
        return reading is not None and _states(reading, name) == {"done"}

    def found(self, name: str | None = None) -> Run:
        """Return the newest run, in which there is this job if one is named; raise NotFound when there is none."""
        reading = self.last(name) if name else self.latest
        if reading is None:
            self._refuse_unknown(name)
            what = f"'{name}' has" if name else f"{self.name} has"
            raise NotFound(f"{what} not been run yet; start it by '%workflow run{f' --job {name}' if name else ''}'")
        return Run(reading.folder)

    def _refuse_unknown(self, name: str | None) -> None:
        if name:
            sweep.members(self.expanded.jobs, name)


def _states(reading: Reading, name: str) -> set[str]:
    return {state.value for state in reading.states(members(reading, name)).values()}


def members(reading: Reading, name: str) -> list[str]:
    """Return the jobs of a run that a name means: itself, or those of a sweep; none when there is no such job."""
    jobs = reading.jobs()
    return [name] if name in jobs else [job.name for job in jobs.values() if job.group == name]
