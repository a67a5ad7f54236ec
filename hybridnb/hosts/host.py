"""A host as the engine sees it: takes batches, tells what happened. Here: a transport with the dialect of plain hosts."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Protocol

from ..run import State, iso
from . import process
from .attempts import Report, Submission, spec
from .transport import File, Transport

_PROGRAMS = {name: Path(__file__).with_name(name).read_bytes() for name in ("runner.sh", "wrap.sh")}
_DIGEST = f"{zlib.crc32(b''.join(_PROGRAMS.values())):08x}"
_PORTION = 32  # attempts
_PATIENCE = {True: 2.0, False: 20.0}  # seconds between looks whether the runner lives, while it should: near and far


class Host(Protocol):
    """A place to run, as the engine needs it. Methods that speak to the host raise HostError."""

    name: str

    watched: bool  # is a person looking?

    @property
    def problem(self) -> str:
        """Why nothing moves there now, for a person; "" when all is well."""

    def limit(self, *, slots: int, grace: float) -> None:
        """Let so many attempts run at once, and so many seconds pass from the request to stop until the kill."""

    def submit(self, submissions: Sequence[Submission]) -> bool:
        """Hand attempts over; those that the host knows already are told of instead.

        Returns whether the host has them now, durably; if not yet, State.QUEUED is reported of each.
        """

    def cancel(self, keys: Iterable[str]) -> None:
        """Ask for attempts to be stopped, or never started."""

    def withdraw(self, keys: Iterable[str]) -> None:
        """Ask for attempts not to be started; "withdrawn" or "kept" comes back."""

    def hear(self) -> list[Report]:
        """Return what has come in since the last call, without waiting."""

    def tend(self) -> None:
        """Look after the host's side while attempts are unfinished; called often, does little."""

    def forget(self, keys: Iterable[str]) -> None:
        """Tell no more of these attempts; what they do goes on."""

    def facts(self) -> dict[str, object]:
        """Describe the machine."""

    def carries(self, run: str) -> bool:
        """Is something of a run whose jobs have ended still on its way home?"""

    def clean(self, run: str) -> int:
        """Remove what a run that has ended left there beside its folder at home; return how many bytes that freed."""

    def close(self) -> None:
        """Let go of the host; what runs there goes on."""


class Inner(Protocol):
    """What stands on the host: the queue of a scheduler, driven by one thread, which may wait for a round trip or two. See Host."""

    watched: bool

    @property
    def problem(self) -> str: ...
    def limit(self, *, slots: int, grace: float) -> None: ...
    def submit(self, submissions: Sequence[Submission]) -> bool: ...
    def cancel(self, keys: Iterable[str]) -> None: ...
    def withdraw(self, keys: Iterable[str]) -> None: ...
    def hear(self) -> list[Report]: ...
    def tend(self) -> None: ...
    def forget(self, keys: Iterable[str]) -> None: ...

    def reset(self) -> None:
        """Take nothing for granted: the connection is new."""


