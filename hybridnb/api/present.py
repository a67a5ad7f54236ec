"""A run as its folder tells it at this moment, whoever moves it, and also when nobody does."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import drawing, journal, sweep
from ..errors import CallError, NotFound
from ..model import Workflow
from ..run import Run, State
from ..store import Store
from ..view import LIMIT, Tail, log


SHOWN = 100_000  # characters of a log that a notebook shows by itself


class Present(Tail):
    """Takes in what is new in the journal before each answer; several threads may ask."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._lock = threading.RLock()
        self._store = Store(folder, Run())
        self._torn = (0, 0)  # size and time of a journal that was found to end in a torn line

    @property
    def id(self) -> str:
        """The run's id, which stays known when its folder goes."""
        if not self._store.run.id:
            with self.store():
                pass
        return self._store.run.id

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Lend the run as it stands; raise NotFound when it is gone, StoreError when it is damaged or cannot be read."""
        with self._lock:
            self._catch_up()
            yield self._store

    def members(self, word: str) -> list[str]:
        """Return the job of this name, or those of the sweep; raise NotFound with the nearest name."""
        with self.store() as opened:
            return sweep.members(opened.run.jobs, word, of=f"run {opened.run.id}")

    def states(self, names: Iterable[str] | None = None) -> dict[str, State]:
        """Return the states of these jobs, or of all, in the order of the run; a job that was taken out has none."""
        chosen = None if names is None else set(names)
        with self.store() as opened:
            states = opened.run.states
            return {name: states[name] for name in opened.run.jobs if chosen is None or name in chosen}

    def _catch_up(self) -> None:
        with self._open() as file:
            about = os.fstat(file.fileno())
        mark = (about.st_size, about.st_mtime_ns)
        if (about.st_size == self._offset or mark == self._torn) and self._store.run.id:
            return
        for record in self.read():
            self._store.run.apply(record)
        if self._offset < about.st_size:  # torn by whoever wrote it, or damaged, which is an error
            journal.read(self._path)
            self._torn = mark
        if not self._store.run.id:
            raise NotFound(f"{self.folder}: this run never began, its journal is empty; remove the folder, and run again")


class Log(str):
    """What a job wrote, as a text; a notebook shows it as it is, not as Python would write it, and of a very long one the end."""

    __slots__ = ()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002, FBT001  IPython calls it so
        if left := max(0, len(self) - SHOWN):
            printer.text(f"… {left:,} characters before this; print() shows all …\n")
        printer.text(str(self)[left:])


def whole_log(folder: Path, job: str, *, stream: str, attempt: int | None) -> Log:
    """Read all that an attempt wrote; bytes that are no UTF-8 become U+FFFD."""
    pieces: list[bytes] = []
    offset = 0
    while True:
        piece, offset = log(folder, job, stream=stream, attempt=attempt, offset=offset, limit=LIMIT)
        if not piece:
            return Log(b"".join(pieces).decode(errors="replace"))
        pieces.append(piece)


def draw(
    workflow: Workflow, path: str | os.PathLike[str] | None, *, label: str, looks: Mapping[str, drawing.Look] | None = None
) -> str:
    """Return a picture as SVG, and write it to the path, if there is one, in the format of its name; raise CallError when that cannot be."""
    text = drawing.draw(workflow, looks, label=label)
    if path is not None:
        fields = label if label != "{name}" else None  # which a text has no place for
        picture = drawing.figure(os.fspath(path), workflow, looks, label=fields)
        try:
            Path(path).write_bytes(picture)
        except OSError as error:
            raise CallError(f"{path}: cannot be written: {error.strerror}") from None
    return text


def honest(name: str, about: Callable[[], str]) -> str:
    """Write a repr, also of what cannot be read."""
    from ..errors import HybridnbError

    try:
        return f"{name}({about()})"
    except HybridnbError as error:
        return f"<{name}: {error}>"
