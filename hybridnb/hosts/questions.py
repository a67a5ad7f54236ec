"""Questions that a host's login asks of a person: passwords, codes, passphrases, unknown host keys. Answers are never kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from ..errors import NotFound, Refused

_PATIENCE = 600.0  # seconds that a question waits for its answer


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: `text` as it is to be shown, `hidden` when the answer must not be seen."""

    id: int
    host: str
    text: str
    hidden: bool = True
    choices: tuple[str, ...] = ()  # the words that are accepted; () for any text


@dataclass(slots=True)
class _Open:
    question: Question
    given: threading.Event = field(default_factory=threading.Event)
    answer: str | None = None


class Questions:
    """The questions that are open now. Any thread may ask, any thread may answer."""

    def __init__(self) -> None:
        self.changed: Callable[[], None] = lambda: None
        self._open: dict[int, _Open] = {}
        self._ids = count(int(time.time() * 1000))  # one that was asked by another process is never answered here by mistake

    def __repr__(self) -> str:
        return f"Questions({[o.question for o in self._open.values()]})"

    def ask(self, host: str, text: str, *, hidden: bool = True, choices: tuple[str, ...] = (), timeout: float = _PATIENCE) -> str:
        """Wait for a person's answer; raise Refused when it is withheld, or does not come."""
        asked = _Open(Question(next(self._ids), host, text, hidden, choices))
        self._open[asked.question.id] = asked
        self.changed()
        try:
            asked.given.wait(timeout)
        finally:
            del self._open[asked.question.id]
            self.changed()
        if asked.answer is None:
            raise Refused(
                f"host '{host}': nobody answered its question '{text.strip()}'; try again by 'hybridnb hosts check {host}'"
            )
        return asked.answer

    def open(self) -> list[Question]:
        """Return what waits for an answer, the oldest first."""
        return [asked.question for asked in list(self._open.values())]

    def answer(self, id: int, text: str | None) -> None:
        """Answer a question, or withhold the answer by None; raise NotFound when it waits no more."""
        asked = self._open.get(id)
        if asked is None or asked.given.is_set():
            raise NotFound("this question waits for no answer any more")
        asked.answer = text
        asked.given.set()
