"""One workflow's file as a notebook works with it: its definition, its cells, its runs."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import graph, show, store, sweep
from ..api import Run, Workflow
from ..client import Client
from ..errors import CallError, HybridnbError, NotFound
from ..hosts.config import Hosts
from ..model import Job
from ..model import Workflow as Definition
from ..workflow_file import WorkflowFile
from .live import Live
from .place import Notebook
from .reading import Reading, final
from .record import Recorder

if TYPE_CHECKING:
    from .canvas.widget import Canvas

_NAMED = re.compile(rb'"(?:job|group)": "([^"]+)"')  # in a journal
_BUSY = {"running", "cancelling"}
_EDITED = "edited after it was recorded, and run as it was then"
_KEPT = "changed too late for this run, which goes on with it as it was"
_OLD = "changed since it was done, and not run again"
_ORPHAN = "in no cell of the notebook any more ('%workflow remove' takes it out)"


class Book:
    """A workflow's file, and all that this kernel knows of it."""

    def __init__(self, path: Path, notebook: Notebook | None, live: Live) -> None:
        self.file = WorkflowFile(path)
        self.recorder = Recorder(self.file, notebook)
        self.live = live
        self.canvas: Canvas | None = None  # when somebody has asked for one
        self._odd: dict[Path, dict[str, list[str]]] = {}  # what is odd about a run that was begun here, and of which jobs
        self._earlier: tuple[object, dict[str, Reading]] = None, {}  # by what it depends on
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
    def begun(self) -> bool:
        """Is the file there?"""
        return os.path.lexists(self.path)

    @property
    def definition(self) -> Definition:
        return self.file.definition

    def scheduler(self, host: str) -> str:
        """Return the scheduler of a host, as it is described now."""
        with suppress(HybridnbError):
            return str(self._hosts.described(self.path.parent).good.get(host, {}).get("scheduler", ""))
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
            if not name or self.live.reads(folder) or self._may_hold(folder, {name}):
                reading = self.live.reading(folder)
                reading.refresh()
                yield reading

    def _may_hold(self, folder: Path, names: Collection[str]) -> bool:
        """Is one of these jobs, or sweeps, named in a run's journal? To search a large one is far faster than to take it in."""
        journal = folder / "journal.yaml"
        with suppress(OSError):  # whoever reads it is told why
            size = journal.stat().st_size
            if folder not in self._named or self._named[folder][0] != size:
                self._named[folder] = size, frozenset(_NAMED.findall(journal.read_bytes()))
            return any(name.encode() in self._named[folder][1] for name in names)
        return True

    def knows(self, name: str) -> bool:
        """Is there such a job, or sweep, in the file or in a run? While the file cannot be read, nobody can tell."""
        try:
            jobs = self.definition.jobs
        except HybridnbError:
            return True
        return name in jobs or any(job.group == name for job in jobs.values()) or self.last(name) is not None

    def last(self, name: str) -> Reading | None:
        """Return the newest run in which there is this job, or sweep."""
        return next((reading for reading in self._readings(name) if members(reading, name)), None)

    def run(self, *, jobs: Iterable[str] = (), start: str | None = None, **how: bool) -> Run:
        """Run the workflow, or some of it; it is followed from now on. Raise CallError when there is nothing to run.

        `new`, `failed` and `whole` are as launch.launch has them.
        """
        if not self.definition.jobs:
            raise CallError(f"{self.name} has no jobs yet: run a cell that begins with %%job, or add one by '%workflow add'")
        chosen = tuple(jobs)
        with closing(Client()) as client:
            made = client.run(self.path, jobs=chosen, start=start, **how)
        run = Run(made["folder"])
        kept = [name for name in made["kept"] if name in self.expanded.jobs]
        self._odd[run.folder] = {_EDITED: self.recorder.stale(chosen), _ORPHAN: self.recorder.orphans(chosen), _KEPT: kept}
        self.live.follow(run.folder)
        self.live.unsettle()
        return run

    def start(self, name: str, *, whole: bool = False) -> Run:
        """Run one job, or sweep, now, with those above it that are not done: in the run that goes on, unless it has ended there.

        Raises CallError when it runs already, NotFound when there is no such job.
        """
        above = graph.ancestors(self.definition.parents(), [self.definition[name].name])
        done = {job: last for job in above if (last := self._done(job))}
        run = self._start(name, [job for job in above if job not in done], whole=whole)
        self._odd[run.folder][_OLD] = [job for job, last in done.items() if last.folder != run.folder and self.changed(job, last)]
        return run

    def _start(self, name: str, above: list[str], *, whole: bool) -> Run:
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
        return self.run(jobs=[*above, name], new=new, whole=whole)

    def odd(self, folder: Path, name: str = "") -> str:
        """Say what a person should know of a run that was begun here: of all jobs, or of this one and those above it."""
        odd = self._odd.get(folder, {})
        with suppress(HybridnbError):  # the file is being edited
            if name and any(odd.values()):
                parents = self.definition.parents()
                above = {name, *(graph.ancestors(parents, [name]) if name in parents else ())}
                odd = {what: [job for job in jobs if job in above] for what, jobs in odd.items()}
        return "; ".join(f"{what}: {show.several(jobs)}" for what, jobs in odd.items() if jobs)

    def changed(self, name: str, reading: Reading) -> bool:
        """Does a job, or a sweep, stand for something else now than in this run? Not while the file cannot be read."""
        ran = reading.wanted(members(reading, name))
        try:
            jobs = self.expanded.jobs
        except HybridnbError:
            return False
        now = {name: jobs[name]} if name in jobs else {job.name: job for job in jobs.values() if job.group == name}
        return ran.keys() != now.keys() or any(_differ(ran[job], now[job]) for job in now)

    def differing(self, reading: Reading, wanted: Definition) -> list[str]:
        """Return the jobs of a run that are otherwise there than was wanted."""
        return [name for name, job in reading.wanted(wanted.jobs).items() if _differ(job, wanted.jobs[name])]

    def earlier(self, latest: Reading) -> dict[str, Reading]:
        """Return the jobs of the file that are not in the newest run, each with the newest run in which it is."""
        folders, jobs = self.folders(), self.expanded.jobs
        missing = jobs.keys() - latest.states().keys()
        if self._earlier[0] != (key := (latest.folder, len(folders), frozenset(missing))):
            found: dict[str, Reading] = {}
            for folder in folders:
                if missing and folder != latest.folder and self._may_hold(folder, missing):
                    with suppress(HybridnbError):  # an old run that is damaged, or gone, tells nothing
                        reading = self.live.reading(folder)
                        here = missing & reading.states().keys()
                        found.update(dict.fromkeys(here, reading))
                        missing -= here
            self._earlier = key, found
        for reading in set(self._earlier[1].values()):
            if not reading.ended:
                with suppress(HybridnbError):
                    reading.refresh()
        return self._earlier[1]

    def _done(self, name: str) -> Reading | None:
        """Return the newest run in which there is a job, or sweep, if it is done there."""
        reading = self.last(name)
        return reading if reading and _states(reading, name) == {"done"} else None

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


def _differ(ran: Job, now: Job) -> bool:
    """Has the job been changed? An edge to what is not in the run is left out there."""
    return replace(ran, after=()) != replace(now, after=())


def _states(reading: Reading, name: str) -> set[str]:
    return {state.value for state in reading.states(members(reading, name)).values()}


def members(reading: Reading, name: str) -> list[str]:
    """Return the jobs of a run that a name means: itself, or those of a sweep; none when there is no such job."""
    jobs = reading.jobs()
    return [name] if name in jobs else [job.name for job in jobs.values() if job.group == name]
