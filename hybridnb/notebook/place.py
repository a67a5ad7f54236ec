"""Which notebook a kernel belongs to, and the cells that its file holds; the file may be older than what is on the screen."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUFFIX = ".ipynb"
SIZE = 200_000_000  # bytes; a larger notebook is not read to find a cell
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # of a cell in a notebook's file
_JOB = re.compile(r"\s*%%job[ \t]+(?P<line>[^\n]*)")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its id ('' where the front end tells none), what is in it, and where it stands in the notebook (0: not known)."""

    id: str
    source: str
    number: int = 0

    @classmethod
    def of(cls, id: object, source: object) -> Cell:
        """Take what a front end tells of a cell. An id that stands in no notebook's file is none: VS Code's are other ones each day."""
        return cls(id if isinstance(id, str) and _ID.fullmatch(id) else "", source if isinstance(source, str) else "")

    @property
    def records(self) -> bool:
        """Is it one that records a job?"""
        return self.source.lstrip().startswith("%%job")

    @property
    def first(self) -> str:
        """Its first line, not too long."""
        line = self.source.strip().split("\n", 1)[0]
        return line if len(line) <= 60 else f"{line[:57]}..."

    def body(self, handed: str) -> str:
        """Return what stands below its first line as it was written; IPython hands it over without the blanks of empty lines.

        A magic that was called with another text, as from a loop, gets that.
        """
        written = self.source.lstrip().partition("\n")[2]
        written += "" if written.endswith("\n") else "\n"
        return written if self.records and _without_blanks(written) == _without_blanks(handed) else handed

    def names(self, job: str) -> bool:
        """Does it record a job of this name, or one without a name of its own?"""
        found = _JOB.match(self.source)
        words = found["line"].split() if found else []
        return found is not None and (len(words) < 2 or words[1].startswith("-") or job in words[1:])


def _without_blanks(text: str) -> list[str]:
    return [line.rstrip("\r") if line.strip() else "" for line in text.rstrip().split("\n")]


class Notebook:
    """A notebook's file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._cells: list[Cell] = []

    def __repr__(self) -> str:
        return f"Notebook({str(self.path)!r})"

    @property
    def saved_at(self) -> float:
        """When the file was written, in seconds since the epoch; 0 when there is none."""
        try:
            return self.path.stat().st_mtime
        except OSError:
            return 0.0

    def cells(self) -> list[Cell]:
        """Return the code cells as they were saved last; none when the file cannot be read."""
        try:
            info = self.path.stat()
            if self._stamp != (stamp := (info.st_mtime_ns, info.st_size)) and info.st_size <= SIZE:
                self._cells, self._stamp = _cells(json.loads(self.path.read_bytes())), stamp
        except (OSError, ValueError):
            self._cells, self._stamp = [], None
        return self._cells

    def cell(self, id: str) -> Cell | None:
        """Return the saved cell of this id."""
        return next((cell for cell in self.cells() if cell.id == id), None) if id else None

    def holds(self, source: str) -> bool:
        """Is there a saved cell of this text?"""
        wanted = source.strip()
        return any(cell.source.strip() == wanted for cell in self.cells())

    def recording(self, job: str) -> Cell | None:
        """Return a saved cell that names this job in its first line."""
        return next((c for c in self.cells() if (m := _JOB.match(c.source)) and job in m["line"].split()[1:2]), None)


def _cells(data: Any) -> list[Cell]:
    cells = data.get("cells") if isinstance(data, dict) else None
    found = []
    for number, cell in enumerate(cells if isinstance(cells, list) else [], 1):
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            source = cell.get("source", "")
            text = "".join(map(str, source)) if isinstance(source, list) else str(source)
            found.append(Cell(str(cell.get("id", "")), text, number))
    return found


def find(namespace: Mapping[str, Any], *, source: str = "") -> Notebook | None:
    """Find the notebook of this kernel: as Jupyter, VS Code or papermill tell it, as the program was called that started the kernel,
    or as the only one here that holds this cell.
    """
    told = (os.environ.get("JPY_SESSION_NAME"), namespace.get("__vsc_ipynb_file__"), namespace.get("PAPERMILL_INPUT_PATH"))
    for word in told:
        if isinstance(word, str) and word.endswith(SUFFIX):
            return Notebook(Path(word).absolute())
    return _called(source) or (_holding(Path.cwd().glob(f"*{SUFFIX}"), source) if source else None)


def _called(source: str) -> Notebook | None:
    """Look how nbconvert, papermill or `jupyter execute` was called: with notebooks, or with one and what it is to become."""
    books = [Notebook(path) for path in _words_of_parent() if path.suffix == SUFFIX and path.is_file()]
    if source:
        return next((book for book in books if book.holds(source)), None)
    return books[0] if len(books) == 1 else None


def _words_of_parent() -> list[Path]:
    """Return the words behind the name of the program that started this kernel, as paths."""
    if "JPY_PARENT_PID" not in os.environ:
        return []
    import psutil  # which ipykernel needs, too

    try:
        parent = psutil.Process(int(os.environ["JPY_PARENT_PID"]))
        folder = Path(parent.cwd())
        return [folder / word for word in parent.cmdline()[1:]]
    except (ValueError, psutil.Error):
        return []


def _holding(paths: Iterable[Path], source: str) -> Notebook | None:
    """Other programs tell no path; but the cell that they run is in the file that they read."""
    found = [book for book in map(Notebook, sorted(paths)) if book.holds(source)]
    return found[0] if len(found) == 1 else None
