"""What each card shows: facts from the files as they are now, drawn only when they have changed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from .. import definition, drawing, show, sweep
from ..errors import DefinitionError, HybridnbError, NotFound
from ..model import Job, Workflow
from ..show import Status
from . import card, telling
from .book import Book, members
from .live import Bundle
from .reading import Reading, final

_COVERED = 0.01  # seconds for each job between two pictures that nobody sees, because a canvas is in their place
_JOB, _EDGE = 160, 70  # bytes that a picture has at least for each
PICTURE = 200  # jobs; a larger run's picture is taken from its folder while it goes on


class _JobFacts(NamedTuple):
    job: Job
    run: str | None
    status: Status | None
    log: tuple[str, ...]
    outputs: Mapping[str, Any]
    note: str


class _Gone(NamedTuple):
    """A job is in no run, and not in the file any more."""

    name: str


class _GroupFacts(NamedTuple):
    jobs: Mapping[str, tuple[Job, Status | None]]
    run: str | None
    note: str


class JobCard:
    """A job, or a sweep, in one run, or in the newest in which it is."""

    def __init__(self, book: Book, name: str, reading: Reading | None = None) -> None:
        self.book, self.name, self._reading = book, name, reading

    def __repr__(self) -> str:
        return f"JobCard({self.name!r})"

    @property
    def pinned(self) -> bool:
        """Does it stay with its run, whichever came after it?"""
        return self._reading is not None

    def reading(self) -> Reading | None:
        """The run that is shown."""
        return self._reading or self.book.last(self.name)

    def facts(self) -> _JobFacts | _GroupFacts | _Gone:
        reading = self.reading()
        try:
            job = self._job(reading)
        except NotFound:
            return _Gone(self.name)
        if job is None or job.sweep:
            group = self._group(reading)
            return group._replace(note=self._notes(job, group.note, reading))
        if reading is None or self.name not in reading.run.jobs:
            return _JobFacts(job, None, None, (), {}, self._notes(job))
        status = reading.job(self.name)
        status["scheduler"] = self.book.scheduler(status["host"])
        known, note = reading.jobs(), self._notes(job, self._note(status, reading), reading)
        ran = sweep.shortened(known[self.name], known)
        if job and not self.pinned:  # a run of some jobs has not all edges
            ran = replace(ran, after=job.after)
        return _JobFacts(ran, reading.run.id, status, reading.log(self.name, status), reading.outputs(self.name), note)

    def _notes(self, job: Job | None, note: str = "", reading: Reading | None = None) -> str:
        """Add in what the file does not say what the cell says: it is the file's word that runs."""
        keys = self.book.recorder.otherwise(job) if job and not self._reading else []
        told = f"the file says otherwise than the cell: {show.several(keys)}; --replace takes the cell's" if keys else ""
        odd = self.book.odd(reading.folder, self.name) if reading else ""
        return "; ".join(filter(None, (self._unread(), told, odd, note)))

    def _unread(self) -> str:
        """Say why the file cannot be read now, unless what ran is shown, whatever the file says."""
        if self._reading:
            return ""
        try:
            _ = self.book.expanded
        except HybridnbError as error:
            return unread(self.book, error)
        return ""

    def _job(self, reading: Reading | None) -> Job | None:
        """What is defined, or was when this run began; None for a sweep that is known by its jobs alone."""
        if self._reading:
            return self._reading.run.jobs.get(self.name)
        try:
            definition = self.book.definition
        except HybridnbError:  # see `_unread`; the run is still what it was
            if reading is None:
                raise
            return reading.run.jobs.get(self.name)
        return definition[self.name] if reading is None or self.name in definition.jobs else reading.run.jobs.get(self.name)

    def _group(self, reading: Reading | None) -> _GroupFacts:
        if reading is None or self.name in reading.run.jobs:
            return _GroupFacts({name: (job, None) for name, job in self._defined().items()}, None, "")
        known = reading.jobs()
        ran = {name: known[name] for name in members(reading, self.name) if name in known}
        jobs = {name: (job, reading.job(name)) for name, job in ran.items()}
        waits = [status for _, status in jobs.values() if not final(status["state"])]
        note = self._trouble(waits[0], reading) if waits else "changed since this run" if self._changed(reading) else ""
        return _GroupFacts(jobs, reading.run.id, note)

    def _changed(self, reading: Reading) -> bool:
        return not self.pinned and self.book.changed(self.name, reading)

    def _defined(self) -> dict[str, Job]:
        """The jobs that the sweep stands for now."""
        return {name: job for name, job in self.book.expanded.jobs.items() if job.group == self.name}

    def _note(self, status: Status, reading: Reading) -> str:
        if final(status["state"]):
            return "changed since this run" if self._changed(reading) else ""
        begun = status["state"] in ("running", "cancelling")
        late = "changed since it began: it goes on as it was" if begun else "changed since: '%workflow run' hands that on"
        return "; ".join(filter(None, (self._trouble(status, reading), late if self._changed(reading) else "")))

    def _trouble(self, status: Status, reading: Reading) -> str:
        problems = self.book.live.problems
        places = [place for place in (status["host"], reading.run.id) if place in problems]
        return "; ".join(show.trouble(place, problems[place]) for place in places)

    def bundle(self, facts: _JobFacts | _GroupFacts | _Gone) -> Bundle:
        if isinstance(facts, _Gone):
            return card.gone_card(facts.name, file=self.book.name)
        about: dict[str, Any] = {"file": self.book.name, "run": facts.run, "note": facts.note}
        if isinstance(facts, _GroupFacts):
            bundle = card.group_card(self.name, facts.jobs, **about)
        else:
            bundle = card.job_card(facts.job, facts.status, log=facts.log, outputs=_sizes(facts.outputs), **about)
        return pinned(bundle) if self.pinned else bundle

    def settled(self) -> bool:
        reading = self.reading()
        return reading is None or reading.ended


