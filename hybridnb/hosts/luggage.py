"""What jobs need and make, on its way: inputs to a host, logs and outputs home."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import Impossible
from ..run import State, iso
from . import files
from .attempts import Report, Submission
from .mirror import Mirror
from .reach import Reach
from .transport import Transport

Moved = Callable[[int, int], None]  # is told how many bytes have moved, of how many

_RECORDS = "*.runs"  # the folders of runs beside a workflow are no inputs, even of a job that wants all that is there
_LATE = 2.0  # seconds: what happened longer ago was not heard when it happened


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt in the hands of the host: as it has it, and as it was here."""

    there: Submission
    here: Submission


class Luggage:
    """Moves the files of the attempts that a host has in its hands, which are `held` by their keys."""

    def __init__(self, transport: Transport, reach: Reach, held: Mapping[str, Held]) -> None:
        self._transport = transport
        self._reach = reach
        self._held = held
        self._mirror = Mirror(transport)

    def __repr__(self) -> str:
        return f"Luggage({self._transport!r})"

    @property
    def runs(self) -> str:
        """The folder of all runs on the host."""
        return f"{self._reach.directory}/runs"

    @property
    def idle(self) -> bool:
        """Is no log to be followed?"""
        return self._mirror.idle

    def completing(self, run: str) -> bool:
        """Are logs of a run's ended attempts still on their way?"""
        return self._mirror.completing(run)

    def look(self) -> None:
        """Bring what is new in the logs, if it is time."""
        self._mirror.look(self.runs)

    def needing(self, submissions: Iterable[Submission]) -> list[Submission]:
        """Return those whose inputs must be brought; what the host had once is not changed under its hands."""
        return [] if self._transport.near else [s for s in submissions if s.job.inputs and not s.known]

    def send(self, submissions: Sequence[Submission], *, moved: Moved) -> None:
        """Bring inputs there, but for what another job of the run, unfinished here, is to make: that lies there or will."""
        run, folder = submissions[0].run, Path(submissions[0].work)
        held = [h.here for h in list(self._held.values()) if h.here.run == run]
        makers = {s.key: s.job.outputs for s in (*held, *submissions) if s.job.outputs}
        entries = {}
        for s in submissions:
            made_there = [output for key, outputs in makers.items() if key != s.key for output in outputs]
            entries.update({e.path: e for e in files.local_manifest(folder, s.job.inputs, without=[*made_there, _RECORDS])})
        files.send(self._transport, folder, f"{self.runs}/{run}/work", list(entries.values()), moved=moved)

    def refusal(self, submission: Submission) -> str:
        """Say why a job's inputs can never be sent, if that is so."""
        try:
            files.local_manifest(Path(submission.work), submission.job.inputs)
        except Impossible as error:
            return str(error)
        return ""

    def fetch(self, reports: Sequence[Report], *, moved: Moved) -> None:
        """Bring outputs home, to where a job on this machine would have left them."""
        held = [self._held[r.key] for r in reports if r.key in self._held]
        patterns = list(dict.fromkeys(output for h in held for output in h.here.job.outputs))
        if held:
            there, here = held[0].there, held[0].here
            staging = Path(here.folder).parent.parent / "incoming"
            files.fetch(self._transport, there.work, patterns, Path(here.work), staging=staging, moved=moved)

    def with_files(self, reports: Sequence[Report]) -> list[Report]:
        """Bring the files of what has ended; return the reports, with the times that those files tell where nobody listened."""
        for report in reports:
            if report.what is State.RUNNING:
                self._mirror.watch(self._place(report), self._home(report))
        ended = {self._place(r): self._home(r) for r in reports if isinstance(r.what, State) and r.what.final}
        changed = self._mirror.complete(self.runs, ended) if ended else {}
        return [self._timed(r, changed) for r in reports]

    def _timed(self, report: Report, changed: Mapping[tuple[str, str], float]) -> Report:
        at = changed.get((self._place(report), "claim" if report.what is State.RUNNING else "rc"))
        if at is None or time.time() - (at - self._reach.skew) < _LATE:
            return report
        return replace(report, at=iso(at - self._reach.skew))

    def _place(self, report: Report) -> str:
        there = self._held[report.key].there
        return f"{there.run}/{there.number}/{report.attempt}"

    def _home(self, report: Report) -> str:
        return f"{self._held[report.key].here.folder}/{report.attempt}"
