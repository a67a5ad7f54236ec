"""Jobs of a group as one: what pictures show of a sweep, or of whatever else a person calls one thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from .. import graph
from ..model import Dependency, Job, Kind, Workflow
from ..sweep import count
from .look import Look, counts

_ENDED = ("done", "failed", "lost", "cancelled", "skipped")
_TOLD = (*_ENDED, "cancelling", "running", "submitting", "queued", "waiting")  # in this order


class Stacked(NamedTuple):
    """A workflow with one job for each group, and how these look."""

    workflow: Workflow
    looks: dict[str, Look]
    sizes: dict[str, int]  # of what stands for several jobs
    members: dict[str, tuple[str, ...]]  # and their names, unless it is a sweep that is not expanded


def stack(workflow: Workflow, looks: Mapping[str, Look] | None = None) -> Stacked:
    """Put one job in the place of each group of two or more, where nothing then waits for itself; a sweep is one already."""
    looks = {name: look for name, look in (looks or {}).items() if name in workflow.jobs}
    sizes = {name: many for name, job in workflow.jobs.items() if job.sweep and (many := count(job)) > 1}
    groups = _groups(workflow)
    if not groups:
        return Stacked(workflow, looks, sizes, {})
    home = {name: group for group, names in groups.items() for name in names}
    edges = _edges(workflow, home)
    first = dict.fromkeys(home.get(name, name) for name in workflow.jobs)
    jobs = {name: replace(_front(workflow, name, groups), after=edges[name]) for name in first}
    shown = {name: look for name in first if (look := _look(groups[name], looks) if name in groups else looks.get(name))}
    layout = {name: place for name in first if (place := _place(workflow, name, groups.get(name, ())))}
    sizes |= {group: len(names) for group, names in groups.items()}
    return Stacked(replace(workflow, jobs=jobs, layout=layout), shown, sizes, groups)


def _groups(workflow: Workflow) -> dict[str, tuple[str, ...]]:
    """Return the groups that can be one job each: on a way that leads out of a group and back into it, none can."""
    found: dict[str, list[str]] = {}
    for name, job in workflow.jobs.items():
        if job.group:
            found.setdefault(job.group, []).append(name)
    groups = {group: tuple(names) for group, names in found.items() if len(names) > 1}
    while groups:
        home = {name: group for group, names in groups.items() for name in names}
        parents = {name: [d.job for d in edges] for name, edges in _edges(workflow, home).items()}
        if not (cycle := graph.cycle(parents)):
            break
        groups = {group: names for group, names in groups.items() if group not in cycle}
    return groups


def _edges(workflow: Workflow, home: Mapping[str, str]) -> dict[str, tuple[Dependency, ...]]:
    """Return what each waits for: edges alike are one, those inside of a group none; of several kinds, `ok` is shown."""
    kinds: dict[str, dict[str, Kind]] = {}
    for name, job in workflow.jobs.items():
        above = kinds.setdefault(child := home.get(name, name), {})
        for dependency in job.after:
            parent = home.get(dependency.job, dependency.job)
            if parent != child and above.setdefault(parent, dependency.kind) is not dependency.kind:
                above[parent] = Kind.OK
    return {child: tuple(Dependency(parent, kind) for parent, kind in above.items()) for child, above in kinds.items()}


def _front(workflow: Workflow, name: str, groups: Mapping[str, tuple[str, ...]]) -> Job:
    """Return the job itself, or one that stands for the group, on the host of all of them."""
    if name not in groups:
        return workflow[name]
    hosts = {workflow[member].host for member in groups[name]}
    return Job(name, exec="true", host=hosts.pop() if len(hosts) == 1 else f"{len(hosts)} hosts")


def _place(workflow: Workflow, name: str, members: tuple[str, ...]) -> tuple[float, float] | None:
    """Return where a person put it, or the first of the group."""
    return next((workflow.layout[word] for word in (name, *members) if word in workflow.layout), None)


def _look(members: tuple[str, ...], looks: Mapping[str, Look]) -> Look | None:
    """Sum up how the members look, as far as that is known."""
    known = {name: looks[name] for name in members if name in looks}
    if not known:
        return None
    tally = Counter(counts(known))
    ended = sum(tally[state] for state in _ENDED)
    part = 100 * ended / len(known) if 0 < ended < len(known) else None
    detail = ", ".join(f"{tally[state]} {state}" for state in _TOLD if tally[state]) if len(tally) > 1 else ""
    return Look(overall(tally), progress=part, detail=detail)


def overall(counts: Mapping[str, int]) -> str:
    """Say one state for many: while some of them go on, that they do; the counts beside it tell what went wrong so far."""
    if counts.get("cancelling"):
        return "cancelling"
    if going := next((state for state in ("running", "queued", "submitting", "waiting") if counts.get(state)), None):
        begun = any(counts.get(state) for state in ("done", "failed", "lost", "cancelled"))
        return "running" if begun else going
    if counts.get("failed") or counts.get("lost"):
        return "failed"
    return next((state for state in ("cancelled", "done", "skipped") if counts.get(state)), "done")
