"""What Slurm and an attempt's own evidence prove together: one pure decision."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from ...run import State
from .. import process
from .dialect import STATES, Phase, Row, Told

LAST_WORD = 10.0  # seconds that an exit code waits for Slurm's own word about the same job
SETTLED = 30.0  # seconds that a state must stand which Slurm may still take back, or which an exit code should explain
LATE = 5.0  # seconds that a shared file system may be late with an exit code
GONE = 300.0  # seconds of asking without an answer that holds the job, until it is lost


class Silence(Enum):
    """What stands in the place of a row: Slurm answered without one, or could not be asked."""

    ABSENT = "absent"
    UNASKED = "unasked"


class Verdict(NamedTuple):
    """The end of an attempt, in our words."""

    what: State | str  # a final state, "withdrawn" or, when Slurm will start it once more, "retry"
    exit_code: int | None = None
    reason: str = ""


def decide(evidence: Told | None, queued: Row | Silence, accounted: Row | Silence, *, waited: float) -> Verdict | None:
    """Say how an attempt ended; None while nothing proves an end, or the proof is not complete.

    `waited`: for how many seconds these three have said the same. The exit code leads; Slurm's word can turn it to the worse.
    "Could not ask" proves nothing, and being in no list alone only does after a long time of asking.
    """
    row = queued if isinstance(queued, Row) else accounted if isinstance(accounted, Row) else None
    if evidence and evidence.word not in ("exit", "killed"):
        return judged(evidence)
    if row and row.final:
        return _with_word(evidence, row, waited)
    if evidence is None:
        return _without_evidence(queued, row, waited)
    if evidence.word == "killed":
        if row:
            return (
                Verdict("retry", evidence.code, "queued again by Slurm") if row.phase is Phase.PENDING and waited >= LATE else None
            )
        return judged(evidence) if queued is Silence.ABSENT and waited >= LAST_WORD else None
    unasked = queued is Silence.UNASKED or (queued is Silence.ABSENT and accounted is Silence.UNASKED)
    return judged(evidence) if unasked or waited >= LAST_WORD else None


def _with_word(evidence: Told | None, row: Row, waited: float) -> Verdict | None:
    """Slurm says that it ended."""
    if row.phase is Phase.UNSETTLED and waited < SETTLED:
        return None
    if evidence and (
        row.state in ("COMPLETED", "FAILED") or (row.state == "CANCELLED" and evidence.word == "exit" and evidence.code == 0)
    ):
        return judged(evidence)  # batch.sh was told of no cancelling: a controller that forgot that it runs calls its end so
    if evidence is None and waited < (SETTLED if row.phase is Phase.DONE else LATE):
        return None
    code = evidence.code if evidence else _exit_code(row)
    if row.phase is Phase.DONE:
        return Verdict(State.DONE, 0, "")
    what = State.CANCELLED if row.phase is Phase.CANCELLED else State.FAILED
    return Verdict(what, code, _about_end(row, evidence))


def _without_evidence(queued: Row | Silence, row: Row | None, waited: float) -> Verdict | None:
    if row or queued is not Silence.ABSENT or waited < GONE:
        return None
    return Verdict(State.LOST, None, "Slurm knows it no more, and it left no exit code")


def judged(evidence: Told) -> Verdict:
    """Turn evidence alone into an end."""
    if evidence.word in STATES:  # we left it ourselves, by Slurm's word
        _, phase, reason = STATES[evidence.word]
        return Verdict(State.CANCELLED if phase is Phase.CANCELLED else State.FAILED, None, f"{reason} ({evidence.word})".strip())
    if evidence.word == "refused":
        return Verdict(State.FAILED, None, "sbatch refused it")
    if evidence.word == "requeued":
        return Verdict(State.FAILED, evidence.code, "queued again by Slurm")
    word = "exit" if evidence.word == "killed" else evidence.word
    if word == "lost":
        return Verdict(State.LOST, None, "Slurm knows it no more, and it left no exit code")
    return Verdict(*process.judge(evidence.code, word))


def _exit_code(row: Row) -> int | None:
    code, _, signal = row.code.partition(":")
    if not (code.isdigit() and signal.isdigit()):
        return None
    return 128 + int(signal) if int(signal) else int(code)


def _about_end(row: Row, evidence: Told | None) -> str:
    """Tell in a person's words and in Slurm's why it ended, and what its script said if that was something else."""
    what = STATES[row.state][2]
    code = _exit_code(row)
    if row.state == "FAILED":
        what = (
            "it could not be launched, or was killed"
            if row.code == "0:53" or "aunch" in row.reason
            else process.about_exit(code)
            if code
            else "it failed"
        )
    detail = ", ".join(dict.fromkeys(word for word in (row.state, row.reason if row.reason != "NonZeroExitCode" else "") if word))
    left = f", though the script ended with {evidence.code}" if evidence and evidence.code == 0 else ""
    return f"{what} ({detail}){left}"
