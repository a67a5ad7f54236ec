"""The dialect of Slurm: what sbatch is given, how squeue, sacct and cluster.sh are read, and what follows. Text in, text out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from shlex import quote
from typing import NamedTuple

from ...model import Dependency, Resources
from ...resources import about_option
from .. import process
from ..attempts import Submission

PREFIX = "hn-"  # of the names that our jobs have there

_DEPENDENCY = re.compile(r"(?:--dependency=|-d)(.+)", re.DOTALL)


# -- what sbatch is given ------------------------------------------------------------------------------------------------
def options(resources: Resources) -> list[str]:
    """Write resources as words for sbatch; a person's own options come last, and so win."""
    named = {
        "time": resources.time,
        "partition": resources.partition,
        "account": resources.account,
        "qos": resources.qos,
        "constraint": resources.constraint,
        "nodes": resources.nodes,
        "ntasks": resources.ntasks,
        "cpus-per-task": resources.cpus_per_task,
        "gpus": resources.gpus,
        "mem": resources.mem,
    }
    return [f"--{name}={value}" for name, value in named.items() if value is not None] + list(resources.sbatch)


def refused(resources: Resources) -> str:
    """Say which of a person's own options cannot be used, or ''."""
    return next(filter(None, map(about_option, resources.sbatch)), "")


def sending(words: Sequence[str], *, token: str, comment: str, log: str, array: bool) -> str:
    """Write the options of a unit for cluster.sh, everything quoted.

    Before `words` stands what they may change. Requeueing is off: once a dependency failed, Slurm never runs the child, even if the
    parent runs again. The environment is that of the submitting shell, as at a terminal, without the variables of an outer job.
    """
    dependency, rest = _own_dependency(words)
    before = ["--no-requeue", "--open-mode=append", "--export=ALL", f"--comment={comment}"]
    after = [f"--job-name={PREFIX}{token}", f"--output={log.replace('%', '%%')}{'.%a' if array else ''}", "--chdir=/"]
    parts = ["array=array"] if array else []
    parts += [f"dependency={quote(dependency)}"] if dependency else []
    return "; ".join([*parts, "set -- " + " ".join(map(quote, [*before, *rest, *after]))])


def _own_dependency(words: Sequence[str]) -> tuple[str, list[str]]:
    """Take a person's own dependency out: it is put beside ours."""
    found, rest, left = "", [], list(words)
    while left:
        word = left.pop(0)
        if word in ("-d", "--dependency") and left:
            found = left.pop(0)
        elif match := _DEPENDENCY.fullmatch(word):
            found = match[1].removeprefix("=")
        else:
            rest.append(word)
    return found, rest


def task(submission: Submission, *, backoff: int) -> str:
    """Write the line of an attempt for cluster.sh."""
    return f"task {submission.key} {submission.attempt} {submission.job.retries} {backoff} {edges(submission.after)}\n"


def edges(after: Iterable[tuple[str, Dependency]]) -> str:
    return ",".join(f"{parent}:{dependency.kind.value}" for parent, dependency in after) or "-"


# -- states --------------------------------------------------------------------------------------------------------------
class Phase(Enum):
    """What a state of Slurm's means for us."""

    PENDING = "pending"
    RUNNING = "running"  # it has, or had, its nodes; nothing final
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNSETTLED = "unsettled"  # it ended, but Slurm may start it once more by itself


