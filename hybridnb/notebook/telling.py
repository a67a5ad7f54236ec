"""What a card says, as bounded lines of harmless text, for HTML and for plain text alike."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from html import escape
from math import isnan
from typing import Any

from .. import show
from ..drawing.stack import overall as together
from ..model import Job, Resources
from ..show import Status

RECORDED = "recorded"  # the state of what was never run
NAME, TEXT, LINE = 100, 300, 200  # characters of a name, of a sentence and of a line of a log
LOG_LINES = 10

# No reader of XML takes these, or they are not seen and turn or hide the text around them.
_UNFIT = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff9-\ufffc\ufffe\uffff]"
)
_BAD, _GOING = ("failed", "lost"), ("running", "cancelling")
_PRESSING = (*_BAD, *_GOING, "submitting", "queued", "cancelled", "skipped", "done", "waiting", RECORDED)
_SCHEDULERS = {"slurm": "Slurm", "process": "process"}


# -- texts ----------------------------------------------------------------------------------------------------------------
def line(text: object, limit: int = TEXT) -> str:
    """Make one line of at most so many characters, fewer of those that take many bytes, without colours, controls and turns."""
    whole = str(text)
    clean = _UNFIT.sub(" ", show.ANSI.sub("", whole[: 8 * limit]).expandtabs(4)).rstrip()
    if len(clean) > limit or len(whole) > 8 * limit:
        clean = f"{clean[: limit - 1]}…"
    while weight(clean) > 4 * limit + 20:
        clean = f"{clean[: len(clean) * 3 // 4]}…"
    return clean


def weight(text: str) -> int:
    """Count the bytes that a text takes in a notebook's HTML."""
    return len(json.dumps(escape(text, quote=False)))


def some(texts: Iterable[str], room: int) -> list[str]:
    """Keep as many of the texts, from the first on, as take so many bytes; say how many are left out."""
    kept, everything = [], list(texts)
    for text in everything:
        room -= weight(text)
        if room < 0:
            break
        kept.append(text)
    left = len(everything) - len(kept)
    return [*kept, f"and {left:,} more"] if left else kept


def value(thing: object) -> str:
    """Write the value of a param or a metric."""
    if isinstance(thing, float):
        return f"{thing:.6g}"
    return line(thing if isinstance(thing, str) else json.dumps(thing, ensure_ascii=False, default=str), 80)


def pairs(values: Mapping[str, Any], room: int = 900) -> list[str]:
    """Say "lr=0.1", "depth=4", as many as there is room for."""
    return some((f"{line(name, 60)}={value(thing)}" for name, thing in values.items()), room)


def log_lines(log: Sequence[str], count: int, room: int) -> list[str]:
    """Return the last lines of a log, each as a terminal would show it in the end."""
    shown = [text for raw in log[-4 * count :] for text in (line(_overwritten(raw), LINE),) if text]
    kept: list[str] = []
    for text in reversed(shown[-count:]):
        room -= weight(text)
        if room < 0:
            break
        kept.append(text)
    return kept[::-1]


def _overwritten(raw: str) -> str:
    """A line that was written over again, such as a bar of progress, as it stood last."""
    return raw.rstrip("\r\n").rpartition("\r")[2]


def size(count: int) -> str:
    """Say how many bytes: "1.25 MB"."""
    for unit, step in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= step:
            return f"{count / step:.3g} {unit}"
    return f"{count} B"


def dots(*words: str) -> str:
    """Join what there is to one line."""
    return " · ".join(filter(None, words))


# -- times ----------------------------------------------------------------------------------------------------------------
def local(at: datetime | None) -> datetime:
    """Put a moment, by default now, on this place's clock."""
    return (at or datetime.now(timezone.utc)).astimezone()


def stamp(at: datetime) -> str:
    """Say when: "2026-11-22 14:02:11 +01:00". It is read elsewhere, and much later."""
    return f"{at:%Y-%m-%d %H:%M:%S} {zone(at)}"


def zone(at: datetime) -> str:
    """Say how far the clock is from UTC: "+01:00"."""
    return "UTC" if at.utcoffset() in (None, timedelta(0)) else at.isoformat()[-6:]


def period(start: str, end: str) -> str:
    """Say from when to when, the day and the zone once when they are the same."""
    began, ended = show.moment(start), show.moment(end)
    same = began.date() == ended.date() and zone(began) == zone(ended)
    return f"{stamp(began)} to {f'{ended:%H:%M:%S}' if same else stamp(ended)}"


