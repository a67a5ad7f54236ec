"""What is known of one submission on a Slurm host, and what follows from news about it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from shlex import quote

from ...run import State, iso
from ..attempts import Report, Submission
from . import dialect as slurm
from .dialect import Phase, Row, Told
from .verdict import Silence, Verdict, decide, judged

_NEWS = 60.0  # seconds between two estimates of a start that are worth telling


@dataclass(slots=True)
class Ticket:
    """One submission. Times are those of the host object's clock."""

    submission: Submission
    attempt: int = 0  # the latest that we heard of
    unit: str = ""  # the token of its unit, once the host told
    index: int = 0  # in the unit, from 1
    native: str = ""
    begun: float | None = None  # when we heard that the latest attempt runs
    evidence: Told | None = None
    queued: Row | Silence = Silence.UNASKED
    accounted: Row | Silence = Silence.UNASKED
    since: float = 0.0  # when evidence, queued and accounted came to be what they are
    inquired: float | None = None  # when sacct was asked last
    returned: int = 0  # the attempt that Slurm took back into its queue
    words: str = ""  # what Slurm wrote where the script's output would be
    ended: bool = False
    told: tuple[State | None, str, float] = (None, "", 0.0)  # the state told last, its reason, and when
    reports: list[Report] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.attempt = self.submission.attempt

    @property
    def key(self) -> str:
        return self.submission.key

    @property
    def run(self) -> str:
        """The folder on the host that holds the run's units and events, and most often the jobs, by number."""
        return run_folder(self.submission)

    @property
    def place(self) -> str:
        """Begin a request to cluster.sh about this one."""
        s = self.submission
        put = "" if s.own else f"put {s.key} {quote(s.folder + '/')}; "
        return f"run={quote(self.run)}; {put}"

    @property
    def kind(self) -> tuple[str, ...]:
        """What it asks of Slurm."""
        return tuple(slurm.options(self.submission.job.resources))

    @property
    def handed(self) -> bool:
        """Is it in Slurm's hands?"""
        return bool(self.native) and not self.ended

    @property
    def name(self) -> tuple[str, int]:
        """Where rows of squeue and sacct find it."""
        return slurm.PREFIX + self.unit, self.index

    @property
    def _tried_again(self) -> bool:
        return self.attempt > self.submission.attempt

    def enter(self, number: str, *, array: bool) -> None:
        """Slurm has it, under this number."""
        native = f"{number}_{self.index}" if array else number
        if number != "-" and native != self.native and self.begun is None:
            self.native = native
            self._report(State.QUEUED)

    def wait(self, reason: str) -> None:
        """It is not in Slurm's hands yet, and this is why."""
        if not self.ended and reason != self.told[1]:
            self.told = State.QUEUED, reason, 0.0
            self._report(State.QUEUED, reason=reason)

    def keep(self) -> None:
        """It had started when it was to be withdrawn."""
        self._report("kept")

    def hear(self, told: Told, now: float) -> None:
        """Take an event in; the same again changes nothing."""
        if self.ended:
            return
        if told.native != "-":
            self.native = told.native
        match told.verb:
            case "start" if told.attempt > self.attempt or (told.attempt == self.attempt and self.begun is None):
                self.attempt, self.begun, self.evidence = told.attempt, now, None
                self._report(State.RUNNING, at=told.time)
            case "fail" if told.attempt != self.returned:
                _, code, reason = judged(told)
                self._report(State.FAILED, attempt=told.attempt, at=told.time, exit_code=code, reason=reason, again=True)
            case "retry" if told.attempt >= self.attempt:
                self.attempt, self.begun, self.evidence = told.attempt, None, None
                self._report("retry", at=told.time, reason=f"in {told.code} s" if told.code else "")
            case "end" if told.attempt >= self.attempt and told != self.evidence:
                self.attempt, self.evidence, self.since = told.attempt, told, now

    def see(self, row: Row | None, now: float, *, asked: float) -> None:
        """Take squeue's answer to a question of the time `asked` in; None when it has no such job."""
        found = row or Silence.ABSENT
        if _essence(found) != _essence(self.queued):
            self.since = now
        self.queued = found
        if row is None:
            return
        self.inquired, self.accounted = None, Silence.UNASKED
        if self.begun is None:
            self.native = row.native
        if row.phase is Phase.PENDING:
            self._pending(row, now, asked)
        elif row.phase is Phase.RUNNING and row.state != "COMPLETING" and not (self.begun or self.evidence or self._tried_again):
            self._once(State.RUNNING, "" if row.state == "RUNNING" else row.state, now)

    def _pending(self, row: Row, now: float, asked: float) -> None:
        if self.begun is None:
            self._once(State.QUEUED, slurm.waiting(row), now)
        elif asked > self.begun and self.evidence is None:  # or its controller forgot that it runs: batch.sh will tell
            self._once(State.RUNNING, f"queued again by Slurm? {slurm.waiting(row)}", now)

    def _return(self, reason: str) -> None:
        """Slurm will start it once more: as another attempt, as batch.sh does it."""
        self._report(State.FAILED, exit_code=None, reason=reason, again=True)
        self.attempt, self.begun, self.evidence = self.attempt + 1, None, None
        self._report("retry", reason=reason)
        self.returned = self.attempt - 1

    def _once(self, state: State, reason: str, now: float) -> None:
        """Tell a change; a better estimate of the start only now and then."""
        before, words, at = self.told
        same = state is before and reason.partition(", expected")[0] == words.partition(", expected")[0]
        if (state, reason) != (before, words) and not (same and now - at < _NEWS):
            self.told = state, reason, now
            self._report(state, reason=reason)

    def unasked(self) -> None:
        """Slurm could not be asked: what was silence is no evidence of anything, and its time counts anew."""
        self.queued = self.accounted = Silence.UNASKED
        self.inquired = None

    def inquire(self, row: Row | Silence, now: float) -> None:
        """Take sacct's answer in."""
        if _essence(row) != _essence(self.accounted):
            self.since = now
        self.accounted, self.inquired = row, now

    def conclude(self, now: float) -> Verdict | None:
        """End it if that is proven; return the verdict then."""
        if self.ended or (self.evidence is None and isinstance(self.queued, Row) and not self.queued.final):
            return None
        verdict = decide(self.evidence, self.queued, self.accounted, waited=now - self.since)
        if verdict is None:
            return None
        if verdict.what == "retry":
            self._return(verdict.reason)
            return None
        if self.evidence is None and self.words:
            verdict = verdict._replace(reason=f"{verdict.reason}: {self.words}")
        self.end(verdict, at=self.evidence.time if self.evidence else None)
        return verdict

    @property
    def unexplained(self) -> bool:
        """Does Slurm say that it ended, and nothing else says so? Then its log may tell why."""
        found = (self.queued, self.accounted)
        return self.evidence is None and any(isinstance(word, Row) and word.final for word in found)

    def remains(self, verdict: Verdict) -> str:
        """Say what evidence is to be left of an end that is known by Slurm's word, or by its silence."""
        if verdict.what is State.DONE:
            return "0 exit"
        found = [word.state for word in (self.queued, self.accounted) if isinstance(word, Row)]
        return f"{75 if verdict.exit_code is None else verdict.exit_code} {found[0] if found else 'lost'}"

    def end(self, verdict: Verdict, *, at: float | None = None) -> None:
        self.ended = True
        self._report(verdict.what, at=at, exit_code=verdict.exit_code, reason=verdict.reason)

    def _report(
        self,
        what: State | str,
        *,
        attempt: int = 0,
        at: float | None = None,
        exit_code: int | None = None,
        reason: str = "",
        again: bool = False,
    ) -> None:
        when, number = iso(time.time() if at is None else at), attempt or self.attempt
        self.reports.append(Report(self.key, number, what, when, exit_code, self.native or None, reason, again))


def run_folder(submission: Submission) -> str:
    """Return what a run's folder is on a host: its own there, or beside the jobs of a run that lies on this machine."""
    folder = submission.folder.rpartition("/")[0]
    return folder if submission.own else f"{folder.rpartition('/')[0]}/slurm"


def _essence(found: Row | Silence) -> object:
    return found.state if isinstance(found, Row) else found
