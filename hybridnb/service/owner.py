"""The engine in a thread of its own, with all of the user's runs that have not ended."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from .. import store, view
from ..engine import Engine
from ..errors import HybridnbError, RunBusy, StoreError
from ..hosts.questions import Questions
from ..journal import Record
from ..store import Store

_T = TypeVar("_T")
Tell = Callable[["list[Record] | None"], object]

_LOOK = 10.0  # seconds between looks at the list of runs: one that another process moved may have become free
_WAITS = (1.0, 60.0)  # seconds: the first and the longest wait before a run that could not be written is opened again
_CALM = 60.0  # seconds without trouble, after which the waits begin anew

_log = logging.getLogger(__name__)


class Feed:
    """What one follower is told of one run: batches of records that are on disk, None when the run is let go of."""

    def __init__(self, opened: Store, tell: Tell) -> None:
        self.store = opened
        self.start = opened.sequence  # what was there before is read from the journal
        self._tell = tell
        self._batch: list[Record] = []
        opened.observers.append(self._take)

    def _take(self, _: Store, record: Record) -> None:
        self._batch.append(record)

    def flush(self, *, beat: bool = False) -> None:
        """Tell what came in; it has been committed. With a beat, tell also that nothing did."""
        if self._batch:
            self._tell(self._batch)
            self._batch = []
        if beat:
            self._tell([])

    def end(self) -> None:
        """Tell that nothing more comes from here."""
        self.store.observers.remove(self._take)
        self._tell(None)


class Owner:
    """Owns the engine: opens what has not ended, steps it, survives disks that are full. Others bring work in by `call`."""

    def __init__(self) -> None:
        self.engine = Engine()
        self._trouble: dict[str, str] = {}  # run -> why it is not moved now
        self._due: dict[str, tuple[float, float]] = {}  # run -> when to open it again (monotonic), the wait after that
        self._failed: set[str] = set()  # runs that were open here until they could not be written
        self._look = 0.0
        self._feeds: list[Feed] = []
        self._asked: list[int] = []  # the questions that followers know of
        self._stopping = False
        self._stumbled = ""
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    def __repr__(self) -> str:
        return f"Owner({self.engine!r})"

    def start(self) -> None:
        """Begin to move runs."""
        self._thread.start()

    def stop(self, *, timeout: float) -> None:
        """Write everything and let go of all runs; what runs on hosts goes on."""
        self._stopping = True
        self.call(lambda: None)  # wakes it
        self._thread.join(timeout)

    def call(self, work: Callable[[], _T]) -> Future[_T]:
        """Have work done by the engine's thread, between two steps."""
        return self.engine.call(work)

    @property
    def going(self) -> int:
        """How many runs have not ended, among those that are moved here."""
        return len(self._failed | {run for run, e in list(self.engine.executions.items()) if not e.run.ended_at})

    @property
    def problems(self) -> dict[str, str]:
        """Why something does not move, by run or host."""
        return {**self.engine.problems, **self._trouble, **view.waiting(self.questions)}

    @property
    def questions(self) -> Questions:
        """What hosts ask of a person."""
        return self.engine.hosts.questions

    # -- followers; in the engine's thread ------------------------------------------------------------------------------
    def follow(self, run: str, tell: Tell) -> Feed | None:
        """Tell what happens in a run from now on; None when it is not open here."""
        if run not in self.engine.executions:
            return None
        opened = self.engine.execution(run).store
        opened.commit()
        feed = Feed(opened, tell)
        self._feeds.append(feed)
        return feed

    def leave(self, feed: Feed) -> None:
        """Tell this follower no more."""
        if feed in self._feeds:
            self._feeds.remove(feed)
            feed.end()

    # -- the thread -----------------------------------------------------------------------------------------------------
    def _work(self) -> None:
        while not self._stopping:
            try:
                self._open()
                self.engine.watched = bool(self._feeds)
                self.engine.step(max(0.0, self._look - time.monotonic()))
                self._tell()
            except StoreError as error:
                self._let_go(error)
            except Exception as error:  # noqa: BLE001  it is told, and the other runs go on
                self._stumble(error)
        self._close()

    def _stumble(self, error: Exception) -> None:
        """Tell of a fault of our own, once if it comes again and again, and do not spin."""
        if repr(error) != self._stumbled:
            self._stumbled = repr(error)
            _log.error("the engine stumbled; it goes on", exc_info=error)
        time.sleep(1)

    def _open(self) -> None:
        now = time.monotonic()
        if now < self._look:
            return
        self._look = now + _LOOK
        listed = {folder.name: folder for folder in store.active()}
        self._failed &= listed.keys()
        self._trouble = {run: why for run, why in self._trouble.items() if run in listed}
        for folder in listed.values():
            if folder.name not in self.engine.executions and now >= self._due.get(folder.name, (0.0, 0.0))[0]:
                self._try(folder)
        self._look = min([self._look, *(due for run, (due, _) in self._due.items() if run in self._failed)])

    def _try(self, folder: Path) -> None:
        try:
            self.engine.open(folder)
        except RunBusy as error:
            self._trouble[folder.name] = str(error)
        except HybridnbError as error:
            self._hold(folder.name, str(error))
        else:
            self._trouble.pop(folder.name, None)
            self._failed.discard(folder.name)

    def _hold(self, run: str, why: str) -> None:
        """Leave a run alone for a while, the longer the more often."""
        now = time.monotonic()
        due, wait = self._due.get(run, (now, _WAITS[0]))
        wait = _WAITS[0] if now - due > _CALM else wait
        self._due[run] = (now + wait, min(2 * wait, _WAITS[1]))
        self._trouble[run] = why
        self._look = min(self._look, now + wait)
        _log.warning("run %s: %s", run, why)

    def _let_go(self, error: StoreError) -> None:
        """Drop the run that could not be written: nothing is lost, its hosts can tell everything again."""
        if error.run not in self.engine.executions:
            _log.error("%s", error)
            time.sleep(1)
            return
        self._failed.add(error.run)
        self._hold(error.run, str(error))
        self._drop(error.run)

    def _tell(self) -> None:
        asked = [question.id for question in self.questions.open()]
        for feed in self._feeds:
            feed.flush(beat=asked != self._asked)
        self._asked = asked
        for run in [run for run, e in self.engine.executions.items() if e.run.ended_at]:
            self._drop(run)
            self._due.pop(run, None)

    def _drop(self, run: str) -> None:
        for feed in [f for f in self._feeds if f.store.folder.name == run]:
            self.leave(feed)
        with suppress(StoreError):
            self.engine.drop(run)

    def _close(self) -> None:
        for run in list(self.engine.executions):
            self._drop(run)
        self.engine.close()