def pinned(bundle: Bundle, **more: bool) -> Bundle:
    """Let a card's payload tell that it stays with its run, whichever came after it."""
    return {**bundle, card.MIME: {**bundle[card.MIME], "pinned": True, **more}}


def unread(book: Book, error: HybridnbError) -> str:
    """Say shortly why a file cannot be read now: by the first of its problems."""
    if not isinstance(error, DefinitionError):
        return str(error)  # which names the file
    first = error.problems[0]
    return f"{book.name} cannot be read now: {f'line {first.line}: ' if first.line else ''}{first.message}"


def _sizes(outputs: Mapping[str, Any]) -> list[str]:
    return [f"{path} ({_size(about)})" if isinstance(about, dict) else path for path, about in outputs.items()]


def _size(about: Mapping[str, Any]) -> str:
    """Say how large a file is, or that what was promised is not there."""
    count = about.get("size")
    return telling.size(count) if isinstance(count, int) else "missing" if about.get("missing") else "?"


class RunFacts(NamedTuple):
    """What the card of a workflow or a run is made of."""

    workflow: Workflow
    told: Mapping[str, Any] | None
    note: str
    absent: str | None = None  # of a file that is not there: the nearest name


class WorkflowCard:
    """A workflow's file with its newest run; where a person `chose` the file, with the nearest name if it is not there."""

    def __init__(self, book: Book, *, note: str = "", picture: bool = True, chose: bool = False) -> None:
        self.book, self.note, self._picture, self._chose = book, note, picture, chose
        self._last: tuple[object, float, RunFacts] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.book!r})"

    def reading(self) -> Reading | None:
        """The run that is shown."""
        return self.book.latest

    def facts(self) -> RunFacts:
        reading, now = self.reading(), time.monotonic()
        mark = (reading.run.id, reading.ended) if reading else None
        covered = mark and self.book.canvas and self.book.canvas.watched
        if self._last and covered and self._last[0] == mark and now < self._last[1] + _COVERED * len(self._last[2].workflow.jobs):
            return self._last[2]
        facts = self._facts(reading)
        self._last = mark, now, facts
        return facts

    def _facts(self, reading: Reading | None) -> RunFacts:
        if reading is None:
            near = definition.near(self.book.path) if self._chose and not self.book.begun else ""
            return RunFacts(self.book.definition, None, self.note, None if self.book.begun else near)
        note = "; ".join(filter(None, (self.note, self.book.odd(reading.folder))))
        told = reading.told()
        places = {reading.run.id, *(job["host"] for job in told["jobs"].values())} if not reading.ended else set()
        problems = {place: why for place, why in self.book.live.problems.items() if place in places}
        return self._present(reading.workflow(), {**told, "problems": problems}, note)

    def _present(self, ran: Workflow, told: dict[str, Any], note: str) -> RunFacts:
        """Put together what the file says now and how the newest run stands."""
        if not self.book.begun:
            gone = f"{self.book.name} is not there any more; a job that is added begins it anew"
            return RunFacts(ran, told, "; ".join(filter(None, (note, gone))))
        try:
            now = self.book.expanded
        except HybridnbError as error:  # the run is still what it was
            return RunFacts(ran, told, "; ".join(filter(None, (note, unread(self.book, error)))))
        fresh = [name for name in now.jobs if name not in ran.jobs]
        if not fresh and now.parents() == ran.parents():
            return RunFacts(ran, told, note)
        before = self.book.earlier(self.book.live.reading(Path(told["folder"]))) if fresh else {}
        known = {name: status for name, status in told["jobs"].items() if name in now.jobs}
        known |= {name: before[name].job(name) for name in fresh if name in before}
        missing = {
            "not in this run": [n for n in fresh if n not in known],
            "as of an earlier run": [n for n in fresh if n in known],
        }
        notes = [f"{what}: {show.several(_by_group(now, names))}" for what, names in missing.items() if names]
        return RunFacts(now, {**told, "jobs": known} if known else None, "; ".join(filter(None, (note, *notes))))

    def bundle(self, facts: RunFacts) -> Bundle:
        picture = self._drawn(facts)
        return card.run_card(facts.workflow, facts.told, file=self.book.name, note=facts.note, picture=picture, absent=facts.absent)

    def _drawn(self, facts: RunFacts) -> str:
        reading = self.reading()
        if not self._picture or not facts.workflow.jobs:
            return ""
        if facts.told is None or reading is None:
            return "" if _is_large(facts.workflow) else drawing.draw(facts.workflow)
        if len(facts.workflow.jobs) > PICTURE and not reading.ended:
            try:
                return (reading.folder / "graph.svg").read_text(encoding="utf-8")
            except OSError:
                return ""
        return drawing.draw(facts.workflow, {name: show.look(job) for name, job in facts.told["jobs"].items()})

    def settled(self) -> bool:
        reading = self.reading()
        return reading is None or reading.ended


def _by_group(workflow: Workflow, names: Iterable[str]) -> list[str]:
    """Name a sweep, or a group, in place of its jobs."""
    return list(dict.fromkeys(workflow.jobs[name].group or name for name in names))


def _is_large(workflow: Workflow) -> bool:
    """Is its picture certainly larger than a card takes? Then it is not drawn."""
    jobs = drawing.stack(workflow).workflow.jobs.values()
    return sum(_JOB + _EDGE * len(job.after) for job in jobs) > card.PICTURE


class RunCard(WorkflowCard):
    """One run, whichever came after it."""

    def __init__(self, book: Book, reading: Reading, *, note: str = "", picture: bool = True) -> None:
        super().__init__(book, note=note, picture=picture)
        self._reading = reading

    def reading(self) -> Reading:
        return self._reading

    def bundle(self, facts: RunFacts) -> Bundle:
        return pinned(super().bundle(facts))

    def _present(self, ran: Workflow, told: dict[str, Any], note: str) -> RunFacts:
        return RunFacts(ran, told, note)
