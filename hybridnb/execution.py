"""One run on its way: takes what hosts report, decides what is ready, prepares what is handed over. Hosts do the rest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import environment, graph, provenance
from .errors import CallError
from .hosts.attempts import Report, Submission, key
from .journal import Record
from .model import Dependency, Job, Kind, Workflow
from .progress import Progress, scan
from .run import Attempt, State
from .store import Store

_CHUNK = 1 << 20  # bytes of a log read at once
_BEGUN = (State.RUNNING, State.CANCELLING, State.DONE)  # too late for a change
_FAR = 64  # chunks: what is further ahead is scanned later, or, at the end, but for its last chunk never


class Execution:
    """Moves one run forward. It asks nobody: the engine brings reports in and takes submissions out."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.run = store.run
        self.cancels: dict[str, list[str]] = {}  # host -> keys that are to be stopped
        self.withdrawals: dict[str, list[str]] = {}
        self.later: list[Callable[[], Record | None]] = []  # slow work, whose record the engine brings back
        self._jobs = {
            key(self.run.id, number, a.first): name
            for name, number in self.run.numbers.items()
            for a in self.run.attempts.get(name, ())
        }
        self._offsets: dict[tuple[str, int, str], int] = {}  # of logs, as far as they were scanned for progress
        self._environment = str(environment.path(self.run.id))
        self._order: dict[str, int] = {}
        self._children: dict[str, list[str]] = {}
        self._dirty: set[str] = set()
        self._leaving: set[str] = set()  # jobs that are being withdrawn: nothing is handed over behind them
        self._sort()
        self.consider(self.run.jobs)

    def __repr__(self) -> str:
        return f"Execution({self.run!r})"

    # -- what hosts tell ------------------------------------------------------------------------------------------------
    def knows(self, key: str) -> bool:
        """Is this attempt one of the run's?"""
        return key in self._jobs

    def keys(self) -> Iterable[str]:
        """All that was submitted."""
        return self._jobs.keys()

    def hear(self, report: Report) -> None:
        """Take a host's report in."""
        name = self._jobs[report.key]
        attempt = self._attempt(name, report)
        match report.what:
            case State():
                self._state(attempt, report)
            case "withdrawn":
                self._withdrawn(attempt, report)
            case "kept":
                self._stays(name)
                if name in self.run.pending:
                    self.store.note({"event": "kept", "job": name, "attempt": report.attempt})
            case _:
                pass

    def _attempt(self, name: str, report: Report) -> Attempt:
        """Find the attempt; one that we have not heard of is the host's own retry."""
        if found := self.run.attempt(name, report.attempt):
            return found
        first = int(report.key.rpartition("_")[2])
        before = self.run.attempt(name, first)
        assert before, "a key is made with its first attempt"
        reason = f"retry {report.reason}".strip() if report.what == "retry" else ""
        record = {
            "event": "attempt",
            "job": name,
            "attempt": report.attempt,
            "first": first,
            "token": before.token,
            "host": before.host,
        }
        self.store.note({**record, "state": "queued", "reason": reason, "at": report.at})
        made = self.run.attempt(name, report.attempt)
        assert made
        return made

    def _state(self, attempt: Attempt, report: Report) -> None:
        assert isinstance(report.what, State)
        if attempt.state.final or not report.what.follows(attempt.state):
            self._reason(attempt, report)
            return
        if report.what.final or report.what is State.RUNNING:
            self._stays(attempt.job)
        if report.what.final:
            self.scan(attempt, to_the_end=True)
        known = {"exit_code": report.exit_code, "native_id": report.native_id, "reason": report.reason, "retries": report.again}
        record = {"event": "state", "job": attempt.job, "attempt": attempt.number, "state": report.what.value, "at": report.at}
        self.store.note({**record, **{k: v for k, v in known.items() if v or v == 0 and v is not False}})
        if report.what is State.RUNNING:
            self._checksums(attempt, "inputs")
        elif report.what.final and not report.again:
            self._checksums(attempt, "outputs")
            self.consider(self._children.get(attempt.job, ()))

    def _reason(self, attempt: Attempt, report: Report) -> None:
        """Note what keeps an attempt where it is, and what the host calls it, when that has changed."""
        if attempt.state is not report.what or attempt.state.final:
            return
        named = {"native_id": report.native_id} if report.native_id and report.native_id != attempt.native_id else {}
        if named or report.reason != attempt.reason:
            self.store.note({"event": "reason", "job": attempt.job, "attempt": attempt.number, "reason": report.reason, **named})

    def _stays(self, name: str) -> None:
        """It was too late to withdraw the job: what waits for it may follow it."""
        if name in self._leaving:
            self._leaving.discard(name)
            self.consider(self._children.get(name, ()))

    def _withdrawn(self, attempt: Attempt, report: Report) -> None:
        name = attempt.job
        if attempt.state.final:
            return
        self._leaving.discard(name)
        below = self._children.get(name, [])
        for child in below:
            self._withdraw(child)
        if attempt.state is State.CANCELLING:  # it was to be changed, and then was not wanted at all
            self.store.note({"event": "state", "job": name, "attempt": attempt.number, "state": "cancelled", "at": report.at})
            self.consider(below)
            return
        self.store.note({"event": "withdrawn", "job": name, "attempt": attempt.number, "at": report.at})
        self._sort()
        self.consider([name, *below])

    def _checksums(self, attempt: Attempt, which: str) -> None:
        job = self.run.jobs.get(attempt.job)
        if job is None or not (patterns := getattr(job, which)):
            return
        folder, name, number = self.run.folder, attempt.job, attempt.number

        def look() -> Record:
            return {"event": "files", "job": name, "attempt": number, "files": {which: provenance.checksums(folder, patterns)}}

        self.later.append(look)

    def complete(self) -> None:
        """Look after checksums that were never recorded: whoever was to find them was killed."""
        for attempt in filter(None, map(self.run.attempt, self.run.jobs)):
            if attempt.started_at and "inputs" not in attempt.files:
                self._checksums(attempt, "inputs")
            if attempt.started_at and attempt.state.final and "outputs" not in attempt.files:
                self._checksums(attempt, "outputs")

    # -- progress -------------------------------------------------------------------------------------------------------
    def scan_running(self) -> None:
        """Look for progress in the logs of what runs."""
        if self.run.counts[State.RUNNING]:
            for attempt in list(self.run.unfinished()):
                if attempt.state is State.RUNNING:
                    self.scan(attempt)

    def scan(self, attempt: Attempt, *, to_the_end: bool = False) -> None:
        """Read what is new in an attempt's logs and record the progress that it tells."""
        told = Progress()
        for stream in ("out", "err"):
            told = told.then(self._scan(attempt, stream, to_the_end=to_the_end))
        if not told:
            return
        record: Record = {"event": "progress", "job": attempt.job, "attempt": attempt.number}
        if told.percent is not None and told.percent != attempt.progress:
            record["progress"] = told.percent
        if news := {k: v for k, v in told.metrics.items() if attempt.metrics.get(k) != v}:
            record["metrics"] = news
        if len(record) > 3:
            self.store.note(record)

    def _scan(self, attempt: Attempt, stream: str, *, to_the_end: bool) -> Progress:
        place = (attempt.job, attempt.number, stream)
        path, told = self.store.log(attempt, stream), Progress()
        for _ in range(_FAR):
            piece = _piece(path, self._offsets.get(place, 0))
            whole = (
                len(piece)
                if to_the_end and len(piece) < _CHUNK
                else piece.rfind(b"\n") + 1 or (len(piece) if len(piece) == _CHUNK else 0)
            )
            told = told.then(scan(piece[:whole]))
            self._offsets[place] = self._offsets.get(place, 0) + whole
            if not whole or len(piece) < _CHUNK:
                break
        else:
            told = told.then(scan(_piece(path, -_CHUNK))) if to_the_end else told
        if to_the_end:
            self._offsets.pop(place, None)
        return told

    # -- what becomes possible ------------------------------------------------------------------------------------------
    def consider(self, names: Iterable[str]) -> None:
        """Look at these jobs in the next `ready`."""
        self._dirty.update(names)

    def ready(self) -> dict[str, list[Submission]]:
        """Record the intent for everything that can go over to a host now, parents first; return it by host.

        A job goes when each parent has ended as asked, or is in the hands of the same host, which then keeps the order.
        """
        batches: dict[str, list[Submission]] = {}
        while self._dirty:
            names = sorted((n for n in self._dirty if n in self._order), key=self._order.__getitem__)
            self._dirty = set()
            for name in names:
                if self.run.states[name] is State.WAITING:
                    self._decide(self.run.jobs[name], batches)
        return batches

    def _decide(self, job: Job, batches: dict[str, list[Submission]]) -> None:
        verdicts = [self.run.verdict(d) for d in job.after]
        if any(v is False for v in verdicts):
            self._end([job.name], State.SKIPPED, self._why(job))
        elif all(v or self._handed(d, job.host) for d, v in zip(job.after, verdicts, strict=True)):
            batches.setdefault(job.host, []).append(self._intend(job))
            self.consider(self._children[job.name])

    def _handed(self, dependency: Dependency, host: str) -> bool:
        last = self.run.attempt(dependency.job)
        state = self.run.states[dependency.job]
        return bool(last and last.host == host and state.active and dependency.job not in self._leaving)

    def _why(self, job: Job) -> str:
        parent = next(d for d in job.after if self.run.verdict(d) is False)
        wish = "fail" if parent.kind is Kind.FAILED else "be done"
        return f"'{parent.job}', which was to {wish}, is {self.run.states[parent.job].value}"

    def _intend(self, job: Job) -> Submission:
        number = len(self.run.attempts.get(job.name, ())) + 1
        token = os.urandom(8).hex()
        self.store.note({"event": "attempt", "job": job.name, "attempt": number, "token": token, "host": job.host})
        made = self.run.attempt(job.name, number)
        assert made
        return replace(self.submission(made), new=True)

    def submission(self, attempt: Attempt) -> Submission:
        """Build what goes to the host: the same again whenever it is built, so that it may be sent again."""
        job = self.run.jobs[attempt.job]
        above = []
        for dependency in job.after:
            parent = self.run.attempt(dependency.job)
            if self.run.verdict(dependency) is None and parent and parent.host == attempt.host:
                above.append((key(self.run.id, self.run.numbers[dependency.job], parent.first), dependency))
        made = Submission(
            run=self.run.id,
            job=job,
            number=self.run.numbers[job.name],
            attempt=attempt.first,
            token=attempt.token,
            folder=f"{self.store.folder}/jobs/{job.name}",
            script=self.store.script(job),
            after=tuple(above),
            work=self.run.folder,
            environment=self._environment,
            known=attempt.state is not State.SUBMITTING,
        )
        self._jobs[made.key] = job.name
        return made

    def submitted(self, submissions: Iterable[Submission]) -> None:
        """The host has them, durably."""
        self.store.note({"event": "queued", "attempts": [[s.job.name, s.attempt] for s in submissions]})

    def unfinished(self) -> dict[str, list[Submission]]:
        """Everything in the hands of hosts, to be asked for once more; parents first."""
        batches: dict[str, list[Submission]] = {}
        for attempt in sorted(self.run.unfinished(), key=lambda a: self._order[a.job]):
            batches.setdefault(attempt.host, []).append(self.submission(attempt))
            name = key(self.run.id, self.run.numbers[attempt.job], attempt.first)
            if attempt.state is State.CANCELLING:
                self.cancels.setdefault(attempt.host, []).append(name)
            elif attempt.job in self.run.pending or self._outdated(attempt):
                self._withdraw(attempt.job)
        return batches

    # -- what a person asks for -----------------------------------------------------------------------------------------
    def cancel(self, names: Iterable[str] | None = None) -> list[str]:
        """Stop the named jobs, or all; return those that had not ended."""
        chosen = [n for n in (self.run.jobs if names is None else names) if not self.run.states[self.run.job(n).name].final]
        waiting = [n for n in chosen if self.run.states[n] is State.WAITING]
        if waiting:
            self._end(waiting, State.CANCELLED, "")
        for name in sorted(chosen, key=self._order.__getitem__, reverse=True):  # children first: they are not to be skipped
            if (last := self.run.attempt(name)) and self.run.states[name].active:
                self.store.note({"event": "state", "job": name, "attempt": last.number, "state": "cancelling"})
                self.cancels.setdefault(last.host, []).append(key(self.run.id, self.run.numbers[name], last.first))
        return chosen

    def retry(self, names: Iterable[str] | None = None) -> list[str]:
        """Try again what ended otherwise than done, or the named jobs, with what was skipped below them; return them."""
        bad = {n for n, s in self.run.states.items() if s.final and s is not State.DONE}
        if names is None:
            chosen = bad
        else:
            asked = {self.run.job(n).name for n in names}
            if running := [n for n in asked if not self.run.states[n].final]:
                raise CallError(
                    f"run {self.run.id}: '{running[0]}' has not ended ({self.run.states[running[0]].value}); cancel it first"
                )
            below = graph.descendants(self.run.workflow.parents(), asked)
            chosen = asked | {n for n in below if self.run.states[n] is State.SKIPPED}
        again = [n for n in self.run.jobs if n in chosen]
        if again:
            self.store.note({"event": "again", "jobs": again})
            for name in again:
                (self.store.job_folder(name) / "cancel").unlink(missing_ok=True)
            self.consider(again)
        return again

    def begun_otherwise(self, workflow: Workflow) -> list[str]:
        """Return the jobs that a definition has otherwise than they have begun here: `change` keeps them as they are."""
        return [n for n, job in workflow.jobs.items() if n in self.run.jobs and self.run.states[n] in _BEGUN and self._differs(job)]

    def change(self, workflow: Workflow) -> dict[str, list[str]]:
        """Make the run follow a definition: what has not started is added, changed or removed.

        Returns the names under "added", "changed", "removed", and under "kept" those that had started already.
        """
        told: dict[str, list[str]] = {"added": [], "changed": [], "removed": [], "kept": []}
        for name, job in workflow.jobs.items():
            if name not in self.run.jobs:
                self._redefine(job, told["added"])
            elif self._differs(job):
                self._alter(name, job, told, told["changed"])
        for name in [n for n in self.run.jobs if n not in workflow.jobs and self._wanted(n)]:
            self._alter(name, None, told, told["removed"])
        self._sort()
        self.consider(self.run.jobs)
        return told

    def _differs(self, job: Job) -> bool:
        return self._wanted(job.name) != job or self._script_changed(job)

    def _wanted(self, name: str) -> Job | None:
        """What the job is to be once its host has let go of it; None when it is to be removed."""
        return self.run.pending.get(name, self.run.jobs[name])

    def _script_changed(self, job: Job) -> bool:
        if not job.file:
            return False
        try:
            text = (Path(self.run.folder) / job.file).read_bytes().decode(errors="surrogateescape")
        except OSError:
            return False
        return text != self.store.script(job)

    def _redefine(self, job: Job, told: list[str]) -> None:
        self.store.freeze(job)
        self.store.define(job)
        told.append(job.name)

    def _alter(self, name: str, job: Job | None, told: dict[str, list[str]], done: list[str]) -> None:
        state, last = self.run.states[name], self.run.attempt(name)
        if last and (state in (State.SUBMITTING, State.QUEUED) or name in self.run.pending):
            if job is not None:
                self.store.freeze(job)
            self.store.note({"event": "changing", "job": name, "definition": _mapping(job)})
            self._withdraw(name)
            done.append(name)
        elif state in _BEGUN or (job is None and state is not State.WAITING and last):
            told["kept"].append(name)
        elif job is None:
            self.store.note({"event": "removed", "job": name})
            done.append(name)
        else:
            self._redefine(job, done)

    def _withdraw(self, name: str) -> None:
        """Take a job back that has not started; when its host lets go of it, what waits for it there follows."""
        last = self.run.attempt(name)
        if last and self.run.states[name] in (State.SUBMITTING, State.QUEUED) and name not in self._leaving:
            self._leaving.add(name)
            self.withdrawals.setdefault(last.host, []).append(key(self.run.id, self.run.numbers[name], last.first))

    def _outdated(self, attempt: Attempt) -> bool:
        """Does it wait on its host for a submission that was withdrawn, or for an end that cannot come any more?"""
        for dependency in self.run.jobs[attempt.job].after:
            parent = self.run.attempt(dependency.job)
            if self.run.states.get(dependency.job) in (None, State.WAITING) or self.run.verdict(dependency) is False:
                return True
            if parent and parent.serial > attempt.serial:
                return True
        return False

    def _end(self, names: list[str], state: State, reason: str) -> None:
        self.store.note({"event": "ended", "jobs": names, "state": state.value, "reason": reason})
        for name in names:
            self.consider(self._children[name])

    def _sort(self) -> None:
        parents = {name: [p for p in job.parents if p in self.run.jobs] for name, job in self.run.jobs.items()}
        self._order = {name: index for index, name in enumerate(graph.order(parents))}
        self._children = graph.children(parents)

    def finish(self) -> None:
        """Record that the run has ended."""
        self.store.note({"event": "finished", "state": self.run.state.value})


def _piece(path: Path, offset: int) -> bytes:
    """Read a piece of a log, below 0 from its end. One that cannot be read tells no progress, and holds nothing up."""
    try:
        with open(path, "rb", buffering=0) as file:
            if offset:
                file.seek(offset if offset > 0 else max(0, os.fstat(file.fileno()).st_size + offset))
            return file.read(_CHUNK) or b""
    except OSError:
        return b""


def _mapping(job: Job | None) -> dict[str, Any] | None:
    from .definition import to_mapping

    return None if job is None else to_mapping(job)
