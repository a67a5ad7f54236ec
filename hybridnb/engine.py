"""The loop: hear each host once, note what changed, hand over what became possible, save. It tells observers, prints nothing."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from . import environment, provenance
from .errors import DefinitionError, HostError, NotFound, StoreError
from .execution import Execution
from .hosts.attempts import Report, Submission
from .hosts.config import Hosts
from .hosts.host import Host
from .journal import Record
from .model import Workflow
from .run import Run, State
from .store import Store, listed

_T = TypeVar("_T")

_TICK = 0.5  # seconds between looks at progress and at the hosts' health while something is unfinished
_BACKOFF = (1.0, 60.0)  # seconds: the first and the longest wait before a host that refused is asked again
_HANDS = 4  # slow works at once: a large file's checksum is not to keep other runs waiting
_REFUSALS = (HostError, NotFound, DefinitionError)  # of a host; hosts.yaml may have changed meanwhile


class Engine:
    """Moves any number of runs forward. One thread steps it; `call` brings work in from others."""

    def __init__(self, hosts: Hosts | None = None) -> None:
        self._wake = threading.Event()
        self.hosts = hosts or Hosts()
        self.hosts.wake = self._wake.set
        self.executions: dict[str, Execution] = {}
        self.watched = True  # is a person looking?
        self.problems: dict[str, str] = {}  # run or host -> why it does not move
        self._calls: deque[Callable[[], None]] = deque()
        self._unsent: dict[str, list[tuple[Execution, Submission]]] = {}
        self._again: dict[str, tuple[float, float]] = {}  # host -> when to ask again (monotonic), the wait after that
        self._pool: ThreadPoolExecutor | None = None
        self._busy: Counter[str] = Counter()  # run -> slow works whose record is missing
        self._looked = 0.0
        self._described: set[tuple[str, str]] = set()

    def __repr__(self) -> str:
        return f"Engine(runs={sorted(self.executions)})"

    # -- runs -----------------------------------------------------------------------------------------------------------
    def create(
        self,
        workflow: Workflow,
        source: Path,
        *,
        variables: Mapping[str, str] | None = None,
        runs: Path | None = None,
        request: str = "",
    ) -> Store:
        """Freeze a workflow into a new run and start moving it; the next step submits what is ready."""
        for name in {job.host for job in workflow.jobs.values()}:
            self.hosts.known(name, source.absolute().parent)
        variables = environment.capture() if variables is None else variables
        store = Store.create(workflow, source, variables=variables, runs=runs, request=request)
        self._adopt(store)
        self._later(store, lambda: _facts(store))
        return store

    def open(self, folder: Path) -> Store:
        """Go on with a run where it is: its hosts are asked how everything stands that has not ended."""
        if found := self.executions.get(folder.name):
            return found.store
        store = Store.open(folder, write=True)
        execution = self._adopt(store)
        try:
            unfinished = execution.unfinished()
        except StoreError:
            self.drop(store.run.id)
            raise
        for host, submissions in unfinished.items():
            self._unsent.setdefault(host, []).extend((execution, s) for s in submissions)
        self._complete(execution)
        return store

    def _complete(self, execution: Execution) -> None:
        """See to what is missing because whoever moved the run before was killed over it."""
        store = execution.store
        if store.run.ended_at and listed(store.folder):
            self._rest(store)
        elif not store.run.ended_at:
            execution.complete()
            if "versions" not in store.run.facts:
                self._later(store, lambda: _facts(store))

    def _adopt(self, store: Store) -> Execution:
        execution = self.executions[store.run.id] = Execution(store)
        self._wake.set()
        return execution

    def drop(self, run: str) -> None:
        """Let go of a run; whatever its hosts do for it goes on."""
        if execution := self.executions.pop(run, None):
            self._unsent = {h: [(e, s) for e, s in pairs if e is not execution] for h, pairs in self._unsent.items()}
            for host in self.hosts.open():
                host.forget(execution.keys())
            self.problems.pop(run, None)
            execution.store.close()

    def run(self, run: str) -> Run:
        """Return a run that is being moved."""
        return self.execution(run).run

    def execution(self, run: str) -> Execution:
        """Return what moves a run; raise NotFound when nothing does."""
        try:
            return self.executions[run]
        except KeyError:
            raise NotFound(f"run {run} is not open here") from None

    # -- the loop -------------------------------------------------------------------------------------------------------
    def call(self, work: Callable[[], _T]) -> Future[_T]:
        """Have `work` done by the thread that steps the engine, between two steps."""
        future: Future[_T] = Future()

        def do() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001  it belongs to the caller
                future.set_exception(error)

        self._calls.append(do)
        self._wake.set()
        return future

    def step(self, timeout: float = 0.0) -> None:
        """Wait until something happens, at most `timeout` seconds, and deal with it.

        Raises StoreError when a run cannot be written; nothing is lost then: drop the run and open it again.
        """
        self._wake.wait(min(timeout, self._patience()))
        self._wake.clear()
        while self._calls:
            self._calls.popleft()()
        for host in self.hosts.open():
            if host.watched != self.watched:
                host.watched = self.watched
            for report in host.hear():
                self._note(report, host)
            self._trouble(host)
        for execution in list(self.executions.values()):
            self._hand_over(execution)
        self._look()
        self._save()

    def until_idle(self, *, timeout: float | None = None) -> bool:
        """Step until every run has ended; False when the time is up before."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self.idle:
            if end is not None and time.monotonic() > end:
                return False
            self.step(_TICK)
        return True

    @property
    def idle(self) -> bool:
        """Have all runs ended, with nothing left to record?"""
        return not self._busy and not self._calls and all(e.run.ended_at for e in self.executions.values())

    def close(self) -> None:
        """Write everything and let go of all runs and hosts; what runs there goes on."""
        self.hosts.close()  # first: somebody may wait for one that cannot be reached
        if self._pool:
            self._pool.shutdown(wait=True)
        for run in list(self.executions):
            self.drop(run)

    def _patience(self) -> float:
        return _TICK if self._busy or self._unsent or any(self._active(e) for e in self.executions.values()) else 3600.0

    @staticmethod
    def _active(execution: Execution) -> bool:
        return not execution.run.ended_at

    def _trouble(self, host: Host) -> None:
        """Keep what a host says of itself; what it refused us itself goes when it is asked again."""
        if host.problem:
            self.problems[host.name] = host.problem
        elif host.name not in self._again:
            self.problems.pop(host.name, None)

    def _note(self, report: Report, host: Host) -> None:
        for execution in self.executions.values():
            if execution.knows(report.key):
                execution.hear(report)
                if report.what is State.QUEUED:
                    self._describe(execution.store, host)
                return

    def _host(self, name: str, execution: Execution) -> Host:
        """Return the host that a run means by a name."""
        return self.hosts.get(name, Path(execution.run.folder))

    def _hand_over(self, execution: Execution) -> None:
        for host, submissions in execution.ready().items():
            self._unsent.setdefault(host, []).extend((execution, s) for s in submissions)
        for work in execution.later:
            self._later(execution.store, work)
        execution.later = []
        for host in list(self._unsent):
            self._talk(host, self._submit)
        for host in list(execution.withdrawals):
            self._talk(host, lambda h: self._host(h, execution).withdraw(execution.withdrawals[h]), execution.withdrawals)
        for host in list(execution.cancels):
            self._talk(host, lambda h: self._host(h, execution).cancel(execution.cancels[h]), execution.cancels)

    def _talk(self, host: str, say: Callable[[str], None], waiting: dict[str, list[str]] | None = None) -> None:
        """Say something to a host that may refuse; it is said again later, which is harmless."""
        due, wait = self._again.get(host, (0.0, _BACKOFF[0]))
        if time.monotonic() < due:
            return
        for execution in self.executions.values():
            execution.store.commit(sync=True)  # the intent, before the deed
        try:
            say(host)
        except _REFUSALS as error:
            self.problems[host] = str(error)
            self._again[host] = (time.monotonic() + wait, min(2 * wait, _BACKOFF[1]))
            return
        self._again.pop(host, None)
        if waiting is not None:
            del waiting[host]

    def _submit(self, host: str) -> None:
        """Hand over what waits for a host, run by run: one whose folder cannot be written is not to hold up the others."""
        refused = None
        for execution in {id(e): e for e, _ in self._unsent[host]}.values():
            batch = [s for e, s in self._unsent[host] if e is execution]
            try:
                place = self._host(host, execution)
                if place.submit(batch):
                    execution.submitted(batch)
                    self._describe(execution.store, place)
            except _REFUSALS as error:
                refused = error
                continue
            self._unsent[host] = [(e, s) for e, s in self._unsent[host] if e is not execution]
        if refused:
            raise refused
        del self._unsent[host]

    def _look(self) -> None:
        """From time to time: progress in the logs, the health of the hosts."""
        if time.monotonic() - self._looked < _TICK:
            return
        self._looked = time.monotonic()
        used: dict[str, Execution] = {}
        for execution in self.executions.values():
            execution.scan_running()
            if self._active(execution):
                used.update({a.host: execution for a in execution.run.unfinished()})
        for name, execution in used.items():
            self._talk(name, lambda h, execution=execution: self._host(h, execution).tend())  # type: ignore[misc]

    def _save(self) -> None:
        for execution in self.executions.values():
            store, run = execution.store, execution.run
            if run.state.final and not run.ended_at and not execution.later:
                if any(host.carries(run.id) for host in self.hosts.open()):
                    self.problems[run.id] = "its jobs have ended; their logs are still coming home"
                elif self._busy[run.id]:
                    self.problems[run.id] = (
                        "its jobs have ended; the checksums of their files and the facts of the run are still being found"
                    )
                else:
                    execution.finish()
                    self.problems.pop(run.id, None)
                    self._rest(store)
            store.commit()
            store.snapshot()

    @staticmethod
    def _rest(store: Store) -> None:
        store.snapshot(force=True)  # first: who hears of the end may look at it, or move the folder
        store.commit(sync=True)
        store.rest()
        environment.forget(store.run.id)

    # -- slow work ------------------------------------------------------------------------------------------------------
    def _later(self, store: Store, work: Callable[[], Record | None]) -> None:
        """Do slow work in another thread, and note the record that it returns."""
        self._pool = self._pool or ThreadPoolExecutor(_HANDS, thread_name_prefix="record")
        run = store.run.id
        self._busy[run] += 1

        def take(record: Record | None) -> None:
            self._busy -= Counter((run,))
            if record is not None and (execution := self.executions.get(run)):  # opened again meanwhile, perhaps
                execution.store.note(record)

        def work_then_tell() -> None:
            try:
                record = work()
            except Exception as error:  # noqa: BLE001  a fact that cannot be found is itself a fact
                record = {"event": "facts", "facts": {"problem": f"{type(error).__name__}: {error}"}}
            self.call(lambda: take(record))

        self._pool.submit(work_then_tell)

    def _describe(self, store: Store, place: Host) -> None:
        """Find out about a host that has taken something."""
        host = place.name
        if (store.run.id, host) in self._described or f"host {host}" in store.run.facts:
            return
        self._described.add((store.run.id, host))
        self._later(store, lambda: {"event": "facts", "facts": {f"host {host}": place.facts()}})


def _facts(store: Store) -> Record:
    about, diff = provenance.git(Path(store.run.folder))
    if diff:
        store.keep("git.diff", diff)
    return {"event": "facts", "facts": {"versions": provenance.versions(), "git": about}}
