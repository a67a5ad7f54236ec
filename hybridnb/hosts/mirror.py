"""The logs of attempts on a far host, as they grow, in the run's folder at home."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

from . import collect
from .transport import Transport

_LOOKS = (1.0, 10.0)  # seconds between looks: while something grows, and at most
_YOUNG = 1.0  # seconds in which nobody asks for a log: what a short job wrote comes whole, at its end
_AT_ONCE = 200  # logs that one look follows
_CREATE: int = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)  # Windows changes line ends otherwise


@dataclass(slots=True)
class _Log:
    home: str
    offset: int
    ended: bool = False  # what is there now is all
    since: float = field(default_factory=time.monotonic)


class Mirror:
    """Follows what runs, and completes what has ended. Places are those of collect.py, homes the attempts' folders at home."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._logs: dict[tuple[str, str], _Log] = {}
        self._looked = 0.0
        self._wait = _LOOKS[0]

    def __repr__(self) -> str:
        return f"Mirror({self._transport!r}, logs={len(self._logs)})"

    @property
    def idle(self) -> bool:
        """Is there nothing to follow?"""
        return not self._logs

    def completing(self, run: str) -> bool:
        """Are logs of attempts of a run that have ended still to come? From any thread."""
        return any(log.ended and place.startswith(f"{run}/") for (place, _), log in list(self._logs.items()))

    def watch(self, place: str, home: str) -> None:
        """Follow the logs of an attempt that runs, from where they were left."""
        for log in collect.LOGS:
            self._logs.setdefault((place, log), _Log(f"{home}/{log}", _size(f"{home}/{log}")))
        self._wait = _LOOKS[0]

    def complete(self, base: str, homes: Mapping[str, str]) -> dict[tuple[str, str], float]:
        """Bring the files of attempts that have ended, place -> home; return when each was written, by (place, name).

        A large log goes on coming by pieces.
        """
        changed: dict[tuple[str, str], float] = {}
        large: set[tuple[str, str]] = set()
        for kept in collect.whole(self._transport, base, list(homes)):
            which = kept.place, kept.name
            if kept.text is None:
                large.add(which)
            else:
                _write(f"{homes[kept.place]}/{kept.name}", kept.text, whole=True)
                changed[which] = kept.changed
        begun = {(place, log) for place in homes if (place, "claim") in changed for log in collect.LOGS}
        expected = (begun | large) - changed.keys()
        for place, home in homes.items():
            for name in collect.FILES:
                self._logs.pop((place, name), None)
                if (place, name) in expected:
                    self._logs[place, name] = _Log(f"{home}/{name}", _size(f"{home}/{name}"), ended=True)
                    self._wait = _LOOKS[0]
        return changed

    def look(self, base: str) -> None:
        """Bring what is new, if it is time: one conversation, however many logs there are."""
        now = time.monotonic()
        ripe = (pair for pair in self._logs.items() if pair[1].ended or now - pair[1].since >= _YOUNG)
        if now - self._looked < self._wait or not (chosen := dict(islice(ripe, _AT_ONCE))):
            return
        new = collect.grown(self._transport, base, {which: log.offset for which, log in chosen.items()})
        for which, log in chosen.items():
            text = new.get(which, b"")
            if text:
                _write(log.home, text, offset=log.offset)
            log.offset += len(text)
            del self._logs[which]
            if text or not log.ended:
                self._logs[which] = log  # at the end of the line, so that all have their turn
        self._looked = time.monotonic()
        behind = any(len(text) >= collect.PIECE for text in new.values())
        self._wait = 0.0 if behind else _LOOKS[0] if new else min(max(1.5 * self._wait, _LOOKS[0]), _LOOKS[1])


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _write(path: str, text: bytes, *, offset: int = 0, whole: bool = False) -> None:
    """Write a piece of a file; whoever reads it meanwhile finds what was there unchanged."""
    fd = _opened(path)
    try:
        if offset:
            os.lseek(fd, offset, os.SEEK_SET)
        view = memoryview(text)
        while view:
            view = view[os.write(fd, view) :]
        if whole and os.fstat(fd).st_size > len(text):
            os.ftruncate(fd, len(text))  # a script may have cut its own log
    finally:
        os.close(fd)


def _opened(path: str) -> int:
    """Open a file to be written. Its folder is mostly there: thousands come at once, and to ask for it each time costs as much as the file."""
    try:
        return os.open(path, _CREATE, 0o644)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, _CREATE, 0o644)
