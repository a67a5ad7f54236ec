"""A run: the states of its jobs as the fold of the journal's records. No I/O: what is on disk is told by `apply`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from .errors import NotFound, did_you_mean
from .model import Dependency, Job, Kind, Resources, Workflow, wrong_groups
from .progress import Metric

Record = Mapping[str, Any]


class State(str, Enum):
    """Where a job, an attempt or a run stands. Each is equal to its word: State.DONE == "done"."""

    WAITING = "waiting"
    SUBMITTING = "submitting"
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    LOST = "lost"

    __hash__ = str.__hash__  # Enum's own, in Python, is a tenth of what a change costs
    __str__ = str.__str__  # the word, in f-strings too: by default that differs between the versions of Python

    @property
    def final(self) -> bool:
        """Has it ended?"""
        return self in _FINAL

    @property
    def active(self) -> bool:
        """Is it in the hands of a host?"""
        return self in _ACTIVE

    def follows(self, other: State) -> bool:
        """May an attempt go from the other state to this one? What is told late, or twice, does not move it back."""
        return _RANK.get(self, 0) > _RANK.get(other, 0)


_FINAL = frozenset({State.DONE, State.FAILED, State.CANCELLED, State.SKIPPED, State.LOST})
_ACTIVE = frozenset({State.SUBMITTING, State.QUEUED, State.RUNNING, State.CANCELLING})
_STATES = {state.value: state for state in State}
_RANK = {State.SUBMITTING: 1, State.QUEUED: 2, State.RUNNING: 3, State.CANCELLING: 4, **dict.fromkeys(_FINAL, 5)}


def now() -> str:
    """The time in UTC, ISO 8601 with milliseconds."""
    return iso(time.time())


def iso(seconds: float) -> str:
    """Write seconds since the epoch as UTC, ISO 8601 with milliseconds."""
    whole = int(seconds)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{int((seconds - whole) * 1000):03d}Z"


@dataclass(slots=True)
class Attempt:
    """One try of one job. Times are UTC, ISO 8601."""

    job: str
    number: int
    token: str
    host: str
    first: int  # the attempt that was submitted; later ones are the host's own retries of it
    serial: int  # among all submissions of the run, in their order; an attempt of the host's own has its first's
    state: State = State.SUBMITTING
    native_id: str | None = None
    exit_code: int | None = None
    reason: str = ""
    submitted_at: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    progress: float | None = None
    metrics: dict[str, Metric] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)  # {"inputs"|"outputs": {path: {"size", "sha256"}}}


@dataclass(slots=True)
class Run:
    """One execution of a workflow. Only `apply` changes it."""

    id: str = ""
    workflow_name: str = ""
    source: str = ""  # the workflow's file
    folder: str = ""  # where its local jobs run
    created_at: str = ""
    ended_at: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    layout: dict[str, tuple[float, float]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)  # a job's number, for keys and paths on hosts; never reused
    states: dict[str, State] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)  # why a job without an attempt ended
    attempts: dict[str, list[Attempt]] = field(default_factory=dict)
    pending: dict[str, Job | None] = field(default_factory=dict)  # changes that wait for the host to let go; None removes
    counts: Counter[State] = field(default_factory=Counter)
    submissions: int = 0

    def __repr__(self) -> str:
        return f"Run({self.id!r}, {self.workflow_name!r}, {self.state.value}, jobs={len(self.jobs)})"

    # -- questions ------------------------------------------------------------------------------------------------------
    @property
    def state(self) -> State:
        """Failed when a job failed or is lost, done when all ended well; skipped jobs follow the rest."""
        counts = self.counts
        if counts[State.CANCELLING]:
            return State.CANCELLING
        if any(counts[s] for s in _ACTIVE) or self.pending:
            return State.RUNNING
        if counts[State.WAITING]:
            return State.RUNNING if len(self.jobs) > counts[State.WAITING] else State.WAITING
        if counts[State.FAILED] or counts[State.LOST]:
            return State.FAILED
        return State.CANCELLED if counts[State.CANCELLED] else State.DONE

    @property
    def workflow(self) -> Workflow:
        """The definition as it stands now, with the changes made since the run began.

        A job that had started when one that it waited for was removed has lost that edge; one whose group's name a later job has, the group.
        """
        jobs = {
            name: job if self.jobs.keys() >= set(job.parents) else self._without_lost_edges(job) for name, job in self.jobs.items()
        }
        return Workflow(self.workflow_name, _grouped(jobs), dict(self.layout))

    def _without_lost_edges(self, job: Job) -> Job:
        return replace(job, after=tuple(d for d in job.after if d.job in self.jobs))

    def attempt(self, job: str, number: int | None = None) -> Attempt | None:
        """The attempt of that number, or the last; None when there is none (yet)."""
        attempts = self.attempts.get(job, [])
        if number is None:
            return attempts[-1] if attempts else None
        return next((a for a in reversed(attempts) if a.number == number), None)

    def job(self, name: str) -> Job:
        """Return the job; raise NotFound with the nearest name."""
        try:
            return self.jobs[name]
        except KeyError:
            raise NotFound(f"run {self.id} has no job '{name}'{did_you_mean(name, self.jobs)}") from None

    def verdict(self, dependency: Dependency) -> bool | None:
        """Is the edge satisfied? None while its parent may still end either way; an edge from a job that was removed is none."""
        state = self.states.get(dependency.job)
        if state is None:
            return True
        if not state.final:
            return None
        if dependency.kind is Kind.ANY:
            return True
        if dependency.kind is Kind.OK:
            return state is State.DONE
        return state in (State.FAILED, State.CANCELLED, State.LOST)

    def unfinished(self) -> Iterable[Attempt]:
        """The attempts in the hands of hosts, in the order of the jobs."""
        for name, state in self.states.items():
            if state in _ACTIVE and (last := self.attempt(name)):
                yield last

    # -- the fold -------------------------------------------------------------------------------------------------------
    def apply(self, record: Record) -> None:
        """Take one record of the journal in. Records of a kind that a later version writes are left aside."""
        if take := getattr(self, f"_on_{record['event']}", None):
            take(record)

    def _set(self, job: str, state: State) -> None:
        before = self.states.get(job)
        if before is not None:
            self.counts[before] -= 1
        self.states[job] = state
        self.counts[state] += 1

    def _on_created(self, record: Record) -> None:
        self.id, self.workflow_name = record["run"], record["workflow"]
        self.source, self.folder, self.created_at = record["source"], record["folder"], record["at"]
        self.layout = {name: (x, y) for name, (x, y) in record.get("layout", {}).items()}

    def _on_facts(self, record: Record) -> None:
        self.facts.update(record["facts"])

    def _on_defined(self, record: Record) -> None:
        self.define(_job(record))

    def define(self, job: Job) -> None:
        """Put the job in, waiting when it is new."""
        self.jobs[job.name] = job
        self.numbers.setdefault(job.name, len(self.numbers))
        if job.name not in self.states:
            self._set(job.name, State.WAITING)

    def _on_removed(self, record: Record) -> None:
        self._remove(record["job"])

    def _remove(self, name: str) -> None:
        if name in self.jobs:
            del self.jobs[name]
            self.counts[self.states.pop(name)] -= 1
            self.reasons.pop(name, None)

    def _on_changing(self, record: Record) -> None:
        self.pending[record["job"]] = _job(record) if record["definition"] is not None else None

    def _on_kept(self, record: Record) -> None:
        self.pending.pop(record["job"], None)

    def _on_withdrawn(self, record: Record) -> None:
        name = record["job"]
        if (attempt := self.attempt(name, record["attempt"])) is None or name not in self.jobs:
            return
        attempt.state, attempt.reason, attempt.ended_at = State.CANCELLED, "withdrawn: its definition changed", record["at"]
        self._set(name, State.WAITING)
        if name in self.pending:
            job = self.pending.pop(name)
            self.define(job) if job is not None else self._remove(name)

    def _on_attempt(self, record: Record) -> None:
        name, number = record["job"], record["attempt"]
        first = record.get("first", number)
        state = _STATES[record.get("state", "submitting")]
        before = self.attempt(name, first)
        serial = before.serial if before else self.submissions
        self.submissions += before is None
        attempt = Attempt(name, number, record["token"], record["host"], first, serial, state, submitted_at=record["at"])
        attempt.reason = record.get("reason", "")
        self.attempts.setdefault(name, []).append(attempt)
        self.reasons.pop(name, None)
        self._set(name, state)
        self.ended_at = None

    def _on_queued(self, record: Record) -> None:
        for name, number in record["attempts"]:
            attempt = self.attempt(name, number)
            if attempt is not None and attempt.state is State.SUBMITTING:
                attempt.state = State.QUEUED
                self._set(name, State.QUEUED)

    def _on_state(self, record: Record) -> None:
        name, state = record["job"], _STATES[record["state"]]
        attempt = self.attempt(name, record["attempt"])
        if attempt is None or not state.follows(attempt.state):
            return
        attempt.state = state
        attempt.reason = record.get("reason", "")
        attempt.native_id = record.get("native_id", attempt.native_id)
        attempt.exit_code = record.get("exit_code", attempt.exit_code)
        if state is State.RUNNING or state.final:
            self.pending.pop(name, None)  # too late for a change
        if state is State.RUNNING:
            attempt.started_at = record["at"]
        if state.final:
            attempt.ended_at = record["at"]
        if attempt is self.attempts[name][-1] and not record.get("retries"):
            self._set(name, state)

    def _on_reason(self, record: Record) -> None:
        """What keeps an attempt where it is, and what the host calls it."""
        if (attempt := self.attempt(record["job"], record["attempt"])) and not attempt.state.final:
            attempt.reason = record["reason"]
            attempt.native_id = record.get("native_id", attempt.native_id)

    def _on_ended(self, record: Record) -> None:
        """Jobs that ended without being tried: skipped, or cancelled while they waited."""
        for name in record["jobs"]:
            if name in self.jobs:
                self._set(name, _STATES[record["state"]])
                self.reasons[name] = record.get("reason", "")

    def _on_again(self, record: Record) -> None:
        """Ended jobs that a person wants to be tried once more."""
        for name in record["jobs"]:
            if name in self.jobs and self.states[name].final:
                self._set(name, State.WAITING)
                self.reasons.pop(name, None)
        self.ended_at = None

    def _on_progress(self, record: Record) -> None:
        if attempt := self.attempt(record["job"], record["attempt"]):
            attempt.progress = record.get("progress", attempt.progress)
            attempt.metrics.update(record.get("metrics", {}))

    def _on_files(self, record: Record) -> None:
        if attempt := self.attempt(record["job"], record["attempt"]):
            attempt.files.update(record["files"])

    def _on_finished(self, record: Record) -> None:
        self.ended_at = record["at"]


def _grouped(jobs: dict[str, Job]) -> dict[str, Job]:
    """Take jobs out of a group that has the name of a job."""
    groups = {name: job.group for name, job in jobs.items() if job.group}
    wrong = {name for name, _ in wrong_groups(groups, jobs)}
    return {name: replace(job, group="") if name in wrong else job for name, job in jobs.items()} if wrong else jobs


def _job(record: Record) -> Job:
    """Rebuild a definition that was checked before it was recorded.

    Not by definition.from_mapping: to check again adds two thirds to the time that a large run takes to open, and a run must not become
    unreadable because a later version is stricter.
    """
    fields: dict[str, Any] = dict(record["definition"])
    after = tuple(map(Dependency.parse, fields.pop("after", ())))
    if "resources" in fields:
        resources: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields["resources"].items()}
        fields["resources"] = Resources(**resources)
    for name in ("inputs", "outputs"):
        if name in fields:
            fields[name] = tuple(fields[name])
    if "sweep" in fields:
        fields["sweep"] = {name: tuple(values) for name, values in fields["sweep"].items()}
    if isinstance(fields.get("exec"), list):
        fields["exec"] = tuple(fields["exec"])
    return Job(record["job"], after=after, **fields)
