"""A Slurm host: attempts go to sbatch in units, and what became of them is looked up, one command a look however many there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from shlex import quote

from ..errors import HostError
from ..run import State
from . import slurm
from .attempts import Report, Submission
from .conversation import Conversation
from .slurm import Answer, Row, Told
from .ticket import Outcome, Ticket, run_folder
from .transport import File, Transport
from .unit import LARGEST, files, gather, order
from .verdict import Silence, Verdict

_NO_SBATCH = "there is no sbatch on its PATH: is it a login node of Slurm? If not, give it another scheduler"
_WINDOW = 1000  # attempts in Slurm's hands at once, if nobody chose a number
_INQUIRIES = 500  # ids in one call of sacct
_OFTEN, _SELDOM, _WATCHED = 0.3, 30.0, 5.0  # seconds between two looks at the events
_ASK, _ASK_SELDOM = 2.0, 60.0  # seconds between two calls of squeue
_SOON = 0.5  # seconds until it is asked once more when a script has ended: Slurm's last word comes a moment later
_TRY, _TRY_SELDOM = 2.0, 60.0  # seconds until what was refused for now is tried again
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
        self.watched = False  # is a person looking?
        self.limit(slots=slots, grace=grace)
        self._transport = transport
        self._conversation = Conversation(transport, f"{directory}/runner/{name}", patience=patience)
        self._wake = wake
        self._backoff = backoff
        self._clock = clock
        self._tickets: dict[str, Ticket] = {}
        self._open: dict[str, Ticket] = {}  # those that have not ended
        self._waiting: dict[str, Ticket] = {}  # those that are not in Slurm's hands, parents first
        self._units: dict[str, dict[str, Ticket]] = {}  # by token and key
        self._children: dict[str, list[str]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._runs: dict[str, str] = {}  # folders, by the beginning of the keys
        self._reports: list[Report] = []
        self._config: dict[str, str] = {}
        self._array = self._largest = LARGEST  # tasks of an array: what may be tried now, what the site allows
        self._full: set[object] = set()  # kinds of units of which Slurm took no more
        self._accounting = True
        self.problem = ""  # why Slurm itself does not answer, for a person
        self._failed = ""  # why the last conversation did not do what it was for
        self.reset()

    def __repr__(self) -> str:
        return f"ClusterHost({self.name!r}, {self._transport!r}, slots={self.slots})"

    def reset(self) -> None:
        """Take nothing for granted that a lost connection may have swallowed."""
        self._conversation.reset()
        self._changed = self._clock()
        self._looked = self._asked = self._tried = -_ASK_SELDOM
        self._pause, self._question = _TRY, _ASK

    def limit(self, *, slots: int, grace: float) -> None:
        """See Host. So many are in Slurm's hands at once; the others wait here, where they cost nobody else's limits."""
        self.slots = slots or _WINDOW
        self._grace = grace

    # -- handing over ---------------------------------------------------------------------------------------------------
    def submit(self, submissions: Sequence[Submission]) -> bool:
        """See Host. What is above the limit waits; what Slurm refuses for now is tried again by `tend`."""
        for s in submissions:
            ticket = self._tickets.get(s.key)
            self._runs[s.key.rsplit("_", 2)[0]] = run_folder(s)
            if ticket is None or ticket.ended:
                ticket = self._tickets[s.key] = self._open[s.key] = Ticket(s)
                for parent, _ in s.after:
                    self._children.setdefault(parent, []).append(s.key)
            self._waiting[s.key] = ticket
        try:
            self._hand_over(
                {s.key for s in submissions}, [f for s in submissions if not s.known for f in files(s, grace=self._grace)]
            )
        except HostError:
            for s in submissions:  # their files may not be there
                self._waiting.pop(s.key, None)
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
        if size := config.get("MaxArraySize", ""):
            self._array = self._largest = max(1, min(LARGEST, int(size) - 1))
        if "down" not in config:
            self._config = config

    def _hand_over(self, fresh: Iterable[str] = (), needed: Iterable[File] = ()) -> None:
        """Submit as many as may be; of all others that are new here, ask whether the host knows them already."""
        self._tried, self._failed = self._clock(), ""
        self._pause = min(2 * self._pause, _TRY_SELDOM)
        if not self._config:
            self._learn(needed)
            needed = ()
        if self._failed:
            for ticket in self._waiting.values():
                ticket.wait("not submitted yet: Slurm's controller cannot be reached")
            self._bring()
            return
        unknown = set(fresh)
        while portion := self._portion():
            before, size = len(self._waiting), self._array
            unknown.difference_update(t.key for unit in portion for t in unit)
            self._converse("".join(order(unit, backoff=self._backoff) for unit in portion), files=needed, timeout=600)
            needed = ()
            if self._failed or (len(self._waiting) == before and self._array == size):
                break
            if self._array == size:
                self._array = min(2 * size, self._largest)
        if peeks := [t for key, t in self._waiting.items() if key in unknown]:
            self._converse("".join(f"{t.place}peek {t.key}\n" for t in peeks), files=needed)
        if not self._waiting:
            self._pause = _TRY

    def _portion(self) -> list[list[Ticket]]:
        """Choose units from what waits, as many as may be in Slurm's hands."""
        for ticket in list(self._waiting.values()):
            if problem := slurm.refused(ticket.submission.job.resources):
                self._refuse(ticket, problem)
        room = max(0, self.slots - sum(1 for t in self._open.values() if t.handed and t.key not in self._waiting))
        return gather(islice(self._waiting.values(), room), largest=self._array, full=self._full)

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
                self._waiting.pop(ticket.key, None)
            self._changed, self._looked = self._clock(), -_ASK_SELDOM
            if self._failed:  # what had not begun never will; the others are still to be told
                raise HostError(self._failed)

    def _stopping(self, word: str, ticket: Ticket) -> str:
        return f"{ticket.place}stop {word} {ticket.key} {ticket.attempt} {ticket.native or '-'}\n"

    # -- looking --------------------------------------------------------------------------------------------------------
    def tend(self) -> None:
        """Look when it is time: often while things happen, ever more seldom after that. The controller is asked less often still."""
        now = self._clock()
        if self._waiting and now - self._tried >= self._pause:
            self._hand_over()
        quiet = now - self._changed
        if self._open and now - self._looked >= min(max(quiet / 20, _OFTEN), _WATCHED if self.watched else _SELDOM):
            self._look(now)

    def _look(self, now: float) -> None:
        self._looked = now
        since = now - self._asked
        ask = "always" if since >= self._question else "ends" if since >= _ASK else "never"
        vanished = self._vanished(now)
        runs = dict.fromkeys(t.run for t in self._open.values())
        ids = ",".join(t.native for t in vanished)
        text = self._converse(f"look {ask} {quote(ids)} {' '.join(map(quote, runs))}\n", timeout=300)
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
        due = [t for t in gone if t.inquired is None or now - t.inquired >= _ASK + (now - t.since) / 5]
        return due[:_INQUIRIES]

    def _heed_queue(self, text: str, failure: str | None, asked: float) -> None:
        """Take squeue's answer in; when it is none, nothing is known."""
        now, before = self._clock(), self._asked
        self._asked = now
        self._question = min(max((now - self._changed) / 5, _ASK), _WATCHED if self.watched else _ASK_SELDOM)
        if now - before >= _ASK and any(t.evidence for t in self._open.values()):
            self._question = _SOON
        if failure is not None:
            self._trouble(f"Slurm cannot be asked now: {failure}")
            for ticket in self._open.values():
                ticket.unasked()
            return
        self.problem = ""
        rows: dict[tuple[str, int], list[Row]] = {}
        for row in slurm.queue(text):
            rows.setdefault((row.name, row.index), []).append(row)
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
        rows = {(row.name, row.index): row for row in slurm.accounts(text)}
        for ticket in asked:
            ticket.inquire(Silence.UNASKED if failure is not None else rows.get(ticket.name, Silence.ABSENT), now)

    def _conclude(self) -> None:
        """End what is proven to have ended, and leave evidence on the host where there was none."""
        now = self._clock()
        for ticket in list(self._open.values()):
            if (verdict := ticket.conclude(now)) is None:
                continue
            if ticket.evidence is None:
                word = ticket.queued.state if isinstance(ticket.queued, Row) else "lost"
                word = ticket.accounted.state if isinstance(ticket.accounted, Row) else word
                code = 75 if verdict.exit_code is None else verdict.exit_code
                self._conversation.later(f"{ticket.place}leave {ticket.key} {ticket.attempt} {code} {word}\n")
            self._ended(ticket, verdict.what)

    def _ended(self, ticket: Ticket, what: State | str) -> None:
        """Forget it among those that are open; what waited for another end of it is skipped."""
        self._changed, self._pause = self._clock(), _TRY
        self._open.pop(ticket.key, None)
        self._waiting.pop(ticket.key, None)
        if what != "withdrawn":
            outcomes = {State.DONE: Outcome.OK, State.SKIPPED: Outcome.SKIPPED}
            self._outcomes[ticket.key] = outcomes.get(what, Outcome.FAILED) if isinstance(what, State) else Outcome.FAILED
            for child in self._children.pop(ticket.key, ()):
                if (below := self._open.get(child)) and below.begun is None:
                    self._skip(below)

    def _skip(self, ticket: Ticket) -> bool:
        """Have it skipped if a parent has ended otherwise than asked."""
        doomed = any((end := self._outcomes.get(parent)) and end.doom(edge.kind) for parent, edge in ticket.submission.after)
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
                self._waiting.pop(key, None)
                self._outcomes.pop(key, None)
                self._units.get(ticket.unit, {}).pop(key, None)

    def read(self, path: str, offset: int, limit: int) -> bytes:
        """See Host."""
        return self._transport.read(path, offset, limit)

    def facts(self) -> dict[str, object]:
        """See Host."""
        if not self._config:
            self._learn(())
        told = {"slurm": "SLURM_VERSION", "cluster": "ClusterName", "largest_array": "MaxArraySize", "most_jobs": "MaxJobCount"}
        return {"slots": self.slots, **self._transport.facts(), **{name: self._config.get(key) for name, key in told.items()}}

    def close(self) -> None:
        """See Host."""
        self._transport.close()

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
                ticket.unit, ticket.index = words[1], int(words[2])
                self._units.setdefault(words[1], {})[ticket.key] = ticket
            case "kept" if ticket := self._open.get(words[0]):
                ticket.keep()
            case "scancel":
                if "nvalid job id" not in answer.text:
                    self._fail(f"{' '.join(words)}")
            case "gone" if ticket := self._open.get(words[0]):
                ticket.end(Verdict(State.LOST, None, "its folder was removed on the host"))
                self._ended(ticket, State.LOST)
            case "id":
                for ticket in self._unit_of(words[0]):
                    ticket.enter(words[1], array=len(words) > 2)
                    self._full.discard(ticket.kind)
                    self._waiting.pop(ticket.key, None)
            case "later" | "unsure" | "down" | "refused":
                self._deferred(answer)
            case _:
                pass

    def _unit_of(self, token: str) -> list[Ticket]:
        return [t for t in self._units.get(token, {}).values() if not t.ended]

    def _deferred(self, answer: Answer) -> None:
        """It has no id, and stays or ends for that."""
        tickets, text = self._unit_of(answer.words[0]), answer.text
        meaning = slurm.refusal(text) if answer.verb == "refused" else slurm.Refusal.LATER
        if answer.verb == "down":
            self._fail(f"Slurm's controller cannot be reached: {slurm.said(text)}")
        if meaning is slurm.Refusal.LIMIT:
            self._full.update(t.kind for t in tickets)
            if len(tickets) > 1:
                self._array = len(tickets) // 2
                return
        for ticket in tickets:
            if meaning is slurm.Refusal.FINAL:
                self._refuse(ticket, f"sbatch refused it: {slurm.said(text)}")
            else:
                ticket.wait(f"not submitted yet: {slurm.said(text)}")

    def _hear(self, told: Told, now: float) -> None:
        if folder := self._runs.get(told.key.rsplit("_", 2)[0]):
            self._conversation.remove(f"{folder}/events/{told.key}.{told.attempt}.{told.verb}")
        if ticket := self._open.get(told.key):
            self._changed = now
            ticket.hear(told, now)
            self._waiting.pop(told.key, None)

    def _bring(self) -> None:
        """Collect what the tickets have to report."""
        before = len(self._reports)
        for ticket in self._tickets.values():
            if ticket.reports:
                self._reports += ticket.reports
                ticket.reports = []
        if len(self._reports) > before:
            self._wake()

    def _fail(self, why: str) -> None:
        self._trouble(why)
        self._failed = self.problem

    def _trouble(self, why: str) -> None:
        self.problem = f"host '{self.name}': {why}"
        self._wake()
