"""What a person changes on a canvas, as changes of a definition. The name of a group stands for all its jobs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ... import sweep
from ...definition import from_mapping, to_mapping
from ...drawing.blocks import Point
from ...errors import CallError, DefinitionError, NotFound
from ...merge import merge
from ...model import Dependency, Job, Workflow

Edge = tuple[str, str]


def connect(workflow: Workflow, source: str, target: str, kind: str) -> Workflow:
    """Let the target wait for the source; an edge that is there becomes of this kind."""
    edges = {name: Dependency.parse(f"{name}:{kind}") for name in named(workflow, source)}
    jobs = dict(workflow.jobs)
    for name in named(workflow, target):
        after = {dependency.job: dependency for dependency in jobs[name].after}
        jobs[name] = replace(jobs[name], after=tuple({**after, **edges}.values()))
    return replace(workflow, jobs=jobs)


def disconnect(workflow: Workflow, edges: Iterable[Edge]) -> Workflow:
    """Take edges away; raise NotFound for one that is not there."""
    jobs = dict(workflow.jobs)
    for source, target in edges:
        sources, found = set(named(workflow, source)), False
        for name in named(workflow, target):
            after = tuple(dependency for dependency in jobs[name].after if dependency.job not in sources)
            found = found or len(after) < len(jobs[name].after)
            jobs[name] = replace(jobs[name], after=after)
        if not found:
            raise NotFound(f"'{target}' does not wait for '{source}'")
    return replace(workflow, jobs=jobs)


def remove(workflow: Workflow, names: Iterable[str], edges: Iterable[Edge]) -> Workflow:
    """Take jobs away with all their edges, and further edges."""
    gone = {name for word in names for name in named(workflow, word)}
    return disconnect(workflow, edges).only(name for name in workflow.jobs if name not in gone)


def add(workflow: Workflow, job: Job) -> Workflow:
    """Add a job; raise DefinitionError when there is one of its name."""
    if job.name in workflow.jobs:
        raise DefinitionError([f"there is a job '{job.name}' already; give this one another name"])
    return workflow.with_job(job)


def revise(workflow: Workflow, name: str, said: Mapping[str, Any], was: Mapping[str, Any], *, file: str) -> Workflow:
    """Let a job be as a form says, which was filled in before; what others changed meanwhile stays, or is a Conflict."""
    job = _alone(workflow, name)
    mine, base = (to_mapping(from_mapping(name, mapping)) for mapping in (said, was))
    return workflow.with_job(from_mapping(name, merge(base, mine, to_mapping(job), name=name, file=file, place="form")))


def rename(workflow: Workflow, old: str, new: str) -> Workflow:
    """Give a job another name."""
    return workflow.renamed(_alone(workflow, old).name, new)


def move(workflow: Workflow, places: Mapping[str, Point], members: Mapping[str, Collection[str]]) -> Workflow:
    """Keep places in the file; that of a group is kept by its first job."""
    keys = {name: _first(workflow, members[name]) if name in members else name for name in places}
    found = {key: places[name] for name, key in keys.items() if key in workflow.jobs}
    return replace(
        workflow, layout={**workflow.layout, **{name: (float(round(x)), float(round(y))) for name, (x, y) in found.items()}}
    )


def _first(workflow: Workflow, names: Collection[str]) -> str:
    return next((job for job in workflow.jobs if job in names), "")


def tidy(workflow: Workflow) -> Workflow:
    """Forget all places: the picture arranges itself."""
    return replace(workflow, layout={})


def named(workflow: Workflow, word: str) -> list[str]:
    """Return the jobs that a name on the canvas means; raise NotFound, or CallError for one of a sweep."""
    if not word:
        raise CallError("a job has a name: say which one is meant")
    try:
        return sweep.members(workflow.jobs, word, of=f"workflow '{workflow.name}'")
    except NotFound:
        if one := sweep.expand(workflow).jobs.get(word):
            told = f"'{word}' is one of the sweep '{one.group}', whose jobs are edited together: edit '{one.group}'"
            raise CallError(told) from None
        raise


def _alone(workflow: Workflow, name: str) -> Job:
    """Return a job that is one job, or a sweep, in the file."""
    if (found := named(workflow, name)) != [name]:
        raise CallError(f"'{name}' is a group of {len(found)} jobs: expand it, and edit these")
    return workflow[name]
