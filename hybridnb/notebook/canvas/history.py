"""What was edited on a canvas, so that it can be undone: what each edit made of some jobs, not how the whole file looked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ...definition import from_mapping, same_job, to_mapping
from ...drawing.blocks import Point
from ...errors import Conflict
from ...merge import merge
from ...model import Job, Workflow

KEPT = 200  # edits


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit made of some jobs and places: what there was, and what there is. None stands for nothing."""

    jobs: Mapping[str, tuple[Job | None, Job | None]]
    places: Mapping[str, tuple[Point | None, Point | None]]
    orders: tuple[tuple[str, ...], tuple[str, ...]]  # of the jobs in the file
    renamed: tuple[str, str] | None = None  # a job that is the same under another name

    @classmethod
    def between(cls, before: Workflow, after: Workflow, *, renamed: tuple[str, str] | None = None) -> Change:
        names = dict.fromkeys((*before.jobs, *after.jobs))
        jobs = {name: (before.jobs.get(name), after.jobs.get(name)) for name in names}
        places = {
            name: (before.layout.get(name), after.layout.get(name)) for name in dict.fromkeys((*before.layout, *after.layout))
        }
        return cls(
            {name: pair for name, pair in jobs.items() if not _same(*pair)},
            {name: (was, now) for name, (was, now) in places.items() if was != now},
            (tuple(before.jobs), tuple(after.jobs)),
            renamed,
        )

    def __bool__(self) -> bool:
        return bool(self.jobs or self.places)

    def back(self) -> Change:
        """Return what undoes it."""
        jobs = {name: (now, was) for name, (was, now) in self.jobs.items()}
        places = {name: (now, was) for name, (was, now) in self.places.items()}
        return Change(jobs, places, (self.orders[1], self.orders[0]), self.renamed and (self.renamed[1], self.renamed[0]))

    def made(self, workflow: Workflow, *, file: str) -> Workflow:
        """Make it in a workflow that others may have changed meanwhile; raise Conflict where they changed the same."""
        jobs = dict(workflow.jobs)
        for name, (was, now) in self.jobs.items():
            job = _merged(name, was, now, jobs.get(name), file)
            if job is None:
                jobs.pop(name, None)
            else:
                jobs[name] = job
        layout = dict(workflow.layout)
        for name, (old, new) in self.places.items():
            if layout.get(name) == old and new is None:
                layout.pop(name, None)
            elif layout.get(name) == old and new is not None:
                layout[name] = new
        places = {name: place for name, place in layout.items() if name in jobs}
        return replace(workflow, jobs=_ordered(jobs, workflow.jobs, self.orders[1]), layout=places)


@dataclass
class History:
    """The edits that can be undone, and those that can be made again."""

    done: list[Change] = field(default_factory=list)
    undone: list[Change] = field(default_factory=list)

    def note(self, change: Change) -> None:
        """Remember an edit; those that were undone cannot be made again after it."""
        if change:
            self.done = [*self.done, change][-KEPT:]
            self.undone = []


def _same(a: Job | None, b: Job | None) -> bool:
    return a is b or (a is not None and b is not None and same_job(a, b))


def _merged(name: str, was: Job | None, now: Job | None, there: Job | None, file: str) -> Job | None:
    """Return what the job is to be, when it was to go from one to another and is a third by now."""
    if _same(was, there) or _same(now, there):
        return now
    if was and now and there:
        told = merge(to_mapping(was), to_mapping(now), to_mapping(there), name=name, file=file, place="canvas")
        return from_mapping(name, told)
    what = "removed from" if there is None else "changed in" if was else "written into"
    raise Conflict(f"job '{name}' was {what} {file} meanwhile, by a cell, by hand or in another window; nothing was changed")


def _ordered(jobs: Mapping[str, Job], known: Iterable[str], order: tuple[str, ...]) -> dict[str, Job]:
    """Put jobs that come (back) where they were: below the one that they followed."""
    names = [name for name in known if name in jobs]
    there = set(names)
    for number, name in enumerate(order):
        if name in jobs and name not in there:
            above = next((other for other in reversed(order[:number]) if other in there), None)
            names.insert(names.index(above) + 1 if above else 0, name)
            there.add(name)
    return {name: jobs[name] for name in dict.fromkeys((*names, *jobs))}
