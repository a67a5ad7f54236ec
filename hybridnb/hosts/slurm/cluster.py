"""A Slurm host: attempts go to sbatch in units, and what became of them is looked up, one command a look however many there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from shlex import quote

from ...errors import HostError
from ...run import State
from ..attempts import Report, Submission
from ..transport import File, Transport
from . import dialect as slurm
from .conversation import Conversation
from .dialect import Answer, Row, Told
from .edges import Edges
from .outbox import Outbox
from .pace import Pace
from .ticket import Ticket, run_folder
from .unit import files
from .verdict import Silence, Verdict

_NO_SBATCH = "there is no sbatch on its PATH: is it a login node of Slurm? If not, give it another scheduler"
_WINDOW = 1000  # attempts in Slurm's hands at once, if nobody chose a number
_INQUIRIES = 500  # ids in one call of sacct
_INQUIRE = 2.0  # seconds, at least, until sacct is asked once more about the same
_PATIENCE = 60  # seconds in which Slurm, asked twice, knows nothing of a unit that may have been submitted


class ClusterHost:
    """Slurm behind a transport. Each run's folder there holds its units and events; see cluster.sh."""

    def __init__(
        self,
        name: str,
        transport: Transport,
        *,
        directory: str,
        slots: int = 0,
        wake: Callable[[], None],
        backoff: int = 1,
        grace: float = 10,
        patience: int = _PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.pace = Pace(clock)
        self.limit(slots=slots, grace=grace)
        self._transport = transport
        self._conversation = Conversation(transport, f"{directory}/runner/{name}", patience=patience)
        self._wake = wake
        self._backoff = backoff
        self._clock = clock
        self._tickets: dict[str, Ticket] = {}
        self._open: dict[str, Ticket] = {}  # those that have not ended
        self._outbox = Outbox()
        self._edges = Edges()
        self._runs: dict[str, str] = {}  # folders, by the beginning of the keys
        self._reports: list[Report] = []
        self._config: dict[str, str] = {}
        self._accounting = True
        self.problem = ""  # why Slurm itself does not answer, for a person
        self._failed = ""  # why the last conversation did not do what it was for
        self.reset()

    def __repr__(self) -> str:
        return f"ClusterHost({self.name!r}, {self._transport!r})"

    def reset(self) -> None:
        """Take nothing for granted that a lost connection may have swallowed."""
        self._conversation.reset()
        self.pace.reset()

    def limit(self, *, slots: int, grace: float) -> None:
        """See Host. So many are in Slurm's hands at once; the others wait here, where they cost nobody else's limits."""
        self.slots = slots or _WINDOW
        self._grace = grace

    @property
    def watched(self) -> bool:
        """Is a person looking? Then nothing is more than a few seconds old."""
        return self.pace.watched

    @watched.setter
    def watched(self, watched: bool) -> None:
        self.pace.watched = watched

    # -- handing over ---------------------------------------------------------------------------------------------------
    def submit(self, submissions: Sequence[Submission]) -> bool:
        """See Host. What is above the limit waits; what Slurm refuses for now is tried again by `tend`."""
        for s in submissions:
            ticket = self._tickets.get(s.key)
            self._runs[s.key.rsplit("_", 2)[0]] = run_folder(s)
            if ticket is None or ticket.ended:
                ticket = self._tickets[s.key] = self._open[s.key] = Ticket(s)
                self._edges.add(s)
            self._outbox.add(ticket)
        try:
            self._hand_over(
                {s.key for s in submissions}, [f for s in submissions if not s.known for f in files(s, grace=self._grace)]
            )
        except HostError:
            for s in submissions:  # their files may not be there
                self._outbox.waiting.pop(s.key, None)
            raise
        if self._failed:
            raise HostError(self._failed)
        return True

    def _learn(self, needed: Iterable[File]) -> None:
        """Ask for the limits of the site."""
        self._converse("config\n", files=needed)
        config, self._config = self._config, {}
        if "none" in config:
            raise HostError(f"host '{self.name}': {_NO_SBATCH}")
        self._outbox.learn(config)
        if "down" not in config:
            self._config = config

    def _hand_over(self, fresh: Iterable[str] = (), needed: Iterable[File] = ()) -> None:
        """Submit as many as may be; of all others that are new here, ask whether the host knows them already."""
        self._failed = ""
        self.pace.tried()
        if not self._config:
            self._learn(needed)
            needed = ()
        if self._failed:
            for ticket in self._outbox.waiting.values():
                ticket.wait("not submitted yet: Slurm's controller cannot be reached")
            self._bring()
            return
        for ticket in list(self._outbox.waiting.values()):
            if problem := slurm.refused(ticket.submission.job.resources):
                self._refuse(ticket, problem)
        self._outbox.begin()
        while not self._is_down() and (request := self._outbox.request(self._room, backoff=self._backoff)):
            self._converse(request, files=needed, timeout=600)
            needed = ()
        unknown = [t for key in fresh if (t := self._outbox.waiting.get(key)) and not t.unit]
        if unknown or needed:
            self._converse("".join(f"{t.place}peek {t.key}\n" for t in unknown), files=needed)

    @property
    def _room(self) -> int:
        """How many more may be in Slurm's hands."""
        return max(0, self.slots - sum(1 for t in self._open.values() if t.handed and t.key not in self._outbox.waiting))

    def _refuse(self, ticket: Ticket, reason: str) -> None:
        """Slurm will never take it: an end, of which the host keeps evidence for what waits for it."""
        self._conversation.later(f"{ticket.place}seize {ticket.key} {ticket.submission.attempt} refused\n")
        ticket.end(Verdict(State.FAILED, None, reason))
        self._ended(ticket, State.FAILED)

    # -- stopping -------------------------------------------------------------------------------------------------------
    def cancel(self, keys: Iterable[str]) -> None:
        """See Host. What has not begun ends at once; what runs ends as Slurm does it, within its KillWait."""
        self._stop("cancelled", keys)

    def withdraw(self, keys: Iterable[str]) -> None:
        """See Host."""
        self._stop("withdrawn", keys)

    def _stop(self, word: str, keys: Iterable[str]) -> None:
        chosen = [t for key in keys if (t := self._open.get(key))]
        if chosen:
            self._converse("".join(self._stopping(word, t) for t in chosen) + "halt\n", timeout=300)
            for ticket in chosen:
                self._outbox.waiting.pop(ticket.key, None)
            self.pace.hurry()
            if self._failed:  # what had not begun never will; the others are still to be told
                raise HostError(self._failed)

    def _stopping(self, word: str, ticket: Ticket) -> str:
        return f"{ticket.place}stop {word} {ticket.key} {ticket.attempt} {ticket.native or '-'}\n"

    # -- looking --------------------------------------------------------------------------------------------------------
    def tend(self) -> None:
        """Look when it is time: often while things happen, ever more seldom after that. The controller is asked less often still."""
        if self._outbox.waiting and self.pace.try_due:
            self._hand_over()
        if self._open:
            if self.pace.look_due:
                self._look(self._clock())
        elif self._conversation.pending:
            self._converse("")

    def _look(self, now: float) -> None:
        ask = self.pace.looked(awaiting=any(t.evidence for t in self._open.values()))
        vanished = self._vanished(now)
        runs = dict.fromkeys(t.run for t in self._open.values())
        ids = ",".join(t.native for t in vanished)
        logs = "".join(f"{t.place}log {t.key}\n" for t in self._open.values() if t.unexplained)
        text = self._converse(f"{logs}look {ask} {quote(ids)} {' '.join(map(quote, runs))}\n", timeout=300)
        if (failure := slurm.asked(text, "squeue")) != "":
            self._heed_queue(text, failure, now)
        if vanished:
            self._heed_accounts(text, vanished)
        self._conclude()
        self._bring()

    def _vanished(self, now: float) -> list[Ticket]:
        """Those that left squeue: sacct may tell how they ended. Its database is late: it is asked again, but not for ever at once."""
        if not self._accounting:
            return []
        gone = (t for t in self._open.values() if t.queued is Silence.ABSENT and t.native)
        due = [t for t in gone if t.inquired is None or now - t.inquired >= _INQUIRE + (now - t.since) / 5]
        return due[:_INQUIRIES]

    def _heed_queue(self, text: str, failure: str | None, asked: float) -> None:
        """Take squeue's answer in; when it is none, nothing is known."""
        now = self._clock()
        self.pace.asked(awaiting=any(t.evidence for t in self._open.values()))
        if failure is not None:
            self._trouble(f"Slurm cannot be asked now: {failure}")
            for ticket in self._open.values():
                ticket.unasked()
            return
        self.problem = ""
        rows: dict[tuple[str, int], list[Row]] = {}
        for row in slurm.queue(text):
            rows.setdefault((row.name, row.task), []).append(row)
        for ticket in self._open.values():
            if ticket.native:
                ticket.see(slurm.chosen(rows.get(ticket.name, ()), ticket.native), now, asked=asked)
                self._look_up(ticket)

    def _look_up(self, ticket: Ticket) -> None:
        """Slurm found that it can never run. We know better, or it is skipped."""
        stuck = isinstance(ticket.queued, Row) and ticket.queued.reason == "DependencyNeverSatisfied"
        if stuck and not self._skip(ticket) and all(parent not in self._open for parent, _ in ticket.submission.after):
            self._conversation.later(f"scontrol update JobId={ticket.native} Dependency= >/dev/null 2>&1\n")

    def _heed_accounts(self, text: str, asked: list[Ticket]) -> None:
        """Take sacct's answer in. A number may be an earlier job's: the name decides."""
        now, failure = self._clock(), slurm.asked(text, "sacct")
        self._accounting = not (failure and "disabled" in failure)
        rows = {(row.name, row.task): row for row in slurm.accounts(text)}
        for ticket in asked:
            ticket.inquire(Silence.UNASKED if failure is not None else rows.get(ticket.name, Silence.ABSENT), now)

    def _conclude(self) -> None:
        """End what is proven to have ended, and leave evidence on the host where there was none."""
        now = self._clock()
        for ticket in list(self._open.values()):
            if (verdict := ticket.conclude(now)) is None:
                continue
            if ticket.evidence is None:
                self._conversation.later(f"{ticket.place}leave {ticket.key} {ticket.attempt} {ticket.remains(verdict)}\n")
            self._ended(ticket, verdict.what)

    def _ended(self, ticket: Ticket, what: State | str) -> None:
        """Forget it among those that are open; what waited for another end of it is skipped."""
        self.pace.news()
        self._open.pop(ticket.key, None)
        self._outbox.drop(ticket)
        for child in self._edges.end(ticket.key, what):
            if (below := self._open.get(child)) and below.begun is None:
                self._skip(below)

    def _skip(self, ticket: Ticket) -> bool:
        """Have it skipped if a parent has ended otherwise than asked."""
        doomed = self._edges.doomed(ticket.submission)
        if doomed:
            self._conversation.later(self._stopping("skipped", ticket) + "halt; ids='' names=''\n")
        return doomed

    # -- what else a host does ------------------------------------------------------------------------------------------
    def hear(self) -> list[Report]:
        """See Host."""
        reports, self._reports = self._reports, []
        return reports

    def forget(self, keys: Iterable[str]) -> None:
        """See Host."""
        for key in keys:
            if ticket := self._tickets.pop(key, None):
                self._open.pop(key, None)
                self._edges.forget(key)
                self._outbox.drop(ticket)

    # -- conversations --------------------------------------------------------------------------------------------------
    def _converse(self, request: str, *, files: Iterable[File] = (), timeout: float = 120) -> str:
        """Say it, and take in what is told."""
        self._failed = ""
        text = self._conversation.say(request, files=files, timeout=timeout)
        for answer in slurm.answers(text):
            self._heed(answer)
        now = self._clock()
        for told in slurm.told(text):
            self._hear(told, now)
        self._bring()
        return text

    def _heed(self, answer: Answer) -> None:
        words = answer.words
        match answer.verb:
            case "config":
                self._config[words[0]] = answer.text
                if words[0] == "down":
                    self._fail(f"Slurm's controller cannot be reached: {answer.text}")
            case "in" if ticket := self._open.get(words[0]):
                self._outbox.join(ticket, words[1], int(words[2]))
            case "kept" if ticket := self._open.get(words[0]):
                ticket.keep()
            case "scancel":
                if "nvalid job id" not in answer.text:
                    self._fail(f"{' '.join(words)}")
            case "log" if ticket := self._open.get(words[0]):
                ticket.words = answer.text
            case "gone" if ticket := self._open.get(words[0]):
                ticket.end(Verdict(State.LOST, None, "its folder was removed on the host"))
                self._ended(ticket, State.LOST)
            case "id":
                self._outbox.enter(words[0], words[1], array=len(words) > 2)
            case "later" | "unsure" | "down" | "refused":
                if answer.verb == "down":
                    self._fail(f"Slurm's controller cannot be reached: {slurm.said(answer.text)}")
                for ticket in self._outbox.defer(answer):
                    self._refuse(ticket, f"sbatch refused it: {slurm.said(answer.text)}")
            case _:
                pass

    def _hear(self, told: Told, now: float) -> None:
        if folder := self._runs.get(told.key.rsplit("_", 2)[0]):
            self._conversation.remove(f"{folder}/events/{told.key}.{told.attempt}.{told.verb}")
        if ticket := self._open.get(told.key):
            self.pace.news()
            ticket.hear(told, now)
            self._outbox.waiting.pop(told.key, None)

    def _bring(self) -> None:
        """Collect what the tickets have to report."""
        before = len(self._reports)
        for ticket in self._tickets.values():
            if ticket.reports:
                self._reports += ticket.reports
                ticket.reports = []
        if len(self._reports) > before:
            self._wake()

    def _is_down(self) -> bool:
        return bool(self._failed)

    def _fail(self, why: str) -> None:
        self._trouble(why)
        self._failed = self.problem

    def _trouble(self, why: str) -> None:
        self.problem = f"host '{self.name}': {why}"
        self._wake()
