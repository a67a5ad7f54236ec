"""The jobs of a run, one by one or those of a sweep together, as they stand."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import logs, run as past, show, store
from ..client import Client
from ..errors import NotFound, RunFailed, Step, did_you_mean
from ..run import State
from .ending import Ending
from .named import Named
from .present import Log, Present, honest, whole_log

if TYPE_CHECKING:
    from .run import Run

_BAD = {State.FAILED, State.LOST}


class Part(Ending):
    """One job of a run, or some."""

    def __init__(self, run: Run, present: Present, name: str) -> None:
        self.run = run
        self.name = name
        self._present = present

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and (self.run, self.name) == (other.run, other.name)

    def __hash__(self) -> int:
        return hash((self.run, self.name))

    @property
    def _place(self) -> Path:
        return self.run.folder

    def _names(self) -> list[str]:
        return self._present.members(self.name)

    def _states(self) -> dict[str, State]:
        return self._present.states(self._names())

    def _over(self) -> bool:
        return all(state.final for state in self._states().values())

    def _check(self) -> None:
        if bad := [name for name, state in self._states().items() if state is not State.DONE]:
            raise failure(self.run, bad, what=f"'{self.name}' of ")

    def cancel(self) -> list[str]:
        """Stop it; return the jobs that had not ended."""
        return self.run.cancel(self.name)

    def retry(self) -> list[str]:
        """Try it once more; return the jobs that are tried, with the skipped ones below them."""
        return self.run.retry(self.name)


class RunJob(Part):
    """A job of a run, as it stands: its last attempt, unless it waits to be tried again. Times are by the clock of this place.

    >>> from hybridnb import Workflow
    >>> workflow = Workflow("tell.yaml")
    >>> _ = workflow.add("tell", exec="echo $word; echo '# hybridnb progress=100 loss=0.5'", params={"word": "hi"})
    >>> job = workflow.run()["tell"].wait(60)
    >>> job.state, job.host, job.params, job.metrics, job.log().splitlines()[0]
    (<State.DONE: 'done'>, 'local', {'word': 'hi'}, {'loss': 0.5}, 'hi')
    """

    def __repr__(self) -> str:
        return honest("RunJob", lambda: f"{self.name!r}, {self.state}, run {self.run.id}")

    @property
    def _told(self) -> dict[str, Any]:
        with self._present.store() as opened:
            opened.run.job(self.name)
            return opened.job_status(self.name)

    @property
    def state(self) -> State:
        return State(self._told["state"])

    @property
    def host(self) -> str:
        """The host that it goes to, or that its last attempt went to."""
        return str(self._told["host"])

    @property
    def attempt(self) -> int:
        """The number of its last attempt, from 1; 0 before the first."""
        return int(self._told["attempt"])

    @property
    def exit_code(self) -> int | None:
        code: int | None = self._told["exit_code"]
        return code

    @property
    def native_id(self) -> str | None:
        """What the host calls it: the number of a process, or of Slurm's job."""
        native_id: str | None = self._told["native_id"]
        return native_id

    @property
    def reason(self) -> str:
        """Why it is in this state, such as "exit code 3" or "PENDING: Resources"; "" when there is nothing to say."""
        return str(self._told["reason"])

    @property
    def progress(self) -> float | None:
        """How far it is, in percent, as its script said last."""
        progress: float | None = self._told["progress"]
        return progress

    @property
    def metrics(self) -> dict[str, Any]:
        """The other values that its script told in lines such as `# hybridnb progress=40 loss=0.31`."""
        return dict(self._told["metrics"])

    @property
    def params(self) -> dict[str, Any]:
        with self._present.store() as opened:
            return dict(opened.run.job(self.name).params)

    @property
    def submitted_at(self) -> datetime | None:
        return moment(self._told["submitted_at"])

    @property
    def started_at(self) -> datetime | None:
        return moment(self._told["started_at"])

    @property
    def ended_at(self) -> datetime | None:
        return moment(self._told["ended_at"])

    @property
    def elapsed(self) -> float | None:
        """How many seconds it took, or takes so far; None before it started."""
        told = self._told
        start, end = moment(told["started_at"]), moment(told["ended_at"])
        return ((end or datetime.now().astimezone()) - start).total_seconds() if start else None

    @property
    def folder(self) -> Path | None:
        """The folder of its last attempt in the run, with script, out and err; None before the first."""
        log = self._told["log"]
        return Path(log).parent if log else None

    @property
    def outputs(self) -> list[Path]:
        """The files that its last attempt left as outputs, in the workflow's folder; names that lead out of it are left out."""
        with self._present.store() as opened:
            last = opened.run.attempt(self.name) if self._told["log"] else None
            found = last.files.get("outputs", {}) if last else {}
            home = Path(opened.run.folder)
        inside = (name for name, about in found.items() if not about.get("missing") and not os.path.isabs(name))
        return [home / name for name in inside if ".." not in Path(name).parts]

    def log(self, stream: str = "out", *, attempt: int | None = None) -> Log:
        """Return what it wrote to standard output ("out") or standard error ("err"), by default in its last attempt.

        Raises NotFound for an attempt that there is not, CallError for another stream, StoreError when the file cannot be read.
        """
        with self._present.store() as opened:
            if attempt is not None and opened.run.attempt(opened.run.job(self.name).name, attempt) is None:
                made = show.number(len(opened.run.attempts.get(self.name, ())), "attempt")
                raise NotFound(f"'{self.name}' has no attempt {attempt}; there {'is' if made == '1 attempt' else 'are'} {made}")
        return whole_log(self.run.folder, self.name, stream=stream, attempt=attempt)


