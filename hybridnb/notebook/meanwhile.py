"""What went on while nobody looked: how a run differs from what was shown of it last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import show
from .book import Book
from .live import Bundle
from .reading import Reading
from .shown import RunCard, RunFacts, pinned

_MOST = 6  # jobs that are told one by one
_FIRST = ("failed", "lost", "running")


class WhileAway(RunCard):
    """A run as somebody finds it who comes back: with what became of its jobs since. That may come to light only now."""

    def __init__(self, book: Book, reading: Reading, *, seen: int) -> None:
        """Take the number of the last record that was shown, 0 for none."""
        super().__init__(book, reading, picture=False)
        self._before = reading.upto(seen) if seen else {}

    def bundle(self, facts: RunFacts) -> Bundle:
        return pinned(super().bundle(facts), away=True)

    def _facts(self, reading: Reading | None) -> RunFacts:
        self.note = self._news()
        return super()._facts(reading)

    def _news(self) -> str:
        reading = self.reading()
        states = {name: state.value for name, state in reading.states().items()}
        changed = [name for name, state in states.items() if state != self._before.get(name, "waiting")]
        pressing = sorted(changed, key=lambda name: states[name] not in _FIRST)
        told = [f"{name} {_ending(reading.job(name))}" for name in pressing[:_MOST]]
        more = f" and {len(changed) - len(told)} more" if len(changed) > len(told) else ""
        return f"since you last looked: {', '.join(told)}{more}" if told else ""


def _ending(job: Mapping[str, Any]) -> str:
    took = show.elapsed(job["started_at"], job["ended_at"]) if job["ended_at"] else ""
    why = job["reason"] if job["state"] != "done" else ""
    facts = ", ".join(filter(None, (why, took)))
    return f"{job['state']}{f' ({facts})' if facts else ''}"
