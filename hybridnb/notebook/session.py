"""What one kernel works on: its notebook, the current workflow, what is on the screen."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from ..api import Run
from ..client import Client
from ..errors import CallError, HybridnbError, NotFound, ServiceError, in_words
from ..hosts.config import Hosts
from ..model import Workflow
from ..view import summary
from . import ask, place, record
from .book import Book, members
from .canvas.eye import Eye
from .live import Live
from .meanwhile import WhileAway
from .reading import Reading, final
from .shown import RunCard

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .talk import Talk

_RUNS = 10  # so many of the newest are looked at for one that goes on
_LOOK = 0.5  # seconds between looks whether a host asks something, while a cell waits


class Session:
    """The state of the extension in one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.live = Live(shell)
        self.eye = Eye()
        self.talks: list[Talk] = []
        self.away: dict[Path, WhileAway] = {}  # what was told of runs to who came back
        self._books: dict[Path, Book] = {}
        self._newest: dict[Path, Path] = {}  # the newest run of each, as of the last look
        self._path: Path | None = None  # chosen by `open`
        self._notebook: place.Notebook | None = None
        self._sought = False  # has a cell been looked for in the notebooks here?
        self._cell = place.Cell("", "")
        self._folder = Path.cwd()  # a cell may change it later

    def __repr__(self) -> str:
        return f"Session({self.book!r})"

    # -- where we are ---------------------------------------------------------------------------------------------------
    def begin(self, info: Any) -> None:
        """Note which cell begins; see IPython's event `pre_run_cell`."""
        self._cell = place.Cell.of(getattr(info, "cell_id", None), getattr(info, "raw_cell", None))

    def end(self, _: Any = None) -> None:
        """Note how far the runs have been shown, and follow those that others began; see IPython's event `post_run_cell`."""
        for book in list(self._books.values()):
            with suppress(HybridnbError, OSError):  # what is wrong with a run is told where it is asked for
                self._look(book)

    def _look(self, book: Book) -> None:
        if (reading := book.latest) is None:
            return
        if self._newest.get(book.path) != reading.folder:
            self._newest[book.path] = reading.folder
            self.live.unsettle()
        if not reading.ended:
            self.live.follow(reading.folder)
        if self.live.follows(reading.folder):
            book.recorder.cells.show(reading.run.id, reading.since)

    @property
    def notebook(self) -> place.Notebook | None:
        """The notebook of this kernel, if it can be found. What the first cell that records a job finds is kept, also if it is none."""
        if self._notebook is None and not self._sought:
            self._sought = self._cell.records
            source = self._cell.source if self._cell.records and not self.on_terminal else ""
            self._notebook = place.find(self.shell.user_ns, source=source)
        return self._notebook

    @property
    def cell(self) -> place.Cell:
        """The cell that runs. Where the front end tells no id, the saved cell of the same text lends its own.

        A cell whose code records jobs, in a loop for instance, can record many: no job is the one of that cell.
        """
        if not self._cell.records:
            return place.Cell("", self._cell.source)
        if self._cell.id or self.notebook is None:
            return self._cell
        same = [cell for cell in self.notebook.cells() if cell.id and cell.source.strip() == self._cell.source.strip()]
        return same[0] if len(same) == 1 else self._cell

    @property
    def book(self) -> Book:
        """The current workflow."""
        notebook = self.notebook
        return self.book_of(self._path or (record.beside(notebook.path) if notebook else self._folder / "workflow.yaml"))

    def book_of(self, path: Path) -> Book:
        """Return the book of a workflow's file."""
        path = path.absolute()
        if path not in self._books:
            self._books[path] = Book(path, self.notebook, self.live)
        return self._books[path]

    def look(self, run: Run) -> tuple[Book, Reading]:
        """Return the book of a run, whose file lies beside it wherever both were copied to, and what reads it, followed if it goes on."""
        beside = run.folder.parent.with_suffix(run.file.suffix)
        book = self.book_of(beside if run.folder.parent.suffix == ".runs" and beside.is_file() else run.file)
        reading = self.live.reading(run.folder)
        if not reading.ended:
            self.live.follow(run.folder)
        return book, reading

    def require(self, host: str) -> None:
        """Raise NotFound for a host that is not described, with those that are and how to add one."""
        try:
            Hosts().known(host, self.book.path.parent)
        except NotFound as error:
            raise NotFound(f"{error}, or by 'hybridnb hosts add {host}'") from None

    def open(self, path: Path) -> Book:
        """Make another file the current workflow; it is begun by the first job."""
        try:
            path = self._folder / path.expanduser()
        except RuntimeError:
            raise CallError(f"{path}: there is no such user") from None
        if path.suffix not in (".yaml", ".yml"):
            raise CallError(f"{path}: a workflow's file ends in .yaml or .yml")
        if not path.parent.is_dir():
            raise CallError(f"{path}: there is no folder {path.parent}")
        book = self.book_of(path)
        _ = book.definition  # what is wrong with it is told now
        self._path = path
        return book

    @property
    def opened(self) -> bool:
        """Has a person chosen the current workflow by `open`?"""
        return self._path is not None

    # -- what can be typed, see complete.Source ----------------------------------------------------------------------------
    def hosts(self) -> dict[str, dict[str, Any]]:
        return Client().hosts(folder=self.book.path.parent)

    def workflow(self) -> Workflow:
        return self.book.definition

    def partitions(self, host: str) -> list[str]:
        return Client().partitions(host, folder=self.book.path.parent)

    @property
    def on_terminal(self) -> bool:
        """Is this IPython itself, without a kernel, whose displays stay as they are?"""
        return getattr(self.shell, "kernel", None) is None

    # -- waiting --------------------------------------------------------------------------------------------------------
    def wait(self, run: Run, names: Collection[str] = ()) -> None:
        """Wait until the run, or these jobs of it, have ended; raise RunFailed when they did not end well."""
        over = self.live.follow(run.folder)
        reading = self.live.reading(run.folder)
        try:
            if self.on_terminal:
                self._watch(run, until=lambda: _all_ended(reading, names))
            while not (over.wait(_LOOK) or _all_ended(reading, names)):
                if self.live.asked:
                    ask.attend(ask.prompt(self.shell, Client()), {job.host for job in reading.jobs().values()})
        except KeyboardInterrupt as error:
            told = f"interrupted: run {run.id} goes on. Look at it by '%workflow status', stop it by '%workflow cancel'"
            raise in_words(error, told) from None
        if not (reading.ended or _all_ended(reading, names)):  # nobody can tell any more how it goes
            raise ServiceError(
                self.live.problems.get(run.id) or f"run {run.id} cannot be followed; look at it by '%workflow status'"
            )
        self.live.draw()
        for name in names:
            run[name].wait(0)
        if not names:
            run.wait(0)

    def _watch(self, run: Run, until: Callable[[], bool]) -> None:
        """Show a run on the terminal until it ends, or what is waited for."""
        from .. import watch

        watching = watch.Live(run.folder, hint="Ctrl-C leaves the run going") if watch.redraws() else watch.Lines(run.folder)
        with watching:
            watch.follow(watching, _Heard(until), run.id)

    # -- coming back ----------------------------------------------------------------------------------------------------
    def reattach(self) -> list[RunCard]:
        """Follow what still runs; return cards that say what went on since anybody looked, of the newest run and of others that go on."""
        if self.notebook is None and not os.path.isfile(self.book.path):
            return []
        folders = self.book.folders()
        going = [folder for folder in folders[1:_RUNS] if (told := summary(folder))["created_at"] and not told["ended_at"]]
        return [self._came_back(folder) for folder in (*going[::-1], *folders[:1])]

    def left_behind(self) -> str:
        """Say where the workflow of a notebook is that was renamed; '' when its own is there, or none is known."""
        if self.notebook is None or os.path.isfile(self.book.path) or (file := record.left_behind(self.notebook)) is None:
            return ""
        told = f"{self.book.name} is not there, but {file.name} has jobs of this notebook's cells"
        return f"{told}: go on with it by '%workflow open {quote(file.name)}', or rename it and {file.stem}.runs as the notebook"

    def _came_back(self, folder: Path) -> RunCard:
        reading, cells = self.live.reading(folder), self.book.recorder.cells
        card = self.away[folder] = WhileAway(self.book, reading, seen=cells.seen(reading.run.id))
        if not reading.ended:
            self.live.follow(folder)
        cells.show(reading.run.id, reading.since)
        return card

    def close(self) -> None:
        """Let everything go on without this kernel."""
        self.eye.close()
        self.live.close()
        for book in self._books.values():
            if book.canvas:
                book.canvas.close()
                book.canvas = None


class _Heard(Client):
    """Tells of a run no longer than it is asked to."""

    def __init__(self, until: Callable[[], bool]) -> None:
        super().__init__()
        self._until = until

    def events(self, run: str, *, since: int = 0, live: bool = True) -> Iterator[dict[str, Any]]:
        for news in super().events(run, since=since, live=live):
            yield news
            if self._until():
                return


def _all_ended(reading: Reading, names: Collection[str]) -> bool:
    reading.refresh()
    jobs = [job for name in names for job in members(reading, name)]
    return bool(names) and all(final(state.value) for state in reading.states(jobs).values())
