"""Definitions: what a person wants to be run. Frozen, typed, without I/O and without any state of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from math import inf, isfinite, prod
from typing import Any

from .errors import DefinitionError, NotFound, did_you_mean
from . import graph

MANY = 20  # of what costs a search each, this many are told
MOST = 10_000  # jobs that a sweep may stand for
NAME_LENGTH = 100  # characters; and 200 bytes, so that a name with a suffix is a file name everywhere
SCRIPT_SUFFIXES = (".sh", ".py", ".ipynb")
# A parameter becomes an environment variable: these would break the shell or the loader instead of informing the script.
RESERVED_VARIABLES = frozenset(
    {
        "PATH",
        "HOME",
        "IFS",
        "ENV",
        "BASH_ENV",
        "SHELL",
        "PWD",
        "OLDPWD",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "PYTHONPATH",
        "PYTHONHOME",
        "UID",
        "EUID",
        "PPID",
    }
)

_NAME = re.compile(r"[^\W_][\w.+=@-]*|_[\w.+=@-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Kind(Enum):
    """Which end of the parent an edge waits for."""

    OK = "ok"  # it is done
    ANY = "any"  # it ended, however (also when it was skipped)
    FAILED = "failed"  # it ended otherwise than done: failed, cancelled or lost


@dataclass(frozen=True, slots=True)
class Dependency:
    """One edge of the workflow, seen from its end: the job waited for, and which end of it."""

    job: str
    kind: Kind = Kind.OK

    @classmethod
    def parse(cls, text: str) -> Dependency:
        """Read `train`, `train:any` or `train:failed`; raise DefinitionError on another kind."""
        job, colon, kind = text.partition(":")
        kinds = [k.value for k in Kind]
        if colon and kind not in kinds:
            near = did_you_mean(kind, kinds)
            raise DefinitionError([f"'{text}': after the colon comes one of {', '.join(kinds)}, not '{kind}'{near}"])
        return cls(job.strip(), Kind(kind) if colon else Kind.OK)

    def __str__(self) -> str:
        return self.job if self.kind is Kind.OK else f"{self.job}:{self.kind.value}"


@dataclass(frozen=True, slots=True)
class Resources:
    """What a job asks of a scheduler, in Slurm's words (sbatch(1)); a plain host ignores what it cannot promise."""

    time: str | None = None  # "minutes", "minutes:seconds", "hours:minutes:seconds", "days-hours[:minutes[:seconds]]"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    nodes: int | None = None
    ntasks: int | None = None
    cpus_per_task: int | None = None
    gpus: str | None = None  # "1", "a100:2"
    mem: str | None = None  # per node: "4G", "500M"
    sbatch: tuple[str, ...] = ()  # any further options, as sbatch spells them

    def over(self, defaults: Resources) -> Resources:
        """Return these, with the defaults where nothing is said; further options of sbatch add up."""
        chosen = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        return replace(defaults, **{**chosen, "sbatch": defaults.sbatch + self.sbatch})


@dataclass(frozen=True, slots=True)
class Job:
    """One script, where it goes, what it waits for and what it is given. Exactly one of `script` and `exec` is set."""

    name: str
    host: str = "local"
    script: str | None = None  # the text itself, or the path of a .sh, .py or .ipynb file beside the workflow
    exec: str | tuple[str, ...] | None = None  # a command line for the shell, or the words of a command for no shell
    after: tuple[Dependency, ...] = ()
    resources: Resources = Resources()
    params: Mapping[str, Any] = field(default_factory=dict)
    sweep: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)  # further params: one job for each combination of values
    group: str = ""  # jobs of a group are shown as one; those of a sweep are a group of its name
    env: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()  # files and globs, relative to the workflow's folder
    outputs: tuple[str, ...] = ()
    retries: int = 0  # further attempts after a failed one
    timeout: float | None = None  # seconds

    def __post_init__(self) -> None:
        wrong = [about_name(self.name), *map(about_param, (*self.params, *self.sweep)), *map(about_variable, self.env)]
        wrong += [about_name(self.group, what="group") if self.group else None, *about_sweep(self)]
        if (self.script is None) == (self.exec is None):
            wrong.append(f"job '{self.name}' needs either a script or an exec")
        elif not (self.script or self.exec):
            wrong.append(f"job '{self.name}' has nothing to run: its {'script' if self.exec is None else 'exec'} is empty")
        if self.retries < 0:
            wrong.append(f"job '{self.name}': retries are 0 or more, not {self.retries}")
        if self.timeout is not None and not 0 < self.timeout < inf:
            wrong.append(f"job '{self.name}': a timeout is more than 0 seconds, not {self.timeout}")
        if problems := [w for w in wrong if w]:
            raise DefinitionError(problems)

    @property
    def file(self) -> str | None:
        """The script's path as written, when the script is a file; None for a text or a command."""
        if self.script is None or not is_path(self.script):
            return None
        return self.script.strip()

    @property
    def parents(self) -> tuple[str, ...]:
        return tuple(dependency.job for dependency in self.after)


