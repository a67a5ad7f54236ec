"""How many channels a host lets be open on one connection (MaxSessions): learnt when it refuses one more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from ...errors import Refused
from ..channel import Crowded

_SHORT, _LONG = 0.02, 1.0  # seconds between two tries: a place is free only when the program there has ended
_T = TypeVar("_T")


class Full(Exception):
    """The host opens no further channel now."""


class Sessions:
    """Counts the channels of one connection and makes those wait for which there is no place."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.limit: int | None = None  # None as long as it has not been met
        self._open = 0
        self._ever = False
        self._ended = 0
        self._changed = threading.Condition()

    def enter(self, start: Callable[[], _T], *, patience: float = 60.0) -> _T:
        """Return what `start` returns, as soon as it does not raise Full; raise Crowded when no place comes free for so many seconds."""
        seen, deadline, pause = self._ended, time.monotonic() + patience, _SHORT
        while True:
            with self._changed:
                self._wait(seen, pause)
                if self._ended != seen:
                    seen, deadline, pause = self._ended, time.monotonic() + patience, _SHORT
                self._open += 1
            try:
                started = start()
            except Full as full:
                self._refused(full)
                if time.monotonic() > deadline:
                    raise Crowded(
                        f"host '{self.host}' opens no more than {self.limit} sessions on a connection (MaxSessions), "
                        "and none of ours came to its end"
                    ) from full
                pause = min(2 * pause, _LONG)
            except BaseException:
                self._leave()
                raise
            else:
                self._ever = True
                return started

    def _wait(self, seen: int, pause: float) -> None:
        """Wait where the limit is reached; not for ever, since it may be more than what was learnt."""
        if self.limit is not None and self._ended == seen and (self._open >= self.limit or pause > _SHORT):
            self._changed.wait(_LONG if self._open >= self.limit else pause)

    def _refused(self, full: Full) -> None:
        self._leave()
        if not self._ever and not self._open:
            raise Refused(
                f"host '{self.host}' lets us in, but runs no programs ({full}); this account is for forwarding only"
            ) from full
        self.limit = max(1, self._open)

    def _leave(self) -> None:
        with self._changed:
            self._open -= 1

    def left(self) -> None:
        """Note that one has ended."""
        with self._changed:
            self._open -= 1
            self._ended += 1
            if self.limit is not None:
                self.limit = max(self.limit, self._open + 1)
            self._changed.notify_all()

    def wake(self) -> None:
        """Let those who wait try at once: they will find that the connection is gone."""
        with self._changed:
            self._ended += 1
            self._changed.notify_all()