# Every name of squeue(1) and sacct(1), with its short code. What is not here is a state that we do not know yet: active.
STATES: dict[str, tuple[str, Phase, str]] = {
    "BOOT_FAIL": ("BF", Phase.FAILED, "its node failed to boot"),
    "CANCELLED": ("CA", Phase.CANCELLED, "cancelled on the host"),
    "COMPLETED": ("CD", Phase.DONE, ""),
    "CONFIGURING": ("CF", Phase.RUNNING, ""),
    "COMPLETING": ("CG", Phase.RUNNING, ""),
    "DEADLINE": ("DL", Phase.FAILED, "its deadline passed"),
    "FAILED": ("F", Phase.FAILED, ""),
    "LAUNCH_FAILED": ("LF", Phase.FAILED, "it could not be launched"),
    "NODE_FAIL": ("NF", Phase.UNSETTLED, "its node failed"),
    "OUT_OF_MEMORY": ("OOM", Phase.FAILED, "out of memory: ask for more by mem"),
    "PENDING": ("PD", Phase.PENDING, ""),
    "POWER_UP_NODE": ("PU", Phase.RUNNING, ""),
    "PREEMPTED": ("PR", Phase.UNSETTLED, "preempted by another job"),
    "RECONFIG_FAIL": ("RC", Phase.FAILED, "its node could not be configured"),
    "REQUEUED": ("RQ", Phase.PENDING, ""),
    "REQUEUE_FED": ("RF", Phase.PENDING, ""),
    "REQUEUE_HOLD": ("RH", Phase.PENDING, ""),
    "RESIZING": ("RS", Phase.RUNNING, ""),
    "RESV_DEL_HOLD": ("RD", Phase.PENDING, ""),
    "REVOKED": ("RV", Phase.FAILED, "revoked: another cluster of the federation runs it"),
    "RUNNING": ("R", Phase.RUNNING, ""),
    "SIGNALING": ("SI", Phase.RUNNING, ""),
    "SPECIAL_EXIT": ("SE", Phase.PENDING, ""),
    "STAGE_OUT": ("SO", Phase.RUNNING, ""),
    "STOPPED": ("ST", Phase.RUNNING, ""),
    "SUSPENDED": ("S", Phase.RUNNING, ""),
    "TIMEOUT": ("TO", Phase.FAILED, "time limit reached: ask for more by time"),
}
_LONG = {short: name for name, (short, _, _) in STATES.items()}
_FINAL = {Phase.DONE, Phase.FAILED, Phase.CANCELLED, Phase.UNSETTLED}


class Row(NamedTuple):
    """A job as squeue or sacct tells of it."""

    name: str  # hn-TOKEN
    task: int  # in its array, counted from 1; 1 also without an array
    native: str  # "123" or "123_4"
    state: str  # the long name
    reason: str = ""  # squeue's
    start: str = ""  # expected or actual, the host's local time
    node: str = ""
    code: str = ""  # sacct's "CODE:SIGNAL"

    @property
    def phase(self) -> Phase:
        return STATES[self.state][1] if self.state in STATES else Phase.RUNNING

    @property
    def final(self) -> bool:
        return self.phase in _FINAL


def state(text: str) -> str:
    """Return the long name of a state: "CANCELLED by 1000" and "CA+" are CANCELLED."""
    words = text.split()
    word = words[0].rstrip("+") if words else ""
    return _LONG.get(word, word)


def queue(text: str) -> list[Row]:
    """Read cluster.sh's squeue."""
    rows = []
    for line in text.splitlines():
        fields = line.split("|", 6)
        if len(fields) == 7 and fields[0].startswith(PREFIX) and fields[1].isdigit():
            name, job, index, word, start, node, reason = fields
            task = int(index) if index.isdigit() else 0
            native = f"{job}_{task}" if task else job
            rows.append(Row(name, task or 1, native, state(word), _unset(reason), _unset(start), node))
    return rows


def chosen(rows: Sequence[Row], native: str) -> Row | None:
    """Choose among jobs of one name, should it have been submitted twice: the one that runs the script, else one that is not over."""
    return next((row for row in rows if row.native == native), None) or min(rows, key=lambda row: row.final, default=None)


def accounts(text: str) -> list[Row]:
    """Read cluster.sh's sacct. An array of which nothing has started yet is one row, "123_[1-40]": it says nothing of its tasks."""
    rows = []
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) == 4 and fields[0].startswith(PREFIX) and (match := re.fullmatch(r"(\d+)(?:_(\d+))?", fields[1])):
            by = fields[2].partition(" by ")[2]
            rows.append(
                Row(fields[0], int(match[2] or 1), fields[1], state(fields[2]), f"by user {by}" if by else "", code=fields[3])
            )
    return rows


def _unset(text: str) -> str:
    return "" if text in ("N/A", "None", "(null)", "Unknown") else text


# -- what cluster.sh tells -----------------------------------------------------------------------------------------------
class Told(NamedTuple):
    """An event, as batch.sh or cluster.sh left it."""

    verb: str  # start fail retry end
    key: str
    attempt: int
    code: int  # the pause of retry, in seconds
    word: str
    native: str
    time: float