@dataclass(frozen=True, slots=True)
class Workflow:
    """A named, acyclic set of jobs, in the order in which a person wrote them; positions place them on the canvas."""

    name: str
    jobs: Mapping[str, Job] = field(default_factory=dict)
    layout: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # x, y in pixels, y downwards

    def __post_init__(self) -> None:
        if wrong := about_name(self.name, what="workflow"):
            raise DefinitionError([wrong])
        if nowhere := [name for name, place in self.layout.items() if not all(map(isfinite, place))]:
            raise DefinitionError(f"layout: '{name}' has no place that can be drawn: {self.layout[name]}" for name in nowhere)
        groups = {name: job.group for name, job in self.jobs.items() if job.group}
        if problems := [*about_edges(self.jobs), *(message for _, message in wrong_groups(groups, self.jobs))]:
            raise DefinitionError(problems)

    @classmethod
    def of(cls, name: str, jobs: Iterable[Job], *, layout: Mapping[str, tuple[float, float]] | None = None) -> Workflow:
        """Put jobs together; raise DefinitionError on a name used twice, an unknown parent or a cycle."""
        table: dict[str, Job] = {}
        for job in jobs:
            if job.name in table:
                raise DefinitionError([f"two jobs have the name '{job.name}'"])
            table[job.name] = job
        return cls(name, table, layout or {})

    def __getitem__(self, name: str) -> Job:
        try:
            return self.jobs[name]
        except KeyError:
            raise NotFound(f"workflow '{self.name}' has no job '{name}'{did_you_mean(name, self.jobs)}") from None

    def parents(self) -> dict[str, tuple[str, ...]]:
        """The graph: each job's parents, in the order of the jobs."""
        return {name: job.parents for name, job in self.jobs.items()}

    def with_job(self, job: Job) -> Workflow:
        """Add the job, or put it in the place of the one of the same name."""
        return replace(self, jobs={**self.jobs, job.name: job})

    def renamed(self, old: str, new: str) -> Workflow:
        """Give a job another name where it is; its edges and its position go with it."""
        self[old]
        if new != old and new in self.jobs:
            raise DefinitionError(
                [f"'{old}' cannot be renamed to '{new}': there is such a job; remove it first, or use another name"]
            )
        jobs = {}
        for job in self.jobs.values():
            after = tuple(replace(d, job=new) if d.job == old else d for d in job.after)
            name = new if job.name == old else job.name
            jobs[name] = job if (name, after) == (job.name, job.after) else replace(job, name=name, after=after)
        return replace(self, jobs=jobs, layout={new if k == old else k: v for k, v in self.layout.items() if k in self.jobs})

    def without(self, name: str) -> Workflow:
        """Remove the job and every edge from it."""
        self[name]
        rest = (j for j in self.jobs.values() if j.name != name)
        jobs = {j.name: replace(j, after=tuple(d for d in j.after if d.job != name)) for j in rest}
        return replace(self, jobs=jobs, layout={k: v for k, v in self.layout.items() if k != name})

    def only(self, names: Iterable[str]) -> Workflow:
        """Keep the named jobs and the edges among them."""
        chosen = {self[name].name for name in names}
        kept = (j for j in self.jobs.values() if j.name in chosen)
        jobs = {j.name: replace(j, after=tuple(d for d in j.after if d.job in chosen)) for j in kept}
        return replace(self, jobs=jobs, layout={k: v for k, v in self.layout.items() if k in chosen})


def is_path(script: str) -> bool:
    """Is this the path of a script file rather than a script? One line, without '#!', that ends in a known suffix."""
    text = script.strip()
    return "\n" not in text and not text.startswith("#!") and text.endswith(SCRIPT_SUFFIXES) and not re.search(r"[\s;|&<>$`]", text)


def about_name(name: str, *, what: str = "job") -> str | None:
    """Say what is wrong with a name, or None. A name is shown everywhere and becomes a folder of the run."""
    shown = name if len(name) <= 40 else name[:37] + "..."
    rule = "a name has letters, digits and _ - . + = @, and begins with a letter, a digit or _"
    if not name:
        return f"a {what} needs a name"
    if len(name) > NAME_LENGTH or len(name.encode(errors="replace")) > 2 * NAME_LENGTH:
        return f"the {what} name {shown!r} is too long: {len(name)} characters, at most {NAME_LENGTH}"
    if not _NAME.fullmatch(name):
        return f"the {what} name {shown!r} cannot be used: {rule}"
    return None


def about_variable(name: str) -> str | None:
    """Say what is wrong with the name of a param or an environment variable, or None."""
    if not _VARIABLE.fullmatch(name):
        return f"{name!r} cannot be an environment variable: it has letters, digits and _, and does not begin with a digit"
    return None


