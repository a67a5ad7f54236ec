"""When a Slurm host is looked at, its controller asked, and what it refused tried again: seldom while nothing happens."""

from __future__ import annotations

from collections.abc import Callable

_OFTEN, _SELDOM = 0.3, 30.0  # seconds between two looks at the events, which cost Slurm nothing
_ASK, _ASK_SELDOM = 2.0, 60.0  # seconds between two calls of squeue
_WATCHED, _ASK_WATCHED = 0.6, 5.0  # seconds, the most of each, while a person looks
_SOON = 0.5  # seconds until squeue is called once more when a script has ended: Slurm's last word comes a moment later
_SHARE = 5  # times as long as squeue takes: the least between two calls while a person waits for Slurm's word about an end
_TRY, _TRY_SELDOM = 2.0, 60.0  # seconds until what was refused for now is tried again
_LONG_AGO = -1e9


class Pace:
    """Knows what is due. What took a minute may be told a few seconds late, what took a day a minute late, and not more."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.watched = False  # is a person looking?
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Everything is due."""
        self._changed = self._clock()
        self._looked = self._asked = self._tried = _LONG_AGO
        self._question, self._pause = _ASK, _TRY
        self._took = _ASK

    def news(self) -> None:
        """Something happened, and what was refused may go now."""
        self._changed, self._pause = self._clock(), _TRY

    def hurry(self) -> None:
        """Look at once."""
        self._changed, self._looked = self._clock(), _LONG_AGO

    @property
    def look_due(self) -> bool:
        now = self._clock()
        longest = _WATCHED if self.watched else _SELDOM
        return now - self._looked >= min(max((now - self._changed) / 20, _OFTEN), longest)

    def looked(self, *, awaiting: bool = False) -> str:
        """A look begins, which may be `awaiting` the last word about an end; say when it calls squeue: "always", "never", or if it finds "ends"."""
        self._looked = self._clock()
        since = self._looked - self._asked
        ready = since >= (min(max(_SHARE * self._took, _OFTEN), _ASK) if self.watched else _ASK)
        return "always" if since >= self._question or (awaiting and ready) else "ends" if ready else "never"

    def asked(self, *, awaiting: bool) -> None:
        """The controller was asked; is its last word about an end still to come?"""
        now, before = self._clock(), self._asked
        self._asked, self._took = now, now - self._looked
        longest = _ASK_WATCHED if self.watched else _ASK_SELDOM
        self._question = _SOON if awaiting and now - before >= _ASK else min(max((now - self._changed) / 5, _ASK), longest)

    @property
    def try_due(self) -> bool:
        return self._clock() - self._tried >= self._pause

    def tried(self) -> None:
        self._tried = self._clock()
        self._pause = min(2 * self._pause, _TRY_SELDOM)
