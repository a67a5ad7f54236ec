"""What waits for what on one host, and what can never run any more."""

from __future__ import annotations

from enum import Enum

from ...model import Kind
from ...run import State
from ..attempts import Submission


class Outcome(Enum):
    """How a submission ended, for the edges from it."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"

    def dooms(self, kind: Kind) -> bool:
        """Can what waits for this kind of end never run?"""
        return kind is not Kind.ANY and kind.value != self.value


class Edges:
    """The edges of submissions, by keys."""

    def __init__(self) -> None:
        self._children: dict[str, list[str]] = {}
        self._outcomes: dict[str, Outcome] = {}

    def add(self, submission: Submission) -> None:
        for parent, _ in submission.after:
            self._children.setdefault(parent, []).append(submission.key)

    def end(self, key: str, what: State | str) -> list[str]:
        """Note an end; return what waits for it. What was withdrawn comes again under another key, and has no children then."""
        if what == "withdrawn":
            return []
        self._outcomes[key] = {State.DONE: Outcome.OK, State.SKIPPED: Outcome.SKIPPED}.get(State(what), Outcome.FAILED)
        return self._children.pop(key, [])

    def doomed(self, submission: Submission) -> bool:
        """Has a parent ended otherwise than asked?"""
        return any((end := self._outcomes.get(parent)) and end.dooms(edge.kind) for parent, edge in submission.after)

    def forget(self, key: str) -> None:
        self._outcomes.pop(key, None)