class Answer(NamedTuple):
    """What cluster.sh says of a unit or an attempt."""

    verb: str  # in id refused later unsure down skipped kept gone log config scancel
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The words behind the token."""
        return " ".join(self.words[1:])


_VERBS = ("retry", "start", "fail", "end")
_ANSWERS = ("in", "id", "refused", "later", "unsure", "down", "skipped", "kept", "gone", "log", "config", "scancel")


def told(text: str) -> list[Told]:
    """Read events, and put them in their order; torn lines, and lines that a torn one runs into, are none."""
    events = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 8 and words[7] == "." and (said := process.parse(line)) and said.verb in _VERBS:
            events.append(Told(said.verb, said.key, said.attempt, said.code or 0, said.word, words[5], float(words[6])))
    return sorted(events, key=lambda event: (event.key, event.attempt, _VERBS.index(event.verb)))


def answers(text: str) -> list[Answer]:
    """Read everything else."""
    return [Answer(words[0], tuple(words[1:])) for line in text.splitlines() if (words := line.split()) and words[0] in _ANSWERS]


def asked(text: str, program: str) -> str | None:
    """Return None when a program answered, else why it did not: "" when it was not asked."""
    for line in text.splitlines():
        if line.startswith(f"= {program} "):
            return None if line.split()[2] == "0" else _complaint(text) or f"{program} failed"
    return ""


def _complaint(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if "rror" in line or "able" in line), "")


# -- what a person reads ------------------------------------------------------------------------------------------------
_FOREVER = {
    "PartitionConfig": "the partition can never give what it asks for",
    "PartitionNodeLimit": "the partition can never give so many nodes",
    "PartitionTimeLimit": "its time is above the partition's limit",
    "PartitionDown": "the partition is down",
    "PartitionInactive": "the partition takes no jobs",
    "BadConstraints": "no node can ever give what it asks for",
    "AccountNotAllowed": "the account may not use the partition",
    "QOSNotAllowed": "the qos may not be used there",
    "AssociationTimeLimit": "its time is above the account's limit",
    "JobHeldAdmin": "an administrator holds it",
    "JobHeldUser": "it is held: scontrol release lets it go",
    "launch failed requeued held": "it could not be launched and is held: look at the node, then scontrol release",
    "DependencyNeverSatisfied": "what it waits for ended otherwise",
    "InvalidAccount": "the account is not valid",
    "InvalidQOS": "the qos is not valid",
}


def waiting(row: Row) -> str:
    """Tell why a job is in the queue, and when it may start, on the host's clock."""
    why = ": ".join(word for word in (row.state, row.reason) if word)
    if known := next((text for reason, text in _FOREVER.items() if row.reason.startswith(reason)), ""):
        why += f" ({known})"
    return why + (f", expected start {row.start[:16].replace('T', ' ')}" if row.start else "")


class Refusal(Enum):
    """What an answer of sbatch without an id means."""

    FINAL = "final"
    LIMIT = "limit"  # too many at once
    LATER = "later"


_LIMITS = (
    "job submit limit",
    "QOSMaxSubmit",
    "AssocMaxSubmit",
    "MaxSubmitJobs",
    "Job violates accounting/QOS policy",
    "job array specification",
)
_PASSING = (
    "I/O error",
    "fatal:",
    "temporarily unavailable",
    "emporarily",
    "Slurm controller in standby",
    "maximum job count",
    "Slurm temporarily unable to accept job",
    "Resource temporarily",
    "database",
    "imed out",
    "No space left",
    "Protocol authentication",
    "Munge",
    "nexpected",
)


def said(text: str) -> str:
    """Leave out what every line of sbatch begins with."""
    words = re.split(r"sbatch: (?:error: )?(?:Batch job submission failed: )?", text)
    return "; ".join(word.strip() for word in words if word.strip())


def refusal(text: str) -> Refusal:
    """Tell a refusal for good from one for now."""
    if any(words in text for words in _LIMITS):
        return Refusal.LIMIT
    return Refusal.LATER if any(words.lower() in text.lower() for words in _PASSING) else Refusal.FINAL