def so_far(word: str, start: str, at: datetime) -> str:
    """Say since when something goes on: "running since 2026-11-22 14:02:11 +01:00 (3 min 05 s so far)"."""
    began = show.moment(start)
    return f"{word} since {stamp(began)} ({show.span((at - began).total_seconds())} so far)"


def when(status: Status, at: datetime) -> str:
    """Say when a job was, or since when it is, in its state; "" for one that nobody has taken up."""
    state, start, end = status["state"], status["started_at"], status["ended_at"]
    if state in show.FINAL:
        return period(start, end) if start and end else f"{state} at {stamp(show.moment(end))}" if end else ""
    if start:
        return so_far("running", start, at)
    return so_far(state, status["submitted_at"], at) if status["submitted_at"] else ""


def took(status: Mapping[str, Any], at: datetime, *, start: str = "started_at") -> str:
    """Say how long something took, or takes so far."""
    return show.elapsed(status[start], status["ended_at"] or at.isoformat()) if status[start] else ""


# -- jobs -----------------------------------------------------------------------------------------------------------------
def state_of(status: Status | None) -> str:
    return status["state"] if status else RECORDED


def tidy(status: Status, at: datetime) -> dict[str, Any]:
    """Return a status whose texts are harmless and short, and which has ended by now, for what measures by the clock."""
    metrics = {
        line(name, 60): thing if isinstance(thing, int | float) else value(thing) for name, thing in status["metrics"].items()
    }
    texts = {"host": line(status["host"], NAME), "reason": line(status["reason"]), "metrics": dict(list(metrics.items())[:12])}
    return {**status, **texts, "ended_at": status["ended_at"] or at.isoformat()}


def reason(status: Status, limit: int = TEXT) -> str:
    """Say why, unless that is the exit code, which is told anyway."""
    return "" if status["reason"] == f"exit code {status['exit_code']}" else line(status["reason"], limit)


def native(status: Status) -> str:
    """Say under which number the host knows the job: "Slurm 4711" when the status says of which scheduler."""
    if not status["native_id"]:
        return ""
    return f"{_SCHEDULERS.get(status.get('scheduler', ''), 'native id')} {line(status['native_id'], NAME)}"


def attempt(status: Status, job: Job) -> str:
    """Say the attempt's number when there is, or may be, another."""
    number, most = status["attempt"], job.retries + 1
    if not number or number < 2 > most:
        return ""
    return f"attempt {number} of {most}" if number <= most else f"attempt {number}"


def percent(status: Status | None) -> float | None:
    """How far a job is, 0 to 100, while it goes on."""
    if not status or status["progress"] is None or isnan(status["progress"]) or status["state"] in show.FINAL:
        return None
    return min(100.0, max(0.0, float(status["progress"])))


def asked(job: Job) -> dict[str, Any]:
    """What the job asks of a scheduler, as far as it is set."""
    known = {name: getattr(job.resources, name) for name in Resources.__slots__ if name != "sbatch"}
    chosen = {name: thing for name, thing in known.items() if thing is not None}
    return {**chosen, **({"sbatch": " ".join(job.resources.sbatch)} if job.resources.sbatch else {})}


def tally(states: Iterable[str]) -> dict[str, int]:
    """Count the states that there are, in the order in which they are told."""
    found = Counter(states)
    return {state: found[state] for state in (*show.SIGNS, RECORDED) if found[state]}


def counted(counts: Mapping[str, int]) -> str:
    """Say how many there are in each state: "✔ 5 done  ▶ 2 running"."""
    recorded = f"{counts[RECORDED]} not run yet" if counts.get(RECORDED) else ""
    return "  ".join(filter(None, (show.count(counts, show.Screen()), recorded)))


def overall(counts: Mapping[str, int]) -> str:
    """Say the state of several jobs as a whole, as pictures do; those that were never run do not count beside others."""
    counts = {state: n for state, n in counts.items() if state != RECORDED}
    return together(counts) if counts else RECORDED


def pressing(states: Mapping[str, str], room: int) -> list[str]:
    """Choose so many jobs to show: all in their order, or those first that failed or run, neither without the other."""
    if len(states) <= room:
        return list(states)
    order = sorted(states, key=lambda name: _PRESSING.index(states[name]))
    bad = [name for name in order if states[name] in _BAD]
    rest = order[len(bad) :]
    going = sum(states[name] in _GOING for name in rest)
    bad = bad[: max(room - going, room // 2)]
    return [*bad, *rest[: room - len(bad)]]
