"""What can go wrong, as a small tree. Every message names the thing, the place and the next step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

Interrupt = TypeVar("Interrupt", bound=BaseException)


class Step(NamedTuple):
    """A next step, in the words of a shell and in those of a notebook's magics."""

    shell: str
    magic: str


class HybridnbError(Exception):
    """The base of all errors that hybridnb raises for a user to read. A `step` is told last, in the words of the face that tells it."""

    def __init__(self, message: str = "", *, step: Step | None = None) -> None:
        super().__init__(message)
        self.step = step
        self.by_magic = False  # is a magic the face?

    def __str__(self) -> str:
        message = super().__str__()
        if self.step is None:
            return message
        between = "\n" if "\n" in message else " "
        return f"{message}{between}{self.step.magic if self.by_magic else self.step.shell}"

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback, which would bury the words."""
        return [f"{type(self).__name__}: {self}"]


class CallError(HybridnbError):
    """A command, a magic or a function was called in a way that cannot mean anything."""


class NotFound(HybridnbError):
    """There is no such run, job, host or file."""


class Problem(NamedTuple):
    """One thing that is wrong in a definition, with its place: lines and columns count from 1, 0 means the whole file."""

    message: str
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part)
        return f"{place}: {self.message}" if place else self.message


class DefinitionError(HybridnbError):
    """A definition is wrong; `problems` holds everything that is, in the order of the file."""

    def __init__(self, problems: Iterable[Problem | str]) -> None:
        self.problems: tuple[Problem, ...] = tuple(Problem(p) if isinstance(p, str) else p for p in problems)
        super().__init__("\n".join(map(str, self.problems)))


class HostError(HybridnbError):
    """A host refused, or could not do, what was asked of it."""


class Unreachable(HostError):
    """A host cannot be reached now, or was lost on the way; another try may help."""


class Refused(HostError):
    """A host refused the login, or we refused the host: only a person can help."""


class Impossible(HostError):
    """What was asked of a host can never be done, however often it is tried."""


class StoreError(HybridnbError):
    """A run's folder cannot be read or written: full, read-only, damaged, gone. `run` is its id, where one is concerned."""

    def __init__(self, message: str, *, run: str = "") -> None:
        super().__init__(message)
        self.run = run


class RunBusy(StoreError):
    """Another process is moving this run forward; there is one writer at a time."""


class ServiceError(HybridnbError):
    """The service cannot be started, reached or understood."""


class RunFailed(HybridnbError):
    """A run, or a job of it, that was waited for did not end well: `run` is its id, `jobs` names what is not done."""

    def __init__(self, message: str, *, run: str = "", jobs: Iterable[str] = (), step: Step | None = None) -> None:
        super().__init__(message, step=step)
        self.run = run
        self.jobs: tuple[str, ...] = tuple(jobs)


class Conflict(HybridnbError):
    """Somebody else has changed what was to be written."""


def in_words(interrupt: Interrupt, words: str) -> Interrupt:
    """Give an interrupt words, which a notebook shows in place of a traceback.

    It stays the exception that it is, and of its class: by that, Python ends as one that was interrupted, and asyncio.timeout knows its own.
    """
    interrupt.args = (words,)
    interrupt.__dict__["_render_traceback_"] = lambda: [words]
    return interrupt


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'train'?" for the nearest of the known words, or ''."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