class PlainHost:
    """A machine without a scheduler of its own: our runner is its queue."""

    problem = ""
    watched = False  # whoever looks or not: what happens is heard at once

    def __init__(
        self,
        name: str,
        transport: Transport,
        *,
        directory: str,
        slots: int,
        wake: Callable[[], None],
        backoff: int = 1,
        grace: float = 10,
    ) -> None:
        self.name = name
        self.limit(slots=slots, grace=grace)
        self._transport = transport
        # a runner of an earlier version may live still: it ends what it has, and is asked for nothing that it does not know
        self._runner = f"{directory}/runner/{name}-{_DIGEST}"
        self._wake = wake
        self._backoff = backoff
        self._folders: dict[str, str] = {}  # of the submissions that we want to hear of
        self._asked: dict[str, str] = {}  # what asked for them
        self._unheard: set[str] = set()  # those whose end we have not heard
        self._lines: deque[str] = deque()
        self._following = False
        self._stale = False  # the connection is new: something may have been said that nobody heard
        self._prepared = False  # are the programs there?
        self._looked = 0.0

    def __repr__(self) -> str:
        return f"PlainHost({self.name!r}, {self._transport!r}, slots={self.slots})"

    def limit(self, *, slots: int, grace: float) -> None:
        """See Host. The runner is told with the next submission."""
        self.slots = slots
        self._grace = grace

    def submit(self, submissions: Sequence[Submission]) -> bool:
        """Write the attempts' folders and give the runner a batch; see Host."""
        self._follow()
        for portion in self._portions(submissions):
            self._folders.update((s.key, s.folder) for s in portion)
            asked = {s.key: process.add(s, backoff=self._backoff) for s in portion}
            batch = process.slots(self.slots) + self._parents(portion) + "".join(asked.values())
            self._hand_over(batch, files=self._files(portion))
            self._asked.update(asked)  # not before: `tend` must not ask for what has no files there yet
            self._unheard.update(asked)
        return True

    def cancel(self, keys: Iterable[str]) -> None:
        """See Host. The mark in the job's folder holds whoever comes to run it."""
        chosen = list(keys)
        marks = (File(f"{folder}/cancel", b"\n") for key in chosen if (folder := self._folders.get(key)))
        self._hand_over("".join(process.cancel(key, grace=self._grace) for key in chosen), files=marks)

    def withdraw(self, keys: Iterable[str]) -> None:
        """See Host."""
        self._hand_over("".join(map(process.withdraw, keys)))

    def hear(self) -> list[Report]:
        """Read the record's new lines; see Host."""
        reports = []
        while self._lines:
            said = process.parse(self._lines.popleft())
            if said and said.key in self._folders:
                if said.verb == "end":
                    self._unheard.discard(said.key)
                reports.append(self._report(said, self._folders[said.key]))
        return reports

    def tend(self) -> None:
        """Start a runner again that was killed, and ask for everything once more: its record may have gone with it."""
        if self._stale:
            self._follow()
        elif not self._unheard or time.monotonic() - self._looked < _PATIENCE[self._transport.near] or not self._hand_over(""):
            return
        self._hand_over("".join(line for key, line in self._asked.items() if key in self._unheard))
        self._stale = False

    def reset(self) -> None:
        """Take nothing for granted: the connection is new."""
        self._following = self._prepared = False
        self._stale = bool(self._unheard)

    def forget(self, keys: Iterable[str]) -> None:
        """See Host."""
        for key in keys:
            self._folders.pop(key, None)
            self._asked.pop(key, None)
            self._unheard.discard(key)

    def facts(self) -> dict[str, object]:
        """See Host."""
        return {"slots": self.slots, **self._transport.facts()}

    def carries(self, run: str) -> bool:  # noqa: ARG002
        """See Host."""
        return False

    def clean(self, run: str) -> int:  # noqa: ARG002
        """See Host: here everything is in the run's folder."""
        return 0

    def close(self) -> None:
        """See Host."""
        self._transport.close()
        self._following = False

    def _parents(self, portion: Sequence[Submission]) -> str:
        """Ask once more for parents that went before: the runner that ended them may have ended itself since, and knows them no more."""
        own = {s.key for s in portion}
        above = dict.fromkeys(key for s in portion for key, _ in s.after if key not in own)
        return "".join(self._asked[key] for key in above if key in self._asked)

    def _portions(self, submissions: Sequence[Submission]) -> Iterator[Sequence[Submission]]:
        """One portion where a conversation costs a round trip; nearby, growing ones, so that the first jobs run meanwhile."""
        start, size = 0, _PORTION if self._transport.near else len(submissions)
        while start < len(submissions):
            yield submissions[start : start + size]
            start, size = start + size, 3 * size

    def _follow(self) -> None:
        if not self._following:
            self._transport.follow(f"{self._runner}/record", None, hear=self._heard)
            self._following = True

    def _heard(self, line: str) -> None:
        self._lines.append(line)
        self._wake()

    def _hand_over(self, batch: str, *, files: Iterable[File] = ()) -> bool:
        """Give the runner a batch; return whether it had to be started."""
        self._looked = time.monotonic()
        name = f"{time.time_ns()}-{os.urandom(4).hex()}" if batch else ""
        needed = () if self._prepared else [File(f"{self._runner}/{program}", text) for program, text in _PROGRAMS.items()]
        words = (self._runner, str(self.slots), self._runner, name)
        told = self._transport.run(process.HAND_OVER, *words, input=batch.encode(), files=chain(needed, files))
        self._prepared = not self._transport.near  # nearby it costs nothing to look whether somebody removed them
        return bool(told)

    def _files(self, submissions: Iterable[Submission]) -> Iterator[File]:
        """Give what a new attempt needs. One that was there already and is not any more has been removed: it may have run, and is lost."""
        for s in (s for s in submissions if not s.known):
            attempt = f"{s.folder}/{s.attempt}"
            if s.job.params or (s.job.file or "").endswith(".ipynb"):
                yield File(f"{s.folder}/params.json", json.dumps(dict(s.job.params), ensure_ascii=False, indent=1).encode())
            yield File(f"{attempt}/script", s.script.encode(errors="surrogateescape"))
            yield File(f"{attempt}/spec", spec(s, grace=self._grace).encode(errors="surrogateescape"))

    def _report(self, said: process.Said, folder: str) -> Report:
        attempt = f"{folder}/{said.attempt}"
        match said.verb:
            case "start":
                return Report(said.key, said.attempt, State.RUNNING, self._time(f"{attempt}/claim"), native_id=str(said.code))
            case "fail" | "end":
                what, code, reason = process.judge(said.code, said.word)
                at = self._time(f"{attempt}/rc")
                return Report(said.key, said.attempt, what, at, exit_code=code, reason=reason, again=said.verb == "fail")
            case "retry":
                at = self._time(f"{folder}/{said.attempt - 1}/rc")
                return Report(said.key, said.attempt, "retry", at, reason=f"in {said.code} s" if said.code else "")
            case _:
                return Report(said.key, said.attempt, "kept", iso(time.time()))

    def _time(self, path: str) -> str:
        # far away it would cost a round trip each
        return iso((self._transport.near and self._transport.changed(path)) or time.time())
