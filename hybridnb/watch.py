"""Following a run until it ends: as a picture that lives on a terminal, as lines in a pipe, or silently."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import prompt, show
from .journal import Record
from .run import Attempt, Run, State
from .store import Store

if TYPE_CHECKING:
    from rich.text import Text
    from typing_extensions import Self

    from .client import Client, Here

_FRAMES = 4  # a second
_STUCK = 1.5  # seconds between questions why nothing moves
_TRIED = re.compile(r"; tried \d+ times.*|\d+")  # what changes while nothing does
_FEW = 3  # jobs that are queued at once and told one by one


class Watch:
    """Takes a run's records in. This one shows nothing, and says on standard error what a person has to know."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder, Run())
        self.seen = 0
        self._problems: dict[str, str] = {}

    @property
    def run(self) -> Run:
        return self.store.run

    def take(self, record: Record) -> None:
        """Take one record in."""
        self.run.apply(record)
        self.seen = record["n"]

    def tell(self, text: str) -> None:
        """Say something that is in no record."""
        print(show.plain(text), file=sys.stderr, flush=True)

    def problems(self, problems: Mapping[str, str]) -> None:
        """Say why the run does not move, once, and that it does again. How often something was tried is no news."""
        now = {place: _TRIED.sub("", why) for place, why in problems.items()}
        for place, why in problems.items():
            if self._problems.get(place) != now[place]:
                self.tell(f"{time.strftime('%H:%M:%S')} {show.trouble(place, why)}")
        for place in self._problems.keys() - now.keys():
            self.tell(f"{time.strftime('%H:%M:%S')} {place}: it goes on")
        self._problems = now

    def paused(self) -> AbstractContextManager[object]:
        """Leave the terminal to somebody else meanwhile."""
        return nullcontext()

    def end(self, told: Mapping[str, Any]) -> None:
        """Sum up, given the status of the run that has ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Show no more."""


class Lines(Watch):
    """Prints a line for each change of a state."""

    def take(self, record: Record) -> None:
        before = self.run.states.get(record.get("job", ""))
        super().take(record)
        for text in _lines(self.run, record, before):
            print(_second(record["at"][:19]), text, flush=True)

    def tell(self, text: str) -> None:
        print(show.plain(text), flush=True)

    def end(self, told: Mapping[str, Any]) -> None:
        jobs = told["jobs"]
        words = show.count(Counter(job["state"] for job in jobs.values()), screen())
        print(f"{show.number(len(jobs), 'job')} in {show.elapsed(told['created_at'], told['ended_at'])}: {words}", flush=True)


def _lines(run: Run, record: Record, before: State | None) -> Iterator[str]:
    """Say what a record, which the run has taken in, changed."""
    match record["event"]:
        case "created":
            yield f"run {run.id} of {run.workflow_name}"
        case "attempt" if record.get("state") == "queued":
            yield f"{record['job']} queued (attempt {record['attempt']}, {record['reason']})"
        case "queued":
            yield from _queued(run, [name for name, _ in record["attempts"]])
        case "state":
            yield from _state(run, record, before)
        case "ended":
            yield from (f"{name} {record['state']}{why(record['reason'])}" for name in record["jobs"])
        case "again":
            yield from (f"{name} waiting (it is tried again)" for name in record["jobs"])
        case "withdrawn":
            yield f"{record['job']} waiting (its definition changed)"
        case "defined" if run.attempts:
            yield f"{record['job']} {'changed' if before else 'added'}"
        case "removed":
            yield f"{record['job']} removed"
        case _:
            pass


def _queued(run: Run, names: list[str]) -> Iterator[str]:
    host = next((last.host for name in names if (last := run.attempt(name))), "")
    if len(names) > _FEW:
        yield f"{len(names)} jobs queued ({host})"
    else:
        yield from (f"{name} queued ({host})" for name in names)


def _state(run: Run, record: Record, before: State | None) -> Iterator[str]:
    name = record["job"]
    attempt, after = run.attempt(name, record["attempt"]), run.states.get(name)
    if attempt is None or after is None:
        return
    if record.get("retries"):
        yield f"{name} attempt {attempt.number} {record['state']}{why(attempt.reason)}, it is tried again"
    elif after is not before:
        yield f"{name} {after.value}{_facts(attempt)}"


def _facts(attempt: Attempt) -> str:
    if attempt.state is State.RUNNING:
        return why(attempt.host, f"attempt {attempt.number}" if attempt.number > 1 else "", attempt.native_id or "")
    if attempt.state is State.QUEUED:
        return why(attempt.host, attempt.reason)
    return why(attempt.reason, show.elapsed(attempt.started_at, attempt.ended_at) if attempt.state.final else "")


