"""A run as its folder tells it, for what is on the screen: taken in now and then, and asked by several threads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import view
from ..api.present import Present
from ..model import Job, Workflow
from ..run import Run, State
from ..show import FINAL

TAIL = 4096  # bytes of a log that are looked at for its last lines
LINES = 8


class Reading(Present):
    """Takes the journal in when it is told to; between that, the answers stay as they are."""

    @property
    def run(self) -> Run:
        """The run, as of the last `refresh`."""
        return self._store.run

    def jobs(self) -> dict[str, Job]:
        """Return its jobs, as of the last `refresh`."""
        with self._lock:
            return dict(self.run.jobs)

    def wanted(self, names: Iterable[str]) -> dict[str, Job]:
        """Return these of its jobs as they are to be once their hosts have let go of what was changed, as of the last `refresh`."""
        with self._lock:
            jobs, pending = self.run.jobs, self.run.pending
            return {name: pending.get(name) or jobs[name] for name in names if name in jobs}

    def states(self, names: Iterable[str] | None = None) -> dict[str, State]:
        """Return the states of these jobs, or of all, as of the last `refresh`."""
        with self._lock:
            states = self.run.states
            return {name: states[name] for name in (self.run.jobs if names is None else names) if name in states}

    def workflow(self) -> Workflow:
        """Return what it runs, as of the last `refresh`."""
        with self._lock:
            return self.run.workflow

    def refresh(self) -> bool:
        """Take in what is new; is there anything? Raises NotFound when the run is gone, StoreError when it is damaged."""
        before = self.since
        with self.store():
            return self.since != before

    def upto(self, number: int) -> dict[str, str]:
        """Return the states as they were after the record of this number."""
        run = Run()
        for record in view.Tail(self.folder).read(upto=number):
            run.apply(record)
        return {name: state.value for name, state in run.states.items()}

    def job(self, name: str) -> dict[str, Any]:
        """Return one job's status, as of the last `refresh`; raise NotFound when there is no such job."""
        with self._lock:
            self.run.job(name)
            return self._store.job_status(name)

    def told(self) -> dict[str, Any]:
        """Return the status of all, as clients tell it."""
        with self._lock:
            return {**self._store.status(), "problems": {}}

    def log(self, name: str, status: dict[str, Any]) -> tuple[str, ...]:
        """Return the last lines that a job wrote: to standard error if it failed and wrote there, else to standard output."""
        if not status["log"]:
            return ()
        for stream in ("err", "out") if status["state"] in ("failed", "lost") else ("out",):
            piece, _ = view.log(self.folder, name, stream=stream, attempt=status["attempt"], offset=-TAIL)
            if lines := [line for line in piece.decode(errors="replace").splitlines() if line.strip()]:
                return tuple(lines[-LINES:])
        return ()

    def outputs(self, name: str) -> dict[str, Any]:
        """Return the files that the last attempt recorded: {path: {"size", "sha256"}}."""
        with self._lock:
            last = self.run.attempt(name)
            return dict(last.files.get("outputs", {})) if last else {}


def final(state: str) -> bool:
    """Is this the word of a state in which a job has ended?"""
    return state in FINAL