class RunGroup(Part, Named[RunJob]):
    """The jobs of a sweep in a run, by their names; what is asked of all is told by their names, too.

    >>> from hybridnb import Workflow
    >>> workflow = Workflow("sweep.yaml")
    >>> _ = workflow.add("try", exec="echo $lr", sweep={"lr": [0.1, 0.01]})
    >>> group = workflow.run(wait=True)["try"]
    >>> group.params
    {'try-lr=0.1': {'lr': 0.1}, 'try-lr=0.01': {'lr': 0.01}}
    >>> {name: log.strip() for name, log in group.log().items()}
    {'try-lr=0.1': '0.1', 'try-lr=0.01': '0.01'}
    """

    __hash__ = Part.__hash__

    def __repr__(self) -> str:
        return honest("RunGroup", lambda: f"{self.name!r}, {told(self.state, self.counts)}, run {self.run.id}")

    def __eq__(self, other: object) -> bool:
        return Part.__eq__(self, other)

    @property
    def jobs(self) -> Mapping[str, RunJob]:
        """Its jobs by their names."""
        return {name: RunJob(self.run, self._present, name) for name in self._names()}

    def __getitem__(self, name: str) -> RunJob:
        jobs = self.jobs
        if name not in jobs:
            raise NotFound(f"'{self.name}' has no job '{name}'{did_you_mean(name, jobs)}")
        return jobs[name]

    @property
    def state(self) -> State:
        """Failed when a job failed or is lost, done when all ended well."""
        with self._present.store() as opened:
            jobs = {name: opened.run.jobs[name] for name in self._names()}
            return past.Run(jobs=jobs, counts=Counter(opened.run.states[name] for name in jobs)).state

    @property
    def counts(self) -> dict[State, int]:
        """How many of its jobs are in each state."""
        return counted(self._states())

    @property
    def params(self) -> dict[str, dict[str, Any]]:
        """The params of each of its jobs; pandas.DataFrame.from_dict(…, orient="index") makes a table of them."""
        return {name: job.params for name, job in self.jobs.items()}

    @property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """The metrics that each of its jobs has told."""
        return {name: job.metrics for name, job in self.jobs.items()}

    @property
    def elapsed(self) -> dict[str, float | None]:
        """How many seconds each of its jobs took, or takes so far; None before it started."""
        return {name: job.elapsed for name, job in self.jobs.items()}

    @property
    def outputs(self) -> dict[str, list[Path]]:
        """The files that each of its jobs left as outputs."""
        return {name: job.outputs for name, job in self.jobs.items()}

    def log(self, stream: str = "out") -> dict[str, Log]:
        """Return what each of its jobs wrote in its last attempt; see RunJob.log."""
        return {name: job.log(stream) for name, job in self.jobs.items()}


def counted(states: Mapping[str, State]) -> dict[State, int]:
    """Count the jobs in each state."""
    counts = Counter(states.values())
    return {state: counts[state] for state in map(State, show.SIGNS) if counts[state]}


def told(state: State, counts: Mapping[State, int]) -> str:
    """Say how it stands: "running: 5 done, 3 queued"."""
    return f"{state}: {_list(counts)}" if counts else str(state)


def _list(counts: Mapping[State, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def moment(at: str | None) -> datetime | None:
    """Read a time of a record, if there is one, as local time."""
    return show.moment(at) if at else None


# -- what did not end well ------------------------------------------------------------------------------------------------
def failure(run: Run, bad: Iterable[str], *, what: str = "") -> RunFailed:
    """Say what became of jobs that are not done: why, with their last lines, and how to try again."""
    status, word = run.status(), _word(run)
    jobs = {name: status["jobs"][name] for name in bad if name in status["jobs"]}
    known = {**status, "run": word, "jobs": jobs}
    states = [State(job["state"]) for job in jobs.values()]
    with closing(Client()) as client:
        lines = list(logs.failures(client, known)) or list(dict.fromkeys(job["reason"] for job in jobs.values() if job["reason"]))
    head = f"{what}run {run.id} of {run.name} {_verdict({*states})} ({_list(run.counts)})"
    failed = sum(state in _BAD for state in states)
    step = Step(
        logs.step(failed, status=f"hybridnb status {word}", retry=f"hybridnb retry {word}"),
        logs.step(failed, status="%workflow status", retry="%workflow retry"),
    )
    return RunFailed("\n".join([head, *lines, "", logs.record(known)]), run=run.id, jobs=jobs, step=step)


def _verdict(states: set[State]) -> str:
    if states & _BAD:
        return "failed"
    words = {State.CANCELLED: "was cancelled", State.SKIPPED: "was skipped"}
    return next((word for state, word in words.items() if state in states), "goes on again")


def _word(run: Run) -> str:
    """Return what names the run on a command line: its id, or its folder where the id leads elsewhere."""
    try:
        return run.id if store.find(run.id).samefile(run.folder) else str(run.folder)
    except NotFound:
        return str(run.folder)