def why(*words: str) -> str:
    """Put words into brackets, if there are any."""
    told = show.plain(", ".join(filter(None, words)))
    return f" ({told})" if told else ""


@lru_cache(64)
def _second(at: str) -> str:
    return show.moment(f"{at}+00:00").strftime("%H:%M:%S")


class Live(Watch):
    """Draws the run again a few times a second, whatever the number of changes."""

    def __init__(self, folder: Path, *, hint: str = "") -> None:
        super().__init__(folder)
        self._hint = hint
        self._notes: list[str] = []
        self._lock = threading.Lock()  # the picture is drawn by another thread
        self._live: Any = None

    def take(self, record: Record) -> None:
        with self._lock:
            super().take(record)

    def tell(self, text: str) -> None:
        self._hint = text

    def problems(self, problems: Mapping[str, str]) -> None:
        self._notes = [show.trouble(place, why) for place, why in problems.items()]

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._live.stop()
        try:
            yield
        finally:
            self._start()

    def __enter__(self) -> Self:
        self._start()
        return self

    def _start(self) -> None:
        from rich.console import Console
        from rich.live import Live as Canvas

        self._live = Canvas(
            console=Console(),
            get_renderable=self._frame,
            refresh_per_second=_FRAMES,
            redirect_stdout=False,  # nobody else prints meanwhile
            redirect_stderr=False,
        )
        self._live.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._hint, self._notes = "", []
        self._live.stop()

    def _frame(self) -> Text:
        from rich.text import Text

        with self._lock:
            run = self.run
            if not run.id:
                return Text()
            head = {"workflow": run.workflow_name, "run": run.id, "created_at": run.created_at, "ended_at": run.ended_at}
            states = {name: state.value for name, state in run.states.items()}
            lines = show.picture(head, states, self.store.job_status, screen(), notes=self._notes)
        hint = ["", screen().paint(show.fit(self._hint, screen().width), show.DIM)] if self._hint else []
        return Text.from_ansi("\n".join([*lines, *hint]), no_wrap=True, overflow="crop")


# -- the terminal ---------------------------------------------------------------------------------------------------------
def screen() -> show.Screen:
    """What standard output is made for: in a pipe there is no end, no colour."""
    from shutil import get_terminal_size

    symbols = "".join(sign.symbol for sign in show.SIGNS.values()) + "━─"
    try:
        symbols.encode(sys.stdout.encoding)
        unicode = True
    except (UnicodeEncodeError, LookupError):
        unicode = False
    if not sys.stdout.isatty():
        return show.Screen(unicode=unicode)
    size = get_terminal_size()
    colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return show.Screen(size.columns, size.lines, colour, unicode)


def redraws() -> bool:
    """Can a picture be drawn over the one before? Not in a pipe, nor in the output of a notebook's cell, which only looks like a terminal."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and "JPY_PARENT_PID" not in os.environ


# -- following ------------------------------------------------------------------------------------------------------------
class Interrupts:
    """Ctrl-C while this process moves the run: the first one asks, a second one leaves."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _hear(self, *_: object) -> None:
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt


def catch_up(watch: Watch, client: Client | Here, run: str) -> None:
    """Take in what has been recorded so far, and show nothing of it."""
    for record in client.events(run, live=False):
        Watch.take(watch, record)


def follow(watch: Watch, client: Client | Here, run: str, *, interrupts: Interrupts | None = None) -> State:
    """Show the run until it ends; with `interrupts`, the first one cancels it. Return how it ended."""
    cancelled, asked, asking = False, time.monotonic(), prompt.Prompt(client)
    for record in client.events(run, since=watch.seen):
        if record:
            watch.take(record)
        if interrupts and interrupts.count and not cancelled:
            cancelled = True
            watch.tell("asking the jobs to stop; Ctrl-C again leaves them to themselves")
            client.cancel(run)
        unanswered = not record and client.asked and _attend(asking, watch)
        if unanswered or (time.monotonic() - asked > _STUCK and (watch.run.counts[State.SUBMITTING] or not record)):
            asked = time.monotonic()
            places = _places(watch)
            watch.problems({place: why for place, why in client.problems().items() if place in places})
    return watch.run.state


def _attend(asking: prompt.Prompt, watch: Watch) -> bool:
    """Ask what the run's hosts ask; True when nobody is there, and it is to be told once how else to answer."""
    places = _places(watch)
    if not prompt.there():
        return bool(asking.fresh(places))
    asking.attend(places, pause=watch.paused)
    return False


def _places(watch: Watch) -> set[str]:
    """Return the names of what can keep the run from moving: itself, and its hosts."""
    return {watch.run.id, *(job.host for job in watch.run.jobs.values())}
