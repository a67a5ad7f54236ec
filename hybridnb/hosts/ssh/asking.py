"""A link's questions, for as long as somebody wants the link."""

from __future__ import annotations

import threading
from contextlib import suppress

from ...errors import NotFound, Refused, Unreachable
from ..questions import Questions


class Asking:
    """Asks for one host, until it is given up; then no question of its stays open."""

    def __init__(self, host: str, questions: Questions) -> None:
        self.host = host
        self._questions = questions
        self._up = threading.Event()

    @property
    def wanted(self) -> bool:
        """Is the link still wanted?"""
        return not self._up.is_set()

    def ask(self, text: str, *, hidden: bool = True, choices: tuple[str, ...] = ()) -> str:
        """Wait for a person's answer; raise Refused when there is none, Unreachable when it is not wanted any more."""
        self.check()
        try:
            return self._questions.ask(self.host, text, hidden=hidden, choices=choices)
        except Refused:
            self.check()
            raise

    def check(self) -> None:
        """Raise Unreachable when the link is not wanted any more."""
        if not self.wanted:
            raise Unreachable(f"host '{self.host}': the connection was given up")

    def begin(self) -> None:
        """Want it, again."""
        self._up.clear()

    def give_up(self) -> None:
        """Want it no more: withdraw what is asked."""
        self._up.set()
        for question in self._questions.open():
            if question.host == self.host:
                with suppress(NotFound):  # somebody answers just now
                    self._questions.answer(question.id, None)
