"""What jobs wrote: copied as it is, followed while it grows, and its last lines when they failed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import show, view
from .errors import NotFound
from .run import Run, State
from .watch import Watch, catch_up, why

if TYPE_CHECKING:
    from .client import Client, Here

Write = Callable[[bytes], object]

_PAUSE = 0.25  # seconds between looks at a log while other jobs tell much
FAILURES = 5  # so many failed jobs' logs are shown
_TAIL = (10, 4096)  # lines and bytes of such a log


def copy(
    client: Client | Here, folder: Path, job: str, *, stream: str, number: int | None, follow: bool, write: Write | None = None
) -> None:
    """Copy a job's log to standard output, byte for byte: of one attempt or of the last, with `follow` until the job ends."""
    watch, run = Watch(folder), str(folder)
    catch_up(watch, client, run)
    view.of_job(watch.run, job)
    copy = _Copy(client, run, job, stream, write or sys.stdout.buffer.write)
    if number is not None and watch.run.attempt(job, number) is None:
        raise NotFound(f"'{job}' has no attempt {number}; there {_are(len(watch.run.attempts.get(job, ())))}")
    copy.turn_to(watch.run, number)
    if not follow or watch.run.states[job].final:
        if not copy.copied:
            print(silence(job, watch.run.states[job], stream), file=sys.stderr)
        return
    for record in client.events(run, since=watch.seen):
        if record:
            watch.take(record)
        over = job not in watch.run.states or watch.run.states[job].final
        if over or not record or record.get("job") == job or copy.late:
            copy.go_on()
            if number is None:
                copy.turn_to(watch.run, None)
        if over:
            return


def silence(job: str, state: State, stream: str) -> str:
    """Say that there is nothing to copy, and where else to look."""
    wrote = f"'{job}' wrote nothing here" if state.final else f"'{job}' has written nothing here so far"
    other = "leave --err out" if stream == "err" else "add --err"
    return f"{wrote}; it is {state.value}. For what it wrote to standard {'output' if stream == 'err' else 'error'}, {other}"


def _are(attempts: int) -> str:
    return f"{'is' if attempts == 1 else 'are'} {show.number(attempts, 'attempt')}"


class _Copy:
    """Copies what is new in a log."""

    def __init__(self, client: Client | Here, run: str, job: str, stream: str, write: Write) -> None:
        self._client, self._run, self._job, self._stream, self._write = client, run, job, stream, write
        self._number: int | None = None
        self._offset = 0
        self._looked = 0.0
        self.copied = False

    @property
    def late(self) -> bool:
        """Is it time to look, though nothing tells that there is more?"""
        return time.monotonic() - self._looked > _PAUSE

    def turn_to(self, run: Run, number: int | None) -> None:
        """Go over to an attempt, by default the last, and say so when there are several."""
        attempts = run.attempts.get(self._job, [])
        if number is None:
            number = attempts[-1].number if attempts else None
        if number == self._number or number is None:
            return
        if len(attempts) > 1:
            print(f"{self._job}: attempt {number} of {len(attempts)}", file=sys.stderr, flush=True)
        self._number, self._offset = number, 0
        self.go_on()

    def go_on(self) -> None:
        """Copy what there is beyond what was copied."""
        self._looked = time.monotonic()
        while self._number is not None:
            piece, self._offset = self._client.log(
                self._run, self._job, stream=self._stream, attempt=self._number, offset=self._offset
            )
            if not piece:
                break
            self._write(piece)
            self.copied = True
        sys.stdout.flush()


def ending(client: Client | Here, told: Mapping[str, Any]) -> Iterator[str]:
    """Say why what failed did so, how to try again, and where the record is."""
    yield from failures(client, told)
    yield ""
    if bad := _bad(told):
        yield step(len(bad), status=f"hybridnb status {told['run']}", retry=f"hybridnb retry {told['run']}")
    yield record(told)


def failures(client: Client | Here, told: Mapping[str, Any]) -> Iterator[str]:
    """Say why what failed did so, of the first jobs that did."""
    for name in _bad(told)[:FAILURES]:
        yield from ("", *_failure(client, told["run"], name, told["jobs"][name]))


def step(failed: int, *, status: str, retry: str) -> str:
    """Say how many more failed than were told, and how to try again, in the commands of a face."""
    more = f"{show.number(failed - FAILURES, 'more job')} failed: {status}\n" if failed > FAILURES else ""
    return f"{more}try again: {retry}"


def record(told: Mapping[str, Any]) -> str:
    """Say where the record is."""
    return f"record: {show.plain(near(told['folder']))}"


def _bad(told: Mapping[str, Any]) -> list[str]:
    return [name for name, job in told["jobs"].items() if job["state"] in ("failed", "lost")]


def _failure(client: Client | Here, run: str, name: str, job: show.Status) -> Iterator[str]:
    """Say why a job failed, with the last lines that it wrote, on standard error if there."""
    head = f"{name} {job['state']}{why(job['reason'])}"
    for stream in ("err", "out") if job["log"] else ():
        piece, _ = client.log(run, name, stream=stream, offset=-_TAIL[1])
        if lines := [show.plain(line) for line in piece.decode(errors="replace").splitlines() if line.strip()]:
            yield f"{head}: last lines of {show.plain(near(str(Path(job['log']).with_name(stream))))}"
            yield from (f"    {line}" for line in lines[-_TAIL[0] :])
            return
    yield f"{head}: it wrote nothing" if job["log"] else head


def near(path: str) -> str:
    """Write a path shortly: relative when it is below this folder."""
    here = os.getcwd() + os.sep
    return path.removeprefix(here)
