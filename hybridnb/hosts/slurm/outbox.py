"""Attempts on their way to sbatch: which wait, in what units they go, and how many Slurm takes at once."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from . import dialect as slurm
from .dialect import Answer, Refusal
from .ticket import Ticket
from .unit import LARGEST, gather, order


class Outbox:
    """Parents come before their children, always. Whatever is not in Slurm's hands for certain stays in `waiting`."""

    def __init__(self) -> None:
        self.waiting: dict[str, Ticket] = {}
        self._units: dict[str, dict[str, Ticket]] = {}  # by token and key, as the host told
        self._array = self._largest = LARGEST  # tasks of an array: what may be tried now, what the site allows
        self._full: set[object] = set()  # kinds of which Slurm took no more
        self._before: tuple[int, int] | None = None

    def learn(self, config: Mapping[str, str]) -> None:
        """Take the site's limit of arrays in: the highest index is one less."""
        if size := config.get("MaxArraySize", ""):
            self._array = self._largest = max(1, min(LARGEST, int(size) - 1))

    def begin(self) -> None:
        """Begin to hand over."""
        self._before = None

    def request(self, room: int, *, backoff: int) -> str:
        """Write the next request, for at most so many attempts; "" when nothing may go, or nothing has come of the one before."""
        before, self._before = self._before, (len(self.waiting), self._array)
        if before == self._before:
            return ""
        if before and before[1] == self._array:
            self._array = min(2 * self._array, self._largest)
            self._before = (len(self.waiting), self._array)
        units = gather(islice(self.waiting.values(), room), largest=self._array, full=self._full)
        return "".join(order(unit, backoff=backoff) for unit in units)

    def add(self, ticket: Ticket) -> None:
        self.waiting[ticket.key] = ticket

    def drop(self, ticket: Ticket) -> None:
        """It ended, or is to be forgotten."""
        self.waiting.pop(ticket.key, None)
        self._units.get(ticket.unit, {}).pop(ticket.key, None)

    def join(self, ticket: Ticket, token: str, index: int) -> None:
        """It belongs to that unit."""
        ticket.unit, ticket.index = token, index
        self._units.setdefault(token, {})[ticket.key] = ticket

    def enter(self, token: str, number: str, *, array: bool) -> None:
        """Slurm has a unit."""
        for ticket in self._units.get(token, {}).values():
            ticket.enter(number, array=array)
            self._full.discard(ticket.kind)
            self.waiting.pop(ticket.key, None)

    def defer(self, answer: Answer) -> list[Ticket]:
        """Slurm has not, and the answer says why; return those that it never will have."""
        tickets = list(self._units.get(answer.words[0], {}).values())
        meaning = slurm.refusal(answer.text) if answer.verb == "refused" else Refusal.LATER
        if meaning is Refusal.FINAL:
            return tickets
        if meaning is Refusal.LIMIT:
            self._full.update(t.kind for t in tickets)
            self._array = max(1, min(self._array, len(tickets) // 2))
        for ticket in tickets if meaning is Refusal.LATER or len(tickets) == 1 else ():
            ticket.wait(f"not submitted yet: {slurm.said(answer.text)}")
        return []
