"""Runs: what became of a workflow's jobs, and what can be done about it. Every question is answered by the run's own folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import run as past, show, store
from ..client import Client
from ..run import State
from .ending import Ending
from .job import RunGroup, RunJob, counted, failure, moment, told
from .named import Named
from .present import Present, draw, honest

Pathlike = str | os.PathLike[str]
_FINE = (State.DONE, State.SKIPPED)


def runs(file: Pathlike | None = None) -> list[Run]:
    """Return the runs of a workflow's file, or all of yours on this machine, the newest first.

    >>> from hybridnb import Workflow, runs
    >>> workflow = Workflow("listed.yaml")
    >>> _ = workflow.add("a", exec="true")
    >>> first, second = (workflow.run(wait=True) for _ in range(2))
    >>> runs("listed.yaml") == [second, first]
    True
    """
    return [Run(folder) for folder in (store.runs() if file is None else store.newest(Path(file)))]


class Run(Ending, Named["RunJob | RunGroup"]):
    """One execution of a workflow, in its folder. `run["train"]` is a job of it, or the jobs of a sweep of that name.

    Each answer is as the run stands at that moment; a run that is over, or nobody moves, answers too. NotFound is raised when the folder
    is gone, StoreError when it is damaged.

    >>> from hybridnb import Run, Workflow
    >>> workflow = Workflow("study.yaml")
    >>> _ = workflow.add("good", exec="echo fine")
    >>> _ = workflow.add("bad", exec="exit 3", after="good")
    >>> run = workflow.run().wait(60, check=False)
    >>> run.state, run["good"].state, run["bad"].exit_code
    (<State.FAILED: 'failed'>, <State.DONE: 'done'>, 3)
    >>> Run.find("study.yaml") == run
    True
    """

    def __init__(self, folder: Pathlike) -> None:
        """Take the run in a folder; `find` also knows ids and files."""
        self.folder: Path = Path(os.path.abspath(folder))
        self._present = Present(self.folder)

    @classmethod
    def find(cls, word: Pathlike) -> Run:
        """Find a run by its id, its folder, or as the last one of a workflow's file; raise NotFound with the nearest id."""
        return cls(store.find(os.fspath(word)))

    def __repr__(self) -> str:
        return honest("Run", lambda: f"{self.id!r}, {self.name}, {told(self.state, self.counts)}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.folder == other.folder

    def __hash__(self) -> int:
        return hash(self.folder)

    # -- what is known --------------------------------------------------------------------------------------------------
    @property
    def _run(self) -> past.Run:
        with self._present.store() as opened:
            return opened.run

    @property
    def id(self) -> str:
        """Its id, such as "2026-11-22-1015-k3f9"."""
        return self._present.id

    @property
    def name(self) -> str:
        """The workflow's name."""
        return self._run.workflow_name

    @property
    def file(self) -> Path:
        """The workflow's file, which may say something else by now; the run's folder has `workflow.yaml`, as it was."""
        return Path(self._run.source)

    @property
    def state(self) -> State:
        """Failed when a job failed or is lost, done when all ended well."""
        with self._present.store() as opened:
            return opened.run.state

    @property
    def ended(self) -> bool:
        """Has it ended, and is all that it left written?"""
        return self._run.ended_at is not None

    @property
    def counts(self) -> dict[State, int]:
        """How many jobs are in each state."""
        return counted(self._present.states())

    @property
    def created_at(self) -> datetime:
        """When it was begun, by the clock of this place."""
        return show.moment(self._run.created_at)

    @property
    def ended_at(self) -> datetime | None:
        """When it ended, by the clock of this place; None while it goes on."""
        return moment(self._run.ended_at)

    @property
    def jobs(self) -> Mapping[str, RunJob]:
        """Its jobs by their names, in the order of the file; the jobs of a sweep one by one."""
        with self._present.store() as opened:
            return {name: self._job(name) for name in opened.run.jobs}

    @property
    def params(self) -> dict[str, dict[str, Any]]:
        """The params of each job that has some."""
        with self._present.store() as opened:
            return {name: dict(job.params) for name, job in opened.run.jobs.items() if job.params}

    def __getitem__(self, name: str) -> RunJob | RunGroup:
        members = self._present.members(name)
        return self._job(name) if members == [name] else RunGroup(self, self._present, name)

    def _job(self, name: str) -> RunJob:
        return RunJob(self, self._present, name)

    def __contains__(self, name: object) -> bool:
        with self._present.store() as opened:
            return name in opened.run.jobs

    def __len__(self) -> int:
        with self._present.store() as opened:
            return len(opened.run.jobs)

    def status(self) -> dict[str, Any]:
        """Return all as plain data, with "problems": {host or run: why it does not move}."""
        with closing(Client()) as client:
            return client.status(str(self.folder))

    def svg(self, path: Pathlike | None = None, *, label: str = "{name}") -> str:
        """Draw the run as it stands, and write that to a file if a path is given.

        The label of a job may show {name} {state} {elapsed} {host} {progress} {attempt}. Raises CallError for anything else there, and
        when the file cannot be written.
        """
        with self._present.store() as opened:
            looks = {name: show.look(opened.job_status(name)) for name in opened.run.jobs}
            workflow = opened.run.workflow
        return draw(workflow, path, label=label, looks=looks)

    # -- what is done ---------------------------------------------------------------------------------------------------
    def cancel(self, *jobs: str) -> list[str]:
        """Stop the named jobs or sweeps, or all; return the jobs that had not ended. NotFound is raised for an unknown one."""
        with closing(Client()) as client:
            return client.cancel(str(self.folder), jobs or None)

    def retry(self, *jobs: str) -> list[str]:
        """Try once more the named jobs or sweeps, or all that did not end well; return them, with the skipped ones below them."""
        with closing(Client()) as client:
            return client.retry(str(self.folder), jobs or None)

    # -- the end --------------------------------------------------------------------------------------------------------
    @property
    def _place(self) -> Path:
        return self.folder

    def _over(self) -> bool:
        return self.ended

    def _check(self) -> None:
        if self.state is not State.DONE:
            bad = [name for name, state in self._present.states().items() if state not in _FINE]
            raise failure(self, bad)