def about_param(name: str) -> str | None:
    """Say what is wrong with the name of a param, or None; unlike `env`, params may not replace what shells and loaders live by."""
    if name in RESERVED_VARIABLES:
        return (
            f"'{name}' cannot be a param: it would replace the environment variable {name}; use another name, or set it under env"
        )
    return about_variable(name)


def about_sweep(job: Job) -> Iterator[str]:
    """Say what is wrong with a job's sweep."""
    if job.sweep and job.group:
        yield f"job '{job.name}' is a sweep, whose jobs are a group of its name; take 'group' away"
    for name, values in job.sweep.items():
        if name in job.params:
            yield about_twice(name, job.name)
        if not values:
            yield f"sweep of job '{job.name}': '{name}' has no values, which makes no job"
        yield from filter(None, (about_value(value) for value in values))
        if len({(type(value), value) for value in values if about_value(value) is None}) < len(values):
            yield f"sweep of job '{job.name}': '{name}' has a value twice"
    if about := about_combinations(job.sweep):
        yield f"sweep of job '{job.name}': {about}"


def about_twice(param: str, job: str) -> str:
    """Say that a param has one value and many."""
    return f"'{param}' is both in params and in sweep of job '{job}'; keep one of them"


def about_value(value: Any) -> str | None:
    """Say what is wrong with one value of a sweep, or None: it becomes part of names, of the job and of files."""
    if not isinstance(value, str | int | float | bool | None):
        return f"a value of a sweep is a text, a number, true, false or null, not {value!r:.60}"
    if isinstance(value, float) and not isfinite(value):
        return f"a value of a sweep is a number that every language knows, not {value}"
    if isinstance(value, str) and ("\n" in value or "\r" in value):
        return f"a value of a sweep has one line, not {value!r:.60}"
    return None


def about_combinations(sweep: Mapping[str, Sequence[Any]]) -> str | None:
    """Say that there are too many combinations, or None."""
    count = prod(map(len, sweep.values()))
    return f"{count:,} combinations are too many (at most {MOST:,}); give shorter lists" if count > MOST else None


def spelled(value: Any) -> str:
    """Write a param as a script finds it in its environment: a text as it is, everything else as JSON writes it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def wrong_groups(groups: Mapping[str, str], jobs: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with {job: its group}: what a person names is one job, or one group."""
    taken, first = {name.casefold() for name in jobs} if groups else set(), dict[str, str]()
    for job, group in groups.items():
        if (folded := group.casefold()) in taken:
            yield job, f"group of job '{job}': '{group}' is the name of a job; give the group another"
        elif (other := first.setdefault(folded, group)) != group:
            yield job, f"the groups '{other}' and '{group}' differ by upper and lower case only"


def about_edges(jobs: Mapping[str, Job]) -> Iterable[str]:
    """Say what is wrong with the edges: unknown parents with the nearest name, names alike but for case, cycles by path."""
    for _, _, message in wrong_edges({name: job.after for name, job in jobs.items()}):
        yield message


def wrong_edges(after: Mapping[str, Sequence[Dependency]]) -> Iterator[tuple[str, str | None, str]]:
    """Yield what is wrong with {job: what it waits for}, as the job, the parent of the edge (if it is an edge) and the message."""
    folded: dict[str, str] = {}
    unknown: dict[str, str] = {}  # with the nearest name: to search it takes long in a large workflow, so only for some
    for name, dependencies in after.items():
        if (other := folded.setdefault(name.casefold(), name)) != name:
            yield name, None, f"the jobs '{other}' and '{name}' differ by upper and lower case only"
        for parent, times in _counted(dependencies).items():
            if parent not in after:
                if parent not in unknown:
                    unknown[parent] = did_you_mean(parent, after) if len(unknown) < MANY else ""
                yield name, parent, f"job '{parent:.100}' is not defined{unknown[parent]} ('{name}' waits for it)"
            if times > 1:
                yield name, parent, f"job '{name}' waits for '{parent}' more than once"
    yield from _cycles({name: [d.job for d in dependencies if d.job in after] for name, dependencies in after.items()})


def _counted(dependencies: Iterable[Dependency]) -> dict[str, int]:
    times: dict[str, int] = {}
    for dependency in dependencies:
        times[dependency.job] = times.get(dependency.job, 0) + 1
    return times


def _cycles(parents: dict[str, list[str]]) -> Iterator[tuple[str, str, str]]:
    """Yield one edge of each cycle (of the first many) with the cycle's path."""
    for _ in range(MANY):
        if not (path := graph.cycle(parents)):
            return
        parent, child = path[0], path[1]
        told = "a job cannot wait for itself" if parent == child else "the jobs wait for each other"
        yield child, parent, f"{told}: {' -> '.join(path)}"
        parents[child] = [name for name in parents[child] if name != parent]
