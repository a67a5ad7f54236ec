"""A host that is far, or slow to answer: a thread of its own speaks to it, and brings files there and back.

The engine posts what it wants and hears later what came of it. Everything that is posted is kept until the host has it; saying it twice
is harmless, so a lost connection costs nothing but time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace

from ..errors import HostError, Impossible, Unreachable
from ..model import Kind, Resources
from ..run import State, iso
from .attempts import Report, Submission
from .files.clean import clean
from .host import Inner
from .luggage import Held, Luggage, Moved
from .reach import Reach
from .tasks import Task, Tasks
from .transport import File, Transport

_log = logging.getLogger(__name__)

_PAUSE = 0.3  # seconds between looks while something is unfinished; what is heard meanwhile wakes us
_REST = 15.0  # seconds between looks while nothing is
_PATIENCE = 60.0  # seconds that facts wait for a connection
_TOLD, _SOME = 1.0, 20  # seconds between two words on files that move, of so many attempts: more nobody reads
_SLEPT = 5.0  # seconds that a pause took too long: this machine slept, and the connection is probably dead
_UNMARK = 'cd "$1" 2>/dev/null || exit 0; while read -r number; do rm -f "$number/cancel" || exit; done'


class FarHost:
    """A host behind a thread. `make` builds what stands there, once the host's own folder is known."""

    def __init__(
        self,
        name: str,
        transport: Transport,
        make: Callable[[str], Inner],
        *,
        directory: str = ".hybridnb",
        resources: Resources = Resources(),  # noqa: B008  frozen
        setup: Sequence[str] = (),
        shell: str = "",
        pinned: bool = False,
        wake: Callable[[], None],
    ) -> None:
        self.name = name
        self.transport = transport
        self.reach = Reach(transport, directory=directory, pinned=pinned)
        self._make = make
        self._defaults = resources
        self._setup, self._shell = tuple(setup), shell
        self._pinned = pinned
        self._wake = wake
        self._slots, self._grace = 0, 10.0
        self._inner: Inner | None = None
        self._about: dict[str, object] | None = None  # the machine's facts: one round trip for each connection, not for each run
        self._met = False
        self._watched = False
        self._held: dict[str, Held] = {}
        self._cancelled: set[str] = set()
        self._unsaid: dict[str, Submission] = {}  # what the host cannot have heard of
        self._never: set[str] = set()  # what was cancelled before that, or can never be
        self._heard: list[Report] = []
        self._out: deque[Report] = deque()
        self._luggage = Luggage(transport, self.reach, self._held)
        self._signal = threading.Event()
        self._ready = threading.Event()  # it has been reached once
        self._closed = threading.Event()
        self._tasks = Tasks(name, ready=self._signal.set)
        self._tried: deque[Future[None]] = deque()  # those who wait to know whether it can be reached
        self._thread: threading.Thread | None = None
        transport.lost = self._signal.set

    def __repr__(self) -> str:
        return f"FarHost({self.name!r}, {self.transport!r})"

    # -- what the engine calls ------------------------------------------------------------------------------------------
    @property
    def problem(self) -> str:
        """See Host."""
        return self.reach.problem or self._tasks.trouble or (self._inner.problem if self._inner else "")

    @property
    def watched(self) -> bool:
        """See Host."""
        return self._watched

    @watched.setter
    def watched(self, watched: bool) -> None:
        self._watched = watched
        if self._inner:
            self._inner.watched = watched

    def limit(self, *, slots: int, grace: float) -> None:
        """See Host. Without slots a machine takes as many as it has cores, and a scheduler what it sees fit."""
        self._slots, self._grace = slots, grace
        self._limit()

    def submit(self, submissions: Sequence[Submission]) -> bool:
        """Post them; State.QUEUED is reported when the host has them."""
        chosen = list(submissions)
        self._unsaid.update((s.key, s) for s in chosen if s.new)
        self._post(
            _run(chosen[0].key), lambda task: self._submit(task, chosen), void=lambda: self._never.issuperset(s.key for s in chosen)
        )
        return False

    def cancel(self, keys: Iterable[str]) -> None:
        """See Host. What the host has not heard of ends at once; what it may have heard of goes there marked as never to start."""
        chosen, at = [], iso(time.time())
        for key in keys:
            if unsaid := self._unsaid.pop(key, None):
                self._never.add(key)
                self._out.append(Report(key, unsaid.attempt, State.CANCELLED, at))
            else:
                chosen.append(key)
        self._cancelled.update(chosen)
        if chosen:
            self._post("", lambda _: self._tell("cancel", chosen))
        self._signal.set()
        self._wake()

    def withdraw(self, keys: Iterable[str]) -> None:
        """See Host."""
        chosen = list(keys)
        self._post(_run(chosen[0]), lambda _: self._tell("withdraw", chosen))  # behind their submission

    def hear(self) -> list[Report]:
        """See Host."""
        return [self._out.popleft() for _ in range(len(self._out))]

    def tend(self) -> None:
        """See Host: the thread looks after all."""

    def forget(self, keys: Iterable[str]) -> None:
        """See Host."""
        chosen = list(keys)
        if self._thread:  # nobody connects to forget what has ended
            self._post(
                "", lambda _: self._drop(chosen), void=lambda: not self.transport.alive and self._held.keys().isdisjoint(chosen)
            )

    def facts(self) -> dict[str, object]:
        """Describe the machine, once it is reached; raises Unreachable when that takes long."""
        if not self._ready.wait(_PATIENCE) or self._closed.is_set():
            raise Unreachable(self.problem or f"host '{self.name}' has not been reached yet")
        if self._about is None:
            self._about = self.transport.facts()
        return {"slots": self._slots or self.reach.cores, **self._about}

    def connect(self) -> None:
        """Try at once to reach the host, from any thread; raise what went wrong. It takes as long as a person takes to answer its questions."""
        tried: Future[None] = Future()
        self._tried.append(tried)
        self.reach.try_again()
        self._start()
        self._signal.set()
        tried.result()

    def carries(self, run: str) -> bool:
        """See Host. What a host that is away might tell is not waited for."""
        return not self.reach.problem and self._luggage.completing(run)

    def clean(self, run: str) -> int:
        """See Host."""
        self.connect()
        return clean(self.transport, self.reach.directory, run)

    def look(self) -> None:
        """Look at once: something has been heard."""
        self._signal.set()

    def close(self) -> None:
        """See Host."""
        self._closed.set()
        self._ready.set()
        self._signal.set()
        self.transport.close()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(5)
        self._answer(Unreachable(f"host '{self.name}' was let go of"))
        self._tasks.close()

    def _post(self, order: str, do: Callable[[Task], bool], *, void: Callable[[], bool] | None = None) -> None:
        self._tasks.post(order, do, void=void)
        self._start()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._live, name=f"host-{self.name}", daemon=True)
            self._thread.start()

    # -- the thread -----------------------------------------------------------------------------------------------------
    def _live(self) -> None:
        before, pause = time.time(), 0.0
        while not self._closed.is_set():
            self._signal.wait(pause)
            self._signal.clear()
            slept, before = time.time() - before > pause + _SLEPT, time.time()
            self._tasks.prune()
            if (slept or not self.reach.due) and self._wanted and not self._closed.is_set():
                self._try(doubt=slept)
            pause = self._pause()

    @property
    def _busy(self) -> bool:
        return bool(self._tasks or self._held or self._heard) or not self._luggage.idle

    @property
    def _wanted(self) -> bool:
        return self._busy or bool(self._tried) or self.transport.alive

    def _pause(self) -> float:
        if not self._busy:
            return _REST
        return min(_REST, self.reach.due or _PAUSE)

    def _try(self, *, doubt: bool) -> None:
        """Be connected and do what there is to do, or note why that cannot be."""
        try:
            if self.reach.connect(doubt=doubt):
                self._met = False
            if not self._met:
                self._meet()
            self._answer(None)
            self._work()
        except (HostError, OSError) as error:
            self._answer(error)
            if not self._closed.is_set():
                self.reach.fail(error)
                self._wake()
        except Exception as error:  # noqa: BLE001  a defect of ours, or of a dialect from elsewhere: nothing may wait for a thread that is gone
            _log.exception("host '%s'", self.name)
            self._answer(error)
            self.reach.fail(HostError(f"host '{self.name}': {type(error).__name__}: {error}; the service's log has more"))
            self._wake()
        else:
            if self.reach.succeed():
                self._wake()

    def _answer(self, error: Exception | None) -> None:
        while self._tried:
            tried = self._tried.popleft()
            tried.set_exception(error) if error else tried.set_result(None)

    def _meet(self) -> None:
        """Begin with what stands there, on a connection that is new."""
        if self._inner is None:
            self._inner = self._make(self.reach.directory)
            self._inner.watched = self._watched
            self._limit()
        self._inner.reset()
        self._met = True
        self._ready.set()

    def _limit(self) -> None:
        if self._inner:
            self._inner.limit(slots=self._slots or (self.reach.cores if self._pinned else 0), grace=self._grace)

    def _work(self) -> None:
        assert self._inner
        trouble = self.problem
        if self._tasks.work():
            self.reach.heard()
        if self._held:
            self._inner.tend()
        if self.problem != trouble:
            self._wake()
        self._heard += self._inner.hear()
        if self._heard:
            self._bring(self._heard)
            self._heard = []
            self.reach.heard()
        self._luggage.look()

    # -- there ----------------------------------------------------------------------------------------------------------
    def _submit(self, task: Task, submissions: Sequence[Submission]) -> bool:
        assert self._inner
        for s in submissions:
            self._unsaid.pop(s.key, None)  # from here on the host may have heard of it
        submissions = [s for s in submissions if s.key not in self._never]
        if needing := self._luggage.needing(s for s in submissions if s.key not in self._cancelled):
            try:
                if not self._tasks.moved(task, lambda: self._luggage.send(needing, moved=self._moving(needing, State.SUBMITTING))):
                    return False
            except Impossible as error:
                self._refuse(needing, error)
                self._signal.set()  # the others at once
                return False
        made = [self._there(s) for s in submissions]
        self._mark(made)
        for there, here in zip(made, submissions, strict=True):
            self._held[there.key] = Held(there, here)
        if made:
            self._inner.submit(made)
        at = iso(time.time())
        self._report([Report(s.key, s.attempt, State.QUEUED, at) for s in made])
        return True

    def _refuse(self, submissions: Sequence[Submission], error: Impossible) -> None:
        """End those whose inputs can never be sent; the others go without them. What waits for one finds no parent there, and is skipped."""
        reasons = {s.key: why for s in submissions if (why := self._luggage.refusal(s))} or {s.key: str(error) for s in submissions}
        self._never.update(reasons)
        at = iso(time.time())
        told = "its inputs cannot be sent: "
        self._report(
            [Report(s.key, s.attempt, State.FAILED, at, reason=told + reasons[s.key]) for s in submissions if s.key in reasons]
        )

    def _mark(self, submissions: Sequence[Submission]) -> None:
        """Put the mark of what is never to start there, and take it from what is to be tried again."""
        if stopped := [s for s in submissions if s.key in self._cancelled]:
            self.transport.put(File(f"{s.folder}/cancel", b"\n") for s in stopped)
        again = [s for s in submissions if s.attempt > 1 and not s.known and s.key not in self._cancelled]
        if again:
            numbers = "".join(f"{s.number}\n" for s in again)
            self.transport.run(_UNMARK, f"{self._luggage.runs}/{again[0].run}", input=numbers.encode())

    def _there(self, submission: Submission) -> Submission:
        """Say it as the host has it: in folders of its own, with its defaults and its set-up. Nearby it works in the workflow's folder."""
        job = replace(submission.job, resources=submission.job.resources.over(self._defaults))
        base = f"{self._luggage.runs}/{submission.run}"
        # the others are satisfied
        after = tuple(edge for edge in submission.after if edge[0] not in self._never or edge[1].kind is Kind.OK)
        made = replace(submission, job=job, after=after, setup=self._setup, shell=self._shell, folder=f"{base}/{submission.number}")
        return made if self.transport.near else replace(made, work=f"{base}/work", own=True, environment="")

    def _tell(self, what: str, keys: Sequence[str]) -> bool:
        if known := [key for key in keys if key in self._held]:
            getattr(self._inner, what)(known)
        return True

    def _drop(self, keys: Sequence[str]) -> bool:
        assert self._inner
        self._inner.forget(keys)
        for key in keys:
            self._held.pop(key, None)
            self._cancelled.discard(key)
        return True

    # -- home -----------------------------------------------------------------------------------------------------------
    def _bring(self, reports: Sequence[Report]) -> None:
        """Bring home what the attempts wrote, then tell the engine; ends with outputs are told when these are here."""
        reports = [r for r in reports if r.key in self._held]
        reports = self._luggage.with_files(reports)
        later: dict[str, list[Report]] = {}
        if not self.transport.near:
            for report in reports:
                if report.what is State.DONE and (here := self._held[report.key].here).job.outputs:
                    later.setdefault(here.run, []).append(report)
        waiting = {id(report) for ended in later.values() for report in ended}
        self._report([report for report in reports if id(report) not in waiting])
        self._fetch_each(later.values())

    def _fetch_each(self, batches: Iterable[Sequence[Report]]) -> None:
        for ended in batches:
            self._tasks.post("", lambda task, ended=ended: self._fetched(task, ended))  # type: ignore[misc]

    def _moving(self, attempts: Sequence[Submission] | Sequence[Report], state: State) -> Moved:
        """Return what tells from time to time how far their files have come."""
        told = time.monotonic()
        what = "inputs go there" if state is State.SUBMITTING else "outputs come home"

        def moved(size: int, of: int) -> None:
            nonlocal told
            if size < of and time.monotonic() - told > _TOLD:
                told, at = time.monotonic(), iso(time.time())
                reason = f"{what}: {100 * size // of} % of {of / 2**20:.0f} MiB"
                self._out.extend(Report(a.key, a.attempt, state, at, reason=reason) for a in attempts[:_SOME])
                self._wake()

        return moved

    def _fetched(self, task: Task, reports: Sequence[Report]) -> bool:
        try:
            if not self._tasks.moved(task, lambda: self._luggage.fetch(reports, moved=self._moving(reports, State.RUNNING))):
                return False
        except Impossible as error:
            if len(reports) > 1:  # each for itself: one of them is to blame
                self._fetch_each([[report] for report in reports])
                return True
            reports = [replace(r, what=State.FAILED, reason=f"its outputs cannot be fetched: {error}") for r in reports]
        self._report([r for r in reports if r.key in self._held])
        return True

    def _report(self, reports: Sequence[Report]) -> None:
        """Tell the engine."""
        self._out.extend(reports)
        for report in reports:
            if (isinstance(report.what, State) and report.what.final and not report.again) or report.what == "withdrawn":
                self._held.pop(report.key, None)
                self._cancelled.discard(report.key)
        if reports:
            self._wake()


def _run(key: str) -> str:
    return key.rsplit("_", 2)[0]
