"""Sweeps: a job that is written once for many values of its params, and the jobs that it stands for."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from .errors import DefinitionError, NotFound, did_you_mean
from .model import NAME_LENGTH, Dependency, Job, Workflow, about_name, spelled

EDGES = 250_000  # that one job or sweep may have to those it waits for

_UNFIT = re.compile(r"[^\w.+=@-]")  # in a name
_FIELD = re.compile(r"\{(\w+)\}")


def expand(workflow: Workflow) -> Workflow:
    """Put one job for each combination of values in the place of each sweep; without sweeps, return the same workflow.

    What waits for a sweep waits for all its jobs. Raises DefinitionError when that makes too many edges.
    """
    if not any(job.sweep for job in workflow.jobs.values()):
        return workflow
    taken = {word.casefold() for name, job in workflow.jobs.items() for word in (name, job.group)}
    made = {name: _jobs(job, taken) if job.sweep else [job] for name, job in workflow.jobs.items()}
    _check_edges((name, len(made[name]) * sum(len(made[parent]) for parent in job.parents)) for name, job in workflow.jobs.items())
    after = {name: tuple(Dependency(p.name, d.kind) for d in job.after for p in made[d.job]) for name, job in workflow.jobs.items()}
    jobs = [replace(job, after=after[name]) for name, some in made.items() for job in some]
    return Workflow.of(workflow.name, jobs, layout=workflow.layout)


def count(job: Job) -> int:
    """Say how many jobs it stands for."""
    total = 1
    for values in job.sweep.values():
        total *= len(values)
    return total


def members(jobs: Mapping[str, Job], word: str, *, of: str = "the workflow") -> list[str]:
    """Return the job of this name, or the jobs of the group; raise NotFound with the nearest name."""
    if word in jobs:
        return [word]
    if found := [name for name, job in jobs.items() if word and job.group == word]:
        return found
    known = [*jobs, *dict.fromkeys(job.group for job in jobs.values() if job.group)]
    raise NotFound(f"{of} has no job '{word}'{did_you_mean(word, known)}")


def shortened(job: Job, jobs: Mapping[str, Job]) -> Job:
    """Let a job wait for a group where it waits for all its jobs in the same way, as a person would write it."""
    groups = {d: jobs[d.job].group for d in job.after if d.job in jobs and jobs[d.job].group}
    if not groups:
        return job
    sizes = Counter(other.group for other in jobs.values())
    found = Counter((group, d.kind) for d, group in groups.items())
    short = {d: Dependency(group, d.kind) for d, group in groups.items() if found[group, d.kind] == sizes[group]}
    return replace(job, after=tuple(dict.fromkeys(short.get(d, d) for d in job.after)))


def put(workflow: Workflow, job: Job) -> Workflow:
    """Put a job, or all that a sweep stands for, into a workflow of plain jobs, in the place of the job or group of that name.

    What waited for all that was there waits for all that comes. The job may wait for groups.
    """
    old = [name for name, other in workflow.jobs.items() if job.name in (name, other.group)]
    rest = {name: other for name, other in workflow.jobs.items() if name not in old}
    job = replace(job, after=tuple(Dependency(name, d.kind) for d in job.after for name in _named(rest, d.job)))
    _check_edges([(job.name, count(job) * len(job.after))])
    taken = {word.casefold() for name, other in rest.items() for word in (name, other.group)} | {job.name.casefold()}
    new = {made.name: made for made in (_jobs(job, taken) if job.sweep else [job])}
    jobs: dict[str, Job] = {}
    for name, other in workflow.jobs.items():
        jobs |= {name: _rewired(other, old, new)} if name in rest else new
    return replace(workflow, jobs=jobs | new)


def _jobs(sweep: Job, taken: set[str]) -> list[Job]:
    """Return the jobs of a sweep, and take their names."""
    made = []
    for values in product(*sweep.sweep.values()):
        chosen = dict(zip(sweep.sweep, values))
        name = _name(sweep.name, chosen, taken)
        taken.add(name.casefold())
        inputs, outputs = _filled(sweep.inputs, chosen), _filled(sweep.outputs, chosen)
        job = replace(
            sweep, name=name, params={**sweep.params, **chosen}, sweep={}, group=sweep.name, inputs=inputs, outputs=outputs
        )
        made.append(job)
    return made


def _name(sweep: str, chosen: Mapping[str, Any], taken: set[str]) -> str:
    """Name a job by its values; where that is too long, or the name of another, a mark made of all values ends it."""
    name = "-".join([sweep, *(f"{param}={_UNFIT.sub('_', spelled(value))}" for param, value in chosen.items())])
    if about_name(name) is None and name.casefold() not in taken:
        return name
    mark = hashlib.sha256(json.dumps([sweep, chosen]).encode()).hexdigest()[:8]
    name = name[: NAME_LENGTH - len(mark) - 1]
    while about_name(f"{name}-{mark}"):  # too many bytes
        name = name[:-1]
    return f"{name}-{mark}"


def _filled(patterns: Iterable[str], chosen: Mapping[str, Any]) -> tuple[str, ...]:
    """Put values into names of files; braces around anything else stay."""
    return tuple(_FIELD.sub(lambda found: spelled(chosen[found[1]]) if found[1] in chosen else found[0], text) for text in patterns)


def _check_edges(edges: Iterable[tuple[str, int]]) -> None:
    """Raise DefinitionError where there would be too many."""
    told = "'{}' would wait for others by {:,} edges (at most {:,}); let one job wait in between"
    if problems := [told.format(name, many, EDGES) for name, many in edges if many > EDGES]:
        raise DefinitionError(problems)


def _named(jobs: Mapping[str, Job], word: str) -> list[str]:
    """Return what an edge to the word means; one to nothing that there is stays, for the workflow to refuse it."""
    return [name for name, job in jobs.items() if word in (name, job.group)] or [word]


def _rewired(job: Job, old: list[str], new: Mapping[str, Job]) -> Job:
    """Lead what waited for all the old ones to all the new ones; of other edges, those that still lead somewhere stay."""
    edges = [d for d in job.after if d.job in old]
    if not edges:
        return job
    whole = len(edges) == len(old) and len({d.kind for d in edges}) == 1
    after: dict[Dependency, None] = {}
    for d in job.after:
        if d.job not in old:
            after[d] = None
        elif whole:
            after |= dict.fromkeys(Dependency(name, d.kind) for name in new)
        elif d.job in new:
            after[d] = None
    return replace(job, after=tuple(after))
