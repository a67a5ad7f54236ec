"""The dialect of plain hosts: what is written to runner.sh's inbox, and how its record is read. Text in, text out."""

from __future__ import annotations

from typing import NamedTuple

from ..run import State
from .attempts import Submission, seconds

# Hands a batch (stdin, named $4) to the runner of the folder $1 with $2 slots and the program folder $3; starts it, and says so,
# when none lives. Without a batch, it asks the runner to look after what it runs.
# A batch counts from its rename on. The poke never blocks: a FIFO opened for both ways needs no reader. A missing inbox
# means that a runner is just ending (it removes the inbox last), so a new one is started without asking for the lock.
HAND_OVER = r"""
cd "$1" 2>/dev/null || { mkdir -p "$1" && chmod 700 "$1" && cd "$1"; } || exit 1
new=
if [ "$4" ]; then
  cat >"$4" || exit 1
  while ! mv "$4" inbox/ 2>/dev/null; do mkdir -p inbox || exit 1; new=1; done
  [ ! -p events ] || echo "take $4" 1<>events
elif [ -p events ]; then
  echo look 1<>events
fi
if [ -z "$new" ] && command -v flock >/dev/null; then
  ( flock -n 9 ) 9>>lock || exit 0
fi
echo started
command -v setsid >/dev/null && alone=setsid || alone=nohup
(
  exec env -i HOME="$HOME" USER="${USER-}" LOGNAME="${LOGNAME-}" SHELL="${SHELL-/bin/sh}" PATH="$PATH" LANG="${LANG-C}" \
    "$alone" sh "$3/runner.sh" "$1" "$2"
) </dev/null >>runner.log 2>&1 &
"""


class Said(NamedTuple):
    """One line of the record."""

    verb: str  # start fail end retry kept
    key: str
    attempt: int
    code: int | None = None  # the pid of start, the pause of retry, the exit code of the others
    word: str = ""


def add(submission: Submission, *, backoff: int) -> str:
    """Ask for the submission to be run, or how it stands."""
    after = ",".join(f"{parent}:{dependency.kind.value}" for parent, dependency in submission.after)
    # the slash at the end keeps a folder whose name ends in a space
    return f"add {submission.key} {submission.attempt} {submission.job.retries} {backoff} {after or '-'} {submission.folder}/\n"


def cancel(key: str, *, grace: float) -> str:
    """Ask for an attempt to be stopped, after `grace` seconds by force, or never started."""
    return f"cancel {key} {seconds(grace)}\n"


def withdraw(key: str) -> str:
    """Ask for an attempt not to be started, if it has not been."""
    return f"withdraw {key}\n"


def slots(number: int) -> str:
    """Say how many attempts may run at once."""
    return f"slots {number}\n"


def parse(line: str) -> Said | None:
    """Read one line of the record; None when it is none."""
    words = line.split()
    try:
        verb, key, attempt = words[0], words[1], int(words[2])
        code = int(words[3]) if len(words) > 3 else None
    except (IndexError, ValueError):
        return None
    return Said(verb, key, attempt, code, words[4] if len(words) > 4 else "")


def judge(code: int | None, word: str) -> tuple[State | str, int | None, str]:
    """Turn evidence (wrap.sh's and runner.sh's words) into a state, an exit code and a reason for a person."""
    match word:
        case "exit":
            return (State.DONE, 0, "") if code == 0 else (State.FAILED, code, about_exit(code))
        case "missing":
            return State.FAILED, code, "a declared output is missing"
        case "timeout":
            return State.FAILED, code, "its time was up"
        case "cancelled":
            return State.CANCELLED, None if code == 75 else code, ""
        case "skipped":
            return State.SKIPPED, None, "what it waits for ended otherwise"
        case "withdrawn":
            return "withdrawn", None, ""
        case _:
            return State.LOST, None, "its processes are gone and left no exit code: the machine restarted, or something killed them"


def about_exit(code: int | None) -> str:
    """Say what an exit code of a shell means, for the few that have a meaning (sh(1), POSIX XCU 2.8.2)."""
    known = {72: "its folder could not be entered", 126: "not executable", 127: "command not found"}
    if code is not None and 128 < code < 160:
        return f"ended by signal {code - 128}" + (": killed, perhaps for want of memory" if code == 137 else "")
    return known.get(code or 0, f"exit code {code}")
